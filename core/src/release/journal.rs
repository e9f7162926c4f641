//! The list of everything that left: for its owner, kept over restarts, written as JSON.
//!
//! It is bounded, and loses nothing: where it is full, the oldest entries that are alike are joined to one with their
//! count, their bytes and the time from the first to the last. What a program makes by itself every few seconds
//! ([`Entry::is_routine`]) is joined at once. What its owner shared is not, as long as there is room.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::preview::{Preview, Readers};
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::packet::{Packet, Payload};
use crate::time::Timestamp;

/// Entries of a journal. Guess: ten a day for three years.
pub const MAX_ENTRIES: usize = 10_000;
/// Bytes of a journal in JSON. Guess: 3 kB per entry, of which most have a fifth.
pub const MAX_JOURNAL_JSON: usize = 32 << 20;

/// One thing that left, or several that are alike. Holds nothing of what was taken out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it left; of several, the first.
    pub at: Timestamp,
    /// When the last of several left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many left.
    #[serde(default = "one")]
    pub count: u64,
    /// The packet's content id; of several, that of the last.
    pub cid: String,
    /// The packet's type; inside the envelope where there are recipients.
    pub packet_type: String,
    /// What it was called when it left; of several, the last.
    pub name: Option<String>,
    /// Bytes of the content; of several, in all.
    pub bytes: u64,
    /// Who can read it.
    pub readers: Readers,
    /// How much was found, by kind.
    pub findings: BTreeMap<String, u64>,
    /// Embedded entries that were dropped.
    pub dropped_total: u64,
    /// ε that was spent after it.
    pub epsilon_after: Option<f64>,
    /// SHA-256 of the content before it was sealed; of several, of the last.
    pub content_digest: Digest,
    /// Whether the content left as it was.
    pub is_verbatim: bool,
    /// Whether a program made it by itself, one of many, such as what a learner exchanges: those in a row are one line.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_routine: bool,
}

const fn one() -> u64 {
    1
}

const fn is_false(is: &bool) -> bool {
    !*is
}

impl Entry {
    /// Returns the entry of what the owner saw as `preview` and left `at` this time as packet `cid`.
    pub fn of(preview: &Preview, cid: impl Into<String>, at: Timestamp) -> Self {
        Self {
            at,
            until: None,
            count: 1,
            cid: cid.into(),
            packet_type: preview.packet_type.clone(),
            name: preview.name.clone(),
            bytes: preview.bytes,
            readers: preview.readers.clone(),
            findings: preview.findings_by_kind.clone(),
            dropped_total: preview.dropped_total,
            epsilon_after: preview.noise.as_ref().map(|noise| noise.epsilon_spent),
            content_digest: preview.content_digest,
            is_verbatim: preview.is_verbatim,
            is_routine: false,
        }
    }

    /// Returns the entry of `packet`, which leaves `at` this time as it is, for everybody.
    pub fn of_packet(packet: &Packet, at: Timestamp) -> Self {
        Self {
            at,
            until: None,
            count: 1,
            cid: packet.cid().to_string(),
            packet_type: packet.packet_type().into(),
            name: None,
            bytes: match packet.payload() {
                Payload::Inline(bytes) => bytes.len() as u64,
                Payload::Link { size, .. } => *size,
            },
            readers: Readers::Everybody,
            findings: BTreeMap::new(),
            dropped_total: 0,
            epsilon_after: None,
            content_digest: packet.content_digest(),
            is_verbatim: true,
            is_routine: false,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.packet_type == other.packet_type
            && self.readers == other.readers
            && self.is_verbatim == other.is_verbatim
            && self.is_routine == other.is_routine
    }

    /// Returns its bytes within [`Journal::to_json`]: two levels deep, with what ends its line.
    fn json_len(&self) -> usize {
        // Nothing in it cannot be written.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
        text.len() + 4 * lines + 2
    }

    /// Takes in `later`, which is alike.
    fn join(&mut self, later: Self) {
        let last = |entry: &Self| entry.until.unwrap_or(entry.at);
        self.until = Some(last(self).max(last(&later)));
        self.at = self.at.min(later.at);
        self.count = self.count.saturating_add(later.count);
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.dropped_total = self.dropped_total.saturating_add(later.dropped_total);
        for (kind, count) in later.findings {
            let sum = self.findings.entry(kind).or_default();
            *sum = sum.saturating_add(count);
        }
        self.epsilon_after = later.epsilon_after.or(self.epsilon_after);
        self.cid = later.cid;
        self.name = later.name;
        self.content_digest = later.content_digest;
    }
}

/// Everything that left, newest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// Sum of [`Entry::json_len`].
    bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u64,
    entries: VecDeque<Entry>,
}

#[derive(Serialize)]
struct FormRef<'a> {
    version: u64,
    entries: &'a VecDeque<Entry>,
}

