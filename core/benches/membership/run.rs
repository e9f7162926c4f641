//! One run: four tabs learn, and what each shares is held against every candidate.

use std::sync::Arc;

use chorus_core::learner::{Classes, Digits, Sample};
use chorus_core::training::lockstep::{self, Event, Private, Tab};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::Failure;
use crate::watch::Watched;

/// What came of a run.
pub(crate) struct Run {
    /// Mean accuracy of the four merged models on the samples that no tab saw.
    pub(crate) accuracy: f64,
    /// ε that the tabs say they spent, the greatest; 0 where they train openly.
    pub(crate) epsilon: f64,
    pub(crate) candidates: Vec<Candidate>,
}

/// A sample of the classes of a tab, which it may have trained on.
pub(crate) struct Candidate {
    pub(crate) tab: usize,
    /// Its number among all samples.
    pub(crate) sample: usize,
    pub(crate) is_member: bool,
    /// What the attacker sees: higher for members. [`Signal`] says which is which.
    pub(crate) scores: [f64; SIGNALS],
}

/// What an attacker looks at; the number of its score.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    /// How sure the model shared last is of the right answer: the loss, turned round.
    Loss = 0,
    /// The same, mean of all models shared.
    Losses = 1,
    /// How far all rounds of training went down the candidate's slope.
    Update = 2,
    /// How much of every round's step the candidate's slope explains best, beside those of all other candidates.
    Regression = 3,
}

/// How many of them there are.
pub(crate) const SIGNALS: usize = 4;

/// Lets four tabs learn from a part of `samples` drawn by `seed`. Regression takes longest: it is left out, and scores 0,
/// unless `regresses`.
pub(crate) fn learn(
    samples: &[Sample],
    private: Option<&Private>,
    seed: u64,
    regresses: bool,
) -> Result<Run, Failure> {
    let (digits, is_train) = divide(samples, seed);
    let digits = Arc::new(digits);
    let (mut tabs, mut watched) = (Vec::new(), Vec::new());
    for (me, text) in CLASSES.iter().enumerate() {
        let classes: Classes = text.parse()?;
        let tab = Tab::new(me, &digits, classes, private, SEED + seed)?.ok_or("config")?;
        let model = tab.exchange.model().clone();
        let candidates = (0..samples.len()).filter(|&i| classes.contains(samples[i].label));
        watched.push(Watched::new(
            &model,
            candidates.collect(),
            private,
            regresses,
        )?);
        tabs.push(tab);
    }
    lockstep::run(&mut tabs, EXCHANGES, &mut |event| match event {
        Event::Shared { tab, params, .. } => watched[tab].on_share(params, samples),
        Event::Merged { tab, params } => watched[tab].on_merge(params),
    });

    let accuracies = tabs
        .iter()
        .map(|tab| tab.exchange.model().accuracy(&digits.test));
    let epsilons = tabs.iter().filter_map(|tab| tab.epsilon);
    let mut candidates = Vec::new();
    for (tab, mut watched) in watched.into_iter().enumerate() {
        for (sample, scores) in watched.scores(samples) {
            candidates.push(Candidate {
                tab,
                sample,
                is_member: is_train[sample],
                scores,
            });
        }
    }
    Ok(Run {
        accuracy: accuracies.map(f64::from).sum::<f64>() / tabs.len() as f64,
        epsilon: epsilons.fold(0.0, f64::max),
        candidates,
    })
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
