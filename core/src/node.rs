//! The node: a pure function of (inputs, time). Does no IO, reads no clock and logs nothing.
//!
//! A driver calls [`Node::handle`] with what happened and then [`Node::poll_output`] until [`Output::Idle`], carrying out
//! each output. Bad bytes from a peer become a fault counted against that peer, never an error or a panic. Every table
//! is ordered and bounded; what was dropped for want of room is counted in [`Counters`].
//!
//! What it does not do: it opens no connection, chooses no transport, and keeps blocks only through its driver's store.

mod fetch;
mod library;
mod mesh;
mod message;
mod peer;
mod seek;
mod serve;
mod want;

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};
use core::time::Duration;

pub use library::Filter;
pub use message::{
    MAX_HOPS, MAX_PACKET, MAX_QUERY, MAX_REQUEST, MAX_RESPONSE, MessageError, News, Request,
    Response,
};
pub use peer::{Path, PeerInfo, Role};

use crate::{
    bounds::DEFAULT_MAX_OBJECT,
    digest::ContentId,
    key::PeerId,
    packet::{Admission, Packet, PacketError, Policy, ReplayGuard, UnverifiedPacket, block::Block},
    status::{Category, Status},
    time::{Instant, Now, Timestamp},
};
use fetch::Fetch;
use library::Library;
use peer::{Candidates, Peer};
use want::Wants;

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the network; part of every protocol id and every signature.
    pub network: String,
    /// Direct connections to members, relays not counted, below which the node dials. Default 8. Guess: gossip's
    /// upper degree.
    pub target_members: usize,
    /// Largest object fetched, in bytes. Default 10 MB. Source: contract.md.
    pub max_object: u64,
    /// Whether the node looks for blocks on behalf of those who ask it. Default no; relays do.
    pub forward: bool,
    /// What the node keeps for others without being asked. Default nothing; relays do.
    pub mirror: Option<Mirror>,
}

/// Which packets' content a node keeps for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Only content whose packet lives at least so long. Default 600 s. Guess: what is gone sooner is not worth it.
    pub min_ttl_secs: u64,
    /// Only objects up to so many bytes.
    pub max_object: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: "main".into(),
            target_members: 8,
            max_object: DEFAULT_MAX_OBJECT,
            forward: false,
            mirror: None,
        }
    }
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            min_ttl_secs: 600,
            max_object: DEFAULT_MAX_OBJECT,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Discovery named a peer of this network.
    PeerFound(PeerId),
    /// A relay can be reached (again), or the device woke: dial and search now.
    Online,
    /// A connection is up.
    Connected {
        /// To whom.
        peer: PeerId,
        /// The driver's id for it.
        connection: u64,
        /// How it gets there.
        path: Path,
    },
    /// A connection is gone.
    Disconnected {
        /// To whom.
        peer: PeerId,
        /// The driver's id for it.
        connection: u64,
    },
    /// A dial that the node asked for came to nothing.
    DialFailed(PeerId),
    /// A peer said what it is.
    Identified {
        /// Who.
        peer: PeerId,
        /// What.
        role: Role,
    },
    /// A peer hears the packets topic from now on: what was published since it connected may have missed it.
    Subscribed(PeerId),
    /// A ping was answered.
    Ping {
        /// By whom.
        peer: PeerId,
        /// After how long.
        round_trip: Duration,
    },
    /// The packets topic brought something; answer with [`Output::Verdict`].
    Gossip {
        /// From which neighbour.
        from: PeerId,
        /// Names the message in the verdict.
        token: u64,
        /// The message.
        data: Vec<u8>,
    },
    /// A peer asks; answer with [`Output::Respond`].
    Request {
        /// Who.
        peer: PeerId,
        /// Names the request in the answer.
        token: u64,
        /// What.
        request: Request,
    },
    /// A peer answered [`Output::Send`].
    Response {
        /// The request's id.
        id: u64,
        /// The answer, or why there is none.
        result: Result<Response, Failure>,
    },
    /// The store answered [`Output::Load`].
    Loaded {
        /// The block asked for.
        cid: ContentId,
        /// Its bytes, if it is there.
        bytes: Option<Vec<u8>>,
    },
    /// A packet kept from an earlier run, in its binary form.
    Restored(Vec<u8>),
    /// Discovery named peers that hold a packet.
    Providers {
        /// The packet.
        cid: ContentId,
        /// Who.
        peers: Vec<PeerId>,
    },
    /// The owner wants something; answered by [`Output::Reply`] with the same id.
    Command(u64, Command),
    /// Time passed.
    Tick,
}

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The peer does not speak the protocol.
    Unsupported,
    /// No answer in time, or the connection broke.
    Unanswered,
    /// The answer was not well formed or too long.
    Malformed,
}

