//! Numbers as planes of bytes: the exponent in one, sign and mantissa in others, each coded as pays best.
//!
//! Weights of a layer are of one scale, so few exponents occur; their mantissas are noise, unless the numbers were rounded
//! somewhere (differences, sums of halves), which leaves low bits clear. So a plane is constant, plain, or under a
//! [prefix code](super::prefix), whichever is smallest.
//!
//! # Bytes
//! For each plane a tag: 0 and the bytes as they are; 1 and the one byte that they all are; 2, the length of what follows
//! (32 bits, little-endian) and a coded plane.

use alloc::vec::Vec;

use super::error::CodecError;
use super::prefix::{self, Code};

/// How numbers are split into planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Numbers of 1, 2, 4 or 8 bytes, a plane for each byte.
    Whole(Width),
    /// bfloat16: exponent; sign with mantissa.
    Bf16,
    /// binary16: sign with exponent and two bits of the mantissa; the rest.
    F16,
    /// binary32: exponent; sign with the upper seven bits of the mantissa; two bytes.
    F32,
}

/// Bytes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// One.
    One,
    /// Two.
    Two,
    /// Four.
    Four,
    /// Eight.
    Eight,
}

impl Layout {
    /// Returns the layout of as many bytes, all of them whole.
    pub(super) const fn bytes(self) -> Self {
        match self {
            Self::Whole(_) => self,
            Self::Bf16 | Self::F16 => Self::Whole(Width::Two),
            Self::F32 => Self::Whole(Width::Four),
        }
    }

    /// Returns the bytes of a number, which are as many as there are planes.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Whole(Width::One) => 1,
            Self::Bf16 | Self::F16 | Self::Whole(Width::Two) => 2,
            Self::F32 | Self::Whole(Width::Four) => 4,
            Self::Whole(Width::Eight) => 8,
        }
    }
}

/// Planes between splitting and coding. Kept from chunk to chunk, so that memory is asked for once.
#[derive(Debug, Default)]
pub(super) struct Planes([Vec<u8>; MAX_PLANES]);

/// Planes of the widest numbers.
const MAX_PLANES: usize = 8;

impl Planes {
    /// Writes `numbers`, little-endian, to `out`. Bytes past the last whole number are an error of the caller and not
    /// written. O(n).
    pub(super) fn pack(&mut self, numbers: &[u8], layout: Layout, out: &mut Vec<u8>) {
        let count = numbers.len() / layout.width();
        for plane in self.0.iter_mut().take(layout.width()) {
            plane.resize(count, 0);
        }
        self.split(numbers, layout);
        for plane in self.0.iter().take(layout.width()) {
            put(plane, out);
        }
    }

    fn split(&mut self, numbers: &[u8], layout: Layout) {
        let [a, b, c, d, ..] = &mut self.0;
        match layout {
            Layout::Whole(_) => {
                let width = layout.width();
                for (place, plane) in self.0.iter_mut().take(width).enumerate() {
                    let bytes = numbers
                        .chunks_exact(width)
                        .filter_map(|number| number.get(place));
                    plane
                        .iter_mut()
                        .zip(bytes)
                        .for_each(|(to, from)| *to = *from);
                }
            }
            Layout::Bf16 => {
                let (twos, _) = numbers.as_chunks::<2>();
                for ((two, exponent), rest) in twos.iter().zip(a).zip(b) {
                    let bits = u16::from_le_bytes(*two);
                    *exponent = (bits >> 7) as u8;
                    *rest = (bits >> 8) as u8 & 0x80 | bits as u8 & 0x7f;
                }
            }
            Layout::F16 => {
                let (twos, _) = numbers.as_chunks::<2>();
                for ((two, upper), lower) in twos.iter().zip(a).zip(b) {
                    [*lower, *upper] = *two;
                }
            }
            Layout::F32 => {
                let (fours, _) = numbers.as_chunks::<4>();
                for ((((four, exponent), high), middle), low) in
                    fours.iter().zip(a).zip(b).zip(c).zip(d)
                {
                    let bits = u32::from_le_bytes(*four);
                    *exponent = (bits >> 23) as u8;
                    *high = (bits >> 24) as u8 & 0x80 | (bits >> 16) as u8 & 0x7f;
                    *middle = (bits >> 8) as u8;
                    *low = bits as u8;
                }
            }
        }
    }

    /// Reads `numbers.len()` bytes of numbers. O(n).
    ///
    /// # Errors
    /// [`CodecError`] for planes that are cut, too long or not coded as they should; what `numbers` holds then means nothing.
    pub(super) fn unpack(
        &mut self,
        bytes: &[u8],
        layout: Layout,
        numbers: &mut [u8],
    ) -> Result<(), CodecError> {
        let count = numbers.len() / layout.width();
        let mut planes: [&[u8]; MAX_PLANES] = [&[]; MAX_PLANES];
        let mut bytes = bytes;
        for (plane, scratch) in planes.iter_mut().zip(&mut self.0).take(layout.width()) {
            (*plane, bytes) = take(bytes, count, scratch)?;
        }
        if !bytes.is_empty() {
            return Err(CodecError::Truncated);
        }
        join(planes, layout, numbers);
        Ok(())
    }
}

