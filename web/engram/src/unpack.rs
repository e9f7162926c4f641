//! Unpacking an engram of either kind to the safetensors file that it restores.

use chorus_core::digest::Digest;
use chorus_core::engram::hybrid;
use chorus_core::engram::safetensors::Header;
use chorus_core::engram::{Index, LayerReader};

use crate::file::{File, limits};
use crate::problem::{DAMAGED, Problem};

/// Whether bytes begin as an engram of either kind.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"ENGRAM") || hybrid::is_hybrid(bytes)
}

/// Unpacks `packed`; of one in layers the first `layers`, or all where there are fewer. `base` is a file with the tensors that it is coded against; tensors are found by name, type and shape,
/// and checked by digest. `progress` is told how much is done, 0..=1, and says whether to go on.
///
/// # Errors
/// `ERR_DAMAGED` for what is no engram, or was changed; `ERR_MISMATCH` where the base is missing or another one;
/// `ERR_TOO_LARGE`; `ERR_ABORTED`.
pub fn unpack(
    packed: &[u8],
    base: Option<&File>,
    layers: usize,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<u8>, Problem> {
    if hybrid::is_hybrid(packed) {
        let layers = layers.min(hybrid::Header::parse(packed, &limits())?.layers.len());
        let base = base.map(File::bytes);
        return Ok(hybrid::unpack(packed, base, layers, &limits(), progress)?);
    }
    whole(packed, base, progress)
}

/// Unpacks an engram that loses nothing.
fn whole(
    packed: &[u8],
    base: Option<&File>,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<u8>, Problem> {
    let index = Index::parse(packed, &limits())?;
    if index.file_len() != packed.len() as u64 {
        let message = format!(
            "the engram must have {} bytes, got {}",
            index.file_len(),
            packed.len()
        );
        return Err(Problem::new(DAMAGED, message));
    }
    let mut out = if index.source().is_empty() {
        let infos = index.tensors().iter().map(|tensor| tensor.info.clone());
        Header::new(infos.collect(), Vec::new(), &limits())?
            .bytes()
            .to_vec()
    } else {
        index.source().to_vec()
    };
    let all = index.file_len().max(1) as f64;
    let (mut done, mut told) = (0, 0);
    for (place, planned) in index.tensors().iter().enumerate() {
        let own_base = match planned.base {
            Some(_) => base.and_then(|base| Some(base.numbers(base.find(&planned.info)?))),
            None => None,
        };
        let digest = own_base.map(Digest::sha256);
        let readers =
            (0..planned.layers.len()).map(|layer| LayerReader::new(&index, (place, layer), digest));
        let mut layers = readers.collect::<Result<Vec<_>, _>>()?;
        let (mut raw, mut against) = (Vec::new(), Vec::new());
        while let Some(first) = layers.first().and_then(LayerReader::wanted).copied() {
            let from = first.offset as usize;
            let piece = own_base.and_then(|base| base.get(from..from + first.raw_len));
            let mut has_base = piece.is_some();
            against.clear();
            against.extend_from_slice(piece.unwrap_or_default());
            for reader in &mut layers {
                let Some(chunk) = reader.wanted() else { break };
                let from = chunk.position as usize;
                let coded = packed.get(from..from + chunk.coded_len).unwrap_or_default();
                let base = has_base.then_some(&against[..]);
                reader.push(coded, base, &mut raw)?;
                done += chunk.coded_len;
                // What one layer gives is the base of the next.
                std::mem::swap(&mut raw, &mut against);
                has_base = true;
            }
            out.extend_from_slice(&against);
            if done >= told + STRIDE {
                told = done;
                if !progress(done as f64 / all) {
                    return Err(Problem::aborted());
                }
            }
        }
    }
    Ok(out)
}

/// Bytes between two reports. Guess: ten a second from the slowest codec.
const STRIDE: usize = 1 << 19;

#[cfg(test)]
mod tests {
    use chorus_core::engram::{Dtype, Level};

    use super::*;
    use crate::file::tests::{file, singles};
    use crate::pack::{Packing, level, pack};
    use crate::problem::{ABORTED, INVALID_ARGUMENT, MISMATCH};

    fn model(seed: u32) -> File {
        let halves = singles(3000, seed + 1);
        let halves = halves.as_chunks::<4>().0.iter().flat_map(|s| [s[2], s[3]]);
        File::open(file(&[
            ("w", Dtype::F32, &[300, 400], singles(120_000, seed)),
            ("b", Dtype::Bf16, &[3000], halves.collect()),
            ("ids", Dtype::I64, &[2], vec![1; 16]),
            ("none", Dtype::F16, &[0, 5], Vec::new()),
        ]))
        .unwrap()
    }

    #[test]
    fn every_level_restores_the_file_to_the_byte() {
        let file = model(1);
        for name in ["fast", "neural", "smallest"] {
            let packed = pack(&file, None, level(name).unwrap()).unwrap();
            assert!(packed.len() < file.bytes().len(), "{name}");
            let back = unpack(&packed, None, 1, &mut |_| true).unwrap();
            assert!(back == file.bytes(), "{name}");
        }
        assert_eq!(level("best").unwrap_err().code, INVALID_ARGUMENT);
    }

    #[test]
    fn steps_make_what_one_go_makes() {
        let file = model(1);
        let mut packing = Packing::new(&file, None, Level::Fast).unwrap();
        let mut shares = Vec::new();
        while shares.last() != Some(&1.0) {
            shares.push(packing.step(&file, None, 1).unwrap());
        }
        assert!(shares.len() > 3 && shares.is_sorted());
        assert_eq!(
            packing.finish().unwrap(),
            pack(&file, None, Level::Fast).unwrap()
        );
    }

    #[test]
    fn against_a_base_it_is_smaller_and_needs_that_base() {
        let base = model(1);
        let mut bytes = base.bytes().to_vec();
        let from = bytes.len() - 2000;
        bytes[from] ^= 1;
        let tuned = File::open(bytes).unwrap();
        let packed = pack(&tuned, Some(&base), Level::Fast).unwrap();
        assert!(packed.len() * 20 < tuned.bytes().len());
        let back = unpack(&packed, Some(&base), 1, &mut |_| true).unwrap();
        assert!(back == tuned.bytes());
        for wrong in [None, Some(&model(2))] {
            let error = unpack(&packed, wrong, 1, &mut |_| true).unwrap_err();
            assert_eq!(error.code, MISMATCH);
            assert!(error.message.contains("tensor \"w\""), "{error}");
        }
    }

    #[test]
    fn what_was_changed_or_cut_or_cancelled_is_no_file() {
        let file = model(3);
        let packed = pack(&file, None, Level::Fast).unwrap();
        for at in [0, 8, 40, 200, packed.len() - 1] {
            let mut changed = packed.clone();
            changed[at] ^= 1;
            assert!(unpack(&changed, None, 1, &mut |_| true).is_err(), "{at}");
        }
        for len in [0, 5, 100, packed.len() - 1] {
            let error = unpack(&packed[..len], None, 1, &mut |_| true).unwrap_err();
            assert_eq!(error.code, DAMAGED, "{len}");
        }
        let noise = File::open(self::file(&[(
            "n",
            Dtype::U8,
            &[1 << 20],
            singles(1 << 18, 5),
        )]));
        let packed = pack(&noise.unwrap(), None, Level::Fast).unwrap();
        let error = unpack(&packed, None, 1, &mut |_| false).unwrap_err();
        assert_eq!(error.code, ABORTED);
    }
}
