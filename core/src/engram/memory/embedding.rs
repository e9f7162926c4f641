//! Embeddings in 1, 2, 4 or 8 bits a number. Only their direction is kept: cosines need no length.

use alloc::vec::Vec;

/// The direction of a vector, quantised uniformly. Steps are those with the least error for normally distributed numbers.
/// Source: Max 1960, "Quantizing for minimum distortion", table II.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Embedding {
    bits: u8,
    dimensions: u32,
    packed: Vec<u8>,
}

/// Why numbers or bytes are no embedding.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// A number of bits that there is not.
    #[error("bits of an embedding must be 1, 2, 4 or 8, got {got}")]
    Bits {
        /// The bits.
        got: u8,
    },
    /// A number is infinite or not a number.
    #[error("number {index} of an embedding must be finite, got {got}")]
    NotFinite {
        /// Which.
        index: usize,
        /// The number.
        got: f32,
    },
    /// The bytes are too many or too few, or their unused bits are not zero.
    #[error(
        "an embedding of {dimensions} numbers of {bits} bits must have {expected} bytes, got {got}"
    )]
    Bytes {
        /// Numbers.
        dimensions: u32,
        /// Bits of each.
        bits: u8,
        /// Bytes that makes.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
}

impl Embedding {
    /// Quantises `values` to `bits` (1, 2, 4 or 8) each. O(n).
    ///
    /// # Errors
    /// [`EmbeddingError::Bits`]; [`EmbeddingError::NotFinite`].
    pub fn quantise(values: &[f32], bits: u8) -> Result<Self, EmbeddingError> {
        let step = step(bits)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let got = values[index];
            return Err(EmbeddingError::NotFinite { index, got });
        }
        let square: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        let spread = libm::sqrt(square / values.len().max(1) as f64);
        let half = 1i32 << (bits - 1);
        let level = |value: &f32| {
            let steps = if spread > 0.0 {
                libm::floor(f64::from(*value) / (spread * step))
            } else {
                0.0
            };
            (steps.clamp(-f64::from(half), f64::from(half - 1)) as i32 + half) as u8
        };
        let per_byte = usize::from(8 / bits);
        let pack = |chunk: &[f32]| {
            let place = |(at, value): (usize, &f32)| level(value) << (at * usize::from(bits));
            chunk.iter().enumerate().map(place).fold(0, |a, b| a | b)
        };
        Ok(Self {
            bits,
            dimensions: values.len() as u32,
            packed: values.chunks(per_byte).map(pack).collect(),
        })
    }

    /// Takes packed levels as [`Embedding::as_bytes`] returned them.
    ///
    /// # Errors
    /// [`EmbeddingError::Bits`]; [`EmbeddingError::Bytes`].
    pub fn from_bytes(dimensions: u32, bits: u8, bytes: &[u8]) -> Result<Self, EmbeddingError> {
        step(bits)?;
        let expected = Self::bytes_for(dimensions, bits);
        let used = u64::from(dimensions) * u64::from(bits) % 8;
        let is_clean = used == 0 || bytes.last().is_none_or(|last| last >> used == 0);
        if bytes.len() != expected || !is_clean {
            return Err(EmbeddingError::Bytes {
                dimensions,
                bits,
                expected,
                got: bytes.len(),
            });
        }
        let packed = bytes.to_vec();
        Ok(Self {
            bits,
            dimensions,
            packed,
        })
    }

    /// Returns the bytes of that many numbers.
    pub(super) fn bytes_for(dimensions: u32, bits: u8) -> usize {
        (u64::from(dimensions) * u64::from(bits)).div_ceil(8) as usize
    }

    /// Returns the packed levels, the first in the lowest bits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.packed
    }

    /// Returns how many numbers there are.
    pub fn dimensions(&self) -> usize {
        self.dimensions as usize
    }

    /// Returns the bits of each number.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Returns the cosine to another embedding, -1..=1; 0 where the dimensions differ or there are none. Whole numbers
    /// up to the last division, so that all get the same bits.
    pub fn cosine(&self, other: &Self) -> f32 {
        Direction::of(self).cosine(&Direction::of(other))
    }

    /// Returns the cosine to a vector that is not quantised, -1..=1; 0 where the dimensions differ.
    pub fn cosine_to(&self, query: &[f32]) -> f32 {
        if self.dimensions() != query.len() {
            return 0.0;
        }
        let (mut dot, mut a, mut b) = (0.0, 0.0, 0.0);
        for (x, y) in self.levels().zip(query) {
            let (x, y) = (x as f64, f64::from(*y));
            dot += x * y;
            a += x * x;
            b += y * y;
        }
        divide(dot, a, b)
    }

    /// The numbers in half steps: odd, and never zero.
    fn levels(&self) -> impl Iterator<Item = i64> {
        let bits = u32::from(self.bits);
        let (per_byte, half) = (8 / bits, 1i64 << (bits - 1));
        let mask = (1u32 << bits) - 1;
        let places = self.packed.iter().flat_map(move |byte| {
            (0..per_byte).map(move |at| i64::from((u32::from(*byte) >> (at * bits)) & mask))
        });
        places
            .take(self.dimensions as usize)
            .map(move |level| 2 * (level - half) + 1)
    }
}

