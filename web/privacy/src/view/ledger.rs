//! What left this tab, and what is left of the budget.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{counted, escape, short, size};

/// A privacy budget and what was spent of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Budget {
    /// ε spent.
    pub spent: f64,
    /// ε that may be spent.
    pub epsilon: f64,
    /// δ of both.
    pub delta: f64,
}

impl Budget {
    /// Returns a bar as wide as what was spent.
    pub(super) fn bar(&self) -> String {
        let share = (self.spent / self.epsilon).clamp(0.0, 1.0) * 100.0;
        format!(
            "<svg class=\"budget\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{share:.0} \
             percent of the budget is spent\"><rect class=\"all\" width=\"100\" height=\"6\"/><rect width=\"{share:.1}\" \
             height=\"6\"/></svg>"
        )
    }
}

/// What is shown, as `www/dialog.js` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What left, the oldest first.
    entries: Vec<Entry>,
    budget: Budget,
    training: Budget,
    /// Until when others can seal to this tab, in the reader's words.
    sealed_until: Option<String>,
}

/// The part of an entry of the API's ledger (`www/chorus.d.ts`) that is shown, with its time in the reader's words.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    time: String,
    count: u64,
    cid: String,
    packet_type: String,
    name: Option<String>,
    bytes: u64,
    readers: Readers,
    findings: BTreeMap<String, u64>,
    dropped_total: u64,
    is_verbatim: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Readers {
    Peers(Vec<String>),
    Word(String),
}

/// Returns what the dialog shows: the newest first.
pub fn ledger(ledger: &Ledger) -> String {
    let mut html = String::from(
        "<h2>What left this tab</h2><p class=\"note\">Kept in this browser alone, so that you can look it \
         up later.</p>",
    );
    html.push_str("<section><h3>Privacy budget</h3>");
    for (budget, what) in [
        (&ledger.budget, "on numbers that were shared with noise"),
        (&ledger.training, "on learning privately"),
    ] {
        html.push_str(&format!(
            "{}<p>ε = {:.2} of {:.2} is spent {what} (δ = {:e}), by all tabs of this browser together.</p>",
            budget.bar(),
            budget.spent,
            budget.epsilon,
            budget.delta
        ));
    }
    html.push_str("</section>");
    html.push_str("<section><h3>Everything that left</h3>");
    if ledger.entries.is_empty() {
        html.push_str("<p class=\"empty\">Nothing yet.</p>");
    } else {
        let rows: String = ledger
            .entries
            .iter()
            .rev()
            .take(MAX_ROWS)
            .map(row)
            .collect();
        html.push_str(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"What left, newest first\"><ul class=\"rows left\">\
             {rows}</ul></div>"
        ));
    }
    html.push_str("</section><section><h3>Sealed files</h3>");
    html.push_str(&match &ledger.sealed_until {
        Some(until) => format!(
            "<p>Others can seal files to this tab until {}.</p>",
            escape(until)
        ),
        None => "<p>Others can seal files to this tab, so that nobody else can read them, once it has published a key for \
                 that.</p><button type=\"button\" class=\"button small\" data-answer=\"receive\">Take sealed files</button>"
            .into(),
    });
    html.push_str(
        "</section><div class=\"buttons\"><button type=\"button\" class=\"button\" data-answer=\"export\">Export the list</button>\
         <button type=\"button\" class=\"button primary\" data-answer=\"no\">Close</button></div>",
    );
    html
}

fn row(entry: &Entry) -> String {
    let what = match entry.packet_type.as_str() {
        "file" => "A file",
        "weights" => "What the model learned",
        "tensors" => "Numbers for a model",
        "seal-key" => "The key for sealed files",
        other => other,
    };
    let name = match (&entry.name, entry.count) {
        (Some(name), 1) => format!(
            "{} <span class=\"sub\">{}</span>",
            escape(name),
            escape(what)
        ),
        (_, 1) => escape(what),
        (_, count) => format!("{}, {count} times", escape(what)),
    };
    let readers = match &entry.readers {
        Readers::Peers(peers) => {
            let names: Vec<_> = peers.iter().map(|peer| escape(&short(peer))).collect();
            format!("sealed to {}", names.join(", "))
        }
        Readers::Word(word) => format!("to {}", escape(word)),
    };
    let found: u64 = entry.findings.values().sum();
    let mut notes = vec![readers];
    match (found, entry.is_verbatim) {
        (0, _) => {}
        (found, true) => notes.push(format!("{} left in it", counted(found, "finding"))),
        (found, false) => notes.push(format!("{} taken out", counted(found, "finding"))),
    }
    if entry.dropped_total > 0 {
        notes.push(format!(
            "{} left out",
            counted(entry.dropped_total, "hidden note")
        ));
    }
    format!(
        "<li data-cid=\"{cid}\" data-type=\"{kind}\"><div><div class=\"name\">{name}</div><div class=\"sub\">{notes} · <code title=\"{cid}\">\
         {short}</code></div></div><div class=\"num\"><div>{bytes}</div><div class=\"sub\">{time}</div></div></li>",
        cid = escape(&entry.cid),
        kind = escape(&entry.packet_type),
        notes = notes.join(" · "),
        short = escape(&short(&entry.cid)),
        bytes = size(entry.bytes),
        time = escape(&entry.time),
    )
}

/// Lines that are shown; the export has all. Guess: more than anybody scrolls through.
const MAX_ROWS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "<img src=x onerror=alert(1)>";

    fn shown(entries: serde_json::Value) -> String {
        let told = serde_json::json!({
            "entries": entries, "budget": { "spent": 2.0, "epsilon": 8.0, "delta": 1e-5 },
            "training": { "spent": 0.0, "epsilon": 8.0, "delta": 1e-5 }, "sealedUntil": EVIL,
        });
        ledger(&serde_json::from_value(told).unwrap())
    }

    fn entry(name: Option<&str>, count: u64) -> serde_json::Value {
        serde_json::json!({
            "time": EVIL, "count": count, "cid": EVIL, "packetType": "weights", "name": name, "bytes": 19_240, "readers": "everybody",
            "findings": { "email": 2 }, "droppedTotal": 1, "isVerbatim": false, "contentDigest": "", "at": 0,
        })
    }

    #[test]
    fn no_name_or_id_becomes_markup() {
        let mut sealed = entry(Some(EVIL), 1);
        sealed["readers"] = serde_json::json!([EVIL]);
        sealed["packetType"] = EVIL.into();
        let html = shown(serde_json::json!([sealed]));
        assert!(
            !html.contains("<img") && html.contains("sealed to …lert(1)&gt;"),
            "{html}"
        );
    }

    #[test]
    fn the_newest_stands_first_and_rounds_of_weights_are_one_line() {
        let html = shown(serde_json::json!([
            entry(Some("older"), 1),
            entry(None, 120)
        ]));
        let (newer, older) = (html.find("120 times").unwrap(), html.find("older").unwrap());
        assert!(newer < older);
        assert!(
            html.contains("2 findings taken out · 1 hidden note left out"),
            "{html}"
        );
        assert!(html.contains("ε = 2.00 of 8.00 is spent on numbers"));
        assert!(html.contains("ε = 0.00 of 8.00 is spent on learning"));
    }

    #[test]
    fn an_empty_list_says_so() {
        assert!(shown(serde_json::json!([])).contains("Nothing yet."));
    }
}
