//! What a node is about to share, as plain data, and the bounds that it is held to from the start.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use super::environment::Trait;
use super::error::PrivacyError;
use super::range::{Fact, MAX_FACTS};
use crate::bounds::{DEFAULT_MAX_OBJECT, LimitError};
use crate::time::Timestamp;

/// Everything that is to be shared, unprotected. Nothing of it may leave the node as it is; its `Debug` tells counts alone.
#[derive(Clone, Default, PartialEq)]
pub struct Draft {
    /// Texts with their field names: descriptions, file names, side-cars, memory records.
    pub texts: BTreeMap<String, String>,
    /// Weights or deltas.
    pub tensors: Vec<Tensor>,
    /// Names of the owner and the owner's things, by kind: `peer`, `device`, `account`. Those of less than
    /// [`MIN_IDENTIFIER`](super::MIN_IDENTIFIER) = 4 bytes are not looked for in texts and names.
    pub identifiers: BTreeMap<String, String>,
    /// Exact times, by what happened then.
    pub times: BTreeMap<String, Timestamp>,
    /// What the node runs on, as the platform tells it.
    pub environment: BTreeMap<Trait, String>,
    /// Entries of embedded blocks: EXIF, safetensors `__metadata__`.
    pub embedded: Vec<Embedded>,
    /// Numbers that describe the owner, by name.
    pub facts: BTreeMap<String, Fact>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("texts", &self.texts.len())
            .field("tensors", &self.tensors.len())
            .field("identifiers", &self.identifiers.len())
            .field("times", &self.times.len())
            .field("environment", &self.environment.len())
            .field("embedded", &self.embedded.len())
            .field("facts", &self.facts.len())
            .finish()
    }
}

/// A named tensor of 32-bit floats.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tensor {
    /// Its name, unique in a draft.
    pub name: String,
    /// Elements per dimension; empty for a scalar.
    pub shape: Vec<u32>,
    /// The elements, row-major.
    pub data: Vec<f32>,
}

impl Tensor {
    /// Returns the number of elements that the shape states, or `None` where it does not fit 64 bits.
    pub fn stated_elements(&self) -> Option<u64> {
        let dimensions = self.shape.iter().map(|dimension| u64::from(*dimension));
        // With a zero anywhere there is no element, however large the rest.
        if self.shape.contains(&0) {
            return Some(0);
        }
        dimensions.into_iter().try_fold(1u64, u64::checked_mul)
    }
}

/// One entry of a block embedded in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Embedded {
    /// What kind of block: `exif`, `safetensors`.
    pub block: String,
    /// The entry's name.
    pub key: String,
    /// The entry's text. Binary entries have none and are always dropped.
    pub text: Option<String>,
}

/// Bounds of a draft.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Entries of each of the maps and lists. Default 4,096. Guess: more than a transformer has tensors.
    pub max_entries: usize,
    /// Bytes of a name. Default 1,024. Guess: longer than any path of a module.
    pub max_name: usize,
    /// Bytes of one text. Default 10,000,000. Source: `bounds::DEFAULT_MAX_OBJECT`.
    pub max_text: usize,
    /// Dimensions of a tensor. Default 8. Source: `packet::MAX_DIMENSIONS` is the same.
    pub max_dimensions: usize,
    /// Numbers in all tensors together. Default 2,500,000. Source: `bounds::DEFAULT_MAX_OBJECT` in f32.
    pub max_elements: u64,
    /// Greatest magnitude of a number after noise. Default 10⁶. Guess: a weight past it is a mistake.
    pub max_magnitude: f32,
    /// Bytes of everything together. Default `bounds::DEFAULT_MAX_OBJECT`.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 4096,
            max_name: 1024,
            max_text: 10_000_000,
            max_dimensions: 8,
            max_elements: DEFAULT_MAX_OBJECT / 4,
            max_magnitude: 1e6,
            max_bytes: DEFAULT_MAX_OBJECT,
        }
    }
}

/// A stage that refused to go on, with what it was given: nothing is lost. Its `Debug` tells the error alone, so that no
/// log shows what was not to be shared.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Refused<S> {
    /// Why.
    pub error: PrivacyError,
    /// What was to be taken further.
    pub stage: Box<S>,
}

impl<S> fmt::Debug for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({})", self.error)
    }
}

impl<S> Refused<S> {
    pub(super) fn new(error: impl Into<PrivacyError>, stage: S) -> Self {
        Self {
            error: error.into(),
            stage: Box::new(stage),
        }
    }
}

