//! A peer in a tab: bootstrap, identity, storage, transports and the driver, put together.

mod keys;
mod learning;
mod private;
pub(crate) mod turn;

use std::{cell::RefCell, rc::Rc};

use chorus_core::{
    key::Keypair,
    net::{self, Config, Handle, Part, Parts},
};
use futures::StreamExt;
use js_sys::Promise;
use libp2p::{Multiaddr, identity, swarm};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::Response;

pub use keys::key_packets;
pub use learned::Learned;
pub use learning::{Learner, Learning, Lesson};
pub use private::Steps;

use crate::{
    storage::{self, Identity, Mode, Records, Writer, learned},
    transport::{self, Ahead, webrtc::Connections},
};

/// What a peer is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The relay's address on the web, such as `https://relay.example`; the page's own origin by default.
    pub relay: String,
    /// The network to join; the relay's own by default, and no other will do.
    pub network: Option<String>,
    /// Where identity and blocks are kept.
    pub storage: Mode,
    /// How to connect to other browsers.
    pub transport: transport::Config,
    /// A promise of what was begun while the wasm was on its way; the first start takes it.
    pub ahead: Rc<RefCell<Option<Promise>>>,
}

/// Why a peer could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The relay does not answer, or not as a relay does.
    #[error("the relay at {relay} cannot be reached: {reason}")]
    Relay {
        /// Its address.
        relay: String,
        /// What went wrong.
        reason: String,
    },
    /// The relay serves another network.
    #[error("the relay serves the network {actual:?}, not {wanted:?}")]
    Network {
        /// What was asked for.
        wanted: String,
        /// What the relay serves.
        actual: String,
    },
    /// The relay names no address that a browser can dial.
    #[error("the relay at {relay} names no WebSocket address")]
    NoAddress {
        /// Its address on the web.
        relay: String,
    },
    /// There is no identity to be had.
    #[error("no identity: {0}")]
    Identity(String),
    /// The driver could not be made.
    #[error("{0}")]
    Driver(String),
}

impl StartError {
    /// Returns the stable code that JavaScript sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Relay { .. } => "ERR_RELAY_UNREACHABLE",
            Self::Network { .. } => "ERR_WRONG_NETWORK",
            Self::NoAddress { .. } => "ERR_NO_ADDRESS",
            Self::Identity(_) => "ERR_IDENTITY",
            Self::Driver(_) => "ERR_START",
        }
    }
}

/// A running peer. Clones are the same peer.
#[derive(Clone)]
pub struct Peer {
    /// Talks to the driver.
    pub handle: Handle,
    /// The WebRTC connections, for statistics.
    pub connections: Connections,
    /// The identity's slot in this profile, `None` where it ends with the tab.
    pub slot: Option<u32>,
    /// Why something is not remembered although it should be.
    pub setback: Option<Rc<str>>,
    /// What is kept beside the blocks.
    pub records: Rc<Records>,
    /// What the learner exchanged.
    pub learned: Rc<Learned>,
    writer: Option<Writer>,
    // The lock on the identity is held until the peer is closed.
    identity: Rc<Identity>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// What `/bootstrap.json` says. Fields that are not known here are for others.
#[derive(Debug, Deserialize)]
struct Bootstrap {
    network: String,
    addrs: Vec<String>,
}

impl Peer {
    /// Starts a peer: its driver runs on this thread from now on.
    ///
    /// # Errors
    /// [`StartError`] where the relay cannot be reached, serves another network, or the browser refuses.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let ahead = match options.ahead.take() {
            Some(begun) => JsFuture::from(begun).await.unwrap_or_default(),
            None => JsValue::UNDEFINED,
        };
        let mut ahead = Ahead::read(&ahead);
        let bootstrap = match ahead.bootstrap.take() {
            Some(answer) => read_bootstrap(&options.relay, answer)?,
            // Boxed: browsers compile what they call, and this seldom.
            None => Box::pin(fetch_bootstrap(&options.relay)).await?,
        };
        if let Some(wanted) = options
            .network
            .as_ref()
            .filter(|wanted| **wanted != bootstrap.network)
        {
            return Err(StartError::Network {
                wanted: wanted.clone(),
                actual: bootstrap.network,
            });
        }
        let mut addresses: Vec<Multiaddr> = bootstrap
            .addrs
            .iter()
            .take(MAX_ADDRESSES)
            .filter_map(|a| a.parse().ok())
            .collect();
        addresses.retain(transport::websocket::Transport::supports);
        if addresses.is_empty() {
            return Err(StartError::NoAddress {
                relay: options.relay,
            });
        }

