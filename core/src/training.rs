//! Private training: makes the [learner](crate::learner)'s steps with the noise and the ledger of [privacy](crate::privacy).
//!
//! DP-SGD (Abadi et al. 2016, arXiv 1607.00133, algorithm 1): each example taken adds a gradient of at most one clip norm,
//! the sum gets exact discrete Gaussian noise, and what a model learns from it is postprocessing: merging, momentum, what
//! others make of it. Protected is whether an example was among those a node trained on ([`Neighbours::Absent`]).
//!
//! What it does not do: it stores nothing. A [`Training`] steps only on a [`Grant`], and the caller hands one over only
//! once the ledger that paid for it is stored. A panic or a reload loses what was granted and not used: the safe side.

#[cfg(any(test, feature = "sim"))]
pub mod lockstep;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use rand_core::{CryptoRng, RngCore};

use crate::learner::Privatise;
use crate::packet::{How, Instructions, What, Where};
use crate::privacy::accountant::noise_multiplier_for;
use crate::privacy::ledger::{Budget, Grant, Ledger, LedgerError, Mechanism, Reservation};
use crate::privacy::noise::{ClipNorm, Clipped, Neighbours, NoiseError, plan};

/// Returns what a packet with an [update](crate::learner::Update) asks for, in as few words as a packet allows: they are
/// longer than what they describe. The update goes beside what others have, into the digits' model.
pub fn instructions() -> Instructions {
    Instructions {
        whither: Where::Memory {
            region: "digits".into(),
        },
        how: How::Append,
        what: What::Parameters { name: "mlp".into() },
        ..Instructions::default()
    }
}

/// How a budget is spent on training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// What all steps together may spend; δ must be well below 1 / examples. Default: the ledger's, ε = 8 at δ = 10⁻⁵,
    /// where a node holds at most 1,437 examples.
    pub budget: Budget,
    /// Steps until it is spent, ≥ 1. Default 60: one in each of the 60 exchanges of issue 2. Source: as
    /// [`Privacy::steps`](crate::learner::Privacy::steps): fewer steps with less noise end lower (92.9 % with 40, 92.4 %
    /// with 30, 93.4 % with 60).
    pub steps: u64,
    /// Probability with which each example takes part in a step, in 0..=1 and not 0. Default 1. Source: the same sweep,
    /// not kept, noise fitted to the rate: 93.3 % with 0.75, 93.0 % with 0.5, 92.1 % with 0.25.
    pub sampling_rate: f64,
    /// Greatest L2 norm of an example's gradient. Default 0.3. Source: the same sweep; 0.1 to 1 differ by under 0.3 points
    /// where the rate is fitted to it.
    pub clip_norm: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            steps: 60,
            sampling_rate: 1.0,
            clip_norm: 0.3,
        }
    }
}

impl Plan {
    /// Returns the least noise with which all steps keep the budget. About 20 ms where the sampling rate is below 1.
    ///
    /// # Errors
    /// [`NoiseError`] where a setting is out of range, or no noise is enough.
    pub fn mechanism(&self) -> Result<Mechanism, NoiseError> {
        let Budget { epsilon, delta } = self.budget;
        let multiplier = noise_multiplier_for(epsilon, delta, self.sampling_rate, self.steps)
            .map_err(LedgerError::from)?;
        plan(multiplier, Neighbours::Absent, self.sampling_rate)
    }
}

/// The private training of one node: steps as long as there are grants.
pub struct Training<R> {
    mechanism: Mechanism,
    norm: ClipNorm,
    grants: Vec<Grant>,
    epsilon: f64,
    rng: R,
}

impl<R: RngCore + CryptoRng> Training<R> {
    /// Prepares training by `plan` on what is left of `ledger`. `rng` draws samples and noise: in earnest it is seeded by
    /// the system's generator, and its state is a secret like the examples.
    ///
    /// # Errors
    /// As [`Plan::mechanism`]; [`NoiseError::ClipNorm`].
    pub fn new(plan: &Plan, ledger: &Ledger, rng: R) -> Result<Self, NoiseError> {
        Ok(Self {
            mechanism: plan.mechanism()?,
            norm: ClipNorm::new(plan.clip_norm)?,
            grants: Vec::new(),
            epsilon: ledger.spent()?.epsilon,
            rng,
        })
    }

    /// Books up to [`BATCH`] steps more, where fewer than half of that are left; `None` where there are enough, or the
    /// budget is spent. To be called after every step, once the reservation before is stored or given up.
    ///
    /// # Errors
    /// [`LedgerError`] where the ledger is full of other mechanisms; nothing is booked then.
    pub fn reserve(&self, ledger: &mut Ledger) -> Result<Option<Reservation>, LedgerError> {
        let left = self.grants.iter().map(Grant::steps_left).sum::<u64>();
        if left > BATCH / 2 {
            return Ok(None);
        }
        match ledger.releases_left(&self.mechanism)?.min(BATCH) {
            0 => Ok(None),
            steps => ledger.reserve(self.mechanism, steps).map(Some),
        }
    }

    /// Takes a grant that is stored as paid. One of another mechanism is lost: its noise is not this plan's.
    pub fn accept(&mut self, grant: Grant) {
        self.epsilon = self.epsilon.max(grant.spent().epsilon);
        if grant.mechanism() == self.mechanism {
            self.grants.push(grant);
        }
    }

    /// Draws whether an example takes part in a step: independently, with the mechanism's probability or, in its last
    /// bit of 64, less.
    fn takes(&mut self) -> bool {
        let rate = self.mechanism.sampling_rate();
        rate >= 1.0 || self.rng.next_u64() < (rate * TWO_TO_64) as u64
    }

    /// Returns the sum of the clipped gradients of the examples drawn.
    fn sum(
        &mut self,
        parameters: usize,
        examples: usize,
        gradient: &dyn Fn(usize) -> Vec<f32>,
    ) -> Result<Clipped, NoiseError> {
        let mut sum = Clipped::new(&vec![0.0; parameters], self.norm)?;
        for index in 0..examples {
            // What is no gradient (a liar's weights may lead there) adds nothing, which is within its bound too.
            if self.takes()
                && let Ok(clipped) = Clipped::new(&gradient(index), self.norm)
            {
                sum.join(&clipped)?;
            }
        }
        Ok(sum)
    }
}

impl<R: RngCore + CryptoRng> Privatise for Training<R> {
    fn step(
        &mut self,
        parameters: usize,
        examples: usize,
        gradient: &dyn Fn(usize) -> Vec<f32>,
    ) -> Option<Vec<f32>> {
        self.grants.retain(|grant| grant.steps_left() > 0);
        if self.grants.is_empty() {
            return None;
        }
        let sum = self.sum(parameters, examples, gradient).ok()?;
        let grant = self.grants.first_mut()?;
        Some(sum.noise(grant, &mut self.rng).ok()?.into_values())
    }

    fn epsilon(&self) -> f64 {
        self.epsilon
    }
}

impl<R> fmt::Debug for Training<R> {
    /// Leaves the generator out: who knows its state can take the noise away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Training")
            .field("mechanism", &self.mechanism)
            .field("grants", &self.grants)
            .field("epsilon", &self.epsilon)
            .finish_non_exhaustive()
    }
}

/// Steps booked at once. Guess: a store every few seconds, and a reload loses at most a quarter of the default plan.
pub const BATCH: u64 = 10;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests;
