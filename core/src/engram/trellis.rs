//! Trellis-coded quantisation: two coarse quantisers share the work of one fine one, and which of them makes the next level
//! follows from the parity of the last (Marcellin and Fischer 1990; "dependent quantisation" of H.266, 8.7.3). The writer
//! looks for the levels that cost least in error and bits together, with the algorithm of Viterbi.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// How many states the choice of quantisers has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trellis {
    /// One: plain scalar quantisation.
    Scalar,
    /// Four, as in H.266.
    Four,
    /// Eight.
    #[default]
    Eight,
}

impl Trellis {
    /// Returns the state after a level.
    #[inline(always)]
    pub(super) fn next(self, state: usize, level: i32) -> usize {
        let odd = (level & 1) as usize;
        match self {
            Self::Scalar => 0,
            Self::Four => usize::from(FOUR[state & 3][odd]),
            Self::Eight => usize::from(EIGHT[state & 7][odd]),
        }
    }

    /// Returns which of the two quantisers makes the next level in `state`.
    #[inline(always)]
    pub(super) const fn quantiser(self, state: usize) -> usize {
        match self {
            Self::Scalar => 0,
            Self::Four => state >> 1 & 1,
            Self::Eight => state & 1,
        }
    }

    pub(super) const fn states(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// Returns what a level stands for, in half steps: all even numbers, or 0 and the odd ones.
#[inline(always)]
pub(super) const fn halves(quantiser: usize, level: i32) -> i32 {
    2 * level - level.signum() * quantiser as i32
}

/// The next state after an even and an odd level. Source: H.266 (04/2022), 8.7.3.
const FOUR: [[u8; 2]; 4] = [[0, 2], [2, 0], [1, 3], [3, 1]];
/// Eight states, after Ungerboeck's code. Q0 is D0 ∪ D2, Q1 is D1 ∪ D3.
const EIGHT: [[u8; 2]; 8] = [
    [0, 1],
    [2, 3],
    [5, 4],
    [7, 6],
    [1, 0],
    [3, 2],
    [4, 5],
    [6, 7],
];

/// Chooses levels, block by block; learns what levels cost from those it chose.
pub(super) struct Search {
    trellis: Trellis,
    /// What a bit weighs, in squares of half a step.
    weight: f32,
    costs: Costs,
    state: usize,
    /// Mean size of the numbers of each column so far, in half steps.
    columns: Vec<f32>,
    whole: f32,
    place: usize,
    seen_rows: usize,
    back: Vec<[u8; 8]>,
    choices: Vec<[u32; 4]>,
    buckets: Vec<u8>,
}

impl Search {
    /// Makes a search in which a bit weighs `weight` squares of half a step.
    pub(super) fn new(trellis: Trellis, weight: f32) -> Self {
        Self {
            trellis,
            weight,
            costs: Costs::new(),
            state: 0,
            columns: Vec::new(),
            whole: 0.0,
            place: 0,
            seen_rows: 0,
            back: Vec::new(),
            choices: Vec::new(),
            buckets: Vec::new(),
        }
    }

    pub(super) const fn trellis(&self) -> Trellis {
        self.trellis
    }

    /// Begins a tensor whose rows have `columns` numbers of the mean size `mean` half steps.
    pub(super) fn start(&mut self, columns: usize, mean: f32) {
        self.state = 0;
        self.whole = mean.max(1e-6);
        self.columns = vec![self.whole; columns];
        self.place = 0;
        self.seen_rows = 0;
    }

    /// Appends the levels of `numbers` (in half steps) to `levels`: the best ones of the block, after those before it.
    pub(super) fn block(&mut self, numbers: &[f32], levels: &mut Vec<i32>) {
        if numbers.is_empty() {
            return;
        }
        self.costs.settle(self.weight);
        self.see(numbers);
        self.back.clear();
        self.choices.clear();
        let states = self.trellis.states();
        let mut costs = [f32::INFINITY; 8];
        costs[self.state] = 0.0;
        for (number, bucket) in numbers.iter().zip(&self.buckets) {
            let size = number.abs();
            let even = self.costs.choose(0, *bucket, size);
            let odd = if states == 1 {
                even
            } else {
                self.costs.choose(1, *bucket, size)
            };
            let choices = [even[0], even[1], odd[0], odd[1]];
            let (mut next_costs, mut back) = ([f32::INFINITY; 8], [0_u8; 8]);
            for (state, before) in costs.iter().enumerate().take(states) {
                let quantiser = self.trellis.quantiser(state);
                for parity in 0..2 {
                    let next = self.trellis.next(state, parity);
                    let cost = before + choices[quantiser * 2 + parity as usize].1;
                    if cost < next_costs[next] {
                        next_costs[next] = cost;
                        back[next] = (state << 1) as u8 | parity as u8;
                    }
                }
            }
            // Differences are what counts: small numbers stay exact.
            let least = next_costs.iter().copied().fold(f32::INFINITY, f32::min);
            costs = next_costs.map(|cost| cost - least);
            self.back.push(back);
            self.choices.push(choices.map(|(level, _)| level));
        }
        let least = |best: usize, other: usize| {
            if costs[other] < costs[best] {
                other
            } else {
                best
            }
        };
        let mut state = (0..states).fold(0, least);
        self.state = state;
        let first = levels.len();
        levels.resize(first + numbers.len(), 0);
        let block = &mut levels[first..];
        for (at, level) in block.iter_mut().enumerate().rev() {
            let back = self.back[at][state];
            let parity = usize::from(back & 1);
            state = usize::from(back >> 1);
            let quantiser = self.trellis.quantiser(state);
            let size = self.choices[at][quantiser * 2 + parity];
            self.costs.learn(quantiser, self.buckets[at], size);
            *level = if numbers[at] < 0.0 {
                -(size as i32)
            } else {
                size as i32
            };
        }
    }

    /// Tells each number's bucket by the scale of its column so far and of the block.
    fn see(&mut self, numbers: &[f32]) {
        let mean = numbers.iter().map(|number| number.abs()).sum::<f32>() / numbers.len() as f32;
        let ratio = mean / self.whole;
        self.buckets.clear();
        for number in numbers {
            let column = &mut self.columns[self.place];
            self.buckets.push(bucket(*column * ratio));
            // The mean of the first rows, then one that forgets.
            let rate = 1.0 / (self.seen_rows.min(31) + 4) as f32;
            *column += (number.abs() - *column) * rate;
            self.place += 1;
            if self.place == self.columns.len() {
                self.place = 0;
                self.seen_rows += 1;
            }
        }
    }
}

/// Returns which of the [`BUCKETS`] scales a mean size belongs to: four to an octave, from 2⁻⁵ on.
fn bucket(mean: f32) -> u8 {
    // The exponent and the first two bits of the mantissa count quarters of octaves.
    let quarters = (mean.to_bits() >> 21) as i32 - (127 - 5) * 4;
    quarters.clamp(0, BUCKETS as i32 - 1) as u8
}

/// What levels cost in bits, learned from the levels that were chosen.
struct Costs {
    /// How often a level of at least `n` was just `n`, or more.
    counts: Box<[[[[f32; 2]; STEPS]; BUCKETS]; 2]>,
    /// What a level weighs, squares of half a step.
    table: Box<[[[f32; STEPS + 1]; BUCKETS]; 2]>,
    /// What one more size costs from the last of the table on.
    more: f32,
}

impl Costs {
    fn new() -> Self {
        let mut counts = Box::new([[[[0.0; 2]; STEPS]; BUCKETS]; 2]);
        for (quantiser, buckets) in counts.iter_mut().enumerate() {
            for (bucket, steps) in buckets.iter_mut().enumerate() {
                // Laplace's distribution of the bucket's mean: the chance to pass one more level of two half steps.
                let mean = libm::exp2f((bucket as f32 + 0.5) / 4.0 - 5.0);
                for (step, count) in steps.iter_mut().enumerate() {
                    let wide = if step == 0 {
                        if quantiser == 0 { 1.2 } else { 0.7 }
                    } else {
                        2.0
                    };
                    let pass = libm::expf(-wide / mean).clamp(0.002, 0.998);
                    *count = [4.0 * (1.0 - pass), 4.0 * pass];
                }
            }
        }
        Self {
            counts,
            table: Box::new([[[0.0; STEPS + 1]; BUCKETS]; 2]),
            more: 0.0,
        }
    }

    /// Weighs the bits by what was learned so far.
    fn settle(&mut self, weight: f32) {
        for (counts, table) in self.counts.iter().zip(self.table.iter_mut()) {
            for (steps, costs) in counts.iter().zip(table.iter_mut()) {
                let mut passed = 0.0;
                for (level, [stop, pass]) in steps.iter().enumerate() {
                    let all = stop + pass;
                    costs[level] = weight * (passed - libm::log2f(stop / all));
                    passed -= libm::log2f(pass / all);
                    if level == 0 {
                        // The sign.
                        passed += 1.0;
                    }
                }
                costs[STEPS] = weight * (passed + 1.0);
            }
        }
        self.more = weight * 0.5;
    }

    #[inline(always)]
    fn cost(&self, quantiser: usize, bucket: u8, level: u32, size: f32) -> f32 {
        let table = &self.table[quantiser][usize::from(bucket)];
        let bits = match table.get(level as usize) {
            Some(bits) => *bits,
            None => table[STEPS] + self.more * (level - STEPS as u32) as f32,
        };
        let away = size - halves(quantiser, level as i32) as f32;
        away * away + bits
    }

    /// Returns the best even and the best odd level for a number of `size`, and what each costs.
    #[inline(always)]
    fn choose(&self, quantiser: usize, bucket: u8, size: f32) -> [(u32, f32); 2] {
        let low = ((size + quantiser as f32) * 0.5) as u32;
        let odd = low & 1;
        let priced = |level: u32| (level, self.cost(quantiser, bucket, level, size));
        let (low, high) = (priced(low), priced(low + 1));
        let [mut even, odd] = if odd == 1 { [high, low] } else { [low, high] };
        if even.0 > 0 {
            let none = priced(0);
            if none.1 < even.1 {
                even = none;
            }
        }
        [even, odd]
    }

    #[inline(always)]
    fn learn(&mut self, quantiser: usize, bucket: u8, level: u32) {
        let steps = &mut self.counts[quantiser][usize::from(bucket)];
        for (step, counts) in steps.iter_mut().enumerate().take(level as usize + 1) {
            let pass = usize::from(level as usize > step);
            counts[pass] += 1.0;
            if counts[0] + counts[1] > COUNT_MOST {
                *counts = counts.map(|count| count * 0.5);
            }
        }
    }
}

/// Scales that are told apart.
const BUCKETS: usize = 36;
/// Levels with a cost of their own.
const STEPS: usize = 14;
/// Levels after which older ones count half. Guess.
const COUNT_MOST: f32 = 4096.0;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Trellis; 3] = [Trellis::Scalar, Trellis::Four, Trellis::Eight];

