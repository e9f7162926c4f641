//! Floats of 16 and 32 bits as f32 and back, the same on every machine.

use alloc::vec::Vec;

use super::super::tensor::Dtype;

/// A type of floats that lossy layers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    pub(super) const fn of(dtype: Dtype) -> Option<Self> {
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
    pub(super) const fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Returns the numbers of `bytes`, each exactly.
    pub(super) fn read(self, bytes: &[u8]) -> impl Iterator<Item = f32> {
        bytes
            .chunks_exact(self.width())
            .map(move |number| match (self, number) {
                (Self::Bf16, &[a, b]) => f32::from_bits(u32::from_le_bytes([0, 0, a, b])),
                (_, &[a, b]) => from_half(u16::from_le_bytes([a, b])),
                (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
                _ => 0.0,
            })
    }

    /// Returns the nearest number of this type, of two the even one; past the largest, that.
    pub(super) fn nearest(self, value: f32) -> f32 {
        match self {
            Self::F32 => value.clamp(f32::MIN, f32::MAX),
            Self::F16 => from_half(to_half(value)),
            Self::Bf16 => f32::from_bits(u32::from(to_short(value)) << 16),
        }
    }

    /// Appends the bytes of the [nearest](Self::nearest) number.
    pub(super) fn write(self, value: f32, out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(self.nearest(value).to_le_bytes()),
            Self::F16 => out.extend(to_half(value).to_le_bytes()),
            Self::Bf16 => out.extend(to_short(value).to_le_bytes()),
        }
    }
}

/// Returns the sum of two finite numbers; past the largest, that.
pub(super) const fn sum(a: f32, b: f32) -> f32 {
    (a + b).clamp(f32::MIN, f32::MAX)
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
    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let size = value.abs().min(LARGEST_HALF);
    let bits = size.to_bits();
    let code = if bits < (127 - 14) << 23 {
        // Below the normal numbers they are as far apart as the smallest is from 0. 1,024 of them are the first normal one.
        libm::rintf(size / SMALLEST_HALF) as u32
    } else {
        // Half a last place; a tie goes to the even one.
        (bits - ((127 - 15) << 23) + 0xfff + (bits >> 13 & 1)) >> 13
    };
    sign | code as u16
}

fn to_short(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, size) = (bits >> 16 & 0x8000, bits & 0x7fff_ffff);
    let code = (size + 0x7fff + (size >> 16 & 1)) >> 16;
    (sign | code.min(LARGEST_SHORT)) as u16
}

/// 2⁻²⁴.
const SMALLEST_HALF: f32 = 1.0 / 16_777_216.0;
const LARGEST_HALF: f32 = 65_504.0;
/// The bits of the largest finite bfloat16.
const LARGEST_SHORT: u32 = 0x7f7f;

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
}
