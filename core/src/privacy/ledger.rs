//! The privacy budget: what was spent, kept over restarts, and never more than allowed.
//!
//! A release is paid before it is made. [`Ledger::reserve`] books the cost and answers with a [`Reservation`]: the
//! ledger's new bytes, to be stored, and inside it the [`Grant`] to draw noise, which comes out once they are stored. So with
//! one holder of the ledger, who stores its reservations in their order, a crash at any moment leaves a ledger that counts too
//! much or exactly what was released.
//!
//! Stored bytes that are cut, flipped, of another budget's scope, or older than what the caller saw last are refused.
//!
//! What it does not do: it does not see other holders. Two that were read from the same bytes (two tabs, a clone) or
//! reservations that are stored out of their order overwrite each other's bookings, and the ledger then counts too little.
//! So a ledger has a single holder; a store that several could reach must put a reservation's bytes in place only while it
//! holds the ledger of sequence [`Reservation::replaces`], in one transaction, and the caller must drop a reservation that
//! is refused there. It is no defence against the owner, who can always release data past it; and a copy of the whole
//! browser profile that is put back takes the caller's last sequence number with it.
//!
//! # Bytes
//! Version (1), scope (32), sequence (8), ε and δ of the budget (8 each), varint count, and for each mechanism σ,
//! sensitivity, sampling rate and steps (8 each), all big-endian; then SHA-256 over `chorus/ledger/1` and all of that.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::accountant::{AccountantError, Cost};
use super::discrete::MAX_SIGMA;
use crate::bounds::LimitError;
use crate::digest::{Digest, Hasher};
use crate::wire::{Reader, WireError, Writer};

/// Different mechanisms that one ledger tells apart. Guess: settings change a few times in a life.
pub const MAX_MECHANISMS: usize = 64;

/// How much may be spent: (ε, δ) differential privacy for everything that a ledger ever grants, together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// ε > 0.
    pub epsilon: f64,
    /// δ in 0..1, not 0: well below 1 / records.
    pub delta: f64,
}

impl Default for Budget {
    /// ε = 8 at δ = 10⁻⁵. Source: issue 3 measures at ε = 8; δ is what DP-SGD's authors take (arXiv 1607.00133, section 5).
    fn default() -> Self {
        Self {
            epsilon: 8.0,
            delta: 1e-5,
        }
    }
}

impl Budget {
    /// Says whether both are in range.
    ///
    /// # Errors
    /// [`AccountantError::Epsilon`], [`AccountantError::Delta`].
    pub fn validate(&self) -> Result<(), AccountantError> {
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(AccountantError::Epsilon { got: self.epsilon });
        }
        Cost::ZERO.epsilon(self.delta).map(|_| ())
    }
}

/// One way to add noise: discrete Gaussian of scale σ against an L2 sensitivity, both in steps of the same grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mechanism {
    sigma: u64,
    sensitivity: u64,
    /// Bits of the sampling rate: positive floats are ordered as their bits are.
    rate_bits: u64,
}

impl Mechanism {
    /// Describes noise of scale `sigma` (`1..=MAX_SIGMA` steps) against `sensitivity` (≥ 1 step) on records that are
    /// each taken with probability `sampling_rate` (0..=1, not 0; 1: all).
    ///
    /// # Errors
    /// [`LedgerError::Mechanism`] with the three values.
    pub fn new(sigma: u64, sensitivity: u64, sampling_rate: f64) -> Result<Self, LedgerError> {
        let is_rate = sampling_rate > 0.0 && sampling_rate <= 1.0;
        if !((1..=MAX_SIGMA).contains(&sigma) && sensitivity >= 1 && is_rate) {
            return Err(LedgerError::Mechanism {
                sigma,
                sensitivity,
                sampling_rate,
            });
        }
        Ok(Self {
            sigma,
            sensitivity,
            rate_bits: sampling_rate.to_bits(),
        })
    }

    /// Returns the scale of the noise in steps.
    pub const fn sigma(&self) -> u64 {
        self.sigma
    }

