//! Codes small whole numbers, most of them zero, in few bits: an adaptive binary arithmetic coder over a matrix of levels.
//!
//! A level is coded as whether it is zero, its sign and its size in unary. How probable a zero is comes from how many
//! there were so far in its row and in its column, which differ: a pixel that is always blank teaches nothing. Integer
//! arithmetic alone, so that every target reads the same levels (32-bit coder after Witten, Neal and Cleary 1987;
//! counts as estimates after Krichevsky and Trofimov 1981).
//!
//! What it does not do: it knows neither steps nor rounds, and it is no codec for large models, whose home is the engram.

use alloc::vec;
use alloc::vec::Vec;

/// Greatest size of a level. Guess: four times what was seen; what is larger stays in the residual.
pub(super) const MAX_LEVEL: i8 = 63;

/// Returns `levels` (row-major, rows of [`COLUMNS`]) as bytes. [`decode`] needs to know how many are not zero.
pub(super) fn encode(levels: &[i8]) -> Vec<u8> {
    let nonzero = levels.iter().filter(|level| **level != 0).count();
    let mut encoder = Encoder {
        low: 0,
        high: u32::MAX,
        bytes: Vec::new(),
    };
    code(&mut encoder, &mut levels.to_vec(), nonzero);
    encoder.finish()
}

/// Reads `count` levels of which `nonzero` are not zero. `None` where the bytes are not those of such levels. O(count).
pub(super) fn decode(bytes: &[u8], count: usize, nonzero: usize) -> Option<Vec<i8>> {
    let mut decoder = Decoder {
        low: 0,
        high: u32::MAX,
        value: 0,
        bytes,
        position: 0,
    };
    (0..4).for_each(|_| decoder.next());
    let mut levels = vec![0; count];
    let is_whole = code(&mut decoder, &mut levels, nonzero);
    // Every byte is looked at; the last ones may have been left out where they are zero.
    (is_whole && bytes.len() <= decoder.position && bytes.last() != Some(&0)).then_some(levels)
}

/// One step in either direction.
trait Coder {
    /// Codes `bit`, which is true with a probability of `odds` / 65536. A decoder returns what it read instead.
    fn code(&mut self, bit: bool, odds: u32) -> bool;
}

struct Encoder {
    low: u32,
    high: u32,
    bytes: Vec<u8>,
}

impl Coder for Encoder {
    fn code(&mut self, bit: bool, odds: u32) -> bool {
        narrow(&mut self.low, &mut self.high, odds, |_| bit);
        while let Some(byte) = settled(&mut self.low, &mut self.high) {
            self.bytes.push(byte);
        }
        bit
    }
}

impl Encoder {
    fn finish(mut self) -> Vec<u8> {
        // The highest bytes differ: the next one above the lower end lies within, whatever follows.
        if self.low > 0 {
            self.bytes.push((self.low >> 24) as u8 + 1);
        }
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

struct Decoder<'a> {
    low: u32,
    high: u32,
    value: u32,
    bytes: &'a [u8],
    position: usize,
}

impl Decoder<'_> {
    fn next(&mut self) {
        let byte = self.bytes.get(self.position).copied().unwrap_or(0);
        self.value = (self.value << 8) | u32::from(byte);
        self.position += 1;
    }
}

impl Coder for Decoder<'_> {
    fn code(&mut self, _: bool, odds: u32) -> bool {
        let value = self.value;
        let bit = narrow(&mut self.low, &mut self.high, odds, |middle| {
            value <= middle
        });
        while settled(&mut self.low, &mut self.high).is_some() {
            self.next();
        }
        bit
    }
}

/// Takes the part of the interval that stands for the bit.
fn narrow(low: &mut u32, high: &mut u32, odds: u32, bit: impl Fn(u32) -> bool) -> bool {
    let width = u64::from(*high - *low);
    let middle = *low + ((width * u64::from(odds)) >> 16) as u32;
    let bit = bit(middle);
    if bit {
        *high = middle;
    } else {
        *low = middle + 1;
    }
    bit
}

/// Shifts out the highest byte, where both ends agree on it.
fn settled(low: &mut u32, high: &mut u32) -> Option<u8> {
    let byte = *high >> 24;
    if *low >> 24 != byte {
        return None;
    }
    *low <<= 8;
    *high = (*high << 8) | 0xff;
    Some(byte as u8)
}

