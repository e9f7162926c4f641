//! The tables of blocks in the store's file.

use redb::{TableDefinition, WriteTransaction};

use crate::store::{BlockKey, index::Entry};

/// What one transaction writes to.
pub(super) struct Tables<'a> {
    pub(super) blocks: redb::Table<'a, &'static BlockKey, &'static [u8]>,
    entries: redb::Table<'a, &'static BlockKey, (u64, u64, u32, bool)>,
    marks: redb::Table<'a, &'static BlockKey, u8>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            blocks: transaction.open_table(BLOCKS)?,
            entries: transaction.open_table(ENTRIES)?,
            marks: transaction.open_table(MARKS)?,
        })
    }

    pub(super) fn set(&mut self, key: &BlockKey, entry: Entry) -> Result<(), redb::StorageError> {
        self.entries.insert(key, entry.to_row())?;
        match entry.to_mark() {
            0 => drop(self.marks.remove(key)?),
            mark => drop(self.marks.insert(key, mark)?),
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &BlockKey) -> Result<(), redb::StorageError> {
        self.blocks.remove(key)?;
        self.entries.remove(key)?;
        self.marks.remove(key)?;
        Ok(())
    }
}

pub(super) const BLOCKS: TableDefinition<'_, &BlockKey, &[u8]> = TableDefinition::new("blocks");
/// Columns: expires_at (ms since the Unix epoch), last use (a counter), length (bytes), is a packet.
pub(super) const ENTRIES: TableDefinition<'_, &BlockKey, (u64, u64, u32, bool)> =
    TableDefinition::new("entries");
/// What an entry of the first version does not say of a block, as bits: 1 a revocation, 2 pinned. Most have none.
pub(super) const MARKS: TableDefinition<'_, &BlockKey, u8> = TableDefinition::new("marks");
