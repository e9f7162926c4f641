//! Why lossy codes cannot be written, or not be read.

use super::{LEAST_STEP, MOST_STEP};

/// Why numbers cannot be written, or bytes not be read.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossyError {
    /// A number is infinite or none at all.
    #[error("number {offset} of tensor {tensor} must be finite")]
    NotFinite {
        /// Which tensor, from 0.
        tensor: usize,
        /// Which number, from 0.
        offset: usize,
    },
    /// A number is too many steps away from 0.
    #[error(
        "number {offset} of tensor {tensor} must be at most {most} steps of {step:e} away from 0"
    )]
    Far {
        /// Which tensor, from 0.
        tensor: usize,
        /// Which number, from 0.
        offset: usize,
        /// The step of that tensor.
        step: f32,
        /// The most steps.
        most: u32,
    },
    /// Rows do not fill the tensor.
    #[error("tensor {tensor} of {count} numbers must have full rows of {columns}")]
    Columns {
        /// Which tensor, from 0.
        tensor: usize,
        /// Its numbers.
        count: usize,
        /// Numbers of a row.
        columns: usize,
    },
    /// A delta has not as many tensors as the one before.
    #[error("there must be {expected} tensors, got {got}")]
    Tensors {
        /// Tensors.
        got: usize,
        /// Tensors before.
        expected: usize,
    },
    /// A tensor is not as long as before.
    #[error("tensor {tensor} must have {expected} numbers, got {got}")]
    Length {
        /// Which tensor, from 0.
        tensor: usize,
        /// Its numbers.
        got: usize,
        /// Its numbers before.
        expected: usize,
    },
    /// Bytes of a state are too few or too many for its tensors.
    #[error("the state must have {expected} bytes, got {got}")]
    State {
        /// Bytes.
        got: usize,
        /// Bytes of as many numbers.
        expected: usize,
    },
    /// The step is no step, or one whose inverse is no number.
    #[error(
        "the step must be within {LEAST_STEP:e}..={MOST_STEP:e}, also where it is finer, got {got:e}"
    )]
    Step {
        /// The step, as fine as it is in a tensor.
        got: f32,
    },
    /// What numbers are multiplied by is no such thing.
    #[error("a scale must be finite and not negative, got {got:e}")]
    Scale {
        /// The scale, or half a step.
        got: f32,
    },
    /// A number of a block is past the largest of its block.
    #[error("number {offset} must have a code of more than {got}")]
    Code {
        /// Which number, from 0.
        offset: usize,
        /// Its code.
        got: i8,
    },
    /// A setting other than the step is out of its range.
    #[error("{what} must be finite and not negative, got {got}")]
    Setting {
        /// Which.
        what: &'static str,
        /// Its value.
        got: f32,
    },
    /// More numbers than allowed.
    #[error("numbers of an engram must be at most {most}, got {got}")]
    Count {
        /// Numbers, as far as they can be counted.
        got: usize,
        /// The most.
        most: usize,
    },
    /// So many numbers cannot leave.
    #[error("the share of numbers that leaves must be > 0 and at most 1, got {got}")]
    Share {
        /// The share.
        got: f32,
    },
    /// The tag says nothing that this version knows.
    #[error("the tag of a lossy stream must be a known one, got {got}")]
    Tag {
        /// The tag.
        got: u8,
    },
    /// The caller did not want to go on.
    #[error("coding was stopped")]
    Stopped,
    /// The bytes end before the levels do, or after.
    #[error("coded levels must end with their last byte, in tensor {tensor}")]
    Truncated {
        /// Which tensor, from 0.
        tensor: usize,
    },
}
