//! Sealed delivery: which packets carry keys and envelopes, and what they mean.
//!
//! A peer publishes its certificate in a packet of type `seal-key`, its only content. A file for it travels in a packet
//! of type `sealed`, whose content is an envelope around a parcel: neither the file's name nor its type nor its metrics are
//! outside.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::key::{Keypair, PeerId};
use crate::packet::{MAX_TTL_SECS, Packet, Payload};
use crate::seal::{
    Context, KeyCertificate, Keyring, Parcel, ParcelError, Recipient, SealError, SealKeyError,
    SealSecret, UnverifiedCertificate, Validity, open, seal,
};
use crate::time::Timestamp;

/// The type of packets that carry a key certificate.
pub const KEY_TYPE: &str = "seal-key";
/// The type of packets that carry an envelope; also what envelopes are for ([`Context::purpose`]).
pub const SEALED_TYPE: &str = "sealed";

/// Why a packet of type `seal-key` gives no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyPacketError {
    /// The certificate is not inside the packet.
    #[error("a {KEY_TYPE} packet must carry its certificate itself, {cid} links to it", cid = .0.cid())]
    Linked(Packet),
    /// The certificate is refused.
    #[error(transparent)]
    Certificate(#[from] SealKeyError),
    /// The packet and the certificate are of two identities.
    #[error("key certificate of {identity} in a packet by {author}")]
    Author {
        /// Whose key.
        identity: PeerId,
        /// Who signed the packet.
        author: PeerId,
    },
}

/// Why a sealed file is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The envelope is not for these keys, or changed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Something else than a parcel was sealed.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
}

/// Makes a new key where one is due, forgets those that open nothing any more, and returns the certificate of the newest
/// for `network`, and whether the keyring changed and must be stored before the certificate is published.
///
/// What a clock that is ahead for a while may cost is said at [`Keyring::forget_expired`].
///
/// # Errors
/// [`SealKeyError::Limit`] where too many keys are still of use.
pub fn renew(
    keyring: &mut Keyring,
    (identity, network): (&Keypair, &str),
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<(KeyCertificate, bool), SealKeyError> {
    let has_forgotten = keyring.forget_expired(now) > 0;
    if !keyring.is_due(now)
        && let Some((secret, validity)) = keyring.newest(now)
        // Otherwise it was made while the clock was ahead: nobody would seal to it yet.
        && validity.from <= now.saturating_add(Validity::MAX_SKEW)
    {
        let certificate = KeyCertificate::issue(identity, network, secret.public(), *validity)?;
        return Ok((certificate, has_forgotten));
    }
    let certificate = keyring.rotate(SealSecret::generate(rng), identity, network, now)?;
    Ok((certificate, true))
}

/// How a packet with a certificate is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOptions {
    /// The packet's type.
    pub packet_type: &'static str,
    /// How long it lives, in seconds.
    pub ttl_secs: u64,
}

/// Returns how a certificate is published: as long as it is valid.
pub fn key_options(certificate: &KeyCertificate, now: Timestamp) -> KeyOptions {
    let left = certificate.validity().until.saturating_duration_since(now);
    KeyOptions {
        packet_type: KEY_TYPE,
        ttl_secs: left.as_secs().clamp(1, MAX_TTL_SECS),
    }
}

/// Whether `packet` publishes `certificate`.
pub fn publishes(packet: &Packet, certificate: &KeyCertificate) -> bool {
    packet.packet_type() == KEY_TYPE
        && packet.author() == certificate.identity()
        && matches!(packet.payload(), Payload::Inline(bytes) if bytes == certificate.as_bytes())
}

/// The certificate that `packet` carries, verified.
///
/// # Errors
/// [`KeyPacketError`].
pub fn certificate_of(
    packet: &Packet,
    network: &str,
    now: Timestamp,
) -> Result<KeyCertificate, KeyPacketError> {
    let Payload::Inline(bytes) = packet.payload() else {
        return Err(KeyPacketError::Linked(packet.clone()));
    };
    let certificate = UnverifiedCertificate::from_bytes(bytes)?.verify(network, now)?;
    let (identity, author) = (certificate.identity(), packet.author());
    if identity != author {
        return Err(KeyPacketError::Author { identity, author });
    }
    Ok(certificate)
}

/// Seals a parcel of `author` on `network`.
///
/// # Errors
/// Its name, type or metrics are out of bounds, or there are too many recipients.
pub fn seal_parcel(
    parcel: &Parcel,
    recipients: &[Recipient],
    (network, author): (&str, PeerId),
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, OpenError> {
    let content = Zeroizing::new(parcel.to_bytes()?);
    Ok(seal(&content, recipients, &context(network, author), rng)?)
}

/// Opens what `author`, who signed the packet, sealed on `network`.
///
/// # Errors
/// [`OpenError`].
pub fn open_parcel(
    envelope: &[u8],
    keyring: &Keyring,
    (network, author): (&str, PeerId),
    now: Timestamp,
) -> Result<Parcel, OpenError> {
    let content = open(envelope, keyring.secrets(now), &context(network, author))?;
    Ok(Parcel::from_bytes(&Zeroizing::new(content))?)
}

fn context(network: &str, author: PeerId) -> Context<'_> {
    Context {
        network,
        author,
        purpose: SEALED_TYPE,
    }
}

#[cfg(test)]
mod tests;
