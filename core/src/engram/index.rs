//! The index of an engram: what tensors there are, how each is coded, and the digest of every chunk.
//!
//! An engram is its index and then its chunks without gap, in the order of the index. Whoever has the index can take the
//! chunks from anywhere, in any order, and check each alone; the index's own digest is the engram's id.
//!
//! # Bytes
//! `ENGRAM`, version (16 bits), length of the index (32 bits, big-endian), index, SHA-256 of all before it. The index, in
//! the words of [`wire`](crate::wire):
//! - bytes of numbers in a chunk (varint);
//! - the source's header: its length (varint) and its bytes under deflate; 0 and no bytes where there is none;
//! - number of tensors; for each its name, type (a byte), rank (a byte), dimensions (varints), base (a byte 0, or 1 and 32
//!   bytes of digest), number of layers (a byte), for each layer its codec (a byte) and parameters;
//! - for each layer, for each tensor, for each chunk: length of its coded bytes (32 bits), their SHA-256.
//!
//! The length of an index follows from what is known before anything is coded, so a file is written in one pass.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::codec::{Codec, inflated};
use super::error::{ChunkError, EngramError, TensorError};
use super::safetensors;
use super::tensor::{CHUNK, Dtype, Limits, TensorInfo, short};
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::{Reader, WireError, Writer};

/// What is known of an engram before it is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The header of the safetensors file as it was, length included; empty where there is none.
    pub source: Vec<u8>,
    /// The tensors, in the order in which their numbers come.
    pub tensors: Vec<PlannedTensor>,
}

/// What is known of a tensor before it is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTensor {
    /// Name, type and shape.
    pub info: TensorInfo,
    /// Digest of the bytes of the tensor that the first layer is coded against.
    pub base: Option<Digest>,
    /// The layers: each later one is coded against what the earlier ones decode to. One to [`MAX_LAYERS`].
    pub layers: Vec<LayerPlan>,
}

/// How a layer is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// The codec.
    pub codec: Codec,
    /// The codec's parameters, at most [`MAX_PARAMS`] bytes.
    pub params: Vec<u8>,
}

/// Layers of a tensor. Guess: base difference, levels, residual.
pub const MAX_LAYERS: usize = 4;
/// Bytes of a codec's parameters. Guess: a step, a gain, a few levels.
pub const MAX_PARAMS: usize = 256;

/// Which chunk: of which tensor, of which of its layers, which in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId {
    /// The layer. Chunks stand in a file layer by layer.
    pub layer: usize,
    /// The tensor, in the order of the index.
    pub tensor: usize,
    /// The chunk, by its place in the tensor.
    pub chunk: usize,
}

/// A chunk as the index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which it is.
    pub id: ChunkId,
    /// Offset of its first number in the tensor, bytes.
    pub offset: u64,
    /// Bytes of its numbers.
    pub raw_len: usize,
    /// Offset of its coded bytes in the file.
    pub position: u64,
    /// Bytes that code it: at most `raw_len`; as many where they are the numbers themselves.
    pub coded_len: usize,
    /// SHA-256 of the coded bytes.
    pub digest: Digest,
}

/// The index of an engram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    plan: Plan,
    chunks: Vec<Chunk>,
    len: usize,
    digest: Digest,
}

impl Plan {
    /// Checks what can be checked before coding.
    ///
    /// # Errors
    /// [`EngramError::Tensor`], [`EngramError::Limit`].
    pub fn validate(&self, limits: &Limits) -> Result<(), EngramError> {
        LimitError::check_len("tensors", self.tensors.len(), limits.max_tensors)?;
        let (mut names, mut total) = (BTreeSet::new(), 0u64);
        for tensor in &self.tensors {
            tensor.info.validate(limits)?;
            tensor
                .validate()
                .map_err(|problem| tensor.info.error(problem))?;
            if !names.insert(tensor.info.name.as_str()) {
                return Err(tensor.info.error(TensorError::Twice));
            }
            let bytes = tensor
                .info
                .bytes()
                .map_err(|problem| tensor.info.error(problem))?;
            total = total.saturating_add(bytes);
            LimitError::check("bytes of all tensors", total, limits.max_bytes)?;
        }
        self.check_source(limits)?;
        LimitError::check(
            "bytes of the index",
            self.chunk_count().saturating_mul(ENTRY),
            limits.max_index as u64,
        )?;
        Ok(())
    }

