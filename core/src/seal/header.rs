//! The header of an envelope: the content key, sealed to each recipient, and the commitment to it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use hkdf::Hkdf;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{Infallible, TryCryptoRng, TryRng};
use hpke::{
    Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _, setup_receiver,
    setup_sender_with_rng,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::certificate::Recipient;
use super::error::SealError;
use super::key::{SealKey, SealSecret};
use super::stream::Stream;
use super::{DOMAIN, MAX_RECIPIENTS, SLOT, TAG};
use crate::bounds::LimitError;
use crate::digest::Hasher;
use crate::wire::{Reader, Writer};

/// Bytes before the slots: domain with its length, and the number of slots.
pub(super) const START: usize = 1 + DOMAIN.len() + 1;
/// Bytes of the longest header.
pub(super) const MAX_HEADER: usize = START + MAX_RECIPIENTS * SLOT + COMMITMENT;

/// Writes a header for `recipients` and returns it with the stream of chunks that follows.
///
/// # Errors
/// [`SealError::NoRecipient`], [`SealError::Limit`] for more than [`MAX_RECIPIENTS`].
pub(super) fn write(
    recipients: &[Recipient],
    info: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, Stream), SealError> {
    let keys: BTreeSet<SealKey> = recipients.iter().map(|recipient| recipient.key).collect();
    LimitError::check_len("recipients", keys.len(), MAX_RECIPIENTS)?;
    if keys.is_empty() {
        return Err(SealError::NoRecipient);
    }
    let slots = keys.len().next_power_of_two();
    let mut keys: Vec<Option<SealKey>> = keys.into_iter().map(Some).collect();
    keys.resize(slots, None);
    shuffle(&mut keys, rng);

    let mut content_key = Zeroizing::new([0; KEY]);
    rng.fill_bytes(&mut *content_key);
    let mut writer = Writer::with_capacity(header_len(slots));
    writer
        .bytes(DOMAIN)
        .u8(slots.trailing_zeros().to_le_bytes()[0]);
    for key in keys {
        // A slot without a recipient holds nothing, under a key whose secret is dropped at once.
        let slot = match key {
            Some(key) => wrap(&key, info, &content_key, rng)?,
            None => wrap(&SealSecret::generate(rng).public(), info, &[0; KEY], rng)?,
        };
        writer.put(&slot);
    }
    let mut header = writer.into_bytes();
    let (commitment, stream) = derive(&content_key, info, &header)?;
    header.extend_from_slice(&commitment);
    Ok((header, stream))
}

/// Returns the length of the header that starts with `start`.
///
/// # Errors
/// [`SealError::Format`], [`SealError::Limit`].
pub(super) fn read_len(start: &[u8; START]) -> Result<usize, SealError> {
    let mut reader = Reader::new(start);
    if reader.bytes("envelope domain bytes", DOMAIN.len()) != Ok(DOMAIN) {
        let shown = start.get(..START - 1).unwrap_or_default();
        return Err(SealError::Format {
            got: format!("{}", shown.escape_ascii()),
        });
    }
    let exponent = reader.u8()?;
    let max = MAX_RECIPIENTS.trailing_zeros();
    LimitError::check(
        "binary logarithm of an envelope's slots",
        exponent.into(),
        max.into(),
    )?;
    Ok(header_len(1 << exponent))
}

/// Finds the content key in a whole header and returns the stream of chunks that follows.
///
/// Costs a key agreement per slot and secret, until one opens.
///
/// # Errors
/// [`SealError::NotAddressed`], [`SealError::Commitment`].
pub(super) fn open(
    header: &[u8],
    secrets: &[SealSecret],
    info: &[u8],
) -> Result<Stream, SealError> {
    let mut reader = Reader::new(header);
    reader.take(START)?;
    let slots = reader.remaining().saturating_sub(COMMITMENT);
    let (slots, _) = reader.take(slots)?.as_chunks::<SLOT>();
    let commitment: [u8; COMMITMENT] = reader.array()?;

    let pairs = secrets
        .iter()
        .flat_map(|secret| slots.iter().map(move |slot| (secret, slot)));
    let mut content_keys = pairs.filter_map(|(secret, slot)| unwrap(secret, info, slot));
    let content_key = content_keys.next().ok_or(SealError::NotAddressed {
        slots: slots.len(),
        secrets: secrets.len(),
    })?;
    let committed = header.get(..header.len() - COMMITMENT).unwrap_or_default();
    let (expected, stream) = derive(&content_key, info, committed)?;
    // Public on both sides, so no comparison in constant time.
    if expected != commitment {
        return Err(SealError::Commitment);
    }
    Ok(stream)
}

/// Returns the bytes of a header with `slots` slots.
pub(super) const fn header_len(slots: usize) -> usize {
    START + slots * SLOT + COMMITMENT
}

/// Seals `content_key` to `key`.
pub(super) fn wrap(
    key: &SealKey,
    info: &[u8],
    content_key: &[u8; KEY],
    rng: &mut impl CryptoRng,
) -> Result<[u8; SLOT], SealError> {
    let refused = || SealError::Recipient { key: *key };
    let public = key.to_hpke().ok_or_else(refused)?;
    let (encapsulated, mut context) = setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &public, info, &mut Generator(rng))
    .map_err(|_| refused())?;

    let mut slot = [0; SLOT];
    let (enc, sealed) = slot.split_at_mut(ENC);
    let (sealed, tag) = sealed.split_at_mut(KEY);
    enc.copy_from_slice(&encapsulated.to_bytes());
    sealed.copy_from_slice(content_key);
    let sealed_tag = context
        .seal_inout_detached(InOutBuf::from(sealed), &[])
        .map_err(|_| refused())?;
    tag.copy_from_slice(&sealed_tag.to_bytes());
    Ok(slot)
}

