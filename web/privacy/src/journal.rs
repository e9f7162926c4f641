//! The journal of what left, as text that the page keeps.

use chorus_core::release::{Entry, Journal};
use wasm_bindgen::prelude::*;

use crate::error::error;

/// Returns `journal` (JSON; none: an empty one) with `entry` (JSON) at its end.
///
/// # Errors
/// `ERR_DAMAGED`: the journal cannot be read. `ERR_NOT_KEPT`: it is full. `ERR_INVALID_ARGUMENT`: this is no entry.
#[wasm_bindgen(js_name = journalWith)]
pub fn journal_with(journal: Option<String>, entry: &str) -> Result<String, JsValue> {
    let mut journal = read(journal)?;
    let mut entry: Entry =
        serde_json::from_str(entry).map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
    // What the owner shares is a line of its own, whatever the page says of it.
    entry.is_routine = false;
    journal.push(entry).map_err(|e| error("ERR_NOT_KEPT", &e))?;
    Ok(journal.to_json())
}

/// Returns the entries of both journals as one, the oldest first.
///
/// # Errors
/// `ERR_DAMAGED`: one of them cannot be read.
#[wasm_bindgen(js_name = journalOf)]
pub fn journal_of(shared: Option<String>, learned: Option<String>) -> Result<String, JsValue> {
    let (shared, learned) = (read(shared)?, read(learned)?);
    let mut entries: Vec<&Entry> = shared.entries().chain(learned.entries()).collect();
    entries.sort_by_key(|entry| entry.at);
    let mut journal = Journal::new();
    for entry in entries {
        // Both are within the bound; where the sum is not, the oldest are joined.
        let _ = journal.push(entry.clone());
    }
    Ok(journal.to_json())
}

fn read(journal: Option<String>) -> Result<Journal, JsValue> {
    match journal {
        Some(text) => Journal::from_json(&text).map_err(|e| error("ERR_DAMAGED", &e)),
        None => Ok(Journal::new()),
    }
}
