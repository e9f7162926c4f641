//! Why bytes are no engram, or tensors make none.

/// Why coded bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The lengths of codes do not make a complete prefix code.
    #[error("the code must give every bit pattern one meaning")]
    Code,
    /// A stream ends too early or too late.
    #[error("coded bytes must end with their last symbol")]
    Truncated,
    /// A plane is neither plain nor constant nor coded.
    #[error("a plane's tag must be at most 2, got {got}")]
    Tag {
        /// The tag.
        got: u8,
    },
}
