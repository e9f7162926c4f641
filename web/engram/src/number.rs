//! Floats of 16 bits as singles and back, to the nearest, ties to even.

use chorus_core::engram::Dtype;

/// Returns the numbers of a tensor of floats as singles; none for other types.
pub fn singles(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let short = |read: fn(u16) -> f32| {
        let shorts = bytes.as_chunks::<2>().0.iter();
        shorts
            .map(|short| read(u16::from_le_bytes(*short)))
            .collect()
    };
    match dtype {
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            Some(words.map(|word| f32::from_le_bytes(*word)).collect())
        }
        Dtype::Bf16 => Some(short(|bits| f32::from_bits(u32::from(bits) << 16))),
        Dtype::F16 => Some(short(from_half)),
        _ => None,
    }
}

/// Writes `values` over the numbers of a tensor of floats, as far as they differ from what is there.
pub fn overwrite(dtype: Dtype, bytes: &mut [u8], values: &[f32]) {
    let Some(before) = singles(dtype, bytes) else {
        return;
    };
    let width = (dtype.bits() / 8) as usize;
    let places = bytes.chunks_exact_mut(width);
    for ((place, value), before) in places.zip(values).zip(before) {
        // Nor does a zero change its sign.
        if *value == before || value.to_bits() == before.to_bits() {
            continue;
        }
        match dtype {
            Dtype::Bf16 => place.copy_from_slice(&to_bfloat(*value).to_le_bytes()),
            Dtype::F16 => place.copy_from_slice(&to_half(*value).to_le_bytes()),
            _ => place.copy_from_slice(&value.to_le_bytes()),
        }
    }
}

/// IEEE 754 binary16, subnormals, infinities and NaN included.
fn from_half(half: u16) -> f32 {
    let (sign, exponent) = (u32::from(half >> 15) << 31, u32::from(half >> 10 & 31));
    let mantissa = u32::from(half & 0x3ff);
    let size = match exponent {
        // Units of 2⁻²⁴ are exact.
        0 => (mantissa as f32 * 5.960_464_5e-8).to_bits(),
        31 => 0xff << 23 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | size)
}

fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, size) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    let half = if size > 0xff << 23 {
        0x7e00
    } else if size >= 143 << 23 {
        0x7c00
    } else if size < 113 << 23 {
        // Below the least normal number: adding 1/2 leaves units of 2⁻²⁴ in the last places, rounded.
        (f32::from_bits(size) + 0.5).to_bits() - 0.5f32.to_bits()
    } else {
        (size - (112 << 23) + 0xfff + (size >> 13 & 1)) >> 13
    };
    sign | half as u16
}

fn to_bfloat(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((u64::from(bits) + 0x7fff + u64::from(bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_of_16_bits_is_a_single_and_comes_back() {
        for bits in 0..=u16::MAX {
            for (dtype, back) in [
                (Dtype::F16, to_half as fn(f32) -> u16),
                (Dtype::Bf16, to_bfloat),
            ] {
                let value = singles(dtype, &bits.to_le_bytes()).unwrap()[0];
                if value.is_nan() {
                    assert!(singles(dtype, &back(value).to_le_bytes()).unwrap()[0].is_nan());
                } else {
                    assert_eq!(back(value), bits, "{dtype:?} {bits:04x} {value}");
                }
            }
        }
    }

    #[test]
    fn known_halves_and_ties() {
        for (value, half) in [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.9, 0x7bff),
            (65520.0, 0x7c00),
            (5.960_464_5e-8, 1),
            (2.980_232_2e-8, 0),
            (2.98023258e-8, 1),
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
            (6.1035e-5, 0x0400),
        ] {
            assert_eq!(to_half(value), half, "{value}");
        }
        assert_eq!(to_bfloat(1.003_906_3), 0x3f80);
        assert_eq!(to_bfloat(1.011_718_8), 0x3f82);
    }

    #[test]
    fn what_did_not_change_keeps_its_bits() {
        let mut bytes = vec![0x01, 0xfe, 0, 0x3c];
        let mut values = singles(Dtype::F16, &bytes).unwrap();
        values[1] = 2.0;
        overwrite(Dtype::F16, &mut bytes, &values);
        assert_eq!(bytes, [0x01, 0xfe, 0, 0x40]);
        assert_eq!(singles(Dtype::I32, &bytes), None);
    }
}
