//! The genetic packet: signed content with instructions for its integration.
//!
//! A [`PacketDraft`] is signed into a [`Packet`]; bytes from a peer become an [`UnverifiedPacket`], and a [`Packet`] only
//! by [`UnverifiedPacket::verify`]. So whoever holds a `Packet` knows: the fields are within their bounds, the metadata
//! and the genetic sequence agree, the author signed it for this network, inline content has the stated hash, and the
//! packet was alive when it was checked. What it does *not* tell: whether the content is any good, whether linked
//! content exists ([`block`]), and whether the packet was seen before ([`ReplayGuard`]).
//!
//! # Genetic sequence
//! Six instructions (when, where, how, why, what, order), each a [`Codon`](crate::codon::Codon), a varint length and its
//! arguments; then the payload: a kind byte, `00` and the content with a varint length, or `01`, the content id of a
//! [`block::Manifest`] (36 bytes) and the content's length (varint).
//!
//! # Signature
//! Ed25519 over varint length and bytes of `chorus/packet/1`, the same of the network's name, then the DAG-CBOR map
//! without its `signature`. The content id is that of the map with it.
//!
//! ```
//! use chorus_core::key::Keypair;
//! use chorus_core::packet::{PacketDraft, Policy, UnverifiedPacket};
//! use chorus_core::time::Timestamp;
//!
//! let now = Timestamp::from_millis(1_795_233_600_000);
//! let key = Keypair::from_seed(&[7; 32]);
//! let packet = PacketDraft::inline("greeting", b"hello".to_vec()).sign(&key, "main", now)?;
//!
//! let received = UnverifiedPacket::from_cbor(packet.as_cbor())?;
//! let verified = received.verify(&Policy::new("main", now))?;
//! assert_eq!(verified.cid(), packet.cid());
//! assert_eq!(verified.author(), key.peer_id());
//!
//! let received = UnverifiedPacket::from_cbor(packet.as_cbor())?;
//! assert!(received.verify(&Policy::new("another network", now)).is_err());
//! # Ok::<(), chorus_core::packet::PacketError>(())
//! ```

pub mod block;
mod error;
mod form;
mod instruction;
mod parts;
mod replay;
mod revocation;
mod sequence;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use self::error::PacketError;
pub use self::instruction::{
    Dtype, How, Instructions, MAX_DIMENSIONS, MAX_PERIOD_SECS, MAX_TEXT, Order, What, When, Where,
    Why,
};
pub use self::replay::{Admission, ReplayConfig, ReplayGuard};
pub use self::revocation::{MAX_REVOKED, REVOCATION_TYPE, Revocation};
pub use self::sequence::Payload;

use self::form::{Bytes, Form};
use self::parts::{Parts, Sealed};
use self::sequence::Sequence;
use crate::bounds::{LimitError, MAX_INLINE};
use crate::codon;
use crate::digest::{ContentId, Digest};
use crate::key::{Keypair, PeerId, Signature};
use crate::time::Timestamp;

/// Time that a peer's clock may be ahead of or behind ours. Guess: twice the 60 s that clocks set by hand are off.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(120);
/// The longest life of a packet, in seconds: 30 days. Guess: the mesh is for news, archives are elsewhere.
pub const MAX_TTL_SECS: u64 = 30 * 86_400;
/// The life of a packet unless its draft says otherwise, in seconds: a day. Guess.
pub const DEFAULT_TTL_SECS: u64 = 86_400;
/// Quality metrics of a packet. Guess: what fits a page.
pub const MAX_QUALITY_METRICS: usize = 32;
/// Bytes of a packet type or of a quality metric's name. Guess.
pub const MAX_NAME: usize = 64;
/// Bytes of a packet in DAG-CBOR: inline content, and the instructions in codons and in words.
pub const MAX_PACKET: usize = MAX_INLINE + 32 * 1024;
/// Bytes of a packet in JSON: three letters per byte, and escapes.
pub const MAX_PACKET_JSON: usize = 4 * MAX_PACKET;

/// A packet to be signed.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketDraft {
    /// What kind of content this is, such as `weights` or `file`: 1 to [`MAX_NAME`] of `a-z A-Z 0-9 . _ / -`, first a
    /// letter.
    pub packet_type: String,
    /// What to do with it.
    pub instructions: Instructions,
    /// The content, or where it is.
    pub payload: Payload,
    /// SHA-256 of the whole content.
    pub content_digest: Digest,
    /// How good it is: at most [`MAX_QUALITY_METRICS`] finite numbers with names like packet types.
    pub quality: BTreeMap<String, f64>,
    /// Seconds to live, `1..=MAX_TTL_SECS`.
    pub ttl_secs: u64,
}

