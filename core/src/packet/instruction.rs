//! The six instructions of a genetic sequence: when, where, how, why, what and in which order to integrate.
//!
//! On the wire an instruction is its codon, a varint length and its arguments: texts as varint length and UTF-8, numbers
//! as IEEE 754 binary64, everything big-endian. In the metadata it is a line such as
//! `WHEN_THRESHOLD metric="accuracy" value=0.9`, which is derived from the sequence and never parsed.

mod text;
mod wire;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::ContentId;

/// When to integrate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// On arrival.
    #[default]
    Immediate,
    /// Once `metric` is measured, by whoever integrates, to be at least `value`.
    Threshold {
        /// Name of the metric, at most [`MAX_TEXT`] bytes.
        metric: String,
        /// Finite.
        value: f64,
    },
    /// Every `secs` seconds.
    Periodic {
        /// Seconds, `1..=MAX_PERIOD_SECS`.
        secs: u64,
    },
}

/// Where to integrate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Where {
    /// Into a region of memory.
    Memory {
        /// Name of the region, at most [`MAX_TEXT`] bytes.
        region: String,
    },
    /// Wherever the pattern matches.
    Pattern {
        /// The pattern, at most [`MAX_TEXT`] bytes.
        pattern: String,
    },
    /// At a locus of the genetic sequence.
    Genetic {
        /// Name of the locus, at most [`MAX_TEXT`] bytes.
        locus: String,
    },
}

impl Default for Where {
    fn default() -> Self {
        Self::Memory {
            region: "shared".into(),
        }
    }
}

/// How to integrate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum How {
    /// Blend with what is there.
    Merge {
        /// Share of the new against the old, `0.0..=1.0`.
        weight: f64,
    },
    /// In place of what is there.
    Replace,
    /// Beside what is there.
    Append,
}

impl Default for How {
    fn default() -> Self {
        Self::Merge { weight: 1.0 }
    }
}

/// Why to integrate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Why {
    /// To improve a metric.
    Optimize {
        /// Name of the metric, at most [`MAX_TEXT`] bytes.
        metric: String,
    },
    /// To fit a context.
    Adapt {
        /// Name of the context, at most [`MAX_TEXT`] bytes.
        context: String,
    },
    /// To learn a task.
    Learn {
        /// Name of the task, at most [`MAX_TEXT`] bytes; may be empty.
        task: String,
    },
}

impl Default for Why {
    fn default() -> Self {
        Self::Learn {
            task: String::new(),
        }
    }
}

/// What is to be integrated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// A tensor of model weights, row-major, little-endian.
    Weights {
        /// Name of the tensor, at most [`MAX_TEXT`] bytes.
        tensor: String,
        /// Type of the elements.
        dtype: Dtype,
        /// Elements per dimension, at most [`MAX_DIMENSIONS`] of them.
        shape: Vec<u32>,
    },
    /// A structure: a file, a graph, an architecture.
    Structure {
        /// What it is called, such as a file's name, at most [`MAX_TEXT`] bytes.
        name: String,
        /// Its media type, at most [`MAX_TEXT`] bytes.
        format: String,
    },
    /// Parameters of a process.
    Parameters {
        /// Name of the set, at most [`MAX_TEXT`] bytes; may be empty.
        name: String,
    },
}

impl Default for What {
    fn default() -> Self {
        Self::Parameters {
            name: String::new(),
        }
    }
}

/// In which order to integrate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Before all others of the same author and type that have not had their turn yet.
    First,
    /// After another packet had its turn; with [`How::Replace`] also in its place, where both have one author.
    After {
        /// That packet.
        cid: ContentId,
    },
    /// Beside others, in any order.
    #[default]
    Parallel,
}

/// Type of a tensor's elements, named as in safetensors but in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
}

impl Dtype {
    /// Returns the bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Returns the name, such as `f32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

/// The six instructions of a packet. The default asks to blend into shared memory at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instructions {
    /// When to integrate.
    pub when: When,
    /// Where to integrate (`where` is a keyword).
    #[serde(rename = "where")]
    pub whither: Where,
    /// How to integrate.
    pub how: How,
    /// Why to integrate.
    pub why: Why,
    /// What is to be integrated.
    pub what: What,
    /// In which order to integrate.
    pub order: Order,
}

impl Instructions {
    /// Returns the six lines of the metadata in the order when, where, how, why, what, order.
    pub fn lines(&self) -> [String; 6] {
        [
            format!("{}", self.when),
            format!("{}", self.whither),
            format!("{}", self.how),
            format!("{}", self.why),
            format!("{}", self.what),
            format!("{}", self.order),
        ]
    }
}

/// Bytes of a text argument. Source: the longest file name on common file systems.
pub const MAX_TEXT: usize = 255;
/// Dimensions of a tensor. Guess: twice what convolutions over video need.
pub const MAX_DIMENSIONS: usize = 8;
/// The longest period, in seconds: 365 days. Guess: longer than any packet lives.
pub const MAX_PERIOD_SECS: u64 = 31_536_000;
