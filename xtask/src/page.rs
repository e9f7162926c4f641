//! The page: the packages in `web` compiled to wasm, bound to JavaScript, beside the files of `www/`.
//!
//! The first module is what the page starts with. The second scrubs, seals and opens; it is loaded by whoever shares or
//! opens first. The third packs and unpacks engrams; it is loaded by whoever opens one, and compiled for speed where the
//! others are compiled for size. wasm-bindgen runs as a library. The shipped page is shrunk by wasm-opt and compressed by brotli as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::{install, process};

/// Environment variable that names the page's directory: to the relay, where it serves from disk; to the relay's
/// build, where it embeds.
pub(crate) const DIR_ENV: &str = "CHORUS_PAGE_DIR";

/// Upper bound in bytes after brotli (wasm + js + css) of what the dashboard loads at its start.
/// Source: issue 2, "page weight after brotli (wasm + js + css, dashboard) ≤ 750 KB".
pub(crate) const MAX_START: u64 = 750_000;

/// Upper bound in bytes after brotli of what is loaded at the first share. Guess: less than half of the start; it is 318 KB
/// with the scrubber's words, the stages, the readers of formats and HPKE.
pub(crate) const MAX_SHARE: u64 = 350_000;

/// Upper bound in bytes after brotli of what is loaded when somebody opens an engram. Guess: a tenth of the smallest model
/// that is worth it.
pub(crate) const MAX_ENGRAM: u64 = 300_000;

/// A module of the page.
struct Module {
    package: &'static str,
    /// The package's name as a file.
    name: &'static str,
    /// Cargo's profile for what is shipped.
    profile: &'static str,
    /// What wasm-opt does, beside the features it may use.
    optimize: &'static [&'static str],
}

const MODULES: [Module; 3] = [
    Module {
        package: "chorus-web",
        name: "chorus_web",
        profile: "release-web",
        optimize: &SMALL,
    },
    SHARE,
    ENGRAM,
];

const SHARE: Module = Module {
    package: "chorus-privacy",
    name: "chorus_privacy",
    profile: "release-web",
    optimize: &SMALL,
};

const ENGRAM: Module = Module {
    package: "chorus-engram",
    name: "chorus_engram",
    profile: "release-engram",
    optimize: &["-O3"],
};

/// What is loaded at the first share: the second module, its JavaScript and its worker, and the dialogs.
const AT_SHARE: [&str; 7] = [
    "dialog.css.br",
    "dialog.js.br",
    "sheet.js.br",
    "privacy.js.br",
    "privacy-worker.js.br",
    "chorus_privacy.js.br",
    "chorus_privacy_bg.wasm.br",
];

/// What is loaded when somebody opens an engram: the third module, its JavaScript and its worker.
const AT_ENGRAM: [&str; 6] = [
    "studio.js.br",
    "studio.css.br",
    "engram.js.br",
    "engram-worker.js.br",
    "chorus_engram.js.br",
    "chorus_engram_bg.wasm.br",
];

/// What keeps a module small. Browsers compile a function at its first call, and more slowly than in proportion to its size:
/// without a limit for moving functions into their only callers, the whole swarm became one of 120 KB.
const SMALL: [&str; 2] = ["-Oz", "--one-caller-inline-max-function-size=100"];

