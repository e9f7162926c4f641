//! What an operator can set, where each default comes from, and the check that names what is wrong.
//!
//! A file gives any subset of the fields; the command line overrides it. Unknown keys are refused, so that a
//! misspelt limit is not silently the default.

use std::{
    fmt::Display,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::bootstrap::Bootstrap;

/// The effective configuration of a relay: defaults, then the file, then the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Network name, part of every protocol id. Default `main`. Source: contract.md, "On the wire".
    pub(crate) network: String,
    /// Where key, certificate, packets and blocks persist. Default: systemd's `STATE_DIRECTORY`, else
    /// `XDG_DATA_HOME/chorus-relay`, else `~/.local/share/chorus-relay`. Source: XDG base directory specification 0.8.
    pub(crate) data_dir: PathBuf,
    /// Multiaddrs to listen on, WebSocket first. Port 0 means any free port. Default: WebSocket on TCP 9001, plain TCP
    /// on 9002, QUIC on UDP 9001, webrtc-direct on UDP 9003, all on 127.0.0.1. Guess: nothing is public unasked.
    pub(crate) listen: Vec<String>,
    /// Multiaddrs at which others reach this relay, for example `/dns4/relay.example/tcp/443/wss`. When empty, the
    /// listen addresses are announced instead. Default: none. Source: a relay behind a proxy cannot know its name.
    pub(crate) external: Vec<String>,
    /// Other relays to stay connected to: multiaddrs that end in `/p2p/…`, or `http://` URLs. Default: none.
    /// Source: no third party is contacted unasked.
    pub(crate) bootstrap: Vec<String>,
    /// The HTTP listeners.
    pub(crate) http: HttpConfig,
    /// The block store.
    pub(crate) store: StoreConfig,
    /// Connections.
    pub(crate) connections: ConnectionConfig,
    /// Circuits that this relay carries for browsers.
    pub(crate) circuits: CircuitConfig,
}

/// The HTTP listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Address of the page and `/bootstrap.json`. Default 127.0.0.1:8080. Source: contract.md, "Commands".
    pub(crate) listen: String,
    /// Address of a listener for `/metrics` alone. Empty: `/metrics` is served on `listen` while that is loopback, else
    /// not at all. Default: empty. Guess: counters are for the operator.
    pub(crate) metrics: String,
}

/// Bounds of the block store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreConfig {
    /// Sum of the lengths of all stored blocks, bytes. Default 1 GiB. Guess: a hundred shared files of 10 MB.
    pub(crate) max_bytes: u64,
    /// Number of stored blocks. Default 65 536. Guess: bounds the index to about 16 MB of memory.
    pub(crate) max_blocks: u64,
    /// Largest shared object that is fetched and kept, bytes. Default 10 000 000. Source: contract.md, "Limits".
    pub(crate) max_object_bytes: u64,
}

/// Bounds on connections. Counts of connections unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConnectionConfig {
    /// All established connections. Default 4096. Source: 62 KiB per WebSocket connection (field notes 5), so 256 MiB.
    pub(crate) max_established: u32,
    /// Established connections of one peer. Default 8. Guess: one per transport, plus those that a reload leaves behind.
    pub(crate) max_per_peer: u32,
    /// Inbound connections whose handshake is not finished. Default 512. Guess: a class that opens the page at once.
    pub(crate) max_pending_incoming: u32,
}

