//! The step that reaches a target: found on a sample of the numbers, then corrected on all of them.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::super::lossy::{Gain, Settings, Tensor, encode_and_make};
use super::super::target::even;
use super::Target;
use super::error::HybridError;
use super::source::{Floats, decibels, energy, finest, lossy_error};

/// What is wanted, as a range of bits or decibels.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    /// Whether decibels are meant, not bits.
    is_decibels: bool,
    /// Where the search goes.
    middle: f64,
    /// What it is content with.
    range: RangeInclusive<f64>,
    /// What numbers are to keep.
    pub(super) care: Care,
}

/// What numbers are to keep when steps are so coarse that not all can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// The least error. For who asks for decibels.
    Error,
    /// Their size. For whole weights. Source: algorithms.md, section 2: centroids shrink them.
    Size,
    /// Each tensor's share of a difference: [`even`]. Measured on a fine-tuning delta of a transformer at 1.05 bits: 99.5 % of
    /// the gain is kept, with [`Care::Size`] 96.5 %; the signal to noise is lower.
    Share,
}

impl Care {
    /// Returns what matters for `target`, with a base or without.
    pub(super) const fn of(target: Target, has_base: bool) -> Self {
        match (target, has_base) {
            (Target::Decibels(_), _) => Self::Error,
            (Target::Bits(_) | Target::Step(_), false) => Self::Size,
            (Target::Bits(_) | Target::Step(_), true) => Self::Share,
        }
    }
}

impl Aim {
    /// Returns what `target` asks for; `None` where it names the step itself.
    ///
    /// # Errors
    /// [`HybridError::Target`].
    pub(super) fn of(target: Target, has_base: bool) -> Result<Option<Self>, HybridError> {
        let (got, is_signed) = match target {
            Target::Bits(bits) => (bits, false),
            Target::Decibels(decibels) => (decibels, true),
            Target::Step(step) => (f64::from(step), false),
        };
        if !got.is_finite() || (got <= 0.0 && !is_signed) {
            return Err(HybridError::Target { got });
        }
        let care = Care::of(target, has_base);
        Ok(match target {
            Target::Bits(bits) => Some(Self {
                care,
                is_decibels: false,
                middle: bits * 0.99,
                range: bits * 0.98..=bits,
            }),
            Target::Decibels(decibels) => Some(Self {
                care,
                is_decibels: true,
                middle: decibels + 0.1,
                range: decibels..=decibels + 0.25,
            }),
            Target::Step(_) => None,
        })
    }

    fn value(&self, tried: &Tried) -> f64 {
        if self.is_decibels {
            // Infinite where every number is right: no share of that is a step.
            tried.decibels.min(MOST_DECIBELS)
        } else {
            tried.bits
        }
    }

    /// Returns how far `value` is from what is wanted.
    fn miss(&self, value: f64) -> f64 {
        (self.range.start() - value)
            .max(value - self.range.end())
            .max(0.0)
    }

    /// What an octave changes at many bits a number.
    const fn octave(&self) -> f64 {
        if self.is_decibels { 6.02 } else { 1.0 }
    }
}

/// What all numbers have in common, and where steps lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    /// Numbers.
    pub(super) count: usize,
    /// Sum of their squares.
    pub(super) signal: f64,
    /// Root of their mean square, > 0.
    pub(super) deviation: f32,
    /// The finest step there may be.
    pub(super) finest: f32,
    /// Bytes that come on top of the levels: headers and steps.
    pub(super) extra: usize,
}

