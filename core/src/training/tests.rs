use alloc::sync::Arc;
use core::cell::RefCell;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::lockstep::{Event, Private, Tab, run};
use super::*;
use crate::digest::Digest;
use crate::key::Keypair;
use crate::learner::{Classes, Digits, PARAMETER_BYTES};
use crate::packet::PacketDraft;
use crate::privacy::accountant::Cost;
use crate::time::Timestamp;

fn digits() -> Arc<Digits> {
    Arc::new(Digits::parse(include_bytes!("../../../www/digits.bin")).unwrap())
}

/// The same digits, every tenth sample of them: quick to train on.
fn few() -> Arc<Digits> {
    let digits = digits();
    let every = |samples: &[_]| samples.iter().step_by(10).copied().collect();
    Arc::new(Digits {
        train: every(&digits.train),
        test: every(&digits.test),
    })
}

fn classes(text: &str) -> Classes {
    text.parse().unwrap()
}

fn ledger(plan: &Plan) -> Ledger {
    Ledger::new(Digest::sha256(b"test"), plan.budget).unwrap()
}

/// Training by `plan` with all its steps granted.
fn granted(plan: &Plan, seed: u64) -> Training<ChaCha20Rng> {
    let mut ledger = ledger(plan);
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let mut training = Training::new(plan, &ledger, rng).unwrap();
    let grant = ledger.reserve(training.mechanism, plan.steps).unwrap();
    training.accept(grant.stored());
    training
}

fn pair(plans: [Option<&Plan>; 2]) -> Vec<Tab> {
    let digits = few();
    let make = |(me, plan): (usize, Option<&Plan>)| {
        let private = plan.map(|&plan| Private {
            plan,
            ..Private::default()
        });
        let held = classes(["0,1,2", "3,4,5"][me]);
        Tab::new(me, &digits, held, private.as_ref(), me as u64)
            .unwrap()
            .unwrap()
    };
    plans.into_iter().enumerate().map(make).collect()
}

#[test]
fn what_the_exchange_tells_is_what_the_ledger_counts_and_what_the_steps_cost() {
    let plan = Plan {
        steps: 15,
        ..Plan::default()
    };
    let mut tabs = pair([Some(&plan), Some(&plan)]);
    run(&mut tabs, 20, &mut |_| {});
    for tab in tabs {
        let (training, ledger) = tab.training.unwrap();
        let spent = ledger.spent().unwrap();
        assert_eq!(tab.epsilon, Some(spent.epsilon));
        assert_eq!(
            ledger.releases().collect::<Vec<_>>(),
            [(training.mechanism, 15)]
        );
        let noise = training.mechanism.noise_multiplier();
        let cost = Cost::of_gaussian(noise, 1.0).unwrap().times(15);
        assert_eq!(cost.epsilon(1e-5), Ok(spent.epsilon));
        assert!((7.9..=8.0).contains(&spent.epsilon), "{}", spent.epsilon);
        assert_eq!(
            training.grants.iter().map(Grant::steps_left).sum::<u64>(),
            0
        );
    }
}

#[test]
fn a_tab_with_a_spent_budget_shares_what_it_merged_and_goes_on_merging() {
    let plan = Plan {
        steps: 5,
        ..Plan::default()
    };
    let mut tabs = pair([Some(&plan), None]);
    let mut anchor = Vec::new();
    let mut shares = Vec::new();
    run(&mut tabs, 12, &mut |event| match event {
        Event::Shared { tab: 0, params, .. } => shares.push((params == anchor, params.to_vec())),
        Event::Merged { tab: 0, params } => anchor = params.to_vec(),
        Event::Shared { .. } | Event::Merged { .. } => {}
    });
    let is_untrained: Vec<bool> = shares.iter().map(|(same, _)| *same).collect();
    assert_eq!(is_untrained[..5], [false; 5]);
    assert_eq!(is_untrained[5..], [true; 7]);
    assert!(
        shares.windows(2).all(|pair| pair[0].1 != pair[1].1),
        "what it merges still teaches it"
    );
}

#[test]
fn a_step_without_a_grant_changes_nothing_and_draws_nothing() {
    let plan = Plan::default();
    let rng = ChaCha20Rng::seed_from_u64(3);
    let mut training = Training::new(&plan, &ledger(&plan), rng.clone()).unwrap();
    let refuse = |_: usize| -> Vec<f32> { panic!("no example may be looked at") };
    assert_eq!(training.step(4, 10, &refuse), None);
    assert_eq!(training.rng, rng);
    // A grant for other noise is none.
    let other = plan_of(2.0);
    training.accept(ledger_with(&other).stored());
    assert_eq!(training.step(4, 10, &refuse), None);
}

#[test]
fn private_mode_without_noise_and_noise_without_private_mode_train_nothing_that_is_shared() {
    let plan = Plan::default();
    for (has_mode, has_noise) in [(true, false), (false, true)] {
        let mut tabs = pair([has_mode.then_some(&plan), None]);
        let first = tabs[0].exchange.model().clone();
        let mut training = granted(&plan, 1);
        let mut shared = Vec::new();
        let mut noise: Option<&mut dyn Privatise> = has_noise.then_some(&mut training);
        let now = crate::time::Instant::from_micros(1);
        let up = crate::learner::Input::PeerUp { peer: 1 };
        tabs[0].exchange.handle_with(now, up, noise.take());
        while let output = tabs[0].exchange.poll_output()
            && !matches!(output, crate::learner::Output::Idle { .. })
        {
            if let crate::learner::Output::Share { params, .. } = output {
                shared.push(params);
            }
        }
        assert_eq!(shared, [first.parameters()], "{has_mode} {has_noise}");
    }
}

