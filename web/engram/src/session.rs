//! Letting an engram into a model, or several at once: what JavaScript walks step by step.
//!
//! Only floats are blended, as singles, and rounded back to their own type. Other tensors must be what they are in the model.

use chorus_core::digest::{ContentId, Digest};
use chorus_core::engram::Dtype;
use chorus_core::engram::integrate::resolve::Contribution;
use chorus_core::engram::integrate::{
    Config, Entry, Event, Integration, Mismatch, Resolution, Step, Tensor, resolve,
};
use chorus_core::engram::number::{Float, is_float};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::file::File;
use crate::problem::{INVALID_ARGUMENT, MISMATCH, Problem};
use crate::unpack::{is_packed, unpack};

/// An engram that somebody shared.
#[derive(Debug)]
pub struct Given {
    /// The engram, or a safetensors file.
    pub bytes: Vec<u8>,
    /// The packet's content id.
    pub cid: String,
    /// What it counts beside others, at most 65 536.
    pub weight: f64,
}

/// How engrams are let in.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// How several become one.
    pub resolution: Conflicts,
    /// Whether the engrams hold differences from the model, not weights.
    pub is_delta: bool,
    /// Fall of the metric that rolls back.
    pub most_loss: Option<f32>,
    /// Fall of the metric with the whole engram up to which parts of it are tried.
    pub most_shadow_loss: Option<f32>,
    /// The share that is let in first.
    pub first_alpha: Option<f32>,
}

/// How several engrams become one.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Conflicts {
    /// The weighted mean.
    Mean,
    /// TIES, with the largest fifth of each. The default. Source: its paper's share, core::engram::integrate.
    #[default]
    Ties,
    /// TIES, with another share.
    TiesOf {
        /// The share of each that is kept, > 0 and ≤ 1.
        keep: f32,
    },
    /// DARE.
    DareOf {
        /// The share of each that is dropped.
        drop: f32,
        /// Makes the choice.
        seed: u32,
    },
}

impl From<Conflicts> for Resolution {
    fn from(conflicts: Conflicts) -> Self {
        match conflicts {
            Conflicts::Mean => Self::Mean,
            Conflicts::Ties => Self::Ties { keep: 0.2 },
            Conflicts::TiesOf { keep } => Self::Ties { keep },
            Conflicts::DareOf { drop, seed } => Self::Dare {
                drop,
                seed: seed.into(),
            },
        }
    }
}

/// An engram, or several, on their way into a model.
#[derive(Debug)]
pub struct Session {
    /// The model as it came.
    file: File,
    integration: Integration,
    cids: Vec<String>,
    is_measured: bool,
}

impl Session {
    /// Unpacks and validates engrams against `model`, a safetensors file, and makes one of several.
    ///
    /// # Errors
    /// `ERR_MISMATCH` that names the tensor; `ERR_DAMAGED`; `ERR_TOO_LARGE`; `ERR_INVALID_ARGUMENT`.
    pub fn new(model: Vec<u8>, given: Vec<Given>, options: Options) -> Result<Self, Problem> {
        let file = File::open(model)?;
        let cids: Vec<String> = given.iter().map(|given| given.cid.clone()).collect();
        let before = floats_of(&file);
        let mut contributions = Vec::with_capacity(given.len());
        for given in given {
            let weight = weight(given.weight)?;
            let id = id(&given.cid);
            let values = delta(&file, &before, given.bytes, options.is_delta)?;
            contributions.push((id, weight, values));
        }
        let (source, values, disagreement) = match &mut contributions[..] {
            [] => return Err(Problem::new(INVALID_ARGUMENT, "there is no engram")),
            [(id, _, values)] => (*id, std::mem::take(values), None),
            several => {
                let ids: Vec<u8> = several.iter().flat_map(|(id, ..)| *id).collect();
                let all: Vec<Contribution<'_>> = several
                    .iter()
                    .map(|(id, weight, values)| Contribution {
                        id: *id,
                        weight: *weight,
                        values,
                    })
                    .collect();
                let (values, disagreement) = resolve(options.resolution.into(), &all)?;
                let source = *Digest::sha256(&ids).as_bytes();
                (source, values, Some(disagreement))
            }
        };
        drop(contributions);
        let usual = Config::default();
        let config = Config {
            most_loss: options.most_loss.unwrap_or(usual.most_loss),
            most_shadow_loss: options.most_shadow_loss.unwrap_or(usual.most_shadow_loss),
            first_alpha: options.first_alpha.unwrap_or(usual.first_alpha),
            ..usual
        };
        let shapes = shapes_of(&file);
        let (model, change) = (
            tensors(&file, &shapes, &before),
            tensors(&file, &shapes, &values),
        );
        let integration = Integration::new(config, source, &model, &change, disagreement)?;
        Ok(Self {
            file,
            integration,
            cids,
            is_measured: false,
        })
    }

