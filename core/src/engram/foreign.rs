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
    /// [`CodecError::Foreign`] for bytes that are damaged, too short or too long.
    pub(in crate::engram) fn unlzma(coded: &[u8], raw: &mut [u8]) -> Result<(), CodecError> {
        let options = options();
        let (lc, lp, pb) = (options.lc, options.lp, options.pb);
        let len = raw.len() as u64;
        let mut reader = LzmaReader::new(coded, len, lc, lp, pb, options.dict_size, None)
            .map_err(|_| DAMAGED)?;
        reader.set_relaxed_end_condition(false);
        reader.read_exact(raw).map_err(|_| DAMAGED)?;
        let (left, unused) = reader.into_parts();
        if left.is_empty() && unused.is_empty() {
            Ok(())
        } else {
            Err(DAMAGED)
        }
    }
}

/// Pcodec's standalone format, at its default level.
#[cfg(feature = "pco")]
mod with_pco {
    use alloc::vec;
    use alloc::vec::Vec;

    use pco::ChunkConfig;
    use pco::data_types::Number;
    use pco::standalone::{DecompressorItem, FileCompressor, FileDecompressor, simple_compress};

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

    /// Unpacks what [`pco`] packed: one chunk with settings that it chooses. Pcodec itself reads more, and asks for memory as
    /// the settings say, 256 MiB for a window of 2²⁴ numbers.
    ///
    /// # Errors
    /// [`CodecError::Foreign`] for bytes that are damaged, too short or too long, or that only another encoder writes.
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
        let header = FileCompressor::default()
            .with_n_hint(places.len())
            .write_header(Vec::new())
            .map_err(|_| DAMAGED)?;
        let chunk = coded.strip_prefix(&header[..]).ok_or(DAMAGED)?;
        if !is_ours(chunk, places.len(), N) {
            return Err(DAMAGED);
        }
        let (file, chunk) = FileDecompressor::new(coded).map_err(|_| DAMAGED)?;
        let Ok(DecompressorItem::Chunk(mut chunk)) = file.chunk_decompressor::<T, _>(chunk) else {
            return Err(DAMAGED);
        };
        let mut numbers = vec![T::default(); places.len()];
        let progress = chunk.read(&mut numbers).map_err(|_| DAMAGED)?;
        let is_whole = progress.finished && progress.n_processed == numbers.len();
        if !is_whole || chunk.into_src() != END {
            return Err(DAMAGED);
        }
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = write(number);
        }
        Ok(())
    }

    /// Whether a chunk has `count` numbers of `width` bytes and settings that [`pco`] chooses: every mode but a dictionary, and
    /// no differences, consecutive ones, or those of a window of at most 2¹⁵ numbers that starts with one. Source: pcodec's
    /// docs/format.md, "Chunk metadata", and the bounds of its encoder.
    fn is_ours(chunk: &[u8], count: usize, width: usize) -> bool {
        let Some((&[_type, a, b, c], settings)) = chunk.split_first_chunk() else {
            return false;
        };
        if u32::from_le_bytes([a, b, c, 0]) as usize + 1 != count {
            return false;
        }
        let mut bits = [0; 16];
        for (to, from) in bits.iter_mut().zip(settings) {
            *to = *from;
        }
        let bits = u128::from_le_bytes(bits);
        let field = |from: usize, len: usize| bits >> from & ((1 << len) - 1);
        let deltas = match field(0, 4) {
            0 => 4,
            // Multiples of a number, and what is left.
            1 | 2 => 4 + 8 * width,
            // Floats with so many low bits apart.
            3 => 4 + 8,
            _ => return false,
        };
        match field(deltas, 4) {
            0 | 1 => true,
            2 => field(deltas + 4, 5) < MAX_WINDOW_LOG && field(deltas + 9, 4) == 0,
            _ => false,
        }
    }

    /// Source: pcodec 1.1, `ENCODING_LOOKBACK_MAX_WINDOW_N_LOG`. A chunk has the logarithm less 1.
    const MAX_WINDOW_LOG: u128 = 15;
    /// What follows the last chunk.
    const END: &[u8] = &[0];

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

    #[cfg(test)]
    mod tests {
        use pco::{DeltaSpec, ModeSpec};

        use super::*;

        /// Packs whole numbers that repeat, and says where the chunk's settings begin.
        fn packed(config: &ChunkConfig) -> (Vec<u8>, Vec<u8>, usize) {
            let numbers: Vec<u64> = (0..32768u64).map(|i| (i * i) % 97 * 1_000_003).collect();
            let raw = numbers.iter().flat_map(|number| number.to_le_bytes());
            let header = FileCompressor::default().with_n_hint(numbers.len());
            let header = header.write_header(Vec::new()).unwrap();
            let coded = simple_compress(&numbers, config).unwrap();
            (raw.collect(), coded, header.len() + 4)
        }

        #[test]
        fn a_pco_chunk_that_asks_for_more_memory_than_our_encoder_uses_is_refused() {
            let config = ChunkConfig::default().with_mode_spec(ModeSpec::Classic);
            let config = config.with_delta_spec(DeltaSpec::TryLookback);
            let (raw, coded, settings) = packed(&config);
            let mut back = vec![0; raw.len()];
            unpco(&coded, Dtype::U64, &mut back).unwrap();
            assert!(back == raw);
            // Four bits of mode, four of the kind of deltas, five of the window.
            assert_eq!(coded[settings..settings + 2], [0x20, 14]);
            for log in 15..24 {
                let mut greedy = coded.clone();
                greedy[settings + 1] = log;
                assert_eq!(
                    unpco(&greedy, Dtype::U64, &mut back),
                    Err(DAMAGED),
                    "2^{}",
                    log + 1
                );
            }
        }

        #[test]
        fn a_pco_chunk_of_another_encoder_is_refused() {
            let other = |config: ChunkConfig| {
                let (raw, coded, _) = packed(&config);
                unpco(&coded, Dtype::U64, &mut vec![0; raw.len()])
            };
            let config = ChunkConfig::default;
            assert_eq!(other(config()), Ok(()));
            assert_eq!(
                other(config().with_mode_spec(ModeSpec::TryIntMult(1_000_003))),
                Ok(())
            );
            assert_eq!(
                other(config().with_delta_spec(DeltaSpec::TryConsecutive(2))),
                Ok(())
            );
            assert_eq!(
                other(config().with_mode_spec(ModeSpec::TryDict)),
                Err(DAMAGED)
            );
            let pages = pco::PagingSpec::EqualPagesUpTo(20_000);
            assert_eq!(other(config().with_paging_spec(pages)), Err(DAMAGED));
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
