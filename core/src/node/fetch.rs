//! A fetch: from a packet's content id to its whole content, block by block, from several peers at once.

use alloc::vec::Vec;

use super::{
    Answer, Event, Node, NodeError, Output, Reply, Verdict, judgement, library::root_of,
    serve::packet_size, want::Waiter,
};
use crate::{
    digest::{ContentId, Digest},
    flat::FlatSet,
    key::PeerId,
    packet::{Packet, Payload, block::Assembly},
    time::Instant,
};

/// Why the node fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command asked for it.
    Command(u64),
    /// A command asked for the packet alone.
    Find(u64),
    /// A packet that waits comes after it; the packet alone is wanted.
    Predecessor,
    /// A command asked to keep it.
    Pin(u64),
    /// The node keeps it for others; nobody waits.
    Mirror,
    /// Peers offered the packet and wait behind [`Fetch::tokens`].
    Offer,
    /// A neighbour announced the packet; its message waits behind `token` until the packet is here and verified.
    Announced { token: u64, from: PeerId },
}

impl Purpose {
    fn is_for_packet(self) -> bool {
        matches!(self, Self::Find(_) | Self::Predecessor)
    }

    /// Whether no owner and no peer waits for the content.
    pub(crate) fn is_unasked(self) -> bool {
        matches!(
            self,
            Self::Mirror | Self::Predecessor | Self::Announced { .. }
        )
    }
}

#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) purpose: Purpose,
    pub(crate) cid: ContentId,
    pub(crate) packet: Option<Packet>,
    pub(crate) root: Option<ContentId>,
    pub(crate) assembly: Option<Assembly>,
    pub(crate) waiting: FlatSet<ContentId>,
    /// Peers that gave a block of this object, or said they hold it.
    pub(crate) providers: Vec<PeerId>,
    /// Everything that makes up the object, as far as it is known: packet, root, leaves.
    pub(crate) blocks: Vec<ContentId>,
    pub(crate) deadline: Instant,
    pub(crate) provider_search_at: Instant,
    /// Blocks that the store had failed to keep when the fetch began.
    pub(crate) unstored: u64,
    /// Of [`Purpose::Offer`]: the requests that are answered when it ends, and whose they are.
    pub(crate) tokens: Vec<(u64, PeerId)>,
}

impl Fetch {
    pub(crate) fn new(purpose: Purpose, cid: ContentId, now: Instant, unstored: u64) -> Self {
        Self {
            purpose,
            cid,
            packet: None,
            root: None,
            assembly: None,
            waiting: FlatSet::new(),
            providers: Vec::new(),
            blocks: Vec::new(),
            deadline: now + super::FETCH_PATIENCE,
            provider_search_at: now,
            unstored,
            tokens: Vec::new(),
        }
    }

    pub(crate) fn provided_by(&mut self, peer: PeerId) {
        if !self.providers.contains(&peer) && self.providers.len() < MAX_PROVIDERS {
            self.providers.push(peer);
        }
    }
}

impl Node {
    pub(super) fn on_fetch_packet(&mut self, id: u64, packet: Packet) {
        let max = match self.config.mirror {
            Some(mirror) => mirror.max_object.max(self.config.max_object),
            None => self.config.max_object,
        };
        let size = packet_size(&packet);
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        if let Purpose::Announced { token, from } = fetch.purpose {
            // It is what was announced, and here to be handed on.
            fetch.purpose = Purpose::Mirror;
            self.judge(from, token, Verdict::Accept);
        }
        let Some(fetch) = self.fetches.get_mut(&id) else {
            return;
        };
        fetch.provided_by(packet.author());
        fetch.packet = Some(packet.clone());
        fetch.blocks.push(packet.cid());
        if fetch.purpose.is_for_packet() {
            return self.complete(id, Vec::new(), packet.content_digest());
        }
        if size > max {
            return self.fail(id, NodeError::TooLarge { size, max });
        }
        // A large packet that was only announced is known now; its content is fetched when somebody wants it.
        let mirrored = self
            .config
            .mirror
            .is_some_and(|m| packet.ttl_secs() >= m.min_ttl_secs && size <= m.max_object);
        if fetch.purpose == Purpose::Mirror && !mirrored {
            self.fetches.remove(&id);
            return;
        }
        match packet.payload() {
            // Its hash was checked with the packet.
            Payload::Inline(bytes) => self.complete(id, bytes.clone(), packet.content_digest()),
            Payload::Link { root, .. } => {
                fetch.root = Some(*root);
                fetch.blocks.push(*root);
                self.want_for(id, *root);
            }
        }
    }

