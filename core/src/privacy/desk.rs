//! Stage 1 at work: every text and name of a draft is read by the scrubber.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::draft::{Draft, Embedded, Tensor};
use super::error::PrivacyError;
use super::names::Names;

/// A search for personal and proprietary information: reads a text, with the name of its field where it has one (a date is
/// one of birth in `date_of_birth`), and answers what may be shared of the text.
pub type Scrub<'a> = dyn FnMut(Option<&str>, &str) -> Clean + 'a;

/// What a [`Scrub`] answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clean {
    /// The text without what was found.
    pub text: String,
    /// How many findings there were.
    pub findings: u64,
    /// Whether the policy forbids to share the text at all.
    pub is_forbidden: bool,
}

/// A text that was changed by the scrubber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it was, such as `text "notes"`: with its name as it is after scrubbing.
    pub place: String,
    /// How many findings were taken out.
    pub findings: u64,
}

/// Reads every text of a draft with the scrubber and notes what changed.
pub(super) struct Desk<'a, 'b> {
    pub(super) scrub: &'a mut Scrub<'b>,
    pub(super) changes: Vec<Change>,
}

impl Desk<'_, '_> {
    pub(super) fn clean(&mut self, draft: &Draft) -> Result<Draft, PrivacyError> {
        let mut clean = Draft::default();
        let mut names = Names::default();
        for (name, text) in &draft.texts {
            let clean_name = self.key("text", name, &mut names)?;
            let text = self.text(&format!("text {clean_name:?}"), Some(name), text)?;
            clean.texts.insert(clean_name, text);
        }
        let mut names = Names::default();
        for tensor in &draft.tensors {
            let name = self.key("tensor", &tensor.name, &mut names)?;
            clean.tensors.push(Tensor {
                name,
                shape: tensor.shape.clone(),
                data: tensor.data.clone(),
            });
        }
        let mut names = Names::default();
        for (kind, identifier) in &draft.identifiers {
            let kind = self.key("identifier", kind, &mut names)?;
            // The identifier itself does not leave: stage 2 needs it whole.
            clean.identifiers.insert(kind, identifier.clone());
        }
        let mut names = Names::default();
        for (what, time) in &draft.times {
            let what = self.key("time", what, &mut names)?;
            clean.times.insert(what, *time);
        }
        for entry in &draft.embedded {
            let block = self.text("embedded block", None, &entry.block)?;
            let key = self.text("embedded key", None, &entry.key)?;
            let place = format!("embedded {block} {key:?}");
            let text = entry.text.as_ref();
            let text = text.map(|text| self.text(&place, Some(&entry.key), text));
            clean.embedded.push(Embedded {
                block,
                key,
                text: text.transpose()?,
            });
        }
        let mut names = Names::default();
        for (name, fact) in &draft.facts {
            let name = self.key("fact", name, &mut names)?;
            clean.facts.insert(name, *fact);
        }
        // Stage 2 makes one of a few words of them.
        clean.environment = draft.environment.clone();
        Ok(clean)
    }

    /// Scrubs a name and keeps it apart from the others.
    fn key(&mut self, what: &str, name: &str, names: &mut Names) -> Result<String, PrivacyError> {
        let name = self.text(&format!("name of a {what}"), None, name)?;
        Ok(names.take(&name))
    }

    fn text(
        &mut self,
        place: &str,
        name: Option<&str>,
        text: &str,
    ) -> Result<String, PrivacyError> {
        let clean = (self.scrub)(name, text);
        if clean.is_forbidden {
            return Err(PrivacyError::Forbidden {
                place: place.into(),
                findings: clean.findings,
            });
        }
        if clean.findings > 0 {
            self.changes.push(Change {
                place: place.into(),
                findings: clean.findings,
            });
        }
        Ok(clean.text)
    }
}
