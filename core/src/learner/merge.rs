//! How a node puts its neighbours' models together with its own. Plain averaging for now; robust, gradual integration
//! takes its place behind [`Merge`].

use alloc::vec::Vec;

use crate::learner::update::{to_parameter, to_unit};

/// One neighbour's model in one exchange, already checked: 4810 finite parameters within the norm bound.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a, P> {
    /// Who trained it.
    pub author: P,
    /// The round it was shared in.
    pub round: u64,
    /// Its parameters, in the model's order.
    pub params: &'a [f32],
}

/// A rule that makes one model of several.
pub trait Merge<P> {
    /// Returns the merged parameters, as many as `own` has.
    ///
    /// `own` is this node's model after local training. `others` holds at most one contribution of each neighbour, in
    /// the order of their ids. A result that is no model (length, not finite, norm) is dropped by the caller in favour
    /// of `own`.
    fn merge(&mut self, own: &[f32], others: &[Contribution<'_, P>]) -> Vec<f32>;
}

/// The mean of all models, each with the same weight and rounded to 2⁻¹⁶ (FedAvg with equal weights, arXiv 1602.05629, algorithm 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Average;

impl<P> Merge<P> for Average {
    fn merge(&mut self, own: &[f32], others: &[Contribution<'_, P>]) -> Vec<f32> {
        average(own, others.iter().map(|other| other.params))
    }
}

/// Returns the mean of `own` and `others`, all of one length, as [`Average`] does.
pub fn merge(own: &[f32], others: &[&[f32]]) -> Vec<f32> {
    average(own, others.iter().copied())
}

/// Sums in whole units, so that the order in which nodes add the same models up changes no bit of the mean.
fn average<'a>(own: &[f32], others: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut sums: Vec<i64> = own.iter().map(|&p| i64::from(to_unit(p))).collect();
    let mut models = 1;
    for other in others {
        for (sum, &parameter) in sums.iter_mut().zip(other) {
            *sum += i64::from(to_unit(parameter));
        }
        models += 1;
    }
    // To the nearest unit, a half upward.
    let mean = |sum: i64| (2 * sum + models).div_euclid(2 * models);
    sums.into_iter()
        .map(|sum| to_parameter(mean(sum) as i32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_weighs_the_same() {
        assert_eq!(
            merge(&[1.0, 0.0], &[&[2.0, 3.0], &[6.0, -6.0]]),
            [3.0, -1.0]
        );
        assert_eq!(merge(&[1.0, 0.5], &[]), [1.0, 0.5]);
    }

    #[test]
    fn the_rule_and_the_function_agree() {
        let others = [Contribution {
            author: 'a',
            round: 3,
            params: &[0.25, 4.0][..],
        }];
        assert_eq!(
            Average.merge(&[0.5, 1.0], &others),
            merge(&[0.5, 1.0], &[&[0.25, 4.0]])
        );
    }
}
