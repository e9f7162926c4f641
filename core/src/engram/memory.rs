//! Memory records: short texts with an embedding, an importance and a time. Packed small, merged as a set, forgotten with
//! time. Does no IO and reads no clock.
//!
//! A [`Memory`] keeps one record of each subject: that with the most evidence, then the one that is hotter, that is more
//! important or later. What there is no room for goes by the same order. So merging is commutative, associative and
//! idempotent: all who heard the same records hold the same ones, whatever the order and however often.
//!
//! What it does not do: it makes no embeddings and judges no truth. Evidence is what the caller counts: records from others
//! arrive with an evidence of 1, and no later than now, so that no stranger's outrank what has more, or stay for ever.

pub mod embedding;
pub mod pack;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

pub use embedding::{Embedding, EmbeddingError, fewest_bits};
pub use pack::{PackError, dictionary_of, pack, unpack};

use self::embedding::Direction;
use crate::bounds::{LimitError, RangeError};
use crate::digest::Digest;

/// Names what a record is about.
pub type Subject = [u8; 32];

/// Something worth remembering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about: records about the same contradict or repeat each other.
    pub subject: Subject,
    /// What it says.
    pub text: String,
    /// Where it lies in meaning.
    pub embedding: Embedding,
    /// How important it was at `time`, in 1/65 535; 0 counts as 1.
    pub importance: u16,
    /// When it was learned, in milliseconds since 1970.
    pub time_millis: u64,
    /// How many independent observations speak for it. The caller counts them; it does not travel.
    pub evidence: u32,
}

impl Record {
    /// Makes a record that is about its own words: the same text twice is one record.
    pub fn of_text(text: impl Into<String>, embedding: Embedding, time_millis: u64) -> Self {
        let text = text.into();
        Self {
            subject: *Digest::sha256(text.as_bytes()).as_bytes(),
            text,
            embedding,
            importance: u16::MAX,
            time_millis,
            evidence: 1,
        }
    }
}

/// Settings of a memory. Those that merge need the same, or they keep different records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Time in which importance halves, in milliseconds, 1..=2⁶². Default 30 days. Guess: the longest life of a packet.
    pub half_life_millis: u64,
    /// Records that are kept, 1..=2²⁰. Default 4096. Guess: some megabytes.
    pub max_records: usize,
    /// Bytes of a text, ≤ 2²⁰. Default 4096. Guess: a page.
    pub max_text: usize,
    /// Numbers of an embedding, 1..=65 536. Default 4096. Guess: more than common models have.
    pub max_dimensions: usize,
    /// How much later than now a record from others may be, in milliseconds, at most a day. Default 2 minutes. Guess: as much as
    /// packets may be.
    pub max_skew_millis: u64,
    /// Cosine from which two records mean the same, 0..=1. Default 0.95. Guess: paraphrases, not neighbours.
    pub same_meaning: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            half_life_millis: 30 * 86_400_000,
            max_records: 4096,
            max_text: 4096,
            max_dimensions: 4096,
            max_skew_millis: 120_000,
            same_meaning: 0.95,
        }
    }
}

impl Config {
    /// Says whether every setting is within its range.
    ///
    /// # Errors
    /// [`RangeError`] with the field, its value and its bounds.
    pub fn validate(&self) -> Result<(), RangeError> {
        let check = RangeError::check;
        let half_life = self.half_life_millis as f64;
        let longest = 4_611_686_018_427_387_904.0;
        check("memory.half_life_millis", half_life, 1.0, longest)?;
        let records = self.max_records as f64;
        check("memory.max_records", records, 1.0, 1_048_576.0)?;
        let text = self.max_text as f64;
        check("memory.max_text", text, 0.0, 1_048_576.0)?;
        let dimensions = self.max_dimensions as f64;
        check("memory.max_dimensions", dimensions, 1.0, 65_536.0)?;
        let skew = self.max_skew_millis as f64;
        check("memory.max_skew_millis", skew, 0.0, 86_400_000.0)?;
        let same_meaning = f64::from(self.same_meaning);
        check("memory.same_meaning", same_meaning, 0.0, 1.0)
    }

    /// Says whether a record is within the bounds.
    ///
    /// # Errors
    /// [`LimitError`] with the value and the bound.
    pub fn check(&self, record: &Record) -> Result<(), LimitError> {
        LimitError::check_len("text bytes", record.text.len(), self.max_text)?;
        let dimensions = record.embedding.dimensions();
        LimitError::check_len("embedding dimensions", dimensions, self.max_dimensions)
    }

    /// Returns the importance of `record` at `now_millis`, 0..=1: halved in each half-life since its time.
    pub fn importance(&self, record: &Record, now_millis: u64) -> f32 {
        let age = now_millis.saturating_sub(record.time_millis) as f64;
        let halvings = age / self.half_life_millis.max(1) as f64;
        (f64::from(record.importance) / f64::from(u16::MAX) * libm::exp2(-halvings)) as f32
    }

