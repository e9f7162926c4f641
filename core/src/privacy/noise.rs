//! Differential privacy for weights and deltas: clip, then noise, then, if wished, sparsify. The types keep the order:
//! only [`Clipped`] can be noised, and only [`Noised`] sparsified, so that which coordinates are kept tells nothing new.
//!
//! # Grid and sensitivity
//! The clip norm C is [`STEPS_PER_NORM`] = 2²⁰ steps of a grid, and an update becomes a vector of integers z, in steps:
//! scaled so that its L2 norm is at most 2²⁰ − √d/2, then rounded to the nearest integers, which moves it by at most
//! √d/2. So ‖z‖ ≤ 2²⁰ always, and that is checked on the integers themselves: no rounding of floats is trusted. Rounding
//! thus costs no privacy, where Kairouz, Liu, Steinke 2021 (arXiv 2102.06387, section 4.1) pay for it in sensitivity, and
//! at most √d/2²¹ of the update's length (0.003 % for 5,000 parameters).
//!
//! The noise is the exact [discrete Gaussian](super::discrete) on the same grid, of scale σ ≥ multiplier × sensitivity
//! steps; its Rényi divergences are at most those of the continuous one (arXiv 2004.00010, theorem 14). What is done
//! afterwards, from the conversion to f32 on, is postprocessing.
//!
//! # What is protected
//! [`Neighbours::Absent`]: whoever sees the result cannot tell this contribution from none (sensitivity C).
//! [`Neighbours::Replaced`]: nor from any other contribution (sensitivity 2C). A contribution is what was clipped as one:
//! the whole update of a node, or, with [`Clipped::join`], one record's gradient in a sum.

use alloc::vec::Vec;

use rand_core::{CryptoRng, RngCore};

use super::discrete::{DiscreteGaussian, MAX_SIGMA};
use super::ledger::{Grant, LedgerError, Mechanism};
use crate::bounds::LimitError;

/// Steps of the grid in one clip norm. Guess: 2²⁰ makes the grid 2⁴ times finer than what f32 resolves of the norm, and
/// leaves room for noise of 1,000 norms in 2³¹ steps.
pub const STEPS_PER_NORM: u64 = 1 << 20;
/// Numbers in one update. Source: four bytes each, 16 times `bounds::DEFAULT_MAX_OBJECT`.
pub const MAX_ELEMENTS: usize = 40_000_000;
/// Contributions in one sum. Guess; keeps the sum far from the ends of 64 bits.
pub const MAX_CONTRIBUTIONS: u64 = 1 << 32;

/// The greatest L2 norm of a contribution, `1e-30..=1e30`: in this range no step of the grid is subnormal and no noise
/// overflows f32.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ClipNorm(f64);

impl ClipNorm {
    /// Takes a norm.
    ///
    /// # Errors
    /// [`NoiseError::ClipNorm`] unless it is in `1e-30..=1e30`.
    pub fn new(norm: f64) -> Result<Self, NoiseError> {
        if (1e-30..=1e30).contains(&norm) {
            Ok(Self(norm))
        } else {
            Err(NoiseError::ClipNorm { got: norm })
        }
    }

    /// Returns the norm.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// Which data sets must look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// One with the contribution and one without.
    Absent,
    /// One with the contribution and one with another in its place.
    Replaced,
}

/// Plans noise: at least `noise_multiplier` × the sensitivity that `neighbours` implies, for records that each take part
/// with probability `sampling_rate`.
///
/// # Errors
/// [`NoiseError::Multiplier`] where the noise would be under a step or over 2³¹; [`NoiseError::Sampled`] for a rate below
/// 1 with [`Neighbours::Replaced`], for which the accountant has no theorem; [`NoiseError::Ledger`] for a rate that is no
/// probability.
pub fn plan(
    noise_multiplier: f64,
    neighbours: Neighbours,
    sampling_rate: f64,
) -> Result<Mechanism, NoiseError> {
    let sensitivity = match neighbours {
        Neighbours::Absent => STEPS_PER_NORM,
        Neighbours::Replaced if sampling_rate < 1.0 => {
            return Err(NoiseError::Sampled { sampling_rate });
        }
        Neighbours::Replaced => 2 * STEPS_PER_NORM,
    };
    let sigma = libm::ceil(noise_multiplier * sensitivity as f64);
    if !(sigma >= 1.0 && sigma <= MAX_SIGMA as f64) {
        return Err(NoiseError::Multiplier {
            got: noise_multiplier,
        });
    }
    Ok(Mechanism::new(sigma as u64, sensitivity, sampling_rate)?)
}

