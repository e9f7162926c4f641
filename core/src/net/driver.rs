//! The future that runs a node: swarm events in, the node's outputs out, one timer.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use futures::{FutureExt, StreamExt, channel::mpsc, channel::oneshot, select_biased};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId as Libp2pId, Swarm,
    core::transport::ListenerId,
    gossipsub, identify, identity, kad, ping, relay,
    request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, DialError, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{
    Config, Event, Handle, NetError, Part, Parts, Store,
    address::{circuit_of, is_circuit, is_circuit_endpoint, is_webrtc, peer_of, webrtc_over},
    behaviour::{Behaviour, BehaviourEvent},
    handle::{Action, ConnectionInfo},
    protocol::{Names, provider_key},
    relays::{self, Relays},
    store::Retention,
    wall,
};
use crate::{
    key::{Keypair, PeerId},
    node::{Failure, Input, Node, NodeError, Output, Path, Reply, Response, Role, Verdict},
    time::{Instant, Now},
};

/// Runs a node; ends when its handle closes it or every handle is dropped.
pub struct Driver<X: NetworkBehaviour> {
    swarm: Swarm<Behaviour<X>>,
    node: Node,
    config: Config,
    names: Names,
    on_extra: Box<dyn FnMut(X::ToSwarm) + Send>,
    store: Box<dyn Store + Send>,
    actions: mpsc::Receiver<Action>,
    listeners: Vec<mpsc::Sender<Event>>,
    relays: Relays,
    addresses: AddressBook,
    connections: BTreeMap<u64, Connection>,
    started: web_time::Instant,
    next_token: u64,
    gossip: HashMap<u64, gossipsub::MessageId>,
    channels: HashMap<u64, ResponseChannel<Option<Response>>>,
    requests: HashMap<OutboundRequestId, u64>,
    commands: HashMap<u64, oneshot::Sender<Result<Reply, NodeError>>>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<(), String>>>,
    searches: HashMap<kad::QueryId, crate::digest::ContentId>,
    unpublished: VecDeque<Vec<u8>>,
    listening: Vec<ListenerId>,
    closing: Option<oneshot::Sender<()>>,
}

struct Connection {
    id: ConnectionId,
    info: ConnectionInfo,
}

/// Where peers can be dialled, bounded: the peer heard of longest ago goes first.
#[derive(Default)]
struct AddressBook {
    known: HashMap<Libp2pId, (u64, Vec<Multiaddr>)>,
    clock: u64,
}

impl AddressBook {
    fn learn(&mut self, peer: Libp2pId, addresses: impl IntoIterator<Item = Multiaddr>) {
        self.clock += 1;
        let (used, list) = self.known.entry(peer).or_default();
        *used = self.clock;
        for address in addresses {
            if !list.contains(&address) {
                list.insert(0, address);
                list.truncate(MAX_ADDRESSES);
            }
        }
        if self.known.len() > MAX_PEERS
            && let Some(oldest) = self
                .known
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(peer, _)| *peer)
        {
            self.known.remove(&oldest);
        }
    }

    fn of(&self, peer: &Libp2pId) -> Vec<Multiaddr> {
        self.known
            .get(peer)
            .map(|(_, list)| list.clone())
            .unwrap_or_default()
    }
}