    /// Compares records: who has more evidence, then who is hotter. All importance halves in the same time, so who is
    /// hotter is so at any time. Then by content, so that no two different records are alike.
    pub fn order(&self, a: &Record, b: &Record) -> Ordering {
        (self.rank(a).cmp(&self.rank(b)))
            .then_with(|| a.text.cmp(&b.text))
            .then_with(|| a.importance.cmp(&b.importance))
            .then_with(|| a.embedding.cmp(&b.embedding))
    }

    /// Where a record stands among those about other subjects.
    fn rank(&self, record: &Record) -> Rank {
        let Record {
            evidence,
            time_millis,
            subject,
            ..
        } = *record;
        (evidence, self.heat(record), time_millis, subject)
    }

    /// The logarithm of what the importance was worth in 1970, in 1/1024 halvings.
    fn heat(&self, record: &Record) -> i128 {
        let halvings =
            u128::from(record.time_millis) * 1024 / u128::from(self.half_life_millis.max(1));
        let importance = libm::log2(f64::from(record.importance.max(1)));
        halvings as i128 + libm::rint(importance * 1024.0) as i128
    }
}

/// Evidence, heat, time and subject.
type Rank = (u32, i128, u64, Subject);

/// A bounded set of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    config: Config,
    records: BTreeMap<Subject, Record>,
    /// The same records, the one that goes first at the front.
    ranks: BTreeSet<Rank>,
}

impl Memory {
    /// Makes an empty memory. `config` is what [`Config::validate`] takes.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            records: BTreeMap::new(),
            ranks: BTreeSet::new(),
        }
    }

    /// Takes a record in, where it is better than what is known of its subject and there is room for it. Says whether
    /// anything changed. O(log records).
    ///
    /// # Errors
    /// [`LimitError`] where the record is past the bounds; the memory is as before then.
    pub fn insert(&mut self, record: Record) -> Result<bool, LimitError> {
        self.config.check(&record)?;
        let known = self.records.get(&record.subject);
        if known.is_some_and(|known| self.config.order(&record, known) != Ordering::Greater) {
            return Ok(false);
        }
        let rank = self.config.rank(&record);
        if let Some(known) = known {
            self.ranks.remove(&self.config.rank(known));
        } else if self.records.len() >= self.config.max_records.max(1) {
            // Room is what the least one leaves, unless that is this one.
            match self.ranks.first() {
                Some(least) if *least < rank => {
                    self.records.remove(&least.3);
                    self.ranks.pop_first();
                }
                _ => return Ok(false),
            }
        }
        self.ranks.insert(rank);
        self.records.insert(record.subject, record);
        Ok(true)
    }

    /// Takes in all that `other` knows.
    ///
    /// # Errors
    /// [`LimitError`] for the first record past this memory's bounds; those before it are in.
    pub fn merge(&mut self, other: &Self) -> Result<(), LimitError> {
        for record in other.records.values() {
            self.insert(record.clone())?;
        }
        Ok(())
    }

    /// Returns the record about `subject`.
    pub fn get(&self, subject: &Subject) -> Option<&Record> {
        self.records.get(subject)
    }

    /// Returns all records, by subject.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.records.values()
    }

    /// Returns, of the best [`MAX_COMPARED`] records, those of which none means the same as a better one, best first: what is
    /// worth passing on. It depends on the set alone. O([`MAX_COMPARED`]² × dimensions): 512 embeddings of 384 numbers take some
    /// hundredths of a second.
    pub fn distinct(&self) -> Vec<&Record> {
        let best = self.ranks.iter().rev().take(MAX_COMPARED);
        let best = best.filter_map(|(.., subject)| self.records.get(subject));
        let mut kept: Vec<(Direction, &Record)> = Vec::new();
        for record in best {
            let direction = Direction::of(&record.embedding);
            let is_like =
                |(other, _): &(Direction, _)| direction.cosine(other) >= self.config.same_meaning;
            if !kept.iter().any(is_like) {
                kept.push((direction, record));
            }
        }
        kept.into_iter().map(|(_, record)| record).collect()
    }

    /// Returns up to `count` records nearest to `query` (as many numbers as their embeddings have), nearest first.
    /// O(records × dimensions).
    pub fn nearest(&self, query: &[f32], count: usize) -> Vec<&Record> {
        let near = |record: &Record| record.embedding.cosine_to(query);
        let mut all: Vec<(f32, &Record)> = self.records.values().map(|r| (near(r), r)).collect();
        all.sort_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then_with(|| self.config.order(b.1, a.1))
        });
        all.into_iter()
            .take(count)
            .map(|(_, record)| record)
            .collect()
    }
}

/// Records that are compared with each other, the best ones. Guess: more than anybody passes on at once.
pub const MAX_COMPARED: usize = 512;

#[cfg(test)]
mod tests;
