//! The block store as the node's driver sees it: content ids, retention, the wall clock.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use chorus_core::{
    digest::ContentId,
    net::{Retention, Store, StoreError as NodeStoreError},
    packet::{REVOCATION_TYPE, UnverifiedPacket},
};

use crate::{
    metrics::Metrics,
    store::{BlockKey, BlockStore, Keep, Kind, StoreError},
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
            kind: if retention.is_packet {
                kind_of_packet(bytes)
            } else {
                Kind::Block
            },
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
        let packets = self.run(|blocks| {
            let packets = blocks.packets(now_ms())?;
            let revocations = packets.iter().filter_map(|bytes| revocation_key(bytes));
            blocks.note_revocations(&revocations.collect::<Vec<_>>())?;
            Ok(packets)
        });
        packets.map_err(into_node_error)
    }

    fn pin(&mut self, cids: &[ContentId], is_pinned: bool) -> Result<(), NodeStoreError> {
        let keys: Vec<_> = cids.iter().map(ContentId::to_bytes).collect();
        let pin = || self.run(|blocks| blocks.pin(&keys, is_pinned));
        // As for `put`.
        tokio::task::block_in_place(pin).map_err(into_node_error)
    }

    fn pinned(&mut self) -> Result<Vec<ContentId>, NodeStoreError> {
        let keys = self.lock().pinned();
        let cids = keys.iter().map(|key| ContentId::from_bytes(key));
        cids.collect::<Result<_, _>>()
            .map_err(|error| NodeStoreError::Io(error.to_string()))
    }
}

/// The node verified the packet before: what it says of itself is so.
fn kind_of_packet(bytes: &[u8]) -> Kind {
    if revocation_key(bytes).is_some() {
        Kind::Revocation
    } else {
        Kind::Packet
    }
}

fn revocation_key(bytes: &[u8]) -> Option<BlockKey> {
    let packet = UnverifiedPacket::from_cbor(bytes).ok()?;
    (packet.packet_type() == REVOCATION_TYPE).then(|| packet.cid().to_bytes())
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
    use std::path::Path;

    use chorus_core::{digest::Codec, key::Keypair, packet::Revocation, time::Timestamp};

    use super::*;
    use crate::store::{Bounds, Secrets};

    const PACKET: Retention = Retention {
        expires: Timestamp::from_millis(u64::MAX),
        is_packet: true,
        is_pinned: false,
    };

    fn open(dir: &Path, max_bytes: u64) -> BlockStore {
        let bounds = Bounds {
            max_bytes,
            max_blocks: 64,
        };
        let secrets = || {
            Ok(Secrets {
                seed: [1; 32].into(),
                certificate: String::new().into(),
            })
        };
        BlockStore::open(dir, bounds, secrets).unwrap()
    }

    #[test]
    fn the_node_gets_back_what_it_put_and_the_counters_follow() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::default();
        let mut store = NodeStore::new(open(dir.path(), 1000), metrics.clone());
        let cid = ContentId::of(Codec::Raw, b"block");
        store.put(&cid, b"block", PACKET).unwrap();
        assert_eq!(store.get(&cid).unwrap().unwrap(), b"block");
        assert_eq!(store.packets().unwrap(), [b"block".to_vec()]);
        assert_eq!(metrics.block_bytes.get(), 5);
        let error = store.put(&cid, &[0; 1001], PACKET).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a block of 1001 bytes does not fit, the store holds 1000"
        );
        assert_eq!(metrics.store_errors.get(), 1);
        store.remove(&cid).unwrap();
        assert_eq!(store.get(&cid).unwrap(), None);
    }

    #[test]
    fn a_revocation_is_known_by_what_it_says_and_outlives_a_flood_of_other_packets() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = NodeStore::new(open(dir.path(), 8000), Metrics::default());
        let taken_back = ContentId::of(Codec::DagCbor, b"what was said");
        let draft = Revocation::new(&[taken_back]).unwrap().draft(60);
        let at = Timestamp::from_millis(now_ms());
        let packet = draft
            .sign(&Keypair::from_seed(&[1; 32]), "main", at)
            .unwrap();
        store.put(&packet.cid(), packet.as_cbor(), PACKET).unwrap();
        for n in 0..20_u8 {
            let bytes = [n; 1000];
            let cid = ContentId::of(Codec::DagCbor, &bytes);
            store.put(&cid, &bytes, PACKET).unwrap();
        }
        assert!(store.get(&packet.cid()).unwrap().is_some());
        let kept = store.packets().unwrap();
        assert!(kept.len() < 9 && kept.contains(&packet.as_cbor().to_vec()));
    }

    #[test]
    fn what_the_node_pins_is_pinned_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let start = || NodeStore::new(open(dir.path(), 1000), Metrics::default());
        let mut store = start();
        let cid = ContentId::of(Codec::Raw, b"packet");
        store.put(&cid, b"packet", PACKET).unwrap();
        store.pin(&[cid], true).unwrap();
        assert_eq!(store.pinned().unwrap(), [cid]);
        drop(store);
        let mut store = start();
        assert_eq!(store.pinned().unwrap(), [cid]);
        store.pin(&[cid], false).unwrap();
        assert!(store.pinned().unwrap().is_empty());
    }

    #[test]
    fn a_block_that_is_not_what_its_id_says_is_reported_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut blocks = open(dir.path(), 1000);
        let cid = ContentId::of(Codec::Raw, b"block");
        blocks
            .put(
                &cid.to_bytes(),
                b"rotten",
                Keep {
                    expires_at: u64::MAX,
                    kind: Kind::Block,
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
