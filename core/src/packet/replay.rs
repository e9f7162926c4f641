//! Memory of the packets already seen, so that none is taken twice while it is alive.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::{MAX_CLOCK_SKEW, Packet};
use crate::bounds::LimitError;
use crate::digest::ContentId;
use crate::key::PeerId;
use crate::time::Timestamp;

/// What a [`ReplayGuard`] is allowed to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Packets remembered. Default 65 536, about 10 MB. Guess: a thousand peers at one packet a minute for an hour.
    pub capacity: usize,
    /// Packets remembered of one author. Default 4096. Guess: a sixteenth of the whole, so that no author fills it.
    pub per_author: usize,
    /// How long past its end a packet may still be accepted, and so has to be remembered. Default
    /// [`MAX_CLOCK_SKEW`]; the same as the policy's.
    pub max_skew: Duration,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            capacity: 65_536,
            per_author: 4096,
            max_skew: MAX_CLOCK_SKEW,
        }
    }
}

impl ReplayConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`LimitError`] where `per_author` is above `capacity`, or `capacity` above 2²⁴.
    pub fn validate(&self) -> Result<(), LimitError> {
        LimitError::check_len("replay capacity (packets)", self.capacity, 1 << 24)?;
        LimitError::check_len(
            "replay capacity per author (packets)",
            self.per_author,
            self.capacity,
        )
    }
}

/// What the guard says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Not seen before; remembered now.
    Fresh,
    /// Seen before.
    Duplicate,
    /// No longer alive, so it is not remembered.
    Expired,
    /// No room to remember it, so that it must not be taken: it could be replayed.
    Full,
}

/// Remembers packets until they can no longer be replayed. Memory is bounded by [`ReplayConfig`]; a call costs O(log n)
/// and frees what has expired, amortised.
///
/// Nothing is forgotten early: an attacker who fills the guard can delay packets, never make one count twice.
#[derive(Clone, Debug, Default)]
pub struct ReplayGuard {
    config: ReplayConfig,
    seen: BTreeMap<ContentId, Option<PeerId>>,
    by_end: BTreeSet<(Timestamp, ContentId)>,
    authors: BTreeMap<PeerId, usize>,
    refused: u64,
}

