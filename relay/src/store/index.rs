//! Which blocks are held, in the order in which they would leave. In memory only; rebuilt when the store is opened.

use std::collections::{BTreeSet, HashMap};

use crate::store::{BlockKey, Bounds, Keep, Kind};

/// What the index knows of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Milliseconds since the Unix epoch.
    pub(crate) expires_at: u64,
    /// When it was last used: the value of a counter, not a time.
    pub(crate) used: u64,
    /// Length, bytes.
    pub(crate) len: u32,
    /// What it is.
    pub(crate) kind: Kind,
    /// It makes no room for others.
    pub(crate) is_pinned: bool,
}

impl Entry {
    pub(crate) fn to_row(self) -> (u64, u64, u32, bool) {
        (
            self.expires_at,
            self.used,
            self.len,
            self.kind != Kind::Block,
        )
    }

    /// Reads what [`Entry::to_row`] and [`Entry::to_mark`] wrote; a block without a mark has the mark 0.
    pub(crate) fn from_row(
        (expires_at, used, len, is_packet): (u64, u64, u32, bool),
        mark: u8,
    ) -> Self {
        Self {
            expires_at,
            used,
            len,
            kind: match is_packet {
                true if mark & REVOCATION != 0 => Kind::Revocation,
                true => Kind::Packet,
                false => Kind::Block,
            },
            is_pinned: mark & PINNED != 0,
        }
    }

    /// What its row does not say, as bits.
    pub(crate) fn to_mark(self) -> u8 {
        let is_revocation = self.kind == Kind::Revocation;
        u8::from(is_revocation) * REVOCATION + u8::from(self.is_pinned) * PINNED
    }

    /// Whether storing the block again with `keep` would change nothing.
    pub(crate) fn covers(&self, keep: &Keep) -> bool {
        self.expires_at >= keep.expires_at && self.kind >= keep.kind
    }

    /// Whose room it takes.
    fn class(&self) -> Class {
        match (self.is_pinned, self.kind) {
            (true, _) => Class::Pinned,
            (false, Kind::Revocation) => Class::Revocation,
            (false, Kind::Block | Kind::Packet) => Class::Ordinary,
        }
    }
}

/// Blocks that make room for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Leaves when room is needed.
    Ordinary,
    /// Leaves when other revocations need its room.
    Revocation,
    /// Leaves when its time has passed, or where the bounds were lowered.
    Pinned,
}

/// The blocks of one class.
#[derive(Debug, Default)]
struct Shelf {
    by_use: BTreeSet<(u64, BlockKey)>,
    bytes: u64,
}

/// Blocks that leave when another one is stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Their time has passed.
    pub(crate) expired: Vec<BlockKey>,
    /// They make room.
    pub(crate) evicted: Vec<BlockKey>,
}

/// The blocks held, ordered by expiry and by use. Every operation costs O(log n) per block touched.
#[derive(Debug)]
pub(crate) struct Index {
    entries: HashMap<BlockKey, Entry>,
    by_expiry: BTreeSet<(u64, BlockKey)>,
    shelves: [Shelf; 3],
    uses: u64,
    bounds: Bounds,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            shelves: Default::default(),
            uses: 0,
            bounds: Bounds {
                max_bytes: u64::MAX,
                max_blocks: u64::MAX,
            },
        }
    }
}

