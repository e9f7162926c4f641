//! What the node does for others: blocks, queries, offers.

use alloc::vec::Vec;

use super::{
    Filter, Node, Output, Request, Response, Verdict,
    fetch::{Fetch, Purpose},
    judgement,
    life::is_sound,
    message::{MAX_QUERY, MAX_RESPONSE},
    seek::{MAX_FETCHES, MAX_WANTS},
    want::{Stage, Waiter},
};
use crate::{
    bounds::LEAF_SIZE,
    digest::ContentId,
    key::PeerId,
    packet::{Packet, Payload},
};

impl Node {
    #[inline(never)]
    pub(super) fn on_request(&mut self, peer: PeerId, token: u64, request: Request) {
        let now = self.now.instant;
        let Some(known) = self.peers.get_mut(&peer) else {
            return self.refuse(token, "not connected");
        };
        if !known.bucket.take(1.0, now) {
            return self.refuse(token, "too many requests");
        }
        match request {
            Request::Get { cid, hops, hint } => self.on_get_request(peer, token, cid, hops, hint),
            Request::Query {
                packet_type,
                limit,
                author,
            } => {
                let limit = usize::from(limit).clamp(1, MAX_QUERY);
                let packets = self.library.select(
                    &Filter {
                        packet_type,
                        author,
                        limit,
                        superseded: false,
                    },
                    self.now.wall,
                );
                self.respond(token, Response::Packets(fitting(&packets)));
            }
            Request::Offer { packet } => self.on_offer(peer, token, &packet),
        }
    }

    fn on_get_request(
        &mut self,
        peer: PeerId,
        token: u64,
        cid: ContentId,
        hops: u8,
        hint: Option<PeerId>,
    ) {
        if let Some(packet) = self.library.get(&cid) {
            let bytes = packet.as_cbor().to_vec();
            return self.serve(peer, token, bytes);
        }
        if self.revoked.contains(&cid) {
            return self.respond(token, Response::NotFound);
        }
        let waiting = self.wants.table.get(&cid).map_or(0, |w| w.waiters.len());
        let of_peer = self.asked.values().filter(|asker| **asker == peer).count();
        if self.asked.len() >= MAX_WANTS || of_peer >= MAX_ASKED || waiting >= MAX_WAITERS {
            return self.refuse(token, "too much under way");
        }
        let forward = self.config.forward && hops > 0;
        let absent = self
            .wants
            .table
            .get(&cid)
            .is_some_and(|want| want.stage != Stage::Loading);
        if absent && !forward {
            return self.respond(token, Response::NotFound);
        }
        self.asked.insert(token, peer);
        let hops = if forward { hops } else { 0 };
        let hint = hint.filter(|hint| *hint != peer);
        self.want(cid, Waiter::Request(token), hint.as_slice(), hops);
        if let Some(want) = self.wants.table.get_mut(&cid) {
            want.tried.insert(peer);
        }
    }

