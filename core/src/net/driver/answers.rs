//! Bounds what is being sent in answer to requests: a peer that asks and does not read would fill the memory.

use std::collections::HashMap;

use libp2p::request_response::InboundRequestId;

use crate::key::PeerId;

/// The answers under way.
#[derive(Debug, Default)]
pub(super) struct Answers {
    under_way: HashMap<InboundRequestId, (PeerId, usize)>,
    total: usize,
}

impl Answers {
    /// Counts an answer of `size` bytes until [`Self::end`]; returns whether there is room for it.
    pub(super) fn begin(&mut self, id: InboundRequestId, peer: PeerId, size: usize) -> bool {
        let of_peer = self.under_way.values().filter(|(to, _)| *to == peer);
        let of_peer: usize = of_peer.map(|(_, size)| size).sum();
        if of_peer + size > MAX_OF_PEER || self.total + size > MAX_TOTAL {
            return false;
        }
        self.total += size;
        self.under_way.insert(id, (peer, size));
        true
    }

    /// The answer was sent, or never will be.
    pub(super) fn end(&mut self, id: &InboundRequestId) {
        if let Some((_, size)) = self.under_way.remove(id) {
            self.total -= size;
        }
    }
}

/// Bytes of answers under way to one peer. Source: twice the eight blocks that a node asks of a peer at once.
const MAX_OF_PEER: usize = 16 * 1024 * 1024;
/// To all together. Guess: what a small machine spares, and eight slow peers.
const MAX_TOTAL: usize = 128 * 1024 * 1024;