#[test]
fn samples_are_drawn_independently_at_the_mechanisms_rate_and_by_the_seed() {
    let plan = Plan {
        sampling_rate: 0.25,
        steps: 40,
        ..Plan::default()
    };
    let draw = |seed| {
        let mut training = granted(&plan, seed);
        let mut taken = Vec::new();
        for _ in 0..plan.steps {
            let step = RefCell::new(vec![false; 400]);
            let gradient = |index: usize| {
                step.borrow_mut()[index] = true;
                vec![0.0]
            };
            assert!(training.step(1, 400, &gradient).is_some());
            taken.push(step.into_inner());
        }
        taken
    };
    let taken = draw(5);
    assert_eq!(taken, draw(5));
    assert_ne!(taken, draw(6));
    let counts: Vec<f64> = taken
        .iter()
        .map(|step| step.iter().filter(|taken| **taken).count() as f64)
        .collect();
    // 16,000 draws: 4,000 ± 55. Sizes of the samples spread as a binomial's, by 8.7; fixed ones would not.
    let mean = counts.iter().sum::<f64>() / 40.0;
    let variance = counts.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 39.0;
    assert!((mean - 100.0).abs() < 5.0, "{mean}");
    assert!((35.0..140.0).contains(&variance), "{variance}");
    // One example, over the steps: it comes and goes by itself.
    for index in [0, 199, 399] {
        let times = taken.iter().filter(|step| step[index]).count();
        assert!((1..=24).contains(&times), "{index}: {times}");
    }
}

#[test]
fn no_example_moves_the_sum_by_more_than_the_clip_norm() {
    let plan = Plan {
        clip_norm: 0.5,
        ..Plan::default()
    };
    let digits = few();
    let model = crate::learner::Mlp::new(1);
    let parameters = model.parameters().len();
    let samples = &digits.train;
    // Noise of the same seed is the same, so it leaves the difference of the sums.
    let sum = |with: &dyn Fn() -> Vec<f32>| {
        let gradient = |index: usize| match index {
            7 => with(),
            _ => model.gradient(&samples[index]),
        };
        granted(&plan, 9)
            .step(parameters, samples.len(), &gradient)
            .unwrap()
    };
    let without = sum(&|| vec![0.0; parameters]);
    let own = model.gradient(&samples[7]);
    let huge: Vec<f32> = own.iter().map(|slope| slope * 1e20).collect();
    let distance = |sum: &[f32]| {
        let square = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
        libm::sqrt(sum.iter().zip(&without).map(square).sum())
    };
    let length = libm::sqrt(own.iter().map(|v| f64::from(*v) * f64::from(*v)).sum());
    assert!(length > 0.6, "clipping has work to do: {length}");
    for gradient in [own, huge] {
        let moved = distance(&sum(&|| gradient.clone()));
        assert!((0.499..=0.500_01).contains(&moved), "{moved}");
    }
    // What is no gradient moves nothing.
    assert_eq!(distance(&sum(&|| vec![f32::NAN; parameters])), 0.0);
}

#[test]
fn four_private_tabs_learn_all_ten_digits_within_the_budget() {
    let digits = digits();
    let make = |(me, held): (usize, &str)| {
        Tab::new(me, &digits, classes(held), Some(&Private::default()), 77)
            .unwrap()
            .unwrap()
    };
    let mut tabs: Vec<Tab> = ["0,1,2", "3,4,5", "6,7", "8,9"]
        .into_iter()
        .enumerate()
        .map(make)
        .collect();
    run(&mut tabs, 60, &mut |_| {});
    for tab in tabs {
        let accuracy = tab.exchange.model().accuracy(&digits.test);
        assert!(accuracy > 0.9, "{accuracy}");
        assert!(tab.epsilon.unwrap() <= 8.0, "{:?}", tab.epsilon);
    }
}

#[test]
fn whole_packets_of_updates_take_a_thirtieth_of_those_of_plain_weights() {
    let digits = digits();
    let make = |(me, held): (usize, &str)| Tab::new(me, &digits, classes(held), None, 5).unwrap();
    let held = ["0,1,2", "3,4,5", "6,7", "8,9"].into_iter().enumerate();
    let mut tabs: Vec<Tab> = held.filter_map(make).collect();
    let packet = |content: &[u8]| {
        let draft = PacketDraft {
            instructions: instructions(),
            ttl_secs: 120,
            ..PacketDraft::inline("weights", content.to_vec())
        };
        let now = Timestamp::from_millis(1_795_233_600_000);
        let packet = draft.sign(&Keypair::from_seed(&[1; 32]), "main", now);
        packet.unwrap().as_cbor().len()
    };
    let (mut bytes, mut packets) = (0, 0);
    run(&mut tabs, 60, &mut |event| {
        if let Event::Shared { bytes: update, .. } = event {
            bytes += packet(update);
            packets += 1;
        }
    });
    assert!(packets >= 240, "{packets}");
    let plain = packet(&[0; PARAMETER_BYTES]);
    assert!(
        bytes * 30 <= plain * packets,
        "{bytes} in {packets}, {plain} each"
    );
    for tab in tabs {
        let accuracy = tab.exchange.model().accuracy(&digits.test);
        assert!(accuracy >= 0.965, "{accuracy}");
    }
}

fn plan_of(noise_multiplier: f64) -> Mechanism {
    plan(noise_multiplier, Neighbours::Absent, 1.0).unwrap()
}

fn ledger_with(mechanism: &Mechanism) -> Reservation {
    ledger(&Plan::default()).reserve(*mechanism, 1).unwrap()
}
