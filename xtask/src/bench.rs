//! `cargo xtask bench`: one JSON line per measurement on standard output, everything else on standard error.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::page::Profile;
use crate::{install, page, process, serve};

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Encoding and decoding codons, natively.
    Codon,
    /// Exact noise for differential privacy and its accountant, natively.
    Noise,
    /// Sealing and opening natively, and sealing in Chromium, beside the cipher crate alone.
    Seal,
    /// Opening the page to the first application message, beside js-libp2p, PeerJS and bare channels.
    Join,
    /// 64 MiB from tab to tab, beside js-libp2p and bare channels.
    Transfer,
    /// What the scrubber finds in labelled sentences, beside Presidio, and how fast it reads.
    Privacy,
    /// What attackers learn of the digits learner's training examples, openly and in private mode, and its accuracy.
    Membership,
    /// Packing weights without loss, natively and in Chromium, beside gzip, xz, zstd, blosc2, ZipNN, pcodec and OpenZL.
    Engram,
    /// Bits and task loss of lossy engrams of deltas and whole weights, beside blocks of 8 and 4 bits and nncodec.
    EngramLossy,
    /// Deltas sent round after round with error feedback: a byte model and the digits learner, beside f32.
    EngramRepeat,
}

/// Runs `benches`, or all where none is named. `weights` are those that engrams are made of.
///
/// # Errors
/// When a benchmark cannot be built or started.
pub(crate) fn run(benches: &[Bench], weights: Option<&Path>) -> Result<ExitCode> {
    let all = [
        Bench::Codon,
        Bench::Noise,
        Bench::Seal,
        Bench::Join,
        Bench::Transfer,
        Bench::Privacy,
        Bench::Membership,
        Bench::Engram,
        Bench::EngramLossy,
        Bench::EngramRepeat,
    ];
    let benches = if benches.is_empty() { &all } else { benches };
    for bench in benches {
        match bench {
            Bench::Codon => measure(&mut of_core("codon"))?,
            Bench::Noise => measure(&mut of_core("noise"))?,
            Bench::Seal => {
                measure(&mut of_core("seal"))?;
                measure(&mut seal_in_chromium()?)?;
            }
            Bench::Join => measure(&mut in_chromium("join")?)?,
            Bench::Transfer => measure(&mut in_chromium("transfer")?)?,
            Bench::Privacy => privacy()?,
            Bench::Membership => measure(of_core("membership").arg("--features=sim"))?,
            Bench::Engram => engram(weights)?,
            Bench::EngramLossy => engram_lossy(weights)?,
            Bench::EngramRepeat => measure(&mut of_core("engram_repeat"))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the command of a benchmark of the core alone.
fn of_core(name: &str) -> Command {
    process::cargo(["bench", "--package=chorus-core", "--bench", name])
}

/// Makes the labelled sentences, finds what is in them, compares with Presidio, and measures the speed.
fn privacy() -> Result<()> {
    let scripts = process::root().join("tests/bench/privacy");
    let python = install::python("privacy", &scripts.join("requirements.txt"))?;
    let dir = process::target().join("bench-privacy");
    fs::create_dir_all(&dir)?;
    let (sentences, found) = (dir.join("sentences.jsonl"), dir.join("found.jsonl"));
    write(
        Command::new(&python).arg(scripts.join("generate.py")),
        None,
        &sentences,
    )?;
    write(
        of_core("scrub").args(["--", "--find"]),
        Some(&sentences),
        &found,
    )?;
    let mut compare = Command::new(&python);
    compare
        .arg(scripts.join("compare.py"))
        .arg(&sentences)
        .arg(&found);
    measure(&mut compare)?;
    measure(&mut of_core("scrub"))
}

/// Packs weights with our codecs, natively and in Chromium, and then the same numbers with others'.
fn engram(weights: Option<&Path>) -> Result<()> {
    let weights = found(weights)?;
    let scripts = process::root().join("tests/bench/engram");
    let python = install::python("engram", &scripts.join("requirements.txt"))?;
    install::alone(&python, &scripts.join("alone.txt"))?;
    let cases = process::target().join("bench-engram");
    let mut own = of_core("engram");
    own.args(["--features=lzma,pco", "--", "--weights"])
        .arg(&weights)
        .arg("--cases")
        .arg(&cases);
    measure(&mut own)?;
    let mut page = script("engram")?;
    page.env("CHORUS_ENGRAM", page::build_engram_bench()?)
        .env("CHORUS_CASES", &cases);
    measure(&mut page)?;
    measure(
        Command::new(&python)
            .arg(scripts.join("compare.py"))
            .arg(&cases),
    )
}

/// Returns where the weights are: those that were named, or those beside the repository.
fn found(weights: Option<&Path>) -> Result<PathBuf> {
    let weights = match weights {
        Some(weights) => std::path::absolute(weights)?,
        None => process::root().join("../shared/data/engram"),
    };
    if !weights.exists() {
        bail!(
            "{}: no weights; name some with --weights",
            weights.display()
        );
    }
    Ok(weights)
}

/// Measures lossy engrams of weights and deltas; leaves curves (SVG and JSON) in `target/bench-engram-lossy`.
fn engram_lossy(weights: Option<&Path>) -> Result<()> {
    let weights = found(weights)?;
    for file in [
        "transformer.safetensors",
        "tune.u8",
        "report.u8",
        "evaluate.py",
    ] {
        if !weights.join(file).is_file() {
            bail!(
                "{}: no {file}; engram-lossy needs a folder with it and delta-….safetensors",
                weights.display()
            );
        }
    }
    let scripts = process::root().join("tests/bench/engram-lossy");
    let python = install::python("engram-lossy", &scripts.join("requirements.txt"))?;
    let mut command = of_core("engram_lossy");
    command.args(["--", "--weights"]).arg(&weights);
    command
        .arg("--judge")
        .args([python, scripts.join("judge.py")])
        .arg("--out")
        .arg(process::target().join("bench-engram-lossy"));
    measure(&mut command)
}

/// Runs `command` with `input` as its standard input, and writes its standard output to the file `output`.
fn write(command: &mut Command, input: Option<&Path>, output: &Path) -> Result<()> {
    if let Some(input) = input {
        command.stdin(File::open(input)?);
    }
    let status = command
        .stdout(File::create(output)?)
        .status()
        .with_context(|| format!("write {}", output.display()))?;
    if !status.success() {
        bail!("writing {} ended with {status}", output.display());
    }
    Ok(())
}

/// Returns the command of a benchmark in tabs, with the relay and the page as they are shipped.
fn in_chromium(name: &str) -> Result<Command> {
    let page = page::build(Profile::Release)?;
    let relay = serve::relay(Profile::Release)?;
    let mut command = script(name)?;
    command.env("CHORUS_RELAY", relay).env("CHORUS_PAGE", page);
    Ok(command)
}

/// Returns the command that seals in a tab, with the module as it is shipped but for what the benchmark calls.
fn seal_in_chromium() -> Result<Command> {
    let module = page::build_seal_bench()?;
    let mut command = script("seal")?;
    command.env("CHORUS_PRIVACY", module);
    Ok(command)
}

/// Returns the command of a script in `tests/bench` that starts Chromium.
fn script(name: &str) -> Result<Command> {
    let mut command = Command::new(install::node()?);
    command
        .arg(format!("bench/{name}.mjs"))
        .current_dir(process::root().join("tests"))
        .env("CHROMIUM", install::chromium()?);
    Ok(command)
}

/// Runs a benchmark and passes its measurements on; other lines go to standard error.
fn measure(command: &mut Command) -> Result<()> {
    let mut measured = 0;
    let status = process::follow(command, false, |line| {
        if serde_json::from_str::<serde_json::Value>(line)
            .is_ok_and(|value| value.get("bench").is_some())
        {
            println!("{line}");
            measured += 1;
        } else {
            eprintln!("{line}");
        }
    })?;
    if !status.success() {
        bail!("the benchmark ended with {status}");
    }
    if measured == 0 {
        bail!("the benchmark measured nothing");
    }
    Ok(())
}
