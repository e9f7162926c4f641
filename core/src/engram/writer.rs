//! Writing an engram, chunk by chunk.

use alloc::vec::Vec;

use super::codec::Coder;
use super::error::{ChunkError, EngramError};
use super::index::{Chunk, ChunkId, PackedSource, Plan, error_at};
use super::tensor::Limits;
use crate::bounds::LimitError;
use crate::digest::Digest;

/// Writes an engram: takes the numbers chunk by chunk and gives back what goes to the file. Does no IO and keeps one chunk.
#[derive(Debug)]
pub struct EngramWriter {
    /// Its source is taken: packed it is a tenth as long.
    plan: Plan,
    source: PackedSource,
    chunks: Vec<Chunk>,
    next: usize,
    coder: Option<Coder>,
    coded: Vec<u8>,
    len: usize,
}

impl EngramWriter {
    /// Starts an engram.
    ///
    /// # Errors
    /// [`EngramError::Tensor`], [`EngramError::Limit`].
    pub fn new(mut plan: Plan, limits: &Limits) -> Result<Self, EngramError> {
        plan.validate(limits)?;
        let source = plan.take_source();
        let chunks = plan.chunks();
        let len = plan.write(&source, &chunks).len();
        LimitError::check_len("bytes of the index", len, limits.max_index)?;
        Ok(Self {
            plan,
            source,
            chunks,
            next: 0,
            coder: None,
            coded: Vec::new(),
            len,
        })
    }

    /// Returns the bytes that the index takes at the start of the file; the first chunk follows them.
    pub const fn index_len(&self) -> usize {
        self.len
    }

    /// Returns the chunk whose numbers are wanted next; `None` when all were given.
    pub fn wanted(&self) -> Option<&Chunk> {
        self.chunks.get(self.next)
    }

    /// Codes the chunk that is [wanted](Self::wanted) and returns what goes to the file after the chunk before. `base` are
    /// the numbers at the same place of the base, or of what the layers before decode to.
    ///
    /// # Errors
    /// [`EngramError::Chunk`] for numbers or a base of another length, [`EngramError::State`] after the last chunk.
    pub fn push(&mut self, raw: &[u8], base: Option<&[u8]>) -> Result<&[u8], EngramError> {
        let Some(chunk) = self.chunks.get_mut(self.next) else {
            let what = "all chunks were written";
            return Err(EngramError::State { what });
        };
        let mut code = || {
            let (expected, got) = (chunk.raw_len as u64, raw.len() as u64);
            if expected != got {
                return Err(ChunkError::Length { expected, got });
            }
            if chunk.id.chunk == 0 {
                self.coder = coder_for(&self.plan, chunk.id)?;
            }
            if let Some(coder) = &mut self.coder {
                coder.encode(raw, base, &mut self.coded)?;
            }
            Ok(())
        };
        code().map_err(|problem| error_at(&self.plan, chunk, problem))?;
        chunk.coded_len = self.coded.len();
        chunk.digest = Digest::sha256(&self.coded);
        self.next += 1;
        Ok(&self.coded)
    }

    /// Ends the engram and returns the index, which goes to the start of the file, and its digest.
    ///
    /// # Errors
    /// [`EngramError::State`] where chunks are missing.
    pub fn finish(self) -> Result<(Vec<u8>, Digest), EngramError> {
        if self.next < self.chunks.len() {
            let what = "chunks are missing";
            return Err(EngramError::State { what });
        }
        let index = self.plan.write(&self.source, &self.chunks);
        let at = index.len().saturating_sub(32);
        let digest = Digest::sha256(index.get(..at).unwrap_or_default());
        Ok((index, digest))
    }
}

fn coder_for(plan: &Plan, id: ChunkId) -> Result<Option<Coder>, ChunkError> {
    let Some(tensor) = plan.tensors.get(id.tensor) else {
        return Ok(None);
    };
    let Some(layer) = tensor.layers.get(id.layer) else {
        return Ok(None);
    };
    let has_base = id.layer > 0 || tensor.base.is_some();
    Ok(Some(Coder::new(
        layer.codec,
        &layer.params,
        &tensor.info,
        has_base,
    )?))
}
