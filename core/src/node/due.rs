//! Which packets are due for integration, and when. Pure: knows packets, two clocks' readings and what was measured.
//!
//! A packet is *known* as soon as it is verified; it becomes *due* once its WHEN is met and its ORDER allows it:
//! - `ORDER_PARALLEL`: at once.
//! - `ORDER_AFTER`: once its predecessor became due here. A predecessor that is not here is looked for; one that was
//!   revoked, or went without becoming due, takes those behind it along: they are never due. Only a packet that replaces
//!   its predecessor (`HOW_REPLACE`) is due then all the same, for what it stands in place of is gone; and where it is
//!   the end of so long a row of replacements that nobody looks further back.
//! - `ORDER_FIRST`: waits for nobody, and while it waits for its WHEN, packets of the same author and type that are not
//!   due yet wait for it. What became due before it came stays due.
//!
//! What becomes due in the same moment does so in one order whatever the order of arrival was: `ORDER_FIRST` before the
//! others, then by the authors' timestamps, then by content id. Content ids are hashes, so there are no cycles.
//!
//! WHEN: at once; once the owner's last measurement of a metric is at least the threshold, after which a lower one
//! changes nothing; or first at once and then every so many seconds of the monotonic clock, at least [`MIN_PERIOD`]
//! apart, never made up for after a pause, until the packet's life ends.

mod restore;

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::time::Duration;

use super::{Event, Undue, life::grave, memory::Memory};
use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    key::PeerId,
    packet::{MAX_TTL_SECS, Order, Packet, When},
    time::{Instant, Now, Timestamp},
};

/// The packets that wait, and which were due before.
#[derive(Debug)]
pub(crate) struct Agenda {
    waiting: FlatMap<ContentId, Item>,
    local: PeerId,
    due: Memory,
    never: Memory,
    /// Those let go for want of room: they were not due, and come again where somebody waits for them.
    crowded: Memory,
    measured: FlatMap<String, f64>,
    events: VecDeque<Event>,
    arrivals: u64,
    /// Whether something may have become due since everything was looked through.
    is_stale: bool,
    has_searched: bool,
    wake_at: Option<Instant>,
    /// While the driver gives back what an earlier run knew: nothing is told.
    is_restoring: bool,
    dropped: u64,
}

#[derive(Debug)]
struct Item {
    packet: Packet,
    arrived: u64,
    /// Whether its WHEN is met.
    is_met: bool,
    /// When to look for its predecessor (again), and how often that was done.
    search_at: Instant,
    searches: u32,
    /// Length of the chain of searches that led to this packet.
    pulled: u32,
    /// The name under which its author takes its predecessor back, whether or not that is known.
    grave: Option<ContentId>,
    /// When it is due again, once it was due.
    next: Option<Instant>,
    round: u64,
}

impl Item {
    fn predecessor(&self) -> Option<ContentId> {
        match self.packet.instructions().order {
            Order::After { cid } if self.next.is_none() => Some(cid),
            Order::After { .. } | Order::First | Order::Parallel => None,
        }
    }

    fn may_search(&self) -> bool {
        self.searches < MAX_SEARCHES && self.pulled < MAX_PULLED
    }

    fn is_barrier(&self) -> bool {
        self.packet.instructions().order == Order::First && self.next.is_none()
    }

    fn kind(&self) -> Kind<'_> {
        (self.packet.author(), self.packet.packet_type())
    }

    /// What becomes due in the same moment does so in this order.
    fn rank(&self) -> (bool, Timestamp, ContentId) {
        let is_first = self.packet.instructions().order == Order::First;
        (!is_first, self.packet.timestamp(), self.packet.cid())
    }
}

/// Author and type: an `ORDER_FIRST` holds back those of its kind.
type Kind<'a> = (PeerId, &'a str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Unknown,
    Waiting,
    Due,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waits,
    Ready,
    /// The predecessor named will never be due.
    Doomed(ContentId),
}

