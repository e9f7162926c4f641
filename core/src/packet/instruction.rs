//! The six instructions of a genetic sequence: when, where, how, why, what and in which order to integrate.
//!
//! On the wire an instruction is its codon, a varint length and its arguments: texts as varint length and UTF-8, numbers
//! as IEEE 754 binary64, everything big-endian. In the metadata it is a line such as
//! `WHEN_THRESHOLD metric="accuracy" value=0.9`, which is derived from the sequence and never parsed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::PacketError;
use crate::codon::Codon;
use crate::digest::ContentId;
use crate::wire::{Reader, Writer};

/// When to integrate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// On arrival.
    #[default]
    Immediate,
    /// Once `metric` reaches `value`.
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
    /// Before everything else.
    First,
    /// After another packet.
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

    pub(super) fn write(&self, writer: &mut Writer) {
        write_one(&self.when, writer);
        write_one(&self.whither, writer);
        write_one(&self.how, writer);
        write_one(&self.why, writer);
        write_one(&self.what, writer);
        write_one(&self.order, writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        Ok(Self {
            when: read_one(reader)?,
            whither: read_one(reader)?,
            how: read_one(reader)?,
            why: read_one(reader)?,
            what: read_one(reader)?,
            order: read_one(reader)?,
        })
    }
}

/// One place of the genetic sequence.
trait Instruction: Sized {
    /// The metadata's name of the place.
    const FIELD: &'static str;

    fn codon(&self) -> Codon;

    fn write(&self, arguments: &mut Writer);

    /// Returns `None` where `codon` does not belong in this place.
    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError>;
}

fn write_one(instruction: &impl Instruction, writer: &mut Writer) {
    let mut arguments = Writer::new();
    instruction.write(&mut arguments);
    writer
        .u8(instruction.codon().as_byte())
        .bytes(&arguments.into_bytes());
}

fn read_one<I: Instruction>(reader: &mut Reader<'_>) -> Result<I, PacketError> {
    let position = reader.position();
    let codon = Codon::from_byte(reader.u8()?);
    let bytes = reader.bytes("bytes of an instruction's arguments", MAX_ARGUMENTS)?;
    let mut arguments = Arguments {
        field: I::FIELD,
        reader: Reader::new(bytes),
    };
    let instruction = I::read(codon, &mut arguments)?;
    let instruction = instruction.ok_or(PacketError::Instruction {
        field: I::FIELD,
        codon,
        position,
    })?;
    arguments.reader.finish()?;
    Ok(instruction)
}

/// Reads the arguments of one instruction and refuses what is out of range.
struct Arguments<'a> {
    field: &'static str,
    reader: Reader<'a>,
}

impl Arguments<'_> {
    fn refused(&self, argument: &'static str, expected: &'static str, got: String) -> PacketError {
        PacketError::Argument {
            field: self.field,
            argument,
            expected,
            got,
        }
    }

    fn text(&mut self, argument: &'static str) -> Result<String, PacketError> {
        let bytes = self
            .reader
            .bytes("bytes of an instruction's text", MAX_TEXT)?;
        match core::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Ok(text.into()),
            _ => Err(self.refused(
                argument,
                "UTF-8 without control characters",
                format!("{}", bytes.escape_ascii()),
            )),
        }
    }

    fn number(&mut self, argument: &'static str, min: f64, max: f64) -> Result<f64, PacketError> {
        let value = f64::from_bits(self.reader.u64()?);
        let is_canonical = value.is_finite() && (value != 0.0 || value.is_sign_positive());
        if !is_canonical || value < min || value > max {
            return Err(self.refused(
                argument,
                "a finite number in range, zero without a sign",
                format!("{value:?}"),
            ));
        }
        Ok(value)
    }

    fn dtype(&mut self) -> Result<Dtype, PacketError> {
        let code = self.reader.u8()?;
        let dtype = DTYPES.get(usize::from(code)).copied();
        dtype.ok_or_else(|| self.refused("dtype", "a known type's number", format!("{code}")))
    }

    fn shape(&mut self) -> Result<Vec<u32>, PacketError> {
        let dimensions = usize::from(self.reader.u8()?);
        if dimensions > MAX_DIMENSIONS {
            return Err(self.refused("shape", "at most eight dimensions", format!("{dimensions}")));
        }
        (0..dimensions).map(|_| Ok(self.reader.u32()?)).collect()
    }
}

impl Instruction for When {
    const FIELD: &'static str = "integration_when";

