//! What leaves, in words for the owner: on standard error, before it leaves.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write},
    io::{IsTerminal, stderr},
};

use chorus_core::release::{Preview, Readers};

/// A preview in lines.
pub(crate) struct Report<'a> {
    preview: &'a Preview,
    /// Whether what was found is shown itself, and not only its kind and place.
    is_clear: bool,
}

impl<'a> Report<'a> {
    /// What to say on standard error: what was found is shown to the owner at a terminal, not to a log.
    pub(crate) fn to_standard_error(preview: &'a Preview) -> Self {
        Self {
            preview,
            is_clear: stderr().is_terminal(),
        }
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preview = self.preview;
        let searched = match (preview.is_searched, preview.is_verbatim) {
            (false, _) => "not searched: nobody looked what is in it",
            (true, true) => "searched, and left as it is",
            (true, false) => "searched",
        };
        writeln!(
            f,
            "leaves: {} bytes of {} ({}, {searched})",
            preview.bytes,
            preview.bytes_before,
            preview.format.name()
        )?;
        if let Some(name) = &preview.name {
            writeln!(f, "name: {}", Plain(name))?;
        }
        for note in &preview.notes {
            writeln!(f, "note: {note}")?;
        }
        findings(preview, self.is_clear, f)?;
        if preview.dropped_total > 0 {
            writeln!(f, "dropped: {} embedded entries", preview.dropped_total)?;
            for entry in preview.dropped.iter().take(MAX_LINES) {
                writeln!(f, "  {} {}", Plain(&entry.block), Plain(&entry.key))?;
            }
        }
        for (kind, pseudonym) in &preview.pseudonyms {
            writeln!(f, "pseudonym: {pseudonym} for your {}", Plain(kind))?;
        }
        for (name, range) in &preview.ranges {
            let (lower, upper) = (range.lower, range.upper);
            writeln!(f, "range: {} is {lower} to {upper}", Plain(name))?;
        }
        for name in &preview.suppressed {
            writeln!(f, "not told: {}", Plain(name))?;
        }
        if let Some(noise) = &preview.noise {
            let left = (noise.epsilon_budget - noise.epsilon_spent).max(0.0);
            writeln!(
                f,
                "noise: {} numbers clipped to norm {}, noise multiplier {}; epsilon spent {:.4} of {} at delta {}, left {left:.4}",
                noise.numbers,
                noise.clip_norm,
                noise.multiplier,
                noise.epsilon_spent,
                noise.epsilon_budget,
                noise.delta
            )?;
        }
        let met = preview.checks.iter().filter(|check| check.is_met).count();
        writeln!(f, "checks: {met} of {} met", preview.checks.len())?;
        match &preview.readers {
            Readers::Everybody => writeln!(f, "who can read it: everybody in the network"),
            Readers::Peers(peers) => {
                writeln!(f, "sealed: nobody can read it but")?;
                for peer in peers {
                    writeln!(f, "  {peer}")?;
                }
                let sealed = preview.sealed_bytes.unwrap_or_default();
                let overhead = sealed.saturating_sub(preview.bytes);
                writeln!(
                    f,
                    "{} bytes became {sealed}: {overhead} bytes of overhead",
                    preview.bytes
                )
            }
        }
    }
}

fn findings(preview: &Preview, is_clear: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if preview.findings_total == 0 {
        return Ok(());
    }
    writeln!(f, "found: {}", preview.findings_total)?;
    if !is_clear {
        return counts(preview, f);
    }
    for found in preview.findings.iter().take(MAX_LINES) {
        write!(
            f,
            "  {}: {}{}",
            Plain(&found.place),
            Plain(&found.context_before),
            Plain(&found.before),
        )?;
        if found.action == "keep" {
            write!(f, " stays")?;
        } else {
            write!(f, " → {}", Plain(&found.after))?;
        }
        let (kind, label, confidence) = (found.kind, found.label, found.confidence);
        writeln!(f, " ({kind}, {label}, {confidence} %)")?;
    }
    let more = preview.findings_total.saturating_sub(MAX_LINES as u64);
    if more > 0 {
        writeln!(f, "  and {more} more")?;
    }
    Ok(())
}

/// Findings by place and kind, without what stood there.
fn counts(preview: &Preview, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for found in &preview.findings {
        // Keys in a JSON pointer may be what was found.
        let place = found.place.split('/').next().unwrap_or_default();
        let stays = found.action == "keep";
        *counts.entry((place.trim(), found.kind, stays)).or_default() += 1;
    }
    for ((place, kind, stays), count) in &counts {
        let stays = if *stays { ", stays" } else { "" };
        writeln!(f, "  {}: {kind}, {count}{stays}", Plain(place))?;
    }
    let more = (preview.findings_total).saturating_sub(preview.findings.len() as u64);
    if more > 0 {
        writeln!(f, "  and {more} more")?;
    }
    Ok(())
}

/// Text that cannot move the cursor, colour the terminal or turn the direction of reading.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            let is_format = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            if c.is_control() || is_format {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Findings and dropped entries in words; `--preview` has more. Guess: a screen.
const MAX_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use chorus_core::{
        privacy::{
            Anonymiser,
            pseudonym::NodeSecret,
            scrub::{Policy, Salt, Scrubber},
        },
        release::{Outgoing, Rules, prepare},
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;

    #[test]
    fn text_of_others_does_not_steer_the_terminal() {
        let shown = Plain("a\u{1b}[31m\r\u{202e}ü\n").to_string();
        assert_eq!(shown, "a\\u{1b}[31m\\u{d}\\u{202e}ü\\u{a}");
    }

    #[test]
    fn what_was_found_is_shown_at_a_terminal_and_not_in_a_log() {
        let content = br#"{"ada@example.org":"grace@example.org","b":"eve@example.org"}"#;
        let outgoing = Outgoing {
            name: Some("to ada@example.org".into()),
            ..Outgoing::new("file", content.to_vec())
        };
        let rules = Rules::new(
            Scrubber::new(Policy::default(), Salt::from_bytes([5; 32])),
            Anonymiser::new(NodeSecret::from_bytes([7; 32]).pseudonyms("main", Default::default())),
        );
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let prepared = prepare(outgoing, &rules, None, &mut rng).unwrap();
        let said = |is_clear| {
            let preview = prepared.preview();
            Report { preview, is_clear }.to_string()
        };
        assert!(
            said(true).contains("eve@example.org → [email]"),
            "{}",
            said(true)
        );
        let logged = said(false);
        assert!(!logged.contains("@example.org"), "{logged}");
        assert!(logged.contains("found: 4\n"), "{logged}");
        assert!(logged.contains("  content: email, 3\n"), "{logged}");
        assert!(logged.contains("  name: email, 1\n"), "{logged}");
    }
}
