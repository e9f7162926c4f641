//! The stages, as types: [`Raw`] → [`Scrubbed`] → [`Anonymous`] → [`Generalised`] → [`Validated`] → [`Sealed`].
//!
//! Each comes only from the one before, by a method that consumes it; no field or constructor is public, and none can be
//! cloned: a stage that was left out or swapped does not compile (`tests/stages` holds the proofs). A step that refuses gives back what it
//! was given, in [`Refused`].

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rand_core::{CryptoRng, RngCore};
use serde::Serialize;

use super::desk::{Change, Desk, Scrub};
use super::draft::{Draft, Embedded, Limits, Refused, Tensor};
use super::environment::Trait;
use super::error::PrivacyError;
use super::known::Known;
use super::ledger::{Budget, Grant};
use super::names::Names;
use super::noise::{ClipNorm, Clipped};
use super::pseudonym::{Epoch, EpochLength, Pseudonym, Pseudonyms};
use super::range::{self, Anonymity, Fact, Range, Row};
use super::validate::{Expected, Report, examine};
use crate::time::Timestamp;

/// A draft within its bounds, and nothing done yet. Its `Debug` tells counts alone.
#[derive(Debug, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Raw(Draft);

impl Raw {
    /// Takes a draft that keeps `limits`. O(n).
    ///
    /// # Errors
    /// [`PrivacyError`] of the first count, length, shape, name or number that is wrong, with the draft.
    pub fn new(draft: Draft, limits: &Limits) -> Result<Self, Refused<Draft>> {
        match draft.check(limits) {
            Ok(()) => Ok(Self(draft)),
            Err(error) => Err(Refused::new(error, draft)),
        }
    }

    /// Returns the draft.
    pub const fn draft(&self) -> &Draft {
        &self.0
    }

    /// Stage 1: lets `scrub` read every text and every name that may leave.
    ///
    /// Names that become the same are told apart by a number: `weights`, `weights 2`.
    ///
    /// # Errors
    /// [`PrivacyError::Forbidden`] where the policy refuses a text, with this stage.
    pub fn scrub(self, scrub: &mut Scrub<'_>) -> Result<Scrubbed, Refused<Self>> {
        let mut desk = Desk {
            scrub,
            changes: Vec::new(),
        };
        match desk.clean(&self.0) {
            Ok(draft) => Ok(Scrubbed {
                draft,
                changes: desk.changes,
            }),
            Err(error) => Err(Refused::new(error, self)),
        }
    }
}

/// A draft whose texts and names were searched. Its `Debug` tells counts alone.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Scrubbed {
    draft: Draft,
    changes: Vec<Change>,
}

impl fmt::Debug for Scrubbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubbed")
            .field("draft", &self.draft)
            .field("changes", &self.changes.len())
            .finish()
    }
}

/// How to anonymise.
#[derive(Clone, Debug)]
pub struct Anonymiser {
    /// Makes this network's and epoch's pseudonyms.
    pub pseudonyms: Pseudonyms,
    /// What exact times become.
    pub epoch_length: EpochLength,
    /// Block and key of the embedded entries that are kept; all others are dropped.
    pub allowed: Vec<(String, String)>,
}

impl Anonymiser {
    /// Keeps `format` of safetensors (it says `pt` or `np`) and nothing else.
    pub fn new(pseudonyms: Pseudonyms) -> Self {
        Self {
            pseudonyms,
            epoch_length: EpochLength::default(),
            allowed: alloc::vec![("safetensors".into(), "format".into())],
        }
    }
}

