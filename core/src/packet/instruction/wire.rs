//! Instructions as bytes. The reader is the one place that knows what is allowed; the writer writes what it is given.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Dtype, How, Instructions, MAX_DIMENSIONS, MAX_PERIOD_SECS, MAX_TEXT, Order, What, When, Where,
    Why,
};
use crate::codon::Codon;
use crate::digest::ContentId;
use crate::packet::PacketError;
use crate::wire::{Reader, Writer};

impl Instructions {
    /// Returns the six instructions in codons, as a genetic sequence begins.
    pub(crate) fn to_codons(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads what [`Instructions::to_codons`] wrote.
    ///
    /// # Errors
    /// [`PacketError`] of the first instruction that no packet may have.
    pub(crate) fn from_codons(codons: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(codons);
        let instructions = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(instructions)
    }

    pub(in crate::packet) fn write(&self, writer: &mut Writer) {
        write_one(&self.when, writer);
        write_one(&self.whither, writer);
        write_one(&self.how, writer);
        write_one(&self.why, writer);
        write_one(&self.what, writer);
        write_one(&self.order, writer);
    }

    pub(in crate::packet) fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
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

/// Writes −0 as 0, which is the only spelling that is read.
fn write_number(arguments: &mut Writer, value: f64) {
    arguments.u64((value + 0.0).to_bits());
}

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
