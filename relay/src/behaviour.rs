//! What makes a node a relay: it listens, announces its addresses, carries circuits and bounds connections.
//!
//! It wraps libp2p's relay server and connection limits, turns their events into counters, and itself asks the swarm to
//! listen and confirms external addresses. The driver in `core::net` needs to know nothing of it.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    convert::Infallible,
    num::NonZeroU32,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    connection_limits::{self, ConnectionLimits},
    core::{
        Endpoint,
        transport::{ListenerId, PortUse},
    },
    relay,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, ListenOpts, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use tokio::sync::watch;

use crate::{
    config::{CircuitConfig, ConnectionConfig, TransportKind},
    metrics::{Direction, Metrics, Outcome, OutcomeLabel},
};

/// Where the relay listens, as far as is known now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    /// Addresses that the listeners reported, WebSocket first, without `/p2p`.
    pub(crate) addrs: Vec<Multiaddr>,
    /// Listeners that have reported nothing yet.
    pub(crate) waiting: usize,
    /// The first listener that could not start or stopped: its address and why.
    pub(crate) failed: Option<String>,
}

/// The relay's part of the swarm's behaviour.
pub(crate) struct RelayServer {
    inner: Inner,
    /// Actions for the swarm; at most a few per listener.
    queue: VecDeque<Action>,
    listeners: HashMap<ListenerId, Listener>,
    /// Listen addresses are announced as external ones: nobody configured any.
    announces_listeners: bool,
    listening: watch::Sender<Listening>,
    /// Peers with a reservation; bounded by the limit on reservations.
    reserved: HashSet<PeerId>,
    /// Circuits by source and destination; bounded by the limit on circuits.
    circuits: HashMap<(PeerId, PeerId), usize>,
    metrics: Metrics,
}

/// A listener and what became of it.
struct Listener {
    requested: Multiaddr,
    reported: bool,
}

enum Action {
    Listen(ListenOpts),
    Confirm(Multiaddr),
    Expire(Multiaddr),
}

#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "InnerEvent")]
pub(crate) struct Inner {
    limits: connection_limits::Behaviour,
    relay: relay::Behaviour,
}

#[derive(Debug)]
pub(crate) struct InnerEvent(relay::Event);

impl From<relay::Event> for InnerEvent {
    fn from(event: relay::Event) -> Self {
        Self(event)
    }
}

impl From<Infallible> for InnerEvent {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a relay is asked to be.
pub(crate) struct RelayServerConfig {
    /// Addresses to listen on.
    pub(crate) listen: Vec<Multiaddr>,
    /// Addresses at which others reach this relay; empty: the listen addresses.
    pub(crate) external: Vec<Multiaddr>,
    /// Limits on connections.
    pub(crate) connections: ConnectionConfig,
    /// Limits on circuits.
    pub(crate) circuits: CircuitConfig,
}

impl RelayServer {
    /// The behaviour, and where it listens as that becomes known.
    pub(crate) fn new(
        local: PeerId,
        config: RelayServerConfig,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<Listening>) {
        let mut queue = VecDeque::new();
        let mut listeners = HashMap::new();
        for addr in config.listen {
            let options = ListenOpts::new(addr.clone());
            listeners.insert(
                options.listener_id(),
                Listener {
                    requested: addr,
                    reported: false,
                },
            );
            queue.push_back(Action::Listen(options));
        }
        let announces_listeners = config.external.is_empty();
        queue.extend(config.external.into_iter().map(Action::Confirm));
        let (listening, receiver) = watch::channel(Listening {
            waiting: listeners.len(),
            ..Listening::default()
        });
        let server = Self {
            inner: Inner {
                limits: connection_limits::Behaviour::new(connection_limits(&config.connections)),
                relay: relay::Behaviour::new(local, relay_config(&config.circuits)),
            },
            queue,
            listeners,
            announces_listeners,
            listening,
            reserved: HashSet::new(),
            circuits: HashMap::new(),
            metrics,
        };
        (server, receiver)
    }

