//! A running node: the driver of `chorus_core::net` on this crate's transports.

use std::time::Duration;

use chorus_core::{
    key::{Keypair, PeerId},
    net::{self, Handle, NetError, Part, Parts, Store},
    node::{Event, Role},
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, identity,
    multiaddr::Protocol,
    swarm::{self, NetworkBehaviour},
};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    config::TransportKind,
    meter::Traffic,
    transport::{self, TransportError},
};

/// A node and the task that runs it.
pub(crate) struct RunningNode {
    /// Talks to it.
    pub(crate) handle: Handle,
    /// Ends when the node is closed or fails.
    pub(crate) driver: JoinHandle<()>,
}

/// What a node is started with.
pub(crate) struct Setup<X> {
    /// Its identity.
    pub(crate) key: Keypair,
    /// The webrtc-direct certificate, PEM; `None`: the node does not speak it.
    pub(crate) certificate: Option<String>,
    /// Where its bytes are counted.
    pub(crate) traffic: Traffic,
    /// Its blocks.
    pub(crate) store: Box<dyn Store + Send>,
    /// What it does beside being a member.
    pub(crate) extra: X,
}

/// Why a node cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NodeError {
    /// The key is not usable by libp2p.
    #[error("identity: {0}")]
    Key(#[from] identity::DecodingError),
    /// The transports cannot be built.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The driver refused the configuration.
    #[error(transparent)]
    Net(#[from] NetError),
    /// No relay was there.
    #[error("no answer from the relay within {} s", CONNECT_TIMEOUT.as_secs())]
    NoRelay,
    /// The node ended before anything came of it.
    #[error("the node ended early")]
    Ended,
}

/// The libp2p form of a key.
///
/// # Errors
/// libp2p refuses the seed; it accepts every 32 bytes.
pub(crate) fn libp2p_keypair(key: &Keypair) -> Result<identity::Keypair, NodeError> {
    Ok(identity::Keypair::ed25519_from_bytes(key.seed().to_vec())?)
}

/// Starts a node on the current tokio runtime.
///
/// # Errors
/// The key, the certificate or the configuration is unusable.
pub(crate) fn start<X>(config: net::Config, setup: Setup<X>) -> Result<RunningNode, NodeError>
where
    X: NetworkBehaviour + Send,
    X::ToSwarm: Send,
    swarm::THandler<X>: Send,
{
    let keypair = libp2p_keypair(&setup.key)?;
    let (transport, relay_client) =
        transport::build(&keypair, setup.certificate.as_deref(), setup.traffic)?;
    let parts = Parts {
        transport,
        relay_client: Some(relay_client),
        extra: setup.extra,
        on_extra: Box::new(|_| {}),
        swarm: swarm::Config::with_tokio_executor(),
        store: setup.store,
        pause: net::no_pause(),
    };
    let (handle, driver) = net::new(setup.key, config, parts)?;
    let driver = tokio::spawn(driver.run());
    Ok(RunningNode { handle, driver })
}

impl RunningNode {
    /// Waits until a relay of the network is connected, at most 20 s.
    ///
    /// # Errors
    /// None was.
    pub(crate) async fn relay(&self) -> Result<PeerId, NodeError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.first_relay())
            .await
            .unwrap_or(Err(NodeError::NoRelay))
    }

    async fn first_relay(&self) -> Result<PeerId, NodeError> {
        let mut events = self.handle.events().await.map_err(|_| NodeError::Ended)?;
        let peers = self.handle.peers().await.map_err(|_| NodeError::Ended)?;
        if let Some(info) = peers.into_iter().find(|info| info.role == Role::Relay) {
            return Ok(info.peer);
        }
        while let Some(event) = events.next().await {
            if let net::Event::Node(Event::PeerChanged(info)) = event
                && info.role == Role::Relay
            {
                return Ok(info.peer);
            }
        }
        Err(NodeError::Ended)
    }

    /// Closes the node's connections and waits for the driver to end, at most 2 s.
    pub(crate) async fn close(self) {
        let end = async {
            self.handle.close().await;
            // A driver that panicked has ended too.
            let _ = self.driver.await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, end).await.is_err() {
            tracing::warn!("connections did not close in time");
        }
    }
}

/// Puts in front the address that this native node should dial: TCP, then WebSocket, then QUIC, and of those the first
/// that a TCP connection reaches within 2 s. Addresses for browsers alone go.
pub(crate) async fn order_for_dialling(mut addrs: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let rank = |addr: &Multiaddr| match TransportKind::of(addr) {
        Some(TransportKind::Tcp) => 0,
        Some(TransportKind::WebSocket) => 1,
        Some(TransportKind::Quic) => 2,
        Some(TransportKind::WebRtcDirect) | None => 3,
    };
    addrs.retain(|addr| rank(addr) < 3);
    addrs.sort_by_key(rank);
    if addrs.len() > 1 {
        for at in 0..addrs.len() {
            if answers(&addrs[at]).await {
                addrs[..=at].rotate_right(1);
                break;
            }
        }
    }
    addrs
}

/// Whether something accepts TCP connections at `addr`.
async fn answers(addr: &Multiaddr) -> bool {
    let mut host = None;
    let mut port = None;
    for protocol in addr {
        match protocol {
            Protocol::Ip4(ip) => host = Some(ip.to_string()),
            Protocol::Ip6(ip) => host = Some(ip.to_string()),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                host = Some(name.into_owned())
            }
            Protocol::Tcp(tcp) => port = Some(tcp),
            _ => {}
        }
    }
    let (Some(host), Some(port)) = (host, port) else {
        return false;
    };
    let connected = tokio::time::timeout(PROBE_TIMEOUT, TcpStream::connect((host, port))).await;
    matches!(connected, Ok(Ok(_)))
}

/// The defaults for a part in the network with the given limits.
pub(crate) fn net_config(part: Part, network: &str, max_object: u64) -> net::Config {
    let mut config = net::Config::new(part);
    config.node.network = network.to_string();
    config.node.max_object = max_object;
    if let Some(mirror) = &mut config.node.mirror {
        mirror.max_object = max_object;
    }
    config.agent = concat!("chorus-relay/", env!("CARGO_PKG_VERSION")).into();
    config
}

/// Time for a connection to the relay, identification included. Guess: a slow line and one retry.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to close connections. Source: contract.md, exit within 5 s, of which HTTP and the store need some.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for one TCP handshake. Guess: one lost packet.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_answers_comes_first_and_browser_addresses_go() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = {
            let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            other.local_addr().unwrap().port()
        };
        let parse = |text: String| text.parse::<Multiaddr>().unwrap();
        let ws = parse(format!("/ip4/127.0.0.1/tcp/{open}/ws"));
        let tcp = parse(format!("/ip4/127.0.0.1/tcp/{closed}"));
        let direct = parse("/ip4/127.0.0.1/udp/1/webrtc-direct".into());
        let ordered = order_for_dialling(vec![direct, ws.clone(), tcp.clone()]).await;
        assert_eq!(ordered, [ws, tcp]);
    }
}
