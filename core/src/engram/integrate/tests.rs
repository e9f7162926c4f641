use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::collection::vec as several;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::resolve::{Contribution, MAX_CONTRIBUTIONS, MAX_VALUE, slerp};
use super::*;

const SHAPE: &[usize] = &[2, 2];

fn tensor<'a>(name: &'a str, values: &'a [f32]) -> Tensor<'a> {
    Tensor {
        name,
        shape: SHAPE,
        values,
    }
}

fn begin(config: Config, delta: &[f32]) -> Integration {
    // A negative zero, a subnormal and numbers that adding and subtracting does not give back.
    let model = [-0.0, 1e-40, 0.1, 1e7];
    Integration::new(
        config,
        [7; 32],
        &[tensor("a", &model)],
        &[tensor("a", delta)],
        None,
    )
    .unwrap()
}

fn bits(integration: &Integration) -> Vec<u32> {
    let tensors = integration.model();
    tensors
        .flat_map(|t| t.values.to_vec())
        .map(f32::to_bits)
        .collect()
}

fn events(integration: &Integration) -> Vec<Event> {
    integration
        .trail()
        .0
        .map(|entry| entry.event.clone())
        .collect()
}

const DELTA: [f32; 4] = [0.3, 1e-3, -0.7, 0.1];

#[test]
fn what_helps_is_let_in_share_by_share_until_all_of_it_is() {
    let mut integration = begin(Config::default(), &DELTA);
    let shadow = integration.shadow();
    let assessment = integration.proxy(&[]).with_measured(0.5, 0.9);
    assert_eq!(integration.assess(assessment), Ok(Step::Blend));
    let mut alphas = Vec::new();
    while integration.step() == Step::Blend {
        alphas.push(integration.alpha());
        integration
            .measured(0.5 + 0.4 * integration.alpha())
            .unwrap();
    }
    assert_eq!(alphas, [0.125, 0.25, 0.5, 1.0]);
    assert_eq!(
        (integration.step(), integration.alpha()),
        (Step::Monitor, 1.0)
    );
    let model: Vec<f32> = integration
        .model()
        .flat_map(|t| t.values.to_vec())
        .collect();
    assert_eq!(model, shadow);
    assert!(matches!(
        events(&integration)[0],
        Event::Validated { parameters: 4 }
    ));
    assert!(matches!(events(&integration)[1], Event::Assessed(_)));
    assert_eq!(
        events(&integration).last(),
        Some(&Event::Settled { alpha: 1.0 })
    );
    assert!(integration.trail().0.all(|entry| entry.source == [7; 32]));
}

#[test]
fn where_a_part_helps_and_the_whole_hurts_about_the_best_part_stays() {
    let mut integration = begin(
        Config {
            most_loss: 0.3,
            ..Config::default()
        },
        &DELTA,
    );
    let metric = |alpha: f32| 0.8 - (alpha - 0.4) * (alpha - 0.4);
    let assessment = integration
        .proxy(&[])
        .with_measured(metric(0.0), metric(1.0));
    integration.assess(assessment).unwrap();
    for _ in 0..20 {
        integration.measured(metric(integration.alpha())).unwrap();
    }
    assert_eq!(integration.step(), Step::Monitor);
    assert!(
        (0.25..=0.55).contains(&integration.alpha()),
        "{}",
        integration.alpha()
    );
}

#[test]
fn a_fall_past_the_bound_rolls_back_to_identical_bits_at_every_step() {
    let before = bits(&begin(Config::default(), &DELTA));
    // On the shadow, at the first share, at a later one, and while it is watched.
    for falls_at in 0..8 {
        let mut integration = begin(Config::default(), &DELTA);
        let metric = |at: i32| if at >= falls_at { 0.1 } else { 0.9 };
        let assessment = integration.proxy(&[]).with_measured(0.8, metric(0));
        integration.assess(assessment).unwrap();
        for at in 1.. {
            if integration.step() == Step::RolledBack {
                break;
            }
            integration.measured(metric(at)).unwrap();
        }
        assert_eq!(bits(&integration), before, "{falls_at}");
        assert_eq!(integration.alpha(), 0.0);
        assert_eq!(
            events(&integration).last(),
            Some(&Event::RolledBack { metric: Some(0.1) })
        );
        let error = integration.measured(0.9).unwrap_err();
        assert_eq!(
            error.to_string(),
            "integration is at step RolledBack, this needs Blend"
        );
    }
}

