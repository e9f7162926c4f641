//! What the owner sees before anything leaves.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::Format;
use crate::digest::Digest;
use crate::key::PeerId;
use crate::privacy::range::Range;
use crate::privacy::scrub::{Action, Finding};
use crate::privacy::{Check, Side, Trait};

/// Findings that a preview shows. Guess: more than anyone reads.
pub const MAX_FOUND: usize = 200;
/// Dropped entries that a preview shows.
pub const MAX_DROPPED: usize = 200;

/// Exactly what would leave. For the owner's eyes: its JSON holds what was found. Its `Debug` tells counts alone.
#[derive(Clone, PartialEq, Serialize)]
pub struct Preview {
    /// The packet's type as it leaves; inside the envelope where there are recipients.
    pub packet_type: String,
    /// The name as it leaves.
    pub name: Option<String>,
    /// What the content was read as.
    pub format: Format,
    /// Whether all that can be read of the content was searched: `false` for what is of no format that is read, of which only
    /// plain text was, and for a picture that leaves as it is.
    pub is_searched: bool,
    /// Whether the content leaves as it is because the owner wants it so.
    pub is_verbatim: bool,
    /// What else is to be known, such as that an image was damaged and not read.
    pub notes: Vec<String>,
    /// Bytes of the content before the stages.
    pub bytes_before: u64,
    /// Bytes of the content as it leaves; with recipients, before it is sealed.
    pub bytes: u64,
    /// Bytes of the envelope, where there are recipients.
    pub sealed_bytes: Option<u64>,
    /// SHA-256 of the content as it leaves; with recipients, before it is sealed.
    pub content_digest: Digest,
    /// What was found, at most [`MAX_FOUND`].
    pub findings: Vec<Found>,
    /// How much was found in all.
    pub findings_total: u64,
    /// How much was found in all, by kind.
    pub findings_by_kind: BTreeMap<String, u64>,
    /// Embedded entries that were dropped, at most [`MAX_DROPPED`].
    pub dropped: Vec<Dropped>,
    /// How many were dropped.
    pub dropped_total: u64,
    /// What stands for the owner's identifiers, by kind, of those that stand in what leaves.
    pub pseudonyms: BTreeMap<String, String>,
    /// The epochs that stand for exact times.
    pub epochs: BTreeMap<String, u64>,
    /// The classes that stand for the environment.
    pub environment: BTreeMap<Trait, &'static str>,
    /// The ranges that stand for facts.
    pub ranges: BTreeMap<String, Range>,
    /// The facts that are not told.
    pub suppressed: Vec<String>,
    /// Owners that share all the ranges.
    pub crowd: u64,
    /// The noise that was added.
    pub noise: Option<NoiseShown>,
    /// Every check of the last stage.
    pub checks: Vec<Measured>,
    /// Who can read it.
    pub readers: Readers,
    /// The metrics outside the content, readable by everybody.
    pub quality: BTreeMap<String, f64>,
    /// The metrics inside the envelope, readable by its recipients; none where there are no recipients.
    pub sealed_quality: BTreeMap<String, f64>,
    /// Seconds to live.
    pub ttl_secs: u64,
    /// The six instructions, readable by everybody: when, where, how, why, what, order.
    pub lines: [String; 6],
}

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview")
            .field("format", &self.format)
            .field("bytes_before", &self.bytes_before)
            .field("bytes", &self.bytes)
            .field("findings_total", &self.findings_total)
            .field("dropped_total", &self.dropped_total)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

/// Something that was found, shown to the owner alone: never stored or logged. Its `Debug` does not tell it.
#[derive(Clone, PartialEq, Serialize)]
pub struct Found {
    /// Where: `content`, with a JSON pointer in JSON; `name`; `name of a tensor`.
    pub place: String,
    /// The kind, as [`Kind::name`](crate::privacy::scrub::Kind::name) writes it.
    pub kind: &'static str,
    /// The kind more closely.
    pub label: &'static str,
    /// Percent.
    pub confidence: u8,
    /// What became of it: `remove`, `mask`, `hash` or `keep`.
    pub action: &'static str,
    /// What stood there; its beginning where it is long.
    pub before: String,
    /// What stands there now.
    pub after: String,
    /// Up to 24 characters before it.
    pub context_before: String,
    /// Up to 24 characters after it.
    pub context_after: String,
}

