use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    panic::AssertUnwindSafe,
};

use super::*;

mod full_disk;

const ROOMY: Bounds = Bounds {
    max_bytes: 1 << 20,
    max_blocks: 100,
};

fn key(n: u8) -> BlockKey {
    [n; 36]
}

fn keep(expires_at: u64) -> Keep {
    Keep {
        expires_at,
        kind: Kind::Block,
    }
}

fn secrets() -> Result<Secrets, StoreError> {
    Ok(Secrets {
        seed: Zeroizing::new([7; 32]),
        certificate: Zeroizing::new("certificate".into()),
    })
}

fn open(dir: &Path, bounds: Bounds) -> Result<BlockStore, StoreError> {
    BlockStore::open(dir, bounds, secrets)
}

#[test]
fn secrets_and_blocks_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), ROOMY).unwrap();
    store.put(&key(1), b"one", keep(100), 0).unwrap();
    store
        .put(
            &key(2),
            b"two",
            Keep {
                expires_at: 100,
                kind: Kind::Packet,
            },
            0,
        )
        .unwrap();
    drop(store);

    let mut store = BlockStore::open(dir.path(), ROOMY, || panic!("made again")).unwrap();
    assert_eq!(*store.secrets().unwrap().seed, [7; 32]);
    assert_eq!(store.secrets().unwrap().certificate.as_str(), "certificate");
    assert_eq!(store.get(&key(1), 0).unwrap().unwrap(), b"one");
    assert_eq!(store.packets(0).unwrap(), [b"two".to_vec()]);
    assert_eq!(
        store.counts(),
        Counts {
            blocks: 2,
            bytes: 6,
            ..Counts::default()
        }
    );
}

#[test]
fn a_block_is_gone_when_its_time_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), ROOMY).unwrap();
    store
        .put(
            &key(1),
            b"one",
            Keep {
                expires_at: 10,
                kind: Kind::Packet,
            },
            0,
        )
        .unwrap();
    assert_eq!(store.get(&key(1), 10).unwrap(), None);
    assert!(store.packets(10).unwrap().is_empty());
    assert_eq!(store.purge(10).unwrap(), 1);
    assert_eq!(
        store.counts(),
        Counts {
            expired: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn what_is_freed_and_what_is_purged_leaves_no_row_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 1_000_000,
        max_blocks: 100,
    };
    let rows = |store: &BlockStore| {
        let transaction = store.begin_read().unwrap();
        let blocks = transaction.open_table(BLOCKS).unwrap();
        let entries = transaction.open_table(ENTRIES).unwrap();
        let count = |n: Result<u64, redb::StorageError>| n.unwrap();
        (
            count(redb::ReadableTableMetadata::len(&blocks)),
            count(redb::ReadableTableMetadata::len(&entries)),
        )
    };
    let mut store = open(dir.path(), bounds).unwrap();
    for n in 0..40 {
        let until = if n < 10 { 50 } else { 1000 };
        store.put(&key(n), &[n; 1000], keep(until), 0).unwrap();
    }
    let freed: Vec<_> = (20..60).map(key).collect();
    store.free(&freed).unwrap();
    assert_eq!((rows(&store), store.counts().bytes), ((20, 20), 20_000));
    assert_eq!(store.purge(50).unwrap(), 10);
    assert_eq!((rows(&store), store.counts().expired), ((10, 10), 10));
    drop(store);
    let store = open(dir.path(), bounds).unwrap();
    assert_eq!((rows(&store), store.counts().bytes), ((10, 10), 10_000));
}

#[test]
fn the_byte_limit_evicts_expired_blocks_first_and_then_the_least_recently_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(
        dir.path(),
        Bounds {
            max_bytes: 30,
            max_blocks: 100,
        },
    )
    .unwrap();
    for n in 1..=3 {
        store
            .put(&key(n), &[n; 10], keep(if n == 3 { 5 } else { 100 }), 0)
            .unwrap();
    }
    store.get(&key(1), 0).unwrap();
    store.put(&key(4), &[4; 10], keep(100), 6).unwrap();
    assert!(!store.has(&key(3), 0), "expired leaves first");
    store.put(&key(5), &[5; 10], keep(100), 6).unwrap();
    assert!(!store.has(&key(2), 6), "least recently used leaves next");
    assert!(store.has(&key(1), 6));
    assert_eq!(
        store.counts(),
        Counts {
            blocks: 3,
            bytes: 30,
            expired: 1,
            evicted: 1
        }
    );
}

#[test]
fn the_order_of_use_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 20,
        max_blocks: 100,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store.put(&key(1), &[1; 10], keep(100), 0).unwrap();
    store.put(&key(2), &[2; 10], keep(100), 0).unwrap();
    store.get(&key(1), 0).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut store = open(dir.path(), bounds).unwrap();
    store.put(&key(3), &[3; 10], keep(100), 0).unwrap();
    assert!(store.has(&key(1), 0));
    assert!(!store.has(&key(2), 0));
}

