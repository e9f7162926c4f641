//! A prefix code for planes of bytes, decoded several symbols at a time.
//!
//! Exponents of weights have an entropy of two to three bits, so one look at eleven bits of a stream tells three to five of
//! them: the table holds up to six symbols with the bits that they take. Four streams, each a quarter of the plane, keep
//! the processor busy while one waits for its table.
//!
//! Lengths are the best for their limit (Larmore, Hirschberg 1990, "A fast algorithm for optimal length-limited Huffman
//! codes": package-merge); codes are canonical, their bits go out lowest first.
//!
//! # Bytes of a coded plane
//! First symbol, last symbol, a nibble with the length of each code between them (low nibble first), three lengths of
//! streams (32 bits each, little-endian; the fourth is the rest), four streams.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::error::CodecError;

/// Longest code in bits. Source: eleven make a table of 16 KiB, which fits a first-level cache with room for streams.
const MAX_BITS: u32 = 11;
const STREAMS: usize = 4;
const TABLE: usize = 1 << MAX_BITS;
/// Symbols of one entry of the table.
const MAX_SYMBOLS: u64 = 6;

/// Returns how often each byte is in `plane`. O(n).
pub(super) fn histogram(plane: &[u8]) -> [u32; 256] {
    // Four counts, so that a run of one byte does not wait for itself.
    let mut parts = [[0u32; 256]; 4];
    let mut fours = plane.chunks_exact(4);
    for four in &mut fours {
        if let [a, b, c, d] = *four {
            parts[0][usize::from(a)] += 1;
            parts[1][usize::from(b)] += 1;
            parts[2][usize::from(c)] += 1;
            parts[3][usize::from(d)] += 1;
        }
    }
    for byte in fours.remainder() {
        parts[0][usize::from(*byte)] += 1;
    }
    core::array::from_fn(|byte| parts.iter().map(|part| part[byte]).sum())
}

/// A code for a plane.
pub(super) struct Code {
    /// For each symbol its code, and its length from bit 16 on.
    codes: [u32; 256],
    lengths: [u8; 256],
}

impl Code {
    /// Makes the best code for `histogram`, in which at least two symbols occur.
    pub(super) fn new(histogram: &[u32; 256]) -> Self {
        let lengths = lengths(histogram);
        Self {
            codes: codes(&lengths),
            lengths,
        }
    }

    /// Returns the bytes that a plane with this `histogram` takes, without the stream's ends.
    pub(super) fn size(&self, histogram: &[u32; 256]) -> u64 {
        let bits: u64 = histogram
            .iter()
            .zip(&self.lengths)
            .map(|(count, length)| u64::from(*count) * u64::from(*length))
            .sum();
        bits / 8 + 160
    }