/// What the owner wants.
#[derive(Debug)]
pub enum Command {
    /// Publishes a packet and serves the blocks it links to.
    Share {
        /// The signed packet.
        packet: Packet,
        /// The blocks of its content, none when it is inline.
        blocks: Vec<Block>,
    },
    /// Fetches a packet and its content.
    Get(ContentId),
    /// Lists packets known here, newest first.
    Query(Filter),
    /// Asks a peer which packets it knows; they are verified and become known here too.
    QueryPeer {
        /// Whom.
        peer: PeerId,
        /// What.
        filter: Filter,
    },
    /// Asks a peer to keep a packet of this node and its content.
    Offer {
        /// Whom.
        peer: PeerId,
        /// Which packet.
        cid: ContentId,
    },
    /// Lists the connected peers.
    Peers,
    /// Asks how the node is doing.
    Status,
}

/// What a command came to.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The packet shared.
    Shared(ContentId),
    /// The packet and its content.
    Object(Packet, Vec<u8>),
    /// Packets, newest first.
    Packets(Vec<Packet>),
    /// The peer keeps what was offered.
    Stored,
    /// The connected peers.
    Peers(Vec<PeerInfo>),
    /// How the node is doing.
    Status(Status),
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Nobody reachable gave the block.
    #[error("nobody who can be reached holds {cid} ({waited_secs} s without progress)")]
    NotFound {
        /// The packet asked for.
        cid: ContentId,
        /// How long the node went on without progress.
        waited_secs: u64,
    },
    /// The content exceeds the limit.
    #[error("the object has {size} bytes, the limit is {max}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// What arrived under the content id is no packet of this network.
    #[error("not a packet of this network: {0}")]
    Packet(PacketError),
    /// The content is not what its packet says.
    #[error("the content is broken: {what}")]
    Content {
        /// In which way.
        what: &'static str,
    },
    /// The peer is not directly connected.
    #[error("peer {0} is not directly connected")]
    NotConnected(PeerId),
    /// The peer said no.
    #[error("peer {peer} refused: {reason}")]
    Refused {
        /// Who.
        peer: PeerId,
        /// What it said.
        reason: String,
    },
    /// The peer gave no usable answer.
    #[error("peer {0} gave no usable answer")]
    NoAnswer(PeerId),
    /// Too much is under way.
    #[error("{what}: {max} are under way already")]
    Busy {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Look for members of the network.
    Discover,
    /// Connect to a peer directly.
    Dial(PeerId),
    /// Close one connection, or all of them.
    Disconnect {
        /// To whom.
        peer: PeerId,
        /// Which; `None` means all.
        connection: Option<u64>,
    },
    /// Publish on the packets topic.
    Publish(Vec<u8>),
    /// What to do with a gossip message.
    Verdict {
        /// The message.
        token: u64,
        /// Where it came from.
        from: PeerId,
        /// The judgement.
        verdict: Verdict,
    },
    /// Send a request to a directly connected peer.
    Send {
        /// To whom.
        peer: PeerId,
        /// Names the request in [`Input::Response`].
        id: u64,
        /// What.
        request: Request,
    },
    /// Answer a request.
    Respond {
        /// The request.
        token: u64,
        /// The answer.
        response: Response,
    },
    /// Look a block up in the store.
    Load(ContentId),
    /// Keep a block.
    Store {
        /// Its id.
        cid: ContentId,
        /// Its bytes.
        bytes: Vec<u8>,
        /// When it may go.
        expires: Timestamp,
        /// Whether it is a packet, to be given back at the next start.
        is_packet: bool,
    },
    /// A packet expired or was dropped: its block may go.
    Forget(ContentId),
    /// Tell the DHT that this node holds the packet.
    Provide(ContentId),
    /// Ask the DHT who holds the packet.
    FindProviders(ContentId),
    /// A command is done.
    Reply(u64, Result<Reply, NodeError>),
    /// Something the owner may want to know.
    Emit(Event),
    /// Nothing to do until the next input or this moment.
    Idle {
        /// When to send [`Input::Tick`].
        wake_at: Instant,
    },
}

