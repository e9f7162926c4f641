//! Reading an engram: one tensor after the other or one alone, from chunks that came in any order.

use alloc::vec;
use alloc::vec::Vec;

use super::codec::Coder;
use super::error::{ChunkError, CodecError, EngramError, TensorError};
use super::index::{Chunk, Index};
use crate::digest::Digest;

/// Decodes one layer of one tensor, its chunks in order. Keeps what its codec learned, and no chunk.
#[derive(Debug)]
pub struct LayerReader<'a> {
    index: &'a Index,
    chunks: &'a [Chunk],
    next: usize,
    coder: Coder,
    /// Whether a chunk could not be decoded: what was learned is of no use any more.
    is_broken: bool,
}

impl<'a> LayerReader<'a> {
    /// Starts before the first chunk of a layer of a tensor. `base` is the digest of the tensor that the caller will decode
    /// against: its own numbers' for the first layer, where the index asks for one.
    ///
    /// # Errors
    /// [`EngramError::Tensor`] where the base is missing or another one, or the codec cannot read this type;
    /// [`EngramError::State`] where there is no such tensor or layer.
    pub fn new(
        index: &'a Index,
        (tensor, layer): (usize, usize),
        base: Option<Digest>,
    ) -> Result<Self, EngramError> {
        let missing = EngramError::State {
            what: "there is no such tensor or layer",
        };
        let planned = index.tensors().get(tensor).ok_or_else(|| missing.clone())?;
        let coding = planned.layers.get(layer).ok_or(missing)?;
        if let (Some(expected), 0) = (planned.base, layer) {
            match base {
                None => return Err(planned.info.error(TensorError::BaseMissing { expected })),
                Some(got) if got != expected => {
                    return Err(planned.info.error(TensorError::BaseWrong { expected, got }));
                }
                Some(_) => {}
            }
        }
        let has_base = layer > 0 || planned.base.is_some();
        let chunks = index.chunks_of(tensor, layer);
        let coder = Coder::new(coding.codec, &coding.params, &planned.info, has_base);
        let coder = coder.map_err(|problem| planned.info.error(TensorError::Coding(problem)))?;
        Ok(Self {
            index,
            chunks,
            next: 0,
            coder,
            is_broken: false,
        })
    }

    /// Returns the chunk that is to be given next; `None` when the tensor is complete. It stays the one that could not be
    /// decoded.
    pub fn wanted(&self) -> Option<&'a Chunk> {
        self.chunks.get(self.next)
    }

    /// Whether a chunk was as announced and still could not be decoded: the tensor can only be read from its start, from
    /// another engram.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Verifies and decodes the chunk that is [wanted](Self::wanted); `raw` is overwritten with its numbers. `base` are the
    /// numbers at the same place of the base, or of what the layers before decode to.
    ///
    /// # Errors
    /// [`EngramError::Chunk`] and an empty `raw`. The same chunk can be given again, but not after a codec's error: the
    /// reader [is broken](Self::is_broken) then, and every later call is [`EngramError::State`].
    pub fn push(
        &mut self,
        coded: &[u8],
        base: Option<&[u8]>,
        raw: &mut Vec<u8>,
    ) -> Result<(), EngramError> {
        raw.clear();
        let Some(chunk) = self.chunks.get(self.next) else {
            let what = "all chunks of the tensor were read";
            return Err(EngramError::State { what });
        };
        if self.is_broken {
            let what = "a chunk of the tensor could not be decoded, so it cannot go on";
            return Err(EngramError::State { what });
        }
        self.index.verify(chunk, coded)?;
        raw.resize(chunk.raw_len, 0);
        let decoded = self.coder.decode(coded, base, raw);
        if let Err(problem) = decoded {
            raw.clear();
            let is_callers = matches!(problem, CodecError::Base { .. });
            self.is_broken = !is_callers;
            return Err(self.index.error(chunk, ChunkError::Codec(problem)));
        }
        self.next += 1;
        Ok(())
    }
}

/// Which chunks are there already: for taking them from several peers in any order, and for going on after a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    bits: Vec<u64>,
    count: usize,
    left: usize,
}

impl Received {
    /// Starts with none of the chunks of `index`.
    pub fn new(index: &Index) -> Self {
        let count = index.chunks().len();
        Self {
            bits: vec![0; count.div_ceil(64)],
            count,
            left: count,
        }
    }

    /// Notes chunk `at` of [`Index::chunks`], once it is verified and kept. Says whether it is new.
    pub fn note(&mut self, at: usize) -> bool {
        let is_new = at < self.count && !self.has(at);
        if is_new {
            if let Some(word) = self.bits.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
            self.left -= 1;
        }
        is_new
    }

    /// Whether chunk `at` is there.
    pub fn has(&self, at: usize) -> bool {
        self.bits
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Returns how many are missing.
    pub const fn missing(&self) -> usize {
        self.left
    }

    /// Returns the places in [`Index::chunks`] of those that are missing, in order.
    pub fn missing_places(&self) -> impl Iterator<Item = usize> {
        (0..self.count).filter(|at| !self.has(*at))
    }
}
