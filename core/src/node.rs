//! The node: a pure function of (inputs, time). Does no IO, reads no clock and logs nothing.
//!
//! A driver calls [`Node::handle`] with what happened and then [`Node::poll_output`] until [`Output::Idle`], carrying out
//! each output. Bad bytes from a peer become a fault counted against that peer, never an error or a panic. Every table
//! is ordered and bounded; what was dropped for want of room is counted in [`Counters`].
//!
//! What it does not do: it opens no connection, chooses no transport, and keeps blocks only through its driver's store.

mod due;
mod fetch;
mod io;
mod library;
mod life;
mod memory;
mod mesh;
mod message;
mod news;
mod peer;
mod seek;
mod serve;
mod sweep;
mod want;

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

pub use io::{
    Command, Config, Counters, Event, Failure, Input, Mirror, NodeError, Output, Reply, Undue,
    Verdict,
};
pub use library::Filter;
pub use message::{
    MAX_HOPS, MAX_PACKET, MAX_QUERY, MAX_REQUEST, MAX_RESPONSE, MessageError, News, Request,
    Response,
};
pub use peer::{Path, PeerInfo, Role};

use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    key::PeerId,
    packet::{Packet, PacketError, Policy, ReplayGuard, UnverifiedPacket, block::Block},
    status::{Category, Status},
    time::{Instant, Now},
};
use due::Agenda;
use fetch::{Fetch, Purpose};
use library::Library;
use life::is_sound;
use memory::Memory;
use news::{FLOOD_LIMIT, judgement};
use peer::{Candidates, Peer};
use sweep::{Sweep, Sweeper};
use want::Wants;

