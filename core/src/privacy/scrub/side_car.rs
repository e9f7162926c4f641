//! JSON beside a packet: keys, strings and numbers are scrubbed one by one, and a key says what its value is.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::policy::{ScrubError, ScrubbedText, Scrubber};
use super::{Action, Finding};
use crate::privacy::Names;

/// Levels of nesting that are read. Source: serde_json's own limit, 128.
pub const MAX_DEPTH: usize = 128;

/// JSON without what the policy takes out.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrubbedJson {
    /// What is left, in the same structure.
    pub value: Value,
    /// What was found and where.
    pub findings: Vec<JsonFinding>,
}

/// A finding in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFinding {
    /// Where: a JSON pointer (RFC 6901) to the value, or to the value whose key it is, with the keys as they are after
    /// scrubbing; of a long key its first 64 characters.
    pub pointer: String,
    /// Whether the key itself is meant.
    pub is_key: bool,
    /// What, with a span in the key or in the value's text.
    pub finding: Finding,
}

impl Scrubber {
    /// Returns `value` without what the policy takes out. Numbers that are findings become strings. O(n).
    ///
    /// # Errors
    /// [`ScrubError::Refused`] as in [`Scrubber::scrub`], [`ScrubError::TooDeep`] past [`MAX_DEPTH`].
    pub fn scrub_json(&self, value: &Value) -> Result<ScrubbedJson, ScrubError> {
        let mut walk = Walk {
            scrubber: self,
            findings: Vec::new(),
            pointer: String::new(),
        };
        let value = walk.value(value, "", 0)?;
        Ok(ScrubbedJson {
            value,
            findings: walk.findings,
        })
    }

    /// Scrubs `text` with the name of its field before it, as a reader sees it, and alone. Findings in the name alone are not told:
    /// whoever shares the name scrubs it too. Of one that begins in the name, the part in the text is told and taken out.
    ///
    /// # Errors
    /// [`ScrubError::Refused`], for a finding in the name too.
    pub fn scrub_field(&self, name: &str, text: &str) -> Result<ScrubbedText, ScrubError> {
        if name.is_empty() || name.len() > MAX_KEY {
            return self.scrub(text);
        }
        let lead = format!("{}: ", spaced(name));
        let findings = self.scan(format!("{lead}{text}")).findings;
        let (mut within, in_lead): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .partition(|finding| finding.span.end > lead.len());
        self.take_out(lead.as_bytes(), in_lead)?;
        for finding in &mut within {
            finding.span.start = finding.span.start.saturating_sub(lead.len());
            finding.span.end -= lead.len();
        }
        // A name may also mislead: `key: -----BEGIN` reads like a password. What the text says alone counts too.
        within.extend(self.scan(text).findings);
        let within = self.joined(within);
        self.take_out(text.as_bytes(), within)
    }

    /// Returns `findings` in ascending order, those that overlap as one: what the policy refuses, or what is surer.
    fn joined(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.sort_by_key(|finding| finding.span.start);
        let weight = |finding: &Finding| {
            let is_refused = self.policy().action(finding.kind) == Action::Refuse;
            (is_refused, finding.confidence)
        };
        let mut joined: Vec<Finding> = Vec::with_capacity(findings.len());
        for mut finding in findings {
            let Some(last) = joined
                .last_mut()
                .filter(|last| finding.span.start < last.span.end)
            else {
                joined.push(finding);
                continue;
            };
            finding.span = last.span.start..last.span.end.max(finding.span.end);
            if weight(&finding) > weight(last) {
                *last = finding;
            } else {
                last.span = finding.span;
            }
        }
        joined
    }
}

struct Walk<'a> {
    scrubber: &'a Scrubber,
    findings: Vec<JsonFinding>,
    pointer: String,
}

impl Walk<'_> {
    /// Scrubs `value`, which stands under `key`.
    fn value(&mut self, value: &Value, key: &str, depth: usize) -> Result<Value, ScrubError> {
        if depth > MAX_DEPTH {
            return Err(ScrubError::TooDeep {
                got: depth,
                max: MAX_DEPTH,
            });
        }
        Ok(match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::String(text) => Value::String(self.text(text, key)?.0),
            Value::Number(number) => {
                let (text, is_changed) = self.text(&format!("{number}"), key)?;
                if is_changed {
                    Value::String(text)
                } else {
                    value.clone()
                }
            }
            Value::Array(values) => {
                let mut left = Vec::with_capacity(values.len());
                for (index, value) in values.iter().enumerate() {
                    left.push(self.below(&format!("{index}"), |walk| {
                        walk.value(value, key, depth + 1)
                    })?);
                }
                Value::Array(left)
            }
            Value::Object(entries) => {
                let (mut left, mut names) = (Map::new(), Names::default());
                for (name, value) in entries {
                    let scrubbed = self.scrubber.scrub(name)?;
                    let clean = names.take(&scrubbed.text);
                    // What was taken out of the key is not in the pointer either, nor all of a long one.
                    let shown: String = clean.chars().take(MAX_KEY).collect();
                    let part = shown.replace('~', "~0").replace('/', "~1");
                    let value = self.below(&part, |walk| {
                        walk.report(scrubbed.findings, true);
                        walk.value(value, name, depth + 1)
                    })?;
                    left.insert(clean, value);
                }
                Value::Object(left)
            }
        })
    }

    fn below<T>(
        &mut self,
        part: &str,
        inside: impl FnOnce(&mut Self) -> Result<T, ScrubError>,
    ) -> Result<T, ScrubError> {
        let len = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(part);
        let result = inside(self);
        self.pointer.truncate(len);
        result
    }

    /// Scrubs the text of the value under `key`. Returns whether anything was taken out.
    fn text(&mut self, text: &str, key: &str) -> Result<(String, bool), ScrubError> {
        let scrubbed = self.scrubber.scrub_field(key, text)?;
        let is_taken =
            |finding: &Finding| self.scrubber.policy().action(finding.kind) != Action::Keep;
        let is_changed = scrubbed.findings.iter().any(is_taken);
        self.report(scrubbed.findings, false);
        Ok((scrubbed.text, is_changed))
    }

    fn report(&mut self, findings: Vec<Finding>, is_key: bool) {
        let pointer = &self.pointer;
        let place = |finding| JsonFinding {
            pointer: pointer.clone(),
            is_key,
            finding,
        };
        self.findings.extend(findings.into_iter().map(place));
    }
}

/// Returns `camelCase` and `snake_case` as words.
fn spaced(key: &str) -> String {
    let mut words = String::with_capacity(key.len() + 8);
    let mut was_lower = false;
    for letter in key.chars() {
        if letter == '_' {
            words.push(' ');
            was_lower = false;
            continue;
        }
        if was_lower && letter.is_uppercase() {
            words.push(' ');
        }
        was_lower = letter.is_lowercase();
        words.push(letter);
    }
    words
}

/// Bytes of a key that may say what its value is.
const MAX_KEY: usize = 64;
