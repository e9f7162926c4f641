//! libp2p's browser-to-browser `/webrtc` as a [`Transport`] and a [`Behaviour`] (libp2p specs, `webrtc/webrtc.md`).
//!
//! One dial of `<relay>/p2p-circuit/webrtc/p2p/B` does everything: the behaviour takes a circuit to B that exists or
//! dials one, opens `/webrtc-signaling/0.0.1` on it, and an `RTCPeerConnection` describes itself meanwhile. In a page that
//! has many of those it is made only when the stream stands, because browsers count them. There is no Noise on the data
//! channels: B is the peer that the circuit's handshake authenticated, and the DTLS fingerprint came from it.
//!
//! Addresses that behaviours see: the dialler's is the address dialled (so `ConnectedPoint::is_relayed` says true for it,
//! wrongly; ask [`chorus_core::net::is_circuit`]), the listener's is `/webrtc` with the remote at `/webrtc/p2p/A`.
//!
//! The circuit stays open while WebRTC fails, and idles out once a direct connection stands.

#![allow(
    clippy::result_large_err,
    clippy::large_enum_variant,
    reason = "errors and commands carry peer ids, and there are a few of them for each connection"
)]

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use chorus_core::webrtc::signaling::SignalingError;
use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{BoxFuture, Either, Ready, ready, select},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use send_wrapper::SendWrapper;
use web_sys::RtcPeerConnection;

use self::{negotiation::Prepared, peer_connection::Spare};
use super::Config;

mod behaviour;
mod channel;
mod connection;
mod handler;
mod negotiation;
mod peer_connection;
mod statistics;
mod trial;

pub use behaviour::{Behaviour, Event};
pub use channel::Stream;
pub use connection::Connection;
pub use peer_connection::live as live_peer_connections;
pub use statistics::{ConnectionStatistics, Connections};

/// Makes a transport and its behaviour; both must be in the same swarm. `spare` is an `RTCPeerConnection` made as `config`
/// says, which the first peer gets.
pub fn new(config: Config, spare: Option<RtcPeerConnection>) -> (Transport, Behaviour) {
    let (to_behaviour, requests) = mpsc::channel(QUEUE);
    let (to_transport, from_behaviour) = mpsc::channel(QUEUE);
    let (to_events, events) = mpsc::channel(QUEUE);
    let attempts = Attempts::default();
    let shared = Shared {
        config: SendWrapper::new(Rc::new(config)),
        spare: SendWrapper::new(Spare::new(spare)),
        connections: Connections::default(),
        attempts: attempts.clone(),
        to_transport,
        to_events,
    };
    let transport = Transport {
        to_behaviour,
        from_behaviour,
        attempts,
        listener: None,
        pending: VecDeque::new(),
        waker: None,
    };
    (transport, Behaviour::new(shared, requests, events))
}

/// Dials and accepts `/webrtc`.
#[derive(Debug)]
pub struct Transport {
    to_behaviour: mpsc::Sender<Request>,
    from_behaviour: mpsc::Receiver<ToTransport>,
    attempts: Attempts,
    listener: Option<ListenerId>,
    pending: VecDeque<TransportEvent<Ready<Result<(PeerId, Connection), Error>>, Error>>,
    waker: Option<Waker>,
}

/// A dial on its way through the behaviour and a circuit's handler.
#[derive(Debug)]
struct Request {
    peer: PeerId,
    /// The circuit's address, should there be none yet.
    circuit: Multiaddr,
    /// Our half, where it did not wait for the circuit.
    prepared: Option<SendWrapper<Prepared>>,
    reply: oneshot::Sender<Result<Connection, Error>>,
    _attempt: Attempt,
}

/// What the behaviour tells the transport.
#[derive(Debug)]
enum ToTransport {
    Incoming {
        peer: PeerId,
        connection: Connection,
    },
    CircuitListening(Multiaddr),
    CircuitExpired(Multiaddr),
}

/// What behaviour and handlers share.
#[derive(Clone, Debug)]
struct Shared {
    config: SendWrapper<Rc<Config>>,
    spare: SendWrapper<Spare>,
    connections: Connections,
    attempts: Attempts,
    to_transport: mpsc::Sender<ToTransport>,
    to_events: mpsc::Sender<Event>,
}

/// The attempts under way: one per peer that is dialled, and a bounded number of all.
#[derive(Clone, Debug)]
struct Attempts {
    peers: SendWrapper<Rc<RefCell<BTreeSet<(PeerId, bool)>>>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            peers: SendWrapper::new(Rc::default()),
        }
    }
}

impl Attempts {
    fn start(&self, peer: PeerId, is_outbound: bool) -> Result<Attempt, Error> {
        let mut peers = self.peers.borrow_mut();
        if peers.len() >= MAX_ATTEMPTS {
            return Err(Error::TooManyAttempts);
        }
        if !peers.insert((peer, is_outbound)) {
            return Err(Error::InProgress { peer });
        }
        Ok(Attempt {
            key: (peer, is_outbound),
            attempts: self.clone(),
        })
    }
}

