//! The limits that peers must agree on, and the errors for exceeding any limit or setting something out of its range.

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

/// A setting that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} must be within {min}..={max}, got {got}")]
pub struct RangeError {
    /// The setting, after the module that it is for: `memory.max_records`.
    pub field: &'static str,
    /// Its value; seconds for durations.
    pub got: f64,
    /// The least value allowed.
    pub min: f64,
    /// The greatest value allowed.
    pub max: f64,
}

impl RangeError {
    /// Returns an error where `got` is not within `min..=max`, or not a number.
    ///
    /// # Errors
    /// `RangeError` with the four values.
    pub const fn check(field: &'static str, got: f64, min: f64, max: f64) -> Result<(), Self> {
        if got >= min && got <= max {
            return Ok(());
        }
        Err(Self {
            field,
            got,
            min,
            max,
        })
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

    #[test]
    fn a_setting_is_within_its_range_with_both_ends_and_never_no_number() {
        let check = |got| RangeError::check("memory.half", got, 0.5, 1.0);
        assert_eq!((check(0.5), check(1.0)), (Ok(()), Ok(())));
        for got in [0.49, 1.01, f64::INFINITY, f64::NAN] {
            let error = check(got).unwrap_err().to_string();
            assert_eq!(
                error,
                alloc::format!("memory.half must be within 0.5..=1, got {got}")
            );
        }
    }
}
