//! A safetensors file in memory, its base, and its floats as the lossy layers have them.

use alloc::vec::Vec;

use super::super::lossy::{FURTHEST, LossyError, Tensor};
use super::super::number::{Float, finite, sum};
use super::super::safetensors;
use super::super::target::SMALL;
use super::super::tensor::{Limits, TensorInfo, short};
use super::error::HybridError;
use super::header::shape_of;
use crate::digest::{Digest, Hasher};

/// A safetensors file in memory.
pub(super) struct File<'a> {
    pub(super) header: safetensors::Header,
    /// The bytes of each tensor.
    pub(super) raw: Vec<&'a [u8]>,
}

impl<'a> File<'a> {
    pub(super) fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, HybridError> {
        let header = safetensors::Header::parse(bytes, limits)?;
        header.check_file_len(bytes.len() as u64)?;
        let mut start = header.bytes().len();
        let mut raw = Vec::with_capacity(header.tensors().len());
        for info in header.tensors() {
            // The header was checked against the length of the file.
            let len = info.bytes().unwrap_or(0) as usize;
            raw.push(bytes.get(start..start + len).unwrap_or_default());
            start += len;
        }
        Ok(Self { header, raw })
    }

    /// Returns for each of `tensors` its bytes in this file, where one of its name, type and shape is there.
    pub(super) fn like(&self, tensors: &[TensorInfo]) -> Vec<Option<&'a [u8]>> {
        let own = self.header.tensors().iter().zip(&self.raw);
        let own: alloc::collections::BTreeMap<_, _> =
            own.map(|(info, raw)| (&info.name, (info, *raw))).collect();
        (tensors.iter())
            .map(|info| {
                let (own, raw) = own.get(&info.name)?;
                (*own == info).then_some(*raw)
            })
            .collect()
    }
}

/// Returns the digest of a base's tensors, one after the other.
pub(super) fn digest_of(tensors: &[Option<&[u8]>]) -> Digest {
    let mut hasher = Hasher::default();
    for raw in tensors.iter().flatten() {
        hasher.update(raw);
    }
    hasher.finish()
}

/// The numbers of one tensor of floats.
pub(super) struct Floats<'a> {
    pub(super) info: &'a TensorInfo,
    pub(super) float: Float,
    raw: &'a [u8],
    base: Option<&'a [u8]>,
    columns: usize,
    finer: i8,
    /// What the layers tell: the number, or its difference from the base; 0 for what is not finite.
    pub(super) values: Vec<f32>,
}

impl<'a> Floats<'a> {
    /// Reads the floats of a file.
    ///
    /// # Errors
    /// [`HybridError::NotFinite`] unless all bits are kept, [`HybridError::Limit`].
    pub(super) fn all(
        file: &'a File<'_>,
        bases: &[Option<&'a [u8]>],
        is_exact: bool,
    ) -> Result<Vec<Self>, HybridError> {
        let mut all = Vec::new();
        for ((info, raw), base) in (file.header.tensors().iter()).zip(&file.raw).zip(bases) {
            let Some(float) = Float::of(info.dtype) else {
                continue;
            };
            let columns = shape_of(info)?.columns;
            let numbers = || float.read(raw).enumerate();
            if !is_exact && let Some((offset, got)) = numbers().find(|(_, got)| !got.is_finite()) {
                let name = short(&info.name);
                return Err(HybridError::NotFinite { name, offset, got });
            }
            let mut values: Vec<f32> = float.read(raw).map(finite).collect();
            if let Some(base) = base {
                for (value, base) in values.iter_mut().zip(float.read(base)) {
                    *value = sum(*value, -finite(base));
                }
            }
            all.push(Self {
                info,
                float,
                raw,
                base: *base,
                columns,
                finer: 0,
                values,
            });
        }
        let count: usize = all.iter().map(|floats| floats.values.len()).sum();
        for floats in &mut all {
            if floats.values.len().saturating_mul(FEW) < count {
                floats.finer = SMALL;
            }
        }
        Ok(all)
    }

    pub(super) fn tensor<'b>(&self, values: &'b [f32]) -> Tensor<'b> {
        Tensor {
            values,
            columns: self.columns,
            finer: self.finer,
        }
    }

    /// Returns how far the numbers that `told` restores are from the file's, squared and summed. What is not finite does not
    /// count.
    pub(super) fn noise(&self, told: &[f32]) -> f64 {
        let restored = restored(self.float, self.base, told);
        (self.float.read(self.raw).zip(restored))
            .map(|(value, restored)| {
                if value.is_finite() {
                    let away = f64::from(value) - f64::from(self.float.nearest(restored));
                    away * away
                } else {
                    0.0
                }
            })
            .sum()
    }

    pub(super) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub(super) fn base(&self) -> Option<&'a [u8]> {
        self.base
    }
}

