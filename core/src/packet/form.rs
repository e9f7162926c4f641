//! The two outer forms of a packet, field by field: DAG-CBOR (deterministic, hashed, signed) and JSON (for people).
//!
//! Both are maps with the fields of [`Form`]. In DAG-CBOR the genetic sequence, the compatibility hash and the signature
//! are byte strings and the timestamp is in milliseconds; in JSON they are codons, hexadecimal and RFC 3339.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Instructions, PacketError};
use crate::digest::Digest;
use crate::key::{PeerId, Signature};
use crate::time::Timestamp;

/// A packet as a map. `S` is the genetic sequence in the form's own type.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form<'a, S> {
    pub(super) organism_id: PeerId,
    pub(super) packet_type: Cow<'a, str>,
    pub(super) genetic_sequence: S,
    pub(super) metadata: Metadata,
    pub(super) quality_metrics: Cow<'a, BTreeMap<String, f64>>,
    pub(super) compatibility_hash: Digest,
    /// Absent from what is signed, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Signature>,
    pub(super) timestamp: Timestamp,
    pub(super) ttl: u64,
}

/// The six instructions in words.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    integration_when: String,
    integration_where: String,
    integration_how: String,
    integration_why: String,
    integration_what: String,
    integration_order: String,
}

impl Metadata {
    pub(super) fn of(instructions: &Instructions) -> Self {
        let [
            integration_when,
            integration_where,
            integration_how,
            integration_why,
            integration_what,
            integration_order,
        ] = instructions.lines();
        Self {
            integration_when,
            integration_where,
            integration_how,
            integration_why,
            integration_what,
            integration_order,
        }
    }

    /// Refuses metadata that say something else than `instructions`.
    pub(super) fn check(&self, instructions: &Instructions) -> Result<(), PacketError> {
        let expected = Self::of(instructions);
        for ((field, metadata), (_, sequence)) in self.fields().into_iter().zip(expected.fields()) {
            if metadata != sequence {
                let metadata = metadata.chars().take(MAX_SHOWN).collect();
                return Err(PacketError::Metadata {
                    field,
                    metadata,
                    sequence: sequence.into(),
                });
            }
        }
        Ok(())
    }

    fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("integration_when", &self.integration_when),
            ("integration_where", &self.integration_where),
            ("integration_how", &self.integration_how),
            ("integration_why", &self.integration_why),
            ("integration_what", &self.integration_what),
            ("integration_order", &self.integration_order),
        ]
    }
}

/// A byte string that borrows from the input.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// Encodes deterministically: the serializer sorts the keys and has one spelling for every number.
///
/// # Errors
/// [`PacketError::Cbor`] where a number is not finite.
pub(super) fn to_cbor(form: &Form<'_, Bytes<'_>>) -> Result<Vec<u8>, PacketError> {
    serde_ipld_dagcbor::to_vec(form).map_err(|error| PacketError::Cbor {
        message: format!("{error}"),
    })
}

const MAX_SHOWN: usize = 100;
