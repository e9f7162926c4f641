//! An author takes back what it shared; the relay forgets it, also after a restart.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::relay::{DEADLINE, EXIT_DEADLINE, Relay, chorus_relay, succeed};

fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Shares `content` as the identity in `own` and returns its content id.
fn share(own: &Path, file: &Path, content: &[u8], relay: &Relay) -> String {
    fs::write(file, content).unwrap();
    let to = ["--relay", relay.url(), "--data-dir", arg(own)];
    succeed(&[&["share", arg(file)], &to[..]].concat())
        .trim()
        .to_owned()
}

fn listed(relay: &Relay, kind: &str) -> String {
    succeed(&["query", "--relay", relay.url(), "--type", kind])
}

/// Asks `relay` until it lists `cid` as a file, or no longer does. Each question is a process that takes its time.
fn until_listed(relay: &Relay, cid: &str, is_listed: bool) {
    let end = Instant::now() + DEADLINE;
    while listed(relay, "file").contains(cid) != is_listed {
        assert!(Instant::now() < end, "listed must become {is_listed}");
    }
}

fn bytes_stored(relay: &Relay) -> u64 {
    let metrics = relay.get("/metrics").body;
    let line = metrics
        .lines()
        .find(|l| l.starts_with("chorus_store_bytes"));
    let line = line.expect("the metrics count stored bytes");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_revoked_file_is_gone_from_the_relay_with_its_blocks_also_after_a_restart() {
    let [data, own, files] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (file, got) = (files.path().join("slip.bin"), files.path().join("got.bin"));
    let relay = Relay::start(data.path());
    let slip = vec![7; 900_000];
    let cid = share(own.path(), &file, &slip, &relay);
    let kept = share(own.path(), &file, b"this one stays", &relay);
    let get = |cid: &str, url: &str| chorus_relay(&["get", cid, "--relay", url, "-o", arg(&got)]);
    assert!(get(&cid, relay.url()).status.success());
    let before = bytes_stored(&relay);

    let to = ["--relay", relay.url(), "--data-dir", arg(own.path())];
    let by = succeed(&[&["revoke", cid.as_str()], &to[..]].concat());
    assert!(by.trim().starts_with("bafy"), "{by}");
    assert!(listed(&relay, "revocation").contains(by.trim()));
    assert!(!listed(&relay, "file").contains(&cid));
    assert!(listed(&relay, "file").contains(&kept));
    let left = succeed(&["ledger", "--data-dir", arg(own.path())]);
    let line = left.lines().find(|line| line.contains(by.trim()));
    let line = line.expect("the revocation is listed");
    assert!(line.contains(" revocation "), "{line}");
    // One leaf of 256 KiB three times, another and the manifest.
    let freed = before - bytes_stored(&relay);
    assert!(freed > 300_000, "{freed} bytes freed");

    assert!(relay.stop("TERM", EXIT_DEADLINE).success());
    let relay = Relay::start(data.path());
    assert!(!listed(&relay, "file").contains(&cid));
    assert!(get(&kept, relay.url()).status.success());
    assert!(!get(&cid, relay.url()).status.success());
}

#[test]
fn what_was_revoked_stays_refused_after_a_restart_when_one_who_slept_offers_it_again() {
    let [data, asleep, own, files] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let (file, got) = (files.path().join("slip.bin"), files.path().join("got.bin"));
    let get = |cid: &str, url: &str| {
        let output = chorus_relay(&["get", cid, "--relay", url, "-o", arg(&got)]);
        output.status.success()
    };
    let sleeper = Relay::start(asleep.path());
    let slip = share(own.path(), &file, &[7; 900_000], &sleeper);
    let relay = Relay::start_with(data.path(), &["--bootstrap", sleeper.url()]);
    until_listed(&relay, &slip, true);
    assert!(sleeper.stop("TERM", EXIT_DEADLINE).success());

    let to = ["--relay", relay.url(), "--data-dir", arg(own.path())];
    succeed(&[&["revoke", slip.as_str()], &to[..]].concat());
    assert!(relay.stop("TERM", EXIT_DEADLINE).success());
    let relay = Relay::start(data.path());
    assert!(!listed(&relay, "file").contains(&slip));

    // It knows nothing of the revocation, and something that the relay lacks.
    let sleeper = Relay::start(asleep.path());
    let news = share(own.path(), &file, b"this one is news", &sleeper);
    assert!(get(&slip, sleeper.url()), "the sleeper still serves it");
    assert!(sleeper.stop("TERM", EXIT_DEADLINE).success());
    let sleeper = Relay::start_with(asleep.path(), &["--bootstrap", relay.url()]);
    // Both were told in one answer, unless the relay's answer came first; `tests/interop/revoked.test.mjs` is sure of it.
    until_listed(&relay, &news, true);
    assert!(!listed(&relay, "file").contains(&slip));
    until_listed(&sleeper, &slip, false);
    // Each asks for as long as it has patience.
    std::thread::scope(|scope| {
        for url in [relay.url(), sleeper.url()] {
            scope.spawn(|| assert!(!get(&slip, url)));
        }
    });
    assert!(!listed(&relay, "file").contains(&slip));
}

#[test]
fn only_the_identity_that_signed_revokes() {
    let [data, own, other, files] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let relay = Relay::start(data.path());
    let cid = share(own.path(), &files.path().join("a"), b"mine", &relay);
    let revoke = |dir: &Path| {
        let to = ["--relay", relay.url(), "--data-dir", arg(dir)];
        chorus_relay(&[&["revoke", cid.as_str()], &to[..]].concat())
    };
    let error = revoke(other.path());
    assert_eq!(error.status.code(), Some(2), "no identity there");
    succeed(&["keygen", "--data-dir", arg(other.path())]);
    let error = revoke(other.path());
    assert_eq!(error.status.code(), Some(1));
    let text = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(text.contains("only its author"), "{text}");
    assert!(listed(&relay, "file").contains(&cid));
    assert!(revoke(own.path()).status.success());
    assert!(!listed(&relay, "file").contains(&cid));
}
