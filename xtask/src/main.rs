//! `cargo xtask`: the only build logic of Chorus. Builds the page and the relay, runs, tests, measures and packs them.
//!
//! Results go to standard output, everything else to standard error. What is missing on the machine is installed
//! (see [`install`]) or named in one line.

mod bench;
mod dist;
mod install;
mod page;
mod process;
mod serve;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs, tests, measures and packs Chorus.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the page and the relay and starts the relay with the page.
    Run(serve::Options),
    /// Runs every test there is, or the named parts; ends with one line `N passed, N failed`.
    Test {
        /// Parts to run; all when none is named.
        #[arg(value_enum)]
        parts: Vec<suite::Part>,
    },
    /// Prints one JSON line per measurement on standard output.
    Bench {
        /// Benchmarks to run; all when none is named.
        #[arg(value_enum)]
        names: Vec<bench::Bench>,
        /// Weights for `engram`: a safetensors file, or a folder of them [default: ../shared/data/engram].
        #[arg(long, value_name = "PATH")]
        weights: Option<PathBuf>,
    },
    /// Leaves the stripped relay with the page embedded, and the npm package, in `dist/`.
    Dist,
    /// Opens `url` in the visitor's browser once it answers; `run --open` starts this beside the relay.
    #[command(hide = true)]
    Open { url: String },
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Run(options) => serve::run(&options),
        Task::Test { parts } => suite::run(&parts),
        Task::Bench { names, weights } => bench::run(&names, weights.as_deref()),
        Task::Dist => dist::run(),
        Task::Open { url } => serve::open(&url),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
