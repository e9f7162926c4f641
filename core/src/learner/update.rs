//! What a node shares of its model: the quantised difference to a model that the receiver has, in a few dozen bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 1: against the model that the round's training started from; 2: against the network's first model |
//! | varint | the round |
//! | 2 | the classes that the author trains on, as bits |
//! | 4 | which model its training started from: the start of the SHA-256 of its units |
//! | 2 | the step: mantissa in the low six bits, exponent above |
//! | varint | levels that are not zero |
//! | rest | the levels, as `coder` writes them |
//!
//! Models travel in whole units of 2⁻¹⁶, so that nodes that merge the same set hold the same bits. One step for all
//! parameters with a dead zone, and what was left out goes out later: error feedback (Karimireddy et al. 2019,
//! arXiv 1901.09847, algorithm 1).

use alloc::vec::Vec;

use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::learner::classes::Classes;
use crate::learner::coder::{self, MAX_LEVEL};
use crate::learner::mlp::{PARAMETERS, ParametersError, check_parameters};
use crate::wire::{Reader, WireError, Writer};

/// Bytes of an update at most. Source: 4810 levels of eight bits, which no honest node comes near.
pub const MAX_UPDATE: usize = 4096;

/// A difference between two models, with what its receivers need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub(super) head: Head,
    step: Step,
    levels: Vec<i8>,
}

/// What stands before the levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    /// Whether the difference is to the first model of the network, which everybody can make, and not to `base`.
    pub(super) is_whole: bool,
    pub(super) round: u64,
    pub(super) classes: Classes,
    pub(super) base: Tag,
}

impl Update {
    /// Returns the round that it was shared in.
    pub fn round(&self) -> u64 {
        self.head.round
    }

    /// Returns the classes that its author says it trains on; `None` where it names none.
    pub fn classes(&self) -> Option<Classes> {
        Some(self.head.classes).filter(|classes| !classes.is_empty())
    }

    /// Quantises `difference` (4810 numbers) as finely as `budget` bytes allow, header included, and writes it. About
    /// 1 ms natively: ten tries.
    pub(super) fn quantise(head: Head, difference: &[f32], budget: usize) -> (Self, Vec<u8>) {
        let largest = difference.iter().fold(0.0f32, |max, d| max.max(d.abs()));
        let at = |code: u16| {
            let step = Step(code);
            let levels = difference.iter().map(|&d| level(d, step)).collect();
            let update = Self { head, step, levels };
            let bytes = update.to_bytes();
            let is_in_range = largest <= f32::from(MAX_LEVEL) * to_parameter(step.units());
            (update, bytes, is_in_range)
        };
        // The finest step that fits lies within `fine..=coarse`.
        let (mut fine, mut coarse) = (0, Step::COARSEST);
        let mut best = at(coarse);
        while fine < coarse {
            let middle = fine + (coarse - fine) / 2;
            let tried = at(middle);
            if tried.1.len() <= budget && tried.2 {
                (coarse, best) = (middle, tried);
            } else {
                fine = middle + 1;
            }
        }
        let (mut update, mut bytes, is_in_range) = best;
        if bytes.len() > budget || !is_in_range {
            // Training ran away: nothing of it is told.
            update.levels.fill(0);
            bytes = update.to_bytes();
        }
        (update, bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let nonzero = self.levels.iter().filter(|level| **level != 0).count();
        let mut writer = Writer::new();
        let Head {
            is_whole,
            round,
            classes,
            base,
        } = self.head;
        writer.u8(if is_whole { WHOLE } else { DELTA });
        writer.uvarint(round).u16(classes.bits());
        writer.put(&base.0).u16(self.step.0);
        writer.uvarint(nonzero as u64);
        writer.put(&coder::encode(&self.levels));
        writer.into_bytes()
    }

    /// Reads what another node wrote; anybody may have written it. 4810 bytes of memory, O(parameters).
    ///
    /// # Errors
    /// [`UpdateError`] that names the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UpdateError> {
        LimitError::check_len("update bytes", bytes.len(), MAX_UPDATE).map_err(WireError::from)?;
        let mut reader = Reader::new(bytes);
        let is_whole = match reader.u8()? {
            DELTA => false,
            WHOLE => true,
            got => return Err(UpdateError::Kind { got }),
        };
        let round = reader.uvarint()?;
        let bits = reader.u16()?;
        let classes = Classes::from_bits(bits).ok_or(UpdateError::Classes { got: bits })?;
        let base = Tag(reader.array()?);
        let code = reader.u16()?;
        let limit = LimitError::check("step", code.into(), Step::COARSEST.into());
        limit.map_err(WireError::from)?;
        let nonzero = reader.uvarint()?;
        LimitError::check("levels", nonzero, PARAMETERS as u64).map_err(WireError::from)?;
        let coded = reader.take(reader.remaining())?;
        let levels =
            coder::decode(coded, PARAMETERS, nonzero as usize).ok_or(UpdateError::Levels)?;
        Ok(Self {
            head: Head {
                is_whole,
                round,
                classes,
                base,
            },
            step: Step(code),
            levels,
        })
    }

