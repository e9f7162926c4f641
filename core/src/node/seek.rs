//! How the node gets blocks: whom it asks, what it does with the answers, when it gives up.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Event, FETCH_PATIENCE, Failure, Node, NodeError, Output, Request, Response, Role, SentFor,
    fetch::{Fetch, Purpose},
    message::MAX_HOPS,
    peer::Peer,
    serve::packet_size,
    want::{Stage, Waiter, Want},
};
use crate::{
    digest::{Codec, ContentId},
    flat::FlatSet,
    key::PeerId,
    packet::{
        Packet,
        block::{Assembly, Block, HASH_STEP, Manifest},
    },
    time::Instant,
};

/// Blocks looked for at once. Guess: sixteen objects' windows and as many askers.
pub(super) const MAX_WANTS: usize = 1024;
/// Objects fetched at once. Guess.
pub(super) const MAX_FETCHES: usize = 64;
/// Leaves of one object asked for at once. Source: `bench transfer`, beyond it throughput no longer rises.
const LEAF_WINDOW: usize = 12;
/// Requests outstanding at one peer. Guess: keeps a channel busy across one round trip.
const PEER_WINDOW: usize = 8;
/// Peers asked for one block before the node waits for news.
const MAX_TRIED: usize = 12;
/// Pause before everybody is asked again. Guess.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Pause between DHT searches for one object.
const SEARCH_AGAIN: Duration = Duration::from_secs(5);

enum Choice {
    Ask(PeerId),
    /// Somebody could be asked, but is busy now.
    Wait,
    Nobody,
}

impl Node {
    pub(super) fn start_fetch(&mut self, purpose: Purpose, cid: ContentId, hints: &[PeerId]) {
        let unstored = self.counters.blocks_unstored;
        let mut fetch = Fetch::new(purpose, cid, self.now.instant, unstored);
        hints.iter().for_each(|peer| fetch.provided_by(*peer));
        self.begin(fetch);
    }

    pub(super) fn begin(&mut self, fetch: Fetch) {
        let (id, cid) = (self.fresh_id(), fetch.cid);
        self.fetches.insert(id, fetch);
        match self.library.get(&cid).cloned() {
            Some(packet) => self.on_fetch_packet(id, packet),
            None => self.want_for(id, cid),
        }
    }

    pub(super) fn want_for(&mut self, id: u64, cid: ContentId) {
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        fetch.waiting.insert(cid);
        let hints = fetch.providers.clone();
        self.want(cid, Waiter::Fetch(id), &hints, MAX_HOPS);
    }

    /// Registers that `waiter` waits for a block; the store is asked first.
    pub(super) fn want(&mut self, cid: ContentId, waiter: Waiter, hints: &[PeerId], hops: u8) {
        let now = self.now.instant;
        self.next_seek = self.next_seek.min(now + SEEK_INTERVAL);
        let want = self.wants.table.get_or_insert_with(cid, || {
            self.outputs.push_back(Output::Load(cid));
            Want {
                waiters: Vec::new(),
                stage: Stage::Loading,
                hints: Vec::new(),
                tried: FlatSet::new(),
                hops: 0,
                retry_at: now,
            }
        });
        want.hops = want.hops.max(hops);
        if !want.waiters.contains(&waiter) {
            want.waiters.push(waiter);
        }
        for hint in hints.iter().filter(|h| **h != self.local) {
            if !want.hints.contains(hint) && want.hints.len() < MAX_TRIED {
                want.hints.push(*hint);
            }
        }
    }

    #[inline(never)]
    pub(super) fn on_loaded(&mut self, cid: ContentId, bytes: Option<Vec<u8>>) {
        self.on_sweep_loaded(cid, bytes.as_deref());
        match bytes {
            Some(bytes) if cid.verify(&bytes) => self.on_block(cid, bytes),
            _ => {
                if let Some(want) = self.wants.table.get_mut(&cid)
                    && want.stage == Stage::Loading
                {
                    want.stage = Stage::Idle;
                    self.seek(cid);
                }
            }
        }
    }