    /// Writes `plane`. O(n).
    pub(super) fn encode(&self, plane: &[u8], out: &mut Vec<u8>) {
        let used = |symbol: &u8| self.lengths[usize::from(*symbol)] > 0;
        let first = (0..=255).find(used).unwrap_or(0);
        let last = (0..=255).rev().find(used).unwrap_or(255);
        out.extend([first, last]);
        let between = &self.lengths[usize::from(first)..=usize::from(last)];
        out.extend(between.chunks(2).map(|two| match *two {
            [low, high] => low | high << 4,
            [low] => low,
            _ => 0,
        }));
        let quarter = plane.len().div_ceil(STREAMS);
        // Eleven bits a symbol at the most, and eight bytes to write past the end.
        let most = quarter * MAX_BITS as usize / 8 + 16;
        let mut buffer = vec![0; most * STREAMS];
        let mut parts = buffer.chunks_exact_mut(most);
        let mut next = || parts.next().unwrap_or_default();
        let mut writers = [next(), next(), next(), next()].map(Writer::new);
        let quarters: [&[u8]; STREAMS] = core::array::from_fn(|stream| {
            let from = (stream * quarter).min(plane.len());
            let to = (from + quarter).min(plane.len());
            plane.get(from..to).unwrap_or_default()
        });
        let shortest = quarters.iter().map(|part| part.len()).min().unwrap_or(0) & !3;
        let [a, b, c, d] = quarters.map(|part| part.split_at(shortest));
        let fours = (a.0.chunks_exact(4).zip(b.0.chunks_exact(4)))
            .zip(c.0.chunks_exact(4).zip(d.0.chunks_exact(4)));
        let [wa, wb, wc, wd] = &mut writers;
        for ((fa, fb), (fc, fd)) in fours {
            wa.put(fa, &self.codes);
            wb.put(fb, &self.codes);
            wc.put(fc, &self.codes);
            wd.put(fd, &self.codes);
        }
        for (writer, rest) in writers.iter_mut().zip([a.1, b.1, c.1, d.1]) {
            rest.chunks(4)
                .for_each(|four| writer.put(four, &self.codes));
        }
        let ends = writers.each_ref().map(Writer::len);
        for end in &ends[..STREAMS - 1] {
            // A plane is at most a chunk, far below 4 GiB.
            out.extend((*end as u32).to_le_bytes());
        }
        for (writer, end) in writers.iter().zip(ends) {
            out.extend(writer.buffer.get(..end).unwrap_or_default());
        }
    }
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
    bits: u64,
    count: u32,
}

impl<'a> Writer<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            at: 0,
            bits: 0,
            count: 0,
        }
    }

    /// Writes up to four symbols: 44 bits beside the seven that may wait.
    #[inline(always)]
    fn put(&mut self, symbols: &[u8], codes: &[u32; 256]) {
        for symbol in symbols {
            let code = codes[usize::from(*symbol)];
            self.bits |= u64::from(code & 0xffff) << self.count;
            self.count += code >> 16;
        }
        if let Some(place) = self.buffer.get_mut(self.at..self.at + 8) {
            place.copy_from_slice(&self.bits.to_le_bytes());
        }
        let whole = self.count >> 3;
        self.at += whole as usize;
        self.bits >>= whole * 8;
        self.count &= 7;
    }

    fn len(&self) -> usize {
        self.at + usize::from(self.count > 0)
    }
}

/// Reads a coded plane of `out.len()` bytes. O(n).
///
/// # Errors
/// [`CodecError::Code`] for lengths that make no complete code, [`CodecError::Truncated`] for streams that are cut or too long.
pub(super) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
    let (lengths, rest) = read_lengths(bytes)?;
    let table = table(&lengths)?;
    let (ends, mut rest) = rest
        .split_at_checked(4 * (STREAMS - 1))
        .ok_or(CodecError::Truncated)?;
    let mut readers = [const { Reader::new(&[]) }; STREAMS];
    for (stream, reader) in readers.iter_mut().enumerate() {
        let end = match ends.get(4 * stream..4 * stream + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => rest.len(),
        };
        let (own, others) = rest.split_at_checked(end).ok_or(CodecError::Truncated)?;
        *reader = Reader::new(own);
        rest = others;
    }
    let quarter = out.len().div_ceil(STREAMS);
    let mut parts = out.chunks_mut(quarter.max(1));
    let mut next = || parts.next().unwrap_or_default();
    let [a, b, c, d] = &mut [next(), next(), next(), next()];
    let [ra, rb, rc, rd] = &mut readers;
    // While all four have room for five looks of six symbols, and eight bytes to read.
    let mut at = [0usize; STREAMS];
    loop {
        let has_room = |at: usize, part: &[u8]| at + LOOKS * MAX_SYMBOLS as usize + 2 <= part.len();
        if !(has_room(at[0], a) && has_room(at[1], b) && has_room(at[2], c) && has_room(at[3], d)) {
            break;
        }
        if !(ra.fill() && rb.fill() && rc.fill() && rd.fill()) {
            break;
        }
        for _ in 0..LOOKS {
            at[0] = ra.look(&table, a, at[0]);
            at[1] = rb.look(&table, b, at[1]);
            at[2] = rc.look(&table, c, at[2]);
            at[3] = rd.look(&table, d, at[3]);
        }
    }
    ra.finish(&table, &lengths, a.get_mut(at[0]..).unwrap_or_default())?;
    rb.finish(&table, &lengths, b.get_mut(at[1]..).unwrap_or_default())?;
    rc.finish(&table, &lengths, c.get_mut(at[2]..).unwrap_or_default())?;
    rd.finish(&table, &lengths, d.get_mut(at[3]..).unwrap_or_default())
}

