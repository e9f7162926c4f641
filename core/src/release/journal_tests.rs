//! Tests of the list of everything that left, and of what the network published.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tests::prepared;
use super::*;
use crate::key::Keypair;
use crate::time::Timestamp;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(1_795_233_600_000 + secs * 1000)
}

fn entry(packet_type: &str, secs: u64) -> Entry {
    let outgoing = Outgoing {
        name: Some("to ada@example.org".into()),
        ..Outgoing::new(packet_type, b"from ada@example.org".to_vec())
    };
    Entry::of(
        prepared(outgoing).unwrap().preview(),
        format!("cid {secs}"),
        at(secs),
    )
}

#[test]
fn an_entry_tells_what_left_and_nothing_of_what_was_taken_out() {
    let entry = entry("file", 0);
    assert_eq!(entry.name.as_deref(), Some("to [email]"));
    assert_eq!((entry.bytes, entry.findings["email"]), (12, 2));
    assert!(!serde_json::to_string(&entry).unwrap().contains("ada"));
}

#[test]
fn a_journal_comes_back_as_it_was_written() {
    let mut journal = Journal::new();
    for secs in 0..3 {
        journal.push(entry("file", secs)).unwrap();
    }
    let mut sealed = entry("note", 3);
    sealed.readers = Readers::Peers([Keypair::from_seed(&[1; 32]).peer_id()].into());
    sealed.epsilon_after = Some(1.25);
    journal.push(sealed).unwrap();
    let json = journal.to_json();
    assert!(json.contains("\"version\": 1") && json.contains("\"everybody\""));
    assert_eq!(Journal::from_json(&json).unwrap(), journal);
    assert_eq!((journal.entries().len(), journal.total()), (4, 4));
}