impl Whole {
    pub(super) fn of(floats: &[Floats<'_>], header: usize) -> Self {
        let count: usize = floats.iter().map(|floats| floats.values.len()).sum();
        let signal = energy(floats.iter().map(|floats| &floats.values[..]));
        let deviation = libm::sqrt(signal / count.max(1) as f64) as f32;
        let finest = finest(floats.iter().map(|floats| floats.tensor(&floats.values)));
        Self {
            count,
            signal,
            deviation: deviation.clamp(finest, COARSE.max(finest)),
            finest,
            extra: header + head_of(floats.len()),
        }
    }

    /// Returns the settings for a step: the one of all that travels as it is, where steps are so fine that gains do not matter.
    pub(super) fn settings(&self, step: f32, care: Care) -> Settings {
        let step = step.clamp(self.finest, COARSE.max(self.finest));
        let mut settings = match care {
            Care::Share => even(step),
            Care::Error | Care::Size => Settings::new(step),
        };
        if care == Care::Error {
            settings.gain = Gain::Projection;
        }
        if step <= self.deviation * FINE {
            settings.step = f32::from_bits(step.to_bits().saturating_add(0x8000) & 0xffff_0000);
            settings.gain = Gain::Fixed(1.0);
        }
        settings
    }

    /// Returns the bits of a number whose level takes `levels`.
    pub(super) fn bits(&self, levels: f64) -> f64 {
        (self.extra as f64 * 8.0) / self.count.max(1) as f64 + levels
    }

    /// The range of steps, as log₂ of deviations.
    fn range(&self) -> (f64, f64) {
        let finest = libm::log2(f64::from(self.finest) / f64::from(self.deviation));
        (finest, COARSEST.max(finest))
    }

    fn step(&self, octaves: f64) -> f32 {
        (f64::from(self.deviation) * libm::exp2(octaves)) as f32
    }
}

/// A step that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// The step, log₂ of deviations.
    pub(super) octaves: f64,
    pub(super) bits: f64,
    pub(super) decibels: f64,
}

/// Some of the numbers, spread over all tensors.
pub(super) struct Sample<'a> {
    floats: &'a [Floats<'a>],
    /// Bands of rows: of which tensor, and their numbers.
    bands: Vec<(usize, usize, Vec<f32>)>,
    count: usize,
    whole: Whole,
}

