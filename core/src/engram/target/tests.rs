use alloc::vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|n| libm::sinf(n as f32 * 1.7) * libm::cosf(n as f32 * 0.13))
        .collect()
}

fn tensor(values: &[f32]) -> Tensor<'_> {
    Tensor {
        values,
        columns: 50,
        finer: 0,
    }
}

#[test]
fn a_target_in_bits_is_met_and_nearly_used_up() {
    let values = values(20_000);
    for bits in [0.3, 1.0, 2.5] {
        let reached = in_bits(&[tensor(&values)], &Settings::new(1.0), bits).unwrap();
        assert_eq!(
            reached.measured,
            reached.bytes.len() as f64 * 8.0 / 20_000.0
        );
        assert!(
            (0.85 * bits..=bits).contains(&reached.measured),
            "{} of {bits}",
            reached.measured
        );
    }
}

#[test]
fn a_target_in_decibels_is_met_and_hardly_passed() {
    let values = values(20_000);
    for decibels in [3.0, 10.0, 20.0] {
        let reached = in_decibels(&[tensor(&values)], &Settings::new(1.0), decibels).unwrap();
        assert!(
            (decibels..decibels + 0.7).contains(&reached.measured),
            "{} for {decibels}",
            reached.measured
        );
    }
}

#[test]
fn a_target_in_loss_is_met_with_the_coarsest_steps() {
    let values = values(5000);
    let loss = |decoded: &[Vec<f32>]| {
        let away = decoded[0]
            .iter()
            .zip(&values)
            .map(|(a, b)| f64::from(a - b).powi(2));
        away.sum::<f64>() / 5000.0
    };
    let strict = in_loss(&[tensor(&values)], &Settings::new(1.0), 0.002, loss).unwrap();
    let mild = in_loss(&[tensor(&values)], &Settings::new(1.0), 0.02, loss).unwrap();
    assert!(strict.measured <= 0.002 && mild.measured <= 0.02);
    assert!(
        mild.bytes.len() * 3 < strict.bytes.len() * 2,
        "{} {}",
        mild.bytes.len(),
        strict.bytes.len()
    );
}

#[test]
fn a_target_that_no_step_reaches_ends_with_the_finest() {
    let values = values(500);
    let reached = in_loss(&[tensor(&values)], &Settings::new(1.0), 1.0, |_| f64::NAN).unwrap();
    assert!(reached.measured.is_nan());
    assert!(reached.settings.step < deviation(&[tensor(&values)]) / 60.0);
    assert!(in_bits(&[], &Settings::new(1.0), 1.0).is_ok());
    let nan = [f32::NAN; 50];
    assert!(in_bits(&[tensor(&nan)], &Settings::new(1.0), 1.0).is_err());
}

#[test]
fn tensors_that_the_loss_feels_more_get_finer_steps() {
    let (much, usual, few) = (values(1000), values(9000), values(10));
    let few = Tensor {
        columns: 10,
        ..tensor(&few)
    };
    let given = [tensor(&much), tensor(&usual), few];
    let curve = |decoded: &[Vec<f32>]| {
        let away = |place: usize| {
            let pairs = decoded[place].iter().zip(given[place].values);
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        16.0 * away(0) + away(1)
    };
    let finer = sensitivities(
        &given,
        &Trial::DELTA,
        &mut ChaCha20Rng::from_seed([3; 32]),
        curve,
    )
    .unwrap();
    assert_eq!(finer, vec![4, 0, SMALL]);
    let flat = sensitivities(
        &given,
        &Trial::DELTA,
        &mut ChaCha20Rng::from_seed([3; 32]),
        |_| 1.0,
    )
    .unwrap();
    assert_eq!(flat, vec![0, 0, SMALL]);
    let bad = [f32::NAN; 50];
    assert!(
        sensitivities(
            &[tensor(&bad)],
            &Trial::DELTA,
            &mut ChaCha20Rng::from_seed([3; 32]),
            |_| 0.0
        )
        .is_err()
    );
}