impl PacketDraft {
    /// Drafts a packet that carries `content` itself, with default instructions and life. O(n): hashes it.
    pub fn inline(packet_type: impl Into<String>, content: Vec<u8>) -> Self {
        let content_digest = Digest::sha256(&content);
        Self::new(packet_type.into(), Payload::Inline(content), content_digest)
    }

    /// Drafts a packet that names the root of its content, with default instructions and life.
    pub fn link(
        packet_type: impl Into<String>,
        root: ContentId,
        size: u64,
        content_digest: Digest,
    ) -> Self {
        Self::new(
            packet_type.into(),
            Payload::Link { root, size },
            content_digest,
        )
    }

    fn new(packet_type: String, payload: Payload, content_digest: Digest) -> Self {
        Self {
            packet_type,
            instructions: Instructions::default(),
            payload,
            content_digest,
            quality: BTreeMap::new(),
            ttl_secs: DEFAULT_TTL_SECS,
        }
    }

    /// Signs the draft for `network`, dated `now`.
    ///
    /// # Errors
    /// What a receiver would refuse: see the fields and [`PacketError`].
    pub fn sign(self, key: &Keypair, network: &str, now: Timestamp) -> Result<Packet, PacketError> {
        let sequence = Sequence {
            instructions: self.instructions,
            payload: self.payload,
        };
        let parts = Parts {
            author: key.peer_id(),
            packet_type: self.packet_type,
            // Read back what was written: the sender keeps to the bounds by the receiver's own check.
            sequence: Sequence::from_bytes(&sequence.to_bytes())?,
            // There is no −0 in DAG-CBOR.
            quality: self
                .quality
                .into_iter()
                .map(|(name, value)| (name, value + 0.0))
                .collect(),
            content_digest: self.content_digest,
            timestamp: now,
            ttl_secs: self.ttl_secs,
        };
        parts.check()?;
        parts.check_content()?;
        let signature = key.sign(&parts.signed_bytes(network)?);
        Ok(Packet(Arc::new(Sealed::new(parts, signature)?)))
    }
}

/// What a packet is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    /// The network that the packet must be signed for.
    pub network: &'a str,
    /// The time here.
    pub now: Timestamp,
    /// Time that the author's clock may differ from ours, in both directions.
    pub max_skew: Duration,
}

impl<'a> Policy<'a> {
    /// A policy with a tolerance of [`MAX_CLOCK_SKEW`].
    pub const fn new(network: &'a str, now: Timestamp) -> Self {
        Self {
            network,
            now,
            max_skew: MAX_CLOCK_SKEW,
        }
    }
}

/// A packet that is well formed, and nothing more: anyone may have written it.
#[derive(Clone, Debug)]
pub struct UnverifiedPacket(Sealed);