    /// Returns the L2 sensitivity in steps.
    pub const fn sensitivity(&self) -> u64 {
        self.sensitivity
    }

    /// Returns the probability with which each record takes part.
    pub const fn sampling_rate(&self) -> f64 {
        f64::from_bits(self.rate_bits)
    }

    /// Returns σ in sensitivities.
    pub fn noise_multiplier(&self) -> f64 {
        self.sigma as f64 / self.sensitivity as f64
    }

    /// Returns the cost of one release.
    ///
    /// # Errors
    /// None for what [`Mechanism::new`] let pass; stated so that nothing need be assumed.
    pub fn cost(&self) -> Result<Cost, AccountantError> {
        Cost::of_gaussian(self.noise_multiplier(), self.sampling_rate())
    }
}

/// What was spent of a [`Budget`].
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    scope: Digest,
    sequence: u64,
    budget: Budget,
    /// Steps taken of each mechanism, with the cost of one.
    spent: BTreeMap<Mechanism, (u64, Cost)>,
}

impl Ledger {
    /// Opens an empty ledger. `scope` names what the budget protects: a digest of the network and the data set, say.
    ///
    /// # Errors
    /// As [`Budget::validate`].
    pub fn new(scope: Digest, budget: Budget) -> Result<Self, LedgerError> {
        budget.validate()?;
        Ok(Self {
            scope,
            sequence: 0,
            budget,
            spent: BTreeMap::new(),
        })
    }

