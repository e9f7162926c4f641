//! What JavaScript sees. `www/chorus.js` wraps these classes in the API that contract.md fixes; names here are its own.

mod error;
mod outgoing;
mod streams;
mod value;

use std::{cell::RefCell, rc::Rc};

use chorus_core::{digest::ContentId, net::Event, node, status};
use js_sys::{Array, Function};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

pub(crate) use error::{error, handle_error};
pub use outgoing::{Pieces, Prepared};
pub use streams::RawStream;
pub(crate) use value::{name_of, object, packet_value, peer_value, set, size_of, status_value};

use crate::{
    peer::{Options, Peer, turn::turn},
    storage::Mode,
    transport::{Config, IceServer},
};

/// The options of `join`, as JavaScript gives them. Only these are looked at: `www/chorus.js` refuses others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinOptions {
    relay: String,
    #[serde(default)]
    network: Option<String>,
    #[serde(default)]
    storage: Option<String>,
    #[serde(default)]
    ice_servers: Option<Vec<IceServerOptions>>,
    #[serde(default)]
    relay_only: Option<bool>,
    /// Not the caller's: `www/chorus.js` begins this. A promise of what [`Ahead::read`](crate::transport::Ahead::read) reads.
    #[serde(default, with = "serde_wasm_bindgen::preserve")]
    ahead: JsValue,
}

#[derive(Debug, Deserialize)]
struct IceServerOptions {
    urls: Urls,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    credential: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Many(Vec<String>),
}

impl JoinOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// An `Error` with code `ERR_INVALID_ARGUMENT` that names the field.
    pub(crate) fn read(value: JsValue) -> Result<Options, JsValue> {
        let invalid = |message: String| error("ERR_INVALID_ARGUMENT", &message);
        let options: Self =
            serde_wasm_bindgen::from_value(value).map_err(|e| invalid(format!("options: {e}")))?;
        let storage = match options.storage.as_deref() {
            None | Some("indexeddb") => Mode::IndexedDb,
            Some("memory") => Mode::Memory,
            Some(other) => {
                return Err(invalid(format!(
                    "storage must be \"indexeddb\" or \"memory\", got {other:?}"
                )));
            }
        };
        let ice_servers = options.ice_servers.into_iter().flatten();
        let ice_servers = ice_servers.map(|server| IceServer {
            urls: match server.urls {
                Urls::One(url) => vec![url],
                Urls::Many(urls) => urls,
            },
            username: server.username,
            credential: server.credential,
        });
        let transport = Config {
            ice_servers: ice_servers.collect(),
            relay_only: options.relay_only.unwrap_or_default(),
        };
        Ok(Options {
            relay: options.relay,
            network: options.network,
            storage,
            transport,
            ahead: Rc::new(RefCell::new(options.ahead.dyn_into().ok())),
        })
    }
}

/// A running peer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct ChorusPeer {
    peer: Peer,
    status: Rc<RefCell<Option<status::Status>>>,
}

/// Starts a peer. `on_event(name, value)` hears of `peer`, `packet`, `due`, `undue`, `revoked`, `status` and
/// `progress`.
///
/// # Errors
/// An `Error` with a stable `code`.
#[wasm_bindgen]
pub async fn start(options: JsValue, on_event: Function) -> Result<ChorusPeer, JsValue> {
    let peer = Peer::start(JoinOptions::read(options)?)
        .await
        .map_err(|e| error(e.code(), &e.to_string()))?;
    let tab = ChorusPeer::of(peer);
    let status = tab.status.clone();
    let call = move |name: &str, value: JsValue| {
        // What a listener throws is its own affair.
        let _ = on_event.call2(&JsValue::NULL, &name.into(), &value);
    };
    let told = call.clone();
    tab.peer
        .watch_storage(move |reason| told("error", error("ERR_NOT_KEPT", &reason)));
    tab.peer
        .watch(move |event| report(event, &status, &call))
        .await;
    Ok(tab)
}

fn report(event: Event, status: &RefCell<Option<status::Status>>, call: &dyn Fn(&str, JsValue)) {
    match event {
        Event::Node(node::Event::PeerChanged(info)) => call("peer", peer_value(&info)),
        Event::Node(node::Event::PeerLeft(peer)) => {
            let value = object();
            set(&value, "id", &peer.to_string().into());
            set(&value, "left", &true.into());
            call("peer", value.into());
        }
        Event::Node(node::Event::PacketReceived { packet, .. }) => {
            call("packet", packet_value(&packet, None))
        }
        Event::Node(node::Event::BecameDue { packet, round }) => {
            let value = packet_value(&packet, None);
            set(value.unchecked_ref(), "round", &(round as f64).into());
            call("due", value);
        }
        Event::Node(node::Event::NeverDue { cid, reason }) => {
            call("undue", about(cid, "reason", &reason.to_string()));
        }
        Event::Node(node::Event::Revoked { cid, by }) => {
            call("revoked", about(cid, "by", &by.to_string()));
        }
        Event::Node(node::Event::Progressed {
            cid,
            received,
            total,
        }) => {
            let value = object();
            set(&value, "cid", &cid.to_string().into());
            set(&value, "received", &(received as f64).into());
            set(&value, "total", &(total as f64).into());
            call("progress", value.into());
        }
        Event::Node(node::Event::StatusChanged(now)) => {
            *status.borrow_mut() = Some(now);
            call("status", status_value(&now));
        }
        // Others can reach the peer from now on.
        Event::Reserved(_) => {
            if let Some(now) = *status.borrow() {
                call("status", status_value(&now));
            }
        }
        _ => {}
    }
}