/// An embedding as it is compared with many others.
pub(super) struct Direction {
    /// The numbers in half steps, -255..=255.
    levels: Vec<i16>,
    /// The sum of their squares.
    square: i64,
}

impl Direction {
    pub(super) fn of(embedding: &Embedding) -> Self {
        let levels: Vec<i16> = embedding.levels().map(|level| level as i16).collect();
        let square = dot_of_levels(&levels, &levels);
        Self { levels, square }
    }

    /// As [`Embedding::cosine`].
    pub(super) fn cosine(&self, other: &Self) -> f32 {
        if self.levels.len() != other.levels.len() {
            return 0.0;
        }
        let dot = dot_of_levels(&self.levels, &other.levels);
        divide(dot as f64, self.square as f64, other.square as f64)
    }
}

fn dot_of_levels(a: &[i16], b: &[i16]) -> i64 {
    // 4096 products of 255 × 255 fit 32 bits, which machines add up four and more at a time.
    let parts = a.chunks(4096).zip(b.chunks(4096));
    let part = |(a, b): (&[i16], &[i16])| -> i32 {
        let products = a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b));
        products.sum()
    };
    parts.map(part).map(i64::from).sum()
}

/// Returns the fewest bits with which the nearest `count` of every vector are still found, at least `recall` (0..=1) of
/// them on average; 8 where none are enough. Every vector is compared with all others: O(n² × dimensions) three times.
///
/// # Errors
/// As [`Embedding::quantise`].
pub fn fewest_bits(vectors: &[&[f32]], count: usize, recall: f32) -> Result<u8, EmbeddingError> {
    for bits in [1, 2, 4] {
        if self::recall(vectors, count, bits)? >= recall {
            return Ok(bits);
        }
    }
    Ok(8)
}

/// Returns the share, 0..=1, of the nearest `count` of every vector that are among the nearest with so many bits; 1 where
/// there is nothing to find.
///
/// # Errors
/// As [`Embedding::quantise`].
pub fn recall(vectors: &[&[f32]], count: usize, bits: u8) -> Result<f32, EmbeddingError> {
    let quantise = |vector: &&[f32]| Embedding::quantise(vector, bits);
    let quantised: Vec<Embedding> = vectors.iter().map(quantise).collect::<Result<_, _>>()?;
    let exact = |a: &[f32], b: &[f32]| divide(dot(a, b), dot(a, a), dot(b, b));
    let (mut found, mut wanted) = (0, 0);
    for (index, query) in vectors.iter().enumerate() {
        let of = vectors.len();
        let near = nearest(of, index, count, |other| exact(query, vectors[other]));
        let seen = nearest(of, index, count, |other| quantised[other].cosine_to(query));
        wanted += near.len();
        found += near.iter().filter(|other| seen.contains(other)).count();
    }
    Ok(if wanted == 0 {
        1.0
    } else {
        found as f32 / wanted as f32
    })
}

fn nearest(of: usize, without: usize, count: usize, near: impl Fn(usize) -> f32) -> Vec<usize> {
    let others = (0..of).filter(|other| *other != without);
    let mut all: Vec<(f32, usize)> = others.map(|other| (near(other), other)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.into_iter()
        .take(count)
        .map(|(_, other)| other)
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

fn divide(dot: f64, a: f64, b: f64) -> f32 {
    if a > 0.0 && b > 0.0 {
        (dot / (libm::sqrt(a) * libm::sqrt(b))).clamp(-1.0, 1.0) as f32
    } else {
        0.0
    }
}

/// The step in standard deviations.
fn step(bits: u8) -> Result<f64, EmbeddingError> {
    match bits {
        // The sign alone.
        1 => Ok(1.596),
        2 => Ok(0.9957),
        4 => Ok(0.3352),
        8 => Ok(0.0308),
        got => Err(EmbeddingError::Bits { got }),
    }
}
