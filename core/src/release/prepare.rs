//! The way through all stages.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::error::ReleaseError;
use super::format::{Apart, Format};
use super::instruction::{kept_as, map_texts, packet_name};
use super::outgoing::{NoiseWish, Outgoing, Rules};
use super::prepared::Prepared;
use super::preview::{Dropped, MAX_DROPPED, Measured, NoiseShown, Preview, Readers};
use super::reader::{Reader, Slot, mask};
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::packet::{Instructions, MAX_QUALITY_METRICS, What};
use crate::privacy::ledger::Grant;
use crate::privacy::noise::ClipNorm;
use crate::privacy::scrub::{Action, ScrubError, Scrubber};
use crate::privacy::{
    Declared, DeclaredTensor, Draft, Embedded, Expected, Generaliser, MIN_IDENTIFIER, OTHER, Parts,
    Raw, Refused, Trait, Validated,
};
use crate::seal::Parcel;

/// Takes `outgoing` through all stages: scrub, anonymise, generalise, validate. Nothing leaves yet.
///
/// `grant` is for the noise that `outgoing` wishes, and loses one step. `rng` must be secure. O(n).
///
/// # Errors
/// [`ReleaseError`]: what the policy refuses, what is out of bounds, noise that cannot be added or was not granted, a
/// metric's name that is ours.
pub fn prepare(
    outgoing: Outgoing,
    rules: &Rules,
    grant: Option<&mut Grant>,
    rng: &mut impl CryptoRng,
) -> Result<Prepared, ReleaseError> {
    check(&outgoing, rules)?;
    let Outgoing {
        packet_type,
        name,
        content,
        instructions,
        quality,
        ttl_secs,
        identifiers,
        environment,
        times,
        facts,
        noise,
        is_verbatim,
    } = outgoing;
    let bytes_before = content.len() as u64;
    let format = Format::of(&content);
    let is_json = format == Format::Json;
    let short: Vec<String> = too_short(&identifiers).collect();
    let mut identifiers = telling(identifiers, instructions.as_ref());
    if is_json {
        add_escaped(&mut identifiers);
    }
    let mut reader = Reader::new(&rules.scrubber, is_json, &identifiers);
    let mut draft = Draft {
        identifiers,
        environment,
        times,
        facts,
        ..Draft::default()
    };
    let mut apart = if is_verbatim {
        Apart::keep((content, format), &mut reader)?
    } else {
        let how = (&rules.limits, noise.is_some());
        Apart::take((content, format), (&mut draft, &mut reader), how)?
    };
    let dropped = dropped(&draft.embedded, rules);
    let metrics: Vec<(String, f64)> = quality.into_iter().collect();
    let texts = &mut draft.texts;
    texts.insert(Slot::Type.key(), packet_type.clone());
    if let Some(name) = &name {
        texts.insert(Slot::Name.key(), name.clone());
    }
    for (place, (name, _)) in metrics.iter().enumerate() {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        texts.insert(Slot::Metric(place).key(), name.clone());
    }
    let instructions = instructions.map(|instructions| {
        map_texts(instructions, &mut |slot, text| {
            texts.insert(slot.key(), text.to_string());
            text.to_string()
        })
    });
    let (validated, final_instructions, sample) = {
        let mut stages = Stages {
            rules,
            reader: &mut reader,
            noise,
            instructions,
        };
        stages.run(draft, grant, rng)?
    };
    let parts = validated.parts();
    let text = |slot: Slot| parts.texts.get(&slot.key()).cloned().unwrap_or_default();
    let name = name.map(|_| {
        let mut name = text(Slot::Name);
        name.truncate(name.floor_char_boundary(Parcel::MAX_NAME));
        name
    });
    let packet_type = packet_name(&packet_type, &text(Slot::Type));
    let quality = quality_of(&metrics, parts)?;
    let (is_searched, dropped_more) = (apart.is_searched, apart.dropped_more);
    let (format, mut notes) = (apart.format, core::mem::take(&mut apart.notes));
    notes.extend(short);
    let is_without_noise = noise.is_none() && format == Format::Safetensors;
    let checks = apart.check_unnoised(parts, &final_instructions, &rules.limits)?;
    let body = apart.finish(parts);
    let content = body.bytes(parts);
    if is_json && !is_verbatim && Format::of(content) != Format::Json {
        return Err(ReleaseError::Json);
    }
    let (bytes, content_digest) = (content.len() as u64, Digest::sha256(content));
    // The stages' bound is for what they hold.
    LimitError::check("bytes of the content", bytes, rules.limits.max_bytes)?;
    let findings_by_kind = core::mem::take(&mut reader.by_kind);
    let preview = Preview {
        packet_type: packet_type.clone(),
        name: name.clone(),
        format,
        is_searched,
        is_verbatim,
        notes,
        bytes_before,
        bytes,
        sealed_bytes: None,
        content_digest,
        findings_total: findings_by_kind.values().sum(),
        findings_by_kind: findings_by_kind
            .into_iter()
            .map(|(kind, count)| (kind.to_string(), count))
            .collect(),
        findings: reader.into_found(validated.changes()),
        dropped,
        dropped_total: parts.dropped.saturating_add(dropped_more),
        pseudonyms: (parts.pseudonyms.iter())
            .map(|(kind, pseudonym)| (kind.clone(), pseudonym.to_text()))
            .filter(|(_, pseudonym)| stands_in(pseudonym, parts, &quality))
            .collect(),
        epochs: (parts.epochs.iter())
            .map(|(what, epoch)| (what.clone(), epoch.number()))
            .collect(),
        environment: parts.environment.clone(),
        ranges: parts.ranges.clone(),
        suppressed: parts.suppressed.clone(),
        crowd: parts.crowd,
        noise: shown(parts, sample, rules),
        checks: (validated.report().checks().iter())
            .filter(|check| !(is_without_noise && ON_TENSORS.contains(&check.name)))
            .map(Measured::from)
            .chain(checks)
            .collect(),
        readers: Readers::Everybody,
        quality,
        sealed_quality: BTreeMap::new(),
        ttl_secs,
        lines: final_instructions.lines(),
    };
    Ok(Prepared {
        validated,
        body,
        packet_type,
        name,
        instructions: final_instructions,
        preview,
    })
}

