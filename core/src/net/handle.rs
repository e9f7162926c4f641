//! What the owner of a node holds: a cheap clone that talks to the driver.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{
    SinkExt,
    channel::{mpsc, oneshot},
};
use libp2p::Multiaddr;

use super::{Event, Pieces, PreparedPacket, wall};
use crate::{
    digest::ContentId,
    key::{Keypair, PeerId},
    node::{Command, Filter, NodeError, PeerInfo, Reply},
    packet::{
        Instructions, MAX_CLOCK_SKEW, MAX_TTL_SECS, Packet, PacketDraft, PacketError, Revocation,
        block::{Block, BlockError},
    },
    status::Status,
};

/// Why a call on a handle came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The driver is gone.
    #[error("the peer is closed")]
    Closed,
    /// The node could not do it.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The packet could not be made.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The content is too large to list its blocks.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A packet was prepared too long ago.
    #[error("a prepared packet must be shared within {max_secs} s, it is {age_secs} s old")]
    Stale {
        /// How old it is, in seconds, rounded up.
        age_secs: u64,
        /// The bound, in seconds.
        max_secs: u64,
    },
    /// Only its author can revoke a packet.
    #[error("{cid} is by {author}: only its author can revoke it")]
    NotAuthor {
        /// The packet.
        cid: ContentId,
        /// Who signed it.
        author: PeerId,
    },
    /// An address could not be dialled.
    #[error("cannot dial {address}: {reason}")]
    Dial {
        /// The address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
}

/// How something is shared.
#[derive(Debug, Clone)]
pub struct ShareOptions {
    /// The packet's type, such as `file` or `weights`.
    pub packet_type: String,
    /// When, where, how, why, what and in which order to integrate.
    pub instructions: Instructions,
    /// Named measurements of the content.
    pub quality: BTreeMap<String, f64>,
    /// How long it stays valid, in seconds.
    pub ttl_secs: u64,
}

impl ShareOptions {
    /// Returns the defaults for a type: a day to live, no measurements.
    pub fn new(packet_type: &str) -> Self {
        Self {
            packet_type: packet_type.into(),
            instructions: Instructions::default(),
            quality: BTreeMap::new(),
            ttl_secs: 86_400,
        }
    }
}

/// One connection, as shown to people and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// To whom.
    pub peer: libp2p::PeerId,
    /// The remote address.
    pub address: Multiaddr,
    /// Whether it is a circuit.
    pub is_circuit: bool,
}

/// What the driver is asked.
pub(crate) enum Action {
    Command(Command, oneshot::Sender<Result<Reply, NodeError>>),
    Subscribe(mpsc::Sender<Event>),
    Dial(Multiaddr, oneshot::Sender<Result<(), String>>),
    Connections(oneshot::Sender<Vec<ConnectionInfo>>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    Counters(oneshot::Sender<crate::node::Counters>),
    Wake,
    Close(oneshot::Sender<()>),
}

/// Talks to the driver. Clones talk to the same one.
#[derive(Clone)]
pub struct Handle {
    pub(crate) actions: mpsc::Sender<Action>,
    pub(crate) key: Arc<Keypair>,
    pub(crate) network: Arc<str>,
    pub(crate) streams: libp2p_stream::Control,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("peer", &self.id())
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Returns the node's id.
    pub fn id(&self) -> PeerId {
        self.key.peer_id()
    }

    /// Returns the network's name.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Returns a control for raw libp2p streams of protocols of the owner's own. They run on direct connections only.
    pub fn streams(&self) -> libp2p_stream::Control {
        self.streams.clone()
    }

    /// Signs and publishes a packet made by the caller; its content must be inline.
    ///
    /// # Errors
    /// [`HandleError`] where the draft is not a valid packet or the peer is closed.
    pub async fn share(&self, draft: PacketDraft) -> Result<Packet, HandleError> {
        self.publish(self.sign(draft, Vec::new())?).await
    }

    /// Shares bytes: inline when they are few, else as blocks that the packet links to.
    ///
    /// # Errors
    /// [`HandleError`] where the options do not make a valid packet or the peer is closed.
    pub async fn share_bytes(
        &self,
        content: Vec<u8>,
        options: ShareOptions,
    ) -> Result<Packet, HandleError> {
        self.publish(self.prepare(content, options)?).await
    }

