//! News: what this node tells of packets, and what it takes in of what others tell.

use alloc::vec::Vec;

use super::{
    Event, Node, Output, Verdict, fetch::Purpose, life::is_sound, message::News, seek::MAX_FETCHES,
};
use crate::{
    digest::{Codec, ContentId},
    key::PeerId,
    packet::{Admission, Packet, PacketError},
};

impl Node {
    /// Tells the news of a packet of this node's own, or of one that was offered to it.
    pub(super) fn announce(&mut self, packet: &Packet) {
        let news = if packet.as_cbor().len() <= FLOOD_LIMIT {
            News::Packet(packet.as_cbor().to_vec())
        } else {
            News::Announcement {
                cid: packet.cid(),
                author: packet.author(),
            }
        };
        self.outputs.push_back(Output::Publish(news.encode()));
    }

    pub(super) fn on_gossip(&mut self, from: PeerId, token: u64, data: &[u8]) {
        let verdict = match News::decode(data) {
            Ok(News::Packet(bytes)) => self.on_news(from, &bytes),
            Ok(News::Announcement { cid, author }) => {
                return self.on_announcement(from, token, cid, author);
            }
            Err(_) => Verdict::Reject,
        };
        self.judge(from, token, verdict);
    }

    /// Says what becomes of a gossip message, and holds it against `from` where it is rejected.
    pub(super) fn judge(&mut self, from: PeerId, token: u64, verdict: Verdict) {
        if verdict == Verdict::Reject {
            self.fault(from);
        }
        self.outputs.push_back(Output::Verdict {
            token,
            from,
            verdict,
        });
    }

    pub(super) fn on_news(&mut self, from: PeerId, bytes: &[u8]) -> Verdict {
        match self.ingest(from, bytes) {
            Ok(true) => Verdict::Accept,
            Ok(false) => Verdict::Ignore,
            Err(error) => judgement(&error),
        }
    }

    /// Takes in what a peer sent, unless it is known; returns whether it was news.
    pub(super) fn ingest(&mut self, from: PeerId, bytes: &[u8]) -> Result<bool, PacketError> {
        // What was verified once is not verified again.
        let cid = ContentId::of(Codec::DagCbor, bytes);
        if self.replay.contains(&cid) && !self.revoked.contains(&cid) {
            self.counters.packets_duplicate += 1;
            return Ok(false);
        }
        match self.verify(bytes) {
            Ok(packet) => Ok(self.take_in(from, packet)),
            Err(error) => {
                self.counters.packets_refused += 1;
                Err(error)
            }
        }
    }

    /// Takes in a verified packet, unless it is known; returns whether it was news.
    pub(super) fn take_in(&mut self, from: PeerId, packet: Packet) -> bool {
        if self.is_revoked(&packet) {
            self.refuse_revoked(&packet);
            return false;
        }
        if !is_sound(&packet) {
            self.counters.revocations_dropped += 1;
            return false;
        }
        match self.replay.insert_packet(&packet, self.now.wall) {
            Admission::Fresh => {}
            Admission::Duplicate => {
                self.counters.packets_duplicate += 1;
                return false;
            }
            Admission::Expired | Admission::Full => {
                self.counters.packets_refused += 1;
                return false;
            }
        }
        self.counters.packets_accepted += 1;
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.packets_in += 1;
        }
        self.keep(packet.clone());
        self.mirror(&packet);
        self.emit(Event::PacketReceived { packet, from });
        true
    }

    /// Fetches a packet that a neighbour announced. The announcement is passed on when the packet is here: it is not signed,
    /// and could name anything.
    pub(super) fn on_announcement(
        &mut self,
        from: PeerId,
        token: u64,
        cid: ContentId,
        author: PeerId,
    ) {
        let announced = self
            .fetches
            .values()
            .filter_map(|fetch| match fetch.purpose {
                Purpose::Announced { from, .. } => Some(from),
                _ => None,
            });
        let announced: Vec<PeerId> = announced.collect();
        let of_peer = announced.iter().filter(|other| **other == from).count();
        let is_known = self.library.get(&cid).is_some() || self.replay.contains(&cid);
        if is_known
            || self.revoked.contains(&cid)
            || self.fetches.values().any(|f| f.cid == cid)
            || of_peer >= MAX_ANNOUNCED_OF_PEER
            || announced.len() >= MAX_ANNOUNCED
            || self.fetches.len() >= MAX_FETCHES
        {
            return self.judge(from, token, Verdict::Ignore);
        }
        self.start_fetch(Purpose::Announced { token, from }, cid, &[author, from]);
    }
}

/// What becomes of a packet that is refused.
pub(super) fn judgement(error: &PacketError) -> Verdict {
    match error {
        // By another clock than this one's it may be right: nobody who passed it on is to blame.
        PacketError::Expired { .. } | PacketError::Future { .. } => Verdict::Ignore,
        _ => Verdict::Reject,
    }
}

/// Largest packet flooded whole, in bytes; larger ones are announced. Guess: a few Ethernet frames' worth of burst.
pub(super) const FLOOD_LIMIT: usize = 16 * 1024;
/// Announced packets fetched at once. Source: a quarter of all fetches.
const MAX_ANNOUNCED: usize = MAX_FETCHES / 4;
/// Those that one neighbour announced. Source: a quarter of them.
const MAX_ANNOUNCED_OF_PEER: usize = MAX_ANNOUNCED / 4;
