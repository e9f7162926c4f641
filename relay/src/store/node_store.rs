//! The block store as the node's driver sees it: content ids, retention, the wall clock.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use chorus_core::{
    digest::ContentId,
    net::{Retention, Store, StoreError as NodeStoreError},
};

use crate::{
    metrics::Metrics,
    store::{BlockStore, Keep, StoreError},
};

/// Shares a [`BlockStore`] between the driver and its owner, and keeps the counters up to date. Clones share it.
#[derive(Clone)]
pub(crate) struct NodeStore {
    blocks: Arc<Mutex<BlockStore>>,
    metrics: Metrics,
}

impl NodeStore {
    pub(crate) fn new(blocks: BlockStore, metrics: Metrics) -> Self {
        metrics.set_store(blocks.counts());
        Self {
            blocks: Arc::new(Mutex::new(blocks)),
            metrics,
        }
    }

    /// Drops blocks whose time has passed.
    pub(crate) fn purge(&self) -> Result<usize, StoreError> {
        self.run(|blocks| blocks.purge(now_ms()))
    }

    /// Writes down what is only in memory. See [`BlockStore::flush`].
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.run(BlockStore::flush)
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&mut BlockStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut blocks = self.lock();
        let result = work(&mut blocks);
        self.metrics.set_store(blocks.counts());
        if result.is_err() {
            self.metrics.store_errors.inc();
        }
        result
    }

    /// A panic elsewhere leaves the store whole: each write is one transaction.
    fn lock(&self) -> MutexGuard<'_, BlockStore> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for NodeStore {
    fn get(&mut self, cid: &ContentId) -> Result<Option<Vec<u8>>, NodeStoreError> {
        let found = self.run(|blocks| {
            let bytes = blocks.get(&cid.to_bytes(), now_ms())?;
            match bytes {
                Some(bytes) if !cid.verify(&bytes) => Err(blocks.damaged_block(cid)),
                other => Ok(other),
            }
        });
        found.map_err(into_node_error)
    }

    fn put(
        &mut self,
        cid: &ContentId,
        bytes: &[u8],
        retention: Retention,
    ) -> Result<(), NodeStoreError> {
        let keep = Keep {
            expires_at: retention.expires.as_millis(),
            packet: retention.is_packet,
        };
        let put = || self.run(|blocks| blocks.put(&cid.to_bytes(), bytes, keep, now_ms()));
        // It waits for the disk: other tasks of this thread, such as circuits, go on elsewhere meanwhile.
        tokio::task::block_in_place(put).map_err(into_node_error)
    }

    fn remove(&mut self, cid: &ContentId) -> Result<(), NodeStoreError> {
        self.run(|blocks| blocks.remove(&cid.to_bytes()))
            .map_err(into_node_error)
    }

    fn free(&mut self, cids: &[ContentId]) -> Result<(), NodeStoreError> {
        let keys: Vec<_> = cids.iter().map(ContentId::to_bytes).collect();
        let free = || self.run(|blocks| blocks.free(&keys));
        // As for `put`.
        tokio::task::block_in_place(free).map_err(into_node_error)
    }

    fn packets(&mut self) -> Result<Vec<Vec<u8>>, NodeStoreError> {
        self.run(|blocks| blocks.packets(now_ms()))
            .map_err(into_node_error)
    }
}

fn into_node_error(error: StoreError) -> NodeStoreError {
    match error {
        StoreError::TooLarge { got, max } => NodeStoreError::Full { size: got, max },
        other => NodeStoreError::Io(other.to_string()),
    }
}

/// Milliseconds since the Unix epoch; 0 on a host whose clock is before it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use chorus_core::{digest::Codec, time::Timestamp};

    use super::*;
    use crate::store::{Bounds, Secrets};

    #[test]
    fn the_node_gets_back_what_it_put_and_the_counters_follow() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            max_bytes: 1000,
            max_blocks: 16,
        };
        let secrets = || {
            Ok(Secrets {
                seed: [1; 32].into(),
                certificate: String::new().into(),
            })
        };
        let metrics = Metrics::default();
        let mut store = NodeStore::new(
            BlockStore::open(dir.path(), bounds, secrets).unwrap(),
            metrics.clone(),
        );
        let cid = ContentId::of(Codec::Raw, b"block");
        let retention = Retention {
            expires: Timestamp::from_millis(u64::MAX),
            is_packet: true,
            is_pinned: false,
        };
        store.put(&cid, b"block", retention).unwrap();
        assert_eq!(store.get(&cid).unwrap().unwrap(), b"block");
        assert_eq!(store.packets().unwrap(), [b"block".to_vec()]);
        assert_eq!(metrics.block_bytes.get(), 5);
        let error = store.put(&cid, &[0; 1001], retention).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a block of 1001 bytes does not fit, the store holds 1000"
        );
        assert_eq!(metrics.store_errors.get(), 1);
        store.remove(&cid).unwrap();
        assert_eq!(store.get(&cid).unwrap(), None);
    }

    #[test]
    fn a_block_that_is_not_what_its_id_says_is_reported_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            max_bytes: 1000,
            max_blocks: 16,
        };
        let secrets = || {
            Ok(Secrets {
                seed: [1; 32].into(),
                certificate: String::new().into(),
            })
        };
        let mut blocks = BlockStore::open(dir.path(), bounds, secrets).unwrap();
        let cid = ContentId::of(Codec::Raw, b"block");
        blocks
            .put(
                &cid.to_bytes(),
                b"rotten",
                Keep {
                    expires_at: u64::MAX,
                    packet: false,
                },
                0,
            )
            .unwrap();
        let error = NodeStore::new(blocks, Metrics::default())
            .get(&cid)
            .unwrap_err();
        assert!(error.to_string().contains("chorus.redb"), "{error}");
    }
}
