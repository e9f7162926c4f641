//! Floats under a learned model: the exponent and the first bits of the mantissa are predicted from the scale of row and
//! column and from neighbours; what is noise stays as it is. With a base that the reader has, the difference is coded.
//!
//! A weight is told by how far its exponent is from where its row and column let expect it, step by step; each step is a
//! bit for the [mixer](super::mix). The scale is in 256ths of an octave.
//!
//! # Bytes
//! How many low bits are clear in all numbers (a byte); length of the coded bits (32 bits, little-endian), coded bits;
//! without a base, a [plane](super::plane) for each whole low byte of the mantissa's rest; plain bits (the lowest of each
//! byte first).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::bits::{MAX_TAIL, Plain, PlainReader, TailReader, TailWriter, whole_bytes};
use super::error::CodecError;
use super::mix::{Coder, Mixer, Place, Reader, Writer};
use super::{number, plane};

/// A format of floats: a sign, an exponent, a mantissa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Float {
    exponent: u32,
    mantissa: u32,
}

impl Float {
    /// bfloat16.
    const BF16: Self = Self {
        exponent: 8,
        mantissa: 7,
    };
    /// binary16.
    const F16: Self = Self {
        exponent: 5,
        mantissa: 10,
    };
    /// binary32.
    const F32: Self = Self {
        exponent: 8,
        mantissa: 23,
    };

    /// Returns the format of a type of floats.
    pub(super) const fn of(float: number::Float) -> Self {
        match float {
            number::Float::F32 => Self::F32,
            number::Float::F16 => Self::F16,
            number::Float::Bf16 => Self::BF16,
        }
    }

    /// Returns all bits.
    const fn bits(self) -> u32 {
        1 + self.exponent + self.mantissa
    }

    /// Returns the bytes of a number.
    pub(super) const fn width(self) -> usize {
        self.bits() as usize / 8
    }

    /// Returns the bits of each number of `bytes`.
    pub(super) fn read(self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes
            .chunks_exact(self.width())
            .map(|number| match *number {
                [a, b] => u32::from(u16::from_le_bytes([a, b])),
                [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
                _ => 0,
            })
    }

    /// Returns how many of the lowest bits are clear in all numbers of `bytes`: never all of the mantissa.
    pub(super) fn clear(self, bytes: &[u8]) -> u32 {
        let used = self.read(bytes).fold(0, |used, number| used | number);
        used.trailing_zeros().min(self.mantissa - KNOWN)
    }

    /// Returns the format without its lowest `clear` bits, as they were announced.
    ///
    /// # Errors
    /// [`CodecError::Clear`] for more than [`Float::clear`] gives.
    pub(super) fn without_checked(self, clear: u32) -> Result<Self, CodecError> {
        let (got, max) = (clear, self.mantissa - KNOWN);
        if got > max {
            return Err(CodecError::Clear { got, max });
        }
        Ok(self.without(clear))
    }

    /// Returns the format without its lowest `clear` bits.
    pub(super) const fn without(self, clear: u32) -> Self {
        Self {
            exponent: self.exponent,
            mantissa: self.mantissa - clear,
        }
    }

    /// Returns the planes that the tails of numbers make: none against a base, where tails have many lengths.
    const fn tail_planes(self, base: Option<&[u8]>) -> usize {
        match base {
            None => whole_bytes(self.mantissa - KNOWN),
            Some(_) => 0,
        }
    }

    const fn top_exponent(self) -> i32 {
        (1 << self.exponent) - 1
    }

    /// Returns log₂ of the magnitude in 256ths, near enough, of the bits of a number; of 0 the least there is.
    const fn scale(self, bits: u32) -> i32 {
        let magnitude = bits & !(1 << (self.bits() - 1));
        if self.mantissa > 8 {
            (magnitude >> (self.mantissa - 8)) as i32
        } else {
            (magnitude << (8 - self.mantissa)) as i32
        }
    }

    /// Returns the exponent of the bits of a number.
    pub(super) const fn exponent_of(self, bits: u32) -> u32 {
        bits >> self.mantissa & ((1 << self.exponent) - 1)
    }

    /// Returns where among all numbers of the format the bits stand: negative ones below zero.
    pub(super) const fn rank(self, bits: u32) -> i64 {
        let magnitude = (bits & !(1 << (self.bits() - 1))) as i64;
        if bits >> (self.bits() - 1) == 1 {
            -1 - magnitude
        } else {
            magnitude
        }
    }

    /// Undoes [`Float::rank`]; a rank that no number has wraps round.
    pub(super) const fn unrank(self, rank: i64) -> u32 {
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
        let (mut writer, mut plain) = (Writer::new(), TailWriter::default());
        let whole = self.float;
        let clear = whole.clear(raw);
        self.float = whole.without(clear);
        let mut bases = base.map(|base| whole.read(base));
        for number in whole.read(raw) {
            match bases.as_mut().and_then(Iterator::next) {
                Some(base) => self.against(&mut writer, &mut plain, base >> clear, number >> clear),
                None => self.alone(&mut writer, &mut plain, number >> clear),
            };
        }
        let coded = writer.finish();
        out.push(clear as u8);
        out.extend((coded.len() as u32).to_le_bytes());
        out.extend(coded);
        for low in plain.planes.iter().take(self.float.tail_planes(base)) {
            plane::put(low, out);
        }
        out.extend(plain.bits.finish());
        self.float = whole;
    }

    /// Unpacks what [`Model::pack`] wrote. O(n).
    ///
    /// # Errors
    /// [`CodecError`] for bytes that are cut, too long or changed; `raw` and what was learned then mean nothing.
    pub(super) fn unpack(
        &mut self,
        bytes: &[u8],
        base: Option<&[u8]>,
        raw: &mut [u8],
    ) -> Result<(), CodecError> {
        let (&[clear, a, b, c, d], rest) =
            bytes.split_first_chunk().ok_or(CodecError::Truncated)?;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let (coded, mut rest) = rest.split_at_checked(len).ok_or(CodecError::Truncated)?;
        let whole = self.float;
        let clear = u32::from(clear);
        self.float = whole.without_checked(clear)?;
        let (count, mut scratch) = (raw.len() / whole.width(), [const { Vec::new() }; MAX_TAIL]);
        let mut planes: [&[u8]; MAX_TAIL] = [&[]; MAX_TAIL];
        let wanted = planes.iter_mut().zip(&mut scratch);
        for (low, scratch) in wanted.take(self.float.tail_planes(base)) {
            (*low, rest) = plane::take(rest, count, scratch)?;
        }
        let mut reader = Reader::new(coded);
        let mut plain = TailReader {
            bits: PlainReader::new(rest),
            planes,
            at: 0,
        };
        let mut bases = base.map(|base| whole.read(base));
        for place in raw.chunks_exact_mut(whole.width()) {
            let number = match bases.as_mut().and_then(Iterator::next) {
                Some(base) => self.against(&mut reader, &mut plain, base >> clear, 0),
                None => self.alone(&mut reader, &mut plain, 0),
            };
            let number = number << clear;
            (place.iter_mut().zip(number.to_le_bytes())).for_each(|(to, from)| *to = from);
        }
        self.float = whole;
        reader.finish()?;
        plain.bits.finish()
    }
}

/// Where numbers stand in their tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// Numbers in a row.
    pub(super) columns: u64,
    /// Numbers before the first.
    pub(super) start: u64,
}

