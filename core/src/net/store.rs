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
    /// Whether it stays whatever room others need.
    pub is_pinned: bool,
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
    /// Lets blocks go together. By default one after the other.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn free(&mut self, cids: &[ContentId]) -> Result<(), StoreError> {
        cids.iter().try_for_each(|cid| self.remove(cid))
    }
    /// Lets go, at most [`MAX_PURGE`] at a time, what may go at `now`. Does nothing by default: for a store that does so
    /// by itself.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn purge(&mut self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
    /// Keeps those of the blocks that are here whatever room others need, until their time, or no longer so. Does nothing
    /// by default: such a store may let pinned blocks go.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn pin(&mut self, _cids: &[ContentId], _is_pinned: bool) -> Result<(), StoreError> {
        Ok(())
    }
    /// Returns which packets were pinned by [`Store::pin`] when the store was opened. None by default.
    ///
    /// # Errors
    /// [`StoreError`] where the medium fails.
    fn pinned(&mut self) -> Result<Vec<ContentId>, StoreError> {
        Ok(Vec::new())
    }
}

/// Blocks that one call of [`Store::purge`] lets go at most. Guess: a few milliseconds.
pub const MAX_PURGE: usize = 1024;

/// A store in memory, bounded in bytes: what expires first goes first, and what is pinned never for want of room. Tells
/// what it let go, so that a copy elsewhere can follow.
#[derive(Debug)]
pub struct MemoryStore {
    blocks: BTreeMap<ContentId, (Vec<u8>, Retention)>,
    /// Pinned blocks come last.
    by_expiry: BTreeSet<(bool, Timestamp, ContentId)>,
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

    /// Keeps a block, for the longer of its old and its new time; a pinned one stays pinned. Returns the ids of those
    /// that made room.
    ///
    /// # Errors
    /// [`StoreError::Full`] where the block does not fit beside what is pinned; nothing has changed then.
    pub fn keep(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<Vec<ContentId>, StoreError> {
        let size = bytes.len() as u64;
        let old = self.blocks.get(cid);
        let mut freed = old.map_or(0, |(bytes, _)| bytes.len() as u64);
        let mut evicted = Vec::new();
        for (is_pinned, _, other) in &self.by_expiry {
            if self.bytes - freed + size <= self.max_bytes {
                break;
            }
            if *is_pinned || other == cid {
                continue;
            }
            freed += self.block(other).map_or(0, |bytes| bytes.len() as u64);
            evicted.push(*other);
        }
        if self.bytes - freed + size > self.max_bytes {
            return Err(StoreError::Full {
                size,
                max: self.max_bytes,
            });
        }
        let retention = match old {
            Some((_, old)) => Retention {
                expires: old.expires.max(retention.expires),
                is_packet: old.is_packet || retention.is_packet,
                is_pinned: old.is_pinned || retention.is_pinned,
            },
            None => retention,
        };
        self.forget(cid);
        for other in &evicted {
            self.forget(other);
        }
        self.bytes += size;
        self.by_expiry.insert(retention.rank(cid));
        self.blocks.insert(*cid, (bytes.to_vec(), retention));
        Ok(evicted)
    }

    /// Lets a block go; says whether there was one.
    pub fn forget(&mut self, cid: &ContentId) -> bool {
        let Some((bytes, retention)) = self.blocks.remove(cid) else {
            return false;
        };
        self.bytes -= bytes.len() as u64;
        self.by_expiry.remove(&retention.rank(cid));
        true
    }

    /// Pins a block or ends that; says whether that changed anything.
    pub fn set_pinned(&mut self, cid: &ContentId, is_pinned: bool) -> bool {
        let Some((_, retention)) = self.blocks.get_mut(cid) else {
            return false;
        };
        self.by_expiry.remove(&retention.rank(cid));
        let was_pinned = core::mem::replace(&mut retention.is_pinned, is_pinned);
        self.by_expiry.insert(retention.rank(cid));
        was_pinned != is_pinned
    }

    /// Returns blocks whose time has passed at `now`, at most [`MAX_PURGE`].
    pub fn expired(&self, now: Timestamp) -> Vec<ContentId> {
        let of = |is_pinned| {
            let all = self
                .by_expiry
                .iter()
                .skip_while(move |(p, ..)| *p != is_pinned);
            all.take_while(move |(p, expires, _)| *p == is_pinned && *expires <= now)
        };
        let expired = of(false).chain(of(true)).take(MAX_PURGE);
        expired.map(|(.., cid)| *cid).collect()
    }

    /// Returns the packets that are pinned.
    pub fn pinned_packets(&self) -> Vec<ContentId> {
        let pinned = self
            .blocks
            .iter()
            .filter(|(_, (_, r))| r.is_packet && r.is_pinned);
        pinned.map(|(cid, _)| *cid).collect()
    }
}

impl Retention {
    /// What has the lowest rank goes first.
    fn rank(&self, cid: &ContentId) -> (bool, Timestamp, ContentId) {
        (self.is_pinned, self.expires, *cid)
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

    /// Those first that expire first, and those that are pinned last.
    fn packets(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let block = |(.., cid): &(bool, Timestamp, ContentId)| self.blocks.get(cid);
        let packets = self
            .by_expiry
            .iter()
            .filter_map(block)
            .filter(|(_, retention)| retention.is_packet);
        Ok(packets.map(|(bytes, _)| bytes.clone()).collect())
    }

    fn purge(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.free(&self.expired(now))
    }

    fn pin(&mut self, cids: &[ContentId], is_pinned: bool) -> Result<(), StoreError> {
        for cid in cids {
            self.set_pinned(cid, is_pinned);
        }
        Ok(())
    }

    fn pinned(&mut self) -> Result<Vec<ContentId>, StoreError> {
        Ok(self.pinned_packets())
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
            is_pinned: false,
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

    #[test]
    fn what_is_pinned_makes_no_room_and_what_does_not_fit_beside_it_is_refused() {
        let mut store = MemoryStore::new(100);
        let (a, a_bytes) = block(1, 60);
        let (b, b_bytes) = block(2, 30);
        let (c, c_bytes) = block(3, 50);
        store.keep(&a, &a_bytes, until(10, true)).unwrap();
        store.keep(&b, &b_bytes, until(20, false)).unwrap();
        assert!(store.set_pinned(&a, true) && !store.set_pinned(&a, true));
        assert_eq!(store.pinned_packets(), [a]);
        assert!(store.keep(&c, &c_bytes, until(99, false)).is_err());
        assert_eq!((store.block(&b), store.bytes), (Some(&b_bytes[..]), 90));
        store.keep(&a, &a_bytes, until(10, true)).unwrap();
        assert!(store.set_pinned(&a, false));
        assert_eq!(store.keep(&c, &c_bytes, until(99, false)).unwrap(), [a]);
    }

    #[test]
    fn what_has_expired_is_purged_whether_or_not_it_is_pinned() {
        let mut store = MemoryStore::new(100);
        let blocks = [(1, 10), (2, 20), (3, 30), (4, 10)].map(|(seed, at)| {
            let (cid, bytes) = block(seed, 10);
            store.keep(&cid, &bytes, until(at, false)).unwrap();
            cid
        });
        store.pin(&[blocks[3]], true).unwrap();
        store.purge(Timestamp::from_millis(20)).unwrap();
        let left: Vec<_> = store.blocks.keys().copied().collect();
        assert_eq!(left, [blocks[2]]);
        assert_eq!((store.bytes, store.by_expiry.len()), (10, 1));
    }
}
