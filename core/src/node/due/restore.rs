//! What is due after a restart: that is not stored, but read off the packets that were kept.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Agenda, Item, Kind, Standing, Undue, period};
use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    time::{Now, Timestamp},
};

impl Agenda {
    /// Everything an earlier run knew was given back; what was due then counts as due and is not told again. Whether that
    /// was so is not stored: it is taken to have been what nothing holds back, where an `ORDER_FIRST` that waits holds
    /// back what was signed after it. What is periodic comes again at a whole number of periods after its timestamp.
    pub(crate) fn end_restoring(&mut self, now: Now) {
        if !core::mem::replace(&mut self.is_restoring, false) {
            return;
        }
        let order = self.predecessors_first();
        self.settle(&order, now);
        // Those that will never be due were told so, too.
        for cid in &order {
            let Some(item) = self.waiting.get(cid) else {
                continue;
            };
            if let Standing::Doomed(predecessor) = self.standing(item, &FlatSet::new(), now.instant)
            {
                let packet = item.packet.clone();
                self.remove(&packet, Undue::Predecessor(predecessor), now);
            }
        }
        self.events.clear();
        self.is_stale = true;
        self.make_room(now);
    }

    /// Lets what nothing holds back count as due; returns how often it went through `order`.
    pub(super) fn settle(&mut self, order: &[ContentId], now: Now) -> usize {
        for pass in 1..MAX_PASSES {
            let held = self.held_while_away();
            let mut is_settled = true;
            for cid in order {
                let Some(item) = self.waiting.get(cid).filter(|_| !held.contains(cid)) else {
                    continue;
                };
                if self.standing(item, &FlatSet::new(), now.instant) == Standing::Ready {
                    self.count_as_due(*cid, now);
                    is_settled = false;
                }
            }
            if is_settled {
                return pass;
            }
        }
        MAX_PASSES
    }

    /// Everything that waits, the oldest first, but each after what it comes after: an author chooses the time that its packet
    /// says, and so could ask for a pass for each.
    pub(super) fn predecessors_first(&self) -> Vec<ContentId> {
        let items = self.waiting.values().map(|i| &i.packet);
        let mut oldest_first: Vec<_> = items.map(|p| (p.timestamp(), p.cid())).collect();
        oldest_first.sort_unstable();
        let mut placed = FlatSet::new();
        let mut order = Vec::with_capacity(oldest_first.len());
        for (_, cid) in oldest_first {
            let begin = order.len();
            let mut next = Some(cid);
            while let Some(cid) = next
                && let Some(item) = self.waiting.get(&cid)
                && placed.insert(cid)
            {
                order.push(cid);
                next = item.predecessor();
            }
            order[begin..].reverse();
        }
        order
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
}

/// How often all that waits is gone through for what an `ORDER_FIRST` held back. Guess: one that holds back another, and so on,
/// is not so deep; what is left is told once more.
const MAX_PASSES: usize = 16;
