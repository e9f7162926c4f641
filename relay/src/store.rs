//! The embedded store: one redb file under the data directory that holds the identity, the webrtc-direct certificate
//! and the blocks; and beside it, for peers that others seal to, the keyring ([`KeyringFile`]), and for
//! those that share, the ledger ([`LedgerFile`]).
//!
//! - Every write is one transaction, on disk when the call returns: a killed process loses nothing that was stored.
//! - A new file is completed under another name and then linked into place, so a half-made file is never found.
//! - A file that is damaged or belongs to something else is reported with its path and left as it is.
//! - Blocks are bounded in bytes and in number; expired ones leave first, then the least recently used. Revocations have
//!   an eighth of the room for themselves, so that no other packets push them out, and what is pinned stays until its
//!   time has passed: up to half of the room.
//! - After a full disk it refuses to write for a minute and leaves the file alone; what is stored can still be read.
//!
//! It does not check that a block matches its content id, and reads no clock but for that minute: times are arguments.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use zeroize::Zeroizing;

use crate::store::{
    file::{Stamp, classify, create, io_error, open_existing, open_or_make},
    index::{Entry, Index, PinError},
    pause::Pause,
    table::{BLOCKS, ENTRIES, MARKS, Tables},
};

mod error;
mod file;
mod index;
mod keyring;
mod ledger;
mod node_store;
mod pause;
mod table;

pub(crate) use self::{
    error::StoreError,
    keyring::KeyringFile,
    ledger::{LedgerFile, Seeds, SpendError},
    node_store::{NodeStore, now_ms},
};

/// A content id in its binary form (CIDv1, sha2-256).
pub(crate) type BlockKey = [u8; 36];

/// The open store. Only one process can hold it.
pub(crate) struct BlockStore {
    path: PathBuf,
    /// `None` after a failed write until the file could be opened again: redb refuses to go on after one.
    database: Option<Database>,
    index: Index,
    /// Uses since they were last written, bounded by the number of blocks.
    touched: HashMap<BlockKey, u64>,
    counts: Counts,
    pause: Pause,
}

/// Bounds of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Sum of the lengths of all blocks, bytes.
    pub(crate) max_bytes: u64,
    /// Number of blocks.
    pub(crate) max_blocks: u64,
}

/// What kind of block it is, and until when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Milliseconds since the Unix epoch; the block may go at this time.
    pub(crate) expires_at: u64,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A piece of content.
    Block,
    /// A packet: it is listed by [`BlockStore::packets`].
    Packet,
    /// A packet that takes others back: it is listed too, and makes room for its like alone.
    Revocation,
}

/// What is stored and what happened since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Blocks held.
    pub(crate) blocks: u64,
    /// Sum of their lengths, bytes.
    pub(crate) bytes: u64,
    /// Blocks dropped because their time had passed.
    pub(crate) expired: u64,
    /// Blocks dropped to make room.
    pub(crate) evicted: u64,
}

/// The secrets that make a relay the same relay after a restart.
pub(crate) struct Secrets {
    /// Seed of the Ed25519 identity.
    pub(crate) seed: Zeroizing<[u8; 32]>,
    /// The webrtc-direct certificate with its private key, PEM.
    pub(crate) certificate: Zeroizing<String>,
}

/// The name of the store's file in the data directory.
pub(crate) const FILE_NAME: &str = "chorus.redb";

