//! JSON, searched value by value: a key says what its value is. What is changed is written anew, everything else stays as
//! it stands, with its order, its blanks and its numbers as they were written.

use alloc::borrow::{Cow, ToOwned};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::IgnoredAny;

use crate::privacy::Names;
use crate::privacy::scrub::{MAX_DEPTH, ScrubError};
use crate::release::reader::Reader;

/// Says whether `text` is a JSON object or array, or a line of such after another, nested at most 128 deep. A byte order
/// mark may stand before it.
pub(in crate::release) fn is_json(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_one = |text: &str| {
        text.trim_ascii_start().starts_with(['{', '['])
            && serde_json::from_str::<IgnoredAny>(text).is_ok()
    };
    let mut lines = text.lines().filter(|line| !line.trim_ascii().is_empty());
    is_shallow(text) && (is_one(text) || (!text.trim_ascii().is_empty() && lines.all(is_one)))
}

/// Says whether brackets outside of strings are nested as deep as is read, at most.
fn is_shallow(text: &str) -> bool {
    let (mut depth, mut is_string, mut is_escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            b'"' if !is_escaped => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_escaped = is_string && byte == b'\\' && !is_escaped;
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

/// Scrubs `text`. Returns what is left, and how often something was taken out.
pub(in crate::release) fn scrub(
    reader: &mut Reader<'_>,
    text: &str,
) -> Result<(String, u64), ScrubError> {
    if !is_json(text) {
        return reader.piece(&|| "content".into(), None, text);
    }
    let mut walk = Walk {
        reader,
        text,
        at: 0,
        copied: 0,
        left: String::new(),
        taken: 0,
        frames: Vec::new(),
    };
    walk.run()?;
    let rest = text.get(walk.copied..).unwrap_or_default();
    walk.left.push_str(rest);
    Ok((walk.left, walk.taken))
}

struct Walk<'a, 'b, 'c> {
    reader: &'a mut Reader<'b>,
    text: &'c str,
    /// Where the walk is.
    at: usize,
    /// Up to where the text is in `left`.
    copied: usize,
    left: String,
    taken: u64,
    frames: Vec<Frame>,
}

/// An object or array that is open.
#[derive(Default)]
struct Frame {
    /// Whether it is an object, and a key comes next.
    is_key_next: bool,
    is_object: bool,
    /// The key as it was, of an array that around it: it says what the values are. Empty where it is long.
    key: String,
    /// The key as it leaves, or the place in an array.
    shown: String,
    place: u64,
    keys: Keys,
}

/// The keys of one object, so that those that become equal stay apart.
#[derive(Default)]
struct Keys {
    seen: Names,
    renamed: BTreeSet<String>,
}

impl Keys {
    /// Takes in a key that is `changed` or not; returns it as it leaves, where it has to be another.
    fn take(&mut self, key: &str, is_changed: bool) -> Option<String> {
        let free = self.seen.take(key);
        // Those that were the same from the beginning stay so.
        if !is_changed && !self.renamed.contains(key) {
            return None;
        }
        self.renamed.insert(free.clone());
        Some(free)
    }
}

impl Walk<'_, '_, '_> {
    fn run(&mut self) -> Result<(), ScrubError> {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b'{' | b'[' => self.open(byte == b'{'),
                b'}' | b']' => {
                    self.frames.pop();
                    self.at += 1;
                }
                b',' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.is_key_next = frame.is_object;
                        frame.place += 1;
                    }
                    self.at += 1;
                }
                b':' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.is_key_next = false;
                    }
                    self.at += 1;
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn open(&mut self, is_object: bool) {
        let key = self.frames.last().filter(|_| !is_object);
        let key = key.map(|frame| frame.key.clone()).unwrap_or_default();
        self.frames.push(Frame {
            is_key_next: is_object,
            is_object,
            key,
            ..Frame::default()
        });
        self.at += 1;
    }

    fn string(&mut self) -> Result<(), ScrubError> {
        let start = self.at;
        let mut is_escaped = false;
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let end = rest.iter().position(|byte| {
            let is_end = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_end
        });
        self.at = end.map_or(self.text.len(), |end| start + 2 + end);
        let raw = self.text.get(start..self.at).unwrap_or_default();
        let inner = raw.strip_prefix('"').unwrap_or(raw);
        let inner = inner.strip_suffix('"').unwrap_or(inner);
        let is_escaped = inner.contains('\\');
        let text: Cow<'_, str> = if is_escaped {
            Cow::Owned(decoded(inner))
        } else {
            Cow::Borrowed(inner)
        };
        // Stage 2 reads what is written: escapes must neither hide an identifier nor make up one.
        let is_hidden = is_escaped
            && (self.reader.has_identifier(&text) || self.reader.has_identifier(inner))
            && self.written(&text) != raw;
        let is_key = self.frames.last().is_some_and(|frame| frame.is_key_next);
        let after = if is_key {
            self.key(&text)?
        } else {
            self.value(&text)?
        };
        match after {
            Some(after) => self.splice(start, &after),
            None if is_hidden => self.splice(start, &text),
            None => {}
        }
        Ok(())
    }

    /// Scrubs a key; returns it where it is another now.
    fn key(&mut self, text: &str) -> Result<Option<String>, ScrubError> {
        if let Some(frame) = self.frames.last_mut() {
            frame.shown = "(key)".into();
        }
        let (clean, taken) = self.piece(None, text)?;
        let Some(frame) = self.frames.last_mut() else {
            return Ok(None);
        };
        let after = frame.keys.take(&clean, taken > 0);
        let shown = after.as_deref().unwrap_or(text);
        frame.shown = shown.chars().take(MAX_SHOWN).collect();
        frame.key.clear();
        if text.len() <= MAX_KEY {
            frame.key.push_str(text);
        }
        Ok(after)
    }

    fn value(&mut self, text: &str) -> Result<Option<String>, ScrubError> {
        let key = self.frames.last().map(|frame| frame.key.clone());
        let (clean, taken) = self.piece(key.as_deref(), text)?;
        Ok((taken > 0).then_some(clean))
    }

    fn number(&mut self) -> Result<(), ScrubError> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let len = rest.iter().position(|byte| !is_part(byte));
        self.at = start + len.unwrap_or(rest.len());
        let raw = self.text.get(start..self.at).unwrap_or_default();
        match self.value(raw)? {
            Some(after) => self.splice(start, &after),
            // What stands for an identifier is no number.
            None if self.reader.has_identifier(raw) => self.splice(start, raw),
            None => {}
        }
        Ok(())
    }

    fn piece(&mut self, key: Option<&str>, text: &str) -> Result<(String, u64), ScrubError> {
        let frames = &self.frames;
        let place = || {
            let part = |frame: &Frame| {
                if frame.is_object {
                    frame.shown.replace('~', "~0").replace('/', "~1")
                } else {
                    format!("{}", frame.place)
                }
            };
            let parts: Vec<String> = frames.iter().map(part).collect();
            format!("content /{}", parts.join("/"))
        };
        let (clean, taken) = self.reader.piece(&place, key, text)?;
        self.taken += taken;
        Ok((clean, taken))
    }

    /// Writes `text` as a string in place of what stands from `start` to here.
    fn splice(&mut self, start: usize, text: &str) {
        let before = self.text.get(self.copied..start).unwrap_or_default();
        self.left.push_str(before);
        let written = self.written(text);
        self.left.push_str(&written);
        self.copied = self.at;
    }

    /// Returns `text` as a string in which as many identifiers stand as in the text, so that stage 2 finds them all and
    /// nothing else: the letter of an escape may make one with what follows.
    fn written(&self, text: &str) -> String {
        // Strings are always writable.
        let plain = serde_json::to_string(text).unwrap_or_default();
        let count = self.reader.count_identifiers(text);
        let is_same = |written: &String| self.reader.count_identifiers(written) == count;
        if is_same(&plain) {
            return plain;
        }
        let by_number = |letter: char| match letter {
            '"' | '\\' | '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(letter)),
            _ => letter.into(),
        };
        let numbered = format!("\"{}\"", text.chars().map(by_number).collect::<String>());
        // There is always a writing that hurts nothing: without the text.
        Some(numbered)
            .filter(is_same)
            .unwrap_or_else(|| "\"[identifier]\"".to_owned())
    }
}