#[test]
fn undo_gives_identical_bits_back_at_any_time_and_twice_is_once() {
    let before = bits(&begin(Config::default(), &DELTA));
    for steps in 0..8 {
        let mut integration = begin(Config::default(), &DELTA);
        if steps > 0 {
            let assessment = integration.proxy(&[]).with_measured(0.5, 0.6);
            integration.assess(assessment).unwrap();
            assert_ne!(bits(&integration), before);
        }
        for _ in 1..steps {
            integration.measured(0.6).unwrap();
        }
        integration.undo();
        integration.undo();
        assert_eq!(bits(&integration), before, "{steps}");
        let undone = events(&integration);
        let rolled = undone
            .iter()
            .filter(|e| matches!(e, Event::RolledBack { metric: None }));
        assert_eq!(rolled.count(), 1);
    }
}

#[test]
fn without_data_size_and_direction_decide() {
    let mut integration = begin(Config::default(), &[0.0, 0.0, 0.0, 3e7]);
    let far = integration.proxy(&[]);
    assert!((far.relative_norm - 3.0).abs() < 1e-3 && far.cosine > 0.999);
    assert_eq!(integration.assess(far), Ok(Step::RolledBack));
    assert_eq!(events(&integration).last(), Some(&Event::Refused));
    let mut integration = begin(Config::default(), &DELTA);
    let against = DELTA.map(|d| -d);
    let proxy = integration.proxy(&against);
    assert!((proxy.relevance + 1.0).abs() < 1e-6);
    assert_eq!(integration.assess(proxy), Ok(Step::RolledBack));
    let mut integration = begin(Config::default(), &DELTA);
    let proxy = integration.proxy(&DELTA);
    assert_eq!(integration.assess(proxy), Ok(Step::Blend));
    // The first metric is the bound from then on.
    integration.measured(0.7).unwrap();
    assert_eq!(integration.measured(0.7), Ok(Step::Blend));
}

#[test]
fn what_is_no_number_is_refused_and_changes_nothing() {
    let mut integration = begin(Config::default(), &DELTA);
    let before = bits(&integration);
    let proxy = integration.proxy(&[]);
    for wrong in [f32::NAN, f32::INFINITY] {
        assert!(integration.assess(proxy.with_measured(0.5, wrong)).is_err());
        assert!(integration.measured(wrong).is_err());
    }
    assert!(integration.measured(0.5).is_err(), "not assessed yet");
    assert_eq!(
        (bits(&integration), integration.step()),
        (before, Step::Assess)
    );
}