/// Looks at the table between two fills: 56 bits hold five of eleven.
const LOOKS: usize = 5;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    bits: u64,
    count: u32,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            bits: 0,
            count: 0,
        }
    }

    /// Fills up to at least 56 bits; `false` near the end of the stream.
    #[inline(always)]
    fn fill(&mut self) -> bool {
        let Some(&[a, b, c, d, e, f, g, h]) = self.bytes.get(self.at..self.at + 8) else {
            return false;
        };
        self.bits |= u64::from_le_bytes([a, b, c, d, e, f, g, h]) << self.count;
        let taken = (63 - self.count) >> 3;
        self.at += taken as usize;
        self.count += taken * 8;
        true
    }

    /// Writes the symbols of one look to `out` from `at` on; returns where the next ones go.
    #[inline(always)]
    fn look(&mut self, table: &[u64; TABLE], out: &mut [u8], at: usize) -> usize {
        let entry = table[(self.bits & (TABLE as u64 - 1)) as usize];
        if let Some(place) = out.get_mut(at..at + 8) {
            place.copy_from_slice(&entry.to_le_bytes());
        }
        let used = (entry >> 56) as u32;
        self.bits >>= used;
        self.count -= used;
        at + (entry >> 48 & 0xff) as usize
    }

    /// Reads what is left, one symbol at a time, up to the exact end of the stream.
    fn finish(
        &mut self,
        table: &[u64; TABLE],
        lengths: &[u8; 256],
        out: &mut [u8],
    ) -> Result<(), CodecError> {
        let mut missing = 0;
        for place in out {
            while self.count < MAX_BITS {
                // Zeros past the end; those that are used are missed below.
                let byte = self.bytes.get(self.at);
                missing += u32::from(byte.is_none()) * 8;
                self.bits |= u64::from(byte.copied().unwrap_or(0)) << self.count;
                self.at += 1;
                self.count += 8;
            }
            let entry = table[(self.bits & (TABLE as u64 - 1)) as usize];
            *place = entry as u8;
            let used = u32::from(lengths[usize::from(entry as u8)]);
            self.bits >>= used;
            self.count -= used;
        }
        // What is left in hand: less than a byte of the stream itself, and the zeros that were filled in.
        let is_exact = self.at >= self.bytes.len()
            && self.count >= missing
            && self.count - missing < 8
            && self.bits == 0;
        if is_exact {
            Ok(())
        } else {
            Err(CodecError::Truncated)
        }
    }
}

