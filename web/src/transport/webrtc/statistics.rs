//! What the browser says about each connection: `RTCPeerConnection.getStats()`, boiled down.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::{Rc, Weak},
};

use js_sys::{Function, Reflect};
use libp2p::PeerId;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use web_sys::RtcPeerConnection;

use super::peer_connection::PeerConnection;

/// What one connection's selected candidate pair is, and what went over it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectionStatistics {
    /// The remote.
    pub peer: PeerId,
    /// `host`, `srflx`, `prflx` or `relay`; empty until a pair is selected.
    pub local_candidate_type: String,
    /// `host`, `srflx`, `prflx` or `relay`; empty until a pair is selected.
    pub remote_candidate_type: String,
    /// Bytes sent on the transport, headers of the data channels included.
    pub bytes_sent: u64,
    /// Bytes received on the transport.
    pub bytes_received: u64,
    /// Round-trip time of the last connectivity check, in milliseconds.
    pub round_trip_ms: Option<f64>,
}

/// The live WebRTC connections of one swarm.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    inner: SendWrapperDefault,
}

type Map = BTreeMap<u64, (PeerId, RtcPeerConnection)>;

#[derive(Clone, Debug)]
struct SendWrapperDefault(SendWrapper<Rc<RefCell<(u64, Map)>>>);

impl Default for SendWrapperDefault {
    fn default() -> Self {
        Self(SendWrapper::new(Rc::default()))
    }
}

impl Connections {
    /// Peers with a live WebRTC connection, oldest first; a peer twice when it has two.
    pub fn peers(&self) -> Vec<PeerId> {
        self.inner
            .0
            .borrow()
            .1
            .values()
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Asks the browser about every live connection. One that it does not answer for is left out.
    pub async fn statistics(&self) -> Vec<ConnectionStatistics> {
        let connections: Vec<_> = self.inner.0.borrow().1.values().cloned().collect();
        let mut all = Vec::with_capacity(connections.len());
        for (peer, connection) in connections {
            if let Ok(report) = PeerConnection::statistics(connection).await {
                all.push(read(peer, &report));
            }
        }
        all
    }

    pub(super) fn register(&self, peer: PeerId, connection: &PeerConnection) -> Registered {
        let mut inner = self.inner.0.borrow_mut();
        let (next, map) = &mut *inner;
        let key = *next;
        *next += 1;
        map.insert(key, (peer, connection.reference()));
        Registered {
            key,
            connections: Rc::downgrade(&self.inner.0),
        }
    }
}

/// Takes a connection out of [`Connections`] when dropped.
#[derive(Debug)]
pub(super) struct Registered {
    key: u64,
    connections: Weak<RefCell<(u64, Map)>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.borrow_mut().1.remove(&self.key);
        }
    }
}

fn read(peer: PeerId, report: &JsValue) -> ConnectionStatistics {
    let entries = entries(report);
    let find = |id: Option<String>| id.and_then(|id| entries.get(&id));
    let kind = |entry: &JsValue| text(entry, "type").unwrap_or_default();
    let transport = entries.values().find(|entry| kind(entry) == "transport");
    let pair = find(transport.and_then(|transport| text(transport, "selectedCandidatePairId")))
        .or_else(|| {
            // Firefox has no transport entry; it marks the pair.
            entries.values().find(|entry| {
                kind(entry) == "candidate-pair"
                    && get(entry, "selected").is_some_and(|value| value.is_truthy())
            })
        });
    let candidate_type = |side: &str| {
        let candidate = find(pair.and_then(|pair| text(pair, side)));
        candidate
            .and_then(|candidate| text(candidate, "candidateType"))
            .unwrap_or_default()
    };
    let bytes = |name: &str| {
        let of = |entry: Option<&JsValue>| entry.and_then(|entry| number(entry, name));
        of(transport).or_else(|| of(pair)).unwrap_or_default() as u64
    };
    ConnectionStatistics {
        peer,
        local_candidate_type: candidate_type("localCandidateId"),
        remote_candidate_type: candidate_type("remoteCandidateId"),
        bytes_sent: bytes("bytesSent"),
        bytes_received: bytes("bytesReceived"),
        round_trip_ms: pair
            .and_then(|pair| number(pair, "currentRoundTripTime"))
            .map(|seconds| seconds * 1000.0),
    }
}

/// The report's entries by id. `RTCStatsReport` is like a map; its `forEach` is all that is needed.
fn entries(report: &JsValue) -> BTreeMap<String, JsValue> {
    let collected = Rc::new(RefCell::new(BTreeMap::new()));
    let collect = Closure::<dyn FnMut(JsValue, JsValue)>::new({
        let collected = collected.clone();
        move |entry: JsValue, id: JsValue| {
            if let Some(id) = id.as_string() {
                collected.borrow_mut().insert(id, entry);
            }
        }
    });
    let for_each = get(report, "forEach").and_then(|function| function.dyn_into::<Function>().ok());
    if let Some(for_each) = for_each {
        // A report that cannot be walked leaves the map empty.
        let _ = for_each.call1(report, collect.as_ref());
    }
    collected.take()
}

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok()
}

fn text(object: &JsValue, name: &str) -> Option<String> {
    get(object, name)?.as_string()
}

fn number(object: &JsValue, name: &str) -> Option<f64> {
    get(object, name)?.as_f64()
}
