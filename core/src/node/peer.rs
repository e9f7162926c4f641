//! The peers a node knows: how each is reached, what it answers, whom to dial next.

use core::time::Duration;

use crate::{flat::FlatMap, key::PeerId, time::Instant};

/// How a connection reaches a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Packets and blocks flow: WebRTC between tabs, WebSocket, TCP or QUIC to a relay or native peer.
    Direct,
    /// A circuit through a relay: only identify, ping and signaling flow.
    Relayed,
}

/// What a peer is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has not said yet.
    Unknown,
    /// A member of the mesh.
    Member,
    /// A relay: a member that also introduces others and stores blocks.
    Relay,
    /// It speaks libp2p but not this network's protocols.
    Stranger,
}

/// One connected peer, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// The best path there is.
    pub path: Path,
    /// What it is.
    pub role: Role,
    /// Last round-trip time.
    pub round_trip: Option<Duration>,
    /// Packets first learned from it.
    pub packets_in: u64,
    /// Block bytes received from it and verified.
    pub bytes_in: u64,
    /// Block bytes served to it.
    pub bytes_out: u64,
    /// Refused messages, garbage blocks and the like.
    pub faults: u32,
}

/// A peer with at least one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connections: FlatMap<u64, Path>,
    pub(crate) role: Role,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) faults: u32,
    pub(crate) in_flight: usize,
    pub(crate) queried: bool,
    /// How often it was asked what it knows, and when last.
    pub(crate) catch_ups: u32,
    pub(crate) caught_up_at: Option<Instant>,
    pub(crate) bucket: Bucket,
}

impl Peer {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            connections: FlatMap::new(),
            role: Role::Unknown,
            round_trip: None,
            packets_in: 0,
            bytes_in: 0,
            bytes_out: 0,
            faults: 0,
            in_flight: 0,
            queried: false,
            catch_ups: 0,
            caught_up_at: None,
            bucket: Bucket::new(REQUEST_BURST, now),
        }
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.connections.values().any(|path| *path == Path::Direct)
    }

    pub(crate) fn info(&self, peer: PeerId) -> PeerInfo {
        PeerInfo {
            peer,
            path: if self.is_direct() {
                Path::Direct
            } else {
                Path::Relayed
            },
            role: self.role,
            round_trip: self.round_trip,
            packets_in: self.packets_in,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            faults: self.faults,
        }
    }
}

/// A token bucket: `REQUEST_RATE` a second, up to its burst.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    burst: f64,
    filled: Instant,
}

impl Bucket {
    fn new(burst: f64, now: Instant) -> Self {
        Self {
            tokens: burst,
            burst,
            filled: now,
        }
    }

    /// Takes `cost` tokens, or the whole burst where it costs more; nothing where there are not so many.
    pub(crate) fn take(&mut self, cost: f64, now: Instant) -> bool {
        let secs = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + secs * REQUEST_RATE).min(self.burst);
        let cost = cost.min(self.burst);
        if self.tokens < cost {
            return false;
        }
        self.tokens -= cost;
        true
    }
}

/// Peers heard of but not directly connected: when each may be dialled (again).
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: FlatMap<PeerId, Candidate>,
    /// Candidates not kept because the table was full.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Candidate {
    heard: Instant,
    not_before: Instant,
    failures: u32,
    dialling: bool,
}

impl Candidates {
    pub(crate) fn heard_of(&mut self, peer: PeerId, now: Instant) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.heard = now;
            return;
        }
        if self.known.len() >= MAX_CANDIDATES {
            let oldest = self
                .known
                .iter()
                .filter(|(_, c)| !c.dialling)
                .min_by_key(|(_, c)| c.heard)
                .map(|(p, _)| *p);
            self.dropped += 1;
            match oldest {
                Some(oldest) => drop(self.known.remove(&oldest)),
                None => return,
            }
        }
        self.known.insert(
            peer,
            Candidate {
                heard: now,
                not_before: now,
                failures: 0,
                dialling: false,
            },
        );
    }

    pub(crate) fn succeeded(&mut self, peer: &PeerId) {
        self.known.remove(peer);
    }

    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant) {
        let Some(known) = self.known.get_mut(&peer) else {
            return;
        };
        known.dialling = false;
        known.failures += 1;
        if known.failures > FORGET_AFTER {
            self.known.remove(&peer);
            return;
        }
        known.not_before = now + RETRY_FIRST * 2u32.pow(known.failures.min(5));
    }

    pub(crate) fn dialling(&self) -> usize {
        self.known.values().filter(|c| c.dialling).count()
    }

    /// Takes the candidate heard of last that may be dialled now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<PeerId> {
        let (peer, candidate) = self
            .known
            .iter_mut()
            .filter(|(_, c)| !c.dialling && c.not_before <= now)
            .max_by_key(|(_, c)| (core::cmp::Reverse(c.failures), c.heard))?;
        candidate.dialling = true;
        Some(*peer)
    }

    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.known
            .values()
            .filter(|c| !c.dialling)
            .map(|c| c.not_before)
            .min()
    }

    /// Lets every candidate be dialled at once: the network came back.
    pub(crate) fn reset(&mut self, now: Instant) {
        for candidate in self.known.values_mut() {
            candidate.not_before = now;
            candidate.failures = 0;
        }
    }
}

/// Requests a peer may send a second, on average. Source: 64 MiB in 256 KiB leaves within a second.
const REQUEST_RATE: f64 = 256.0;
/// Requests a peer may send at once. Guess: four seconds' worth.
const REQUEST_BURST: f64 = 1024.0;
/// Peers remembered without a connection. Guess: a few Kademlia answers' worth.
const MAX_CANDIDATES: usize = 256;
/// Failed dials after which a peer is forgotten until somebody names it again. Guess.
const FORGET_AFTER: u32 = 6;
/// Time before the first retry; doubles each time. Guess: longer than a failed ICE check takes to clean up.
const RETRY_FIRST: Duration = Duration::from_secs(1);