impl<'a> Sample<'a> {
    /// Takes about `most` numbers.
    pub(super) fn new(floats: &'a [Floats<'a>], whole: Whole, most: usize) -> Self {
        let share = (most as f64 / whole.count.max(1) as f64).min(1.0);
        let mut bands = Vec::new();
        for (place, floats) in floats.iter().enumerate() {
            let columns = floats.tensor(&[]).columns.max(1);
            let rows = floats.values.len() / columns;
            let wanted = libm::ceil(floats.values.len() as f64 * share) as usize;
            if wanted < columns {
                // A part of a row is a row.
                let start = (floats.values.len() - wanted) / 2;
                let band = floats.values.iter().skip(start).take(wanted);
                bands.push((place, wanted, band.copied().collect()));
                continue;
            }
            // Neighbouring rows, because they tell of each other.
            let wanted = wanted.div_ceil(columns).min(rows);
            let count = BANDS.min(wanted);
            for band in 0..count {
                let len = wanted * (band + 1) / count - wanted * band / count;
                let start = (rows - wanted) * band / count.saturating_sub(1).max(1);
                let from = (start + wanted * band / count) * columns;
                let band = floats.values.get(from..from + len * columns);
                bands.push((place, columns, band.unwrap_or_default().to_vec()));
            }
        }
        let count = bands.iter().map(|(_, _, values)| values.len()).sum();
        Self {
            floats,
            bands,
            count,
            whole,
        }
    }

    /// Returns how many numbers it has.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Returns the numbers, band by band.
    pub(super) fn bands(&self) -> impl Iterator<Item = &[f32]> {
        self.bands.iter().map(|(_, _, values)| &values[..])
    }

    fn tensors(&self) -> Vec<Tensor<'_>> {
        (self.bands.iter())
            .map(|(place, columns, values)| Tensor {
                columns: *columns,
                finer: (self.floats.get(*place)).map_or(0, |floats| floats.tensor(&[]).finer),
                values,
            })
            .collect()
    }

    /// Returns the signal to noise of all numbers where those of the sample have `noise` in sum.
    pub(super) fn decibels(&self, noise: f64) -> f64 {
        let share = self.whole.count as f64 / self.count.max(1) as f64;
        decibels(self.whole.signal, noise * share)
    }

    /// Returns the bits of a number where those of the sample take `bytes`, of which `learning` bits are spent once.
    pub(super) fn bits(&self, bytes: usize, learning: f64) -> f64 {
        let own = bytes as f64 * 8.0 / self.count.max(1) as f64;
        let more = 1.0 / self.count.max(1) as f64 - 1.0 / self.whole.count.max(1) as f64;
        self.whole.bits(own - own.min(1.0) * learning * more)
    }

    /// Tells what a step makes.
    ///
    /// # Errors
    /// [`HybridError::Lossy`].
    pub(super) fn at_step(&self, step: f32, care: Care) -> Result<Tried, HybridError> {
        let octaves = libm::log2(f64::from(step) / f64::from(self.whole.deviation));
        self.measure(octaves, care)
    }

    fn measure(&self, octaves: f64, care: Care) -> Result<Tried, HybridError> {
        let tensors = self.tensors();
        let settings = self.whole.settings(self.whole.step(octaves), care);
        let infos = (self.bands.iter()).filter_map(|(place, ..)| self.floats.get(*place));
        let (bytes, made) = encode_and_make(&tensors, &settings, &mut |_| true)
            .map_err(lossy_error(1, infos.map(|floats| floats.info)))?;
        let noise = (self.bands().zip(&made))
            .map(|(values, made)| {
                let away = |(value, made): (&f32, &f32)| f64::from(*value) - f64::from(*made);
                let pairs = values.iter().zip(made);
                pairs.map(away).map(|away| away * away).sum::<f64>()
            })
            .sum();
        Ok(Tried {
            octaves,
            bits: self.bits(
                bytes.len().saturating_sub(head_of(self.bands.len())),
                LEARNING,
            ),
            decibels: self.decibels(noise),
        })
    }

    /// Finds about the step that `aim` wants, and what an octave changes there. `tried` is what was tried before with
    /// the same care; it grows.
    ///
    /// # Errors
    /// [`HybridError::Lossy`], [`HybridError::Stopped`].
    pub(super) fn find(
        &self,
        aim: &Aim,
        tried: &mut Vec<Tried>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Tried, f64), HybridError> {
        let (least, most) = self.whole.range();
        let (mut octaves, mut slope) = (START - aim.middle / aim.octave(), aim.octave());
        let mut best: Option<Tried> = None;
        for _ in 0..TRIES {
            // Between the nearest finer and coarser steps that were tried, or past the last one.
            let finer = (tried.iter()).filter(|tried| aim.value(tried) >= aim.middle);
            let finer = finer
                .max_by(|a, b| a.octaves.total_cmp(&b.octaves))
                .copied();
            let coarser = (tried.iter()).filter(|tried| aim.value(tried) < aim.middle);
            let coarser = coarser
                .min_by(|a, b| a.octaves.total_cmp(&b.octaves))
                .copied();
            match (finer, coarser) {
                (Some(finer), Some(coarser)) => {
                    let fall = aim.value(&finer) - aim.value(&coarser);
                    let wide = (coarser.octaves - finer.octaves).max(1e-6);
                    slope = (fall / wide).clamp(aim.octave() * 0.02, aim.octave() * 4.0);
                    let share = ((aim.value(&finer) - aim.middle) / fall).clamp(0.05, 0.95);
                    octaves = finer.octaves + wide * share;
                }
                (Some(last), None) | (None, Some(last)) => {
                    octaves = last.octaves + (aim.value(&last) - aim.middle) / slope;
                }
                (None, None) => {}
            }
            octaves = octaves.clamp(least, most);
            let near = [finer, coarser].into_iter().flatten();
            let near = near.min_by(|a, b| {
                let away = |tried: &Tried| (aim.value(tried) - aim.middle).abs();
                away(a).total_cmp(&away(b))
            });
            if let Some(near) = near {
                best = Some(near);
                let is_there = (aim.value(&near) - aim.middle).abs() <= aim.octave() * CLOSE;
                if is_there || (octaves - near.octaves).abs() < 1e-3 {
                    break;
                }
            }
            if !go_on() {
                return Err(HybridError::Stopped);
            }
            let new = self.measure(octaves, aim.care)?;
            tried.push(new);
            best = best.or(Some(new));
        }
        let best = best.ok_or(HybridError::Target { got: aim.middle })?;
        Ok((best, slope))
    }
}

/// The first layer.
pub(super) struct First {
    pub(super) bytes: Vec<u8>,
    pub(super) made: Vec<Vec<f32>>,
    pub(super) step: f32,
    /// Squares of what is missing, summed.
    pub(super) noise: f64,
}