/// What was learned of a tensor up to here. 291 KiB, and 12 bytes a column: 384 KiB where a row has 2¹⁵ numbers or more.
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
    /// 2^32 / (count + 4).
    inverses: Box<[u32; INVERSES]>,
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
        let columns = place.columns.clamp(1, MAX_COLUMNS as u64) as usize;
        let mean = float.top_exponent() * 120;
        Self {
            float,
            mixer: Mixer::new(),
            columns,
            column: (place.start % columns as u64) as usize,
            above: vec![(0, 0, mean); columns],
            row: (0, 0),
            mean,
            left: [mean; 2],
            anchor: mean,
            is_first: true,
            inverses: Box::new(core::array::from_fn(|count| {
                (1 << 30) / (count as u32 + 4) * 4
            })),
        }
    }

    fn guess(&self) -> Guess {
        let towards_mean = |(sum, count): (i32, i32)| {
            let inverse = i64::from(self.inverses[count as usize % INVERSES]);
            ((i64::from(sum + 4 * self.mean) * inverse) >> 32) as i32
        };
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
        let (mantissa, top) = (float.mantissa, float.top_exponent());
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
        let first = self.known_bits(coder, contexts, away, number >> (mantissa - KNOWN));
        let rest = plain.tail(mantissa - KNOWN, number & ((1 << (mantissa - KNOWN)) - 1));
        let sign = plain.code(1, number >> (float.bits() - 1));
        let number = sign << (float.bits() - 1)
            | (exponent as u32) << mantissa
            | first << (mantissa - KNOWN)
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
            if centre - 1 - at == FAR && step(coder, 32, value == 0) {
                return 0;
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

/// Bits of the mantissa that the model predicts. Source: a third one is worth under a thousandth of a bit per weight.
const KNOWN: u32 = 2;
/// Counts of a row or column that are told apart; both are halved before.
const INVERSES: usize = 512;
/// Columns with a scale of their own; wider rows share them. Guess: as wide as layers are.
const MAX_COLUMNS: usize = 1 << 15;
/// Steps down after which a number may be zero. Guess: 12 octaves below what is expected is seldom anything else.
const FAR: i32 = 12;
