//! Error feedback for deltas that are sent again and again: what a lossy code dropped is added to the next delta (Seide et al.
//! 2014; Karimireddy et al. 2019), so that nothing is lost for good, only late. Before coding all but the largest numbers may
//! be left for later.
//!
//! The state is kept across reloads as bytes: numbers (binary32, little-endian), tensor after tensor.

use alloc::vec::Vec;

use super::lossy::{
    Gain, LEAST_STEP, LossyError, Settings, Shape, Tensor, decode, deviation, encode,
};

/// What is owed to the next delta.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    shapes: Vec<Shape>,
    owed: Vec<Vec<f32>>,
}

/// How much of a delta leaves at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The part of all numbers, the largest first, that leaves, > 0 and ≤ 1: 1 is all, 0.01 the largest hundredth. Of numbers
    /// of one size those before others leave.
    pub largest: f32,
    /// The step, in deviations of what leaves.
    pub step: f32,
    /// The other settings. Its step is not used, nor its gain: only [`Gain::Projection`] says no more than was learned, with
    /// others what is owed grows.
    pub settings: Settings,
}

impl Feedback {
    /// Owes nothing to tensors of these shapes.
    #[must_use]
    pub fn new(shapes: &[Shape]) -> Self {
        Self {
            shapes: shapes.to_vec(),
            owed: (shapes.iter())
                .map(|shape| alloc::vec![0.0; shape.rows.saturating_mul(shape.columns)])
                .collect(),
        }
    }

    /// Writes `delta` and what is owed, and owes the rest from now on. Returns the engram, and what it says. Where an error
    /// comes back nothing has changed.
    ///
    /// # Errors
    /// [`LossyError::Tensors`] and [`LossyError::Length`] where `delta` has other shapes, [`LossyError::NotFinite`] where it or
    /// its sum with what is owed is no number, [`LossyError::Share`], and others of [`encode`].
    pub fn send(
        &mut self,
        delta: &[&[f32]],
        share: &Share,
    ) -> Result<(Vec<u8>, Vec<Vec<f32>>), LossyError> {
        let (got, expected) = (delta.len(), self.owed.len());
        if got != expected {
            return Err(LossyError::Tensors { got, expected });
        }
        for (tensor, (delta, owed)) in delta.iter().zip(&self.owed).enumerate() {
            let (got, expected) = (delta.len(), owed.len());
            if got != expected {
                return Err(LossyError::Length {
                    tensor,
                    got,
                    expected,
                });
            }
        }
        let wanted: Vec<Vec<f32>> = (delta.iter().zip(&self.owed))
            .map(|(delta, owed)| delta.iter().zip(owed).map(|(a, b)| a + b).collect())
            .collect();
        // Before anything is left for later: a NaN would be owed for good.
        for (tensor, wanted) in wanted.iter().enumerate() {
            if let Some(offset) = wanted.iter().position(|value| !value.is_finite()) {
                return Err(LossyError::NotFinite { tensor, offset });
            }
        }
        let (leaving, left) = largest(wanted.clone(), share.largest)?;
        let tensors: Vec<Tensor<'_>> = (leaving.iter().zip(&self.shapes))
            .map(|(values, shape)| Tensor {
                values,
                columns: shape.columns,
                finer: 0,
            })
            .collect();
        // The deviation of the numbers that leave, without the zeros in place of the others.
        let all: usize = leaving.iter().map(Vec::len).sum();
        let part = left.max(1) as f64 / all.max(1) as f64;
        let deviation = deviation(&tensors) / libm::sqrt(part) as f32;
        let step = deviation * share.step;
        // What is too small for a step counts as nothing, and waits.
        let is_nothing = deviation == 0.0 || (step > 0.0 && step < LEAST);
        let mut settings = Settings {
            step: if is_nothing { 1.0 } else { step },
            gain: Gain::Projection,
            ..share.settings
        };
        let mut bytes = encode(&tensors, &settings)?;
        let mut said = decode(&bytes, &self.shapes, usize::MAX)?;
        // Where bits weigh more than numbers of one size, they would weigh more for ever, however large what is owed becomes.
        for _ in 0..FINER {
            if is_nothing || said.iter().flatten().any(|value| *value != 0.0) {
                break;
            }
            settings.step *= 0.5;
            bytes = encode(&tensors, &settings)?;
            said = decode(&bytes, &self.shapes, usize::MAX)?;
        }
        self.owed = (wanted.into_iter().zip(&said))
            .map(|(wanted, said)| wanted.iter().zip(said).map(|(a, b)| a - b).collect())
            .collect();
        Ok((bytes, said))
    }