    pub(super) fn on_block_answer(
        &mut self,
        peer: PeerId,
        id: u64,
        result: Result<Response, Failure>,
    ) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = known.in_flight.saturating_sub(1);
        }
        let wanted = self.wants.answered(id);
        match (wanted, result) {
            (Some(cid), Ok(Response::Block(bytes))) if cid.verify(&bytes) => {
                self.counters.blocks_received += 1;
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.bytes_in += bytes.len() as u64;
                }
                self.note_provider(cid, peer);
                self.keep_block(cid, &bytes);
                self.on_block(cid, bytes);
            }
            (Some(_), Ok(Response::Block(_))) => {
                self.counters.blocks_garbage += 1;
                self.fault(peer);
                self.drop_provider(peer);
            }
            (Some(_), Ok(Response::Packets(_) | Response::Stored)) => self.fault(peer),
            (Some(_), Err(Failure::Unsupported)) => self.on_identified(peer, Role::Stranger),
            (_, Ok(_) | Err(_)) => {}
        }
        if let Some(cid) = wanted {
            self.seek(cid);
        }
        // The answer freed room at this peer: somebody else's block may be asked for now.
        self.seek_all();
    }

    /// A block that is wanted is here and verified.
    fn on_block(&mut self, cid: ContentId, mut bytes: Vec<u8>) {
        let mut waiters = self.wants.finish(&cid).into_iter().peekable();
        while let Some(waiter) = waiters.next() {
            // Blocks are large: the last who waits gets the bytes themselves.
            let bytes = match waiters.peek() {
                Some(_) => bytes.clone(),
                None => core::mem::take(&mut bytes),
            };
            match waiter {
                Waiter::Request(token) => {
                    if let Some(peer) = self.asked.get(&token).copied() {
                        self.serve(peer, token, bytes);
                    }
                }
                Waiter::Fetch(id) => self.on_fetch_block(id, cid, bytes),
            }
        }
    }

    fn on_fetch_block(&mut self, id: u64, cid: ContentId, bytes: Vec<u8>) {
        let now = self.now.instant;
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        fetch.waiting.remove(&cid);
        fetch.deadline = now + FETCH_PATIENCE;
        if fetch.packet.is_none() {
            match self.verify(&bytes) {
                Ok(packet) if self.is_revoked(&packet) => {
                    self.refuse_revoked(&packet);
                    self.fail(id, NodeError::Revoked { cid });
                }
                Ok(packet) => {
                    let from = self
                        .fetches
                        .get(&id)
                        .and_then(|f| f.providers.last().copied())
                        .unwrap_or(packet.author());
                    // Known or not: who asks for a packet by its id gets it; only news are announced.
                    self.take_in(from, packet.clone());
                    self.on_fetch_packet(id, packet);
                }
                Err(error) => self.fail(id, NodeError::Packet(error)),
            }
        } else if fetch.root == Some(cid) && cid.codec() == Codec::DagCbor {
            self.on_manifest(id, &bytes);
        } else {
            self.on_leaf(id, cid, bytes);
        }
    }

    fn on_manifest(&mut self, id: u64, bytes: &[u8]) {
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        let size = fetch.packet.as_ref().map_or(0, packet_size);
        match Manifest::from_cbor(bytes, size) {
            Ok(manifest) if manifest.size == size => match Assembly::new(manifest) {
                Ok(assembly) => {
                    fetch.blocks.extend(&assembly.manifest().leaves);
                    fetch.assembly = Some(assembly);
                    // Whoever else has it sends a part: the search goes on while the first leaves come.
                    let now = self.now.instant;
                    if fetch.provider_search_at <= now {
                        fetch.provider_search_at = now + SEARCH_AGAIN;
                        self.outputs.push_back(Output::FindProviders(fetch.cid));
                    }
                    self.advance(id);
                }
                Err(_) => self.fail(
                    id,
                    NodeError::Content {
                        what: "the manifest does not add up",
                    },
                ),
            },
            Ok(_) => self.fail(
                id,
                NodeError::Content {
                    what: "the manifest's size is not the packet's",
                },
            ),
            Err(_) => self.fail(
                id,
                NodeError::Content {
                    what: "the root is no manifest",
                },
            ),
        }
    }

    fn on_leaf(&mut self, id: u64, cid: ContentId, bytes: Vec<u8>) {
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        let Some(packet) = &fetch.packet else { return };
        let (packet_cid, total) = (packet.cid(), packet_size(packet));
        let Some(assembly) = &mut fetch.assembly else {
            // The root itself is the only leaf.
            return self.complete(id, bytes, cid.digest());
        };
        if assembly.insert_verified(Block { cid, bytes }).is_err() {
            return self.fail(
                id,
                NodeError::Content {
                    what: "a leaf does not fit the manifest",
                },
            );
        }
        let received = assembly.bytes_arrived();
        self.emit(Event::Progressed {
            cid: packet_cid,
            received,
            total,
        });
        self.advance(id);
    }

    /// Asks for further leaves, or ends the fetch when all are here.
    fn advance(&mut self, id: u64) {
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        let Some(assembly) = &fetch.assembly else {
            return;
        };
        if assembly.is_complete() {
            // An early leaf came last, and others waited for it.
            if !assembly.is_hashed() {
                let size = HASH_STEP;
                return self.outputs.push_back(Output::Hash { id, size });
            }
            if let Some(mut assembly) = fetch.assembly.take() {
                let digest = assembly.digest();
                match assembly.into_bytes() {
                    Ok(bytes) => self.complete(id, bytes, digest),
                    Err(_) => {
                        self.fail(
                            id,
                            NodeError::Content {
                                what: "the leaves do not make up the object",
                            },
                        );
                    }
                }
            }
            return;
        }
        let room = LEAF_WINDOW.saturating_sub(fetch.waiting.len());
        let next: Vec<_> = assembly
            .missing()
            .map(|(cid, _)| cid)
            .filter(|cid| !fetch.waiting.contains(cid))
            .take(room)
            .collect();
        for cid in next {
            self.want_for(id, cid);
        }
    }

    pub(super) fn on_hash(&mut self, id: u64) {
        // It may have ended since.
        let fetch = self.fetches.get_mut(&id);
        if let Some(assembly) = fetch.and_then(|fetch| fetch.assembly.as_mut()) {
            assembly.hash_step();
            self.advance(id);
        }
    }

    fn keep_block(&mut self, cid: ContentId, bytes: &[u8]) {
        let Some(want) = self.wants.table.get(&cid) else {
            return;
        };
        let expires = want.waiters.iter().filter_map(|waiter| match waiter {
            Waiter::Fetch(id) => self
                .fetches
                .get(id)?
                .packet
                .as_ref()
                .map(Packet::expires_at),
            Waiter::Request(_) => None,
        });
        // What was only passed on for others is not kept; nor is a packet block, which the library holds.
        if let Some(expires) = expires.max() {
            self.outputs.push_back(Output::Store {
                cid,
                bytes: bytes.to_vec(),
                expires,
                is_packet: false,
            });
        }
    }

    #[inline(never)]
    pub(super) fn on_providers(&mut self, cid: ContentId, peers: &[PeerId]) {
        for peer in peers.iter().take(MAX_TRIED) {
            self.on_peer_found(*peer);
            for fetch in self.fetches.values_mut().filter(|f| f.cid == cid) {
                fetch.provided_by(*peer);
            }
        }
        self.seek_all();
    }

    pub(super) fn on_seek_time(&mut self) {
        let now = self.now.instant;
        if now < self.next_seek {
            return;
        }
        let late: Vec<_> = self
            .fetches
            .iter()
            .filter(|(_, f)| f.deadline <= now)
            .map(|(id, f)| (*id, f.cid))
            .collect();
        for (id, cid) in late {
            self.fail(
                id,
                NodeError::NotFound {
                    cid,
                    waited_secs: FETCH_PATIENCE.as_secs(),
                },
            );
        }
        for want in self.wants.table.values_mut() {
            if want.stage == Stage::Idle && want.retry_at <= now && !want.tried.is_empty() {
                want.tried.clear();
            }
        }
        self.seek_all();
        let again = if self.wants.table.is_empty() && self.fetches.is_empty() {
            Duration::from_secs(60)
        } else {
            SEEK_INTERVAL
        };
        self.next_seek = now + again;
    }

    pub(super) fn seek_wake_at(&self) -> Option<Instant> {
        (!self.wants.table.is_empty() || !self.fetches.is_empty()).then_some(self.next_seek)
    }

    fn seek_all(&mut self) {
        let idle: Vec<_> = self
            .wants
            .table
            .iter()
            .filter(|(_, want)| want.stage == Stage::Idle)
            .map(|(cid, _)| *cid)
            .collect();
        for cid in idle {
            self.seek(cid);
        }
        if !self.wants.table.is_empty() {
            self.next_seek = self.next_seek.min(self.now.instant + SEEK_INTERVAL);
        }
    }

    /// Asks the next peer for a block that nobody is being asked for.
    fn seek(&mut self, cid: ContentId) {
        let Some(want) = self.wants.table.get(&cid) else {
            return;
        };
        if want.stage != Stage::Idle {
            return;
        }
        let only_passed_on = want.waiters.iter().all(|w| matches!(w, Waiter::Request(_)));
        let hops = want.hops;
        let may_ask = !only_passed_on || (self.config.forward && hops > 0);
        match if may_ask {
            self.choose(want)
        } else {
            Choice::Nobody
        } {
            Choice::Ask(peer) => {
                let request = Request::Get {
                    cid,
                    hops: hops.saturating_sub(1),
                    hint: want.hints.first().copied(),
                };
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.in_flight += 1;
                }
                let id = self.send(peer, request, SentFor::Block);
                self.wants.asked(cid, peer, id);
            }
            Choice::Wait => {}
            Choice::Nobody if only_passed_on => {
                for waiter in self.wants.finish(&cid) {
                    if let Waiter::Request(token) = waiter {
                        self.respond(token, Response::NotFound);
                    }
                }
            }
            Choice::Nobody => self.on_nobody(cid),
        }
    }

    fn on_nobody(&mut self, cid: ContentId) {
        let now = self.now.instant;
        if let Some(want) = self.wants.table.get_mut(&cid)
            && want.retry_at <= now
        {
            want.retry_at = now + ASK_AGAIN;
        }
        for fetch in self
            .fetches
            .values_mut()
            .filter(|f| f.waiting.contains(&cid) && f.provider_search_at <= now)
        {
            fetch.provider_search_at = now + SEARCH_AGAIN;
            self.outputs.push_back(Output::FindProviders(fetch.cid));
        }
    }

    /// Whom to ask: first those known to hold it, the least busy first; then relays, which look further; then anyone.
    fn choose(&self, want: &Want) -> Choice {
        if want.tried.len() >= MAX_TRIED {
            return Choice::Nobody;
        }
        let mut providers: FlatSet<PeerId> = want.hints.iter().copied().collect();
        for waiter in &want.waiters {
            if let Waiter::Fetch(id) = waiter
                && let Some(fetch) = self.fetches.get(id)
            {
                providers.extend(fetch.providers.iter().copied());
            }
        }
        let rank = |id: &PeerId, peer: &Peer| match peer.role {
            _ if providers.contains(id) => 0,
            Role::Relay => 1,
            Role::Member => 2,
            Role::Unknown => 3,
            Role::Stranger => 4,
        };
        self.peers
            .iter()
            .filter(|(id, peer)| {
                peer.is_direct() && peer.role != Role::Stranger && !want.tried.contains(id)
            })
            .min_by_key(|(id, peer)| (rank(id, peer), peer.in_flight))
            .map_or(Choice::Nobody, |(id, peer)| {
                if peer.in_flight < PEER_WINDOW {
                    Choice::Ask(*id)
                } else {
                    Choice::Wait
                }
            })
    }

    fn note_provider(&mut self, cid: ContentId, peer: PeerId) {
        for fetch in self
            .fetches
            .values_mut()
            .filter(|f| f.waiting.contains(&cid))
        {
            fetch.provided_by(peer);
        }
    }

    fn drop_provider(&mut self, peer: PeerId) {
        for fetch in self.fetches.values_mut() {
            fetch.providers.retain(|p| *p != peer);
        }
    }
}

/// How often searches are looked at again while any is under way.
const SEEK_INTERVAL: Duration = Duration::from_millis(500);