    /// Reads a stored ledger of `scope` that is no older than `last_sequence`, which the caller keeps elsewhere.
    ///
    /// # Errors
    /// [`LedgerError`]: cut, changed, of another version or scope, rolled back, or out of bounds.
    pub fn from_bytes(
        bytes: &[u8],
        scope: Digest,
        last_sequence: u64,
    ) -> Result<Self, LedgerError> {
        LimitError::check_len("ledger bytes", bytes.len(), MAX_BYTES).map_err(WireError::from)?;
        let content = bytes.len().saturating_sub(DIGEST_LEN);
        let (content, digest) = bytes.split_at_checked(content).unwrap_or((&[], bytes));
        if digest_of(content).as_bytes() != digest {
            return Err(LedgerError::Corrupt {
                bytes: bytes.len() as u64,
            });
        }
        let mut reader = Reader::new(content);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(LedgerError::Version { got: version });
        }
        if Digest::from_bytes(reader.array()?) != scope {
            return Err(LedgerError::Scope);
        }
        let sequence = reader.u64()?;
        if sequence < last_sequence {
            return Err(LedgerError::RolledBack {
                got: sequence,
                last: last_sequence,
            });
        }
        let budget = Budget {
            epsilon: f64::from_bits(reader.u64()?),
            delta: f64::from_bits(reader.u64()?),
        };
        let mut ledger = Self::new(scope, budget)?;
        ledger.sequence = sequence;
        let count = reader.uvarint()?;
        LimitError::check("ledger mechanisms", count, MAX_MECHANISMS as u64)
            .map_err(WireError::from)?;
        for _ in 0..count {
            let (sigma, sensitivity) = (reader.u64()?, reader.u64()?);
            let mechanism = Mechanism::new(sigma, sensitivity, f64::from_bits(reader.u64()?))?;
            let steps = reader.u64()?;
            ledger.spent.insert(mechanism, (steps, mechanism.cost()?));
        }
        reader.finish()?;
        Ok(ledger)
    }

    /// Returns the bytes to be stored, at most 2.2 kB.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(MAX_BYTES);
        writer
            .u8(VERSION)
            .put(self.scope.as_bytes())
            .u64(self.sequence)
            .u64(self.budget.epsilon.to_bits())
            .u64(self.budget.delta.to_bits())
            .uvarint(self.spent.len() as u64);
        for (mechanism, (steps, _)) in &self.spent {
            writer
                .u64(mechanism.sigma)
                .u64(mechanism.sensitivity)
                .u64(mechanism.rate_bits)
                .u64(*steps);
        }
        let mut bytes = writer.into_bytes();
        let digest = digest_of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Books `steps` releases of `mechanism`, before they are made. The ledger is unchanged where it is refused.
    ///
    /// # Errors
    /// [`LedgerError::Exhausted`] where the budget would not be kept; [`LedgerError::Steps`] for no steps or too many to
    /// count; [`LedgerError::Mechanisms`] where one more kind does not fit.
    pub fn reserve(
        &mut self,
        mechanism: Mechanism,
        steps: u64,
    ) -> Result<Reservation, LedgerError> {
        let (before, cost) = match self.spent.get(&mechanism) {
            Some((before, cost)) => (*before, cost.clone()),
            None => (0, mechanism.cost()?),
        };
        let sum = before.checked_add(steps);
        let Some(sum) = sum.filter(|_| steps > 0) else {
            return Err(LedgerError::Steps {
                before,
                more: steps,
            });
        };
        if before == 0 && self.spent.len() >= MAX_MECHANISMS {
            return Err(LedgerError::Mechanisms {
                max: MAX_MECHANISMS,
            });
        }
        let mut after = self.spent.clone();
        after.insert(mechanism, (sum, cost));
        let epsilon = total(&after).epsilon(self.budget.delta)?;
        if epsilon > self.budget.epsilon {
            return Err(LedgerError::Exhausted {
                epsilon,
                budget: self.budget.epsilon,
                delta: self.budget.delta,
            });
        }
        let replaces = self.sequence;
        self.spent = after;
        self.sequence = self.sequence.saturating_add(1);
        let grant = Grant {
            mechanism,
            steps,
            spent: Budget {
                epsilon,
                delta: self.budget.delta,
            },
        };
        Ok(Reservation {
            bytes: self.to_bytes(),
            replaces,
            grant,
        })
    }

    /// Changes the budget, which the owner may do knowingly. What was spent stays spent.
    ///
    /// # Errors
    /// As [`Budget::validate`].
    pub fn set_budget(&mut self, budget: Budget) -> Result<(), LedgerError> {
        budget.validate()?;
        self.budget = budget;
        self.sequence = self.sequence.saturating_add(1);
        Ok(())
    }

    /// Returns the sum of all costs.
    pub fn cost(&self) -> Cost {
        total(&self.spent)
    }

    /// Returns what was spent: ε at the budget's δ.
    ///
    /// # Errors
    /// None for a ledger that was opened; stated so that nothing need be assumed.
    pub fn spent(&self) -> Result<Budget, LedgerError> {
        Ok(Budget {
            epsilon: self.cost().epsilon(self.budget.delta)?,
            delta: self.budget.delta,
        })
    }

    /// Returns how many releases of `mechanism` the budget still allows, at most 2³². For the preview before sharing.
    ///
    /// # Errors
    /// As [`Ledger::spent`].
    pub fn releases_left(&self, mechanism: &Mechanism) -> Result<u64, LedgerError> {
        let (spent, cost) = (self.cost(), mechanism.cost()?);
        let (mut fits, mut exceeds) = (0u64, (1u64 << 32) + 1);
        while exceeds - fits > 1 {
            let steps = fits + (exceeds - fits) / 2;
            let mut total = spent.clone();
            total.add(&cost.times(steps));
            if total.epsilon(self.budget.delta)? <= self.budget.epsilon {
                fits = steps;
            } else {
                exceeds = steps;
            }
        }
        Ok(fits)
    }

    /// Returns the number of this state: it grows by one with every change. To be kept apart from the ledger.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns what may be spent.
    pub const fn budget(&self) -> Budget {
        self.budget
    }

    /// Returns the releases so far: each mechanism with its steps.
    pub fn releases(&self) -> impl Iterator<Item = (Mechanism, u64)> {
        self.spent
            .iter()
            .map(|(mechanism, (steps, _))| (*mechanism, *steps))
    }
}

/// Releases that are paid and not yet stored as paid.
#[derive(Debug, PartialEq)]
#[must_use = "store the bytes, then take the grant"]
pub struct Reservation {
    bytes: Vec<u8>,
    replaces: u64,
    grant: Grant,
}

