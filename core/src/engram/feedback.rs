//! Error feedback for deltas that are sent again and again: what a lossy code dropped is added to the next delta (Seide et al.
//! 2014; Karimireddy et al. 2019), so that nothing is lost for good, only late. Before coding all but the largest numbers may
//! be left for later.
//!
//! The state is kept across reloads as bytes: numbers (binary32, little-endian), tensor after tensor.

use alloc::vec::Vec;

use super::lossy::{LossyError, Settings, Shape, Tensor, decode, deviation, encode};

/// What is owed to the next delta.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    shapes: Vec<Shape>,
    owed: Vec<Vec<f32>>,
}

/// How much of a delta leaves at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The part of all numbers, the largest first, that leaves: 1 is all, 0.01 the largest hundredth.
    pub largest: f32,
    /// The step, in deviations of what leaves.
    pub step: f32,
    /// The other settings; its step is not used.
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
    /// [`LossyError::Columns`] where `delta` has other shapes, [`LossyError::NotFinite`] where it or its sum with what is owed
    /// is no number, and others of [`encode`].
    pub fn send(
        &mut self,
        delta: &[&[f32]],
        share: &Share,
    ) -> Result<(Vec<u8>, Vec<Vec<f32>>), LossyError> {
        if delta.len() != self.owed.len() {
            let (tensor, count) = (delta.len().min(self.owed.len()), delta.len());
            return Err(LossyError::Columns {
                tensor,
                count,
                columns: 0,
            });
        }
        for (tensor, (delta, owed)) in delta.iter().zip(&self.owed).enumerate() {
            if delta.len() != owed.len() {
                let (count, columns) = (
                    delta.len(),
                    self.shapes.get(tensor).map_or(0, |shape| shape.columns),
                );
                return Err(LossyError::Columns {
                    tensor,
                    count,
                    columns,
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
        let leaving = largest(&wanted, share.largest);
        let tensors: Vec<Tensor<'_>> = (leaving.iter().zip(&self.shapes))
            .map(|(values, shape)| Tensor {
                values,
                columns: shape.columns,
                finer: 0,
            })
            .collect();
        let kept = share.largest.clamp(f32::MIN_POSITIVE, 1.0);
        // The deviation of the numbers that leave, without the zeros.
        let deviation = deviation(&tensors) / libm::sqrtf(kept);
        let step = if deviation > 0.0 {
            deviation * share.step
        } else {
            1.0
        };
        let settings = Settings {
            step,
            ..share.settings
        };
        let bytes = encode(&tensors, &settings)?;
        let said = decode(&bytes, &self.shapes, usize::MAX)?;
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
    /// [`LossyError::Truncated`] for another length, [`LossyError::NotFinite`].
    pub fn from_bytes(bytes: &[u8], shapes: &[Shape]) -> Result<Self, LossyError> {
        let mut rest = bytes;
        let mut owed = Vec::new();
        for (tensor, shape) in shapes.iter().enumerate() {
            let truncated = LossyError::Truncated { tensor };
            let len = (shape.rows.checked_mul(shape.columns))
                .and_then(|count| count.checked_mul(4))
                .ok_or(truncated)?;
            let (own, others) = rest.split_at_checked(len).ok_or(truncated)?;
            rest = others;
            let values: Vec<f32> = (own.as_chunks::<4>().0.iter())
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            if let Some(offset) = values.iter().position(|value| !value.is_finite()) {
                return Err(LossyError::NotFinite { tensor, offset });
            }
            owed.push(values);
        }
        if !rest.is_empty() {
            return Err(LossyError::Truncated {
                tensor: shapes.len(),
            });
        }
        Ok(Self {
            shapes: shapes.to_vec(),
            owed,
        })
    }
}

/// Returns `tensors` with zeros in place of all but the largest numbers, `share` of all.
fn largest(tensors: &[Vec<f32>], share: f32) -> Vec<Vec<f32>> {
    if share >= 1.0 {
        return tensors.to_vec();
    }
    let mut sizes: Vec<f32> = tensors.iter().flatten().map(|value| value.abs()).collect();
    let keep = libm::ceilf(sizes.len() as f32 * share.max(0.0)) as usize;
    if keep == 0 || keep > sizes.len() {
        return tensors.to_vec();
    }
    let place = sizes.len() - keep;
    let (_, least, _) = sizes.select_nth_unstable_by(place, f32::total_cmp);
    let least = *least;
    (tensors.iter())
        .map(|values| {
            values
                .iter()
                .map(|value| if value.abs() >= least { *value } else { 0.0 })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
        assert!(Feedback::from_bytes(&bytes[1..], &SHAPES).is_err());
        assert!(Feedback::from_bytes(&[&bytes[..], &[0; 4]].concat(), &SHAPES).is_err());
    }

    #[test]
    fn a_delta_that_is_no_number_or_of_another_shape_leaves_the_state_as_it_was() {
        let mut feedback = Feedback::new(&SHAPES);
        let [mut a, b] = delta(0);
        feedback.send(&[&a, &b], &share(1.0)).unwrap();
        let before = feedback.clone();
        assert!(feedback.send(&[&b, &b], &share(1.0)).is_err());
        assert!(feedback.send(&[&b], &share(1.0)).is_err());
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
}
