//! The texts inside a packet's instructions, by the places that they have among the texts of a draft.

use alloc::string::{String, ToString};

use super::reader::Slot;
use crate::packet::{Instructions, MAX_TEXT, What, When, Where, Why};

/// Returns the instructions of content that has a name and none of its own: keep it in the region of memory that the name
/// says.
pub fn kept_as(name: &str) -> Instructions {
    Instructions {
        whither: Where::Memory {
            region: region(name),
        },
        ..Instructions::default()
    }
}

/// Returns `instructions` with what `change` makes of each of its texts.
pub(super) fn map_texts(
    mut instructions: Instructions,
    change: &mut impl FnMut(Slot, &str) -> String,
) -> Instructions {
    let mut replace = |slot, text: &mut String| {
        let mut changed = change(slot, text);
        changed.truncate(changed.floor_char_boundary(MAX_TEXT));
        *text = changed;
    };
    match &mut instructions.when {
        When::Threshold { metric, .. } => replace(Slot::When, metric),
        When::Immediate | When::Periodic { .. } => {}
    }
    match &mut instructions.whither {
        Where::Memory { region: text }
        | Where::Pattern { pattern: text }
        | Where::Genetic { locus: text } => replace(Slot::Where, text),
    }
    match &mut instructions.why {
        Why::Optimize { metric: text }
        | Why::Adapt { context: text }
        | Why::Learn { task: text } => replace(Slot::Why, text),
    }
    match &mut instructions.what {
        What::Weights { tensor: text, .. } | What::Parameters { name: text } => {
            replace(Slot::What, text);
        }
        What::Structure { name, format } => {
            replace(Slot::What, name);
            replace(Slot::WhatFormat, format);
        }
    }
    instructions
}

/// Returns `name` as a region of memory: at most 128 bytes, without control characters.
fn region(name: &str) -> String {
    let cut = name
        .get(..name.floor_char_boundary(MAX_REGION))
        .unwrap_or_default();
    cut.replace(char::is_control, "_")
}

/// Returns a name fit for a packet's type or metric: of what the scrubber and the stages put into it, letters, digits and
/// `._/-` stay. A text that was not changed is returned as it is.
pub(super) fn packet_name(before: &str, after: &str) -> String {
    if before == after {
        return after.to_string();
    }
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "._/-".contains(*c);
    let mut name: String = after.chars().filter(is_allowed).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'x');
    }
    name.truncate(crate::packet::MAX_NAME);
    name
}

/// Bytes of a name that travel as a region. Guess: file systems allow twice as many, and few names have them.
const MAX_REGION: usize = 128;
