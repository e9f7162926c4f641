//! Why a draft goes no further.

use alloc::string::String;
use alloc::vec::Vec;

use super::ledger::LedgerError;
use super::noise::NoiseError;
use super::validate::Report;
use crate::bounds::LimitError;

/// Why a stage of the pipeline refuses. The data comes back with it: [`super::Refused`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// A count or length is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Two tensors have the same name.
    #[error("names of tensors must differ, {name:?} comes twice")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// A shape does not fit the number of elements, or no 64-bit number.
    #[error("tensor {name:?} of shape {shape:?} must have as many elements, got {elements}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its stated shape.
        shape: Vec<u32>,
        /// How many elements there are.
        elements: u64,
    },
    /// A number is NaN or infinite.
    #[error("tensor {name:?} must be finite, number {index} is not")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The number's place.
        index: usize,
    },
    /// A fact is no number that its ladder has a rung for.
    #[error("fact {name:?} must be finite and on its ladder, got {value}")]
    Fact {
        /// The fact.
        name: String,
        /// Its value.
        value: f64,
    },
    /// The scrubbing policy forbids to share this text at all.
    #[error("the policy refuses to share {place}: {findings} findings")]
    Forbidden {
        /// Where the text is.
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
