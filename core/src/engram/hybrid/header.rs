//! The header of an engram in layers: parsed before anything else is looked at.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::super::codec::inflated;
use super::super::lossy::Shape;
use super::super::number::{Float, is_float};
use super::super::safetensors;
use super::super::tensor::{Limits, TensorInfo};
use super::MAX_LAYERS;
use super::error::{HybridError, Part};
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::{Reader, Writer};

/// What an engram in layers says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The header of the safetensors file as it was, its length included.
    pub source: Vec<u8>,
    /// The tensors in the order of their numbers.
    pub tensors: Vec<TensorInfo>,
    /// The entries of the safetensors file's `__metadata__`.
    pub metadata: Vec<(String, String)>,
    /// Digest of the base's tensors ([`digest_of`](super::digest_of)).
    pub base: Option<Digest>,
    /// For each tensor whether it is told as a difference from the base.
    pub is_based: Vec<bool>,
    /// The tensors that are no floats of 16 or 32 bits, to the byte.
    pub others: Layer,
    /// The layers, coarse to fine; the exact one, where there is one, is the last.
    pub layers: Vec<Layer>,
    /// Whether the last layer brings back every bit.
    pub is_exact: bool,
    len: usize,
    digest: Digest,
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Its bytes.
    pub len: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Signal to noise of all floats with this layer and those before it, as the sender measured it, in dB to a hundredth;
    /// infinite where every bit is right. Of a difference where there is a base.
    pub snr_decibels: f64,
}

impl Layer {
    pub(super) fn new(bytes: &[u8], snr_decibels: f64) -> Self {
        Self {
            len: bytes.len() as u64,
            digest: Digest::sha256(bytes),
            snr_decibels: from_hundredths(to_hundredths(snr_decibels)),
        }
    }
}

impl Header {
    /// Returns how long a header is, from the first [`HEAD`] bytes of a file.
    ///
    /// # Errors
    /// [`HybridError::Magic`], [`HybridError::Wire`], [`HybridError::Limit`].
    pub fn len_of(head: &[u8], limits: &Limits) -> Result<usize, HybridError> {
        let mut reader = Reader::new(head);
        let (magic, version) = (reader.take(MAGIC.len())?, reader.u16()?);
        if magic != MAGIC || version != VERSION {
            return Err(HybridError::Magic);
        }
        let len = reader.u32()? as usize;
        LimitError::check_len("bytes of the header", len, limits.max_header)?;
        Ok(len.saturating_add(HEAD + DIGEST))
    }