/// Size, in LLVM's measure, up to which a function is put into its callers. Guess: at 5, which goes with optimising for size, a
/// page compiled 2190 functions before it had joined, most of them of a few bytes; at 30 it is 1640, in no more bytes; at 80
/// fewer still, in an eighth more.
const INLINED: u32 = 30;

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
    let page_dir = match profile {
        Profile::Dev => "page",
        Profile::Release => "page-release",
    };
    match profile {
        // In one call: the core is compiled once for all, and what a module does not use of it the linker leaves out.
        Profile::Dev => {
            let packages = MODULES.map(|module| format!("--package={}", module.package));
            let mut compile = process::cargo(["build", "--target=wasm32-unknown-unknown"]);
            process::run(compile.args(packages))?;
        }
        Profile::Release => {
            for own in MODULES.chunk_by(|a, b| a.profile == b.profile) {
                let mut compile = shipped(own[0].profile)?;
                let packages = own
                    .iter()
                    .map(|module| format!("--package={}", module.package));
                process::run(compile.args(packages))?;
            }
        }
    }
    let modules = MODULES.map(|module| module.compiled(profile));
    let www = process::root().join("www");
    let dir = process::target().join(page_dir);

    let mut inputs: Vec<&Path> = modules.iter().map(PathBuf::as_path).collect();
    inputs.push(&www);
    let stamp = stamp(&inputs)?;
    let stamp_path = dir.with_extension("stamp");
    if dir.is_dir() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        return Ok(dir);
    }

    // Built aside, then swapped in: a relay that serves the directory never sees half a page.
    let fresh = dir.with_extension("new");
    remove_dir(&fresh)?;
    copy_dir(&www, &fresh)?;
    for module in &modules {
        bind(module, &fresh, profile)?;
    }
    if profile == Profile::Release {
        for module in MODULES {
            module.shrink(&fresh)?;
        }
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

/// Builds the second module as it is shipped, with what its benchmark needs, and returns the directory with it alone.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_seal_bench() -> Result<PathBuf> {
    build_bench(&SHARE, "bench-seal")
}

/// Builds the third module as it is shipped, with what its benchmark needs, and returns the directory with it alone.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_engram_bench() -> Result<PathBuf> {
    build_bench(&ENGRAM, "bench-engram-page")
}

fn build_bench(module: &Module, name: &str) -> Result<PathBuf> {
    install::rust_target("wasm32-unknown-unknown")?;
    process::run(shipped(module.profile)?.args(["--package", module.package, "--features=bench"]))?;
    let dir = process::target().join(name);
    remove_dir(&dir)?;
    fs::create_dir_all(&dir)?;
    bind(&module.compiled(Profile::Release), &dir, Profile::Release)?;
    module.shrink(&dir)?;
    Ok(dir)
}

impl Module {
    /// Returns the path of what the compiler makes of it.
    fn compiled(&self, profile: Profile) -> PathBuf {
        let dir = match profile {
            Profile::Dev => "debug",
            Profile::Release => self.profile,
        };
        let built = process::target().join("wasm32-unknown-unknown").join(dir);
        built.join(self.name).with_extension("wasm")
    }

    /// Runs wasm-opt on what was bound into `dir`.
    fn shrink(&self, dir: &Path) -> Result<()> {
        shrink(&dir.join(format!("{}_bg.wasm", self.name)), self.optimize)
    }
}

/// Returns the compiler's command for what is shipped: without paths of the machine that built it.
///
/// The standard library comes compiled for speed: sorting alone is 70 KB of the page. Where its source is at hand it is
/// compiled with what is to be small, for size. Cargo calls that unstable; the code is the same.
fn shipped(profile: &str) -> Result<Command> {
    let mut cargo = process::cargo(["build", "--target=wasm32-unknown-unknown"]);
    cargo.arg(format!("--profile={profile}"));
    let source = install::rust_source()?;
    // Every browser with module workers that the page may meet has SIMD: Chrome 91, Firefox 114, Safari 16.4.
    let is_fast = profile == ENGRAM.profile;
    let mut flags = Vec::new();
    if is_fast {
        // The library as it comes.
        flags.push("-Ctarget-feature=+simd128".to_owned());
    } else {
        flags.push(format!("-Cllvm-args=-inline-threshold={INLINED}"));
        if source.is_some() {
            cargo.env("RUSTC_BOOTSTRAP", "1").args([
                "-Zbuild-std=std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
            ]);
        } else {
            eprintln!(
                "note: the standard library's source is missing, so the page stays about 30 KB larger"
            );
        }
    }
    // A panic names the file of its crate, not of somebody's home.
    let mut homes = vec![process::root().to_owned()];
    homes.extend(source);
    homes.extend(registries()?);
    let homes = homes.iter().map(|home| home.display());
    flags.extend(homes.map(|home| format!("--remap-path-prefix={home}/=")));
    let flags: Vec<_> = flags.iter().map(|flag| format!("{flag:?}")).collect();
    cargo.arg(format!(
        "--config=target.wasm32-unknown-unknown.rustflags=[{}]",
        flags.join(",")
    ));
    Ok(cargo)
}

