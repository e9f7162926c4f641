//! The life of packets: what becomes due, what a newer packet or a revocation ends, what is pinned, what is told again.
//!
//! A revocation ([`Revocation`]) holds for packets of its own author. A node that hears of it forgets the packet and its
//! blocks and takes it in no more until it would have expired; nodes pass the revocation on like every packet, newcomers
//! get it by catching up, and its author repeats it. It cannot reach who is away for good, and who has read it has it.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use super::{
    Event, Node, NodeError, Output, Reply, Undue, fetch::Purpose, library::root_of,
    seek::MAX_FETCHES, sweep::Sweep,
};
use crate::{
    digest::{Codec, ContentId},
    key::PeerId,
    packet::{MAX_TEXT, MAX_TTL_SECS, Packet, PacketError, Payload, REVOCATION_TYPE, Revocation},
    time::Timestamp,
};

impl Node {
    /// A packet is known from now on, its own author's or another's, new or from an earlier run.
    pub(super) fn on_known(&mut self, packet: &Packet) {
        let cid = packet.cid();
        if packet.packet_type() == REVOCATION_TYPE {
            // It is carried out by the node, not integrated by the owner.
            self.agenda.recall(packet, self.now);
            return self.on_revocation(packet);
        }
        if let Some(by) = self.library.superseded_by(&cid) {
            self.emit(Event::Superseded { cid, by });
        }
        if let Some(old) = packet.replaces()
            && self.library.superseded_by(&old) == Some(cid)
        {
            self.emit(Event::Superseded { cid: old, by: cid });
        }
        if matches!(packet.payload(), Payload::Inline(_)) {
            self.on_content_kept(packet);
        }
        if self.config.integrate {
            self.agenda.admit(packet, self.now);
        }
    }

    /// The whole content of `packet` is here: that of the packet it stands in place of may go.
    pub(super) fn on_content_kept(&mut self, packet: &Packet) {
        self.library.restore(&packet.cid());
        if let Some(old) = packet.replaces()
            && self.library.superseded_by(&old) == Some(packet.cid())
            && !self.pins.contains(&old)
            && let Some(root) = self.library.retire(&old)
        {
            self.sweep(Sweep::Free, root);
        }
    }

    /// Packets are known no more: they expired, or there was no room.
    pub(super) fn let_go(&mut self, gone: Vec<Packet>, reason: Undue) {
        if !gone.is_empty() {
            // In one, however many expired together: a store that syncs its file does so once.
            let cids = gone.iter().map(Packet::cid).collect();
            self.outputs.push_back(Output::Free(cids));
        }
        for packet in gone {
            let cid = packet.cid();
            let is_told = packet.author() == self.local || root_of(&packet).is_some();
            if self.pins.remove(&cid) || is_told {
                self.outputs.push_back(Output::Withdraw(cid));
            }
            if self.config.integrate {
                self.agenda.remove(&packet, reason, self.now);
            }
        }
    }

    /// Forgets what is over and not in the library.
    pub(super) fn forget_over(&mut self) {
        self.agenda.expire(self.now);
        self.revoked.forget_expired(self.now.wall);
        self.taken_back.forget_expired(self.now.wall);
    }

    /// Whether the packet's author took it back.
    pub(super) fn is_revoked(&self, packet: &Packet) -> bool {
        // A revocation is not revoked, whichever of the two comes first.
        packet.packet_type() != REVOCATION_TYPE
            && (self.revoked.contains(&packet.cid())
                || self
                    .taken_back
                    .contains(&grave(packet.author(), &packet.cid())))
    }

    /// Counts a revoked packet that came again; it is not taken in.
    pub(super) fn refuse_revoked(&mut self, packet: &Packet) {
        self.counters.packets_revoked += 1;
        let (author, until) = (packet.author(), packet.expires_at());
        // From now on it is certain that this packet is meant.
        self.revoked
            .insert(author, packet.cid(), until, self.now.wall);
        if self.config.integrate {
            self.agenda.forbid(author, packet.cid(), until, self.now);
        }
    }

    fn on_revocation(&mut self, revocation: &Packet) {
        let (author, until) = (revocation.author(), revocation.expires_at());
        let Some(list) = taken_back_by(revocation) else {
            self.counters.revocations_dropped += 1;
            return;
        };
        for cid in list.cids() {
            self.taken_back
                .insert(author, grave(author, &cid), until, self.now.wall);
            if self.config.integrate && self.library.get(&cid).is_none() {
                self.agenda.take_back(author, &cid, until, self.now);
            }
            let known = self.library.get(&cid).filter(|p| p.author() == author);
            if known.is_some_and(|p| p.packet_type() != REVOCATION_TYPE) {
                self.revoke(cid, revocation);
            }
        }
    }

