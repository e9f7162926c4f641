//! Floats of 16 and 32 bits as singles and back, the same on every machine: what may lose exactness, and is blended.

use alloc::vec::Vec;

use super::tensor::Dtype;

/// A type of floats that a single holds exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16, the upper half of binary32.
    Bf16,
}

/// Whether numbers of this type are [floats](Float) that may lose exactness.
#[must_use]
pub const fn is_float(dtype: Dtype) -> bool {
    Float::of(dtype).is_some()
}

impl Float {
    /// Returns the type of floats that `dtype` is; none for whole numbers, and for floats that are wider or narrower.
    #[must_use]
    pub const fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::Bf16 => Some(Self::Bf16),
            Dtype::Bool
            | Dtype::F4
            | Dtype::F6_E2M3
            | Dtype::F6_E3M2
            | Dtype::U8
            | Dtype::I8
            | Dtype::F8_E5M2
            | Dtype::F8_E4M3
            | Dtype::F8_E8M0
            | Dtype::I16
            | Dtype::U16
            | Dtype::I32
            | Dtype::U32
            | Dtype::F64
            | Dtype::I64
            | Dtype::U64
            | Dtype::C64 => None,
        }
    }

    /// Returns the bytes of a number.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Returns the numbers of `bytes`, each exactly.
    pub fn read(self, bytes: &[u8]) -> impl Iterator<Item = f32> {
        bytes
            .chunks_exact(self.width())
            .map(move |number| match (self, number) {
                (Self::Bf16, &[a, b]) => f32::from_bits(u32::from_le_bytes([0, 0, a, b])),
                (_, &[a, b]) => from_half(u16::from_le_bytes([a, b])),
                (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
                _ => 0.0,
            })
    }

    /// Writes `values` over the numbers of `bytes`, as far as they differ from what is there: each as the nearest number of this
    /// type, of two the even one; past the largest, that.
    pub fn overwrite(self, bytes: &mut [u8], values: &[f32]) {
        let places = bytes.chunks_exact_mut(self.width());
        for (place, value) in places.zip(values) {
            let before = self.read(place).next().unwrap_or(*value);
            // Nor does a zero change its sign.
            if *value != before && value.to_bits() != before.to_bits() {
                let code = self.code(self.within(*value)).to_le_bytes();
                place.iter_mut().zip(code).for_each(|(to, from)| *to = from);
            }
        }
    }

    /// Returns the nearest number of this type, of two the even one; past the largest, that.
    pub(super) fn nearest(self, value: f32) -> f32 {
        let value = self.within(value);
        match self {
            Self::F32 => value,
            Self::F16 => from_half(to_half(value)),
            Self::Bf16 => f32::from_bits(u32::from(to_short(value)) << 16),
        }
    }

    /// Appends the bytes of the [nearest](Self::nearest) number.
    pub(super) fn write(self, value: f32, out: &mut Vec<u8>) {
        let value = self.within(value);
        match self {
            Self::F32 => out.extend(value.to_le_bytes()),
            Self::F16 => out.extend(to_half(value).to_le_bytes()),
            Self::Bf16 => out.extend(to_short(value).to_le_bytes()),
        }
    }

    /// Returns the bits of the nearest number of this type, in the lowest ones.
    fn code(self, value: f32) -> u32 {
        match self {
            Self::F32 => value.to_bits(),
            Self::F16 => u32::from(to_half(value)),
            Self::Bf16 => u32::from(to_short(value)),
        }
    }

    /// Returns `value`, or the largest number of this type where it is past that.
    const fn within(self, value: f32) -> f32 {
        let largest = match self {
            Self::F32 => f32::MAX,
            Self::F16 => LARGEST_HALF,
            Self::Bf16 => LARGEST_SHORT,
        };
        value.clamp(-largest, largest)
    }
}

/// Returns the sum of two finite numbers; past the largest, that.
pub(super) const fn sum(a: f32, b: f32) -> f32 {
    Float::F32.within(a + b)
}

/// Returns the number, or 0 where it is infinite or none.
pub(super) const fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// Source: IEEE 754-2019, 3.4: binary16 has a bias of 15 and 10 bits of mantissa, binary32 of 127 and 23.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, mantissa) = (u32::from(bits >> 10 & 31), u32::from(bits & 0x3ff));
    let size = match exponent {
        0 => (mantissa as f32 * SMALLEST_HALF).to_bits(),
        31 => 0xff << 23 | mantissa << 13,
        _ => (exponent + 127 - 15) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | size)
}

fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, size) = ((bits >> 16) as u16 & 0x8000, bits & 0x7fff_ffff);
    let half = if value.is_nan() {
        0x7e00
    } else if size >= (127 + 16) << 23 {
        0x7c00
    } else if size < (127 - 14) << 23 {
        // Below the normal numbers they are as far apart as the smallest is from 0. 1,024 of them are the first normal one.
        libm::rintf(f32::from_bits(size) / SMALLEST_HALF) as u32
    } else {
        // Half a last place; a tie goes to the even one, and past the largest to infinity.
        (size - ((127 - 15) << 23) + 0xfff + (size >> 13 & 1)) >> 13
    };
    sign | half as u16
}

fn to_short(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, size) = (bits >> 16 & 0x8000, bits & 0x7fff_ffff);
    let short = if value.is_nan() {
        // What marks it may be in the half that is dropped.
        size >> 16 | 0x40
    } else {
        (size + 0x7fff + (size >> 16 & 1)) >> 16
    };
    (sign | short) as u16
}

/// 2⁻²⁴.
const SMALLEST_HALF: f32 = 1.0 / 16_777_216.0;
const LARGEST_HALF: f32 = 65_504.0;
/// The largest finite bfloat16.
const LARGEST_SHORT: f32 = f32::from_bits(0x7f7f_0000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_and_bfloat16_comes_back_and_numbers_between_go_to_the_nearest() {
        for (float, infinite) in [(Float::F16, 0x7c00_u16), (Float::Bf16, 0x7f80)] {
            let mut last = f32::NAN;
            for bits in 0..infinite {
                let value = float.read(&bits.to_le_bytes()).next().unwrap();
                for signed in [value, -value] {
                    let mut out = Vec::new();
                    float.write(signed, &mut out);
                    assert_eq!(float.read(&out).next().unwrap().to_bits(), signed.to_bits());
                }
                if bits > 0 {
                    let (a, b) = (f64::from(last), f64::from(value));
                    let middle = ((a + b) * 0.5) as f32;
                    let even = if bits % 2 == 0 { value } else { last };
                    assert_eq!(float.nearest(middle), even, "{bits:#x}");
                    assert_eq!(float.nearest(middle.next_up()), value);
                    assert_eq!(float.nearest(middle.next_down()), last);
                }
                last = value;
            }
            assert_eq!(float.nearest(f32::MAX), last);
            assert_eq!(float.nearest(f32::NEG_INFINITY), -last);
            // What is no finite number stays what it is.
            for bits in infinite..=0x7fff {
                let value = float.read(&bits.to_le_bytes()).next().unwrap();
                for (value, bits) in [(value, bits), (-value, bits | 0x8000)] {
                    let code = float.code(value) as u16;
                    if bits & 0x7fff == infinite {
                        assert_eq!(code, bits, "{float:?}");
                    } else {
                        assert!(float.read(&code.to_le_bytes()).next().unwrap().is_nan());
                    }
                }
            }
        }
        // Known bits. Source: IEEE 754-2019, 3.4.
        let half = |bits: u16| Float::F16.read(&bits.to_le_bytes()).next().unwrap();
        assert_eq!(
            [half(0x3c00), half(0xc000), half(0x0001)],
            [1.0, -2.0, SMALLEST_HALF]
        );
        assert_eq!((half(0x7c00), half(0x7bff)), (f32::INFINITY, 65_504.0));
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn known_halves_and_ties() {
        for (value, half) in [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.9, 0x7bff),
            (65520.0, 0x7c00),
            (65536.0, 0x7c00),
            (-1e30, 0xfc00),
            (5.960_464_5e-8, 1),
            (2.980_232_2e-8, 0),
            (2.980_232_6e-8, 1),
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
            (6.1035e-5, 0x0400),
        ] {
            assert_eq!(to_half(value), half, "{value}");
        }
        assert_eq!(to_short(1.003_906_3), 0x3f80);
        assert_eq!(to_short(1.011_718_8), 0x3f82);
        assert_eq!(to_short(f32::MIN), 0xff80);
    }

    #[test]
    fn what_did_not_change_keeps_its_bits() {
        // A NaN with bits of its own, and 1.
        let mut bytes = [0x01, 0xfe, 0, 0x3c];
        let mut values: Vec<f32> = Float::F16.read(&bytes).collect();
        values[1] = 2.0;
        Float::F16.overwrite(&mut bytes, &values);
        assert_eq!(bytes, [0x01, 0xfe, 0, 0x40]);
        let mut zeros = [0, 0x80, 0, 0];
        Float::Bf16.overwrite(&mut zeros, &[0.0, -0.0]);
        assert_eq!(zeros, [0, 0x80, 0, 0]);
        // What no number of the type reaches is the largest.
        let mut halves = [0; 4];
        Float::F16.overwrite(&mut halves, &[70_000.0, -1e9]);
        assert_eq!(halves, [0xff, 0x7b, 0xff, 0xfb]);
        let mut short = [0; 2];
        Float::Bf16.overwrite(&mut short, &[f32::MAX]);
        assert_eq!(short, [0x7f, 0x7f]);
    }
}
