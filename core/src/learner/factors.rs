//! A difference between two models in few numbers: for each layer a sum of outer products, a column by a row each.
//!
//! What training changes in a layer is a sum of inputs by errors, and between two exchanges most of it lies in few
//! directions: 86 % of the squares in the first, 94 % in two (measured on four nodes of the simulation). So each layer, its
//! biases as one more row, is told as its largest singular pairs, which are found by power iteration and quantised with one
//! step each. What is left out is told later (error feedback; PowerSGD, Vogels et al. 2019, arXiv 1905.13727, without its
//! common start, as here everybody tells a pair of their own).

use alloc::vec;
use alloc::vec::Vec;

use crate::learner::coder::{Coder, Decoder, Encoder, MAX_LEVEL, Sizes};
use crate::learner::mlp::{HIDDEN, INPUTS, OUTPUTS, PARAMETERS, add_scaled};

/// An outer product: parameter (i, j) of the layer changes by `column[i]` × `row[j]` × step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    /// 0 or 1.
    layer: u8,
    step: Step,
    column: Vec<i8>,
    row: Vec<i8>,
}

/// Splits `difference` (4810 numbers) into pairs, the largest first, until what is left of each layer is of the size of
/// `noise`, the squared error that one pair's quantiser may make. Each pair also tells what the ones before were wrong by.
/// What is not finite is not told. Returns the pairs and their bytes; `None`, as soon as it is sure, where these are more
/// than `room`. O(pairs × parameters).
pub(super) fn split(difference: &[f32], noise: f32, room: usize) -> Option<(Vec<Pair>, Vec<u8>)> {
    let mut left = difference.to_vec();
    let mut pairs: Vec<Pair> = Vec::new();
    let mut writer = PairWriter::new();
    for (layer, &Layer { start, columns }) in (0u8..).zip(&LAYERS) {
        let Some(matrix) = left.get_mut(start..start + ROWS * columns) else {
            break;
        };
        for _ in 0..MAX_PAIRS {
            match Pair::largest(layer, matrix, columns, noise) {
                Some(pair) => {
                    pair.take_from(matrix);
                    writer.put(&pair);
                    pairs.push(pair);
                }
                None => break,
            }
            if writer.encoder.len_at_least() > room {
                return None;
            }
        }
    }
    let bytes = writer.finish();
    (bytes.len() <= room).then_some((pairs, bytes))
}

/// Returns what `pairs` change in each parameter, in units of 2⁻²⁴.
pub(super) fn sum(pairs: &[Pair]) -> Vec<i64> {
    let mut sums = vec![0; PARAMETERS];
    for pair in pairs {
        for (index, change) in pair.changes() {
            if let Some(sum) = sums.get_mut(index) {
                *sum += change;
            }
        }
    }
    sums
}

/// Returns `pairs` as bytes.
pub(super) fn encode(pairs: &[Pair]) -> Vec<u8> {
    let mut writer = PairWriter::new();
    pairs.iter().for_each(|pair| writer.put(pair));
    writer.finish()
}

/// Writes pairs into bytes.
struct PairWriter {
    encoder: Encoder,
    sizes: [Sizes; 4],
}

impl PairWriter {
    const fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            sizes: [const { Sizes::new() }; 4],
        }
    }

    fn put(&mut self, pair: &Pair) {
        self.encoder.code(true, MORE);
        pair.clone().code(&mut self.encoder, &mut self.sizes);
    }

    fn finish(mut self) -> Vec<u8> {
        self.encoder.code(false, MORE);
        self.encoder.finish()
    }
}

