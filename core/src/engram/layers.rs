//! A tensor in layers: first with little exactness, then what is missing, at last every bit. A receiver may stop after any
//! layer; after the last it has the very bits that were given, NaN and infinities included.
//!
//! Each lossy layer is an engram of what the ones before it left, with a quarter of their step. The last, lossless one tells for
//! each number how far its bits are from those that the receiver has, as ordered whole numbers, in bytes of equal weight, each
//! under deflate. It ends with the first 8 bytes of the SHA-256 of all numbers (little-endian), so that nobody takes others for
//! them.

use alloc::vec::Vec;

use super::lossy::{LossyError, Settings, Shape, Tensor, decode, encode};
use crate::digest::Hasher;

/// Writes `tensors` in `lossy` layers and one that is lossless. What is not finite counts as 0 in the lossy layers.
///
/// # Errors
/// [`LossyError`] of [`encode`].
pub fn split(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    lossy: usize,
) -> Result<Vec<Vec<u8>>, LossyError> {
    let shapes = super::target::shapes(tensors);
    let mut rest: Vec<Vec<f32>> = (tensors.iter())
        .map(|tensor| {
            (tensor.values.iter())
                .map(|value| if value.is_finite() { *value } else { 0.0 })
                .collect()
        })
        .collect();
    let mut layers = Vec::new();
    let mut sum = Sum::new(&shapes, usize::MAX)?;
    let mut settings = *settings;
    for _ in 0..lossy {
        let given: Vec<Tensor<'_>> = (rest.iter().zip(tensors))
            .map(|(values, tensor)| Tensor { values, ..*tensor })
            .collect();
        let layer = encode(&given, &settings)?;
        sum.add(&layer)?;
        for ((rest, tensor), sum) in rest.iter_mut().zip(tensors).zip(&sum.values) {
            for ((rest, value), sum) in rest.iter_mut().zip(tensor.values).zip(sum) {
                *rest = if value.is_finite() {
                    within(value - sum)
                } else {
                    0.0
                };
            }
        }
        layers.push(layer);
        settings.step *= 0.25;
    }
    let mut planes: [Vec<u8>; 4] = Default::default();
    for (tensor, sum) in tensors.iter().zip(&sum.values) {
        for (value, sum) in tensor.values.iter().zip(sum) {
            let away = rank(value.to_bits()).wrapping_sub(rank(sum.to_bits()));
            // Small differences of both signs are small numbers.
            let folded = (away << 1 ^ ((away as i32) >> 31) as u32).to_le_bytes();
            for (plane, byte) in planes.iter_mut().zip(folded) {
                plane.push(byte);
            }
        }
    }
    let mut last = Vec::new();
    for plane in planes {
        let packed = miniz_oxide::deflate::compress_to_vec(&plane, DEFLATE_LEVEL);
        let packed = if packed.len() < plane.len() {
            packed
        } else {
            plane
        };
        last.extend((packed.len() as u64).to_le_bytes());
        last.extend(packed);
    }
    let numbers = tensors.iter().flat_map(|tensor| tensor.values);
    last.extend(check(numbers.map(|value| value.to_bits())));
    layers.push(last);
    Ok(layers)
}

/// What a receiver has of an engram in layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    shapes: Vec<Shape>,
    /// The numbers so far, tensor by tensor.
    pub values: Vec<Vec<f32>>,
}

impl Sum {
    /// Begins with zeros of these shapes, at most `most` numbers in all. Memory is 4 bytes a number.
    ///
    /// # Errors
    /// [`LossyError::Count`].
    pub fn new(shapes: &[Shape], most: usize) -> Result<Self, LossyError> {
        let got = shapes.iter().fold(0_usize, |sum, shape| {
            sum.saturating_add(shape.rows.saturating_mul(shape.columns))
        });
        if got > most || got == usize::MAX {
            return Err(LossyError::Count { got, most });
        }
        Ok(Self {
            shapes: shapes.to_vec(),
            values: (shapes.iter())
                .map(|shape| alloc::vec![0.0; shape.rows * shape.columns])
                .collect(),
        })
    }

