//! Packing with less exactness in few bits, in one go: what follows it may be told to stop, but not to wait.

use chorus_core::engram::hybrid::{self, Options, Packed, Target};
use serde::Deserialize;

use crate::file::limits;
use crate::problem::{INVALID_ARGUMENT, Problem};

/// How exact an engram is to be. One of `bits` and `decibels`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// Bits per number of the floats.
    pub bits: Option<f64>,
    /// Ratio of signal to noise over all floats.
    pub decibels: Option<f64>,
    /// Lossy layers, 1 when not said.
    pub layers: Option<usize>,
    /// Whether a last layer brings every bit back.
    pub exact: bool,
}

impl Wanted {
    /// Returns the core's options.
    ///
    /// # Errors
    /// `ERR_INVALID_ARGUMENT` unless one of bits and decibels is there.
    pub fn options(self) -> Result<Options, Problem> {
        let target = match (self.bits, self.decibels) {
            (Some(bits), None) => Target::Bits(bits),
            (None, Some(decibels)) => Target::Decibels(decibels),
            _ => {
                let message = "one of bits and decibels is needed";
                return Err(Problem::new(INVALID_ARGUMENT, message));
            }
        };
        Ok(Options {
            target,
            layers: self.layers.unwrap_or(1),
            is_exact: self.exact,
        })
    }
}

/// Packs `file`, a safetensors file, against `base` where there is one. `progress` is told the share that is done.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT` for a target or layers that cannot be, and for a number that is not finite without an exact layer;
/// `ERR_MISMATCH` where the base has none of the tensors; `ERR_DAMAGED`, `ERR_TOO_LARGE`; `ERR_ABORTED`.
pub fn pack(
    file: &[u8],
    base: Option<&[u8]>,
    wanted: Wanted,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Packed, Problem> {
    Ok(hybrid::pack(
        file,
        base,
        &wanted.options()?,
        &limits(),
        progress,
    )?)
}

#[cfg(test)]
mod tests {
    use chorus_core::engram::Dtype;

    use super::*;
    use crate::file::tests::{file, singles};
    use crate::problem::{ABORTED, MISMATCH};
    use crate::unpack::unpack;

    fn model(seed: u32) -> Vec<u8> {
        file(&[
            ("w", Dtype::F32, &[300, 400], singles(120_000, seed)),
            ("ids", Dtype::I64, &[2], vec![1; 16]),
        ])
    }

    const EXACT: Wanted = Wanted {
        bits: None,
        decibels: Some(20.0),
        layers: Some(2),
        exact: true,
    };

    #[test]
    fn layers_come_nearer_and_the_last_brings_every_byte() {
        let file = model(1);
        let packed = pack(&file, None, EXACT, &mut |_| true).unwrap();
        assert!((20.0..20.5).contains(&packed.snr_decibels));
        let layers = |layers| unpack(&packed.bytes, None, layers, &mut |_| true).unwrap();
        assert!(layers(1) != file && layers(2) != file && layers(1) != layers(2));
        assert!(layers(3) == file && layers(usize::MAX) == file);
        let error = unpack(&packed.bytes[..200], None, 1, &mut |_| true).unwrap_err();
        assert_eq!(error.code, crate::problem::DAMAGED);
    }

    #[test]
    fn bits_are_met_and_a_base_is_needed_back() {
        let (base, mut tuned) = (model(1), model(1));
        for at in (tuned.len() - 20_000..tuned.len() - 16).step_by(4) {
            tuned[at] ^= 0x40;
        }
        let wanted = Wanted {
            bits: Some(3.0),
            ..Wanted::default()
        };
        let packed = pack(&model(5), None, wanted, &mut |_| true).unwrap();
        assert!(
            (2.9..=3.0).contains(&packed.bits_per_number),
            "{}",
            packed.bits_per_number
        );
        let packed = pack(&tuned, Some(&base), EXACT, &mut |_| true).unwrap();
        let other = crate::file::File::open(base.clone()).unwrap();
        let back = unpack(&packed.bytes, Some(&other), 9, &mut |_| true).unwrap();
        assert!(back == tuned && packed.bytes.len() * 8 < tuned.len());
        let error = unpack(&packed.bytes, None, 9, &mut |_| true).unwrap_err();
        assert_eq!(error.code, MISMATCH);
        let alien = file(&[("v", Dtype::F32, &[1], singles(1, 1))]);
        let error = pack(&tuned, Some(&alien), EXACT, &mut |_| true).unwrap_err();
        assert_eq!(error.code, MISMATCH);
    }

    #[test]
    fn what_cannot_be_is_refused_and_what_is_cancelled_stops() {
        let both = Wanted {
            bits: Some(2.0),
            ..EXACT
        };
        let far = Wanted {
            layers: Some(4),
            ..EXACT
        };
        let none = Wanted {
            decibels: Some(f64::NAN),
            ..EXACT
        };
        for wanted in [both, far, none, Wanted::default()] {
            let error = pack(&model(1), None, wanted, &mut |_| true).unwrap_err();
            assert_eq!(error.code, INVALID_ARGUMENT, "{wanted:?}");
        }
        let error = pack(&model(1), None, EXACT, &mut |_| false).unwrap_err();
        assert_eq!(error.code, ABORTED);
    }
}
