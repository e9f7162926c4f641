//! Why a draft goes no further.

use alloc::string::String;
use alloc::vec::Vec;

use super::ledger::LedgerError;
use super::noise::NoiseError;
use super::validate::Report;
use crate::bounds::LimitError;

/// Why a stage of the pipeline refuses. The data comes back with it: [`super::Refused`].
///
/// Nothing of a draft is in it: tensors and facts are told by their places, counted from 0, and of a forbidden text only the
/// scrubbed name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// A count or length is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Two tensors have the same name.
    #[error("names of tensors must differ, tensor {tensor} has that of one before it")]
    DuplicateTensor {
        /// The second tensor's place.
        tensor: usize,
    },
    /// A shape does not fit the number of elements, or no 64-bit number.
    #[error("tensor {tensor} of shape {shape:?} must have as many elements, got {elements}")]
    Shape {
        /// The tensor's place.
        tensor: usize,
        /// Its stated shape.
        shape: Vec<u32>,
        /// How many elements there are.
        elements: u64,
    },
    /// A number is NaN or infinite.
    #[error("tensor {tensor} must be finite, number {index} is not")]
    NotFinite {
        /// The tensor's place.
        tensor: usize,
        /// The number's place.
        index: usize,
    },
    /// A fact is no number that its ladder has a rung for.
    #[error("fact {fact} must be finite and on one of its ladder's 2^40 rungs")]
    Fact {
        /// The fact's place in the order of names.
        fact: usize,
    },
    /// The scrubbing policy forbids to share this text at all.
    #[error("the policy refuses to share {place}: {findings} findings")]
    Forbidden {
        /// Where the text is: its kind, and its name after scrubbing.
        place: String,
        /// How many findings there are.
        findings: u64,
    },
    /// A setting is out of range.
    #[error("{what} must be {bound}, got {got}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its range.
        bound: &'static str,
        /// Its value.
        got: f64,
    },
    /// Tensors are to be shared, and no noise was granted.
    #[error("{tensors} tensors need noise, and none was granted")]
    NoGrant {
        /// How many.
        tensors: usize,
    },
    /// The grant is for sampled records, and the whole update is to be shared. Rates below 1 are for sums of
    /// contributions that the caller samples and joins itself: [`super::noise::Clipped::join`].
    #[error(
        "sampling rate of the grant must be 1 where the whole update is shared, got {sampling_rate}"
    )]
    Sampled {
        /// The grant's rate.
        sampling_rate: f64,
    },
    /// An update gets no noise.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A check of the last stage did not pass.
    #[error("{} checks must pass: {report}", report.checks().len())]
    Invalid {
        /// Every check with its figure.
        report: Report,
    },
}
