//! Floats under a learned model: the exponent and the first bits of the mantissa are predicted from the scale of row and
//! column and from neighbours; what is noise stays as it is. With a base that the reader has, the difference is coded.
//!
//! A weight is told by how far its exponent is from where its row and column let expect it, step by step; each step is a
//! bit for the [mixer](super::mix). The scale is in 256ths of an octave.
//!
//! # Bytes
//! Length of the coded bits (32 bits, little-endian), coded bits, plain bits (the lowest of each byte first).

use alloc::vec;
use alloc::vec::Vec;

use super::error::CodecError;
use super::mix::{Coder, Mixer, Place, Reader, Writer};

/// A format of floats: a sign, an exponent, a mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// bfloat16.
    Bf16,
    /// binary16.
    F16,
    /// binary32.
    F32,
}

impl Float {
    /// Returns the bits of the mantissa.
    const fn mantissa(self) -> u32 {
        match self {
            Self::Bf16 => 7,
            Self::F16 => 10,
            Self::F32 => 23,
        }
    }

    /// Returns all bits.
    const fn bits(self) -> u32 {
        match self {
            Self::Bf16 | Self::F16 => 16,
            Self::F32 => 32,
        }
    }

    /// Returns the bits of each number of `bytes`.
    fn read(self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes
            .chunks_exact(self.bits() as usize / 8)
            .map(|number| match *number {
                [a, b] => u32::from(u16::from_le_bytes([a, b])),
                [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
                _ => 0,
            })
    }

    const fn top_exponent(self) -> i32 {
        match self {
            Self::Bf16 | Self::F32 => 255,
            Self::F16 => 31,
        }
    }

    /// Returns log₂ of the magnitude in 256ths, near enough, of the bits of a number; of 0 the least there is.
    const fn scale(self, bits: u32) -> i32 {
        let magnitude = bits & !(1 << (self.bits() - 1));
        let exponent = (magnitude >> self.mantissa()) as i32;
        let rest = magnitude & ((1 << self.mantissa()) - 1);
        let rest = if self.mantissa() > 8 {
            rest >> (self.mantissa() - 8)
        } else {
            rest << (8 - self.mantissa())
        };
        exponent * 256 + rest as i32
    }

    /// Returns where among all numbers of the format the bits stand: negative ones below zero.
    const fn rank(self, bits: u32) -> i64 {
        let magnitude = (bits & !(1 << (self.bits() - 1))) as i64;
        if bits >> (self.bits() - 1) == 1 {
            -1 - magnitude
        } else {
            magnitude
        }
    }

    /// Undoes [`Float::rank`]; a rank that no number has wraps round.
    const fn unrank(self, rank: i64) -> u32 {
        let mask = (1 << (self.bits() - 1)) - 1;
        if rank < 0 {
            (-1 - rank) as u32 & mask | 1 << (self.bits() - 1)
        } else {
            rank as u32 & mask
        }
    }
}

impl Model {
    /// Packs `raw`, the next numbers of the tensor; against `base`, as long, where there is one. O(n).
    pub(super) fn pack(&mut self, raw: &[u8], base: Option<&[u8]>, out: &mut Vec<u8>) {
        let (mut writer, mut plain) = (Writer::new(), PlainWriter::default());
        let float = self.float;
        let mut bases = base.map(|base| float.read(base));
        for number in float.read(raw) {
            match bases.as_mut().and_then(Iterator::next) {
                Some(base) => self.against(&mut writer, &mut plain, base, number),
                None => self.alone(&mut writer, &mut plain, number),
            };
        }
        let coded = writer.finish();
        out.extend((coded.len() as u32).to_le_bytes());
        out.extend(coded);
        out.extend(plain.finish());
    }

    /// Unpacks what [`Model::pack`] wrote. O(n).
    ///
    /// # Errors
    /// [`CodecError::Truncated`] for bytes that are cut, too long or changed; `raw` then means nothing.
    pub(super) fn unpack(
        &mut self,
        bytes: &[u8],
        base: Option<&[u8]>,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        let (len, rest) = bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
        let len = u32::from_le_bytes(*len) as usize;
        let (coded, plain) = rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
        let (mut reader, mut plain) = (Reader::new(coded), PlainReader::new(plain));
        let float = self.float;
        let mut bases = base.map(|base| float.read(base));
        for place in raw.chunks_exact_mut(float.bits() as usize / 8) {
            let number = match bases.as_mut().and_then(Iterator::next) {
                Some(base) => self.against(&mut reader, &mut plain, base, 0),
                None => self.alone(&mut reader, &mut plain, 0),
            };
            place
                .iter_mut()
                .zip(number.to_le_bytes())
                .for_each(|(to, from)| *to = from);
        }
        reader.finish()?;
        plain.finish()
    }
}

/// Where numbers stand in their tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// Numbers in a row.
    pub(super) columns: usize,
    /// Numbers before the first.
    pub(super) start: usize,
}

