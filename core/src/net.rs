//! The one libp2p driver, for browsers and servers alike: it feeds a [`crate::node::Node`] and carries out what it says.
//!
//! Transports, storage and the executor are the caller's ([`Parts`]); everything else is the same future on both
//! targets. On circuits run only identify, ping and whatever the caller's own behaviour does there (signaling).

mod address;
mod behaviour;
mod driver;
mod gather;
mod handle;
mod patient;
mod prepared;
mod protocol;
mod relays;
mod scoped;
mod store;

use std::time::Duration;

pub use address::{is_circuit, is_webrtc};
pub use driver::Driver;
use futures::{FutureExt, future::BoxFuture};
pub use gather::{Gather, Gathered, Spawn};
pub use handle::{ConnectionInfo, Handle, HandleError, ShareOptions};
use libp2p::{
    Multiaddr, PeerId,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    relay,
    swarm::{self, NetworkBehaviour},
};
pub use prepared::{Pieces, PreparedPacket};
pub use store::{MAX_PURGE, MemoryStore, Retention, Store, StoreError};

use crate::{node, time::Timestamp};

/// What a node does for the network besides being a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A browser tab: reserves a place on relays and is reached through WebRTC.
    Browser,
    /// A relay: serves the DHT.
    Relay,
    /// A native peer that only dials.
    Headless,
}

/// What the driver is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's own configuration.
    pub node: node::Config,
    /// What the node does for the network.
    pub part: Part,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach this node, as its owner says.
    pub external: Vec<Multiaddr>,
    /// Relays to start from; each address ends in `/p2p/<id>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Name and version told to other peers.
    pub agent: String,
    /// Time between pings of one connection. Default 4 s. Source: a closed tab is to be gone within 15 s.
    pub ping_interval: Duration,
    /// Time for a ping's answer. Default 6 s. Source: as above.
    pub ping_timeout: Duration,
    /// How long relays keep a member's DHT record; members renew it three times as often. Default 150 s. Guess.
    pub record_ttl: Duration,
}

impl Config {
    /// Returns the defaults for a part in the network.
    pub fn new(part: Part) -> Self {
        let mut node = node::Config::default();
        if part == Part::Relay {
            node.forward = true;
            node.mirror = Some(node::Mirror::default());
            node.integrate = false;
        }
        Self {
            node,
            part,
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            agent: concat!("chorus/", env!("CARGO_PKG_VERSION")).into(),
            ping_interval: Duration::from_secs(4),
            ping_timeout: Duration::from_secs(6),
            record_ttl: Duration::from_secs(150),
        }
    }
}

/// What the caller brings.
pub struct Parts<X: NetworkBehaviour> {
    /// The transports, upgraded and boxed.
    pub transport: Boxed<(PeerId, StreamMuxerBox)>,
    /// The circuit relay client that belongs to the transport, where there is one.
    pub relay_client: Option<relay::client::Behaviour>,
    /// The caller's own behaviour: the browser's WebRTC, the relay's circuit server.
    pub extra: X,
    /// Hears what `extra` reports.
    pub on_extra: Box<dyn FnMut(X::ToSwarm) + Send>,
    /// The executor: `swarm::Config::with_tokio_executor()` or `with_wasm_executor()`.
    pub swarm: swarm::Config,
    /// Where blocks are kept.
    pub store: Box<dyn Store + Send>,
    /// Gives others a turn before what came is checked, where there is much of it: a page must answer. [`no_pause`] where the
    /// driver has a thread.
    pub pause: Pause,
}

/// Makes a future that is ready once others had their turn.
pub type Pause = Box<dyn FnMut() -> BoxFuture<'static, ()> + Send>;

/// Pauses for nobody.
pub fn no_pause() -> Pause {
    Box::new(|| futures::future::ready(()).boxed())
}

/// Something that happened, for whoever listens through [`Handle::events`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The node reported something.
    Node(node::Event),
    /// A listener is up.
    Listening(Multiaddr),
    /// A listener is gone.
    ListeningEnded(Multiaddr),
    /// A relay reserved a place for this node: others can reach it there now.
    Reserved(crate::key::PeerId),
    /// The place on a relay is lost; the driver tries to get it back.
    ReservationLost(crate::key::PeerId),
    /// A block could not be kept.
    StoreFailed(String),
}

/// Why a driver could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The network's name cannot be used.
    #[error("{0}")]
    Network(String),
    /// The key is not usable by libp2p.
    #[error("the key is not usable: {0}")]
    Key(String),
    /// A bootstrap address does not say whose it is.
    #[error("bootstrap address {0} does not end in /p2p/<peer id>")]
    Bootstrap(Multiaddr),
    /// Gossip could not be configured.
    #[error("gossip: {0}")]
    Gossip(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the transport said.
        reason: String,
    },
}

/// Makes a handle and the driver behind it; the driver is one future that runs until the handle closes it.
///
/// # Errors
/// [`NetError`] where the configuration cannot be carried out.
pub fn new<X: NetworkBehaviour>(
    key: crate::key::Keypair,
    config: Config,
    parts: Parts<X>,
) -> Result<(Handle, Driver<X>), NetError> {
    driver::new(key, config, parts)
}

/// Returns the wall clock.
pub(crate) fn wall() -> Timestamp {
    let since = web_time::SystemTime::now()
        .duration_since(web_time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