/// A contribution, or a sum of them, on the grid: each at most a clip norm long.
#[derive(Clone, Debug, PartialEq)]
pub struct Clipped {
    /// Coordinates in steps.
    steps: Vec<i64>,
    norm: ClipNorm,
    contributions: u64,
}

impl Clipped {
    /// Scales `update` (any shape, flattened) to an L2 norm of at most `norm` and puts it on the grid. A shorter update
    /// keeps its length. O(n).
    ///
    /// # Errors
    /// [`NoiseError::NotFinite`] for NaN and infinities, [`NoiseError::Limit`] past [`MAX_ELEMENTS`].
    pub fn new(update: &[f32], norm: ClipNorm) -> Result<Self, NoiseError> {
        LimitError::check_len("elements of an update", update.len(), MAX_ELEMENTS)?;
        if let Some(index) = update.iter().position(|value| !value.is_finite()) {
            return Err(NoiseError::NotFinite { index });
        }
        // The squares of f32s neither overflow nor vanish in f64.
        let square: f64 = update.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        let length = libm::sqrt(square);
        let radius = STEPS_PER_NORM as f64 - libm::sqrt(update.len() as f64) / 2.0;
        let mut scale = STEPS_PER_NORM as f64 / norm.0;
        if length * scale > radius {
            scale = radius / length;
        }
        for _ in 0..MAX_SHRINKS {
            let steps: Vec<i64> = update
                .iter()
                .map(|value| libm::round(f64::from(*value) * scale) as i64)
                .collect();
            if is_within(&steps, STEPS_PER_NORM) {
                return Ok(Self {
                    steps,
                    norm,
                    contributions: 1,
                });
            }
            // The float sums were off by a hair.
            scale *= 1.0 - 1e-9;
        }
        Err(NoiseError::Unclippable { length })
    }

    /// Adds another contribution, exactly: the sensitivity to each of them stays one clip norm.
    ///
    /// # Errors
    /// [`NoiseError::Mismatch`] unless both have the same norm and number of elements; [`NoiseError::Limit`] past
    /// [`MAX_CONTRIBUTIONS`].
    pub fn join(&mut self, other: &Self) -> Result<(), NoiseError> {
        if self.norm != other.norm || self.steps.len() != other.steps.len() {
            return Err(NoiseError::Mismatch {
                elements: self.steps.len(),
                norm: self.norm.0,
                other_elements: other.steps.len(),
                other_norm: other.norm.0,
            });
        }
        let contributions = self.contributions.saturating_add(other.contributions);
        LimitError::check("contributions", contributions, MAX_CONTRIBUTIONS)?;
        for (sum, steps) in self.steps.iter_mut().zip(&other.steps) {
            *sum += steps;
        }
        self.contributions = contributions;
        Ok(())
    }

    /// Returns how many contributions were joined.
    pub const fn contributions(&self) -> u64 {
        self.contributions
    }

    /// Returns the clip norm.
    pub const fn clip_norm(&self) -> ClipNorm {
        self.norm
    }

    /// Adds noise and so uses up one step of `grant`. O(n), about 12 random words for each number.
    ///
    /// # Errors
    /// [`NoiseError::NoGrant`] where no step is left, [`NoiseError::Sensitivity`] for a mechanism planned for another grid,
    /// [`NoiseError::Generator`] where `rng` is broken.
    pub fn noise<R: RngCore + CryptoRng>(
        self,
        grant: &mut Grant,
        rng: &mut R,
    ) -> Result<Noised, NoiseError> {
        let mechanism = grant.mechanism();
        let sensitivity = mechanism.sensitivity();
        let noise = DiscreteGaussian::new(mechanism.sigma());
        let Some(noise) = noise.filter(|_| sensitivity >= STEPS_PER_NORM) else {
            return Err(NoiseError::Sensitivity {
                got: sensitivity,
                least: STEPS_PER_NORM,
            });
        };
        if !grant.take() {
            return Err(NoiseError::NoGrant);
        }
        let step = self.norm.0 / STEPS_PER_NORM as f64;
        let mut values = Vec::with_capacity(self.steps.len());
        for steps in &self.steps {
            let noise = noise.sample(rng).ok_or(NoiseError::Generator)?;
            values.push((steps.saturating_add(noise) as f64 * step) as f32);
        }
        Ok(Noised {
            values,
            norm: self.norm,
            mechanism,
        })
    }
}

