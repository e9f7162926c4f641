//! SHA-256 digests and the content identifiers made of them (CIDv1, multiformats). Knows two codecs and one hash.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A SHA-256 digest (FIPS 180-4). Written as 64 lower-case hexadecimal digits.
///
/// Serde writes that text in human-readable formats and 32 bytes in binary ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps a digest computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Hashes `content`.
    pub fn sha256(content: &[u8]) -> Self {
        Self(sha2::Sha256::digest(content).into())
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        read_hex(text).map(Self).ok_or_else(|| DigestError::Hex {
            text: shorten(text),
        })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom);
        }
        let bytes = <&[u8]>::deserialize(deserializer)?;
        let bytes = bytes
            .try_into()
            .map_err(|_| serde::de::Error::custom("digest must be 32 bytes"))?;
        Ok(Self(bytes))
    }
}

/// Hashes content that arrives in pieces. `Hasher::default().update(a).update(b).finish()`.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Appends `bytes` to the content.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Returns the digest of everything appended so far.
    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// How the bytes behind a [`ContentId`] are to be read (multicodec table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Plain bytes, `0x55`.
    Raw,
    /// DAG-CBOR, `0x71`.
    DagCbor,
}

impl Codec {
    /// Returns the multicodec code, which is below 0x80 and so one byte as a varint.
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0x55,
            Self::DagCbor => 0x71,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x55 => Some(Self::Raw),
            0x71 => Some(Self::DagCbor),
            _ => None,
        }
    }
}

/// The name of a block: CIDv1 with a SHA-256 multihash. Written in base32, `bafyrei…` or `bafkrei…`, 59 characters.
///
/// Serde writes that text in human-readable formats and a link (tag 42) in DAG-CBOR.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId {
    codec: Codec,
    digest: Digest,
}

impl ContentId {
    /// Length of the binary form in bytes.
    pub const LEN: usize = 36;
    /// Length of the text form in bytes.
    pub const TEXT_LEN: usize = 59;

    /// Names the block whose digest is known.
    pub const fn new(codec: Codec, digest: Digest) -> Self {
        Self { codec, digest }
    }

    /// Names the block `bytes`. O(n).
    pub fn of(codec: Codec, bytes: &[u8]) -> Self {
        Self::new(codec, Digest::sha256(bytes))
    }

    /// Tells whether this is the name of `bytes`. O(n).
    pub fn verify(&self, bytes: &[u8]) -> bool {
        Digest::sha256(bytes) == self.digest
    }

    /// Returns how the block is to be read.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Returns the digest of the block.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the binary form: `01`, codec, `12 20`, digest.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&[VERSION, self.codec.code(), SHA2_256, 32]);
        bytes[4..].copy_from_slice(&self.digest.0);
        bytes
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DigestError::ContentId`] unless `bytes` is a CIDv1 of 36 bytes with a known codec and SHA-256.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        if let [VERSION, code, SHA2_256, 32, digest @ ..] = bytes
            && let (Some(codec), Ok(digest)) = (Codec::from_code(*code), digest.try_into())
        {
            return Ok(Self::new(codec, Digest(digest)));
        }
        let start = bytes.get(..8).unwrap_or(bytes);
        Err(DigestError::ContentId {
            got: alloc::format!("{} bytes {start:02x?}", bytes.len()),
        })
    }

    fn to_cid(self) -> Option<cid::Cid> {
        cid::Cid::try_from(&self.to_bytes()[..]).ok()
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_cid() {
            Some(cid) => f.pad(&cid.to_string()),
            None => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads base32, the one spelling that is written.
impl FromStr for ContentId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refused = || DigestError::ContentId { got: shorten(text) };
        if text.len() != Self::TEXT_LEN || !text.starts_with('b') {
            return Err(refused());
        }
        let cid = cid::Cid::try_from(text).map_err(|_| refused())?;
        let id = Self::from_bytes(&cid.to_bytes()).map_err(|_| refused())?;
        if id.to_string() != text {
            return Err(refused());
        }
        Ok(id)
    }
}

impl Serialize for ContentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        self.to_cid()
            .ok_or_else(|| serde::ser::Error::custom("content id"))?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom);
        }
        let cid = cid::Cid::deserialize(deserializer)?;
        Self::from_bytes(&cid.to_bytes()).map_err(serde::de::Error::custom)
    }
}

/// Why a text or bytes name no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// Not a digest.
    #[error("digest must be 64 lower-case hexadecimal digits, got {text:?}")]
    Hex {
        /// The text, shortened.
        text: String,
    },
    /// Not a content id.
    #[error("content id must be CIDv1 in base32, raw or dag-cbor, sha2-256, got {got}")]
    ContentId {
        /// The text or the first bytes.
        got: String,
    },
}

/// Writes lower-case hexadecimal digits.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `2 * N` lower-case hexadecimal digits.
pub(crate) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(70).collect()
}

const VERSION: u8 = 1;
const SHA2_256: u8 = 0x12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_one_in_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::sha256(b"abc").to_string(), abc);
        assert_eq!(
            Hasher::default().update(b"a").update(b"bc").finish(),
            Digest::sha256(b"abc")
        );
        assert_eq!(abc.parse(), Ok(Digest::sha256(b"abc")));
    }

    #[test]
    fn a_digest_in_capitals_or_of_another_length_is_refused() {
        let hex = Digest::sha256(b"abc").to_string();
        for text in [
            hex.to_uppercase(),
            hex[1..].to_string(),
            hex[2..].to_string(),
            "é".repeat(32),
            String::new(),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    /// Both are stated by other implementations' tests ("hello world" as a raw leaf, the empty dag-cbor map) and were
    /// recomputed with Python's hashlib and base64.
    #[test]
    fn content_ids_are_those_of_ipfs() {
        let hello = ContentId::of(Codec::Raw, b"hello world");
        assert_eq!(
            hello.to_string(),
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        );
        let map = ContentId::of(Codec::DagCbor, &[0xa0]);
        assert_eq!(
            map.to_string(),
            "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
        );
    }

    #[test]
    fn a_content_id_survives_text_bytes_and_dag_cbor() {
        for codec in [Codec::Raw, Codec::DagCbor] {
            let id = ContentId::of(codec, b"x");
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(ContentId::from_bytes(&id.to_bytes()), Ok(id));
            let cbor = serde_ipld_dagcbor::to_vec(&id).unwrap();
            assert_eq!(cbor[..5], [0xd8, 0x2a, 0x58, 37, 0]);
            assert_eq!(
                serde_ipld_dagcbor::from_slice::<ContentId>(&cbor).unwrap(),
                id
            );
            assert!(id.verify(b"x") && !id.verify(b"y"));
        }
    }

    #[test]
    fn other_versions_codecs_hashes_and_bases_are_refused() {
        let id = ContentId::of(Codec::Raw, b"x");
        for at in 0..4 {
            let mut bytes = id.to_bytes();
            bytes[at] ^= 0x40;
            assert!(ContentId::from_bytes(&bytes).is_err(), "byte {at}");
        }
        let text = id.to_string();
        for text in [
            text.to_uppercase(),
            text[..58].to_string(),
            alloc::format!("{text}a"),
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".to_string(),
            "é".repeat(29) + "b",
        ] {
            assert!(text.parse::<ContentId>().is_err(), "{text}");
        }
    }
}
