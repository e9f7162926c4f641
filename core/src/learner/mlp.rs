//! The small built-in model: a multilayer perceptron of 64 inputs, 64 hidden units with ReLU and 10 classes, trained by
//! plain SGD on the softmax cross-entropy.
//!
//! The same inputs give the same bits on every target: only IEEE additions, multiplications and divisions in a fixed
//! order, no fused multiply-add (Rust never contracts), no reassociation, and `exp` from `libm`'s portable code. Inner
//! loops add one scaled row to another, a shape that vectorises without changing the order of any sum.

use alloc::vec;
use alloc::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::learner::classes::CLASSES;
use crate::learner::digits::{PIXELS, Sample};

/// Inputs: the pixels of one image.
pub const INPUTS: usize = PIXELS;
/// Hidden units. Source: issue 2, part 8.
pub const HIDDEN: usize = 64;
/// Outputs: one for each digit.
pub const OUTPUTS: usize = CLASSES as usize;
/// Parameters of the model: 4810.
pub const PARAMETERS: usize = INPUTS * HIDDEN + HIDDEN + HIDDEN * OUTPUTS + OUTPUTS;
/// Bytes of the parameters as [`parameters_to_bytes`] writes them: 19 240.
pub const PARAMETER_BYTES: usize = PARAMETERS * 4;
/// Greatest Euclidean norm of the parameters that is taken for a model. A fresh one has 12, one trained here for
/// 300 exchanges 22. Guess: four times that leaves room for other rates.
pub const MAX_NORM: f32 = 100.0;

/// The model. Parameters lie in one row in this order, every matrix row-major:
///
/// | what | shape | offset |
/// |---|---|---|
/// | weights of the hidden layer | `[64 inputs, 64 hidden]` | 0 |
/// | biases of the hidden layer | `[64]` | 4096 |
/// | weights of the output layer | `[64 hidden, 10 outputs]` | 4160 |
/// | biases of the output layer | `[10]` | 4800 |
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    parameters: Vec<f32>,
    gradient: Vec<f32>,
}

impl Mlp {
    /// Creates a model with random weights (He's uniform initialisation, arXiv 1502.01852, section 2.2) and zero
    /// biases. The same `seed` gives the same bits everywhere.
    pub fn new(seed: u64) -> Self {
        let mut model = Self {
            parameters: vec![0.0; PARAMETERS],
            gradient: vec![0.0; PARAMETERS],
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let layers = Layers::split_mut(&mut model.parameters);
        fill_uniform(layers.hidden.as_flattened_mut(), INPUTS, &mut rng);
        fill_uniform(layers.output.as_flattened_mut(), HIDDEN, &mut rng);
        model
    }

    /// Returns the 4810 parameters in the documented order.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Replaces all parameters.
    ///
    /// # Errors
    /// `ParametersError` where there are not 4810, one is not finite, or the norm is past [`MAX_NORM`]; the model then
    /// stays as it was.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), ParametersError> {
        check_parameters(parameters)?;
        self.parameters.copy_from_slice(parameters);
        Ok(())
    }

    /// Takes one step of SGD on the mean loss of `batch` with learning rate `rate` (> 0). An empty batch changes
    /// nothing. About 2.4 µs a sample natively
    /// (release build); not measured in a browser.
    pub fn train_batch<'a>(&mut self, batch: impl IntoIterator<Item = &'a Sample>, rate: f32) {
        let mut samples = 0u16;
        for sample in batch {
            add_gradient(&self.parameters, &mut self.gradient, sample);
            samples = samples.saturating_add(1);
        }
        if samples == 0 {
            return;
        }
        let step = rate / f32::from(samples);
        for (parameter, gradient) in self.parameters.iter_mut().zip(&mut self.gradient) {
            *parameter -= step * *gradient;
            *gradient = 0.0;
        }
    }

    /// Returns the gradient of the loss of `sample` alone: 4810 numbers in the parameters' order.
    pub fn gradient(&self, sample: &Sample) -> Vec<f32> {
        let mut gradient = vec![0.0; PARAMETERS];
        add_gradient(&self.parameters, &mut gradient, sample);
        gradient
    }

    /// Moves the parameters by `-rate` × `direction` (4810 numbers in their order; what is missing counts as zero).
    pub fn descend(&mut self, direction: &[f32], rate: f32) {
        for (parameter, slope) in self.parameters.iter_mut().zip(direction) {
            *parameter -= rate * slope;
        }
    }

    /// Goes once through `samples` in a random order in batches of `batch` (at least 1) samples.
    pub fn train_epoch(
        &mut self,
        samples: &[Sample],
        rate: f32,
        batch: usize,
        rng: &mut impl RngCore,
    ) {
        let mut order: Vec<usize> = (0..samples.len()).collect();
        shuffle(&mut order, rng);
        for indices in order.chunks(batch.max(1)) {
            self.train_batch(indices.iter().map(|&index| &samples[index]), rate);
        }
    }

    /// Returns the probability of each digit for `input` (64 pixels as fractions 0..=1, row-major). They sum to 1.
    pub fn predict(&self, input: &[f32; INPUTS]) -> [f32; OUTPUTS] {
        let layers = Layers::split(&self.parameters);
        softmax(layers.logits(&layers.activate(input)))
    }

    /// Returns the share of `samples` whose digit is the most probable one, 0..=1; 0 where there are none.
    pub fn accuracy(&self, samples: &[Sample]) -> f32 {
        if samples.is_empty() {
            return 0.0;
        }
        let layers = Layers::split(&self.parameters);
        let hit = |sample: &&Sample| {
            argmax(&layers.logits(&layers.activate(&sample.input()))) == sample.label
        };
        samples.iter().filter(hit).count() as f32 / samples.len() as f32
    }

    /// Returns the mean cross-entropy of `samples` in nats; 0 where there are none.
    pub fn loss(&self, samples: &[Sample]) -> f32 {
        if samples.is_empty() {
            return 0.0;
        }
        let surprise = |sample: &Sample| {
            let probability = self.predict(&sample.input())[usize::from(sample.label) % OUTPUTS];
            -libm::logf(probability.max(f32::MIN_POSITIVE))
        };
        samples.iter().map(surprise).sum::<f32>() / samples.len() as f32
    }
}

