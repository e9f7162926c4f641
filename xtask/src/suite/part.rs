//! The parts of the suite: what each compiles, runs and expects.

use std::fmt;
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::Suite;
use super::native::Native;
use crate::{install, page, process};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The core and this tool, natively.
    Core,
    /// The core compiled to wasm, and the page.
    Web,
    /// The relay's own tests.
    Relay,
    /// Relay processes, used through their command line, HTTP and files.
    E2e,
    /// Tabs of a real Chromium.
    Browser,
    /// js-libp2p, both ways.
    Interop,
    /// Peers behind routers, in Linux network namespaces.
    Netns,
    /// Formatting, lints, documentation, and the rules of the tree.
    Tidy,
}

impl Part {
    /// Every part, cheapest first among those that tests depend on.
    pub(super) const ALL: &[Self] = &[
        Self::Core,
        Self::Relay,
        Self::Web,
        Self::E2e,
        Self::Browser,
        Self::Interop,
        Self::Netns,
        Self::Tidy,
    ];

    /// Runs the part and counts into `suite`.
    ///
    /// # Errors
    /// Where the part could not go on; the caller counts that as one failure.
    pub(super) fn run(self, suite: &mut Suite) -> Result<()> {
        match self {
            Self::Core => core(suite),
            Self::Web => web(suite),
            Self::Relay => package(suite, "relay"),
            Self::E2e => e2e(suite),
            Self::Browser => node(suite, "browser"),
            Self::Interop => node(suite, "interop"),
            Self::Netns => netns(suite),
            Self::Tidy => tidy(suite),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Core => "core",
            Self::Web => "web",
            Self::Relay => "relay",
            Self::E2e => "e2e",
            Self::Browser => "browser",
            Self::Interop => "interop",
            Self::Netns => "netns",
            Self::Tidy => "tidy",
        })
    }
}

fn core(suite: &mut Suite) -> Result<()> {
    package(suite, "core")?;
    chorus_tests(suite, "stages::", |_| {})?;
    suite.tests("documentation", &mut Native::doc_tests());
    // Alone, so that it has the features with which `cargo xtask` was compiled a moment ago.
    suite.some_tests(
        "xtask",
        &mut process::cargo(["test", "--quiet", "--package=xtask"]),
    );
    Ok(())
}