#[test]
fn a_delta_that_does_not_fit_is_refused_by_name() {
    let model = [tensor("a", &[1.0; 4]), tensor("b", &[2.0; 4])];
    let refused = |delta: &[Tensor<'_>]| validate(&model, delta, 100).unwrap_err().to_string();
    assert_eq!(
        refused(&[tensor("c", &[0.0; 4])]),
        "the model has no tensor \"c\""
    );
    assert_eq!(
        refused(&[tensor("a", &[0.0; 4]), tensor("a", &[0.0; 4])]),
        "tensor \"a\" occurs more than once"
    );
    let flat = Tensor {
        name: "b",
        shape: &[4],
        values: &[0.0; 4],
    };
    assert_eq!(
        refused(&[flat]),
        "tensor \"b\" must have the shape [2, 2], got [4]"
    );
    assert_eq!(
        refused(&[tensor("b", &[0.0; 3])]),
        "tensor \"b\" of shape [2, 2] has 3 elements"
    );
    let huge = Tensor {
        name: "b",
        shape: &[usize::MAX, 2],
        values: &[],
    };
    assert!(refused(&[huge]).ends_with("has 0 elements"));
    assert_eq!(
        refused(&[tensor("b", &[0.0, f32::NAN, 0.0, 0.0])]),
        "element 1 of tensor \"b\" must be finite, got NaN"
    );
    assert_eq!(
        validate(&model, &[], 7).unwrap_err().to_string(),
        "parameters must be at most 7, got 8"
    );
    let twice = [tensor("a", &[1.0; 4]), tensor("a", &[2.0; 4])];
    assert!(validate(&twice, &[], 100).is_err());
    // In another order, and with one missing.
    let laid_out = validate(&model, &[tensor("b", &[5.0; 4])], 100).unwrap();
    assert_eq!(laid_out, [0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0]);
    // A tensor without dimensions is one number; one without elements is none.
    let scalar = Tensor {
        name: "s",
        shape: &[],
        values: &[3.0],
    };
    let empty = Tensor {
        name: "e",
        shape: &[0, 5],
        values: &[],
    };
    assert_eq!(
        validate(&[scalar, empty], &[empty, scalar], 100),
        Ok(vec![3.0])
    );
}

#[test]
fn a_delta_that_would_make_a_parameter_infinite_is_refused_by_name() {
    let (model, delta) = ([3e38, 1.0, 1.0, 1.0], [3e38, 0.0, 0.0, 0.0]);
    let integration = Integration::new(
        Config::default(),
        [0; 32],
        &[tensor("w", &model)],
        &[tensor("w", &delta)],
        None,
    );
    assert_eq!(
        integration.unwrap_err().to_string(),
        "element 0 of tensor \"w\" must stay finite, got 3e38 and a delta of 3e38"
    );
}

#[test]
fn the_shadow_has_the_bits_of_the_model_where_the_delta_says_nothing() {
    let mut integration = begin(Config::default(), &[0.0, 0.0, 1.0, -0.0]);
    let bits_of = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let shadow = integration.shadow();
    assert_eq!(bits_of(&shadow), bits_of(&[-0.0, 1e-40, 1.1, 1e7]));
    let assessment = integration.proxy(&[]).with_measured(0.5, 0.6);
    integration.assess(assessment).unwrap();
    while integration.step() == Step::Blend {
        integration.measured(0.6).unwrap();
    }
    assert_eq!(bits(&integration), bits_of(&shadow));
}

#[test]
fn the_trail_is_bounded_and_says_how_much_is_gone() {
    let config = Config {
        most_entries: 3,
        ..Config::default()
    };
    let mut integration = begin(config, &DELTA);
    let assessment = integration.proxy(&[]).with_measured(0.5, 0.6);
    integration.assess(assessment).unwrap();
    for _ in 0..6 {
        integration.measured(0.6).unwrap();
    }
    let (trail, dropped) = integration.trail();
    assert_eq!((trail.count(), dropped), (3, 4));
    let wrong = Config {
        growth: f32::NAN,
        ..Config::default()
    };
    let error = wrong.validate().unwrap_err().to_string();
    assert!(
        error.starts_with("integrate.growth must be within"),
        "{error}"
    );
}

fn contribution(id: u8, weight: u64, values: &[f32]) -> Contribution<'_> {
    Contribution {
        id: [id; 32],
        weight,
        values,
    }
}

#[test]
fn ties_lets_the_heavier_sign_win_and_drops_what_is_small() {
    let (a, b, c) = (
        [1.0, -4.0, 0.1, 2.0],
        [3.0, 1.0, 0.1, -2.0],
        [-2.0, -2.0, 0.1, 0.0],
    );
    let all = [
        contribution(1, 1, &a),
        contribution(2, 1, &b),
        contribution(3, 1, &c),
    ];
    let (values, disagreement) = resolve(Resolution::Ties { keep: 1.0 }, &all).unwrap();
    // Worked by hand: 4 up against 2 down; 6 down against 1 up; all up; even.
    assert_eq!(values, [2.0, -3.0, 0.1, 0.0]);
    assert_eq!(disagreement, 0.75);
    let (values, _) = resolve(Resolution::Ties { keep: 0.25 }, &all).unwrap();
    // Of each only the largest, of the third two alike.
    assert_eq!(values, [3.0, -3.0, 0.0, 0.0]);
}

