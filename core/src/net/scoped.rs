//! Says where a behaviour lives and when it begins.
//!
//! Off circuits: it never learns of them, so nothing of it can flow there. rust-libp2p has no notion of limited
//! connections (go and js have): gossipsub, for one, shares a queue between all connections to a peer, so that messages
//! would go over a relay's 128 KiB circuit.
//!
//! Nothing here is inlined, nor in [`super::patient`]: the compiler would make one function of all behaviours and one of
//! all handlers, and a browser needs 40 ms for such a one at its first call and a third of a second of another core later.

use std::{
    collections::{HashMap, HashSet},
    task::{Context, Poll},
    time::Duration,
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

use super::{
    address::{is_circuit, is_circuit_endpoint},
    patient::Patient,
};

/// A behaviour within its scope.
pub(crate) struct Scoped<B> {
    inner: B,
    /// The direct ones, where the behaviour knows no others.
    connections: HashMap<PeerId, HashSet<ConnectionId>>,
    is_on_circuits: bool,
    pause: Duration,
    waits_on: fn(&Multiaddr) -> bool,
}

impl<B> Scoped<B> {
    /// On direct connections only.
    pub(crate) fn direct(inner: B) -> Self {
        Self {
            inner,
            connections: HashMap::new(),
            is_on_circuits: false,
            pause: Duration::ZERO,
            waits_on: |_| true,
        }
    }

    /// On circuits too.
    pub(crate) fn everywhere(inner: B) -> Self {
        Self {
            is_on_circuits: true,
            ..Self::direct(inner)
        }
    }

    fn leaves_out(&self, address: &Multiaddr) -> bool {
        !self.is_on_circuits && is_circuit(address)
    }

    /// The behaviour opens no stream on a connection before it is this old.
    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// As [`Self::after`], on connections with such an address alone.
    pub(crate) fn after_on(self, waits_on: fn(&Multiaddr) -> bool, pause: Duration) -> Self {
        Self {
            waits_on,
            ..self.after(pause)
        }
    }

    fn pause_on(&self, address: &Multiaddr) -> Duration {
        if (self.waits_on)(address) {
            self.pause
        } else {
            Duration::ZERO
        }
    }

    pub(crate) fn get(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Scoped<B> {
    type ConnectionHandler = Either<Patient<THandler<B>>, dummy::ConnectionHandler>;
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

    #[inline(never)]
    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.leaves_out(local) || self.leaves_out(remote) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let pause = self.pause_on(local);
        self.inner
            .handle_established_inbound_connection(id, peer, local, remote)
            .map(|handler| Either::Left(Patient::new(handler, pause)))
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

    #[inline(never)]
    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.leaves_out(address) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let pause = self.pause_on(address);
        self.inner
            .handle_established_outbound_connection(id, peer, address, role, port_use)
            .map(|handler| Either::Left(Patient::new(handler, pause)))
    }

    #[inline(never)]
    fn on_swarm_event(&mut self, event: FromSwarm) {
        if self.is_on_circuits {
            return self.inner.on_swarm_event(event);
        }
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

    #[inline(never)]
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

    #[inline(never)]
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
                } if !self.is_on_circuits => {
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