/// Writes the first layer with the step that `target` wants.
///
/// # Errors
/// [`HybridError::Target`], [`HybridError::Lossy`], [`HybridError::Stopped`].
pub(super) fn first(
    floats: &[Floats<'_>],
    whole: Whole,
    (target, has_base): (Target, bool),
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<First, HybridError> {
    let Some(aim) = Aim::of(target, has_base)? else {
        let step = match target {
            Target::Step(step) => step,
            Target::Bits(_) | Target::Decibels(_) => whole.deviation,
        };
        let care = Care::of(target, has_base);
        return write(floats, whole.settings(step, care), go_on);
    };
    let sample = Sample::new(floats, whole, SAMPLE);
    let mut looks = 0.0;
    let (found, slope) = sample.find(&aim, &mut Vec::new(), &mut || {
        looks += 1.0;
        go_on(LOOKING * looks / TRIES as f64)
    })?;
    drop(sample);
    let mut octaves = found.octaves;
    let (mut best, mut left): (Option<(f64, First)>, f64) = (None, 1.0 - LOOKING);
    for _ in 0..TIMES {
        let settings = whole.settings(whole.step(octaves), aim.care);
        // Each takes half of what is left: most often the first one is the last.
        let (from, share) = (1.0 - left, left * 0.5);
        left -= share;
        let new = write(floats, settings, &mut |done| go_on(from + share * done))?;
        let tried = Tried {
            octaves,
            bits: {
                let levels = new.bytes.len().saturating_sub(head_of(floats.len()));
                whole.bits(levels as f64 * 8.0 / whole.count.max(1) as f64)
            },
            decibels: decibels(whole.signal, new.noise),
        };
        let value = aim.value(&tried);
        let miss = aim.miss(value);
        if best.as_ref().is_none_or(|(least, _)| miss < *least) {
            best = Some((miss, new));
        }
        let (least, most) = whole.range();
        let next = (octaves + (value - aim.middle) / slope).clamp(least, most);
        if miss == 0.0 || !next.is_finite() || (next - octaves).abs() < 1e-3 {
            break;
        }
        octaves = next;
    }
    best.map(|(_, first)| first)
        .ok_or(HybridError::Target { got: aim.middle })
}

fn write(
    floats: &[Floats<'_>],
    settings: Settings,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<First, HybridError> {
    let tensors: Vec<Tensor<'_>> = (floats.iter())
        .map(|floats| floats.tensor(&floats.values))
        .collect();
    let infos = floats.iter().map(|floats| floats.info);
    let (bytes, made) =
        encode_and_make(&tensors, &settings, go_on).map_err(lossy_error(1, infos))?;
    let noise = floats.iter().zip(&made);
    let noise = noise.map(|(floats, made)| floats.noise(made)).sum();
    Ok(First {
        bytes,
        made,
        step: settings.step,
        noise,
    })
}

/// Returns the bytes before the levels of so many tensors: a tag, and a step for each.
const fn head_of(tensors: usize) -> usize {
    1 + 2 * tensors
}

/// Numbers of a sample. Guess: they tell bits within 2 %, and take a twentieth of 5 million's time.
pub(super) const SAMPLE: usize = 1 << 18;
/// Bits that the model of levels spends until it knows the numbers. Measured on a transformer and its delta at 1 to 6 bits: 13 to
/// 18 thousand.
const LEARNING: f64 = 15_000.0;
/// Pieces of a tensor in a sample. Guess: first and last rows differ.
const BANDS: usize = 4;
/// Steps tried on a sample, at most.
const TRIES: usize = 10;
/// Times that all numbers are written, at most.
const TIMES: usize = 3;
/// The part of the work that the sample is, as progress has it.
const LOOKING: f64 = 0.2;
/// How near a sample comes to its aim, in octaves of the step.
const CLOSE: f64 = 0.004;
/// More than any two numbers of binary32 differ by. Source: 2²⁷⁷ is 1668 dB.
const MOST_DECIBELS: f64 = 2000.0;
/// The coarsest step: nothing is left at 64 deviations.
const COARSEST: f64 = 6.0;
/// Products with larger steps might be infinite.
const COARSE: f32 = 1e35;
/// Where the search starts: with steps of so many octaves over deviation a number would take no bits. Measured on weights.
const START: f64 = 2.0;
/// Steps below a quarter of the deviation leave no number's size to be mended, and are told exactly. Guess.
const FINE: f32 = 0.25;
