//! Why something does not leave.

use alloc::string::String;

use crate::bounds::LimitError;
use crate::privacy::PrivacyError;
use crate::privacy::noise::NoiseError;
use crate::privacy::scrub::Kind;

/// Why something does not leave. Nothing of the content is in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A size or count is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The policy refuses what was found.
    #[error("the policy refuses to share the {place}: it holds a {kind} ({label})")]
    Refused {
        /// Where.
        place: String,
        /// What.
        kind: Kind,
        /// The kind more closely.
        label: &'static str,
    },
    /// A stage refuses.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The clip norm is none.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// Noise is wished for content that has no tensors.
    #[error("noise is added to the tensors of safetensors, and the content is {format}")]
    NoTensors {
        /// What the content is.
        format: &'static str,
    },
    /// Noise is wished for tensors of another type.
    #[error("noise is added to tensors of F32, and {tensors} of them are of another type")]
    NotF32 {
        /// How many are not.
        tensors: usize,
    },
    /// Noise is wished for content that is to stay as it is.
    #[error("content that is to leave verbatim gets no noise")]
    NoiseOnVerbatim,
    /// The content begins as safetensors and goes on differently.
    #[error(
        "safetensors cannot be read: {reason}. Nothing in it could be searched, so it leaves verbatim or not at all"
    )]
    Safetensors {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The grant is not for the noise that was wished.
    #[error("noise multiplier of the grant must be {wished}, got {got}")]
    OtherNoise {
        /// What was wished.
        wished: f64,
        /// What was granted.
        got: f64,
    },
    /// A metric has a name that only the stages may give.
    #[error("metric {place} must not begin with `{prefix}`, which says what the stages did")]
    ReservedMetric {
        /// Its place in the order of names.
        place: usize,
        /// The beginning.
        prefix: &'static str,
    },
}
