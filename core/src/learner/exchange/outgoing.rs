//! What of a round goes out, and the model that it is told against.
//!
//! Nodes that merged the same models hold the same bits, and tell each other only what their own training changed. A node
//! that is new, or missed somebody's share, starts from other bits; for it the others tell the difference to the first
//! model of the network, which everybody can make, and a round later all are in step again.

use alloc::vec;
use alloc::vec::Vec;

use super::Shared;
use crate::learner::classes::Classes;
use crate::learner::config::Config;
use crate::learner::mlp::{Mlp, ParametersError, check_parameters, parameters_to_bytes};
use crate::learner::update::{Head, Tag, Units, Update};

/// The model that the round started from, what training makes of it, and what of that was told.
pub(in crate::learner) struct Outgoing {
    first: Units,
    base: Units,
    tag: Tag,
    /// How the base changed last, where everybody in step knows it too.
    velocity: Vec<f32>,
    /// What updates have left out so far.
    residual: Vec<f32>,
    /// What the others read from the bytes.
    model: Vec<f32>,
    bytes: Vec<u8>,
    is_whole: bool,
    /// Whether the model of this round was told whole after the difference was.
    is_retold: bool,
    whole_bytes: usize,
}

impl Outgoing {
    pub(in crate::learner) fn new(first: &Mlp) -> Self {
        let first = Units::of(first.parameters());
        let model = first.parameters();
        Self {
            tag: first.tag(),
            base: first.clone(),
            first,
            velocity: vec![0.0; model.len()],
            residual: vec![0.0; model.len()],
            model,
            bytes: Vec::new(),
            is_whole: false,
            is_retold: false,
            whole_bytes: 0,
        }
    }

    /// Returns this node's model of the round as the others read it.
    pub(super) fn model(&self) -> &[f32] {
        &self.model
    }

    /// Returns the parameters that the round started from.
    pub(super) fn base(&self) -> Vec<f32> {
        self.base.parameters()
    }

    /// Says whether an update is against a model that is here.
    pub(super) fn knows(&self, update: &Update) -> bool {
        update.head.is_whole || update.head.base == self.tag
    }

    /// Checks an update that can be read exactly; any other may still turn out to be a model.
    pub(super) fn check(&self, update: &Update) -> Result<(), ParametersError> {
        if self.knows(update) {
            update.apply(self.reference(update))?;
        }
        Ok(())
    }

    /// Returns the model that a neighbour shared; where it is told against another base, about that.
    pub(super) fn read(&self, shared: &Shared) -> Result<Vec<f32>, ParametersError> {
        match shared {
            Shared::Plain(params) => Ok(params.clone()),
            Shared::Update(update) => update.apply(self.reference(update)),
        }
    }

    /// Says whether the round's share can be read by everybody.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Says whether the author of `shared` started from the same model as this node.
    pub(super) fn is_base_of(&self, shared: &Shared) -> bool {
        matches!(shared, Shared::Update(update) if update.head.base == self.tag)
    }

    fn reference(&self, update: &Update) -> &Units {
        if update.head.is_whole {
            &self.first
        } else {
            &self.base
        }
    }

