//! Reads `www/digits.bin`: 1797 handwritten digits of 8 × 8 pixels (UCI, CC BY 4.0), 360 of them held out.
//!
//! The format is documented in `docs/digits.py`, which makes the file. Reading is bounded: nothing is inflated past what
//! the header may announce, and the header may announce at most [`MAX_SAMPLES`].

use alloc::vec::Vec;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use crate::learner::classes::{CLASSES, Classes};

/// Pixels of one image.
pub const PIXELS: usize = 64;
/// The darkest pixel: each counts the inked cells of a 4 × 4 block. Source: UCI's description of the set.
pub const MAX_PIXEL: u8 = 16;
/// Samples that a file may announce. Guess: twice the set's size, 0.3 MB of memory.
pub const MAX_SAMPLES: usize = 4096;

/// One image and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Ink of each pixel, 0..=16, row-major, shape `[8, 8]`.
    pub pixels: [u8; PIXELS],
    /// The digit, 0..=9.
    pub label: u8,
}

impl Sample {
    /// Returns the model's input: each pixel as a fraction 0..=1, row-major.
    pub fn input(&self) -> [f32; PIXELS] {
        input(&self.pixels)
    }
}

/// Returns `pixels` (0..=16, row-major `[8, 8]`) as fractions 0..=1: what the model reads. Exact, no rounding.
pub fn input(pixels: &[u8; PIXELS]) -> [f32; PIXELS] {
    pixels.map(|pixel| f32::from(pixel) / f32::from(MAX_PIXEL))
}

/// The set of digits, divided into training samples and held-out ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Training samples, sorted by label.
    pub train: Vec<Sample>,
    /// Held-out samples, sorted by label: no node trains on them.
    pub test: Vec<Sample>,
}

impl Digits {
    /// Reads `www/digits.bin`.
    ///
    /// # Errors
    /// `DigitsError` that names what is wrong: a foreign or newer file, a truncated one, a count past its bound, a
    /// pixel out of range.
    pub fn parse(file: &[u8]) -> Result<Self, DigitsError> {
        let (header, packed) =
            file.split_first_chunk::<HEADER_LEN>()
                .ok_or(DigitsError::Truncated {
                    got: file.len(),
                    min: HEADER_LEN,
                })?;
        let counts = Counts::parse(header)?;
        let samples = counts.total();
        let body = inflate(packed, samples * PIXELS)?;

        let mut train = Vec::with_capacity(samples);
        let mut index = 0;
        for (label, &count) in (0u8..).zip(counts.0.as_flattened()) {
            for _ in 0..count {
                train.push(unpack(&body, samples, index, label % CLASSES)?);
                index += 1;
            }
        }
        let test = train.split_off(counts.train());
        Ok(Self { train, test })
    }

    /// Returns the training samples of `classes`: what one node holds.
    pub fn shard(&self, classes: impl Into<Classes>) -> Vec<Sample> {
        let classes = classes.into();
        self.train
            .iter()
            .filter(|sample| classes.contains(sample.label))
            .copied()
            .collect()
    }
}

/// Why a file holds no digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigitsError {
    /// The file is shorter than its header.
    #[error("digits file must have at least {min} bytes, got {got}")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes a header takes.
        min: usize,
    },
    /// The first eight bytes are not those of a version that this code reads.
    #[error(
        "digits file must start with {expected:02x?} (magic, version, side, classes, greatest pixel), got {got:02x?}"
    )]
    Foreign {
        /// What the file starts with.
        got: [u8; 8],
        /// What it must start with.
        expected: [u8; 8],
    },
    /// The counts in the header add up to nothing, or to more than [`MAX_SAMPLES`].
    #[error("digits file must hold 1..={max} samples, announces {got}")]
    Samples {
        /// Samples announced.
        got: usize,
        /// Greatest number allowed.
        max: usize,
    },
    /// The announced length of the body is not what the counts make it.
    #[error("body of the digits file must be {expected} bytes, {got} announced or found")]
    Length {
        /// Bytes announced or inflated.
        got: usize,
        /// 64 bytes for each sample.
        expected: usize,
    },
    /// The body is no DEFLATE stream, ends early, or inflates to more than announced.
    #[error("body of the digits file does not inflate: {status:?}")]
    Deflate {
        /// What the decoder said.
        status: TINFLStatus,
    },
    /// A pixel is past the greatest value.
    #[error("pixel {pixel} of sample {sample} must be at most 16, got {got}")]
    Pixel {
        /// Sample, in the file's order.
        sample: usize,
        /// Pixel, row-major.
        pixel: usize,
        /// Its value.
        got: u8,
    },
}

/// Samples of each class: `[training, held out]`.
struct Counts([[u16; CLASSES as usize]; 2]);

