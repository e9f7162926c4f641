//! Attacks on what tabs shared, and how well they do.

use std::collections::BTreeMap;

use chorus_core::privacy::noise::NoiseError;
use chorus_core::training::Plan;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::run::{Candidate, Run, Signal};

/// An attack.
#[derive(Clone, Copy)]
pub(crate) enum Attack {
    /// One threshold for all candidates (Yeom et al. 2018, arXiv 1709.01604).
    Threshold(Signal),
    /// The ratio of two likelihoods, which the other runs teach: those that had the candidate and those that had not
    /// (Carlini et al. 2022, arXiv 2112.03570, algorithm 1, online; one variance for both, as few runs are without).
    Likelihood(Signal),
}

pub(crate) const ATTACKS: [Attack; 5] = [
    Attack::Threshold(Signal::Loss),
    Attack::Likelihood(Signal::Loss),
    Attack::Likelihood(Signal::Losses),
    Attack::Likelihood(Signal::Update),
    Attack::Threshold(Signal::Regression),
];

/// A figure with the ends of its 95 % interval: runs drawn again with replacement.
#[derive(Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// How well an attack does.
pub(crate) struct Measured {
    /// Greatest difference of true and false positive rates over all thresholds.
    pub(crate) advantage: Estimate,
    /// Area under the curve of the two rates.
    pub(crate) auc: Estimate,
    /// True positive rate where the false positive rate is 1 %.
    pub(crate) hits: Estimate,
}

impl Attack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Threshold(Signal::Loss) => "loss_threshold",
            Self::Threshold(Signal::Losses) => "losses_threshold",
            Self::Threshold(Signal::Update) => "update_threshold",
            Self::Threshold(Signal::Regression) => "regression",
            Self::Likelihood(Signal::Loss) => "loss_lira",
            Self::Likelihood(Signal::Losses) => "losses_lira",
            Self::Likelihood(Signal::Update) => "update_lira",
            Self::Likelihood(Signal::Regression) => "regression_lira",
        }
    }

    /// Measures the attack on `runs`, or where it regresses on the first `regressed` of them.
    pub(crate) fn measure(self, runs: &[Run], regressed: usize) -> Measured {
        let runs = match self {
            Self::Threshold(Signal::Regression) | Self::Likelihood(Signal::Regression) => {
                &runs[..regressed.min(runs.len())]
            }
            _ => runs,
        };
        let mut guesses = match self {
            Self::Threshold(signal) => thresholds(runs, signal),
            Self::Likelihood(signal) => likelihoods(runs, signal),
        };
        guesses.sort_by(|a, b| b.score.total_cmp(&a.score));
        let rates = |weights: &[u32]| rates(&guesses, weights);
        let value = rates(&vec![1; runs.len()]);
        let drawn: Vec<[f64; 3]> = draws(runs.len()).map(|weights| rates(&weights)).collect();
        let [advantage, auc, hits] = [0, 1, 2]
            .map(|figure| interval(value[figure], drawn.iter().map(|figures| figures[figure])));
        Measured {
            advantage,
            auc,
            hits,
        }
    }
}

/// Returns the mean of `values`, one of each run.
pub(crate) fn mean(values: &[f64]) -> Estimate {
    let of = |weights: &[u32]| {
        let sum: f64 = values
            .iter()
            .zip(weights)
            .map(|(v, w)| v * f64::from(*w))
            .sum();
        sum / values.len() as f64
    };
    let drawn: Vec<f64> = draws(values.len()).map(|weights| of(&weights)).collect();
    interval(of(&vec![1; values.len()]), drawn.into_iter())
}

/// Returns the greatest advantage that (`epsilon`, δ) differential privacy allows any attack (Humphries et al. 2023, arXiv
/// 2010.12112; with δ as in Kairouz et al. 2015, arXiv 1311.0776).
pub(crate) fn bound(epsilon: f64) -> f64 {
    (epsilon.exp() - 1.0 + 2.0 * DELTA) / (epsilon.exp() + 1.0)
}

/// Returns the same for the noise of `plan`, all examples taking part in all its steps: as much as one release with σ/√T,
/// so 2 Φ(√T / 2σ) − 1 (Dong et al. 2022, arXiv 1905.02383; for the continuous Gaussian, to which the discrete one on a
/// grid of 2²⁰ steps is close).
pub(crate) fn gaussian_bound(plan: &Plan) -> Result<f64, NoiseError> {
    let multiplier = plan.mechanism()?.noise_multiplier();
    Ok(libm::erf((plan.steps as f64 / 8.0).sqrt() / multiplier))
}

