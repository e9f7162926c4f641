//! What a node shares of its model: the quantised difference to a model that the receiver has, in about a hundred bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 1: against the model that the round's training started from; 2: against the network's first model |
//! | varint | the round |
//! | 2 | the classes that the author trains on, as bits |
//! | 4 | which model its training started from: the start of the SHA-256 of its units |
//! | rest | the difference, as `factors` writes it |
//!
//! Models travel in whole units of 2⁻¹⁶, so that nodes that merge the same set hold the same bits. What was left out goes
//! out later: error feedback (Karimireddy et al. 2019, arXiv 1901.09847, algorithm 1).

use alloc::vec::Vec;

use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::learner::classes::Classes;
use crate::learner::factors::{self, Pair};
use crate::learner::mlp::{ParametersError, check_parameters};
use crate::wire::{Reader, WireError, Writer};

/// Bytes of an update at most. Source: at 3 kB, accuracy and loss of the model are those of plain weights.
pub const MAX_UPDATE: usize = 4096;

/// A difference between two models, with what its receivers need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub(super) head: Head,
    pairs: Vec<Pair>,
}

/// What stands before the difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    /// Whether the difference is to the first model of the network, which everybody can make, and not to `base`.
    pub(super) is_whole: bool,
    pub(super) round: u64,
    pub(super) classes: Classes,
    pub(super) base: Tag,
}

impl Head {
    /// Returns a writer with the header in it.
    fn to_writer(self) -> Writer {
        let kind = if self.is_whole { WHOLE } else { DELTA };
        let mut writer = Writer::new();
        writer.u8(kind).uvarint(self.round);
        writer.u16(self.classes.bits()).put(&self.base.0);
        writer
    }
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

    /// Quantises `difference` (4810 numbers) as finely as `budget` bytes (≥ 32) allow, header included, and writes it.
    pub(super) fn quantise(head: Head, difference: &[f32], budget: usize) -> (Self, Vec<u8>) {
        let room = budget.saturating_sub(head.to_writer().len());
        let at = |exponent: i32| {
            // Quarters of an octave.
            let noise = libm::exp2f(exponent as f32 / 4.0);
            let (pairs, coded) = factors::split(difference, noise, room)?;
            let mut writer = head.to_writer();
            writer.put(&coded);
            Some((writer.into_bytes(), Self { head, pairs }))
        };
        let nothing = Self {
            head,
            pairs: Vec::new(),
        };
        let mut best = (nothing.to_bytes(), nothing);
        let (mut fine, mut coarse) = FINEST_COARSEST;
        while fine < coarse {
            let middle = fine + (coarse - fine) / 2;
            match at(middle) {
                Some(fits) => (coarse, best) = (middle, fits),
                None => fine = middle + 1,
            }
        }
        let (bytes, update) = best;
        (update, bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = self.head.to_writer();
        writer.put(&factors::encode(&self.pairs));
        writer.into_bytes()
    }

    /// Reads what another node wrote; anybody may have written it. At most 20 kB of memory.
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
        let coded = reader.take(reader.remaining())?;
        let head = Head {
            is_whole,
            round,
            classes,
            base,
        };
        let pairs = factors::decode(coded).ok_or(UpdateError::Difference)?;
        Ok(Self { head, pairs })
    }

    /// Returns the model that `reference`, whatever it is, becomes with this difference.
    ///
    /// # Errors
    /// [`ParametersError`] where that is no model.
    pub(super) fn apply(&self, reference: &Units) -> Result<Vec<f32>, ParametersError> {
        let changes = factors::sum(&self.pairs);
        let moved = reference.0.iter().zip(changes);
        let parameters: Vec<f32> = moved
            .map(|(&unit, change)| {
                // To the nearest unit, a half upward.
                let unit = i64::from(unit) + ((change + 128) >> 8);
                to_parameter(unit.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
            })
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
    /// What follows the header is no difference.
    #[error("difference must have at most 128 pairs and end with its bytes")]
    Difference,
}

const DELTA: u8 = 1;
const WHOLE: u8 = 2;
const PER_ONE: f32 = 65_536.0;
/// Quarters of octaves of a pair's squared error. Guess: from finer than a unit in every parameter to a change as large as
/// any model.
const FINEST_COARSEST: (i32, i32) = (-80, 48);

#[cfg(test)]
mod tests;
