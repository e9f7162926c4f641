//! What a neighbour of a tab makes of the models that the tab shares.

use chorus_core::learner::{Config, Mlp, Sample};
use chorus_core::training::lockstep::Private;

use crate::Failure;
use crate::regression::{Regression, dot};
use crate::run::SIGNALS;

/// What a neighbour keeps of one tab: it has merged the same models, so it knows where each round's training started.
pub(crate) struct Watched {
    anchor: Mlp,
    shared: Mlp,
    candidates: Vec<usize>,
    scores: Vec<[f64; SIGNALS]>,
    private: Option<Private>,
    /// Variance of the noise of a step, as the plan says; 0 where there is none.
    variance: f64,
    regression: Option<Regression>,
}

impl Watched {
    pub(crate) fn new(
        model: &Mlp,
        candidates: Vec<usize>,
        private: Option<&Private>,
        regresses: bool,
    ) -> Result<Self, Failure> {
        let deviation = match private {
            Some(Private { plan, .. }) => plan.mechanism()?.noise_multiplier() * plan.clip_norm,
            None => 0.0,
        };
        Ok(Self {
            anchor: model.clone(),
            shared: model.clone(),
            scores: vec![[0.0; SIGNALS]; candidates.len()],
            private: private.copied(),
            variance: deviation * deviation,
            regression: regresses.then(|| Regression::new(candidates.len())),
            candidates,
        })
    }

    pub(crate) fn on_share(&mut self, params: &[f32], samples: &[Sample]) {
        if self.shared.set_parameters(params).is_err() {
            return;
        }
        let anchor = self.anchor.parameters();
        let step: Vec<f32> = anchor.iter().zip(params).map(|(a, b)| a - b).collect();
        for (&candidate, scores) in self.candidates.iter().zip(&mut self.scores) {
            let sample = &samples[candidate];
            let confidence = confidence(&self.shared, sample);
            scores[0] = confidence;
            scores[1] += confidence;
            scores[2] += f64::from(dot(&step, &self.anchor.gradient(sample)));
        }
        self.regress(&step, samples);
    }

    pub(crate) fn on_merge(&mut self, params: &[f32]) {
        // Checked by the exchange.
        let _ = self.anchor.set_parameters(params);
    }

    /// Returns the candidates with their scores.
    pub(crate) fn scores(
        &mut self,
        samples: &[Sample],
    ) -> impl Iterator<Item = (usize, [f64; SIGNALS])> {
        debug_assert!(self.candidates.iter().all(|&index| index < samples.len()));
        if self.private.is_some() {
            self.solve();
        }
        self.candidates
            .iter()
            .copied()
            .zip(self.scores.iter().copied())
    }

    /// Explains `step` by the slopes of all candidates. In private mode a round is one step of known noise, and all rounds
    /// are explained together; openly it is several without noise, bent only by the way, and each is explained by itself.
    fn regress(&mut self, step: &[f32], samples: &[Sample]) {
        let Some(regression) = &mut self.regression else {
            return;
        };
        let Config {
            steps, batch, rate, ..
        } = Config::default();
        let (at, norm, weight) = match &self.private {
            Some(Private { plan, privacy }) => {
                (self.anchor.clone(), plan.clip_norm as f32, privacy.rate)
            }
            None => {
                // Half way.
                let mut at = self.anchor.clone();
                at.descend(step, 0.5);
                (at, f32::MAX, rate / batch as f32)
            }
        };
        let slopes = self.candidates.iter().map(|&candidate| {
            let sample = &samples[candidate];
            (sample.input(), at.gradient(sample))
        });
        // How often each takes part on average: four of five are members.
        let visits = match self.private {
            Some(_) => MEMBERS,
            None => (steps * batch) as f32 / self.candidates.len() as f32,
        };
        regression.add(slopes, norm, step, weight, visits);
        if self.private.is_none() {
            self.solve();
        }
    }

    fn solve(&mut self) {
        let Some(regression) = &mut self.regression else {
            return;
        };
        // Noise over the variance of being a member, or a small part of what there is to explain.
        let ridge = if self.variance > 0.0 {
            self.variance / f64::from(MEMBERS * (1.0 - MEMBERS))
        } else {
            regression.mean_square() * PLAIN_RIDGE
        };
        for (scores, part) in self.scores.iter_mut().zip(regression.solve(ridge)) {
            scores[3] += part;
        }
    }
}

/// Returns the logit of the right answer's probability (2112.03570, section V-B).
fn confidence(model: &Mlp, sample: &Sample) -> f64 {
    let probabilities = model.predict(&sample.input()).map(f64::from);
    let right = probabilities[usize::from(sample.label)];
    let wrong = probabilities.iter().sum::<f64>() - right;
    right.max(LEAST).ln() - wrong.max(LEAST).ln()
}

/// Share of members among the candidates.
const MEMBERS: f32 = 0.8;
/// Ridge of the open rounds against the mean square of a slope. Source: tried on other seeds.
const PLAIN_RIDGE: f64 = 3e-3;
/// Least probability told apart from none.
const LEAST: f64 = 1e-30;
