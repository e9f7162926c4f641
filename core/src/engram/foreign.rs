//! Well-known codecs beside ours: LZMA and pcodec, each behind a feature of its own, because a page does without them.

use super::tensor::Dtype;

/// Whether this build has LZMA.
pub(super) const HAS_LZMA: bool = cfg!(feature = "lzma");
/// Whether this build has pcodec.
pub(super) const HAS_PCO: bool = cfg!(feature = "pco");

/// Whether pcodec has a type for these numbers: of 16 bits or more, because it asks for bytes to be left to others.
pub(super) const fn codes_pco(dtype: Dtype) -> bool {
    dtype.bits() >= 16
}

#[cfg(feature = "lzma")]
pub(super) use with_lzma::{lzma, unlzma};
#[cfg(feature = "pco")]
pub(super) use with_pco::{pco, unpco};
#[cfg(not(feature = "lzma"))]
pub(super) use without::{lzma, unlzma};
#[cfg(not(feature = "pco"))]
pub(super) use without::{pco, unpco};

/// LZMA without a header: a chunk's length and all settings are known.
#[cfg(feature = "lzma")]
mod with_lzma {
    use alloc::vec::Vec;

    use lzma_rust2::{LzmaOptions, LzmaReader, LzmaWriter, Read as _, Write as _};

    use crate::engram::error::CodecError;
    use crate::engram::tensor::CHUNK;

    const DAMAGED: CodecError = CodecError::Foreign { codec: "lzma" };

    fn options() -> LzmaOptions {
        LzmaOptions {
            dict_size: CHUNK as u32,
            // Source: xz's default preset.
            ..LzmaOptions::with_preset(6)
        }
    }

    /// Packs with LZMA.
    ///
    /// # Errors
    /// [`CodecError::Foreign`], which does not happen: memory is all that it needs.
    pub(in crate::engram) fn lzma(raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut writer =
            LzmaWriter::new_no_header(&mut *out, &options(), false).map_err(|_| DAMAGED)?;
        writer.write_all(raw).map_err(|_| DAMAGED)?;
        writer.finish().map_err(|_| DAMAGED)?;
        Ok(())
    }

    /// Unpacks LZMA.
    ///
    /// # Errors
    /// [`CodecError::Foreign`] for bytes that are damaged or too short.
    pub(in crate::engram) fn unlzma(coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        let options = options();
        let (lc, lp, pb) = (options.lc, options.lp, options.pb);
        let len = raw.len() as u64;
        let mut reader = LzmaReader::new(coded, len, lc, lp, pb, options.dict_size, None)
            .map_err(|_| DAMAGED)?;
        reader.read_exact(raw).map_err(|_| DAMAGED)
    }
}

/// Pcodec's standalone format, at its default level.
#[cfg(feature = "pco")]
mod with_pco {
    use alloc::vec;
    use alloc::vec::Vec;

    use pco::ChunkConfig;
    use pco::data_types::Number;
    use pco::standalone::{simple_compress, simple_decompress_into};

    use crate::engram::error::CodecError;
    use crate::engram::tensor::Dtype;

    const DAMAGED: CodecError = CodecError::Foreign { codec: "pco" };

    /// Packs with pcodec.
    ///
    /// # Errors
    /// [`CodecError::Foreign`], which does not happen: memory is all that it needs.
    pub(in crate::engram) fn pco(
        raw: &[u8],
        dtype: Dtype,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let packed = match dtype.bits() {
            32 if dtype == Dtype::F32 => pack(raw, f32::from_le_bytes),
            64 if dtype == Dtype::F64 => pack(raw, f64::from_le_bytes),
            16 => pack(raw, |bytes| ordered(dtype, u16::from_le_bytes(bytes))),
            32 => pack(raw, u32::from_le_bytes),
            _ => pack(raw, u64::from_le_bytes),
        };
        out.extend(packed?);
        Ok(())
    }

    /// Unpacks pcodec.
    ///
    /// # Errors
    /// [`CodecError::Foreign`] for bytes that are damaged, too short or too long.
    pub(in crate::engram) fn unpco(
        coded: &[u8],
        dtype: Dtype,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        match dtype.bits() {
            32 if dtype == Dtype::F32 => unpack(coded, raw, f32::to_le_bytes),
            64 if dtype == Dtype::F64 => unpack(coded, raw, f64::to_le_bytes),
            16 => unpack(coded, raw, |bits| unordered(dtype, bits).to_le_bytes()),
            32 => unpack(coded, raw, u32::to_le_bytes),
            _ => unpack(coded, raw, u64::to_le_bytes),
        }
    }

    fn pack<T: Number, const N: usize>(
        raw: &[u8],
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<u8>, CodecError> {
        let (numbers, _) = raw.as_chunks::<N>();
        let numbers: Vec<T> = numbers.iter().map(|bytes| read(*bytes)).collect();
        simple_compress(&numbers, &ChunkConfig::default()).map_err(|_| DAMAGED)
    }

    fn unpack<T: Number + Default, const N: usize>(
        coded: &[u8],
        raw: &mut [u8],
        write: impl Fn(T) -> [u8; N],
    ) -> Result<(), CodecError> {
        let (places, _) = raw.as_chunks_mut::<N>();
        let mut numbers = vec![T::default(); places.len()];
        let progress = simple_decompress_into(coded, &mut numbers).map_err(|_| DAMAGED)?;
        if !progress.finished || progress.n_processed != numbers.len() {
            return Err(DAMAGED);
        }
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = write(number);
        }
        Ok(())
    }

    /// Pcodec has no floats of 16 bits that keep every bit: their order among whole numbers instead.
    const fn ordered(dtype: Dtype, bits: u16) -> u16 {
        match dtype {
            Dtype::F16 | Dtype::Bf16 if bits >> 15 == 1 => !bits,
            Dtype::F16 | Dtype::Bf16 => bits | 1 << 15,
            _ => bits,
        }
    }

    const fn unordered(dtype: Dtype, bits: u16) -> u16 {
        match dtype {
            Dtype::F16 | Dtype::Bf16 if bits >> 15 == 0 => !bits,
            Dtype::F16 | Dtype::Bf16 => bits & !(1 << 15),
            _ => bits,
        }
    }
}

/// What stands for a codec that this build has not: its number is known, its bytes are not.
#[cfg(not(all(feature = "lzma", feature = "pco")))]
#[allow(dead_code, reason = "one of the two may be there")]
mod without {
    use alloc::vec::Vec;

    use crate::engram::error::CodecError;
    use crate::engram::tensor::Dtype;

    pub(in crate::engram) fn lzma(_: &[u8], _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::Absent { codec: "lzma" })
    }

    pub(in crate::engram) fn unlzma(_: &[u8], _: &mut [u8]) -> Result<(), CodecError> {
        Err(CodecError::Absent { codec: "lzma" })
    }

    pub(in crate::engram) fn pco(_: &[u8], _: Dtype, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::Absent { codec: "pco" })
    }

    pub(in crate::engram) fn unpco(_: &[u8], _: Dtype, _: &mut [u8]) -> Result<(), CodecError> {
        Err(CodecError::Absent { codec: "pco" })
    }
}