/// One attempt; over when dropped.
#[derive(Debug)]
struct Attempt {
    key: (PeerId, bool),
    attempts: Attempts,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.attempts.peers.borrow_mut().remove(&self.key);
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Ready<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    /// Listens on `/webrtc`. The addresses reported are those of the circuits listened on, with `/webrtc` put in.
    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        let mut parts = address.iter();
        if (parts.next(), parts.next()) != (Some(Protocol::WebRTC), None) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let is_ours = self.listener == Some(id);
        if is_ours {
            self.listener = None;
            self.pending.push_back(TransportEvent::ListenerClosed {
                listener_id: id,
                reason: Ok(()),
            });
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        is_ours
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        let Some((circuit, peer)) = parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        if options.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let (mut to_behaviour, attempts) = (self.to_behaviour.clone(), self.attempts.clone());
        let dial = async move {
            let (reply, outcome) = oneshot::channel();
            let request = Request {
                peer,
                circuit,
                prepared: None,
                reply,
                _attempt: attempts.start(peer, true)?,
            };
            to_behaviour
                .send(request)
                .await
                .map_err(|_| Error::Cancelled)?;
            match select(outcome, Delay::new(DIAL_TIMEOUT)).await {
                Either::Left((outcome, _)) => outcome
                    .map_err(|_| Error::Cancelled)?
                    .map(|connection| (peer, connection)),
                Either::Right(_) => Err(Error::Timeout {
                    after: DIAL_TIMEOUT,
                }),
            }
        };
        Ok(dial.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Poll::Ready(event);
            }
            let Poll::Ready(Some(message)) = self.from_behaviour.poll_next_unpin(cx) else {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let Some(listener_id) = self.listener else {
                continue;
            };
            return Poll::Ready(match message {
                ToTransport::Incoming { peer, connection } => TransportEvent::Incoming {
                    listener_id,
                    upgrade: ready(Ok((peer, connection))),
                    local_addr: Protocol::WebRTC.into(),
                    send_back_addr: Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer)),
                },
                ToTransport::CircuitListening(circuit) => TransportEvent::NewAddress {
                    listener_id,
                    listen_addr: webrtc_address(&circuit),
                },
                ToTransport::CircuitExpired(circuit) => TransportEvent::AddressExpired {
                    listener_id,
                    listen_addr: webrtc_address(&circuit),
                },
            });
        }
    }
}

/// Returns the circuit's address and the peer of `<relay>/p2p-circuit/webrtc/p2p/B`.
fn parse(address: &Multiaddr) -> Option<(Multiaddr, PeerId)> {
    let (mut circuit, mut peer) = (Multiaddr::empty(), None);
    let (mut is_through, mut is_webrtc) = (false, false);
    for part in address.iter() {
        match part {
            Protocol::WebRTC if is_through && !is_webrtc => is_webrtc = true,
            Protocol::P2p(id) if is_through && peer.is_none() => peer = Some(id),
            _ if is_through => return None,
            part => {
                is_through = part == Protocol::P2pCircuit;
                circuit.push(part);
            }
        }
    }
    let peer = peer.filter(|_| is_webrtc)?;
    Some((circuit.with(Protocol::P2p(peer)), peer))
}

/// Returns the address under which others reach, over WebRTC, whoever listens on this circuit address.
fn webrtc_address(circuit: &Multiaddr) -> Multiaddr {
    let mut address = Multiaddr::empty();
    for part in circuit.iter() {
        let is_circuit = part == Protocol::P2pCircuit;
        address.push(part);
        if is_circuit {
            address.push(Protocol::WebRTC);
        }
    }
    address
}

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No circuit to signal on.
    #[error("no circuit to signal on: {reason}")]
    Circuit {
        /// What the swarm said.
        reason: String,
    },
    /// The remote does not do WebRTC signaling, or the signaling stream failed.
    #[error("signaling stream: {reason}")]
    SignalingStream {
        /// What went wrong.
        reason: String,
    },
    /// The remote broke the signaling protocol.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// The circuit belongs to another peer than the one asked for.
    #[error("asked for {expected}, the circuit is of {actual}")]
    WrongPeer {
        /// Who was dialled.
        expected: PeerId,
        /// Who the circuit's handshake authenticated.
        actual: PeerId,
    },
    /// An attempt to the same peer is under way.
    #[error("already connecting to {peer}")]
    InProgress {
        /// To whom.
        peer: PeerId,
    },
    /// Too many attempts at once.
    #[error("more than {MAX_ATTEMPTS} WebRTC attempts at once")]
    TooManyAttempts,
    /// The browser holds too many peer connections that are not collected yet.
    #[error("{live} peer connections are alive or not collected yet, at most {max} are made")]
    Budget {
        /// How many there are.
        live: usize,
        /// How many there may be.
        max: usize,
    },
    /// No candidate pair worked, or the remote is gone.
    #[error("peer connection {state}")]
    PeerConnection {
        /// `RTCPeerConnection.connectionState`, or what happened to it.
        state: &'static str,
    },
    /// The attempt took too long.
    #[error("no WebRTC connection after {} s", after.as_secs())]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The browser threw.
    #[error("browser: {0}")]
    Browser(String),
    /// The swarm is gone or the dial was dropped.
    #[error("attempt was cancelled")]
    Cancelled,
}

/// Messages waiting between transport, behaviour and handlers.
const QUEUE: usize = 64;
/// Attempts under way at once, in and out. Guess: each costs an RTCPeerConnection and the main thread's time.
const MAX_ATTEMPTS: usize = 48;
/// Longest time for a dial, circuit included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
