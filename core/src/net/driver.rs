//! The future that runs a node: swarm events in, the node's outputs out, one timer.
//!
//! What is large is not inlined, here and in the node: a browser compiles a function whole at its first call.

mod address_book;
mod answers;
mod dials;
mod events;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    select_biased,
};
use futures_timer::Delay;
use libp2p::{
    PeerId as Libp2pId, Swarm,
    core::{transport::ListenerId, upgrade::Version},
    gossipsub, identity, kad,
    request_response::{InboundRequestId, OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, NetworkBehaviour,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use address_book::AddressBook;
use answers::Answers;

use super::{
    Config, Event, Handle, NetError, Part, Parts, Pause, Store,
    address::{circuit_of, is_circuit, is_webrtc, peer_of, webrtc_over},
    behaviour::Behaviour,
    handle::{Action, ConnectionInfo},
    protocol::{Names, provider_key},
    relays::{self, Relays},
    scoped::Scoped,
    store::{Retention, StoreError},
    wall,
};
use crate::{
    flat::FlatMap,
    key::{Keypair, PeerId},
    node::{Input, Node, NodeError, Output, Reply, Response, Verdict},
    time::{Instant, Now},
};

/// Runs a node; ends when its handle closes it or every handle is dropped.
pub struct Driver<X: NetworkBehaviour> {
    swarm: Swarm<Scoped<Behaviour<X>>>,
    node: Node,
    config: Config,
    names: Names,
    on_extra: Box<dyn FnMut(X::ToSwarm) + Send>,
    store: Box<dyn Store + Send>,
    pause: Pause,
    actions: mpsc::Receiver<Action>,
    listeners: Vec<mpsc::Sender<Event>>,
    relays: Relays,
    addresses: AddressBook,
    connections: FlatMap<u64, Connection>,
    started: web_time::Instant,
    next_token: u64,
    gossip: HashMap<u64, gossipsub::MessageId>,
    channels: HashMap<u64, Asker>,
    answers: Answers<InboundRequestId>,
    requests: HashMap<OutboundRequestId, u64>,
    commands: HashMap<u64, oneshot::Sender<Result<Reply, NodeError>>>,
    dials: HashMap<ConnectionId, oneshot::Sender<Result<(), String>>>,
    parked: Vec<dials::Parked>,
    searches: HashMap<kad::QueryId, crate::digest::ContentId>,
    unpublished: VecDeque<Vec<u8>>,
    listening: Vec<ListenerId>,
    closing: Option<oneshot::Sender<()>>,
    /// Bytes that the store gave, or the node hashed on its own, since the start.
    read: u64,
}

/// Who waits for an answer, and how it is given.
struct Asker {
    peer: PeerId,
    id: InboundRequestId,
    channel: ResponseChannel<Option<Response>>,
}

struct Connection {
    id: ConnectionId,
    info: ConnectionInfo,
}

#[inline(never)]
pub(crate) fn new<X: NetworkBehaviour>(
    key: Keypair,
    config: Config,
    parts: Parts<X>,
) -> Result<(Handle, Driver<X>), NetError> {
    let identity = identity::Keypair::ed25519_from_bytes(key.seed().to_vec())
        .map_err(|e| NetError::Key(e.to_string()))?;
    let names = Names::new(&config.node.network).map_err(NetError::Network)?;
    let behaviour = Behaviour::new(&identity, &config, &names, parts.relay_client, parts.extra)?;
    // A stream's first words go out with its protocol's name: one round trip less for each.
    let swarm_config = parts
        .swarm
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    let mut swarm = Swarm::new(
        parts.transport,
        Scoped::everywhere(behaviour),
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
                .get()
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
        streams: swarm.behaviour_mut().get().streams.get().new_control(),
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
        pause: parts.pause,
        actions,
        listeners: Vec::new(),
        addresses: AddressBook::default(),
        connections: FlatMap::new(),
        started,
        next_token: 0,
        gossip: HashMap::new(),
        channels: HashMap::new(),
        answers: Answers::default(),
        requests: HashMap::new(),
        commands: HashMap::new(),
        dials: HashMap::new(),
        parked: Vec::new(),
        searches: HashMap::new(),
        unpublished: VecDeque::new(),
        listening,
        closing: None,
        read: 0,
    };
    match driver.store.packets() {
        Ok(packets) => packets
            .into_iter()
            .for_each(|packet| driver.handle(Input::Restored(packet))),
        Err(error) => driver.emit(Event::StoreFailed(error.to_string())),
    }
    for cid in driver.store.pinned().unwrap_or_default() {
        driver.handle(Input::Pinned(cid));
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
            let wake_at = loop {
                match self.drain() {
                    Some(wake_at) => break wake_at,
                    None => (self.pause)().await,
                }
            };
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
                event = self.swarm.select_next_some() => {
                    if events::is_large(&event) {
                        (self.pause)().await;
                    }
                    self.on_swarm_event(event);
                }
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
        // Of its own: a browser compiles it when it runs.
        Box::pin(self.shut_down()).await;
    }

    async fn shut_down(mut self) {
        let members = self.names.members.clone();
        self.kademlia().stop_providing(&members);
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

    fn behaviour(&mut self) -> &mut Behaviour<X> {
        self.swarm.behaviour_mut().get()
    }

    fn kademlia(&mut self) -> &mut kad::Behaviour<kad::store::MemoryStore> {
        self.behaviour().kademlia.get()
    }

    /// Returns a number that names one thing under way, never given before.
    fn fresh_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
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

    /// Carries out what the node wants; returns when it wants to be woken, or `None` where many bytes were read, and checked by
    /// the node, and others are to have their turn.
    fn drain(&mut self) -> Option<Instant> {
        let read_before = self.read;
        while self.read - read_before <= MAX_TURN {
            match self.node.poll_output() {
                Output::Idle { wake_at } => return Some(wake_at),
                output => self.on_output(output),
            }
        }
        None
    }

    #[inline(never)]
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
                let request = self.behaviour().blocks.get().send_request(&peer, request);
                self.requests.insert(request, id);
            }
            Output::Respond { token, response } => {
                if let Some(Asker { peer, id, channel }) = self.channels.remove(&token) {
                    let size = response.size();
                    let response = match self.answers.begin(id, peer, size) {
                        true => response,
                        false => Response::Refused("too much is on its way already".into()),
                    };
                    let blocks = self.behaviour().blocks.get();
                    if blocks.send_response(channel, Some(response)).is_err() {
                        // The asker is gone.
                        self.answers.end(&id);
                    }
                }
            }
            Output::Load(cid) => {
                let bytes = self.store.get(&cid).unwrap_or_else(|error| {
                    self.emit(Event::StoreFailed(error.to_string()));
                    None
                });
                self.read += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                self.handle(Input::Loaded { cid, bytes });
            }
            Output::Store {
                cid,
                bytes,
                expires,
                is_packet,
            } => {
                let retention = Retention {
                    expires,
                    is_packet,
                    is_pinned: false,
                };
                if let Err(error) = self.store.put(&cid, &bytes, retention) {
                    self.emit(Event::StoreFailed(error.to_string()));
                    self.handle(Input::StoreFailed(cid));
                }
            }
            Output::Settle(id) => self.handle(Input::Settled(id)),
            Output::Hash { id, size } => {
                self.read += size as u64;
                self.handle(Input::Hash(id));
            }
            Output::Free(cids) => {
                let done = self.store.free(&cids);
                self.note(done);
            }
            Output::Pin { cids, is_pinned } => {
                let done = self.store.pin(&cids, is_pinned);
                self.note(done);
            }
            Output::Purge(now) => {
                let done = self.store.purge(now);
                self.note(done);
            }
            Output::Provide(cid) => {
                // Kademlia renews the record until it is withdrawn. A full table of provided keys is no loss: gossip and relays know the packet too.
                let _ = self.kademlia().start_providing(provider_key(&cid));
            }
            Output::Withdraw(cid) => self.kademlia().stop_providing(&provider_key(&cid)),
            Output::FindProviders(cid) => {
                let query = self.kademlia().get_providers(provider_key(&cid));
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

    /// Tells the owner what the store could not do.
    fn note(&mut self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            self.emit(Event::StoreFailed(error.to_string()));
        }
    }

    /// Publishes on the packets topic, or keeps the message until somebody subscribes.
    fn publish(&mut self, data: Vec<u8>) {
        let topic = self.names.packets.hash();
        let published = self.behaviour().gossip.get().publish(topic, data.clone());
        if let Err(gossipsub::PublishError::NoPeersSubscribedToTopic) = published {
            if self.unpublished.len() >= MAX_UNPUBLISHED {
                self.unpublished.pop_front();
            }
            self.unpublished.push_back(data);
        }
    }

    fn discover(&mut self) {
        let members = self.names.members.clone();
        self.kademlia().get_providers(members);
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
        self.behaviour()
            .gossip
            .get()
            .report_message_validation_result(&message, &from, acceptance);
    }

    #[inline(never)]
    fn run_relays(&mut self) {
        let now = self.now().instant;
        for action in self.relays.due(now) {
            match action {
                relays::Action::Dial(peer, address) => {
                    // A dial under way is as good as this one.
                    let _ = self.dial_relay(peer, address);
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

    #[inline(never)]
    fn on_action(&mut self, action: Action) {
        // An answer that nobody waits for any more is no error.
        match action {
            Action::Command(command, reply) => {
                let token = self.fresh_token();
                self.commands.insert(token, reply);
                self.handle(Input::Command(token, command));
            }
            Action::Subscribe(listener) => {
                if self.listeners.len() < MAX_LISTENERS {
                    self.listeners.push(listener);
                }
            }
            Action::Dial(address, reply) => self.dial_address(address, reply),
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
/// Bytes read from the store, or hashed, after which others get their turn: what is read is hashed twice, in some milliseconds of
/// a page.
const MAX_TURN: u64 = 512 << 10;
/// Time for connections to close.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// Messages kept until somebody subscribes.
const MAX_UNPUBLISHED: usize = 64;
/// Actions a handle may queue.
const ACTION_QUEUE: usize = 64;
/// Event listeners of one driver.
const MAX_LISTENERS: usize = 64;
