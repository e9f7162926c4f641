//! Samples of the discrete Gaussian, exact: integers and a source of random bits, no floating-point number.
//!
//! Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), section 5: algorithm 1 draws Bernoulli(exp(−γ)) for a rational γ,
//! algorithm 2 a discrete Laplace from it, algorithm 3 a discrete Gaussian by rejection. A Gaussian made of floats
//! leaks through the gaps between floats (Mironov 2012; Jin et al. 2022, arXiv 2112.05307); here every probability is
//! the stated one, as far as the bits are uniform.
//!
//! What it does not do: it does not hide how long it takes. The time of one sample tells something of its size, the
//! time of a whole update of thousands only of their sum.

use rand_core::{CryptoRng, RngCore};

/// The largest σ, in steps of the grid: up to it 2σ² fits 64 bits.
pub const MAX_SIGMA: u64 = 1 << 31;

/// The discrete Gaussian N_ℤ(0, σ²): an integer x has a probability proportional to exp(−x²/2σ²).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscreteGaussian {
    sigma: u64,
}

impl DiscreteGaussian {
    /// Returns the distribution with scale `sigma`, `1..=MAX_SIGMA` steps, and `None` for another.
    pub fn new(sigma: u64) -> Option<Self> {
        (1..=MAX_SIGMA).contains(&sigma).then_some(Self { sigma })
    }

    /// Draws one sample, in steps. Takes about 12 random words; `None` where the generator is broken: it answers as no
    /// random source does within the age of the universe.
    pub fn sample<R: RngCore + CryptoRng>(&self, rng: &mut R) -> Option<i64> {
        let double_variance = 2 * self.sigma * self.sigma;
        for _ in 0..MAX_ATTEMPTS {
            let candidate = self.laplace(rng)?;
            // γ = (|y| − σ²/t)² / 2σ² with t = σ.
            let off = u128::from(candidate.unsigned_abs().abs_diff(self.sigma));
            if is_exp_minus(off * off, double_variance, rng)? {
                return Some(candidate);
            }
        }
        None
    }

    /// Draws from the discrete Laplace distribution with scale t = σ. The paper takes t = ⌊σ⌋ + 1; any t ≥ 1 is exact,
    /// and this one keeps the fractions short.
    fn laplace<R: RngCore + CryptoRng>(&self, rng: &mut R) -> Option<i64> {
        for _ in 0..MAX_ATTEMPTS {
            let low = below(self.sigma, rng)?;
            if !is_exp_minus_at_most_one(low, self.sigma, rng)? {
                continue;
            }
            let mut high = 0;
            while is_exp_minus_one(rng)? {
                high += 1;
                if high == MAX_ATTEMPTS {
                    return None;
                }
            }
            let size = i64::try_from(low + self.sigma * high).ok()?;
            let is_negative = rng.next_u32() & 1 == 1;
            // Zero has no sign: half of its draws are taken back.
            if !(is_negative && size == 0) {
                return Some(if is_negative { -size } else { size });
            }
        }
        None
    }
}

/// Answers yes with probability exp(−γ) for γ = `above` / `below`.
fn is_exp_minus<R: RngCore + CryptoRng>(above: u128, below: u64, rng: &mut R) -> Option<bool> {
    // Most γ are small: 64-bit division is several times faster than 128-bit.
    let (whole, rest) = match u64::try_from(above) {
        Ok(above) => (u128::from(above / below), above % below),
        Err(_) => {
            let below = u128::from(below);
            (above / below, u64::try_from(above % below).ok()?)
        }
    };
    for _ in 0..whole {
        // Ends at the first no: two rounds on average.
        if !is_exp_minus_one(rng)? {
            return Some(false);
        }
    }
    is_exp_minus_at_most_one(rest, below, rng)
}

/// Answers yes with probability exp(−γ) for γ = `part` / `whole` in 0..=1: the parity of the first failure in a row of
/// trials with probabilities γ/1, γ/2, γ/3, …
fn is_exp_minus_at_most_one<R: RngCore + CryptoRng>(
    part: u64,
    whole: u64,
    rng: &mut R,
) -> Option<bool> {
    for trial in 1..MAX_ATTEMPTS {
        // γ/k as two independent trials: no product that could overflow.
        if !(below(trial, rng)? == 0 && below(whole, rng)? < part) {
            return Some(trial % 2 == 1);
        }
    }
    None
}

/// The same with γ = 1.
fn is_exp_minus_one<R: RngCore + CryptoRng>(rng: &mut R) -> Option<bool> {
    for trial in 2..MAX_ATTEMPTS {
        if below(trial, rng)? != 0 {
            return Some(trial % 2 == 1);
        }
    }
    None
}

/// Draws uniformly from `0..bound`, by multiplication with rejection (Lemire 2019, arXiv 1805.10941, algorithm 5).
fn below<R: RngCore + CryptoRng>(bound: u64, rng: &mut R) -> Option<u64> {
    match u32::try_from(bound) {
        Ok(1) => return Some(0),
        Ok(bound) => {
            for _ in 0..MAX_ATTEMPTS {
                let product = u64::from(rng.next_u32()) * u64::from(bound);
                let low = (product & u64::from(u32::MAX)) as u32;
                if low >= bound || low >= bound.wrapping_neg() % bound {
                    return Some(product >> 32);
                }
            }
        }
        Err(_) => {
            for _ in 0..MAX_ATTEMPTS {
                let product = u128::from(rng.next_u64()) * u128::from(bound);
                let low = (product & u128::from(u64::MAX)) as u64;
                if low >= bound || low >= bound.wrapping_neg() % bound {
                    return Some((product >> 64) as u64);
                }
            }
        }
    }
    None
}

/// Rounds of any loop. A loop goes on with probability below 0.7 in each round, so a random source ends in this many
/// with probability below 10⁻¹⁵⁰: only a broken one reaches it.
const MAX_ATTEMPTS: u64 = 1024;

#[cfg(test)]
mod tests;
