//! The codecs, by number, and coding one tensor chunk after chunk.
//!
//! A codec is given the chunks of a tensor in order and may learn from one for the next. Whatever it does, a chunk never
//! grows: where its coded bytes would not be fewer than its numbers, the numbers themselves are stored, and both sides start
//! anew with the next chunk. So a chunk of coded length equal to its raw length *is* its numbers.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::delta::Delta;
use super::error::CodecError;
use super::float::{Float, Model, Rows};
use super::foreign;
use super::number;
use super::plane::{Layout, Planes, Width};
use super::tensor::{Dtype, TensorInfo};

/// How numbers are coded, to the bit: what loses some is in [`lossy`](super::lossy) and [`block`](super::block). A codec's
/// bytes never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As they are.
    Plain,
    /// Planes of bytes under prefix codes: fast. Against a base, of the difference.
    Plane,
    /// A learned model of exponents and first bits of the mantissa, for floats. Against a base, of the difference.
    Neural,
    /// Deflate (RFC 1951), chunk by chunk.
    Deflate,
    /// LZMA, chunk by chunk. Not in every build.
    Lzma,
    /// Pcodec, chunk by chunk. Not in every build.
    Pco,
}

impl Codec {
    /// All codecs.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Plane,
        Self::Neural,
        Self::Deflate,
        Self::Lzma,
        Self::Pco,
    ];

    /// Returns the number of the codec in an engram's index.
    pub const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Plane => 1,
            Self::Neural => 2,
            Self::Deflate => 3,
            Self::Lzma => 4,
            Self::Pco => 5,
        }
    }

    /// Returns the codec with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.code() == code)
    }

    /// Returns the codec's name in words of the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Plane => "plane",
            Self::Neural => "neural",
            Self::Deflate => "deflate",
            Self::Lzma => "lzma",
            Self::Pco => "pco",
        }
    }

    /// Whether the codec can code a difference from a base.
    pub const fn takes_base(self) -> bool {
        match self {
            Self::Plane | Self::Neural => true,
            Self::Plain | Self::Deflate | Self::Lzma | Self::Pco => false,
        }
    }
}

/// Codes or decodes one layer of one tensor, chunk after chunk. One value does one of both, from the first chunk on.
#[derive(Debug)]
pub struct Coder {
    bits: u64,
    rows: Rows,
    has_base: bool,
    state: State,
}

/// What a codec keeps from chunk to chunk.
#[derive(Debug)]
enum State {
    Plain,
    Deflate,
    Lzma,
    Pco(Dtype),
    Planes(Planes, Layout),
    DeltaFloats(Box<Delta>, Float),
    DeltaBytes(Box<Delta>, Layout),
    /// What was learned; `None` before the first chunk and after one that was stored as it is.
    Neural(Option<Box<Model>>, Float),
}

impl Coder {
    /// Starts before the first chunk of a tensor. No codec here takes `params`.
    ///
    /// # Errors
    /// [`CodecError::Dtype`], [`CodecError::NoBase`], [`CodecError::Params`], [`CodecError::Absent`].
    pub fn new(
        codec: Codec,
        params: &[u8],
        info: &TensorInfo,
        has_base: bool,
    ) -> Result<Self, CodecError> {
        let name = codec.name();
        if has_base && !codec.takes_base() {
            return Err(CodecError::NoBase { codec: name });
        }
        if !params.is_empty() {
            let (codec, got) = (name, params.len());
            return Err(CodecError::Params { codec, got });
        }
        let wrong = CodecError::Dtype { codec: name };
        let float = number::Float::of(info.dtype).map(Float::of);
        let layout = layout_of(info.dtype);
        let state = match (codec, float) {
            (Codec::Plain, _) => State::Plain,
            (Codec::Deflate, _) => State::Deflate,
            (Codec::Plane, Some(float)) if has_base => State::DeltaFloats(Box::default(), float),
            (Codec::Plane, None) if has_base => State::DeltaBytes(Box::default(), layout),
            (Codec::Plane, _) => State::Planes(Planes::default(), layout),
            (Codec::Neural, Some(float)) => State::Neural(None, float),
            (Codec::Neural, None) => return Err(wrong),
            (Codec::Lzma, _) if foreign::HAS_LZMA => State::Lzma,
            (Codec::Pco, _) if !foreign::codes_pco(info.dtype) => return Err(wrong),
            (Codec::Pco, _) if foreign::HAS_PCO => State::Pco(info.dtype),
            (Codec::Lzma | Codec::Pco, _) => return Err(CodecError::Absent { codec: name }),
        };
        Ok(Self {
            bits: info.dtype.bits(),
            rows: Rows {
                columns: info.columns(),
                start: 0,
            },
            has_base,
            state,
        })
    }

    /// Codes the next chunk into `out`, whose content is replaced: never more bytes than `raw` has. `base` are the numbers
    /// at the same place of the base. O(n).
    ///
    /// # Errors
    /// [`CodecError::Base`] for a base of another length, or none, or one where none is used.
    pub fn encode(
        &mut self,
        raw: &[u8],
        base: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        self.check_base(raw.len(), base)?;
        out.clear();
        let rows = self.rows;
        match (&mut self.state, base.unwrap_or_default()) {
            (State::Plain, _) => {}
            (State::Deflate, _) => out.extend(compress_to_vec(raw, DEFLATE_LEVEL)),
            (State::Lzma, _) => foreign::lzma(raw, out)?,
            (State::Pco(dtype), _) => foreign::pco(raw, *dtype, out)?,
            (State::Planes(planes, layout), _) => planes.pack(raw, *layout, out),
            (State::DeltaFloats(delta, float), base) => delta.pack_floats(raw, base, *float, out),
            (State::DeltaBytes(delta, layout), base) => delta.pack_bytes(raw, base, *layout, out),
            (State::Neural(model, float), _) => {
                let model = model.get_or_insert_with(|| Box::new(Model::new(*float, rows)));
                model.pack(raw, base, out);
            }
        }
        if out.len() >= raw.len() || matches!(self.state, State::Plain) {
            out.clear();
            out.extend_from_slice(raw);
            self.forget();
        }
        self.advance(raw.len());
        Ok(())
    }