    /// Checks that the header of the source lists the same tensors.
    fn check_source(&self, limits: &Limits) -> Result<(), EngramError> {
        if self.source.is_empty() {
            return Ok(());
        }
        let infos: Vec<_> = self.tensors.iter().map(|tensor| &tensor.info).collect();
        safetensors::check_lists(&self.source, &infos, limits)
    }

    fn chunk_count(&self) -> u64 {
        let chunks = |tensor: &PlannedTensor| {
            let bytes = tensor.info.bytes().unwrap_or(0);
            bytes
                .div_ceil(CHUNK as u64)
                .saturating_mul(tensor.layers.len() as u64)
        };
        self.tensors.iter().map(chunks).fold(0, u64::saturating_add)
    }

    /// Returns the chunks in the order of the file, coded as if they were plain.
    pub(super) fn chunks(&self) -> Vec<Chunk> {
        let layers = self
            .tensors
            .iter()
            .map(|tensor| tensor.layers.len())
            .max()
            .unwrap_or(0);
        let mut chunks = Vec::with_capacity(self.chunk_count() as usize);
        for layer in 0..layers {
            for (tensor, planned) in self.tensors.iter().enumerate() {
                if planned.layers.len() <= layer {
                    continue;
                }
                let bytes = planned.info.bytes().unwrap_or(0);
                let mut offset = 0;
                while offset < bytes {
                    let raw_len = (bytes - offset).min(CHUNK as u64) as usize;
                    let chunk = (offset / CHUNK as u64) as usize;
                    chunks.push(Chunk {
                        id: ChunkId {
                            layer,
                            tensor,
                            chunk,
                        },
                        offset,
                        raw_len,
                        position: 0,
                        coded_len: raw_len,
                        digest: Digest::from_bytes([0; 32]),
                    });
                    offset += raw_len as u64;
                }
            }
        }
        chunks
    }

    /// Takes the source out, packed.
    pub(super) fn take_source(&mut self) -> PackedSource {
        let source = core::mem::take(&mut self.source);
        let bytes = if source.is_empty() {
            Vec::new()
        } else {
            miniz_oxide::deflate::compress_to_vec(&source, SOURCE_LEVEL)
        };
        let len = source.len() as u64;
        PackedSource { len, bytes }
    }

    pub(super) fn write(&self, source: &PackedSource, chunks: &[Chunk]) -> Vec<u8> {
        let mut body = Writer::with_capacity(HEAD + chunks.len() * ENTRY as usize);
        // The length comes last.
        body.put(MAGIC).u16(VERSION).u32(0);
        body.uvarint(CHUNK as u64)
            .uvarint(source.len)
            .bytes(&source.bytes);
        body.uvarint(self.tensors.len() as u64);
        for tensor in &self.tensors {
            let info = &tensor.info;
            body.bytes(info.name.as_bytes())
                .u8(info.dtype.code())
                .u8(info.shape.len() as u8);
            for dimension in &info.shape {
                body.uvarint(*dimension);
            }
            match &tensor.base {
                None => body.u8(0),
                Some(base) => body.u8(1).put(base.as_bytes()),
            };
            body.u8(tensor.layers.len() as u8);
            for layer in &tensor.layers {
                body.u8(layer.codec.code()).bytes(&layer.params);
            }
        }
        for chunk in chunks {
            body.u32(chunk.coded_len as u32)
                .put(chunk.digest.as_bytes());
        }
        let mut bytes = body.into_bytes();
        let len = bytes.len().saturating_sub(HEAD) as u32;
        if let Some(place) = bytes.get_mut(HEAD - 4..HEAD) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        let digest = Digest::sha256(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }
}

/// The header of the source as an index has it.
#[derive(Debug)]
pub(super) struct PackedSource {
    /// Bytes of the header; 0 where there is none.
    len: u64,
    /// The header under deflate.
    bytes: Vec<u8>,
}

impl PlannedTensor {
    fn validate(&self) -> Result<(), TensorError> {
        LimitError::check_len("layers", self.layers.len(), MAX_LAYERS)?;
        if self.layers.is_empty() {
            return Err(TensorError::Layers);
        }
        for (layer, planned) in self.layers.iter().enumerate() {
            LimitError::check_len("bytes of parameters", planned.params.len(), MAX_PARAMS)?;
            let has_base = layer > 0 || self.base.is_some();
            if has_base && !planned.codec.takes_base() {
                let codec = planned.codec.name();
                return Err(TensorError::BaseUnused { codec });
            }
        }
        Ok(())
    }
}

impl Index {
    /// Returns how long an index is, from the first [`HEAD`] bytes of a file.
    ///
    /// # Errors
    /// [`EngramError::Magic`], [`EngramError::Limit`].
    pub fn len_of(head: &[u8], limits: &Limits) -> Result<usize, EngramError> {
        let mut reader = Reader::new(head);
        let (magic, version) = (reader.take(MAGIC.len())?, reader.u16()?);
        if magic != MAGIC || version != VERSION {
            return Err(EngramError::Magic);
        }
        let len = reader.u32()? as usize;
        LimitError::check_len("bytes of the index", len, limits.max_index)?;
        Ok(len.saturating_add(HEAD + 32))
    }

