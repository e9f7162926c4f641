//! Why the store refused, told with the path.

use std::{io, path::PathBuf};

use chorus_core::release::JournalError;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The directory or file cannot be made, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system is full.
    #[error("{path}: no space left on the device; free some or lower store.max_bytes")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("{path}: in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was not made by chorus-relay.
    #[error("{path}: not a chorus-relay store, left untouched ({message})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How that shows.
        message: String,
    },
    /// The file is damaged.
    #[error("{path}: damaged, left as it is ({message}); move it away to start afresh")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// More would be pinned than may be.
    #[error(
        "{path}: pinned {what} must be at most {max}, got {got}; unpin some or raise store.max_{what}"
    )]
    Pins {
        /// The file.
        path: PathBuf,
        /// `bytes` or `blocks`.
        what: &'static str,
        /// How much it would be.
        got: u64,
        /// The bound.
        max: u64,
    },
    /// The list of what left takes no more.
    #[error("{path}: {source}; share from another data directory")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: JournalError,
    },
    /// A block above the bound of the whole store, or of what it may take of it.
    #[error("a block must be at most {max} bytes, got {got}")]
    TooLarge {
        /// Its length, bytes.
        got: u64,
        /// The bound, bytes.
        max: u64,
    },
}