    /// Returns the model that `reference`, whatever it is, becomes with this difference.
    ///
    /// # Errors
    /// [`ParametersError`] where that is no model.
    pub(super) fn apply(&self, reference: &Units) -> Result<Vec<f32>, ParametersError> {
        let step = self.step.units();
        let moved = reference.0.iter().zip(&self.levels);
        let parameters: Vec<f32> = moved
            .map(|(unit, level)| to_parameter(unit.saturating_add(i32::from(*level) * step)))
            .collect();
        check_parameters(&parameters)?;
        Ok(parameters)
    }
}

/// A model in whole units of 2⁻¹⁶. Every unit up to [`MAX_NORM`](crate::learner::mlp::MAX_NORM) is exact as a single.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Units(Vec<i32>);

impl Units {
    /// Rounds checked parameters to units.
    pub(super) fn of(parameters: &[f32]) -> Self {
        Self(parameters.iter().map(|&p| to_unit(p)).collect())
    }

    pub(super) fn parameters(&self) -> Vec<f32> {
        self.0.iter().map(|&unit| to_parameter(unit)).collect()
    }

    pub(super) fn tag(&self) -> Tag {
        let bytes: Vec<u8> = self.0.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let digest = Digest::sha256(&bytes);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Tag([a, b, c, d])
    }
}

/// Names a model among those that neighbours may have: an accident in 2³², and a lie costs only its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag([u8; 4]);

/// The distance between levels, (64 + mantissa) × 2^exponent units. So fine, because what was left out before lies close
/// below the threshold: a little less and very much more goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(u16);

impl Step {
    /// The finest is 2⁻¹⁰, the coarsest almost 4. Guess: a hundredth and ten times of what was seen.
    const COARSEST: u16 = (11 << 6) | 63;

    const fn units(self) -> i32 {
        (64 + (self.0 & 63) as i32) << (self.0 >> 6)
    }
}

/// Returns the level nearest to `difference`, nearer to zero where it is close to the middle.
fn level(difference: f32, step: Step) -> i8 {
    let steps = difference * (PER_ONE / step.units() as f32);
    let size = (steps.abs() + DEAD_ZONE).min(f32::from(MAX_LEVEL)) as i8;
    if steps < 0.0 { -size } else { size }
}

pub(super) fn to_unit(parameter: f32) -> i32 {
    libm::rintf(parameter * PER_ONE) as i32
}

pub(super) fn to_parameter(unit: i32) -> f32 {
    unit as f32 / PER_ONE
}

/// Why bytes are no update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// It ends early, or a number in it is out of its bounds.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A kind that this version does not know.
    #[error("kind of update must be 1 or 2, got {got}")]
    Kind {
        /// The first byte.
        got: u8,
    },
    /// Bits that stand for no class.
    #[error("classes must be within the lowest ten bits, got {got:#x}")]
    Classes {
        /// The bits.
        got: u16,
    },
    /// The levels do not end where the bytes do.
    #[error("levels must be as many as announced and end with their bytes")]
    Levels,
}

const DELTA: u8 = 1;
const WHOLE: u8 = 2;
const PER_ONE: f32 = 65_536.0;
/// What is added before a number of steps is cut off: 0.5 would round. Source: of 0.2, 0.3, 0.4 and 0.5 the best
/// accuracy of four nodes after 60 exchanges.
const DEAD_ZONE: f32 = 0.4;

#[cfg(test)]
mod tests;