/// Returns the index of the largest of ten values, the first among equals.
pub fn argmax(values: &[f32; OUTPUTS]) -> u8 {
    let mut best = 0;
    for class in 1..CLASSES {
        if values[usize::from(class)] > values[usize::from(best)] {
            best = class;
        }
    }
    best
}

/// Writes parameters as little-endian IEEE 754 single precision, in their order.
pub fn parameters_to_bytes(parameters: &[f32]) -> Vec<u8> {
    parameters
        .iter()
        .flat_map(|parameter| parameter.to_le_bytes())
        .collect()
}

/// Reads what [`parameters_to_bytes`] wrote.
///
/// # Errors
/// `ParametersError` where there are not 19 240 bytes, a parameter is not finite, or the norm is past [`MAX_NORM`].
pub fn parameters_from_bytes(bytes: &[u8]) -> Result<Vec<f32>, ParametersError> {
    if bytes.len() != PARAMETER_BYTES {
        return Err(ParametersError::Bytes {
            got: bytes.len(),
            expected: PARAMETER_BYTES,
        });
    }
    let parameters: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    check_parameters(&parameters)?;
    Ok(parameters)
}

/// Says whether `parameters` may be those of a model.
///
/// # Errors
/// `ParametersError` where there are not 4810, one is not finite, or the norm is past [`MAX_NORM`].
pub fn check_parameters(parameters: &[f32]) -> Result<(), ParametersError> {
    if parameters.len() != PARAMETERS {
        return Err(ParametersError::Length {
            got: parameters.len(),
            expected: PARAMETERS,
        });
    }
    if let Some(index) = parameters
        .iter()
        .position(|parameter| !parameter.is_finite())
    {
        return Err(ParametersError::NotFinite {
            index,
            got: parameters[index],
        });
    }
    // In double precision the square of any finite single is finite.
    let square: f64 = parameters
        .iter()
        .map(|&parameter| f64::from(parameter) * f64::from(parameter))
        .sum();
    let norm = libm::sqrt(square);
    if norm > f64::from(MAX_NORM) {
        return Err(ParametersError::Norm {
            got: norm,
            max: MAX_NORM,
        });
    }
    Ok(())
}

/// Why numbers or bytes are no model's parameters.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// The number of bytes is wrong.
    #[error("parameters must be {expected} bytes, got {got}")]
    Bytes {
        /// Bytes there are.
        got: usize,
        /// Bytes of this model.
        expected: usize,
    },
    /// The number of parameters is wrong.
    #[error("model must have {expected} parameters, got {got}")]
    Length {
        /// Parameters there are.
        got: usize,
        /// Parameters of this model.
        expected: usize,
    },
    /// A parameter is infinite or not a number.
    #[error("parameter {index} must be finite, got {got}")]
    NotFinite {
        /// Its position.
        index: usize,
        /// Its value.
        got: f32,
    },
    /// The parameters are too large to be a model's.
    #[error("norm of the parameters must be at most {max}, got {got}")]
    Norm {
        /// Their Euclidean norm.
        got: f64,
        /// Greatest norm allowed.
        max: f32,
    },
}

