//! Certificates: an Ed25519 identity says which X25519 key to seal to, on which network and how long.
//!
//! # Form
//! Varint length and bytes of `chorus/seal-key/1`, the same of the network's name, the peer id (38), the X25519 key
//! (32), epoch, start and end of validity (8 each, the times in milliseconds since 1970), and the identity's signature
//! (64) over everything before it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::MAX_NETWORK;
use super::error::SealKeyError;
use super::key::SealKey;
use crate::bounds::LimitError;
use crate::key::{Keypair, PeerId, Signature};
use crate::time::Timestamp;
use crate::wire::{Reader, Writer};

/// How long a key is to be used, and which of several keys is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Grows with every new key of the same identity.
    pub epoch: u64,
    /// First moment at which content may be sealed to the key.
    pub from: Timestamp,
    /// First moment at which it may not any more.
    pub until: Timestamp,
}

impl Validity {
    /// The longest validity: 90 days. Guess: a lost secret should not stay of use for longer than a season.
    pub const MAX: Duration = Duration::from_secs(90 * 86_400);
    /// Time that another peer's clock may be ahead of ours. Source: `packet::MAX_CLOCK_SKEW`.
    pub const MAX_SKEW: Duration = Duration::from_secs(120);

    fn check(&self) -> Result<(), SealKeyError> {
        if self.from < self.until && self.until <= self.from.saturating_add(Self::MAX) {
            return Ok(());
        }
        Err(SealKeyError::Interval {
            from: self.from,
            until: self.until,
            max_secs: Self::MAX.as_secs(),
        })
    }

    fn check_at(&self, identity: PeerId, now: Timestamp) -> Result<(), SealKeyError> {
        let Self { from, until, .. } = *self;
        if now.saturating_add(Self::MAX_SKEW) < from {
            return Err(SealKeyError::NotYet {
                identity,
                from,
                now,
            });
        }
        if until <= now {
            return Err(SealKeyError::Expired {
                identity,
                until,
                now,
            });
        }
        Ok(())
    }
}

/// A certificate that is well formed, and nothing more: anyone may have written it.
#[derive(Clone, Debug)]
pub struct UnverifiedCertificate {
    network: String,
    signature: Signature,
    certificate: KeyCertificate,
}

impl UnverifiedCertificate {
    /// Reads the binary form, at most [`KeyCertificate::MAX_LEN`] bytes.
    ///
    /// # Errors
    /// [`SealKeyError`]: cut, too long, another version, no usable key, or an interval that no certificate may have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealKeyError> {
        LimitError::check_len(
            "key certificate bytes",
            bytes.len(),
            KeyCertificate::MAX_LEN,
        )?;
        let mut reader = Reader::new(bytes);
        let domain = reader.bytes("key certificate domain bytes", DOMAIN.len())?;
        if domain != DOMAIN {
            return Err(SealKeyError::Format {
                got: format!("{}", domain.escape_ascii()),
            });
        }
        let network = reader.bytes("network name bytes", MAX_NETWORK)?;
        let network = String::from_utf8_lossy(network).into_owned();
        let identity = PeerId::from_bytes(reader.take(PeerId::LEN)?)?;
        let key = SealKey::from_bytes(&reader.array()?)?;
        let validity = Validity {
            epoch: reader.u64()?,
            from: timestamp(reader.u64()?)?,
            until: timestamp(reader.u64()?)?,
        };
        let signature = Signature::from_bytes(reader.array()?);
        reader.finish()?;
        validity.check()?;
        Ok(Self {
            network,
            signature,
            certificate: KeyCertificate {
                identity,
                key,
                validity,
                bytes: bytes.to_owned(),
            },
        })
    }

    /// Checks that the identity signed it, for `network`, and that it is valid at `now`.
    ///
    /// # Errors
    /// [`SealKeyError::Network`], [`SealKeyError::NotYet`], [`SealKeyError::Expired`], [`SealKeyError::Identity`].
    pub fn verify(self, network: &str, now: Timestamp) -> Result<KeyCertificate, SealKeyError> {
        if self.network != network {
            return Err(SealKeyError::Network {
                expected: network.to_owned(),
                got: self.network,
            });
        }
        let KeyCertificate {
            identity,
            validity,
            bytes,
            ..
        } = &self.certificate;
        validity.check_at(*identity, now)?;
        let signed = bytes.len().saturating_sub(SIGNATURE);
        let signed = bytes.get(..signed).unwrap_or_default();
        identity.public_key()?.verify(signed, &self.signature)?;
        Ok(self.certificate)
    }
}

/// What an identity signed: the key to seal to, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCertificate {
    identity: PeerId,
    key: SealKey,
    validity: Validity,
    bytes: Vec<u8>,
}

impl KeyCertificate {
    /// Bytes of the longest certificate.
    pub const MAX_LEN: usize =
        1 + DOMAIN.len() + 1 + MAX_NETWORK + PeerId::LEN + 32 + 3 * 8 + SIGNATURE;

    /// Signs that content for `identity` is to be sealed to `key` while it is valid on `network`.
    ///
    /// # Errors
    /// [`SealKeyError::Limit`] for the network's name, [`SealKeyError::Interval`].
    pub fn issue(
        identity: &Keypair,
        network: &str,
        key: SealKey,
        validity: Validity,
    ) -> Result<Self, SealKeyError> {
        LimitError::check_len("network name bytes", network.len(), MAX_NETWORK)?;
        validity.check()?;
        let mut writer = Writer::with_capacity(Self::MAX_LEN);
        writer
            .bytes(DOMAIN)
            .bytes(network.as_bytes())
            .put(&identity.peer_id().to_bytes())
            .put(key.as_bytes())
            .u64(validity.epoch)
            .u64(validity.from.as_millis())
            .u64(validity.until.as_millis());
        let mut bytes = writer.into_bytes();
        let signature = identity.sign(&bytes);
        bytes.extend_from_slice(signature.as_bytes());
        Ok(Self {
            identity: identity.peer_id(),
            key,
            validity,
            bytes,
        })
    }

    /// Returns the binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whose key it is.
    pub const fn identity(&self) -> PeerId {
        self.identity
    }

    /// Returns the key.
    pub const fn key(&self) -> SealKey {
        self.key
    }

    /// Returns how long the key is to be used.
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns the recipient that content may be sealed to at `now`.
    ///
    /// # Errors
    /// [`SealKeyError::NotYet`], [`SealKeyError::Expired`].
    pub fn recipient(&self, now: Timestamp) -> Result<Recipient, SealKeyError> {
        self.validity.check_at(self.identity, now)?;
        Ok(Recipient {
            key: self.key,
            identity: self.identity,
        })
    }
}

/// A certified key that was valid when it was looked up. Only [`KeyCertificate::recipient`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient {
    pub(super) key: SealKey,
    pub(super) identity: PeerId,
}

impl Recipient {
    /// Returns who reads what is sealed to it.
    pub const fn identity(&self) -> PeerId {
        self.identity
    }
}

/// Reads a time, which must be one that exists: what is clamped would not be what was signed.
fn timestamp(millis: u64) -> Result<Timestamp, LimitError> {
    let max = Timestamp::MAX.as_millis();
    LimitError::check(
        "timestamp of a key certificate, in milliseconds",
        millis,
        max,
    )?;
    Ok(Timestamp::from_millis(millis))
}

/// Separates these signatures from all others of the same identity.
const DOMAIN: &[u8] = b"chorus/seal-key/1";
/// Bytes of an Ed25519 signature.
const SIGNATURE: usize = 64;
