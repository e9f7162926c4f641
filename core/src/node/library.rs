//! The packets a node knows, bounded in count and bytes, newest first. Who takes most room makes room.

use alloc::{string::String, vec::Vec};

use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    key::PeerId,
    packet::{Packet, Payload, REVOCATION_TYPE},
    time::Timestamp,
};

/// Which packets a query wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this type.
    pub packet_type: Option<String>,
    /// Only by this author.
    pub author: Option<PeerId>,
    /// At most so many; 0 means as many as there are.
    pub limit: usize,
    /// Also those in whose place their author put a newer packet. Default no; other peers are never asked for them.
    pub superseded: bool,
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
    packets: FlatMap<ContentId, Known>,
    order: FlatMap<u64, ContentId>,
    next: u64,
    /// Room taken by packets, and by revocations.
    used: [Share; 2],
    /// Room taken by each author, in revocations or else.
    shares: FlatMap<(bool, PeerId), Share>,
    /// Packets that replace another, whether or not that one is here.
    replacing: usize,
    /// Packets let go before they expired, for want of room.
    pub(crate) dropped: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    order: u64,
    packet: Packet,
    /// The newer packet by the same author that stands in its place.
    superseded_by: Option<ContentId>,
    /// Whether its blocks were let go, because the newer packet's content is complete.
    is_retired: bool,
}

impl Known {
    /// Whether nothing stands in its place, and its content was not let go.
    fn is_current(&self) -> bool {
        let is_lost = self.is_retired && root_of(&self.packet).is_some();
        self.superseded_by.is_none() && !is_lost
    }
}

impl Library {
    /// Keeps `packet`; returns what had to go to make room, which no packet of `pins` does, nor one that `waits` while
    /// its author has little else. `None` where it was known.
    pub(crate) fn insert(
        &mut self,
        packet: Packet,
        pins: &FlatSet<ContentId>,
        waits: impl Fn(&ContentId) -> bool,
    ) -> Option<Vec<Packet>> {
        let cid = packet.cid();
        if self.packets.contains_key(&cid) {
            return None;
        }
        self.account(&packet, true);
        self.replacing += usize::from(packet.replaces().is_some());
        self.order.insert(self.next, cid);
        let superseded_by = self.newer_than(&packet);
        if let Some(old) = packet.replaces().and_then(|old| self.packets.get_mut(&old))
            && supersedes(&packet, &old.packet)
        {
            old.superseded_by.get_or_insert(cid);
        }
        let known = Known {
            order: self.next,
            packet,
            superseded_by,
            is_retired: false,
        };
        self.packets.insert(cid, known);
        self.next += 1;
        let mut gone = Vec::new();
        while let Some(cid) = self.one_too_many(pins, &waits) {
            self.dropped += 1;
            gone.extend(self.remove(&cid));
        }
        Some(gone)
    }

    /// Where there is no room: the oldest packet of the author who takes most of it. Revocations have room of their own.
    /// No pin goes, and what waits goes last where its author takes more than a small share.
    fn one_too_many(
        &self,
        pins: &FlatSet<ContentId>,
        waits: impl Fn(&ContentId) -> bool,
    ) -> Option<ContentId> {
        let (class, is_over_bytes) = [false, true].into_iter().find_map(|class| {
            let used = &self.used[usize::from(class)];
            let (max_count, max_bytes) = if class {
                (MAX_REVOCATIONS, MAX_REVOCATION_BYTES)
            } else {
                (MAX_PACKETS, MAX_BYTES)
            };
            let is_over = used.count > max_count || used.bytes > max_bytes;
            is_over.then_some((class, used.bytes > max_bytes))
        })?;
        let candidates = self.order.values().filter_map(|cid| self.packets.get(cid));
        let candidates = candidates.map(|k| &k.packet).filter(|packet| {
            (packet.packet_type() == REVOCATION_TYPE) == class && !pins.contains(&packet.cid())
        });
        let rank = |packet: &&Packet| {
            let share = self.shares.get(&(class, packet.author()));
            let (count, bytes) = share.map_or((0, 0), |s| (s.count, s.bytes));
            let is_held = bytes <= MAX_WAITING_BYTES && waits(&packet.cid());
            (!is_held, if is_over_bytes { bytes } else { count })
        };
        // Of several alike the last counts: the oldest.
        let candidates: Vec<&Packet> = candidates.collect();
        let most = candidates.into_iter().rev().max_by_key(rank);
        most.map(Packet::cid)
    }

    pub(crate) fn get(&self, cid: &ContentId) -> Option<&Packet> {
        self.packets.get(cid).map(|known| &known.packet)
    }

    pub(crate) fn remove(&mut self, cid: &ContentId) -> Option<Packet> {
        let known = self.packets.remove(cid)?;
        self.order.remove(&known.order);
        self.account(&known.packet, false);
        self.replacing -= usize::from(known.packet.replaces().is_some());
        Some(known.packet)
    }

    /// Removes a packet that its author took back. What it superseded is listed again, unless a newer one takes its place
    /// or its blocks were let go: then its content is lost here, and it is listed once somebody gave it back.
    pub(crate) fn revoke(&mut self, cid: &ContentId) -> Option<Packet> {
        let newer = self.superseded_by(cid);
        let packet = self.remove(cid)?;
        let older = self.packets.values().map(|k| (k.superseded_by, &k.packet));
        let older = older.filter(|(by, _)| *by == Some(*cid));
        let relinked: Vec<_> = older
            .map(|(_, old)| (old.cid(), newer.or_else(|| self.newer_than(old))))
            .collect();
        for (old, newer) in relinked {
            if let Some(known) = self.packets.get_mut(&old) {
                known.superseded_by = newer;
            }
        }
        Some(packet)
    }