/// What becomes of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Passed on.
    Accept,
    /// Dropped, and held against whoever sent it.
    Reject,
    /// Dropped.
    Ignore,
}

/// Something that happened, in the past tense.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A peer is connected, or how it is connected changed.
    PeerChanged(PeerInfo),
    /// A peer's last connection is gone.
    PeerLeft(PeerId),
    /// A verified packet that was not known before arrived.
    PacketReceived {
        /// The packet.
        packet: Packet,
        /// Which peer it came from.
        from: PeerId,
    },
    /// A packet of this node's own was published.
    PacketShared(Packet),
    /// A fetch came further.
    Progressed {
        /// The packet.
        cid: ContentId,
        /// Bytes verified so far.
        received: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A packet's content is complete and kept here.
    Mirrored(ContentId),
    /// The node's state changed.
    StatusChanged(Status),
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets verified and new.
    pub packets_accepted: u64,
    /// Packets refused: signature, network, time, form.
    pub packets_refused: u64,
    /// Packets that were known already.
    pub packets_duplicate: u64,
    /// Packets let go early for want of room.
    pub packets_dropped: u64,
    /// Blocks verified.
    pub blocks_received: u64,
    /// Blocks whose bytes did not match their id.
    pub blocks_garbage: u64,
    /// Blocks served.
    pub blocks_served: u64,
    /// Requests refused: rate, room or form.
    pub requests_refused: u64,
    /// Peers heard of and not remembered for want of room.
    pub candidates_dropped: u64,
    /// Connections refused because the peer is banned.
    pub connections_refused: u64,
}

/// A sans-IO node. See the module's documentation.
#[derive(Debug)]
pub struct Node {
    config: Config,
    local: PeerId,
    now: Now,
    peers: BTreeMap<PeerId, Peer>,
    banned: BTreeMap<PeerId, Instant>,
    candidates: Candidates,
    library: Library,
    replay: ReplayGuard,
    wants: Wants,
    fetches: BTreeMap<u64, Fetch>,
    sent: BTreeMap<u64, Sent>,
    asked: BTreeMap<u64, PeerId>,
    next_id: u64,
    next_discovery: Instant,
    discovery_interval: Duration,
    next_expiry: Instant,
    next_seek: Instant,
    last_status: Option<Status>,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// A request that was sent.
#[derive(Debug)]
struct Sent {
    peer: PeerId,
    what: SentFor,
}

#[derive(Debug)]
enum SentFor {
    Block,
    CatchUp,
    Query { command: u64, filter: Filter },
    Offer { command: u64 },
}

impl Node {
    /// Creates a node that is `local`, with nothing known and nobody connected.
    pub fn new(local: PeerId, config: Config, now: Now) -> Self {
        Self {
            config,
            local,
            now,
            peers: BTreeMap::new(),
            banned: BTreeMap::new(),
            candidates: Candidates::default(),
            library: Library::default(),
            replay: ReplayGuard::default(),
            wants: Wants::default(),
            fetches: BTreeMap::new(),
            sent: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_id: 0,
            next_discovery: now.instant,
            discovery_interval: DISCOVERY_FIRST,
            next_expiry: now.instant + EXPIRY_INTERVAL,
            next_seek: now.instant,
            last_status: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Returns the node's own id.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// Returns what was counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            packets_dropped: self.library.dropped,
            candidates_dropped: self.candidates.dropped,
            ..self.counters
        }
    }