/// Returns the numbers that layers restore: what they told, and the base. Past the largest of f32, that.
pub(super) fn restored<'a>(
    float: Float,
    base: Option<&'a [u8]>,
    told: &'a [f32],
) -> impl Iterator<Item = f32> + 'a {
    let based = base.map(|base| float.read(base).map(finite));
    let mut based = based.into_iter().flatten();
    let has_base = base.is_some();
    told.iter().map(move |told| {
        let base = if has_base {
            based.next().unwrap_or(0.0)
        } else {
            0.0
        };
        sum(base, *told)
    })
}

/// Appends the bytes of [`restored`] numbers.
pub(super) fn restore(float: Float, base: Option<&[u8]>, told: &[f32], out: &mut Vec<u8>) {
    out.reserve(told.len() * float.width());
    for value in restored(float, base, told) {
        float.write(value, out);
    }
}

/// Returns the sum of squares.
pub(super) fn energy<'a>(tensors: impl Iterator<Item = &'a [f32]>) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    tensors
        .map(|values| values.iter().map(square).sum::<f64>())
        .sum()
}

/// Returns the signal to noise in dB; infinite where there is no noise.
pub(super) fn decibels(signal: f64, noise: f64) -> f64 {
    if noise == 0.0 {
        f64::INFINITY
    } else {
        10.0 * libm::log10(signal / noise)
    }
}

/// Returns the finest step at which no number is too many steps away from 0.
pub(super) fn finest<'a>(tensors: impl Iterator<Item = Tensor<'a>>) -> f32 {
    tensors.fold(LEAST_STEP, |most, tensor| {
        let largest = tensor
            .values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let octaves = f32::from(tensor.finer) * 0.25;
        // A hair more, because steps are rounded.
        let step = largest / FURTHEST as f32 * libm::exp2f(octaves) * 1.01;
        most.max(step)
    })
}

/// Names the tensor of floats beside what is wrong with it.
pub(super) fn lossy_error<'a>(
    layer: usize,
    names: impl Iterator<Item = &'a TensorInfo>,
) -> impl FnOnce(LossyError) -> HybridError {
    let names: Vec<&TensorInfo> = names.collect();
    move |problem| {
        let place = match problem {
            LossyError::Stopped => return HybridError::Stopped,
            LossyError::NotFinite { tensor, .. }
            | LossyError::Far { tensor, .. }
            | LossyError::Columns { tensor, .. }
            | LossyError::Length { tensor, .. }
            | LossyError::Truncated { tensor } => Some(tensor),
            LossyError::Step { .. }
            | LossyError::Tensors { .. }
            | LossyError::State { .. }
            | LossyError::Scale { .. }
            | LossyError::Setting { .. }
            | LossyError::Share { .. }
            | LossyError::Count { .. }
            | LossyError::Code { .. }
            | LossyError::Tag { .. } => None,
        };
        let name = place.and_then(|place| Some(short(&names.get(place)?.name)));
        HybridError::Lossy {
            layer,
            name: name.unwrap_or_default(),
            problem,
        }
    }
}

/// A tensor that has fewer than one in so many of all numbers gets finer steps. Source: `target::sensitivities`, which does
/// not measure those either.
const FEW: usize = 400;
/// Numbers below it are 0: products with its inverse must be finite. Guess: no weight is that small.
const LEAST_STEP: f32 = 1e-30;