/// Returns the directories that hold the sources of crates, one for each registry.
fn registries() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else {
        return Ok(Vec::new());
    };
    if !sources.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&sources).with_context(|| sources.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The page's weight after brotli, file by file.
pub(crate) struct Weight {
    /// Path inside the page, and bytes after brotli.
    pub(crate) files: Vec<(String, u64)>,
}

impl Weight {
    /// Returns the bytes that the dashboard loads at its start.
    pub(crate) fn at_start(&self) -> u64 {
        self.sum(|name| !AT_SHARE.contains(&name) && !AT_ENGRAM.contains(&name))
    }

    /// Returns the bytes that are loaded at the first share.
    pub(crate) fn at_share(&self) -> u64 {
        self.sum(|name| AT_SHARE.contains(&name))
    }

    /// Returns the bytes that are loaded when somebody opens an engram.
    pub(crate) fn at_engram(&self) -> u64 {
        self.sum(|name| AT_ENGRAM.contains(&name))
    }

    /// Says whether all keep their bounds.
    ///
    /// # Errors
    /// What is too heavy, with its bound.
    pub(crate) fn check(&self) -> Result<()> {
        for (what, weight, limit) in [
            ("page", self.at_start(), MAX_START),
            ("module of the first share", self.at_share(), MAX_SHARE),
            ("module of engrams", self.at_engram(), MAX_ENGRAM),
        ] {
            if weight > limit {
                bail!("the {what} weighs {weight} bytes after brotli, the limit is {limit}");
            }
        }
        Ok(())
    }

    fn sum(&self, is_counted: impl Fn(&str) -> bool) -> u64 {
        let counted = self.files.iter().filter(|(name, _)| is_counted(name));
        counted.map(|(_, bytes)| bytes).sum()
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kb = |bytes: u64| bytes as f64 / 1000.0;
        for (name, bytes) in &self.files {
            writeln!(f, "{:>9.1} KB  {name}", kb(*bytes))?;
        }
        let (start, share) = (self.at_start(), self.at_share());
        writeln!(
            f,
            "page weight {:.1} KB after brotli (wasm + js + css), limit {:.0} KB",
            kb(start),
            kb(MAX_START)
        )?;
        writeln!(
            f,
            "at the first share {:.1} KB more, limit {:.0} KB; {:.1} KB in all",
            kb(share),
            kb(MAX_SHARE),
            kb(start + share)
        )?;
        writeln!(
            f,
            "at the first engram {:.1} KB more, limit {:.0} KB",
            kb(self.at_engram()),
            kb(MAX_ENGRAM)
        )
    }
}

/// Weighs the built page at `dir`: every wasm, JavaScript and style file that may be loaded.
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

/// Writes the JavaScript and `…_bg.wasm` of a module into `dir`.
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
fn shrink(wasm: &Path, optimize: &[&str]) -> Result<()> {
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
        // Of the third module.
        "--enable-simd",
    ];
    process::run(
        wasm_opt
            .arg(wasm)
            .args(features)
            .args(optimize)
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
    let optimize = MODULES.map(|module| module.optimize);
    let mut stamp = format!("wasm-opt {} {optimize:?}\n", install::BINARYEN);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_later_is_weighed_apart_and_each_has_its_bound() {
        let weight = |start: u64, share: u64, engram: u64| Weight {
            files: vec![
                ("chorus_engram_bg.wasm.br".into(), engram - 2),
                ("engram-worker.js.br".into(), 2),
                ("chorus_privacy_bg.wasm.br".into(), share),
                ("chorus_web_bg.wasm.br".into(), start - 1),
                ("style.css.br".into(), 1),
            ],
        };
        let bounds = (MAX_START, MAX_SHARE, MAX_ENGRAM);
        let full = weight(MAX_START, MAX_SHARE, MAX_ENGRAM);
        assert_eq!((full.at_start(), full.at_share(), full.at_engram()), bounds);
        assert!(full.check().is_ok());
        assert!(
            weight(MAX_START + 1, MAX_SHARE, MAX_ENGRAM)
                .check()
                .is_err()
        );
        assert!(
            weight(MAX_START, MAX_SHARE + 1, MAX_ENGRAM)
                .check()
                .is_err()
        );
        assert!(
            weight(MAX_START, MAX_SHARE, MAX_ENGRAM + 1)
                .check()
                .is_err()
        );
        assert!(full.to_string().contains("1100.0 KB in all"));
    }
}
