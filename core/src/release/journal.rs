//! The list of everything that left: for its owner, kept over restarts, written as JSON.
//!
//! It is bounded, and loses nothing: where it is full, the oldest entries that are alike are joined to one with their
//! count, their bytes and the time from the first to the last. Weights of an exchange, of which there is one every few
//! seconds, are joined at once.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::preview::{Preview, Readers};
use crate::bounds::LimitError;
use crate::digest::Digest;
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
}

const fn one() -> u64 {
    1
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
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.packet_type == other.packet_type
            && self.readers == other.readers
            && self.is_verbatim == other.is_verbatim
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
    /// Too long, or too many entries of which no two are alike.
    #[error(transparent)]
    Limit(#[from] LimitError),
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

    /// Takes in what left. O(1) but where it is full: O(n).
    ///
    /// # Errors
    /// [`JournalError::Limit`] where [`MAX_ENTRIES`] are there and no two are alike: the entry is not taken in.
    pub fn push(&mut self, entry: Entry) -> Result<(), JournalError> {
        if entry.packet_type == WEIGHTS
            && let Some(last) = self.entries.back_mut()
            && last.is_like(&entry)
        {
            last.join(entry);
            return Ok(());
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.make_room()?;
        }
        self.entries.push_back(entry);
        Ok(())
    }

    /// Joins the oldest half, each with the first that it is like.
    fn make_room(&mut self) -> Result<(), JournalError> {
        let newer = self.entries.split_off(self.entries.len() / 2);
        let mut firsts: BTreeMap<(String, String, bool), usize> = BTreeMap::new();
        let mut joined: VecDeque<Entry> = VecDeque::new();
        for entry in core::mem::take(&mut self.entries) {
            let readers = serde_json::to_string(&entry.readers).unwrap_or_default();
            let like = (entry.packet_type.clone(), readers, entry.is_verbatim);
            match firsts.get(&like).and_then(|at| joined.get_mut(*at)) {
                Some(first) => first.join(entry),
                None => {
                    firsts.insert(like, joined.len());
                    joined.push_back(entry);
                }
            }
        }
        joined.extend(newer);
        self.entries = joined;
        LimitError::check_len(
            "entries of the journal",
            self.entries.len() + 1,
            MAX_ENTRIES,
        )?;
        Ok(())
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

    /// Reads what [`Journal::to_json`] wrote.
    ///
    /// # Errors
    /// [`JournalError`]: too long, damaged, of another version. The caller keeps the text: nothing is repaired.
    pub fn from_json(text: &str) -> Result<Self, JournalError> {
        LimitError::check_len("bytes of the journal", text.len(), MAX_JOURNAL_JSON)?;
        let form: Form = serde_json::from_str(text).map_err(|error| JournalError::Damaged {
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
        Ok(Self {
            entries: form.entries,
        })
    }
}

const VERSION: u64 = 1;
/// The type of packets that an exchange of weights sends. Source: `learner`.
const WEIGHTS: &str = "weights";