/// The attacker's guess on one candidate of one run: higher for members.
struct Guess {
    run: usize,
    score: f64,
    is_member: bool,
}

fn thresholds(runs: &[Run], signal: Signal) -> Vec<Guess> {
    let of = |(run, candidates): (usize, &Run)| {
        let guess = |candidate: &Candidate| Guess {
            run,
            score: candidate.scores[signal as usize],
            is_member: candidate.is_member,
        };
        candidates.candidates.iter().map(guess).collect::<Vec<_>>()
    };
    runs.iter().enumerate().flat_map(of).collect()
}

fn likelihoods(runs: &[Run], signal: Signal) -> Vec<Guess> {
    let mut sums: BTreeMap<(usize, usize), [Sums; 2]> = BTreeMap::new();
    for candidate in runs.iter().flat_map(|run| &run.candidates) {
        let sums = sums.entry((candidate.tab, candidate.sample)).or_default();
        sums[usize::from(candidate.is_member)].add(candidate.scores[signal as usize], 1.0);
    }
    let mut guesses = Vec::new();
    for (run, candidates) in runs.iter().enumerate() {
        for candidate in &candidates.candidates {
            let score = candidate.scores[signal as usize];
            // What the attacked run itself would teach is not known to the attacker.
            let mut shadows = sums[&(candidate.tab, candidate.sample)];
            shadows[usize::from(candidate.is_member)].add(score, -1.0);
            guesses.push(Guess {
                run,
                score: ratio(score, &shadows),
                is_member: candidate.is_member,
            });
        }
    }
    guesses
}

/// Returns the logarithm of the likelihoods' ratio at `score`; 0 where the shadows say too little.
fn ratio(score: f64, [without, with]: &[Sums; 2]) -> f64 {
    if without.count < 2.0 || with.count < 2.0 {
        return 0.0;
    }
    let variance =
        (without.spread() + with.spread()) / (without.count + with.count - 2.0) + f64::MIN_POSITIVE;
    let square = |sums: &Sums| (score - sums.mean()) * (score - sums.mean());
    // A mean of few runs is itself uncertain.
    let log = |sums: &Sums| {
        let wide = variance * (1.0 + 1.0 / sums.count);
        -square(sums) / (2.0 * wide) - wide.ln() / 2.0
    };
    log(with) - log(without)
}

/// Count, sum and sum of squares.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += weight * value;
        self.squares += weight * value * value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn spread(&self) -> f64 {
        (self.squares - self.sum * self.mean()).max(0.0)
    }
}

/// Returns advantage, area and hits of `guesses`, the highest first, each run counted as often as `weights` says.
fn rates(guesses: &[Guess], weights: &[u32]) -> [f64; 3] {
    let count = |is_member: bool| -> f64 {
        let of = guesses.iter().filter(|guess| guess.is_member == is_member);
        of.map(|guess| f64::from(weights[guess.run])).sum()
    };
    let (members, others) = (count(true), count(false));
    let (mut hit, mut missed) = (0.0, 0.0);
    let [mut advantage, mut area, mut at_one_percent] = [0.0f64; 3];
    for equal in guesses.chunk_by(|a, b| a.score == b.score) {
        let (hit_before, missed_before) = (hit, missed);
        for guess in equal {
            let weight = f64::from(weights[guess.run]);
            if guess.is_member {
                hit += weight / members;
            } else {
                missed += weight / others;
            }
        }
        advantage = advantage.max(hit - missed);
        area += (missed - missed_before) * (hit + hit_before) / 2.0;
        if missed <= 0.01 {
            at_one_percent = hit;
        } else if missed_before < 0.01 {
            // Among equals the attacker takes as many by lot as make 1 %.
            let share = (0.01 - missed_before) / (missed - missed_before);
            at_one_percent = hit_before + share * (hit - hit_before);
        }
    }
    [advantage, area, at_one_percent]
}

/// Draws runs with replacement: how often each.
fn draws(runs: usize) -> impl Iterator<Item = Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..DRAWS).map(move |_| {
        let mut weights = vec![0; runs];
        for _ in 0..runs {
            weights[(rng.next_u64() % runs as u64) as usize] += 1;
        }
        weights
    })
}

fn interval(value: f64, drawn: impl Iterator<Item = f64>) -> Estimate {
    let mut drawn: Vec<f64> = drawn.collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[((drawn.len() - 1) as f64 * share).round() as usize];
    Estimate {
        value,
        low: at(0.025),
        high: at(0.975),
    }
}

/// Draws of an interval.
const DRAWS: usize = 400;
/// δ of the budget.
const DELTA: f64 = 1e-5;
