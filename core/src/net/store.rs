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

/// A store in memory, bounded in bytes: what expires first goes first.
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
}

impl Store for MemoryStore {
    fn get(&mut self, cid: &ContentId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.blocks.get(cid).map(|(bytes, _)| bytes.clone()))
    }

    fn put(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        if size > self.max_bytes {
            return Err(StoreError::Full {
                size,
                max: self.max_bytes,
            });
        }
        let expires = self.blocks.get(cid).map_or(retention.expires, |(_, old)| {
            old.expires.max(retention.expires)
        });
        self.remove(cid)?;
        while self.bytes + size > self.max_bytes {
            let Some((_, first)) = self.by_expiry.first().copied() else {
                break;
            };
            self.remove(&first)?;
        }
        self.bytes += size;
        self.by_expiry.insert((expires, *cid));
        self.blocks.insert(
            *cid,
            (
                bytes.to_vec(),
                Retention {
                    expires,
                    ..retention
                },
            ),
        );
        Ok(())
    }

    fn remove(&mut self, cid: &ContentId) -> Result<(), StoreError> {
        if let Some((bytes, retention)) = self.blocks.remove(cid) {
            self.bytes -= bytes.len() as u64;
            self.by_expiry.remove(&(retention.expires, *cid));
        }
        Ok(())
    }

    fn packets(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self
            .blocks
            .values()
            .filter(|(_, r)| r.is_packet)
            .map(|(bytes, _)| bytes.clone())
            .collect())
    }
}