impl Index {
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sum of the lengths of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.shelves.iter().map(|shelf| shelf.bytes).sum()
    }

    /// The longest block of this kind that fits beside what makes no room for it.
    pub(crate) fn max_len(&self, kind: Kind) -> u64 {
        if kind == Kind::Revocation {
            return self.bounds_of(Class::Revocation).max_bytes;
        }
        // What is over its bound makes room.
        let held = [Class::Revocation, Class::Pinned].map(|class| {
            let shelf = &self.shelves[class as usize];
            shelf.bytes.min(self.bounds_of(class).max_bytes)
        });
        self.bounds.max_bytes - held.iter().sum::<u64>()
    }

    pub(crate) fn get(&self, key: &BlockKey) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    /// The next value of the use counter.
    pub(crate) fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Marks the block as just used; returns the counter's value, or `None` when the block is not held.
    pub(crate) fn touch(&mut self, key: &BlockKey) -> Option<u64> {
        let used = self.next_use();
        let entry = self.get(key)?;
        self.insert(key, Entry { used, ..entry });
        Some(used)
    }

    pub(crate) fn insert(&mut self, key: &BlockKey, entry: Entry) {
        self.remove(key);
        self.uses = self.uses.max(entry.used);
        self.by_expiry.insert((entry.expires_at, *key));
        let shelf = &mut self.shelves[entry.class() as usize];
        shelf.bytes += u64::from(entry.len);
        shelf.by_use.insert((entry.used, *key));
        self.entries.insert(*key, entry);
    }

    pub(crate) fn remove(&mut self, key: &BlockKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_expiry.remove(&(entry.expires_at, *key));
            let shelf = &mut self.shelves[entry.class() as usize];
            shelf.bytes -= u64::from(entry.len);
            shelf.by_use.remove(&(entry.used, *key));
        }
    }

    /// The blocks whose time has passed, at most `max`.
    pub(crate) fn expired(&self, now: u64, max: usize) -> Vec<BlockKey> {
        self.by_expiry
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= now)
            .map(|(_, key)| *key)
            .take(max)
            .collect()
    }

    /// Which blocks leave so that `entry` fits under the bounds, which it does where its length is at most
    /// [`Index::max_len`].
    pub(crate) fn plan(&self, key: &BlockKey, entry: Entry, now: u64) -> Plan {
        let mut room = Room::of(self);
        if let Some(known) = self.get(key) {
            room.give(&known);
        }
        room.take(&entry);
        let mut plan = Plan::default();
        let mut last_expired = None;
        for (expires_at, other) in &self.by_expiry {
            if room.fits(self) || *expires_at > now {
                break;
            }
            if other != key {
                room.give(&self.entries[other]);
                plan.expired.push(*other);
                last_expired = Some((*expires_at, *other));
            }
        }
        // Those first that are over a bound of their own; what is ordinary makes room for all.
        for class in [Class::Pinned, Class::Revocation, Class::Ordinary] {
            for (_, other) in &self.shelves[class as usize].by_use {
                if room.fits_in(self, class) {
                    break;
                }
                let entry = &self.entries[other];
                let has_left = last_expired.is_some_and(|last| (entry.expires_at, *other) <= last);
                if other != key && !has_left {
                    room.give(entry);
                    plan.evicted.push(*other);
                }
            }
        }
        plan
    }

    /// Carries out `plan` and inserts `entry`.
    pub(crate) fn apply(&mut self, key: &BlockKey, entry: Entry, plan: &Plan) {
        for gone in plan.expired.iter().chain(&plan.evicted) {
            self.remove(gone);
        }
        self.insert(key, entry);
    }

    /// What pinning those of the blocks that are held, or ending that, would change.
    ///
    /// # Errors
    /// More would be pinned than may be.
    pub(crate) fn with_pins(
        &self,
        keys: &[BlockKey],
        is_pinned: bool,
    ) -> Result<Vec<(BlockKey, Entry)>, PinError> {
        let mut changed = Vec::new();
        let mut room = Room::of(self);
        let keys: BTreeSet<_> = keys.iter().collect();
        for key in keys {
            let Some(entry) = self.get(key).filter(|entry| entry.is_pinned != is_pinned) else {
                continue;
            };
            let after = Entry { is_pinned, ..entry };
            room.give(&entry);
            room.take(&after);
            changed.push((*key, after));
        }
        let (bytes, blocks) = room.used[Class::Pinned as usize];
        let bounds = self.bounds_of(Class::Pinned);
        if is_pinned && bytes > bounds.max_bytes {
            let max = bounds.max_bytes;
            return Err(PinError::Bytes { got: bytes, max });
        }
        if is_pinned && blocks > bounds.max_blocks {
            let max = bounds.max_blocks;
            return Err(PinError::Blocks { got: blocks, max });
        }
        Ok(changed)
    }

    /// The packets that are pinned.
    pub(crate) fn pinned_packets(&self) -> Vec<BlockKey> {
        let pinned = &self.shelves[Class::Pinned as usize].by_use;
        let keys = pinned.iter().map(|(_, key)| *key);
        keys.filter(|key| self.entries[key].kind != Kind::Block)
            .collect()
    }

    /// The packets whose time has not passed, least recently used first, those that are pinned last.
    pub(crate) fn packets(&self, now: u64) -> Vec<BlockKey> {
        let is_packet = |entry: &Entry| entry.kind != Kind::Block && entry.expires_at > now;
        let packets = self.entries.iter().filter(|(_, entry)| is_packet(entry));
        let mut packets: Vec<_> = packets
            .map(|(key, entry)| ((entry.is_pinned, entry.used), *key))
            .collect();
        packets.sort_unstable();
        packets.into_iter().map(|(_, key)| key).collect()
    }

    /// What the blocks of a class may take; ordinary ones what the others leave.
    fn bounds_of(&self, class: Class) -> Bounds {
        let part = match class {
            Class::Ordinary => 1,
            Class::Revocation => REVOCATION_PART,
            Class::Pinned => PINNED_PART,
        };
        Bounds {
            max_bytes: self.bounds.max_bytes / part,
            max_blocks: self.bounds.max_blocks / part,
        }
    }
}

