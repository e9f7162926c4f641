//! One run: four tabs learn, and what each shares is held against every candidate.

use std::sync::Arc;

use chorus_core::learner::{Classes, Digits, Mlp, Sample};
use chorus_core::training::Plan;
use chorus_core::training::lockstep::{self, Event, Tab};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::Failure;

/// What came of a run.
pub(crate) struct Run {
    /// Mean accuracy of the four merged models on the samples that no tab saw.
    pub(crate) accuracy: f64,
    /// ε that the tabs say they spent, the greatest; 0 where they train openly.
    pub(crate) epsilon: f64,
    /// Noise of all steps together: the multiplier of one release that tells as much.
    pub(crate) noise: f64,
    pub(crate) candidates: Vec<Candidate>,
}

/// A sample of the classes of a tab, which it may have trained on.
pub(crate) struct Candidate {
    pub(crate) tab: usize,
    /// Its number among all samples.
    pub(crate) sample: usize,
    pub(crate) is_member: bool,
    /// What the attacker sees: higher for members. [`Signal`](crate::attack::Signal) says which is which.
    pub(crate) scores: [f64; 3],
}

/// Lets four tabs learn from a part of `samples` drawn by `seed`.
pub(crate) fn learn(samples: &[Sample], plan: Option<&Plan>, seed: u64) -> Result<Run, Failure> {
    let (digits, is_train) = divide(samples, seed);
    let digits = Arc::new(digits);
    let (mut tabs, mut watched) = (Vec::new(), Vec::new());
    for (me, text) in CLASSES.iter().enumerate() {
        let classes: Classes = text.parse()?;
        let tab = Tab::new(me, &digits, classes, plan, SEED + seed)?.ok_or("config")?;
        let model = tab.exchange.model().clone();
        let candidates = (0..samples.len()).filter(|&i| classes.contains(samples[i].label));
        watched.push(Watched {
            anchor: model.clone(),
            shared: model,
            moves: candidates.map(|i| (i, [0.0; 2])).collect(),
        });
        tabs.push(tab);
    }
    lockstep::run(&mut tabs, EXCHANGES, &mut |event| match event {
        Event::Shared { tab, params } => watched[tab].on_share(params, samples),
        Event::Merged { tab, params } => watched[tab].on_merge(params),
    });

    let accuracies = tabs
        .iter()
        .map(|tab| tab.exchange.model().accuracy(&digits.test));
    let epsilons = tabs.iter().filter_map(|tab| tab.epsilon);
    let steps = plan.map_or(1, |plan| plan.steps) as f64;
    let noise = plan.map_or(Ok(0.0), |plan| {
        plan.mechanism().map(|m| m.noise_multiplier())
    })?;
    let mut candidates = Vec::new();
    for (tab, watched) in watched.iter().enumerate() {
        candidates.extend(
            watched
                .moves
                .iter()
                .map(|&(sample, [moved, bounded])| Candidate {
                    tab,
                    sample,
                    is_member: is_train[sample],
                    scores: [watched.confidence(&samples[sample]), moved, bounded],
                }),
        );
    }
    Ok(Run {
        accuracy: accuracies.map(f64::from).sum::<f64>() / tabs.len() as f64,
        epsilon: epsilons.fold(0.0, f64::max),
        noise: noise / steps.sqrt(),
        candidates,
    })
}

/// What a neighbour of a tab keeps: it has merged the same models, so it knows where each round's training started.
struct Watched {
    anchor: Mlp,
    shared: Mlp,
    /// Candidates by number, with how far the tab's rounds went down their slopes: unbounded, and each bounded.
    moves: Vec<(usize, [f64; 2])>,
}

impl Watched {
    fn on_share(&mut self, params: &[f32], samples: &[Sample]) {
        if self.shared.set_parameters(params).is_err() {
            return;
        }
        let anchor = self.anchor.parameters();
        let step: Vec<f32> = anchor.iter().zip(params).map(|(a, b)| a - b).collect();
        for (sample, [moved, bounded]) in &mut self.moves {
            let slope = self.anchor.gradient(&samples[*sample]);
            let length = dot(&slope, &slope).sqrt();
            let along = f64::from(dot(&step, &slope));
            *moved += along;
            *bounded += along * f64::from((BOUND / length.max(f32::MIN_POSITIVE)).min(1.0));
        }
    }

    fn on_merge(&mut self, params: &[f32]) {
        // Checked by the exchange.
        let _ = self.anchor.set_parameters(params);
    }

    /// Returns the logit of the right answer's probability in the model shared last (2112.03570, section V-B).
    fn confidence(&self, sample: &Sample) -> f64 {
        let probabilities = self.shared.predict(&sample.input()).map(f64::from);
        let right = probabilities[usize::from(sample.label)];
        let wrong = probabilities.iter().sum::<f64>() - right;
        right.max(LEAST).ln() - wrong.max(LEAST).ln()
    }
}

/// The inner product, in eight sums that go side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Divides `samples` by lot: in each class, four of five to train on. Says of each sample whether it is one of these.
fn divide(samples: &[Sample], seed: u64) -> (Digits, Vec<bool>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut is_train = vec![false; samples.len()];
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for label in 0..10 {
        let mut class: Vec<usize> = (0..samples.len())
            .filter(|&index| samples[index].label == label)
            .collect();
        for last in (1..class.len()).rev() {
            class.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
        }
        let held_out = class.len() / 5;
        test.extend(class[..held_out].iter().map(|&index| samples[index]));
        for &index in &class[held_out..] {
            is_train[index] = true;
            train.push(samples[index]);
        }
    }
    (Digits { train, test }, is_train)
}

/// The groups.
const CLASSES: [&str; 4] = ["0,1,2", "3,4,5", "6,7", "8,9"];
/// Exchanges of a run. Source: issue 2.
const EXCHANGES: u64 = 60;
/// First seed: settings were tuned on others.
const SEED: u64 = 0x6d65_6d62;
/// Bound of the slopes in the second sum: private mode's clip norm.
const BOUND: f32 = 0.3;
/// Least probability told apart from none.
const LEAST: f64 = 1e-30;