    /// Returns where it is: `assess`, `blend`, `monitor` or `rolled-back`.
    pub fn step(&self) -> &'static str {
        match self.integration.step() {
            Step::Assess => "assess",
            Step::Blend => "blend",
            Step::Monitor => "monitor",
            Step::RolledBack => "rolled-back",
        }
    }

    /// Returns the share that is in the model, 0..=1.
    pub fn alpha(&self) -> f32 {
        self.integration.alpha()
    }

    /// Takes what was measured of the model and of its shadow, higher is better; without, numbers speak for themselves.
    ///
    /// # Errors
    /// `ERR_INVALID_ARGUMENT` where that is no number, or was done before.
    pub fn assess(&mut self, measured: Option<(f32, f32)>) -> Result<(), Problem> {
        self.is_measured = measured.is_some();
        let proxy = self.integration.proxy(&[]);
        let assessment = match measured {
            Some((model, shadow)) => proxy.with_measured(model, shadow),
            None => proxy,
        };
        self.integration.assess(assessment)?;
        Ok(())
    }

    /// Takes what was measured of the model as it is now; none where nothing can be measured.
    ///
    /// # Errors
    /// `ERR_INVALID_ARGUMENT` where that is no number, or not the time.
    pub fn measured(&mut self, metric: Option<f32>) -> Result<(), Problem> {
        self.is_measured |= metric.is_some();
        // Where nothing can be measured, nothing becomes worse.
        self.integration.measured(metric.unwrap_or_default())?;
        Ok(())
    }

    /// Puts the model back as it was.
    pub fn undo(&mut self) {
        self.integration.undo();
    }

    /// Returns the model as it is now, a safetensors file; after a roll-back the very bytes that it was.
    pub fn now(&self) -> Vec<u8> {
        let mut bytes = self.file.bytes().to_vec();
        if self.integration.alpha() != 0.0 {
            let values = self.integration.model().map(|tensor| tensor.values);
            self.fill(&mut bytes, values);
        }
        bytes
    }

    /// Returns the model with all of the engram, to be measured aside.
    pub fn shadow(&self) -> Vec<u8> {
        let mut bytes = self.file.bytes().to_vec();
        let all = self.integration.shadow();
        let mut rest = &all[..];
        let lens = self.integration.model().map(|tensor| tensor.values.len());
        let values = lens.map(|len| {
            let (own, others) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            rest = others;
            own
        });
        self.fill(&mut bytes, values);
        bytes
    }

    fn fill<'a>(&self, bytes: &mut [u8], values: impl Iterator<Item = &'a [f32]>) {
        let mut values = values;
        let mut rest = bytes.get_mut(self.file.header().bytes().len()..);
        for (place, info) in self.file.tensors().iter().enumerate() {
            let len = self.file.numbers(place).len();
            let Some((own, others)) = rest.and_then(|rest| rest.split_at_mut_checked(len)) else {
                return;
            };
            rest = Some(others);
            if let Some(float) = Float::of(info.dtype)
                && let Some(values) = values.next()
            {
                float.overwrite(own, values);
            }
        }
    }

    /// Returns what happened, the oldest first, as JSON.
    pub fn trail(&self) -> Value {
        let (entries, _) = self.integration.trail();
        entries.map(|entry| self.line(entry)).collect()
    }

    /// Returns the metric by the share that was in, in the order of measuring, as JSON.
    pub fn curve(&self) -> Value {
        let (entries, _) = self.integration.trail();
        let point = |entry: &Entry| match &entry.event {
            Event::Assessed(assessment) => {
                let (before, _) = assessment.measured?;
                Some(json!({ "alpha": 0.0, "metric": before }))
            }
            Event::Blended { alpha, metric } => {
                Some(json!({ "alpha": alpha, "metric": self.is_measured.then_some(metric) }))
            }
            _ => None,
        };
        entries.filter_map(point).collect()
    }

    fn line(&self, entry: &Entry) -> Value {
        let mut line = match &entry.event {
            Event::Validated { parameters } => {
                json!({ "event": "validated", "parameters": parameters })
            }
            Event::Assessed(assessment) => json!({
                "event": "assessed",
                "before": assessment.measured.map(|(before, _)| before),
                "after": assessment.measured.map(|(_, after)| after),
                "relativeNorm": assessment.relative_norm,
                "cosine": assessment.cosine,
            }),
            Event::Resolved { disagreement } => {
                json!({ "event": "resolved", "disagreement": disagreement })
            }
            Event::Blended { alpha, metric } => {
                let metric = self.is_measured.then_some(metric);
                json!({ "event": "blended", "alpha": alpha, "metric": metric })
            }
            Event::Settled { alpha } => json!({ "event": "settled", "alpha": alpha }),
            Event::Refused => json!({ "event": "refused" }),
            Event::RolledBack { metric } => json!({ "event": "rolled-back", "metric": metric }),
        };
        if let Some(line) = line.as_object_mut() {
            line.insert("cids".into(), json!(self.cids));
        }
        line
    }
}

