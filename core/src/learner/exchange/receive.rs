//! What neighbours shared: checked, held until the merge, or dropped and counted.

use alloc::vec::Vec;

use super::{BEHIND, Exchange, MAX_AHEAD, Output, Phase, Refusal, Shared};
use crate::learner::mlp::{ParametersError, check_parameters};
use crate::learner::update::Update;
use crate::time::{Instant, Timestamp};

impl<P: Copy + Ord> Exchange<P> {
    pub(super) fn on_update(&mut self, now: Instant, author: P, said: Timestamp, bytes: &[u8]) {
        if author == self.me {
            return;
        }
        match Update::from_bytes(bytes) {
            Ok(update) => {
                self.holdings.on_claim(now, author, said, update.classes());
                let checked = self.outgoing.check(&update);
                let shared = checked.map(|()| Shared::Update(update.clone()));
                self.on_shared(now, author, update.round(), shared);
            }
            Err(reason) => self.refuse(author, reason.into()),
        }
    }

    pub(super) fn on_weights(&mut self, now: Instant, author: P, round: u64, params: Vec<f32>) {
        let checked = check_parameters(&params);
        self.on_shared(now, author, round, checked.map(|()| Shared::Plain(params)));
    }

    pub(super) fn on_shared(
        &mut self,
        now: Instant,
        author: P,
        round: u64,
        shared: Result<Shared, ParametersError>,
    ) {
        if author == self.me || self.is_paused {
            return;
        }
        let max = self.round.saturating_add(MAX_AHEAD);
        let shared = match shared {
            Err(reason) => return self.refuse(author, reason.into()),
            Ok(_) if round > max => {
                return self.refuse(author, Refusal::TooFarAhead { got: round, max });
            }
            Ok(shared) => shared,
        };
        if round < self.round {
            self.dropped.stale += 1;
            self.on_straggler(now, author);
            return;
        }
        if !self.make_room(author, false) {
            self.dropped.full += 1;
            return;
        }
        let is_of_use = self.is_of_use(round, &shared);
        let neighbour = self.neighbours.entry(author).or_default();
        neighbour.is_awaited = true;
        if !is_of_use {
            // It tells its model whole once it sees that this node is behind.
            self.dropped.unknown += 1;
        } else if !neighbour.hold(round, shared) {
            self.dropped.duplicate += 1;
        }
    }

    /// Says whether a model can come of what a neighbour shared. A difference to a model that is a little different moves
    /// this node's model in about the same direction; one to a model that is far ahead means nothing here.
    pub(super) fn is_of_use(&self, round: u64, shared: &Shared) -> bool {
        match shared {
            Shared::Plain(_) => true,
            Shared::Update(update) => {
                self.outgoing.knows(update)
                    || (self.exchanges > 0 && round < self.round.saturating_add(BEHIND))
            }
        }
    }

    pub(super) fn refuse(&mut self, author: P, reason: Refusal) {
        self.dropped.refused += 1;
        self.push(Output::Refused { author, reason });
    }

    /// A neighbour behind this node has not received this round's weights: shares them again, so that it can catch up.
    pub(super) fn on_straggler(&mut self, now: Instant, author: P) {
        let Some(neighbour) = self.neighbours.get_mut(&author) else {
            return;
        };
        neighbour.is_behind = true;
        let is_neighbour = neighbour.is_connected;
        if let Phase::Waiting { reshare_at, .. } = &mut self.phase
            && is_neighbour
        {
            *reshare_at = (*reshare_at).min(now + self.config.interval);
        }
    }
}
