//! Child processes: run to the end, capture, or read along. Every command is shown before it runs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Returns the workspace's root directory: of the checkout that `cargo xtask` was called in, though the binary may have
/// been built in another one that shares its target directory.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let mut root = PathBuf::from(manifest_dir);
        root.pop();
        root
    })
}

/// Returns cargo's target directory: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Returns a cargo command that runs in the workspace's root, with the cargo that started xtask.
///
/// It does not see what `cargo run` tells xtask about itself: ring's build script watches these variables, and would
/// compile everything above it again whenever cargo is called now from a shell, now from here.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    let about_xtask = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ];
    for (variable, _) in std::env::vars_os() {
        if about_xtask
            .iter()
            .any(|start| variable.to_string_lossy().starts_with(start))
        {
            command.env_remove(variable);
        }
    }
    command
}

/// Runs `command` with the terminal's streams.
///
/// # Errors
/// When it cannot be started or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    // Standard output belongs to the results (bench prints JSON lines there), a tool's chatter does not.
    let status = command
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{} does not start", name(command)))?;
    check(command, status)
}

/// Time that a followed command has before it is killed: a test that hangs is a failure, not a silent run.
/// Guess: three times the longest part (real tabs) on two cores.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs `command`, passes each line of its standard output to `on_line` and, when `echo` is set, to ours.
///
/// # Errors
/// When it cannot be started, its output cannot be read, or it runs for longer than 30 min; a failing status is the
/// caller's to judge.
pub(crate) fn follow(
    command: &mut Command,
    echo: bool,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", name(command)))?;
    let output = child.stdout.take().expect("standard output is piped");
    let (sender, lines) = sync_channel(64);
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            if sender.send(line).is_err() {
                break;
            }
        }
    });

    let deadline = Instant::now() + LIMIT;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                if echo {
                    println!("{line}");
                }
                on_line(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(child.wait()?),
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                bail!(
                    "{} still ran after {} min and was killed",
                    name(command),
                    LIMIT.as_secs() / 60
                );
            }
        }
    }
}

/// Returns the standard output of `program` without showing anything.
///
/// # Errors
/// As [`run`], or when the output is not UTF-8.
pub(crate) fn capture_quietly(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("{program} does not start"))?;
    if !output.status.success() {
        bail!("{program} {} ended with {}", args.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns whether `program` starts and succeeds with `args`, without showing anything.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Prints the command as a shell would show it, on standard error.
fn show(command: &Command) {
    let args: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy())
        .collect();
    eprintln!("$ {} {}", name(command), args.join(" "));
}

/// Returns the program's file name.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned()
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}
