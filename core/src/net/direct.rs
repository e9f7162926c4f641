//! Keeps a behaviour off circuits: it never learns of them, so nothing of it can flow there.
//!
//! rust-libp2p has no notion of limited connections (go and js have): gossipsub, for one, shares a queue between all
//! connections to a peer, so that messages would go over a relay's 128 KiB circuit.

use std::{
    collections::{HashMap, HashSet},
    task::{Context, Poll},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        dummy,
    },
};

use super::address::{is_circuit, is_circuit_endpoint};

/// A behaviour that lives on direct connections only.
pub(crate) struct Direct<B> {
    inner: B,
    connections: HashMap<PeerId, HashSet<ConnectionId>>,
}

impl<B> Direct<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self {
            inner,
            connections: HashMap::new(),
        }
    }

    pub(crate) fn get(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Direct<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

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
        if is_circuit(local) || is_circuit(remote) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
            .map(Either::Left)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_circuit(address) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port_use)
            .map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                if is_circuit_endpoint(e.endpoint) {
                    return;
                }
                let known = self.connections.entry(e.peer_id).or_default();
                let other_established = known.len();
                known.insert(e.connection_id);
                self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(
                    ConnectionEstablished {
                        other_established,
                        ..e
                    },
                ));
            }
            FromSwarm::ConnectionClosed(e) => {
                if is_circuit_endpoint(e.endpoint) {
                    return;
                }
                let mut remaining_established = 0;
                if let Some(known) = self.connections.get_mut(&e.peer_id) {
                    known.remove(&e.connection_id);
                    remaining_established = known.len();
                    if known.is_empty() {
                        self.connections.remove(&e.peer_id);
                    }
                }
                self.inner
                    .on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                        remaining_established,
                        ..e
                    }));
            }
            FromSwarm::AddressChange(e)
                if is_circuit_endpoint(e.new) || is_circuit_endpoint(e.old) => {}
            FromSwarm::NewListenAddr(e) if is_circuit(e.addr) => {}
            FromSwarm::ExpiredListenAddr(e) if is_circuit(e.addr) => {}
            FromSwarm::ExternalAddrConfirmed(e) if is_circuit(e.addr) => {}
            FromSwarm::ExternalAddrExpired(e) if is_circuit(e.addr) => {}
            event => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            let Poll::Ready(action) = self.inner.poll(cx) else {
                return Poll::Pending;
            };
            let action = match action {
                ToSwarm::NotifyHandler {
                    peer_id,
                    handler: NotifyHandler::Any,
                    event,
                } => {
                    let direct = self
                        .connections
                        .get(&peer_id)
                        .and_then(|known| known.iter().next());
                    let Some(connection) = direct else { continue };
                    let handler = NotifyHandler::One(*connection);
                    ToSwarm::NotifyHandler {
                        peer_id,
                        handler,
                        event: Either::Left(event),
                    }
                }
                action => action.map_in(Either::Left),
            };
            return Poll::Ready(action);
        }
    }
}
