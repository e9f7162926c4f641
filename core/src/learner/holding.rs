//! Who holds which classes, as the latest packets of the connected peers say, and what this node takes for itself.
//!
//! A node that knows what the others hold takes what they hold least. Where some are connected that have not said,
//! because they started at the same moment, it reckons that they choose as it does, one after the other in the order of
//! their ids. Where classes are missing all the same, one node after the other changes: those that can add a missing
//! class without giving up one that only they hold stand in the order of their ids, and the first changes; one that
//! does not (its classes may be given, or it may be another program) holds up the next for [`PATIENCE`] exchanges only.
//! Each change covers a class more and uncovers none, so that four or more nodes end with all ten, and then nobody
//! changes. Each change makes the next of the same node slower, so that a liar cannot keep it jumping.
//!
//! What it does not do: it believes a peer about what that peer trained on. One that claims more than a node takes is
//! shown, but not relied upon.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::learner::classes::{Classes, MOST_HELD, Tally};
use crate::time::{Instant, Timestamp};

/// What one node knows about who holds what.
#[derive(Clone, Debug)]
pub(super) struct Holdings<P> {
    me: P,
    seed: u64,
    own: Classes,
    is_given: bool,
    connected: BTreeSet<P>,
    claims: BTreeMap<P, Claim>,
    claim_for: Duration,
    max_peers: usize,
    /// Exchanges in a row after which this node could have added a missing class.
    waited: u32,
    changes: u32,
}

/// What a peer last said.
#[derive(Clone, Copy, Debug)]
struct Claim {
    classes: Classes,
    /// By the peer's clock.
    said: Timestamp,
    lapses_at: Instant,
}

impl<P: Copy + Ord> Holdings<P> {
    /// Creates the holdings of node `me`, which knows of at most `max_peers` and believes a claim for `claim_for`.
    pub(super) fn new(me: P, seed: u64, claim_for: Duration, max_peers: usize) -> Self {
        Self {
            me,
            seed,
            own: Classes::default(),
            is_given: false,
            connected: BTreeSet::new(),
            claims: BTreeMap::new(),
            claim_for,
            max_peers,
            waited: 0,
            changes: 0,
        }
    }

    /// Fixes what this node holds, for good.
    pub(super) fn give(&mut self, classes: Classes) {
        self.own = classes;
        self.is_given = true;
    }

    /// Returns what this node holds; nothing before it has chosen.
    pub(super) fn own(&self) -> Classes {
        self.own
    }

    /// Returns how often this node changed what it holds.
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// Returns what the connected peers say they hold.
    pub(super) fn others(&self) -> Classes {
        self.current()
            .map(|(_, claim)| claim.classes)
            .fold(Classes::default(), Classes::union)
    }

    /// Returns the connected peers.
    pub(super) fn connected(&self) -> impl Iterator<Item = P> {
        self.connected.iter().copied()
    }

    /// Time has passed: what was said too long ago is no longer believed.
    pub(super) fn on_time(&mut self, now: Instant) {
        self.claims.retain(|_, claim| now < claim.lapses_at);
    }

    /// A peer is connected. Says whether there is room to know of it.
    pub(super) fn on_up(&mut self, peer: P) -> bool {
        self.connected.contains(&peer)
            || (peer != self.me
                && self.connected.len() < self.max_peers
                && self.connected.insert(peer))
    }

    /// A peer is gone, and what it held with it.
    pub(super) fn on_down(&mut self, peer: P) {
        self.connected.remove(&peer);
        self.claims.remove(&peer);
    }

