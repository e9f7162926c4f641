//! What `share` takes out before a file leaves, what it says of it, and what it notes.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chorus_core::privacy::noise::{Neighbours, plan};
use serde_json::Value;

use super::scene::{Scene, shared};
use crate::relay::{EXIT_DEADLINE, Relay, binary, chorus_relay, finish, succeed};

const NOTE: &[u8] = b"Dear all,\nplease write to ada@example.org before noon.\n";
const MASKED: &[u8] = b"Dear all,\nplease write to [email] before noon.\n";
/// A key that opens nothing: its bytes are zeros.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";

/// A scene with the data directory of the one who shares.
struct Desk(Scene);

impl Deref for Desk {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.0
    }
}

impl Desk {
    fn new() -> Self {
        Self(Scene::new())
    }

    fn data(&self) -> PathBuf {
        self.0.data("own")
    }

    fn share(&self, file: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("share").arg(file);
        command.args(["--relay", self.relay.url()]).args(args);
        finish(command.env("USER", "lovelace-1815"))
    }

    /// Shares from the data directory, expects success, and returns the content id and what was said.
    fn shared(&self, file: &Path, args: &[&str]) -> (String, String) {
        let data = self.data();
        let data = ["--data-dir", data.to_str().unwrap()];
        shared(self.share(file, &[&data[..], args].concat()))
    }