/// Opens a slot, or returns `None` where it is not for `secret` in this context.
fn unwrap(secret: &SealSecret, info: &[u8], slot: &[u8; SLOT]) -> Option<Zeroizing<[u8; KEY]>> {
    let (enc, sealed) = slot.split_at(ENC);
    let (sealed, tag) = sealed.split_at(KEY);
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).ok()?;
    let tag = AeadTag::from_bytes(tag).ok()?;
    // Refuses an encapsulated key of low order: RFC 9180, section 7.1.4.
    let mut context = setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        secret.as_hpke(),
        &encapsulated,
        info,
    )
    .ok()?;
    let mut content_key = Zeroizing::new([0; KEY]);
    content_key.copy_from_slice(sealed);
    context
        .open_inout_detached(InOutBuf::from(&mut content_key[..]), &[], &tag)
        .ok()?;
    Some(content_key)
}

/// Derives the commitment and the stream from the content key, bound to the context and the header before it.
pub(super) fn derive(
    content_key: &[u8; KEY],
    info: &[u8],
    header: &[u8],
) -> Result<([u8; COMMITMENT], Stream), LimitError> {
    let salt = Hasher::default().update(info).update(header).finish();
    let prk = Hkdf::<sha2::Sha256>::new(Some(salt.as_bytes()), content_key);
    let mut commitment = [0; COMMITMENT];
    let mut chunks = Zeroizing::new([0; Stream::KEY]);
    prk.expand_multi_info(&[DOMAIN, b" commitment"], &mut commitment)
        .map_err(|_| too_long(COMMITMENT))?;
    prk.expand_multi_info(&[DOMAIN, b" chunks"], &mut *chunks)
        .map_err(|_| too_long(Stream::KEY))?;
    Ok((commitment, Stream::new(&chunks)))
}

/// Returns HKDF's one error (RFC 5869, section 2.3). The lengths here are far below the bound.
const fn too_long(len: usize) -> LimitError {
    LimitError {
        what: "bytes derived with HKDF-SHA256",
        got: len as u64,
        max: 255 * 32,
    }
}

/// Puts `items` in random order (Fisher–Yates; Knuth, TAOCP 2, algorithm 3.4.2 P). Its bias is below 2⁻⁵⁷.
fn shuffle<T>(items: &mut [T], rng: &mut impl CryptoRng) {
    for at in (1..items.len()).rev() {
        let other = rng.next_u64() % (at as u64 + 1);
        items.swap(at, usize::try_from(other).unwrap_or(at));
    }
}

/// A generator of rand_core 0.9, which this crate speaks, as one of 0.10, which hpke does.
pub(super) struct Generator<'a, R>(pub(super) &'a mut R);

impl<R: CryptoRng> TryRng for Generator<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl<R: CryptoRng> TryCryptoRng for Generator<'_, R> {}

/// Bytes of a content key.
const KEY: usize = 32;
/// Bytes of an encapsulated key.
const ENC: usize = SLOT - KEY - TAG;
/// Bytes of the commitment: as hard to collide as SHA-256.
const COMMITMENT: usize = 32;