/// Reads what [`split`] wrote, which anybody may have written: at most [`MAX_PAIRS`] of each layer, 8 kB. `None` where the
/// bytes are not those of pairs.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Pair>> {
    let mut decoder = Decoder::new(bytes);
    let mut sizes = [const { Sizes::new() }; 4];
    let mut pairs = Vec::new();
    while decoder.code(false, MORE) {
        if pairs.len() >= MAX_PAIRS * LAYERS.len() {
            return None;
        }
        let mut pair = Pair {
            layer: 0,
            step: Step(0),
            column: vec![0; ROWS],
            row: Vec::new(),
        };
        pair.code(&mut decoder, &mut sizes);
        pairs.push(pair);
    }
    decoder.is_at_end().then_some(pairs)
}

impl Pair {
    /// Returns the largest singular pair of `matrix`, quantised; `None` where its levels would be mostly zero.
    fn largest(layer: u8, matrix: &[f32], columns: usize, noise: f32) -> Option<Self> {
        let (column, size) = direction(matrix, columns);
        let numbers = (ROWS + columns) as f32;
        // Both sides in steps of the same size, whose error has the squared size of `noise`.
        let step = Step::at_least(12.0 * noise / (numbers * size));
        let width = libm::sqrtf(step.size());
        let typical = libm::sqrtf(size) / libm::sqrtf(libm::sqrtf((ROWS * columns) as f32));
        // What is not a number is not worth it.
        let is_worth = typical >= width * WORTH;
        if !is_worth {
            return None;
        }
        let scale = libm::sqrtf(size) / width;
        let column: Vec<i8> = column.iter().map(|&part| level(part * scale)).collect();
        // The row that goes best with the column as it is told.
        let square: f32 = column.iter().map(|&l| f32::from(l) * f32::from(l)).sum();
        let mut row = vec![0.0; columns];
        for (&level, numbers) in column.iter().zip(matrix.chunks(columns)) {
            add_scaled(&mut row, f32::from(level), numbers);
        }
        let scale = 1.0 / (square * step.size());
        let row: Vec<i8> = row.iter().map(|&part| level(part * scale)).collect();
        let is_zero = |side: &[i8]| side.iter().all(|&level| level == 0);
        let pair = Self {
            layer,
            step,
            column,
            row,
        };
        (!is_zero(&pair.column) && !is_zero(&pair.row)).then_some(pair)
    }

    /// Returns the parameters of the layer, and what changes in each in units of 2⁻²⁴.
    fn changes(&self) -> impl Iterator<Item = (usize, i64)> {
        let Layer { start, .. } = LAYERS[usize::from(self.layer & 1)];
        let step = self.step.units();
        let product = move |&column: &i8| {
            let column = i64::from(column) * step;
            self.row.iter().map(move |&row| column * i64::from(row))
        };
        (start..).zip(self.column.iter().flat_map(product))
    }

    /// Subtracts what the pair changes from `matrix`, its layer. Each product is exact: its levels have 6 bits each, its step 3.
    fn take_from(&self, matrix: &mut [f32]) {
        let row: Vec<f32> = self.row.iter().map(|&level| f32::from(level)).collect();
        for (&level, numbers) in self.column.iter().zip(matrix.chunks_mut(row.len().max(1))) {
            add_scaled(numbers, -f32::from(level) * self.step.size(), &row);
        }
    }

    /// Codes the pair, or reads another in its place.
    fn code(&mut self, coder: &mut impl Coder, sizes: &mut [Sizes; 4]) {
        self.layer = coder.number(self.layer, 1);
        self.step = Step(coder.number(self.step.0, Step::BITS));
        let [first, second, third, fourth] = sizes;
        let (of_column, of_row, layer) = match self.layer {
            0 => (first, second, &LAYERS[0]),
            _ => (third, fourth, &LAYERS[1]),
        };
        self.row.resize(layer.columns, 0);
        for level in &mut self.column {
            *level = of_column.code(coder, *level);
        }
        for level in &mut self.row {
            *level = of_row.code(coder, *level);
        }
    }
}