#[test]
fn ties_keeps_no_more_than_the_share_for_all_that_singles_round() {
    let ten: Vec<f32> = (1..=10u8).map(f32::from).collect();
    for (count, keep, kept) in [
        (5, 0.2, 1),
        (10, 0.1, 1),
        (10, 0.3, 3),
        (10, 0.31, 4),
        (10, 1e-9, 1),
    ] {
        let one = [contribution(1, 1, &ten[..count])];
        let (values, _) = resolve(Resolution::Ties { keep }, &one).unwrap();
        let of = values.iter().filter(|value| **value != 0.0).count();
        assert_eq!(of, kept, "{keep} of {count}");
    }
}

#[test]
fn dare_keeps_the_sum_in_the_mean_and_drops_the_same_for_the_same_seed() {
    let ones = vec![1.0; 20_000];
    let how = |seed| Resolution::Dare { drop: 0.9, seed };
    let (a, _) = resolve(how(1), &[contribution(1, 1, &ones)]).unwrap();
    let (again, _) = resolve(how(1), &[contribution(1, 5, &ones)]).unwrap();
    let (b, _) = resolve(how(2), &[contribution(1, 1, &ones)]).unwrap();
    assert_eq!(a, again);
    assert_ne!(a, b);
    let kept = a.iter().filter(|v| **v != 0.0).count();
    // 2,000 ± 42.
    assert!((1850..2150).contains(&kept), "{kept}");
    assert!(a.iter().all(|v| *v == 0.0 || (v - 10.0).abs() < 1e-4));
}

#[test]
fn the_smallest_steps_of_learning_come_through() {
    let small = [2e-8, -2.9e-8, 1e-7, 1e-6, -3e-5, 4e-13];
    let one = [contribution(1, 1, &small)];
    for how in [
        Resolution::Mean,
        Resolution::Ties { keep: 1.0 },
        Resolution::Dare { drop: 0.0, seed: 1 },
    ] {
        let (values, _) = resolve(how, &one).unwrap();
        for (value, small) in values.iter().zip(&small[..5]) {
            assert!((value / small - 1.0).abs() < 1e-4, "{value} of {small}");
        }
        // Less than half a unit.
        assert_eq!(values[5], 0.0);
    }
    // The largest numbers and weights of the most contributions, too.
    let most = [MAX_VALUE, -MAX_VALUE];
    let all = vec![contribution(1, 1 << 32, &most); MAX_CONTRIBUTIONS];
    assert_eq!(resolve(Resolution::Mean, &all).unwrap().0, most);
    assert_eq!(
        resolve(Resolution::Ties { keep: 1.0 }, &all).unwrap().0,
        most
    );
}

#[test]
fn deltas_of_many_parameters_are_resolved_to_known_bits() {
    // More than two blocks, and a part of one.
    let values: Vec<Vec<f32>> = (0..5)
        .map(|id| {
            (0..10_000)
                .map(|n| libm::rintf(libm::sinf((n * (id + 3)) as f32) * 1e4) / 1024.0)
                .collect()
        })
        .collect();
    let all: Vec<_> = (values.iter().zip(1..))
        .map(|(values, id)| contribution(id, u64::from(id), values))
        .collect();
    let shown = [
        Resolution::Mean,
        Resolution::Ties { keep: 0.25 },
        Resolution::Dare { drop: 0.5, seed: 9 },
    ]
    .map(|how| {
        let (values, disagreement) = resolve(how, &all).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let digest = crate::digest::Digest::sha256(&bytes).to_string();
        (digest[..16].to_string(), disagreement)
    });
    let expected = [
        ("e0a1d128ba80ab69", 0.8577),
        ("9c03cca977bfe932", 0.2246),
        ("59974e31d4123daf", 0.5409),
    ];
    assert_eq!(
        shown,
        expected.map(|(digest, disagreement)| (digest.to_string(), disagreement))
    );
}

