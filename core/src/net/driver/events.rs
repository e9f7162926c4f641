//! What the swarm tells, translated into what the node hears.

use libp2p::{
    Multiaddr, PeerId as Libp2pId,
    core::ConnectedPoint,
    gossipsub, identify,
    kad::{self, store::RecordStore},
    ping, relay,
    request_response::{self, OutboundFailure, OutboundRequestId},
    swarm::{ConnectionId, DialError, NetworkBehaviour, SwarmEvent},
};

use super::{Asker, Connection, Driver, address_book::MAX_ADDRESSES, from_libp2p, number};
use crate::{
    key::PeerId,
    net::{
        Event, Part,
        address::{is_circuit, is_circuit_endpoint, is_webrtc, webrtc_over},
        behaviour::BehaviourEvent,
        handle::ConnectionInfo,
    },
    node::{Failure, Input, Path, Request, Response, Role},
};

/// Whether so much came that checking it takes a page some milliseconds.
pub(super) fn is_large<X: NetworkBehaviour>(event: &SwarmEvent<BehaviourEvent<X>>) -> bool {
    let SwarmEvent::Behaviour(BehaviourEvent::Blocks(request_response::Event::Message {
        message,
        ..
    })) = event
    else {
        return false;
    };
    let request_response::Message::Response { response, .. } = message else {
        return false;
    };
    matches!(response, Some(Response::Block(bytes)) if bytes.len() > LARGE)
}

impl<X: NetworkBehaviour> Driver<X> {
    #[inline(never)]
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent<X>>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_closed(peer_id, connection_id, is_circuit_endpoint(&endpoint));
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.on_dial_error(connection_id, peer_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.emit(Event::Listening(address)),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.emit(Event::ListeningEnded(address))
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => {
                if let Some(relay) = self.relays.on_listener_closed(listener_id) {
                    self.reservation_lost(relay);
                }
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_external(&address),
            SwarmEvent::ExternalAddrExpired { address } if is_circuit(&address) => {
                let local = *self.swarm.local_peer_id();
                self.swarm
                    .remove_external_address(&webrtc_over(&address, local));
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: Libp2pId, id: ConnectionId, endpoint: &ConnectedPoint) {
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Ok(()));
        }
        let is_circuit = is_circuit_endpoint(endpoint);
        let info = ConnectionInfo {
            peer,
            address: endpoint.get_remote_address().clone(),
            is_circuit,
        };
        let number = number(id);
        self.connections.insert(number, Connection { id, info });
        if let Some(peer) = from_libp2p(&peer) {
            let path = if is_circuit {
                Path::Relayed
            } else {
                Path::Direct
            };
            self.handle(Input::Connected {
                peer,
                connection: number,
                path,
            });
        }
        if is_circuit {
            return;
        }
        self.on_relay_up(&peer);
        let now = self.now().instant;
        if self.relays.on_connected(&peer, now) {
            self.run_relays();
            self.handle(Input::Online);
        }
    }

    fn on_closed(&mut self, peer: Libp2pId, id: ConnectionId, was_circuit: bool) {
        let number = number(id);
        self.connections.remove(&number);
        if let Some(peer) = from_libp2p(&peer) {
            self.handle(Input::Disconnected {
                peer,
                connection: number,
            });
        }
        let remains = self
            .connections
            .values()
            .any(|c| c.info.peer == peer && !c.info.is_circuit);
        if !was_circuit && !remains {
            if self.config.part == Part::Relay {
                // Nobody finds through this relay who is reached only through it.
                let members = self.names.members.clone();
                let store = self.kademlia().store_mut();
                store.remove_provider(&members, &peer);
            }
            let now = self.now().instant;
            if let Some(listener) = self.relays.on_disconnected(&peer, now) {
                self.swarm.remove_listener(listener);
                self.reservation_lost(peer);
            }
        }
    }

