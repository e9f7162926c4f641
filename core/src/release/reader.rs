//! Stage 1's reader: scrubs each text of a draft as what it is, and notes what it found for the preview.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::ReleaseError;
use super::format::json;
use super::preview::{Found, MAX_FOUND};
use crate::privacy::scrub::{Action, Finding, Kind, ScrubError, Scrubber};
use crate::privacy::{Change, Clean, MIN_IDENTIFIER};

/// A place of ours among the texts of a draft.
///
/// Its key is shorter than any identifier that is looked for, and too short for the scrubber to find anything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The content, where it is text.
    Content,
    /// What the content is called.
    Name,
    /// The packet's type.
    Type,
    /// The metric that the integration waits for.
    When,
    /// The region, pattern or locus.
    Where,
    /// The metric, context or task.
    Why,
    /// The name of what is to be integrated.
    What,
    /// Its format.
    WhatFormat,
    /// The name of a metric, by its place.
    Metric(u16),
    /// The name of a tensor, by its place.
    Tensor(u16),
}

impl Slot {
    /// Returns the key: three bytes at most.
    pub(super) fn key(self) -> String {
        match self {
            Self::Content => "c".into(),
            Self::Name => "n".into(),
            Self::Type => "t".into(),
            Self::When => "w1".into(),
            Self::Where => "w2".into(),
            Self::Why => "w3".into(),
            Self::What => "w4".into(),
            Self::WhatFormat => "w5".into(),
            Self::Metric(place) => numbered('q', place),
            Self::Tensor(place) => numbered('s', place),
        }
    }

    /// Returns the slot of a key.
    pub(super) fn of(key: &str) -> Option<Self> {
        Some(match key {
            "c" => Self::Content,
            "n" => Self::Name,
            "t" => Self::Type,
            "w1" => Self::When,
            "w2" => Self::Where,
            "w3" => Self::Why,
            "w4" => Self::What,
            "w5" => Self::WhatFormat,
            _ => match *key.as_bytes() {
                [b'q', high, low] => Self::Metric(number(high, low)?),
                [b's', high, low] => Self::Tensor(number(high, low)?),
                _ => return None,
            },
        })
    }

    /// Returns how the place is called in a preview.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Name => "name",
            Self::Type => "packet type",
            Self::When => "instruction when",
            Self::Where => "instruction where",
            Self::Why => "instruction why",
            Self::What | Self::WhatFormat => "instruction what",
            Self::Metric(_) => "name of a metric",
            Self::Tensor(_) => "name of a tensor",
        }
    }

    /// The places of metrics and of tensors: as many as two signs tell apart.
    pub(super) const MAX_NUMBER: usize = SIGNS as usize * SIGNS as usize;
}

/// Signs that number slots: printable ASCII from `!` to `z`.
const SIGNS: u16 = 90;

fn numbered(lead: char, place: u16) -> String {
    let sign = |digit: u16| char::from(b'!' + digit.to_le_bytes()[0]);
    [lead, sign(place / SIGNS % SIGNS), sign(place % SIGNS)]
        .iter()
        .collect()
}

fn number(high: u8, low: u8) -> Option<u16> {
    let digit = |sign: u8| Some(u16::from(sign.checked_sub(b'!')?)).filter(|d| *d < SIGNS);
    Some(digit(high)? * SIGNS + digit(low)?)
}