impl UnverifiedPacket {
    /// Reads the binary form. O(n); allocates no more than a small multiple of the input.
    ///
    /// # Errors
    /// [`PacketError`]: too long, not canonical DAG-CBOR of the expected form, a field out of bounds, or metadata and
    /// genetic sequence disagree.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, PacketError> {
        LimitError::check_len("packet bytes", bytes.len(), MAX_PACKET)?;
        let malformed = |message| PacketError::Cbor { message };
        let form: Form<'_, Bytes<'_>> =
            serde_ipld_dagcbor::from_slice(bytes).map_err(|error| malformed(format!("{error}")))?;
        let sequence = form.genetic_sequence.0;
        let (parts, signature) = Parts::read(form, sequence)?;
        let signature = signature.ok_or_else(|| malformed("missing field `signature`".into()))?;
        let sealed = Sealed::new(parts, signature)?;
        if sealed.cbor != bytes {
            return Err(PacketError::NotCanonical {
                got: bytes.len(),
                canonical: sealed.cbor.len(),
            });
        }
        Ok(Self(sealed))
    }

    /// Reads the JSON form. O(n).
    ///
    /// # Errors
    /// [`PacketError`]: too long, not JSON of the expected form, a field out of bounds, or metadata and genetic sequence
    /// disagree.
    pub fn from_json(text: &str) -> Result<Self, PacketError> {
        LimitError::check_len("packet bytes in JSON", text.len(), MAX_PACKET_JSON)?;
        let malformed = |message| PacketError::Json { message };
        let form: Form<'_, String> =
            serde_json::from_str(text).map_err(|error| malformed(format!("{error}")))?;
        let sequence = codon::decode(&form.genetic_sequence)?;
        let (mut parts, signature) = Parts::read(form, &sequence)?;
        let signature = signature.ok_or_else(|| malformed("missing field `signature`".into()))?;
        parts.quality.values_mut().for_each(|value| *value += 0.0);
        Ok(Self(Sealed::new(parts, signature)?))
    }

    /// Checks time, author, signature and inline content, in this order, cheap before dear. O(n).
    ///
    /// # Errors
    /// [`PacketError::Future`], [`PacketError::Expired`], [`PacketError::Author`], [`PacketError::Signature`],
    /// [`PacketError::ContentHash`].
    pub fn verify(self, policy: &Policy<'_>) -> Result<Packet, PacketError> {
        let Self(sealed) = self;
        sealed.check_time(policy)?;
        let author = sealed.parts.author;
        let key = author.public_key().map_err(PacketError::Author)?;
        key.verify(
            &sealed.parts.signed_bytes(policy.network)?,
            &sealed.signature,
        )
        .map_err(|_| PacketError::Signature {
            author,
            network: policy.network.into(),
        })?;
        sealed.parts.check_content()?;
        Ok(Packet(Arc::new(sealed)))
    }

    /// Returns the content id of the binary form.
    pub const fn cid(&self) -> ContentId {
        self.0.cid
    }

    /// Returns who is said to have signed.
    pub const fn author(&self) -> PeerId {
        self.0.parts.author
    }

    /// Returns what kind of content this is said to be.
    pub fn packet_type(&self) -> &str {
        &self.0.parts.packet_type
    }

    /// Returns the end of the packet's stated life.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at()
    }
}

/// A verified packet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Packet(Arc<Sealed>);

impl Packet {
    /// Returns the content id of the binary form.
    pub fn cid(&self) -> ContentId {
        self.0.cid
    }

    /// Returns who signed.
    pub fn author(&self) -> PeerId {
        self.0.parts.author
    }

    /// Returns what kind of content this is.
    pub fn packet_type(&self) -> &str {
        &self.0.parts.packet_type
    }

    /// Returns the packet that this one stands in place of: it comes after that one (`ORDER_AFTER`) and replaces it
    /// (`HOW_REPLACE`). It supersedes it where both are by the same author.
    pub fn replaces(&self) -> Option<ContentId> {
        match self.instructions() {
            Instructions {
                how: How::Replace,
                order: Order::After { cid },
                ..
            } => Some(*cid),
            _ => None,
        }
    }

    /// Returns what to do with the content.
    pub fn instructions(&self) -> &Instructions {
        &self.0.parts.sequence.instructions
    }

    /// Returns the content or its place.
    pub fn payload(&self) -> &Payload {
        &self.0.parts.sequence.payload
    }

    /// Returns how good the content is said to be.
    pub fn quality(&self) -> &BTreeMap<String, f64> {
        &self.0.parts.quality
    }

    /// Returns when the packet was signed, by the author's clock.
    pub fn timestamp(&self) -> Timestamp {
        self.0.parts.timestamp
    }

    /// Returns how long the packet lives, in seconds.
    pub fn ttl_secs(&self) -> u64 {
        self.0.parts.ttl_secs
    }

    /// Returns the end of the packet's life, by the author's clock.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at()
    }

    /// Checks that the packet is still alive, as [`UnverifiedPacket::verify`] did when it came.
    ///
    /// # Errors
    /// [`PacketError::Future`], [`PacketError::Expired`].
    pub fn check_time(&self, policy: &Policy<'_>) -> Result<(), PacketError> {
        self.0.check_time(policy)
    }

    /// Returns SHA-256 of the whole content.
    pub fn content_digest(&self) -> Digest {
        self.0.parts.content_digest
    }

    /// Returns the author's signature.
    pub fn signature(&self) -> Signature {
        self.0.signature
    }

    /// Returns the binary form.
    pub fn as_cbor(&self) -> &[u8] {
        &self.0.cbor
    }

    /// Returns the JSON form, with three letters per byte of inline content. O(n).
    pub fn to_json(&self) -> String {
        let sequence = codon::encode(&self.0.parts.sequence.to_bytes());
        // Text keys and finite numbers: there is nothing that JSON could not express.
        serde_json::to_string(&self.0.parts.form(sequence, Some(self.0.signature)))
            .unwrap_or_default()
    }
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.cid() == other.cid()
    }
}

impl Eq for Packet {}

#[cfg(test)]
#[path = "packet/packet_tests.rs"]
mod tests;