    #[test]
    fn every_state_follows_two_others_and_both_quantisers_are_used_alike() {
        for trellis in [Trellis::Four, Trellis::Eight] {
            let mut reached = [0; 8];
            for state in 0..trellis.states() {
                for level in [-4, -3, 0, 1] {
                    reached[trellis.next(state, level)] += 1;
                }
            }
            assert!(
                reached[..trellis.states()].iter().all(|times| *times == 4),
                "{reached:?}"
            );
            let odd: usize = (0..trellis.states())
                .map(|state| trellis.quantiser(state))
                .sum();
            assert_eq!(odd * 2, trellis.states());
        }
    }

    #[test]
    fn two_quantisers_share_the_whole_numbers_and_zero() {
        let of = |quantiser| [-2, -1, 0, 1, 2].map(|level| halves(quantiser, level));
        assert_eq!(of(0), [-4, -2, 0, 2, 4]);
        assert_eq!(of(1), [-3, -1, 0, 1, 3]);
    }

    #[test]
    fn what_the_search_finds_is_no_worse_than_any_other_levels() {
        let numbers = [0.3, -1.4, 2.6, 0.9, -0.2, 3.3];
        for trellis in ALL {
            let error = |levels: &[i32]| {
                let mut state = 0;
                let mut sum = 0.0_f32;
                for (number, level) in numbers.iter().zip(levels) {
                    sum += (number - halves(trellis.quantiser(state), *level) as f32).powi(2);
                    state = trellis.next(state, *level);
                }
                sum
            };
            // Bits weigh nothing here, so that all levels can be compared.
            let (mut search, mut found) = (Search::new(trellis, 0.0), Vec::new());
            search.start(3, 1.0);
            search.block(&numbers, &mut found);
            let (base, mut least) = (7_usize, f32::INFINITY);
            for code in 0..base.pow(6) {
                let levels: Vec<i32> = (0..6)
                    .map(|place| (code / base.pow(place) % base) as i32 - 3)
                    .collect();
                least = least.min(error(&levels));
            }
            assert!(
                (error(&found) - least).abs() < 1e-4,
                "{trellis:?}: {found:?} {} {least}",
                error(&found)
            );
        }
    }

    #[test]
    fn bits_that_weigh_more_leave_smaller_levels() {
        let numbers: Vec<f32> = (0..2000)
            .map(|n| libm::sinf(n as f32 * 1.3) * 3.0)
            .collect();
        let sum = |weight: f32| {
            let (mut search, mut levels) = (Search::new(Trellis::Eight, weight), Vec::new());
            search.start(50, 2.0);
            numbers
                .chunks(250)
                .for_each(|block| search.block(block, &mut levels));
            levels.iter().map(|level| level.unsigned_abs()).sum::<u32>()
        };
        assert!(
            sum(0.0) > sum(0.4) && sum(0.4) > sum(1.5),
            "{} {} {}",
            sum(0.0),
            sum(0.4),
            sum(1.5)
        );
    }
}