pub(crate) fn new<X: NetworkBehaviour>(
    key: Keypair,
    config: Config,
    parts: Parts<X>,
) -> Result<(Handle, Driver<X>), NetError> {
    let identity = identity::Keypair::ed25519_from_bytes(key.seed().to_vec())
        .map_err(|e| NetError::Key(e.to_string()))?;
    let names = Names::new(&config.node.network).map_err(NetError::Network)?;
    let behaviour = Behaviour::new(&identity, &config, &names, parts.relay_client, parts.extra)?;
    let swarm_config = parts.swarm.with_idle_connection_timeout(IDLE_TIMEOUT);
    let mut swarm = Swarm::new(
        parts.transport,
        behaviour,
        identity.public().to_peer_id(),
        swarm_config,
    );
    let started = web_time::Instant::now();
    let now = Now {
        instant: Instant::from_micros(0),
        wall: wall(),
    };

    let mut bootstrap = Vec::new();
    for address in &config.bootstrap {
        let peer = peer_of(address).ok_or_else(|| NetError::Bootstrap(address.clone()))?;
        if peer != *swarm.local_peer_id() {
            swarm
                .behaviour_mut()
                .kademlia
                .get()
                .add_address(&peer, address.clone());
            bootstrap.push((peer, address.clone()));
        }
    }
    let mut listening = Vec::new();
    for address in &config.listen {
        let refused = |e: libp2p::TransportError<_>| NetError::Listen {
            address: address.clone(),
            reason: e.to_string(),
        };
        listening.push(swarm.listen_on(address.clone()).map_err(refused)?);
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    let (sender, actions) = mpsc::channel(ACTION_QUEUE);
    let handle = Handle {
        actions: sender,
        network: Arc::from(config.node.network.as_str()),
        streams: swarm.behaviour_mut().streams.get().new_control(),
        key: Arc::new(key),
    };
    let mut driver = Driver {
        node: Node::new(handle.id(), config.node.clone(), now),
        relays: Relays::new(
            bootstrap.into_iter(),
            config.part == Part::Browser,
            now.instant,
        ),
        swarm,
        config,
        names,
        on_extra: parts.on_extra,
        store: parts.store,
        actions,
        listeners: Vec::new(),
        addresses: AddressBook::default(),
        connections: BTreeMap::new(),
        started,
        next_token: 0,
        gossip: HashMap::new(),
        channels: HashMap::new(),
        requests: HashMap::new(),
        commands: HashMap::new(),
        dials: HashMap::new(),
        searches: HashMap::new(),
        unpublished: VecDeque::new(),
        listening,
        closing: None,
    };
    match driver.store.packets() {
        Ok(packets) => packets
            .into_iter()
            .for_each(|packet| driver.handle(Input::Restored(packet))),
        Err(error) => driver.emit(Event::StoreFailed(error.to_string())),
    }
    Ok((handle, driver))
}

impl<X: NetworkBehaviour> Driver<X> {
    /// Runs until the node is closed.
    pub async fn run(mut self) {
        self.run_relays();
        let mut timer = Delay::new(std::time::Duration::ZERO);
        let mut set_for = Instant::from_micros(0);
        loop {
            let wake_at = self.drain();
            let wake_at = self.relays.wake_at().map_or(wake_at, |at| at.min(wake_at));
            if wake_at != set_for {
                set_for = wake_at;
                timer.reset(wake_at.saturating_duration_since(self.now().instant));
            }
            select_biased! {
                action = self.actions.next() => match action {
                    Some(action) => self.on_action(action),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = (&mut timer).fuse() => {
                    set_for = Instant::from_micros(0);
                    self.handle(Input::Tick);
                    self.run_relays();
                }
            }
            if self.closing.is_some() {
                break;
            }
        }
        self.shut_down().await;
    }

    async fn shut_down(mut self) {
        self.swarm
            .behaviour_mut()
            .kademlia
            .get()
            .stop_providing(&self.names.members);
        for listener in std::mem::take(&mut self.listening) {
            self.swarm.remove_listener(listener);
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let mut patience = Delay::new(CLOSE_PATIENCE).fuse();
        while self.swarm.network_info().num_peers() > 0 {
            select_biased! {
                _ = self.swarm.select_next_some() => {}
                () = patience => break,
            }
        }
        let done = self.closing.take();
        // Ports are free before the closer hears of it.
        drop(self);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn now(&self) -> Now {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now {
            instant: Instant::from_micros(micros),
            wall: wall(),
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.node.handle(now, input);
    }

    /// Carries out what the node wants; returns when it wants to be woken.
    fn drain(&mut self) -> Instant {
        loop {
            match self.node.poll_output() {
                Output::Idle { wake_at } => return wake_at,
                output => self.on_output(output),
            }
        }
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Discover => self.discover(),
            Output::Dial(peer) => self.dial(peer),
            Output::Disconnect { peer, connection } => self.disconnect(peer, connection),
            Output::Publish(data) => self.publish(data),
            Output::Verdict {
                token,
                from,
                verdict,
            } => self.judge(token, from, verdict),
            Output::Send { peer, id, request } => {
                let peer = to_libp2p(&peer);
                let request = self
                    .swarm
                    .behaviour_mut()
                    .blocks
                    .get()
                    .send_request(&peer, request);
                self.requests.insert(request, id);
            }
            Output::Respond { token, response } => {
                if let Some(channel) = self.channels.remove(&token) {
                    // The asker may be gone.
                    let _ = self
                        .swarm
                        .behaviour_mut()
                        .blocks
                        .get()
                        .send_response(channel, Some(response));
                }
            }
            Output::Load(cid) => {
                let bytes = self.store.get(&cid).unwrap_or_else(|error| {
                    self.emit(Event::StoreFailed(error.to_string()));
                    None
                });
                self.handle(Input::Loaded { cid, bytes });
            }
            Output::Store {
                cid,
                bytes,
                expires,
                is_packet,
            } => {
                if let Err(error) = self
                    .store
                    .put(&cid, &bytes, Retention { expires, is_packet })
                {
                    self.emit(Event::StoreFailed(error.to_string()));
                }
            }
            Output::Forget(cid) => {
                if let Err(error) = self.store.remove(&cid) {
                    self.emit(Event::StoreFailed(error.to_string()));
                }
            }
            Output::Provide(cid) => {
                // A full table of provided keys is no loss: gossip and relays know the packet too.
                let _ = self
                    .swarm
                    .behaviour_mut()
                    .kademlia
                    .get()
                    .start_providing(provider_key(&cid));
            }
            Output::FindProviders(cid) => {
                let query = self
                    .swarm
                    .behaviour_mut()
                    .kademlia
                    .get()
                    .get_providers(provider_key(&cid));
                self.searches.insert(query, cid);
            }
            Output::Reply(id, result) => {
                if let Some(reply) = self.commands.remove(&id) {
                    let _ = reply.send(result);
                }
            }
            Output::Emit(event) => self.emit(Event::Node(event)),
            Output::Idle { .. } => {}
        }
    }

    /// Publishes on the packets topic, or keeps the message until somebody subscribes.
    fn publish(&mut self, data: Vec<u8>) {
        let topic = self.names.packets.hash();
        let published = self
            .swarm
            .behaviour_mut()
            .gossip
            .get()
            .publish(topic, data.clone());
        if let Err(gossipsub::PublishError::NoPeersSubscribedToTopic) = published {
            if self.unpublished.len() >= MAX_UNPUBLISHED {
                self.unpublished.pop_front();
            }
            self.unpublished.push_back(data);
        }
    }

    fn discover(&mut self) {
        let members = self.names.members.clone();
        self.swarm
            .behaviour_mut()
            .kademlia
            .get()
            .get_providers(members);
    }

    fn dial(&mut self, peer: PeerId) {
        let id = to_libp2p(&peer);
        let mut addresses = self.addresses.of(&id);
        if self.config.part == Part::Browser {
            let over = |relay: &relays::Relay, at| webrtc_over(&circuit_of(&relay.address, at), id);
            let own = self
                .relays
                .table
                .iter()
                .filter(|(_, r)| r.connected)
                .map(|(at, relay)| over(relay, *at));
            addresses.retain(is_webrtc);
            if addresses.is_empty() {
                addresses.extend(own);
            }
        } else {
            addresses.retain(|address| !is_webrtc(address) && !is_circuit(address));
        }
        let options = DialOpts::peer_id(id)
            .addresses(addresses)
            .condition(PeerCondition::NotDialing)
            .build();
        if self.swarm.dial(options).is_err() {
            self.handle(Input::DialFailed(peer));
        }
    }

    fn disconnect(&mut self, peer: PeerId, connection: Option<u64>) {
        match connection {
            Some(connection) => {
                if let Some(connection) = self.connections.get(&connection) {
                    self.swarm.close_connection(connection.id);
                }
            }
            None => {
                // Not connected any more is just as well.
                let _ = self.swarm.disconnect_peer_id(to_libp2p(&peer));
            }
        }
    }

    fn judge(&mut self, token: u64, from: PeerId, verdict: Verdict) {
        let Some(message) = self.gossip.remove(&token) else {
            return;
        };
        let acceptance = match verdict {
            Verdict::Accept => gossipsub::MessageAcceptance::Accept,
            Verdict::Reject => gossipsub::MessageAcceptance::Reject,
            Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
        };
        let from = to_libp2p(&from);
        self.swarm
            .behaviour_mut()
            .gossip
            .get()
            .report_message_validation_result(&message, &from, acceptance);
    }

    fn run_relays(&mut self) {
        let now = self.now().instant;
        for action in self.relays.due(now) {
            match action {
                relays::Action::Dial(peer, address) => {
                    let options = DialOpts::peer_id(peer)
                        .addresses(vec![address])
                        .condition(PeerCondition::DisconnectedAndNotDialing)
                        .build();
                    // A dial under way is as good as this one.
                    let _ = self.swarm.dial(options);
                }
                relays::Action::Reserve(peer, address) => {
                    if let Ok(listener) = self.swarm.listen_on(circuit_of(&address, peer))
                        && let Some(relay) = self.relays.table.get_mut(&peer)
                    {
                        relay.listener = Some(listener);
                    }
                }
            }
        }
    }

    fn on_action(&mut self, action: Action) {
        // An answer that nobody waits for any more is no error.
        match action {
            Action::Command(command, reply) => {
                self.next_token += 1;
                self.commands.insert(self.next_token, reply);
                self.handle(Input::Command(self.next_token, command));
            }
            Action::Subscribe(listener) => {
                if self.listeners.len() < MAX_LISTENERS {
                    self.listeners.push(listener);
                }
            }
            Action::Dial(address, reply) => {
                let options = DialOpts::from(address);
                let id = options.connection_id();
                match self.swarm.dial(options) {
                    Ok(()) => drop(self.dials.insert(id, reply)),
                    Err(error) => drop(reply.send(Err(error.to_string()))),
                }
            }
            Action::Connections(reply) => {
                drop(reply.send(self.connections.values().map(|c| c.info.clone()).collect()));
            }
            Action::Addresses(reply) => {
                let all = self
                    .swarm
                    .listeners()
                    .chain(self.swarm.external_addresses())
                    .cloned()
                    .collect();
                drop(reply.send(all));
            }
            Action::Counters(reply) => drop(reply.send(self.node.counters())),
            Action::Wake => {
                let now = self.now().instant;
                self.relays.wake(now);
                self.run_relays();
                self.handle(Input::Online);
            }
            Action::Close(done) => self.closing = Some(done),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent<X>>) {
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

    fn on_connected(
        &mut self,
        peer: Libp2pId,
        id: ConnectionId,
        endpoint: &libp2p::core::ConnectedPoint,
    ) {
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
        let now = self.now().instant;
        if !is_circuit && self.relays.on_connected(&peer, now) {
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
        let _ = self
            .swarm
            .behaviour_mut()
            .kademlia
            .get()
            .start_providing(members);
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
                step,
                ..
            }) => {
                self.on_query(id, result, step.last);
            }
            BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let Some(from) = from_libp2p(&propagation_source) else {
                    return;
                };
                self.next_token += 1;
                self.gossip.insert(self.next_token, message_id);
                self.handle(Input::Gossip {
                    from,
                    token: self.next_token,
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
                self.swarm
                    .behaviour_mut()
                    .kademlia
                    .get()
                    .add_address(&peer, address.clone());
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

    fn on_query(&mut self, id: kad::QueryId, result: kad::QueryResult, is_last: bool) {
        let search = self.searches.get(&id).copied();
        if is_last {
            self.searches.remove(&id);
        }
        let kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
            providers,
            ..
        })) = result
        else {
            return;
        };
        for peer in &providers {
            // While the query lives, Kademlia answers with the addresses that came with the record.
            let id = ConnectionId::new_unchecked(usize::MAX);
            let kademlia = self.swarm.behaviour_mut().kademlia.get();
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
        let peers: Vec<PeerId> = providers.iter().filter_map(from_libp2p).collect();
        match search {
            Some(cid) => self.handle(Input::Providers { cid, peers }),
            None => peers
                .into_iter()
                .for_each(|peer| self.handle(Input::PeerFound(peer))),
        }
    }

    fn on_blocks(
        &mut self,
        event: request_response::Event<crate::node::Request, Option<Response>>,
    ) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request {
                    request, channel, ..
                } => {
                    let Some(peer) = from_libp2p(&peer) else {
                        return;
                    };
                    self.next_token += 1;
                    self.channels.insert(self.next_token, channel);
                    self.handle(Input::Request {
                        peer,
                        token: self.next_token,
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
            request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
        self.channels.retain(|_, channel| channel.is_open());
    }

    fn on_answer(&mut self, request: OutboundRequestId, result: Result<Response, Failure>) {
        if let Some(id) = self.requests.remove(&request) {
            self.handle(Input::Response { id, result });
        }
    }

    fn emit(&mut self, event: Event) {
        self.listeners
            .retain_mut(|listener| match listener.try_send(event.clone()) {
                Ok(()) => true,
                Err(error) => !error.is_disconnected(),
            });
    }
}

fn to_libp2p(peer: &PeerId) -> Libp2pId {
    // A core id is always the multihash of an Ed25519 key.
    Libp2pId::from_bytes(&peer.to_bytes()).unwrap_or_else(|_| unreachable!())
}

/// Peers whose id is not an Ed25519 key take no part in the mesh.
fn from_libp2p(peer: &Libp2pId) -> Option<PeerId> {
    PeerId::from_bytes(&peer.to_bytes()).ok()
}

/// The id's number; libp2p offers it only as text.
fn number(id: ConnectionId) -> u64 {
    id.to_string().parse().unwrap_or(u64::MAX)
}

/// A connection that nothing uses closes after this. Source: the node closes what it does not want; wasm caps timers.
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1800);
/// Time for connections to close.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// Messages kept until somebody subscribes.
const MAX_UNPUBLISHED: usize = 64;
/// Actions a handle may queue.
const ACTION_QUEUE: usize = 64;
/// Event listeners of one driver.
const MAX_LISTENERS: usize = 64;
/// Peers whose addresses are remembered.
const MAX_PEERS: usize = 1024;
/// Addresses remembered of one peer.
const MAX_ADDRESSES: usize = 8;