/// Puts `order` into a random order (Fisher and Yates; the tiny bias of the remainder does not matter here).
pub(crate) fn shuffle<T>(order: &mut [T], rng: &mut impl RngCore) {
    for last in (1..order.len()).rev() {
        order.swap(last, rng.next_u32() as usize % (last + 1));
    }
}

/// The flat row of parameters, or of their gradient, seen as layers.
struct Layers<'a> {
    hidden: &'a [[f32; HIDDEN]],
    hidden_bias: &'a [f32],
    output: &'a [[f32; OUTPUTS]],
    output_bias: &'a [f32],
}

struct LayersMut<'a> {
    hidden: &'a mut [[f32; HIDDEN]],
    hidden_bias: &'a mut [f32],
    output: &'a mut [[f32; OUTPUTS]],
    output_bias: &'a mut [f32],
}

impl<'a> Layers<'a> {
    fn split(row: &'a [f32]) -> Self {
        let (hidden, rest) = row.split_at(INPUTS * HIDDEN);
        let (hidden_bias, rest) = rest.split_at(HIDDEN);
        let (output, output_bias) = rest.split_at(HIDDEN * OUTPUTS);
        Self {
            hidden: hidden.as_chunks().0,
            hidden_bias,
            output: output.as_chunks().0,
            output_bias,
        }
    }

