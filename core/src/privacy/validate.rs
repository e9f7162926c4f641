//! The last look before data leaves: every check with its figure and its bound.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use super::desk::{Clean, Scrub};
use super::draft::{Limits, Tensor};
use super::known::Known;
use super::ledger::Budget;
use super::range::Anonymity;
use super::stage::Parts;

/// What the content is held to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Bounds of sizes and numbers.
    pub limits: Limits,
    /// What may have been spent, at most.
    pub budget: Budget,
    /// How many owners must share the ranges.
    pub anonymity: Anonymity,
    /// What the packet's instructions and its metadata say of the content.
    pub declared: Declared,
}

/// What the six instructions in codons say, beside what the metadata says of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The lines derived from the genetic sequence.
    pub instructions: Vec<String>,
    /// The lines that the metadata shows.
    pub metadata: Vec<String>,
    /// The tensors that the instructions announce, where they announce weights.
    pub tensors: Vec<DeclaredTensor>,
}

/// A tensor as an instruction announces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredTensor {
    /// Its name.
    pub name: String,
    /// Type of the elements, `f32`.
    pub dtype: String,
    /// Elements per dimension.
    pub shape: Vec<u32>,
}

/// On which side of its bound a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// At the bound or below.
    AtMost,
    /// At the bound or above.
    AtLeast,
}

/// One check with its figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was checked, with its unit.
    pub name: &'static str,
    /// What was found.
    pub figure: f64,
    /// Where the bound is.
    pub bound: f64,
    /// On which side of it the figure must be.
    pub side: Side,
}

impl Check {
    /// Tells whether the figure keeps the bound. NaN never does.
    pub fn is_met(&self) -> bool {
        match self.side {
            Side::AtMost => self.figure <= self.bound,
            Side::AtLeast => self.figure >= self.bound,
        }
    }
}

/// Every check of the last stage, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report(Vec<Check>);

impl Report {
    /// Returns the checks.
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    /// Tells whether every check is met.
    pub fn is_met(&self) -> bool {
        self.0.iter().all(Check::is_met)
    }

    fn at_most(&mut self, name: &'static str, figure: f64, bound: f64) {
        self.0.push(Check {
            name,
            figure,
            bound,
            side: Side::AtMost,
        });
    }

    fn none(&mut self, name: &'static str, count: usize) {
        self.at_most(name, count as f64, 0.0);
    }
}

/// Writes the checks that are not met.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for check in self.0.iter().filter(|check| !check.is_met()) {
            let side = match check.side {
                Side::AtMost => "at most",
                Side::AtLeast => "at least",
            };
            let Check {
                name,
                figure,
                bound,
                ..
            } = check;
            write!(f, "{separator}{name} must be {side} {bound}, got {figure}")?;
            separator = "; ";
        }
        Ok(())
    }
}

