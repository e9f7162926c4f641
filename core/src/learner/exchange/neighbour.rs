//! What a node holds of one neighbour.

use alloc::{collections::VecDeque, vec::Vec};

#[derive(Clone, Debug, Default)]
pub(super) struct Neighbour {
    /// Weights of the current round and the next, oldest first, at most [`MAX_HELD`]. Those of an author that is not
    /// connected are held too: a packet may overtake the news of a connection.
    pub(super) held: VecDeque<(u64, Vec<f32>)>,
    pub(super) is_connected: bool,
    pub(super) is_awaited: bool,
}

impl Neighbour {
    /// Keeps the first share of a round. Says whether this was it.
    pub(super) fn hold(&mut self, round: u64, params: Vec<f32>) -> bool {
        match self.held.binary_search_by_key(&round, |(held, _)| *held) {
            Ok(_) => return false,
            Err(index) => self.held.insert(index, (round, params)),
        }
        if self.held.len() > MAX_HELD {
            // The oldest one makes room: a neighbour that runs ahead is joined where it is.
            self.held.pop_front();
        }
        true
    }

    pub(super) fn oldest_since(&self, round: u64) -> Option<(u64, &[f32])> {
        self.held
            .iter()
            .find(|(held, _)| *held >= round)
            .map(|(held, params)| (*held, &params[..]))
    }
}

/// Shares held for each neighbour: this round's and the next. Source: in aligned rounds a neighbour is at most one ahead.
const MAX_HELD: usize = 2;