/// Why a journal cannot be read or takes no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// What is to be read is too long, or has too many entries.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It takes no more: no two of its entries are alike, or they are too long.
    #[error(
        "the list of what left is full: with one more it has {entries} entries of at most {MAX_ENTRIES} in {bytes} bytes of \
         at most {MAX_JOURNAL_JSON}"
    )]
    Full {
        /// Entries, with the one that is refused.
        entries: usize,
        /// Bytes in JSON, with the one that is refused.
        bytes: usize,
    },
    /// Damaged, or no journal.
    #[error("journal at line {line}, column {column}: {message}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, without what stands there.
        message: &'static str,
    },
    /// Written by another version.
    #[error("journal must be of version 1, got {got}")]
    Version {
        /// Its version.
        got: u64,
    },
}

impl Journal {
    /// Starts empty.
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Returns the entries, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Returns how much left in all: joined entries count as often as they stand for.
    pub fn total(&self) -> u64 {
        let counts = self.entries.iter().map(|entry| entry.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Returns an upper bound of the bytes of [`Journal::to_json`], at most 48 above them. O(1).
    pub const fn json_bytes(&self) -> usize {
        FRAME + self.bytes
    }

    /// Takes in what left. O(1) but where it is full: O(n). What it holds then can always be read again.
    ///
    /// # Errors
    /// [`JournalError::Full`] past [`MAX_ENTRIES`] or [`MAX_JOURNAL_JSON`], where joining what is alike gives no room: the
    /// entry is not taken in, and the journal is as before.
    pub fn push(&mut self, entry: Entry) -> Result<(), JournalError> {
        if entry.is_routine
            && let Some(last) = self.entries.back_mut()
            && last.is_like(&entry)
        {
            let mut joined = last.clone();
            joined.join(entry.clone());
            let bytes = self.bytes - last.json_len() + joined.json_len();
            if FRAME + bytes <= MAX_JOURNAL_JSON {
                *last = joined;
                self.bytes = bytes;
                return Ok(());
            }
        }
        let more = entry.json_len();
        if !self.has_room(more) {
            let half = self.joined(self.entries.len() / 2);
            let roomy = if half.has_room(more) {
                half
            } else {
                self.joined(self.entries.len())
            };
            if !roomy.has_room(more) {
                return Err(JournalError::Full {
                    entries: roomy.entries.len() + 1,
                    bytes: roomy.json_bytes() + more,
                });
            }
            *self = roomy;
        }
        self.bytes += more;
        self.entries.push_back(entry);
        Ok(())
    }

    /// Whether one more entry of this many bytes is within both bounds.
    fn has_room(&self, more: usize) -> bool {
        self.entries.len() < MAX_ENTRIES && self.json_bytes() + more <= MAX_JOURNAL_JSON
    }

    /// Returns it with the `oldest` so many entries joined, each with the first that it is like.
    fn joined(&self, oldest: usize) -> Self {
        let mut firsts: BTreeMap<(String, String, bool, bool), usize> = BTreeMap::new();
        let mut entries: VecDeque<Entry> = VecDeque::new();
        for (place, entry) in self.entries.iter().cloned().enumerate() {
            if place >= oldest {
                entries.push_back(entry);
                continue;
            }
            let readers = serde_json::to_string(&entry.readers).unwrap_or_default();
            let kind = entry.packet_type.clone();
            let like = (kind, readers, entry.is_verbatim, entry.is_routine);
            match firsts.get(&like).and_then(|at| entries.get_mut(*at)) {
                Some(first) => first.join(entry),
                None => {
                    firsts.insert(like, entries.len());
                    entries.push_back(entry);
                }
            }
        }
        Self::of(entries)
    }

    fn of(entries: VecDeque<Entry>) -> Self {
        let bytes = entries.iter().map(Entry::json_len).sum();
        Self { entries, bytes }
    }

    /// Returns the journal as JSON: an object with `version` 1 and `entries`, the oldest first.
    pub fn to_json(&self) -> String {
        let form = FormRef {
            version: VERSION,
            entries: &self.entries,
        };
        // Nothing in it cannot be written.
        serde_json::to_string_pretty(&form).unwrap_or_default()
    }

    /// Reads what [`Journal::to_json`] wrote, as it was stored.
    ///
    /// # Errors
    /// [`JournalError`]: too long, damaged (also: not UTF-8), of another version. The caller keeps the text: nothing is
    /// repaired.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, JournalError> {
        let text = text.as_ref();
        LimitError::check_len("bytes of the journal", text.len(), MAX_JOURNAL_JSON)?;
        let form: Form = serde_json::from_slice(text).map_err(|error| JournalError::Damaged {
            line: error.line(),
            column: error.column(),
            message: match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Data => {
                    "a field is missing, unknown or of another type"
                }
                _ => "this is no JSON",
            },
        })?;
        if form.version != VERSION {
            return Err(JournalError::Version { got: form.version });
        }
        LimitError::check_len("entries of the journal", form.entries.len(), MAX_ENTRIES)?;
        Ok(Self::of(form.entries))
    }
}

const VERSION: u64 = 1;
/// Bytes of a journal in JSON beside its entries, at most. Source: a test measures them.
const FRAME: usize = 48;
