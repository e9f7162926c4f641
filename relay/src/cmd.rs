//! One module per command, and what they share: the runtime, logs, signals and the exit status.

use std::{
    fmt::Display,
    future::Future,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use chorus_core::key::Keypair;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::{
    behaviour::with_causes,
    cli::Command,
    config::ConfigError,
    store::{BlockStore, Bounds, NodeStore, Secrets, StoreError},
    transport,
};

mod check;
mod client;
mod engram;
mod get;
mod keygen;
mod keys;
mod ledger;
mod owner;
mod peer;
mod privacy;
mod query;
mod report;
mod revoke;
mod run;
mod share;
mod status;
mod unfinished;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong: exit status 2.
    Usage(String),
    /// It did not work out: exit status 1.
    Failed(String),
}

impl Failure {
    /// The process's exit status.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(with_causes(&error))
    }
}

fn usage(error: ConfigError) -> Failure {
    Failure::Usage(error.to_string())
}

/// Does what the command line asks.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    start_logs();
    match command {
        Command::Run(args) => {
            let config = args.config().map_err(usage)?;
            in_runtime(run::run(config, args.page))
        }
        Command::Keygen(args) => keygen::keygen(args),
        Command::Check(args) => check::check(args),
        Command::Status(args) => in_runtime(status::status(args)),
        Command::Share(args) => in_runtime(share::share(args)),
        Command::Get(args) => in_runtime(unless_asked_to_end(get::get(args))),
        Command::Query(args) => in_runtime(query::query(args)),
        Command::Revoke(args) => in_runtime(revoke::revoke(args)),
        Command::Peer(args) => in_runtime(peer::peer(args)),
        Command::Ledger(args) => in_runtime(ledger::ledger(args)),
        Command::Engram(command) => in_runtime(unless_asked_to_end(async {
            let done = tokio::task::spawn_blocking(|| engram::engram(command));
            done.await
                .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        })),
    }
}

fn in_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    // Before QUIC and WebRTC each install their own; a second call finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // Connections of WebRTC keep tasks that nobody waits for.
    runtime.shutdown_background();
    result
}

/// Runs `command` until it is done or the process is asked to end, and then leaves no unfinished file behind.
async fn unless_asked_to_end(
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut termination = Termination::listen()?;
    tokio::select! {
        biased;
        result = command => result,
        () = termination.asked() => {
            unfinished::remove_all();
            Err(Failure::Failed("asked to end before it was done".into()))
        }
    }
}

/// Logs go to standard error, as `RUST_LOG` says. A line that cannot be written there is lost, and nothing else.
fn start_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        // It would tell standard error that standard error is closed, and panic.
        .log_internal_errors(false)
        .init();
}

/// Prints one line for scripts at once, however standard output is buffered.
fn print_line(line: &str) -> Result<(), Failure> {
    print(io::stdout().lock(), format!("{line}\n").as_bytes())
}

/// Writes all of `bytes` to standard output, `out`, and not only into its buffer.
fn print(mut out: impl Write, bytes: &[u8]) -> Result<(), Failure> {
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Failed(format!("standard output: {error}")))
}

/// Hears when the process is asked to end, from when it is made: a signal that comes while nobody waits is kept.
#[cfg(unix)]
struct Termination {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Termination {
    /// # Errors
    /// The operating system refuses to deliver signals.
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves when the process is asked to end.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Hears when the process is asked to end.
#[cfg(not(unix))]
struct Termination;

#[cfg(not(unix))]
impl Termination {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn asked(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "signals");
            std::future::pending::<()>().await;
        }
    }
}

/// A new identity seed.
fn new_seed() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| Failure::Failed(format!("randomness: {error}")))?;
    Ok(seed)
}

/// Opens the store in `dir`, making identity and certificate when there is none.
fn open_store(dir: &Path, bounds: Bounds) -> Result<(BlockStore, Secrets), StoreError> {
    let generate = || {
        let unavailable = |message: String| StoreError::Io {
            path: dir.to_path_buf(),
            source: io::Error::other(message),
        };
        Ok(Secrets {
            seed: new_seed().map_err(|error| unavailable(error.to_string()))?,
            certificate: Zeroizing::new(
                transport::generate_certificate()
                    .map_err(|error| unavailable(error.to_string()))?,
            ),
        })
    };
    let store = BlockStore::open(dir, bounds, generate)?;
    let secrets = store.secrets()?;
    Ok((store, secrets))
}

/// The identity in `dir`, made when there is none. The store is closed again.
fn identity(dir: &Path) -> Result<Keypair, StoreError> {
    let bounds = Bounds {
        max_bytes: u64::MAX,
        max_blocks: u64::MAX,
    };
    open_store(dir, bounds).map(|(_, secrets)| keypair(&secrets))
}

/// Writes down the order of use. Without it nothing is lost but that order, so a failure is only logged.
fn flush(store: &NodeStore) {
    if let Err(error) = store.flush() {
        tracing::warn!(%error, "store");
    }
}

fn keypair(secrets: &Secrets) -> Keypair {
    Keypair::from_seed(&secrets.seed)
}

/// Our own events, and errors alone of what is below: others can make it warn as often as they like.
const DEFAULT_LOG: &str = "error,chorus_relay=info,chorus_core=info";

#[cfg(test)]
mod tests {
    use std::{
        env,
        process::{self, Stdio},
    };

    use tracing::Level;

    use super::*;

    /// What makes the test below the one that only logs.
    const ONLY_LOG: &str = "CHORUS_TEST_ONLY_LOG";

    /// Standard error was a closed pipe, and the first line to it ended the thread that logged.
    ///
    /// Runs itself again, with such a standard error.
    #[test]
    fn a_log_line_that_cannot_be_written_is_lost_and_nothing_else() {
        if env::var_os(ONLY_LOG).is_some() {
            start_logs();
            tracing::error!("nobody reads this");
            return;
        }
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let name = "cmd::tests::a_log_line_that_cannot_be_written_is_lost_and_nothing_else";
        let output = process::Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(ONLY_LOG, "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(writer)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }

    #[test]
    fn by_default_our_crates_tell_what_happens_and_libraries_only_errors() {
        let filter = EnvFilter::new(DEFAULT_LOG);
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).finish();
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::enabled!(target: "chorus_relay::cmd", Level::INFO));
            assert!(tracing::enabled!(target: "chorus_core::net", Level::INFO));
            assert!(tracing::enabled!(target: "libp2p_swarm", Level::ERROR));
            assert!(!tracing::enabled!(target: "libp2p_swarm", Level::WARN));
        });
    }

    /// A disk without room.
    struct FullDisk;

    impl Write for FullDisk {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Content that did not end with a line was lost on a full disk, and the exit status was 0.
    #[test]
    fn what_stays_in_the_buffer_of_standard_output_is_not_printed() {
        for bytes in [&b"the end of a file"[..], b"a line\n"] {
            let error = print(io::LineWriter::new(FullDisk), bytes).unwrap_err();
            assert!(error.to_string().starts_with("standard output: "));
        }
        let mut out = Vec::<u8>::new();
        print(io::LineWriter::new(&mut out), b"the end of a file").unwrap();
        assert_eq!(out, b"the end of a file");
    }
}
