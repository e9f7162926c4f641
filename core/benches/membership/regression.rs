//! Ridge regression of steps on the slopes of all candidates: who took part in them?

use chorus_core::learner::digits::PIXELS;
use chorus_core::learner::mlp::{HIDDEN, INPUTS, OUTPUTS};

/// Normal equations, summed over steps.
pub(crate) struct Regression {
    /// Inner products of the slopes; the lower triangle, row by row.
    products: Vec<Vec<f64>>,
    /// Inner products of the slopes with what is left of the steps once everybody's average part is taken out.
    targets: Vec<f64>,
}

impl Regression {
    pub(crate) fn new(candidates: usize) -> Self {
        Self {
            products: (1..=candidates).map(|row| vec![0.0; row]).collect(),
            targets: vec![0.0; candidates],
        }
    }

    /// Adds a step that is `weight` × the sum of the slopes, each shortened to `norm`, of those who took part; `slopes`
    /// gives every candidate's input and gradient, and a candidate takes part `visits` times on average.
    pub(crate) fn add(
        &mut self,
        slopes: impl Iterator<Item = ([f32; PIXELS], Vec<f32>)>,
        norm: f32,
        step: &[f32],
        weight: f32,
        visits: f32,
    ) {
        let factors: Vec<Factors> = slopes
            .map(|(input, slope)| Factors::new(&input, &slope, norm, step))
            .collect();
        for (row, a) in factors.iter().enumerate() {
            self.targets[row] += f64::from(a.along / weight);
            for (column, b) in factors[..=row].iter().enumerate() {
                let product = f64::from(a.dot(b));
                self.products[row][column] += product;
                self.targets[row] -= f64::from(visits) * product;
                if column < row {
                    self.targets[column] -= f64::from(visits) * product;
                }
            }
        }
    }

    /// Returns the mean square length of a slope.
    pub(crate) fn mean_square(&self) -> f64 {
        self.diagonal().sum::<f64>() / self.targets.len() as f64
    }

    /// Returns every candidate's part, and forgets the steps. Cholesky's decomposition.
    pub(crate) fn solve(&mut self, ridge: f64) -> Vec<f64> {
        let count = self.targets.len();
        let mut rows = core::mem::replace(self, Self::new(count));
        let mut parts = Vec::with_capacity(count);
        for row in 0..count {
            let (above, rest) = rows.products.split_at_mut(row);
            let own = &mut rest[0];
            own[row] += ridge;
            for column in 0..row {
                let other = &above[column];
                own[column] =
                    (own[column] - dot64(&own[..column], &other[..column])) / other[column];
            }
            own[row] = (own[row] - dot64(&own[..row], &own[..row]))
                .max(f64::MIN_POSITIVE)
                .sqrt();
            let part = (rows.targets[row] - dot64(&own[..row], &parts)) / own[row];
            parts.push(part);
        }
        for row in (0..count).rev() {
            let own = &rows.products[row];
            let part = parts[row] / own[row];
            parts[row] = part;
            for (part_above, factor) in parts[..row].iter_mut().zip(own) {
                *part_above -= factor * part;
            }
        }
        parts
    }

    fn diagonal(&self) -> impl Iterator<Item = f64> {
        self.products.iter().filter_map(|row| row.last().copied())
    }
}

/// A slope as what it is made of: in each layer the outer product of what comes in, with a 1 for the bias, and the error.
/// The inner product of two slopes then takes 202 multiplications and not 4,810.
struct Factors {
    input: [f32; INPUTS],
    hidden: [f32; HIDDEN],
    hidden_error: [f32; HIDDEN],
    output_error: [f32; OUTPUTS],
    /// Inner product with the step.
    along: f32,
}

impl Factors {
    fn new(input: &[f32; INPUTS], slope: &[f32], norm: f32, step: &[f32]) -> Self {
        let (_, rest) = slope.split_at(INPUTS * HIDDEN);
        let (hidden_error, rest) = rest.split_at(HIDDEN);
        let (output, output_error) = rest.split_at(HIDDEN * OUTPUTS);
        let largest = (0..OUTPUTS)
            .max_by(|&a, &b| output_error[a].abs().total_cmp(&output_error[b].abs()))
            .unwrap_or(0);
        let scale = (norm / dot(slope, slope).sqrt().max(f32::MIN_POSITIVE)).min(1.0);
        let mut factors = Self {
            input: *input,
            hidden: [0.0; HIDDEN],
            hidden_error: [0.0; HIDDEN],
            output_error: [0.0; OUTPUTS],
            along: dot(slope, step) * scale,
        };
        if output_error[largest] != 0.0 {
            for (unit, weights) in factors.hidden.iter_mut().zip(output.chunks(OUTPUTS)) {
                *unit = weights[largest] / output_error[largest];
            }
        }
        for (to, error) in factors.hidden_error.iter_mut().zip(hidden_error) {
            *to = error * scale;
        }
        for (to, error) in factors.output_error.iter_mut().zip(output_error) {
            *to = error * scale;
        }
        factors
    }

    fn dot(&self, other: &Self) -> f32 {
        (1.0 + dot(&self.input, &other.input)) * dot(&self.hidden_error, &other.hidden_error)
            + (1.0 + dot(&self.hidden, &other.hidden))
                * dot(&self.output_error, &other.output_error)
    }
}

/// Returns the inner product, in eight sums that go side by side.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<4>();
    let (b, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}