    /// Forgets a packet that its author took back.
    fn revoke(&mut self, cid: ContentId, by: &Packet) {
        let Some(packet) = self.library.revoke(&cid) else {
            return;
        };
        let until = packet.expires_at().max(by.expires_at());
        self.revoked
            .insert(packet.author(), cid, until, self.now.wall);
        if let Some(root) = root_of(&packet) {
            self.sweep(Sweep::Free, root);
        }
        let fetches = self.fetches.iter().filter(|(_, f)| f.cid == cid);
        for id in fetches.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.fail(id, NodeError::Revoked { cid });
        }
        self.let_go(Vec::from([packet]), Undue::Revoked);
        self.emit(Event::Revoked { cid, by: by.cid() });
    }

    pub(super) fn on_measure(&mut self, command: u64, metric: String, value: f64) {
        let result = if !value.is_finite() || metric.len() > MAX_TEXT {
            let end = metric.floor_char_boundary(MAX_TEXT.min(metric.len()));
            let metric = metric[..end].into();
            Err(NodeError::Measurement { metric, value })
        } else if self.agenda.measure(metric, value) {
            Ok(Reply::Done)
        } else {
            Err(NodeError::Busy {
                what: "metrics",
                max: super::due::MAX_METRICS,
            })
        };
        self.reply(command, result);
    }

    /// Fetches for a command, unless there is no room or the packet's author took it back.
    pub(super) fn on_fetch_command(&mut self, command: u64, cid: ContentId, purpose: Purpose) {
        if self.revoked.contains(&cid) {
            return self.reply(command, Err(NodeError::Revoked { cid }));
        }
        let busy = |what, max| Err(NodeError::Busy { what, max });
        if self.fetches.len() >= MAX_FETCHES {
            return self.reply(command, busy("fetches", MAX_FETCHES));
        }
        if purpose == Purpose::Pin(command) && self.pins.len() >= MAX_PINS {
            return self.reply(command, busy("pins", MAX_PINS));
        }
        self.start_fetch(purpose, cid, &[]);
    }

    /// What is to be pinned is complete and kept, unless its packet went meanwhile.
    pub(super) fn pin(
        &mut self,
        cid: ContentId,
        blocks: Vec<ContentId>,
    ) -> Result<Reply, NodeError> {
        if self.revoked.contains(&cid) {
            return Err(NodeError::Revoked { cid });
        }
        let Some(packet) = self.library.get(&cid).cloned() else {
            let waited_secs = 0;
            return Err(NodeError::NotFound { cid, waited_secs });
        };
        if self.pins.len() >= MAX_PINS && !self.pins.contains(&cid) {
            let (what, max) = ("pins", MAX_PINS);
            return Err(NodeError::Busy { what, max });
        }
        self.pins.insert(cid);
        self.spare(Sweep::Unpin, &packet);
        self.outputs.push_back(Output::Pin {
            cids: blocks,
            is_pinned: true,
        });
        self.outputs.push_back(Output::Provide(cid));
        Ok(Reply::Done)
    }

    pub(super) fn on_unpin(&mut self, command: u64, cid: ContentId) {
        if self.pins.remove(&cid) {
            self.outputs.push_back(Output::Pin {
                cids: Vec::from([cid]),
                is_pinned: false,
            });
            let packet = self.library.get(&cid);
            if packet.is_none_or(|p| p.author() != self.local) {
                self.outputs.push_back(Output::Withdraw(cid));
            }
            if let Some(root) = packet.and_then(root_of) {
                self.sweep(Sweep::Unpin, root);
            }
        }
        self.reply(command, Ok(Reply::Done));
    }

    /// A packet that the owner pinned in an earlier run; its blocks are pinned in the store.
    pub(super) fn on_pinned(&mut self, cid: ContentId) {
        if self.library.get(&cid).is_some() && self.pins.len() < MAX_PINS {
            self.pins.insert(cid);
            self.outputs.push_back(Output::Provide(cid));
        }
    }

    /// The driver gave back everything of an earlier run.
    pub(super) fn end_restoring(&mut self) {
        if core::mem::replace(&mut self.is_restoring, false) {
            self.agenda.end_restoring(self.now);
        }
    }

    pub(super) fn on_life_time(&mut self) {
        let now = self.now.instant;
        if self.is_restoring {
            return;
        }
        let mut room = MAX_EVENTS_PER_CALL;
        while room > 0
            && let Some(event) = self.agenda.poll(self.now)
        {
            room -= 1;
            self.emit(event);
        }
        if room > 0 {
            let under_way = self.fetches.values();
            let mut searches = under_way
                .filter(|f| f.purpose == Purpose::Predecessor)
                .count();
            while searches < MAX_SEARCHES
                && self.fetches.len() < MAX_FETCHES
                && let Some((cid, author)) = self.agenda.next_search(now)
            {
                searches += 1;
                self.start_fetch(Purpose::Predecessor, cid, &[author]);
            }
            self.agenda.rest(now);
        }
        self.on_sweep_time();
        if now >= self.next_announcement {
            self.next_announcement = now + ANNOUNCE_INTERVAL;
            self.announce_again();
        }
    }

    /// Repeats the news of this node's own packets, some at a time: gossip that nobody heard is heard later. Newcomers
    /// are not why: they catch up when they connect.
    fn announce_again(&mut self) {
        let own = self.library.by(self.local, self.announced, MAX_ANNOUNCED);
        self.announced = match own.last() {
            Some((place, _)) if own.len() == MAX_ANNOUNCED => place + 1,
            _ => 0,
        };
        for (_, packet) in own {
            if packet.expires_at() > self.now.wall
                && self.library.superseded_by(&packet.cid()).is_none()
            {
                self.announce(&packet);
            }
        }
    }

    /// A predecessor's packet was looked for and came, or cannot come.
    pub(super) fn on_predecessor(&mut self, cid: ContentId, found: Result<&Packet, &NodeError>) {
        let life = Duration::from_secs(MAX_TTL_SECS);
        match found {
            // Known before and forgotten since: it was due then.
            Ok(packet) if self.library.get(&cid).is_some() || self.replay.contains(&cid) => {
                self.agenda.recall(packet, self.now);
            }
            // A clock is off: this one or the author's.
            Err(NodeError::Packet(PacketError::Future { .. })) => {}
            // What has this name is not alive, or is no packet of this network, and never will be one.
            Err(NodeError::Packet(_) | NodeError::Revoked { .. }) => {
                let until: Timestamp = self.now.wall.saturating_add(life);
                self.agenda.forbid_named(cid, until, self.now);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Whether a packet says what its type promises, as far as the node itself acts on it. A revocation that names nothing is not
/// taken in, so that it takes no room of those that do; nobody is blamed for it, as the signature is right.
pub(super) fn is_sound(packet: &Packet) -> bool {
    packet.packet_type() != REVOCATION_TYPE || taken_back_by(packet).is_some()
}

/// What a revocation takes back.
fn taken_back_by(revocation: &Packet) -> Option<Revocation> {
    match revocation.payload() {
        Payload::Inline(bytes) => Revocation::from_bytes(bytes).ok(),
        Payload::Link { .. } => None,
    }
}

/// The name under which is remembered that `author` takes back `cid`, whoever wrote that: others' words do not count.
pub(super) fn grave(author: PeerId, cid: &ContentId) -> ContentId {
    let name = [&cid.to_bytes()[..], &author.to_bytes()[..]].concat();
    ContentId::of(Codec::Raw, &name)
}

/// Packets remembered to be revoked, and as many names that were taken back unseen. Source: four libraries' worth.
pub(super) const MAX_REVOKED: usize = 16_384;
/// Those of one author. Guess: a quarter.
pub(super) const MAX_REVOKED_OF_AUTHOR: usize = MAX_REVOKED / 4;
/// Names that one author takes back unseen. Source: sixteen revocations' worth.
pub(super) const MAX_TAKEN_BACK_OF_AUTHOR: usize = 1024;
/// Packets pinned. Guess: what a person tells apart.
const MAX_PINS: usize = 256;
/// Packets told to be due in one call; the rest follows at once.
const MAX_EVENTS_PER_CALL: usize = 16;
/// Predecessors looked for at once. Source: an eighth of the fetches.
const MAX_SEARCHES: usize = MAX_FETCHES / 8;
/// How often own packets are told again. Guess: rare enough to cost nothing, often enough for what lives hours.
pub(super) const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(600);
/// Own packets told again at a time. Guess: 16 × 16 KiB.
const MAX_ANNOUNCED: usize = 16;
