//! A learned model of bits, and the arithmetic coder that it steers: logistic mixing (Mahoney 2005, "Adaptive weighing of
//! context models for lossless data compression").
//!
//! Each bit is predicted by four counters, one for each context that it stands in; a small network weighs them and learns
//! from every bit that it sees. Reader and writer learn alike, so nothing but the bits travels. All arithmetic is on
//! integers: a browser and a server read the same bits from the same bytes.
//!
//! # Coder
//! Binary arithmetic coding with 64-bit ends of the interval and probabilities of 16 bits; the leading 32 bits leave as soon
//! as both ends agree in them. Of the last value no more bytes are written than tell it from its neighbours.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::error::CodecError;

/// Contexts of a bit.
pub(super) const INPUTS: usize = 4;
/// Values of one context.
pub(super) const CONTEXTS: usize = 256;
/// Kinds of bits, each with counters and weights of its own.
pub(super) const NODES: usize = 64;
/// Sets of weights for each kind.
const SETS: usize = 16;

/// The kind of a bit, and what is known where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Which kind, below [`NODES`].
    pub(super) node: usize,
    /// Which weights, below 16.
    pub(super) set: usize,
    /// What each input knows, below [`CONTEXTS`].
    pub(super) contexts: [usize; INPUTS],
}

/// Writes or reads a bit at a probability.
pub(super) trait Coder {
    /// Codes a bit that is 1 with probability `one` / 65,536 (1..=65,535). A writer writes `bit` and returns it; a reader
    /// returns what was written, whatever `bit` is.
    fn code(&mut self, one: u32, bit: bool) -> bool;
}

/// Predicts bits and learns from them. 289 KiB.
#[derive(Debug)]
pub(super) struct Mixer {
    squash: Box<[u16; 4096]>,
    stretch: Box<[i16; 4096]>,
    /// Probability of a 1 in 22 bits, and how often the counter was asked, in ten.
    counters: Vec<u32>,
    /// Weights of the inputs, 1 is 65,536.
    weights: Vec<[i32; INPUTS]>,
    /// How far a counter moves after so many bits: 65,536 / (count + 1.6).
    rates: [i32; LIMIT as usize + 1],
}

impl Mixer {
    pub(super) fn new() -> Self {
        let squash: Box<[u16; 4096]> =
            Box::new(core::array::from_fn(|place| squash(place as i32 - 2048)));
        let mut stretch = Box::new([0; 4096]);
        let mut value = 0;
        for (place, squashed) in squash.iter().enumerate() {
            // The least place that is squashed to a probability of so many 4,096ths, or more.
            let upto = usize::from(*squashed >> 4);
            while value <= upto {
                stretch[value] = place as i16 - 2048;
                value += 1;
            }
        }
        for rest in stretch.iter_mut().skip(value) {
            *rest = 2047;
        }
        Self {
            squash,
            stretch,
            counters: vec![HALF; INPUTS * CONTEXTS * NODES],
            weights: vec![[FIRST_WEIGHT; INPUTS]; NODES * SETS],
            rates: core::array::from_fn(|count| (655_360 / (10 * count as i32 + 16)).max(1)),
        }
    }

    /// Codes one bit.
    #[inline(always)]
    pub(super) fn bit(&mut self, coder: &mut impl Coder, place: &Place, bit: bool) -> bool {
        let node = place.node % NODES;
        let slots: [usize; INPUTS] = core::array::from_fn(|input| {
            (input * CONTEXTS + place.contexts[input] % CONTEXTS) * NODES + node
        });
        let set = node * SETS + place.set % SETS;
        let inputs: [i32; INPUTS] =
            slots.map(|slot| i32::from(self.stretch[(self.counters[slot] >> 20) as usize]));
        let weights = &mut self.weights[set];
        let dot: i64 = (inputs.iter().zip(weights.iter()))
            .map(|(input, weight)| i64::from(*input) * i64::from(*weight))
            .sum();
        let place = (dot >> 16).clamp(-2047, 2047) + 2048;
        let one = u32::from(self.squash[place as usize & 4095]);
        let bit = coder.code(one, bit);

        let target = i32::from(bit) << 16;
        let error = (target - one as i32) * LEARNING;
        for (weight, input) in weights.iter_mut().zip(inputs) {
            // Far from what a weight ever is, and from the ends of 32 bits.
            *weight = (*weight + ((input * (error >> 4) + 0x2000) >> 14))
                .clamp(-WEIGHT_MOST, WEIGHT_MOST);
        }
        let target = i32::from(bit) << 22;
        for slot in slots {
            let counter = &mut self.counters[slot];
            let (seen, chance) = (*counter & 1023, (*counter >> 10) as i32);
            let rate = i64::from(self.rates[seen as usize % self.rates.len()]);
            let step = ((i64::from(target - chance) * rate) >> 16) as i32;
            let chance = (chance + step).clamp(1, (1 << 22) - 1);
            *counter = (chance as u32) << 10 | (seen + 1).min(LIMIT);
        }
        bit
    }
}