/// Returns the first of the entries that are not kept.
fn dropped(embedded: &[Embedded], rules: &Rules) -> Vec<Dropped> {
    let is_dropped = |entry: &&Embedded| {
        let allowed = &rules.anonymiser.allowed;
        let is_this = |(block, key): &(String, String)| *block == entry.block && *key == entry.key;
        entry.text.is_none() || !allowed.iter().any(is_this)
    };
    let shown = |entry: &Embedded| Dropped {
        block: entry.block.clone(),
        key: entry.key.clone(),
    };
    let dropped = embedded.iter().filter(is_dropped);
    dropped.take(MAX_DROPPED).map(shown).collect()
}

/// Refuses what cannot be right, before anything is read.
fn check(outgoing: &Outgoing, rules: &Rules) -> Result<(), ReleaseError> {
    let bytes = outgoing.content.len() as u64;
    LimitError::check("bytes of the content", bytes, rules.limits.max_bytes)?;
    let metrics = outgoing.quality.len();
    LimitError::check_len("quality metrics", metrics, MAX_QUALITY_METRICS)?;
    for (place, name) in outgoing.quality.keys().enumerate() {
        if let Some(prefix) = RESERVED.iter().find(|prefix| name.starts_with(**prefix)) {
            return Err(ReleaseError::ReservedMetric { place, prefix });
        }
    }
    for (place, (name, figure)) in outgoing.quality.iter().enumerate() {
        // A name alone is cleaned.
        let wrong = |kind, label| ReleaseError::PersonalMetric { place, kind, label };
        match rules.scrubber.scrub_field(name, &format!("{figure}")) {
            Ok(scrubbed) => {
                let is_taken = |kind| rules.scrubber.policy().action(kind) != Action::Keep;
                let mut findings = scrubbed.findings.into_iter();
                if let Some(found) = findings.find(|found| is_taken(found.kind)) {
                    return Err(wrong(found.kind, found.label));
                }
            }
            Err(ScrubError::Refused { kind, label, .. }) => return Err(wrong(kind, label)),
            Err(_) => {}
        }
    }
    if outgoing.is_verbatim && outgoing.noise.is_some() {
        return Err(ReleaseError::NoiseOnVerbatim);
    }
    Ok(())
}