    /// Returns the state as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.owed
            .iter()
            .flatten()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    /// Returns the state that `bytes` hold for tensors of these shapes.
    ///
    /// # Errors
    /// [`LossyError::State`] for another length, [`LossyError::NotFinite`].
    pub fn from_bytes(bytes: &[u8], shapes: &[Shape]) -> Result<Self, LossyError> {
        let expected = shapes.iter().fold(0_usize, |sum, shape| {
            let numbers = shape.rows.saturating_mul(shape.columns);
            sum.saturating_add(numbers.saturating_mul(4))
        });
        let got = bytes.len();
        let state = LossyError::State { got, expected };
        if got != expected {
            return Err(state);
        }
        let mut rest = bytes;
        let mut owed = Vec::new();
        for (tensor, shape) in shapes.iter().enumerate() {
            let len = shape.rows.saturating_mul(shape.columns).saturating_mul(4);
            let (own, others) = rest.split_at_checked(len).ok_or(state)?;
            rest = others;
            let values: Vec<f32> = (own.as_chunks::<4>().0.iter())
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            if let Some(offset) = values.iter().position(|value| !value.is_finite()) {
                return Err(LossyError::NotFinite { tensor, offset });
            }
            owed.push(values);
        }
        Ok(Self {
            shapes: shapes.to_vec(),
            owed,
        })
    }
}

/// Returns `tensors` with zeros in place of all but the largest numbers, `share` of all, and how many those are.
fn largest(mut tensors: Vec<Vec<f32>>, share: f32) -> Result<(Vec<Vec<f32>>, usize), LossyError> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(LossyError::Share { got: share });
    }
    let mut sizes: Vec<f32> = tensors.iter().flatten().map(|value| value.abs()).collect();
    let leaving = part_of(sizes.len(), share);
    let Some(place) = sizes.len().checked_sub(leaving).filter(|place| *place > 0) else {
        return Ok((tensors, leaving));
    };
    let (_, least, larger) = sizes.select_nth_unstable_by(place, f32::total_cmp);
    let least = *least;
    // As many of one size as there is room for: where all are alike, too, exactly the share leaves.
    let mut room = leaving - larger.iter().filter(|size| **size > least).count();
    for value in tensors.iter_mut().flatten() {
        let size = value.abs();
        if size == least && room > 0 {
            room -= 1;
        } else if size <= least {
            *value = 0.0;
        }
    }
    Ok((tensors, leaving))
}

/// Returns how many of `count` numbers are a `share` of them: the next whole number up, or the nearest where only the rounding
/// of `share` to a single lies between: 0.2 of 5 is 1.
pub(super) fn part_of(count: usize, share: f32) -> usize {
    let exact = count as f64 * f64::from(share);
    let nearest = libm::rint(exact);
    let is_whole = (exact - nearest).abs() <= exact * f64::from(f32::EPSILON);
    (if is_whole { nearest } else { libm::ceil(exact) }) as usize
}