    /// Takes in what happened. Work is bounded by the input's size and the tables' bounds. Time never goes back: an
    /// earlier instant than the last is taken as the last.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = Now {
            instant: self.now.instant.max(now.instant),
            wall: now.wall,
        };
        match input {
            Input::PeerFound(peer) => self.on_peer_found(peer),
            Input::Online => self.on_online(),
            Input::Connected {
                peer,
                connection,
                path,
            } => self.on_connected(peer, connection, path),
            Input::Disconnected { peer, connection } => self.on_disconnected(peer, connection),
            Input::DialFailed(peer) => self.candidates.failed(peer, self.now.instant),
            Input::Identified { peer, role } => self.on_identified(peer, role),
            Input::Subscribed(peer) => self.on_subscribed(peer),
            Input::Ping { peer, round_trip } => self.on_ping(peer, round_trip),
            Input::Gossip { from, token, data } => self.on_gossip(from, token, &data),
            Input::Request {
                peer,
                token,
                request,
            } => self.on_request(peer, token, request),
            Input::Response { id, result } => self.on_response(id, result),
            Input::Loaded { cid, bytes } => self.on_loaded(cid, bytes),
            Input::Restored(bytes) => self.on_restored(&bytes),
            Input::Providers { cid, peers } => self.on_providers(cid, &peers),
            Input::Command(id, command) => self.on_command(id, command),
            Input::Tick => {}
        }
        self.on_time();
    }

    /// Returns the next thing to do, [`Output::Idle`] when there is nothing.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Idle {
                wake_at: self.wake_at(),
            },
        }
    }

    /// Returns how the node is doing now.
    pub fn status(&self) -> Status {
        let count = |want: fn(&Peer) -> bool| self.peers.values().filter(|p| want(p)).count();
        let members = count(|p| p.is_direct() && matches!(p.role, Role::Member | Role::Unknown));
        let relayed = count(|p| !p.is_direct());
        let relays = count(|p| p.is_direct() && p.role == Role::Relay);
        let fetches = self
            .fetches
            .values()
            .filter(|f| f.purpose != fetch::Purpose::Mirror)
            .count();
        let category = match () {
            () if self.peers.is_empty()
                && self
                    .last_status
                    .is_none_or(|s| s.category == Category::Unknown) =>
            {
                Category::Unknown
            }
            () if self.peers.is_empty() => Category::Offline,
            () if fetches > 0 => Category::Busy,
            () => Category::Ready,
        };
        Status {
            category,
            members,
            relayed,
            relays,
            fetches,
            packets: self.library.len(),
        }
    }

    fn on_command(&mut self, id: u64, command: Command) {
        match command {
            Command::Share { packet, blocks } => self.on_share(id, packet, blocks),
            Command::Get(cid) => self.on_get(id, cid),
            Command::Query(filter) => {
                let packets = self.library.select(&filter, self.now.wall);
                self.reply(id, Ok(Reply::Packets(packets)));
            }
            Command::QueryPeer { peer, filter } => self.on_query_peer(id, peer, filter),
            Command::Offer { peer, cid } => self.on_offer_command(id, peer, cid),
            Command::Peers => {
                let peers = self.peers.iter().map(|(id, peer)| peer.info(*id)).collect();
                self.reply(id, Ok(Reply::Peers(peers)));
            }
            Command::Status => self.reply(id, Ok(Reply::Status(self.status()))),
        }
    }

    fn on_share(&mut self, command: u64, packet: Packet, blocks: Vec<Block>) {
        let (cid, expires) = (packet.cid(), packet.expires_at());
        for block in blocks {
            self.outputs.push_back(Output::Store {
                cid: block.cid,
                bytes: block.bytes,
                expires,
                is_packet: false,
            });
        }
        // A packet of one's own is kept whether or not there is room to remember it.
        let _ = self.replay.insert(cid, expires, self.now.wall);
        self.keep(packet.clone());
        if packet.as_cbor().len() <= FLOOD_LIMIT {
            self.outputs.push_back(Output::Publish(
                News::Packet(packet.as_cbor().to_vec()).encode(),
            ));
        } else {
            self.outputs.push_back(Output::Publish(
                News::Announcement {
                    cid,
                    author: self.local,
                }
                .encode(),
            ));
        }
        if packet.ttl_secs() >= PROVIDE_MIN_TTL_SECS {
            self.outputs.push_back(Output::Provide(cid));
        }
        self.emit(Event::PacketShared(packet));
        self.reply(command, Ok(Reply::Shared(cid)));
    }

    fn on_restored(&mut self, bytes: &[u8]) {
        let Ok(packet) = self.verify(bytes) else {
            return;
        };
        let _ = self
            .replay
            .insert(packet.cid(), packet.expires_at(), self.now.wall);
        for gone in self.library.insert(packet) {
            self.outputs.push_back(Output::Forget(gone));
        }
    }

    fn on_gossip(&mut self, from: PeerId, token: u64, data: &[u8]) {
        let verdict = match News::decode(data) {
            Ok(News::Packet(bytes)) => self.on_news(from, &bytes),
            Ok(News::Announcement { cid, author }) => self.on_announcement(from, cid, author),
            Err(_) => Verdict::Reject,
        };
        if verdict == Verdict::Reject {
            self.fault(from);
        }
        self.outputs.push_back(Output::Verdict {
            token,
            from,
            verdict,
        });
    }

    fn on_news(&mut self, from: PeerId, bytes: &[u8]) -> Verdict {
        match self.ingest(from, bytes) {
            Ok(true) => Verdict::Accept,
            Ok(false) | Err(PacketError::Expired { .. }) => Verdict::Ignore,
            Err(_) => Verdict::Reject,
        }
    }

    /// Verifies a packet and takes it in; `Ok(false)` means that it was known.
    fn ingest(&mut self, from: PeerId, bytes: &[u8]) -> Result<bool, PacketError> {
        let packet = match self.verify(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.counters.packets_refused += 1;
                return Err(error);
            }
        };
        match self
            .replay
            .insert(packet.cid(), packet.expires_at(), self.now.wall)
        {
            Admission::Fresh => {}
            Admission::Duplicate => {
                self.counters.packets_duplicate += 1;
                return Ok(false);
            }
            Admission::Expired | Admission::Full => {
                self.counters.packets_refused += 1;
                return Ok(false);
            }
        }
        self.counters.packets_accepted += 1;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.packets_in += 1;
        }
        self.keep(packet.clone());
        self.mirror(&packet);
        self.emit(Event::PacketReceived { packet, from });
        Ok(true)
    }

    fn verify(&self, bytes: &[u8]) -> Result<Packet, PacketError> {
        UnverifiedPacket::from_cbor(bytes)?
            .verify(&Policy::new(&self.config.network, self.now.wall))
    }

    fn keep(&mut self, packet: Packet) {
        self.outputs.push_back(Output::Store {
            cid: packet.cid(),
            bytes: packet.as_cbor().to_vec(),
            expires: packet.expires_at(),
            is_packet: true,
        });
        for gone in self.library.insert(packet) {
            self.outputs.push_back(Output::Forget(gone));
        }
    }

    fn on_time(&mut self) {
        let now = self.now.instant;
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRY_INTERVAL;
            for cid in self.library.expire(self.now.wall) {
                self.outputs.push_back(Output::Forget(cid));
            }
            self.banned.retain(|_, until| *until > now);
        }
        self.on_mesh_time();
        self.on_seek_time();
        let status = self.status();
        if self.last_status != Some(status) {
            self.last_status = Some(status);
            self.emit(Event::StatusChanged(status));
        }
    }

    fn wake_at(&self) -> Instant {
        [
            Some(self.next_expiry),
            Some(self.next_discovery),
            self.mesh_wake_at(),
            self.seek_wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.next_expiry)
        .max(self.now.instant + MIN_SLEEP)
    }

    fn send(&mut self, peer: PeerId, request: Request, what: SentFor) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.sent.insert(id, Sent { peer, what });
        self.outputs.push_back(Output::Send { peer, id, request });
        id
    }

    fn reply(&mut self, command: u64, result: Result<Reply, NodeError>) {
        self.outputs.push_back(Output::Reply(command, result));
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Emit(event));
    }

    /// Counts something against a peer; who goes on is disconnected and banned for a while.
    fn fault(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.faults = known.faults.saturating_add(1);
        if known.faults < MAX_FAULTS {
            return;
        }
        if self.banned.len() >= MAX_BANNED {
            self.banned.pop_first();
        }
        self.banned.insert(peer, self.now.instant + BAN);
        self.outputs.push_back(Output::Disconnect {
            peer,
            connection: None,
        });
    }
}

/// Without progress for so long, a fetch fails. Guess: two rounds of asking everybody.
const FETCH_PATIENCE: Duration = Duration::from_secs(30);
/// First pause between searches for members; doubles up to [`DISCOVERY_LAST`].
const DISCOVERY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause between searches for members. Guess: a newcomer searches at once anyway.
const DISCOVERY_LAST: Duration = Duration::from_secs(30);
/// How often what expired is removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest sleep the node asks for, so that no deadline in the past spins the driver.
const MIN_SLEEP: Duration = Duration::from_millis(10);
/// Largest packet flooded whole, in bytes; larger ones are announced. Guess: a few Ethernet frames' worth of burst.
const FLOOD_LIMIT: usize = 16 * 1024;
/// Packets that live shorter are not worth a DHT record. Guess.
const PROVIDE_MIN_TTL_SECS: u64 = 600;
/// Faults after which a peer is banned. Guess: more than one unlucky race.
const MAX_FAULTS: u32 = 8;
/// How long a ban lasts. Guess.
const BAN: Duration = Duration::from_secs(600);
/// Bans remembered.
const MAX_BANNED: usize = 1024;

#[cfg(test)]
mod tests;
