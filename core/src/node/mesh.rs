//! Whom the node is connected to: dialling, catching up with newcomers, closing circuits that are no longer needed.

use core::time::Duration;

use super::{
    DISCOVERY_FIRST, DISCOVERY_LAST, Event, FLOOD_LIMIT, Failure, Filter, News, Node, NodeError,
    Output, Path, Reply, Request, Response, Role, Sent, SentFor, Verdict, judgement,
    message::MAX_QUERY, peer::Peer,
};
use crate::{
    digest::{Codec, ContentId},
    key::PeerId,
    packet::REVOCATION_TYPE,
    time::Instant,
};

impl Node {
    pub(super) fn on_peer_found(&mut self, peer: PeerId) {
        let connected = self.peers.get(&peer).is_some_and(Peer::is_direct);
        if peer != self.local && !connected && !self.is_banned(&peer) {
            self.candidates.heard_of(peer, self.now.instant);
        }
    }

    pub(super) fn on_online(&mut self) {
        self.candidates.reset(self.now.instant);
        self.discovery_interval = DISCOVERY_FIRST;
        self.next_discovery = self.now.instant;
    }

    pub(super) fn on_connected(&mut self, peer: PeerId, connection: u64, path: Path) {
        if self.is_banned(&peer) {
            self.counters.connections_refused += 1;
            self.outputs.push_back(Output::Disconnect {
                peer,
                connection: Some(connection),
            });
            return;
        }
        let now = self.now.instant;
        let known = self.peers.get_or_insert_with(peer, || Peer::new(now));
        known.connections.insert(connection, path);
        if path == Path::Direct {
            self.candidates.succeeded(&peer);
            self.next_seek = now;
        }
        self.emit_peer(peer);
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId, connection: u64) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let was_direct = known.is_direct();
        known.connections.remove(&connection);
        let is_gone = known.connections.is_empty();
        if was_direct && !known.is_direct() {
            known.in_flight = 0;
            known.queried = false;
            self.wants.forget(&peer);
            self.on_lost(peer);
        }
        if is_gone {
            self.peers.remove(&peer);
            self.emit(Event::PeerLeft(peer));
        } else {
            self.emit_peer(peer);
        }
    }

    /// A direct connection is gone: what was asked there has no answer, and the peer may be dialled again.
    fn on_lost(&mut self, peer: PeerId) {
        let lost: alloc::vec::Vec<u64> = self
            .sent
            .iter()
            .filter(|(_, s)| s.peer == peer)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.on_response(id, Err(Failure::Unanswered));
        }
        self.on_peer_found(peer);
        self.discovery_interval = DISCOVERY_FIRST;
        self.next_discovery = self.next_discovery.min(self.now.instant + DISCOVERY_FIRST);
        self.next_seek = self.now.instant;
    }

    pub(super) fn on_identified(&mut self, peer: PeerId, role: Role) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if known.role == role {
            return;
        }
        known.role = role;
        self.next_seek = self.now.instant;
        self.emit_peer(peer);
    }

    pub(super) fn on_ping(&mut self, peer: PeerId, round_trip: Duration) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.round_trip = Some(round_trip);
            self.emit_peer(peer);
            self.catch_up(peer);
        }
    }

    pub(super) fn on_subscribed(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.queried = false;
            self.catch_up(peer);
        }
    }

    /// Asks a peer what it knows, until it has said so: when it answers a ping or subscribes. By then the streams that
    /// somebody waits for have been opened.
    fn catch_up(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if known.queried || known.role == Role::Stranger || !known.is_direct() {
            return;
        }
        // Who subscribes again and again is asked when it answers the next ping after a while.
        let now = self.now.instant;
        let pause = match known.catch_ups {
            ..CATCH_UPS_AT_ONCE => Duration::ZERO,
            _ => CATCH_UP_PAUSE,
        };
        if known.caught_up_at.is_some_and(|at| now < at + pause) {
            return;
        }
        known.queried = true;
        known.catch_ups = known.catch_ups.saturating_add(1);
        known.caught_up_at = Some(now);
        // Newer packets of others do not hide what was taken back.
        let revocations = (Some(REVOCATION_TYPE.into()), MAX_QUERY as u16);
        for (packet_type, limit) in [revocations, (None, CATCH_UP)] {
            let request = Request::Query {
                packet_type,
                limit,
                author: None,
            };
            self.send(peer, request, SentFor::CatchUp);
        }
    }

    pub(super) fn on_query_peer(&mut self, command: u64, peer: PeerId, filter: Filter) {
        if !self.peers.get(&peer).is_some_and(Peer::is_direct) {
            return self.reply(command, Err(NodeError::NotConnected(peer)));
        }
        let limit = if filter.limit == 0 {
            MAX_QUERY
        } else {
            filter.limit.min(MAX_QUERY)
        };
        let request = Request::Query {
            packet_type: filter.packet_type.clone(),
            limit: limit as u16,
            author: filter.author,
        };
        self.send(peer, request, SentFor::Query { command, filter });
    }

    pub(super) fn on_offer_command(&mut self, command: u64, peer: PeerId, cid: ContentId) {
        if !self.peers.get(&peer).is_some_and(Peer::is_direct) {
            return self.reply(command, Err(NodeError::NotConnected(peer)));
        }
        let Some(packet) = self.library.get(&cid) else {
            return self.reply(
                command,
                Err(NodeError::NotFound {
                    cid,
                    waited_secs: 0,
                }),
            );
        };
        let packet = packet.as_cbor().to_vec();
        self.send(peer, Request::Offer { packet }, SentFor::Offer { command });
    }

    #[inline(never)]
    pub(super) fn on_response(&mut self, id: u64, result: Result<Response, Failure>) {
        let Some(Sent { peer, what }) = self.sent.remove(&id) else {
            return;
        };
        if result == Err(Failure::Malformed) {
            self.fault(peer);
        }
        match what {
            SentFor::Block => self.on_block_answer(peer, id, result),
            SentFor::CatchUp => self.on_packets(peer, result),
            SentFor::Query { command, filter } => {
                let answer = match &result {
                    Ok(Response::Packets(_)) => None,
                    Ok(Response::Refused(reason)) => Some(NodeError::Refused {
                        peer,
                        reason: reason.clone(),
                    }),
                    _ => Some(NodeError::NoAnswer(peer)),
                };
                self.on_packets(peer, result);
                let packets = self.library.select(&filter, self.now.wall);
                self.reply(command, answer.map_or(Ok(Reply::Packets(packets)), Err));
            }
            SentFor::Offer { command } => {
                let result = match result {
                    Ok(Response::Stored) => Ok(Reply::Stored),
                    Ok(Response::Refused(reason)) => Err(NodeError::Refused { peer, reason }),
                    _ => Err(NodeError::NoAnswer(peer)),
                };
                self.reply(command, result);
            }
        }
    }

    fn on_packets(&mut self, peer: PeerId, result: Result<Response, Failure>) {
        match result {
            Ok(Response::Packets(packets)) => {
                // Oldest first, so that the newest ends up on top here too.
                for bytes in packets.iter().rev() {
                    match self.ingest(peer, bytes) {
                        Ok(true) => self.pass_on_revocation(bytes),
                        Ok(false) => {}
                        Err(error) if judgement(&error) == Verdict::Ignore => {}
                        Err(_) => self.fault(peer),
                    }
                }
            }
            Err(Failure::Unsupported) => self.on_identified(peer, Role::Stranger),
            Ok(Response::Refused(_)) | Err(_) => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.queried = false;
                }
            }
            Ok(Response::Block(_) | Response::NotFound | Response::Stored) => self.fault(peer),
        }
    }

    /// A revocation that was new here is news to the neighbours, too: those who knew the packet may have missed it.
    fn pass_on_revocation(&mut self, bytes: &[u8]) {
        let packet = self.library.get(&ContentId::of(Codec::DagCbor, bytes));
        if packet.is_some_and(|p| p.packet_type() == REVOCATION_TYPE) && bytes.len() <= FLOOD_LIMIT
        {
            let news = News::Packet(bytes.to_vec());
            self.outputs.push_back(Output::Publish(news.encode()));
        }
    }

    pub(super) fn on_mesh_time(&mut self) {
        let now = self.now.instant;
        if now >= self.next_discovery {
            self.outputs.push_back(Output::Discover);
            self.next_discovery = now + self.discovery_interval;
            self.discovery_interval = (self.discovery_interval * 2).min(DISCOVERY_LAST);
        }
        while self.dial_room() > 0 {
            let Some(peer) = self.candidates.next(now) else {
                break;
            };
            self.outputs.push_back(Output::Dial(peer));
        }
    }

    pub(super) fn mesh_wake_at(&self) -> Option<Instant> {
        if self.dial_room() == 0 {
            None
        } else {
            self.candidates.wake_at()
        }
    }

    fn dial_room(&self) -> usize {
        let dialling = self.candidates.dialling();
        let members = self
            .peers
            .values()
            .filter(|p| p.is_direct() && p.role != Role::Relay && p.role != Role::Stranger);
        let wanted = self
            .config
            .target_members
            .saturating_sub(members.count() + dialling);
        wanted.min(MAX_DIALLING.saturating_sub(dialling))
    }

    fn is_banned(&self, peer: &PeerId) -> bool {
        self.banned
            .get(peer)
            .is_some_and(|until| *until > self.now.instant)
    }

    pub(super) fn emit_peer(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get(&peer) {
            let info = known.info(peer);
            self.emit(Event::PeerChanged(info));
        }
    }
}

/// How often a peer is asked at once; afterwards there are pauses. Guess: at a ping, at a subscription, and after an answer that
/// was lost.
const CATCH_UPS_AT_ONCE: u32 = 4;
/// Pause before the same peer is asked again. Guess: what it said takes a hundredth of that to verify.
const CATCH_UP_PAUSE: Duration = Duration::from_secs(30);
/// Packets asked of a newly connected peer. Guess: what a newcomer can take in at a glance.
const CATCH_UP: u16 = 64;
/// Dials under way at once. Source: field notes §0, peer connections are a bounded resource of a page.
const MAX_DIALLING: usize = 4;
