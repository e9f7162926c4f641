use alloc::string::ToString;

use super::*;

fn epsilon(noise: f64, rate: f64, steps: u64) -> f64 {
    let cost = Cost::of_gaussian(noise, rate).unwrap();
    cost.times(steps).epsilon(1e-5).unwrap()
}

/// Values: dp-accounting 0.6.0, as issue 3 quotes them.
#[test]
fn three_well_known_trainings_cost_what_is_published() {
    for (noise, rate, steps, published) in [
        (1.0, 0.01, 1000, 2.1014),
        (2.0, 0.1, 200, 3.6797),
        (4.0, 1.0, 100, 14.1322),
    ] {
        let ours = epsilon(noise, rate, steps);
        assert!(
            (ours - published).abs() < 5e-5,
            "{noise} {rate} {steps}: {ours}"
        );
    }
}

/// One line of `golden.csv`: noise multiplier, sampling rate, steps, δ, ε by dp-accounting, ε by opacus.
fn golden() -> impl Iterator<Item = [f64; 6]> {
    include_str!("golden.csv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split(',').map(|field| field.parse().unwrap());
            core::array::from_fn(|_| fields.next().unwrap())
        })
}

/// Returns how far `ours` is from `published`, as a share; below 0.001 both say "nothing".
fn off(ours: f64, published: f64) -> f64 {
    (ours - published).abs() / published.max(1e-3)
}

/// The ε from which dp-accounting, which drops the signs of the fractional series, is no measure: `docs/accountant.py`.
const DISPUTED_FROM: f64 = 15.0;

#[test]
fn the_accountant_agrees_with_dp_accounting_and_opacus_within_one_percent() {
    let (mut by_dp_accounting, mut by_opacus) = (0, 0);
    let mut curve: Option<([f64; 2], Cost)> = None;
    for [noise, rate, steps, delta, dp_accounting, opacus] in golden() {
        let cost = match curve.take() {
            Some((at, cost)) if at == [noise, rate] => cost,
            _ => Cost::of_gaussian(noise, rate).unwrap(),
        };
        let ours = cost.times(steps as u64).epsilon(delta).unwrap();
        curve = Some(([noise, rate], cost));
        let at = alloc::format!("σ {noise}, q {rate}, {steps} steps, δ {delta}: {ours}");
        if dp_accounting <= DISPUTED_FROM {
            assert!(off(ours, dp_accounting) < 0.01, "{at}, not {dp_accounting}");
            by_dp_accounting += 1;
        }
        assert!(
            ours <= dp_accounting * (1.0 + 1e-9),
            "{at}, not {dp_accounting}"
        );
        // Opacus has no bound by total variation, with which tiny divergences cost nothing.
        if ours > 0.0 {
            assert!(off(ours, opacus) < 0.01, "{at}, not {opacus}");
            by_opacus += 1;
        }
    }
    assert!(by_dp_accounting >= 400, "only {by_dp_accounting} lines");
    assert!(by_opacus >= 400, "only {by_opacus} lines");
}

/// The disputed case: σ 0.5, q 0.01. Values: numerical integration with mpmath, `docs/accountant.py integrate`.
#[test]
fn moments_at_fractional_orders_are_those_of_numerical_integration() {
    let cost = Cost::of_gaussian(0.5, 0.01).unwrap();
    for (order, log_moment) in INTEGRATED {
        let index = ORDERS.iter().position(|at| at == order).unwrap();
        let ours = cost.0[index] * (order - 1.0);
        assert!(
            (ours / log_moment - 1.0).abs() < 1e-6,
            "{order}: {ours}, not {log_moment}"
        );
    }
}

const INTEGRATED: &[(f64, f64)] = &[
    (1.1, 0.000_155_199_239_522_932_6),
    (1.5, 0.001_314_945_604_080_634_3),
    (1.6, 0.001_800_390_443_061_106_5),
    (1.9, 0.004_117_076_846_931_983),
];

#[test]
fn whole_data_costs_the_divergence_of_two_gaussians() {
    let cost = Cost::of_gaussian(2.0, 1.0).unwrap();
    for (order, divergence) in ORDERS.iter().zip(cost.divergences()) {
        assert_eq!(*divergence, order / 8.0);
    }
}

