//! Which samples a node trains on: choosing them once there is news of the others, and starting again with others.

use alloc::vec::Vec;

use super::{Exchange, Output, Phase};
use crate::learner::exchange::order::Order;
use crate::learner::mlp::Mlp;
use crate::time::Instant;

impl<P: Copy + Ord> Exchange<P> {
    /// Chooses, where the time has come: at `until` at the latest, or once everybody connected has said what it holds
    /// and nobody came since `quiet_at`.
    pub(super) fn await_news(&mut self, now: Instant, until: Option<Instant>, quiet_at: Instant) {
        let until = until.unwrap_or(now + self.config.choose_within);
        if now >= self.choose_at(Some(until), quiet_at) {
            self.holdings.choose();
            self.start_shard();
            self.phase = Phase::Resting { until: now };
        } else {
            self.phase = Phase::Choosing {
                until: Some(until),
                quiet_at,
            };
        }
    }

    /// Returns when to choose, as far as is known now.
    pub(super) fn choose_at(&self, until: Option<Instant>, quiet_at: Instant) -> Instant {
        let until = until.unwrap_or(Instant::ORIGIN);
        if self.holdings.have_all_said() {
            until.min(quiet_at)
        } else {
            until
        }
    }

    pub(super) fn on_nobody(&mut self, now: Instant) {
        if let Phase::Choosing { until, .. } = &mut self.phase
            && self.holdings.connected().next().is_none()
        {
            *until = Some(now);
        }
    }

    pub(super) fn on_pause(&mut self) {
        self.is_paused = true;
        self.neighbours.clear();
        if let Phase::Choosing { until, .. } = &mut self.phase {
            // The wait begins anew with the training.
            *until = None;
        }
    }

    pub(super) fn on_resume(&mut self, now: Instant) {
        if !core::mem::take(&mut self.is_paused) {
            return;
        }
        let peers: Vec<P> = self.holdings.connected().collect();
        for peer in peers {
            self.on_neighbour(now, peer);
        }
    }

    /// Takes the samples of the classes held, and starts the model anew that is to know nothing else.
    pub(super) fn start_shard(&mut self) {
        self.shard = self.digits.shard(self.holdings.own());
        let seed = self.seed.wrapping_add(self.holdings.changes().into());
        self.order = Order::new(self.shard.len(), seed);
        self.alone = Mlp::new(self.config.init_seed);
        self.alone_turns = 0;
    }

    /// Tells who holds what, where that has changed.
    pub(super) fn tell(&mut self) {
        let (own, others) = (self.holdings.own(), self.holdings.others());
        if self.told != (own, others) {
            self.told = (own, others);
            self.push(Output::Held { own, others });
        }
    }
}