    /// Takes in what training made of the model, and decides what of it is told. What is not stays for the next rounds.
    pub(in crate::learner) fn prepare(
        &mut self,
        config: &Config,
        (round, classes): (u64, Classes),
        trained: &[f32],
        is_in_step: bool,
    ) {
        self.whole_bytes = config.whole_bytes as usize;
        self.is_retold = false;
        let base = self.base.parameters();
        let is_model = check_parameters(trained).is_ok();
        if trained == base {
            // Who trains no more, as its budget is spent, shares what was merged and nothing else.
            self.forget();
        }
        let mut wanted = Vec::with_capacity(base.len());
        for ((residual, &trained), &base) in self.residual.iter().zip(trained).zip(&base) {
            // Training that ran away counts for nothing.
            let change = if is_model { trained - base } else { 0.0 };
            wanted.push(base + change + residual);
        }
        let told = if config.is_plain {
            check_parameters(&wanted).map(|()| (Units::of(&wanted).parameters(), Vec::new()))
        } else {
            let is_first = self.base == self.first;
            self.is_whole = is_first || !is_in_step;
            // In the first rounds little is known that is worth more than a few updates.
            let update_bytes = match &config.privacy {
                Some(privacy) => privacy.update_bytes,
                None => config.update_bytes,
            } as usize;
            let rounds = usize::try_from(round).unwrap_or(usize::MAX);
            let known = update_bytes.saturating_mul(rounds.saturating_add(1));
            let budget = if self.is_whole && !is_first {
                self.whole_bytes.min(known)
            } else {
                update_bytes
            };
            self.quantise((round, classes), &wanted, budget, self.is_whole)
        };
        (self.model, self.bytes) = told.unwrap_or_else(|_| {
            wanted.copy_from_slice(&base);
            (base, Vec::new())
        });
        for ((residual, wanted), told) in self.residual.iter_mut().zip(&wanted).zip(&self.model) {
            *residual = wanted - told;
        }
        if config.is_plain || self.bytes.is_empty() {
            self.bytes = parameters_to_bytes(&self.model);
            self.is_whole = true;
        }
    }

    /// Writes `wanted` as an update, and returns the model that it stands for.
    fn quantise(
        &self,
        (round, classes): (u64, Classes),
        wanted: &[f32],
        budget: usize,
        is_whole: bool,
    ) -> Result<(Vec<f32>, Vec<u8>), ParametersError> {
        let head = Head {
            is_whole,
            round,
            classes,
            base: self.tag,
        };
        let reference = if is_whole { &self.first } else { &self.base };
        let difference: Vec<f32> = wanted
            .iter()
            .zip(reference.parameters())
            .map(|(wanted, reference)| wanted - reference)
            .collect();
        let (update, bytes) = Update::quantise(head, &difference, budget);
        Ok((update.apply(reference)?, bytes))
    }

    /// Returns what to publish. Where somebody came meanwhile that cannot read the difference that was told in this round,
    /// the model is told once more, whole.
    pub(in crate::learner) fn bytes(
        &mut self,
        round: u64,
        classes: Classes,
        is_in_step: bool,
    ) -> Vec<u8> {
        if !is_in_step && !self.is_retold && !self.is_whole {
            self.is_retold = true;
            let whole = self.quantise((round, classes), &self.model, self.whole_bytes, true);
            if let Ok((_, bytes)) = whole {
                self.bytes = bytes;
            }
        }
        self.bytes.clone()
    }

    /// Makes `merged` the model that the next round starts from. What is no model is dropped in favour of this node's own.
    /// `momentum` is the share of the last change that is repeated; `None` where others cannot know that change.
    pub(super) fn adopt(&mut self, merged: &[f32], momentum: Option<f32>) {
        let base = self.base.parameters();
        let mut carried = merged.to_vec();
        for (((velocity, carried), base), merged) in self
            .velocity
            .iter_mut()
            .zip(&mut carried)
            .zip(&base)
            .zip(merged)
        {
            match momentum {
                Some(momentum) => {
                    *velocity = momentum * *velocity + (merged - base);
                    *carried = base + *velocity;
                }
                None => *velocity = 0.0,
            }
        }
        self.base = match [&carried[..], merged].into_iter().find_map(rounded) {
            Some(base) => base,
            None => Units::of(&self.model),
        };
        self.tag = self.base.tag();
    }

    /// Forgets what was left untold: this node goes on from what others know.
    pub(super) fn forget(&mut self) {
        self.residual.fill(0.0);
    }
}

/// Returns parameters in whole units, where both they and these are a model.
fn rounded(parameters: &[f32]) -> Option<Units> {
    check_parameters(parameters).ok()?;
    let units = Units::of(parameters);
    check_parameters(&units.parameters()).ok()?;
    Some(units)
}