#[test]
fn a_damaged_foreign_or_endless_journal_is_refused_with_its_reason() {
    let mut journal = Journal::new();
    journal.push(entry("file", 0)).unwrap();
    let json = journal.to_json();
    for end in 0..json.len() {
        assert!(Journal::from_json(&json[..end]).is_err(), "cut at {end}");
    }
    let other = json.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(
        Journal::from_json(&other),
        Err(JournalError::Version { got: 2 })
    );
    let unknown = json.replace("\"cid\"", "\"cids\"");
    let error = Journal::from_json(&unknown).unwrap_err().to_string();
    assert!(
        error.contains("unknown") && !error.contains("cids"),
        "{error}"
    );
    let endless = String::from(" ").repeat(MAX_JOURNAL_JSON + 1);
    assert!(matches!(
        Journal::from_json(&endless),
        Err(JournalError::Limit(_))
    ));
    let mut torn = json.into_bytes();
    let at = torn.windows(7).position(|w| w == b"[email]").unwrap();
    torn[at] = 0xff;
    assert!(matches!(
        Journal::from_json(&torn),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn what_a_learner_exchanges_in_a_row_is_one_line_with_its_count_and_time() {
    let learned = |secs| Entry {
        is_routine: true,
        ..entry("weights", secs)
    };
    let mut journal = Journal::new();
    for secs in 0..100 {
        journal.push(learned(secs)).unwrap();
    }
    journal.push(entry("file", 100)).unwrap();
    journal.push(learned(101)).unwrap();
    let lines: Vec<_> = journal
        .entries()
        .map(|e| (e.packet_type.as_str(), e.count))
        .collect();
    assert_eq!(lines, [("weights", 100), ("file", 1), ("weights", 1)]);
    let first = journal.entries().next().unwrap();
    assert_eq!((first.at, first.until), (at(0), Some(at(99))));
    assert_eq!((first.bytes, first.findings["email"]), (1200, 200));
    assert_eq!(first.cid, "cid 99");
    assert_eq!(Journal::from_json(journal.to_json()).unwrap(), journal);
}

#[test]
fn weights_that_their_owner_shares_one_after_the_other_are_told_apart() {
    let mut journal = Journal::new();
    let learned = Entry {
        is_routine: true,
        ..entry("weights", 2)
    };
    for entry in [entry("weights", 0), entry("weights", 1), learned] {
        journal.push(entry).unwrap();
    }
    let told: Vec<_> = journal
        .entries()
        .map(|e| (e.cid.as_str(), e.count))
        .collect();
    assert_eq!(told, [("cid 0", 1), ("cid 1", 1), ("cid 2", 1)]);
}

#[test]
fn a_journal_from_before_routine_was_told_still_reads() {
    let mut journal = Journal::new();
    journal.push(entry("weights", 0)).unwrap();
    let json = journal.to_json();
    assert!(!json.contains("is_routine"), "{json}");
    let read = Journal::from_json(&json).unwrap();
    assert!(!read.entries().next().unwrap().is_routine);
}

#[test]
fn a_full_journal_joins_what_is_alike_and_loses_nothing() {
    let mut journal = Journal::new();
    let (file, note) = (entry("file", 0), entry("note", 0));
    for secs in 0..2 * MAX_ENTRIES as u64 {
        let mut entry = if secs % 3 == 0 {
            note.clone()
        } else {
            file.clone()
        };
        entry.at = at(secs);
        journal.push(entry).unwrap();
    }
    assert!(journal.entries().len() <= MAX_ENTRIES);
    assert_eq!(journal.total(), 2 * MAX_ENTRIES as u64);
    let bytes: u64 = journal.entries().map(|entry| entry.bytes).sum();
    assert_eq!(bytes, 12 * 2 * MAX_ENTRIES as u64);
    let oldest = journal.entries().next().unwrap();
    assert_eq!(oldest.at, at(0));

    let mut journal = Journal::new();
    for number in 0..MAX_ENTRIES as u64 {
        let mut entry = file.clone();
        entry.packet_type = format!("type{number}");
        journal.push(entry).unwrap();
    }
    let before = journal.clone();
    let full = journal.push(note).unwrap_err();
    assert!(matches!(
        full,
        JournalError::Full { entries, .. } if entries == MAX_ENTRIES + 1
    ));
    let said = full.to_string();
    assert!(
        said.contains("is full") && !said.contains("damaged"),
        "{said}"
    );
    assert_eq!(journal, before);
}

#[test]
fn a_journal_of_long_entries_makes_room_in_bytes_and_can_always_be_read_again() {
    // Escapes in JSON: six bytes for one.
    let long = Entry {
        name: Some("\u{1}".repeat(20_000)),
        ..entry("file", 0)
    };
    let mut journal = Journal::new();
    for secs in 0..400 {
        let mut entry = long.clone();
        entry.at = at(secs);
        journal.push(entry).unwrap();
    }
    assert_eq!(journal.total(), 400);
    let json = journal.to_json();
    assert!(json.len() <= MAX_JOURNAL_JSON, "{}", json.len());
    assert_eq!(Journal::from_json(&json).unwrap(), journal);

    let mut journal = Journal::new();
    let mut pushed = 0;
    let full = loop {
        let packet_type = format!("type{pushed}");
        let entry = Entry {
            packet_type,
            ..long.clone()
        };
        match journal.push(entry) {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
        assert!(pushed < 1000, "the bound holds");
    };
    assert!(
        matches!(full, JournalError::Full { bytes, .. } if bytes > MAX_JOURNAL_JSON),
        "{full}"
    );
    assert_eq!(journal.total(), pushed);
    let json = journal.to_json();
    // The refused one alone is what was missing.
    assert!(json.len() <= MAX_JOURNAL_JSON && json.len() > MAX_JOURNAL_JSON - 130_000);
    assert_eq!(Journal::from_json(&json).unwrap(), journal);
}

#[test]
fn the_running_count_of_bytes_is_that_of_the_json() {
    let mut journal = Journal::new();
    for secs in 0..5 {
        let json = journal.to_json().len();
        let counted = journal.json_bytes();
        assert!((json..=json + 48).contains(&counted), "{counted}, {json}");
        let mut entry = entry(if secs < 3 { "file" } else { "weights" }, secs);
        entry.is_routine = secs >= 3;
        entry.readers = Readers::Peers([Keypair::from_seed(&[1; 32]).peer_id()].into());
        journal.push(entry).unwrap();
    }
}

#[test]
fn each_author_counts_once_and_the_owner_not_at_all() {
    let quality = |from: f64, to: f64| -> BTreeMap<String, f64> {
        [
            ("range.records.from".into(), from),
            ("range.records.to".into(), to),
            ("loss".into(), 1.0),
        ]
        .into()
    };
    let id = |seed: u8| Keypair::from_seed(&[seed; 32]).peer_id();
    let (usual, older, none) = (
        quality(1024.0, 2048.0),
        quality(1.0, 2.0),
        quality(2.0, 2.0),
    );
    let packets = [
        (id(1), &usual),
        (id(2), &usual),
        (id(1), &older),
        (id(3), &none),
        (id(9), &usual),
        (id(4), &older),
    ];
    let rows = rows(packets, id(9));
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.ranges["records"].lower, row.owners))
        .collect();
    assert_eq!(told, [(1.0, 1), (1024.0, 2)]);
}
