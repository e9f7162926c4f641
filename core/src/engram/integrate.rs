//! Lets what others have learned into a model, in five steps that are seen and can be taken back: validate, assess,
//! resolve, integrate gradually, monitor. Does no IO, reads no clock and evaluates nothing itself.
//!
//! [`Integration`] holds the model and walks the steps; the caller measures (shadow evaluation on held-out data) and says
//! what came of it. Every step is an [`Event`]. [`Integration::undo`] gives the model back bit for bit at any time.
//!
//! Models that are merged are added up in whole numbers ([`mod@resolve`]), so that all who merge the same set hold the same
//! bits, whatever the order.
//!
//! What it does not do: it fetches nothing, trusts no author, and knows no packet but by the digest it is given.

pub mod assess;
pub mod resolve;
mod schedule;
pub mod validate;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use assess::{Assessment, proxy};
pub use resolve::{Resolution, ResolveError, resolve};
pub use schedule::Config;
pub use validate::{Mismatch, Tensor, validate};

use crate::bounds::RangeError;

/// Names a packet: its digest.
pub type Source = [u8; 32];

/// What happened, in order; the caller shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The delta fits the model.
    Validated {
        /// Parameters that it touches.
        parameters: u64,
    },
    /// The delta was measured, on the shadow or by proxy.
    Assessed(Assessment),
    /// Conflicts between several deltas are settled.
    Resolved {
        /// Share of the parameters on which the deltas' signs disagreed, 0..=1.
        disagreement: f32,
    },
    /// More of the delta, or less, is in the model.
    Blended {
        /// Share of the delta, 0..=1.
        alpha: f32,
        /// The metric after it, higher is better.
        metric: f32,
    },
    /// All of what helps is in.
    Settled {
        /// Share of the delta, 0..=1.
        alpha: f32,
    },
    /// What the delta says of itself speaks against it: nothing of it was let in.
    Refused,
    /// The model is as it was before, bit for bit.
    RolledBack {
        /// The metric that fell past its bound; `None` where the caller asked.
        metric: Option<f32>,
    },
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The packet whose delta it was about.
    pub source: Source,
    /// What happened.
    pub event: Event,
}

/// Where an integration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The delta is checked and waits to be measured on [`Integration::shadow`].
    Assess,
    /// It is blended in, share by share; the caller measures [`Integration::model`] after each.
    Blend,
    /// It is in; the caller goes on measuring.
    Monitor,
    /// It is out again, or was never let in.
    RolledBack,
}

/// Why a call does nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrateError {
    /// The delta does not fit the model.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] RangeError),
    /// The step is not due.
    #[error("integration is at step {at:?}, this needs {needs:?}")]
    Step {
        /// Where it is.
        at: Step,
        /// Where it would have to be.
        needs: Step,
    },
    /// A measurement is no number.
    #[error("metric must be finite, got {got}")]
    Metric {
        /// What was measured.
        got: f32,
    },
}

/// One delta on its way into a model. Memory: the model twice and the delta once.
#[derive(Clone, Debug)]
pub struct Integration {
    config: Config,
    source: Source,
    names: Vec<validate::Owned>,
    /// The model before, kept to the bit.
    before: Vec<f32>,
    model: Vec<f32>,
    delta: Vec<f32>,
    step: Step,
    alpha: f32,
    /// The metric of the model before, or of the first share where that was not measured.
    baseline: Option<f32>,
    best: (f32, f32),
    blends: u32,
    trail: VecDeque<Entry>,
    dropped: u64,
}