fn join(planes: [&[u8]; MAX_PLANES], layout: Layout, numbers: &mut [u8]) {
    let [a, b, c, d, ..] = planes;
    match layout {
        Layout::Whole(_) => {
            let width = layout.width();
            for (place, plane) in planes.into_iter().take(width).enumerate() {
                let places = numbers
                    .chunks_exact_mut(width)
                    .filter_map(|n| n.get_mut(place));
                places.zip(plane).for_each(|(to, from)| *to = *from);
            }
        }
        Layout::Bf16 => {
            let (twos, _) = numbers.as_chunks_mut::<2>();
            for ((two, exponent), rest) in twos.iter_mut().zip(a).zip(b) {
                let (exponent, rest) = (u16::from(*exponent), u16::from(*rest));
                *two = ((rest & 0x80) << 8 | exponent << 7 | rest & 0x7f).to_le_bytes();
            }
        }
        Layout::F16 => {
            let (twos, _) = numbers.as_chunks_mut::<2>();
            for ((two, upper), lower) in twos.iter_mut().zip(a).zip(b) {
                *two = [*lower, *upper];
            }
        }
        Layout::F32 => {
            let (blocks, rest) = numbers.as_chunks_mut::<{ 4 * BLOCK }>();
            let [a, b, c, d] = [a, b, c, d].map(|plane| plane.as_chunks::<BLOCK>());
            let planes = a.0.iter().zip(b.0).zip(c.0).zip(d.0);
            for (block, (((exponent, high), middle), low)) in blocks.iter_mut().zip(planes) {
                join_floats([exponent, high, middle, low], block);
            }
            join_floats([a.1, b.1, c.1, d.1], rest);
        }
    }
}

/// Numbers that are joined at a time: their halves are made first, which lets the compiler make eight of them at once.
const BLOCK: usize = 128;

/// Joins up to [`BLOCK`] numbers of [`Layout::F32`].
#[inline(always)]
fn join_floats([exponent, high, middle, low]: [&[u8]; 4], numbers: &mut [u8]) {
    let (mut upper, mut lower) = ([0u16; BLOCK], [0u16; BLOCK]);
    for ((upper, exponent), high) in upper.iter_mut().zip(exponent).zip(high) {
        let both = u16::from(*exponent) << 8 | u16::from(*high);
        *upper = both << 8 & 0x8000 | both >> 1 & 0x7f80 | both & 0x7f;
    }
    for ((lower, middle), low) in lower.iter_mut().zip(middle).zip(low) {
        *lower = u16::from(*middle) << 8 | u16::from(*low);
    }
    let (fours, _) = numbers.as_chunks_mut::<4>();
    for ((four, upper), lower) in fours.iter_mut().zip(upper).zip(lower) {
        *four = (u32::from(upper) << 16 | u32::from(lower)).to_le_bytes();
    }
}

/// Writes one plane as is shortest.
pub(super) fn put(plane: &[u8], out: &mut Vec<u8>) {
    let plain = |out: &mut Vec<u8>| {
        out.push(PLAIN);
        out.extend_from_slice(plane);
    };
    let Some((first, rest)) = plane.split_first() else {
        return plain(out);
    };
    if rest.iter().all(|byte| byte == first) {
        out.extend([CONSTANT, *first]);
        return;
    }
    if !is_uneven(plane) {
        return plain(out);
    }
    let histogram = prefix::histogram(plane);
    let code = Code::new(&histogram);
    // Less than a hundredth is not worth the reader's time.
    if code.size(&histogram) * 100 > plane.len() as u64 * 99 {
        return plain(out);
    }
    out.push(CODED);
    let at = out.len();
    out.extend([0; 4]);
    code.encode(plane, out);
    let len = (out.len() - at - 4) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

/// Returns the bytes that `plane` takes at the least under a prefix code, near enough to compare two planes.
pub(super) fn cost(plane: &[u8]) -> u64 {
    let histogram = prefix::histogram(plane);
    let kinds = histogram.iter().filter(|count| **count > 0).count();
    if kinds < 2 {
        return 2;
    }
    Code::new(&histogram).size(&histogram)
}

/// Guesses from a part of the bytes whether some are so frequent that a code pays.
fn is_uneven(plane: &[u8]) -> bool {
    if plane.len() <= SAMPLE {
        return true;
    }
    let mut counts = prefix::Counts::new();
    let mut seen = 0;
    for piece in plane.chunks(plane.len().div_ceil(PIECES)) {
        let sample = &piece[..piece.len().min(SAMPLE / PIECES)];
        counts.add(sample);
        seen += sample.len() as u64;
    }
    // Two bytes drawn are alike with probability 1/256 where all are as frequent. A tenth as much again may save 0.1 bits.
    let alike: u64 = counts
        .sum()
        .iter()
        .map(|count| u64::from(*count) * u64::from(count.saturating_sub(1)))
        .sum();
    alike * 256 * 10 > seen * (seen - 1) * 11
}

/// Reads one plane of `count` bytes; returns it, and what comes after it.
///
/// # Errors
/// [`CodecError`].
pub(super) fn take<'a>(
    bytes: &'a [u8],
    count: usize,
    scratch: &'a mut Vec<u8>,
) -> Result<(&'a [u8], &'a [u8]), CodecError> {
    let (tag, rest) = bytes.split_first().ok_or(CodecError::Truncated)?;
    match *tag {
        PLAIN => rest.split_at_checked(count).ok_or(CodecError::Truncated),
        CONSTANT => {
            let (byte, rest) = rest.split_first().ok_or(CodecError::Truncated)?;
            scratch.clear();
            scratch.resize(count, *byte);
            Ok((scratch, rest))
        }
        CODED => {
            let (len, rest) = rest.split_first_chunk().ok_or(CodecError::Truncated)?;
            let len = u32::from_le_bytes(*len) as usize;
            let (coded, rest) = rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
            scratch.resize(count, 0);
            prefix::decode(coded, scratch)?;
            Ok((scratch, rest))
        }
        got => Err(CodecError::Tag { got }),
    }
}

