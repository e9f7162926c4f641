//! `chorus-relay engram`: safetensors files to engrams and back, chunk by chunk, so that a large file needs little memory.

use std::path::{Path, PathBuf};

use chorus_core::engram::{Codec, EngramError, Level, Limits};

use crate::{
    cli::{EngramCommand, PackLevel},
    cmd::Failure,
};

mod bench;
mod file;
mod hybrid;
mod info;
mod pack;
mod progress;
mod unpack;

/// Does what the command line asks.
///
/// # Errors
/// What went wrong, in one line that names the file.
pub(crate) fn engram(command: EngramCommand) -> Result<(), Failure> {
    match command {
        EngramCommand::Pack(args) => pack::pack(args),
        EngramCommand::Unpack(args) => unpack::unpack(args),
        EngramCommand::Info(args) => info::info(args),
        EngramCommand::Bench(args) => bench::bench(args),
    }
}

impl From<PackLevel> for Level {
    fn from(level: PackLevel) -> Self {
        match level {
            PackLevel::Fast => Self::Fast,
            PackLevel::Neural => Self::Neural,
            PackLevel::Small => Self::Small,
            PackLevel::Plain => Self::Only(Codec::Plain),
            PackLevel::Plane => Self::Only(Codec::Plane),
            PackLevel::Deflate => Self::Only(Codec::Deflate),
            PackLevel::Lzma => Self::Only(Codec::Lzma),
            PackLevel::Pco => Self::Only(Codec::Pco),
        }
    }
}

/// Names the file that an error is about.
fn in_file(path: &Path) -> impl Fn(EngramError) -> Failure + use<> {
    let path = path.to_path_buf();
    move |error| Failure::Failed(format!("{}: {error}", path.display()))
}

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.to_path_buf();
    move |error| Failure::Failed(format!("{}: {error}", path.display()))
}

/// Where a command writes that was not told.
fn beside(path: &Path, add: &str, remove: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short = name.strip_suffix(remove).filter(|_| !remove.is_empty());
    let name = match short {
        Some(short) => short.to_owned(),
        None => format!("{name}{add}"),
    };
    path.with_file_name(name)
}

/// The bounds for files that the owner of the machine names.
fn limits(max_bytes: u64) -> Limits {
    Limits {
        max_bytes,
        max_index: MAX_INDEX,
        ..Limits::default()
    }
}

/// Returns the most memory that the process held, bytes, where the system tells: the binary's own pages are in it.
fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Bytes of an index that is on a disk of one's own. Guess: that of a model of 900 GB, which takes 450 MB of memory.
const MAX_INDEX: usize = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_was_not_named_lies_beside_the_input() {
        let packed = beside(Path::new("a/w.safetensors"), ".engram", "");
        assert_eq!(packed, Path::new("a/w.safetensors.engram"));
        assert_eq!(
            beside(&packed, ".safetensors", ".engram"),
            Path::new("a/w.safetensors")
        );
        assert_eq!(
            beside(Path::new("w.bin"), ".safetensors", ".engram"),
            Path::new("w.bin.safetensors")
        );
    }
}
