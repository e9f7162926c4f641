//! Numbers with less exactness in few bits: one step for all tensors of an engram, trellis-coded quantisation, and levels
//! under a learned model.
//!
//! What comes out is the same bits on every machine: levels are decoded in integers, and each number is one product of an
//! integer and a step.
//!
//! # Bytes
//! A tag (1 byte: states of the trellis, 0 none, 1 four, 2 eight; 4 is added where each tensor has a step of its own); half
//! the step (bfloat16, big-endian), or half of each tensor's; the levels, and a check
//! of them in 16 bits. Where no step is other than 0 all numbers are 0, and
//! the bytes end. Counts and shapes are the reader's to know.

mod error;

use alloc::vec::Vec;

use super::level::{Levels, MOST};
use super::mix::{Reader, Writer};
use super::trellis::{Search, halves};

pub use self::error::LossyError;
pub use super::trellis::Trellis;

/// A tensor to write.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// The numbers, row by row. Each must be finite.
    pub values: &'a [f32],
    /// Numbers of a row; divides their count.
    pub columns: usize,
    /// How much finer than the common step this tensor's is, in quarters of an octave: 4 halves the step.
    pub finer: i8,
}

/// How a tensor lies that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Numbers of a row.
    pub columns: usize,
}

/// How exact the numbers stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Distance between two values of one quantiser, in the unit of the numbers.
    pub step: f32,
    /// What a bit weighs, in squares of half a step: more gives fewer bits and larger errors.
    pub bit_weight: f32,
    /// How quantisers follow each other.
    pub trellis: Trellis,
    /// What the decoded numbers are multiplied by.
    pub gain: Gain,
}

impl Settings {
    /// Returns the usual settings at `step`.
    #[must_use]
    pub const fn new(step: f32) -> Self {
        Self {
            step,
            bit_weight: BIT_WEIGHT,
            trellis: Trellis::Eight,
            gain: Gain::Norm,
        }
    }
}

/// What decoded numbers are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gain {
    /// What leaves the least mean squared error.
    Projection,
    /// What gives the decoded numbers the norm of the given ones.
    Norm,
    /// This much: 1 leaves them as they are.
    Fixed(f32),
    /// In each tensor what gives a number, on the mean, this much of itself: small numbers become 0, the others make up for
    /// it. Tensors of which too little is left get less. Costs two bytes a tensor.
    Even(f32),
}

