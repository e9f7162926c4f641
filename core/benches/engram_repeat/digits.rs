//! The digits learner, 20 clients of two shards.

use std::ops::Range;

use chorus_core::engram::lossy::Shape;
use chorus_core::learner::{Digits, Mlp, PARAMETERS, Sample};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{Result, Sender, Sending, print, share};

pub(crate) fn run() -> Result<()> {
    let digits = Digits::parse(include_bytes!("../../../www/digits.bin"))?;
    let name = chosen(&digits)?;
    let plain = system(&digits, None, SEEDS)?;
    print("f32", "digits_accuracy", plain.accuracy * 100.0, "%");
    for (of, sending) in SYSTEMS {
        let reached = system(&digits, Some(sending), SEEDS)?;
        show(of, &reached, &plain);
        if of == name {
            show("chorus", &reached, &plain);
        }
    }
    Ok(())
}

/// What came of all seeds.
struct Reached {
    /// 0..=1.
    accuracy: f64,
    /// How many times fewer bytes than f32.
    times: f64,
}

/// Returns the system that sends least of those that lose next to nothing: on other seeds, and on samples that are held out of
/// those to learn from.
fn chosen(digits: &Digits) -> Result<&'static str> {
    let mut samples = digits.train.clone();
    let mut rng = ChaCha8Rng::seed_from_u64(SEEDS.end);
    for place in (1..samples.len()).rev() {
        samples.swap(place, rng.next_u32() as usize % (place + 1));
    }
    let test = samples.split_off(samples.len() * 4 / 5);
    // In the order of their labels, as all are.
    samples.sort_by_key(|sample| sample.label);
    let held_out = Digits {
        train: samples,
        test,
    };
    let plain = system(&held_out, None, OTHER_SEEDS)?;
    let mut best: Option<(&'static str, f64)> = None;
    for (name, sending) in SYSTEMS {
        let Reached { accuracy, times } = system(&held_out, Some(sending), OTHER_SEEDS)?;
        let lost = (plain.accuracy - accuracy) * 100.0;
        eprintln!(
            "{name} on other seeds and held-out samples: {lost:.2} points lost at {times:.0}x"
        );
        if lost <= MOST_LOST && best.is_none_or(|(_, most)| times > most) {
            best = Some((name, times));
        }
    }
    Ok(best.ok_or("no system loses that little")?.0)
}

/// Runs all seeds of one system.
fn system(digits: &Digits, sending: Option<Sending>, seeds: Range<u64>) -> Result<Reached> {
    let (mut accuracy, mut bytes) = (0.0, 0);
    let count = seeds.clone().count();
    for seed in seeds {
        let (of_seed, sent) = federate(digits, sending, seed)?;
        accuracy += of_seed / count as f64;
        bytes += sent;
    }
    let times = (count * ROUNDS * CLIENTS * PARAMETERS * 4) as f64 / bytes as f64;
    Ok(Reached { accuracy, times })
}

fn show(name: &str, reached: &Reached, plain: &Reached) {
    print(name, "digits_accuracy", reached.accuracy * 100.0, "%");
    let lost = (plain.accuracy - reached.accuracy) * 100.0;
    print(name, "digits_lost", lost, "points");
    print(name, "digits_times", reached.times, "x");
}

/// Returns the mean accuracy of the last ten rounds, and all bytes sent.
fn federate(digits: &Digits, sending: Option<Sending>, seed: u64) -> Result<(f64, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shards = two_shards(&digits.train, &mut rng);
    let mut senders: Vec<Sender> = (0..CLIENTS)
        .map(|_| {
            Sender::new(
                &SHAPES,
                sending.map(|(largest, step, weight)| share(largest, step, weight)),
            )
        })
        .collect();
    let mut global = Mlp::new(seed);
    let mut accuracy = 0.0;
    for round in 0..ROUNDS {
        let mut sum = vec![0.0; PARAMETERS];
        for (sender, shard) in senders.iter_mut().zip(&shards) {
            let mut local = global.clone();
            for _ in 0..EPOCHS {
                local.train_epoch(shard, RATE, BATCH, &mut rng);
            }
            let pairs = local.parameters().iter().zip(global.parameters());
            let delta: Vec<f32> = pairs.map(|(new, old)| new - old).collect();
            let said = sender.send(&SHAPES, &split(&delta))?;
            for (sum, value) in sum.iter_mut().zip(said.iter().flatten()) {
                *sum += value;
            }
        }
        global.descend(&sum, -1.0 / CLIENTS as f32);
        if round + 10 >= ROUNDS {
            accuracy += f64::from(global.accuracy(&digits.test)) / 10.0;
        }
    }
    Ok((accuracy, senders.iter().map(|sender| sender.bytes).sum()))
}

/// Returns what each client holds: two of forty equal parts of the samples sorted by label (McMahan et al. 2017, section 3).
fn two_shards(samples: &[Sample], rng: &mut ChaCha8Rng) -> Vec<Vec<Sample>> {
    let mut parts: Vec<&[Sample]> = samples
        .chunks(samples.len().div_ceil(2 * CLIENTS))
        .collect();
    for place in (1..parts.len()).rev() {
        parts.swap(place, rng.next_u32() as usize % (place + 1));
    }
    parts.chunks(2).map(<[_]>::concat).collect()
}

fn split(delta: &[f32]) -> [&[f32]; 4] {
    let (hidden, rest) = delta.split_at(4096);
    let (biases, rest) = rest.split_at(64);
    let (output, last) = rest.split_at(640);
    [hidden, biases, output, last]
}

/// The learner's layers.
const SHAPES: [Shape; 4] = [
    Shape {
        rows: 64,
        columns: 64,
    },
    Shape {
        rows: 1,
        columns: 64,
    },
    Shape {
        rows: 64,
        columns: 10,
    },
    Shape {
        rows: 1,
        columns: 10,
    },
];
/// Name; share of numbers that leave, step in their deviations, weight of a bit. Points of one curve.
const SYSTEMS: [(&str, Sending); 3] = [
    ("chorus-largest-4%", (0.04, 2.0, 0.05)),
    ("chorus-largest-3%", (0.03, 2.0, 0.05)),
    ("chorus-largest-2%", (0.02, 2.0, 0.05)),
];
/// Points that the chosen system may lose where it is chosen. Guess: less than the 0.3 that are asked for, because other
/// seeds and samples may lose more.
const MOST_LOST: f64 = 0.2;
const CLIENTS: usize = 20;
const ROUNDS: usize = 100;
const EPOCHS: usize = 5;
const BATCH: usize = 10;
const RATE: f32 = 0.05;
/// Source: algorithms.md, section 1, has three.
const SEEDS: Range<u64> = 0..5;
/// Seeds that nothing is reported of.
const OTHER_SEEDS: Range<u64> = 5..8;
