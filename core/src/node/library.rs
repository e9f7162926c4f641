//! The packets a node knows, bounded in count and bytes, newest first.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::{digest::ContentId, key::PeerId, packet::Packet, time::Timestamp};

/// Which packets a query wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this type.
    pub packet_type: Option<String>,
    /// Only by this author.
    pub author: Option<PeerId>,
    /// At most so many; 0 means as many as there are.
    pub limit: usize,
}

impl Filter {
    fn wants(&self, packet: &Packet) -> bool {
        self.packet_type
            .as_deref()
            .is_none_or(|t| t == packet.packet_type())
            && self.author.is_none_or(|a| a == packet.author())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Library {
    packets: BTreeMap<ContentId, (u64, Packet)>,
    order: BTreeMap<u64, ContentId>,
    next: u64,
    bytes: usize,
    /// Packets let go before they expired, for want of room.
    pub(crate) dropped: u64,
}

impl Library {
    /// Keeps `packet`; returns what had to go to make room.
    pub(crate) fn insert(&mut self, packet: Packet) -> Vec<ContentId> {
        let cid = packet.cid();
        if self.packets.contains_key(&cid) {
            return Vec::new();
        }
        self.bytes += packet.as_cbor().len();
        self.order.insert(self.next, cid);
        self.packets.insert(cid, (self.next, packet));
        self.next += 1;
        let mut gone = Vec::new();
        while self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.order.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            self.remove(&oldest);
            self.dropped += 1;
            gone.push(oldest);
        }
        gone
    }

    pub(crate) fn get(&self, cid: &ContentId) -> Option<&Packet> {
        self.packets.get(cid).map(|(_, packet)| packet)
    }

    pub(crate) fn remove(&mut self, cid: &ContentId) {
        if let Some((order, packet)) = self.packets.remove(cid) {
            self.order.remove(&order);
            self.bytes -= packet.as_cbor().len();
        }
    }

    pub(crate) fn select(&self, filter: &Filter, now: Timestamp) -> Vec<Packet> {
        let limit = if filter.limit == 0 {
            usize::MAX
        } else {
            filter.limit
        };
        self.newest()
            .filter(|p| p.expires_at() > now && filter.wants(p))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Removes what has expired; returns the ids.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<ContentId> {
        let gone: Vec<_> = self
            .packets
            .values()
            .filter(|(_, p)| p.expires_at() <= now)
            .map(|(_, p)| p.cid())
            .collect();
        gone.iter().for_each(|cid| self.remove(cid));
        gone
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    fn newest(&self) -> impl Iterator<Item = &Packet> {
        self.order.values().rev().filter_map(|cid| self.get(cid))
    }
}

/// Packets kept. Guess: an hour of a busy small mesh.
const MAX_PACKETS: usize = 4096;
/// Bytes of packets kept. Guess: what a phone's tab can spare.
const MAX_BYTES: usize = 16 << 20;