/// Writes tensors.
///
/// # Errors
/// [`LossyError`] where a number is not finite or 2¹⁸ steps or more away from 0, where rows do not fill a tensor, and where a
/// setting is out of its range.
pub fn encode(tensors: &[Tensor<'_>], settings: &Settings) -> Result<Vec<u8>, LossyError> {
    write(tensors, settings, &mut |_, _| {}, &mut |_| true).map(|(bytes, _)| bytes)
}

/// Does as [`encode`], and returns too what [`decode`] makes of the bytes, so that nobody decodes them to know. `go_on` is told
/// the share that is done, in 0..=1, and says whether to go on.
///
/// # Errors
/// As [`encode`]; [`LossyError::Stopped`].
pub(super) fn encode_and_make(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<(Vec<u8>, Vec<Vec<f32>>), LossyError> {
    let mut made: Vec<Vec<f32>> = (tensors.iter())
        .map(|tensor| Vec::with_capacity(tensor.values.len()))
        .collect();
    let mut keep = |tensor: usize, halves: i32| {
        if let Some(values) = made.get_mut(tensor) {
            values.push(halves as f32);
        }
    };
    let (bytes, steps) = write(tensors, settings, &mut keep, go_on)?;
    for (values, half) in made.iter_mut().zip(steps) {
        let half = from_short(half);
        values
            .iter_mut()
            .for_each(|value| *value = (*value * half).clamp(f32::MIN, f32::MAX));
    }
    Ok((bytes, made))
}

/// Writes tensors, and tells `keep` for each number its tensor and its half steps. Returns half the step of each tensor too.
fn write(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    keep: &mut impl FnMut(usize, i32),
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<(Vec<u8>, Vec<u16>), LossyError> {
    check(tensors, settings)?;
    let count: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let mut search = Search::new(settings.trellis, settings.bit_weight);
    let is_twice = count < TWICE;
    let (mut done, all_work) = (0, (count * if is_twice { 3 } else { 2 }).max(1) as f64);
    let mut go_on = |numbers: usize| {
        done += numbers;
        if go_on(done as f64 / all_work) {
            Ok(())
        } else {
            Err(LossyError::Stopped)
        }
    };
    if is_twice {
        // So few numbers that what levels cost is not known until all have been seen.
        for tensor in tensors {
            choose(&mut search, tensor, settings.step, &mut go_on)?;
        }
    }
    let (mut levels, mut writer) = (Levels::new(), Writer::new());
    let (mut all, mut halves_of) = (Sums::default(), Vec::new());
    for (place, tensor) in tensors.iter().enumerate() {
        let (chosen, sums) = choose(&mut search, tensor, settings.step, &mut go_on)?;
        if !chosen.is_empty() {
            levels.start(tensor.columns);
        }
        let mut state = 0;
        for chosen in chosen.chunks(LONGEST) {
            for level in chosen {
                let quantiser = settings.trellis.quantiser(state);
                levels.code(&mut writer, quantiser, *level);
                keep(place, halves(quantiser, *level));
                state = settings.trellis.next(state, *level);
            }
            go_on(chosen.len())?;
        }
        let gain = if matches!(settings.gain, Gain::Even(_)) {
            sums.gain(settings.gain)
        } else {
            1.0
        };
        halves_of.push(refined(settings.step, tensor.finer) * 0.5 * gain);
        all.add(&sums);
    }
    let has_own =
        matches!(settings.gain, Gain::Even(_)) || tensors.iter().any(|tensor| tensor.finer != 0);
    if !matches!(settings.gain, Gain::Even(_)) {
        let gain = all.gain(settings.gain);
        halves_of.iter_mut().for_each(|half| *half *= gain);
        if !has_own {
            halves_of = alloc::vec![settings.step * 0.5 * gain; tensors.len().max(1)];
        }
    }
    let mut bytes = alloc::vec![settings.trellis as u8 | if has_own { OWN_STEPS } else { 0 }];
    let halves_of: Vec<u16> = halves_of.into_iter().map(to_short).collect();
    let told = if has_own { halves_of.len() } else { 1 };
    bytes.extend((halves_of.iter().take(told)).flat_map(|half| half.to_be_bytes()));
    if halves_of.iter().any(|half| *half != 0) {
        levels.check(&mut writer);
        bytes.extend(writer.finish());
    }
    Ok((bytes, halves_of))
}

/// Reads the tensors of `shapes`, of at most `most` numbers in all. Memory is 4 bytes a number, as they come (at
/// once where all are 0), and up to 600 KiB.
///
/// # Errors
/// [`LossyError`] where the bytes are none of [`encode`] for these shapes, and where the shapes have more numbers than `most`.
pub fn decode(bytes: &[u8], shapes: &[Shape], most: usize) -> Result<Vec<Vec<f32>>, LossyError> {
    decode_on(bytes, shapes, most, &mut |_| true)
}

/// Does as [`decode`]; `go_on` is told the share that is done, in 0..=1, and says whether to go on.
///
/// # Errors
/// As [`decode`]; [`LossyError::Stopped`].
pub(super) fn decode_on(
    bytes: &[u8],
    shapes: &[Shape],
    most: usize,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<Vec<f32>>, LossyError> {
    let mut count: usize = 0;
    for shape in shapes {
        count = count.saturating_add(shape.rows.saturating_mul(shape.columns));
    }
    // What cannot be counted is more than any bound.
    if count > most || count == usize::MAX {
        return Err(LossyError::Count { got: count, most });
    }
    let truncated = LossyError::Truncated { tensor: 0 };
    let Some((tag, rest)) = bytes.split_first() else {
        return Err(truncated);
    };
    let trellis = match tag & !OWN_STEPS {
        0 => Trellis::Scalar,
        1 => Trellis::Four,
        2 => Trellis::Eight,
        _ => return Err(LossyError::Tag { got: *tag }),
    };
    let has_own = tag & OWN_STEPS != 0;
    let wanted = if has_own { shapes.len() } else { 1 };
    let Some((head, rest)) = rest.split_at_checked(wanted.saturating_mul(2)) else {
        return Err(truncated);
    };
    let halves_of: Vec<f32> = (head.as_chunks::<2>().0.iter())
        .map(|short| from_short(u16::from_be_bytes(*short)))
        .collect();
    for half in &halves_of {
        if !(half.is_sign_positive() && half.is_finite()) {
            return Err(LossyError::Scale { got: *half });
        }
    }
    if halves_of.iter().all(|half| *half == 0.0) {
        if !rest.is_empty() {
            return Err(truncated);
        }
        return Ok((shapes.iter())
            .map(|shape| alloc::vec![0.0; shape.rows * shape.columns])
            .collect());
    }
    let (mut levels, mut reader) = (Levels::new(), Reader::new(rest));
    let (mut tensors, mut done) = (Vec::new(), 0);
    for (tensor, shape) in shapes.iter().enumerate() {
        let half = halves_of
            .get(if has_own { tensor } else { 0 })
            .copied()
            .unwrap_or(0.0);
        let mut values = Vec::new();
        // Counted above. Memory is taken as numbers come.
        let mut left = shape.rows.saturating_mul(shape.columns);
        if left > 0 {
            levels.start(shape.columns);
        }
        let mut state = 0;
        while left > 0 {
            if reader.is_over() {
                return Err(LossyError::Truncated { tensor });
            }
            let now = left.min(LOOK_AHEAD);
            make_room(&mut values, left);
            for _ in 0..now {
                let quantiser = trellis.quantiser(state);
                let level = levels.code(&mut reader, quantiser, 0);
                state = trellis.next(state, level);
                // The largest of all where rounding would leave them.
                let value = halves(quantiser, level) as f32 * half;
                values.push(value.clamp(f32::MIN, f32::MAX));
            }
            left -= now;
            done += now;
            if !go_on(done as f64 / count as f64) {
                return Err(LossyError::Stopped);
            }
        }
        tensors.push(values);
    }
    let last = LossyError::Truncated {
        tensor: shapes.len().saturating_sub(1),
    };
    if !levels.check(&mut reader) {
        return Err(last);
    }
    reader.finish().map_err(|_| last)?;
    Ok(tensors)
}

/// Makes room for the next numbers of `left`: for as many again as have come, and never for more than come at most.
fn make_room(values: &mut Vec<f32>, left: usize) {
    let came = values.len().max(LOOK_AHEAD);
    if values.capacity() - values.len() < left.min(LOOK_AHEAD) {
        // No small rest, for which all would move once more.
        values.reserve_exact(if left <= 2 * came { left } else { came });
    }
}

/// Returns the root of the mean square of all numbers, the σ that steps are told in. 0 where there are none.
#[must_use]
pub fn deviation(tensors: &[Tensor<'_>]) -> f32 {
    let (mut sum, mut count) = (0.0_f64, 0_usize);
    for tensor in tensors {
        sum += (tensor.values.iter())
            .map(|value| f64::from(*value) * f64::from(*value))
            .sum::<f64>();
        count += tensor.values.len();
    }
    if count == 0 {
        0.0
    } else {
        libm::sqrt(sum / count as f64) as f32
    }
}

fn check(tensors: &[Tensor<'_>], settings: &Settings) -> Result<(), LossyError> {
    let step = settings.step;
    check_step(step)?;
    let (what, got) = match settings.gain {
        Gain::Projection | Gain::Norm => ("gain", 1.0),
        Gain::Fixed(gain) => ("gain", gain),
        Gain::Even(share) => ("share", share),
    };
    for (what, got) in [(what, got), ("weight of a bit", settings.bit_weight)] {
        if !(got >= 0.0 && got.is_finite()) {
            return Err(LossyError::Setting { what, got });
        }
    }
    for (tensor, given) in tensors.iter().enumerate() {
        let (count, columns) = (given.values.len(), given.columns);
        if if columns == 0 {
            count > 0
        } else {
            count % columns != 0
        } {
            return Err(LossyError::Columns {
                tensor,
                count,
                columns,
            });
        }
        let step = refined(step, given.finer);
        check_step(step)?;
        let most = step * FURTHEST as f32;
        for (offset, value) in given.values.iter().enumerate() {
            if !value.is_finite() {
                return Err(LossyError::NotFinite { tensor, offset });
            }
            if value.abs() > most {
                let most = FURTHEST;
                return Err(LossyError::Far {
                    tensor,
                    offset,
                    step,
                    most,
                });
            }
        }
    }
    Ok(())
}

fn check_step(got: f32) -> Result<(), LossyError> {
    if (LEAST_STEP..=MOST_STEP).contains(&got) {
        Ok(())
    } else {
        Err(LossyError::Step { got })
    }
}

/// Chooses the levels of a tensor, and sums up what they make.
fn choose(
    search: &mut Search,
    tensor: &Tensor<'_>,
    step: f32,
    go_on: &mut impl FnMut(usize) -> Result<(), LossyError>,
) -> Result<(Vec<i32>, Sums), LossyError> {
    if tensor.values.is_empty() {
        // However wide the rows are that it does not have.
        return Ok((Vec::new(), Sums::default()));
    }
    let half = refined(step, tensor.finer) * 0.5;
    let scale = 1.0 / half;
    let mut levels = Vec::with_capacity(tensor.values.len());
    let sizes = tensor.values.iter().map(|value| f64::from(value.abs()));
    let mean = sizes.sum::<f64>() * f64::from(scale) / tensor.values.len() as f64;
    search.start(tensor.columns, mean as f32);
    // Whole rows, and enough of them to look ahead.
    let block = tensor.columns.max(1) * LOOK_AHEAD.div_ceil(tensor.columns.max(1));
    let mut scaled = Vec::new();
    for values in tensor.values.chunks(block.min(LONGEST)) {
        scaled.clear();
        scaled.extend(values.iter().map(|value| value * scale));
        search.block(&scaled, &mut levels);
        go_on(values.len())?;
    }
    let (mut state, mut sums) = (0, Sums::default());
    for (level, value) in levels.iter().zip(tensor.values) {
        let made = halves(search.trellis().quantiser(state), *level) as f32 * half;
        // Rounding up the largest numbers may lead past them.
        let made = f64::from(made.clamp(f32::MIN, f32::MAX));
        sums.given += f64::from(*value) * f64::from(*value);
        sums.both += f64::from(*value) * made;
        sums.made += made * made;
        state = search.trellis().next(state, *level);
    }
    Ok((levels, sums))
}

/// Squares and products of what was given and what was made of it.
#[derive(Default)]
struct Sums {
    given: f64,
    both: f64,
    made: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.given += other.given;
        self.both += other.both;
        self.made += other.made;
    }

    fn gain(&self, gain: Gain) -> f32 {
        if self.both <= 0.0 {
            return 0.0;
        }
        match gain {
            Gain::Projection => (self.both / self.made) as f32,
            Gain::Norm => libm::sqrt(self.given / self.made) as f32,
            Gain::Fixed(gain) => gain,
            Gain::Even(share) => {
                let likeness = self.both / libm::sqrt(self.given * self.made);
                let evened = (1.0 / likeness).min(likeness / (LEAST_LIKE * LEAST_LIKE));
                share * (libm::sqrt(self.given / self.made) * evened) as f32
            }
        }
    }
}

/// Returns `step` divided by 2^(`finer` / 4): one product with a power of two and one with a constant.
fn refined(step: f32, finer: i8) -> f32 {
    let (octaves, quarters) = (finer.div_euclid(4), finer.rem_euclid(4));
    step * f32::from_bits(((127 - i32::from(octaves)) as u32) << 23)
        * QUARTERS[quarters as usize & 3]
}

/// 2^(−n/4).
const QUARTERS: [f32; 4] = [1.0, 0.840_896_4, 0.707_106_77, 0.594_603_54];

/// Returns the bfloat16 nearest to `value`, at most the largest.
fn to_short(value: f32) -> u16 {
    (value.to_bits().saturating_add(0x8000) >> 16).min(LARGEST) as u16
}

fn from_short(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The usual weight of a bit. Measured on fine-tuning deltas: 0.4 gives the least squared error, but 0.2 keeps more of what
/// was learned, as fewer small numbers become 0.
const BIT_WEIGHT: f32 = 0.2;
/// Is in the tag where each tensor has a step of its own.
const OWN_STEPS: u8 = 4;
/// Cosine of given and decoded numbers below which evening would blow up what is mostly error. Guess.
const LEAST_LIKE: f64 = 0.5;
/// Least step, also where a tensor's is finer: below it the inverse of half a step is infinite. Source: binary32.
pub(super) const LEAST_STEP: f32 = 1e-37;
/// Most of a step: half of it has an inverse that is no subnormal number. Source: binary32.
pub(super) const MOST_STEP: f32 = 1e38;
/// The largest finite bfloat16.
const LARGEST: u32 = 0x7f7f;
/// Steps that a number may be away from 0.
pub(super) const FURTHEST: u32 = MOST / 4;
/// Numbers below which levels are chosen twice. Guess: a second at most.
const TWICE: usize = 1 << 18;
/// Numbers that are chosen together, at least. Guess: the trellis forgets where it ends in about 40.
const LOOK_AHEAD: usize = 256;
/// Numbers that are chosen together, at most.
const LONGEST: usize = 1 << 14;

#[cfg(test)]
mod tests;
