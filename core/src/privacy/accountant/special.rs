//! The special functions of the accountant, in log space. From `libm` alone, so that every target computes the same
//! bits and the crate stays `no_std`.

use core::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

/// Returns the natural logarithm; −∞ at 0.
pub(super) fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Returns ln(1 + x), exact near 0.
pub(super) fn ln1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// Returns eˣ − 1, exact near 0.
pub(super) fn expm1(x: f64) -> f64 {
    libm::expm1(x)
}

/// Returns ln(eᵃ + eᵇ) without overflow.
pub(super) fn ln_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + ln1p(libm::exp(low - high))
}

/// Returns ln(1 + eˣ) without overflow, exact where eˣ is tiny.
pub(super) fn ln_one_plus_exp(x: f64) -> f64 {
    if x > 0.0 {
        x + ln1p(libm::exp(-x))
    } else {
        ln1p(libm::exp(x))
    }
}

/// Returns ln(eˣ − 1) for x > 0 without overflow.
pub(super) fn ln_expm1(x: f64) -> f64 {
    if x > LN_2 {
        x + ln1p(-libm::exp(-x))
    } else {
        ln(expm1(x))
    }
}

/// Returns the logarithm of the normal distribution's lower tail, ln Φ(x), also where Φ underflows.
pub(super) fn ln_normal_cdf(x: f64) -> f64 {
    ln_erfc(-x * FRAC_1_SQRT_2) - LN_2
}

/// Returns ln(erfc(x)), also where erfc underflows (x > 26.5).
///
/// From 8 on by the asymptotic series (Abramowitz and Stegun 7.1.23), whose smallest term there is below 10⁻²⁷.
pub(super) fn ln_erfc(x: f64) -> f64 {
    if x < 8.0 {
        return ln(libm::erfc(x));
    }
    let step = 1.0 / (2.0 * x * x);
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 0..20 {
        term *= -f64::from(2 * n + 1) * step;
        sum += term;
    }
    -x * x - ln(x) - 0.5 * ln(PI) + ln(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values: mpmath 1.4, 40 digits.
    #[test]
    fn the_logarithm_of_erfc_is_exact_in_both_tails() {
        for (x, expected) in [
            (-10.0, LN_2),
            (-0.5, 0.419_039_147_775_559_6),
            (0.0, 0.0),
            (1.0, -1.849_605_509_933_248_2),
            (7.999, -66.643_349_844_276_13),
            (8.0, -66.659_471_970_805_16),
            (30.0, -903.974_117_110_643_9),
            (1000.0, -1_000_007.480_120_722),
        ] {
            let got = ln_erfc(x);
            assert!(
                (got - expected).abs() <= 4e-15 * expected.abs().max(1.0),
                "{x}: {got} is not {expected}"
            );
        }
    }

    #[test]
    fn sums_in_log_space_neither_overflow_nor_lose_the_small() {
        assert_eq!(ln_add(f64::NEG_INFINITY, -3.0), -3.0);
        assert_eq!(ln_add(1e5, 1e5), 1e5 + LN_2);
        assert_eq!(ln_one_plus_exp(1e5), 1e5);
        assert_eq!(ln_one_plus_exp(-50.0), libm::exp(-50.0));
        assert_eq!(ln_expm1(1e5), 1e5);
        assert!((ln_expm1(1e-20) - ln(1e-20)).abs() < 1e-12);
        // Φ(−40), mpmath 1.4.
        assert!((ln_normal_cdf(-40.0) + 804.608_442_013_753_8).abs() < 1e-9);
    }
}
