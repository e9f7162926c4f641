//! How much privacy a sequence of noisy releases has cost: Rényi differential privacy of the Poisson-sampled Gaussian
//! mechanism, composed over steps and converted to (ε, δ).
//!
//! - Rényi DP and its composition by addition: Mironov 2017, arXiv 1702.07476, proposition 1.
//! - The sampled Gaussian at integer and fractional orders: Mironov, Talwar, Zhang 2019, arXiv 1908.10530, section 3.3.
//! - The conversion: Canonne, Kamath, Steinke 2020, arXiv 2004.00010, proposition 12 (v4); the same as Balle et al.
//!   2020, arXiv 1905.09982, theorem 21.
//!
//! The figures agree with PyPI `dp-accounting` (its Rényi accountant, up to ε = 15) and `opacus` (everywhere) within 1 %
//! over the grid in `accountant/golden.csv`, which `docs/accountant.py` writes and compares. For larger ε dp-accounting
//! overstates the divergence at fractional orders, since it leaves the signs out of the series; numerical integration
//! confirms the figures here.
//!
//! What it does not do: it takes the steps as given. A sampling rate below 1 is only earned by a sample that is drawn
//! independently for every record and kept secret; neighbouring data sets then differ by one record added or removed.

mod sampled;
mod special;

use self::special::{expm1, ln, ln1p};

/// The orders α at which divergences are tracked: 1.1 to 10.9 in tenths, 11 to 63, then powers of two to 1024.
/// Source: the default orders of `dp-accounting` 0.6, so that the figures can be compared.
pub const ORDERS: [f64; 156] = orders();

/// Rényi divergences at [`ORDERS`]: what one or many releases cost. Adds up over releases.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost([f64; ORDERS.len()]);

impl Cost {
    /// The cost of releasing nothing.
    pub const ZERO: Self = Self([0.0; ORDERS.len()]);

    /// Returns the cost of one step of the Gaussian mechanism: noise of `noise_multiplier` × the L2 sensitivity, on
    /// records sampled independently at `sampling_rate` (1: all of them). About 1 ms where the rate is below 1.
    ///
    /// # Errors
    /// [`AccountantError`] unless the multiplier is > 0 and finite and the rate in `0.0..=1.0`.
    pub fn of_gaussian(noise_multiplier: f64, sampling_rate: f64) -> Result<Self, AccountantError> {
        if !(noise_multiplier > 0.0 && noise_multiplier.is_finite()) {
            return Err(AccountantError::NoiseMultiplier {
                got: noise_multiplier,
            });
        }
        if !(0.0..=1.0).contains(&sampling_rate) {
            return Err(AccountantError::SamplingRate { got: sampling_rate });
        }
        let variance = noise_multiplier * noise_multiplier;
        if sampling_rate == 0.0 {
            return Ok(Self::ZERO);
        }
        // Exact for the whole data, and for discrete noise too (2004.00010, theorem 4 with lemma 5).
        if sampling_rate == 1.0 {
            return Ok(Self(ORDERS.map(|order| order / (2.0 * variance))));
        }
        let moments = sampled::Moments::new(sampling_rate, variance);
        Ok(Self(
            ORDERS.map(|order| moments.log_moment(order) / (order - 1.0)),
        ))
    }

    /// Returns the cost of `steps` releases of this cost each.
    pub fn times(&self, steps: u64) -> Self {
        // Past 2⁵³ the rounding is upward or within one part in 2⁵³, and nobody's budget is near.
        Self(self.0.map(|cost| cost * steps as f64))
    }

    /// Adds the cost of other releases.
    pub fn add(&mut self, other: &Self) {
        for (sum, cost) in self.0.iter_mut().zip(&other.0) {
            *sum += cost;
        }
    }

    /// Returns the divergences, in the order of [`ORDERS`].
    pub const fn divergences(&self) -> &[f64] {
        &self.0
    }

    /// Returns the least ε ≥ 0 for which these releases are (ε, δ)-differentially private.
    ///
    /// # Errors
    /// [`AccountantError::Delta`] unless `delta` is in `0.0..1.0` and not 0.
    pub fn epsilon(&self, delta: f64) -> Result<f64, AccountantError> {
        if !(delta > 0.0 && delta < 1.0) {
            return Err(AccountantError::Delta { got: delta });
        }
        let at_order = |(&order, &divergence): (&f64, &f64)| {
            // Total variation is at most √(1 − exp(−KL)), and KL at most any Rényi divergence of order above 1.
            if delta * delta + expm1(-divergence) > 0.0 {
                return 0.0;
            }
            divergence + ln1p(-1.0 / order) - (ln(delta) + ln(order)) / (order - 1.0)
        };
        let least = ORDERS.iter().zip(&self.0).map(at_order);
        Ok(least.fold(f64::INFINITY, f64::min).max(0.0))
    }