impl Draft {
    /// Checks counts, lengths, names, shapes and numbers. O(n).
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), PrivacyError> {
        for (what, count) in [
            ("texts", self.texts.len()),
            ("tensors", self.tensors.len()),
            ("identifiers", self.identifiers.len()),
            ("times", self.times.len()),
            ("environment entries", self.environment.len()),
            ("embedded entries", self.embedded.len()),
        ] {
            LimitError::check_len(what, count, limits.max_entries)?;
        }
        let names = self
            .texts
            .keys()
            .chain(self.tensors.iter().map(|tensor| &tensor.name))
            .chain(self.identifiers.keys())
            .chain(self.times.keys())
            .chain(self.embedded.iter().flat_map(|e| [&e.block, &e.key]))
            .chain(self.facts.keys());
        for name in names {
            LimitError::check_len("bytes of a name", name.len(), limits.max_name)?;
        }
        let texts = self
            .texts
            .values()
            .chain(self.identifiers.values())
            .chain(self.environment.values())
            .chain(self.embedded.iter().filter_map(|entry| entry.text.as_ref()));
        for text in texts {
            LimitError::check_len("bytes of a text", text.len(), limits.max_text)?;
        }
        LimitError::check_len("facts", self.facts.len(), MAX_FACTS)?;
        for (place, fact) in self.facts.values().enumerate() {
            fact.check(place)?;
        }
        check_tensors(&self.tensors, limits)
    }
}

/// Checks names, shapes and numbers of `tensors`.
pub(super) fn check_tensors(tensors: &[Tensor], limits: &Limits) -> Result<(), PrivacyError> {
    let (mut names, mut elements) = (BTreeSet::new(), 0u64);
    for (place, tensor) in tensors.iter().enumerate() {
        if !names.insert(tensor.name.as_str()) {
            return Err(PrivacyError::DuplicateTensor { tensor: place });
        }
        LimitError::check_len("dimensions", tensor.shape.len(), limits.max_dimensions)?;
        let (stated, got) = (tensor.stated_elements(), tensor.data.len() as u64);
        if stated != Some(got) {
            return Err(PrivacyError::Shape {
                tensor: place,
                shape: tensor.shape.clone(),
                elements: got,
            });
        }
        elements = elements.saturating_add(got);
        LimitError::check("elements of all tensors", elements, limits.max_elements)?;
        if let Some(index) = tensor.data.iter().position(|value| !value.is_finite()) {
            return Err(PrivacyError::NotFinite {
                tensor: place,
                index,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::super::pseudonym::{Epoch, NodeSecret};
    use super::super::range::Ladder;
    use super::super::{Anonymiser, Clean, Raw};
    use super::*;

    /// What a log must never show.
    const SECRET: &str = "Ada-4711";

    fn draft() -> Draft {
        let named = |value: &str| (SECRET.to_string(), value.to_string());
        Draft {
            texts: [named(SECRET)].into(),
            tensors: alloc::vec![Tensor {
                name: SECRET.into(),
                shape: alloc::vec![1],
                data: alloc::vec![4711.0],
            }],
            identifiers: [named(SECRET)].into(),
            times: [(SECRET.into(), Timestamp::from_millis(4711))].into(),
            environment: [(Trait::Other, SECRET.into())].into(),
            embedded: alloc::vec![Embedded {
                block: SECRET.into(),
                key: SECRET.into(),
                text: Some(SECRET.into()),
            }],
            facts: [(SECRET.into(), fact(4711.0))].into(),
        }
    }

    fn fact(value: f64) -> Fact {
        Fact {
            value,
            ladder: Ladder::Sizes,
        }
    }

    #[test]
    fn stages_before_anything_may_leave_print_counts_alone() {
        let raw = Raw::new(draft(), &Limits::default()).unwrap();
        let mut shown = alloc::format!("{:?} {raw:?}", draft());
        let mut scrub = |_: Option<&str>, text: &str| Clean {
            text: text.into(),
            findings: 1,
            is_forbidden: false,
        };
        let scrubbed = raw.scrub(&mut scrub).unwrap();
        shown.push_str(&alloc::format!("{scrubbed:?}"));
        let makers = NodeSecret::from_bytes([7; 32]).pseudonyms("main", Epoch::default());
        let anonymous = scrubbed.anonymise(&Anonymiser::new(makers));
        shown.push_str(&alloc::format!("{anonymous:?}"));
        assert!(!shown.contains("4711") && !shown.contains("Ada"), "{shown}");
        assert!(shown.contains("Draft { texts: 1, tensors: 1,"), "{shown}");
    }

    #[test]
    fn a_refused_draft_is_told_by_places_and_not_by_names_or_values() {
        let misshapen = |draft: &mut Draft| draft.tensors[0].shape = alloc::vec![2];
        let infinite = |draft: &mut Draft| draft.tensors[0].data[0] = f32::INFINITY;
        let twin = |draft: &mut Draft| draft.tensors.push(draft.tensors[0].clone());
        let negative = |draft: &mut Draft| {
            draft.facts.insert(SECRET.into(), fact(-4711.0));
        };
        let spoilers: [&dyn Fn(&mut Draft); 4] = [&misshapen, &infinite, &twin, &negative];
        for spoil in spoilers {
            let mut draft = draft();
            spoil(&mut draft);
            let error = Raw::new(draft, &Limits::default()).unwrap_err().error;
            let shown = alloc::format!("{error} {error:?}");
            assert!(!shown.contains("4711"), "{shown}");
        }
    }
}
