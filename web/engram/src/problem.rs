//! What goes wrong, with the code that JavaScript sees.

use chorus_core::bounds::LimitError;
use chorus_core::engram::EngramError;
use chorus_core::engram::error::{CodecError, TensorError};
use chorus_core::engram::hybrid::HybridError;
use chorus_core::engram::integrate::{IntegrateError, Mismatch, ResolveError};
use chorus_core::engram::lossy::LossyError;

/// A message for people, and a code for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// `ERR_…`, as `www/engram.d.ts` lists them.
    pub code: &'static str,
    /// What, the value and the bound.
    pub message: String,
}

/// An argument is not what it must be.
pub const INVALID_ARGUMENT: &str = "ERR_INVALID_ARGUMENT";
/// Bytes are not what they say, or were changed.
pub const DAMAGED: &str = "ERR_DAMAGED";
/// More than may be held.
pub const TOO_LARGE: &str = "ERR_TOO_LARGE";
/// Base, model and engram do not belong together.
pub const MISMATCH: &str = "ERR_MISMATCH";
/// The caller asked to stop.
pub const ABORTED: &str = "ERR_ABORTED";

impl Problem {
    /// Makes one.
    pub fn new(code: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { code, message }
    }

    /// The caller asked to stop.
    pub fn aborted() -> Self {
        Self::new(ABORTED, "it was cancelled")
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        Self::new(TOO_LARGE, error)
    }
}

impl From<EngramError> for Problem {
    fn from(error: EngramError) -> Self {
        let code = match &error {
            EngramError::Limit(_) => TOO_LARGE,
            EngramError::Tensor { problem, .. } => match problem {
                TensorError::Limit(_) => TOO_LARGE,
                TensorError::BaseMissing { .. } | TensorError::BaseWrong { .. } => MISMATCH,
                TensorError::Coding(CodecError::Absent { .. }) => INVALID_ARGUMENT,
                _ => DAMAGED,
            },
            _ => DAMAGED,
        };
        Self::new(code, error)
    }
}

impl From<LossyError> for Problem {
    fn from(error: LossyError) -> Self {
        let code = match error {
            LossyError::Count { .. } => TOO_LARGE,
            LossyError::Tag { .. }
            | LossyError::Truncated { .. }
            | LossyError::Scale { .. }
            | LossyError::Code { .. } => DAMAGED,
            _ => INVALID_ARGUMENT,
        };
        Self::new(code, error)
    }
}

impl From<HybridError> for Problem {
    fn from(error: HybridError) -> Self {
        let code = match error {
            HybridError::Source(error) => return error.into(),
            HybridError::Lossy { ref problem, .. } => Self::from(*problem).code,
            HybridError::Limit(_) | HybridError::Memory { .. } => TOO_LARGE,
            HybridError::Layers { .. }
            | HybridError::Target { .. }
            | HybridError::NotFinite { .. } => INVALID_ARGUMENT,
            HybridError::BaseMissing { .. }
            | HybridError::BaseWrong { .. }
            | HybridError::BaseAlien => MISMATCH,
            HybridError::Stopped => return Self::aborted(),
            _ => DAMAGED,
        };
        Self::new(code, error)
    }
}

impl From<IntegrateError> for Problem {
    fn from(error: IntegrateError) -> Self {
        let code = match &error {
            IntegrateError::Mismatch(Mismatch::TooLarge { .. }) => TOO_LARGE,
            IntegrateError::Mismatch(_) => MISMATCH,
            _ => INVALID_ARGUMENT,
        };
        Self::new(code, error)
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let code = match error {
            ResolveError::Length { .. } | ResolveError::Value { .. } => MISMATCH,
            _ => INVALID_ARGUMENT,
        };
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_damaged_bytes_make_is_called_damaged() {
        for error in [
            LossyError::Tag { got: 9 },
            LossyError::Truncated { tensor: 0 },
            LossyError::Scale { got: -1.0 },
            LossyError::Code { offset: 0, got: -8 },
        ] {
            assert_eq!(Problem::from(error).code, DAMAGED, "{error}");
        }
        let got = f32::NAN;
        assert_eq!(
            Problem::from(LossyError::Step { got }).code,
            INVALID_ARGUMENT
        );
    }
}