/// Looks at everything in `parts`. O(n).
pub(super) fn examine(
    parts: &Parts,
    spent: Option<Budget>,
    known: &Known,
    expected: &Expected,
    scrub: &mut Scrub<'_>,
) -> Report {
    let mut report = Report::default();
    let limits = &expected.limits;
    let tensors = &parts.tensors;
    let numbers = || tensors.iter().flat_map(|tensor| &tensor.data);
    let entries = limits.max_entries as f64;
    report.at_most("tensors", tensors.len() as f64, entries);
    report.at_most("texts", parts.texts.len() as f64, entries);
    let elements: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
    report.at_most("elements", elements as f64, limits.max_elements as f64);
    let is_misshapen = |tensor: &&Tensor| {
        tensor.shape.len() > limits.max_dimensions
            || tensor.stated_elements() != Some(tensor.data.len() as u64)
    };
    report.none(
        "misshapen tensors",
        tensors.iter().filter(is_misshapen).count(),
    );
    let names: BTreeSet<_> = tensors.iter().map(|tensor| &tensor.name).collect();
    report.none("tensors of the same name", tensors.len() - names.len());
    report.none(
        "numbers not finite",
        numbers().filter(|v| !v.is_finite()).count(),
    );
    let largest = numbers().fold(0.0, |largest: f32, v| largest.max(v.abs()));
    report.at_most(
        "largest magnitude",
        largest.into(),
        limits.max_magnitude.into(),
    );
    report.at_most("bytes", parts.bytes() as f64, limits.max_bytes as f64);
    report.at_most("residual findings", findings(parts, expected, scrub), 0.0);
    let identifiers = lines(parts, expected).map(|(_, text)| known.count(text));
    report.none("residual identifiers", identifiers.sum());
    if let Some(spent) = spent {
        report.at_most("epsilon spent", spent.epsilon, expected.budget.epsilon);
        report.at_most("delta", spent.delta, expected.budget.delta);
    }
    report.none(
        "tensors without noise",
        tensors.len() * usize::from(spent.is_none()),
    );
    if !parts.ranges.is_empty() {
        report.0.push(Check {
            name: "owners that share the ranges",
            figure: parts.crowd as f64,
            bound: expected.anonymity.k as f64,
            side: Side::AtLeast,
        });
    }
    let declared = &expected.declared;
    let (said, shown) = (&declared.instructions, &declared.metadata);
    let differing = said.iter().zip(shown).filter(|(a, b)| a != b).count();
    let unpaired = said.len().abs_diff(shown.len());
    report.none("instructions unlike the metadata", differing + unpaired);
    let is_other_type = |tensor: &&DeclaredTensor| tensor.dtype != "f32";
    let announced = &declared.tensors;
    report.none(
        "declared types but f32",
        announced.iter().filter(is_other_type).count(),
    );
    let is_absent = |announced: &&DeclaredTensor| {
        !tensors
            .iter()
            .any(|tensor| tensor.name == announced.name && tensor.shape == announced.shape)
    };
    report.none(
        "declared tensors not there",
        announced.iter().filter(is_absent).count(),
    );
    report
}

/// Returns every text that would leave, with the name of its field where it has one.
fn lines<'a>(
    parts: &'a Parts,
    expected: &'a Expected,
) -> impl Iterator<Item = (Option<&'a String>, &'a String)> {
    let declared = &expected.declared;
    let names = (parts.texts.keys())
        .chain(parts.tensors.iter().map(|tensor| &tensor.name))
        .chain(parts.pseudonyms.keys())
        .chain(parts.epochs.keys())
        .chain(parts.ranges.keys())
        .chain(&parts.suppressed)
        .chain(&declared.instructions)
        .chain(&declared.metadata)
        .chain(declared.tensors.iter().flat_map(|t| [&t.name, &t.dtype]));
    let texts = parts.texts.iter().map(|(name, text)| (Some(name), text));
    let embedded =
        (parts.embedded.iter()).filter_map(|entry| Some((Some(&entry.key), entry.text.as_ref()?)));
    texts.chain(embedded).chain(names.map(|name| (None, name)))
}

/// Counts what the scrubber still finds in every text that would leave. Our own pseudonyms are no finding.
fn findings(parts: &Parts, expected: &Expected, scrub: &mut Scrub<'_>) -> f64 {
    let pseudonyms: Vec<_> = parts.pseudonyms.values().map(|one| one.to_text()).collect();
    let neutral = |text: &String| {
        let replace = |text: String, own: &String| text.replace(own.as_str(), "anonymous");
        pseudonyms.iter().fold(text.clone(), replace)
    };
    // Which blocks and keys may stay is for the caller to say; they are searched, but may be an identifier's word.
    let blocks = parts.embedded.iter().flat_map(|e| [&e.block, &e.key]);
    let mut sum = 0u64;
    for (name, text) in lines(parts, expected).chain(blocks.map(|name| (None, name))) {
        let Clean {
            findings,
            is_forbidden,
            ..
        } = scrub(name.map(neutral).as_deref(), &neutral(text));
        sum = sum.saturating_add(findings.max(is_forbidden.into()));
    }
    sum as f64
}
