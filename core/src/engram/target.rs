//! How exact an engram must be: in bits, in decibels, or in the loss that a validation function measures. And which tensors
//! need finer steps than others, as the same function tells.

use alloc::vec::Vec;

use rand_core::RngCore;

use super::lossy::{
    Gain, LEAST_STEP, LossyError, Settings, Shape, Tensor, decode, deviation, encode,
};

/// What came out of a search.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The settings that were found.
    pub settings: Settings,
    /// The engram.
    pub bytes: Vec<u8>,
    /// What it measures in the unit of the target: bits a number, decibels, or loss.
    pub measured: f64,
}

/// How the sensitivity of tensors is measured and followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Size of the noise, in deviations of all numbers.
    pub noise: f32,
    /// How much of the difference in octaves steps follow: at 0.5 they are as fine as the square root of what the loss grows
    /// by, which is best at many bits a number; fewer bits want less.
    pub strength: f64,
}

impl Trial {
    /// For deltas, at about one bit a number. Measured on fine-tuning deltas of a transformer: 0.25 keeps more than 0.5.
    pub const DELTA: Self = Self {
        noise: 1.0,
        strength: 0.25,
    };
    /// For whole weights, at three or four bits a number: noise as large as its errors. Guess: not compared with others.
    pub const WEIGHTS: Self = Self {
        noise: 0.1,
        strength: 0.5,
    };
}

