//! Why a file cannot be packed, or is none that was. Every error of a tensor names it.

use alloc::string::String;

use super::super::error::{CodecError, EngramError};
use super::super::lossy::LossyError;
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::WireError;

/// Why a file cannot be packed, or bytes not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HybridError {
    /// The bytes do not begin as such a file does.
    #[error("an engram in layers begins with \"ENGHYB\" and version 1")]
    Magic,
    /// The header is not the one that was written.
    #[error("the header must have digest {expected}, got {got}")]
    HeaderDigest {
        /// Digest behind the header.
        expected: Digest,
        /// Digest of its bytes.
        got: Digest,
    },
    /// A value of the header is cut or malformed.
    #[error("header: {0}")]
    Wire(#[from] WireError),
    /// A count or length is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The safetensors file, or its header, is malformed.
    #[error(transparent)]
    Source(#[from] EngramError),
    /// Values do not fit each other.
    #[error("{what}")]
    State {
        /// What is expected.
        what: &'static str,
    },
    /// Layers that cannot be made, or are not there.
    #[error("layers must be in 1..={most}, got {got}")]
    Layers {
        /// Layers that were asked for.
        got: usize,
        /// The most.
        most: usize,
    },
    /// The target is no positive number, or none at all.
    #[error("a target must be finite, and > 0 in bits and steps, got {got}")]
    Target {
        /// The target.
        got: f64,
    },
    /// A number is infinite or none at all, and no last layer restores it.
    #[error(
        "tensor {name:?}: number {offset} must be finite, got {got}; only an exact layer keeps it"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// Which number, from 0.
        offset: usize,
        /// The number.
        got: f32,
    },
    /// The file was packed against a base that was not shown.
    #[error("the tensors with digest {expected} are needed as base")]
    BaseMissing {
        /// Digest of the base's tensors.
        expected: Digest,
    },
    /// The base is another one.
    #[error("the base's tensors must have digest {expected}, got {got}")]
    BaseWrong {
        /// Digest of the base's tensors.
        expected: Digest,
        /// Digest of what was shown.
        got: Digest,
    },
    /// The base has no tensor that the file has.
    #[error("the base must have a tensor of the same name, type and shape")]
    BaseAlien,
    /// A part of the file is not the one that was written.
    #[error("{part} must have digest {expected}, got {got}")]
    PartDigest {
        /// Which part.
        part: Part,
        /// Digest in the header.
        expected: Digest,
        /// Digest of the bytes.
        got: Digest,
    },
    /// The file ends before a part does, or goes on after the last.
    #[error("{part} must end at byte {expected} of the file, which has {got}")]
    PartLength {
        /// Which part.
        part: Part,
        /// Where it ends.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// A lossy layer cannot be written or read.
    #[error("layer {layer}, tensor {name:?}: {problem}")]
    Lossy {
        /// The layer, from 1.
        layer: usize,
        /// The tensor, where one is at fault.
        name: String,
        /// What is wrong.
        problem: LossyError,
    },
    /// Numbers that are coded to the byte cannot be read.
    #[error("tensor {name:?} from byte {offset}: {problem}")]
    Exact {
        /// The tensor.
        name: String,
        /// Offset of the chunk's first byte in the tensor.
        offset: u64,
        /// What is wrong.
        problem: CodecError,
    },
    /// The memory for what the file announces, and the limits allow, is not there.
    #[error("{bytes} bytes of memory are needed")]
    Memory {
        /// Bytes.
        bytes: u64,
    },
    /// The caller did not want to go on.
    #[error("it was stopped")]
    Stopped,
}

/// A part of a file behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The tensors that are no floats of 16 or 32 bits.
    Others,
    /// A layer, from 1.
    Layer(usize),
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Others => f.write_str("the part of other tensors"),
            Self::Layer(layer) => write!(f, "layer {layer}"),
        }
    }
}
