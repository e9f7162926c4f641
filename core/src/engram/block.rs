//! Numbers in blocks that share a scale: 8 bits, 4 bits, or the 16 values of NF4 (Dettmers et al. 2023, appendix E). No model
//! and no bits that depend on others: fast to read, from any block on.
//!
//! # Bytes
//! For each block its scale (bfloat16, little-endian), then its codes; of 4 bits the first of two is the lower half.

use alloc::vec::Vec;

use super::lossy::LossyError;

/// How a number of a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Whole numbers −127..=127 of 1/127 of the largest of the block.
    Int8,
    /// Whole numbers −7..=7 of a seventh of the largest.
    Int4,
    /// One of 16 shares of the largest, at the quantiles of the normal distribution.
    Nf4,
}

impl Format {
    /// Returns the bytes of a block of `count` numbers.
    #[must_use]
    pub const fn bytes(self, count: usize) -> usize {
        2 + match self {
            Self::Int8 => count,
            Self::Int4 | Self::Nf4 => count.div_ceil(2),
        }
    }
}

/// Writes `values` in blocks of [`BLOCK`]; the last one may be shorter.
///
/// # Errors
/// [`LossyError::NotFinite`], of tensor 0.
pub fn encode(values: &[f32], format: Format) -> Result<Vec<u8>, LossyError> {
    if let Some(offset) = values.iter().position(|value| !value.is_finite()) {
        return Err(LossyError::NotFinite { tensor: 0, offset });
    }
    let mut bytes = Vec::new();
    for block in values.chunks(BLOCK) {
        let largest = block
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        // Rounded up, so that no number is past it; the largest numbers of all have no scale above them.
        let short = (largest.to_bits().div_ceil(1 << 16) as u16).min(LARGEST);
        bytes.extend(short.to_le_bytes());
        let largest = f32::from_bits(u32::from(short) << 16);
        let share = |value: &f32| {
            if largest > 0.0 {
                (value / largest).clamp(-1.0, 1.0)
            } else {
                0.0
            }
        };
        match format {
            Format::Int8 => bytes.extend(
                block
                    .iter()
                    .map(|value| libm::roundf(share(value) * 127.0) as i8 as u8),
            ),
            Format::Int4 => {
                let code = |value: &f32| (libm::roundf(share(value) * 7.0) as i8 + 8) as u8;
                bytes.extend(block.chunks(2).map(|pair| {
                    pair.iter()
                        .rev()
                        .fold(0, |byte, value| byte << 4 | code(value))
                }));
            }
            Format::Nf4 => {
                let code = |value: &f32| nearest(share(value));
                bytes.extend(block.chunks(2).map(|pair| {
                    pair.iter()
                        .rev()
                        .fold(0, |byte, value| byte << 4 | code(value))
                }));
            }
        }
    }
    Ok(bytes)
}

/// Reads `count` numbers. Memory is 4 bytes for each, and never more than 8 times the bytes given.
///
/// # Errors
/// [`LossyError::Truncated`] where `bytes` are not as long as blocks of so many numbers, [`LossyError::Code`] for −128 and −8,
/// which are past the largest of a block, [`LossyError::Scale`] for a scale that
/// is negative, infinite or none.
pub fn decode(bytes: &[u8], count: usize, format: Format) -> Result<Vec<f32>, LossyError> {
    let truncated = LossyError::Truncated { tensor: 0 };
    let (full, rest) = (count / BLOCK, count % BLOCK);
    let last = if rest > 0 { format.bytes(rest) } else { 0 };
    let wanted = full
        .checked_mul(format.bytes(BLOCK))
        .and_then(|bytes| bytes.checked_add(last));
    if wanted != Some(bytes.len()) {
        return Err(truncated);
    }
    let mut values = Vec::with_capacity(count);
    for block in bytes.chunks(format.bytes(BLOCK)) {
        let (scale, codes) = block.split_first_chunk().ok_or(truncated)?;
        let scale = f32::from_bits(u32::from(u16::from_le_bytes(*scale)) << 16);
        if !(scale.is_sign_positive() && scale.is_finite()) {
            return Err(LossyError::Scale { got: scale });
        }
        let here = BLOCK.min(count - values.len());
        let halves = codes
            .iter()
            .flat_map(|byte| [byte & 15, byte >> 4])
            .take(here);
        match format {
            Format::Int8 => {
                let codes = codes.iter().map(|code| *code as i8);
                refuse(codes.clone(), i8::MIN, values.len())?;
                values.extend(codes.map(|code| f32::from(code) * (scale * (1.0 / 127.0))));
            }
            Format::Int4 => {
                let codes = halves.map(|code| code as i8 - 8);
                refuse(codes.clone(), -8, values.len())?;
                values.extend(codes.map(|code| f32::from(code) * (scale * (1.0 / 7.0))));
            }
            Format::Nf4 => values.extend(halves.map(|code| NF4[usize::from(code) & 15] * scale)),
        }
    }
    Ok(values)
}

