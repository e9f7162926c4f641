//! What goes into a node and what comes out of it: the vocabulary that it shares with its driver and its owner.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use super::{Filter, Path, PeerInfo, Request, Response, Role};
use crate::{
    bounds::DEFAULT_MAX_OBJECT,
    digest::ContentId,
    key::PeerId,
    packet::{MAX_TEXT, Packet, PacketError, block::Block},
    status::Status,
    time::{Instant, Timestamp},
};

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
    /// Whether the owner integrates packets and is told which are due ([`Event::BecameDue`]). Default yes; relays do not.
    pub integrate: bool,
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
            integrate: true,
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
    /// The store could not keep a block of [`Output::Store`].
    StoreFailed(ContentId),
    /// Every output before [`Output::Settle`] with this id was carried out.
    Settled(u64),
    /// Others had their turn since [`Output::Hash`] with this id.
    Hash(u64),
    /// A packet kept from an earlier run, in its binary form; comes before every other input. What could be due then
    /// counts as due and is not told again, and what is periodic goes on in its rhythm; what was signed after an
    /// `ORDER_FIRST` that still waits is taken to have waited for that. What waits for a predecessor that was not restored waits on, and may be told
    /// a second time; so may what waited for a measurement, since measurements are not kept.
    Restored(Vec<u8>),
    /// A restored packet that the owner had pinned.
    Pinned(ContentId),
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
    /// Fetches a packet without its content.
    Find(ContentId),
    /// Fetches a packet with its content and keeps both as long as the packet lives: neither want of room nor a newer
    /// packet in its place lets them go. Its author's revocation does.
    Pin(ContentId),
    /// Ends [`Command::Pin`]: packet and content go when there is need.
    Unpin(ContentId),
    /// Says what the owner measured: packets that wait for the metric to reach at most this value become due.
    Measure {
        /// Name of the metric, at most [`MAX_TEXT`](crate::packet::MAX_TEXT) bytes.
        metric: String,
        /// Finite.
        value: f64,
    },
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
    /// It is done.
    Done,
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
    /// Its author took it back.
    #[error("{cid} was revoked by its author")]
    Revoked {
        /// The packet asked for.
        cid: ContentId,
    },
    /// What was measured is no finite number, or its name is too long.
    #[error(
        "a measurement must be finite and its name at most {MAX_TEXT} bytes, got {metric:?} = {value}"
    )]
    Measurement {
        /// The name, shortened.
        metric: String,
        /// The value.
        value: f64,
    },
    /// The peer is not directly connected.
    #[error("peer {0} is not directly connected")]
    NotConnected(PeerId),
    /// The store, full or broken, did not keep all of it.
    #[error("{0} was not stored: the disk or the browser's storage is full or broken")]
    NotStored(ContentId),
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
    /// Say [`Input::Settled`] with this id; what failed to be stored before was told by then.
    Settle(u64),
    /// Say [`Input::Hash`] with this id: the next part of an object that has arrived is hashed then. Apart, because a page is to
    /// answer in between.
    Hash {
        /// Names the fetch.
        id: u64,
        /// About how many bytes will be hashed.
        size: usize,
    },
    /// Blocks that nothing needs any more may go: of packets that expired, were dropped or revoked, and of their content.
    Free(Vec<ContentId>),
    /// Keep these blocks whatever room others need, or no longer so.
    Pin {
        /// Which; those that are not there are left out.
        cids: Vec<ContentId>,
        /// Whether they are pinned from now on.
        is_pinned: bool,
    },
    /// Let blocks go whose time has passed at this moment.
    Purge(Timestamp),
    /// Tell the DHT that this node holds the packet, again and again until [`Output::Withdraw`].
    Provide(ContentId),
    /// Tell the DHT no longer that this node holds the packet.
    Withdraw(ContentId),
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
    /// A packet is to be integrated now, this node's own ones too: its WHEN is met, and what its ORDER puts before it
    /// became due before. Where and how (`packet.instructions()`) are the owner's to carry out; the node expects no
    /// answer, and does not know whether it was done.
    BecameDue {
        /// The packet.
        packet: Packet,
        /// How often it was due before: 0, and more where it is due periodically.
        round: u64,
    },
    /// A packet that waited will not become due, or not again.
    NeverDue {
        /// The packet.
        cid: ContentId,
        /// Why.
        reason: Undue,
    },
    /// A packet's author took it back; it and its blocks are forgotten here. Who has read it has read it.
    Revoked {
        /// The packet.
        cid: ContentId,
        /// The revocation.
        by: ContentId,
    },
    /// A newer packet by the same author stands in place of another, which is no longer listed unless asked for.
    Superseded {
        /// The older packet.
        cid: ContentId,
        /// The newer one.
        by: ContentId,
    },
    /// The node's state changed.
    StatusChanged(Status),
}

/// Why a packet will not become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undue {
    /// Its life ended while it waited.
    #[error("it expired while it waited")]
    Expired,
    /// Its author took it back.
    #[error("its author revoked it")]
    Revoked,
    /// The packet that it comes after will never be due.
    #[error("its predecessor {0} will never be due")]
    Predecessor(ContentId),
    /// Too many wait; of the author with the most the newest goes, for which nobody waits. It may become due all the same
    /// once a packet is here that comes after it.
    #[error("too many packets wait")]
    Crowded,
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
    /// Packets not taken in because their author had revoked them.
    pub packets_revoked: u64,
    /// Packets that waited to become due and were let go for want of room, and events of that kind.
    pub due_dropped: u64,
    /// Revocations not remembered for want of room, or not of the form they must have.
    pub revocations_dropped: u64,
    /// Objects whose blocks stay until they expire, because too many were to be freed at once.
    pub frees_dropped: u64,
    /// Blocks verified.
    pub blocks_received: u64,
    /// Blocks whose bytes did not match their id.
    pub blocks_garbage: u64,
    /// Blocks served.
    pub blocks_served: u64,
    /// Blocks that the store did not keep.
    pub blocks_unstored: u64,
    /// Requests refused: rate, room or form.
    pub requests_refused: u64,
    /// Peers heard of and not remembered for want of room.
    pub candidates_dropped: u64,
    /// Connections refused because the peer is banned.
    pub connections_refused: u64,
}