    /// Makes the packet that shares bytes, signed and dated now: inline when they are few, else as blocks that it links to.
    /// Nothing leaves before [`Self::publish`].
    ///
    /// # Errors
    /// [`HandleError`] where the options do not make a valid packet.
    pub fn prepare(
        &self,
        content: Vec<u8>,
        options: ShareOptions,
    ) -> Result<PreparedPacket, HandleError> {
        let mut pieces = Pieces::default();
        pieces.push(&content);
        self.prepare_pieces(pieces, options)
    }

    /// Makes the packet that shares content which came in pieces, as [`Self::prepare`] does.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_pieces(
        &self,
        pieces: Pieces,
        options: ShareOptions,
    ) -> Result<PreparedPacket, HandleError> {
        let (mut draft, blocks) = pieces.into_draft(&options.packet_type)?;
        draft.instructions = options.instructions;
        draft.quality = options.quality;
        draft.ttl_secs = options.ttl_secs;
        self.sign(draft, blocks)
    }

    /// Publishes what was prepared, byte for byte, and serves its blocks.
    ///
    /// # Errors
    /// [`HandleError::Stale`] past [`PreparedPacket::MAX_AGE`]; [`HandleError`] where the peer is closed.
    pub async fn publish(&self, prepared: PreparedPacket) -> Result<Packet, HandleError> {
        prepared.check_age(wall())?;
        let (packet, blocks) = prepared.into_parts();
        self.command(Command::Share {
            packet: packet.clone(),
            blocks,
        })
        .await?;
        Ok(packet)
    }

    fn sign(&self, draft: PacketDraft, blocks: Vec<Block>) -> Result<PreparedPacket, HandleError> {
        let packet = draft.sign(&self.key, &self.network, wall())?;
        Ok(PreparedPacket::new(packet, blocks))
    }

    /// Fetches a packet and its content, from here or from whoever has it.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] after half a minute without progress, and the other ways a fetch can end.
    pub async fn get(&self, cid: ContentId) -> Result<(Packet, Vec<u8>), HandleError> {
        match self.command(Command::Get(cid)).await? {
            Reply::Object(packet, content) => Ok((packet, content)),
            _ => Err(HandleError::Closed),
        }
    }

    /// Fetches a packet without its content, from here or from whoever has it.
    ///
    /// # Errors
    /// As [`Handle::get`].
    pub async fn find(&self, cid: ContentId) -> Result<Packet, HandleError> {
        match self.command(Command::Find(cid)).await? {
            Reply::Packets(packets) => packets.into_iter().next().ok_or(HandleError::Closed),
            _ => Err(HandleError::Closed),
        }
    }

    /// Takes back packets of this node's own: publishes a revocation that lives as long as they do, on which whoever hears
    /// of it forgets them and their blocks. Who has read them has read them. Waits half a minute for each packet that is
    /// not known here; one that nobody gives is revoked for the longest life there is.
    ///
    /// # Errors
    /// [`HandleError::NotAuthor`]; [`PacketError::Limit`] past [`MAX_REVOKED`](crate::packet::MAX_REVOKED) packets.
    pub async fn revoke(&self, cids: &[ContentId]) -> Result<Packet, HandleError> {
        self.publish(self.prepare_revocation(cids).await?).await
    }