    fn on_new_listen_addr(&mut self, id: ListenerId, addr: &Multiaddr) {
        let Some(listener) = self.listeners.get_mut(&id) else {
            return; // A listener of somebody else, such as a circuit.
        };
        let first = !std::mem::replace(&mut listener.reported, true);
        if self.announces_listeners && self.listening.borrow().addrs.len() < MAX_ANNOUNCED {
            self.queue.push_back(Action::Confirm(addr.clone()));
        }
        self.listening.send_modify(|listening| {
            listening.waiting -= usize::from(first);
            listening.addrs.push(addr.clone());
            listening.addrs.sort_by_key(TransportKind::of);
        });
    }

    fn on_expired_listen_addr(&mut self, id: ListenerId, addr: &Multiaddr) {
        if !self.listeners.contains_key(&id) {
            return;
        }
        if self.announces_listeners {
            self.queue.push_back(Action::Expire(addr.clone()));
        }
        self.listening
            .send_modify(|listening| listening.addrs.retain(|other| other != addr));
    }

    fn on_listener_failed(&mut self, id: ListenerId, reason: String) {
        let Some(listener) = self.listeners.get(&id) else {
            return;
        };
        tracing::warn!(addr = %listener.requested, %reason, "listener");
        let message = format!("{}: {reason}", listener.requested);
        if !listener.reported {
            self.listening.send_modify(|listening| {
                listening.failed.get_or_insert(message);
            });
        }
    }

    fn on_swarm(&mut self, event: &FromSwarm<'_>) {
        match event {
            FromSwarm::NewListenAddr(event) => {
                self.on_new_listen_addr(event.listener_id, event.addr)
            }
            FromSwarm::ExpiredListenAddr(event) => {
                self.on_expired_listen_addr(event.listener_id, event.addr)
            }
            FromSwarm::ListenerError(event) => {
                self.on_listener_failed(event.listener_id, with_causes(event.err))
            }
            FromSwarm::ListenerClosed(event) => {
                let reason = event
                    .reason
                    .err()
                    .map_or_else(|| "closed".to_string(), |error| with_causes(error));
                self.on_listener_failed(event.listener_id, reason);
            }
            FromSwarm::ConnectionEstablished(event) => {
                let direction = if event.endpoint.is_dialer() {
                    Direction::Outbound
                } else {
                    Direction::Inbound
                };
                self.metrics.count_connection(direction);
                self.metrics.connections.inc();
                if event.other_established == 0 {
                    self.metrics.peers.inc();
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                self.metrics.connections.dec();
                if event.remaining_established == 0 {
                    self.metrics.peers.dec();
                    self.on_reservation_ended(&event.peer_id);
                }
            }
            FromSwarm::ListenFailure(event) => {
                tracing::debug!(from = %event.send_back_addr, error = %with_causes(event.error), "refused a connection");
                self.metrics.connections_refused.inc();
            }
            // The rest is of no interest to a relay.
            _ => {}
        }
    }

    fn on_reservation_ended(&mut self, peer: &PeerId) {
        if self.reserved.remove(peer) {
            self.metrics.reservations.dec();
        }
    }

    /// libp2p-relay reports a circuit twice when a connection and its handler end together; the second is ignored.
    fn on_circuit_closed(&mut self, ends: (PeerId, PeerId)) {
        if let Entry::Occupied(mut open) = self.circuits.entry(ends) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
            self.metrics.circuits.dec();
        }
    }

