//! Why something does not leave.

use alloc::string::String;

use crate::bounds::LimitError;
use crate::packet::PacketError;
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
    /// No packet may have the instructions.
    #[error(transparent)]
    Instructions(#[from] PacketError),
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
    /// Something was found in content out of which nothing can be taken.
    #[error(
        "the content is {form}, out of which nothing is taken, and what was found in it, {found} times, first as {kind}, \
         would leave: it leaves verbatim or not at all"
    )]
    Unclean {
        /// What the content is.
        form: &'static str,
        /// How much was found.
        found: u64,
        /// The kind of the first, or `identifier`.
        kind: &'static str,
    },
    /// An identifier stands in what holds JSON together, not in one of its texts.
    #[error(
        "an identifier stands between the texts of the JSON, which would be no JSON without it: it leaves verbatim or not at all"
    )]
    Json,
    /// A picture is damaged.
    #[error(
        "the content begins as {format} and goes on differently. What describes the picture cannot be taken out of it, so \
         it leaves verbatim or not at all"
    )]
    Picture {
        /// What it begins as.
        format: &'static str,
    },
    /// The grant is not for the noise that was wished.
    #[error("noise multiplier of the grant must be {wished}, got {got}")]
    OtherNoise {
        /// What was wished.
        wished: f64,
        /// What was granted.
        got: f64,
    },
    /// A metric tells something personal.
    #[error("metric {place} reads as {kind} ({label}): metrics are for everybody")]
    PersonalMetric {
        /// Its place in the order of names.
        place: usize,
        /// What it reads as.
        kind: Kind,
        /// The kind more closely.
        label: &'static str,
    },
    /// A number in a tensor is none, or too large.
    #[error(
        "tensor {tensor} must be finite and of a magnitude of at most {max}, number {index} is not"
    )]
    Number {
        /// The tensor's place.
        tensor: usize,
        /// The number's place.
        index: usize,
        /// The largest magnitude allowed.
        max: f32,
    },
    /// The instructions announce a tensor that is not in the content.
    #[error("the instructions announce a tensor that is not there with this name, type and shape")]
    Undeclared,
    /// A metric has a name that only the stages may give.
    #[error("metric {place} must not begin with `{prefix}`, which says what the stages did")]
    ReservedMetric {
        /// Its place in the order of names.
        place: usize,
        /// The beginning.
        prefix: &'static str,
    },
}
