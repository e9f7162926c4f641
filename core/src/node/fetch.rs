//! A fetch: from a packet's content id to its whole content, block by block, from several peers at once.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{
    digest::ContentId,
    key::PeerId,
    packet::{Packet, block::Assembly},
    time::Instant,
};

/// Why the node fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command asked for it.
    Command(u64),
    /// The node keeps it for others; nobody waits.
    Mirror,
    /// A peer offered the packet and waits behind this request token.
    Offer(u64),
}

#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) purpose: Purpose,
    pub(crate) cid: ContentId,
    pub(crate) packet: Option<Packet>,
    pub(crate) root: Option<ContentId>,
    pub(crate) assembly: Option<Assembly>,
    pub(crate) waiting: BTreeSet<ContentId>,
    /// Peers that gave a block of this object, or said they hold it.
    pub(crate) providers: Vec<PeerId>,
    pub(crate) deadline: Instant,
    pub(crate) provider_search_at: Instant,
    /// Blocks that the store had failed to keep when the fetch began.
    pub(crate) unstored: u64,
}

impl Fetch {
    pub(crate) fn new(purpose: Purpose, cid: ContentId, now: Instant, unstored: u64) -> Self {
        Self {
            purpose,
            cid,
            packet: None,
            root: None,
            assembly: None,
            waiting: BTreeSet::new(),
            providers: Vec::new(),
            deadline: now + super::FETCH_PATIENCE,
            provider_search_at: now,
            unstored,
        }
    }

    pub(crate) fn provided_by(&mut self, peer: PeerId) {
        if !self.providers.contains(&peer) && self.providers.len() < MAX_PROVIDERS {
            self.providers.push(peer);
        }
    }
}

/// Providers remembered for one object. Guess.
const MAX_PROVIDERS: usize = 16;