    /// Reads a header; `bytes` may go on after it.
    ///
    /// # Errors
    /// [`HybridError`]: nothing of a damaged or hostile header is kept.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, HybridError> {
        let len = Self::len_of(bytes, limits)?;
        let mut reader = Reader::new(bytes);
        let whole = reader.take(len - DIGEST)?;
        let expected = Digest::from_bytes(reader.array()?);
        let got = Digest::sha256(whole);
        if expected != got {
            return Err(HybridError::HeaderDigest { expected, got });
        }
        let mut reader = Reader::new(whole);
        reader.take(HEAD)?;
        let source = read_source(&mut reader, limits)?;
        let base = match reader.u8()? {
            0 => None,
            1 => Some(Digest::from_bytes(reader.array()?)),
            _ => return Err(state("a base is there or not: a byte 0 or 1")),
        };
        let mut is_based = Vec::new();
        for _ in source.tensors() {
            is_based.push(match (base, reader.u8()?) {
                (_, 0) => false,
                (Some(_), 1) => true,
                _ => return Err(state("a tensor has a base or not: a byte 0 or 1")),
            });
        }
        let others = read_layer(&mut reader, limits)?;
        let (count, is_exact) = (usize::from(reader.u8()?), reader.u8()?);
        let most = MAX_LAYERS + usize::from(is_exact == 1);
        if is_exact > 1 || count <= usize::from(is_exact) || count > most {
            return Err(HybridError::Layers { got: count, most });
        }
        let layers = (0..count)
            .map(|_| read_layer(&mut reader, limits))
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self {
            source: source.bytes().to_vec(),
            tensors: source.tensors().to_vec(),
            metadata: source.metadata().to_vec(),
            base,
            is_based,
            others,
            layers,
            is_exact: is_exact == 1,
            len,
            digest: expected,
        })
    }

    /// Returns the engram's id: the digest of its header, and so of all its parts.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the parts in the order of the file: which, where, and their digests.
    pub fn parts(&self) -> impl Iterator<Item = (Part, Range<u64>, Digest)> {
        let layers = self.layers.iter().zip(1..);
        let layers = layers.map(|(layer, place)| (Part::Layer(place), layer.digest));
        core::iter::once((Part::Others, self.others.digest))
            .chain(layers)
            .map(|(part, digest)| (part, self.place_of(part), digest))
    }

    /// Returns the bytes of the header itself, which are the first of a file.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no tensor.
    pub const fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Returns the bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.end_of(self.layers.len())
    }

    /// Returns how many bytes of the file a receiver needs for the first `layers` layers: all before them too.
    pub fn end_of(&self, layers: usize) -> u64 {
        let lens = self.layers.iter().take(layers).map(|layer| layer.len);
        (self.len as u64).saturating_add(lens.fold(self.others.len, u64::saturating_add))
    }

    /// Returns the bytes of the restored safetensors file.
    pub fn source_len(&self) -> u64 {
        let lens = self.tensors.iter().map(|info| info.bytes().unwrap_or(0));
        lens.fold(self.source.len() as u64, u64::saturating_add)
    }

    /// Returns how many numbers the layers tell: those of all floats of 16 and 32 bits.
    pub fn numbers(&self) -> u64 {
        let numbers = |info: &TensorInfo| {
            let width = Float::of(info.dtype)?.width() as u64;
            Some(info.bytes().ok()? / width)
        };
        let numbers = self.tensors.iter().filter_map(numbers);
        numbers.fold(0, u64::saturating_add)
    }

    /// Returns the bits that a number takes on the mean with the first `layers` layers, header included, the tensors that are
    /// no such floats left out; 0 where there is no number.
    pub fn bits_per_number(&self, layers: usize) -> f64 {
        let bytes = self.end_of(layers).saturating_sub(self.others.len);
        match self.numbers() {
            0 => 0.0,
            numbers => bytes as f64 * 8.0 / numbers as f64,
        }
    }

    /// Returns where in the file a part is.
    pub(super) fn place_of(&self, part: Part) -> Range<u64> {
        match part {
            Part::Others => self.len as u64..self.end_of(0),
            Part::Layer(layer) => self.end_of(layer.saturating_sub(1))..self.end_of(layer),
        }
    }

    /// Returns how the floats lie.
    pub(super) fn shapes(&self) -> Result<Vec<Shape>, HybridError> {
        (self.tensors.iter())
            .filter(|info| is_float(info.dtype))
            .map(shape_of)
            .collect()
    }

    /// Writes the header.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut body = Writer::new();
        let packed = miniz_oxide::deflate::compress_to_vec(&self.source, SOURCE_LEVEL);
        body.uvarint(self.source.len() as u64).bytes(&packed);
        match &self.base {
            None => body.u8(0),
            Some(base) => body.u8(1).put(base.as_bytes()),
        };
        for is_based in &self.is_based {
            body.u8(u8::from(*is_based));
        }
        write_layer(&mut body, &self.others);
        body.u8(self.layers.len() as u8).u8(u8::from(self.is_exact));
        for layer in &self.layers {
            write_layer(&mut body, layer);
        }
        let body = body.into_bytes();
        let mut header = Writer::with_capacity(HEAD + body.len() + DIGEST);
        header
            .put(MAGIC)
            .u16(VERSION)
            .u32(body.len() as u32)
            .put(&body);
        let mut bytes = header.into_bytes();
        let digest = Digest::sha256(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Makes the header of a file that is being packed; lengths and digests of layers come later.
    pub(super) fn new(source: &safetensors::Header, base: Option<(Digest, Vec<bool>)>) -> Self {
        let (base, is_based) = base.unzip();
        let none = Layer::new(&[], f64::INFINITY);
        Self {
            source: source.bytes().to_vec(),
            tensors: source.tensors().to_vec(),
            metadata: source.metadata().to_vec(),
            base,
            is_based: is_based.unwrap_or_else(|| alloc::vec![false; source.tensors().len()]),
            others: none,
            layers: Vec::new(),
            is_exact: false,
            len: 0,
            digest: none.digest,
        }
    }

    /// Writes the header, and notes its length and digest.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let bytes = self.write();
        let body = bytes.split_last_chunk::<DIGEST>();
        self.digest = Digest::from_bytes(body.map_or([0; DIGEST], |(_, digest)| *digest));
        self.len = bytes.len();
        bytes
    }
}

