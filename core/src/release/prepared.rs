//! What may leave: for everybody, or sealed.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;

use super::format::Content;
use super::preview::{Preview, Readers};
use super::sealing::{OpenError, SEALED_TYPE, seal_parcel};
use crate::digest::Digest;
use crate::key::PeerId;
use crate::packet::Instructions;
use crate::privacy::Validated;
use crate::seal::{Parcel, Recipient, sealed_len};

/// What went through all stages and has not left yet. Its `Debug` tells counts alone.
pub struct Prepared {
    pub(super) validated: Validated,
    pub(super) body: Content,
    pub(super) packet_type: String,
    pub(super) name: Option<String>,
    pub(super) instructions: Instructions,
    pub(super) preview: Preview,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&self.preview).finish()
    }
}

impl Prepared {
    /// Returns what the owner is to see, for everybody as reader.
    pub const fn preview(&self) -> &Preview {
        &self.preview
    }

    /// Returns what the owner is to see where `readers` alone are to read it: outside of the envelope are then no type,
    /// no metrics and no instructions; type and metrics are inside.
    pub fn preview_for(&self, readers: &[PeerId]) -> Preview {
        let mut readers = readers.to_vec();
        readers.sort_unstable();
        readers.dedup();
        let name = self.name.as_deref().unwrap_or_default();
        let front = Parcel::front_len(&self.packet_type, name, &self.preview.quality);
        let sealed = sealed_len(front + self.content().len(), readers.len());
        Preview {
            sealed_bytes: Some(sealed as u64),
            readers: Readers::Peers(readers),
            quality: BTreeMap::new(),
            sealed_quality: self.preview.quality.clone(),
            lines: Instructions::default().lines(),
            ..self.preview.clone()
        }
    }

    /// Returns the content as it leaves, before it is sealed.
    pub fn content(&self) -> &[u8] {
        self.body.bytes(self.validated.parts())
    }

    /// Returns the packet's type.
    pub fn packet_type(&self) -> &str {
        &self.packet_type
    }

    /// Returns what the content is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the packet's instructions.
    pub const fn instructions(&self) -> &Instructions {
        &self.instructions
    }

    /// Returns the packet's metrics.
    pub const fn quality(&self) -> &BTreeMap<String, f64> {
        &self.preview.quality
    }

    /// Returns how long the packet lives, in seconds.
    pub const fn ttl_secs(&self) -> u64 {
        self.preview.ttl_secs
    }

    /// Hands out what leaves for everybody.
    pub fn into_open(self) -> Open {
        let mut parts = self.validated.into_parts();
        Open {
            content: self.body.into_bytes(&mut parts),
            packet_type: self.packet_type,
            instructions: self.instructions,
            quality: self.preview.quality.clone(),
            ttl_secs: self.preview.ttl_secs,
            preview: self.preview,
        }
    }

    /// Seals it to `recipients` on `network`, in a packet that `author` is to sign. `rng` must be secure.
    ///
    /// # Errors
    /// [`OpenError`]: the name or type is too long, or there are none or too many recipients.
    pub fn seal(
        self,
        recipients: &[Recipient],
        network: &str,
        author: PeerId,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedRelease, OpenError> {
        let readers: Vec<_> = recipients.iter().map(Recipient::identity).collect();
        let mut preview = self.preview_for(&readers);
        let Self {
            validated,
            body,
            packet_type,
            name,
            preview: open,
            ..
        } = self;
        let write = |parts: &crate::privacy::Parts| {
            let parcel = Parcel {
                content_type: packet_type,
                name: name.unwrap_or_default(),
                quality: open.quality,
                content: body.bytes(parts).to_vec(),
            };
            seal_parcel(&parcel, recipients, (network, author), rng)
        };
        let sealed = validated.seal_with(write).map_err(|(error, _)| error)?;
        let content = sealed.into_bytes();
        preview.sealed_bytes = Some(content.len() as u64);
        Ok(SealedRelease {
            content,
            ttl_secs: preview.ttl_secs,
            preview,
        })
    }
}

/// What leaves for everybody. Its `Debug` tells counts alone.
#[derive(Clone, PartialEq)]
pub struct Open {
    /// The content.
    pub content: Vec<u8>,
    /// The packet's type.
    pub packet_type: String,
    /// The packet's instructions.
    pub instructions: Instructions,
    /// The packet's metrics.
    pub quality: BTreeMap<String, f64>,
    /// Seconds to live.
    pub ttl_secs: u64,
    /// What the owner saw.
    pub preview: Preview,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.preview).finish()
    }
}

/// What leaves for its recipients alone. Outside of the envelope stand its type, `sealed`, and how long it lives.
#[derive(Clone, PartialEq)]
pub struct SealedRelease {
    content: Vec<u8>,
    ttl_secs: u64,
    preview: Preview,
}

impl fmt::Debug for SealedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealedRelease").field(&self.preview).finish()
    }
}

impl SealedRelease {
    /// Returns the envelope.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Hands out the envelope, and what the owner saw.
    pub fn into_parts(self) -> (Vec<u8>, Preview) {
        (self.content, self.preview)
    }

    /// Returns the packet's type.
    pub const fn packet_type(&self) -> &'static str {
        SEALED_TYPE
    }

    /// Returns how long the packet lives, in seconds.
    pub const fn ttl_secs(&self) -> u64 {
        self.ttl_secs
    }

    /// Returns what the owner saw, with the readers.
    pub const fn preview(&self) -> &Preview {
        &self.preview
    }

    /// Returns SHA-256 of the envelope.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.content)
    }
}
