//! The blocks of one peer: in memory for the driver, which cannot wait, and written behind it to IndexedDB.
//!
//! A stored value is nine bytes and the block: when it may go (milliseconds since 1970, u64 little-endian), and 1 where
//! it is a packet plus 2 where it is pinned.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chorus_core::digest::ContentId;
use chorus_core::net::{MemoryStore, Retention, Store, StoreError};
use chorus_core::time::Timestamp;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use wasm_bindgen_futures::spawn_local;

use crate::storage::database::{Change, Database};

/// Blocks in memory with a copy in IndexedDB. Reading never waits; writing is queued, see [`BlockStore::writer`].
#[derive(Debug)]
pub struct BlockStore {
    memory: MemoryStore,
    slot: u32,
    writer: Option<Writer>,
    refused: u64,
}

/// The queue of changes on their way to disk. Clones share it.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::Sender<Job>,
    pending: Arc<AtomicU64>,
    unwritten: Arc<Unwritten>,
}

/// What did not reach the disk.
#[derive(Debug)]
struct Unwritten {
    count: AtomicU64,
    reasons: Mutex<mpsc::Sender<String>>,
    heard: Mutex<Option<mpsc::Receiver<String>>>,
}

#[derive(Debug)]
enum Job {
    Change(Change),
    Flush(oneshot::Sender<()>),
}

impl BlockStore {
    /// Creates an empty store for at most `max_bytes` that ends with the tab.
    pub fn in_memory(max_bytes: u64) -> Self {
        Self {
            memory: MemoryStore::new(max_bytes),
            slot: 0,
            writer: None,
            refused: 0,
        }
    }

    /// Reads the blocks of `slot`, letting go what is damaged, expired or past `max_bytes`.
    pub(super) async fn load(database: Database, slot: u32, max_bytes: u64) -> Self {
        let mut memory = MemoryStore::new(max_bytes);
        let mut unwanted = Vec::new();
        let mut refused = 0;
        let now = Timestamp::from_millis(js_sys::Date::now() as u64);
        let prefix = format!("{slot}/");
        let read = database
            .for_each_block(&prefix, |key, value| {
                match decode(&key[prefix.len()..], &value) {
                    Some((cid, retention, bytes)) if retention.expires > now => {
                        match memory.keep(&cid, bytes, retention) {
                            Ok(evicted) => {
                                unwanted.extend(evicted.iter().map(|cid| format!("{prefix}{cid}")))
                            }
                            Err(_) => unwanted.push(key),
                        }
                    }
                    Some(_) => unwanted.push(key),
                    None => {
                        refused += 1;
                        unwanted.push(key);
                    }
                }
            })
            .await;
        let writer = Writer::start(database);
        if read.is_err() {
            // What was read so far stands; the rest stays on disk.
            refused += 1;
        }
        for key in unwanted {
            writer.push(Change::Remove { key });
        }
        Self {
            memory,
            slot,
            writer: Some(writer),
            refused,
        }
    }

    /// Returns the queue to disk, to wait for it or to ask what did not fit; `None` where nothing is kept.
    pub fn writer(&self) -> Option<Writer> {
        self.writer.clone()
    }

    /// Returns how many stored blocks were damaged or unreadable at the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn key(&self, cid: &ContentId) -> String {
        format!("{}/{cid}", self.slot)
    }

    /// Queues the block as it is in memory.
    fn write(&self, cid: &ContentId) {
        let block = (self.memory.block(cid), self.memory.retention(cid));
        let (Some(writer), (Some(bytes), Some(kept))) = (&self.writer, block) else {
            return;
        };
        let now = Timestamp::from_millis(js_sys::Date::now() as u64);
        if kept.expires.saturating_duration_since(now) >= WORTH_WRITING {
            writer.push(Change::Put {
                key: self.key(cid),
                value: encode(kept, bytes),
            });
        }
    }
}

impl Store for BlockStore {
    fn get(&mut self, cid: &ContentId) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(cid)
    }

    fn put(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<(), StoreError> {
        let evicted = self.memory.keep(cid, bytes, retention)?;
        let Some(writer) = &self.writer else {
            return Ok(());
        };
        for evicted in evicted {
            writer.push(Change::Remove {
                key: self.key(&evicted),
            });
        }
        self.write(cid);
        Ok(())
    }

    fn remove(&mut self, cid: &ContentId) -> Result<(), StoreError> {
        if self.memory.forget(cid)
            && let Some(writer) = &self.writer
        {
            writer.push(Change::Remove { key: self.key(cid) });
        }
        Ok(())
    }

    fn packets(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.memory.packets()
    }

    fn purge(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.free(&self.memory.expired(now))
    }

    fn pin(&mut self, cids: &[ContentId], is_pinned: bool) -> Result<(), StoreError> {
        for cid in cids {
            if self.memory.set_pinned(cid, is_pinned) {
                self.write(cid);
            }
        }
        Ok(())
    }

    fn pinned(&mut self) -> Result<Vec<ContentId>, StoreError> {
        self.memory.pinned()
    }
}