/// More would be pinned than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinError {
    /// Their bytes.
    Bytes {
        /// With what is to be pinned.
        got: u64,
        /// The bound.
        max: u64,
    },
    /// Their number.
    Blocks {
        /// With what is to be pinned.
        got: u64,
        /// The bound.
        max: u64,
    },
}

/// Bytes and blocks of each class, as a plan would leave them.
struct Room {
    used: [(u64, u64); 3],
}

impl Room {
    fn of(index: &Index) -> Self {
        let used = |shelf: &Shelf| (shelf.bytes, shelf.by_use.len() as u64);
        Self {
            used: [0, 1, 2].map(|class: usize| used(&index.shelves[class])),
        }
    }

    fn take(&mut self, entry: &Entry) {
        let (bytes, blocks) = &mut self.used[entry.class() as usize];
        *bytes += u64::from(entry.len);
        *blocks += 1;
    }

    fn give(&mut self, entry: &Entry) {
        let (bytes, blocks) = &mut self.used[entry.class() as usize];
        *bytes -= u64::from(entry.len);
        *blocks -= 1;
    }

    /// Whether the blocks of `class` keep their bound; for ordinary ones that is the bound of all together.
    fn fits_in(&self, index: &Index, class: Class) -> bool {
        let sum =
            |(bytes, blocks): (u64, u64), more: &(u64, u64)| (bytes + more.0, blocks + more.1);
        let (bytes, blocks) = match class {
            Class::Ordinary => self.used.iter().fold((0, 0), sum),
            Class::Revocation | Class::Pinned => self.used[class as usize],
        };
        let bounds = index.bounds_of(class);
        bytes <= bounds.max_bytes && blocks <= bounds.max_blocks
    }

    fn fits(&self, index: &Index) -> bool {
        [Class::Pinned, Class::Revocation, Class::Ordinary]
            .iter()
            .all(|class| self.fits_in(index, *class))
    }
}

/// Revocations take at most this part of the store. Guess: at the default bounds 32 times what a node remembers of them.
const REVOCATION_PART: u64 = 8;
/// Pinned blocks take at most this part of the store. Guess: half of it serves the others.
const PINNED_PART: u64 = 2;
/// Bits of a mark.
const REVOCATION: u8 = 1;
const PINNED: u8 = 2;
