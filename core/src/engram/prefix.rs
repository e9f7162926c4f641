//! A prefix code for planes of bytes, decoded several symbols at a time where they are short.
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
    let mut counts = Counts::new();
    counts.add(plane);
    counts.sum()
}

/// Counts of bytes: four of each, so that a run of one byte does not wait for itself.
pub(super) struct Counts([[u32; 256]; 4]);

impl Counts {
    pub(super) const fn new() -> Self {
        Self([[0; 256]; 4])
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let [a, b, c, d] = &mut self.0;
        let (fours, rest) = bytes.as_chunks::<4>();
        for four in fours {
            a[usize::from(four[0])] += 1;
            b[usize::from(four[1])] += 1;
            c[usize::from(four[2])] += 1;
            d[usize::from(four[3])] += 1;
        }
        for byte in rest {
            a[usize::from(*byte)] += 1;
        }
    }

    pub(super) fn sum(&self) -> [u32; 256] {
        core::array::from_fn(|byte| self.0.iter().map(|part| part[byte]).sum())
    }
}

/// A code for a plane.
pub(super) struct Code {
    /// For each symbol its length (8 bits) and its code above: the lengths of five are added up without reaching the codes.
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
        let ends_at = out.len();
        let start = ends_at + 4 * (STREAMS - 1);
        out.resize(start + most * STREAMS, 0);
        let mut parts = out[start..].chunks_exact_mut(most);
        let mut next = || parts.next().unwrap_or_default();
        let [mut wa, mut wb, mut wc, mut wd] = [next(), next(), next(), next()].map(Writer::new);
        let quarters: [&[u8]; STREAMS] = core::array::from_fn(|stream| {
            let from = (stream * quarter).min(plane.len());
            let to = (from + quarter).min(plane.len());
            plane.get(from..to).unwrap_or_default()
        });
        let [a, b, c, d] = quarters.map(|part| part.as_chunks::<LOOKS>().0);
        let shortest = a.len().min(b.len()).min(c.len()).min(d.len());
        for (((fa, fb), fc), fd) in a.iter().zip(b).zip(c).zip(d) {
            wa.put(fa, &self.codes);
            wb.put(fb, &self.codes);
            wc.put(fc, &self.codes);
            wd.put(fd, &self.codes);
        }
        let mut writers = [wa, wb, wc, wd];
        for (writer, part) in writers.iter_mut().zip(quarters) {
            let rest = part.get(shortest * LOOKS..).unwrap_or_default();
            rest.chunks(LOOKS)
                .for_each(|some| writer.put(some, &self.codes));
        }
        let lens = writers.map(|writer| writer.len(most));
        let places = out[ends_at..start].chunks_exact_mut(4);
        for (place, len) in places.zip(lens) {
            // A plane is at most a chunk, far below 4 GiB.
            place.copy_from_slice(&(len as u32).to_le_bytes());
        }
        // The streams move together.
        let mut end = start;
        for (stream, len) in lens.into_iter().enumerate() {
            let from = start + stream * most;
            out.copy_within(from..from + len, end);
            end += len;
        }
        out.truncate(end);
    }
}

struct Writer<'a> {
    /// What is left of the buffer.
    buffer: &'a mut [u8],
    bits: u64,
    count: u32,
}

impl<'a> Writer<'a> {
    fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            bits: 0,
            count: 0,
        }
    }

    /// Writes up to five symbols: 55 bits beside the seven that may wait. `codes` are those of [`Code`].
    #[inline(always)]
    fn put(&mut self, symbols: &[u8], codes: &[u32; 256]) {
        let (mut bits, mut count) = (self.bits, self.count);
        for symbol in symbols {
            let code = codes[usize::from(*symbol)];
            bits |= u64::from(code >> 8) << (count & 63);
            count += code;
        }
        let count = count & 63;
        let buffer = core::mem::take(&mut self.buffer);
        if let Some(place) = buffer.first_chunk_mut() {
            *place = bits.to_le_bytes();
            // At most seven: the mask says so to the compiler.
            self.buffer = &mut buffer[(count >> 3 & 7) as usize..];
        }
        self.bits = bits >> (count & 56);
        self.count = count & 7;
    }

    /// Returns the bytes that were written to a buffer of `most`.
    fn len(self, most: usize) -> usize {
        most - self.buffer.len() + usize::from(self.count > 0)
    }
}