    fn codon(&self) -> Codon {
        match self {
            Self::Immediate => Codon::WHEN_IMMEDIATE,
            Self::Threshold { .. } => Codon::WHEN_THRESHOLD,
            Self::Periodic { .. } => Codon::WHEN_PERIODIC,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::Immediate => {}
            Self::Threshold { metric, value } => {
                write_number(arguments.bytes(metric.as_bytes()), *value)
            }
            Self::Periodic { secs } => {
                arguments.u64(*secs);
            }
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::WHEN_IMMEDIATE => Self::Immediate,
            Codon::WHEN_THRESHOLD => Self::Threshold {
                metric: arguments.text("metric")?,
                value: arguments.number("value", f64::MIN, f64::MAX)?,
            },
            Codon::WHEN_PERIODIC => {
                let secs = arguments.reader.u64()?;
                if !(1..=MAX_PERIOD_SECS).contains(&secs) {
                    return Err(arguments.refused("secs", "1..=31536000", format!("{secs}")));
                }
                Self::Periodic { secs }
            }
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("WHEN_IMMEDIATE"),
            Self::Threshold { metric, value } => write!(
                f,
                "WHEN_THRESHOLD metric={} value={value:?}",
                Quoted(metric)
            ),
            Self::Periodic { secs } => write!(f, "WHEN_PERIODIC secs={secs}"),
        }
    }
}

impl Instruction for Where {
    const FIELD: &'static str = "integration_where";

    fn codon(&self) -> Codon {
        match self {
            Self::Memory { .. } => Codon::WHERE_MEMORY,
            Self::Pattern { .. } => Codon::WHERE_PATTERN,
            Self::Genetic { .. } => Codon::WHERE_GENETIC,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::Memory { region: text }
            | Self::Pattern { pattern: text }
            | Self::Genetic { locus: text } => {
                arguments.bytes(text.as_bytes());
            }
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::WHERE_MEMORY => Self::Memory {
                region: arguments.text("region")?,
            },
            Codon::WHERE_PATTERN => Self::Pattern {
                pattern: arguments.text("pattern")?,
            },
            Codon::WHERE_GENETIC => Self::Genetic {
                locus: arguments.text("locus")?,
            },
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { region } => write!(f, "WHERE_MEMORY region={}", Quoted(region)),
            Self::Pattern { pattern } => write!(f, "WHERE_PATTERN pattern={}", Quoted(pattern)),
            Self::Genetic { locus } => write!(f, "WHERE_GENETIC locus={}", Quoted(locus)),
        }
    }
}

impl Instruction for How {
    const FIELD: &'static str = "integration_how";

    fn codon(&self) -> Codon {
        match self {
            Self::Merge { .. } => Codon::HOW_MERGE,
            Self::Replace => Codon::HOW_REPLACE,
            Self::Append => Codon::HOW_APPEND,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::Merge { weight } => write_number(arguments, *weight),
            Self::Replace | Self::Append => {}
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::HOW_MERGE => Self::Merge {
                weight: arguments.number("weight", 0.0, 1.0)?,
            },
            Codon::HOW_REPLACE => Self::Replace,
            Codon::HOW_APPEND => Self::Append,
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merge { weight } => write!(f, "HOW_MERGE weight={weight:?}"),
            Self::Replace => f.write_str("HOW_REPLACE"),
            Self::Append => f.write_str("HOW_APPEND"),
        }
    }
}

impl Instruction for Why {
    const FIELD: &'static str = "integration_why";

    fn codon(&self) -> Codon {
        match self {
            Self::Optimize { .. } => Codon::WHY_OPTIMIZE,
            Self::Adapt { .. } => Codon::WHY_ADAPT,
            Self::Learn { .. } => Codon::WHY_LEARN,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::Optimize { metric: text }
            | Self::Adapt { context: text }
            | Self::Learn { task: text } => {
                arguments.bytes(text.as_bytes());
            }
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::WHY_OPTIMIZE => Self::Optimize {
                metric: arguments.text("metric")?,
            },
            Codon::WHY_ADAPT => Self::Adapt {
                context: arguments.text("context")?,
            },
            Codon::WHY_LEARN => Self::Learn {
                task: arguments.text("task")?,
            },
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Optimize { metric } => write!(f, "WHY_OPTIMIZE metric={}", Quoted(metric)),
            Self::Adapt { context } => write!(f, "WHY_ADAPT context={}", Quoted(context)),
            Self::Learn { task } => write!(f, "WHY_LEARN task={}", Quoted(task)),
        }
    }
}

impl Instruction for What {
    const FIELD: &'static str = "integration_what";

