//! The fields of a packet between their outer forms and the types that the crate offers.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::form::{self, Bytes, Form, Metadata};
use super::sequence::{Payload, Sequence};
use super::{MAX_NAME, MAX_PACKET, MAX_QUALITY_METRICS, MAX_TTL_SECS, PacketError, Policy};
use crate::bounds::LimitError;
use crate::digest::{Codec, ContentId, Digest};
use crate::key::{PeerId, Signature};
use crate::time::Timestamp;
use crate::wire::Writer;

/// Everything that is signed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) author: PeerId,
    pub(super) packet_type: String,
    pub(super) sequence: Sequence,
    pub(super) quality: BTreeMap<String, f64>,
    pub(super) content_digest: Digest,
    pub(super) timestamp: Timestamp,
    pub(super) ttl_secs: u64,
}

impl Parts {
    /// Takes a form apart, whose genetic sequence is `sequence`, and checks every bound that needs no key and no clock.
    pub(super) fn read<S>(
        form: Form<'_, S>,
        sequence: &[u8],
    ) -> Result<(Self, Option<Signature>), PacketError> {
        let sequence = Sequence::from_bytes(sequence)?;
        form.metadata.check(&sequence.instructions)?;
        let parts = Self {
            author: form.organism_id,
            packet_type: form.packet_type.into_owned(),
            sequence,
            quality: form.quality_metrics.into_owned(),
            content_digest: form.compatibility_hash,
            timestamp: form.timestamp,
            ttl_secs: form.ttl,
        };
        parts.check()?;
        Ok((parts, form.signature))
    }

    /// Puts a form together, whose genetic sequence is `genetic_sequence`.
    pub(super) fn form<S>(&self, genetic_sequence: S, signature: Option<Signature>) -> Form<'_, S> {
        Form {
            organism_id: self.author,
            packet_type: Cow::Borrowed(&self.packet_type),
            genetic_sequence,
            metadata: Metadata::of(&self.sequence.instructions),
            quality_metrics: Cow::Borrowed(&self.quality),
            compatibility_hash: self.content_digest,
            signature,
            timestamp: self.timestamp,
            ttl: self.ttl_secs,
        }
    }

    /// Returns the binary form, with or without its signature.
    pub(super) fn to_cbor(&self, signature: Option<Signature>) -> Result<Vec<u8>, PacketError> {
        form::to_cbor(&self.form(Bytes(&self.sequence.to_bytes()), signature))
    }

    /// Returns the bytes that the signature covers in `network`.
    pub(super) fn signed_bytes(&self, network: &str) -> Result<Vec<u8>, PacketError> {
        let body = self.to_cbor(None)?;
        let mut writer = Writer::with_capacity(body.len() + 2 * MAX_NAME);
        writer
            .bytes(SIGNING_DOMAIN)
            .bytes(network.as_bytes())
            .put(&body);
        Ok(writer.into_bytes())
    }

    /// Checks the bounds of every field but the sequence, whose reader did.
    pub(super) fn check(&self) -> Result<(), PacketError> {
        check_name("packet type", &self.packet_type)?;
        LimitError::check_len("quality metrics", self.quality.len(), MAX_QUALITY_METRICS)?;
        for (name, &value) in &self.quality {
            check_name("quality metric", name)?;
            if !value.is_finite() {
                return Err(PacketError::Quality {
                    name: name.clone(),
                    value,
                });
            }
        }
        if !(1..=MAX_TTL_SECS).contains(&self.ttl_secs) {
            return Err(PacketError::Ttl {
                got: self.ttl_secs,
                max: MAX_TTL_SECS,
            });
        }
        Ok(())
    }

    /// Checks that inline content has the stated hash. Linked content is checked when it has arrived.
    pub(super) fn check_content(&self) -> Result<(), PacketError> {
        let Payload::Inline(content) = &self.sequence.payload else {
            return Ok(());
        };
        let (stated, actual) = (self.content_digest, Digest::sha256(content));
        if stated == actual {
            Ok(())
        } else {
            Err(PacketError::ContentHash { stated, actual })
        }
    }
}

/// A packet with its signature and its binary form, verified or not.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) parts: Parts,
    pub(super) signature: Signature,
    pub(super) cbor: Vec<u8>,
    pub(super) cid: ContentId,
}

impl Sealed {
    /// Encodes the packet and names it.
    pub(super) fn new(parts: Parts, signature: Signature) -> Result<Self, PacketError> {
        let cbor = parts.to_cbor(Some(signature))?;
        LimitError::check_len("packet bytes", cbor.len(), MAX_PACKET)?;
        let cid = ContentId::of(Codec::DagCbor, &cbor);
        Ok(Self {
            parts,
            signature,
            cbor,
            cid,
        })
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        self.parts
            .timestamp
            .saturating_add(Duration::from_secs(self.parts.ttl_secs))
    }

    pub(super) fn check_time(&self, policy: &Policy<'_>) -> Result<(), PacketError> {
        let Policy { now, max_skew, .. } = *policy;
        let (timestamp, expired_at) = (self.parts.timestamp, self.expires_at());
        if timestamp > now.saturating_add(max_skew) {
            return Err(PacketError::Future {
                timestamp,
                now,
                max_skew,
            });
        }
        if expired_at.saturating_add(max_skew) < now {
            return Err(PacketError::Expired {
                expired_at,
                now,
                max_skew,
            });
        }
        Ok(())
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), PacketError> {
    let is_name = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"._/-".contains(&c));
    if is_name {
        Ok(())
    } else {
        Err(PacketError::Name {
            what,
            got: name.chars().take(MAX_NAME).collect(),
        })
    }
}

/// Keeps a signature made for a packet from meaning anything elsewhere.
const SIGNING_DOMAIN: &[u8] = b"chorus/packet/1";