/// An update with noise: what may be seen by others, and shortened at will.
#[derive(Clone, Debug, PartialEq)]
pub struct Noised {
    values: Vec<f32>,
    norm: ClipNorm,
    mechanism: Mechanism,
}

impl Noised {
    /// Returns the update, in the order it was given.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the update, in the order it was given.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Returns the clip norm.
    pub const fn clip_norm(&self) -> ClipNorm {
        self.norm
    }

    /// Returns how the noise was drawn.
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Returns the standard deviation of the noise of one number.
    pub fn standard_deviation(&self) -> f64 {
        self.mechanism.sigma() as f64 * self.norm.0 / STEPS_PER_NORM as f64
    }

    /// Keeps the `count` numbers of greatest magnitude; among equals, the first. O(n log n).
    pub fn keep_largest(self, count: usize) -> Sparse {
        let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
        let magnitude = |index: &u32| self.values.get(*index as usize).map_or(0.0, |v| v.abs());
        order.sort_by(|a, b| magnitude(b).total_cmp(&magnitude(a)));
        order.truncate(count);
        order.sort_unstable();
        let kept = order
            .into_iter()
            .filter_map(|index| Some((index, *self.values.get(index as usize)?)));
        Sparse {
            kept: kept.collect(),
            elements: self.values.len(),
        }
    }
}

/// The largest numbers of a [`Noised`] update.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    kept: Vec<(u32, f32)>,
    elements: usize,
}

impl Sparse {
    /// Returns the numbers with their places, which ascend.
    pub fn kept(&self) -> &[(u32, f32)] {
        &self.kept
    }

    /// Returns all numbers of the update, zero where they were not kept.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut dense = alloc::vec![0.0; self.elements];
        for (index, value) in &self.kept {
            if let Some(place) = dense.get_mut(*index as usize) {
                *place = *value;
            }
        }
        dense
    }
}

/// Why an update gets no noise.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// The clip norm is out of range.
    #[error("clip norm must be in 1e-30..=1e30, got {got}")]
    ClipNorm {
        /// The value.
        got: f64,
    },
    /// The noise is under a step of the grid, or too much for it.
    #[error("noise multiplier must be > 0 and give at most 2^31 steps of noise, got {got}")]
    Multiplier {
        /// The value.
        got: f64,
    },
    /// Sampling earns nothing against replacement.
    #[error("sampling rate must be 1 where a contribution may be replaced, got {sampling_rate}")]
    Sampled {
        /// The value.
        sampling_rate: f64,
    },
    /// A number of the update is NaN or infinite.
    #[error("update must be finite, number {index} is not")]
    NotFinite {
        /// Its place.
        index: usize,
    },
    /// The update does not shrink to the norm.
    #[error("update of length {length} cannot be clipped")]
    Unclippable {
        /// Its L2 norm.
        length: f64,
    },
    /// Two contributions do not belong together.
    #[error(
        "contributions must be alike, got {elements} elements clipped to {norm} and {other_elements} to {other_norm}"
    )]
    Mismatch {
        /// Elements of the one.
        elements: usize,
        /// Clip norm of the one.
        norm: f64,
        /// Elements of the other.
        other_elements: usize,
        /// Clip norm of the other.
        other_norm: f64,
    },
    /// The grant is used up.
    #[error("the grant has no step left")]
    NoGrant,
    /// The grant's mechanism assumes too small a sensitivity.
    #[error("the grant's sensitivity must be at least {least} steps, got {got}")]
    Sensitivity {
        /// Steps in the grant.
        got: u64,
        /// Steps of a clip norm.
        least: u64,
    },
    /// The random generator is broken.
    #[error("the random generator repeats itself: no noise can be drawn from it")]
    Generator,
    /// A size is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The ledger refuses the mechanism.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Tells whether the L2 norm of `steps` is at most `radius`, in integers.
fn is_within(steps: &[i64], radius: u64) -> bool {
    let square = |step: &i64| u128::from(step.unsigned_abs()) * u128::from(step.unsigned_abs());
    steps.iter().map(square).sum::<u128>() <= u128::from(radius) * u128::from(radius)
}

/// Rounds of shrinking by 10⁻⁹. Source: summing 4·10⁷ squares in f64 is off by less than 10⁻⁸ of the sum.
const MAX_SHRINKS: usize = 16;

#[cfg(test)]
mod tests;
