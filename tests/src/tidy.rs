//! Rules of the tree that no compiler checks. Each failure names the file, the line and the rule.

mod duplicates;
mod files;
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the tree.
struct Source {
    /// Path from the workspace's root, with `/`.
    path: String,
    text: String,
    /// Whether all of it is tests: `foo/tests.rs`, `foo/bar_tests.rs`, below a `tests` directory, or a module that its
    /// parent declares under `#[cfg(test)]`.
    is_tests: bool,
}

impl Source {
    /// Returns the lines with their numbers (from 1).
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Returns the lines of code outside tests: no comments, no test file, no item under `#[cfg(test)]`; an item in
    /// braces there is taken to be the last of its file (architecture.md, "File order").
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.is_tests;
        let (mut is_over, mut after_condition) = (is_test_file, false);
        self.lines()
            .filter(move |(_, line)| {
                let is_condition = line.trim() == "#[cfg(test)]";
                let is_conditional = std::mem::replace(&mut after_condition, is_condition);
                is_over |= is_conditional && line.trim_end().ends_with('{');
                !(is_over || is_condition || is_conditional)
            })
            .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    /// Returns the paths of the modules that this file declares under `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<String> {
        let Some(stem) = self.path.strip_suffix(".rs") else {
            return Vec::new();
        };
        let dir = ["/lib", "/main"]
            .iter()
            .find_map(|root| stem.strip_suffix(root))
            .unwrap_or(stem);
        let declarations = self.text.split("#[cfg(test)]\nmod ").skip(1);
        let names = declarations
            .filter_map(|rest| rest.split_once(';'))
            .map(|(name, _)| name);
        names
            .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            .map(|name| format!("{dir}/{name}.rs"))
            .collect()
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Returns the workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Reads every text file below `dir` (from the root; `""` is all), without what is built or installed.
fn sources(dir: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", "node_modules", "dist", ".git", ".cache"].contains(&name) {
                    dirs.push(path);
                }
            } else if name != ".git"
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/");
                let is_tests = ["/tests.rs", "_tests.rs"]
                    .iter()
                    .any(|end| path.ends_with(end))
                    || path.contains("/tests/");
                sources.push(Source {
                    path,
                    text,
                    is_tests,
                });
            }
        }
    }
    let test_modules: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_tests |= test_modules.contains(&source.path);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Fails with every broken rule at once.
fn expect_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
