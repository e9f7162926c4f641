//! Codes small whole numbers in few bits: an adaptive binary arithmetic coder. Integer arithmetic alone, so that every
//! target reads the same levels (32-bit coder after Witten, Neal and Cleary 1987).
//!
//! What it does not do: it knows neither steps nor models, and it is no codec for large models, whose home is the engram.

use alloc::vec::Vec;

/// Greatest size of a level. Guess: four times what was seen; what is larger is told later.
pub(super) const MAX_LEVEL: i8 = 63;

/// One step in either direction.
pub(super) trait Coder {
    /// Codes `bit`, which is true with a probability of `odds` / 65536 (> 0 and < 1). A decoder returns what it read
    /// instead.
    fn code(&mut self, bit: bool, odds: u32) -> bool;

    /// Codes the lowest `bits` bits of `number`, each as likely as not.
    fn number(&mut self, number: u8, bits: u8) -> u8 {
        (0..bits).rev().fold(0, |read, bit| {
            (read << 1) | u8::from(self.code((number >> bit) & 1 == 1, 1 << 15))
        })
    }
}

/// Writes bits into bytes.
pub(super) struct Encoder {
    low: u32,
    high: u32,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self {
            low: 0,
            high: u32::MAX,
            bytes: Vec::new(),
        }
    }

    /// Returns how many bytes there will be at least, whatever follows.
    pub(super) fn len_at_least(&self) -> usize {
        let zeros = self.bytes.iter().rev().take_while(|&&byte| byte == 0);
        self.bytes.len() - zeros.count()
    }

    /// Returns the bytes; those at the end that are zero are left out.
    pub(super) fn finish(mut self) -> Vec<u8> {
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

impl Coder for Encoder {
    fn code(&mut self, bit: bool, odds: u32) -> bool {
        narrow(&mut self.low, &mut self.high, odds, |_| bit);
        while let Some(byte) = settled(&mut self.low, &mut self.high) {
            self.bytes.push(byte);
        }
        bit
    }
}

/// Reads bits out of bytes; past their end there are zeros.
pub(super) struct Decoder<'a> {
    low: u32,
    high: u32,
    value: u32,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            low: 0,
            high: u32::MAX,
            value: 0,
            bytes,
            position: 0,
        };
        (0..4).for_each(|_| decoder.next());
        decoder
    }

    /// Says whether every byte was looked at, and none is there that an encoder leaves out.
    pub(super) fn is_at_end(&self) -> bool {
        self.bytes.len() <= self.position && self.bytes.last() != Some(&0)
    }

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

/// How large the levels of one kind were so far.
#[derive(Clone)]
pub(super) struct Sizes([u32; KINDS]);

impl Sizes {
    pub(super) const fn new() -> Self {
        Self([LARGER; KINDS])
    }

    /// Codes a level: its size in unary, whose every step has odds of its own that adapt, then its sign.
    pub(super) fn code(&mut self, coder: &mut impl Coder, level: i8) -> i8 {
        let mut size = 0;
        for step in 0..MAX_LEVEL {
            let odds = &mut self.0[(step as usize).min(KINDS - 1)];
            let is_larger = coder.code(level.unsigned_abs() > step as u8, *odds);
            let target = if is_larger { 65_535 - LEAST } else { LEAST };
            *odds = (*odds * 15 + target) / 16;
            if !is_larger {
                break;
            }
            size += 1;
        }
        let is_negative = size > 0 && coder.code(level < 0, 1 << 15);
        if is_negative { -size } else { size }
    }
}

/// Steps of the unary code with odds of their own. Guess: few levels are larger.
const KINDS: usize = 8;
/// The probability × 65536 that a level is larger, before anything was seen. Guess: six in ten.
const LARGER: u32 = 39_000;
/// Least probability × 65536 that a size comes to have. Guess: one in thirty-two.
const LEAST: u32 = 2048;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn level() -> impl Strategy<Value = i8> {
        prop_oneof![9 => -3..=3i8, 1 => -MAX_LEVEL..=MAX_LEVEL]
    }

    fn encode(levels: &[i8]) -> Vec<u8> {
        let (mut encoder, mut sizes) = (Encoder::new(), Sizes::new());
        for &level in levels {
            sizes.code(&mut encoder, level);
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8], count: usize) -> (Vec<i8>, bool) {
        let (mut decoder, mut sizes) = (Decoder::new(bytes), Sizes::new());
        let levels = (0..count)
            .map(|_| sizes.code(&mut decoder, 0))
            .collect::<Vec<_>>();
        (levels, decoder.is_at_end())
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
            prop_assert_eq!(decode(&encode(&levels), levels.len()), (levels, true));
        }

        #[test]
        fn any_bytes_are_levels_within_their_bounds(bytes in vec(any::<u8>(), 0..200), count in 0usize..3000) {
            let (levels, _) = decode(&bytes, count);
            prop_assert!(levels.iter().all(|level| level.unsigned_abs() <= MAX_LEVEL as u8));
        }
    }

    #[test]
    fn two_hundred_levels_take_little_more_than_there_is_to_say() {
        // Zero, one and minus one, equally often: log2(3) bits each, 40 bytes in all.
        let levels: Vec<i8> = (0..200).map(|index| (index * 7 % 3) as i8 - 1).collect();
        let bytes = encode(&levels);
        assert!((40..=48).contains(&bytes.len()), "{} bytes", bytes.len());
    }
}
