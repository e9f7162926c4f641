//! The native packages and their tests, compiled in one go.
//!
//! Cargo unifies features among the packages of one call; a call per package would compile libp2p once for each, so
//! everything that builds natively for development selects the same packages.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::process;

/// Packages with tests that run natively, and the features these need. The page's pure halves are among them.
pub(crate) const SELECTION: [&str; 8] = [
    "--package=chorus-core",
    "--package=chorus-relay",
    "--package=chorus-web",
    "--package=chorus-engram",
    "--package=chorus-privacy",
    "--package=chorus-tests",
    "--features",
    "chorus-core/sim",
];

/// What the compiler made of the native packages.
pub(super) struct Native {
    tests: Vec<Executable>,
    relay: Option<PathBuf>,
    /// Whether every package compiled.
    pub(super) is_whole: bool,
}

/// One test executable.
struct Executable {
    /// Directory of the package, where the test runs.
    package_dir: PathBuf,
    /// Target, as cargo names it.
    target: String,
    path: PathBuf,
}

impl Native {
    /// Compiles every package and its tests; one that does not compile is absent from the result.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub(super) fn build() -> Result<Self> {
        let mut native = Self {
            tests: Vec::new(),
            relay: None,
            is_whole: false,
        };
        let mut cargo = process::cargo(["build", "--lib", "--bins", "--tests", "--keep-going"]);
        cargo
            .args(SELECTION)
            .arg("--message-format=json-render-diagnostics");
        let status = process::follow(&mut cargo, false, |line| {
            if let Ok(message) = serde_json::from_str(line) {
                native.on_message(&message);
            }
        })?;
        native.is_whole = status.success();
        Ok(native)
    }

    /// Keeps the executable that one of cargo's messages announces.
    fn on_message(&mut self, message: &Value) {
        let (Some(path), Some(manifest)) = (
            message["executable"].as_str(),
            message["manifest_path"].as_str(),
        ) else {
            return;
        };
        let (Some(package_dir), Some(target)) = (
            Path::new(manifest).parent(),
            message["target"]["name"].as_str(),
        ) else {
            return;
        };
        if message["profile"]["test"] == true {
            self.tests.push(Executable {
                package_dir: package_dir.to_owned(),
                target: target.to_owned(),
                path: path.into(),
            });
        } else if target == "chorus-relay" {
            self.relay = Some(path.into());
        }
    }

    /// Returns a command for each test executable of the package in directory `dir`, with the target's name.
    pub(super) fn tests(&self, dir: &str) -> Vec<(String, Command)> {
        let dir = process::root().join(dir);
        let mut tests: Vec<_> = self
            .tests
            .iter()
            .filter(|test| test.package_dir == dir)
            .collect();
        tests.sort_by(|a, b| a.target.cmp(&b.target));
        // Some tests wait half a minute for what nobody has: others run in the meantime.
        let threads = 2 * available_parallelism().map_or(1, NonZero::get);
        let command = |test: &Executable| {
            let mut command = Command::new(&test.path);
            // What cargo sets for a test it runs itself.
            command
                .current_dir(&test.package_dir)
                .env("CARGO_MANIFEST_DIR", &test.package_dir)
                .env("RUST_TEST_THREADS", threads.to_string());
            command
        };
        tests
            .into_iter()
            .map(|test| (test.target.clone(), command(test)))
            .collect()
    }

    /// Returns the command that runs the documentation's examples of every native library.
    pub(super) fn doc_tests() -> Command {
        let mut cargo = process::cargo(["test", "--doc", "--quiet", "--no-fail-fast"]);
        cargo.args(SELECTION);
        cargo
    }

    /// Returns the path of the relay.
    ///
    /// # Errors
    /// When the relay did not compile.
    pub(super) fn relay(&self) -> Result<&Path> {
        match &self.relay {
            Some(path) => Ok(path),
            None => bail!("chorus-relay does not compile"),
        }
    }
}