impl Scrubbed {
    /// Returns what was changed so far.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Stage 2: identifiers become pseudonyms, here and wherever they stand in a text or a name, in capitals or not; times
    /// become epochs, environment details classes; embedded entries are dropped unless allowed. O(texts × identifiers).
    ///
    /// Identifiers of less than [`MIN_IDENTIFIER`](super::MIN_IDENTIFIER) = 4 bytes stay where they stand in texts and names.
    pub fn anonymise(self, anonymiser: &Anonymiser) -> Anonymous {
        let draft = self.draft;
        let mut parts = Parts::default();
        let mut pseudonyms = BTreeMap::new();
        for (kind, identifier) in &draft.identifiers {
            if let Some(pseudonym) = anonymiser.pseudonyms.of(kind, identifier) {
                pseudonyms.insert(kind.clone(), pseudonym);
            }
        }
        let known = Known::new(&draft.identifiers, &pseudonyms);
        parts.pseudonyms = renamed(&known, pseudonyms);
        parts.texts = renamed(&known, draft.texts);
        parts
            .texts
            .values_mut()
            .for_each(|text| *text = known.hide(text));
        let mut names = Names::default();
        for tensor in draft.tensors {
            let name = names.take(&known.hide(&tensor.name));
            parts.tensors.push(Tensor { name, ..tensor });
        }
        let epoch =
            |(what, time): (String, Timestamp)| (what, anonymiser.epoch_length.epoch_of(time));
        parts.epochs = renamed(&known, draft.times.into_iter().map(epoch));
        parts.environment = draft
            .environment
            .iter()
            .map(|(of, text)| (*of, of.class(text)))
            .collect();
        for entry in draft.embedded {
            let is_allowed =
                |(block, key): &(String, String)| *block == entry.block && *key == entry.key;
            if entry.text.is_some() && anonymiser.allowed.iter().any(is_allowed) {
                let text = entry.text.map(|text| known.hide(&text));
                parts.embedded.push(Embedded { text, ..entry });
            } else {
                parts.dropped += 1;
            }
        }
        let mut changes = self.changes;
        for change in &mut changes {
            change.place = known.hide(&change.place);
        }
        Anonymous {
            parts,
            facts: renamed(&known, draft.facts),
            known,
            changes,
        }
    }
}

/// A draft without names, exact times and fingerprints. Its `Debug` tells counts alone.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Anonymous {
    parts: Parts,
    known: Known,
    facts: BTreeMap<String, Fact>,
    changes: Vec<Change>,
}

/// How to generalise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generaliser<'a> {
    /// What the network already published.
    pub published: &'a [Row],
    /// How many owners must share the ranges.
    pub anonymity: Anonymity,
    /// The L2 norm to which all tensors together are clipped, as one update.
    pub clip_norm: ClipNorm,
    /// How many numbers are kept after the noise; `None`: all. The others become 0.
    pub keep_largest: Option<usize>,
}

impl fmt::Debug for Anonymous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.parts;
        f.debug_struct("Anonymous")
            .field("texts", &parts.texts.len())
            .field("tensors", &parts.tensors.len())
            .field("pseudonyms", &parts.pseudonyms.len())
            .field("epochs", &parts.epochs.len())
            .field("environment", &parts.environment.len())
            .field("embedded", &parts.embedded.len())
            .field("facts", &self.facts.len())
            .field("changes", &self.changes.len())
            .finish()
    }
}

impl Anonymous {
    /// Returns the tensors, to preview what noise does to them.
    pub fn tensors(&self) -> &[Tensor] {
        &self.parts.tensors
    }

