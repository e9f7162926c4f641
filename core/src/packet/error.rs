//! Everything that can be wrong with a packet.

use alloc::string::String;
use core::time::Duration;

use crate::bounds::LimitError;
use crate::codon::{Codon, CodonError};
use crate::digest::Digest;
use crate::key::{KeyError, PeerId};
use crate::time::Timestamp;
use crate::wire::WireError;

/// Why a packet is refused, whether it came from a peer or is about to be signed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Something is longer or larger than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The bytes are no packet in DAG-CBOR.
    #[error("packet is not DAG-CBOR of the expected form: {message}")]
    Cbor {
        /// What the decoder says.
        message: String,
    },
    /// The bytes are a packet, but not in the one canonical encoding.
    #[error("packet is not in canonical DAG-CBOR: {got} bytes where {canonical} are canonical")]
    NotCanonical {
        /// Length of the input.
        got: usize,
        /// Length of the canonical encoding of the same packet.
        canonical: usize,
    },
    /// The text is no packet in JSON.
    #[error("packet is not JSON of the expected form: {message}")]
    Json {
        /// What the decoder says, with line and column.
        message: String,
    },
    /// The genetic sequence in the JSON form is not written in codons.
    #[error("genetic_sequence: {0}")]
    Codon(#[from] CodonError),
    /// The genetic sequence ends too early, goes on too long or has a bad length in it.
    #[error("genetic_sequence: {0}")]
    Sequence(#[from] WireError),
    /// A codon stands where another kind of instruction belongs.
    #[error("genetic_sequence: {codon:?} at codon {position} is not an {field}")]
    Instruction {
        /// The place, by its name in the metadata.
        field: &'static str,
        /// The codon found.
        codon: Codon,
        /// Offset in the genetic sequence, in codons.
        position: usize,
    },
    /// An argument of an instruction is out of range.
    #[error("{field}: {argument} must be {expected}, got {got}")]
    Argument {
        /// The instruction, by its name in the metadata.
        field: &'static str,
        /// The argument.
        argument: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was found.
        got: String,
    },
    /// The payload is of an unknown kind, or its link is unusable.
    #[error("payload must be {expected}, got {got}")]
    Payload {
        /// What is allowed.
        expected: &'static str,
        /// What was found.
        got: String,
    },
    /// The metadata says something else than the genetic sequence.
    #[error("{field} is {metadata:?}, but the genetic sequence says {sequence:?}")]
    Metadata {
        /// Which line of the metadata.
        field: &'static str,
        /// What the metadata says, shortened.
        metadata: String,
        /// What the genetic sequence says.
        sequence: String,
    },
    /// The packet type, or the name of a quality metric, is no name.
    #[error("{what} must be 1 to 64 of a-z A-Z 0-9 . _ / - and start with a letter, got {got:?}")]
    Name {
        /// Which name.
        what: &'static str,
        /// The name, shortened.
        got: String,
    },
    /// A quality metric is infinite or not a number.
    #[error("quality metric {name} must be finite, got {value}")]
    Quality {
        /// Name of the metric.
        name: String,
        /// Its value.
        value: f64,
    },
    /// The time to live is out of range.
    #[error("ttl must be within 1..={max} s, got {got}")]
    Ttl {
        /// Seconds.
        got: u64,
        /// Seconds.
        max: u64,
    },
    /// The packet is from the future, beyond the tolerance for clock skew.
    #[error("timestamp {timestamp} is in the future: it is {now}, tolerance {max_skew:?}")]
    Future {
        /// The packet's timestamp.
        timestamp: Timestamp,
        /// The time here.
        now: Timestamp,
        /// Tolerance for clocks that differ.
        max_skew: Duration,
    },
    /// The time to live is over, beyond the tolerance for clock skew.
    #[error("packet expired at {expired_at}: it is {now}, tolerance {max_skew:?}")]
    Expired {
        /// Timestamp plus time to live.
        expired_at: Timestamp,
        /// The time here.
        now: Timestamp,
        /// Tolerance for clocks that differ.
        max_skew: Duration,
    },
    /// The author's id contains no usable key.
    #[error("organism_id: {0}")]
    Author(KeyError),
    /// The signature does not cover this packet in this network.
    #[error(
        "signature is not {author}'s over this packet in network {network:?}: altered, or signed for another network"
    )]
    Signature {
        /// Who is said to have signed.
        author: PeerId,
        /// The network it was checked for.
        network: String,
    },
    /// The content is not what the packet promises.
    #[error("compatibility_hash is {stated}, but the content's is {actual}")]
    ContentHash {
        /// What the packet says.
        stated: Digest,
        /// What the content hashes to.
        actual: Digest,
    },
}
