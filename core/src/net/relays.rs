//! The relays that a node holds on to: connects, reserves a place, and gets both back after a loss.
//!
//! rust-libp2p's relay client reports neither a failed nor a lost reservation: the listener just closes (field notes §4).

use crate::flat::FlatMap;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, core::transport::ListenerId};

use crate::time::Instant;

/// One relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: Multiaddr,
    pub(crate) connected: bool,
    pub(crate) listener: Option<ListenerId>,
    pub(crate) reserved: bool,
    failures: u32,
    retry_at: Instant,
    /// Not before this moment is a place asked for.
    reserve_at: Instant,
}

/// What to do about a relay now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Connect.
    Dial(PeerId, Multiaddr),
    /// Ask for a place.
    Reserve(PeerId, Multiaddr),
}

impl Relay {
    fn due_at(&self) -> Instant {
        if self.connected {
            self.retry_at.max(self.reserve_at)
        } else {
            self.retry_at
        }
    }
}

#[derive(Debug)]
pub(crate) struct Relays {
    pub(crate) table: FlatMap<PeerId, Relay>,
    reserve: bool,
}

impl Relays {
    pub(crate) fn new(
        relays: impl Iterator<Item = (PeerId, Multiaddr)>,
        reserve: bool,
        now: Instant,
    ) -> Self {
        let relay = |address| Relay {
            address,
            connected: false,
            listener: None,
            reserved: false,
            failures: 0,
            retry_at: now,
            reserve_at: now,
        };
        let mut table = FlatMap::new();
        for (peer, address) in relays {
            if table.len() < MAX_RELAYS {
                table.get_or_insert_with(peer, || relay(address));
            }
        }
        Self { table, reserve }
    }

    /// Returns what is due, and does not return it again before the retry time.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        for (peer, relay) in self.table.iter_mut() {
            let is_settled = relay.connected && (!self.reserve || relay.listener.is_some());
            if is_settled || relay.due_at() > now {
                continue;
            }
            relay.retry_at = now + RETRY_FIRST * 2u32.pow(relay.failures.min(3));
            relay.failures += 1;
            let address = relay.address.clone();
            actions.push(if relay.connected {
                Action::Reserve(*peer, address)
            } else {
                Action::Dial(*peer, address)
            });
        }
        actions
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let waits = |relay: &&Relay| !relay.connected || (self.reserve && relay.listener.is_none());
        self.table.values().filter(waits).map(Relay::due_at).min()
    }

    pub(crate) fn on_connected(&mut self, peer: &PeerId, now: Instant) -> bool {
        let Some(relay) = self.table.get_mut(peer) else {
            return false;
        };
        relay.connected = true;
        relay.retry_at = now;
        relay.reserve_at = now + RESERVE_LATER;
        relay.failures = 0;
        true
    }

    /// The newcomer's own search is over and nobody is being dialled: there is time now to become reachable.
    pub(crate) fn reserve_now(&mut self, now: Instant) {
        for relay in self.table.values_mut() {
            relay.reserve_at = relay.reserve_at.min(now);
        }
    }

    /// Returns the listener to remove.
    pub(crate) fn on_disconnected(&mut self, peer: &PeerId, now: Instant) -> Option<ListenerId> {
        let relay = self.table.get_mut(peer)?;
        relay.connected = false;
        relay.reserved = false;
        relay.retry_at = now + RETRY_FIRST;
        relay.listener.take()
    }

    /// Returns whose listener it was, if it was a relay's.
    pub(crate) fn on_listener_closed(&mut self, id: ListenerId) -> Option<PeerId> {
        let (peer, relay) = self
            .table
            .iter_mut()
            .find(|(_, relay)| relay.listener == Some(id))?;
        relay.listener = None;
        relay.reserved = false;
        Some(*peer)
    }

    pub(crate) fn on_reserved(&mut self, peer: &PeerId) {
        if let Some(relay) = self.table.get_mut(peer) {
            relay.reserved = true;
            relay.failures = 0;
        }
    }

    /// The network is back: try at once.
    pub(crate) fn wake(&mut self, now: Instant) {
        for relay in self.table.values_mut() {
            relay.failures = 0;
            relay.retry_at = now;
        }
    }
}

/// Relays held on to. Guess: two for safety, one spare.
const MAX_RELAYS: usize = 3;
/// Pause before the first retry; doubles to eight times as much. Source: reservations return within 15 s.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest wait of the reservation for the first search. Guess: a newcomer has met those it found by then.
const RESERVE_LATER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn relays() -> (Relays, PeerId, Instant) {
        let peer = PeerId::random();
        let now = Instant::from_micros(0);
        let address = "/ip4/127.0.0.1/tcp/9001/ws".parse().unwrap();
        (
            Relays::new([(peer, address)].into_iter(), true, now),
            peer,
            now,
        )
    }

    fn asks_for_a_place(actions: &[Action]) -> bool {
        matches!(actions, [Action::Reserve(..)])
    }

    #[test]
    fn a_relay_that_does_not_answer_is_dialled_again_ever_later() {
        let (mut relays, _, start) = relays();
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(matches!(relays.due(now)[..], [Action::Dial(..)]));
            assert!(relays.due(now).is_empty(), "once");
            let next = relays.wake_at().unwrap();
            pauses.push(next.saturating_duration_since(now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn a_place_is_asked_for_once_the_search_is_over_or_has_had_its_time() {
        let (mut relays, peer, start) = relays();
        relays.due(start);
        assert!(relays.on_connected(&peer, start));
        assert!(relays.due(start).is_empty());
        assert_eq!(relays.wake_at(), Some(start + RESERVE_LATER));
        assert!(asks_for_a_place(&relays.due(start + RESERVE_LATER)));

        assert!(relays.on_connected(&peer, start + SECOND));
        assert!(relays.due(start + SECOND).is_empty());
        relays.reserve_now(start + SECOND);
        assert!(asks_for_a_place(&relays.due(start + SECOND)));
    }

    #[test]
    fn a_lost_place_is_asked_for_again() {
        let (mut relays, peer, start) = relays();
        relays.on_connected(&peer, start);
        let listener = ListenerId::next();
        relays.table.get_mut(&peer).unwrap().listener = Some(listener);
        relays.on_reserved(&peer);
        assert_eq!(relays.wake_at(), None);
        assert_eq!(relays.on_listener_closed(listener), Some(peer));
        assert!(asks_for_a_place(&relays.due(start + SECOND)));
    }
}