/// Bounds on circuits and reservations (libp2p circuit relay v2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CircuitConfig {
    /// Reservations held at once. Default 2048. Guess: half of `max_established`, as tabs leave and return.
    pub(crate) max_reservations: usize,
    /// Reservations of one peer. Default 8. Guess: a reloading tab holds the old one until its connection times out.
    pub(crate) max_reservations_per_peer: usize,
    /// How long a reservation lasts, seconds. Default 3600. Source: circuit-v2 specification, "Reservation".
    pub(crate) reservation_secs: u64,
    /// Reservations that one address (an office, a class) may ask for at once. Default 1024. Source: libp2p-relay's 60
    /// turned away 30 of 90 tabs behind one address (field notes 0).
    pub(crate) reservation_burst_per_ip: u32,
    /// Reservations per minute and address after that burst. Default 600. Guess: every tab of a burst reloads in two minutes.
    pub(crate) reservations_per_ip_per_minute: u32,
    /// Circuits open at once. Default 512. Guess: a quarter of the reservations; a circuit ends once WebRTC is up.
    pub(crate) max_circuits: usize,
    /// Circuits that one peer opens at once. Default 32. Source: field notes 4 ask for at least 16; a tab dials 16 peers
    /// and a reload repeats that.
    pub(crate) max_circuits_per_peer: usize,
    /// How long a circuit lasts, seconds. Default 120. Source: libp2p-relay 0.22 and go-libp2p.
    pub(crate) circuit_secs: u64,
    /// Bytes that one circuit carries in both directions. Default 1 MiB. Source: field notes 4, 128 KiB to 1 MiB; the
    /// upper end lets small packets flow where WebRTC is impossible.
    pub(crate) circuit_bytes: u64,
    /// Circuits that one address may open at once. Default 2048. Guess: 128 tabs behind one address dial 16 peers each.
    pub(crate) circuit_burst_per_ip: u32,
    /// Circuits per minute and address after that burst. Default 3000. Guess: as above, within a minute.
    pub(crate) circuits_per_ip_per_minute: u32,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file is not readable.
    #[error("config file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML, has an unknown key, or a value of the wrong type.
    #[error("config file {path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// TOML's message with line and key.
        message: String,
    },
    /// A value is out of its bound.
    #[error("{field} must be {bound}, got {value}")]
    Value {
        /// The field as written in the file.
        field: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        bound: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: "main".into(),
            data_dir: default_data_dir(),
            listen: DEFAULT_LISTEN.iter().map(ToString::to_string).collect(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            http: HttpConfig::default(),
            store: StoreConfig::default(),
            connections: ConnectionConfig::default(),
            circuits: CircuitConfig::default(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            metrics: String::new(),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_blocks: 65_536,
            max_object_bytes: 10_000_000,
        }
    }
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            max_established: 4096,
            max_per_peer: 8,
            max_pending_incoming: 512,
        }
    }
}

impl Default for CircuitConfig {
    fn default() -> Self {
        Self {
            max_reservations: 2048,
            max_reservations_per_peer: 8,
            reservation_secs: 3600,
            reservation_burst_per_ip: 1024,
            reservations_per_ip_per_minute: 600,
            max_circuits: 512,
            max_circuits_per_peer: 32,
            circuit_secs: 120,
            circuit_bytes: 1 << 20,
            circuit_burst_per_ip: 2048,
            circuits_per_ip_per_minute: 3000,
        }
    }
}