impl Reservation {
    /// Returns the ledger as it is to be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the sequence number of the ledger that the store must still hold for [`Reservation::bytes`] to take its
    /// place: with another there, someone else has booked, and both bookings would not be counted. 0: none was stored.
    pub const fn replaces(&self) -> u64 {
        self.replaces
    }

    /// Hands out the grant. To be called once the store has confirmed [`Reservation::bytes`].
    pub fn stored(self) -> Grant {
        self.grant
    }
}

/// The right to add noise a number of times, once for each step. Cannot be copied; what is left of it on drop is lost.
#[derive(Debug, PartialEq)]
pub struct Grant {
    mechanism: Mechanism,
    steps: u64,
    spent: Budget,
}

impl Grant {
    /// Returns how the noise is to be drawn.
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Returns how many releases are left.
    pub const fn steps_left(&self) -> u64 {
        self.steps
    }

    /// Returns what the ledger has spent after the last of these steps.
    pub const fn spent(&self) -> Budget {
        self.spent
    }

    /// Uses up one step; `false` where none is left.
    pub(super) fn take(&mut self) -> bool {
        let is_left = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        is_left
    }
}

/// Why a ledger cannot be opened or does not grant a release.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The budget would not be kept.
    #[error("epsilon must be at most {budget} at delta {delta}, would be {epsilon}")]
    Exhausted {
        /// ε after the release.
        epsilon: f64,
        /// ε of the budget.
        budget: f64,
        /// δ of the budget.
        delta: f64,
    },
    /// No steps, or more than can be counted.
    #[error("steps must be at least 1 and at most 2^64 in all, got {more} after {before}")]
    Steps {
        /// Steps so far.
        before: u64,
        /// Steps asked for.
        more: u64,
    },
    /// One more mechanism does not fit.
    #[error("a ledger must have at most {max} different mechanisms")]
    Mechanisms {
        /// The bound.
        max: usize,
    },
    /// The numbers describe no mechanism.
    #[error(
        "mechanism must have sigma in 1..=2^31, sensitivity >= 1 and a sampling rate in 0..=1 and not 0, \
         got {sigma}, {sensitivity} and {sampling_rate}"
    )]
    Mechanism {
        /// σ in steps.
        sigma: u64,
        /// L2 sensitivity in steps.
        sensitivity: u64,
        /// Sampling rate.
        sampling_rate: f64,
    },
    /// The digest does not fit the bytes.
    #[error("ledger of {bytes} bytes is cut or changed: its digest does not fit")]
    Corrupt {
        /// Length.
        bytes: u64,
    },
    /// A version of another program.
    #[error("ledger version must be {VERSION}, got {got}")]
    Version {
        /// The version.
        got: u8,
    },
    /// The ledger is another network's or data set's.
    #[error("ledger is of another scope")]
    Scope,
    /// The ledger is older than one that was seen.
    #[error("ledger must be at sequence {last} or later, got {got}: an old copy was put back")]
    RolledBack {
        /// The sequence number read.
        got: u64,
        /// The last one seen.
        last: u64,
    },
    /// A parameter of the accountant is out of range.
    #[error(transparent)]
    Accountant(#[from] AccountantError),
    /// The bytes do not have the form.
    #[error(transparent)]
    Wire(#[from] WireError),
}

fn total(spent: &BTreeMap<Mechanism, (u64, Cost)>) -> Cost {
    let mut sum = Cost::ZERO;
    for (steps, cost) in spent.values() {
        sum.add(&cost.times(*steps));
    }
    sum
}

fn digest_of(content: &[u8]) -> Digest {
    Hasher::default().update(DOMAIN).update(content).finish()
}

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"chorus/ledger/1";
const DIGEST_LEN: usize = 32;
/// Version, scope, sequence, budget, count, mechanisms, digest.
const MAX_BYTES: usize = 1 + 32 + 8 + 16 + 1 + 32 * MAX_MECHANISMS + DIGEST_LEN;

#[cfg(test)]
mod tests;
