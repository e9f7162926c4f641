//! Moments of the privacy loss of the Poisson-sampled Gaussian mechanism: ln Aα of arXiv 1908.10530, section 3.3.
//!
//! Aα = E[((1 − q) + q·ν₁(x)/ν₀(x))^α] for x from ν₀ = N(0, σ²) and ν₁ = N(1, σ²), in units of the sensitivity. For
//! discrete Gaussian noise the integer moments are the same: a sum of exp over a lattice does not change when it is
//! shifted by a lattice vector, and the coordinates multiply. In between, the logarithm of the moments is convex in α
//! (Hölder), so a line between integers bounds both; and a lattice sum differs from the integral by a factor below
//! 1 + 3·exp(−2π²σ²) with σ in lattice steps (Poisson summation), which for the noise drawn here is nothing.

use super::special::{ln, ln_add, ln_expm1, ln_normal_cdf, ln_one_plus_exp, ln1p};

/// The moments at one sampling rate and noise.
pub(super) struct Moments {
    /// Variance σ² in squared sensitivities.
    variance: f64,
    ln_rate: f64,
    /// ln(1 − q).
    ln_rest: f64,
}

impl Moments {
    /// Prepares for `rate` q with 0 < q < 1 and `variance` σ² > 0.
    pub(super) fn new(rate: f64, variance: f64) -> Self {
        Self {
            variance,
            ln_rate: ln(rate),
            ln_rest: ln1p(-rate),
        }
    }

    /// Returns ln Aα ≥ 0 for `order` α > 1, or an upper bound. O(α) at integers, at most 4,000 terms between them.
    pub(super) fn log_moment(&self, order: f64) -> f64 {
        let below = libm::floor(order);
        if below == order {
            return self.at_integer(order);
        }
        let share = order - below;
        let line = (1.0 - share) * self.at_integer(below) + share * self.at_integer(below + 1.0);
        self.between_integers(order).clamp(0.0, line)
    }

    /// The binomial sum. The terms of i = 0 and 1 and the 1 of every other add up to 1, so what is summed is Aα − 1:
    /// positive terms only, exact even where q is so small that Aα rounds to 1.
    fn at_integer(&self, order: f64) -> f64 {
        let (mut excess, mut ln_binomial) = (f64::NEG_INFINITY, 0.0);
        let mut i = 0.0;
        while i < order {
            ln_binomial += ln(order - i) - ln(i + 1.0);
            i += 1.0;
            if i < 2.0 {
                continue;
            }
            let exponent = i * (i - 1.0) / (2.0 * self.variance);
            let term =
                ln_binomial + i * self.ln_rate + (order - i) * self.ln_rest + ln_expm1(exponent);
            excess = ln_add(excess, term);
        }
        ln_one_plus_exp(excess)
    }

    /// The two binomial series of section 3.3, one for each side of the point z where both parts of the mixture weigh
    /// the same. Their terms alternate from i > α on, so what is left out is less than the last term, which is added.
    fn between_integers(&self, order: f64) -> f64 {
        let sigma = libm::sqrt(self.variance);
        let z = self.variance * (self.ln_rest - self.ln_rate) + 0.5;
        let moment = |x: f64| x * (x - 1.0) / (2.0 * self.variance);
        let (mut positive, mut negative) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let (mut ln_binomial, mut is_positive) = (0.0, true);
        let mut last = f64::INFINITY;
        let mut i = 0.0;
        while i < MAX_TERMS {
            let j = order - i;
            let left =
                i * self.ln_rate + j * self.ln_rest + moment(i) + ln_normal_cdf((z - i) / sigma);
            let right =
                j * self.ln_rate + i * self.ln_rest + moment(j) + ln_normal_cdf((j - z) / sigma);
            let term = ln_binomial + ln_add(left, right);
            let sum = if is_positive {
                &mut positive
            } else {
                &mut negative
            };
            *sum = ln_add(*sum, term);
            let is_falling = j < 0.0 && term < last;
            last = term;
            if is_falling && term < positive + LN_NEGLIGIBLE {
                break;
            }
            ln_binomial += ln(j.abs()) - ln(i + 1.0);
            is_positive ^= j < 0.0;
            i += 1.0;
        }
        let total = positive + ln1p(-libm::exp(negative - positive));
        ln_add(total, last)
    }
}

/// Terms of the series at most. Source: at α = 1.1 terms fall at least like i^−3.1 (binomial coefficient and tail of
/// the normal distribution), so 4,000 of them leave 10⁻¹¹.
const MAX_TERMS: f64 = 4000.0;
/// Logarithm of the share of the sum at which a term may be the last: 10⁻¹⁴.
const LN_NEGLIGIBLE: f64 = -32.0;