    fn on_dial_error(&mut self, id: ConnectionId, peer: Option<Libp2pId>, error: &DialError) {
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Err(error.to_string()));
        }
        if let Some(peer) = &peer {
            self.on_relay_unreachable(peer, error);
        }
        if let Some(peer) = peer.as_ref().and_then(from_libp2p) {
            self.handle(Input::DialFailed(peer));
        }
    }

    /// A relay confirmed our circuit address: others reach us there through WebRTC, and may find us now.
    fn on_external(&mut self, address: &Multiaddr) {
        if self.config.part != Part::Browser || !is_circuit(address) {
            return;
        }
        let local = *self.swarm.local_peer_id();
        self.swarm.add_external_address(webrtc_over(address, local));
        let members = self.names.members.clone();
        // The table of provided keys has room for the first key.
        let _ = self.kademlia().start_providing(members);
    }

    fn reservation_lost(&mut self, relay: Libp2pId) {
        if let Some(relay) = from_libp2p(&relay) {
            self.emit(Event::ReservationLost(relay));
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent<X>) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info)
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result,
            }) => self.on_ping(peer, connection, result),
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                ..
            }) => {
                self.relays.on_reserved(&relay_peer_id);
                if let Some(relay) = from_libp2p(&relay_peer_id) {
                    self.emit(Event::Reserved(relay));
                }
            }
            BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            }) => {
                if let kad::QueryResult::GetProviders(Ok(found)) = result {
                    self.on_found(id, found, stats.num_successes());
                }
                if step.last {
                    self.on_search_ended(id);
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let Some(from) = from_libp2p(&propagation_source) else {
                    return;
                };
                let token = self.fresh_token();
                self.gossip.insert(token, message_id);
                self.handle(Input::Gossip {
                    from,
                    token,
                    data: message.data,
                });
            }
            BehaviourEvent::Gossip(gossipsub::Event::Subscribed { peer_id, topic })
                if topic == self.names.packets.hash() =>
            {
                for data in std::mem::take(&mut self.unpublished) {
                    self.publish(data);
                }
                if let Some(peer) = from_libp2p(&peer_id) {
                    self.handle(Input::Subscribed(peer));
                }
            }
            BehaviourEvent::Blocks(event) => self.on_blocks(event),
            BehaviourEvent::Extra(event) => (self.on_extra)(event),
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: Libp2pId, info: identify::Info) {
        let serves = |name: &str| info.protocols.iter().any(|p| p.as_ref() == name);
        let is_relay = serves(relay::HOP_PROTOCOL_NAME.as_ref());
        let role = match info.protocol_version == self.names.version {
            true if is_relay => Role::Relay,
            true => Role::Member,
            false => Role::Stranger,
        };
        let addresses: Vec<_> = info
            .listen_addrs
            .into_iter()
            .filter(|a| !is_circuit(a))
            .take(MAX_ADDRESSES)
            .collect();
        if is_relay && serves(self.names.kademlia.as_ref()) {
            for address in addresses.iter().filter(|a| !is_webrtc(a)) {
                self.kademlia().add_address(&peer, address.clone());
            }
        }
        self.addresses.learn(peer, addresses);
        if let Some(peer) = from_libp2p(&peer) {
            self.handle(Input::Identified { peer, role });
        }
    }

    fn on_ping(
        &mut self,
        peer: Libp2pId,
        id: ConnectionId,
        result: Result<std::time::Duration, ping::Failure>,
    ) {
        match result {
            Ok(round_trip) => {
                let is_circuit = self
                    .connections
                    .get(&number(id))
                    .is_some_and(|c| c.info.is_circuit);
                let has_direct = self
                    .connections
                    .values()
                    .any(|c| c.info.peer == peer && !c.info.is_circuit);
                if let Some(peer) = from_libp2p(&peer)
                    && (!is_circuit || !has_direct)
                {
                    self.handle(Input::Ping { peer, round_trip });
                }
                // The circuit has done its work once a direct connection is up; relays have few of them.
                if is_circuit && has_direct {
                    self.swarm.close_connection(id);
                }
            }
            Err(ping::Failure::Unsupported) => {}
            Err(ping::Failure::Timeout | ping::Failure::Other { .. }) => {
                // Blocks delay pings on a data channel, and the browser itself says when its other end is gone.
                let known = self.connections.get(&number(id));
                if !known.is_some_and(|c| is_webrtc(&c.info.address)) {
                    self.swarm.close_connection(id);
                }
            }
        }
    }

    fn on_search_ended(&mut self, id: kad::QueryId) {
        let counters = self.swarm.network_info();
        let dials = counters.connection_counters().num_pending_outgoing();
        if self.searches.remove(&id).is_none() && dials == 0 {
            let now = self.now().instant;
            self.relays.reserve_now(now);
            self.run_relays();
        }
    }

    fn on_found(&mut self, id: kad::QueryId, found: kad::GetProvidersOk, answers: u32) {
        let kad::GetProvidersOk::FoundProviders { providers, .. } = found else {
            return;
        };
        for peer in &providers {
            // While the query lives, Kademlia answers with the addresses that came with the record.
            let id = ConnectionId::new_unchecked(usize::MAX);
            let kademlia = self.kademlia();
            let found = kademlia.handle_pending_outbound_connection(
                id,
                Some(*peer),
                &[],
                libp2p::core::Endpoint::Dialer,
            );
            self.addresses.learn(
                *peer,
                found
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|a| !is_circuit(a)),
            );
        }
        // All relays at hand have answered. Kademlia would go on to dial and ask the providers, which are tabs and keep no
        // records.
        let relays = self.relays.table.values().filter(|r| r.connected).count();
        if !providers.is_empty()
            && answers as usize >= relays
            && let Some(mut query) = self.kademlia().query_mut(&id)
        {
            query.finish();
        }
        let peers: Vec<PeerId> = providers.iter().filter_map(from_libp2p).collect();
        match self.searches.get(&id).copied() {
            Some(cid) => self.handle(Input::Providers { cid, peers }),
            None => peers
                .into_iter()
                .for_each(|peer| self.handle(Input::PeerFound(peer))),
        }
    }

    fn on_blocks(&mut self, event: request_response::Event<Request, Option<Response>>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request_id: id,
                    request,
                    channel,
                } => {
                    let Some(peer) = from_libp2p(&peer) else {
                        return;
                    };
                    let token = self.fresh_token();
                    self.channels.insert(token, Asker { peer, id, channel });
                    self.handle(Input::Request {
                        peer,
                        token,
                        request,
                    });
                }
                request_response::Message::Response {
                    request_id,
                    response,
                } => {
                    self.on_answer(request_id, response.ok_or(Failure::Malformed));
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                let failure = match error {
                    OutboundFailure::UnsupportedProtocols => Failure::Unsupported,
                    OutboundFailure::DialFailure
                    | OutboundFailure::Timeout
                    | OutboundFailure::ConnectionClosed
                    | OutboundFailure::Io(_) => Failure::Unanswered,
                };
                self.on_answer(request_id, Err(failure));
            }
            request_response::Event::InboundFailure { request_id, .. }
            | request_response::Event::ResponseSent { request_id, .. } => {
                self.answers.end(&request_id);
            }
        }
        self.channels.retain(|_, asker| asker.channel.is_open());
    }

    fn on_answer(&mut self, request: OutboundRequestId, result: Result<Response, Failure>) {
        if let Some(id) = self.requests.remove(&request) {
            self.handle(Input::Response { id, result });
        }
    }
}

/// Bytes of an answer above which others have their turn first. Guess: SHA-256 takes a page a millisecond for them.
const LARGE: usize = 128 * 1024;