    /// Returns the least δ in `0.0..=1.0` for which these releases are (ε, δ)-differentially private.
    ///
    /// # Errors
    /// [`AccountantError::Epsilon`] unless `epsilon` is ≥ 0 and finite.
    pub fn delta(&self, epsilon: f64) -> Result<f64, AccountantError> {
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(AccountantError::Epsilon { got: epsilon });
        }
        let at_order = |(&order, &divergence): (&f64, &f64)| {
            let by_kl = 0.5 * ln(-expm1(-divergence));
            let by_order = (order - 1.0) * (divergence - epsilon + ln1p(-1.0 / order)) - ln(order);
            by_kl.min(by_order)
        };
        let least = ORDERS.iter().zip(&self.0).map(at_order);
        Ok(libm::exp(least.fold(0.0, f64::min)))
    }
}

/// Finds the least noise multiplier, to 0.1 %, at which `steps` releases cost at most `epsilon` at `delta`.
///
/// About 20 ms where `sampling_rate` is below 1.
///
/// # Errors
/// [`AccountantError`] for arguments out of range, and [`AccountantError::Unreachable`] where even a multiplier of
/// [`MAX_NOISE_MULTIPLIER`] is not enough.
pub fn noise_multiplier_for(
    epsilon: f64,
    delta: f64,
    sampling_rate: f64,
    steps: u64,
) -> Result<f64, AccountantError> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(AccountantError::Epsilon { got: epsilon });
    }
    let cost = |multiplier: f64| {
        Cost::of_gaussian(multiplier, sampling_rate)?
            .times(steps)
            .epsilon(delta)
    };
    let (mut low, mut high) = (MIN_NOISE_MULTIPLIER, MAX_NOISE_MULTIPLIER);
    let least = cost(high)?;
    if least > epsilon {
        return Err(AccountantError::Unreachable { epsilon, least });
    }
    // Halving the ratio of the ends: 17 rounds from 10⁵ to 1.001.
    while high > low * 1.001 {
        let middle = libm::sqrt(low * high);
        if cost(middle)? > epsilon {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

/// The least noise that [`noise_multiplier_for`] considers. Guess: it costs an ε in the thousands.
pub const MIN_NOISE_MULTIPLIER: f64 = 0.01;
/// The most noise that [`noise_multiplier_for`] considers. Guess: nothing is left of an update under it.
pub const MAX_NOISE_MULTIPLIER: f64 = 1000.0;

/// Why a cost cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountantError {
    /// The noise multiplier is no positive number.
    #[error("noise multiplier must be > 0 and finite, got {got}")]
    NoiseMultiplier {
        /// The value.
        got: f64,
    },
    /// The sampling rate is no probability.
    #[error("sampling rate must be in 0..=1, got {got}")]
    SamplingRate {
        /// The value.
        got: f64,
    },
    /// δ is no probability, or one that promises nothing.
    #[error("delta must be > 0 and < 1, got {got}")]
    Delta {
        /// The value.
        got: f64,
    },
    /// ε is negative or no number.
    #[error("epsilon must be >= 0 and finite, got {got}")]
    Epsilon {
        /// The value.
        got: f64,
    },
    /// No noise in range keeps the budget.
    #[error("epsilon must be at least {least} for these steps, got {epsilon}")]
    Unreachable {
        /// The budget.
        epsilon: f64,
        /// What the steps cost with the most noise considered.
        least: f64,
    },
}

const fn orders() -> [f64; 156] {
    let mut orders = [0.0; 156];
    let mut index = 0;
    while index < 99 {
        orders[index] = 1.0 + (index + 1) as f64 / 10.0;
        index += 1;
    }
    while index < 99 + 53 {
        orders[index] = (index - 99 + 11) as f64;
        index += 1;
    }
    while index < 156 {
        orders[index] = (128 << (index - 99 - 53)) as f64;
        index += 1;
    }
    orders
}

#[cfg(test)]
mod tests;
