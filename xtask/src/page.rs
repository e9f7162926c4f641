//! The page: `web` compiled to wasm, bound to JavaScript, beside the files of `www/`.
//!
//! wasm-bindgen runs as a library. The shipped page is shrunk by wasm-opt and compressed by brotli as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::{install, process};

/// Environment variable that names the page's directory: to the relay, where it serves from disk; to the relay's
/// build, where it embeds.
pub(crate) const DIR_ENV: &str = "CHORUS_PAGE_DIR";

/// Upper bound of the page's weight in bytes after brotli (wasm + js + css).
/// Source: issue 2, "page weight after brotli (wasm + js + css, dashboard) ≤ 750 KB".
pub(crate) const MAX_WEIGHT: u64 = 750_000;

/// What wasm-opt does, beside the features it may use. Browsers compile a function at its first call, and more slowly
/// than in proportion to its size: without a limit for moving functions into their only callers, the whole swarm became
/// one of 120 KB.
const OPTIMIZE: [&str; 2] = ["-Oz", "--one-caller-inline-max-function-size=100"];

/// What a page is built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build, with names in stack traces; `target/page`.
    Dev,
    /// As shipped: small, compressed; `target/page-release`.
    Release,
}

/// Builds the page and returns its directory. Does nothing after the compiler where no input changed.
///
/// # Errors
/// When the compiler or wasm-bindgen refuses, or the module asks its host for anything but wasm-bindgen's imports.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    install::rust_target("wasm32-unknown-unknown")?;
    let (cargo_profile, profile_dir, page_dir) = match profile {
        Profile::Dev => ("dev", "debug", "page"),
        Profile::Release => ("release-web", "release-web", "page-release"),
    };
    process::run(&mut process::cargo([
        "build",
        "--package=chorus-web",
        "--target=wasm32-unknown-unknown",
        "--profile",
        cargo_profile,
    ]))?;
    let wasm = process::target()
        .join("wasm32-unknown-unknown")
        .join(profile_dir)
        .join("chorus_web.wasm");
    let www = process::root().join("www");
    let dir = process::target().join(page_dir);

    let stamp = stamp(&[&wasm, &www])?;
    let stamp_path = dir.with_extension("stamp");
    if dir.is_dir() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        return Ok(dir);
    }

    // Built aside, then swapped in: a relay that serves the directory never sees half a page.
    let fresh = dir.with_extension("new");
    remove_dir(&fresh)?;
    copy_dir(&www, &fresh)?;
    bind(&wasm, &fresh, profile)?;
    if profile == Profile::Release {
        shrink(&fresh.join("chorus_web_bg.wasm"))?;
        compress_dir(&fresh)?;
    }
    remove_dir(&dir)?;
    fs::rename(&fresh, &dir)?;
    fs::write(stamp_path, stamp)?;
    if profile == Profile::Release {
        eprint!("{}", weigh(&dir)?);
    }
    Ok(dir)
}

/// The page's weight after brotli, file by file.
pub(crate) struct Weight {
    /// Path inside the page, and bytes after brotli.
    pub(crate) files: Vec<(String, u64)>,
}

impl Weight {
    /// Returns the sum in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, bytes) in &self.files {
            writeln!(f, "{:>9.1} KB  {name}", *bytes as f64 / 1000.0)?;
        }
        let (total, limit) = (self.total() as f64 / 1000.0, MAX_WEIGHT as f64 / 1000.0);
        writeln!(
            f,
            "page weight {total:.1} KB after brotli (wasm + js + css), limit {limit:.0} KB"
        )
    }
}

/// Weighs the built page at `dir`: every wasm, JavaScript and style file the dashboard may load.
///
/// # Errors
/// When `dir` holds no compressed files.
pub(crate) fn weigh(dir: &Path) -> Result<Weight> {
    let mut files = Vec::new();
    for path in files_of(dir)? {
        let name = path.strip_prefix(dir)?.to_string_lossy().into_owned();
        if [".wasm.br", ".js.br", ".css.br"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            files.push((name, fs::metadata(&path)?.len()));
        }
    }
    if files.is_empty() {
        bail!("{} holds no compressed page", dir.display());
    }
    Ok(Weight { files })
}

/// Writes `chorus_web.js` and `chorus_web_bg.wasm` into `dir`.
fn bind(wasm: &Path, dir: &Path, profile: Profile) -> Result<()> {
    let mut output = Bindgen::new()
        .input_path(wasm)
        .web(true)?
        .typescript(false)
        .remove_name_section(profile == Profile::Release)
        .remove_producers_section(profile == Profile::Release)
        .generate_output()
        .context("wasm-bindgen")?;
    // A crate that expects a C library or a clock leaves imports from `env`: they fail only in the browser.
    let foreign = output
        .wasm()
        .imports
        .iter()
        .find(|import| import.module == "env");
    if let Some(import) = foreign {
        bail!(
            "the wasm imports `{}` from `env`: some crate expects a host that no browser is",
            import.name
        );
    }
    output.emit(dir).context("wasm-bindgen")
}

/// Shrinks the module in place with wasm-opt; says so and leaves it where npm is missing.
fn shrink(wasm: &Path) -> Result<()> {
    let Some(mut wasm_opt) = install::wasm_opt()? else {
        eprintln!(
            "note: npm is not installed, so wasm-opt is skipped and the page stays about a fifth larger"
        );
        return Ok(());
    };
    // What rustc's wasm32-unknown-unknown emits since LLVM 20, and nothing more.
    let features = [
        "--enable-bulk-memory",
        "--enable-bulk-memory-opt",
        "--enable-call-indirect-overlong",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
    ];
    process::run(
        wasm_opt
            .arg(wasm)
            .args(features)
            .args(OPTIMIZE)
            .arg("--output")
            .arg(wasm),
    )
}

/// Writes a `.br` beside each file that compresses.
fn compress_dir(dir: &Path) -> Result<()> {
    const COMPRESSIBLE: [&str; 8] = ["bin", "css", "html", "js", "json", "svg", "ts", "wasm"];
    for path in files_of(dir)? {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if COMPRESSIBLE.contains(&&*extension) {
            let mut compressed = path.clone().into_os_string();
            compressed.push(".br");
            fs::write(compressed, compress(&fs::read(&path)?)?)?;
        }
    }
    Ok(())
}

/// Compresses at brotli's highest quality, with the widest window that every browser accepts.
fn compress(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 24,
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut bytes, &mut compressed, &params)?;
    Ok(compressed)
}

/// Describes the state of `paths` (files, or directories with all they hold): path, length and modification time.
fn stamp(paths: &[&Path]) -> Result<String> {
    let mut stamp = format!("wasm-opt {} {OPTIMIZE:?}\n", install::BINARYEN);
    for path in paths {
        for file in files_of(path)? {
            let meta = fs::metadata(&file)?;
            let modified = meta.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
            stamp.push_str(&format!("{} {} {modified}\n", file.display(), meta.len()));
        }
    }
    Ok(stamp)
}

/// Returns every file below `path` in a fixed order, or `path` itself where it is a file; nothing where it is absent.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            files.extend(files_of(&entry?.path())?);
        }
    }
    files.sort();
    Ok(files)
}

/// Copies what `from` holds into `to`, which is made.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in files_of(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().expect("a joined path has a parent"))?;
        fs::copy(&file, &target).with_context(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

/// Removes `dir` with all it holds, if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}
