use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn samples(sigma: u64, count: usize, seed: u64) -> Vec<i64> {
    let (noise, mut rng) = (DiscreteGaussian::new(sigma).unwrap(), rng(seed));
    (0..count)
        .map(|_| noise.sample(&mut rng).unwrap())
        .collect()
}

/// Returns the Kolmogorov–Smirnov distance of `samples` to N_ℤ(0, σ²): the greatest difference of the two distribution
/// functions, over every integer that was drawn and the one before it.
fn distance(samples: &[i64], sigma: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let cdf = cdf(sigma);
    let count = sorted.len() as f64;
    let mut worst = 0.0f64;
    for run in sorted.chunk_by(|a, b| a == b) {
        let value = run[0];
        let up_to = sorted.partition_point(|sample| *sample <= value) as f64 / count;
        let before = up_to - run.len() as f64 / count;
        worst = worst
            .max((up_to - cdf(value)).abs())
            .max((before - cdf(value - 1)).abs());
    }
    worst
}

/// The distribution function of N_ℤ(0, σ²): summed for σ below 100. Above, a sum and the integral differ by less than
/// 10⁻¹⁶ (Poisson summation), with the half step between an integer and the next.
fn cdf(sigma: f64) -> alloc::boxed::Box<dyn Fn(i64) -> f64> {
    if sigma >= 100.0 {
        return alloc::boxed::Box::new(move |x| {
            0.5 * libm::erfc(-(x as f64 + 0.5) / (sigma * core::f64::consts::SQRT_2))
        });
    }
    let end = (40.0 * sigma) as i64;
    let weight = move |x: i64| libm::exp(-((x * x) as f64) / (2.0 * sigma * sigma));
    let total: f64 = (-end..=end).map(weight).sum();
    alloc::boxed::Box::new(move |x| (-end..=x.min(end)).map(weight).sum::<f64>() / total)
}

/// The distance that a true sample exceeds once in a thousand. For a discrete distribution it is exceeded less often
/// still (Conover 1972), so this test is never too strict.
fn critical(count: usize) -> f64 {
    1.949 / (count as f64).sqrt()
}

#[test]
fn noise_passes_kolmogorov_smirnov_at_its_sigma() {
    for (sigma, seed) in [
        (1, 1),
        (2, 2),
        (7, 3),
        (1000, 4),
        (1 << 20, 5),
        (MAX_SIGMA, 6),
    ] {
        let samples = samples(sigma, COUNT, seed);
        let distance = distance(&samples, sigma as f64);
        assert!(distance < critical(COUNT), "σ {sigma}: {distance}");
    }
}

#[test]
fn the_same_test_notices_a_sigma_that_is_three_percent_off() {
    let samples = samples(1 << 20, COUNT, 5);
    for factor in [0.97, 1.03] {
        let distance = distance(&samples, factor * f64::from(1 << 20));
        assert!(distance > critical(COUNT), "{factor}: {distance}");
    }
}

#[test]
fn the_same_test_tells_the_discrete_gaussian_from_a_rounded_one_where_they_differ() {
    // Rounding N(0, 1) gives 0 with probability 0.383.
    let samples = samples(1, COUNT, 1);
    let zeros = samples.iter().filter(|sample| **sample == 0).count() as f64 / COUNT as f64;
    // 1 / Σ exp(−x²/2).
    assert!((zeros - 0.398_942_28).abs() < 0.006, "{zeros}");
    assert!(distance(&samples, 0.9) > critical(COUNT));
}

#[test]
fn mean_and_variance_are_those_of_the_distribution() {
    let sigma = 1u64 << 24;
    let samples = samples(sigma, COUNT, 9);
    let count = COUNT as f64;
    let unit = |sample: &i64| *sample as f64 / sigma as f64;
    let mean = samples.iter().map(unit).sum::<f64>() / count;
    let variance = samples.iter().map(|s| unit(s) * unit(s)).sum::<f64>() / count;
    assert!(mean.abs() < 4.0 / count.sqrt(), "{mean}");
    assert!(
        (variance - 1.0).abs() < 4.0 * (2.0 / count).sqrt(),
        "{variance}"
    );
}

#[test]
fn a_yes_comes_with_probability_exp_of_minus_gamma() {
    let mut rng = rng(11);
    for (above, below) in [
        (0u128, 1),
        (1, 2),
        (1, 1),
        (5, 3),
        (3 << 63, 1 << 63),
        (3, 1 << 62),
    ] {
        let gamma = above as f64 / below as f64;
        let yes = (0..COUNT)
            .filter(|_| is_exp_minus(above, below, &mut rng).unwrap())
            .count();
        let (share, expected) = (yes as f64 / COUNT as f64, (-gamma).exp());
        assert!(
            (share - expected).abs() < 4.0 * 0.5 / (COUNT as f64).sqrt(),
            "{gamma}: {share}"
        );
    }
}

#[test]
fn uniform_numbers_are_uniform_at_awkward_bounds() {
    let mut rng = rng(12);
    for bound in [1, 2, 3, 10, (1 << 31) + 1, (1 << 32) + 1, (1 << 63) + 1] {
        let mut thirds = [0u32; 3];
        for _ in 0..COUNT {
            let drawn = below(bound, &mut rng).unwrap();
            assert!(drawn < bound);
            thirds[(u128::from(drawn) * 3 / u128::from(bound)) as usize] += 1;
        }
        if bound >= 1 << 31 || bound == 3 {
            for third in thirds {
                let share = f64::from(third) / COUNT as f64;
                assert!((share - 1.0 / 3.0).abs() < 0.006, "{bound}: {thirds:?}");
            }
        }
    }
}

/// Golden samples: a tab and a server draw the same noise from the same seed.
#[test]
fn the_same_seed_gives_the_same_noise_on_every_target() {
    assert_eq!(
        samples(1 << 20, 4, 2026),
        [-524_622, 110_870, -574_350, -2_315_229]
    );
}

#[test]
fn a_broken_generator_is_noticed_instead_of_waited_for() {
    struct Stuck(u64);
    impl RngCore for Stuck {
        fn next_u32(&mut self) -> u32 {
            self.0 as u32
        }
        fn next_u64(&mut self) -> u64 {
            self.0
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0 as u8);
        }
    }
    impl CryptoRng for Stuck {}
    let noise = DiscreteGaussian::new(1 << 20).unwrap();
    assert_eq!(noise.sample(&mut Stuck(0)), None);
    assert_eq!(noise.sample(&mut Stuck(1)), None);
}

#[test]
fn a_sigma_out_of_range_is_no_distribution() {
    assert_eq!(DiscreteGaussian::new(0), None);
    assert_eq!(DiscreteGaussian::new(MAX_SIGMA + 1), None);
    assert!(samples(MAX_SIGMA, 100, 1).iter().any(|s| *s != 0));
}

/// Samples of a statistical test.
const COUNT: usize = 100_000;
