//! `cargo xtask run`: the page, the relay, and the relay serving the page.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{page, process, suite};

/// Options of `cargo xtask run`.
#[derive(Args)]
pub(crate) struct Options {
    /// Port of the page on 127.0.0.1; 0 means any free port.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Builds both as they are shipped: slower to build, faster to run.
    #[arg(long)]
    release: bool,
    /// Opens the page in the browser once the relay answers.
    #[arg(long)]
    open: bool,
}

/// Builds the page and the relay and becomes the relay; returns only where that fails or on Windows.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let profile = if options.release {
        page::Profile::Release
    } else {
        page::Profile::Dev
    };
    let page = page::build(profile)?;
    let relay = relay(profile)?;

    let data = process::target().join("relay-data");
    let http = format!("127.0.0.1:{}", options.port);
    let mut command = Command::new(relay);
    command
        .args(["run", "--http", &http, "--data-dir"])
        .arg(data)
        .env(page::DIR_ENV, page);

    if options.port == 0 {
        eprintln!("the page's address is the `http` of the ready line");
    } else {
        eprintln!("page: http://{http}");
        if options.open {
            let url = format!("http://{http}");
            Command::new(std::env::current_exe()?)
                .args(["open", &url])
                .spawn()?;
        }
    }
    become_command(command)
}

/// Builds the relay and returns the path of its binary.
pub(crate) fn relay(profile: page::Profile) -> Result<std::path::PathBuf> {
    let mut command = process::cargo(["build", "--bin=chorus-relay"]);
    let dir = match profile {
        page::Profile::Dev => {
            command.args(suite::SELECTION);
            "debug"
        }
        page::Profile::Release => {
            command.args(["--release", "--package=chorus-relay"]);
            "release"
        }
    };
    process::run(&mut command)?;
    Ok(process::target()
        .join(dir)
        .join(format!("chorus-relay{}", std::env::consts::EXE_SUFFIX)))
}

/// Waits until `url` (`http://host:port`) answers, then opens it with the system's opener.
///
/// # Errors
/// When nothing answers within a minute, or no opener is found.
pub(crate) fn open(url: &str) -> Result<ExitCode> {
    let address = url
        .strip_prefix("http://")
        .context("only http:// is served")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !answers(address) {
        if Instant::now() > deadline {
            bail!("{url} did not answer within 60 s");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    process::run(Command::new(opener).arg(url))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns whether an HTTP server at `address` calls itself healthy.
fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut reply = [0; 12];
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && reply.ends_with(b" 200")
}

/// Replaces xtask with the relay, so that a signal meant for `cargo xtask run` reaches it.
#[cfg(unix)]
fn become_command(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("the relay does not start")
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Result<ExitCode> {
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
