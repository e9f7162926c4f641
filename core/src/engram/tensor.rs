//! What is said of a tensor: name, type, shape. Numbers themselves are little-endian bytes, as safetensors has them.

use alloc::string::String;
use alloc::vec::Vec;

use super::error::{EngramError, TensorError};
use crate::bounds::{LEAF_SIZE, LimitError};

/// Type of the numbers of a tensor: those of safetensors. Source: the `safetensors` crate 0.6, `Dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are safetensors' own and say it all")]
#[allow(non_camel_case_types, reason = "as safetensors writes them")]
pub enum Dtype {
    Bool,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    I16,
    U16,
    F16,
    Bf16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
    C64,
}

impl Dtype {
    /// All types, each at the place that its number in an engram's index names.
    pub const ALL: [Self; 20] = [
        Self::Bool,
        Self::F4,
        Self::F6_E2M3,
        Self::F6_E3M2,
        Self::U8,
        Self::I8,
        Self::F8_E5M2,
        Self::F8_E4M3,
        Self::F8_E8M0,
        Self::I16,
        Self::U16,
        Self::F16,
        Self::Bf16,
        Self::I32,
        Self::U32,
        Self::F32,
        Self::F64,
        Self::I64,
        Self::U64,
        Self::C64,
    ];

    /// Returns the bits of one number.
    pub const fn bits(self) -> u64 {
        match self {
            Self::F4 => 4,
            Self::F6_E2M3 | Self::F6_E3M2 => 6,
            Self::Bool | Self::U8 | Self::I8 | Self::F8_E5M2 | Self::F8_E4M3 | Self::F8_E8M0 => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => 64,
        }
    }

    /// Returns the name that safetensors writes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::F4 => "F4",
            Self::F6_E2M3 => "F6_E2M3",
            Self::F6_E3M2 => "F6_E3M2",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8_E5M2 => "F8_E5M2",
            Self::F8_E4M3 => "F8_E4M3",
            Self::F8_E8M0 => "F8_E8M0",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
            Self::C64 => "C64",
        }
    }

    /// Returns the type with this name in safetensors.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Returns the number of the type in an engram's index.
    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// What is said of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, unique in the engram.
    pub name: String,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its dimensions, outermost first; none for a single number.
    pub shape: Vec<u64>,
}

impl TensorInfo {
    /// Returns the length of the numbers in bytes.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where it is past 64 bits or no whole number.
    pub fn bytes(&self) -> Result<u64, TensorError> {
        // The empty product first, so that [2^40, 2^40, 0] is as empty as it is.
        let elements = if self.shape.contains(&0) {
            Some(0)
        } else {
            self.shape
                .iter()
                .try_fold(1u64, |product, dimension| product.checked_mul(*dimension))
        };
        match elements.and_then(|elements| elements.checked_mul(self.dtype.bits())) {
            Some(bits) if bits % 8 == 0 => Ok(bits / 8),
            _ => Err(TensorError::Shape),
        }
    }

    /// Returns the numbers in a row: the last dimension, 1 for a single number.
    pub fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Checks name, rank, dimensions and length.
    ///
    /// # Errors
    /// [`EngramError::Tensor`].
    pub fn validate(&self, limits: &Limits) -> Result<(), EngramError> {
        let check = || {
            LimitError::check_len("bytes of a tensor's name", self.name.len(), limits.max_name)?;
            LimitError::check_len("dimensions", self.shape.len(), limits.max_rank)?;
            LimitError::check("bytes of a tensor", self.bytes()?, limits.max_bytes)?;
            for dimension in &self.shape {
                LimitError::check("a dimension", *dimension, MAX_DIMENSION)?;
            }
            Ok(())
        };
        check().map_err(|problem| self.error(problem))
    }

    /// Names the tensor beside what is wrong with it. A long name is cut.
    pub(super) fn error(&self, problem: TensorError) -> EngramError {
        EngramError::Tensor {
            name: short(&self.name),
            problem,
        }
    }
}

/// Returns `name` for an error: at most 64 characters, so that a hostile name does not fill a log.
pub(super) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The largest dimension, also beside one of 0. Source: what a varint of an index holds.
const MAX_DIMENSION: u64 = i64::MAX as u64;

/// Bounds that hold for what is read, whatever it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the index. Default 8 MiB. Guess: a model of 1 TB in chunks of 256 KiB has an index of 144 MiB; one of 50 GB
    /// fits.
    pub max_index: usize,
    /// Bytes of the header of safetensors after its length. Default 8 MiB. Guess: 65,536 tensors with names of 64 bytes.
    pub max_header: usize,
    /// Texts in `__metadata__`. Default 4,096. Guess: published models have under 100.
    pub max_metadata: usize,
    /// Tensors. Default 65,536. Guess: the largest published models have a tenth.
    pub max_tensors: usize,
    /// Dimensions of a tensor. Default 16. Guess: twice what frameworks use.
    pub max_rank: usize,
    /// Bytes of a tensor's name. Default 512. Guess: paths of modules have under 200.
    pub max_name: usize,
    /// Bytes of all numbers. Default 50 GB. Guess: what one disk of a volunteer may lend.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_index: 8 << 20,
            max_header: 8 << 20,
            max_metadata: 4096,
            max_tensors: 1 << 16,
            max_rank: 16,
            max_name: 512,
            max_bytes: 50_000_000_000,
        }
    }
}

/// Bytes of numbers in every chunk of a tensor but the last. Source: a leaf of a shared object, so that a coded chunk
/// travels as one block.
pub const CHUNK: usize = LEAF_SIZE;