    fn count_reservation(&self, outcome: Outcome) {
        self.metrics
            .reservation_requests
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    fn count_circuit(&self, outcome: Outcome) {
        self.metrics
            .circuit_requests
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    #[allow(deprecated)] // libp2p-relay still emits them.
    fn on_relay_event(&mut self, event: relay::Event) {
        use relay::Event as E;
        match event {
            E::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => {
                if self.reserved.insert(src_peer_id) {
                    self.metrics.reservations.inc();
                }
                self.count_reservation(if renewed {
                    Outcome::Renewed
                } else {
                    Outcome::Accepted
                });
            }
            E::ReservationReqDenied {
                src_peer_id,
                status,
            } => {
                tracing::debug!(peer = %src_peer_id, ?status, "denied a reservation");
                self.count_reservation(Outcome::Denied);
            }
            E::ReservationReqAcceptFailed { .. } | E::ReservationReqDenyFailed { .. } => {
                self.count_reservation(Outcome::Failed);
            }
            E::ReservationTimedOut { src_peer_id } => self.on_reservation_ended(&src_peer_id),
            // Also emitted for connections without a reservation: `on_swarm` keeps count by peer.
            E::ReservationClosed { .. } => {}
            E::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => {
                *self.circuits.entry((src_peer_id, dst_peer_id)).or_default() += 1;
                self.metrics.circuits.inc();
                self.count_circuit(Outcome::Accepted);
            }
            E::CircuitReqDenied {
                src_peer_id,
                status,
                ..
            } => {
                tracing::debug!(peer = %src_peer_id, ?status, "denied a circuit");
                self.count_circuit(Outcome::Denied);
            }
            E::CircuitReqDenyFailed { .. }
            | E::CircuitReqOutboundConnectFailed { .. }
            | E::CircuitReqAcceptFailed { .. } => self.count_circuit(Outcome::Failed),
            E::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                ..
            } => self.on_circuit_closed((src_peer_id, dst_peer_id)),
            E::StatusChanged { status } => tracing::debug!(?status, "relay service"),
        }
    }
}

impl NetworkBehaviour for RelayServer {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addrs: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addrs, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(id, peer, addr, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.on_swarm(&event);
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        if let Some(action) = self.queue.pop_front() {
            return Poll::Ready(match action {
                Action::Listen(opts) => ToSwarm::ListenOn { opts },
                Action::Confirm(addr) => ToSwarm::ExternalAddrConfirmed(addr),
                Action::Expire(addr) => ToSwarm::ExternalAddrExpired(addr),
            });
        }
        // Bounded: each turn takes one event that the relay server has queued, and it queues none while polled.
        loop {
            match self.inner.poll(cx) {
                Poll::Ready(ToSwarm::GenerateEvent(InnerEvent(event))) => {
                    self.on_relay_event(event)
                }
                Poll::Ready(other) => {
                    return Poll::Ready(
                        other.map_out(|_| unreachable!("events are taken by the arm above")),
                    );
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn connection_limits(config: &ConnectionConfig) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_established(Some(config.max_established))
        .with_max_established_per_peer(Some(config.max_per_peer))
        .with_max_pending_incoming(Some(config.max_pending_incoming))
        .with_max_pending_outgoing(Some(MAX_PENDING_OUTGOING))
}

fn relay_config(config: &CircuitConfig) -> relay::Config {
    let limits = relay::Config {
        max_reservations: config.max_reservations,
        max_reservations_per_peer: config.max_reservations_per_peer,
        reservation_duration: Duration::from_secs(config.reservation_secs),
        // Emptied: the defaults deny the 61st tab behind one address.
        reservation_rate_limiters: Vec::new(),
        max_circuits: config.max_circuits,
        max_circuits_per_peer: config.max_circuits_per_peer,
        max_circuit_duration: Duration::from_secs(config.circuit_secs),
        max_circuit_bytes: config.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    };
    limits
        .reservation_rate_per_ip(
            at_least_one(config.reservation_burst_per_ip),
            per_minute(config.reservations_per_ip_per_minute),
        )
        .reservation_rate_per_peer(PEER_BURST, PEER_INTERVAL)
        .circuit_src_per_ip(
            at_least_one(config.circuit_burst_per_ip),
            per_minute(config.circuits_per_ip_per_minute),
        )
        .circuit_src_per_peer(PEER_BURST, PEER_INTERVAL)
}

fn at_least_one(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

/// The interval at which `n` times a minute something happens.
fn per_minute(n: u32) -> Duration {
    Duration::from_secs(60) / n.max(1)
}

/// An error and its causes in one line: libp2p's outer messages name only the layer.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Listen addresses announced as external ones. Source: a reservation message, which lists them all, has 4096 bytes.
const MAX_ANNOUNCED: usize = 16;
/// Dials in flight. Guess: a relay dials other relays only.
const MAX_PENDING_OUTGOING: u32 = 64;
/// Reservations, and circuits, that one peer may ask for at once. Guess: a tab that dials 64 peers while it reloads.
const PEER_BURST: NonZeroU32 = NonZeroU32::new(128).expect("128 is not 0");
/// Time until it may ask for one more after that. Guess: recovers within two minutes.
const PEER_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
