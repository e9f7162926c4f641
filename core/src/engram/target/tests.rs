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

#[test]
fn a_tensor_that_makes_the_loss_no_number_gets_the_finest_steps() {
    let (breaks, counts, too) = (values(1000), values(1050), values(1100));
    let given = [tensor(&breaks), tensor(&counts), tensor(&too)];
    let finer = |breaking: f64, weight: f64| {
        let curve = |decoded: &[Vec<f32>]| {
            if decoded[0] != breaks {
                return breaking;
            }
            let others = decoded[1..].iter().zip(&given[1..]);
            let away = others.flat_map(|(decoded, given)| decoded.iter().zip(given.values));
            away.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() * weight
        };
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        sensitivities(&given, &Trial::DELTA, &mut rng, curve).unwrap()
    };
    assert_eq!(finer(f64::INFINITY, 1.0), [24, 0, 0]);
    assert_eq!(finer(f64::NAN, 1.0), [24, 0, 0]);
    // Beside tensors that the loss does not feel at all, too.
    assert_eq!(finer(f64::NAN, 0.0), [24, 0, 0]);
    // And where none is better than another.
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let flat = sensitivities(&given, &Trial::DELTA, &mut rng, |_| f64::NAN);
    assert_eq!(flat, Ok(vec![0, 0, 0]));
}

#[test]
fn steps_that_numbers_are_too_far_away_for_do_not_end_the_search() {
    let (many, mut few) = (values(20_000), values(1000));
    few[0] = 100.0;
    // A tensor of which one number is far out, in steps 64 times finer than the others'.
    let given = [
        tensor(&many),
        Tensor {
            finer: 24,
            ..tensor(&few)
        },
    ];
    assert!(matches!(
        encode(&given, &Settings::new(deviation(&given) / 64.0)),
        Err(LossyError::Far { tensor: 1, .. })
    ));
    let reached = in_bits(&given, &Settings::new(1.0), 9.0).unwrap();
    assert!(reached.measured <= 9.0, "{}", reached.measured);
    // The finest that can be written is not fine enough.
    let reached = in_decibels(&given, &Settings::new(1.0), 200.0).unwrap();
    assert!(
        (30.0..200.0).contains(&reached.measured),
        "{}",
        reached.measured
    );
    few[0] = 1e9;
    let given = [Tensor {
        finer: 100,
        ..tensor(&few)
    }];
    let none = in_bits(&given, &Settings::new(1.0), 8.0);
    assert!(matches!(none, Err(LossyError::Far { .. })), "{none:?}");
}

#[test]
fn numbers_at_the_ends_of_what_singles_hold_have_steps_too() {
    for (size, least) in [(5e-37, 10.0), (1e37, 20.0), (3e38, 20.0)] {
        let values: Vec<f32> = values(2000).iter().map(|value| value * size).collect();
        let reached = in_decibels(&[tensor(&values)], &Settings::new(1.0), least).unwrap();
        assert!(
            (least..least + 3.0).contains(&reached.measured),
            "{} for {size}",
            reached.measured
        );
    }
    let nothing: Vec<f32> = values(2000).iter().map(|value| value * 1e-39).collect();
    let reached = in_bits(&[tensor(&nothing)], &Settings::new(1.0), 2.0).unwrap();
    assert_eq!(reached.bytes.len(), 3);
}