    /// A peer's packet says, at `said` by its clock, that it holds `classes`; `None` where it says nothing that can be
    /// understood. A packet may overtake the news of a connection.
    pub(super) fn on_claim(
        &mut self,
        now: Instant,
        peer: P,
        said: Timestamp,
        classes: Option<Classes>,
    ) {
        if peer == self.me || self.claims.get(&peer).is_some_and(|last| last.said > said) {
            return;
        }
        self.claims.remove(&peer);
        let Some(classes) = classes else {
            return;
        };
        if self.claims.len() >= self.max_peers {
            let stranger = |peer: &&P| !self.connected.contains(peer);
            let Some(stranger) = self.claims.keys().find(stranger).copied() else {
                return;
            };
            self.claims.remove(&stranger);
        }
        let lapses_at = now + self.claim_for;
        self.claims.insert(
            peer,
            Claim {
                classes,
                said,
                lapses_at,
            },
        );
    }

    /// Says whether every connected peer, and one at the least, has said what it holds.
    pub(super) fn have_all_said(&self) -> bool {
        !self.connected.is_empty() && self.current().count() == self.connected.len()
    }

    /// Returns when the next claim is no longer believed, [`Instant::MAX`] where there is none.
    pub(super) fn lapses_at(&self) -> Instant {
        self.claims
            .values()
            .map(|claim| claim.lapses_at)
            .min()
            .unwrap_or(Instant::MAX)
    }

    /// Chooses what this node holds, where it has not.
    pub(super) fn choose(&mut self) {
        if self.is_given || !self.own.is_empty() {
            return;
        }
        let mut tally: Tally = self.countable().map(|(_, classes)| classes).collect();
        let is_silent = |peer: &P| !self.claims.contains_key(peer);
        let silent: BTreeSet<P> = self.connected().filter(is_silent).collect();
        // In turn, where some have not said; that is of use only where all begin at the same class.
        let start = if silent.is_empty() { self.seed } else { 0 };
        for _ in silent.range(..self.me) {
            tally = tally.with(tally.least(start));
        }
        self.own = tally.least(start);
    }

    /// After an exchange: changes what this node holds, where that adds a class that nobody holds and it is this node's
    /// turn. Says whether it did.
    pub(super) fn reconsider(&mut self) -> bool {
        let others: Tally = self.countable().map(|(_, classes)| classes).collect();
        let better = others
            .better(self.own)
            .filter(|_| !self.is_given && !self.own.is_empty());
        let Some(better) = better else {
            self.waited = 0;
            return false;
        };
        let all = others.with(self.own);
        let can_add =
            |(_, classes): &(P, Classes)| all.without(*classes).better(*classes).is_some();
        let ahead = self
            .countable()
            .filter(|(peer, _)| *peer < self.me)
            .filter(can_add)
            .count();
        // Twice freely: what was chosen without news, and what a peer that left had held. Then ever slower.
        let pause = (1 << self.changes.saturating_sub(1).min(MAX_PAUSE)) - 1;
        self.waited = self.waited.saturating_add(1);
        if self.waited <= SURE + PATIENCE.saturating_mul(ahead as u32).max(pause) {
            return false;
        }
        self.own = better;
        self.waited = 0;
        self.changes = self.changes.saturating_add(1);
        true
    }

    /// What the connected peers hold.
    fn current(&self) -> impl Iterator<Item = (P, Claim)> {
        self.claims
            .iter()
            .filter(|(peer, _)| self.connected.contains(peer))
            .map(|(&peer, &claim)| (peer, claim))
    }

    /// What can be relied upon: claims of no more than a node takes.
    fn countable(&self) -> impl Iterator<Item = (P, Classes)> {
        self.current()
            .map(|(peer, claim)| (peer, claim.classes))
            .filter(|(_, classes)| classes.len() <= MOST_HELD)
    }
}

/// Exchanges for which a change stays possible before it is made: by then all have heard of the change before it.
const SURE: u32 = 1;
/// Exchanges for which each node whose turn is earlier is waited for. Guess: twice [`SURE`], and one that was late.
const PATIENCE: u32 = 3;
/// The longest pause between changes is 2 to this power, in exchanges. Guess: two minutes once settled.
const MAX_PAUSE: u32 = 6;

#[cfg(test)]
mod tests;