/// A sans-IO node. See the module's documentation.
#[derive(Debug)]
pub struct Node {
    config: Config,
    local: PeerId,
    now: Now,
    peers: FlatMap<PeerId, Peer>,
    banned: FlatMap<PeerId, Instant>,
    candidates: Candidates,
    library: Library,
    replay: ReplayGuard,
    /// Packets that were known, or came, and that their own author took back: not to be taken in again.
    revoked: Memory,
    /// What authors took back that was not known here. Others' packets may be named, which means nothing.
    taken_back: Memory,
    agenda: Agenda,
    pins: FlatSet<ContentId>,
    sweeper: Sweeper,
    is_restoring: bool,
    next_announcement: Instant,
    /// Place in the library of the next own packet to be told again.
    announced: u64,
    wants: Wants,
    fetches: FlatMap<u64, Fetch>,
    sent: FlatMap<u64, Sent>,
    asked: FlatMap<u64, PeerId>,
    settling: FlatMap<u64, Settling>,
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

/// An answer that waits until what it promises is stored.
#[derive(Debug)]
struct Settling {
    cid: ContentId,
    answer: Answer,
    /// [`Counters::blocks_unstored`] when the storing began.
    unstored: u64,
}

#[derive(Debug)]
enum Answer {
    /// To the owner's command to share `packet`, which is published then.
    Share { command: u64, packet: Packet },
    /// To the requests of peers that offered, as in [`Fetch::tokens`].
    Offers(Vec<(u64, PeerId)>),
    /// To the owner's command to keep an object's blocks.
    Pin {
        command: u64,
        blocks: Vec<ContentId>,
    },
}

impl Node {
    /// Creates a node that is `local`, with nothing known and nobody connected.
    pub fn new(local: PeerId, config: Config, now: Now) -> Self {
        Self {
            config,
            local,
            now,
            peers: FlatMap::new(),
            banned: FlatMap::new(),
            candidates: Candidates::default(),
            library: Library::default(),
            replay: ReplayGuard::default(),
            revoked: Memory::new(life::MAX_REVOKED, life::MAX_REVOKED_OF_AUTHOR),
            taken_back: Memory::new(life::MAX_REVOKED, life::MAX_TAKEN_BACK_OF_AUTHOR),
            agenda: Agenda::new(local),
            pins: FlatSet::new(),
            sweeper: Sweeper::default(),
            is_restoring: true,
            next_announcement: now.instant + life::ANNOUNCE_INTERVAL,
            announced: 0,
            wants: Wants::default(),
            fetches: FlatMap::new(),
            sent: FlatMap::new(),
            asked: FlatMap::new(),
            settling: FlatMap::new(),
            next_id: 0,
            // The driver says when there is somebody to ask.
            next_discovery: now.instant + DISCOVERY_FIRST,
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
            due_dropped: self.agenda.dropped(),
            revocations_dropped: self.counters.revocations_dropped
                + self.revoked.dropped()
                + self.taken_back.dropped(),
            frees_dropped: self.sweeper.dropped,
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
        if !matches!(input, Input::Restored(_) | Input::Pinned(_)) {
            self.end_restoring();
        }
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
            Input::StoreFailed(_) => self.counters.blocks_unstored += 1,
            Input::Settled(id) => self.on_settled(id),
            Input::Hash(id) => self.on_hash(id),
            Input::Restored(bytes) => self.on_restored(&bytes),
            Input::Pinned(cid) => self.on_pinned(cid),
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
            .filter(|f| !f.purpose.is_unasked())
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
            Command::Get(cid) => self.on_fetch_command(id, cid, Purpose::Command(id)),
            Command::Find(cid) => self.on_fetch_command(id, cid, Purpose::Find(id)),
            Command::Pin(cid) => self.on_fetch_command(id, cid, Purpose::Pin(id)),
            Command::Unpin(cid) => self.on_unpin(id, cid),
            Command::Measure { metric, value } => self.on_measure(id, metric, value),
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

    /// Keeps the packet and its blocks; what is kept is then published.
    fn on_share(&mut self, command: u64, packet: Packet, blocks: Vec<Block>) {
        let (cid, expires) = (packet.cid(), packet.expires_at());
        let unstored = self.counters.blocks_unstored;
        for block in blocks {
            self.outputs.push_back(Output::Store {
                cid: block.cid,
                bytes: block.bytes,
                expires,
                is_packet: false,
            });
        }
        self.spare(Sweep::Free, &packet);
        self.store(&packet);
        self.settle(cid, Answer::Share { command, packet }, unstored);
    }

    fn publish(&mut self, packet: Packet) {
        let cid = packet.cid();
        // A packet of one's own is kept whether or not there is room to remember it.
        let _ = self.replay.insert(cid, packet.expires_at(), self.now.wall);
        self.know(packet.clone());
        self.announce(&packet);
        self.provide(&packet);
        self.on_content_kept(&packet);
        self.emit(Event::PacketShared(packet));
    }

    fn provide(&mut self, packet: &Packet) {
        if packet.ttl_secs() >= PROVIDE_MIN_TTL_SECS {
            self.outputs.push_back(Output::Provide(packet.cid()));
        }
    }

    /// Answers once what was stored since `unstored` is known to be kept.
    fn settle(&mut self, cid: ContentId, answer: Answer, unstored: u64) {
        let id = self.fresh_id();
        let settling = Settling {
            cid,
            answer,
            unstored,
        };
        self.settling.insert(id, settling);
        self.outputs.push_back(Output::Settle(id));
    }

    /// A store that failed while the content came in may have lost another object's block instead; saying no is safe.
    fn on_settled(&mut self, id: u64) {
        let Some(Settling {
            cid,
            answer,
            unstored,
        }) = self.settling.remove(&id)
        else {
            return;
        };
        let is_kept = self.counters.blocks_unstored == unstored;
        match answer {
            Answer::Share { command, packet } if is_kept => {
                self.publish(packet);
                self.reply(command, Ok(Reply::Shared(cid)));
            }
            Answer::Share { command, .. } => {
                self.outputs.push_back(Output::Free(Vec::from([cid])));
                self.reply(command, Err(NodeError::NotStored(cid)));
            }
            Answer::Offers(tokens) if is_kept => {
                for (token, _) in tokens {
                    self.respond(token, Response::Stored);
                }
                self.emit(Event::Mirrored(cid));
            }
            Answer::Offers(tokens) => self.refuse_all(tokens, "the store is full or broken"),
            Answer::Pin { command, blocks } if is_kept => {
                let result = self.pin(cid, blocks);
                self.reply(command, result);
            }
            Answer::Pin { command, .. } => self.reply(command, Err(NodeError::NotStored(cid))),
        }
    }

    fn on_restored(&mut self, bytes: &[u8]) {
        let Ok(packet) = self.verify(bytes) else {
            return;
        };
        if self.is_revoked(&packet) || !is_sound(&packet) {
            self.outputs
                .push_back(Output::Free(Vec::from([packet.cid()])));
            return;
        }
        let _ = self.replay.insert_packet(&packet, self.now.wall);
        if packet.author() == self.local {
            self.provide(&packet);
        }
        self.know(packet);
    }

    fn verify(&self, bytes: &[u8]) -> Result<Packet, PacketError> {
        UnverifiedPacket::from_cbor(bytes)?
            .verify(&Policy::new(&self.config.network, self.now.wall))
    }

    fn keep(&mut self, packet: Packet) {
        self.store(&packet);
        self.know(packet);
    }

    fn store(&mut self, packet: &Packet) {
        self.outputs.push_back(Output::Store {
            cid: packet.cid(),
            bytes: packet.as_cbor().to_vec(),
            expires: packet.expires_at(),
            is_packet: true,
        });
    }

    fn know(&mut self, packet: Packet) {
        let waits = |cid: &ContentId| self.agenda.is_waiting(cid);
        let gone = self.library.insert(packet.clone(), &self.pins, waits);
        if let Some(gone) = gone {
            self.spare(Sweep::Free, &packet);
            self.let_go(gone, Undue::Crowded);
            self.on_known(&packet);
        }
    }

    fn on_time(&mut self) {
        let now = self.now.instant;
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRY_INTERVAL;
            let gone = self.library.expire(self.now.wall, &self.pins);
            self.let_go(gone, Undue::Expired);
            self.forget_over();
            self.outputs.push_back(Output::Purge(self.now.wall));
            self.banned.retain(|_, until| *until > now);
        }
        self.on_mesh_time();
        self.on_life_time();
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
            self.agenda.wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.next_expiry)
        .max(self.now.instant + MIN_SLEEP)
    }

    /// Returns a number that names one thing under way, never given before.
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn send(&mut self, peer: PeerId, request: Request, what: SentFor) -> u64 {
        let id = self.fresh_id();
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