/// Returns 65,536 / (1 + e^(−x/256)), 16..=65,520, for −2,048 ≤ x < 2,048: between points that are 128 apart, along lines.
fn squash(x: i32) -> u16 {
    let x = x.clamp(-2047, 2047) + 2048;
    let (place, rest) = ((x >> 7) as usize, x & 127);
    let (low, high) = (POINTS[place], POINTS[place + 1]);
    ((low * (128 - rest) + high * rest + 64) >> 7).clamp(16, 65_520) as u16
}

/// 65,536 / (1 + e^(−x/256)) for x = −2,048, −1,920, … 2,048.
const POINTS: [i32; 33] = [
    22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768,
    40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438,
    65476, 65500, 65514,
];
/// A counter that knows nothing.
const HALF: u32 = 1 << 31;
/// Bits after which a counter forgets as fast as it learns. Guess: 127 and 255 differ by a thousandth of a bit per weight.
const LIMIT: u32 = 255;
/// A third of each input, as four inputs that mostly agree need.
const FIRST_WEIGHT: i32 = 65_536 * 3 / 10;
const WEIGHT_MOST: i32 = 1 << 22;
/// Steps of the weights. Guess: from 2 to 12 the size changes by a thousandth.
const LEARNING: i32 = 6;

/// Writes bits.
#[derive(Debug)]
pub(super) struct Writer {
    low: u64,
    high: u64,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            low: 0,
            high: u64::MAX,
            bytes: Vec::new(),
        }
    }

    /// Ends the stream with as few bytes as say where in the interval it is; those that are left out are zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let (value, len) = end(self.low, self.high);
        self.bytes.extend(value.to_be_bytes().iter().take(len));
        self.bytes
    }
}

/// Returns a value inside the interval, and how many of its bytes are not zeros at its end: as few as there are. The ends
/// differ in their upper halves.
fn end(low: u64, high: u64) -> (u64, usize) {
    for len in 0..8 {
        // The least value of so many bytes that is not below `low`.
        let rest = u64::MAX.checked_shr(8 * len).unwrap_or(0);
        let value = low.saturating_add(rest) & !rest;
        if value >= low && value <= high {
            return (value, len as usize);
        }
    }
    (low, 8)
}

/// The last value of the interval that a 1 takes.
#[inline(always)]
fn middle(low: u64, high: u64, one: u32) -> u64 {
    // Never past `high`: `one` is below 2^16. Both sides keep a value while the ends differ.
    low + ((high - low) >> 16) * u64::from(one)
}

