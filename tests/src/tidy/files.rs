//! Names, sizes and contents of files.

use super::{Source, expect_none, sources};

/// Lines of code that a file may have. Source: architecture.md, "Split a file before it passes about 600 lines".
const MAX_LINES: usize = 600;

/// Extensions whose size is bounded: what people write by hand.
const WRITTEN: [&str; 6] = [".rs", ".js", ".mjs", ".ts", ".css", ".html"];

/// Files whose `panic!` runs in a `const`: it stops the compiler, never a peer.
const AT_COMPILE_TIME: [&str; 1] = ["core/src/codon.rs"];

#[test]
fn no_file_is_longer_than_600_lines() {
    let written = |source: &Source| WRITTEN.iter().any(|end| source.path.ends_with(end));
    let mut broken = Vec::new();
    for source in sources("").iter().filter(|source| written(source)) {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            broken.push(format!(
                "{}: {lines} lines, at most {MAX_LINES}: split it",
                source.path
            ));
        }
    }
    expect_none(&broken);
}

#[test]
fn files_are_named_for_what_they_hold() {
    let vague = [
        "mod", "utils", "util", "common", "manager", "helper", "helpers", "misc",
    ];
    let stem = |source: &Source| {
        source
            .path
            .rsplit('/')
            .next()?
            .split('.')
            .next()
            .map(str::to_owned)
    };
    let broken: Vec<_> = sources("")
        .iter()
        .filter(|source| stem(source).is_some_and(|stem| vague.contains(&stem.as_str())))
        .map(|source| {
            format!(
                "{}: name it for what it holds; `foo.rs` beside `foo/`, no `mod.rs`",
                source.path
            )
        })
        .collect();
    expect_none(&broken);
}

#[test]
fn every_rust_file_opens_with_what_it_is() {
    // `foo/tests.rs` says what it is by its name; a fuzz target opens with the attribute that libfuzzer needs.
    let is_exempt = |source: &Source| source.is_tests || source.text.starts_with("#![no_main]");
    let broken: Vec<_> = sources("")
        .iter()
        .filter(|source| source.is_rust() && !is_exempt(source) && !source.text.starts_with("//!"))
        .map(|source| format!("{}:1: open the file with a `//!` line", source.path))
        .collect();
    expect_none(&broken);
}

#[test]
fn core_and_servers_never_panic_on_purpose() {
    let mut broken = Vec::new();
    for source in ["core/src", "web/src", "relay/src"]
        .iter()
        .flat_map(|dir| sources(dir))
    {
        for (number, line) in source.code() {
            let is_constant = AT_COMPILE_TIME.contains(&source.path.as_str());
            let unwraps = line.contains(".unwrap()") || (line.contains("panic!(") && !is_constant);
            // Outside the core an `expect` may state an invariant (architecture.md, style 14).
            let expects = source.path.starts_with("core/") && line.contains(".expect(\"");
            if unwraps || expects {
                broken.push(format!(
                    "{}:{number}: return the error: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn no_test_is_ignored_and_none_sleeps() {
    // Put together, so that this file does not break its own rule.
    let (ignored, sleeps) = (concat!("#[ign", "ore"), concat!("thread::sl", "eep"));
    let mut broken = Vec::new();
    for source in sources("").iter().filter(|source| source.is_rust()) {
        for (number, line) in source.lines() {
            if line.trim_start().starts_with(ignored) {
                broken.push(format!(
                    "{}:{number}: run the test or remove it",
                    source.path
                ));
            }
            // xtask waits for other programs; tests wait for an event with a deadline.
            if line.contains(sleeps) && !source.path.starts_with("xtask/") {
                broken.push(format!(
                    "{}:{number}: wait for an event with a deadline",
                    source.path
                ));
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn nothing_names_a_machine_or_a_package_host() {
    let forbidden = [
        (concat!("/ro", "ot/"), "a path of one machine"),
        (concat!("/ho", "me/"), "a path of one machine"),
        (concat!("/Us", "ers/"), "a path of one machine"),
        (concat!("/wo", "rk/"), "a path of one machine"),
        (concat!("registry.", "npmjs"), "a registry's host"),
        (concat!("registry.", "yarnpkg"), "a registry's host"),
        (concat!("index.", "crates.io"), "a registry's host"),
        (concat!("static.", "crates.io"), "a registry's host"),
        (concat!("\"reso", "lved\": \"http"), "a registry's host"),
    ];
    let mut broken = Vec::new();
    for source in sources("") {
        for (number, line) in source.lines() {
            for (text, what) in forbidden {
                if line.contains(text) {
                    broken.push(format!("{}:{number}: `{text}` is {what}", source.path));
                }
            }
        }
    }
    expect_none(&broken);
}

#[test]
fn npm_packages_are_pinned() {
    let mut broken = Vec::new();
    for source in sources("")
        .iter()
        .filter(|source| source.path.ends_with("package.json"))
    {
        let package: serde_json::Value = serde_json::from_str(&source.text).unwrap();
        for group in ["dependencies", "devDependencies", "optionalDependencies"] {
            for (name, version) in package[group].as_object().into_iter().flatten() {
                if !version
                    .as_str()
                    .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
                {
                    broken.push(format!(
                        "{}: {name} {version}: pin one version",
                        source.path
                    ));
                }
            }
        }
    }
    expect_none(&broken);
}