/// Returns how a tensor of floats lies: rows as long as a layer's inputs are, whatever dimensions they are split into.
///
/// # Errors
/// [`HybridError::Limit`] for more numbers than this machine counts.
pub(super) fn shape_of(info: &TensorInfo) -> Result<Shape, HybridError> {
    let width = Float::of(info.dtype).map_or(1, Float::width) as u64;
    let count = info.bytes().unwrap_or(u64::MAX) / width;
    LimitError::check("numbers of a tensor", count, MOST_NUMBERS)?;
    let count = count as usize;
    if count == 0 {
        let (rows, columns) = (0, 0);
        return Ok(Shape { rows, columns });
    }
    let mut columns = 1_usize;
    for dimension in info.shape.iter().rev() {
        if columns >= NARROW {
            break;
        }
        // Divides the count, so it is counted like it.
        columns = columns.saturating_mul(usize::try_from(*dimension).unwrap_or(usize::MAX));
    }
    let rows = count / columns.max(1);
    Ok(Shape { rows, columns })
}

fn read_source(
    reader: &mut Reader<'_>,
    limits: &Limits,
) -> Result<safetensors::Header, HybridError> {
    let len = reader.uvarint()?;
    // The eight bytes that tell its length count too.
    let max = limits.max_header.saturating_add(8);
    LimitError::check("bytes of a header", len, max as u64)?;
    let packed = reader.bytes("bytes of a packed header", limits.max_header)?;
    let whole = "the packed header must be whole and of the announced length";
    let source = inflated(&[], packed, len as usize).ok_or_else(|| state(whole))?;
    let header = safetensors::Header::parse(&source, limits)?;
    if header.bytes().len() != source.len() {
        return Err(state(whole));
    }
    Ok(header)
}

fn read_layer(reader: &mut Reader<'_>, limits: &Limits) -> Result<Layer, HybridError> {
    let len = reader.uvarint()?;
    LimitError::check("bytes of a layer", len, limits.max_bytes)?;
    let digest = Digest::from_bytes(reader.array()?);
    let snr_decibels = from_hundredths(reader.u32()? as i32);
    Ok(Layer {
        len,
        digest,
        snr_decibels,
    })
}

fn from_hundredths(hundredths: i32) -> f64 {
    match hundredths {
        i32::MAX => f64::INFINITY,
        i32::MIN => f64::NEG_INFINITY,
        hundredths => f64::from(hundredths) / 100.0,
    }
}

fn to_hundredths(decibels: f64) -> i32 {
    // Infinities become the ends of the range.
    libm::round(decibels * 100.0) as i32
}

fn write_layer(body: &mut Writer, layer: &Layer) {
    body.uvarint(layer.len)
        .put(layer.digest.as_bytes())
        .u32(to_hundredths(layer.snr_decibels) as u32);
}

pub(super) const fn state(what: &'static str) -> HybridError {
    HybridError::State { what }
}

/// Tells whether `head`, the first bytes of a file, begin an engram in layers. Six bytes are enough.
#[must_use]
pub fn is_hybrid(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Bytes of a file that tell how long its header is.
pub const HEAD: usize = 12;
const MAGIC: &[u8; 6] = b"ENGHYB";
const VERSION: u16 = 1;
const DIGEST: usize = 32;
/// Source: zlib's default. A header of a hundred tensors shrinks to a tenth.
const SOURCE_LEVEL: u8 = 6;
/// Dimensions are joined until a row is as long. Guess: kernels of convolutions (3 by 3) are no rows, their inputs are.
const NARROW: usize = 32;
/// Numbers that a machine of 32 bits counts in bytes of four. Source: a quarter of its addresses.
const MOST_NUMBERS: u64 = 1 << 30;
