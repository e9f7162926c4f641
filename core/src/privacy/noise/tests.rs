use alloc::vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::ledger::{Budget, Ledger};
use super::*;
use crate::digest::Digest;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn norm(norm: f64) -> ClipNorm {
    ClipNorm::new(norm).unwrap()
}

fn grant(noise_multiplier: f64, steps: u64) -> Grant {
    let budget = Budget {
        epsilon: 1e6,
        delta: 1e-5,
    };
    let mut ledger = Ledger::new(Digest::sha256(b"test"), budget).unwrap();
    let mechanism = plan(noise_multiplier, Neighbours::Absent, 1.0).unwrap();
    ledger.reserve(mechanism, steps).unwrap().stored()
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    libm::sqrt(values.map(|value| value * value).sum())
}

#[test]
fn an_update_past_the_norm_is_shortened_and_keeps_its_direction() {
    let clipped = Clipped::new(&[3.0, -4.0], norm(1.0)).unwrap();
    let steps = STEPS_PER_NORM as f64;
    let [x, y] = [
        clipped.steps[0] as f64 / steps,
        clipped.steps[1] as f64 / steps,
    ];
    assert!((x - 0.6).abs() < 2e-6 && (y + 0.8).abs() < 2e-6, "{x} {y}");
}

#[test]
fn an_update_within_the_norm_keeps_its_length() {
    let clipped = Clipped::new(&[0.25, -0.5, 0.0], norm(1.0)).unwrap();
    let quarter = i64::try_from(STEPS_PER_NORM / 4).unwrap();
    assert_eq!(clipped.steps, [quarter, -2 * quarter, 0]);
}

#[test]
fn a_zero_update_becomes_pure_noise() {
    let clipped = Clipped::new(&[0.0; 100], norm(1.0)).unwrap();
    let noised = clipped.noise(&mut grant(1.0, 1), &mut rng()).unwrap();
    let spread = length(noised.values().iter().map(|v| f64::from(*v))) / 10.0;
    assert!((0.7..1.3).contains(&spread), "{spread}");
    assert_eq!(noised.standard_deviation(), 1.0);
    assert_eq!(Clipped::new(&[], norm(1.0)).unwrap().steps, [0; 0]);
}

#[test]
fn noise_does_not_depend_on_what_it_hides() {
    let hidden = |value: f32| {
        let clipped = Clipped::new(&[value; 64], norm(1e3)).unwrap();
        let noised = clipped.noise(&mut grant(2.0, 1), &mut rng()).unwrap();
        noised.into_values()
    };
    let step = 1e3 / STEPS_PER_NORM as f32;
    for (with, without) in hidden(0.5).iter().zip(hidden(0.0)) {
        assert!((with - without - 0.5).abs() <= step);
    }
}

#[test]
fn nan_and_infinities_are_refused_with_their_place() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = Clipped::new(&[0.0, 1.0, bad], norm(1.0)).unwrap_err();
        assert_eq!(error, NoiseError::NotFinite { index: 2 });
    }
}

