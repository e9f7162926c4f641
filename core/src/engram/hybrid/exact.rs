//! Tensors to the byte, one after the other, each under the codec that suits it.
//!
//! # Bytes
//! For each tensor: its codec (a byte), 1 where it is told as a difference from its base, else 0 (a byte); for each chunk the
//! length of its coded bytes (32 bits) and these.

use alloc::vec::Vec;

use super::super::codec::{Codec, Coder};
use super::super::error::{CodecError, TensorError};
use super::super::pick::{Level, SAMPLE, pick};
use super::super::tensor::{CHUNK, TensorInfo, short};
use super::error::HybridError;
use crate::wire::{Reader, Writer};

/// Appends a tensor. `base` is as long as `raw`. `go_on` is told bytes that were done.
///
/// # Errors
/// [`HybridError::Exact`], [`HybridError::Stopped`].
pub(super) fn write(
    info: &TensorInfo,
    raw: &[u8],
    base: Option<&[u8]>,
    (out, go_on): (&mut Writer, &mut dyn FnMut(usize) -> bool),
) -> Result<(), HybridError> {
    let choice = pick(info, Level::Neural, middle(raw), base.map(middle));
    let base = base.filter(|_| choice.with_base);
    out.u8(choice.codec.code()).u8(u8::from(base.is_some()));
    let wrong = |offset| move |problem| error(info, offset, problem);
    let mut coder = Coder::new(choice.codec, &[], info, base.is_some()).map_err(wrong(0))?;
    let mut coded = Vec::new();
    for (place, chunk) in raw.chunks(CHUNK).enumerate() {
        let offset = place * CHUNK;
        let base = base.and_then(|base| base.get(offset..offset + chunk.len()));
        coder
            .encode(chunk, base, &mut coded)
            .map_err(wrong(offset as u64))?;
        out.u32(coded.len() as u32).put(&coded);
        if !go_on(chunk.len()) {
            return Err(HybridError::Stopped);
        }
    }
    Ok(())
}

/// Reads a tensor and appends its bytes to `out`; memory comes chunk by chunk. `base` is as long as the tensor.
///
/// # Errors
/// [`HybridError`] for bytes that [`write`] did not write; `out` may then have a part of the tensor.
pub(super) fn read(
    info: &TensorInfo,
    reader: &mut Reader<'_>,
    base: Option<&[u8]>,
    (out, go_on): (&mut Vec<u8>, &mut dyn FnMut(usize) -> bool),
) -> Result<(), HybridError> {
    let bytes = info.bytes().map_err(|problem| info.error(problem))?;
    let (got, with_base) = (reader.u8()?, reader.u8()?);
    let unknown = || info.error(TensorError::Codec { got });
    let codec = Codec::from_code(got).ok_or_else(unknown)?;
    let base = match with_base {
        0 => None,
        1 => Some(base.ok_or_else(|| info.error(TensorError::BaseTag { got: with_base }))?),
        got => return Err(info.error(TensorError::BaseTag { got }).into()),
    };
    let wrong = |offset| move |problem| error(info, offset, problem);
    let mut coder = Coder::new(codec, &[], info, base.is_some()).map_err(wrong(0))?;
    let mut offset = 0;
    while offset < bytes {
        let len = (bytes - offset).min(CHUNK as u64) as usize;
        let coded_len = reader.u32()? as usize;
        let coded = reader.take(coded_len)?;
        if coded_len > len {
            return Err(error(info, offset, CodecError::Truncated));
        }
        let at = offset as usize;
        let base = base.and_then(|base| base.get(at..at + len));
        let start = out.len();
        out.resize(start + len, 0);
        let place = out.get_mut(start..).unwrap_or_default();
        coder.decode(coded, base, place).map_err(wrong(offset))?;
        offset += len as u64;
        if !go_on(len) {
            return Err(HybridError::Stopped);
        }
    }
    Ok(())
}

/// Returns a piece from the middle, of whole numbers whatever their type.
pub(super) fn middle(raw: &[u8]) -> &[u8] {
    let len = raw.len().min(SAMPLE);
    let offset = (raw.len() - len) / 2 / 64 * 64;
    raw.get(offset..offset + len).unwrap_or_default()
}

pub(super) fn error(info: &TensorInfo, offset: u64, problem: CodecError) -> HybridError {
    let name = short(&info.name);
    HybridError::Exact {
        name,
        offset,
        problem,
    }
}