impl Agenda {
    /// The agenda of `local`, whose packets make no room for those of others.
    pub(crate) fn new(local: PeerId) -> Self {
        Self {
            waiting: FlatMap::new(),
            due: Memory::new(MAX_REMEMBERED, MAX_REMEMBERED_OF_AUTHOR),
            local,
            never: Memory::new(MAX_REMEMBERED, MAX_REMEMBERED_OF_AUTHOR),
            crowded: Memory::new(MAX_REMEMBERED, MAX_REMEMBERED_OF_AUTHOR),
            measured: FlatMap::new(),
            events: VecDeque::new(),
            arrivals: 0,
            is_stale: false,
            has_searched: false,
            wake_at: None,
            is_restoring: true,
            dropped: 0,
        }
    }

    /// A packet became known. One that was due, or never will be, stays what it was.
    pub(crate) fn admit(&mut self, packet: &Packet, now: Now) {
        let cid = packet.cid();
        if self.progress(&cid) != Progress::Unknown {
            return;
        }
        let is_met = match &packet.instructions().when {
            When::Immediate | When::Periodic { .. } => true,
            When::Threshold { metric, value } => {
                self.measured.get(metric).is_some_and(|m| m >= value)
            }
        };
        let pulled = self.waiting.values().filter(|i| i.searches > 0);
        let pulled = pulled
            .filter(|i| i.predecessor() == Some(cid))
            .map(|i| i.pulled + 1);
        let item = Item {
            packet: packet.clone(),
            arrived: self.arrivals,
            is_met,
            search_at: now.instant + SEARCH_DELAY,
            searches: 0,
            pulled: pulled.max().unwrap_or(0),
            grave: match packet.instructions().order {
                Order::After { cid } => Some(grave(packet.author(), &cid)),
                Order::First | Order::Parallel => None,
            },
            next: None,
            round: 0,
        };
        self.arrivals += 1;
        // Not told at once even where nothing holds it: an `ORDER_FIRST` may come with the same input.
        self.waiting.insert(cid, item);
        // Those that wait for it, or may have to wait for it, are looked through again.
        self.is_stale = true;
        self.make_room(now);
    }

    /// The packet is no longer known here. Not to become due (again), unless it was due or had to make room.
    pub(crate) fn remove(&mut self, packet: &Packet, reason: Undue, now: Now) {
        let cid = packet.cid();
        let was_due = self.progress(&cid) == Progress::Due;
        if self.waiting.remove(&cid).is_some() {
            self.tell(Event::NeverDue { cid, reason });
        }
        self.is_stale |= !self.waiting.is_empty();
        if reason == Undue::Crowded {
            if !was_due {
                self.crowded
                    .insert(packet.author(), cid, packet.expires_at(), now.wall);
            }
        } else if reason == Undue::Revoked || !was_due {
            self.forbid(packet.author(), cid, packet.expires_at(), now);
        }
    }

    /// A packet that is not here will never be due, nor what comes after it. `author` is its author, or who named it.
    pub(crate) fn forbid(&mut self, author: PeerId, cid: ContentId, until: Timestamp, now: Now) {
        self.never.insert(author, cid, until, now.wall);
        self.is_stale |= !self.waiting.is_empty();
    }

    /// `author` took back what is not known here: none of its own packets becomes due by waiting for that.
    pub(crate) fn take_back(
        &mut self,
        author: PeerId,
        cid: &ContentId,
        until: Timestamp,
        now: Now,
    ) {
        self.forbid(author, grave(author, cid), until, now);
    }

    /// What somebody waits for is no packet that could be due; who named it first has the name remembered.
    pub(crate) fn forbid_named(&mut self, cid: ContentId, until: Timestamp, now: Now) {
        let names = |item: &&Item| item.predecessor() == Some(cid);
        if let Some(item) = self
            .waiting
            .values()
            .filter(names)
            .min_by_key(|i| i.arrived)
        {
            self.forbid(item.packet.author(), cid, until, now);
        }
    }

    /// A predecessor turns out to have been known before it was forgotten: it was due, or waits again where it had to
    /// make room.
    pub(crate) fn recall(&mut self, packet: &Packet, now: Now) {
        if self.crowded.remove(&packet.cid()) {
            self.admit(packet, now);
        } else if self.progress(&packet.cid()) == Progress::Unknown {
            self.remember_due(packet, now);
            self.is_stale = true;
        }
    }