impl BlockStore {
    /// Opens the store in `dir`; makes it, with the secrets that `generate` returns, when there is none.
    ///
    /// # Errors
    /// The directory or file is not accessible, in use, damaged or foreign, or `generate` failed. Nothing that was
    /// there is changed then.
    pub(crate) fn open(
        dir: &Path,
        bounds: Bounds,
        generate: impl FnOnce() -> Result<Secrets, StoreError>,
    ) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let database = open_or_make(&path, STAMP, || {
            let secrets = generate()?;
            create(&path, STAMP, |transaction| fill(transaction, &secrets))
        })?;
        let mut store = Self {
            index: Index::default(),
            touched: HashMap::new(),
            counts: Counts::default(),
            pause: Pause::default(),
            database: Some(database),
            path,
        };
        store.load_index()?;
        store.index.set_bounds(bounds);
        Ok(store)
    }

    /// Whether `dir` holds a store already.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(FILE_NAME).exists()
    }

    /// The identity and certificate.
    ///
    /// # Errors
    /// They are missing or have the wrong length.
    pub(crate) fn secrets(&self) -> Result<Secrets, StoreError> {
        let transaction = self.begin_read()?;
        let table = transaction
            .open_table(SECRETS)
            .map_err(|e| self.classify(e))?;
        let read = |name: &str| -> Result<Zeroizing<Vec<u8>>, StoreError> {
            let value = table.get(name).map_err(|e| self.classify(e))?;
            let value = value.ok_or_else(|| self.corrupt(format!("{name} is missing")))?;
            Ok(Zeroizing::new(value.value().to_vec()))
        };
        let seed: [u8; 32] = read(SEED)?
            .as_slice()
            .try_into()
            .map_err(|_| self.corrupt("the identity seed is not 32 bytes".into()))?;
        let certificate = std::str::from_utf8(&read(CERTIFICATE)?)
            .map_err(|_| self.corrupt("the certificate is not text".into()))?
            .to_string();
        Ok(Secrets {
            seed: Zeroizing::new(seed),
            certificate: Zeroizing::new(certificate),
        })
    }

    /// The block under `key` if it is held and its time has not passed at `now` (ms since the Unix epoch).
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn get(&mut self, key: &BlockKey, now: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.has(key, now) {
            return Ok(None);
        }
        let transaction = self.begin_read()?;
        let table = transaction
            .open_table(BLOCKS)
            .map_err(|e| self.classify(e))?;
        let value = table.get(key).map_err(|e| self.classify(e))?;
        let bytes = value.map(|value| value.value().to_vec());
        if let Some(used) = self.index.touch(key) {
            self.touched.insert(*key, used);
        }
        Ok(bytes)
    }

    /// Whether the block is held and its time has not passed.
    pub(crate) fn has(&self, key: &BlockKey, now: u64) -> bool {
        self.index
            .get(key)
            .is_some_and(|entry| entry.expires_at > now)
    }

    /// Stores a block and makes room for it; a block that is there already is kept until the later time of the two.
    ///
    /// Returns when it is on disk. Cost: one transaction, that is one or two flushes of the disk.
    ///
    /// # Errors
    /// The block alone is above the bound, or does not fit beside what is pinned; the disk is full, or the file cannot be
    /// written. The store is as before then.
    pub(crate) fn put(
        &mut self,
        key: &BlockKey,
        bytes: &[u8],
        keep: Keep,
        now: u64,
    ) -> Result<(), StoreError> {
        let len = bytes.len() as u64;
        let known = self.index.get(key);
        let kind = keep.kind.max(known.map_or(Kind::Block, |entry| entry.kind));
        let max = self.index.max_len(kind);
        if len > max && !known.is_some_and(|entry| entry.is_pinned) {
            return Err(StoreError::TooLarge { got: len, max });
        }
        if known.is_some_and(|entry| entry.covers(&keep) && entry.expires_at > now) {
            if let Some(used) = self.index.touch(key) {
                self.touched.insert(*key, used);
            }
            return Ok(());
        }
        let entry = Entry {
            expires_at: keep
                .expires_at
                .max(known.map_or(0, |entry| entry.expires_at)),
            kind,
            is_pinned: known.is_some_and(|entry| entry.is_pinned),
            len: bytes.len() as u32,
            used: self.index.next_use(),
        };
        let plan = self.index.plan(key, entry, now);
        self.commit(|tables| {
            for gone in plan.expired.iter().chain(&plan.evicted) {
                tables.remove(gone)?;
            }
            tables.blocks.insert(key, bytes)?;
            tables.set(key, entry)
        })?;
        self.index.apply(key, entry, &plan);
        self.note(plan.expired.len(), plan.evicted.len());
        Ok(())
    }

    /// Drops a block; one that is not there is no error.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn remove(&mut self, key: &BlockKey) -> Result<(), StoreError> {
        self.free(&[*key])
    }

    /// Drops the blocks whose time has passed at `now`, at most 1024 per call.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn purge(&mut self, now: u64) -> Result<usize, StoreError> {
        let expired = self.index.expired(now, MAX_PURGE);
        self.drop_all(&expired)?;
        self.note(expired.len(), 0);
        Ok(expired.len())
    }

    /// Drops blocks in as few transactions as 1024 at a time make; those that are not there are no error.
    ///
    /// # Errors
    /// The file cannot be written; what was dropped before is gone.
    pub(crate) fn free(&mut self, keys: &[BlockKey]) -> Result<(), StoreError> {
        let held = keys.iter().filter(|key| self.index.get(key).is_some());
        let held: Vec<_> = held.copied().collect();
        for some in held.chunks(MAX_PURGE) {
            self.drop_all(some)?;
        }
        self.note(0, 0);
        Ok(())
    }

    fn drop_all(&mut self, keys: &[BlockKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.commit(|tables| keys.iter().try_for_each(|key| tables.remove(key)))?;
        for key in keys {
            self.index.remove(key);
        }
        Ok(())
    }

    /// Keeps those of the blocks that are held whatever room others need, until their time has passed; or no longer so.
    ///
    /// # Errors
    /// More would be pinned than half of what the store holds at most, or the file cannot be written. Nothing is changed
    /// then.
    pub(crate) fn pin(&mut self, keys: &[BlockKey], is_pinned: bool) -> Result<(), StoreError> {
        let changed = self.index.with_pins(keys, is_pinned);
        let changed = changed.map_err(|error| self.too_many_pins(error))?;
        self.change(&changed)
    }

    /// The packets that are pinned.
    pub(crate) fn pinned(&self) -> Vec<BlockKey> {
        self.index.pinned_packets()
    }

    /// Says of packets that an earlier version stored that they are revocations; those that are not held are no error.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn note_revocations(&mut self, keys: &[BlockKey]) -> Result<(), StoreError> {
        let held = keys
            .iter()
            .filter_map(|key| Some((*key, self.index.get(key)?)));
        let unknown = held.filter(|(_, entry)| entry.kind == Kind::Packet);
        let kind = Kind::Revocation;
        let changed: Vec<_> = unknown
            .map(|(key, entry)| (key, Entry { kind, ..entry }))
            .collect();
        self.change(&changed)
    }

    /// Writes down what changed of blocks that are held.
    fn change(&mut self, changed: &[(BlockKey, Entry)]) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.commit(|tables| {
            let mut changed = changed.iter();
            changed.try_for_each(|(key, entry)| tables.set(key, *entry))
        })?;
        for (key, entry) in changed {
            self.index.insert(key, *entry);
        }
        Ok(())
    }

    /// The binary form of every packet that is held at `now`, oldest use first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn packets(&mut self, now: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let transaction = self.begin_read()?;
        let table = transaction
            .open_table(BLOCKS)
            .map_err(|e| self.classify(e))?;
        let mut packets = Vec::new();
        for key in self.index.packets(now) {
            if let Some(value) = table.get(&key).map_err(|e| self.classify(e))? {
                packets.push(value.value().to_vec());
            }
        }
        Ok(packets)
    }

    /// Writes down which blocks were used since the last write, so that eviction after a restart knows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.touched.is_empty() {
            return Ok(());
        }
        self.commit(|_| Ok(()))
    }

    /// What is stored and what happened since the store was opened.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The error for a block whose bytes are not those of its content id.
    pub(crate) fn damaged_block(&self, cid: &chorus_core::digest::ContentId) -> StoreError {
        self.corrupt(format!("block {cid} has other bytes than its id says"))
    }

    fn note(&mut self, expired: usize, evicted: usize) {
        self.counts = Counts {
            blocks: self.index.len() as u64,
            bytes: self.index.bytes(),
            expired: self.counts.expired + expired as u64,
            evicted: self.counts.evicted + evicted as u64,
        };
    }

    fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        let database = self.database.as_ref().ok_or_else(|| self.closed())?;
        database.begin_read().map_err(|e| self.classify(e))
    }

    /// Runs `write` in one transaction, together with the uses that wait to be written.
    ///
    /// A failure leaves what was committed before, and the file is opened again, which reads all of it: so after a full
    /// disk there is a pause before the next attempt, which would most likely end as this one.
    fn commit(
        &mut self,
        write: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::StorageError>,
    ) -> Result<(), StoreError> {
        self.pause.check(&self.path, Instant::now())?;
        if self.database.is_none() {
            let opened = open_existing(&self.path, STAMP);
            self.database = Some(opened.inspect_err(|e| self.pause.note(e, Instant::now()))?);
        }
        let result = self.try_commit(write);
        if let Err(error) = &result {
            // The lock on the file goes with the old handle.
            self.database = None;
            self.database = open_existing(&self.path, STAMP).ok();
            self.pause.note(error, Instant::now());
        }
        result
    }

    fn try_commit(
        &mut self,
        write: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::StorageError>,
    ) -> Result<(), StoreError> {
        let database = self.database.as_ref().ok_or_else(|| self.closed())?;
        let transaction = database.begin_write().map_err(|e| self.classify(e))?;
        {
            let mut tables = Tables::open(&transaction).map_err(|e| self.classify(e))?;
            for key in self.touched.keys() {
                if let Some(entry) = self.index.get(key) {
                    tables.set(key, entry).map_err(|e| self.classify(e))?;
                }
            }
            write(&mut tables).map_err(|e| self.classify(e))?;
        }
        transaction.commit().map_err(|e| self.classify(e))?;
        self.touched.clear();
        Ok(())
    }

    fn load_index(&mut self) -> Result<(), StoreError> {
        let transaction = self.begin_read()?;
        let blocks = transaction
            .open_table(BLOCKS)
            .map_err(|e| self.classify(e))?;
        let entries = transaction
            .open_table(ENTRIES)
            .map_err(|e| self.classify(e))?;
        // A store of an earlier version has none.
        let marks = match transaction.open_table(MARKS) {
            Ok(marks) => Some(marks),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(self.classify(error)),
        };
        for row in entries.iter().map_err(|e| self.classify(e))? {
            let (key, row) = row.map_err(|e| self.classify(e))?;
            let mark = marks.as_ref().map(|marks| marks.get(key.value()));
            let mark = mark.transpose().map_err(|e| self.classify(e))?.flatten();
            let mark = mark.map_or(0, |mark| mark.value());
            let entry = Entry::from_row(row.value(), mark);
            self.index.insert(key.value(), entry);
        }
        let rows = redb::ReadableTableMetadata::len(&blocks).map_err(|e| self.classify(e))?;
        if rows != self.index.len() as u64 {
            return Err(self.corrupt(format!(
                "{rows} blocks but {} index entries",
                self.index.len()
            )));
        }
        self.note(0, 0);
        Ok(())
    }

    fn too_many_pins(&self, error: PinError) -> StoreError {
        let (what, got, max) = match error {
            PinError::Bytes { got, max } => ("bytes", got, max),
            PinError::Blocks { got, max } => ("blocks", got, max),
        };
        let path = self.path.clone();
        StoreError::Pins {
            path,
            what,
            got,
            max,
        }
    }

    fn closed(&self) -> StoreError {
        io_error(
            &self.path,
            io::Error::other("not open after a failed write"),
        )
    }

    fn corrupt(&self, message: String) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            message,
        }
    }

    fn classify(&self, error: impl Into<redb::Error>) -> StoreError {
        classify(&self.path, error.into())
    }
}

/// Puts into a new store what it is never without.
fn fill(transaction: &WriteTransaction, secrets: &Secrets) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(SECRETS)?;
    table.insert(SEED, secrets.seed.as_slice())?;
    table.insert(CERTIFICATE, secrets.certificate.as_bytes())?;
    transaction.open_table(BLOCKS)?;
    transaction.open_table(ENTRIES)?;
    Ok(())
}

const STAMP: Stamp = Stamp {
    table: "chorus_relay",
    version: 1,
};
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
const SEED: &str = "identity_seed";
const CERTIFICATE: &str = "webrtc_certificate";
/// Expired blocks dropped in one transaction. Guess: a few milliseconds.
const MAX_PURGE: usize = 1024;

#[cfg(test)]
mod tests;
