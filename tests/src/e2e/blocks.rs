//! Files go in by one headless peer and come out by another, through relays.

use std::fs;
use std::path::Path;

use crate::relay::{EXIT_DEADLINE, Relay, chorus_relay, succeed};

/// Shares `content` through the relay at `url` and returns its content id.
fn share(dir: &Path, content: &[u8], url: &str) -> String {
    let file = dir.join("shared.bin");
    fs::write(&file, content).unwrap();
    let printed = succeed(&["share", file.to_str().unwrap(), "--relay", url]);
    let cid = printed.trim().to_owned();
    assert!(cid.starts_with("bafy"), "a CIDv1 of dag-cbor: {cid}");
    cid
}

/// Fetches `cid` through the relay at `url`.
fn get(dir: &Path, cid: &str, url: &str) -> Vec<u8> {
    let file = dir.join("fetched.bin");
    succeed(&["get", cid, "--relay", url, "-o", file.to_str().unwrap()]);
    fs::read(file).unwrap()
}

/// Bytes that no compressor and no repeated block hides.
fn content(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_shared_file_comes_back_identical_whatever_its_size() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(data.path());
    // Inline, one leaf and a byte, and the largest object by default.
    for len in [0, 1000, 256 * 1024 + 1, 10_000_000] {
        let content = content(len);
        let cid = share(files.path(), &content, relay.url());
        assert!(
            get(files.path(), &cid, relay.url()) == content,
            "{len} bytes differ"
        );
    }
}

#[test]
fn an_object_over_the_limit_is_refused_with_the_limit() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(data.path());
    let file = files.path().join("large.bin");
    fs::write(&file, content(10_000_001)).unwrap();
    let output = chorus_relay(&["share", file.to_str().unwrap(), "--relay", relay.url()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("10000000") && error.contains("10000001"),
        "{error}"
    );
}

#[test]
fn a_restarted_relay_still_serves_what_was_shared() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = content(700_000);
    let relay = Relay::start(data.path());
    let cid = share(files.path(), &content, relay.url());
    assert!(relay.stop("TERM", EXIT_DEADLINE).success());

    let relay = Relay::start(data.path());
    assert!(get(files.path(), &cid, relay.url()) == content);
}

#[test]
fn a_relay_killed_without_warning_keeps_what_was_shared() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = content(300_000);
    let relay = Relay::start(data.path());
    let cid = share(files.path(), &content, relay.url());
    drop(relay);

    let relay = Relay::start(data.path());
    assert!(get(files.path(), &cid, relay.url()) == content);
}

#[test]
fn a_query_lists_what_was_shared_by_type() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(data.path());
    let cid = share(files.path(), b"hello", relay.url());
    let all = succeed(&["query", "--relay", relay.url(), "--json"]);
    assert!(all.contains(&cid), "{all}");
    for line in all.lines() {
        let _: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    }
    assert!(succeed(&["query", "--relay", relay.url(), "--type", "file", "--json"]).contains(&cid));
    assert!(
        !succeed(&[
            "query",
            "--relay",
            relay.url(),
            "--type",
            "weights",
            "--json"
        ])
        .contains(&cid)
    );
}

#[test]
fn content_that_nobody_has_is_an_error_and_leaves_no_file() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(data.path());
    let file = files.path().join("nothing.bin");
    let unknown = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    for cid in [unknown, "not-a-content-id"] {
        let output = chorus_relay(&[
            "get",
            cid,
            "--relay",
            relay.url(),
            "-o",
            file.to_str().unwrap(),
        ]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            error.contains(cid) && !error.contains("panicked"),
            "{error}"
        );
        assert!(!file.exists());
    }
}

#[test]
fn two_relays_that_know_each_other_share_one_mesh() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = tempfile::tempdir().unwrap();
    let first = Relay::start(one.path());
    let second = Relay::start_with(two.path(), &["--bootstrap", first.url()]);
    let content = content(600_000);
    let cid = share(files.path(), &content, first.url());
    assert!(get(files.path(), &cid, second.url()) == content);
}
