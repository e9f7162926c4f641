//! A small model of bytes: the last eight, each as 24 numbers, 256 hidden units (ReLU), 256 outputs; Adam.

use std::ops::Range;

use chorus_core::engram::lossy::Shape;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{Result, Sender, Sending, print, share};

pub(crate) fn run() -> Result<()> {
    let mut plain = Vec::new();
    for (name, sending) in SYSTEMS {
        let (mut losses, mut over, mut bits) = (Vec::new(), Vec::new(), Vec::new());
        for (place, seed) in SEEDS.enumerate() {
            let (loss, of_seed) = rounds(seed, sending)?;
            losses.push(loss);
            if sending.is_none() {
                plain.push(loss);
            }
            over.push(100.0 * (loss / plain[place] - 1.0));
            bits.push(of_seed);
        }
        eprintln!("{name} over f32 by seed, %: {over:.2?}");
        print(name, "text_loss", median(losses), "nat");
        if sending.is_some() {
            print(name, "text_loss_over_f32", median(over), "%");
            print(name, "text_bits", median(bits), "bits");
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Warms a model up, and sends what nodes learn. Returns the loss after all rounds, and bits a number and round.
fn rounds(seed: u64, sending: Option<Sending>) -> Result<(f64, f64)> {
    let rng = |stream: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        rng
    };
    let mut global = Model::new(&mut rng(0));
    let (mut adam, mut order) = (Adam::new(), rng(1));
    for _ in 0..WARM_STEPS {
        adam.step(&mut global, TRAIN, &mut order);
    }
    let mut senders: Vec<Sender> = (0..NODES)
        .map(|_| {
            Sender::new(
                &SHAPES,
                sending.map(|(largest, step, weight)| share(largest, step, weight)),
            )
        })
        .collect();
    let mut states: Vec<(Adam, ChaCha8Rng)> = (0..NODES as u64)
        .map(|node| (Adam::new(), rng(2 + node)))
        .collect();
    let part = TRAIN.len() / NODES;
    for _ in 0..ROUNDS {
        let mut sums = SHAPES.map(|shape| vec![0.0_f32; shape.rows * shape.columns]);
        for (node, (sender, (adam, rng))) in senders.iter_mut().zip(&mut states).enumerate() {
            let mut local = global.clone();
            for _ in 0..STEPS {
                adam.step(&mut local, &TRAIN[node * part..][..part], rng);
            }
            let delta: Vec<Vec<f32>> = (local.layers.iter().zip(&global.layers))
                .map(|(new, old)| new.iter().zip(old).map(|(new, old)| new - old).collect())
                .collect();
            let delta: Vec<&[f32]> = delta.iter().map(Vec::as_slice).collect();
            for (sum, said) in sums.iter_mut().zip(sender.send(&SHAPES, &delta)?) {
                for (sum, value) in sum.iter_mut().zip(said) {
                    *sum += value / NODES as f32;
                }
            }
        }
        for (layer, sum) in global.layers.iter_mut().zip(sums) {
            for (value, sum) in layer.iter_mut().zip(sum) {
                *value += sum;
            }
        }
    }
    let bytes: usize = senders.iter().map(|sender| sender.bytes).sum();
    let numbers: usize = SHAPES.iter().map(|shape| shape.rows * shape.columns).sum();
    Ok((
        global.loss(HELD_OUT),
        bytes as f64 * 8.0 / (numbers * NODES * ROUNDS) as f64,
    ))
}

#[derive(Clone)]
struct Model {
    /// Bytes as numbers, hidden weights, hidden biases, output weights, output biases.
    layers: [Vec<f32>; 5],
}

/// What a model computes on the way.
struct Pass {
    input: Vec<f32>,
    hidden: Vec<f32>,
    output: Vec<f32>,
}

impl Model {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let mut uniform = |shape: Shape, width: f32| -> Vec<f32> {
            (0..shape.rows * shape.columns)
                .map(|_| (rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * width)
                .collect()
        };
        let layers = [0.5, 0.18, 0.0, 0.1, 0.0];
        let mut place = 0;
        Self {
            layers: layers.map(|width| {
                place += 1;
                uniform(SHAPES[place - 1], width)
            }),
        }
    }

    fn pass(&self, context: &[u8]) -> Pass {
        let [bytes, hidden_weights, hidden_biases, weights, biases] = &self.layers;
        let input: Vec<f32> = context
            .iter()
            .flat_map(|byte| bytes[usize::from(*byte) * WIDTH..][..WIDTH].iter().copied())
            .collect();
        let mut hidden = hidden_biases.clone();
        for (value, row) in input.iter().zip(hidden_weights.chunks(HIDDEN)) {
            add(&mut hidden, row, *value);
        }
        hidden.iter_mut().for_each(|value| *value = value.max(0.0));
        let mut output = biases.clone();
        for (value, row) in hidden
            .iter()
            .zip(weights.chunks(256))
            .filter(|(value, _)| **value != 0.0)
        {
            add(&mut output, row, *value);
        }
        let most = output.iter().copied().fold(f32::MIN, f32::max);
        let mut sum = 0.0;
        for value in &mut output {
            *value = (*value - most).exp();
            sum += *value;
        }
        output.iter_mut().for_each(|value| *value /= sum);
        Pass {
            input,
            hidden,
            output,
        }
    }

    fn loss(&self, text: &[u8]) -> f64 {
        let windows = text.windows(CONTEXT + 1).step_by(3);
        let count = windows.len();
        let losses = windows.map(|window| {
            -f64::from(self.pass(&window[..CONTEXT]).output[usize::from(window[CONTEXT])].max(1e-9))
                .ln()
        });
        losses.sum::<f64>() / count as f64
    }

    /// Adds the gradient of one place to `into`.
    fn gradient(&self, window: &[u8], into: &mut [Vec<f32>; 5]) {
        let Pass {
            input,
            hidden,
            mut output,
        } = self.pass(&window[..CONTEXT]);
        output[usize::from(window[CONTEXT])] -= 1.0;
        let [bytes, hidden_weights, hidden_biases, weights, biases] = into;
        add(biases, &output, 1.0);
        let mut back = vec![0.0; HIDDEN];
        for (place, value) in hidden
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != 0.0)
        {
            add(&mut weights[place * 256..][..256], &output, *value);
            back[place] = dot(&self.layers[3][place * 256..][..256], &output);
        }
        add(hidden_biases, &back, 1.0);
        for (place, value) in input.iter().enumerate() {
            add(
                &mut hidden_weights[place * HIDDEN..][..HIDDEN],
                &back,
                *value,
            );
            let byte = usize::from(window[place / WIDTH]);
            bytes[byte * WIDTH + place % WIDTH] +=
                dot(&self.layers[1][place * HIDDEN..][..HIDDEN], &back);
        }
    }
}

struct Adam {
    means: [Vec<f32>; 5],
    squares: [Vec<f32>; 5],
    steps: i32,
}

impl Adam {
    fn new() -> Self {
        let zeros = || SHAPES.map(|shape| vec![0.0; shape.rows * shape.columns]);
        Self {
            means: zeros(),
            squares: zeros(),
            steps: 0,
        }
    }

    fn step(&mut self, model: &mut Model, text: &[u8], rng: &mut ChaCha8Rng) {
        let mut gradient = SHAPES.map(|shape| vec![0.0; shape.rows * shape.columns]);
        for _ in 0..BATCH {
            let at = rng.next_u32() as usize % (text.len() - CONTEXT - 1);
            model.gradient(&text[at..][..=CONTEXT], &mut gradient);
        }
        self.steps += 1;
        let (first, second) = (
            1.0 - 0.9_f32.powi(self.steps),
            1.0 - 0.999_f32.powi(self.steps),
        );
        for (layer, gradient) in gradient.iter().enumerate() {
            for (place, gradient) in gradient.iter().enumerate() {
                let gradient = gradient / BATCH as f32;
                let (mean, square) = (
                    &mut self.means[layer][place],
                    &mut self.squares[layer][place],
                );
                *mean += 0.1 * (gradient - *mean);
                *square += 0.001 * (gradient * gradient - *square);
                model.layers[layer][place] -=
                    RATE * (*mean / first) / ((*square / second).sqrt() + 1e-8);
            }
        }
    }
}

fn add(to: &mut [f32], row: &[f32], times: f32) {
    for (to, value) in to.iter_mut().zip(row) {
        *to += value * times;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// Name; share of numbers that leave, step in their deviations, weight of a bit.
const SYSTEMS: [(&str, Option<Sending>); 4] = [
    ("f32", None),
    ("chorus-2σ", Some((1.0, 2.2, 0.2))),
    ("chorus-3σ", Some((1.0, 3.0, 0.2))),
    ("chorus-largest-10%", Some((0.1, 2.0, 0.05))),
];
const CONTEXT: usize = 8;
const WIDTH: usize = 24;
const HIDDEN: usize = 256;
const SHAPES: [Shape; 5] = [
    Shape {
        rows: 256,
        columns: WIDTH,
    },
    Shape {
        rows: CONTEXT * WIDTH,
        columns: HIDDEN,
    },
    Shape {
        rows: 1,
        columns: HIDDEN,
    },
    Shape {
        rows: HIDDEN,
        columns: 256,
    },
    Shape {
        rows: 1,
        columns: 256,
    },
];
const NODES: usize = 4;
/// Source: algorithms.md, section 2.
const ROUNDS: usize = 6;
const STEPS: usize = 30;
/// Steps before the first round: deltas of a model that knows nothing are no deltas of learning.
const WARM_STEPS: usize = 200;
const BATCH: usize = 64;
const RATE: f32 = 0.002;
/// Source: algorithms.md, section 1, has three; an odd number has a median.
const SEEDS: Range<u64> = 0..5;
/// Sources of this crate as they were once, whole files one after another: the same text, however the crate changes.
const TRAIN: &[u8] = include_bytes!("train.txt");
/// Other files of the same time, that the loss is measured on.
const HELD_OUT: &[u8] = include_bytes!("held_out.txt");