    /// Stage 3: facts become ranges; all tensors together are clipped as one update and get noise, for one step of `grant`.
    ///
    /// # Errors
    /// [`PrivacyError`] with this stage. [`PrivacyError::NoGrant`] where there are tensors and `grant` is `None`;
    /// [`PrivacyError::Sampled`] where it is for a sampling rate below 1, since the whole update leaves; as
    /// [`range::generalise`], [`Clipped::new`] and [`Clipped::noise`]. The step of the grant may be spent nevertheless.
    pub fn generalise<R: RngCore + CryptoRng>(
        self,
        how: &Generaliser<'_>,
        grant: Option<&mut Grant>,
        rng: &mut R,
    ) -> Result<Generalised, Refused<Self>> {
        let ranges = match range::generalise(&self.facts, how.published, how.anonymity) {
            Ok(ranges) => ranges,
            Err(error) => return Err(Refused::new(error, self)),
        };
        let noised = match noised(&self.parts.tensors, how, grant, rng) {
            Ok(noised) => noised,
            Err(error) => return Err(Refused::new(error, self)),
        };
        let mut parts = self.parts;
        parts.ranges = ranges.told;
        parts.suppressed = ranges.suppressed;
        parts.crowd = ranges.crowd;
        let mut spent = None;
        if let Some((values, quality, budget)) = noised {
            let mut values = values.into_iter();
            for place in parts.tensors.iter_mut().flat_map(|tensor| &mut tensor.data) {
                // As many come out as went in.
                *place = values.next().unwrap_or(0.0);
            }
            parts.quality = quality;
            spent = Some(budget);
        }
        Ok(Generalised {
            parts,
            spent,
            known: self.known,
            changes: self.changes,
        })
    }
}

/// A draft that tells of its owner only what a crowd shares, and of its data only what noise leaves.
#[derive(Debug, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Generalised {
    parts: Parts,
    spent: Option<Budget>,
    /// For the last look.
    known: Known,
    changes: Vec<Change>,
}

impl Generalised {
    /// Returns what would leave, for the preview and to write the packet's instructions.
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Stage 4: checks everything once more, the texts with the same `scrub` as in stage 1, and that none of the draft's
    /// identifiers stands in any text, name or declared line.
    ///
    /// # Errors
    /// [`PrivacyError::Invalid`] with the whole report, and this stage.
    pub fn validate(
        self,
        expected: &Expected,
        scrub: &mut Scrub<'_>,
    ) -> Result<Validated, Refused<Self>> {
        let report = examine(&self.parts, self.spent, &self.known, expected, scrub);
        if !report.is_met() {
            return Err(Refused::new(PrivacyError::Invalid { report }, self));
        }
        Ok(Validated {
            parts: self.parts,
            report,
            changes: self.changes,
        })
    }
}

/// What may be published.
#[derive(Debug, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Validated {
    parts: Parts,
    report: Report,
    changes: Vec<Change>,
}

impl Validated {
    /// Returns exactly what leaves.
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Returns every check with its figure.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Returns what the scrubber changed.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Hands out what leaves, to be published as it is.
    pub fn into_parts(self) -> Parts {
        self.parts
    }

    /// Stage 5: lets `seal` write and encrypt what leaves. The bytes are what the caller's function returns: nothing here
    /// looks whether they are encrypted, for whom, or made of these parts.
    ///
    /// # Errors
    /// What `seal` answers, with this stage.
    pub fn seal_with<E>(
        self,
        seal: impl FnOnce(&Parts) -> Result<Vec<u8>, E>,
    ) -> Result<Sealed, (E, Box<Self>)> {
        match seal(&self.parts) {
            Ok(bytes) => Ok(Sealed {
                bytes,
                report: self.report,
            }),
            Err(error) => Err((error, Box::new(self))),
        }
    }
}

/// What may be addressed: the bytes that the caller's function returned for a [`Validated`], ciphertext if it encrypted.
/// This type proves that the checks were met, not what is in the bytes.
#[derive(Debug, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub struct Sealed {
    bytes: Vec<u8>,
    report: Report,
}

impl Sealed {
    /// Returns the bytes as the caller's function returned them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hands out the bytes as the caller's function returned them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns every check of the content with its figure.
    pub const fn report(&self) -> &Report {
        &self.report
    }
}

