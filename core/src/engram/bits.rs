//! Bits as they are, the lowest of each byte first: what no model can tell.

use alloc::vec::Vec;

use super::error::CodecError;

/// Writes or reads bits as they are.
pub(super) trait Plain {
    /// Codes `count` ≤ 32 bits. A writer writes the lowest of `bits` and returns them; a reader returns what was written.
    fn code(&mut self, count: u32, bits: u32) -> u32;

    /// Codes the `count` ≤ 32 lowest bits of a number, which are as many in all numbers.
    #[inline(always)]
    fn tail(&mut self, count: u32, bits: u32) -> u32 {
        self.code(count, bits)
    }
}

/// Writes bits.
#[derive(Debug, Default)]
pub(super) struct PlainWriter {
    bytes: Vec<u8>,
    waiting: u64,
    /// Bits that wait, below 32.
    count: u32,
}

impl PlainWriter {
    /// Returns the bytes; the last is filled with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let rest = self.waiting.to_le_bytes();
        self.bytes
            .extend(rest.iter().take(self.count.div_ceil(8) as usize));
        self.bytes
    }
}

impl Plain for PlainWriter {
    #[inline(always)]
    fn code(&mut self, count: u32, bits: u32) -> u32 {
        let bits = (u64::from(bits) & ((1 << count) - 1)) as u32;
        self.waiting |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend((self.waiting as u32).to_le_bytes());
            self.waiting >>= 32;
            self.count -= 32;
        }
        bits
    }
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct PlainReader<'a> {
    bytes: &'a [u8],
    waiting: u64,
    count: u32,
    /// Bits that were missing at the end.
    past: u32,
}

impl<'a> PlainReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            waiting: 0,
            count: 0,
            past: 0,
        }
    }

    /// Says whether exactly the bits of the stream were read, and the rest of its last byte is zeros.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub(super) fn finish(self) -> Result<(), CodecError> {
        let is_exact = self.bytes.is_empty()
            && self.waiting == 0
            && self.count >= self.past
            && self.count - self.past < 8;
        if is_exact {
            Ok(())
        } else {
            Err(CodecError::Truncated)
        }
    }

    #[inline(never)]
    fn fill_last(&mut self) {
        for byte in self.bytes {
            self.waiting |= u64::from(*byte) << self.count;
            self.count += 8;
        }
        self.bytes = &[];
        if self.count < 32 {
            // Zeros past the end; `finish` tells whether one was used.
            self.past += 32 - self.count;
            self.count = 32;
        }
    }
}

impl Plain for PlainReader<'_> {
    #[inline(always)]
    fn code(&mut self, count: u32, _: u32) -> u32 {
        if self.count < count {
            if let Some((word, rest)) = self.bytes.split_first_chunk() {
                self.waiting |= u64::from(u32::from_le_bytes(*word)) << self.count;
                self.count += 32;
                self.bytes = rest;
            } else {
                self.fill_last();
            }
        }
        let bits = self.waiting & ((1 << count) - 1);
        self.waiting >>= count;
        self.count -= count;
        bits as u32
    }
}

/// Writes bits; whole bytes of tails are kept apart, a plane for each, because some are not noise: differences of floats have
/// low bits that are mostly clear.
#[derive(Debug, Default)]
pub(super) struct TailWriter {
    pub(super) bits: PlainWriter,
    pub(super) planes: [Vec<u8>; MAX_TAIL],
}

/// Whole bytes of the longest tail: of 21 bits.
pub(super) const MAX_TAIL: usize = 2;

impl Plain for TailWriter {
    #[inline(always)]
    fn code(&mut self, count: u32, bits: u32) -> u32 {
        self.bits.code(count, bits)
    }

    #[inline(always)]
    fn tail(&mut self, count: u32, bits: u32) -> u32 {
        let whole = whole_bytes(count);
        for (place, plane) in self.planes.iter_mut().take(whole).enumerate() {
            plane.push((bits >> (8 * place)) as u8);
        }
        self.bits
            .code(count - 8 * whole as u32, bits >> (8 * whole));
        bits
    }
}

/// Reads what [`TailWriter`] wrote.
#[derive(Debug)]
pub(super) struct TailReader<'a> {
    pub(super) bits: PlainReader<'a>,
    pub(super) planes: [&'a [u8]; MAX_TAIL],
    /// The number that is read.
    pub(super) at: usize,
}

impl Plain for TailReader<'_> {
    #[inline(always)]
    fn code(&mut self, count: u32, bits: u32) -> u32 {
        self.bits.code(count, bits)
    }

    #[inline(always)]
    fn tail(&mut self, count: u32, _: u32) -> u32 {
        let whole = whole_bytes(count);
        let mut bits = self.bits.code(count - 8 * whole as u32, 0) << (8 * whole);
        for (place, plane) in self.planes.iter().take(whole).enumerate() {
            // Planes have a byte for every number.
            bits |= u32::from(plane.get(self.at).copied().unwrap_or(0)) << (8 * place);
        }
        self.at += 1;
        bits
    }
}

/// Returns how many bytes of a tail of `count` bits are whole and go to planes.
pub(super) const fn whole_bytes(count: u32) -> usize {
    let whole = (count / 8) as usize;
    if whole > MAX_TAIL { MAX_TAIL } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 0 to 32 bits.
    fn numbers() -> Vec<(u32, u32)> {
        (0..200u32)
            .map(|place| (place * 7 % 33, place.wrapping_mul(0x9e37_79b9)))
            .collect()
    }

    #[test]
    fn bits_come_back_and_every_cut_is_told() {
        for len in [0, 1, 2, 3, 5, 199] {
            let numbers = &numbers()[..len];
            let mut writer = PlainWriter::default();
            let written: Vec<u32> = numbers
                .iter()
                .map(|(count, bits)| writer.code(*count, *bits))
                .collect();
            let bytes = writer.finish();
            let bits: u32 = numbers.iter().map(|(count, _)| count).sum();
            assert_eq!(bytes.len() as u32, bits.div_ceil(8));
            let read = |bytes: &[u8]| {
                let mut reader = PlainReader::new(bytes);
                let read: Vec<u32> = numbers
                    .iter()
                    .map(|(count, _)| reader.code(*count, 0))
                    .collect();
                (read == written, reader.finish().is_ok())
            };
            assert_eq!(read(&bytes), (true, true), "{len} numbers");
            for cut in 0..bytes.len() {
                assert!(!read(&bytes[..cut]).1, "{cut} bytes of {}", bytes.len());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(!read(&longer).1);
        }
    }
}