/// Reads a coded plane of `out.len()` bytes. O(n).
///
/// # Errors
/// [`CodecError::Code`] for lengths that make no complete code, [`CodecError::Truncated`] for streams that are cut or too long.
pub(super) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
    decode_by(bytes, out, MIN_SEVERAL)
}

/// Like [`decode`]: from `min_several` symbols on, several with a look where they are short.
fn decode_by(bytes: &[u8], out: &mut [u8], min_several: usize) -> Result<(), CodecError> {
    let (lengths, rest) = read_lengths(bytes)?;
    let singles = singles(&lengths)?;
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
    let out_len = out.len();
    let quarter = out_len.div_ceil(STREAMS);
    let mut parts = out.chunks_mut(quarter.max(1));
    let mut next = || parts.next().unwrap_or_default();
    let mut parts = [next(), next(), next(), next()];
    if out_len < min_several || mean_length(&lengths) > MAX_MEAN {
        (readers, parts) = decode_singly(readers, &singles, parts);
    } else {
        (readers, parts) = decode_several(readers, &several(&singles, &lengths)[1], parts);
    }
    for (reader, part) in readers.into_iter().zip(parts) {
        reader.finish(&singles, part)?;
    }
    Ok(())
}

/// Readers, and what they have yet to fill.
type Streams<'a, 'b> = ([Reader<'a>; STREAMS], [&'b mut [u8]; STREAMS]);

