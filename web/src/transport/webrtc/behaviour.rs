//! The half of the transport that lives in the swarm: it knows the circuits and has signaling streams opened on them.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    task::{Context, Poll},
};

use chorus_core::net::is_circuit;
use either::Either;
use futures::{StreamExt, channel::mpsc};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
        dummy,
    },
};
use send_wrapper::SendWrapper;

use super::{
    Connections, Error, QUEUE, Request, Shared, ToTransport,
    handler::{Command, Handler, Negotiate},
    negotiation::Prepared,
    peer_connection::{MAX_AHEAD, live},
};

/// What became of an attempt, in either direction. Dials learn it from the swarm too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A direct connection stands and is being handed to the swarm.
    Connected {
        /// With whom.
        peer: PeerId,
    },
    /// There is none; the circuit stays.
    Failed {
        /// With whom.
        peer: PeerId,
        /// Why.
        error: Error,
    },
}

/// Answers the transport's dials with signaling over circuits.
#[derive(Debug)]
pub struct Behaviour {
    shared: Shared,
    requests: mpsc::Receiver<Request>,
    events: mpsc::Receiver<Event>,
    /// Established circuits by peer.
    circuits: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// Requests whose circuit is being dialled.
    waiting: Vec<(ConnectionId, Request)>,
    actions: VecDeque<ToSwarm<Event, Either<Command, Infallible>>>,
}

impl Behaviour {
    pub(super) fn new(
        shared: Shared,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Receiver<Event>,
    ) -> Self {
        shared.spare.refill_later(&shared.config);
        Self {
            shared,
            requests,
            events,
            circuits: BTreeMap::new(),
            waiting: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// A handle on the live connections, for statistics.
    pub fn connections(&self) -> Connections {
        self.shared.connections.clone()
    }

    fn on_request(&mut self, mut request: Request) {
        self.waiting
            .retain(|(_, waiting)| !waiting.reply.is_canceled());
        if let Some(circuit) = self
            .circuits
            .get(&request.peer)
            .and_then(|circuits| circuits.last())
        {
            let circuit = *circuit;
            self.open(circuit, request);
            return;
        }
        if live() < MAX_AHEAD {
            // What fails here fails again, and is reported, when the circuit stands.
            let prepared = Prepared::start(&self.shared).ok();
            request.prepared = prepared.map(SendWrapper::new);
        }
        let opts = DialOpts::peer_id(request.peer)
            .condition(PeerCondition::Always)
            .addresses(vec![request.circuit.clone()])
            .build();
        self.waiting.push((opts.connection_id(), request));
        self.actions.push_back(ToSwarm::Dial { opts });
    }

    fn open(&mut self, circuit: ConnectionId, request: Request) {
        self.command(request.peer, circuit, Command::Open(Negotiate(request)));
    }

    fn command(&mut self, peer_id: PeerId, circuit: ConnectionId, command: Command) {
        let handler = NotifyHandler::One(circuit);
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler,
            event: Either::Left(command),
        });
    }

    fn on_event(&mut self, event: &Event) {
        let (peer, is_held) = match event {
            Event::Connected { peer } => (*peer, false),
            Event::Failed { peer, .. } => (*peer, !self.shared.connections.peers().contains(peer)),
        };
        for circuit in self.circuits.get(&peer).cloned().unwrap_or_default() {
            self.command(peer, circuit, Command::Hold(is_held));
        }
    }

    fn on_circuit(&mut self, peer: PeerId, circuit: ConnectionId) {
        self.circuits.entry(peer).or_default().push(circuit);
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, r)| r.peer == peer);
        self.waiting = waiting;
        let ready: Vec<(ConnectionId, Request)> = ready;
        for (_, request) in ready {
            self.open(circuit, request);
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(circuits) = self.circuits.get_mut(&peer) {
            circuits.retain(|circuit| *circuit != connection);
            if circuits.is_empty() {
                self.circuits.remove(&peer);
            }
        }
    }

    fn on_dial_failure(&mut self, connection: ConnectionId, reason: &dyn std::fmt::Display) {
        let Some(index) = self.waiting.iter().position(|(id, _)| *id == connection) else {
            return;
        };
        let (_, request) = self.waiting.swap_remove(index);
        // The dial may be gone.
        let _ = request.reply.send(Err(Error::Circuit {
            reason: reason.to_string(),
        }));
    }

    fn handler(&self, peer: PeerId, address: &Multiaddr) -> THandler<Self> {
        match is_circuit(address) {
            true => Either::Left(Handler::new(peer, self.shared.clone())),
            false => Either::Right(dummy::ConnectionHandler),
        }
    }

    fn tell_transport(&mut self, message: ToTransport) {
        // A swarm has few circuit addresses; the transport empties its queue at every poll.
        let _ = self.shared.to_transport.try_send(message);
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Either<Handler, dummy::ConnectionHandler>;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let (libp2p::core::ConnectedPoint::Dialer { address, .. }
                | libp2p::core::ConnectedPoint::Listener {
                    local_addr: address,
                    ..
                }) = established.endpoint;
                if is_circuit(address) {
                    self.on_circuit(established.peer_id, established.connection_id);
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.on_closed(closed.peer_id, closed.connection_id)
            }
            FromSwarm::DialFailure(failure) => {
                self.on_dial_failure(failure.connection_id, failure.error)
            }
            FromSwarm::NewListenAddr(new) if is_circuit(new.addr) => {
                self.tell_transport(ToTransport::CircuitListening(new.addr.clone()));
                self.shared.spare.refill_later(&self.shared.config);
            }
            FromSwarm::ExpiredListenAddr(expired) if is_circuit(expired.addr) => {
                self.tell_transport(ToTransport::CircuitExpired(expired.addr.clone()));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(never) | Either::Right(never) => match never {},
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Poll::Ready(Some(event)) = self.events.poll_next_unpin(cx) {
                self.on_event(&event);
                self.actions.push_back(ToSwarm::GenerateEvent(event));
                continue;
            }
            if self.waiting.len() < QUEUE
                && let Poll::Ready(Some(request)) = self.requests.poll_next_unpin(cx)
            {
                self.on_request(request);
                continue;
            }
            return Poll::Pending;
        }
    }
}