impl ReplayGuard {
    /// Starts with nothing seen.
    pub const fn new(config: ReplayConfig) -> Self {
        Self {
            config,
            seen: BTreeMap::new(),
            by_end: BTreeSet::new(),
            authors: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Remembers a packet that ends at `expires_at`. Only the whole is bounded, not the author's share: use
    /// [`ReplayGuard::insert_packet`] for what peers send.
    pub fn insert(&mut self, cid: ContentId, expires_at: Timestamp, now: Timestamp) -> Admission {
        self.admit(cid, None, expires_at, now)
    }

    /// Remembers a packet, within its author's share.
    pub fn insert_packet(&mut self, packet: &Packet, now: Timestamp) -> Admission {
        self.admit(
            packet.cid(),
            Some(packet.author()),
            packet.expires_at(),
            now,
        )
    }

    /// Remembers a name that `author` gave, until `expires_at`, within that author's share.
    pub fn insert_of(
        &mut self,
        author: PeerId,
        name: ContentId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Admission {
        self.admit(name, Some(author), expires_at, now)
    }

    /// Tells whether a packet is remembered.
    pub fn contains(&self, cid: &ContentId) -> bool {
        self.seen.contains_key(cid)
    }

    /// Returns how many packets are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Tells whether no packet is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Returns how many packets were refused for want of room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Forgets what can no longer be replayed. `insert` does the same.
    pub fn evict(&mut self, now: Timestamp) {
        while let Some(&(end, cid)) = self.by_end.first() {
            if end >= now {
                break;
            }
            self.by_end.pop_first();
            if let Some(Some(author)) = self.seen.remove(&cid) {
                self.release(author);
            }
        }
    }

    fn admit(
        &mut self,
        cid: ContentId,
        author: Option<PeerId>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Admission {
        self.evict(now);
        if self.seen.contains_key(&cid) {
            return Admission::Duplicate;
        }
        let end = expires_at.saturating_add(self.config.max_skew);
        if end < now {
            return Admission::Expired;
        }
        let share = author
            .and_then(|author| self.authors.get(&author))
            .copied()
            .unwrap_or_default();
        if self.seen.len() >= self.config.capacity
            || (author.is_some() && share >= self.config.per_author)
        {
            self.refused = self.refused.saturating_add(1);
            return Admission::Full;
        }
        self.seen.insert(cid, author);
        self.by_end.insert((end, cid));
        if let Some(author) = author {
            self.authors.insert(author, share + 1);
        }
        Admission::Fresh
    }

    fn release(&mut self, author: PeerId) {
        match self.authors.get_mut(&author) {
            Some(share) if *share > 1 => *share -= 1,
            _ => {
                self.authors.remove(&author);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Codec;
    use crate::key::Keypair;
    use crate::packet::PacketDraft;

    const SKEW: Duration = Duration::from_secs(10);

    fn guard(capacity: usize, per_author: usize) -> ReplayGuard {
        ReplayGuard::new(ReplayConfig {
            capacity,
            per_author,
            max_skew: SKEW,
        })
    }

    fn cid(n: u8) -> ContentId {
        ContentId::of(Codec::DagCbor, &[n])
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn a_packet_counts_once_until_it_can_no_longer_be_accepted() {
        let mut guard = guard(8, 8);
        assert_eq!(guard.insert(cid(1), at(100), at(0)), Admission::Fresh);
        assert_eq!(guard.insert(cid(1), at(100), at(50)), Admission::Duplicate);
        assert_eq!(guard.insert(cid(1), at(100), at(110)), Admission::Duplicate);
        assert_eq!(guard.insert(cid(1), at(100), at(111)), Admission::Expired);
        assert!(guard.is_empty() && guard.authors.is_empty() && guard.by_end.is_empty());
    }

    #[test]
    fn a_full_guard_refuses_and_counts_but_forgets_nothing() {
        let mut guard = guard(2, 2);
        assert_eq!(guard.insert(cid(1), at(100), at(0)), Admission::Fresh);
        assert_eq!(guard.insert(cid(2), at(20), at(0)), Admission::Fresh);
        assert_eq!(guard.insert(cid(3), at(100), at(0)), Admission::Full);
        assert_eq!((guard.len(), guard.refused()), (2, 1));
        assert_eq!(guard.insert(cid(1), at(100), at(0)), Admission::Duplicate);
        assert_eq!(guard.insert(cid(3), at(100), at(31)), Admission::Fresh);
    }

    #[test]
    fn one_author_cannot_take_the_room_of_another() {
        let mut guard = guard(8, 2);
        let packet = |seed: u8, content: u8| {
            let draft = PacketDraft::inline("test", alloc::vec![content]);
            draft
                .sign(&Keypair::from_seed(&[seed; 32]), "main", at(0))
                .unwrap()
        };
        for content in 0..2 {
            assert_eq!(
                guard.insert_packet(&packet(1, content), at(0)),
                Admission::Fresh
            );
        }
        assert_eq!(guard.insert_packet(&packet(1, 2), at(0)), Admission::Full);
        assert_eq!(guard.insert_packet(&packet(2, 2), at(0)), Admission::Fresh);
        guard.evict(Timestamp::MAX);
        assert_eq!((guard.len(), guard.authors.len()), (0, 0));
    }

    #[test]
    fn bounds_that_contradict_each_other_are_named() {
        assert_eq!(ReplayConfig::default().validate(), Ok(()));
        let error = ReplayConfig {
            capacity: 1,
            per_author: 2,
            max_skew: SKEW,
        }
        .validate()
        .unwrap_err();
        assert_eq!((error.got, error.max), (2, 1));
    }
}
