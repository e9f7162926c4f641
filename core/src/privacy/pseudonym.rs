//! Pseudonyms: names that stay the same within one network and one epoch, and tell nothing beyond.
//!
//! HKDF-SHA256 (RFC 5869) makes a key of the node's secret for each network and epoch, HMAC-SHA256 under it the
//! pseudonym. Without the secret two pseudonyms of different epochs or networks cannot be told from random, nor can an
//! identifier be guessed and tried. The node itself can recompute, and so link, its own.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use hkdf::Hkdf;
use hkdf::hmac::{Hmac, KeyInit, Mac};
use serde::{Serialize, Serializer};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::PrivacyError;
use crate::time::Timestamp;
use crate::wire::Writer;

/// A number of a period of time: all that is told of an exact time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Epoch(u64);

impl Epoch {
    /// Returns the number of the epoch.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The length of an epoch: whole seconds, an hour to a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochLength {
    secs: u64,
}

impl Default for EpochLength {
    /// A day. Guess: long enough to answer a pseudonym, short enough to hide a rhythm of life.
    fn default() -> Self {
        Self { secs: 86_400 }
    }
}

impl EpochLength {
    /// Takes a length.
    ///
    /// # Errors
    /// [`PrivacyError::Setting`] unless it is 3,600 to 31,622,400 s.
    pub fn new(length: Duration) -> Result<Self, PrivacyError> {
        let secs = length.as_secs();
        if (3_600..=31_622_400).contains(&secs) {
            return Ok(Self { secs });
        }
        Err(PrivacyError::Setting {
            what: "epoch length",
            bound: "3,600 to 31,622,400 s",
            got: length.as_secs_f64(),
        })
    }

    /// Returns the epoch that `time` is in, counted from 1970.
    pub const fn epoch_of(self, time: Timestamp) -> Epoch {
        Epoch(time.as_millis() / 1000 / self.secs)
    }
}

/// The secret from which a node makes its pseudonyms: 32 random bytes, kept. Erased on drop, never printed.
#[derive(Clone)]
pub struct NodeSecret(Zeroizing<[u8; 32]>);

impl NodeSecret {
    /// Takes 32 bytes from a secure generator.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the maker of pseudonyms for `network` in `epoch`.
    pub fn pseudonyms(&self, network: &str, epoch: Epoch) -> Pseudonyms {
        let mut info = Writer::new();
        info.bytes(network.as_bytes()).u64(epoch.0);
        let mut key = Zeroizing::new([0; 32]);
        let hkdf = Hkdf::<Sha256>::new(Some(DOMAIN), &*self.0);
        let made = hkdf.expand(&info.into_bytes(), &mut *key);
        Pseudonyms {
            key: made.is_ok().then_some(key),
        }
    }
}

impl fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeSecret(secret)")
    }
}

/// Makes the pseudonyms of one network and epoch.
#[derive(Clone)]
pub struct Pseudonyms {
    /// `None` where HKDF gave none: never, since 32 bytes are one block of 255 (RFC 5869, section 2.3).
    key: Option<Zeroizing<[u8; 32]>>,
}

impl Pseudonyms {
    /// Returns the pseudonym of `identifier`, which is a `kind`. O(n). `None` where there is no key: never.
    pub fn of(&self, kind: &str, identifier: &str) -> Option<Pseudonym> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()?.as_slice()).ok()?;
        let mut message = Writer::new();
        message.bytes(kind.as_bytes()).bytes(identifier.as_bytes());
        mac.update(&message.into_bytes());
        let tag = mac.finalize().into_bytes();
        tag.first_chunk().copied().map(Pseudonym)
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(secret)")
    }
}

/// Stands for an identifier. Written `anon-` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; 16]);

impl Pseudonym {
    /// Returns the 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the text.
    pub fn to_text(self) -> String {
        alloc::format!("{self}")
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anon-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const DOMAIN: &[u8] = b"chorus/pseudonym/1";

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(secret: u8, network: &str, epoch: u64, kind: &str, identifier: &str) -> Pseudonym {
        NodeSecret::from_bytes([secret; 32])
            .pseudonyms(network, Epoch(epoch))
            .of(kind, identifier)
            .unwrap()
    }

    /// Value: Python 3.11's `hmac`, extract and expand as RFC 5869 writes them.
    #[test]
    fn a_pseudonym_is_hmac_under_a_key_by_hkdf() {
        assert_eq!(
            pseudonym(7, "main", 20_778, "peer", "12D3KooW").to_text(),
            "anon-15a903c4c2e8a8ee8c899b189d0b77fc"
        );
    }

    #[test]
    fn a_name_keeps_its_pseudonym_within_network_and_epoch_and_nowhere_else() {
        let here = pseudonym(7, "main", 1, "peer", "ada");
        assert_eq!(pseudonym(7, "main", 1, "peer", "ada"), here);
        for elsewhere in [
            pseudonym(8, "main", 1, "peer", "ada"),
            pseudonym(7, "test", 1, "peer", "ada"),
            pseudonym(7, "main", 2, "peer", "ada"),
            pseudonym(7, "main", 1, "device", "ada"),
            pseudonym(7, "main", 1, "peer", "adb"),
            // What is joined stays told apart.
            pseudonym(7, "main", 1, "pee", "rada"),
        ] {
            assert_ne!(elsewhere, here);
        }
    }

    #[test]
    fn an_exact_time_becomes_the_number_of_its_day() {
        let length = EpochLength::default();
        let at = |millis| length.epoch_of(Timestamp::from_millis(millis)).number();
        assert_eq!((at(0), at(86_399_999), at(86_400_000)), (0, 0, 1));
        for secs in [0, 3_599, 31_622_401] {
            assert!(EpochLength::new(Duration::from_secs(secs)).is_err());
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = NodeSecret::from_bytes([7; 32]);
        let makers = secret.pseudonyms("main", Epoch(1));
        let printed = alloc::format!("{secret:?} {makers:?}");
        assert_eq!(printed, "NodeSecret(secret) Pseudonyms(secret)");
    }
}
