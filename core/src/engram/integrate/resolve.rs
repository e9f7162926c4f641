//! Step three: several deltas at once. Where they contradict each other, who prevails?
//!
//! [`resolve`] quantises every delta to whole units of 2⁻⁴⁰ and adds in 128-bit integers, so that the same set gives the
//! same bits in any order. What is below half a unit, 4.5 · 10⁻¹³, counts as 0. Ties and what is dropped depend on nothing but
//! the set: a delta's drop-out is seeded by its own id, and where votes are even the sum is zero.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::super::feedback::part_of;

/// One delta among several.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// The digest of the packet that it came in; decides what is dropped of it.
    pub id: [u8; 32],
    /// Its weight, in 1/65 536, at most 2³²; 0 leaves it out.
    pub weight: u64,
    /// Its numbers, laid out like the model.
    pub values: &'a [f32],
}

/// How deltas are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolution {
    /// The weighted mean of all. Source: task arithmetic (Ilharco et al. 2023, arXiv 2212.04089, section 2), scaled by 1 / n.
    Mean,
    /// Only the largest share of each delta counts, and of that only what agrees with the sign that most of the weight
    /// has. Source: TIES (Yadav et al. 2023, arXiv 2306.01708, algorithm 1); their share is 0.2.
    Ties {
        /// Share of each delta that is kept, > 0 and ≤ 1.
        keep: f32,
    },
    /// A random share of each delta is dropped and the rest made larger by as much, then the mean. Source: DARE (Yu et al.
    /// 2024, arXiv 2311.03099, section 3.2); their drop rates go to 0.9.
    Dare {
        /// Share of each delta that is dropped, 0..=0.99.
        drop: f32,
        /// Makes the choice, together with each delta's id.
        seed: u64,
    },
}

/// Why deltas cannot be put together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is nothing to put together.
    #[error("there must be 1..={MAX_CONTRIBUTIONS} contributions of some weight, got {got}")]
    Count {
        /// How many there are.
        got: usize,
    },
    /// A contribution has another length.
    #[error("contribution {index} must have {expected} numbers, got {got}")]
    Length {
        /// Which, as given.
        index: usize,
        /// Numbers it has.
        got: usize,
        /// Numbers of the first.
        expected: usize,
    },
    /// A number is not finite, or too large to be added up exactly.
    #[error("number {at} of contribution {index} must be within ±{MAX_VALUE}, got {got}")]
    Value {
        /// Which contribution.
        index: usize,
        /// Which number.
        at: usize,
        /// The number.
        got: f32,
    },
    /// A weight is too large.
    #[error("weight of contribution {index} must be at most 2³², got {got}")]
    Weight {
        /// Which contribution.
        index: usize,
        /// Its weight.
        got: u64,
    },
    /// A share is out of its range.
    #[error("{what}, got {got}")]
    Share {
        /// Which, and its range.
        what: &'static str,
        /// Its value.
        got: f32,
    },
}