    /// Decodes the next chunk: `raw` is as long as its numbers are. After an error what it holds means nothing, and the
    /// following chunks cannot be decoded. O(n).
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(
        &mut self,
        coded: &[u8],
        base: Option<&[u8]>,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        self.check_base(raw.len(), base)?;
        let rows = self.rows;
        if coded.len() == raw.len() {
            raw.copy_from_slice(coded);
            self.forget();
            self.advance(raw.len());
            return Ok(());
        }
        match (&mut self.state, base.unwrap_or_default()) {
            (State::Plain, _) => return Err(CodecError::Truncated),
            (State::Deflate, _) => inflate(coded, raw)?,
            (State::Lzma, _) => foreign::unlzma(coded, raw)?,
            (State::Pco(dtype), _) => foreign::unpco(coded, *dtype, raw)?,
            (State::Planes(planes, layout), _) => planes.unpack(coded, *layout, raw)?,
            (State::DeltaFloats(delta, float), base) => {
                delta.unpack_floats(coded, base, *float, raw)?;
            }
            (State::DeltaBytes(delta, layout), base) => {
                delta.unpack_bytes(coded, base, *layout, raw)?;
            }
            (State::Neural(model, float), _) => {
                let model = model.get_or_insert_with(|| Box::new(Model::new(*float, rows)));
                model.unpack(coded, base, raw)?;
            }
        }
        self.advance(raw.len());
        Ok(())
    }

    fn check_base(&self, len: usize, base: Option<&[u8]>) -> Result<(), CodecError> {
        let expected = if self.has_base { len } else { 0 };
        let got = base.map_or(0, <[u8]>::len);
        if expected == got && base.is_some() == self.has_base {
            Ok(())
        } else {
            Err(CodecError::Base { expected, got })
        }
    }

    fn forget(&mut self) {
        if let State::Neural(model, _) = &mut self.state {
            *model = None;
        }
    }

    fn advance(&mut self, bytes: usize) {
        let numbers = bytes as u64 * 8 / self.bits;
        self.rows.start = (self.rows.start + numbers) % self.rows.columns.max(1);
    }
}

/// Unpacks deflate: `coded` from its first byte to its last makes `raw` from its first byte to its last.
///
/// # Errors
/// [`CodecError::Foreign`].
pub(super) fn inflate(coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    inflate_from(0, coded, raw)
}

/// Unpacks deflate to `len` bytes, which may refer back into `dictionary`. Asks for no more memory than `packed` can fill.
/// Nothing is hidden behind its end.
pub(super) fn inflated(dictionary: &[u8], packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len / MAX_DEFLATE_RATIO > packed.len() {
        return None;
    }
    let mut raw = dictionary.to_vec();
    let start = raw.len();
    raw.resize(start.checked_add(len)?, 0);
    inflate_from(start, packed, &mut raw).ok()?;
    raw.drain(..start);
    Some(raw)
}

/// Fills `raw` from `start` on.
fn inflate_from(start: usize, coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
    let mut state = Box::<DecompressorOxide>::default();
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, written) = decompress(&mut state, coded, raw, start, flags);
    if status == TINFLStatus::Done && read == coded.len() && written == raw.len() - start {
        return Ok(());
    }
    Err(CodecError::Foreign { codec: "deflate" })
}

/// Bytes that deflate makes of one at most. Source: zlib's technical details, "Maximum compression factor".
const MAX_DEFLATE_RATIO: usize = 1032;

/// Returns how numbers of a type are split into planes.
const fn layout_of(dtype: Dtype) -> Layout {
    match dtype {
        Dtype::F32 => Layout::F32,
        Dtype::F16 => Layout::F16,
        Dtype::Bf16 => Layout::Bf16,
        Dtype::I16 | Dtype::U16 => Layout::Whole(Width::Two),
        Dtype::I32 | Dtype::U32 => Layout::Whole(Width::Four),
        Dtype::F64 | Dtype::I64 | Dtype::U64 | Dtype::C64 => Layout::Whole(Width::Eight),
        Dtype::Bool
        | Dtype::F4
        | Dtype::F6_E2M3
        | Dtype::F6_E3M2
        | Dtype::U8
        | Dtype::I8
        | Dtype::F8_E5M2
        | Dtype::F8_E4M3
        | Dtype::F8_E8M0 => Layout::Whole(Width::One),
    }
}

/// Source: gzip's default.
const DEFLATE_LEVEL: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_row_of_more_than_2_to_the_32_numbers_is_counted_on_every_machine() {
        let info = TensorInfo {
            name: "w".into(),
            dtype: Dtype::Bf16,
            shape: [3, (1 << 32) + 9].into(),
        };
        let mut coder = Coder::new(Codec::Neural, &[], &info, false).unwrap();
        coder.rows.start = (1 << 32) - 1;
        coder.advance(8);
        assert_eq!(coder.rows.start, (1 << 32) + 3);
        coder.advance(14);
        assert_eq!(coder.rows.start, 1);
    }
}
