//! The digits learner, 20 clients of two shards.

use chorus_core::engram::lossy::Shape;
use chorus_core::learner::{Digits, Mlp, PARAMETERS, Sample};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{Result, Sender, Sending, print, share};

pub(crate) fn run() -> Result<()> {
    let digits = Digits::parse(include_bytes!("../../../www/digits.bin"))?;
    let plain = system(&digits, "f32", None, 0.0)?;
    for (name, largest, step, weight) in SYSTEMS {
        system(&digits, name, Some((largest, step, weight)), plain)?;
    }
    Ok(())
}

/// Runs all seeds of one system and prints; returns the accuracy.
fn system(digits: &Digits, name: &str, sending: Option<Sending>, plain: f64) -> Result<f64> {
    let (mut accuracy, mut bytes) = (0.0, 0);
    for seed in 0..SEEDS {
        let (of_seed, sent) = federate(digits, sending, seed)?;
        accuracy += of_seed / SEEDS as f64;
        bytes += sent;
    }
    let times = (SEEDS as usize * ROUNDS * CLIENTS * PARAMETERS * 4) as f64 / bytes as f64;
    print(name, "digits_accuracy", accuracy * 100.0, "%");
    if sending.is_some() {
        print(name, "digits_lost", (plain - accuracy) * 100.0, "points");
        print(name, "digits_times", times, "x");
    }
    Ok(accuracy)
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
/// Name, share of numbers that leave, step in their deviations, weight of a bit. Points of one curve; none
/// was chosen on other seeds.
const SYSTEMS: [(&str, f32, f32, f32); 3] = [
    ("chorus-largest-4%", 0.04, 2.0, 0.05),
    ("chorus-largest-3%", 0.03, 2.0, 0.05),
    ("chorus-largest-2%", 0.02, 2.0, 0.05),
];
const CLIENTS: usize = 20;
const ROUNDS: usize = 100;
const EPOCHS: usize = 5;
const BATCH: usize = 10;
const RATE: f32 = 0.05;
/// Source: algorithms.md, section 1, has three.
const SEEDS: u64 = 5;