    /// Shares, expects that nothing leaves, and returns what was said.
    fn refused(&self, file: &Path, args: &[&str], status: i32) -> String {
        let before = self.packets("file").len();
        let output = self.share(file, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(
            output.stdout.is_empty() && !said.contains("panicked"),
            "{said}"
        );
        assert_eq!(self.packets("file").len(), before, "something left: {said}");
        said
    }

    fn got(&self, cid: &str) -> Vec<u8> {
        let file = self.dir.path().join("got");
        let out = file.to_str().unwrap();
        succeed(&["get", cid, "--relay", self.relay.url(), "-o", out]);
        fs::read(file).unwrap()
    }

    fn ledger(&self) -> Value {
        let data = self.data();
        let printed = succeed(&["ledger", "--data-dir", data.to_str().unwrap(), "--json"]);
        serde_json::from_str(&printed).unwrap()
    }
}

#[test]
fn an_address_arrives_masked_or_as_its_owner_wants_it_and_both_are_listed() {
    let desk = Desk::new();
    let file = desk.file("note for ada@example.org.txt", NOTE);
    assert_eq!(
        desk.ledger()["entries"],
        serde_json::json!([]),
        "nothing left yet"
    );

    let output = desk.share(&file, &["--preview"]);
    let preview: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(preview["findings_total"], 2);
    assert_eq!(preview["findings"][0]["before"], "ada@example.org");
    assert_eq!(
        (&preview["format"], &preview["readers"]),
        (&"text".into(), &"everybody".into())
    );
    assert!(desk.packets("file").is_empty(), "a preview shares nothing");

    let (masked, said) = desk.shared(&file, &[]);
    assert_eq!(desk.got(&masked), MASKED);
    // Not a terminal: it may be kept.
    assert!(said.contains("content: email, 1"), "{said}");
    assert!(!said.contains("ada@"), "{said}");
    assert!(said.contains("everybody in the network"), "{said}");
    let packet = desk.packets("file")[0]["packet"].to_string();
    assert!(packet.contains("note for [email].txt"), "{packet}");
    assert!(!packet.contains("ada@"), "{packet}");
    assert_eq!(
        desk.packets("file")[0]["packet"]["compatibility_hash"],
        preview["content_digest"]
    );

    let (verbatim, said) = desk.shared(&file, &["--verbatim"]);
    assert_eq!(desk.got(&verbatim), NOTE);
    assert!(
        said.contains("email, 1, stays") && said.contains("left as it is"),
        "{said}"
    );
    assert!(!said.contains("ada@"), "{said}");

    let Desk(Scene { dir, relay }) = desk;
    assert!(relay.stop("TERM", EXIT_DEADLINE).success());
    let relay = Relay::start(&dir.path().join("relay"));
    let desk = Desk(Scene { dir, relay });
    let ledger = desk.ledger();
    let entries = ledger["entries"].as_array().unwrap();
    assert_eq!((ledger["version"].as_u64(), entries.len()), (Some(1), 3));
    let (key, entries) = entries.split_first().unwrap();
    assert_eq!(
        (&key["packet_type"], &key["cid"]),
        (&"seal-key".into(), &desk.packets("seal-key")[0]["cid"])
    );
    for (entry, (cid, is_verbatim)) in entries.iter().zip([(&masked, false), (&verbatim, true)]) {
        assert_eq!(entry["cid"], cid.as_str());
        assert_eq!(
            (&entry["is_verbatim"], &entry["readers"]),
            (&is_verbatim.into(), &"everybody".into())
        );
        assert_eq!(entry["name"], "note for [email].txt");
        assert_eq!(entry["findings"]["email"], 2);
    }
    assert!(!ledger.to_string().contains("ada@"), "{ledger}");
    let data = desk.data();
    let printed = succeed(&["ledger", "--data-dir", data.to_str().unwrap()]);
    assert!(
        printed.contains(&masked) && printed.contains(&verbatim),
        "{printed}"
    );
    assert!(
        printed.contains("3 left; epsilon spent 0.0000 of 8"),
        "{printed}"
    );
}

#[test]
fn the_name_of_the_user_arrives_as_a_pseudonym_and_plain_text_as_it_is() {
    let desk = Desk::new();
    let file = desk.file("note.txt", b"saved by Lovelace-1815 today");
    let (cid, said) = desk.shared(&file, &[]);
    let got = String::from_utf8(desk.got(&cid)).unwrap();
    assert!(
        got.starts_with("saved by anon-") && got.ends_with(" today"),
        "{got}"
    );
    assert!(said.contains("for your user"), "{said}");
    let (again, _) = desk.shared(&file, &["--json", r#"{"ttl":60}"#]);
    assert_eq!(desk.got(&again), got.as_bytes(), "the same within a day");

    let plain = desk.file("plain.txt", b"nothing to see here");
    let (cid, _) = desk.shared(&plain, &[]);
    assert_eq!(desk.got(&cid), b"nothing to see here");
}

#[test]
fn a_picture_leaves_without_what_describes_it() {
    // Checksums are not looked at.
    let chunk = |kind: &[u8], data: &[u8]| {
        let len = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&len[..], kind, data, &[0; 4]].concat()
    };
    let (head, data) = (chunk(b"IHDR", &[0; 13]), chunk(b"IDAT", &[0x80; 50]));
    let (text, end) = (chunk(b"tEXt", b"Author\0Ada Lovelace"), chunk(b"IEND", b""));
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    let desk = Desk::new();
    let with = [&signature, &head, &text, &data, &end]
        .map(|part| part.clone())
        .concat();
    let without = [&signature, &head, &data, &end]
        .map(|part| part.clone())
        .concat();
    let file = desk.file("picture.png", &with);
    let (cid, said) = desk.shared(&file, &[]);
    assert!(desk.got(&cid) == without);
    assert!(
        said.contains("png tEXt Author") && said.contains("not searched"),
        "{said}"
    );
}

#[test]
fn a_private_key_is_refused_and_nothing_leaves() {
    let desk = Desk::new();
    let file = desk.file("id", KEY.as_bytes());
    let data = desk.data();
    let data = ["--data-dir", data.to_str().unwrap()];
    for args in [&[][..], &["--verbatim"], &["--preview"]] {
        let said = desk.refused(&file, &[args, &data].concat(), 1);
        assert!(
            said.contains("private_key") && !said.contains("MC4C"),
            "{said}"
        );
    }
    assert_eq!(desk.ledger()["entries"], serde_json::json!([]));
}

#[test]
fn noise_is_paid_from_a_budget_that_ends() {
    let desk = Desk::new();
    let header = br#"{"__metadata__":{"by":"ada@example.org"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let numbers = [0.5f32, -0.25].map(f32::to_le_bytes).concat();
    let len = (header.len() as u64).to_le_bytes();
    let weights = [&len[..], header, &numbers].concat();
    let file = desk.file("weights.safetensors", &weights);
    let noise = ["--clip-norm", "1", "--noise", "1"];
    let said = desk.refused(&file, &noise, 2);
    assert!(said.contains("--data-dir"), "{said}");

    let data = desk.data();
    let paid = [&noise[..], &["--data-dir", data.to_str().unwrap()]].concat();
    let text = desk.file("note.txt", NOTE);
    desk.refused(&text, &paid, 1);
    let keyless = ["--recipient", desk.relay.peer_id()];
    for (why, said) in [
        (&["--json", r#"{"ttl":0}"#][..], "ttl"),
        (&keyless[..], "sealed"),
    ] {
        let refused = desk.refused(&file, &[&paid[..], why].concat(), 1);
        assert!(refused.contains(said), "{why:?}: {refused}");
    }
    let plain = desk.file("empty.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    let (_, said) = desk.shared(&plain, &noise);
    assert!(!said.contains("numbers clipped"), "{said}");
    assert_eq!(desk.ledger()["budget"]["epsilon_spent"], 0.0);
    let mut releases = Vec::new();
    let said = loop {
        let preview = desk.share(&file, &[&paid[..], &["--preview"]].concat());
        if !preview.status.success() {
            break desk.refused(&file, &paid, 1);
        }
        let (cid, said) = desk.shared(&file, &noise);
        assert!(
            said.contains("noise: 2 numbers") && said.contains("safetensors by"),
            "{said}"
        );
        let got = desk.got(&cid);
        assert!(!got.ends_with(&numbers), "noise was added");
        releases.push((cid, got));
        assert!(releases.len() < 10, "the budget ends");
    };
    assert!(said.contains("epsilon must be at most 8"), "{said}");
    assert!(!releases.is_empty());
    let ledger = desk.ledger();
    let entries = ledger["entries"].as_array().unwrap();
    let paid = entries.iter().filter(|e| e["epsilon_after"].is_number());
    assert_eq!(paid.count(), releases.len());
    let spent = ledger["budget"]["epsilon_spent"].as_f64().unwrap();
    assert_eq!(
        entries.last().unwrap()["epsilon_after"].as_f64(),
        Some(spent)
    );
    let one = plan(1.0, Neighbours::Absent, 1.0).unwrap().cost().unwrap();
    let cost = |times: usize| one.times(times as u64).epsilon(1e-5).unwrap();
    let due = cost(releases.len());
    assert!(
        (spent - due).abs() < 1e-9,
        "previews and refusals cost nothing: {spent}, {due}"
    );
    assert!(due <= 8.0 && cost(releases.len() + 1) > 8.0);
    let told = desk.packets("file").into_iter().filter_map(|packet| {
        let metrics = &packet["packet"]["quality_metrics"];
        metrics["privacy.epsilon"].as_f64()
    });
    let told: Vec<f64> = told.collect();
    assert_eq!(told.len(), releases.len());
    assert!(told.iter().all(|epsilon| *epsilon <= spent), "{told:?}");
}

#[test]
fn sharing_beside_a_running_peer_says_what_to_do() {
    let desk = Desk::new();
    let data = desk.data();
    let mut command = Command::new(binary());
    command.args(["peer", "--relay", desk.relay.url(), "--data-dir"]);
    let _peer = Relay::spawn({
        command.arg(&data);
        command
    });
    let file = desk.file("note.txt", NOTE);
    let said = desk.refused(&file, &["--data-dir", data.to_str().unwrap()], 1);
    assert!(
        said.contains("in use") && said.contains("Stop it"),
        "{said}"
    );
    let listed = chorus_relay(&["ledger", "--data-dir", data.to_str().unwrap()]);
    assert!(listed.status.success(), "the list can be read beside it");
}