impl Integration {
    /// Validates `delta` against `model` and starts. `resolved` says on what share of the parameters deltas disagreed where
    /// several were [resolved](resolve()) into this one. O(parameters).
    ///
    /// # Errors
    /// [`IntegrateError::Mismatch`] that names the tensor; [`IntegrateError::Config`].
    pub fn new(
        config: Config,
        source: Source,
        model: &[Tensor<'_>],
        delta: &[Tensor<'_>],
        resolved: Option<f32>,
    ) -> Result<Self, IntegrateError> {
        config.validate()?;
        let delta = validate(model, delta, config.max_parameters)?;
        let before: Vec<f32> = model.iter().flat_map(|t| t.values).copied().collect();
        validate::check_sum(model, &before, &delta)?;
        let touched = delta.iter().filter(|d| **d != 0.0).count() as u64;
        let mut integration = Self {
            names: model.iter().map(validate::Owned::of).collect(),
            model: before.clone(),
            before,
            delta,
            config,
            source,
            step: Step::Assess,
            alpha: 0.0,
            baseline: None,
            best: (0.0, 0.0),
            blends: 0,
            trail: VecDeque::new(),
            dropped: 0,
        };
        integration.note(Event::Validated {
            parameters: touched,
        });
        if let Some(disagreement) = resolved {
            integration.note(Event::Resolved { disagreement });
        }
        Ok(integration)
    }

    /// Returns where the integration is.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Returns the share of the delta that is in the model, 0..=1.
    pub fn alpha(&self) -> f32 {
        self.alpha
    }

    /// Returns the model as it is now: named tensors in the order they were given in.
    pub fn model(&self) -> impl Iterator<Item = Tensor<'_>> {
        validate::Owned::view(&self.names, &self.model)
    }

    /// Returns the model with the whole delta, to be measured aside. The model itself is untouched. O(parameters).
    pub fn shadow(&self) -> Vec<f32> {
        let blended = self.before.iter().zip(&self.delta);
        blended
            .map(|(before, delta)| part(*before, *delta, 1.0))
            .collect()
    }

    /// Returns what can be said of the delta without any data: its size and direction beside the model's and `recent`, a
    /// change that this node made itself (empty where there is none).
    pub fn proxy(&self, recent: &[f32]) -> Assessment {
        proxy(&self.before, &self.delta, recent)
    }

    /// Takes the measurement of the shadow beside that of the model (higher is better), or the proxy where there is no data,
    /// and lets the first share in, or nothing where the assessment speaks against it.
    ///
    /// # Errors
    /// [`IntegrateError::Step`]; [`IntegrateError::Metric`] where a measurement is no number.
    pub fn assess(&mut self, assessment: Assessment) -> Result<Step, IntegrateError> {
        self.need(Step::Assess)?;
        if let Some((before, after)) = assessment.measured {
            check_metric(before)?;
            check_metric(after)?;
        }
        self.note(Event::Assessed(assessment));
        let is_welcome = match assessment.measured {
            // The whole may be too much where a part helps: only what is far too bad is not even tried.
            Some((before, after)) => after >= before - self.config.most_shadow_loss,
            None => {
                assessment.relative_norm <= self.config.most_relative_norm
                    && assessment.relevance >= self.config.least_relevance
            }
        };
        if let Some((before, _)) = assessment.measured {
            self.baseline = Some(before);
            self.best = (0.0, before);
        }
        if !is_welcome {
            match assessment.measured {
                Some((_, after)) => self.roll_back(Some(after)),
                None => {
                    self.step = Step::RolledBack;
                    self.note(Event::Refused);
                }
            }
            return Ok(self.step);
        }
        self.step = Step::Blend;
        self.blend(self.config.first_alpha);
        Ok(self.step)
    }

    /// Takes the metric (higher is better) of the model as it is now, and blends in more, less, or rolls back. Where the
    /// integration was assessed by proxy, the first metric is the bound that later ones are held to.
    ///
    /// # Errors
    /// [`IntegrateError::Step`] before the assessment and after a roll-back; [`IntegrateError::Metric`].
    pub fn measured(&mut self, metric: f32) -> Result<Step, IntegrateError> {
        check_metric(metric)?;
        match self.step {
            Step::Blend => self.on_blend(metric),
            Step::Monitor => {
                if metric < self.best.1 - self.config.most_loss {
                    self.roll_back(Some(metric));
                }
            }
            at @ (Step::Assess | Step::RolledBack) => {
                let needs = Step::Blend;
                return Err(IntegrateError::Step { at, needs });
            }
        }
        Ok(self.step)
    }

    fn on_blend(&mut self, metric: f32) {
        self.note(Event::Blended {
            alpha: self.alpha,
            metric,
        });
        self.blends += 1;
        let baseline = *self.baseline.get_or_insert_with(|| {
            self.best = (self.alpha, metric);
            metric
        });
        if metric < baseline - self.config.most_loss {
            self.roll_back(Some(metric));
            return;
        }
        let is_better = metric >= self.best.1;
        if is_better {
            self.best = (self.alpha, metric);
        }
        let is_over = self.blends >= self.config.most_blends;
        let next = if is_better {
            (self.alpha * self.config.growth).min(1.0)
        } else {
            // Halfway back to the best so far.
            (self.alpha + self.best.0) / 2.0
        };
        let is_near = libm::fabsf(next - self.alpha) < self.config.least_change;
        if is_over || is_near {
            let (alpha, _) = self.best;
            self.blend(alpha);
            self.step = Step::Monitor;
            self.note(Event::Settled { alpha });
        } else {
            self.blend(next);
        }
    }

    /// Puts the model back as it was, bit for bit. Does nothing where it is so already.
    pub fn undo(&mut self) {
        if self.step != Step::RolledBack {
            self.roll_back(None);
        }
    }

    /// Returns the audit trail, oldest first, at most [`Config::most_entries`], and how many lines were dropped.
    pub fn trail(&self) -> (impl Iterator<Item = &Entry>, u64) {
        (self.trail.iter(), self.dropped)
    }

    fn roll_back(&mut self, metric: Option<f32>) {
        self.model.copy_from_slice(&self.before);
        self.alpha = 0.0;
        self.step = Step::RolledBack;
        self.note(Event::RolledBack { metric });
    }

    /// Always from the model before, so that shares do not add up rounding.
    fn blend(&mut self, alpha: f32) {
        self.alpha = alpha;
        for ((model, before), delta) in self.model.iter_mut().zip(&self.before).zip(&self.delta) {
            *model = part(*before, *delta, alpha);
        }
    }

    fn need(&self, needs: Step) -> Result<(), IntegrateError> {
        let at = self.step;
        if at == needs {
            Ok(())
        } else {
            Err(IntegrateError::Step { at, needs })
        }
    }

    fn note(&mut self, event: Event) {
        if self.trail.len() >= self.config.most_entries {
            self.trail.pop_front();
            self.dropped += 1;
        }
        self.trail.push_back(Entry {
            source: self.source,
            event,
        });
    }
}

/// Returns `before` with a share of `delta`. A zero must not turn a negative zero into a positive one.
fn part(before: f32, delta: f32, alpha: f32) -> f32 {
    if delta == 0.0 || alpha == 0.0 {
        before
    } else {
        before + alpha * delta
    }
}

fn check_metric(got: f32) -> Result<(), IntegrateError> {
    if got.is_finite() {
        Ok(())
    } else {
        Err(IntegrateError::Metric { got })
    }
}

#[cfg(test)]
mod tests;