/// Returns the one delta that `contributions` make, and the share of parameters, 0..=1, on which their signs disagreed. The
/// order of the contributions changes no bit. O(contributions × parameters). Memory is 4 bytes a parameter for the result, 1 MiB,
/// and 400 bytes a contribution.
///
/// # Errors
/// [`ResolveError`] that names the contribution.
pub fn resolve(
    how: Resolution,
    contributions: &[Contribution<'_>],
) -> Result<(Vec<f32>, f32), ResolveError> {
    let parameters = check(how, contributions)?;
    let mut sources: Vec<Source<'_>> = (contributions.iter())
        .map(|contribution| Source::new(how, contribution))
        .collect();
    let weights: u128 = contributions.iter().map(|c| u128::from(c.weight)).sum();
    let mut sums = vec![Sum::default(); BLOCK.min(parameters)];
    let (mut values, mut disagreeing) = (Vec::with_capacity(parameters), 0_usize);
    while values.len() < parameters {
        sums.truncate(parameters - values.len());
        sums.fill(Sum::default());
        for source in &mut sources {
            source.add(&mut sums);
        }
        disagreeing += sums.iter().filter(|sum| sum.up > 0 && sum.down > 0).count();
        values.extend(sums.iter().map(|sum| sum.resolve(how, weights)));
    }
    Ok((values, disagreeing as f32 / parameters.max(1) as f32))
}

/// Returns the point at `share` (0..=1) of the way from `a` to `b` along the arc between their directions, with lengths
/// blended too; along the straight line where they point the same or the opposite way. For two whole models, row-major
/// and of one length. Sums are doubles in the order of the parameters. Source: Shoemake 1985, "Animating rotation with
/// quaternion curves", section 3.3.
pub fn slerp(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let share = f64::from(share.clamp(0.0, 1.0));
    let norms = libm::sqrt(dot(a, a)) * libm::sqrt(dot(b, b));
    let cosine = if norms > 0.0 {
        (dot(a, b) / norms).clamp(-1.0, 1.0)
    } else {
        1.0
    };
    let angle = libm::acos(cosine);
    let sine = libm::sin(angle);
    let (of_a, of_b) = if sine > STRAIGHT {
        (
            libm::sin((1.0 - share) * angle) / sine,
            libm::sin(share * angle) / sine,
        )
    } else {
        (1.0 - share, share)
    };
    let blend = |(a, b): (&f32, &f32)| (of_a * f64::from(*a) + of_b * f64::from(*b)) as f32;
    a.iter().zip(b).map(blend).collect()
}

fn check(how: Resolution, contributions: &[Contribution<'_>]) -> Result<usize, ResolveError> {
    let share = match how {
        Resolution::Mean => Ok(()),
        Resolution::Ties { keep } if keep > 0.0 && keep <= 1.0 => Ok(()),
        // What is left is made up to a hundred times larger.
        Resolution::Dare { drop, .. } if (0.0..=0.99).contains(&drop) => Ok(()),
        Resolution::Ties { keep } => Err(("share to keep must be > 0 and at most 1", keep)),
        Resolution::Dare { drop, .. } => Err(("share to drop must be within 0..=0.99", drop)),
    };
    share.map_err(|(what, got)| ResolveError::Share { what, got })?;
    let got = contributions.len();
    let weighs = contributions.iter().any(|c| c.weight > 0);
    let (Some(first), true, true) = (contributions.first(), weighs, got <= MAX_CONTRIBUTIONS)
    else {
        return Err(ResolveError::Count { got });
    };
    let expected = first.values.len();
    for (index, contribution) in contributions.iter().enumerate() {
        let got = contribution.values.len();
        if got != expected {
            return Err(ResolveError::Length {
                index,
                got,
                expected,
            });
        }
        if contribution.weight > 1 << 32 {
            let got = contribution.weight;
            return Err(ResolveError::Weight { index, got });
        }
        let is_wrong = |v: &f32| !(-MAX_VALUE..=MAX_VALUE).contains(v);
        if let Some(at) = contribution.values.iter().position(is_wrong) {
            let got = contribution.values[at];
            return Err(ResolveError::Value { index, at, got });
        }
    }
    Ok(expected)
}

/// What is left of a contribution, on the way through its numbers.
struct Source<'a> {
    rest: &'a [f32],
    weight: u64,
    /// Units below which a number is left out.
    least: u64,
    dropper: Dropper,
}

impl<'a> Source<'a> {
    fn new(how: Resolution, contribution: &Contribution<'a>) -> Self {
        Self {
            rest: contribution.values,
            weight: contribution.weight,
            least: match how {
                Resolution::Ties { keep } => least_kept(contribution.values, keep),
                Resolution::Mean | Resolution::Dare { .. } => 0,
            },
            dropper: Dropper::new(how, contribution),
        }
    }

    /// Adds the next numbers to their sums.
    fn add(&mut self, sums: &mut [Sum]) {
        let (own, rest) = self.rest.split_at(sums.len().min(self.rest.len()));
        self.rest = rest;
        for (sum, value) in sums.iter_mut().zip(own) {
            let units = to_units(*value);
            if !self.dropper.drops() && units != 0 && units.unsigned_abs() >= self.least {
                sum.add(units, self.weight);
            }
        }
    }
}

/// Sums of one parameter, apart by sign: units × weight, and weight.
#[derive(Clone, Copy, Default)]
struct Sum {
    up_sum: i128,
    down_sum: i128,
    up: u128,
    down: u128,
}

impl Sum {
    /// Within ±2⁶⁰ units × 2³² × 2¹² contributions: no sum overflows, nor its double.
    fn add(&mut self, units: i64, weight: u64) {
        let size = i128::from(units.unsigned_abs()) * i128::from(weight);
        if units > 0 {
            self.up_sum += size;
            self.up += u128::from(weight);
        } else {
            self.down_sum += size;
            self.down += u128::from(weight);
        }
    }

    fn resolve(&self, how: Resolution, weights: u128) -> f32 {
        match how {
            Resolution::Mean => to_value(mean(self.up_sum - self.down_sum, weights)),
            // What is left stands for what was dropped.
            Resolution::Dare { drop, .. } => {
                to_value(mean(self.up_sum - self.down_sum, weights)) / (1.0 - drop)
            }
            Resolution::Ties { .. } => to_value(match self.up_sum.cmp(&self.down_sum) {
                Ordering::Greater => mean(self.up_sum, self.up),
                Ordering::Less => mean(-self.down_sum, self.down),
                Ordering::Equal => 0,
            }),
        }
    }
}

/// Divides, to the nearest whole unit, a half away from zero: the same for a delta and its opposite.
fn mean(sum: i128, weight: u128) -> i64 {
    let weight = weight.max(1);
    let size = (2 * sum.unsigned_abs() + weight) / (2 * weight);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if sum < 0 { -size } else { size }
}

/// Returns the units that the largest `keep` of all numbers reach; ties are kept. Counts bit patterns, which stand in the order
/// of the sizes, instead of sorting: first by their upper half, then those of one upper half by their lower.
fn least_kept(values: &[f32], keep: f32) -> u64 {
    let Some(left_out) = values.len().checked_sub(part_of(values.len(), keep)) else {
        return 0;
    };
    let sizes = || values.iter().map(|value| value.abs().to_bits());
    let (upper, below) = find(sizes().map(|size| size >> 16), left_out);
    let same = sizes().filter(|size| size >> 16 == upper);
    let (lower, _) = find(same.map(|size| size & 0xffff), left_out - below);
    to_units(f32::from_bits(upper << 16 | lower)).unsigned_abs()
}

/// Returns which of `keys`, all below 2¹⁶, stands at `place` where they are sorted, and how many smaller ones there are.
fn find(keys: impl Iterator<Item = u32>, place: usize) -> (u32, usize) {
    let mut counts = vec![0_usize; 1 << 16];
    for key in keys {
        counts[key as usize & 0xffff] += 1;
    }
    let mut below = 0;
    for (key, count) in (0..).zip(counts) {
        if below + count > place {
            return (key, below);
        }
        below += count;
    }
    (0, 0)
}

/// Says number by number what is dropped of a contribution: by its id, whatever stands beside it.
struct Dropper {
    rng: ChaCha8Rng,
    threshold: u32,
}

impl Dropper {
    fn new(how: Resolution, contribution: &Contribution<'_>) -> Self {
        let mut key = contribution.id;
        let threshold = match how {
            Resolution::Dare { drop, seed } => {
                for (byte, seed) in key.iter_mut().zip(seed.to_le_bytes()) {
                    *byte ^= seed;
                }
                (f64::from(drop) * 4_294_967_296.0) as u32
            }
            Resolution::Mean | Resolution::Ties { .. } => 0,
        };
        Self {
            rng: ChaCha8Rng::from_seed(key),
            threshold,
        }
    }

    fn drops(&mut self) -> bool {
        self.threshold > 0 && self.rng.next_u32() < self.threshold
    }
}

fn to_units(value: f32) -> i64 {
    libm::rint(f64::from(value) * UNITS) as i64
}

fn to_value(units: i64) -> f32 {
    (units as f64 / UNITS) as f32
}

/// Parameters that are added up at once. Guess: their sums, 64 bytes each, stay near the processor.
const BLOCK: usize = 4096;
/// Contributions at once. Guess: more than a tab has neighbours.
pub const MAX_CONTRIBUTIONS: usize = 4096;
/// Greatest size of a number that is added up: 2²⁰. Guess: no weight of a model comes near.
pub const MAX_VALUE: f32 = 1_048_576.0;
/// Units of 1: 2⁴⁰. Every number from 2⁻¹⁷ on keeps all its bits, and the largest fits 2⁶⁰ units.
const UNITS: f64 = 1_099_511_627_776.0;
/// The sine below which two directions count as one.
const STRAIGHT: f64 = 1e-6;