/// Reads most of each part, several symbols with a look; returns the rest.
fn decode_several<'a, 'b>(
    readers: [Reader<'a>; STREAMS],
    table: &[u64; TABLE],
    parts: [&'b mut [u8]; STREAMS],
) -> Streams<'a, 'b> {
    let [mut ra, mut rb, mut rc, mut rd] = readers;
    let [mut a, mut b, mut c, mut d] = parts;
    // Room for five looks of six symbols each, written eight bytes at a time.
    while let (Some(pa), Some(pb), Some(pc), Some(pd)) = (
        a.first_chunk_mut(),
        b.first_chunk_mut(),
        c.first_chunk_mut(),
        d.first_chunk_mut(),
    ) {
        if !(ra.fill() && rb.fill() && rc.fill() && rd.fill()) {
            break;
        }
        let (mut la, mut lb, mut lc, mut ld) = (ra.looks(), rb.looks(), rc.looks(), rd.looks());
        for _ in 0..LOOKS {
            la.look(table, pa);
            lb.look(table, pb);
            lc.look(table, pc);
            ld.look(table, pd);
        }
        a = &mut a[ra.took(la)..];
        b = &mut b[rb.took(lb)..];
        c = &mut c[rc.took(lc)..];
        d = &mut d[rd.took(ld)..];
    }
    ([ra, rb, rc, rd], [a, b, c, d])
}

/// Like [`decode_several`], a symbol with each look: quicker where hardly ever two are told by one.
fn decode_singly<'a, 'b>(
    readers: [Reader<'a>; STREAMS],
    table: &[u16; TABLE],
    parts: [&'b mut [u8]; STREAMS],
) -> Streams<'a, 'b> {
    let [mut ra, mut rb, mut rc, mut rd] = readers;
    let [mut a, mut b, mut c, mut d] = parts;
    while let (Some(pa), Some(pb), Some(pc), Some(pd)) = (
        a.first_chunk_mut::<LOOKS>(),
        b.first_chunk_mut::<LOOKS>(),
        c.first_chunk_mut::<LOOKS>(),
        d.first_chunk_mut::<LOOKS>(),
    ) {
        if !(ra.fill() && rb.fill() && rc.fill() && rd.fill()) {
            break;
        }
        let (mut la, mut lb, mut lc, mut ld) = (ra.looks(), rb.looks(), rc.looks(), rd.looks());
        for (((pa, pb), pc), pd) in pa.iter_mut().zip(pb).zip(pc).zip(pd) {
            *pa = la.single(table);
            *pb = lb.single(table);
            *pc = lc.single(table);
            *pd = ld.single(table);
        }
        ra.took(la);
        rb.took(lb);
        rc.took(lc);
        rd.took(ld);
        a = &mut a[LOOKS..];
        b = &mut b[LOOKS..];
        c = &mut c[LOOKS..];
        d = &mut d[LOOKS..];
    }
    ([ra, rb, rc, rd], [a, b, c, d])
}

/// Looks at the table between two fills: 56 bits hold five of eleven.
const LOOKS: usize = 5;
/// Bytes that the looks between two fills may write: the last of them up to 24 symbols behind the first, and eight bytes.
const ROOM: usize = 40;
/// Bits a symbol above which one look hardly ever tells two. Measured: planes of weights have less than 4 or more than 6.
const MAX_MEAN: f64 = 5.0;
/// Symbols from which on the table of several is worth making. Guess: it takes as long as some ten thousand single looks save.
const MIN_SEVERAL: usize = 16_384;

struct Reader<'a> {
    bytes: &'a [u8],
    bits: u64,
    /// Bits of `bits` that are taken from `bytes` already; above them it may hold the next ones too.
    count: u32,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            bits: 0,
            count: 0,
        }
    }

    /// Fills up to at least 56 bits; `false` near the end of the stream.
    #[inline(always)]
    fn fill(&mut self) -> bool {
        let Some(word) = self.bytes.first_chunk() else {
            return false;
        };
        self.bits |= u64::from_le_bytes(*word) << self.count;
        self.bytes = &self.bytes[(63 - self.count as usize) >> 3 & 7..];
        // As many whole bytes as fit.
        self.count |= 56;
        true
    }

    /// Begins the looks between two fills.
    #[inline(always)]
    fn looks(&self) -> Looks {
        Looks {
            bits: self.bits,
            told: 0,
        }
    }

    /// Ends them; returns how many symbols they told.
    #[inline(always)]
    fn took(&mut self, looks: Looks) -> usize {
        self.bits = looks.bits;
        self.count -= (looks.told & 0xff) as u32;
        looks.symbols()
    }

    /// Reads what is left, one symbol at a time, up to the exact end of the stream.
    fn finish(mut self, table: &[u16; TABLE], out: &mut [u8]) -> Result<(), CodecError> {
        let mut missing = 0;
        for place in out {
            while self.count < MAX_BITS {
                // Zeros past the end; those that are used are missed below.
                let byte = self.bytes.split_off_first();
                missing += u32::from(byte.is_none()) * 8;
                self.bits |= u64::from(byte.copied().unwrap_or(0)) << self.count;
                self.count += 8;
            }
            let mut looks = self.looks();
            *place = looks.single(table);
            self.took(looks);
        }
        // What is left in hand: less than a byte of the stream itself, and the zeros that were filled in.
        let is_exact = self.bytes.is_empty()
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

/// The looks between two fills. Two numbers, so that those of four streams stay in registers.
struct Looks {
    bits: u64,
    /// The entries that were looked up, added: the bits they used (8), their symbols' number (8), and nothing of use.
    told: u64,
}

impl Looks {
    /// Writes the symbols of one look behind those of the looks before.
    #[inline(always)]
    fn look(&mut self, table: &[u64; TABLE], room: &mut [u8; ROOM]) {
        let entry = table[(self.bits & (TABLE as u64 - 1)) as usize];
        let at = self.symbols();
        room[at..at + 8].copy_from_slice(&(entry >> 16).to_le_bytes());
        self.bits >>= entry & 63;
        self.told = self.told.wrapping_add(entry);
    }

    /// Returns the next symbol.
    #[inline(always)]
    fn single(&mut self, table: &[u16; TABLE]) -> u8 {
        let entry = table[(self.bits & (TABLE as u64 - 1)) as usize];
        self.bits >>= entry & 63;
        self.told += u64::from(entry & 0xff);
        (entry >> 8) as u8
    }

    /// At most thirty. The mask says so to the compiler.
    #[inline(always)]
    fn symbols(&self) -> usize {
        (self.told >> 8 & 31) as usize
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

/// Canonical codes in the order of length and symbol, laid out as in [`Code`], with their bits turned round: the lowest goes out
/// first.
fn codes(lengths: &[u8; 256]) -> [u32; 256] {
    // For each length the next code; index 0 is for what does not occur.
    let mut next = [0u32; MAX_BITS as usize + 1];
    for length in lengths.iter().filter(|length| **length > 0) {
        if let Some(count) = next.get_mut(usize::from(*length)) {
            *count += 1;
        }
    }
    let mut first = 0;
    for count in next.iter_mut().skip(1) {
        let here = *count;
        *count = first;
        first = (first + here) << 1;
    }
    lengths.map(|length| match next.get_mut(usize::from(length)) {
        Some(code) if length > 0 => {
            let bits = code.reverse_bits() >> (32 - u32::from(length));
            *code += 1;
            bits << 8 | u32::from(length)
        }
        _ => 0,
    })
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

/// Makes the table of a code: for each eleven bits the length of the first symbol (8 bits) and that symbol (8).
///
/// # Errors
/// [`CodecError::Code`] where some eleven bits would mean nothing, or more than one thing.
fn singles(lengths: &[u8; 256]) -> Result<Box<[u16; TABLE]>, CodecError> {
    let is_code = lengths.iter().all(|length| u32::from(*length) <= MAX_BITS);
    let used = lengths.iter().filter(|length| **length > 0);
    let filled: u64 = used.map(|length| (TABLE as u64) >> (*length).min(63)).sum();
    if !is_code || filled != TABLE as u64 {
        return Err(CodecError::Code);
    }
    let mut table = Box::new([0; TABLE]);
    for (symbol, code) in codes(lengths)
        .iter()
        .enumerate()
        .filter(|(_, code)| **code > 0)
    {
        let (bits, length) = ((code >> 8) as usize, code & 0xff);
        let places = table.iter_mut().skip(bits).step_by(1 << length);
        places.for_each(|entry| *entry = (symbol as u16) << 8 | length as u16);
    }
    Ok(table)
}

/// Makes the table for several symbols: for each eleven bits how many are used (8), by how many symbols (8), and those (48).
///
/// Place 2ᵏ + i of what is made first is for the k bits i: their first symbol, and what the bits after that tell, whose place
/// is the same number without the bits of the symbol. The second half is the table.
fn several(singles: &[u16; TABLE], lengths: &[u8; 256]) -> Box<[[u64; TABLE]; 2]> {
    let mut tables = Box::new([[0; TABLE]; 2]);
    for bits in 1..=MAX_BITS {
        let (known, table) = tables.as_flattened_mut().split_at_mut(1 << bits);
        for (index, (entry, single)) in table.iter_mut().zip(singles).enumerate().take(1 << bits) {
            let length = u32::from(single & 0xff);
            // Where the bits do not tell a whole symbol they tell none.
            if length > bits {
                continue;
            }
            let place = (1 << bits | index) >> length;
            let rest = known.get(place).copied().unwrap_or(0);
            let (symbols, mut told) = (rest & !0xffff, rest & 0xffff);
            if told >> 8 == MAX_SYMBOLS {
                // The last is one too many.
                let last = (rest >> 56) as usize;
                told -= (1 << 8) + u64::from(lengths.get(last).copied().unwrap_or(0));
            }
            *entry =
                symbols << 8 | u64::from(single >> 8) << 16 | (told + (1 << 8) + u64::from(length));
        }
    }
    tables
}

/// Returns the bits of a symbol where each is as frequent as its code says.
fn mean_length(lengths: &[u8; 256]) -> f64 {
    let used = lengths.iter().filter(|length| **length > 0);
    used.map(|length| f64::from(*length) / f64::from(1u32 << *length))
        .sum()
}

#[cfg(test)]
mod tests;
