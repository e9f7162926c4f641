//! Ed25519 identities (RFC 8032) and the libp2p peer ids made of them (libp2p specs, peer-ids/peer-ids.md).
//!
//! Knows no other key type, and makes no keys: the caller brings 32 random bytes.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::digest::{read_hex, write_hex};

/// A secret key with its public half. Erased from memory on drop; never printed.
#[derive(Clone)]
pub struct Keypair(SigningKey);

impl Keypair {
    /// Derives the pair from its 32-byte seed (RFC 8032, section 5.1.5), which must come from a secure generator.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the seed, to be stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Returns the peer id of the public half.
    pub fn peer_id(&self) -> PeerId {
        self.public().peer_id()
    }

    /// Signs `message`. The same message gives the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({}, secret)", self.peer_id().short())
    }
}

/// A public key: a point of full order on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Point`] where the bytes are no point on the curve, or one of small order, under which a signature
    /// says nothing.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        verifying_key(bytes).map(|_| Self(*bytes))
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the peer id that contains this key.
    pub const fn peer_id(&self) -> PeerId {
        PeerId(self.0)
    }

    /// Checks that `signature` over `message` was made with the secret half. Strict: no malleable signatures.
    ///
    /// # Errors
    /// [`KeyError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let refused = |_| KeyError::Signature {
            signer: self.peer_id(),
        };
        verifying_key(&self.0)?
            .verify_strict(message, &signature)
            .map_err(refused)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.peer_id().short())
    }
}

/// A libp2p peer id that contains its Ed25519 public key, `12D3KooW…` in text, so that the key is recovered from the id.
///
/// Peers with other key types have no such id here. Serde writes the text in every format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Length of the binary form in bytes.
    pub const LEN: usize = 38;
    /// Length of the text form in bytes.
    pub const TEXT_LEN: usize = 52;

    /// Returns the binary form: the identity multihash of the protobuf-encoded public key.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..6].copy_from_slice(&PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// Reads the binary form. Does not check that the key is a point on the curve: [`PeerId::public_key`] does.
    ///
    /// # Errors
    /// [`KeyError::PeerId`] unless `bytes` has 38 bytes and the prefix of Ed25519 ids.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = bytes
            .strip_prefix(&PREFIX)
            .and_then(|key| key.try_into().ok());
        key.map(Self).ok_or_else(|| KeyError::PeerId {
            got: alloc::format!("{} bytes", bytes.len()),
        })
    }

    /// Returns the key that the id contains.
    ///
    /// # Errors
    /// [`KeyError::Point`] as in [`PublicKey::from_bytes`].
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(&self.0)
    }

    /// Returns the last eight characters of the text, for logs and pages. The first eight are the same for all.
    pub fn short(&self) -> String {
        let text = bs58::encode(self.to_bytes()).into_string();
        text.get(Self::TEXT_LEN - 8..).unwrap_or_default().into()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.to_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads base58btc, `12D3KooW…`.
impl FromStr for PeerId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refused = || KeyError::PeerId {
            got: text.chars().take(60).collect(),
        };
        // Base58 costs O(n²): look at the length first.
        if text.len() != Self::TEXT_LEN {
            return Err(refused());
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| refused())?;
        Self::from_bytes(&bytes).map_err(|_| refused())
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 signature. Written as 128 lower-case hexadecimal digits.
///
/// Serde writes that text in human-readable formats and 64 bytes in binary ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps the 64 bytes `R ‖ S`. Whether they verify is another question.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Returns the 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            serde::de::Error::custom(
                "signature must be 64 bytes, in text 128 lower-case hexadecimal digits",
            )
        };
        if deserializer.is_human_readable() {
            return read_hex(&String::deserialize(deserializer)?)
                .map(Self)
                .ok_or_else(wrong);
        }
        <&[u8]>::deserialize(deserializer)?
            .try_into()
            .map(Self)
            .map_err(|_| wrong())
    }
}

/// Why a key, an id or a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no usable public key.
    #[error("{peer_id} contains no Ed25519 key of full order")]
    Point {
        /// The id with those bytes.
        peer_id: PeerId,
    },
    /// Not the peer id of an Ed25519 key.
    #[error("peer id must be that of an Ed25519 key, 12D3KooW…, got {got}")]
    PeerId {
        /// The text, shortened, or the length.
        got: String,
    },
    /// The signature is not the signer's over this message.
    #[error("signature is not {signer}'s over this message")]
    Signature {
        /// Who is said to have signed.
        signer: PeerId,
    },
}

fn verifying_key(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    let refused = KeyError::Point {
        peer_id: PeerId(*bytes),
    };
    match VerifyingKey::from_bytes(bytes) {
        Ok(key) if !key.is_weak() => Ok(key),
        _ => Err(refused),
    }
}

/// Identity multihash (00) of 36 bytes (24): protobuf `KeyType` = Ed25519 (08 01), `Data` of 32 bytes (12 20).
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// RFC 8032, section 7.1, TEST 2.
    fn rfc8032_test_2() -> Keypair {
        Keypair::from_seed(
            &read_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap(),
        )
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let key = rfc8032_test_2();
        let public: [u8; 32] =
            read_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        assert_eq!(key.public().as_bytes(), &public);
        let signature = key.sign(&[0x72]);
        assert_eq!(
            signature.to_string(),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(key.public().verify(&[0x72], &signature), Ok(()));
        assert_eq!(
            key.public().verify(&[0x73], &signature),
            Err(KeyError::Signature {
                signer: key.peer_id()
            })
        );
    }

    /// The keys are libp2p specs, peer-ids/peer-ids.md, "Test vectors"; the id is what go-libp2p's tests expect of them.
    #[test]
    fn the_peer_id_is_the_one_libp2p_derives() {
        let public = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
        let public = PublicKey::from_bytes(&read_hex(public).unwrap()).unwrap();
        let secret = "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d";
        assert_eq!(
            Keypair::from_seed(&read_hex(secret).unwrap()).public(),
            public
        );
        let id = public.peer_id();
        assert_eq!(
            id.to_string(),
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
        );
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(PeerId::from_bytes(&id.to_bytes()), Ok(id));
        assert_eq!(id.public_key(), Ok(public));
        assert_eq!(id.short(), "qUmo7R3pq"[1..]);
    }

    #[test]
    fn ids_of_other_key_types_and_broken_ids_are_refused() {
        for text in [
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            "16Uiu2HAm3mZ3pRr4nXWZrKDwcCgU6RrEwYhZaQGvDHqBnVfSvbDP",
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p",
            "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0",
            "",
        ] {
            assert!(
                matches!(text.parse::<PeerId>(), Err(KeyError::PeerId { .. })),
                "{text}"
            );
        }
        assert!(PeerId::from_bytes(&[0; 38]).is_err());
        assert!(PeerId::from_bytes(&rfc8032_test_2().peer_id().to_bytes()[..37]).is_err());
    }

    #[test]
    fn keys_of_small_order_and_bytes_off_the_curve_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        for bytes in [identity, [0; 32], off_curve] {
            assert!(
                matches!(PublicKey::from_bytes(&bytes), Err(KeyError::Point { .. })),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_secret_key_is_never_printed() {
        let key = rfc8032_test_2();
        let printed = alloc::format!("{key:?}");
        assert_eq!(
            printed,
            alloc::format!("Keypair({}, secret)", key.peer_id().short())
        );
        assert_eq!(*Keypair::from_seed(&key.seed()).seed(), *key.seed());
    }
}