impl Config {
    /// Reads `path`. Fields that the file leaves out keep their defaults. Values are not checked: see [`Self::validate`].
    ///
    /// # Errors
    /// The file is unreadable, larger than 1 MiB, not TOML, or has an unknown key.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        };
        let length = std::fs::metadata(path).map_err(read)?.len();
        if length > MAX_FILE_BYTES {
            return Err(value_error(
                "config file length",
                length,
                format!("at most {MAX_FILE_BYTES} bytes"),
            ));
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text).map_err(|message| ConfigError::Parse {
            path: path.to_path_buf(),
            message,
        })
    }

    /// Parses the text of a config file.
    ///
    /// # Errors
    /// TOML's own message: line, key and what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The configuration as a file that [`Self::parse`] reads back.
    ///
    /// # Errors
    /// A path that is not UTF-8 has no form in TOML.
    pub(crate) fn to_toml(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }

    /// Checks every field against its bound.
    ///
    /// # Errors
    /// The first field out of its bound, with the value and the bound.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        check_network(&self.network)?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(value_error("data_dir", "\"\"", "a directory"));
        }
        self.listen_addrs()?;
        self.external_addrs()?;
        self.bootstraps()?;
        self.http_addr()?;
        self.metrics_addr()?;
        within("store.max_bytes", self.store.max_bytes, 1 << 20..=1 << 44)?;
        within("store.max_blocks", self.store.max_blocks, 16..=1 << 24)?;
        within(
            "store.max_object_bytes",
            self.store.max_object_bytes,
            1 << 10..=1 << 30,
        )?;
        self.connections.validate()?;
        self.circuits.validate()
    }

    /// The addresses to listen on, WebSocket ones first.
    ///
    /// # Errors
    /// An address that does not parse, is on no known transport, or more than 16 of them.
    pub(crate) fn listen_addrs(&self) -> Result<Vec<Multiaddr>, ConfigError> {
        let mut addrs = multiaddrs("listen", &self.listen)?;
        if addrs.is_empty() {
            return Err(value_error("listen", "[]", "at least one multiaddr"));
        }
        for addr in &addrs {
            if TransportKind::of(addr).is_none()
                || addr.iter().any(|p| matches!(p, Protocol::P2p(_)))
            {
                return Err(value_error(
                    "listen",
                    addr,
                    "/ip4|ip6/…/tcp/PORT[/ws], /udp/PORT/quic-v1 or /udp/PORT/webrtc-direct, without /p2p",
                ));
            }
        }
        addrs.sort_by_key(TransportKind::of);
        Ok(addrs)
    }

    /// The addresses at which others reach this relay.
    ///
    /// # Errors
    /// An address that does not parse, or more than 16 of them.
    pub(crate) fn external_addrs(&self) -> Result<Vec<Multiaddr>, ConfigError> {
        multiaddrs("external", &self.external)
    }

    /// The relays to stay connected to.
    ///
    /// # Errors
    /// An entry that is neither a multiaddr with `/p2p/…` nor an `http://` URL, or more than 16 of them.
    pub(crate) fn bootstraps(&self) -> Result<Vec<Bootstrap>, ConfigError> {
        bound_len("bootstrap", self.bootstrap.len())?;
        self.bootstrap
            .iter()
            .map(|text| {
                text.parse().map_err(|error| {
                    value_error(
                        "bootstrap",
                        text,
                        format!("a multiaddr ending in /p2p/… or an http:// URL ({error})"),
                    )
                })
            })
            .collect()
    }

    /// The address of the HTTP listener.
    ///
    /// # Errors
    /// Not `IP:PORT`.
    pub(crate) fn http_addr(&self) -> Result<SocketAddr, ConfigError> {
        socket_addr("http.listen", &self.http.listen)
    }

    /// The address of the listener for metrics alone, if there is one.
    ///
    /// # Errors
    /// Not `IP:PORT`.
    pub(crate) fn metrics_addr(&self) -> Result<Option<SocketAddr>, ConfigError> {
        if self.http.metrics.is_empty() {
            return Ok(None);
        }
        socket_addr("http.metrics", &self.http.metrics).map(Some)
    }
}

impl ConnectionConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        within(
            "connections.max_established",
            self.max_established,
            8..=1_000_000,
        )?;
        within("connections.max_per_peer", self.max_per_peer, 1..=1024)?;
        within(
            "connections.max_pending_incoming",
            self.max_pending_incoming,
            1..=100_000,
        )
    }
}

impl CircuitConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        within(
            "circuits.max_reservations",
            self.max_reservations,
            1..=1_000_000,
        )?;
        within(
            "circuits.max_reservations_per_peer",
            self.max_reservations_per_peer,
            1..=1024,
        )?;
        within(
            "circuits.reservation_secs",
            self.reservation_secs,
            60..=86_400,
        )?;
        within(
            "circuits.reservation_burst_per_ip",
            self.reservation_burst_per_ip,
            1..=1_000_000,
        )?;
        within(
            "circuits.reservations_per_ip_per_minute",
            self.reservations_per_ip_per_minute,
            1..=60_000,
        )?;
        within("circuits.max_circuits", self.max_circuits, 1..=1_000_000)?;
        within(
            "circuits.max_circuits_per_peer",
            self.max_circuits_per_peer,
            1..=1024,
        )?;
        within("circuits.circuit_secs", self.circuit_secs, 10..=86_400)?;
        within(
            "circuits.circuit_bytes",
            self.circuit_bytes,
            16 << 10..=1 << 30,
        )?;
        within(
            "circuits.circuit_burst_per_ip",
            self.circuit_burst_per_ip,
            1..=1_000_000,
        )?;
        within(
            "circuits.circuits_per_ip_per_minute",
            self.circuits_per_ip_per_minute,
            1..=60_000,
        )
    }
}