/// Codes all levels up to the last that is not zero. Says whether there were as many as announced.
fn code(coder: &mut impl Coder, levels: &mut [i8], nonzero: usize) -> bool {
    let (mut left, mut places) = (nonzero as u32, levels.len() as u32);
    let mut columns = [Seen::default(); COLUMNS];
    let mut larger = [LARGER; 3];
    for row in levels.chunks_mut(COLUMNS) {
        let mut seen = Seen::default();
        for (level, column) in row.iter_mut().zip(&mut columns) {
            if left == 0 {
                return true;
            }
            let expected = (left << 16) / places;
            let odds = (seen.odds(expected) + column.odds(expected)) / 2;
            let is_set = coder.code(*level != 0, odds.clamp(32, 65_504));
            if is_set {
                *level = size(coder, *level, &mut larger);
                left -= 1;
            }
            seen.note(is_set);
            column.note(is_set);
            places -= 1;
        }
    }
    left == 0
}

/// Codes the sign and the size of a level that is not zero.
fn size(coder: &mut impl Coder, level: i8, larger: &mut [u32; 3]) -> i8 {
    let is_negative = coder.code(level < 0, 1 << 15);
    let mut size = 1;
    while size < MAX_LEVEL {
        let odds = &mut larger[usize::from(size.unsigned_abs() - 1).min(2)];
        let is_larger = coder.code(level.unsigned_abs() > size.unsigned_abs(), *odds);
        let target = if is_larger { 65_535 - 2048 } else { 2048 };
        *odds = (*odds * 15 + target) / 16;
        if !is_larger {
            break;
        }
        size += 1;
    }
    if is_negative { -size } else { size }
}

/// How many levels of a row or a column were coded so far, and how many of them were not zero.
#[derive(Clone, Copy, Default)]
struct Seen {
    nonzero: u32,
    count: u32,
}

impl Seen {
    /// Estimates the probability of the next one not to be zero, `expected` before anything was seen; both × 65536.
    fn odds(self, expected: u32) -> u32 {
        ((self.nonzero << 16) + PRIOR * expected) / (self.count + PRIOR)
    }

    fn note(&mut self, is_set: bool) {
        self.count += 1;
        self.nonzero += u32::from(is_set);
    }
}

/// Levels of a row. Source: the learner's hidden layer, most of its weights, has 64 units.
pub(super) const COLUMNS: usize = 64;
/// How many levels what was expected counts for. Source: of 4, 8 and 16 the least bytes on the learner's deltas.
const PRIOR: u32 = 8;
/// The probability × 65536 that a level is larger than 1. Guess: one in six.
const LARGER: u32 = 10_923;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn level() -> impl Strategy<Value = i8> {
        prop_oneof![9 => Just(0i8), 2 => -3..=3i8, 1 => -MAX_LEVEL..=MAX_LEVEL]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 300,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn levels_survive_the_trip_through_bytes(levels in vec(level(), 0..600)) {
            let nonzero = levels.iter().filter(|level| **level != 0).count();
            let bytes = encode(&levels);
            prop_assert_eq!(decode(&bytes, levels.len(), nonzero), Some(levels));
        }

        #[test]
        fn any_bytes_are_read_or_refused_within_what_was_announced(
            bytes in vec(any::<u8>(), 0..200),
            count in 0usize..5000,
            nonzero in 0usize..5000,
        ) {
            if let Some(levels) = decode(&bytes, count, nonzero) {
                prop_assert_eq!(levels.len(), count);
                let read = levels.iter().filter(|level| **level != 0).count();
                prop_assert_eq!(read, nonzero);
                prop_assert!(levels.iter().all(|level| level.unsigned_abs() <= MAX_LEVEL.unsigned_abs()));
            }
        }
    }

    #[test]
    fn fifty_levels_among_4810_take_less_than_a_byte_more_than_there_is_to_say() {
        // 50 places of 4810 and as many signs: log2(4810! / (50! 4760!)) + 50 = 447 bits, 56 bytes.
        let mut levels = vec![0; 4810];
        for index in 0..50 {
            levels[index * 4801 % 4810] = if index % 3 == 0 { -1 } else { 1 };
        }
        let bytes = encode(&levels);
        assert!(bytes.len() <= 70, "{} bytes", bytes.len());
        assert!(encode(&[0; 4810]).is_empty());
    }
}