    fn split_mut(row: &'a mut [f32]) -> LayersMut<'a> {
        let (hidden, rest) = row.split_at_mut(INPUTS * HIDDEN);
        let (hidden_bias, rest) = rest.split_at_mut(HIDDEN);
        let (output, output_bias) = rest.split_at_mut(HIDDEN * OUTPUTS);
        LayersMut {
            hidden: hidden.as_chunks_mut().0,
            hidden_bias,
            output: output.as_chunks_mut().0,
            output_bias,
        }
    }

    /// Returns the hidden units after ReLU. Blank pixels, half of an image, cost nothing.
    fn activate(&self, input: &[f32; INPUTS]) -> [f32; HIDDEN] {
        let mut units = [0.0; HIDDEN];
        units.copy_from_slice(self.hidden_bias);
        for (&pixel, weights) in input.iter().zip(self.hidden) {
            if pixel != 0.0 {
                add_scaled(&mut units, pixel, weights);
            }
        }
        units.map(|unit| if unit > 0.0 { unit } else { 0.0 })
    }

    fn logits(&self, active: &[f32; HIDDEN]) -> [f32; OUTPUTS] {
        let mut logits = [0.0; OUTPUTS];
        logits.copy_from_slice(self.output_bias);
        for (&unit, weights) in active.iter().zip(self.output) {
            if unit != 0.0 {
                add_scaled(&mut logits, unit, weights);
            }
        }
        logits
    }
}

/// Adds the gradient of the loss of `sample` at `parameters` to the sum `gradient`.
fn add_gradient(parameters: &[f32], gradient: &mut [f32], sample: &Sample) {
    let layers = Layers::split(parameters);
    let input = sample.input();
    let active = layers.activate(&input);
    let mut error = softmax(layers.logits(&active));
    error[usize::from(sample.label) % OUTPUTS] -= 1.0;

    let gradient = Layers::split_mut(gradient);
    let mut back = [0.0; HIDDEN];
    for ((&unit, back), (weights, slope)) in active
        .iter()
        .zip(&mut back)
        .zip(layers.output.iter().zip(gradient.output))
    {
        if unit > 0.0 {
            *back = weights
                .iter()
                .zip(&error)
                .fold(0.0, |sum, (&weight, &error)| sum + weight * error);
            add_scaled(slope, unit, &error);
        }
    }
    add_scaled(gradient.output_bias, 1.0, &error);
    for (&pixel, slope) in input.iter().zip(gradient.hidden) {
        if pixel != 0.0 {
            add_scaled(slope, pixel, &back);
        }
    }
    add_scaled(gradient.hidden_bias, 1.0, &back);
}

/// `to += scale * from`, element by element.
#[inline]
pub(super) fn add_scaled(to: &mut [f32], scale: f32, from: &[f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += scale * from;
    }
}

/// Shifted by the largest value, so that no exponential overflows.
fn softmax(mut logits: [f32; OUTPUTS]) -> [f32; OUTPUTS] {
    let largest = logits[usize::from(argmax(&logits))];
    let mut sum = 0.0;
    for value in &mut logits {
        *value = libm::expf(*value - largest);
        sum += *value;
    }
    logits.map(|value| value / sum)
}

/// Fills `weights` with uniform values within ± √(6 / `fan_in`).
fn fill_uniform(weights: &mut [f32], fan_in: usize, rng: &mut impl RngCore) {
    let limit = libm::sqrtf(6.0 / fan_in as f32);
    for weight in weights {
        // 24 random bits make every value exact in single precision: a multiple of 2^-24 in 0..1.
        let unit = (rng.next_u32() >> 8) as f32 / 16_777_216.0;
        *weight = (2.0 * unit - 1.0) * limit;
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use sha2::Digest;

    use super::*;
    use crate::learner::digits::Digits;

    fn digits() -> Digits {
        Digits::parse(include_bytes!("../../../www/digits.bin")).unwrap()
    }

    #[test]
    fn the_model_has_4810_parameters() {
        assert_eq!(PARAMETERS, 4810);
        assert_eq!(Mlp::new(1).parameters().len(), 4810);
    }

    #[test]
    fn all_digits_together_teach_96_percent() {
        let digits = digits();
        let mut model = Mlp::new(7);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..40 {
            model.train_epoch(&digits.train, 0.05, 10, &mut rng);
        }
        let accuracy = model.accuracy(&digits.test);
        assert!(accuracy > 0.96, "{accuracy}");
        assert!(model.loss(&digits.test) < 0.15);
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let sample = digits().train[700];
        let model = Mlp::new(3);
        let gradient = model.gradient(&sample);
        for index in [0, 700, 2000, 4100, 4163, 4500, 4790, 4803] {
            let nudged = |by: f32| {
                let mut model = model.clone();
                model.parameters[index] += by;
                model.loss(&[sample])
            };
            let slope = (nudged(1e-2) - nudged(-1e-2)) / 2e-2;
            assert!(
                (slope - gradient[index]).abs() < 2e-3,
                "{index}: {slope} {}",
                gradient[index]
            );
        }
    }

    /// The same constant must come out in wasm: `web` runs this test there too.
    #[test]
    fn a_hundred_steps_from_a_seed_give_the_same_bits_everywhere() {
        let digits = digits();
        let mut model = Mlp::new(42);
        let mut rng = ChaCha8Rng::seed_from_u64(42);
        for _ in 0..2 {
            model.train_epoch(&digits.train[..800], 0.1, 16, &mut rng);
        }
        let bits = sha2::Sha256::digest(parameters_to_bytes(model.parameters()));
        let probabilities = model.predict(&digits.test[0].input()).map(f32::to_bits);
        assert_eq!(bits[..8], GOLDEN_BITS);
        assert_eq!(probabilities[0], GOLDEN_PROBABILITY);
    }

    const GOLDEN_BITS: [u8; 8] = [215, 167, 27, 132, 162, 19, 48, 65];
    const GOLDEN_PROBABILITY: u32 = 1_063_169_968;

    #[test]
    fn probabilities_sum_to_one_whatever_the_parameters() {
        let mut model = Mlp::new(5);
        let huge: Vec<f32> = model
            .parameters()
            .iter()
            .map(|parameter| parameter * 8.0)
            .collect();
        model.set_parameters(&huge).unwrap();
        let sum: f32 = model.predict(&[1.0; 64]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn parameters_survive_the_trip_through_bytes_bit_for_bit() {
        let model = Mlp::new(9);
        let bytes = parameters_to_bytes(model.parameters());
        assert_eq!(bytes.len(), PARAMETER_BYTES);
        assert_eq!(parameters_from_bytes(&bytes).unwrap(), model.parameters());
    }

    #[test]
    fn hostile_parameters_are_refused_and_leave_the_model_as_it_was() {
        let mut model = Mlp::new(9);
        let before = model.clone();
        let mut bad = model.parameters().to_vec();
        bad[17] = f32::NAN;
        assert_eq!(
            model.set_parameters(&bad).unwrap_err().to_string(),
            "parameter 17 must be finite, got NaN"
        );
        bad[17] = f32::MAX;
        assert!(matches!(
            model.set_parameters(&bad),
            Err(ParametersError::Norm { .. })
        ));
        assert!(matches!(
            model.set_parameters(&bad[1..]),
            Err(ParametersError::Length { got: 4809, .. })
        ));
        let mut bytes = parameters_to_bytes(before.parameters());
        bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert!(matches!(
            parameters_from_bytes(&bytes),
            Err(ParametersError::NotFinite { index: 0, .. })
        ));
        assert!(matches!(
            parameters_from_bytes(&bytes[1..]),
            Err(ParametersError::Bytes { .. })
        ));
        assert!(parameters_from_bytes(&[]).is_err());
        assert_eq!(model, before);
    }

    #[test]
    fn an_empty_batch_and_an_empty_set_change_nothing() {
        let mut model = Mlp::new(9);
        let before = model.clone();
        model.train_batch([], 0.1);
        model.train_epoch(&[], 0.1, 0, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(model, before);
        assert_eq!((model.accuracy(&[]), model.loss(&[])), (0.0, 0.0));
    }
}