#[test]
fn slerp_keeps_the_length_and_halves_the_angle() {
    let half = slerp(&[2.0, 0.0], &[0.0, 2.0], 0.5);
    assert!(
        half.iter().all(|v| (v - libm::sqrtf(2.0)).abs() < 1e-6),
        "{half:?}"
    );
    assert_eq!(slerp(&[1.0, 3.0], &[5.0, 2.0], 0.0), [1.0, 3.0]);
    assert_eq!(slerp(&[1.0, 3.0], &[2.0, 6.0], 0.5), [1.5, 4.5]);
    assert_eq!(slerp(&[0.0, 0.0], &[2.0, 6.0], 0.5), [1.0, 3.0]);
}

#[test]
fn contributions_that_cannot_be_added_up_are_refused_by_number() {
    let ones = [1.0, 1.0];
    let refused = |how, c: &[Contribution<'_>]| resolve(how, c).unwrap_err().to_string();
    let mean = Resolution::Mean;
    assert!(refused(mean, &[]).contains("got 0"));
    assert!(refused(mean, &[contribution(1, 0, &ones)]).contains("some weight"));
    assert_eq!(
        refused(
            mean,
            &[contribution(1, 1, &ones), contribution(2, 1, &[1.0])]
        ),
        "contribution 1 must have 2 numbers, got 1"
    );
    assert_eq!(
        refused(mean, &[contribution(1, 1, &[0.0, f32::NAN])]),
        "number 1 of contribution 0 must be within ±1048576, got NaN"
    );
    assert!(refused(mean, &[contribution(1, u64::MAX, &ones)]).contains("2³²"));
    let one = [contribution(1, 1, &ones)];
    assert_eq!(
        refused(Resolution::Ties { keep: 0.0 }, &one),
        "share to keep must be > 0 and at most 1, got 0"
    );
    assert_eq!(
        refused(
            Resolution::Dare {
                drop: 0.995,
                seed: 0
            },
            &one
        ),
        "share to drop must be within 0..=0.99, got 0.995"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_same_set_in_any_order_gives_the_same_bits(
        set in several((any::<u8>(), 1u64..1 << 32, several(-1e6f32..1e6, 5)), 1..12),
        turns in several(any::<prop::sample::Index>(), 12),
        how in prop_oneof![
            Just(Resolution::Mean),
            Just(Resolution::Ties { keep: 0.4 }),
            Just(Resolution::Dare { drop: 0.5, seed: 9 }),
        ],
    ) {
        let mut all: Vec<_> = set.iter().map(|(id, weight, values)| contribution(*id, *weight, values)).collect();
        let (values, disagreement) = resolve(how, &all).unwrap();
        for (at, turn) in turns.iter().enumerate() {
            let at = at % all.len();
            let other = turn.index(all.len());
            all.swap(at, other);
            let (again, same) = resolve(how, &all).unwrap();
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&again), bits(&values));
            prop_assert_eq!(same, disagreement);
        }
    }

    #[test]
    fn whatever_is_measured_undo_gives_identical_bits_back(
        model in several(any::<f32>().prop_filter("finite", |v| v.is_finite()), 4),
        delta in several(-1e30f32..1e30, 4),
        metrics in several(-1.0f32..1.0, 0..20),
    ) {
        let (model, delta) = ([tensor("a", &model)], [tensor("a", &delta)]);
        let mut integration = Integration::new(Config::default(), [1; 32], &model, &delta, None).unwrap();
        let before = bits(&integration);
        let mut metrics = metrics.into_iter();
        if let (Some(a), Some(b)) = (metrics.next(), metrics.next()) {
            integration.assess(integration.proxy(&[]).with_measured(a, b)).unwrap();
        }
        for metric in metrics {
            let _ = integration.measured(metric);
        }
        integration.undo();
        prop_assert_eq!(bits(&integration), before);
    }
}