/// Returns the direction of `matrix`'s columns with the largest singular value, of length 1, and about that value.
fn direction(matrix: &[f32], columns: usize) -> (Vec<f32>, f32) {
    // Sums along the rows of `matrix` are added up row beside row: in the same order, and as vectors.
    let mut transposed = vec![0.0; ROWS * columns];
    for (i, numbers) in matrix.chunks(columns).enumerate() {
        for (&number, copies) in numbers.iter().zip(transposed.chunks_mut(ROWS)) {
            copies[i] = number;
        }
    }
    let mut squares = vec![0.0; ROWS];
    for numbers in transposed.chunks(ROWS) {
        let pairs = squares.iter_mut().zip(numbers);
        pairs.for_each(|(sum, number)| *sum += number * number);
    }
    // The longest row is not at right angles to what is looked for.
    let rows = squares.iter().zip(matrix.chunks(columns));
    let longest = rows.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut row = longest.map_or_else(Vec::new, |(_, row)| row.to_vec());
    let mut column = vec![0.0; ROWS];
    let mut size = 0.0;
    for _ in 0..ITERATIONS {
        let scale = 1.0 / libm::sqrtf(square(&row)).max(f32::MIN_POSITIVE);
        column.fill(0.0);
        for (&part, numbers) in row.iter().zip(transposed.chunks(ROWS)) {
            add_scaled(&mut column, part, numbers);
        }
        column.iter_mut().for_each(|part| *part *= scale);
        size = libm::sqrtf(square(&column));
        let scale = 1.0 / size.max(f32::MIN_POSITIVE);
        column.iter_mut().for_each(|part| *part *= scale);
        row.fill(0.0);
        for (&part, numbers) in column.iter().zip(matrix.chunks(columns)) {
            add_scaled(&mut row, part, numbers);
        }
    }
    (column, size)
}

fn square(numbers: &[f32]) -> f32 {
    numbers.iter().map(|number| number * number).sum()
}

/// Returns the level nearest to `steps`; zero for what is not a number.
fn level(steps: f32) -> i8 {
    let most = f32::from(MAX_LEVEL);
    libm::rintf(steps).clamp(-most, most) as i8
}

/// What one level of the column times one of the row stands for: (4 + mantissa) × 2^exponent units of 2⁻²⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(u8);

impl Step {
    /// The coarsest is 7 × 2^31 units, 896: more than any model's norm.
    const BITS: u8 = 7;

    const fn units(self) -> i64 {
        (4 + (self.0 & 3) as i64) << (self.0 >> 2)
    }

    fn size(self) -> f32 {
        self.units() as f32 / PER_ONE
    }

    fn at_least(size: f32) -> Self {
        let mut code = 0;
        while code < (1 << Self::BITS) - 1 && Self(code).size() < size {
            code += 1;
        }
        Self(code)
    }
}

/// A layer's place among the parameters: rows of `columns` numbers, [`ROWS`] of them, the last one its biases.
struct Layer {
    start: usize,
    columns: usize,
}

/// Rows of both layers: the inputs or the hidden units, as many of each, and the biases.
const ROWS: usize = INPUTS + 1;
const LAYERS: [Layer; 2] = [
    Layer {
        start: 0,
        columns: HIDDEN,
    },
    Layer {
        start: ROWS * HIDDEN,
        columns: OUTPUTS,
    },
];
const _: () = assert!(INPUTS == HIDDEN && ROWS * (HIDDEN + OUTPUTS) == PARAMETERS);
const PER_ONE: f32 = 16_777_216.0;
/// Pairs of a layer at most: as many as it has columns.
const MAX_PAIRS: usize = 64;
/// The probability × 65536 that another pair follows. Guess: four pairs.
const MORE: u32 = 52_000;
/// Size of a typical level from which on a pair is worth its bytes. Source: of 0.5, 0.7, 1 and 1.4 the best accuracy of four
/// nodes after 30 exchanges.
const WORTH: f32 = 0.7;
/// Power iterations. Source: as good as 8 in the learner's simulation.
const ITERATIONS: usize = 5;