impl Found {
    /// Notes `finding` in `source`, and what stands there `after`; `None`: what stood there before.
    pub(super) fn new(
        place: &str,
        finding: &Finding,
        action: Action,
        (source, after): (&str, Option<String>),
    ) -> Self {
        let start = source.floor_char_boundary(finding.span.start);
        let end = source.ceil_char_boundary(finding.span.end).max(start);
        let (head, rest) = source.split_at_checked(start).unwrap_or(("", source));
        let (value, tail) = rest.split_at_checked(end - start).unwrap_or((rest, ""));
        let before = match value.char_indices().nth(MAX_SHOWN) {
            Some((cut, _)) => format!("{}…", value.get(..cut).unwrap_or_default()),
            None => value.to_owned(),
        };
        let mut last: Vec<char> = head.chars().rev().take(CONTEXT).collect();
        last.reverse();
        Self {
            place: place.to_owned(),
            kind: finding.kind.name(),
            label: finding.label,
            confidence: finding.confidence,
            action: match action {
                Action::Remove => "remove",
                Action::Mask => "mask",
                Action::Hash => "hash",
                Action::Refuse => "refuse",
                Action::Keep => "keep",
            },
            after: after.unwrap_or_else(|| before.clone()),
            before,
            context_before: last.into_iter().collect(),
            context_after: tail.chars().take(CONTEXT).collect(),
        }
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found({} {})", self.kind, self.action)
    }
}

/// An embedded entry that does not leave.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// What kind of block: `exif`, `safetensors`.
    pub block: String,
    /// The entry's name.
    pub key: String,
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dropped")
    }
}

/// The noise that was added, and what it cost. Its `Debug` does not tell the numbers.
#[derive(Clone, PartialEq, Serialize)]
pub struct NoiseShown {
    /// The L2 norm to which everything together was clipped.
    pub clip_norm: f64,
    /// Standard deviation of the noise in clip norms.
    pub multiplier: f64,
    /// ε that the ledger has spent with this release.
    pub epsilon_spent: f64,
    /// ε that it may spend.
    pub epsilon_budget: f64,
    /// δ of both.
    pub delta: f64,
    /// How many numbers got noise.
    pub numbers: u64,
    /// The first numbers, before and after: up to 8.
    pub sample: Vec<(f32, f32)>,
}

impl fmt::Debug for NoiseShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoiseShown")
            .field("clip_norm", &self.clip_norm)
            .field("multiplier", &self.multiplier)
            .field("epsilon_spent", &self.epsilon_spent)
            .field("numbers", &self.numbers)
            .finish_non_exhaustive()
    }
}

/// A check with its figure, and whether it is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// What was checked, with its unit.
    pub name: &'static str,
    /// What was found.
    pub figure: f64,
    /// Where the bound is.
    pub bound: f64,
    /// On which side of it the figure must be.
    pub side: Side,
    /// Whether it is there.
    pub is_met: bool,
}

impl From<&Check> for Measured {
    fn from(check: &Check) -> Self {
        Self {
            name: check.name,
            figure: check.figure,
            bound: check.bound,
            side: check.side,
            is_met: check.is_met(),
        }
    }
}

/// Who can read what leaves. In JSON `"everybody"`, or a list of peer ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everybody in the network.
    Everybody,
    /// These alone.
    Peers(Vec<PeerId>),
}

impl Serialize for Readers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Everybody => serializer.serialize_str(EVERYBODY),
            Self::Peers(peers) => peers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Readers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Word(String),
            Peers(Vec<PeerId>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == EVERYBODY => Ok(Self::Everybody),
            Form::Word(_) => Err(serde::de::Error::custom(
                "readers must be \"everybody\" or peer ids",
            )),
            Form::Peers(peers) => Ok(Self::Peers(peers)),
        }
    }
}

const EVERYBODY: &str = "everybody";
/// Characters shown before and after a finding.
const CONTEXT: usize = 24;
/// Characters shown of a finding. Guess: more than an address has, less than a screen.
const MAX_SHOWN: usize = 200;