    fn codon(&self) -> Codon {
        match self {
            Self::Weights { .. } => Codon::WHAT_WEIGHTS,
            Self::Structure { .. } => Codon::WHAT_STRUCTURE,
            Self::Parameters { .. } => Codon::WHAT_PARAMETERS,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::Weights {
                tensor,
                dtype,
                shape,
            } => {
                arguments.bytes(tensor.as_bytes()).u8(*dtype as u8);
                // A count past one byte is past `MAX_DIMENSIONS` too, so that it is refused when read back.
                arguments.u8(u8::try_from(shape.len()).unwrap_or(u8::MAX));
                for &elements in shape {
                    arguments.u32(elements);
                }
            }
            Self::Structure { name, format } => {
                arguments.bytes(name.as_bytes()).bytes(format.as_bytes());
            }
            Self::Parameters { name } => {
                arguments.bytes(name.as_bytes());
            }
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::WHAT_WEIGHTS => Self::Weights {
                tensor: arguments.text("tensor")?,
                dtype: arguments.dtype()?,
                shape: arguments.shape()?,
            },
            Codon::WHAT_STRUCTURE => Self::Structure {
                name: arguments.text("name")?,
                format: arguments.text("format")?,
            },
            Codon::WHAT_PARAMETERS => Self::Parameters {
                name: arguments.text("name")?,
            },
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights {
                tensor,
                dtype,
                shape,
            } => {
                write!(
                    f,
                    "WHAT_WEIGHTS tensor={} dtype={} shape={shape:?}",
                    Quoted(tensor),
                    dtype.name()
                )
            }
            Self::Structure { name, format } => {
                write!(
                    f,
                    "WHAT_STRUCTURE name={} format={}",
                    Quoted(name),
                    Quoted(format)
                )
            }
            Self::Parameters { name } => write!(f, "WHAT_PARAMETERS name={}", Quoted(name)),
        }
    }
}

impl Instruction for Order {
    const FIELD: &'static str = "integration_order";

    fn codon(&self) -> Codon {
        match self {
            Self::First => Codon::ORDER_FIRST,
            Self::After { .. } => Codon::ORDER_AFTER,
            Self::Parallel => Codon::ORDER_PARALLEL,
        }
    }

    fn write(&self, arguments: &mut Writer) {
        match self {
            Self::After { cid } => {
                arguments.put(&cid.to_bytes());
            }
            Self::First | Self::Parallel => {}
        }
    }

    fn read(codon: Codon, arguments: &mut Arguments<'_>) -> Result<Option<Self>, PacketError> {
        Ok(Some(match codon {
            Codon::ORDER_FIRST => Self::First,
            Codon::ORDER_AFTER => {
                let bytes = arguments.reader.take(ContentId::LEN)?;
                let cid = ContentId::from_bytes(bytes).map_err(|error| {
                    arguments.refused("cid", "a content id", format!("{error}"))
                })?;
                Self::After { cid }
            }
            Codon::ORDER_PARALLEL => Self::Parallel,
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("ORDER_FIRST"),
            Self::After { cid } => write!(f, "ORDER_AFTER cid={cid}"),
            Self::Parallel => f.write_str("ORDER_PARALLEL"),
        }
    }
}

/// A text between quotation marks, with `"` and `\` escaped by `\`. There are no control characters to escape.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, '"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                fmt::Write::write_char(f, '\\')?;
            }
            fmt::Write::write_char(f, c)?;
        }
        fmt::Write::write_char(f, '"')
    }
}

/// Writes −0 as 0, which is the only spelling that is read.
fn write_number(arguments: &mut Writer, value: f64) {
    arguments.u64((value + 0.0).to_bits());
}

/// Bytes of a text argument. Source: the longest file name on common file systems.
pub const MAX_TEXT: usize = 255;
/// Dimensions of a tensor. Guess: twice what convolutions over video need.
pub const MAX_DIMENSIONS: usize = 8;
/// The longest period, in seconds: 365 days. Guess: longer than any packet lives.
pub const MAX_PERIOD_SECS: u64 = 31_536_000;
/// Bytes of the arguments of one instruction: two texts and room to grow.
const MAX_ARGUMENTS: usize = 1024;
/// By number on the wire, which is the discriminant.
const DTYPES: [Dtype; 9] = [
    Dtype::F32,
    Dtype::F64,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I8,
    Dtype::U8,
    Dtype::I16,
    Dtype::I32,
    Dtype::I64,
];

#[cfg(test)]
#[path = "instruction_tests.rs"]
mod tests;
