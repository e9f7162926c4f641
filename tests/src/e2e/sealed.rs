//! What is addressed is read by its recipients alone: not by the relay that stores it, nor by others who fetch it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::scene::{Scene, shared};
use crate::relay::{EXIT_DEADLINE, Relay, binary, chorus_relay, succeed};

const NAME: &str = "wages-of-november.csv";
const CLEAR: &[u8] = b"Night work earns an extra; ";
/// How every envelope begins.
const ENVELOPE: &[u8] = b"\x0dchorus/seal/1";

impl Scene {
    /// Starts the peer `name`; once it is ready, others can seal to it.
    fn peer(&self, name: &str) -> Relay {
        let mut command = Command::new(binary());
        command
            .args(["peer", "--relay", self.relay.url(), "--data-dir"])
            .arg(self.data(name));
        Relay::spawn(command)
    }

    /// Runs the peer `name` until others can seal to it; returns its id.
    fn introduce(&self, name: &str) -> String {
        let peer = self.peer(name);
        let id = peer.peer_id().to_owned();
        assert!(peer.stop("TERM", EXIT_DEADLINE).success());
        id
    }

    /// Runs `share` as the peer `sender`.
    fn share(&self, sender: &str, file: &Path, args: &[&str]) -> Output {
        let (file, data) = (file.to_str().unwrap(), self.data(sender));
        let url = self.relay.url();
        let fixed = ["share", file, "--relay", url, "--data-dir"];
        let fixed = fixed.into_iter().chain([data.to_str().unwrap()]);
        chorus_relay(&fixed.chain(args.iter().copied()).collect::<Vec<_>>())
    }

    /// Runs `share` as `sender`, expects success, and returns the content id and what was said on standard error.
    fn shared(&self, sender: &str, file: &Path, args: &[&str]) -> (String, String) {
        shared(self.share(sender, file, args))
    }

    /// Runs `get` with these arguments; returns what came, if anything was written, and what was said.
    fn get(&self, cid: &str, args: &[&str]) -> (Output, Option<Vec<u8>>) {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("out");
        let fixed = ["get", cid, "--relay", self.relay.url(), "-o"];
        let fixed = fixed.into_iter().chain([file.to_str().unwrap()]);
        let output = chorus_relay(&fixed.chain(args.iter().copied()).collect::<Vec<_>>());
        let left = fs::read_dir(out.path()).unwrap().count();
        let content = fs::read(&file).ok();
        assert_eq!(left, usize::from(content.is_some()), "a file or nothing");
        (output, content)
    }

