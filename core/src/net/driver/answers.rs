//! Bounds what is being sent in answer to requests: a peer that asks and does not read would fill the memory.

use std::{collections::HashMap, hash::Hash};

use crate::key::PeerId;

/// The answers under way, by the ids of the requests.
#[derive(Debug)]
pub(super) struct Answers<Id> {
    under_way: HashMap<Id, (PeerId, usize)>,
    total: usize,
}

impl<Id> Default for Answers<Id> {
    fn default() -> Self {
        Self {
            under_way: HashMap::new(),
            total: 0,
        }
    }
}

impl<Id: Eq + Hash> Answers<Id> {
    /// Counts an answer of `size` bytes until [`Self::end`]; returns whether there is room for it.
    pub(super) fn begin(&mut self, id: Id, peer: PeerId, size: usize) -> bool {
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
    pub(super) fn end(&mut self, id: &Id) {
        if let Some((_, size)) = self.under_way.remove(id) {
            self.total -= size;
        }
    }
}

/// Bytes of answers under way to one peer. Source: twice the eight blocks that a node asks of a peer at once.
const MAX_OF_PEER: usize = 16 * 1024 * 1024;
/// To all together. Guess: what a small machine spares, and eight slow peers.
const MAX_TOTAL: usize = 128 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Keypair;

    const BLOCK: usize = 1024 * 1024;

    fn peer(seed: u8) -> PeerId {
        Keypair::from_seed(&[seed; 32]).peer_id()
    }

    #[test]
    fn a_peer_that_does_not_read_gets_no_more_than_its_share_and_all_together_theirs() {
        let mut answers = Answers::default();
        let taken = (0..100).filter(|id| answers.begin(*id, peer(1), BLOCK));
        assert_eq!(taken.count(), 16);
        assert!(answers.begin(200, peer(2), BLOCK), "another has room");
        answers.end(&3);
        answers.end(&3);
        assert!(answers.begin(101, peer(1), BLOCK) && !answers.begin(102, peer(1), BLOCK));
        let of_others = (3..20).flat_map(|seed| (0..16).map(move |n| (seed, n)));
        let taken = of_others.filter(|(seed, n)| {
            answers.begin(1000 + u32::from(*seed) * 16 + n, peer(*seed), BLOCK)
        });
        assert_eq!(taken.count(), 128 - 16 - 1);
        assert!(
            answers.begin(5000, peer(99), 0),
            "what carries nothing is said"
        );
    }
}