/// How often a step is halved until something leaves. Guess: numbers of eight half steps are told whatever their bits weigh.
const FINER: usize = 3;
/// Least step that can be halved so often.
const LEAST: f32 = LEAST_STEP * 16.0;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const SHAPES: [Shape; 2] = [
        Shape {
            rows: 8,
            columns: 16,
        },
        Shape {
            rows: 1,
            columns: 5,
        },
    ];

    fn delta(round: usize) -> [Vec<f32>; 2] {
        [128, 5].map(|count| {
            (0..count)
                .map(|n| libm::sinf((n * 7 + round * 3) as f32) * 0.1 + 0.02)
                .collect()
        })
    }

    fn share(largest: f32) -> Share {
        Share {
            largest,
            step: 1.5,
            settings: Settings::new(1.0),
        }
    }

    #[test]
    fn what_was_said_and_what_is_owed_are_all_that_was_learned() {
        for largest in [1.0, 0.1] {
            let mut feedback = Feedback::new(&SHAPES);
            let (mut given, mut said) = (0.0, 0.0);
            for round in 0..30 {
                let [a, b] = delta(round);
                let (bytes, decoded) = feedback.send(&[&a, &b], &share(largest)).unwrap();
                assert_eq!(decode(&bytes, &SHAPES, 133), Ok(decoded.clone()));
                given += a[3];
                said += decoded[0][3];
            }
            assert!(
                (given - said - feedback.owed[0][3]).abs() < 1e-4,
                "{given} {said}"
            );
        }
    }

    #[test]
    fn a_reload_changes_nothing() {
        let mut feedback = Feedback::new(&SHAPES);
        let [a, b] = delta(0);
        feedback.send(&[&a, &b], &share(0.2)).unwrap();
        let mut loaded = Feedback::from_bytes(&feedback.to_bytes(), &SHAPES).unwrap();
        let [a, b] = delta(1);
        assert_eq!(
            loaded.send(&[&a, &b], &share(0.2)),
            feedback.send(&[&a, &b], &share(0.2))
        );
        assert_eq!(loaded, feedback);
        let bytes = feedback.to_bytes();
        let refused = |bytes: &[u8]| {
            Feedback::from_bytes(bytes, &SHAPES)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(&bytes[1..]),
            "the state must have 532 bytes, got 531"
        );
        assert_eq!(
            refused(&[&bytes[..], &[0; 4]].concat()),
            "the state must have 532 bytes, got 536"
        );
    }

    #[test]
    fn a_delta_that_is_no_number_or_of_another_shape_leaves_the_state_as_it_was() {
        let mut feedback = Feedback::new(&SHAPES);
        let [mut a, b] = delta(0);
        feedback.send(&[&a, &b], &share(1.0)).unwrap();
        let before = feedback.clone();
        let mut refused =
            |delta: &[&[f32]]| feedback.send(delta, &share(1.0)).unwrap_err().to_string();
        assert_eq!(refused(&[&b, &b]), "tensor 0 must have 128 numbers, got 5");
        assert_eq!(refused(&[&b]), "there must be 2 tensors, got 1");
        for largest in [1.0, 0.1] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                a[3] = bad;
                assert_eq!(
                    feedback.send(&[&a, &b], &share(largest)),
                    Err(LossyError::NotFinite {
                        tensor: 0,
                        offset: 3
                    }),
                    "{bad} where {largest} leaves"
                );
            }
        }
        assert_eq!(feedback, before);
    }

    #[test]
    fn where_all_numbers_are_of_one_size_the_share_leaves_and_the_rest_later() {
        let shape = Shape {
            rows: 64,
            columns: 64,
        };
        let signs: Vec<f32> = (0..4096)
            .map(|n| if n * 7919 % 13 < 6 { 0.002 } else { -0.002 })
            .collect();
        for part in [0.01, 0.1, 0.5] {
            let mut feedback = Feedback::new(&[shape]);
            let mut sums = alloc::vec![0.0_f32; 4096];
            let rounds = (3.0 / part) as usize;
            for _ in 0..rounds {
                let (_, said) = feedback.send(&[&signs], &share(part)).unwrap();
                let is_something = said[0].iter().any(|value| *value != 0.0);
                assert!(is_something, "nothing leaves of {part}");
                sums.iter_mut()
                    .zip(&said[0])
                    .for_each(|(sum, value)| *sum += value);
            }
            // Each was said about three times; what was learned before that is out.
            let whole: f32 = signs.iter().map(|value| value.abs()).sum::<f32>() * rounds as f32;
            let out: f32 = (sums.iter().zip(&signs))
                .map(|(sum, sign)| sum * sign.signum())
                .sum();
            assert!(out > 0.6 * whole, "{out} of {whole} where {part} leaves");
        }
    }

    #[test]
    fn exactly_the_share_leaves_also_among_equals_and_those_before_others() {
        let numbers = |values: &[f32], share| largest(alloc::vec![values.to_vec()], share);
        assert_eq!(
            numbers(&[1.0, -2.0, 2.0, 1.0, 2.0], 0.4),
            Ok((alloc::vec![alloc::vec![0.0, -2.0, 2.0, 0.0, 0.0]], 2))
        );
        assert_eq!(
            numbers(&[3.0, -2.0, 2.0, 1.0, 2.0], 0.6).unwrap().0[0],
            [3.0, -2.0, 2.0, 0.0, 0.0]
        );
        assert_eq!(
            [0.2, 0.2001, 0.1999, 1.0].map(|share| part_of(5, share)),
            [1, 2, 1, 5]
        );
        for got in [0.0, -0.1, 1.1, f32::INFINITY] {
            assert_eq!(numbers(&[1.0], got), Err(LossyError::Share { got }));
        }
        assert!(numbers(&[1.0], f32::NAN).is_err());
    }

    #[test]
    fn what_is_too_small_for_any_step_waits_until_it_is_not() {
        let mut feedback = Feedback::new(&SHAPES);
        let [a, b] = delta(0).map(|values| values.iter().map(|v| v * 1e-38).collect::<Vec<_>>());
        for round in 1..=3 {
            let (_, said) = feedback.send(&[&a, &b], &share(1.0)).unwrap();
            assert!(said.iter().flatten().all(|value| *value == 0.0));
            assert!((feedback.owed[0][3] / a[3] - round as f32).abs() < 0.01);
        }
        let (_, said) = feedback
            .send(&[&delta(0)[0], &delta(0)[1]], &share(1.0))
            .unwrap();
        assert!(said.iter().flatten().any(|value| *value != 0.0));
    }

    #[test]
    fn no_gain_of_the_settings_says_more_than_was_learned() {
        let owed = |gain| {
            let mut feedback = Feedback::new(&SHAPES);
            let mut coarse = share(1.0);
            (coarse.step, coarse.settings.gain) = (4.0, gain);
            for round in 0..60 {
                let [a, b] = delta(round);
                feedback.send(&[&a, &b], &coarse).unwrap();
            }
            feedback
        };
        let projected = owed(Gain::Projection);
        for gain in [Gain::Norm, Gain::Even(1.0), Gain::Fixed(3.0)] {
            assert_eq!(owed(gain), projected, "{gain:?}");
        }
    }
}