impl Counts {
    fn parse(header: &[u8; HEADER_LEN]) -> Result<Self, DigitsError> {
        let (start, rest) = header
            .split_first_chunk::<8>()
            .ok_or(DigitsError::Truncated {
                got: 0,
                min: HEADER_LEN,
            })?;
        if *start != START {
            return Err(DigitsError::Foreign {
                got: *start,
                expected: START,
            });
        }
        let mut counts = Self([[0; CLASSES as usize]; 2]);
        let (pairs, length) = rest.as_chunks::<2>();
        debug_assert!(length.is_empty());
        for (count, pair) in counts.0.as_flattened_mut().iter_mut().zip(pairs) {
            *count = u16::from_le_bytes(*pair);
        }
        let total = counts.total();
        if !(1..=MAX_SAMPLES).contains(&total) {
            return Err(DigitsError::Samples {
                got: total,
                max: MAX_SAMPLES,
            });
        }
        let announced = rest
            .last_chunk::<4>()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        if announced != total * PIXELS {
            return Err(DigitsError::Length {
                got: announced,
                expected: total * PIXELS,
            });
        }
        Ok(counts)
    }

    fn train(&self) -> usize {
        self.0[0].iter().map(|&count| usize::from(count)).sum()
    }

    fn total(&self) -> usize {
        self.0
            .as_flattened()
            .iter()
            .map(|&count| usize::from(count))
            .sum()
    }
}

/// Inflates exactly `expected` bytes, never holding more.
fn inflate(packed: &[u8], expected: usize) -> Result<Vec<u8>, DigitsError> {
    let body =
        decompress_to_vec_with_limit(packed, expected).map_err(|error| DigitsError::Deflate {
            status: error.status,
        })?;
    if body.len() != expected {
        return Err(DigitsError::Length {
            got: body.len(),
            expected,
        });
    }
    Ok(body)
}

/// Gathers the pixels of sample `index` from the 64 planes of `body`.
fn unpack(body: &[u8], samples: usize, index: usize, label: u8) -> Result<Sample, DigitsError> {
    let mut pixels = [0; PIXELS];
    for (pixel, value) in pixels.iter_mut().enumerate() {
        *value = body[pixel * samples + index];
        if *value > MAX_PIXEL {
            return Err(DigitsError::Pixel {
                sample: index,
                pixel,
                got: *value,
            });
        }
    }
    Ok(Sample { pixels, label })
}

/// Magic, version 1, side 8, classes 10, greatest pixel 16.
const START: [u8; 8] = [b'C', b'H', b'D', b'G', 1, 8, CLASSES, MAX_PIXEL];
/// Bytes before the compressed body.
const HEADER_LEN: usize = 52;

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use sha2::Digest;

    use super::*;

    const FILE: &[u8] = include_bytes!("../../../www/digits.bin");

    #[test]
    fn the_committed_file_is_the_one_that_digits_py_makes() {
        let hex: alloc::string::String = sha2::Sha256::digest(FILE)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "056c4b6b729dc63287ce31604bdf26fd8c449ce761155dca79addc481b6b11f5"
        );
    }

    #[test]
    fn the_file_holds_1437_training_and_360_held_out_samples_36_of_each_class() {
        let digits = Digits::parse(FILE).unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1437, 360));
        for class in 0..CLASSES {
            assert_eq!(
                digits
                    .test
                    .iter()
                    .filter(|sample| sample.label == class)
                    .count(),
                36
            );
        }
        // The first image of scikit-learn's set, a zero, is a training sample: its rows as printed there.
        let zero: [u8; 64] = [
            0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4,
            12, 0, 0, 8, 8, 0, 0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10,
            12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0,
        ];
        assert!(digits.train.contains(&Sample {
            pixels: zero,
            label: 0
        }));
    }

    #[test]
    fn a_shard_holds_its_classes_and_nothing_else() {
        let digits = Digits::parse(FILE).unwrap();
        let shard = digits.shard(Classes::from_iter([3, 4, 5]));
        assert!(shard.iter().all(|sample| (3..=5).contains(&sample.label)));
        assert_eq!(
            shard.len(),
            digits
                .train
                .iter()
                .filter(|sample| (3..=5).contains(&sample.label))
                .count()
        );
        assert!(digits.shard(Classes::default()).is_empty());
    }

    #[test]
    fn a_truncated_file_is_an_error_at_every_length() {
        for len in (0..200).chain((200..FILE.len()).step_by(331)) {
            assert!(Digits::parse(&FILE[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_never_panics_and_a_header_bit_is_always_an_error() {
        for at in (0..HEADER_LEN).chain((HEADER_LEN..FILE.len()).step_by(97)) {
            for bit in [0, 3, 7] {
                let mut file = FILE.to_vec();
                file[at] ^= 1 << bit;
                let parsed = Digits::parse(&file);
                assert!(at >= HEADER_LEN || parsed.is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_body_that_inflates_past_the_announced_length_is_refused() {
        let mut file = FILE[..HEADER_LEN].to_vec();
        file.extend(miniz_oxide::deflate::compress_to_vec(
            &alloc::vec![0; 10_000_000],
            6,
        ));
        assert!(matches!(
            Digits::parse(&file),
            Err(DigitsError::Deflate { .. })
        ));
    }

    #[test]
    fn a_pixel_past_sixteen_is_named() {
        let mut file = FILE[..HEADER_LEN].to_vec();
        let mut body = alloc::vec![0; 1797 * 64];
        body[2 * 1797 + 5] = 17;
        file.extend(miniz_oxide::deflate::compress_to_vec(&body, 6));
        let error = Digits::parse(&file).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pixel 2 of sample 5 must be at most 16, got 17"
        );
    }
}