        let storage = storage::open(&bootstrap.network, options.storage).await;
        let identity = storage
            .acquire_identity()
            .await
            .map_err(|e| StartError::Identity(e.to_string()))?;
        let store = storage.blocks(&identity, MAX_STORED).await;
        let records = Rc::new(storage.records(&identity));
        let learned = Learned::open(records.clone()).await;
        let setback = storage
            .setback()
            .or(identity.setback())
            .map(|why| why.to_string().into());
        let writer = store.writer();

        let key = Keypair::from_seed(identity.seed());
        let libp2p_key = identity::Keypair::ed25519_from_bytes(identity.seed().to_vec())
            .map_err(|e| StartError::Identity(e.to_string()))?;
        let failed = |e: &dyn std::fmt::Display| StartError::Driver(e.to_string());
        let (transport, relay_client, webrtc) =
            transport::build(&libp2p_key, options.transport, ahead).map_err(|e| failed(&e))?;
        let connections = webrtc.connections();
        let mut config = Config::new(Part::Browser);
        config.node.network = bootstrap.network;
        config.listen = vec![libp2p::multiaddr::Protocol::WebRTC.into()];
        config.bootstrap = addresses;
        let parts = Parts {
            transport,
            relay_client: Some(relay_client),
            extra: webrtc,
            // A failed attempt shows as a peer that stays relayed.
            on_extra: Box::new(|_| {}),
            swarm: swarm::Config::with_wasm_executor(),
            store: Box::new(store),
            pause: Box::new(turn::pause),
        };
        let (handle, driver) = net::new(key, config, parts).map_err(|e| failed(&e))?;
        spawn_local(driver.run());
        Ok(Self {
            handle,
            connections,
            slot: identity.slot(),
            setback,
            records,
            learned: Rc::new(learned),
            writer,
            identity: Rc::new(identity),
        })
    }

    /// Returns the seed of the peer's Ed25519 key.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.identity.seed()
    }

    /// Closes every connection, waits until what is to be kept is kept, and lets the identity go: the next peer can have it.
    pub async fn close(&self) {
        self.handle.close().await;
        if let Some(writer) = &self.writer {
            writer.flush().await;
        }
        self.identity.release();
    }

    /// Runs `on_setback` with the reason whenever the browser does not keep what this peer stores: until the tab closes it
    /// is there all the same. Only the first caller hears of it.
    pub fn watch_storage(&self, mut on_setback: impl FnMut(String) + 'static) {
        if let Some(mut setbacks) = self.writer.as_ref().and_then(Writer::setbacks) {
            spawn_local(async move {
                while let Some(reason) = setbacks.next().await {
                    on_setback(reason);
                }
            });
        }
    }

    /// Runs `on_event` for everything that happens until the peer closes.
    pub async fn watch(&self, mut on_event: impl FnMut(net::Event) + 'static) {
        if let Ok(mut events) = self.handle.events().await {
            spawn_local(async move {
                while let Some(event) = events.next().await {
                    on_event(event);
                }
            });
        }
    }
}

async fn fetch_bootstrap(relay: &str) -> Result<Bootstrap, StartError> {
    let failed = |reason: String| StartError::Relay {
        relay: relay.into(),
        reason,
    };
    let url = format!("{}/bootstrap.json", relay.trim_end_matches('/'));
    let window = web_sys::window().ok_or_else(|| failed("there is no window".into()))?;
    let answer = JsFuture::from(window.fetch_with_str(&url))
        .await
        .map_err(|e| failed(text(&e)))?;
    let answer: Response = answer
        .dyn_into()
        .map_err(|_| failed("no response".into()))?;
    if !answer.ok() {
        return Err(failed(format!(
            "it answers with status {}",
            answer.status()
        )));
    }
    let json = JsFuture::from(answer.json().map_err(|e| failed(text(&e)))?)
        .await
        .map_err(|e| failed(text(&e)))?;
    read_bootstrap(relay, json)
}

fn read_bootstrap(relay: &str, answer: JsValue) -> Result<Bootstrap, StartError> {
    serde_wasm_bindgen::from_value(answer).map_err(|e| StartError::Relay {
        relay: relay.into(),
        reason: e.to_string(),
    })
}

/// Returns what a JavaScript error says.
pub(crate) fn text(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| "unknown error".into()),
    }
}

/// Bytes of blocks that a tab keeps. Guess: several objects of the largest size.
const MAX_STORED: u64 = 256 << 20;
/// Addresses of a relay that are looked at.
const MAX_ADDRESSES: usize = 16;
