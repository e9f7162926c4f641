//! Who may import what (architecture.md, an invariant): read from the code of every module.

use std::collections::BTreeSet;

use super::{Source, expect_none, root, sources};

/// Layers of the core, lowest first. A module may import the layers below its own, and itself.
const LAYERS: [&[&str]; 6] = [
    FOUNDATION,
    DOMAIN,
    &["config"],
    // `release`: packets through the stages of privacy, sealed. `training`: the learner's steps, paid from a ledger.
    &["orchestration", "release", "training"],
    &["node"],
    &["sim", "net"],
];

const FOUNDATION: &[&str] = &["time", "key", "digest", "wire", "bounds", "figure", "flat"];

const DOMAIN: &[&str] = &[
    "aggregate",
    "benchmark",
    "chorus",
    "codon",
    "engram",
    "learner",
    "packet",
    "privacy",
    "projection",
    "seal",
    "status",
    "trust",
    "webrtc",
];

/// Imports inside a layer, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("packet", "codon", "a genetic sequence is written in codons")];

/// Crates that the foundation may use: no_std, and vetted for what they do.
const FOUNDATION_CRATES: &[&str] = &[
    "alloc",
    "cid",
    "core",
    "ed25519_dalek",
    "ipld_core",
    "multihash",
    "rand_core",
    "serde",
    "sha2",
    "std",
    "thiserror",
    "time",
    "zeroize",
];

/// Words that only the driver may say: network, clocks, tasks, logs.
const DRIVER_ONLY: &[&str] = &[
    "libp2p",
    "futures",
    "tokio",
    "web_time",
    "futures_timer",
    "async",
    "await",
    "tracing",
    "log",
    "println",
    "eprintln",
    "SystemTime",
    "wasm_bindgen",
    "js_sys",
    "web_sys",
];

#[test]
fn foundation_imports_only_itself_and_vetted_crates() {
    let mut broken = Vec::new();
    for source in sources("core/src")
        .iter()
        .filter(|source| FOUNDATION.contains(&module(source)))
    {
        for (number, krate) in foreign_crates(source) {
            if !FOUNDATION_CRATES.contains(&krate.as_str()) {
                broken.push(format!(
                    "{}:{number}: the foundation does not use `{krate}`",
                    source.path
                ));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn core_modules_import_only_lower_layers() {
    let mut broken = Vec::new();
    for source in &sources("core/src") {
        let from = module(source);
        let Some(layer) = layer(from) else {
            if from != "lib" {
                broken.push(format!(
                    "{}: give `{from}` a layer in tests/src/tidy/imports.rs",
                    source.path
                ));
            }
            continue;
        };
        for (number, to) in own_modules(source) {
            let below = self::layer(&to).is_none_or(|to| to < layer);
            let itself = to == from || (layer == 0 && FOUNDATION.contains(&to.as_str()));
            let excepted = EXCEPTIONS.iter().any(|(a, b, _)| *a == from && *b == to);
            if !(below || itself || excepted) {
                broken.push(format!(
                    "{}:{number}: `{from}` may not import `{to}`; pass plain data",
                    source.path
                ));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn only_the_driver_knows_libp2p_async_clocks_and_logs() {
    let mut broken = Vec::new();
    for source in sources("core/src")
        .iter()
        .filter(|source| !["net", "lib"].contains(&module(source)))
    {
        for (number, line) in source.code() {
            // The logarithm is no log.
            let line = without_strings(line).replace("libm::log(", "libm::ln(");
            for word in words(&line).filter(|word| DRIVER_ONLY.contains(word)) {
                broken.push(format!(
                    "{}:{number}: `{word}` belongs in core/src/net, web or relay",
                    source.path
                ));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn web_and_relay_do_not_import_each_other() {
    let mut broken = Vec::new();
    for (dir, other) in [
        ("web", "chorus-relay"),
        ("relay", "chorus-web"),
        ("core", "chorus-web"),
        ("core", "chorus-relay"),
    ] {
        let manifest = std::fs::read_to_string(root().join(dir).join("Cargo.toml")).unwrap();
        if manifest.lines().any(|line| line.starts_with(other)) {
            broken.push(format!("{dir}/Cargo.toml: {dir} may not depend on {other}"));
        }
    }
    expect_none(&broken);
}

#[test]
fn targets_are_told_apart_in_crate_roots_alone() {
    let condition = concat!("cfg(", "target_");
    let mut broken = Vec::new();
    for source in sources("").iter().filter(|source| source.is_rust()) {
        let is_root = ["src/lib.rs", "src/main.rs"]
            .iter()
            .any(|root| source.path.ends_with(root));
        for (number, line) in source
            .code()
            .filter(|(_, line)| line.contains(condition) && !is_root)
        {
            broken.push(format!(
                "{}:{number}: a target condition outside the crate's root: {line}",
                source.path
            ));
        }
    }
    expect_none(&broken);
}

/// Returns the top-level module of the core that `source` belongs to.
fn module(source: &Source) -> &str {
    let path = source.path.trim_start_matches("core/src/");
    path.split(['/', '.']).next().unwrap_or_default()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Returns the core's modules that `source` names after `crate::`, with the line.
fn own_modules(source: &Source) -> BTreeSet<(usize, String)> {
    let code: Vec<_> = source.code().collect();
    let mut found = BTreeSet::new();
    for (index, (number, line)) in code.iter().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            if let Some(group) = rest.strip_prefix('{') {
                // A group may go on over the next lines; its names at depth 1 are modules.
                let following = code[index + 1..].iter().map(|(_, line)| *line);
                let text: String = std::iter::once(group)
                    .chain(following)
                    .collect::<Vec<_>>()
                    .join(" ");
                found.extend(group_names(&text).into_iter().map(|name| (*number, name)));
            } else {
                found.extend(words(rest).next().map(|name| (*number, name.to_owned())));
            }
        }
    }
    found
}

/// Returns the first path segments in the braces of a `use crate::{…}` whose opening brace was just read.
fn group_names(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (1, Vec::new(), String::new());
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names.extend(words(&item).next().map(str::to_owned));
            item.clear();
        } else {
            item.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Returns the crates that the `use` lines of `source` name, with the line.
fn foreign_crates(source: &Source) -> Vec<(usize, String)> {
    let first_word = |line: &str| {
        let path = line
            .trim()
            .trim_start_matches("pub ")
            .strip_prefix("use ")?
            .to_owned();
        words(&path).next().map(str::to_owned)
    };
    let own = ["crate", "self", "super"];
    // `use Kind::*` names a type of the file itself: crates are written in lower case.
    let is_crate = |name: &String| {
        !own.contains(&name.as_str()) && name.starts_with(|c: char| c.is_lowercase())
    };
    source
        .code()
        .filter_map(|(number, line)| Some((number, first_word(line).filter(is_crate)?)))
        .collect()
}

/// Returns `line` without what stands between double quotes.
fn without_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

#[test]
fn the_reader_of_use_lines_sees_groups() {
    let text = "use crate::{\n    digest::Digest,\n    key::{Keypair, PeerId},\n};\nlet x = crate::codon::table();\n";
    let source = Source {
        path: "core/src/packet.rs".into(),
        is_tests: false,
        text: text.into(),
    };
    let names: Vec<_> = own_modules(&source)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["digest", "key", "codon"]);
}