#[test]
fn a_sampling_rate_of_nearly_one_costs_nearly_as_much_as_the_whole_data() {
    let whole = epsilon(1.5, 1.0, 10);
    let nearly = epsilon(1.5, 0.999_999, 10);
    assert!(
        nearly <= whole && nearly > whole * 0.999,
        "{nearly} {whole}"
    );
}

#[test]
fn more_steps_more_data_and_less_noise_cost_more() {
    let base = epsilon(1.0, 0.01, 1000);
    assert!(epsilon(1.0, 0.01, 1001) > base);
    assert!(epsilon(1.0, 0.011, 1000) > base);
    assert!(epsilon(0.99, 0.01, 1000) > base);
    assert_eq!(epsilon(1.0, 0.0, 1000), 0.0);
}

#[test]
fn divergences_grow_with_the_order_and_stay_below_those_of_the_whole_data() {
    for (noise, rate) in [
        (0.5, 0.3),
        (1.0, 0.01),
        (4.0, 0.5),
        (20.0, 1e-6),
        (1.0, 0.9),
    ] {
        let cost = Cost::of_gaussian(noise, rate).unwrap();
        let whole = Cost::of_gaussian(noise, 1.0).unwrap();
        let pairs = cost.0.windows(2).zip(&whole.0[1..]).zip(&ORDERS[1..]);
        for ((pair, whole), order) in pairs {
            assert!(
                pair[0] <= pair[1] * (1.0 + 1e-9) + 1e-13 && pair[1] <= *whole,
                "σ {noise}, q {rate}, order {order}: {pair:?}"
            );
        }
    }
}

/// At α = 2 the moment has a closed form: 1 + q²(exp(1/σ²) − 1).
#[test]
fn a_tiny_rate_loses_no_digits() {
    let cost = Cost::of_gaussian(1.0, 1e-9).unwrap();
    let at_two = ORDERS.iter().position(|order| *order == 2.0).unwrap();
    let exact = 1e-18 * libm::expm1(1.0);
    assert!((cost.0[at_two] / exact - 1.0).abs() < 1e-12);
}

#[test]
fn delta_and_epsilon_are_each_others_inverse() {
    let cost = Cost::of_gaussian(1.1, 0.02).unwrap().times(2000);
    let epsilon = cost.epsilon(1e-6).unwrap();
    let delta = cost.delta(epsilon).unwrap();
    assert!((delta / 1e-6 - 1.0).abs() < 1e-9, "{delta}");
    assert_eq!(Cost::ZERO.epsilon(1e-9), Ok(0.0));
    assert_eq!(Cost::ZERO.delta(0.0), Ok(0.0));
}

#[test]
fn the_noise_for_a_budget_keeps_it_and_little_less_would_not() {
    let noise = noise_multiplier_for(8.0, 1e-5, 1.0, 60).unwrap();
    assert!(epsilon(noise, 1.0, 60) <= 8.0);
    assert!(epsilon(noise * 0.998, 1.0, 60) > 8.0);
    let error = noise_multiplier_for(1e-9, 1e-5, 1.0, u64::MAX).unwrap_err();
    assert!(matches!(error, AccountantError::Unreachable { .. }));
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    for noise in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Cost::of_gaussian(noise, 0.5).is_err(), "{noise}");
    }
    for rate in [-0.1, 1.1, f64::NAN] {
        assert!(Cost::of_gaussian(1.0, rate).is_err(), "{rate}");
    }
    for delta in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(Cost::ZERO.epsilon(delta).is_err(), "{delta}");
    }
    for epsilon in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Cost::ZERO.delta(epsilon).is_err(), "{epsilon}");
    }
    assert_eq!(
        Cost::of_gaussian(-1.0, 1.0).unwrap_err().to_string(),
        "noise multiplier must be > 0 and finite, got -1"
    );
}

#[test]
fn extreme_parameters_neither_panic_nor_give_nonsense() {
    for noise in [1e-3, 0.1, 1e3, 1e150] {
        for rate in [f64::MIN_POSITIVE, 1e-12, 0.5, 1.0 - 1e-16] {
            let cost = Cost::of_gaussian(noise, rate).unwrap().times(u64::MAX);
            let epsilon = cost.epsilon(1e-5).unwrap();
            assert!(epsilon >= 0.0, "σ {noise}, q {rate}: {epsilon}");
        }
    }
}