/// Scrubs, and notes.
pub(super) struct Reader<'a> {
    scrubber: &'a Scrubber,
    /// Whether the content is JSON.
    is_json: bool,
    /// What stage 2 will look for, in lower case.
    identifiers: Vec<String>,
    /// Whether what is found stays: the owner wants it so.
    is_kept: bool,
    calls: Vec<Call>,
    /// What was found in all, by kind.
    pub(super) by_kind: BTreeMap<&'static str, u64>,
    noted: usize,
    /// What was found in content that stays as it is, though the policy takes such out: how much, and the first kind.
    kept: (u64, &'static str),
    refusal: Option<(String, Kind, &'static str)>,
}

/// What was found in one text.
struct Call {
    slot: Option<Slot>,
    found: Vec<Found>,
    is_changed: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        scrubber: &'a Scrubber,
        is_json: bool,
        identifiers: &BTreeMap<String, String>,
    ) -> Self {
        let identifiers = identifiers.values().filter(|i| i.len() >= MIN_IDENTIFIER);
        Self {
            scrubber,
            is_json,
            identifiers: identifiers.map(|i| i.to_ascii_lowercase()).collect(),
            is_kept: false,
            calls: Vec::new(),
            by_kind: BTreeMap::new(),
            noted: 0,
            kept: (0, ""),
            refusal: None,
        }
    }

    /// What stage 2 looks for, in lower case.
    pub(super) fn identifiers(&self) -> &[String] {
        &self.identifiers
    }

    /// Whether the content is read as JSON.
    pub(super) const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Notes what is in content that stays as it is.
    ///
    /// # Errors
    /// [`ReleaseError::Refused`] where the policy refuses it all the same.
    pub(super) fn inspect(&mut self, content: &str) -> Result<(), ReleaseError> {
        self.inspect_as(Some(&Slot::Content.key()), content)
    }

    fn inspect_as(&mut self, key: Option<&str>, content: &str) -> Result<(), ReleaseError> {
        self.is_kept = true;
        let clean = self.read(key, content);
        self.is_kept = false;
        if self.has_identifier(content) {
            self.keep("identifier");
        }
        if clean.is_forbidden {
            return Err(self.refusal_or(|| crate::privacy::PrivacyError::Forbidden {
                place: "content".into(),
                findings: 1,
            }));
        }
        Ok(())
    }

    /// Notes what is in a name, or in the entry `key`, of content that stays as it is.
    ///
    /// # Errors
    /// [`ReleaseError::Refused`] where the policy refuses it all the same.
    pub(super) fn inspect_entry(
        &mut self,
        key: Option<&str>,
        text: &str,
    ) -> Result<(), ReleaseError> {
        // The key of a place of ours would change how it is read.
        let key = key.filter(|key| Slot::of(key).is_none());
        self.inspect_as(key, text)
    }

    /// Notes what is surely in `content`, bytes that stay as they are: less sure findings stand in any noise.
    ///
    /// # Errors
    /// [`ReleaseError::Refused`] where the policy refuses it.
    pub(super) fn inspect_bytes(&mut self, content: &[u8]) -> Result<(), ReleaseError> {
        self.calls.push(Call {
            slot: Some(Slot::Content),
            found: Vec::new(),
            is_changed: false,
        });
        let findings = self.scrubber.scan(content).findings;
        let counts = |one: &&Finding| one.kind == Kind::PrivateKey || is_sure(content, one);
        for finding in findings.iter().filter(counts) {
            let (kind, label) = (finding.kind, finding.label);
            if self.scrubber.policy().action(kind) == Action::Refuse {
                let place = Slot::Content.place().to_owned();
                return Err(ReleaseError::Refused { place, kind, label });
            }
            let (source, shown) = surroundings(content, finding);
            let place = || Slot::Content.place().to_owned();
            self.is_kept = true;
            self.note(&place, &shown, Action::Keep, &source);
            self.is_kept = false;
        }
        let long = self
            .identifiers
            .iter()
            .filter(|one| one.len() >= SURE_IDENTIFIER);
        let mut long = long.map(|one| one.as_bytes());
        if long.any(|one| {
            let mut places = content.windows(one.len());
            places.any(|place| place.eq_ignore_ascii_case(one))
        }) {
            self.keep("identifier");
        }
        Ok(())
    }

    /// Refuses what [`Reader::inspect`] and [`Reader::inspect_bytes`] found in content of a form that is not rewritten.
    ///
    /// # Errors
    /// [`ReleaseError::Unclean`].
    pub(super) fn refuse_kept(&self, form: &'static str) -> Result<(), ReleaseError> {
        match self.kept {
            (0, _) => Ok(()),
            (found, kind) => Err(ReleaseError::Unclean { form, found, kind }),
        }
    }

    fn keep(&mut self, kind: &'static str) {
        if self.kept.0 == 0 {
            self.kept.1 = kind;
        }
        self.kept.0 += 1;
    }

    /// Scrubs `text`, which stands in the field `name`.
    pub(super) fn read(&mut self, name: Option<&str>, text: &str) -> Clean {
        let slot = name.and_then(Slot::of);
        self.calls.push(Call {
            slot,
            found: Vec::new(),
            is_changed: false,
        });
        let place = slot.map_or("name or embedded entry", Slot::place);
        let result = match slot {
            Some(Slot::Content) if self.is_json => json::scrub(self, text),
            // The key of a slot says nothing.
            Some(_) => self.piece(&|| place.to_owned(), None, text),
            None => self.piece(&|| place.to_owned(), name, text),
        };
        match result {
            Ok((text, findings)) => {
                if let Some(call) = self.calls.last_mut() {
                    call.is_changed = findings > 0;
                }
                Clean {
                    text,
                    findings,
                    is_forbidden: false,
                }
            }
            Err(error) => {
                if let ScrubError::Refused { kind, label, .. } = error {
                    self.refusal = Some((place.to_owned(), kind, label));
                }
                Clean {
                    findings: 1,
                    is_forbidden: true,
                    ..Clean::default()
                }
            }
        }
    }

    /// Scrubs one text or a piece of one, until nothing is found any more. Returns what is left, and how often something
    /// was taken out.
    pub(super) fn piece(
        &mut self,
        place: &dyn Fn() -> String,
        key: Option<&str>,
        text: &str,
    ) -> Result<(String, u64), ScrubError> {
        let mut taken = 0u64;
        let mut left: Option<String> = None;
        for _ in 0..MAX_ROUNDS {
            let source = left.as_deref().unwrap_or(text);
            let scrubbed = self.scrubber.scrub_field(key.unwrap_or_default(), source)?;
            let before = taken;
            for finding in &scrubbed.findings {
                let action = self.action(finding.kind);
                taken += u64::from(action != Action::Keep);
                self.note(place, finding, action, source);
            }
            if taken == before {
                break;
            }
            // What was put in may make sense of what stands beside it.
            left = Some(scrubbed.text);
        }
        Ok((left.unwrap_or_else(|| text.to_owned()), taken))
    }

    /// Says whether an identifier stands in `text`.
    pub(super) fn has_identifier(&self, text: &str) -> bool {
        if self.identifiers.is_empty() || text.len() < MIN_IDENTIFIER {
            return false;
        }
        let text = text.to_ascii_lowercase();
        self.identifiers
            .iter()
            .any(|one| text.contains(one.as_str()))
    }

    /// Counts the places where identifiers begin in `text`.
    pub(super) fn count_identifiers(&self, text: &str) -> usize {
        let text = text.to_ascii_lowercase();
        let count = |one: &String| {
            let begins = text.as_bytes().windows(one.len());
            begins.filter(|begin| *begin == one.as_bytes()).count()
        };
        self.identifiers.iter().map(count).sum()
    }

    fn action(&self, kind: Kind) -> Action {
        if self.is_kept {
            return Action::Keep;
        }
        self.scrubber.policy().action(kind)
    }

    fn note(
        &mut self,
        place: &dyn Fn() -> String,
        finding: &Finding,
        action: Action,
        source: &str,
    ) {
        *self.by_kind.entry(finding.kind.name()).or_default() += 1;
        if self.is_kept && self.scrubber.policy().action(finding.kind) != Action::Keep {
            self.keep(finding.kind.name());
        }
        if self.noted >= MAX_FOUND {
            return;
        }
        self.noted += 1;
        let after = if action == Action::Keep {
            None
        } else {
            let value = source.get(finding.span.clone()).unwrap_or_default();
            self.scrubber.replacement(finding, value.as_bytes())
        };
        let found = Found::new(&place(), finding, action, (source, after));
        if let Some(call) = self.calls.last_mut() {
            call.found.push(found);
        }
    }

    /// Returns why a text was refused, or `other`.
    pub(super) fn refusal_or<E: Into<ReleaseError>>(
        &mut self,
        other: impl FnOnce() -> E,
    ) -> ReleaseError {
        match self.refusal.take() {
            Some((place, kind, label)) => ReleaseError::Refused { place, kind, label },
            None => other().into(),
        }
    }

    /// Returns what was noted; `changes` are those of the stages, and know the places of names.
    pub(super) fn into_found(self, changes: &[Change]) -> Vec<Found> {
        // What stays as it is was no change to the stages.
        let mut changes = changes.iter();
        let mut all = Vec::new();
        for call in self.calls {
            let change = if call.is_changed {
                changes.next()
            } else {
                None
            };
            let is_named = call.slot.is_none();
            for mut found in call.found {
                if let Some(change) = change.filter(|_| is_named) {
                    found.place.clone_from(&change.place);
                }
                all.push(found);
            }
        }
        all
    }
}