/// Returns the identifiers that tell somebody: not those that are a word in every packet's instructions or in JSON.
fn telling(
    identifiers: BTreeMap<String, String>,
    instructions: Option<&Instructions>,
) -> BTreeMap<String, String> {
    let blank = instructions.cloned().unwrap_or_default();
    let blank = map_texts(blank, &mut |_, _| String::new());
    let mut lines = blank.lines().join(" ");
    lines.push_str(&Instructions::default().lines().join(" "));
    lines.push_str(" true false null anonymous ");
    let is_word = |one: &String| {
        let one = one.trim();
        // `WHERE_MEMORY` is a word, and so are `WHERE` and `MEMORY`.
        let mut whole = lines.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut parts = lines.split(|c: char| !c.is_ascii_alphanumeric());
        whole.any(|word| word.eq_ignore_ascii_case(one))
            || parts.any(|word| word.eq_ignore_ascii_case(one))
    };
    identifiers
        .into_iter()
        .filter(|(_, identifier)| !is_word(identifier))
        .collect()
}

/// Returns `lines` without those of the constant words in which an identifier stands by chance: `earn` in `WHY_LEARN`. What
/// is between quotes was a text of its own.
fn neutral(lines: [String; 6], identifiers: &[String]) -> Vec<String> {
    let is_free = |text: &str| {
        let text = text.to_ascii_lowercase();
        !identifiers.iter().any(|one| text.contains(one.as_str()))
    };
    let neutral = |line: String| {
        let constant = line.split('"').step_by(2).all(is_free);
        if constant {
            return line;
        }
        let texts: Vec<_> = line.split('"').skip(1).step_by(2).collect();
        texts.join(" ")
    };
    lines.into_iter().map(neutral).collect()
}

/// Returns what is to be known of identifiers that are too short to be looked for.
fn too_short(identifiers: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let is_short = |one: &&String| !one.is_empty() && one.len() < MIN_IDENTIFIER;
    let short = identifiers.iter().filter(move |(_, one)| is_short(one));
    short.map(|(kind, _)| {
        let kind: String = kind.chars().filter(|c| !c.is_control()).take(64).collect();
        format!("your {kind} is too short to be looked for: where it stands, it stays")
    })
}

/// Adds the identifiers as JSON writes them, where it writes them differently.
fn add_escaped(identifiers: &mut BTreeMap<String, String>) {
    let escaped = |(kind, identifier): (&String, &String)| {
        let written = serde_json::to_string(identifier).ok()?;
        let written = written.trim_matches('"').to_string();
        (written != *identifier).then(|| (format!("{kind} in json"), written))
    };
    let more: Vec<_> = identifiers.iter().filter_map(escaped).collect();
    identifiers.extend(more);
}

/// What the stages go by.
struct Stages<'a, 'b> {
    rules: &'a Rules,
    reader: &'a mut Reader<'b>,
    noise: Option<NoiseWish>,
    /// The instructions as they were; `None`: by the name.
    instructions: Option<Instructions>,
}

/// What went through, its instructions, and the first numbers before the noise.
type Through = (Validated, Instructions, Vec<f32>);