    /// Whether the packet waits, or comes again.
    pub(crate) fn is_waiting(&self, cid: &ContentId) -> bool {
        self.waiting.contains_key(cid)
    }

    /// Packets and events let go, and packets whose turn is not remembered, for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped + self.due.dropped() + self.never.dropped()
    }

    /// The owner measured something; returns whether there was room to remember it.
    pub(crate) fn measure(&mut self, metric: String, value: f64) -> bool {
        if !self.measured.contains_key(&metric) && self.measured.len() >= MAX_METRICS {
            return false;
        }
        for item in self.waiting.values_mut() {
            if let When::Threshold {
                metric: awaited,
                value: threshold,
            } = &item.packet.instructions().when
            {
                item.is_met |= *awaited == metric && value >= *threshold;
            }
        }
        self.measured.insert(metric, value);
        self.is_stale = true;
        true
    }

    /// Returns what became due, or never will, one at a time.
    pub(crate) fn poll(&mut self, now: Now) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.is_restoring || !self.is_awake(now.instant) {
            return None;
        }
        let barriers = self.barriers();
        let mut best: Option<&Item> = None;
        let mut doomed = None;
        for item in self.waiting.values() {
            match self.standing(item, &barriers, now.instant) {
                Standing::Waits => {}
                Standing::Doomed(predecessor) => {
                    doomed = Some((item.packet.clone(), predecessor));
                    break;
                }
                Standing::Ready if best.is_none_or(|b| item.rank() < b.rank()) => best = Some(item),
                Standing::Ready => {}
            }
        }
        if let Some((packet, predecessor)) = doomed {
            self.remove(&packet, Undue::Predecessor(predecessor), now);
            return self.events.pop_front();
        }
        let packet = best?.packet.clone();
        let cid = packet.cid();
        self.remember_due(&packet, now);
        self.is_stale = true;
        let mut round = 0;
        match (period(&packet), self.waiting.get_mut(&cid)) {
            (Some(period), Some(item)) => {
                round = item.round;
                item.round += 1;
                item.next = Some(now.instant + period);
            }
            _ => drop(self.waiting.remove(&cid)),
        }
        Some(Event::BecameDue { packet, round })
    }

    /// Returns a predecessor to look for now, and who named it.
    pub(crate) fn next_search(&mut self, now: Instant) -> Option<(ContentId, PeerId)> {
        if !self.is_awake(now) {
            return None;
        }
        let missing = self.waiting.values().find_map(|item| {
            let cid = self.missing(item)?;
            (item.search_at <= now).then_some((cid, item.packet.author()))
        });
        // All who wait for it have it looked for at once.
        for item in self.waiting.values_mut() {
            if missing.is_some_and(|(cid, _)| item.predecessor() == Some(cid)) {
                item.searches += 1;
                item.search_at = now + SEARCH_AGAIN * 8u32.pow(item.searches.min(MAX_SEARCHES));
            }
        }
        self.has_searched |= missing.is_some();
        missing
    }

    /// Call when [`Agenda::poll`] gave nothing more: settles when to look again.
    pub(crate) fn rest(&mut self, now: Instant) {
        if !self.is_awake(now) {
            return;
        }
        let search_at = |item: &Item| {
            self.missing(item)
                .map(|_| item.search_at.max(now + SEARCH_PAUSE))
        };
        let deadlines = self
            .waiting
            .values()
            .filter_map(|item| item.next.or_else(|| search_at(item)));
        self.wake_at = deadlines.min();
        // Who has searched in vain may be due for that.
        self.is_stale = core::mem::take(&mut self.has_searched);
    }

    /// Returns when there may be something to do; in the past where there is something now.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        if self.is_stale || !self.events.is_empty() {
            Some(Instant::ORIGIN)
        } else {
            self.wake_at
        }
    }

    fn is_awake(&self, now: Instant) -> bool {
        self.is_stale || self.wake_at.is_some_and(|at| at <= now)
    }

    fn progress(&self, cid: &ContentId) -> Progress {
        match self.waiting.get(cid) {
            _ if self.never.contains(cid) => Progress::Never,
            _ if self.due.contains(cid) => Progress::Due,
            Some(_) => Progress::Waiting,
            None => Progress::Unknown,
        }
    }

    /// The predecessor of `item` where it is still to be looked for.
    fn missing(&self, item: &Item) -> Option<ContentId> {
        let cid = item.predecessor()?;
        (item.may_search() && !self.is_taken_back(item) && self.progress(&cid) == Progress::Unknown)
            .then_some(cid)
    }

    /// Whether the author of `item` took back what it comes after, before that was known here.
    fn is_taken_back(&self, item: &Item) -> bool {
        item.grave.is_some_and(|name| self.never.contains(&name))
    }

    /// The kinds of packets held back by an `ORDER_FIRST` that waits.
    fn barriers(&self) -> FlatSet<Kind<'_>> {
        let items = self.waiting.values();
        items.filter(|i| i.is_barrier()).map(Item::kind).collect()
    }

    fn standing(&self, item: &Item, barriers: &FlatSet<Kind<'_>>, now: Instant) -> Standing {
        if let Some(next) = item.next {
            return if next <= now {
                Standing::Ready
            } else {
                Standing::Waits
            };
        }
        if let Some(cid) = item.predecessor() {
            let replaces = item.packet.replaces().is_some();
            match self.progress(&cid) {
                Progress::Due => {}
                Progress::Never if replaces => {}
                Progress::Never => return Standing::Doomed(cid),
                Progress::Unknown if self.is_taken_back(item) && replaces => {}
                Progress::Unknown if self.is_taken_back(item) => return Standing::Doomed(cid),
                Progress::Unknown if replaces && !item.may_search() => {}
                Progress::Unknown | Progress::Waiting => return Standing::Waits,
            }
        }
        let is_held = barriers.contains(&item.kind());
        if item.is_met && (item.is_barrier() || !is_held) {
            Standing::Ready
        } else {
            Standing::Waits
        }
    }

    /// Lets packets go where too many wait, of one author or in all.
    fn make_room(&mut self, now: Now) {
        while let Some(packet) = self.one_too_many(now.instant) {
            self.dropped += 1;
            self.remove(&packet, Undue::Crowded, now);
        }
    }

    /// Of the author with the most, the newest packet for which nobody waits: what leads a chain, or opens it, stays.
    fn one_too_many(&self, now: Instant) -> Option<Packet> {
        // Who waited in an earlier run is seen when everything was given back.
        if self.waiting.len() <= MAX_WAITING_OF_AUTHOR || self.is_restoring {
            return None;
        }
        let soon = self.soon_due(now);
        let is_queue_full = self.waiting.len() > MAX_QUEUED;
        let items = self.waiting.values();
        let items: Vec<&Item> = items
            .filter(|i| is_queue_full || !soon.contains(&i.packet.cid()))
            .collect();
        let mut counts: FlatMap<PeerId, usize> = FlatMap::new();
        for item in &items {
            *counts.get_or_insert_with(item.packet.author(), Default::default) += 1;
        }
        let is_full = items.len() > MAX_WAITING;
        let others = counts.into_iter().filter(|(author, count)| {
            *count > MAX_WAITING_OF_AUTHOR || is_full && *author != self.local
        });
        let (crowd, _) = others.max_by_key(|(_, count)| *count)?;
        let waiting = items.iter().copied();
        let awaited: FlatSet<ContentId> = waiting.filter_map(Item::predecessor).collect();
        let waiting = items.iter().copied();
        let of_crowd: Vec<&Item> = waiting.filter(|i| i.packet.author() == crowd).collect();
        let held: FlatSet<&str> = of_crowd
            .iter()
            .filter(|i| !i.is_barrier())
            .map(|i| i.packet.packet_type())
            .collect();
        let is_needed = |item: &Item| {
            awaited.contains(&item.packet.cid())
                || item.is_barrier() && held.contains(item.packet.packet_type())
        };
        let newest = of_crowd
            .into_iter()
            .max_by_key(|i| (!is_needed(i), i.arrived));
        newest.map(|i| i.packet.clone())
    }

    /// What is only to be told yet, and what waits for nothing but that, as far as a few looks show.
    fn soon_due(&self, now: Instant) -> FlatSet<ContentId> {
        let gates = self.waiting.values();
        let gates = gates.filter(|i| i.is_barrier() && !i.is_met);
        let barriers: FlatSet<Kind<'_>> = gates.map(Item::kind).collect();
        // Mostly in the order of a chain.
        let mut items: Vec<&Item> = self.waiting.values().collect();
        items.sort_unstable_by_key(|i| i.arrived);
        let mut soon = FlatSet::new();
        for _ in 0..MAX_LOOKS {
            let before = soon.len();
            for item in &items {
                let follows = item.predecessor().is_some_and(|cid| soon.contains(&cid))
                    && item.is_met
                    && !barriers.contains(&item.kind());
                if follows || self.standing(item, &barriers, now) == Standing::Ready {
                    soon.insert(item.packet.cid());
                }
            }
            if soon.len() == before {
                break;
            }
        }
        soon
    }

    /// Lets go what waits past its end; the library may have forgotten it before.
    pub(crate) fn expire(&mut self, now: Now) {
        let items = self.waiting.values().map(|i| &i.packet);
        let over: Vec<Packet> = items
            .filter(|p| p.expires_at() <= now.wall)
            .cloned()
            .collect();
        for packet in over {
            self.remove(&packet, Undue::Expired, now);
        }
    }

    /// Who comes after `packet` may live longer than it: its turn is remembered as long as any packet lives.
    fn remember_due(&mut self, packet: &Packet, now: Now) {
        let until = now
            .wall
            .saturating_add(Duration::from_secs(MAX_TTL_SECS))
            .max(packet.expires_at());
        self.due
            .insert(packet.author(), packet.cid(), until, now.wall);
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.dropped += 1;
        } else {
            self.events.push_back(event);
        }
    }
}

