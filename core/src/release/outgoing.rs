//! What is to leave, and the rules that it is held to.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::packet::{DEFAULT_TTL_SECS, Instructions};
use crate::privacy::ledger::Budget;
use crate::privacy::range::{Anonymity, Fact, Row};
use crate::privacy::scrub::Scrubber;
use crate::privacy::{Anonymiser, Limits, Trait};
use crate::time::Timestamp;

/// Something that its owner wants to share, unprotected. Its `Debug` tells counts alone.
#[derive(Clone, PartialEq)]
pub struct Outgoing {
    /// What kind of content this is, such as `file`: as in [`PacketDraft`](crate::packet::PacketDraft).
    pub packet_type: String,
    /// What it is called, such as a file's name.
    pub name: Option<String>,
    /// The content.
    pub content: Vec<u8>,
    /// What to do with it; `None`: keep it in the region of memory that the name says.
    pub instructions: Option<Instructions>,
    /// Named measurements. Names that begin with `privacy.`, `range.`, `epoch.` or `environment.` are ours.
    pub quality: BTreeMap<String, f64>,
    /// Seconds to live.
    pub ttl_secs: u64,
    /// Names of the owner and the owner's things, by kind: pseudonyms stand for them wherever they are found.
    pub identifiers: BTreeMap<String, String>,
    /// What the node runs on: leaves as classes, as metrics `environment.<trait>.<class>` of value 1.
    pub environment: BTreeMap<Trait, String>,
    /// Exact times: leave as epochs, as metrics `epoch.<name>`.
    pub times: BTreeMap<String, Timestamp>,
    /// Numbers that describe the owner: leave as ranges, as metrics `range.<name>.from` and `range.<name>.to`.
    pub facts: BTreeMap<String, Fact>,
    /// The noise to add to the tensors of safetensors; `None`: none.
    pub noise: Option<NoiseWish>,
    /// Whether the owner has seen what was found in the content and wants it unchanged. Names and metadata are cleaned all
    /// the same, and what the policy refuses is refused.
    pub is_verbatim: bool,
}

impl Outgoing {
    /// Returns content of a type without anything else, for a day.
    pub fn new(packet_type: impl Into<String>, content: Vec<u8>) -> Self {
        Self {
            packet_type: packet_type.into(),
            name: None,
            content,
            instructions: None,
            quality: BTreeMap::new(),
            ttl_secs: DEFAULT_TTL_SECS,
            identifiers: BTreeMap::new(),
            environment: BTreeMap::new(),
            times: BTreeMap::new(),
            facts: BTreeMap::new(),
            noise: None,
            is_verbatim: false,
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("bytes", &self.content.len())
            .field("quality", &self.quality.len())
            .field("identifiers", &self.identifiers.len())
            .field("environment", &self.environment.len())
            .field("times", &self.times.len())
            .field("facts", &self.facts.len())
            .field("noise", &self.noise)
            .field("is_verbatim", &self.is_verbatim)
            .finish_non_exhaustive()
    }
}

/// Noise that is to be added to tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseWish {
    /// The L2 norm to which all tensors together are clipped, > 0 and finite.
    pub clip_norm: f64,
    /// Standard deviation of the noise in clip norms. The grant's must be the same.
    pub noise_multiplier: f64,
}

/// What everything that leaves is held to. Its scrubber is dear to make: keep the rules.
#[derive(Debug)]
pub struct Rules {
    /// Finds personal information, and says what becomes of it.
    pub scrubber: Scrubber,
    /// Makes pseudonyms and epochs, and knows the embedded entries that are kept.
    pub anonymiser: Anonymiser,
    /// How many owners must share the ranges.
    pub anonymity: Anonymity,
    /// What the network already published: [`rows`](super::rows) makes it of packets.
    pub published: Vec<Row>,
    /// Bounds of sizes and numbers.
    pub limits: Limits,
    /// What may be spent on tensors.
    pub budget: Budget,
}

impl Rules {
    /// Makes rules with the usual bounds and budget, for a network of which nothing is known that others published.
    pub fn new(scrubber: Scrubber, anonymiser: Anonymiser) -> Self {
        Self {
            scrubber,
            anonymiser,
            anonymity: Anonymity::default(),
            published: Vec::new(),
            limits: Limits::default(),
            budget: Budget::default(),
        }
    }
}