#[test]
fn the_block_limit_holds_however_small_the_blocks_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(
        dir.path(),
        Bounds {
            max_bytes: 1 << 20,
            max_blocks: 16,
        },
    )
    .unwrap();
    for n in 0..40 {
        store.put(&key(n), b"", keep(100), 0).unwrap();
    }
    assert_eq!(store.counts().blocks, 16);
}

#[test]
fn a_block_above_the_bound_is_refused_and_nothing_is_evicted_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(
        dir.path(),
        Bounds {
            max_bytes: 10,
            max_blocks: 16,
        },
    )
    .unwrap();
    store.put(&key(1), b"one", keep(100), 0).unwrap();
    let error = store.put(&key(2), &[0; 11], keep(100), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a block must be at most 10 bytes, got 11"
    );
    assert!(store.has(&key(1), 0));
}

#[test]
fn storing_again_extends_the_time_and_never_shortens_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), ROOMY).unwrap();
    store.put(&key(1), b"one", keep(10), 0).unwrap();
    store.put(&key(1), b"one", keep(20), 0).unwrap();
    store.put(&key(1), b"one", keep(5), 0).unwrap();
    assert!(store.has(&key(1), 19));
    assert_eq!(store.counts().bytes, 3);
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path(), ROOMY).unwrap();
    assert!(matches!(
        open(dir.path(), ROOMY),
        Err(StoreError::InUse { .. })
    ));
}

#[test]
fn a_foreign_file_is_reported_with_its_path_and_left_untouched() {
    for content in [&b"a diary, not a database"[..], b"", &[0; 8192]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, content).unwrap();
        let error = open(dir.path(), ROOMY).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn somebody_elses_redb_file_is_foreign_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let theirs: TableDefinition<'_, &str, u64> = TableDefinition::new("theirs");
    transaction
        .open_table(theirs)
        .unwrap()
        .insert("a", 1)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        open(dir.path(), ROOMY),
        Err(StoreError::Foreign { .. })
    ));
    assert!(fs::read(&path).unwrap() == before, "left untouched");
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_read().unwrap();
    assert_eq!(
        transaction
            .open_table(theirs)
            .unwrap()
            .get("a")
            .unwrap()
            .unwrap()
            .value(),
        1
    );
}

#[cfg(unix)]
#[test]
fn the_file_with_the_key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    drop(open(dir.path(), ROOMY).unwrap());
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(dir.path(), ROOMY).unwrap());
    assert_eq!(mode(), 0o600);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left of the unfinished file"
    );
}

/// Damage anywhere in the file gives an error that names it, or is noticed by nobody; it never ends the process.
#[test]
fn flipped_and_cut_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), ROOMY).unwrap();
    for n in 0..20 {
        store.put(&key(n), &[n; 500], keep(100), 0).unwrap();
    }
    drop(store);
    let path = dir.path().join(FILE_NAME);
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    for step in 0..24 {
        let at = used * step / 24;
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join(FILE_NAME);
        fs::write(&path, &whole).unwrap();
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        if step % 4 == 3 {
            file.set_len(at as u64).unwrap();
        } else {
            let mut bytes = [0; 64];
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            let n = file.read(&mut bytes).unwrap();
            bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&bytes[..n]).unwrap();
        }
        drop(file);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
            open(copy.path(), ROOMY).and_then(|mut store| {
                for n in 0..20 {
                    store.get(&key(n), 0)?;
                }
                store.put(&key(99), b"new", keep(100), 0)
            })
        }));
        match outcome {
            Ok(Err(error)) => assert!(error.to_string().contains(FILE_NAME), "{error}"),
            Ok(Ok(())) => {}
            Err(_) => panic!("opening a file damaged at byte {at} panicked"),
        }
    }
}

fn keep_as(kind: Kind) -> Keep {
    Keep {
        expires_at: 100,
        kind,
    }
}

#[test]
fn other_packets_never_push_out_a_revocation_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 800,
        max_blocks: 40,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store
        .put(&key(1), &[1; 60], keep_as(Kind::Revocation), 0)
        .unwrap();
    let flood = |store: &mut BlockStore, from: u8| {
        for n in from..from + 60 {
            let size = if n % 2 == 0 { 50 } else { 0 };
            store
                .put(&key(n), &vec![n; size], keep_as(Kind::Packet), 0)
                .unwrap();
        }
    };
    flood(&mut store, 10);
    assert!(store.has(&key(1), 0));
    drop(store);
    let mut store = open(dir.path(), bounds).unwrap();
    flood(&mut store, 100);
    assert!(store.has(&key(1), 0));
    assert!(store.counts().bytes <= 800 && store.counts().blocks <= 40);
    // Their room is an eighth: 100 bytes. Of two that do not fit there the older leaves, and no other packet.
    let before = store.counts();
    store
        .put(&key(2), &[2; 40], keep_as(Kind::Revocation), 0)
        .unwrap();
    assert!(store.has(&key(1), 0) && store.has(&key(2), 0));
    store
        .put(&key(3), &[3; 60], keep_as(Kind::Revocation), 0)
        .unwrap();
    assert!(!store.has(&key(1), 0) && store.has(&key(3), 0));
    assert!(store.counts().blocks > before.blocks - 4);
    let error = store.put(&key(4), &[4; 101], keep_as(Kind::Revocation), 0);
    assert!(matches!(
        error,
        Err(StoreError::TooLarge { got: 101, max: 100 })
    ));
}

