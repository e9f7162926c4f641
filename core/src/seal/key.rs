//! X25519 keys that content is sealed to (RFC 7748, section 5; RFC 9180, section 7.1).

use alloc::format;
use core::fmt;

use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, Serializable as _};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::SealKeyError;
use crate::digest::write_hex;

/// A public key that content can be sealed to: a point that is not of low order, in its one encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealKey(pub(super) [u8; 32]);

impl SealKey {
    /// Reads the 32 bytes of a u-coordinate, little-endian.
    ///
    /// # Errors
    /// [`SealKeyError::Point`] where they are of low order, so that every agreement with them gives zero, or not below
    /// the prime 2²⁵⁵ − 19, so that the same point has another encoding.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SealKeyError> {
        // The clamped scalar is a multiple of the cofactor: it takes exactly the points of low order to zero.
        let is_low_order = x25519_dalek::x25519([0; 32], *bytes) == [0; 32];
        if is_low_order || !is_canonical(bytes) {
            return Err(SealKeyError::Point {
                got: format!("{}", Self(*bytes)),
            });
        }
        Ok(Self(*bytes))
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key for HPKE; `None` cannot happen, since any 32 bytes are read.
    pub(super) fn to_hpke(self) -> Option<<X25519HkdfSha256 as hpke::Kem>::PublicKey> {
        <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&self.0).ok()
    }
}

/// Writes 64 lower-case hexadecimal digits.
impl fmt::Display for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({self})")
    }
}

/// A secret key with its public half. Erased from memory on drop; never printed.
#[derive(Clone)]
pub struct SealSecret {
    seed: Zeroizing<[u8; 32]>,
    secret: <X25519HkdfSha256 as hpke::Kem>::PrivateKey,
    public: SealKey,
}

impl SealSecret {
    /// Draws a new secret from `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// Derives the pair from its seed (RFC 9180, section 7.1.3, `DeriveKeyPair`), which must come from a secure
    /// generator.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (secret, public) = X25519HkdfSha256::derive_keypair(seed);
        Self {
            seed: Zeroizing::new(*seed),
            secret,
            public: SealKey(public.to_bytes().into()),
        }
    }

    /// Returns the seed, to be stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// Returns the public half.
    pub const fn public(&self) -> SealKey {
        self.public
    }

    pub(super) const fn as_hpke(&self) -> &<X25519HkdfSha256 as hpke::Kem>::PrivateKey {
        &self.secret
    }
}

impl fmt::Debug for SealSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealSecret({}, secret)", self.public)
    }
}

/// Tells whether `bytes` are a number below 2²⁵⁵ − 19, little-endian.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    const PRIME: [u8; 32] = {
        let mut prime = [0xff; 32];
        prime[0] = 0xed;
        prime[31] = 0x7f;
        prime
    };
    bytes.iter().rev().lt(PRIME.iter().rev())
}