/// Runs every native test executable of the package in directory `dir`.
fn package(suite: &mut Suite, dir: &str) -> Result<()> {
    let native = suite.native()?;
    let (tests, is_whole) = (native.tests(dir), native.is_whole);
    let mut ran = 0;
    for (target, mut command) in tests {
        ran += suite.tests(&format!("{dir} {target}"), &mut command);
    }
    if !is_whole {
        bail!("a native package does not compile");
    }
    if ran == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Runs the tests of the page's pure halves, checks that the page builds (which checks what it imports), and runs the
/// core's tests as wasm.
///
/// The same golden bits, compiled to wasm32, prove that a tab and a server compute alike. They run under WASI, since
/// Node has it built in and libtest speaks to it; wasm-bindgen's own runner would add a binary with 200 dependencies
/// to a cold build. They have vector instructions, as the module for engrams does. What needs a real browser is in the part
/// `browser`.
fn web(suite: &mut Suite) -> Result<()> {
    package(suite, "web")?;
    package(suite, "web/privacy")?;
    package(suite, "web/engram")?;
    suite.record("page", page::build(page::Profile::Dev));
    install::rust_target("wasm32-wasip1")?;
    let runner = format!(
        "{} --no-warnings {}",
        install::node()?.display(),
        process::root().join("xtask/wasi.mjs").display()
    );
    suite.some_tests(
        "core as wasm",
        process::cargo([
            "test",
            "--package=chorus-core",
            "--features=sim",
            "--target=wasm32-wasip1",
            "--no-fail-fast",
        ])
        .args(["--lib", "--tests"])
        .env("CARGO_TARGET_WASM32_WASIP1_RUNNER", runner)
        .env(
            "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS",
            "-Ctarget-feature=+simd128",
        ),
    );
    Ok(())
}

fn e2e(suite: &mut Suite) -> Result<()> {
    let relay = suite.native()?.relay()?.to_owned();
    chorus_tests(suite, "e2e::", |command| {
        command.env("CHORUS_RELAY", &relay);
    })
}

/// Runs those tests of `tests/src` whose path starts with `filter`.
fn chorus_tests(suite: &mut Suite, filter: &str, prepare: impl FnOnce(&mut Command)) -> Result<()> {
    let Some((_, mut command)) = suite.native()?.tests("tests").pop() else {
        bail!("the package chorus-tests does not compile");
    };
    prepare(command.arg(filter));
    suite.some_tests(filter.trim_end_matches(':'), &mut command);
    Ok(())
}

/// Runs a suite of Node's test runner with the relay, the page and Chromium.
fn node(suite: &mut Suite, name: &str) -> Result<()> {
    let tests = process::root().join("tests");
    let relay = suite.native()?.relay()?.to_owned();
    let page = page::build(page::Profile::Dev)?;
    let chromium = install::chromium()?;
    let node = install::node()?;
    suite.some_tests(
        name,
        Command::new(node)
            .args(["lib/run.mjs", "test", name])
            .current_dir(tests)
            .env("CHORUS_RELAY", relay)
            .env("CHORUS_PAGE", page)
            .env("CHROMIUM", chromium),
    );
    Ok(())
}

/// Runs the tests in network namespaces, which only root of a Linux system can make.
fn netns(suite: &mut Suite) -> Result<()> {
    if !install::is_root() || std::env::consts::OS != "linux" {
        eprintln!("note: network namespaces need root on Linux, so none of these tests runs");
        return Ok(());
    }
    install::ip()?;
    let relay = suite.native()?.relay()?.to_owned();
    chorus_tests(suite, "netns::", |command| {
        command.env("CHORUS_RELAY", &relay);
    })?;
    match install::nft() {
        Ok(()) => node(suite, "netns"),
        Err(error) => {
            eprintln!("note: {error:#}, so no tab is tried where packets are lost");
            Ok(())
        }
    }
}

fn tidy(suite: &mut Suite) -> Result<()> {
    install::rust_component("rustfmt", "fmt")?;
    install::rust_component("clippy", "clippy")?;
    install::rust_target("wasm32-unknown-unknown")?;
    install::rust_target("wasm32v1-none")?;

    chorus_tests(suite, "tidy::", |_| {})?;
    suite.check("format", &mut process::cargo(["fmt", "--all", "--check"]));
    let native = [
        "--workspace",
        "--exclude=chorus-web",
        "--exclude=chorus-privacy",
        "--exclude=chorus-engram",
        "--features=chorus-core/sim",
    ];
    let web = [
        "--package=chorus-web",
        "--package=chorus-privacy",
        "--package=chorus-engram",
        "--target=wasm32-unknown-unknown",
    ];
    let deny = ["--", "--deny=warnings"];
    suite.check(
        "clippy, native",
        process::cargo(["clippy", "--all-targets"])
            .args(native)
            .args(deny),
    );
    suite.check(
        "clippy, wasm",
        process::cargo(["clippy"]).args(web).args(deny),
    );
    suite.check(
        "rustdoc, native",
        process::cargo(["doc", "--no-deps"])
            .args(native)
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    );
    suite.check(
        "rustdoc, wasm",
        process::cargo(["doc", "--no-deps"])
            .args(web)
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    );
    suite.check(
        "core without std",
        &mut process::cargo([
            "check",
            "--package=chorus-core",
            "--no-default-features",
            "--target=wasm32v1-none",
        ]),
    );
    // Building cargo-deny takes longer than everything above; it runs where somebody installed it.
    if install::on_path("cargo-deny").is_some() {
        suite.check("deny", &mut process::cargo(["deny", "check"]));
    } else {
        eprintln!("note: cargo-deny is not installed, so licences and advisories are not checked");
    }
    Ok(())
}
