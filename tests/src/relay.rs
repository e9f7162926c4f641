//! A relay process under test, killed when dropped, and the few HTTP and command-line calls the tests make.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Time for one event (a ready line, a reply, the end of a command) on a loaded machine. The longest on purpose is a
/// `get` that gives up after 30 s without progress. Guess: twice that.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Time that a signalled relay has. Source: contract, "it drains, persists and exits 0 within 5 s".
pub(crate) const EXIT_DEADLINE: Duration = Duration::from_secs(5);

/// A running relay.
pub(crate) struct Relay {
    child: Child,
    /// Its one line of JSON.
    pub(crate) ready: Value,
    /// Lines of standard output after the ready line; closed when the process has ended.
    lines: Receiver<String>,
}

impl Relay {
    /// Starts a relay on free ports of 127.0.0.1 with its data in `data_dir` and waits until it is ready.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// As [`Self::start`], with more arguments.
    pub(crate) fn start_with(data_dir: &Path, args: &[&str]) -> Self {
        let mut command = run_command(data_dir);
        command.args(args);
        Self::spawn(command)
    }

    /// Starts `command`, which runs a relay, and waits until it is ready.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, lines) = sync_channel(64);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        // Held from here on, so that a relay that never gets ready is killed as well.
        let mut relay = Self {
            child,
            ready: Value::Null,
            lines,
        };
        let line = relay
            .lines
            .recv_timeout(DEADLINE)
            .expect("the relay prints its ready line");
        relay.ready =
            serde_json::from_str(&line).expect("the first line on standard output is JSON");
        assert_eq!(relay.ready["event"], "ready", "{line}");
        relay
    }

    /// Returns the relay's page address, `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        self.ready["http"].as_str().unwrap().trim_end_matches('/')
    }

    pub(crate) fn peer_id(&self) -> &str {
        self.ready["peer_id"].as_str().unwrap()
    }

    /// Returns the multiaddrs it listens on.
    pub(crate) fn addrs(&self) -> Vec<&str> {
        self.ready["addrs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|addr| addr.as_str().unwrap())
            .collect()
    }

    /// Requests `path` and returns the reply.
    pub(crate) fn get(&self, path: &str) -> Reply {
        http_get(self.url(), path)
    }

    /// Sends `signal` (`TERM`, `INT`) and returns how the process ended, within `deadline`.
    pub(crate) fn stop(mut self, signal: &str, deadline: Duration) -> ExitStatus {
        let killed = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        // Standard output closes when the process ends, so nothing polls.
        match self.lines.recv_timeout(deadline) {
            Ok(line) => panic!("one line on standard output, and then: {line}"),
            Err(RecvTimeoutError::Timeout) => {
                panic!("still running {deadline:?} after SIG{signal}")
            }
            Err(RecvTimeoutError::Disconnected) => self.child.wait().unwrap(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the command of a relay on free ports of 127.0.0.1.
pub(crate) fn run_command(data_dir: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args([
        "run",
        "--http",
        "127.0.0.1:0",
        "--listen",
        "/ip4/127.0.0.1/tcp/0/ws",
    ]);
    command
        .args([
            "--listen",
            "/ip4/127.0.0.1/udp/0/webrtc-direct",
            "--data-dir",
        ])
        .arg(data_dir);
    command.stdin(Stdio::null());
    command
}

/// Runs the relay's binary to its end and returns what it printed; it is killed after the deadline.
pub(crate) fn chorus_relay<S: AsRef<OsStr>>(args: &[S]) -> Output {
    finish(Command::new(binary()).args(args))
}

/// As [`chorus_relay`], and expects it to succeed.
pub(crate) fn succeed<S: AsRef<OsStr>>(args: &[S]) -> String {
    let output = chorus_relay(args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `command` to its end, at most for the deadline.
pub(crate) fn finish(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (sender, ended) = sync_channel(2);
    let err_sender = sender.clone();
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| bytes)
    };
    thread::spawn(move || sender.send((true, read(&mut out))));
    thread::spawn(move || err_sender.send((false, read(&mut err))));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        match ended.recv_timeout(DEADLINE) {
            Ok((true, bytes)) => stdout = bytes.unwrap(),
            Ok((false, bytes)) => stderr = bytes.unwrap(),
            Err(_) => {
                let _ = child.kill();
                panic!("{command:?} did not end within {DEADLINE:?}");
            }
        }
    }
    Output {
        status: child.wait().unwrap(),
        stdout,
        stderr,
    }
}

/// Returns the relay that `CHORUS_RELAY` names, or the one beside this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CHORUS_RELAY") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let relay = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("chorus-relay");
    assert!(
        relay.is_file(),
        "build it first: cargo build -p chorus-relay"
    );
    relay
}

/// What an HTTP server replied.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Returns the value of the header `name` (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Requests `path` of the server at `url` (`http://host:port`) as a page of another origin would.
pub(crate) fn http_get(url: &str, path: &str) -> Reply {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // HTTP/1.0: the reply ends with the connection and is never chunked.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nOrigin: https://elsewhere.example\r\n\r\n"
    )
    .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n").expect("a reply has a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a reply has a status");
    Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
