//! `chorus-relay check`: what a relay would run with.

use crate::{
    cli::CheckArgs,
    cmd::{Failure, print_line, usage},
    config::Config,
};

/// Prints the effective configuration as TOML.
///
/// # Errors
/// The file does not parse or a value is out of its bound (exit status 2).
pub(crate) fn check(args: CheckArgs) -> Result<(), Failure> {
    let config = match &args.config {
        Some(path) => Config::read(path).map_err(usage)?,
        None => Config::default(),
    };
    config.validate().map_err(usage)?;
    print_line(config.to_toml().map_err(Failure::Usage)?.trim_end())
}
