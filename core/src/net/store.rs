//! Where a node's blocks live: a trait for its driver, and the store that forgets everything at its end.

use std::collections::{BTreeMap, BTreeSet};

use crate::{digest::ContentId, time::Timestamp};

/// How long a block is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// When it may go.
    pub expires: Timestamp,
    /// Whether it is a packet, to be given back by [`Store::packets`] at the next start.
    pub is_packet: bool,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room, even after everything older is gone.
    #[error("a block of {size} bytes does not fit, the store holds {max}")]
    Full {
        /// The block's size in bytes.
        size: u64,
        /// The store's limit in bytes.
        max: u64,
    },
    /// The medium failed.
    #[error("{0}")]
    Io(String),
}

/// Keeps blocks by content id, within limits of its own. Calls are short: the driver waits for them.
pub trait Store {
    /// Returns a block.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn get(&mut self, cid: &ContentId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps a block; may let older ones go to make room.
    ///
    /// # Errors
    /// [`StoreError`] where it does not fit or the medium fails; what was kept before is untouched.
    fn put(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<(), StoreError>;
    /// Lets a block go.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn remove(&mut self, cid: &ContentId) -> Result<(), StoreError>;
    /// Returns the packets kept, in their binary form, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn packets(&mut self) -> Result<Vec<Vec<u8>>, StoreError>;
}

/// A store in memory, bounded in bytes: what expires first goes first. Tells what it let go, so that a copy elsewhere can
/// follow.
#[derive(Debug)]
pub struct MemoryStore {
    blocks: BTreeMap<ContentId, (Vec<u8>, Retention)>,
    by_expiry: BTreeSet<(Timestamp, ContentId)>,
    bytes: u64,
    max_bytes: u64,
}

impl MemoryStore {
    /// Creates an empty store for at most `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Returns a block's bytes.
    pub fn block(&self, cid: &ContentId) -> Option<&[u8]> {
        self.blocks.get(cid).map(|(bytes, _)| &bytes[..])
    }

    /// Returns how long a block is kept.
    pub fn retention(&self, cid: &ContentId) -> Option<Retention> {
        self.blocks.get(cid).map(|(_, retention)| *retention)
    }

    /// Keeps a block, for the longer of its old and its new time. Returns the ids of those that made room.
    ///
    /// # Errors
    /// [`StoreError::Full`] where the block alone is larger than the store; nothing has changed then.
    pub fn keep(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<Vec<ContentId>, StoreError> {
        let size = bytes.len() as u64;
        if size > self.max_bytes {
            return Err(StoreError::Full {
                size,
                max: self.max_bytes,
            });
        }
        let retention = match self.blocks.get(cid) {
            Some((_, old)) => Retention {
                expires: old.expires.max(retention.expires),
                is_packet: old.is_packet || retention.is_packet,
            },
            None => retention,
        };
        self.forget(cid);
        let mut evicted = Vec::new();
        while self.bytes + size > self.max_bytes
            && let Some(&(_, first)) = self.by_expiry.first()
        {
            self.forget(&first);
            evicted.push(first);
        }
        self.bytes += size;
        self.by_expiry.insert((retention.expires, *cid));
        self.blocks.insert(*cid, (bytes.to_vec(), retention));
        Ok(evicted)
    }

    /// Lets a block go; says whether there was one.
    pub fn forget(&mut self, cid: &ContentId) -> bool {
        let Some((bytes, retention)) = self.blocks.remove(cid) else {
            return false;
        };
        self.bytes -= bytes.len() as u64;
        self.by_expiry.remove(&(retention.expires, *cid));
        true
    }
}

impl Store for MemoryStore {
    fn get(&mut self, cid: &ContentId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.block(cid).map(<[u8]>::to_vec))
    }

    fn put(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<(), StoreError> {
        self.keep(cid, bytes, retention).map(drop)
    }

    fn remove(&mut self, cid: &ContentId) -> Result<(), StoreError> {
        self.forget(cid);
        Ok(())
    }

    /// Those first that expire first.
    fn packets(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let block = |(_, cid): &(Timestamp, ContentId)| self.blocks.get(cid);
        let packets = self
            .by_expiry
            .iter()
            .filter_map(block)
            .filter(|(_, retention)| retention.is_packet);
        Ok(packets.map(|(bytes, _)| bytes.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Codec;

    fn block(seed: u8, size: usize) -> (ContentId, Vec<u8>) {
        let bytes = vec![seed; size];
        (ContentId::of(Codec::Raw, &bytes), bytes)
    }

    fn until(millis: u64, is_packet: bool) -> Retention {
        Retention {
            expires: Timestamp::from_millis(millis),
            is_packet,
        }
    }

    #[test]
    fn what_expires_first_makes_room_and_is_named() {
        let mut store = MemoryStore::new(100);
        let (a, a_bytes) = block(1, 40);
        let (b, b_bytes) = block(2, 40);
        let (c, c_bytes) = block(3, 60);
        assert_eq!(store.keep(&a, &a_bytes, until(20, false)).unwrap(), []);
        assert_eq!(store.keep(&b, &b_bytes, until(10, false)).unwrap(), []);
        assert_eq!(store.keep(&c, &c_bytes, until(5, false)).unwrap(), [b]);
        assert_eq!(
            (store.block(&a), store.block(&b), store.bytes),
            (Some(&a_bytes[..]), None, 100)
        );
    }

    #[test]
    fn a_block_kept_twice_counts_once_and_keeps_its_longer_time() {
        let mut store = MemoryStore::new(100);
        let (a, bytes) = block(1, 80);
        store.keep(&a, &bytes, until(20, true)).unwrap();
        assert_eq!(store.keep(&a, &bytes, until(10, false)).unwrap(), []);
        assert_eq!(store.retention(&a), Some(until(20, true)));
        assert_eq!(store.bytes, 80);
        assert!(store.forget(&a) && !store.forget(&a));
        assert_eq!((store.bytes, store.by_expiry.len()), (0, 0));
    }

    #[test]
    fn a_block_larger_than_the_store_is_refused_and_nothing_is_lost() {
        let mut store = MemoryStore::new(100);
        let (a, bytes) = block(1, 80);
        store.keep(&a, &bytes, until(1, false)).unwrap();
        let (b, large) = block(2, 101);
        assert!(matches!(
            store.keep(&b, &large, until(9, false)),
            Err(StoreError::Full {
                size: 101,
                max: 100
            })
        ));
        assert_eq!(store.block(&a), Some(&bytes[..]));
    }

    #[test]
    fn packets_come_back_in_the_order_of_their_time() {
        let mut store = MemoryStore::new(100);
        for (seed, expires, is_packet) in [(1, 30, true), (2, 10, true), (3, 20, false)] {
            let (cid, bytes) = block(seed, 10);
            store.keep(&cid, &bytes, until(expires, is_packet)).unwrap();
        }
        assert_eq!(store.packets().unwrap(), [vec![2; 10], vec![1; 10]]);
    }
}