/// What was learned of a tensor up to here.
#[derive(Debug)]
pub(super) struct Model {
    float: Float,
    mixer: Mixer,
    columns: usize,
    column: usize,
    /// For each column: sum and count of scales, and the last one.
    above: Vec<(i32, i32, i32)>,
    row: (i32, i32),
    mean: i32,
    left: [i32; 2],
    /// The scale of the first number, to which contexts are held.
    anchor: i32,
    is_first: bool,
}

/// What the surroundings of a number let expect of its scale.
#[derive(Clone, Copy)]
struct Guess {
    row: i32,
    column: i32,
    joint: i32,
    near: i32,
}

impl Model {
    pub(super) fn new(float: Float, place: Rows) -> Self {
        let columns = place.columns.clamp(1, MAX_COLUMNS);
        let mean = float.top_exponent() * 120;
        Self {
            float,
            mixer: Mixer::new(),
            columns,
            column: place.start % columns,
            above: vec![(0, 0, mean); columns],
            row: (0, 0),
            mean,
            left: [mean; 2],
            anchor: mean,
            is_first: true,
        }
    }

    fn guess(&self) -> Guess {
        let towards_mean = |(sum, count): (i32, i32)| (sum + 4 * self.mean) / (count + 4);
        let (sum, count, last) = self
            .above
            .get(self.column % self.above.len())
            .copied()
            .unwrap_or_default();
        let (row, column) = (towards_mean(self.row), towards_mean((sum, count)));
        let last = if count == 0 { self.mean } else { last };
        Guess {
            row,
            column,
            joint: row + column - self.mean,
            near: (2 * self.left[0] + self.left[1] + last) / 4,
        }
    }

    fn learn(&mut self, scale: i32) {
        if core::mem::take(&mut self.is_first) {
            // Better than any guess from nothing.
            self.mean = scale;
            self.anchor = scale;
            self.left = [scale; 2];
        }
        // A zero is no small number: it must not pull the scale to the ground.
        let scale = scale.max(self.mean - 14 * 256);
        let add = |(sum, count): (i32, i32), most: i32| {
            let (sum, count) = (sum + scale, count + 1);
            if count > most {
                (sum / 2, count / 2)
            } else {
                (sum, count)
            }
        };
        self.row = add(self.row, 400);
        let len = self.above.len();
        if let Some(above) = self.above.get_mut(self.column % len) {
            let (sum, count) = add((above.0, above.1), 255);
            *above = (sum, count, scale);
        }
        self.mean += (scale - self.mean) >> 9;
        self.left = [scale, self.left[0]];
        self.column += 1;
        if self.column == self.columns {
            self.column = 0;
            self.row = (0, 0);
            self.left = [self.mean; 2];
        }
    }

    /// Codes a number that has no base.
    fn alone<C: Coder, P: Plain>(&mut self, coder: &mut C, plain: &mut P, number: u32) -> u32 {
        let float = self.float;
        let (mantissa, top) = (float.mantissa(), float.top_exponent());
        let guess = self.guess();
        let exponent = (number >> mantissa) as i32 & top;
        let centre = ((guess.joint + 128) >> 8).clamp(0, top);
        let anchor = self.anchor;
        let seen =
            |scale: i32, step: i32| ((scale - anchor + 8 * 256) / step).clamp(0, 255) as usize;
        let contexts = [
            seen(guess.row, 16),
            seen(guess.column, 16),
            seen(guess.joint, 16),
            seen(guess.joint, 64) / 2 * 4 % 252 + (seen(guess.near, 512) / 2).min(3),
        ];
        let exponent = self.walk(coder, contexts, (centre, top), exponent);
        let away = (exponent - centre + 8).clamp(0, 15) as usize;
        let within = ((guess.joint & 255) >> 4) as usize;
        let contexts = [
            away * 16 + within,
            seen(guess.joint, 32),
            seen(guess.column, 64),
            seen(guess.row, 64),
        ];
        let first = self.known_bits(coder, contexts, away, number >> (mantissa - 2));
        let rest = plain.code(mantissa - 2, number & ((1 << (mantissa - 2)) - 1));
        let sign = plain.code(1, number >> (float.bits() - 1));
        let number = sign << (float.bits() - 1)
            | (exponent as u32) << mantissa
            | first << (mantissa - 2)
            | rest;
        self.learn(float.scale(number));
        number
    }