/// Returns what the scrubber leaves of `line`, or of a text in it, as a word for what was found: `[email]`.
pub(super) fn mask(kind: Kind) -> String {
    format!("[{kind}]")
}

/// Returns the bytes around a finding as text, and the finding in it.
fn surroundings(content: &[u8], finding: &Finding) -> (String, Finding) {
    let (start, end) = (finding.span.start, finding.span.end);
    let (from, to) = (start.saturating_sub(AROUND), end.saturating_add(AROUND));
    let lossy = |from: usize, to: usize| {
        let bytes = content.get(from..to.min(content.len()));
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    let (mut source, value, after) = (lossy(from, start), lossy(start, end), lossy(end, to));
    let span = source.len()..source.len() + value.len();
    source.push_str(&value);
    source.push_str(&after);
    let finding = Finding {
        span,
        ..finding.clone()
    };
    (source, finding)
}

/// Whether a finding in bytes that are no text is none of chance: sure, itself text, and among letters; an e-mail address,
/// which takes nearly any letter, among more of them where noise is on both sides.
fn is_sure(content: &[u8], finding: &Finding) -> bool {
    let is_letter = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let (start, end) = (finding.span.start, finding.span.end);
    let before = content.get(start.saturating_sub(BESIDE)..start);
    let after = content.get(end..content.len().min(end.saturating_add(BESIDE)));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let min_letters = if finding.kind == Kind::Email && is_noise(before) && is_noise(after) {
        MIN_LETTERS_IN_NOISE
    } else {
        MIN_LETTERS
    };
    let before = before.iter().rev().take_while(is_letter);
    let after = after.iter().take_while(is_letter);
    let value = content.get(start..end).unwrap_or_default();
    // Letters of other scripts do not count: two bytes of noise often make one.
    let own = value.iter().filter(is_letter).count();
    let letters = before.count() + own + after.count();
    let value = core::str::from_utf8(value);
    let is_text = value.is_ok_and(|value| {
        let is_letter = |letter: char| !letter.is_control() || "\t\n\r".contains(letter);
        value.chars().all(is_letter)
    });
    finding.confidence >= SURE && is_text && letters >= min_letters
}

/// Whether `bytes`, [`BESIDE`] of them, look drawn at random, as what is compressed or encrypted does: they have nearly as
/// many values as chance gives them, 162 ± 5. Text, tables and records have fewer.
fn is_noise(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes
        .iter()
        .for_each(|&byte| seen[usize::from(byte)] = true);
    bytes.len() == BESIDE && seen.iter().filter(|&&seen| seen).count() >= NOISE_VALUES
}

/// Percent from which a finding in bytes that are no text counts. Guess: surer ones need many signs.
const SURE: u8 = 80;
/// Letters in a row, a finding with what stands beside it. Guess: three bytes in eight of noise are letters, and ten million
/// random bytes have an address of six to ten letters now and then; checked by `noise_is_no_finding`.
const MIN_LETTERS: usize = 14;
/// The same between noise and noise. Source: with 14 an address was seen once in 400 MB of noise, and each letter more makes
/// it about 2.7 times rarer.
const MIN_LETTERS_IN_NOISE: usize = 20;
/// Bytes on either side of a finding that say whether it stands in noise.
const BESIDE: usize = 256;
/// Different values among them from which they are noise: four standard deviations below what chance gives.
const NOISE_VALUES: usize = 140;
/// Bytes from which an identifier counts there. Guess: one of 6 letters stands in 10 MB of noise once in 400,000 times.
const SURE_IDENTIFIER: usize = 6;
/// Bytes that are shown beside a finding.
const AROUND: usize = 96;
/// Times that a text is read until nothing is found. Guess: masks make sense of their neighbours once.
const MAX_ROUNDS: usize = 4;
