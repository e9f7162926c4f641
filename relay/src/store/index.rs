//! Which blocks are held, in the order in which they would leave. In memory only; rebuilt when the store is opened.

use std::collections::{BTreeSet, HashMap};

use crate::store::{BlockKey, Bounds, Keep};

/// What the index knows of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Milliseconds since the Unix epoch.
    pub(crate) expires_at: u64,
    /// When it was last used: the value of a counter, not a time.
    pub(crate) used: u64,
    /// Length, bytes.
    pub(crate) len: u32,
    /// It is a packet.
    pub(crate) packet: bool,
}

impl Entry {
    pub(crate) fn to_row(self) -> (u64, u64, u32, bool) {
        (self.expires_at, self.used, self.len, self.packet)
    }

    pub(crate) fn from_row((expires_at, used, len, packet): (u64, u64, u32, bool)) -> Self {
        Self {
            expires_at,
            used,
            len,
            packet,
        }
    }

    /// Whether storing the block again with `keep` would change nothing.
    pub(crate) fn covers(&self, keep: &Keep) -> bool {
        self.expires_at >= keep.expires_at && (self.packet || !keep.packet)
    }
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
    by_use: BTreeSet<(u64, BlockKey)>,
    bytes: u64,
    uses: u64,
    bounds: Bounds,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            by_use: BTreeSet::new(),
            bytes: 0,
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

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sum of the lengths of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
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
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&(entry.used, *key));
        entry.used = used;
        self.by_use.insert((used, *key));
        Some(used)
    }

    pub(crate) fn insert(&mut self, key: &BlockKey, entry: Entry) {
        self.remove(key);
        self.uses = self.uses.max(entry.used);
        self.bytes += u64::from(entry.len);
        self.by_expiry.insert((entry.expires_at, *key));
        self.by_use.insert((entry.used, *key));
        self.entries.insert(*key, entry);
    }

    pub(crate) fn remove(&mut self, key: &BlockKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= u64::from(entry.len);
            self.by_expiry.remove(&(entry.expires_at, *key));
            self.by_use.remove(&(entry.used, *key));
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

    /// Which blocks leave so that `entry` fits under the bounds.
    pub(crate) fn plan(&self, key: &BlockKey, entry: Entry, now: u64) -> Plan {
        let known = self.get(key);
        let mut bytes =
            self.bytes + u64::from(entry.len) - known.map_or(0, |known| u64::from(known.len));
        let mut blocks = self.entries.len() as u64 + u64::from(known.is_none());
        let mut plan = Plan::default();
        let candidates = [(&self.by_expiry, true), (&self.by_use, false)];
        for (order, only_expired) in candidates {
            for (rank, other) in order {
                let fits = bytes <= self.bounds.max_bytes && blocks <= self.bounds.max_blocks;
                if fits || (only_expired && *rank > now) {
                    break;
                }
                if other == key || (!only_expired && plan.expired.contains(other)) {
                    continue;
                }
                bytes -= u64::from(self.entries[other].len);
                blocks -= 1;
                let leaving = if only_expired {
                    &mut plan.expired
                } else {
                    &mut plan.evicted
                };
                leaving.push(*other);
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

    /// The packets whose time has not passed, least recently used first.
    pub(crate) fn packets(&self, now: u64) -> Vec<BlockKey> {
        self.by_use
            .iter()
            .map(|(_, key)| *key)
            .filter(|key| {
                self.entries
                    .get(key)
                    .is_some_and(|entry| entry.packet && entry.expires_at > now)
            })
            .collect()
    }
}