/// Returns the floats of a model in a row.
fn floats_of(file: &File) -> Vec<f32> {
    let tensors = file.tensors().iter().enumerate();
    let values = tensors.filter_map(|(place, info)| singles(info.dtype, file.numbers(place)));
    values.flatten().collect()
}

/// Returns the numbers of a tensor of floats as singles; none for other types.
fn singles(dtype: Dtype, numbers: &[u8]) -> Option<Vec<f32>> {
    Some(Float::of(dtype)?.read(numbers).collect())
}

/// Returns the shapes of a model's floats.
fn shapes_of(file: &File) -> Vec<Vec<usize>> {
    let floats = file.tensors().iter().filter(|info| is_float(info.dtype));
    let shape = |side: &u64| *side as usize;
    floats
        .map(|info| info.shape.iter().map(shape).collect())
        .collect()
}

/// Lays `values` out as the floats of a model.
fn tensors<'a>(file: &'a File, shapes: &'a [Vec<usize>], mut values: &'a [f32]) -> Vec<Tensor<'a>> {
    let floats = file.tensors().iter().filter(|info| is_float(info.dtype));
    let tensor = |(info, shape): (&'a chorus_core::engram::TensorInfo, &'a Vec<usize>)| {
        let len = shape.iter().product();
        let (own, rest) = values.split_at_checked(len).unwrap_or((values, &[]));
        values = rest;
        Tensor {
            name: &info.name,
            shape,
            values: own,
        }
    };
    floats.zip(shapes).map(tensor).collect()
}

/// Returns what an engram changes of a model's floats, `before`, laid out like these.
fn delta(
    model: &File,
    before: &[f32],
    bytes: Vec<u8>,
    is_delta: bool,
) -> Result<Vec<f32>, Problem> {
    let bytes = if is_packed(&bytes) {
        unpack(&bytes, Some(model), usize::MAX, &mut |_| true)?
    } else {
        bytes
    };
    let other = File::open(bytes)?;
    let mut known = vec![false; other.tensors().len()];
    let (mut changes, mut at) = (vec![0.0; before.len()], 0);
    for (place, info) in model.tensors().iter().enumerate() {
        let own = model.numbers(place);
        let len = Float::of(info.dtype).map_or(0, |float| own.len() / float.width());
        let range = at..at + len;
        at += len;
        let same_name = |theirs: &chorus_core::engram::TensorInfo| theirs.name == info.name;
        let Some(found) = other.tensors().iter().position(same_name) else {
            continue;
        };
        known[found] = true;
        let (theirs, numbers) = (&other.tensors()[found], other.numbers(found));
        if theirs.shape != info.shape {
            let message = format!(
                "tensor {:?} must have the shape {:?}, got {:?}",
                info.name, info.shape, theirs.shape
            );
            return Err(Problem::new(MISMATCH, message));
        }
        match singles(theirs.dtype, numbers) {
            Some(values) if is_float(info.dtype) => {
                let (Some(changes), Some(before)) =
                    (changes.get_mut(range.clone()), before.get(range))
                else {
                    continue;
                };
                for ((change, value), before) in changes.iter_mut().zip(values).zip(before) {
                    *change = if is_delta { value } else { value - before };
                }
            }
            _ if theirs.dtype == info.dtype && numbers == own => {}
            _ => {
                let (name, expected, got) = (&info.name, info.dtype.name(), theirs.dtype.name());
                let message = if expected == got {
                    format!("tensor {name:?} of {got} is not blended and must be the model's own")
                } else {
                    format!("tensor {name:?} must be of {expected}, got {got}")
                };
                return Err(Problem::new(MISMATCH, message));
            }
        }
    }
    if let Some(unknown) = known.iter().position(|known| !known) {
        let name = other.tensors()[unknown].name.clone();
        return Err(Problem::new(MISMATCH, Mismatch::Unknown { name }));
    }
    Ok(changes)
}

/// Returns the digest in a content id; of anything else its own.
fn id(cid: &str) -> [u8; 32] {
    let digest = match cid.parse::<ContentId>() {
        Ok(id) => id.digest(),
        Err(_) => Digest::sha256(cid.as_bytes()),
    };
    *digest.as_bytes()
}

/// Returns a weight in 1/65 536.
fn weight(got: f64) -> Result<u64, Problem> {
    if !(0.0..=65_536.0).contains(&got) {
        let message = format!("weight must be within 0..=65536, got {got}");
        return Err(Problem::new(INVALID_ARGUMENT, message));
    }
    Ok((got * 65_536.0) as u64)
}

#[cfg(test)]
mod tests;
