//! Seals content to one or many recipients, so that nobody else reads it.
//!
//! Every recipient has an X25519 key, certified by its Ed25519 identity ([`KeyCertificate`]) and replaced from time to
//! time ([`Keyring`], [`Directory`]). A random content key is sealed to each of them with HPKE (RFC 9180, base mode,
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305). The content follows in chunks of 64 KiB under keys
//! derived from it, by the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption
//! and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015, section 7): a counter and a last-chunk flag in the nonce, so
//! that a chunk that was changed, moved, dropped, added or taken from another envelope is found.
//!
//! What it does:
//! - Recipients are hidden from each other and from everyone else. A slot carries no id: whoever wants to open tries
//!   its secrets on each. Slots are shuffled, and filled up to a power of two with slots that nobody can open.
//! - Every recipient gets the same content. The header commits to the content key, since ChaCha20-Poly1305 does not
//!   (Albertini et al., "How to Abuse and Fix Authenticated Encryption Without Key Commitment", USENIX Security 2022).
//! - An envelope opens only under the [`Context`] it was sealed in: network, author of the packet, purpose. Lifted into
//!   the packet of another author it does not open.
//! - A file that is addressed is sealed as a [`Parcel`], so that its name and type are not outside.
//!
//! What it does not do:
//! - It does not say who sealed. Anyone can seal to anyone under any context; the packet's signature, which covers the
//!   envelope, names the author. Open only what came in a verified packet, with that packet's author as context.
//! - It does not hide how long the content is, nor to how many recipients it goes beyond the next power of two.
//! - It does not remember what it opened: `packet::ReplayGuard` refuses what an author repeats.
//! - It gives forward secrecy only through rotation: whoever takes a secret reads what was sealed to it.
//! - It does not withstand a quantum computer. `hpke` offers X-Wing (ML-KEM-768 with X25519), but the crates below it,
//!   `ml-kem` and `x-wing`, state that they were never audited, so it is left out. Another format would name it.
//!
//! # Envelope
//! | bytes | what |
//! |---|---|
//! | 14 | varint length and bytes of `chorus/seal/1` |
//! | 1 | n: there are 2ⁿ slots, n ≤ 6 |
//! | 80 · 2ⁿ | each slot: encapsulated key (32), content key under HPKE (32), its tag (16) |
//! | 32 | commitment |
//! | … | each chunk: up to 65,536 bytes of content, tag (16); all but the last are full, and the last is empty only where it is the only one |
//!
//! HPKE's `info` is the context: varint length and bytes of `chorus/seal/1`, the same of the network, the author's
//! peer id (38), varint length and bytes of the purpose; `aad` is empty. With PRK = HKDF-Extract(salt = SHA-256 over
//! `info` and everything before the commitment, content key), the commitment is HKDF-Expand(PRK,
//! `chorus/seal/1 commitment`, 32), and key (32) and nonce prefix (7) of the chunks are HKDF-Expand(PRK,
//! `chorus/seal/1 chunks`, 39). A nonce is the prefix, the chunk's number from 0 (4, big-endian), and 1 for the last
//! chunk or 0 (1).
//!
//! ```
//! use chorus_core::key::Keypair;
//! use chorus_core::seal::{Context, Keyring, SealSecret, open, seal};
//! use chorus_core::time::Timestamp;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let now = Timestamp::from_millis(1_795_233_600_000);
//! let mut rng = ChaCha20Rng::from_seed([1; 32]); // here for the example: take the system's generator
//! let (alice, bob) = (Keypair::from_seed(&[2; 32]), Keypair::from_seed(&[3; 32]));
//!
//! let mut keyring = Keyring::new();
//! let certificate = keyring.rotate(SealSecret::generate(&mut rng), &bob, "main", now)?;
//!
//! let context = Context { network: "main", author: alice.peer_id(), purpose: "note" };
//! let envelope = seal(b"for Bob", &[certificate.recipient(now)?], &context, &mut rng)?;
//! assert_eq!(open(&envelope, keyring.secrets(now), &context)?, b"for Bob");
//!
//! let mallory = Context { author: Keypair::from_seed(&[4; 32]).peer_id(), ..context };
//! assert!(open(&envelope, keyring.secrets(now), &mallory).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certificate;
#[cfg(test)]
mod certificate_tests;
mod error;
mod header;
mod key;
mod opener;
mod parcel;
#[cfg(test)]
mod recipient_tests;
mod rotation;
mod sealer;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;

use alloc::vec::Vec;

pub use self::certificate::{KeyCertificate, Recipient, UnverifiedCertificate, Validity};
pub use self::error::{SealError, SealKeyError};
pub use self::key::{SealKey, SealSecret};
pub use self::opener::{Opener, open};
pub use self::parcel::{Parcel, ParcelError};
pub use self::rotation::{Directory, Keyring};
pub use self::sealer::{Sealer, seal, sealed_len};

use crate::bounds::LimitError;
use crate::key::PeerId;
use crate::wire::Writer;

/// Recipients of one envelope. Guess: whoever is not addressed tries a key agreement per slot and secret, and 64 of them
/// cost 4 ms natively (`cargo xtask bench seal`, case `refuse`).
pub const MAX_RECIPIENTS: usize = 64;
/// Secrets that an envelope is tried with. Guess: twice what [`Keyring`] holds when it is rotated on time.
pub const MAX_SECRETS: usize = 8;
/// Bytes of content in every chunk but the last. Source: measured with the cipher alone on an x86-64 server, 64 KiB at a
/// time reach 97 % of its speed in one piece, 16 KiB 84 to 93 %.
pub const CHUNK: usize = 64 * 1024;
/// Bytes that every recipient adds to an envelope, before the count is rounded up to a power of two.
pub const SLOT: usize = 80;
/// Bytes of a network's name. Source: relay/src/config.rs, which allows 1 to 64.
pub const MAX_NETWORK: usize = 64;
/// Bytes of a purpose. Source: packet types, which it usually is, have at most as many.
pub const MAX_PURPOSE: usize = 64;

/// What an envelope is bound to. It opens under the same context alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    /// The network's name, at most [`MAX_NETWORK`] bytes.
    pub network: &'a str,
    /// Author of the packet that carries the envelope.
    pub author: PeerId,
    /// What the content is for, such as the packet's type: at most [`MAX_PURPOSE`] bytes.
    pub purpose: &'a str,
}

impl Context<'_> {
    /// Returns the context in bytes, as HPKE's `info`.
    ///
    /// # Errors
    /// [`LimitError`] where the network's name or the purpose is too long.
    fn info(&self) -> Result<Vec<u8>, LimitError> {
        LimitError::check_len("network name bytes", self.network.len(), MAX_NETWORK)?;
        LimitError::check_len("purpose bytes", self.purpose.len(), MAX_PURPOSE)?;
        let mut writer = Writer::with_capacity(MAX_NETWORK + MAX_PURPOSE + 64);
        writer
            .bytes(DOMAIN)
            .bytes(self.network.as_bytes())
            .put(&self.author.to_bytes())
            .bytes(self.purpose.as_bytes());
        Ok(writer.into_bytes())
    }
}

/// Names format and version in every envelope and every derivation.
const DOMAIN: &[u8] = b"chorus/seal/1";
/// Bytes of a Poly1305 tag.
const TAG: usize = 16;