    /// Reads an index; `bytes` may go on after it.
    ///
    /// # Errors
    /// [`EngramError`]: nothing of a damaged or hostile index is kept.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, EngramError> {
        let len = Self::len_of(bytes, limits)?;
        let mut reader = Reader::new(bytes);
        let whole = reader.take(len - 32)?;
        let expected = Digest::from_bytes(reader.array()?);
        let got = Digest::sha256(whole);
        if expected != got {
            return Err(EngramError::IndexDigest { expected, got });
        }
        let mut reader = Reader::new(whole);
        reader.take(HEAD)?;
        let plan = read_plan(&mut reader, limits)?;
        let mut chunks = plan.chunks();
        let mut position = len as u64;
        for chunk in &mut chunks {
            chunk.position = position;
            chunk.coded_len = reader.u32()? as usize;
            chunk.digest = Digest::from_bytes(reader.array()?);
            if chunk.coded_len > chunk.raw_len {
                let (raw, coded) = (chunk.raw_len as u64, chunk.coded_len as u64);
                let problem = ChunkError::Grown { raw, coded };
                return Err(error_at(&plan, chunk, problem));
            }
            position += chunk.coded_len as u64;
        }
        reader.finish()?;
        Ok(Self {
            plan,
            chunks,
            len,
            digest: expected,
        })
    }

    /// Returns the engram's id: the digest of its index, and so of all its chunks.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the bytes of the index itself, which are the first of a file.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no tensor.
    pub const fn is_empty(&self) -> bool {
        self.plan.tensors.is_empty()
    }

    /// Returns the bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.chunks.last().map_or(self.len as u64, |last| {
            last.position + last.coded_len as u64
        })
    }

    /// Returns the header of the safetensors file that the engram was made of, length included; empty where there was none.
    pub fn source(&self) -> &[u8] {
        &self.plan.source
    }

    /// Returns the tensors in the order of their numbers.
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.plan.tensors
    }

    /// Returns all chunks in the order of the file.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Returns the chunks of a layer of a tensor in order; none where there is no such layer.
    pub fn chunks_of(&self, tensor: usize, layer: usize) -> &[Chunk] {
        let key = |chunk: &Chunk| (chunk.id.layer, chunk.id.tensor);
        let from = self
            .chunks
            .partition_point(|chunk| key(chunk) < (layer, tensor));
        let to = self
            .chunks
            .partition_point(|chunk| key(chunk) <= (layer, tensor));
        self.chunks.get(from..to).unwrap_or_default()
    }

    /// Checks the coded bytes of a chunk, from wherever they came.
    ///
    /// # Errors
    /// [`EngramError::Chunk`].
    pub fn verify(&self, chunk: &Chunk, coded: &[u8]) -> Result<(), EngramError> {
        let problem = if coded.len() == chunk.coded_len {
            let (expected, got) = (chunk.digest, Digest::sha256(coded));
            if expected == got {
                return Ok(());
            }
            ChunkError::Digest { expected, got }
        } else {
            ChunkError::Length {
                expected: chunk.coded_len as u64,
                got: coded.len() as u64,
            }
        };
        Err(self.error(chunk, problem))
    }

    pub(super) fn error(&self, chunk: &Chunk, problem: ChunkError) -> EngramError {
        error_at(&self.plan, chunk, problem)
    }
}