    /// Codes a number as the difference of ranks to `base`: its class (how many bits it has) as exponents are coded.
    fn against<C: Coder, P: Plain>(
        &mut self,
        coder: &mut C,
        plain: &mut P,
        base: u32,
        number: u32,
    ) -> u32 {
        let float = self.float;
        let guess = self.guess();
        let octave = (float.scale(base) >> 8) * 256;
        let difference = float.rank(number).wrapping_sub(float.rank(base));
        let size = difference.unsigned_abs();
        let class = (64 - size.leading_zeros()) as i32;
        let wanted = guess.joint - octave;
        let most = float.bits() as i32 + 1;
        let centre = ((wanted + 128) >> 8).clamp(0, most);
        let seen = |scale: i32, step: i32| ((scale + 8 * 256) / step).clamp(0, 255) as usize;
        let contexts = [
            seen(wanted, 32),
            seen(guess.row - octave, 32),
            seen(guess.column - octave, 32),
            (octave >> 8) as usize,
        ];
        let class = self.walk(coder, contexts, (centre, most), class).min(most);
        let mut size = size;
        let mut is_less = difference < 0;
        if class > 0 {
            is_less = plain.code(1, u32::from(is_less)) == 1;
            let away = (class - centre + 8).clamp(0, 15) as usize;
            let within = ((wanted & 255) >> 4) as usize;
            let contexts = [away * 16 + within, seen(wanted, 64), away, 0];
            let known = (class as u32 - 1).min(2);
            let first = match known {
                2 => {
                    u64::from(self.known_bits(coder, contexts, away, (size >> (class - 3)) as u32))
                }
                1 => u64::from(plain.code(1, size as u32 & 1)),
                _ => 0,
            };
            let tail = class as u32 - 1 - known;
            let low = u64::from(plain.code(tail, (size & ((1 << tail) - 1)) as u32));
            size = 1 << (class - 1) | first << tail | low;
        } else {
            size = 0;
        }
        let difference = if is_less { -(size as i64) } else { size as i64 };
        let number = float.unrank(float.rank(base).wrapping_add(difference));
        let scale = if class > 1 {
            octave + class * 256 - 384 + ((size << 8 >> (class - 1)) as i32 & 255)
        } else {
            octave + class * 256 - 256
        };
        self.learn(scale);
        number
    }

    /// Codes `value`, 0..=`most`, by steps from `centre` up or down.
    fn walk<C: Coder>(
        &mut self,
        coder: &mut C,
        contexts: [usize; 4],
        (centre, most): (i32, i32),
        value: i32,
    ) -> i32 {
        let mut step = |coder: &mut C, node: i32, bit: bool| {
            let place = Place {
                node: node as usize,
                set: 0,
                contexts,
            };
            self.mixer.bit(coder, &place, bit)
        };
        if step(coder, 0, value >= centre) {
            let mut at = centre;
            while at < most && !step(coder, 1 + (at - centre).min(14), at == value) {
                at += 1;
            }
            return at;
        }
        let mut at = centre - 1;
        while at > 0 && !step(coder, 16 + (centre - 1 - at).min(15), at == value) {
            at -= 1;
            // From far away straight to the ground: a zero, or another scale.
            if centre - 1 - at == FAR {
                if step(coder, 32, value == 0) {
                    return 0;
                }
            }
        }
        at.max(0)
    }

    /// Codes the two bits that are the lowest of `bits`, the upper one first.
    fn known_bits<C: Coder>(
        &mut self,
        coder: &mut C,
        contexts: [usize; 4],
        away: usize,
        bits: u32,
    ) -> u32 {
        let mut place = Place {
            node: 40,
            set: away,
            contexts,
        };
        let upper = self.mixer.bit(coder, &place, bits >> 1 & 1 == 1);
        place.node = 41 + usize::from(upper);
        let lower = self.mixer.bit(coder, &place, bits & 1 == 1);
        u32::from(upper) << 1 | u32::from(lower)
    }
}

/// Columns with a scale of their own; wider rows share them. Guess: as wide as layers are.
const MAX_COLUMNS: usize = 1 << 15;
/// Steps down after which a number may be zero. Guess: 12 octaves below what is expected is seldom anything else.
const FAR: i32 = 12;

/// Writes or reads bits as they are.
trait Plain {
    /// Codes `count` ≤ 32 bits. A writer writes the lowest of `bits` and returns them; a reader returns what was written.
    fn code(&mut self, count: u32, bits: u32) -> u32;
}

#[derive(Default)]
struct PlainWriter {
    bytes: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl PlainWriter {
    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.waiting as u8);
        }
        self.bytes
    }
}

impl Plain for PlainWriter {
    fn code(&mut self, count: u32, bits: u32) -> u32 {
        let bits = (u64::from(bits) & ((1 << count) - 1)) as u32;
        self.waiting |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.waiting as u8);
            self.waiting >>= 8;
            self.count -= 8;
        }
        bits
    }
}

struct PlainReader<'a> {
    bytes: &'a [u8],
    waiting: u64,
    count: u32,
    is_short: bool,
}

impl<'a> PlainReader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            waiting: 0,
            count: 0,
            is_short: false,
        }
    }

    /// Says whether exactly the bits of the stream were read.
    fn finish(self) -> Result<(), CodecError> {
        if self.bytes.is_empty() && self.waiting == 0 && !self.is_short {
            Ok(())
        } else {
            Err(CodecError::Truncated)
        }
    }
}

impl Plain for PlainReader<'_> {
    fn code(&mut self, count: u32, _: u32) -> u32 {
        while self.count < count {
            let byte = match self.bytes.split_first() {
                Some((first, rest)) => {
                    self.bytes = rest;
                    *first
                }
                None => {
                    self.is_short = true;
                    0
                }
            };
            self.waiting |= u64::from(byte) << self.count;
            self.count += 8;
        }
        let bits = self.waiting & ((1 << count) - 1);
        self.waiting >>= count;
        self.count -= count;
        bits as u32
    }
}