    /// Adds the next lossy layer. An error leaves the numbers as they were.
    ///
    /// # Errors
    /// [`LossyError`] of [`decode`].
    pub fn add(&mut self, layer: &[u8]) -> Result<(), LossyError> {
        let more = decode(layer, &self.shapes, usize::MAX)?;
        for (values, more) in self.values.iter_mut().zip(more) {
            for (value, more) in values.iter_mut().zip(more) {
                *value = within(*value + more);
            }
        }
        Ok(())
    }

    /// Adds the last layer: from now on the numbers are those that were given, to the bit. An error leaves them as they were.
    ///
    /// # Errors
    /// [`LossyError::Truncated`] where the bytes are no last layer of these shapes, [`LossyError::Check`] where it does not lead
    /// to the numbers that were given: another layer is missing, or something is damaged.
    pub fn finish(&mut self, last: &[u8]) -> Result<(), LossyError> {
        let damaged = LossyError::Truncated { tensor: 0 };
        let count = self.values.iter().map(Vec::len).sum();
        let mut rest = last;
        let mut folded = alloc::vec![0_u32; count];
        for plane in 0..4 {
            let (len, others) = rest.split_first_chunk().ok_or(damaged)?;
            let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| damaged)?;
            let (packed, others) = others.split_at_checked(len).ok_or(damaged)?;
            rest = others;
            let mut add = |bytes: &[u8]| {
                for (number, byte) in folded.iter_mut().zip(bytes) {
                    *number |= u32::from(*byte) << (8 * plane);
                }
            };
            if len == count {
                add(packed);
                continue;
            }
            // Never more than was announced.
            let bytes = miniz_oxide::inflate::decompress_to_vec_with_limit(packed, count)
                .map_err(|_| damaged)?;
            if bytes.len() != count {
                return Err(damaged);
            }
            add(&bytes);
        }
        if rest.len() != CHECK {
            return Err(damaged);
        }
        let mut bits = folded;
        for (value, folded) in self.values.iter().flatten().zip(&mut bits) {
            let away = *folded >> 1 ^ (*folded & 1).wrapping_neg();
            *folded = unrank(rank(value.to_bits()).wrapping_add(away));
        }
        if check(bits.iter().copied()) != rest {
            return Err(LossyError::Check);
        }
        for (value, bits) in self.values.iter_mut().flatten().zip(bits) {
            *value = f32::from_bits(bits);
        }
        Ok(())
    }
}

/// Returns the first bytes of the SHA-256 of all numbers.
fn check(numbers: impl Iterator<Item = u32>) -> [u8; CHECK] {
    let (mut hasher, mut bytes) = (Hasher::default(), Vec::with_capacity(PIECE));
    for bits in numbers {
        bytes.extend(bits.to_le_bytes());
        if bytes.len() >= PIECE {
            hasher.update(&bytes);
            bytes.clear();
        }
    }
    hasher.update(&bytes);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finish().as_bytes()[..CHECK]);
    check
}

/// Returns a sum of finite numbers as one that is finite.
fn within(sum: f32) -> f32 {
    sum.clamp(f32::MIN, f32::MAX)
}

