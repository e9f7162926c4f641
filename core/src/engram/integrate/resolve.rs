//! Step three: several deltas at once. Where they contradict each other, who prevails?
//!
//! [`resolve`] quantises every delta to whole units of 2⁻²⁴ and adds in 128-bit integers, so that the same set gives the
//! same bits in any order. Ties and what is dropped depend on nothing but the set: a delta's drop-out is seeded by its own
//! id, and where votes are even the sum is zero.

use alloc::vec;
use alloc::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

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
        /// Share of each delta that is dropped, 0..1.
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
    #[error("{what} must be within 0..=1 and leave something, got {got}")]
    Share {
        /// Which.
        what: &'static str,
        /// Its value.
        got: f32,
    },
}

/// Returns the one delta that `contributions` make, and the share of parameters, 0..=1, on which their signs disagreed. The
/// order of the contributions changes no bit. O(contributions × parameters); TIES sorts besides.
///
/// # Errors
/// [`ResolveError`] that names the contribution.
pub fn resolve(
    how: Resolution,
    contributions: &[Contribution<'_>],
) -> Result<(Vec<f32>, f32), ResolveError> {
    let parameters = check(how, contributions)?;
    let mut sums = vec![Sum::default(); parameters];
    for contribution in contributions {
        let units: Vec<i64> = contribution.values.iter().map(|&v| to_units(v)).collect();
        let least = match how {
            Resolution::Ties { keep } => least_kept(&units, keep),
            Resolution::Mean | Resolution::Dare { .. } => 0,
        };
        let mut dropped = dropper(how, contribution);
        for (sum, &units) in sums.iter_mut().zip(&units) {
            if !dropped() && units != 0 && units.unsigned_abs() >= least {
                sum.add(units, contribution.weight);
            }
        }
    }
    let weights: u128 = contributions.iter().map(|c| u128::from(c.weight)).sum();
    let disagreeing = sums.iter().filter(|sum| sum.up > 0 && sum.down > 0).count();
    let values = sums.iter().map(|sum| match how {
        Resolution::Mean => to_value(mean(sum.up_sum - sum.down_sum, weights)),
        // What is left stands for what was dropped.
        Resolution::Dare { drop, .. } => {
            to_value(mean(sum.up_sum - sum.down_sum, weights)) / (1.0 - drop)
        }
        Resolution::Ties { .. } => to_value(match sum.up_sum.cmp(&sum.down_sum) {
            core::cmp::Ordering::Greater => mean(sum.up_sum, sum.up),
            core::cmp::Ordering::Less => mean(-sum.down_sum, sum.down),
            core::cmp::Ordering::Equal => 0,
        }),
    });
    let values = values.collect();
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
        Resolution::Dare { drop, .. } if (0.0..=0.99).contains(&drop) => Ok(()),
        Resolution::Ties { keep } => Err(("share to keep", keep)),
        Resolution::Dare { drop, .. } => Err(("share to drop", drop)),
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

/// Sums of one parameter, apart by sign: units × weight, and weight.
#[derive(Clone, Copy, Default)]
struct Sum {
    up_sum: i128,
    down_sum: i128,
    up: u128,
    down: u128,
}

impl Sum {
    /// Within ±2⁴⁴ units × 2³² × 2¹² contributions: no sum overflows.
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
}

/// Divides, to the nearest whole unit, a half away from zero: the same for a delta and its opposite.
fn mean(sum: i128, weight: u128) -> i64 {
    let weight = weight.max(1);
    let size = (2 * sum.unsigned_abs() + weight) / (2 * weight);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if sum < 0 { -size } else { size }
}

/// Returns the size that the largest `keep` of all numbers reach; ties are kept.
fn least_kept(units: &[i64], keep: f32) -> u64 {
    let mut sizes: Vec<u64> = units.iter().map(|u| u.unsigned_abs()).collect();
    let kept = libm::ceil(sizes.len() as f64 * f64::from(keep)) as usize;
    match sizes.len().checked_sub(kept) {
        Some(index) if index < sizes.len() => *sizes.select_nth_unstable(index).1,
        _ => 0,
    }
}

/// Says number by number what is dropped of a contribution: by its id, whatever stands beside it.
fn dropper(how: Resolution, contribution: &Contribution<'_>) -> impl FnMut() -> bool + use<> {
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
    let mut rng = ChaCha8Rng::from_seed(key);
    move || threshold > 0 && rng.next_u32() < threshold
}

fn to_units(value: f32) -> i64 {
    libm::rint(f64::from(value) * UNITS) as i64
}

fn to_value(units: i64) -> f32 {
    (units as f64 / UNITS) as f32
}

/// Contributions at once. Guess: more than a tab has neighbours.
pub const MAX_CONTRIBUTIONS: usize = 4096;
/// Greatest size of a number that is added up: 2²⁰. Guess: no weight of a model comes near.
pub const MAX_VALUE: f32 = 1_048_576.0;
/// Units of 1: 2²⁴, what a single near 1 resolves.
const UNITS: f64 = 16_777_216.0;
/// The sine below which two directions count as one.
const STRAIGHT: f64 = 1e-6;