/// What leaves the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Texts by their names, scrubbed.
    pub texts: BTreeMap<String, String>,
    /// Tensors, noised.
    pub tensors: Vec<Tensor>,
    /// Entries of embedded blocks that are allowed.
    pub embedded: Vec<Embedded>,
    /// How many embedded entries were dropped.
    pub dropped: u64,
    /// Pseudonyms by the kind of identifier.
    pub pseudonyms: BTreeMap<String, Pseudonym>,
    /// Epochs by what happened in them.
    pub epochs: BTreeMap<String, Epoch>,
    /// Environment details as classes.
    pub environment: BTreeMap<Trait, &'static str>,
    /// Facts as ranges.
    pub ranges: BTreeMap<String, Range>,
    /// Facts that are not told.
    pub suppressed: Vec<String>,
    /// Owners that share all the ranges.
    pub crowd: u64,
    /// For the packet's quality metrics: `privacy.epsilon` and `privacy.delta` (spent by the ledger with this release),
    /// `privacy.noise_multiplier`, `privacy.clip_norm`. Empty without tensors.
    pub quality: BTreeMap<String, f64>,
}

impl Parts {
    /// Returns the bytes of all texts, names and numbers, without the framing of an encoding.
    pub fn bytes(&self) -> u64 {
        let tensor =
            |tensor: &Tensor| tensor.name.len() + 4 * (tensor.shape.len() + tensor.data.len());
        let entry = |entry: &Embedded| {
            entry.block.len() + entry.key.len() + entry.text.as_ref().map_or(0, String::len)
        };
        let texts = self
            .texts
            .iter()
            .map(|(name, text)| name.len() + text.len());
        let names = (self.pseudonyms.keys().map(|name| name.len() + 37))
            .chain(self.epochs.keys().map(|name| name.len() + 8))
            .chain(self.environment.values().map(|class| class.len() + 8))
            .chain(self.ranges.keys().map(|name| name.len() + 16))
            .chain(self.suppressed.iter().map(String::len))
            .chain(self.quality.keys().map(|name| name.len() + 8));
        let all = texts
            .chain(self.tensors.iter().map(tensor))
            .chain(self.embedded.iter().map(entry))
            .chain(names);
        all.fold(0, |sum: u64, bytes| sum.saturating_add(bytes as u64))
    }
}

/// Returns `entries` with pseudonyms for the identifiers in their names, which stay apart.
fn renamed<T>(
    known: &Known,
    entries: impl IntoIterator<Item = (String, T)>,
) -> BTreeMap<String, T> {
    let mut names = Names::default();
    let entries = entries.into_iter();
    entries
        .map(|(name, value)| (names.take(&known.hide(&name)), value))
        .collect()
}

type NoisedTensors = (Vec<f32>, BTreeMap<String, f64>, Budget);

/// Clips and noises `tensors` as one update; `None` where there are none.
fn noised<R: RngCore + CryptoRng>(
    tensors: &[Tensor],
    how: &Generaliser<'_>,
    grant: Option<&mut Grant>,
    rng: &mut R,
) -> Result<Option<NoisedTensors>, PrivacyError> {
    if tensors.is_empty() {
        return Ok(None);
    }
    let Some(grant) = grant else {
        return Err(PrivacyError::NoGrant {
            tensors: tensors.len(),
        });
    };
    // What the accountant takes off for sampling is not earned: the update leaves whole.
    let sampling_rate = grant.mechanism().sampling_rate();
    if sampling_rate < 1.0 {
        return Err(PrivacyError::Sampled { sampling_rate });
    }
    let flat: Vec<f32> = tensors
        .iter()
        .flat_map(|tensor| &tensor.data)
        .copied()
        .collect();
    let noised = Clipped::new(&flat, how.clip_norm)?.noise(grant, rng)?;
    let spent = grant.spent();
    let quality = [
        ("privacy.epsilon", spent.epsilon),
        ("privacy.delta", spent.delta),
        (
            "privacy.noise_multiplier",
            grant.mechanism().noise_multiplier(),
        ),
        ("privacy.clip_norm", how.clip_norm.get()),
    ];
    let values = match how.keep_largest {
        Some(count) => noised.keep_largest(count).to_dense(),
        None => noised.into_values(),
    };
    let quality = quality.map(|(name, figure)| (name.into(), figure));
    Ok(Some((values, quality.into(), spent)))
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
