//! Everything that can be wrong with an envelope, a sealing key or its certificate.

use alloc::string::String;

use super::key::SealKey;
use crate::bounds::LimitError;
use crate::key::{KeyError, PeerId};
use crate::time::Timestamp;
use crate::wire::WireError;

/// Why content is not sealed, or an envelope not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Something is longer or more than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The header ends too early or has a bad length in it.
    #[error("envelope: {0}")]
    Header(#[from] WireError),
    /// The first bytes are not those of an envelope of this version.
    #[error("envelope must begin with `chorus/seal/1`, got {got}")]
    Format {
        /// The first bytes.
        got: String,
    },
    /// Nobody to seal to.
    #[error("at least one recipient is needed, got 0")]
    NoRecipient,
    /// No key agreement with a recipient's key.
    #[error("nothing can be sealed to the key {key}")]
    Recipient {
        /// The key.
        key: SealKey,
    },
    /// No slot opens: sealed to others, in another context, or changed.
    #[error(
        "none of {slots} slots opens with any of {secrets} secrets in this network, for this author and purpose"
    )]
    NotAddressed {
        /// Slots in the envelope.
        slots: usize,
        /// Secrets that were tried.
        secrets: usize,
    },
    /// The header was changed after it was sealed, or recipients were given different content keys.
    #[error("header is not the one that the content key was sealed with")]
    Commitment,
    /// A chunk was changed, moved, cut, or taken from elsewhere.
    #[error("chunk {chunk} is changed, cut or not in its place")]
    Chunk {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// The envelope ends before its last chunk.
    #[error("envelope is cut in chunk {chunk}, or after it")]
    Cut {
        /// Number of the chunk where it ends, from 0.
        chunk: u64,
    },
    /// Something follows the last chunk.
    #[error("bytes follow chunk {chunk}, which is the last")]
    Trailing {
        /// Number of the last chunk, from 0.
        chunk: u64,
    },
}

/// Why a sealing key or its certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealKeyError {
    /// Something is longer or more than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The certificate ends too early, goes on too long or has a bad length in it.
    #[error("key certificate: {0}")]
    Wire(#[from] WireError),
    /// The first bytes are not those of a certificate of this version.
    #[error("key certificate must begin with `chorus/seal-key/1`, got {got}")]
    Format {
        /// The first bytes.
        got: String,
    },
    /// The bytes are no point to agree on a key with.
    #[error("{got} is of low order or not in its one encoding, so it is no X25519 key")]
    Point {
        /// The bytes in hexadecimal.
        got: String,
    },
    /// The identity is none, or did not sign this.
    #[error("key certificate: {0}")]
    Identity(#[from] KeyError),
    /// The certificate is for another network.
    #[error("key certificate must be for network {expected:?}, got {got:?}")]
    Network {
        /// This network.
        expected: String,
        /// The certificate's.
        got: String,
    },
    /// The interval is empty, reversed or longer than allowed.
    #[error("key certificate must be valid for 1..={max_secs} s, got {from} to {until}")]
    Interval {
        /// Start of the interval.
        from: Timestamp,
        /// End of the interval.
        until: Timestamp,
        /// The longest interval allowed, in seconds.
        max_secs: u64,
    },
    /// The certificate is not valid yet.
    #[error("key certificate of {identity} is valid from {from}, and it is {now}")]
    NotYet {
        /// Whose key.
        identity: PeerId,
        /// Start of the interval.
        from: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The certificate is not valid any more.
    #[error("key certificate of {identity} was valid until {until}, and it is {now}")]
    Expired {
        /// Whose key.
        identity: PeerId,
        /// End of the interval.
        until: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// A certificate with this epoch or a later one is known already.
    #[error("key certificate of {identity} must have an epoch after {known}, got {got}")]
    Epoch {
        /// Whose key.
        identity: PeerId,
        /// The epoch that is known.
        known: u64,
        /// The certificate's epoch.
        got: u64,
    },
    /// No certificate of this identity is known.
    #[error("no key certificate of {identity} is known")]
    Unknown {
        /// Whose key is wanted.
        identity: PeerId,
    },
}