/// Returns where among all numbers these bits stand, as a whole number that wraps.
const fn rank(bits: u32) -> u32 {
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

const fn unrank(rank: u32) -> u32 {
    if rank >> 31 == 1 {
        rank & !(1 << 31)
    } else {
        !rank
    }
}

/// Bytes of the check at the end. Guess: of 2⁶⁴ damaged files one passes.
const CHECK: usize = 8;
/// Bytes that are hashed at once.
const PIECE: usize = 4096;
/// Source: gzip's default.
const DEFLATE_LEVEL: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 3] = [
        Shape {
            rows: 30,
            columns: 20,
        },
        Shape {
            rows: 1,
            columns: 8,
        },
        Shape {
            rows: 0,
            columns: 4,
        },
    ];

    fn values() -> [Vec<f32>; 3] {
        let waves = (0..600).map(|n| libm::sinf(n as f32 * 0.7) * 0.3).collect();
        let odd = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -0.0,
            1e-40,
            0.5,
            -3.0,
        ];
        [waves, odd.to_vec(), Vec::new()]
    }

    fn split_values(lossy: usize) -> Vec<Vec<u8>> {
        let values = values();
        let tensors: Vec<Tensor<'_>> = (values.iter().zip(SHAPES))
            .map(|(values, shape)| Tensor {
                values,
                columns: shape.columns,
                finer: 0,
            })
            .collect();
        split(&tensors, &Settings::new(0.4), lossy).unwrap()
    }

    fn bits(values: &[Vec<f32>]) -> Vec<u32> {
        values
            .iter()
            .flatten()
            .map(|value| value.to_bits())
            .collect()
    }

    #[test]
    fn each_layer_brings_the_numbers_nearer_and_the_last_one_every_bit() {
        for lossy in [0, 1, 3] {
            let layers = split_values(lossy);
            assert_eq!(layers.len(), lossy + 1);
            let mut sum = Sum::new(&SHAPES, 608).unwrap();
            let mut last = f32::INFINITY;
            for layer in &layers[..lossy] {
                sum.add(layer).unwrap();
                let away = sum.values[0]
                    .iter()
                    .zip(&values()[0])
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f32>();
                assert!(away < last * 0.5, "{away} after {last}");
                last = away;
            }
            sum.finish(&layers[lossy]).unwrap();
            assert_eq!(bits(&sum.values), bits(&values()));
        }
    }

    #[test]
    fn the_last_layer_without_one_before_it_or_with_a_flipped_bit_is_told() {
        let layers = split_values(2);
        let mut sum = Sum::new(&SHAPES, 608).unwrap();
        sum.add(&layers[0]).unwrap();
        let before = sum.clone();
        assert_eq!(sum.finish(&layers[2]), Err(LossyError::Check));
        assert_eq!(sum, before);
        sum.add(&layers[1]).unwrap();
        let before = bits(&sum.values);
        for byte in 0..layers[2].len() {
            let mut flipped = layers[2].clone();
            flipped[byte] ^= 1 << (byte % 8);
            let mut other = sum.clone();
            match other.finish(&flipped) {
                // A bit that deflate leaves unused.
                Ok(()) => assert_eq!(bits(&other.values), bits(&values())),
                Err(_) => assert_eq!(bits(&other.values), before, "byte {byte}"),
            }
        }
        assert_eq!(bits(&sum.values), before);
        assert_eq!(sum.finish(&layers[2]), Ok(()));
        assert_eq!(bits(&sum.values), bits(&values()));
    }

    #[test]
    fn the_largest_numbers_go_through_layers_too() {
        let values = [f32::MAX, f32::MIN, -1e38, 2e38, 0.0, 3.3e38];
        let tensor = Tensor {
            values: &values,
            columns: 6,
            finer: 0,
        };
        for step in [1e35, 1e37, 1e38] {
            let layers = split(&[tensor], &Settings::new(step), 2).unwrap();
            let shape = Shape {
                rows: 1,
                columns: 6,
            };
            let mut sum = Sum::new(&[shape], 6).unwrap();
            layers[..2].iter().for_each(|layer| sum.add(layer).unwrap());
            assert!(sum.values[0].iter().all(|value| value.is_finite()));
            sum.finish(&layers[2]).unwrap();
            assert_eq!(sum.values[0], values);
        }
    }

    #[test]
    fn a_damaged_layer_changes_nothing() {
        let layers = split_values(1);
        let mut sum = Sum::new(&SHAPES, 608).unwrap();
        sum.add(&layers[0]).unwrap();
        let before = sum.clone();
        for len in 0..layers[1].len() {
            assert!(sum.finish(&layers[1][..len]).is_err(), "{len}");
        }
        let mut huge = layers[1].clone();
        huge[..8].fill(255);
        assert!(sum.finish(&huge).is_err());
        assert!(sum.add(&layers[0][1..]).is_err());
        assert_eq!(bits(&sum.values), bits(&before.values));
        assert!(
            Sum::new(
                &[Shape {
                    rows: usize::MAX,
                    columns: 9
                }],
                usize::MAX
            )
            .is_err()
        );
        assert!(Sum::new(&SHAPES, 607).is_err());
    }
}