impl Writer {
    /// Waits until everything queued so far is on disk, or counted as unwritten.
    pub async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        // A clone has a place of its own in the queue, so this is refused only where the writer has ended.
        if self.sender.clone().try_send(Job::Flush(sender)).is_ok() {
            let _ = receiver.await;
        }
    }

    /// Returns how many changes did not reach the disk, because they came too fast or the disk is full.
    pub fn unwritten(&self) -> u64 {
        self.unwritten.count.load(Ordering::Relaxed)
    }

    /// Returns why changes do not reach the disk, as it happens; one reason waits, later ones are left out until it is
    /// read. `None` where somebody listens already.
    pub fn setbacks(&self) -> Option<mpsc::Receiver<String>> {
        let mut heard = self
            .unwritten
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        heard.take()
    }

    fn start(database: Database) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let pending = Arc::new(AtomicU64::new(0));
        let unwritten = Arc::new(Unwritten::default());
        spawn_local(write(
            database,
            receiver,
            pending.clone(),
            unwritten.clone(),
        ));
        Self {
            sender,
            pending,
            unwritten,
        }
    }

    /// Queues a change. A change that does not fit is dropped and counted: memory still has the block.
    fn push(&self, change: Change) {
        let size = size_of_change(&change);
        let is_full = self.pending.load(Ordering::Relaxed) + size > MAX_PENDING;
        // The channel's own bound holds for one sender, not for its clones: count here.
        if is_full || self.sender.clone().try_send(Job::Change(change)).is_err() {
            self.unwritten.add(1, "too much at once");
        } else {
            self.pending.fetch_add(size, Ordering::Relaxed);
        }
    }
}

impl Default for Unwritten {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(0);
        Self {
            count: AtomicU64::new(0),
            reasons: Mutex::new(sender),
            heard: Mutex::new(Some(receiver)),
        }
    }
}

impl Unwritten {
    fn add(&self, changes: u64, reason: &str) {
        self.count.fetch_add(changes, Ordering::Relaxed);
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        // Full: nobody has read the last reason yet.
        let _ = reasons.try_send(reason.to_owned());
    }
}

/// Writes what is queued in transactions of up to [`MAX_BATCH`] changes, until the last sender is gone.
async fn write(
    database: Database,
    receiver: mpsc::Receiver<Job>,
    pending: Arc<AtomicU64>,
    unwritten: Arc<Unwritten>,
) {
    let mut jobs = receiver.ready_chunks(MAX_BATCH);
    while let Some(jobs) = jobs.next().await {
        let mut changes = Vec::new();
        let mut waiting = Vec::new();
        for job in jobs {
            match job {
                Job::Change(change) => changes.push(change),
                Job::Flush(sender) => waiting.push(sender),
            }
        }
        if !changes.is_empty()
            && let Err(error) = database.change_blocks(&changes).await
        {
            unwritten.add(changes.len() as u64, &error.to_string());
        }
        pending.fetch_sub(changes.iter().map(size_of_change).sum(), Ordering::Relaxed);
        for sender in waiting {
            let _ = sender.send(());
        }
    }
}

fn size_of_change(change: &Change) -> u64 {
    let payload = match change {
        Change::Put { key, value } => key.len() + value.len(),
        Change::Remove { key } => key.len(),
    };
    (payload + CHANGE_OVERHEAD) as u64
}

fn encode(retention: Retention, bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + bytes.len());
    value.extend(retention.expires.as_millis().to_le_bytes());
    value.push(u8::from(retention.is_packet) | u8::from(retention.is_pinned) << 1);
    value.extend(bytes);
    value
}

/// Reads what [`encode`] wrote under the text `cid`; `None` where it is damaged.
fn decode<'a>(cid: &str, value: &'a [u8]) -> Option<(ContentId, Retention, &'a [u8])> {
    let cid: ContentId = cid.parse().ok()?;
    let (expires, rest) = value.split_first_chunk::<8>()?;
    let (&kind, bytes) = rest.split_first()?;
    let retention = Retention {
        expires: Timestamp::from_millis(u64::from_le_bytes(*expires)),
        is_packet: kind & 1 == 1,
        is_pinned: kind & 2 == 2,
    };
    (kind <= 3 && cid.verify(bytes)).then_some((cid, retention, bytes))
}

/// Bytes of a stored value before the block.
const HEADER: usize = 9;
/// What a queued change costs beside its bytes. Guess: two small allocations.
const CHANGE_OVERHEAD: usize = 100;
/// Bytes that may wait to be written. Guess: a shared object of the default size three times over.
const MAX_PENDING: u64 = 32 << 20;
/// Changes that may wait. The bytes bound them first.
const MAX_QUEUED: usize = 1024;
/// Changes written in one transaction: 2 MiB of a large file, so that the page answers in between. Guess.
const MAX_BATCH: usize = 8;
/// Blocks that go sooner are not written: weights of a round are of no use after a reload. Guess.
const WORTH_WRITING: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use chorus_core::digest::Codec;

    use super::*;

    #[test]
    fn a_stored_value_reads_back_and_a_damaged_one_is_refused() {
        let bytes = b"sixteen bytes ok";
        let cid = ContentId::of(Codec::Raw, bytes);
        let retention = Retention {
            expires: Timestamp::from_millis(1_795_233_600_000),
            is_packet: true,
            is_pinned: true,
        };
        let value = encode(retention, bytes);
        assert_eq!(
            decode(&cid.to_string(), &value),
            Some((cid, retention, &bytes[..]))
        );
        for len in 0..value.len() {
            assert_eq!(decode(&cid.to_string(), &value[..len]), None, "{len}");
        }
        let mut flipped = value.clone();
        flipped[12] ^= 1;
        assert_eq!(decode(&cid.to_string(), &flipped), None);
        flipped = value;
        flipped[8] = 4;
        assert_eq!(decode(&cid.to_string(), &flipped), None);
        assert_eq!(decode("bafy", &flipped), None);
    }
}