impl Stages<'_, '_> {
    fn run(
        &mut self,
        draft: Draft,
        grant: Option<&mut Grant>,
        rng: &mut impl CryptoRng,
    ) -> Result<Through, ReleaseError> {
        let rules = self.rules;
        let how = Generaliser {
            published: &rules.published,
            anonymity: rules.anonymity,
            clip_norm: ClipNorm::new(self.noise.map_or(1.0, |wish| wish.clip_norm))?,
            keep_largest: None,
        };
        if let (Some(wish), Some(grant)) = (self.noise, &grant) {
            let (wished, got) = (wish.noise_multiplier, grant.mechanism().noise_multiplier());
            // Scales are whole steps of a grid: 2⁻²⁰ of a clip norm.
            let is_same = (wished - got).abs() <= wished.abs() * 1e-5;
            if !is_same {
                return Err(ReleaseError::OtherNoise { wished, got });
            }
        }
        let raw = Raw::new(draft, &rules.limits).map_err(why)?;
        let reader = &mut *self.reader;
        let scrubbed = raw.scrub(&mut |name, text| reader.read(name, text));
        let scrubbed = match scrubbed {
            Ok(scrubbed) => scrubbed,
            Err(refused) => return Err(reader.refusal_or(|| refused.error)),
        };
        let anonymous = scrubbed.anonymise(&rules.anonymiser);
        let sample = anonymous.tensors().iter().flat_map(|tensor| &tensor.data);
        let sample = sample.take(MAX_SAMPLE).copied().collect();
        let generalised = anonymous.generalise(&how, grant, rng).map_err(why)?;
        let instructions = self.finish_instructions(generalised.parts());
        // What a receiver reads in the codons, beside what the metadata will say.
        let codons = Instructions::from_bytes(&instructions.to_bytes())?;
        let lines = |of: &Instructions| neutral(of.lines(), self.reader.identifiers());
        let expected = Expected {
            limits: rules.limits,
            budget: rules.budget,
            anonymity: rules.anonymity,
            declared: Declared {
                instructions: lines(&codons),
                metadata: lines(&instructions),
                tensors: declared(&instructions, generalised.parts()),
            },
        };
        let json = self.reader.is_json();
        let mut last = Reader::new(&rules.scrubber, json, &BTreeMap::new());
        let validated = generalised
            .validate(&expected, &mut |name, text| last.read(name, text))
            .map_err(why)?;
        Ok((validated, instructions, sample))
    }

    /// Returns the instructions with the texts as they leave.
    fn finish_instructions(&mut self, parts: &Parts) -> Instructions {
        let text = |slot: Slot| parts.texts.get(&slot.key()).cloned();
        let instructions = match self.instructions.take() {
            Some(instructions) => map_texts(instructions, &mut |slot, before| {
                text(slot).unwrap_or_else(|| before.to_string())
            }),
            None => match text(Slot::Name) {
                Some(name) => kept_as(&name),
                None => Instructions::default(),
            },
        };
        readable(instructions, &self.rules.scrubber)
    }
}

/// Returns the tensor that the instructions announce, where tensors leave with noise: the others are not looked into.
fn declared(instructions: &Instructions, parts: &Parts) -> Vec<DeclaredTensor> {
    match &instructions.what {
        What::Weights {
            tensor,
            dtype,
            shape,
        } if !parts.tensors.is_empty() => Vec::from([DeclaredTensor {
            name: tensor.clone(),
            dtype: dtype.name().into(),
            shape: shape.clone(),
        }]),
        What::Weights { .. } | What::Structure { .. } | What::Parameters { .. } => Vec::new(),
    }
}

/// Returns `instructions` with masks for texts in which something is found beside the words of their line.
fn readable(instructions: Instructions, scrubber: &Scrubber) -> Instructions {
    let found = instructions.lines().map(|line| {
        let findings = scrubber.scan(line.as_str()).findings;
        let is_taken = |kind| scrubber.policy().action(kind) != Action::Keep;
        let first = findings.into_iter().find(|finding| is_taken(finding.kind));
        first.map(|finding| mask(finding.kind))
    });
    let [when, whither, _, why, what, _] = found;
    map_texts(instructions, &mut |slot, text| {
        let found = match slot {
            Slot::When => &when,
            Slot::Where => &whither,
            Slot::Why => &why,
            _ => &what,
        };
        found.clone().unwrap_or_else(|| text.to_string())
    })
}