    /// Makes the packet that [`Self::revoke`] publishes, signed and dated when it returns. Nothing leaves before
    /// [`Self::publish`], but the packets may be asked for.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub async fn prepare_revocation(
        &self,
        cids: &[ContentId],
    ) -> Result<PreparedPacket, HandleError> {
        let revocation = Revocation::new(cids)?;
        let now = wall();
        let mut ttl_secs = 1;
        for cid in revocation.cids() {
            let life = match self.find(cid).await {
                Ok(packet) if packet.author() != self.id() => {
                    let author = packet.author();
                    return Err(HandleError::NotAuthor { cid, author });
                }
                Ok(packet) => packet.expires_at().saturating_duration_since(now) + MAX_CLOCK_SKEW,
                Err(HandleError::Node(_)) => Duration::from_secs(MAX_TTL_SECS),
                Err(error) => return Err(error),
            };
            ttl_secs = ttl_secs
                .max(life.as_secs().saturating_add(1))
                .min(MAX_TTL_SECS);
        }
        self.sign(revocation.draft(ttl_secs), Vec::new())
    }

    /// Fetches a packet with its content, and keeps and provides both as long as the packet lives.
    ///
    /// # Errors
    /// As [`Handle::get`]; [`NodeError::Busy`] where too much is pinned, [`NodeError::NotStored`] where there is no room.
    pub async fn pin(&self, cid: ContentId) -> Result<(), HandleError> {
        self.command(Command::Pin(cid)).await.map(drop)
    }

    /// Ends [`Handle::pin`].
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn unpin(&self, cid: ContentId) -> Result<(), HandleError> {
        self.command(Command::Unpin(cid)).await.map(drop)
    }

    /// Says what was measured: packets that wait for `metric` to reach at most `value` become due.
    ///
    /// # Errors
    /// [`NodeError::Measurement`], [`NodeError::Busy`] where too many metrics are remembered.
    pub async fn measure(&self, metric: String, value: f64) -> Result<(), HandleError> {
        self.command(Command::Measure { metric, value })
            .await
            .map(drop)
    }

    /// Lists packets known here, newest first.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn query(&self, filter: Filter) -> Result<Vec<Packet>, HandleError> {
        match self.command(Command::Query(filter)).await? {
            Reply::Packets(packets) => Ok(packets),
            _ => Err(HandleError::Closed),
        }
    }

    /// Asks a directly connected peer which packets it knows.
    ///
    /// # Errors
    /// [`NodeError::NotConnected`], [`NodeError::Refused`], [`NodeError::NoAnswer`].
    pub async fn query_peer(
        &self,
        peer: PeerId,
        filter: Filter,
    ) -> Result<Vec<Packet>, HandleError> {
        match self.command(Command::QueryPeer { peer, filter }).await? {
            Reply::Packets(packets) => Ok(packets),
            _ => Err(HandleError::Closed),
        }
    }

    /// Asks a directly connected peer to keep a packet that was shared here; returns when it has all of it.
    ///
    /// # Errors
    /// [`NodeError::NotConnected`], [`NodeError::Refused`], [`NodeError::NoAnswer`].
    pub async fn offer(&self, peer: PeerId, cid: ContentId) -> Result<(), HandleError> {
        self.command(Command::Offer { peer, cid }).await.map(|_| ())
    }

    /// Lists the connected peers.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, HandleError> {
        match self.command(Command::Peers).await? {
            Reply::Peers(peers) => Ok(peers),
            _ => Err(HandleError::Closed),
        }
    }

    /// Returns how the node is doing.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn status(&self) -> Result<Status, HandleError> {
        match self.command(Command::Status).await? {
            Reply::Status(status) => Ok(status),
            _ => Err(HandleError::Closed),
        }
    }

    /// Returns what the node counted since its start.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn counters(&self) -> Result<crate::node::Counters, HandleError> {
        self.ask(Action::Counters).await
    }

    /// Lists every connection.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn connections(&self) -> Result<Vec<ConnectionInfo>, HandleError> {
        self.ask(Action::Connections).await
    }

    /// Lists the addresses listened on and those at which others reach the node.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, HandleError> {
        self.ask(Action::Addresses).await
    }

    /// Connects to an address; returns when the connection is up.
    ///
    /// # Errors
    /// [`HandleError::Dial`] with the transport's reason.
    pub async fn dial(&self, address: Multiaddr) -> Result<(), HandleError> {
        let to = address.clone();
        let result = self.ask(|reply| Action::Dial(to, reply)).await?;
        result.map_err(|reason| HandleError::Dial { address, reason })
    }

    /// Returns a stream of what happens from now on. A listener that does not keep up misses events.
    ///
    /// # Errors
    /// [`HandleError::Closed`].
    pub async fn events(&self) -> Result<mpsc::Receiver<Event>, HandleError> {
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
        self.actions
            .clone()
            .send(Action::Subscribe(sender))
            .await
            .map_err(|_| HandleError::Closed)?;
        Ok(receiver)
    }

    /// Tells the driver that the device woke or the network changed: it reconnects at once.
    pub fn wake(&self) {
        // A full queue means that the driver is awake.
        let _ = self.actions.clone().try_send(Action::Wake);
    }

    /// Closes every connection and ends the driver.
    pub async fn close(&self) {
        let _ = self.ask(Action::Close).await;
    }

    async fn command(&self, command: Command) -> Result<Reply, HandleError> {
        Ok(self.ask(|reply| Action::Command(command, reply)).await??)
    }

    async fn ask<T>(
        &self,
        action: impl FnOnce(oneshot::Sender<T>) -> Action,
    ) -> Result<T, HandleError> {
        let (sender, receiver) = oneshot::channel();
        self.actions
            .clone()
            .send(action(sender))
            .await
            .map_err(|_| HandleError::Closed)?;
        receiver.await.map_err(|_| HandleError::Closed)
    }
}

/// Events kept for a slow listener.
const EVENT_QUEUE: usize = 1024;