const PLAIN: u8 = 0;
const CONSTANT: u8 = 1;
const CODED: u8 = 2;
/// Bytes that are looked at before a histogram is made of all, from so many places.
const SAMPLE: usize = 2048;
const PIECES: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    const ALL: [Layout; 7] = [
        Layout::Whole(Width::One),
        Layout::Whole(Width::Two),
        Layout::Whole(Width::Four),
        Layout::Whole(Width::Eight),
        Layout::Bf16,
        Layout::F16,
        Layout::F32,
    ];

    /// Numbers like weights: sums of twelve evenly drawn ones, every exponent below one.
    fn weights(count: usize) -> Vec<f32> {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut even = || (f64::from(rng.next_u32()) / f64::from(u32::MAX)) as f32 - 0.5;
        (0..count)
            .map(|_| (0..12).map(|_| even()).sum::<f32>() * 0.02)
            .collect()
    }

    fn round_trip(numbers: &[u8], layout: Layout) -> usize {
        let (mut planes, mut out) = (Planes::default(), Vec::new());
        planes.pack(numbers, layout, &mut out);
        let mut back = alloc::vec![0xaa; numbers.len()];
        planes.unpack(&out, layout, &mut back).unwrap();
        assert!(back == numbers, "{layout:?}, {} bytes", numbers.len());
        out.len()
    }

    #[test]
    fn every_layout_gives_back_every_bit() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for layout in ALL {
            for count in [0, 1, 2, 3, 7, 64, 1000, 9000] {
                let mut noise = alloc::vec![0; count * layout.width()];
                round_trip(&noise, layout);
                rng.fill_bytes(&mut noise);
                round_trip(&noise, layout);
                noise
                    .iter_mut()
                    .for_each(|byte| *byte = byte.count_ones() as u8);
                round_trip(&noise, layout);
            }
        }
    }

    #[test]
    fn noise_grows_by_a_tag_for_each_plane_and_no_more() {
        let mut noise = alloc::vec![0; 80_000];
        ChaCha20Rng::from_seed([2; 32]).fill_bytes(&mut noise);
        for layout in ALL {
            assert!(round_trip(&noise, layout) <= noise.len() + layout.width());
        }
    }

    #[test]
    fn weights_cost_their_mantissa_and_under_three_bits() {
        let weights = weights(100_000);
        let f32s: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let bits = round_trip(&f32s, Layout::F32) as f64 * 8.0 / weights.len() as f64;
        assert!((26.0..27.0).contains(&bits), "{bits}");
        let bf16s: Vec<u8> = weights
            .iter()
            .flat_map(|w| ((w.to_bits() >> 16) as u16).to_le_bytes())
            .collect();
        let bits = round_trip(&bf16s, Layout::Bf16) as f64 * 8.0 / weights.len() as f64;
        assert!((10.0..11.0).contains(&bits), "{bits}");
    }

    #[test]
    fn low_bits_that_are_clear_cost_nothing() {
        let weights = weights(50_000);
        let clean: Vec<u8> = weights
            .iter()
            .flat_map(|w| (w.to_bits() & !0xffff).to_le_bytes())
            .collect();
        let bits = round_trip(&clean, Layout::F32) as f64 * 8.0 / weights.len() as f64;
        assert!(bits < 11.0, "{bits}");
    }

    #[test]
    fn cut_and_flipped_planes_never_panic() {
        let numbers: Vec<u8> = weights(300).iter().flat_map(|w| w.to_le_bytes()).collect();
        let (mut planes, mut out) = (Planes::default(), Vec::new());
        planes.pack(&numbers, Layout::F32, &mut out);
        let mut back = alloc::vec![0; numbers.len()];
        for len in 0..out.len() {
            assert!(
                planes.unpack(&out[..len], Layout::F32, &mut back).is_err(),
                "{len}"
            );
        }
        for bit in 0..out.len() * 8 {
            let mut changed = out.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = planes.unpack(&changed, Layout::F32, &mut back);
            assert!(result.is_err() || back != numbers, "bit {bit}");
        }
    }
}
