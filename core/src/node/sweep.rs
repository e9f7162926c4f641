//! Frees the blocks of objects that are no longer wanted, except those that another object has too.
//!
//! Content ids name bytes, so two objects may share leaves, and an author could link to the blocks of another and take
//! the packet back. What is freed is therefore what the unwanted manifests name and no other manifest of a packet known
//! here does; manifests are read from the store one at a time. Blocks of packets that are not known here any more are not
//! protected: whoever wants them fetches them again.

use alloc::{collections::VecDeque, vec::Vec};

use core::time::Duration;

use super::{Node, Output, library::root_of};
use crate::{
    digest::ContentId,
    flat::FlatSet,
    packet::{
        Packet,
        block::{MAX_OBJECT, Manifest},
    },
    time::Instant,
};

/// What is done with blocks that nothing else needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// They go.
    Free,
    /// They are pinned no longer.
    Unpin,
}

#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    queue: VecDeque<(Sweep, ContentId)>,
    current: Option<Current>,
    not_before: Instant,
    /// Objects left alone because too many were queued.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Current {
    what: Sweep,
    /// Manifests still to read: of what goes, then of what stays.
    unwanted: Vec<ContentId>,
    kept: Vec<ContentId>,
    loading: ContentId,
    is_unwanted: bool,
    blocks: FlatSet<ContentId>,
}

impl Node {
    /// Frees or unpins the object under `root` before long.
    pub(super) fn sweep(&mut self, what: Sweep, root: ContentId) {
        if self.sweeper.queue.contains(&(what, root)) {
            // One look is enough.
        } else if self.sweeper.queue.len() >= MAX_QUEUED {
            self.sweeper.dropped += 1;
        } else {
            self.sweeper.queue.push_back((what, root));
        }
    }

    /// Spares the content of a packet that came while a look through the others is under way.
    pub(super) fn spare(&mut self, what: Sweep, packet: &Packet) {
        if let Some(current) = &mut self.sweeper.current
            && current.what == what
            && let Some(root) = root_of(packet)
        {
            current.kept.push(root);
        }
    }

    pub(super) fn on_sweep_time(&mut self) {
        let sweeper = &mut self.sweeper;
        // What is being stored now may have the same blocks, and is not in the library before all of it is kept.
        if sweeper.current.is_some()
            || sweeper.not_before > self.now.instant
            || !self.settling.is_empty()
        {
            return;
        }
        let Some((what, root)) = sweeper.queue.pop_front() else {
            return;
        };
        sweeper.not_before = self.now.instant + SWEEP_PAUSE;
        let mut unwanted = Vec::from([root]);
        // One look through everything that stays for all that go.
        sweeper.queue.retain(|(other, root)| {
            if *other == what {
                unwanted.push(*root);
            }
            *other != what
        });
        let kept = match what {
            Sweep::Free => self.library.roots(|_| true),
            Sweep::Unpin => self.library.roots(|cid| self.pins.contains(cid)),
        };
        // Another packet may have the same content.
        unwanted.retain(|root| !kept.contains(root));
        self.sweeper.current = Some(Current {
            what,
            unwanted,
            kept,
            loading: root,
            is_unwanted: true,
            blocks: FlatSet::new(),
        });
        self.load_next();
    }

    fn load_next(&mut self) {
        let Some(current) = &mut self.sweeper.current else {
            return;
        };
        let mut next = current.unwanted.pop();
        current.is_unwanted = next.is_some();
        // Nothing is to be spared where nothing goes.
        if next.is_none() && !current.blocks.is_empty() {
            next = current.kept.pop();
        }
        if let Some(root) = next {
            current.loading = root;
            self.outputs.push_back(Output::Load(root));
        } else if let Some(Current { what, blocks, .. }) = self.sweeper.current.take() {
            let cids: Vec<_> = blocks.into_iter().collect();
            self.outputs.push_back(match what {
                Sweep::Free => Output::Free(cids),
                Sweep::Unpin => Output::Pin {
                    cids,
                    is_pinned: false,
                },
            });
        }
    }

    /// The store gave a block, or has none.
    pub(super) fn on_sweep_loaded(&mut self, cid: ContentId, bytes: Option<&[u8]>) {
        let Some(current) = &mut self.sweeper.current else {
            return;
        };
        if current.loading != cid {
            return;
        }
        let manifest = bytes.and_then(|bytes| Manifest::from_cbor(bytes, MAX_OBJECT).ok());
        let leaves = manifest.map_or(Vec::new(), |manifest| manifest.leaves);
        for block in leaves.into_iter().chain([cid]) {
            if current.is_unwanted {
                current.blocks.insert(block);
            } else {
                current.blocks.remove(&block);
            }
        }
        self.load_next();
    }
}

/// Objects that may wait to be freed. Source: twice the packets that are known, so that all may go at once.
const MAX_QUEUED: usize = 8192;
/// Pause between two looks through the manifests of all that is known. Guess: 4096 reads take a tenth of a second.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
