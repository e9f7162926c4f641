//! Names remembered for a time, shared fairly among the authors who caused them.
//!
//! Unlike a [`ReplayGuard`](crate::packet::ReplayGuard) it refuses nothing: where there is no room, the oldest name of
//! the author with the most goes, so that who floods it forgets its own.

use crate::{
    digest::ContentId,
    flat::{FlatMap, FlatSet},
    key::PeerId,
    packet::MAX_CLOCK_SKEW,
    time::Timestamp,
};

#[derive(Debug)]
pub(crate) struct Memory {
    capacity: usize,
    per_author: usize,
    names: FlatMap<ContentId, Entry>,
    /// The names of each author in the order in which they came.
    authors: FlatMap<PeerId, FlatMap<u64, ContentId>>,
    /// How many names each author has, so that the one with the most is found at once.
    counts: FlatSet<(usize, PeerId)>,
    by_end: FlatSet<(Timestamp, ContentId)>,
    next: u64,
    dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    author: PeerId,
    place: u64,
    end: Timestamp,
}

impl Memory {
    /// Room for `capacity` names, and for `per_author` of one author.
    pub(crate) fn new(capacity: usize, per_author: usize) -> Self {
        Self {
            capacity,
            per_author,
            names: FlatMap::new(),
            authors: FlatMap::new(),
            counts: FlatSet::new(),
            by_end: FlatSet::new(),
            next: 0,
            dropped: 0,
        }
    }

    /// Remembers `name` until `until` and as long after as a clock may be off; of two ends the later counts. O(log n),
    /// and what is over is forgotten, amortised.
    pub(crate) fn insert(
        &mut self,
        author: PeerId,
        name: ContentId,
        until: Timestamp,
        now: Timestamp,
    ) {
        self.forget_expired(now);
        let end = until.saturating_add(MAX_CLOCK_SKEW);
        if end < now {
            return;
        }
        if let Some(entry) = self.names.get_mut(&name) {
            if entry.end < end {
                self.by_end.remove(&(entry.end, name));
                self.by_end.insert((end, name));
                entry.end = end;
            }
            return;
        }
        let crowded = if self.count(&author) >= self.per_author {
            Some(author)
        } else if self.names.len() >= self.capacity {
            self.counts.last().map(|(_, most)| *most)
        } else {
            None
        };
        if let Some(crowded) = crowded
            && let Some(oldest) = self
                .authors
                .get(&crowded)
                .and_then(|names| names.values().next())
        {
            let oldest = *oldest;
            self.dropped += 1;
            self.remove(&oldest);
        }
        let place = self.next;
        self.next += 1;
        self.names.insert(name, Entry { author, place, end });
        self.by_end.insert((end, name));
        let count = self.count(&author);
        self.authors
            .get_or_insert_with(author, Default::default)
            .insert(place, name);
        self.recount(author, count);
    }

    pub(crate) fn contains(&self, name: &ContentId) -> bool {
        self.names.contains_key(name)
    }

    /// Forgets a name; returns whether it was remembered.
    pub(crate) fn remove(&mut self, name: &ContentId) -> bool {
        let Some(Entry { author, place, end }) = self.names.remove(name) else {
            return false;
        };
        self.by_end.remove(&(end, *name));
        let count = self.count(&author);
        if let Some(names) = self.authors.get_mut(&author) {
            names.remove(&place);
            if names.is_empty() {
                self.authors.remove(&author);
            }
        }
        self.recount(author, count);
        true
    }

    /// Names forgotten before their end, for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets what is over; `insert` does the same.
    pub(crate) fn forget_expired(&mut self, now: Timestamp) {
        while let Some(&(end, name)) = self.by_end.first()
            && end < now
        {
            self.remove(&name);
        }
    }

    fn count(&self, author: &PeerId) -> usize {
        self.authors.get(author).map_or(0, FlatMap::len)
    }

    fn recount(&mut self, author: PeerId, before: usize) {
        self.counts.remove(&(before, author));
        let count = self.count(&author);
        if count > 0 {
            self.counts.insert((count, author));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{digest::Codec, key::Keypair};

    fn name(n: u32) -> ContentId {
        ContentId::of(Codec::Raw, &n.to_be_bytes())
    }

    fn author(n: u8) -> PeerId {
        Keypair::from_seed(&[n; 32]).peer_id()
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn who_floods_a_memory_forgets_its_own_oldest_names() {
        let mut memory = Memory::new(8, 6);
        memory.insert(author(1), name(100), at(100), at(0));
        memory.insert(author(2), name(101), at(100), at(0));
        for n in 0..20 {
            memory.insert(author(3), name(n), at(100), at(0));
        }
        assert!(memory.contains(&name(100)) && memory.contains(&name(101)));
        let kept: Vec<u32> = (0..20).filter(|n| memory.contains(&name(*n))).collect();
        assert_eq!(kept, [14, 15, 16, 17, 18, 19]);
        assert_eq!(memory.dropped(), 14);
        memory.insert(author(1), name(102), at(100), at(0));
        assert!(!memory.contains(&name(14)) && memory.contains(&name(102)));
    }

    #[test]
    fn a_name_is_forgotten_after_its_end_and_the_skew_of_clocks() {
        let mut memory = Memory::new(8, 8);
        let skew = MAX_CLOCK_SKEW.as_secs();
        memory.insert(author(1), name(1), at(100), at(0));
        memory.insert(author(1), name(1), at(200), at(0));
        memory.insert(author(2), name(2), at(300), at(200 + skew));
        assert!(memory.contains(&name(1)), "the later end counts");
        memory.insert(author(2), name(2), at(300), at(201 + skew));
        assert!(!memory.contains(&name(1)));
        assert_eq!((memory.names.len(), memory.authors.len()), (1, 1));
        assert_eq!((memory.counts.len(), memory.by_end.len()), (1, 1));
    }
}
