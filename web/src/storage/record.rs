//! Small things that a peer keeps beside its blocks: the ledger of what it shared, its privacy budget, its sealing keys.

use std::cell::RefCell;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::storage::StorageError;
use crate::storage::database::Database;

/// Whose a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This identity's: no other tab has it at the same time.
    Own,
    /// The profile's: every tab may replace it.
    Everyones,
}

/// Bytes by name, in IndexedDB or in memory. They may be secrets: none is printed, and copies are erased.
pub struct Records {
    database: Option<Database>,
    slot: Option<u32>,
    memory: RefCell<BTreeMap<String, Zeroizing<Vec<u8>>>>,
    /// How many requests succeed from now on, and how many after them fail, as those of a browser may.
    #[cfg(test)]
    refusals: std::cell::Cell<(usize, usize)>,
}

impl Records {
    pub(super) fn new(database: Option<Database>, slot: Option<u32>) -> Self {
        Self {
            database,
            slot,
            memory: RefCell::default(),
            #[cfg(test)]
            refusals: std::cell::Cell::default(),
        }
    }

    /// Returns whether records outlive the tab.
    pub fn is_kept(&self) -> bool {
        self.database.is_some()
    }

    /// Reads a record; `None` where there is none yet.
    ///
    /// # Errors
    /// [`StorageError`] where the browser refuses.
    pub async fn get(
        &self,
        whose: Whose,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        #[cfg(test)]
        self.ask()?;
        match self.place(whose, name) {
            Place::Database(database, key) => database.record(&key).await,
            Place::Memory(key) => Ok(self.memory.borrow().get(&key).cloned()),
        }
    }

    /// Writes a record; it is on disk when this returns.
    ///
    /// # Errors
    /// [`StorageError`] where the browser refuses; what was there stays.
    pub async fn put(&self, whose: Whose, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.replace(whose, name, value, |_| true).await.map(|_| ())
    }

    /// Writes a record where `may_replace` wants to replace what is there, and nobody writes between; returns whether it did.
    ///
    /// # Errors
    /// [`StorageError`] where the browser refuses; what was there stays.
    pub async fn replace(
        &self,
        whose: Whose,
        name: &str,
        value: &[u8],
        may_replace: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<bool, StorageError> {
        #[cfg(test)]
        self.ask()?;
        let key = match self.place(whose, name) {
            Place::Database(database, key) => {
                return database.replace_record(&key, value, may_replace).await;
            }
            Place::Memory(key) => key,
        };
        let mut memory = self.memory.borrow_mut();
        let is_wanted = may_replace(memory.get(&key).map(|stored| stored.as_slice()));
        if is_wanted {
            memory.insert(key, Zeroizing::new(value.to_vec()));
        }
        Ok(is_wanted)
    }

    fn place(&self, whose: Whose, name: &str) -> Place<'_> {
        match (&self.database, whose, self.slot) {
            (Some(database), Whose::Own, Some(slot)) => {
                Place::Database(database, format!("{slot}/{name}"))
            }
            (Some(database), Whose::Everyones, _) => Place::Database(database, name.to_owned()),
            (_, Whose::Own, _) => Place::Memory(format!("own/{name}")),
            (None, Whose::Everyones, _) => Place::Memory(name.to_owned()),
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records(slot {:?}, secret)", self.slot)
    }
}

enum Place<'a> {
    Database(&'a Database, String),
    Memory(String),
}

#[cfg(test)]
impl Records {
    pub(crate) fn new_in_memory() -> Self {
        Self::new(None, None)
    }

    /// Lets `count` requests fail, after `good` that do not.
    pub(crate) fn refuse(&self, good: usize, count: usize) {
        self.refusals.set((good, count));
    }

    fn ask(&self) -> Result<(), StorageError> {
        match self.refusals.get() {
            (0, 0) => Ok(()),
            (0, left) => {
                self.refusals.set((0, left - 1));
                Err(StorageError::Request {
                    what: "do this",
                    reason: "it was told to fail".into(),
                })
            }
            (good, left) => {
                self.refusals.set((good - 1, left));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn a_record_is_replaced_only_where_it_still_is_what_was_seen() {
        let records = Records::new(None, None);
        let seen = |wanted: Option<&'static [u8]>| move |stored: Option<&[u8]>| stored == wanted;
        block_on(async {
            let replace = |value: &'static [u8], wanted| {
                records.replace(Whose::Everyones, "budget", value, seen(wanted))
            };
            assert_eq!(replace(b"1", None).await, Ok(true));
            assert_eq!(replace(b"2", None).await, Ok(false));
            assert_eq!(replace(b"3", Some(b"1")).await, Ok(true));
            let kept = records.get(Whose::Everyones, "budget").await.unwrap();
            assert_eq!(kept.unwrap().as_slice(), b"3");
            assert_eq!(records.get(Whose::Own, "budget").await.unwrap(), None);
        });
    }
}