    /// Expects that the peer `name` opens `cid`.
    fn opened(&self, name: &str, cid: &str) -> Vec<u8> {
        let data = self.data(name);
        let (output, content) = self.get(cid, &["--data-dir", data.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(said.contains(NAME), "the name arrives: {said}");
        content.unwrap()
    }

    /// Expects that `get` with these arguments writes nothing; returns what it said.
    fn refused(&self, cid: &str, args: &[&str]) -> String {
        let (output, content) = self.get(cid, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(content.is_none(), "written: {said}");
        assert!(said.contains(cid) && !said.contains("panicked"), "{said}");
        said
    }

    /// Returns every byte that the relay has on disk.
    fn stored(&self) -> Vec<u8> {
        let files = fs::read_dir(self.data("relay")).unwrap();
        files
            .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect()
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, what).is_some()
}

#[test]
fn a_file_for_one_peer_reaches_it_and_neither_the_relay_nor_another_peer_reads_it() {
    let scene = Scene::new();
    // They go on running: `get` beside them uses the same directories.
    let (bob, _carol) = (scene.peer("bob"), scene.peer("carol"));
    // Inside the packet, and as blocks that it links to.
    for repeats in [20, 30_000] {
        let content = CLEAR.repeat(repeats);
        let file = scene.file(NAME, &content);
        let (cid, said) = scene.shared("alice", &file, &["--recipient", bob.peer_id()]);
        assert!(
            said.contains(bob.peer_id()) && said.contains("bytes of overhead"),
            "{said}"
        );

        assert!(scene.opened("bob", &cid) == content, "{repeats} repeats");
        let carol = scene.data("carol");
        let said = scene.refused(&cid, &["--data-dir", carol.to_str().unwrap()]);
        assert!(said.contains(carol.to_str().unwrap()), "{said}");
        let said = scene.refused(&cid, &[]);
        assert!(said.contains("--data-dir"), "{said}");
    }

    let stored = scene.stored();
    assert!(
        contains(&stored, ENVELOPE),
        "it is the relay that stores it"
    );
    assert!(!contains(&stored, CLEAR), "in the clear");
    assert!(!contains(&stored, NAME.as_bytes()), "named");
    for line in scene.packets("sealed") {
        let packet = line["packet"].to_string();
        assert!(!packet.contains(NAME), "{packet}");
    }

    // The same file in the open: what was looked for is found.
    let file = scene.file(NAME, &CLEAR.repeat(20));
    scene.shared("alice", &file, &[]);
    let stored = scene.stored();
    assert!(contains(&stored, CLEAR) && contains(&stored, NAME.as_bytes()));
}

#[test]
fn each_of_several_recipients_opens_what_the_sender_itself_cannot() {
    let scene = Scene::new();
    let [bob, carol] = ["bob", "carol"].map(|name| scene.introduce(name));
    let file = scene.file(NAME, CLEAR);
    let json = r#"{"packet_type":"payroll","ttl":3600,"quality_metrics":{"mean_wage":27.5}}"#;
    let json = ["--json", json];
    let recipients = ["--recipient", &bob, "--recipient", &carol];
    let (cid, said) = scene.shared(
        "alice",
        &file,
        &[recipients, [json[0], json[1], recipients[0], &bob]].concat(),
    );
    assert!(said.contains(&bob) && said.contains(&carol), "{said}");
    for name in ["bob", "carol"] {
        assert_eq!(scene.opened(name, &cid), CLEAR);
    }
    // The metrics are read by who opens it, and by nobody else.
    let data = scene.data("bob");
    let (output, _) = scene.get(&cid, &["--data-dir", data.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("\"mean_wage\": 27.5"), "{said}");
    let listed = scene.packets("sealed")[0]["packet"].clone();
    assert_eq!(listed["quality_metrics"], serde_json::json!({}));
    assert!(!contains(&scene.stored(), b"mean_wage"));
    let alice = scene.data("alice");
    scene.refused(&cid, &["--data-dir", alice.to_str().unwrap()]);
    assert!(scene.packets("payroll").is_empty());
    assert_eq!(scene.packets("sealed")[0]["packet"]["ttl"], 3600);
}

#[test]
fn whoever_has_published_no_key_is_named_and_nothing_leaves() {
    let scene = Scene::new();
    let bob = scene.introduce("bob");
    // A peer id like any other, of a peer that never ran.
    let made = succeed(&["keygen", "--data-dir", scene.data("dan").to_str().unwrap()]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let dan = made["peer_id"].as_str().unwrap();
    let file = scene.file(NAME, CLEAR);
    let output = scene.share("alice", &file, &["--recipient", &bob, "--recipient", dan]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(dan) && !said.contains(&bob), "{said}");
    assert!(output.stdout.is_empty());
    assert!(scene.packets("sealed").is_empty() && scene.packets("file").is_empty());

    let usage: [&[&str]; 2] = [
        &["--recipient", "bob"],
        &["--recipient", &bob, "--json", r#"{"instructions":{}}"#],
    ];
    for args in usage {
        let output = scene.share("alice", &file, args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
    }
}

#[test]
fn an_envelope_that_was_changed_or_is_sent_by_another_does_not_open() {
    let scene = Scene::new();
    let bob = scene.introduce("bob");
    let file = scene.file(NAME, CLEAR);
    let (cid, said) = scene.shared("alice", &file, &["--recipient", &bob]);
    // "27 bytes became 200: 173 bytes of overhead"
    let words: Vec<_> = said.split([' ', ':']).collect();
    let at = words.iter().position(|word| *word == "became").unwrap();
    let len: usize = words[at + 1].parse().unwrap();
    let stored = scene.stored();
    let start = find(&stored, ENVELOPE).unwrap();
    let envelope = stored[start..start + len].to_vec();

    let data = scene.data("bob");
    let bobs = ["--data-dir", data.to_str().unwrap()];
    let sealed = ["--json", r#"{"packet_type":"sealed"}"#];
    let resent = scene.dir.path().join("envelope");
    let send = |sender: &str, envelope: &[u8]| {
        fs::write(&resent, envelope).unwrap();
        scene.shared(sender, &resent, &sealed).0
    };
    // As it was, and by the same sender: what was taken from the relay's disk is the envelope.
    let again = send("alice", &envelope);
    assert_ne!(again, cid);
    assert_eq!(scene.opened("bob", &again), CLEAR);

    let lifted = send("mallory", &envelope);
    let said = scene.refused(&lifted, &bobs);
    assert!(said.contains("for this author"), "{said}");
    let last = envelope.len() - 1;
    for at in [5, 14, 20, last] {
        let mut changed = envelope.clone();
        changed[at] ^= 1;
        scene.refused(&send("alice", &changed), &bobs);
    }
    scene.refused(&send("alice", &envelope[..last]), &bobs);
    scene.refused(&send("alice", &[&envelope[..], b"more"].concat()), &bobs);
    scene.refused(&send("alice", b"no envelope"), &bobs);
}

#[test]
fn keys_survive_restarts_and_are_published_once() {
    let scene = Scene::new();
    let bob = scene.introduce("bob");
    let file = scene.file(NAME, CLEAR);
    let (cid, _) = scene.shared("alice", &file, &["--recipient", &bob]);
    let published = |scene: &Scene| -> Vec<String> {
        let packets = scene.packets("seal-key").into_iter();
        let of_bob = packets.filter(|line| line["packet"]["organism_id"] == bob.as_str());
        of_bob.map(|line| line["cid"].to_string()).collect()
    };
    let first = published(&scene);
    assert_eq!(first.len(), 1);

    assert_eq!(scene.introduce("bob"), bob);
    assert_eq!(scene.opened("bob", &cid), CLEAR);
    assert_eq!(scene.opened("bob", &cid), CLEAR);
    assert_eq!(published(&scene), first);

    // A relay that starts from nothing has the key again as soon as its owner is there.
    let Scene { dir, relay } = scene;
    assert!(relay.stop("TERM", EXIT_DEADLINE).success());
    fs::remove_dir_all(dir.path().join("relay")).unwrap();
    let relay = Relay::start(&dir.path().join("relay"));
    let scene = Scene { dir, relay };
    assert!(published(&scene).is_empty());
    scene.introduce("bob");
    assert_eq!(published(&scene), first);
    let (cid, _) = scene.shared("alice", &file, &["--recipient", &bob]);
    assert_eq!(scene.opened("bob", &cid), CLEAR);
}

#[test]
fn a_key_published_at_one_relay_is_found_through_another() {
    let scene = Scene::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Relay::start_with(elsewhere.path(), &["--bootstrap", scene.relay.url()]);
    let bob = scene.introduce("bob");
    let file = scene.file(NAME, CLEAR);
    let shared = ["share", file.to_str().unwrap(), "--relay", other.url()];
    // The news travels between the relays once they know each other: ask until it came.
    let deadline = std::time::Instant::now() + crate::relay::DEADLINE;
    let cid = loop {
        let output = chorus_relay(&[&shared[..], &["--recipient", &bob]].concat());
        if output.status.success() {
            break String::from_utf8(output.stdout).unwrap();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&bob), "{said}");
        assert!(std::time::Instant::now() < deadline, "{said}");
    };
    assert_eq!(scene.opened("bob", cid.trim_end()), CLEAR);
}

#[test]
fn a_damaged_keyring_is_reported_with_its_path_and_left_as_it_is() {
    let scene = Scene::new();
    let bob = scene.introduce("bob");
    let file = scene.file(NAME, CLEAR);
    let (cid, _) = scene.shared("alice", &file, &["--recipient", &bob]);
    let data = scene.data("bob");
    let keyring = data.join("keyring.redb");
    let original = fs::read(&keyring).unwrap();
    let flipped: Vec<u8> = original[..64].iter().map(|byte| !byte).collect();
    let damages = [
        b"not what you wrote ".repeat(400),
        Vec::new(),
        original[..original.len() / 2].to_owned(),
        [&flipped, &original[64..]].concat(),
        fs::read(data.join("chorus.redb")).unwrap(),
    ];
    let (url, data) = (scene.relay.url(), data.to_str().unwrap());
    for (which, damaged) in damages.iter().enumerate() {
        fs::write(&keyring, damaged).unwrap();
        let outputs = [
            chorus_relay(&["peer", "--relay", url, "--data-dir", data]),
            scene.get(&cid, &["--data-dir", data]).0,
            scene.share("bob", &file, &[]),
        ];
        for output in outputs {
            let said = String::from_utf8_lossy(&output.stderr);
            let case = format!("damage {which}: {said}");
            assert_eq!(output.status.code(), Some(1), "{case}");
            assert!(said.contains(keyring.to_str().unwrap()), "{case}");
            assert!(
                output.stdout.is_empty() && !said.contains("panicked"),
                "{case}"
            );
            assert!(
                fs::read(&keyring).unwrap() == *damaged,
                "overwritten: {case}"
            );
        }
    }
    fs::write(&keyring, original).unwrap();
    assert_eq!(scene.opened("bob", &cid), CLEAR);
}
