//! Blocks a node is looking for: one entry a block, however many wait for it.

use alloc::vec::Vec;

use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    key::PeerId,
    time::Instant,
};

/// Who waits for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiter {
    /// A fetch of this node's own.
    Fetch(u64),
    /// The asker behind a request token.
    Request(u64),
}

/// Where the search for a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The store was asked.
    Loading,
    /// Nobody is being asked right now.
    Idle,
    /// `peer` was asked by request `id`.
    Asked {
        /// Whom.
        peer: PeerId,
        /// The request's id.
        id: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) stage: Stage,
    pub(crate) hints: Vec<PeerId>,
    pub(crate) tried: FlatSet<PeerId>,
    pub(crate) hops: u8,
    pub(crate) retry_at: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Wants {
    pub(crate) table: FlatMap<ContentId, Want>,
    requests: FlatMap<u64, ContentId>,
}

impl Wants {
    pub(crate) fn asked(&mut self, cid: ContentId, peer: PeerId, id: u64) {
        if let Some(want) = self.table.get_mut(&cid) {
            want.tried.insert(peer);
            want.stage = Stage::Asked { peer, id };
            self.requests.insert(id, cid);
        }
    }

    /// Returns the want that request `id` was sent for, now idle, if it is still wanted.
    pub(crate) fn answered(&mut self, id: u64) -> Option<ContentId> {
        let cid = self.requests.remove(&id)?;
        let want = self.table.get_mut(&cid)?;
        if matches!(want.stage, Stage::Asked { id: asked, .. } if asked == id) {
            want.stage = Stage::Idle;
        }
        Some(cid)
    }

    /// Ends the want; returns who waited.
    pub(crate) fn finish(&mut self, cid: &ContentId) -> Vec<Waiter> {
        self.table
            .remove(cid)
            .map(|want| want.waiters)
            .unwrap_or_default()
    }

    /// `waiter` no longer waits for anything.
    pub(crate) fn abandon(&mut self, waiter: Waiter) {
        self.table.retain(|_, want| {
            want.waiters.retain(|w| *w != waiter);
            !want.waiters.is_empty()
        });
    }

    /// A peer left: whoever was asked there is asked elsewhere.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        for want in self.table.values_mut() {
            want.tried.remove(peer);
            if matches!(want.stage, Stage::Asked { peer: asked, .. } if asked == *peer) {
                want.stage = Stage::Idle;
            }
        }
        self.requests.retain(|_, cid| self.table.contains_key(cid));
    }
}