#[test]
fn the_largest_the_smallest_and_subnormal_numbers_are_clipped_alike() {
    let smallest = f32::from_bits(1);
    for update in [
        vec![f32::MAX; 1000],
        vec![smallest; 1000],
        vec![f32::MIN, smallest],
    ] {
        for clip_norm in [1e-30, 1.0, 1e30] {
            let clipped = Clipped::new(&update, norm(clip_norm)).unwrap();
            assert!(is_within(&clipped.steps, STEPS_PER_NORM));
            let noised = clipped.noise(&mut grant(1000.0, 1), &mut rng()).unwrap();
            assert!(noised.values().iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn norms_and_multipliers_out_of_range_are_refused() {
    for bad in [0.0, -1.0, 1e-31, 1e31, f64::NAN, f64::INFINITY] {
        assert!(ClipNorm::new(bad).is_err(), "{bad}");
    }
    for bad in [0.0, -1.0, 2049.0, f64::NAN, f64::INFINITY] {
        let error = plan(bad, Neighbours::Absent, 1.0).unwrap_err();
        assert!(matches!(error, NoiseError::Multiplier { .. }), "{bad}");
    }
    assert_eq!(
        plan(1.0, Neighbours::Replaced, 0.5),
        Err(NoiseError::Sampled { sampling_rate: 0.5 })
    );
    assert!(matches!(
        plan(1.0, Neighbours::Absent, 1.5),
        Err(NoiseError::Ledger(_))
    ));
}

#[test]
fn replacement_takes_twice_the_noise_of_absence() {
    let absent = plan(1.5, Neighbours::Absent, 1.0).unwrap();
    let replaced = plan(1.5, Neighbours::Replaced, 1.0).unwrap();
    assert_eq!(replaced.sigma(), 2 * absent.sigma());
    assert_eq!(replaced.noise_multiplier(), absent.noise_multiplier());
}

#[test]
fn a_grant_without_steps_or_for_another_grid_draws_no_noise() {
    let clipped = Clipped::new(&[1.0], norm(1.0)).unwrap();
    let mut grant = grant(1.0, 1);
    assert!(clipped.clone().noise(&mut grant, &mut rng()).is_ok());
    let error = clipped.clone().noise(&mut grant, &mut rng()).unwrap_err();
    assert_eq!(error, NoiseError::NoGrant);

    let mut ledger = Ledger::new(Digest::sha256(b"test"), Budget::default()).unwrap();
    let coarse = Mechanism::new(10, 1, 1.0).unwrap();
    let mut grant = ledger.reserve(coarse, 1).unwrap().stored();
    let error = clipped.noise(&mut grant, &mut rng()).unwrap_err();
    assert!(matches!(error, NoiseError::Sensitivity { got: 1, .. }));
    assert_eq!(grant.steps_left(), 1);
}

#[test]
fn joined_contributions_add_up_exactly_and_only_their_like() {
    let mut sum = Clipped::new(&[0.5, 0.0], norm(1.0)).unwrap();
    sum.join(&Clipped::new(&[0.25, -5.0], norm(1.0)).unwrap())
        .unwrap();
    assert_eq!(sum.contributions(), 2);
    assert!(sum.steps[1] < -1_047_000);
    for other in [
        Clipped::new(&[0.5], norm(1.0)).unwrap(),
        Clipped::new(&[0.5, 0.5], norm(2.0)).unwrap(),
    ] {
        assert!(matches!(sum.join(&other), Err(NoiseError::Mismatch { .. })));
    }
}

#[test]
fn the_largest_numbers_survive_sparsification() {
    let noised = Noised {
        values: vec![1.0, -3.0, 2.0, -2.0, 0.0],
        norm: norm(1.0),
        mechanism: plan(1.0, Neighbours::Absent, 1.0).unwrap(),
    };
    let sparse = noised.clone().keep_largest(2);
    assert_eq!(sparse.kept(), [(1, -3.0), (2, 2.0)]);
    assert_eq!(sparse.to_dense(), [0.0, -3.0, 2.0, 0.0, 0.0]);
    assert_eq!(noised.clone().keep_largest(99).to_dense(), noised.values());
    assert_eq!(noised.keep_largest(0).kept(), []);
}

proptest! {
    #[test]
    fn no_update_is_longer_than_the_norm_on_the_grid(
        update in proptest::collection::vec(proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL, 0..300),
        exponent in -30.0f64..30.0,
    ) {
        let clipped = Clipped::new(&update, norm(libm::pow(10.0, exponent))).unwrap();
        prop_assert!(is_within(&clipped.steps, STEPS_PER_NORM));
    }

    /// A vector just at the norm, where floats could tip over.
    #[test]
    fn rounding_moves_no_update_out_of_the_ball(
        update in proptest::collection::vec(-1.0f32..1.0, 1..2000),
        stretch in 0.999_999f64..1.000_001,
    ) {
        let length = length(update.iter().map(|v| f64::from(*v))).max(1e-20);
        let clipped = Clipped::new(&update, norm(length * stretch)).unwrap();
        prop_assert!(is_within(&clipped.steps, STEPS_PER_NORM));
        let kept = length_of(&clipped.steps) / STEPS_PER_NORM as f64;
        prop_assert!(update.iter().all(|v| *v == 0.0) || kept > 0.9999, "{kept}");
    }
}

fn length_of(steps: &[i64]) -> f64 {
    length(steps.iter().map(|step| *step as f64))
}