/// What is said about a packet.
fn about(cid: ContentId, name: &str, text: &str) -> JsValue {
    let value = object();
    set(&value, "cid", &cid.to_string().into());
    set(&value, name, &text.into());
    value.into()
}

fn parse_cid(cid: &str) -> Result<ContentId, JsValue> {
    cid.parse()
        .map_err(|e| error("ERR_INVALID_ARGUMENT", &format!("content id {cid:?}: {e}")))
}

impl ChorusPeer {
    /// Shows JavaScript a peer that runs already.
    pub(crate) fn of(peer: Peer) -> Self {
        Self {
            peer,
            status: Rc::default(),
        }
    }
}

#[wasm_bindgen]
impl ChorusPeer {
    /// The peer's id.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.peer.handle.id().to_string()
    }

    /// The network's name.
    #[wasm_bindgen(getter)]
    pub fn network(&self) -> String {
        self.peer.handle.network().to_owned()
    }

    /// Fetches a packet with its content.
    pub async fn get(&self, cid: String) -> Result<JsValue, JsValue> {
        let id = parse_cid(&cid)?;
        let (packet, content) = self.peer.handle.get(id).await.map_err(handle_error)?;
        // What came last was checked in this task; copying all of it is another's.
        if content.len() > LARGE {
            turn().await;
        }
        Ok(packet_value(&packet, Some(&content)))
    }

    /// Fetches a packet with its content and keeps both as long as the packet lives.
    pub async fn pin(&self, cid: String) -> Result<(), JsValue> {
        let pinned = self.peer.handle.pin(parse_cid(&cid)?).await;
        pinned.map_err(handle_error)
    }

    /// Ends `pin`.
    pub async fn unpin(&self, cid: String) -> Result<(), JsValue> {
        let unpinned = self.peer.handle.unpin(parse_cid(&cid)?).await;
        unpinned.map_err(handle_error)
    }

    /// Says what was measured, for packets that wait for it.
    pub async fn measure(&self, metric: String, value: f64) -> Result<(), JsValue> {
        let measured = self.peer.handle.measure(metric, value).await;
        measured.map_err(handle_error)
    }

    /// Lists packets known here, newest first.
    pub async fn query(
        &self,
        packet_type: Option<String>,
        author: Option<String>,
        limit: Option<u32>,
        superseded: Option<bool>,
    ) -> Result<Array, JsValue> {
        let author = author
            .map(|a| {
                a.parse()
                    .map_err(|e| error("ERR_INVALID_ARGUMENT", &format!("author {a:?}: {e}")))
            })
            .transpose()?;
        let filter = node::Filter {
            packet_type,
            author,
            limit: limit.unwrap_or(0) as usize,
            superseded: superseded.unwrap_or(false),
        };
        let packets = self.peer.handle.query(filter).await.map_err(handle_error)?;
        Ok(packets
            .iter()
            .map(|packet| packet_value(packet, None))
            .collect())
    }

    /// Lists the connected peers.
    pub async fn peers(&self) -> Result<Array, JsValue> {
        let peers = self.peer.handle.peers().await.map_err(handle_error)?;
        Ok(peers.iter().map(peer_value).collect())
    }

    /// How the peer is doing, as last heard.
    pub fn status(&self) -> JsValue {
        self.status
            .borrow()
            .as_ref()
            .map_or(JsValue::NULL, status_value)
    }

    /// Lists every connection, with the selected candidate pair where it is WebRTC.
    pub async fn connections(&self) -> Result<Array, JsValue> {
        let all = self.peer.handle.connections().await.map_err(handle_error)?;
        let mut statistics = self.peer.connections.statistics().await;
        let rows = Array::new();
        for connection in all {
            let row = object();
            set(&row, "peer", &connection.peer.to_string().into());
            set(
                &row,
                "kind",
                &if connection.is_circuit {
                    "relayed"
                } else {
                    "direct"
                }
                .into(),
            );
            set(&row, "addr", &connection.address.to_string().into());
            let is_webrtc = chorus_core::net::is_webrtc(&connection.address);
            let at = statistics
                .iter()
                .position(|s| is_webrtc && s.peer == connection.peer);
            if let Some(found) = at.map(|at| statistics.remove(at)) {
                set(&row, "localCandidate", &found.local_candidate_type.into());
                set(&row, "remoteCandidate", &found.remote_candidate_type.into());
                set(&row, "bytesSent", &(found.bytes_sent as f64).into());
                set(&row, "bytesReceived", &(found.bytes_received as f64).into());
            }
            rows.push(&row);
        }
        Ok(rows)
    }

    /// Lists the addresses at which others reach this peer, as far as they are known.
    pub async fn addresses(&self) -> Result<Array, JsValue> {
        let all = self.peer.handle.addresses().await.map_err(handle_error)?;
        Ok(all.iter().map(|a| JsValue::from(a.to_string())).collect())
    }

    /// Connects to a multiaddr.
    pub async fn dial(&self, address: String) -> Result<(), JsValue> {
        let to = address
            .parse()
            .map_err(|e| error("ERR_INVALID_ARGUMENT", &format!("address {address:?}: {e}")))?;
        self.peer.handle.dial(to).await.map_err(handle_error)
    }

    /// Reconnects at once: the device woke or the network changed.
    pub fn wake(&self) {
        self.peer.handle.wake();
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.peer.close().await;
    }
}

/// Bytes of content above which copying takes some milliseconds.
const LARGE: usize = 1 << 20;
