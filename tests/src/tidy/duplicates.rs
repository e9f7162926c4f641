//! Crates that are linked in more than one version: each is explained in `tests/duplicates.txt`, or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::{expect_none, root};

/// A line of the list: `name version version …: reason`, where a version is what semver calls compatible (`0.9`, `2`).
const LIST: &str = include_str!("../../duplicates.txt");

#[test]
fn every_duplicate_crate_is_explained() {
    let explained: BTreeMap<String, BTreeSet<String>> = LIST
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (crates, reason) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(!reason.trim().is_empty(), "no reason: {line}");
            let mut words = crates.split(' ').map(str::to_owned);
            (words.next().unwrap(), words.collect())
        })
        .collect();

    let mut broken = Vec::new();
    let found = duplicates();
    for (name, versions) in &found {
        if !explained
            .get(name)
            .is_some_and(|explained| versions.is_subset(explained))
        {
            let versions: Vec<_> = versions.iter().map(String::as_str).collect();
            broken.push(format!(
                "{name} {}: align the versions, or explain them in tests/duplicates.txt",
                versions.join(" ")
            ));
        }
    }
    for name in explained.keys().filter(|name| !found.contains_key(*name)) {
        broken.push(format!(
            "{name} is no duplicate any more: remove it from tests/duplicates.txt"
        ));
    }
    expect_none(&broken);
}

/// Returns the crates that `cargo tree -d` lists in incompatible versions, for a Linux server and for the browser.
fn duplicates() -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for target in ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--duplicates",
                "--workspace",
                "--locked",
                "--depth=0",
                "--prefix=none",
                "--target",
                target,
            ])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let mut words = line.split(' ');
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                versions
                    .entry(name.to_owned())
                    .or_default()
                    .insert(compatible(version));
            }
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

/// Returns what of `version` (`v0.9.5`) must be equal for semver to call it compatible: `0.9`.
fn compatible(version: &str) -> String {
    let version = version.trim_start_matches('v');
    let parts: Vec<_> = version.split('.').collect();
    let significant = parts.iter().position(|part| *part != "0").unwrap_or(0);
    parts[..=significant].join(".")
}
