//! What becomes of a finding: removed, masked, hashed with a secret salt, refused or kept.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize;

use super::fold::Folded;
use super::scan::{Scan, scan};
use super::vocabulary::Vocabulary;
use super::{Finding, Kind};
use crate::privacy::Clean;

/// What becomes of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing is left of it.
    Remove,
    /// Its kind is left: `[email]`.
    Mask,
    /// Its kind and a keyed hash are left, so that equal values stay equal: `[email:kfbagmpcodhnileb]`.
    Hash,
    /// The whole text is refused.
    Refuse,
    /// It stays, and is reported.
    Keep,
}

/// What becomes of findings of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    actions: [Action; Kind::ALL.len()],
    /// Percent from which a finding counts. Default 50. Source: `cargo xtask bench privacy`.
    pub min_confidence: u8,
}

impl Default for Policy {
    /// Masks everything; refuses private keys.
    fn default() -> Self {
        Self {
            actions: [Action::Mask; Kind::ALL.len()],
            min_confidence: 50,
        }
        .with(Kind::PrivateKey, Action::Refuse)
    }
}

impl Policy {
    /// Returns a policy that treats every kind alike.
    pub fn all(action: Action) -> Self {
        Self {
            actions: [action; Kind::ALL.len()],
            ..Self::default()
        }
    }

    /// Returns the policy with `action` for `kind`.
    #[must_use]
    pub fn with(mut self, kind: Kind, action: Action) -> Self {
        self.actions[kind as usize] = action;
        self
    }

    /// Returns what becomes of findings of `kind`.
    pub fn action(&self, kind: Kind) -> Action {
        self.actions[kind as usize]
    }
}

/// A secret that makes hashes of findings worthless to those who do not have it. Erased on drop; never printed.
#[derive(Clone)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Wraps 32 bytes, which must come from a secure generator.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(secret)")
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Text without what the policy takes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubbedText {
    /// The text that is left.
    pub text: String,
    /// What was found, with spans in the original text.
    pub findings: Vec<Finding>,
}

/// Why a text is not scrubbed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScrubError {
    /// The policy refuses texts with such a finding.
    #[error(
        "text with a {kind} ({label}, {confidence} % sure) at byte {at} is refused by the policy"
    )]
    Refused {
        /// What was found.
        kind: Kind,
        /// The kind more closely.
        label: &'static str,
        /// Percent.
        confidence: u8,
        /// Offset in bytes.
        at: usize,
    },
    /// A structure is nested more deeply than is read.
    #[error("JSON must be nested at most {max} deep, got {got}")]
    TooDeep {
        /// The depth reached.
        got: usize,
        /// The deepest allowed.
        max: usize,
    },
}

/// Finds personal and proprietary information and applies a policy. Make one and keep it: it reads its words once.
pub struct Scrubber {
    policy: Policy,
    salt: Salt,
    vocabulary: Vocabulary,
}

impl Scrubber {
    /// Makes a scrubber. `salt` is only used by [`Action::Hash`].
    pub fn new(policy: Policy, salt: Salt) -> Self {
        Self {
            policy,
            salt,
            vocabulary: Vocabulary::new(),
        }
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Finds what is in `text`: a string, or bytes of which those that are no UTF-8 are symbols. O(n).
    pub fn scan(&self, text: impl AsRef<[u8]>) -> Scan {
        scan(text.as_ref(), &self.vocabulary, self.policy.min_confidence)
    }

    /// Returns `text` without what the policy takes out; bytes that are no UTF-8 become U+FFFD. O(n).
    ///
    /// # Errors
    /// [`ScrubError::Refused`] with the first finding that the policy refuses.
    pub fn scrub(&self, text: impl AsRef<[u8]>) -> Result<ScrubbedText, ScrubError> {
        let bytes = text.as_ref();
        let findings = self.scan(bytes).findings;
        self.take_out(bytes, findings)
    }

    /// Returns `bytes` without those of `findings`, which are in ascending order, that the policy takes out.
    ///
    /// # Errors
    /// As [`Scrubber::scrub`].
    pub(super) fn take_out(
        &self,
        bytes: &[u8],
        findings: Vec<Finding>,
    ) -> Result<ScrubbedText, ScrubError> {
        let mut left = String::with_capacity(bytes.len());
        let mut at = 0;
        for finding in &findings {
            left.push_str(&String::from_utf8_lossy(slice(
                bytes,
                at,
                finding.span.start,
            )));
            let value = slice(bytes, finding.span.start, finding.span.end);
            self.replace(finding, value, &mut left)?;
            at = finding.span.end;
        }
        left.push_str(&String::from_utf8_lossy(slice(bytes, at, bytes.len())));
        Ok(ScrubbedText {
            text: left,
            findings,
        })
    }

    /// Scrubs `text`, which is the field `name` where it has a name, for the stages: what may be shared of it, and how many
    /// findings were taken out. A forbidden text counts as one finding.
    pub fn clean(&self, name: Option<&str>, text: &str) -> Clean {
        match self.scrub_field(name.unwrap_or_default(), text) {
            Ok(scrubbed) => Clean {
                findings: scrubbed
                    .findings
                    .iter()
                    .filter(|finding| self.policy.action(finding.kind) != Action::Keep)
                    .count() as u64,
                text: scrubbed.text,
                is_forbidden: false,
            },
            Err(_) => Clean {
                findings: 1,
                is_forbidden: true,
                ..Clean::default()
            },
        }
    }

    /// Returns what is left of `value`, which is `finding`'s, or `None` where the policy refuses the whole text. For previews.
    pub fn replacement(&self, finding: &Finding, value: &[u8]) -> Option<String> {
        let mut left = String::new();
        self.replace(finding, value, &mut left).ok().map(|()| left)
    }

    fn replace(
        &self,
        finding: &Finding,
        value: &[u8],
        left: &mut String,
    ) -> Result<(), ScrubError> {
        let kind = finding.kind;
        match self.policy.action(kind) {
            Action::Remove => {}
            Action::Mask => {
                left.push('[');
                left.push_str(kind.name());
                left.push(']');
            }
            Action::Hash => {
                left.push('[');
                left.push_str(kind.name());
                left.push(':');
                left.extend(self.hash(kind, value));
                left.push(']');
            }
            Action::Keep => left.push_str(&String::from_utf8_lossy(value)),
            Action::Refuse => {
                return Err(ScrubError::Refused {
                    kind,
                    label: finding.label,
                    confidence: finding.confidence,
                    at: finding.span.start,
                });
            }
        }
        Ok(())
    }

    /// HMAC-SHA256 (RFC 2104) over the kind and the value as it is read: folded, letters and digits alone, lower case.
    /// 64 bits as sixteen letters a to p: digits might look like a number again.
    fn hash(&self, kind: Kind, value: &[u8]) -> impl Iterator<Item = char> {
        let folded = Folded::new(value);
        let read = folded
            .text
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric());
        // A key shorter than the hash's block is filled with zeros (RFC 2104, section 2).
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.salt.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        key.zeroize();
        mac.update(kind.name().as_bytes());
        mac.update(&[0]);
        read.for_each(|byte| mac.update(&[byte.to_ascii_lowercase()]));
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let letter = |half: u8| char::from(b'a' + half);
        bytes
            .into_iter()
            .take(8)
            .flat_map(move |byte| [letter(byte >> 4), letter(byte & 15)])
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber")
            .field("policy", &self.policy)
            .field("salt", &self.salt)
            .finish()
    }
}

fn slice(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to).unwrap_or_default()
}
