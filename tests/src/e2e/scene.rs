//! A relay and a place for files, for tests of what is shared through it.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::relay::{Relay, succeed};

pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) relay: Relay,
}

impl Scene {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let relay = Relay::start(&dir.path().join("relay"));
        Self { dir, relay }
    }

    /// The data directory of the peer `name`.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.dir.path().join(name);
        fs::write(&file, content).unwrap();
        file
    }

    /// The packets of a type that the relay lists.
    pub(super) fn packets(&self, packet_type: &str) -> Vec<Value> {
        let url = self.relay.url();
        let printed = succeed(&["query", "--relay", url, "--type", packet_type, "--json"]);
        let lines = printed.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Expects that `share` succeeded; returns the content id and what was said on standard error.
pub(super) fn shared(output: Output) -> (String, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        printed.lines().count(),
        1,
        "the content id alone: {printed}"
    );
    assert!(printed.starts_with("bafy"), "{printed}");
    (printed.trim_end().to_owned(), said)
}
