//! What is due after a restart: that is not stored, but read off the packets that were kept.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Agenda, Item, Kind, Standing, Undue, period};
use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    packet::Packet,
    time::{Instant, Now, Timestamp},
};

impl Agenda {
    /// Everything an earlier run knew was given back; what was due then counts as due and is not told again. Whether that
    /// was so is not stored: it is taken to have been what nothing holds back, where an `ORDER_FIRST` that waits holds
    /// back what was signed after it. What is periodic comes again at a whole number of periods after its timestamp.
    pub(crate) fn end_restoring(&mut self, now: Now) {
        if !core::mem::replace(&mut self.is_restoring, false) {
            return;
        }
        let items = self.waiting.values().map(|i| &i.packet);
        let mut order: Vec<_> = items.map(|p| (p.timestamp(), p.cid())).collect();
        // So that one pass settles most chains.
        order.sort_unstable();
        let mut is_settled = false;
        while !is_settled {
            is_settled = true;
            let held = self.held_while_away();
            for (_, cid) in &order {
                let Some(item) = self.waiting.get(cid).filter(|_| !held.contains(cid)) else {
                    continue;
                };
                if self.standing(item, &FlatSet::new(), now.instant) == Standing::Ready {
                    self.count_as_due(*cid, now);
                    is_settled = false;
                }
            }
        }
        // Those that will never be due were told so, too.
        while let Some((packet, predecessor)) = self.next_doomed(now.instant) {
            self.remove(&packet, Undue::Predecessor(predecessor), now);
        }
        self.events.clear();
        self.is_stale = true;
        self.make_room(now);
    }

    fn held_while_away(&self) -> FlatSet<ContentId> {
        let mut gates: FlatMap<Kind<'_>, Timestamp> = FlatMap::new();
        for item in self.waiting.values().filter(|i| i.is_barrier()) {
            let signed_at = item.packet.timestamp();
            let gate = gates.get_or_insert_with(item.kind(), || signed_at);
            *gate = signed_at.min(*gate);
        }
        let is_held = |item: &&Item| {
            let gate = gates.get(&item.kind());
            !item.is_barrier() && gate.is_some_and(|gate| *gate <= item.packet.timestamp())
        };
        let held = self.waiting.values().filter(is_held);
        held.map(|i| i.packet.cid()).collect()
    }

    /// What was due before now, of an earlier run.
    fn count_as_due(&mut self, cid: ContentId, now: Now) {
        let Some(item) = self.waiting.get_mut(&cid) else {
            return;
        };
        let packet = item.packet.clone();
        if let Some(period) = period(&packet) {
            let signed_at = packet.timestamp().as_millis();
            let (age, period) = (
                now.wall.as_millis().saturating_sub(signed_at),
                period.as_millis() as u64,
            );
            item.round = age / period + 1;
            item.next = Some(now.instant + Duration::from_millis(period - age % period));
        } else {
            self.waiting.remove(&cid);
        }
        self.remember_due(&packet, now);
    }

    fn next_doomed(&self, now: Instant) -> Option<(Packet, ContentId)> {
        self.waiting
            .values()
            .find_map(|item| match self.standing(item, &FlatSet::new(), now) {
                Standing::Doomed(predecessor) => Some((item.packet.clone(), predecessor)),
                Standing::Waits | Standing::Ready => None,
            })
    }
}