/// The transports that a relay listens on, in the order in which their addresses are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TransportKind {
    /// WebSocket, plain or behind TLS.
    WebSocket,
    /// WebRTC from a browser straight to this relay.
    WebRtcDirect,
    /// QUIC, native peers only.
    Quic,
    /// TCP with Noise and Yamux, native peers only.
    Tcp,
}

impl TransportKind {
    /// The transport that `addr` is on; `None` when this relay has none for it.
    pub(crate) fn of(addr: &Multiaddr) -> Option<Self> {
        let mut kind = None;
        for protocol in addr {
            kind = match protocol {
                Protocol::Tcp(_) => Some(Self::Tcp),
                Protocol::Ws(_) | Protocol::Wss(_) => Some(Self::WebSocket),
                Protocol::QuicV1 => Some(Self::Quic),
                Protocol::WebRTCDirect => Some(Self::WebRtcDirect),
                Protocol::P2pCircuit => return None,
                _ => kind,
            };
        }
        kind
    }
}

/// Checks a network name: 1 to 64 of `a-z 0-9 - _ .`, since it stands inside protocol ids.
///
/// # Errors
/// The name, and what is allowed.
pub(crate) fn check_network(name: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(value_error(
        "network",
        format!("{name:?}"),
        "1 to 64 of a-z, 0-9, '-', '_', '.'",
    ))
}

/// The data directory when nobody names one.
pub(crate) fn default_data_dir() -> PathBuf {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = variable("STATE_DIRECTORY") {
        return dir;
    }
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map_or_else(
            || PathBuf::from("chorus-relay-data"),
            |dir| dir.join("chorus-relay"),
        )
}

fn value_error(field: &'static str, value: impl Display, bound: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        field,
        value: value.to_string(),
        bound: bound.into(),
    }
}

fn within<N: PartialOrd + Display>(
    field: &'static str,
    value: N,
    range: RangeInclusive<N>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(value_error(
        field,
        value,
        format!("in {}..={}", range.start(), range.end()),
    ))
}

fn bound_len(field: &'static str, len: usize) -> Result<(), ConfigError> {
    if len > MAX_ADDRS {
        return Err(value_error(
            field,
            format!("{len} entries"),
            format!("at most {MAX_ADDRS} entries"),
        ));
    }
    Ok(())
}

fn multiaddrs(field: &'static str, texts: &[String]) -> Result<Vec<Multiaddr>, ConfigError> {
    bound_len(field, texts.len())?;
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error| value_error(field, text, format!("a multiaddr ({error})")))
        })
        .collect()
}

fn socket_addr(field: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        value_error(
            field,
            format!("{text:?}"),
            "IP:PORT, for example 127.0.0.1:8080",
        )
    })
}

/// Listeners of a relay that is started without options. See [`Config::listen`].
const DEFAULT_LISTEN: [&str; 4] = [
    "/ip4/127.0.0.1/tcp/9001/ws",
    "/ip4/127.0.0.1/udp/9003/webrtc-direct",
    "/ip4/127.0.0.1/udp/9001/quic-v1",
    "/ip4/127.0.0.1/tcp/9002",
];
/// Entries in each list of addresses. Guess: a host has fewer; all of them fit one reservation message of 4096 bytes.
const MAX_ADDRS: usize = 16;
/// Length of a config file, bytes. Guess: the full file has under 2 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests;