#[test]
fn an_expired_revocation_leaves_like_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 80,
        max_blocks: 16,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store
        .put(&key(1), &[1; 10], keep_as(Kind::Revocation), 0)
        .unwrap();
    store
        .put(&key(2), &[2; 70], keep_as(Kind::Packet), 0)
        .unwrap();
    let late = Keep {
        expires_at: 200,
        kind: Kind::Block,
    };
    store.put(&key(3), &[3; 10], late, 100).unwrap();
    assert!(!store.has(&key(1), 0) && store.has(&key(3), 100));
    assert_eq!((store.counts().expired, store.counts().evicted), (1, 0));
}

#[test]
fn what_is_pinned_stays_until_its_time_or_until_it_is_unpinned_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 100,
        max_blocks: 100,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store
        .put(&key(1), &[1; 20], keep_as(Kind::Packet), 0)
        .unwrap();
    store.put(&key(2), &[2; 30], keep(100), 0).unwrap();
    store.pin(&[key(1), key(2), key(9)], true).unwrap();
    let flood = |store: &mut BlockStore| {
        for n in 20..40 {
            store.put(&key(n), &[n; 25], keep(100), 0).unwrap();
        }
    };
    flood(&mut store);
    assert!(store.has(&key(1), 0) && store.has(&key(2), 0));
    drop(store);
    let mut store = open(dir.path(), bounds).unwrap();
    assert_eq!(store.pinned(), [key(1)], "of its blocks it is the packet");
    // What comes again stays pinned.
    store.put(&key(2), &[2; 30], keep(110), 0).unwrap();
    flood(&mut store);
    assert!(store.has(&key(1), 0) && store.has(&key(2), 0));
    let packets = store.packets(0).unwrap();
    assert_eq!(packets, [vec![1; 20]]);

    store.pin(&[key(1)], false).unwrap();
    flood(&mut store);
    assert!(!store.has(&key(1), 0) && store.has(&key(2), 0));
    store.purge(110).unwrap();
    assert!(!store.has(&key(2), 0), "its time has passed");
}

#[test]
fn at_most_half_of_the_store_is_pinned_and_what_does_not_fit_beside_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 100,
        max_blocks: 16,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    for n in 1..=3 {
        store.put(&key(n), &[n; 20], keep(100), 0).unwrap();
    }
    store.pin(&[key(1), key(2)], true).unwrap();
    let error = store.pin(&[key(3)], true).unwrap_err();
    let bound = "pinned bytes must be at most 50, got 60";
    assert!(error.to_string().contains(bound), "{error}");
    assert!(store.put(&key(4), &[4; 61], keep(100), 0).is_err());
    store.put(&key(4), &[4; 60], keep(100), 0).unwrap();
    assert!(store.has(&key(1), 0) && store.has(&key(2), 0) && !store.has(&key(3), 0));

    for n in 10..20 {
        store.put(&key(n), &[], keep(100), 0).unwrap();
    }
    let many: Vec<_> = (10..17).map(key).collect();
    let error = store.pin(&many, true).unwrap_err();
    let bound = "pinned blocks must be at most 8, got 9";
    assert!(error.to_string().contains(bound), "{error}");
    store.pin(&many[..6], true).unwrap();
    drop(store);
    // Under lower bounds what is pinned makes room, too.
    let bounds = Bounds {
        max_bytes: 60,
        ..bounds
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store.put(&key(5), &[5; 30], keep(100), 0).unwrap();
    assert!(store.has(&key(5), 0) && store.has(&key(2), 0) && !store.has(&key(1), 0));
}

#[test]
fn a_store_without_marks_opens_and_learns_which_of_its_packets_are_revocations() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        max_bytes: 800,
        max_blocks: 40,
    };
    let mut store = open(dir.path(), bounds).unwrap();
    store
        .put(&key(1), &[1; 60], keep_as(Kind::Packet), 0)
        .unwrap();
    let database = store.database.as_ref().unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(transaction.delete_table(MARKS).unwrap());
    transaction.commit().unwrap();
    drop(store);
    let mut store = open(dir.path(), bounds).unwrap();
    store.note_revocations(&[key(1), key(9)]).unwrap();
    drop(store);
    let mut store = open(dir.path(), bounds).unwrap();
    for n in 10..40 {
        store.put(&key(n), &[n; 50], keep(100), 0).unwrap();
    }
    assert!(store.has(&key(1), 0));
    store.remove(&key(1)).unwrap();
    let transaction = store.begin_read().unwrap();
    let marks = transaction.open_table(MARKS).unwrap();
    assert_eq!(redb::ReadableTableMetadata::len(&marks).unwrap(), 0);
}