/// Tells for each tensor how much finer its steps should be, in quarters of an octave, by how much the loss grows when random
/// signs are added to it and taken from it.
///
/// `loss` measures the model with the given tensors; a loss that is no number counts as infinite. It is asked once, and twice for each tensor that has at least 1/400 of all
/// numbers; smaller ones cost next to nothing and get [`SMALL`]. O(tensors × (numbers + loss)).
///
/// # Errors
/// [`LossyError::NotFinite`] where a number is not finite.
pub fn sensitivities(
    tensors: &[Tensor<'_>],
    trial: &Trial,
    rng: &mut impl RngCore,
    mut loss: impl FnMut(&[Vec<f32>]) -> f64,
) -> Result<Vec<i8>, LossyError> {
    for (tensor, given) in tensors.iter().enumerate() {
        if let Some(offset) = given.values.iter().position(|value| !value.is_finite()) {
            return Err(LossyError::NotFinite { tensor, offset });
        }
    }
    let count: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let noise = deviation(tensors) * trial.noise;
    let mut model: Vec<Vec<f32>> = tensors
        .iter()
        .map(|tensor| tensor.values.to_vec())
        .collect();
    let before = loss(&model);
    let mut grown: Vec<(usize, f64)> = Vec::new();
    for (place, tensor) in tensors.iter().enumerate() {
        let numbers = tensor.values.len();
        if numbers == 0 || numbers.saturating_mul(400) < count {
            continue;
        }
        let signs: Vec<f32> = (0..numbers)
            .map(|_| {
                if rng.next_u32() & 1 == 0 {
                    noise
                } else {
                    -noise
                }
            })
            .collect();
        let mut both = 0.0;
        for side in [1.0, -1.0] {
            let moved = tensor
                .values
                .iter()
                .zip(&signs)
                .map(|(value, sign)| value + side * sign);
            if let Some(own) = model.get_mut(place) {
                *own = moved.collect();
            }
            both += loss(&model) - before;
        }
        if both.is_nan() {
            both = f64::INFINITY;
        }
        if let Some(own) = model.get_mut(place) {
            *own = tensor.values.to_vec();
        }
        grown.push((place, both / numbers as f64));
    }
    let usual = usual(tensors, &grown);
    let mut finer: Vec<i8> = tensors.iter().map(|_| SMALL).collect();
    for (place, growth) in grown {
        let octaves = if growth == usual {
            0.0
        } else if growth == f64::INFINITY {
            f64::INFINITY
        } else if usual > 0.0 && growth > usual / 16.0 {
            libm::log2(growth / usual) * trial.strength
        } else {
            -4.0 * trial.strength * f64::from(u8::from(usual > 0.0))
        };
        if let Some(finer) = finer.get_mut(place) {
            *finer = libm::round(4.0 * octaves).clamp(-8.0, 24.0) as i8;
        }
    }
    Ok(finer)
}

/// Returns the growth that half of all numbers stay below.
fn usual(tensors: &[Tensor<'_>], grown: &[(usize, f64)]) -> f64 {
    let mut sorted = grown.to_vec();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let numbers = |place: usize| tensors.get(place).map_or(0, |tensor| tensor.values.len());
    let all: usize = sorted.iter().map(|(place, _)| numbers(*place)).sum();
    let mut below = 0;
    for (place, growth) in sorted {
        below += numbers(place);
        if 2 * below >= all {
            return growth;
        }
    }
    0.0
}

/// Finds the finest step at which a number takes at most `bits` on the mean, all bytes counted.
///
/// # Errors
/// [`LossyError`] of [`encode`].
pub fn in_bits(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    bits: f64,
) -> Result<Reached, LossyError> {
    let count: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    search(tensors, settings, |bytes| {
        let used = bytes.len() as f64 * 8.0 / count.max(1) as f64;
        Ok((used, used <= bits, Side::Coarse))
    })
}

/// Finds the coarsest step that leaves a ratio of signal to noise of `decibels`.
///
/// # Errors
/// [`LossyError`] of [`encode`].
pub fn in_decibels(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    decibels: f64,
) -> Result<Reached, LossyError> {
    let shapes = shapes(tensors);
    search(tensors, settings, |bytes| {
        let decoded = decode(bytes, &shapes, usize::MAX)?;
        let (mut signal, mut noise) = (0.0, 0.0);
        for (tensor, decoded) in tensors.iter().zip(&decoded) {
            for (value, other) in tensor.values.iter().zip(decoded) {
                signal += f64::from(*value) * f64::from(*value);
                noise += f64::from(value - other) * f64::from(value - other);
            }
        }
        let got = if noise == 0.0 {
            f64::INFINITY
        } else {
            10.0 * libm::log10(signal / noise)
        };
        Ok((got, got >= decibels, Side::Fine))
    })
}

/// Finds the coarsest step at which `loss` of the decoded tensors is at most `most`. Asks `loss` 9 times.
///
/// # Errors
/// [`LossyError`] of [`encode`].
pub fn in_loss(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    most: f64,
    mut loss: impl FnMut(&[Vec<f32>]) -> f64,
) -> Result<Reached, LossyError> {
    let shapes = shapes(tensors);
    search(tensors, settings, |bytes| {
        let got = loss(&decode(bytes, &shapes, usize::MAX)?);
        Ok((got, got <= most, Side::Fine))
    })
}

/// Returns how tensors lie.
fn shapes(tensors: &[Tensor<'_>]) -> Vec<Shape> {
    (tensors.iter())
        .map(|tensor| Shape {
            rows: tensor.values.len().checked_div(tensor.columns).unwrap_or(0),
            columns: tensor.columns,
        })
        .collect()
}

/// On which side of the target the steps are that reach it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Fine,
    Coarse,
}

/// Halves the range of steps, 1/64 to 16 deviations, until it is narrow. Steps that numbers are too far away for are too fine.
/// Where no step reaches the target, the last one tried comes back: about the finest that can be written, or the coarsest.
fn search(
    tensors: &[Tensor<'_>],
    settings: &Settings,
    mut measure: impl FnMut(&[u8]) -> Result<(f64, bool, Side), LossyError>,
) -> Result<Reached, LossyError> {
    let deviation = deviation(tensors);
    let unit = if deviation >= LEAST_STEP {
        deviation
    } else {
        1.0
    };
    let (mut fine, mut coarse) = (-6.0_f32, 4.0_f32);
    let (mut best, mut last) = (None, None);
    let mut too_fine = LossyError::Step { got: unit };
    for _ in 0..TRIES {
        let middle = (fine + coarse) * 0.5;
        let settings = Settings {
            step: unit * libm::exp2f(middle),
            ..*settings
        };
        let bytes = match encode(tensors, &settings) {
            Err(LossyError::Step { got }) if got > 1.0 => {
                coarse = middle;
                continue;
            }
            Err(error @ (LossyError::Far { .. } | LossyError::Step { .. })) => {
                too_fine = error;
                fine = middle;
                continue;
            }
            encoded => encoded?,
        };
        let (measured, is_reached, side) = measure(&bytes)?;
        // Towards the edge of what reaches the target.
        if is_reached == (side == Side::Fine) {
            fine = middle;
        } else {
            coarse = middle;
        }
        let reached = Reached {
            settings,
            bytes,
            measured,
        };
        if is_reached {
            best = Some(reached);
        } else {
            last = Some(reached);
        }
    }
    best.or(last).ok_or(too_fine)
}

/// Returns the settings for deltas whose tensors have steps of their own.
#[must_use]
pub const fn even(step: f32) -> Settings {
    let mut settings = Settings::new(step);
    settings.gain = Gain::Even(EVEN_GAIN);
    settings.bit_weight = EVEN_BIT_WEIGHT;
    settings
}

/// How much finer the steps of small tensors are (biases, norms), in quarters of an octave. Guess: they cost next to nothing.
pub const SMALL: i8 = 5;
/// Measured on fine-tuning deltas: with 0.2 small numbers vanish that matter.
const EVEN_BIT_WEIGHT: f32 = 0.05;
/// Measured on fine-tuning deltas: 0.9 keeps half a point less at half a bit a number.
const EVEN_GAIN: f32 = 1.0;
/// The range of 10 octaves narrows to a fiftieth of one.
const TRIES: usize = 9;

#[cfg(test)]
mod tests;