/// Lengths of the best code of at most [`MAX_BITS`], 0 for what does not occur. O(symbols × bits).
fn lengths(histogram: &[u32; 256]) -> [u8; 256] {
    let mut leaves: Vec<(u64, u8)> = (0..=255u8)
        .map(|symbol| (u64::from(histogram[usize::from(symbol)]), symbol))
        .filter(|(count, _)| *count > 0)
        .collect();
    leaves.sort_unstable();
    // For each level, from the deepest: which of its items, in order of weight, are packages of two of the level below.
    let mut levels: Vec<Vec<bool>> = Vec::with_capacity(MAX_BITS as usize);
    let mut below: Vec<u64> = Vec::new();
    for _ in 0..MAX_BITS {
        let packages = below.chunks_exact(2).map(|two| two.iter().sum::<u64>());
        let (mut packages, mut singles) = (packages.peekable(), leaves.iter().peekable());
        let (mut weights, mut kinds) = (Vec::new(), Vec::new());
        loop {
            let is_package = match (packages.peek(), singles.peek()) {
                (Some(package), Some((count, _))) => package < count,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let weight = if is_package {
                packages.next()
            } else {
                singles.next().map(|(count, _)| *count)
            };
            weights.extend(weight);
            kinds.push(is_package);
        }
        below = weights;
        levels.push(kinds);
    }
    let mut lengths = [0; 256];
    let mut chosen = (2 * leaves.len()).saturating_sub(2);
    for level in levels.iter().rev() {
        let packages = level
            .iter()
            .take(chosen)
            .filter(|is_package| **is_package)
            .count();
        for (_, symbol) in leaves.iter().take(chosen - packages) {
            lengths[usize::from(*symbol)] += 1;
        }
        chosen = 2 * packages;
    }
    lengths
}

/// Canonical codes in the order of length and symbol, with their bits turned round: the lowest goes out first.
fn codes(lengths: &[u8; 256]) -> [u32; 256] {
    let mut codes = [0; 256];
    let mut code = 0u32;
    for length in 1..=MAX_BITS {
        for (symbol, _) in lengths
            .iter()
            .enumerate()
            .filter(|(_, own)| u32::from(**own) == length)
        {
            codes[symbol] = code.reverse_bits() >> (32 - length) | length << 16;
            code += 1;
        }
        code <<= 1;
    }
    codes
}

fn read_lengths(bytes: &[u8]) -> Result<([u8; 256], &[u8]), CodecError> {
    let (&[first, last], rest) = bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
    let count = (usize::from(last) + 1).saturating_sub(usize::from(first));
    let (nibbles, rest) = rest
        .split_at_checked(count.div_ceil(2))
        .ok_or(CodecError::Truncated)?;
    let mut lengths = [0; 256];
    for (place, length) in lengths
        .iter_mut()
        .skip(usize::from(first))
        .take(count)
        .enumerate()
    {
        let two = nibbles.get(place / 2).copied().unwrap_or(0);
        *length = if place % 2 == 0 { two & 15 } else { two >> 4 };
    }
    // One spelling alone: the range is as narrow as it can be, and what fills the last byte is zero.
    let ends = [first, last].map(|end| lengths[usize::from(end)] > 0);
    let spare = nibbles
        .last()
        .filter(|_| count % 2 == 1)
        .is_none_or(|last| last >> 4 == 0);
    if ends == [true; 2] && spare {
        Ok((lengths, rest))
    } else {
        Err(CodecError::Code)
    }
}

/// Makes the table of a code: for each eleven bits six symbols (48 bits), how many of them count (8) and their bits (8).
///
/// # Errors
/// [`CodecError::Code`] where some eleven bits would mean nothing, or more than one thing.
fn table(lengths: &[u8; 256]) -> Result<Box<[u64; TABLE]>, CodecError> {
    let is_code = lengths.iter().all(|length| u32::from(*length) <= MAX_BITS);
    let used = lengths.iter().filter(|length| **length > 0);
    let filled: u64 = used.map(|length| (TABLE as u64) >> (*length).min(63)).sum();
    if !is_code || filled != TABLE as u64 {
        return Err(CodecError::Code);
    }
    let codes = codes(lengths);
    let mut firsts = [0u8; TABLE];
    for (symbol, code) in codes.iter().enumerate().filter(|(_, code)| **code > 0) {
        let (bits, length) = ((code & 0xffff) as usize, code >> 16);
        let places = firsts.iter_mut().skip(bits).step_by(1 << length);
        places.for_each(|first| *first = symbol as u8);
    }
    let mut table = Box::new([0; TABLE]);
    for (index, entry) in table.iter_mut().enumerate() {
        let (mut symbols, mut count, mut used) = (0, 0, 0);
        while count < MAX_SYMBOLS {
            let symbol = firsts[index >> used];
            let length = u32::from(lengths[usize::from(symbol)]);
            if used + length > MAX_BITS {
                break;
            }
            symbols |= u64::from(symbol) << (8 * count);
            count += 1;
            used += length;
        }
        *entry = symbols | count << 48 | u64::from(used) << 56;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    /// Bytes with about `bits` bits of information each.
    fn plane(len: usize, bits: u32, seed: u8) -> Vec<u8> {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        (0..len)
            .map(|_| (rng.next_u32() >> (32 - bits)).count_ones() as u8 * 3 + 100)
            .collect()
    }

    fn coded(plane: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Code::new(&histogram(plane)).encode(plane, &mut out);
        out
    }

    #[test]
    fn planes_of_every_length_come_back() {
        for len in (2..300).chain([1000, 4096, 65_537]) {
            let mut plane = plane(len, 8, 1);
            plane[0] = 7;
            let coded = coded(&plane);
            let mut back = vec![0; len];
            decode(&coded, &mut back).unwrap();
            assert_eq!(back, plane, "{len} bytes");
            assert!(coded.len() as u64 <= Code::new(&histogram(&plane)).size(&histogram(&plane)));
        }
    }

    #[test]
    fn codes_are_as_short_as_the_counts_allow() {
        // Fibonacci numbers would make a code of seventeen bits without the limit.
        let mut histogram = [0; 256];
        let (mut a, mut b) = (1, 1);
        for count in histogram.iter_mut().take(18) {
            *count = a;
            (a, b) = (b, a + b);
        }
        let lengths = lengths(&histogram);
        assert_eq!(lengths.iter().max(), Some(&11));
        let kraft: u32 = lengths.iter().filter(|l| **l > 0).map(|l| 2048 >> l).sum();
        assert_eq!(kraft, 2048);
        // A plain tree where the limit does not bind: 1 1 2 4 8 has lengths 4 4 3 2 1.
        let mut histogram = [0; 256];
        histogram[..5].copy_from_slice(&[1, 1, 2, 4, 8]);
        assert_eq!(super::lengths(&histogram)[..5], [4, 4, 3, 2, 1]);
    }

    #[test]
    fn a_coded_plane_is_near_its_entropy() {
        let plane = plane(100_000, 16, 3);
        let histogram = histogram(&plane);
        let entropy: f64 = histogram
            .iter()
            .filter(|count| **count > 0)
            .map(|count| f64::from(*count) * libm::log2(100_000.0 / f64::from(*count)))
            .sum();
        let size = coded(&plane).len() as f64 * 8.0;
        assert!(size < 1.02 * entropy, "{size} bits, entropy {entropy}");
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_an_error_or_other_bytes_and_never_a_panic() {
        let plane = plane(600, 8, 2);
        let coded = coded(&plane);
        let mut back = vec![0; plane.len()];
        for len in 0..coded.len() {
            assert!(decode(&coded[..len], &mut back).is_err(), "{len} bytes");
        }
        for bit in 0..coded.len() * 8 {
            let mut changed = coded.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = decode(&changed, &mut back);
            assert!(result.is_err() || back != plane, "bit {bit}");
        }
        let mut longer = coded;
        longer.push(0);
        assert!(decode(&longer, &mut back).is_err());
    }

    #[test]
    fn lengths_that_make_no_complete_code_are_refused() {
        let lengths = |nibbles: &[u8]| {
            let mut bytes = vec![0, nibbles.len() as u8 * 2 - 1];
            bytes.extend(nibbles);
            bytes.extend([0; 12]);
            decode(&bytes, &mut [0; 4])
        };
        for (nibbles, why) in [
            (&[0x00][..], "nothing"),
            (&[0x21], "a quarter means nothing"),
            (&[0x11, 0x01], "too many"),
            (&[0xc1], "twelve bits"),
        ] {
            assert_eq!(lengths(nibbles), Err(CodecError::Code), "{why}");
        }
    }
}
