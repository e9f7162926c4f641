//! The limits that peers must agree on, and the one error for exceeding any limit.

/// Bytes of content that a packet may carry itself. Source: contract.md, "On the wire".
pub const MAX_INLINE: usize = 256 * 1024;
/// Bytes of one content-addressed block. Source: contract.md, "On the wire"; the same as IPFS's Bitswap.
pub const MAX_BLOCK: usize = 1 << 20;
/// Bytes of one shared object unless configured otherwise. Source: contract.md, `max_packet_size`.
pub const DEFAULT_MAX_OBJECT: u64 = 10_000_000;
/// Bytes of every leaf of a shared object but the last. Source: kubo's default chunker, `size-262144`.
pub const LEAF_SIZE: usize = 256 * 1024;

/// A value that is past its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be at most {max}, got {got}")]
pub struct LimitError {
    /// What is limited, with its unit.
    pub what: &'static str,
    /// The value.
    pub got: u64,
    /// The largest value allowed.
    pub max: u64,
}

impl LimitError {
    /// Returns an error where `got` is past `max`.
    ///
    /// # Errors
    /// `LimitError` with the three values where `got > max`.
    pub const fn check(what: &'static str, got: u64, max: u64) -> Result<(), Self> {
        if got > max {
            Err(Self { what, got, max })
        } else {
            Ok(())
        }
    }

    /// The same as [`LimitError::check`] for lengths in memory.
    ///
    /// # Errors
    /// `LimitError` with the three values where `got > max`.
    pub const fn check_len(what: &'static str, got: usize, max: usize) -> Result<(), Self> {
        Self::check(what, got as u64, max as u64)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_message_names_what_and_both_numbers() {
        let error = LimitError::check_len("leaf bytes", 9, 8).unwrap_err();
        assert_eq!(error.to_string(), "leaf bytes must be at most 8, got 9");
        assert_eq!(LimitError::check("leaf bytes", 8, 8), Ok(()));
    }
}
