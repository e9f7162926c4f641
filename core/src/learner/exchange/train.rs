//! Training between exchanges: with neighbours openly or in private mode, and alone.

use alloc::vec::Vec;

use super::{Exchange, Output, Phase};
use crate::learner::mlp::PARAMETERS;
use crate::learner::private::Privatise;
use crate::time::Instant;

impl<P: Copy + Ord> Exchange<P> {
    /// Trains both models and shares the one that takes part.
    pub(super) fn start_round(&mut self, now: Instant, privatise: Option<&mut dyn Privatise>) {
        let is_open = self.config.privacy.is_none() && privatise.is_none();
        self.train(is_open);
        if let Some(privatise) = privatise {
            self.train_privately(privatise);
        }
        let head = (self.round, self.holdings.own());
        let is_in_step = self.is_in_step();
        self.outgoing
            .prepare(&self.config, head, self.model.parameters(), is_in_step);
        self.share();
        self.phase = Phase::Waiting {
            since: now,
            reshare_at: now + self.config.reshare,
        };
        if self.has_contribution() && self.is_complete() {
            self.merge(now);
        }
    }

    pub(super) fn train_alone(&mut self, now: Instant) {
        self.train(false);
        self.alone_turns += 1;
        self.phase = Phase::Resting {
            until: now + self.config.interval,
        };
        self.push(Output::TrainedAlone {
            alone_accuracy: self.alone.accuracy(&self.digits.test),
        });
    }

    /// Trains the model that stays here and, where `is_open`, on the same samples the one that is shared.
    fn train(&mut self, is_open: bool) {
        for _ in 0..self.config.steps {
            let batch = self.order.next_batch(self.config.batch);
            let samples = || batch.iter().map(|&index| &self.shard[index]);
            if is_open {
                self.model.train_batch(samples(), self.config.rate);
            }
            self.alone.train_batch(samples(), self.config.rate);
        }
    }

    /// Takes the steps that are paid for. The model depends on this node's samples through them alone.
    fn train_privately(&mut self, privatise: &mut dyn Privatise) {
        let Some(privacy) = self.config.privacy else {
            return;
        };
        for _ in 0..privacy.steps {
            let gradient = |index: usize| {
                let sample = self.shard.get(index);
                sample.map_or_else(Vec::new, |sample| self.model.gradient(sample))
            };
            let Some(sum) = privatise.step(PARAMETERS, self.shard.len(), &gradient) else {
                break;
            };
            self.model.descend(&sum, privacy.rate);
        }
        self.epsilon = Some(privatise.epsilon());
    }
}
