//! Levels under a learned model: how large each quantised number is, predicted from the scale of its row and column and from
//! its neighbours. The model learns as it codes, in integers, so that reader and writer agree on every machine.
//!
//! A level is told by steps: is it more than 0, more than 1, …; from [`ESCAPE`] on by its number of bits. Then its sign.

use alloc::vec;
use alloc::vec::Vec;

use super::mix::{Coder, Mixer, Place};

/// Codes the levels of tensors, one after the other, row by row.
pub(super) struct Levels {
    mixer: Mixer,
    /// Levels of this row and the two above it, newest last.
    rows: [Vec<u8>; 3],
    /// Mean sizes of columns, 1 is 65,536.
    columns: Vec<i32>,
    row: i32,
    whole: i32,
    at: usize,
    is_first_row: bool,
    /// Sum of all levels so far that tells damage (FNV-1a, of whole levels).
    sum: u32,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self {
            mixer: Mixer::new(),
            rows: [const { Vec::new() }; 3],
            columns: Vec::new(),
            row: FIRST_MEAN,
            whole: FIRST_MEAN,
            at: 0,
            is_first_row: true,
            sum: SUM_START,
        }
    }

    /// Codes a check of all levels, 16 bits, and says whether it is right. Without it the beginning of a stream would be a
    /// stream.
    pub(super) fn check(&self, coder: &mut impl Coder) -> bool {
        let sum = self.sum ^ self.sum >> 16;
        (0..16).all(|bit| {
            let wanted = sum >> bit & 1 == 1;
            coder.code(HALF, wanted) == wanted
        })
    }

    /// Begins a tensor whose rows have `columns` numbers; what was learned before stays.
    pub(super) fn start(&mut self, columns: usize) {
        let columns = columns.min(MAX_COLUMNS);
        for row in &mut self.rows {
            row.clear();
            row.resize(columns + EDGE, 0);
        }
        self.columns = vec![self.whole; columns];
        self.row = self.whole;
        self.at = 0;
        self.is_first_row = true;
    }

    /// Codes the next level, which one of two quantisers made. A writer writes `level` and returns it; a reader returns what
    /// was written, whatever `level` is. Sizes are at most [`MOST`].
    #[inline]
    pub(super) fn code(&mut self, coder: &mut impl Coder, quantiser: usize, level: i32) -> i32 {
        let at = self.at;
        let [above2, above, here] = &self.rows;
        // Rows have an edge of zeros on the left and on the right.
        let near = |row: &[u8], place: usize| usize::from(row[place].min(3));
        let (l1, l2, l3) = (near(here, at + 2), near(here, at + 1), near(here, at));
        let (u1, ul, ur) = (
            near(above, at + 3),
            near(above, at + 2),
            near(above, at + 4),
        );
        let u2 = near(above2, at + 3);
        let sum = (l1 + l2 + l3 + u1 + ul + ur + u2).min(15);
        let column = if self.is_first_row {
            self.whole
        } else {
            self.columns[at]
        };
        let joint = (i64::from(self.row) * i64::from(column) / i64::from(self.whole.max(16)))
            .min(1 << 24) as i32;
        let joint = octaves(joint);
        let contexts = [
            (joint / 3).min(255),
            (octaves(self.row) / 16).min(15) * 16 + (octaves(column) / 16).min(15),
            l1 * 64 + l2 * 16 + u1 * 4 + ul,
            sum * 16 + (joint / 16).min(15),
        ];
        let mut place = Place {
            node: quantiser * NODES,
            set: (joint / 16).min(15),
            contexts,
        };
        let size = level.unsigned_abs().min(MOST);
        let mut coded = 0;
        while self.mixer.bit(coder, &place, size > coded) {
            coded += 1;
            if coded == ESCAPE {
                coded += escape(&mut self.mixer, coder, &place, size.saturating_sub(ESCAPE));
                break;
            }
            place.node = quantiser * NODES + coded as usize;
        }
        self.learn(coded);
        let is_less = coded > 0 && coder.code(HALF, level < 0);
        let level = if is_less {
            -(coded as i32)
        } else {
            coded as i32
        };
        self.sum = (self.sum ^ level as u32).wrapping_mul(SUM_PRIME);
        level
    }

    #[inline(always)]
    fn learn(&mut self, size: u32) {
        let at = self.at;
        self.rows[2][at + 3] = size.min(255) as u8;
        let size = (size.min(1 << 12) << 16) as i32;
        self.row += (size - self.row) >> 6;
        let column = &mut self.columns[at];
        if self.is_first_row {
            *column = self.whole;
        }
        *column += (size - *column) >> 5;
        self.whole += (size - self.whole) >> 10;
        self.at += 1;
        if self.at == self.columns.len() {
            self.at = 0;
            self.is_first_row = false;
            self.row = self.whole;
            self.rows.rotate_left(1);
            self.rows[2].fill(0);
        }
    }
}

/// Codes what is past [`ESCAPE`]: the number of bits of `rest` + 1, then the bits.
#[cold]
fn escape(mixer: &mut Mixer, coder: &mut impl Coder, place: &Place, rest: u32) -> u32 {
    let mut place = *place;
    let wanted = (rest + 1).ilog2();
    let mut bits = 0;
    while bits < MOST_BITS {
        place.node = LENGTH + (bits as usize).min(7);
        if !mixer.bit(coder, &place, wanted > bits) {
            break;
        }
        bits += 1;
    }
    let mut value = 1;
    for bit in (0..bits).rev() {
        value = value << 1 | u32::from(coder.code(HALF, (rest + 1) >> bit & 1 == 1));
    }
    value - 1
}

/// Returns log₂ of a mean (1 is 65,536) in 16ths, near enough, from 2⁻¹⁴ up; at least 0.
#[inline(always)]
fn octaves(mean: i32) -> usize {
    let mean = mean.max(4) as u32;
    let octave = mean.ilog2();
    let rest = (mean << 4 >> octave) & 15;
    ((octave - 2) * 16 + rest) as usize
}

/// Largest size of a level. Far past what a lossy code is good for.
pub(super) const MOST: u32 = (1 << MOST_BITS) - 1;
const MOST_BITS: u32 = 20;
/// Sizes below this are told step by step. Guess: as many steps as 64 kinds of bits allow two quantisers.
const ESCAPE: u32 = 14;
/// Kinds of bits of one quantiser.
const NODES: usize = 16;
/// The first kind of the bits that tell a length.
const LENGTH: usize = 40;
/// Columns that are told apart; wider rows share them, so that memory does not follow what is announced. Guess: as wide as
/// layers are.
const MAX_COLUMNS: usize = 1 << 15;
/// Zeros around a row, so that the first and last places have neighbours.
const EDGE: usize = 6;
/// A quarter, before anything was seen.
const FIRST_MEAN: i32 = 1 << 14;
/// An even chance.
const HALF: u32 = 1 << 15;
/// Source: RFC 9923, FNV-1a of 32 bits.
const SUM_START: u32 = 0x811c_9dc5;
const SUM_PRIME: u32 = 0x0100_0193;
