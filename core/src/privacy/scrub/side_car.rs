//! JSON beside a packet: keys, strings and numbers are scrubbed one by one, and a key says what its value is.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::policy::{ScrubError, Scrubber};
use super::{Action, Finding};

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
    /// Where: a JSON pointer (RFC 6901) to the value, or to the value whose key it is.
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
                let mut left = Map::new();
                for (name, value) in entries {
                    let part = name.replace('~', "~0").replace('/', "~1");
                    let (name, value) = self.below(&part, |walk| {
                        Ok((walk.key(name)?, walk.value(value, name, depth + 1)?))
                    })?;
                    insert(&mut left, name, value);
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

    fn key(&mut self, name: &str) -> Result<String, ScrubError> {
        let scrubbed = self.scrubber.scrub(name)?;
        self.report(scrubbed.findings, 0, true);
        Ok(scrubbed.text)
    }

    /// Scrubs the text of a value with its key before it, as a reader sees it. Returns whether anything was taken out.
    fn text(&mut self, text: &str, key: &str) -> Result<(String, bool), ScrubError> {
        let lead = if key.is_empty() || key.len() > MAX_KEY {
            String::new()
        } else {
            format!("{}: ", spaced(key))
        };
        let scrubbed = self.scrubber.scrub(format!("{lead}{text}"))?;
        // A finding in the key's copy alone was reported with the key.
        let inside: Vec<_> = scrubbed
            .findings
            .iter()
            .filter(|finding| finding.span.end > lead.len())
            .cloned()
            .collect();
        let crosses = scrubbed
            .findings
            .iter()
            .any(|finding| finding.span.start < lead.len());
        if inside.is_empty() {
            return Ok((text.to_owned(), false));
        }
        if crosses {
            let alone = self.scrubber.scrub(text)?;
            let is_changed = alone.text != text;
            self.report(alone.findings, 0, false);
            return Ok((alone.text, is_changed));
        }
        let left = scrubbed
            .text
            .get(lead.len()..)
            .unwrap_or_default()
            .to_owned();
        let keeps = inside
            .iter()
            .all(|finding| self.scrubber.policy().action(finding.kind) == Action::Keep);
        self.report(inside, lead.len(), false);
        Ok((left, !keeps))
    }

    fn report(&mut self, findings: Vec<Finding>, shift: usize, is_key: bool) {
        for mut finding in findings {
            finding.span =
                finding.span.start.saturating_sub(shift)..finding.span.end.saturating_sub(shift);
            self.findings.push(JsonFinding {
                pointer: self.pointer.clone(),
                is_key,
                finding,
            });
        }
    }
}

/// Inserts under `name`, or `name 2`, `name 3` … where keys became equal.
fn insert(entries: &mut Map<String, Value>, name: String, value: Value) {
    let mut free = name.clone();
    let mut count = 1;
    while entries.contains_key(&free) {
        count += 1;
        free = format!("{name} {count}");
    }
    entries.insert(free, value);
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