/// Returns what stands between the quotes of a string, read. Half of a pair of surrogates becomes U+FFFD.
fn decoded(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut letters = after.chars();
        let letter = letters.next();
        rest = letters.as_str();
        let simple = match letter {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => {
                let (first, behind) = unit(rest);
                let second = behind.strip_prefix("\\u").map(unit);
                let pair = second.and_then(|(second, behind)| {
                    let letter = char::decode_utf16([first, second]).next()?.ok()?;
                    (letter.len_utf16() == 2).then_some((letter, behind))
                });
                let one = char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                let (letter, behind) = pair.unwrap_or((one, behind));
                rest = behind;
                letter
            }
            // A quote, a slash or a backslash.
            Some(other) => other,
            None => continue,
        };
        text.push(simple);
    }
    text.push_str(rest);
    text
}

/// Reads four hexadecimal digits; returns the rest too. It is JSON, so they are there.
fn unit(rest: &str) -> (u16, &str) {
    let (digits, behind) = rest.split_at_checked(4).unwrap_or((rest, ""));
    (u16::from_str_radix(digits, 16).unwrap_or_default(), behind)
}

/// Bytes of a key that may say what its value is. Source: the scrubber reads no longer ones.
const MAX_KEY: usize = 64;
/// Characters of a key in a place.
const MAX_SHOWN: usize = 64;