impl Coder for Writer {
    #[inline(always)]
    fn code(&mut self, one: u32, bit: bool) -> bool {
        let middle = middle(self.low, self.high, one);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 32 == 0 {
            self.bytes.extend(((self.high >> 32) as u32).to_be_bytes());
            self.low <<= 32;
            self.high = self.high << 32 | 0xffff_ffff;
        }
        bit
    }
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    low: u64,
    high: u64,
    value: u64,
    bytes: &'a [u8],
    /// Zeros that were read past the end.
    past: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self {
            low: 0,
            high: u64::MAX,
            value: 0,
            bytes,
            past: 0,
        };
        reader.take();
        reader.take();
        reader
    }

    fn take(&mut self) {
        let mut word = [0; 4];
        if let Some((own, rest)) = self.bytes.split_first_chunk() {
            word = *own;
            self.bytes = rest;
        } else {
            self.past += 4 - self.bytes.len();
            word.iter_mut()
                .zip(self.bytes)
                .for_each(|(to, from)| *to = *from);
            self.bytes = &[];
        }
        self.value = self.value << 32 | u64::from(u32::from_be_bytes(word));
    }

    /// Says whether bits were read that no byte holds.
    pub(super) const fn is_over(&self) -> bool {
        self.past > 8
    }

    /// Says whether exactly the bytes of the stream were read.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub(super) fn finish(self) -> Result<(), CodecError> {
        let (value, len) = end(self.low, self.high);
        if self.bytes.is_empty() && self.value == value && self.past + len == 8 {
            Ok(())
        } else {
            Err(CodecError::Truncated)
        }
    }
}

impl Coder for Reader<'_> {
    #[inline(always)]
    fn code(&mut self, one: u32, _: bool) -> bool {
        let middle = middle(self.low, self.high, one);
        let bit = self.value <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 32 == 0 {
            self.low <<= 32;
            self.high = self.high << 32 | 0xffff_ffff;
            self.take();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    /// Bits that are 1 with a chance that their place tells.
    fn bits(count: usize) -> Vec<(Place, bool)> {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        (0..count)
            .map(|_| {
                let known = rng.next_u32() as usize % 8;
                let place = Place {
                    node: known % 3,
                    set: known,
                    contexts: [known, 7 - known, 0, known / 2],
                };
                (place, rng.next_u32() % 64 < 1 << (known * 3 / 4))
            })
            .collect()
    }

    fn write(bits: &[(Place, bool)]) -> Vec<u8> {
        let (mut mixer, mut writer) = (Mixer::new(), Writer::new());
        for (place, bit) in bits {
            assert_eq!(mixer.bit(&mut writer, place, *bit), *bit);
        }
        writer.finish()
    }

    #[test]
    fn bits_come_back_and_cost_what_their_chances_say() {
        let bits = bits(40_000);
        let bytes = write(&bits);
        let (mut mixer, mut reader) = (Mixer::new(), Reader::new(&bytes));
        for (place, bit) in &bits {
            assert_eq!(mixer.bit(&mut reader, place, false), *bit);
        }
        reader.finish().unwrap();
        let chance = |known: usize| f64::from(1 << (known * 3 / 4)) / 64.0;
        let entropy = |p: f64| -p * libm::log2(p) - (1.0 - p) * libm::log2(1.0 - p);
        let least: f64 = (0..8).map(|known| entropy(chance(known))).sum::<f64>() / 8.0 * 40_000.0;
        let got = bytes.len() as f64 * 8.0;
        assert!(
            (0.99 * least..1.04 * least).contains(&got),
            "{got} bits, {least} at least"
        );
    }

    #[test]
    fn a_stream_keeps_its_bytes_on_every_machine() {
        let bytes = write(&bits(2000));
        let shown = crate::digest::Digest::sha256(&bytes).to_string();
        assert_eq!((bytes.len(), &shown[..16]), (119, "a735f19a6d53dfcb"));
    }

    #[test]
    fn cut_streams_and_longer_ones_are_told() {
        let bits = bits(500);
        let bytes = write(&bits);
        let read = |bytes: &[u8]| {
            let (mut mixer, mut reader) = (Mixer::new(), Reader::new(bytes));
            let is_same = bits
                .iter()
                .all(|(place, bit)| mixer.bit(&mut reader, place, false) == *bit);
            is_same && reader.finish().is_ok()
        };
        assert!(read(&bytes));
        for len in 0..bytes.len() {
            assert!(!read(&bytes[..len]), "{len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(!read(&longer));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!read(&changed), "bit {bit}");
        }
    }

    #[test]
    fn the_curve_is_the_logistic_one() {
        for x in -2047..2048 {
            let exact = 65_536.0 / (1.0 + libm::exp(-f64::from(x) / 256.0));
            let got = f64::from(squash(x));
            assert!(
                (got - exact).abs() < 0.004 * 65_536.0,
                "{x}: {got}, {exact}"
            );
        }
    }
}