pub(super) fn error_at(plan: &Plan, chunk: &Chunk, problem: ChunkError) -> EngramError {
    let name = plan
        .tensors
        .get(chunk.id.tensor)
        .map(|tensor| short(&tensor.info.name));
    EngramError::Chunk {
        name: name.unwrap_or_default(),
        offset: chunk.offset,
        problem,
    }
}

fn read_plan(reader: &mut Reader<'_>, limits: &Limits) -> Result<Plan, EngramError> {
    let chunk = reader.uvarint()?;
    LimitError::check("bytes of a chunk", chunk, CHUNK as u64)?;
    if chunk != CHUNK as u64 {
        let what = "an engram's chunks must have 262144 bytes";
        return Err(EngramError::State { what });
    }
    let source_len = reader.uvarint()?;
    let max = limits.max_header.saturating_add(8);
    LimitError::check("bytes of a header", source_len, max as u64)?;
    let packed = reader.bytes("bytes of a packed header", max)?;
    let source = unpacked_source(packed, source_len as usize)?;
    let count = reader.uvarint()?;
    LimitError::check("tensors", count, limits.max_tensors as u64)?;
    let mut tensors = Vec::new();
    for _ in 0..count {
        tensors.push(read_tensor(reader, limits)?);
    }
    let plan = Plan { source, tensors };
    plan.validate(limits)?;
    // Before anything is made for the chunks: they must be there.
    let needed = plan.chunk_count().saturating_mul(ENTRY);
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    let (position, left) = (reader.position(), reader.remaining());
    if needed > left {
        let error = WireError::Truncated {
            position,
            needed,
            left,
        };
        return Err(error.into());
    }
    if needed < left {
        let (position, left) = (position + needed, left - needed);
        return Err(WireError::Trailing { position, left }.into());
    }
    Ok(plan)
}

/// Unpacks the header of the source, `len` bytes; none where both are empty.
fn unpacked_source(packed: &[u8], len: usize) -> Result<Vec<u8>, EngramError> {
    if len == 0 && packed.is_empty() {
        return Ok(Vec::new());
    }
    let what = "the packed header must be whole and of the announced length";
    inflated(&[], packed, len)
        .filter(|source| !source.is_empty())
        .ok_or(EngramError::State { what })
}

fn read_tensor(reader: &mut Reader<'_>, limits: &Limits) -> Result<PlannedTensor, EngramError> {
    let name = reader.bytes("bytes of a tensor's name", limits.max_name)?;
    let Ok(name) = core::str::from_utf8(name) else {
        let what = "names must be UTF-8";
        return Err(EngramError::State { what });
    };
    let wrong = |problem| EngramError::Tensor {
        name: short(name),
        problem,
    };
    let got = reader.u8()?;
    let dtype = Dtype::from_code(got).ok_or_else(|| wrong(TensorError::Dtype { got }))?;
    let rank = usize::from(reader.u8()?);
    LimitError::check_len("dimensions", rank, limits.max_rank)
        .map_err(|past| wrong(past.into()))?;
    let shape = (0..rank)
        .map(|_| reader.uvarint())
        .collect::<Result<_, _>>()?;
    let base = match reader.u8()? {
        0 => None,
        1 => Some(Digest::from_bytes(reader.array()?)),
        got => return Err(wrong(TensorError::BaseTag { got })),
    };
    let count = usize::from(reader.u8()?);
    LimitError::check_len("layers", count, MAX_LAYERS).map_err(|past| wrong(past.into()))?;
    let info = TensorInfo {
        name: name.into(),
        dtype,
        shape,
    };
    let mut layers = Vec::with_capacity(count);
    for _ in 0..count {
        let got = reader.u8()?;
        let codec = Codec::from_code(got).ok_or_else(|| wrong(TensorError::Codec { got }))?;
        let params = reader.bytes("bytes of parameters", MAX_PARAMS)?.to_vec();
        layers.push(LayerPlan { codec, params });
    }
    Ok(PlannedTensor { info, base, layers })
}

/// Bytes of a file that tell how long its index is.
pub const HEAD: usize = 12;
const MAGIC: &[u8; 6] = b"ENGRAM";
const VERSION: u16 = 1;
/// Bytes of a chunk in the index.
const ENTRY: u64 = 36;
/// Source: zlib's default. A header of a hundred tensors shrinks to a tenth.
const SOURCE_LEVEL: u8 = 6;