/// Returns the metrics as they leave: those of `metrics` under their clean names, and what the stages tell.
fn quality_of(
    metrics: &[(String, f64)],
    parts: &Parts,
) -> Result<BTreeMap<String, f64>, ReleaseError> {
    let mut quality = BTreeMap::new();
    for (place, (before, figure)) in metrics.iter().enumerate() {
        let slot = Slot::Metric(u16::try_from(place).unwrap_or(u16::MAX));
        let after = parts.texts.get(&slot.key());
        let name = packet_name(before, after.map_or("", String::as_str));
        let mut free = name.clone();
        let mut number = 1u32;
        while quality.contains_key(&free) {
            number += 1;
            free = format!("{name}-{number}");
        }
        quality.insert(free, *figure);
    }
    quality.extend(parts.quality.clone());
    for (fact, range) in &parts.ranges {
        let fact = packet_name("", fact);
        quality.insert(format!("range.{fact}.from"), range.lower);
        quality.insert(format!("range.{fact}.to"), range.upper);
    }
    for (what, epoch) in &parts.epochs {
        let what = packet_name("", what);
        quality.insert(format!("epoch.{what}"), epoch.number() as f64);
    }
    for (of, class) in parts
        .environment
        .iter()
        .filter(|(_, class)| **class != OTHER)
    {
        quality.insert(format!("environment.{}.{class}", word(*of)), 1.0);
    }
    LimitError::check_len("quality metrics", quality.len(), MAX_QUALITY_METRICS)?;
    Ok(quality)
}

/// Whether `pseudonym` stands in anything that leaves.
fn stands_in(pseudonym: &str, parts: &Parts, quality: &BTreeMap<String, f64>) -> bool {
    let texts = (parts.texts.values())
        .chain(parts.tensors.iter().map(|tensor| &tensor.name))
        .chain(
            parts
                .embedded
                .iter()
                .filter_map(|entry| entry.text.as_ref()),
        );
    let mut all = texts.chain(quality.keys());
    all.any(|text| text.contains(pseudonym))
}

/// Returns the name of a trait, as JSON writes it.
const fn word(of: Trait) -> &'static str {
    match of {
        Trait::UserAgent => "user_agent",
        Trait::Platform => "platform",
        Trait::Gpu => "gpu",
        Trait::Cpu => "cpu",
        Trait::Locale => "locale",
        Trait::Other => "other",
    }
}

/// Returns the noise that was added, where some was.
fn shown(parts: &Parts, before: Vec<f32>, rules: &Rules) -> Option<NoiseShown> {
    let figure = |name: &str| parts.quality.get(name).copied();
    let after = parts.tensors.iter().flat_map(|tensor| &tensor.data);
    Some(NoiseShown {
        clip_norm: figure("privacy.clip_norm")?,
        multiplier: figure("privacy.noise_multiplier")?,
        epsilon_spent: figure("privacy.epsilon")?,
        epsilon_budget: rules.budget.epsilon,
        delta: figure("privacy.delta")?,
        numbers: parts.tensors.iter().map(|t| t.data.len() as u64).sum(),
        sample: before.into_iter().zip(after.copied()).collect(),
    })
}

fn why<S>(refused: Refused<S>) -> ReleaseError {
    ReleaseError::Privacy(refused.error)
}

/// Beginnings of metrics' names that say what the stages did.
const RESERVED: [&str; 4] = ["privacy.", "range.", "epoch.", "environment."];
/// Checks of the stages that see no tensor where they leave without noise: others are made then, but that of the noise, which
/// would not be met.
const ON_TENSORS: [&str; 9] = [
    "tensors",
    "elements",
    "misshapen tensors",
    "tensors of the same name",
    "numbers not finite",
    "largest magnitude",
    "tensors without noise",
    "declared types but f32",
    "declared tensors not there",
];
/// Numbers shown before and after the noise.
const MAX_SAMPLE: usize = 8;