    fn on_offer(&mut self, peer: PeerId, token: u64, bytes: &[u8]) {
        let packet = match self.verify(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.counters.packets_refused += 1;
                if judgement(&error) == Verdict::Reject {
                    self.fault(peer);
                }
                return self.refuse(token, &alloc::format!("{error}"));
            }
        };
        if self.is_revoked(&packet) {
            self.refuse_revoked(&packet);
            return self.refuse(token, "its author revoked it");
        }
        if !is_sound(&packet) {
            self.counters.revocations_dropped += 1;
            return self.refuse(token, "it is no revocation");
        }
        let size = packet_size(&packet);
        let Some(mirror) = self.config.mirror else {
            return self.refuse(token, "this node keeps nothing for others");
        };
        if size > mirror.max_object {
            let reason = alloc::format!(
                "the object has {size} bytes, the limit is {}",
                mirror.max_object
            );
            return self.refuse(token, &reason);
        }
        // What is here is read and hashed once more for every offer, so each costs as much as asking for the leaves.
        let now = self.now.instant;
        let cost = size.div_ceil(LEAF_SIZE as u64) as f64;
        let may = (self.peers.get_mut(&peer)).is_some_and(|known| known.bucket.take(cost, now));
        if !may {
            return self.refuse(token, "too many requests");
        }
        let cid = packet.cid();
        let (mut offers, mut of_peer) = (0, 0);
        for fetch in self
            .fetches
            .values()
            .filter(|f| f.purpose == Purpose::Offer)
        {
            offers += 1;
            of_peer += fetch
                .tokens
                .iter()
                .filter(|(_, asker)| *asker == peer)
                .count();
        }
        if of_peer >= MAX_OFFERS_OF_PEER {
            return self.refuse(token, "too much under way");
        }
        if self.join_offer(peer, token, cid, Purpose::Offer) {
            return;
        }
        if offers >= MAX_OFFERS || self.fetches.len() >= MAX_FETCHES {
            return self.refuse(token, "too much under way");
        }
        if self.take_in(peer, packet.clone()) {
            self.announce(&packet);
        } else if self.replay.contains(&cid) {
            // Known, but perhaps not on disk: the store may have been full when it came.
            self.keep(packet);
        } else {
            return self.refuse(token, "no room to remember it");
        }
        // It may be fetched by now, because it was told before or is kept for others anyway.
        if self.join_offer(peer, token, cid, Purpose::Mirror) {
            return;
        }
        let mut fetch = Fetch::new(Purpose::Offer, cid, now, self.counters.blocks_unstored);
        fetch.provided_by(peer);
        fetch.tokens.push((token, peer));
        // Fetching what is here already ends at once, so a repeated offer is answered like the first.
        self.begin(fetch);
    }

    /// Lets an offer wait for what is fetched already for `purpose`; returns whether that is so, or was refused.
    fn join_offer(&mut self, peer: PeerId, token: u64, cid: ContentId, purpose: Purpose) -> bool {
        let is_it = |f: &&mut Fetch| f.cid == cid && f.purpose == purpose;
        let Some(fetch) = self.fetches.values_mut().find(is_it) else {
            return false;
        };
        if fetch.tokens.len() >= MAX_WAITERS {
            self.refuse(token, "too much under way");
        } else {
            fetch.purpose = Purpose::Offer;
            fetch.provided_by(peer);
            fetch.tokens.push((token, peer));
        }
        true
    }

    /// Starts keeping a packet's content for others, where the configuration asks for it.
    pub(super) fn mirror(&mut self, packet: &Packet) {
        let Some(mirror) = self.config.mirror else {
            return;
        };
        let wanted =
            packet.ttl_secs() >= mirror.min_ttl_secs && packet_size(packet) <= mirror.max_object;
        let linked = matches!(packet.payload(), Payload::Link { .. });
        let under_way = self.fetches.values().any(|f| f.cid == packet.cid());
        let is_current = self.library.superseded_by(&packet.cid()).is_none();
        if wanted && linked && is_current && !under_way && self.fetches.len() < MAX_FETCHES {
            self.start_fetch(Purpose::Mirror, packet.cid(), &[packet.author()]);
        }
    }

    /// Gives `bytes` to whoever waits behind `token`.
    pub(super) fn serve(&mut self, peer: PeerId, token: u64, bytes: Vec<u8>) {
        self.counters.blocks_served += 1;
        if let Some(known) = self.peers.get_mut(&peer) {
            known.bytes_out += bytes.len() as u64;
        }
        self.respond(token, Response::Block(bytes));
    }

    pub(super) fn respond(&mut self, token: u64, response: Response) {
        self.asked.remove(&token);
        self.outputs.push_back(Output::Respond { token, response });
    }

    pub(super) fn refuse_all(&mut self, tokens: Vec<(u64, PeerId)>, reason: &str) {
        tokens
            .into_iter()
            .for_each(|(token, _)| self.refuse(token, reason));
    }

    pub(super) fn refuse(&mut self, token: u64, reason: &str) {
        self.counters.requests_refused += 1;
        self.respond(token, Response::Refused(reason.into()));
    }
}

/// Size of a packet's content in bytes.
pub(super) fn packet_size(packet: &Packet) -> u64 {
    match packet.payload() {
        Payload::Inline(bytes) => bytes.len() as u64,
        Payload::Link { size, .. } => *size,
    }
}

/// As many of `packets`, from the first, as fit into one response.
fn fitting(packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut room = MAX_RESPONSE - 64;
    packets
        .iter()
        .map(Packet::as_cbor)
        .take_while(|bytes| {
            let fits = bytes.len() + 8 <= room;
            room = room.saturating_sub(bytes.len() + 8);
            fits
        })
        .map(<[u8]>::to_vec)
        .collect()
}

/// Blocks that one peer may be waiting for. Source: eight times what a node asks of a peer at once.
const MAX_ASKED: usize = 64;
/// Who may wait for one block, or one offered object. Guess: each gets a copy of up to 1 MiB.
const MAX_WAITERS: usize = 16;
/// Offered objects fetched at once. Source: half of all fetches.
const MAX_OFFERS: usize = MAX_FETCHES / 2;
/// Offers of one peer under way at once. Guess: 40 MB under way.
const MAX_OFFERS_OF_PEER: usize = 4;