    /// Ends a fetch with the content and its hash.
    pub(super) fn complete(&mut self, id: u64, content: Vec<u8>, digest: Digest) {
        let Some(fetch) = self.fetches.remove(&id) else {
            return;
        };
        let Some(packet) = fetch.packet else { return };
        match fetch.purpose {
            Purpose::Find(command) => {
                return self.reply(command, Ok(Reply::Packets(Vec::from([packet]))));
            }
            Purpose::Predecessor => return self.on_predecessor(fetch.cid, Ok(&packet)),
            Purpose::Command(_)
            | Purpose::Pin(_)
            | Purpose::Mirror
            | Purpose::Announced { .. }
            | Purpose::Offer => {}
        }
        let right =
            content.len() as u64 == packet_size(&packet) && digest == packet.content_digest();
        let error = NodeError::Content {
            what: "the content does not match the packet's digest",
        };
        if right {
            self.on_content_kept(&packet);
        }
        match (fetch.purpose, right) {
            (Purpose::Command(command), true) => {
                // Its blocks are here now, for others too, as long as there is room.
                if root_of(&packet).is_some() {
                    self.outputs.push_back(Output::Provide(packet.cid()));
                }
                self.reply(command, Ok(Reply::Object(packet, content)))
            }
            (Purpose::Pin(command), true) => {
                let answer = Answer::Pin {
                    command,
                    blocks: fetch.blocks,
                };
                self.settle(packet.cid(), answer, fetch.unstored);
            }
            (Purpose::Command(command) | Purpose::Pin(command), false) => {
                self.reply(command, Err(error))
            }
            (Purpose::Offer, true) => {
                self.settle(packet.cid(), Answer::Offers(fetch.tokens), fetch.unstored);
            }
            (Purpose::Offer, false) => {
                self.refuse_all(fetch.tokens, &alloc::format!("{error}"));
            }
            (Purpose::Mirror | Purpose::Announced { .. }, true) => {
                self.emit(Event::Mirrored(packet.cid()));
            }
            (Purpose::Mirror | Purpose::Announced { .. }, false)
            | (Purpose::Find(_) | Purpose::Predecessor, _) => {}
        }
    }

    pub(super) fn fail(&mut self, id: u64, error: NodeError) {
        let Some(fetch) = self.fetches.remove(&id) else {
            return;
        };
        self.wants.abandon(Waiter::Fetch(id));
        match fetch.purpose {
            Purpose::Command(command) | Purpose::Find(command) | Purpose::Pin(command) => {
                self.reply(command, Err(error))
            }
            Purpose::Predecessor => self.on_predecessor(fetch.cid, Err(&error)),
            Purpose::Offer => self.refuse_all(fetch.tokens, &alloc::format!("{error}")),
            // A neighbour passes on only what it has verified; that it did not hand it over may be bad luck.
            Purpose::Announced { token, from } => {
                let verdict = match &error {
                    NodeError::Packet(error) => judgement(error),
                    _ => Verdict::Ignore,
                };
                self.judge(from, token, verdict);
            }
            Purpose::Mirror => {}
        }
    }
}

/// Providers remembered for one object. Guess.
const MAX_PROVIDERS: usize = 16;
