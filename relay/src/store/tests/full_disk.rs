//! What happens on a full disk.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redb::{StorageBackend, backends::InMemoryBackend};

use super::*;

/// A file in memory, on a disk that may be full.
#[derive(Debug)]
struct SmallDisk {
    file: InMemoryBackend,
    is_full: Arc<AtomicBool>,
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(&self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        StorageBackend::write(&self.file, offset, data)
    }
}

/// Lets the open store go on in a copy of its file, on a disk that is full.
fn fill_the_disk(store: &mut BlockStore) {
    store.database = None;
    let bytes = fs::read(&store.path).unwrap();
    let (file, is_full) = (InMemoryBackend::new(), Arc::new(AtomicBool::new(false)));
    file.set_len(bytes.len() as u64).unwrap();
    StorageBackend::write(&file, 0, &bytes).unwrap();
    let disk = SmallDisk {
        file,
        is_full: is_full.clone(),
    };
    store.database = Some(Database::builder().create_with_backend(disk).unwrap());
    is_full.store(true, Ordering::SeqCst);
}

/// At every write the store once opened its file again, and read all of it, for as long as the disk was full.
#[test]
fn after_a_full_disk_nothing_is_tried_for_a_minute_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), ROOMY).unwrap();
    store.put(&key(1), b"one", keep(100), 0).unwrap();
    fill_the_disk(&mut store);
    // The first finds the disk full; the others are refused, although the file that is open again has room.
    for _ in 0..3 {
        let refused = store.put(&key(2), b"two", keep(100), 0);
        assert!(matches!(refused, Err(StoreError::DiskFull { .. })));
        assert_eq!(store.get(&key(1), 0).unwrap().unwrap(), b"one");
    }
    assert!(!store.has(&key(2), 0));
    let refused = store.remove(&key(1));
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })));
    // A minute later.
    store.pause = Pause::default();
    store.put(&key(2), b"two", keep(100), 0).unwrap();
    assert_eq!(store.get(&key(2), 0).unwrap().unwrap(), b"two");
}
