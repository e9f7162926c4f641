//! The Chorus relay: serves the page, introduces browsers to each other, stores blocks; and the headless peer commands.
//!
//! Standard output carries what scripts read (contract.md); everything else goes to standard error.
//! Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use clap::Parser;

mod behaviour;
mod bootstrap;
mod cli;
mod cmd;
mod config;
mod http;
mod meter;
mod metrics;
mod node;
mod store;
mod transport;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cmd::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The exit status says it too, where nobody reads.
            let _ = writeln!(stderr(), "chorus-relay: {failure}");
            failure.exit_code()
        }
    }
}