/// Refuses the code that no writer makes: times the largest scale it would be infinite.
fn refuse(mut codes: impl Iterator<Item = i8>, got: i8, before: usize) -> Result<(), LossyError> {
    match codes.position(|code| code == got) {
        Some(place) => Err(LossyError::Code {
            offset: before + place,
            got,
        }),
        None => Ok(()),
    }
}

fn nearest(share: f32) -> u8 {
    let mut best = 0;
    for (code, value) in NF4.iter().enumerate() {
        if (share - value).abs() < (share - NF4[usize::from(best)]).abs() {
            best = code as u8;
        }
    }
    best
}

/// Numbers that share a scale. Source: QLoRA, section 3, blocks of 64.
pub const BLOCK: usize = 64;
/// The largest finite bfloat16.
const LARGEST: u16 = 0x7f7f;
/// Source: QLoRA, appendix E.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f32> {
        (0..150)
            .map(|n| libm::sinf(n as f32 * 0.37) * (n as f32 * 0.01))
            .collect()
    }

    #[test]
    fn no_number_moves_further_than_half_a_step_of_its_block() {
        for (format, gap) in [
            (Format::Int8, 1.0 / 127.0),
            (Format::Int4, 1.0 / 7.0),
            (Format::Nf4, 0.31),
        ] {
            let values = values();
            let bytes = encode(&values, format).unwrap();
            assert_eq!(bytes.len(), 2 * format.bytes(64) + format.bytes(22));
            let back = decode(&bytes, values.len(), format).unwrap();
            assert_eq!(back.len(), values.len());
            for (block, decoded) in values.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                let largest = block
                    .iter()
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                for (value, decoded) in block.iter().zip(decoded) {
                    assert!(
                        (value - decoded).abs() <= largest * gap * 0.506,
                        "{format:?}: {value} {decoded}"
                    );
                }
            }
        }
    }

    #[test]
    fn empty_tensors_and_zeros_come_back() {
        for format in [Format::Int8, Format::Int4, Format::Nf4] {
            assert_eq!(
                decode(&encode(&[], format).unwrap(), 0, format),
                Ok(Vec::new())
            );
            assert_eq!(
                decode(&encode(&[0.0; 3], format).unwrap(), 3, format),
                Ok(alloc::vec![0.0; 3])
            );
        }
    }

    #[test]
    fn codes_that_no_writer_makes_are_refused_by_place() {
        for (format, place, code, got) in
            [(Format::Int8, 70, 0x80, -128), (Format::Int4, 37, 0, -8)]
        {
            let mut bytes = encode(&[f32::MAX; 67], format).unwrap();
            let decoded = decode(&bytes, 67, format).unwrap();
            assert!(decoded.iter().all(|value| value.is_finite()));
            bytes[place] = code;
            let offset = 66;
            assert_eq!(
                decode(&bytes, 67, format),
                Err(LossyError::Code { offset, got })
            );
        }
    }

    #[test]
    fn what_is_not_finite_and_other_lengths_are_refused() {
        assert_eq!(
            encode(&[0.0, f32::NAN], Format::Int4),
            Err(LossyError::NotFinite {
                tensor: 0,
                offset: 1
            })
        );
        let bytes = encode(&values(), Format::Int8).unwrap();
        for count in [0, 1, 149, 151, usize::MAX] {
            assert_eq!(
                decode(&bytes, count, Format::Int8),
                Err(LossyError::Truncated { tensor: 0 }),
                "{count}"
            );
        }
        let mut bytes = encode(&[1.0; 3], Format::Nf4).unwrap();
        bytes[..2].copy_from_slice(&[0x80, 0x7f]);
        assert_eq!(
            decode(&bytes, 3, Format::Nf4),
            Err(LossyError::Scale { got: f32::INFINITY })
        );
    }
}