    /// Returns the newer packet that stands in place of `cid`.
    pub(crate) fn superseded_by(&self, cid: &ContentId) -> Option<ContentId> {
        self.packets.get(cid)?.superseded_by
    }

    /// Marks a packet whose blocks may go; returns their root the first time.
    pub(crate) fn retire(&mut self, cid: &ContentId) -> Option<ContentId> {
        let known = self.packets.get_mut(cid)?;
        let was_retired = core::mem::replace(&mut known.is_retired, true);
        root_of(&known.packet).filter(|_| !was_retired)
    }

    /// The whole content of a packet is here (again).
    pub(crate) fn restore(&mut self, cid: &ContentId) {
        if let Some(known) = self.packets.get_mut(cid)
            && known.superseded_by.is_none()
        {
            known.is_retired = false;
        }
    }

    /// Returns the roots of the content that is to stay, of the packets that `wants` wants.
    pub(crate) fn roots(&self, wants: impl Fn(&ContentId) -> bool) -> Vec<ContentId> {
        let kept = self.packets.values().filter(|k| !k.is_retired);
        kept.filter(|k| wants(&k.packet.cid()))
            .filter_map(|k| root_of(&k.packet))
            .collect()
    }

    /// Returns up to `max` packets by `author` in the order in which they came, from place `from` on, with their places.
    pub(crate) fn by(&self, author: PeerId, from: u64, max: usize) -> Vec<(u64, Packet)> {
        let places = self.order.range(from..);
        places
            .filter_map(|(place, cid)| Some((*place, self.get(cid)?)))
            .filter(|(_, packet)| packet.author() == author)
            .take(max)
            .map(|(place, packet)| (place, packet.clone()))
            .collect()
    }

    pub(crate) fn select(&self, filter: &Filter, now: Timestamp) -> Vec<Packet> {
        let limit = if filter.limit == 0 {
            usize::MAX
        } else {
            filter.limit
        };
        let newest = self.order.values().rev();
        newest
            .filter_map(|cid| self.packets.get(cid))
            .filter(|k| filter.superseded || k.is_current())
            .map(|k| &k.packet)
            .filter(|p| p.expires_at() > now && filter.wants(p))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Removes what has expired, and what a packet superseded that is gone, except `pins`: those stand for themselves
    /// again. Returns what went.
    pub(crate) fn expire(&mut self, now: Timestamp, pins: &FlatSet<ContentId>) -> Vec<Packet> {
        let is_over = |cid: &ContentId| self.get(cid).is_none_or(|p| p.expires_at() <= now);
        let orphans = self.packets.iter();
        let orphans: Vec<_> = orphans
            .filter(|(_, k)| k.superseded_by.as_ref().is_some_and(is_over))
            .map(|(cid, _)| *cid)
            .collect();
        let mut gone: Vec<_> = self.packets.keys().copied().filter(is_over).collect();
        let (pinned, orphans): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|cid| pins.contains(cid));
        gone.extend(orphans);
        let gone = gone.iter().filter_map(|cid| self.remove(cid)).collect();
        for cid in pinned {
            let newer = self.get(&cid).and_then(|packet| self.newer_than(packet));
            if let Some(known) = self.packets.get_mut(&cid) {
                known.superseded_by = newer;
            }
        }
        gone
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    fn account(&mut self, packet: &Packet, is_in: bool) {
        let class = packet.packet_type() == REVOCATION_TYPE;
        let (key, len) = ((class, packet.author()), packet.as_cbor().len());
        let share = self.shares.get_or_insert_with(key, Default::default);
        for room in [&mut self.used[usize::from(class)], share] {
            if is_in {
                room.count += 1;
                room.bytes += len;
            } else {
                room.count -= 1;
                room.bytes -= len;
            }
        }
        if self.shares.get(&key).is_some_and(|s| s.count == 0) {
            self.shares.remove(&key);
        }
    }

    fn newer_than(&self, packet: &Packet) -> Option<ContentId> {
        if self.replacing == 0 {
            return None;
        }
        let newer = self.packets.values().map(|k| &k.packet);
        newer
            .filter(|newer| supersedes(newer, packet))
            .map(Packet::cid)
            .next()
    }
}

/// Whether `newer` stands in place of `old`. A revocation stays what it is.
fn supersedes(newer: &Packet, old: &Packet) -> bool {
    newer.replaces() == Some(old.cid())
        && newer.author() == old.author()
        && old.packet_type() != REVOCATION_TYPE
}

/// The root of a packet's content, where that is in blocks.
pub(crate) fn root_of(packet: &Packet) -> Option<ContentId> {
    match packet.payload() {
        Payload::Link { root, .. } => Some(*root),
        Payload::Inline(_) => None,
    }
}

/// Packets kept. Guess: an hour of a busy small mesh.
const MAX_PACKETS: usize = 4096;
/// Bytes of packets kept. Guess: what a phone's tab can spare.
const MAX_BYTES: usize = 16 << 20;
/// Revocations kept beside them. Guess: a quarter as many.
const MAX_REVOCATIONS: usize = MAX_PACKETS / 4;
/// Bytes of revocations kept. Source: as many with 64 names each.
const MAX_REVOCATION_BYTES: usize = 4 << 20;
/// Bytes of one author up to which what waits does not make room. Guess: 32 authors fill the library that way.
const MAX_WAITING_BYTES: usize = MAX_BYTES / 32;
