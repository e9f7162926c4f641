//! What an engram says of itself, without unpacking it.

use chorus_core::engram::hybrid::{self, is_hybrid};
use chorus_core::engram::{Index, TensorInfo};
use serde::Serialize;

use crate::file::limits;
use crate::problem::Problem;

/// What an engram holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inside {
    /// Tensors.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Bytes of the safetensors file that it restores, its header included where that is known.
    pub bytes: u64,
    /// Whether every bit comes back.
    pub is_exact: bool,
    /// Whether a base is needed.
    pub has_base: bool,
    /// Layers, of which a reader may stop after any; 1 where there is no choice.
    pub layers: usize,
    /// Signal to noise with all layers, dB; none where every bit comes back.
    pub decibels: Option<f64>,
}

/// Reads the header of an engram of either kind. Its numbers are not looked at.
///
/// # Errors
/// `ERR_DAMAGED` for what is no engram; `ERR_TOO_LARGE`.
pub fn inspect(packed: &[u8]) -> Result<Inside, Problem> {
    if is_hybrid(packed) {
        let header = hybrid::Header::parse(packed, &limits())?;
        let last = header.layers.last().map(|layer| layer.snr_decibels);
        return Ok(Inside {
            tensors: header.tensors.len(),
            parameters: parameters(header.tensors.iter()),
            bytes: header.source_len(),
            is_exact: header.is_exact,
            has_base: header.base.is_some(),
            layers: header.layers.len(),
            decibels: last.filter(|decibels| decibels.is_finite()),
        });
    }
    let index = Index::parse(packed, &limits())?;
    let infos = || index.tensors().iter().map(|tensor| &tensor.info);
    let bytes = infos().map(|info| info.bytes().unwrap_or(0));
    let bytes = bytes.fold(index.source().len() as u64, u64::saturating_add);
    Ok(Inside {
        tensors: index.tensors().len(),
        parameters: parameters(infos()),
        bytes,
        is_exact: true,
        has_base: index.tensors().iter().any(|tensor| tensor.base.is_some()),
        layers: 1,
        decibels: None,
    })
}

fn parameters<'a>(infos: impl Iterator<Item = &'a TensorInfo>) -> u64 {
    let count = |info: &TensorInfo| info.bytes().unwrap_or(0).saturating_mul(8) / info.dtype.bits();
    infos.map(count).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use chorus_core::engram::Dtype;
    use chorus_core::engram::hybrid::{Options, Target, pack};

    use super::*;
    use crate::file::File;
    use crate::file::tests::{file, singles};
    use crate::pack::{level, pack as pack_exact};

    #[test]
    fn both_kinds_say_what_they_hold() {
        let bytes = file(&[("w", Dtype::F32, &[30, 40], singles(1200, 1))]);
        let options = Options {
            target: Target::Bits(3.0),
            layers: 1,
            is_exact: false,
        };
        let packed = pack(&bytes, None, &options, &limits(), &mut |_| true).unwrap();
        let lossy = inspect(&packed.bytes).unwrap();
        assert_eq!((lossy.tensors, lossy.parameters), (1, 1200));
        assert_eq!(lossy.bytes, bytes.len() as u64);
        assert!(!lossy.is_exact && !lossy.has_base && lossy.decibels.is_some());

        let whole = File::open(bytes.clone()).unwrap();
        let exact = pack_exact(&whole, Some(&whole), level("fast").unwrap()).unwrap();
        let exact = inspect(&exact).unwrap();
        assert_eq!(exact.bytes, bytes.len() as u64);
        assert!(exact.is_exact && exact.has_base && exact.decibels.is_none());
        assert_eq!(inspect(&bytes).unwrap_err().code, crate::problem::DAMAGED);
    }
}
