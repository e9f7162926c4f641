//! A bounded map of blocks: what expires first goes first. Tells what it let go, so that a copy elsewhere can follow.

use std::collections::{BTreeMap, BTreeSet};

use chorus_core::digest::ContentId;
use chorus_core::net::{Retention, StoreError};
use chorus_core::time::Timestamp;

/// The blocks of one peer, in memory.
#[derive(Debug)]
pub(super) struct Shelf {
    blocks: BTreeMap<ContentId, (Vec<u8>, Retention)>,
    by_expiry: BTreeSet<(Timestamp, ContentId)>,
    bytes: u64,
    max_bytes: u64,
}

impl Shelf {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            max_bytes,
        }
    }

    pub(super) fn get(&self, cid: &ContentId) -> Option<&[u8]> {
        self.blocks.get(cid).map(|(bytes, _)| &bytes[..])
    }

    pub(super) fn retention(&self, cid: &ContentId) -> Option<Retention> {
        self.blocks.get(cid).map(|(_, retention)| *retention)
    }

    /// Keeps a block, for the longer of its old and its new time. Returns the ids of those that made room.
    ///
    /// # Errors
    /// [`StoreError::Full`] where the block alone is larger than the shelf; nothing has changed then.
    pub(super) fn put(
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
        self.remove(cid);
        let mut evicted = Vec::new();
        while self.bytes + size > self.max_bytes
            && let Some(&(_, first)) = self.by_expiry.first()
        {
            self.remove(&first);
            evicted.push(first);
        }
        self.bytes += size;
        self.by_expiry.insert((retention.expires, *cid));
        self.blocks.insert(*cid, (bytes.to_vec(), retention));
        Ok(evicted)
    }

    /// Lets a block go; says whether there was one.
    pub(super) fn remove(&mut self, cid: &ContentId) -> bool {
        let Some((bytes, retention)) = self.blocks.remove(cid) else {
            return false;
        };
        self.bytes -= bytes.len() as u64;
        self.by_expiry.remove(&(retention.expires, *cid));
        true
    }

    /// Returns the packets, those first that expire first.
    pub(super) fn packets(&self) -> Vec<Vec<u8>> {
        let block = |(_, cid): &(Timestamp, ContentId)| self.blocks.get(cid);
        let packets = self
            .by_expiry
            .iter()
            .filter_map(block)
            .filter(|(_, retention)| retention.is_packet);
        packets.map(|(bytes, _)| bytes.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use chorus_core::digest::Codec;

    use super::*;

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
        let mut shelf = Shelf::new(100);
        let (a, a_bytes) = block(1, 40);
        let (b, b_bytes) = block(2, 40);
        let (c, c_bytes) = block(3, 60);
        assert_eq!(shelf.put(&a, &a_bytes, until(20, false)).unwrap(), []);
        assert_eq!(shelf.put(&b, &b_bytes, until(10, false)).unwrap(), []);
        assert_eq!(shelf.put(&c, &c_bytes, until(5, false)).unwrap(), [b]);
        assert_eq!(
            (shelf.get(&a), shelf.get(&b), shelf.bytes),
            (Some(&a_bytes[..]), None, 100)
        );
    }

    #[test]
    fn a_block_kept_twice_counts_once_and_keeps_its_longer_time() {
        let mut shelf = Shelf::new(100);
        let (a, bytes) = block(1, 80);
        shelf.put(&a, &bytes, until(20, true)).unwrap();
        assert_eq!(shelf.put(&a, &bytes, until(10, false)).unwrap(), []);
        assert_eq!(shelf.retention(&a), Some(until(20, true)));
        assert_eq!(shelf.bytes, 80);
        assert!(shelf.remove(&a) && !shelf.remove(&a));
        assert_eq!((shelf.bytes, shelf.by_expiry.len()), (0, 0));
    }

    #[test]
    fn a_block_larger_than_the_shelf_is_refused_and_nothing_is_lost() {
        let mut shelf = Shelf::new(100);
        let (a, bytes) = block(1, 80);
        shelf.put(&a, &bytes, until(1, false)).unwrap();
        let (b, large) = block(2, 101);
        assert!(matches!(
            shelf.put(&b, &large, until(9, false)),
            Err(StoreError::Full {
                size: 101,
                max: 100
            })
        ));
        assert_eq!(shelf.get(&a), Some(&bytes[..]));
    }

    #[test]
    fn packets_come_back_in_the_order_of_their_time() {
        let mut shelf = Shelf::new(100);
        for (seed, expires, is_packet) in [(1, 30, true), (2, 10, true), (3, 20, false)] {
            let (cid, bytes) = block(seed, 10);
            shelf.put(&cid, &bytes, until(expires, is_packet)).unwrap();
        }
        assert_eq!(shelf.packets(), [vec![2; 10], vec![1; 10]]);
    }
}