fn period(packet: &Packet) -> Option<Duration> {
    match packet.instructions().when {
        When::Periodic { secs } => Some(Duration::from_secs(secs).max(MIN_PERIOD)),
        When::Immediate | When::Threshold { .. } => None,
    }
}

/// Packets that wait or come due again. Guess: a look through all of them costs well under a millisecond.
const MAX_WAITING: usize = 512;
/// Those of one author. Guess: a quarter, so that no author takes the room of all others.
const MAX_WAITING_OF_AUTHOR: usize = 128;
/// Looks through all that waits for what is about to be told. Guess: what came in its order needs two.
const MAX_LOOKS: usize = 4;
/// Those, and with them what is due and only to be told yet. Guess: four peers' answers while the owner is slow.
const MAX_QUEUED: usize = 2 * MAX_WAITING;
/// Packets of which is remembered that they were due, and as many that never will be. Source: four libraries' worth.
const MAX_REMEMBERED: usize = 16_384;
/// Those of one author. Guess: a quarter.
const MAX_REMEMBERED_OF_AUTHOR: usize = MAX_REMEMBERED / 4;
/// Events not yet told. Source: the answers to sixteen queries.
const MAX_EVENTS: usize = 4096;
/// Metrics remembered.
pub(crate) const MAX_METRICS: usize = 64;
/// Shortest time from one turn to the next of a packet that is due periodically. Guess: a minute's gossip stays ahead.
pub(crate) const MIN_PERIOD: Duration = Duration::from_secs(10);
/// Time that a predecessor has to come by itself. Guess: gossip that took another way is here by then.
const SEARCH_DELAY: Duration = Duration::from_secs(2);
/// Pause after the first search for a predecessor over eight; eightfold after each. Guess: 1, 8, 64 minutes.
const SEARCH_AGAIN: Duration = Duration::from_millis(7_500);
/// Pause where too much is looked for already.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);
/// Searches for one predecessor; it may still come by itself then.
const MAX_SEARCHES: u32 = 3;
/// Predecessors of predecessors looked for. Guess: longer chains come by catching up or not at all.
const MAX_PULLED: u32 = 64;

#[cfg(test)]
mod tests;
