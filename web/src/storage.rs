//! What a tab remembers: its identities, its blocks and a few records, in IndexedDB (W3C Indexed Database API 3.0), and
//! which tab uses which identity, by the Web Locks API.
//!
//! A profile has numbered identity slots. A tab takes the first slot whose lock is free and holds the lock as long as
//! it lives, so two tabs are never the same peer, and a reload finds its slot again. Where IndexedDB or Web Locks are
//! missing (private windows, pages that are no secure context) the tab is a peer all the same, with an identity and
//! blocks that end with it; [`Storage::setback`] and [`Identity::setback`] say why.
//!
//! What it does not do: it does not encrypt what it keeps. Whoever can read the profile can read the keys.

mod database;
pub mod learned;
mod lock;
mod record;
mod store;

use std::cell::{Cell, RefCell};

use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

pub use lock::LockGuard;
pub use record::{Records, Whose};
pub use store::{BlockStore, Writer};

use crate::storage::database::{Database, text_of};

/// Where a tab remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the profile: a reload finds everything again.
    #[default]
    IndexedDb,
    /// Nowhere: everything ends with the tab.
    Memory,
}

/// Why something was not remembered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The browser gives no access to IndexedDB: private window, blocked site data, full disk.
    #[error("IndexedDB is not available: {reason}")]
    Unavailable {
        /// What the browser said.
        reason: String,
    },
    /// A request to the database came to nothing.
    #[error("IndexedDB could not {what}: {reason}")]
    Request {
        /// What was asked, as a verb.
        what: &'static str,
        /// What the browser said.
        reason: String,
    },
    /// The browser gives no access to Web Locks: the page is no secure context.
    #[error("Web Locks are not available: {reason}")]
    NoLocks {
        /// What is missing, or what the browser said.
        reason: String,
    },
    /// Every slot is taken by another tab, or holds what is no key.
    #[error("all {slots} identity slots are taken or unreadable")]
    NoSlot {
        /// How many there are.
        slots: u32,
    },
    /// The browser gave no random bytes.
    #[error("no secure random bytes: {reason}")]
    Random {
        /// What the generator said.
        reason: String,
    },
}

/// An open storage.
#[derive(Debug)]
pub struct Storage {
    name: String,
    database: Option<Database>,
    setback: Option<StorageError>,
}

/// A tab's identity. The slot stays its own until [`Identity::release`], or until this is dropped.
pub struct Identity {
    seed: Zeroizing<[u8; 32]>,
    slot: Option<u32>,
    setback: Option<StorageError>,
    lock: RefCell<Option<LockGuard>>,
}

/// Opens the storage called `name`, one for each network. What only IndexedDB needs is compiled only with it, so it is
/// boxed, here and below. Falls back to memory where IndexedDB is not available;
/// [`Storage::setback`] then says why.
pub async fn open(name: &str, mode: Mode) -> Storage {
    let name = format!("chorus/{name}");
    match mode {
        Mode::Memory => Storage {
            name,
            database: None,
            setback: None,
        },
        Mode::IndexedDb => match Box::pin(Database::open(&name)).await {
            Ok(database) => Storage {
                name,
                database: Some(database),
                setback: None,
            },
            Err(error) => Storage {
                name,
                database: None,
                setback: Some(error),
            },
        },
    }
}

impl Storage {
    /// Returns where this storage remembers.
    pub fn mode(&self) -> Mode {
        if self.database.is_some() {
            Mode::IndexedDb
        } else {
            Mode::Memory
        }
    }

    /// Returns why the storage is in memory although IndexedDB was asked for.
    pub fn setback(&self) -> Option<&StorageError> {
        self.setback.as_ref()
    }

    /// Takes an identity that no other tab of this profile has now: the one this tab had before a reload, or the first
    /// free one; a new key where the slot is empty. The key is on disk before this returns. What cannot be kept is
    /// made for this tab only; [`Identity::setback`] then says why.
    ///
    /// # Errors
    /// [`StorageError::Random`] where the browser has no secure generator.
    pub async fn acquire_identity(&self) -> Result<Identity, StorageError> {
        let Some(database) = &self.database else {
            return Identity::ephemeral(self.setback.clone());
        };
        match Box::pin(self.acquire_slot(database)).await {
            Ok(identity) => Ok(identity),
            Err(error @ StorageError::Random { .. }) => Err(error),
            Err(error) => Identity::ephemeral(Some(error)),
        }
    }

    /// Opens the blocks of `identity`, at most `max_bytes` of them, and reads back what an earlier load of the page
    /// kept: blocks that are damaged or past their time are let go.
    pub async fn blocks(&self, identity: &Identity, max_bytes: u64) -> BlockStore {
        match (&self.database, identity.slot) {
            (Some(database), Some(slot)) => {
                Box::pin(BlockStore::load(database.clone(), slot, max_bytes)).await
            }
            _ => BlockStore::in_memory(max_bytes),
        }
    }

    /// Opens the records of `identity`.
    pub fn records(&self, identity: &Identity) -> Records {
        Records::new(self.database.clone(), identity.slot)
    }

    async fn acquire_slot(&self, database: &Database) -> Result<Identity, StorageError> {
        let memory = SlotMemory::new(&self.name);
        let former = memory.recall().filter(|&slot| slot < SLOTS);
        if let Some(slot) = former
            && let Some(guard) = lock::wait(&self.lock_name(slot), RELOAD_WAIT).await?
            && let Some(identity) = Identity::load(database, slot, guard).await?
        {
            return Ok(identity);
        }
        for slot in (0..SLOTS).filter(|&slot| Some(slot) != former) {
            if let Some(guard) = lock::take(&self.lock_name(slot)).await?
                && let Some(identity) = Identity::load(database, slot, guard).await?
            {
                memory.keep(slot);
                return Ok(identity);
            }
        }
        Err(StorageError::NoSlot { slots: SLOTS })
    }

    fn lock_name(&self, slot: u32) -> String {
        format!("{}/identity/{slot}", self.name)
    }
}

impl Identity {
    /// Returns the seed of the Ed25519 key.
    pub fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// Returns the slot, or `None` for an identity that ends with the tab.
    pub fn slot(&self) -> Option<u32> {
        self.slot
    }

    /// Returns why this identity ends with the tab although it should be kept.
    pub fn setback(&self) -> Option<&StorageError> {
        self.setback.as_ref()
    }

    /// Gives the slot to whoever asks next. Nothing is to be written in its name afterwards.
    pub fn release(&self) {
        self.lock.take();
    }

    fn ephemeral(setback: Option<StorageError>) -> Result<Self, StorageError> {
        Ok(Self {
            seed: random_seed()?,
            slot: None,
            setback,
            lock: RefCell::default(),
        })
    }

    /// Reads the key of `slot`, or makes one. `None` where the slot holds something else, which stays as it is.
    async fn load(
        database: &Database,
        slot: u32,
        guard: LockGuard,
    ) -> Result<Option<Self>, StorageError> {
        let seed = match database.identity(slot).await? {
            Some(bytes) => match <[u8; 32]>::try_from(&bytes[..]) {
                Ok(seed) => Zeroizing::new(seed),
                Err(_) => return Ok(None),
            },
            None => {
                let seed = random_seed()?;
                database.put_identity(slot, &seed).await?;
                seed
            }
        };
        Ok(Some(Self {
            seed,
            slot: Some(slot),
            setback: None,
            lock: RefCell::new(Some(guard)),
        }))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(slot {:?}, secret)", self.slot)
    }
}

/// Remembers a tab's slot across reloads, in `sessionStorage`. Each peer that a page starts has its own place.
struct SlotMemory {
    key: String,
}

impl SlotMemory {
    fn new(name: &str) -> Self {
        let count = PEERS.with(|peers| peers.replace(peers.get().wrapping_add(1)));
        Self {
            key: format!("{name}/slot/{count}"),
        }
    }

    /// Without `sessionStorage` every load takes the first free slot.
    fn storage() -> Option<web_sys::Storage> {
        web_sys::window()?.session_storage().ok()?
    }

    fn recall(&self) -> Option<u32> {
        Self::storage()?.get_item(&self.key).ok()??.parse().ok()
    }

    fn keep(&self, slot: u32) {
        if let Some(storage) = Self::storage() {
            // A full or forbidden storage costs only the shortcut.
            let _ = storage.set_item(&self.key, &slot.to_string());
        }
    }
}

fn random_seed() -> Result<Zeroizing<[u8; 32]>, StorageError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..]).map_err(|error| StorageError::Random {
        reason: error.to_string(),
    })?;
    Ok(seed)
}

fn request_error(what: &'static str) -> impl Fn(JsValue) -> StorageError {
    move |error| StorageError::Request {
        what,
        reason: text_of(&error),
    }
}

thread_local! {
    /// Peers that this page has started.
    static PEERS: Cell<u32> = const { Cell::new(0) };
}

/// Identity slots of a profile. Guess: more tabs than one opens.
const SLOTS: u32 = 32;
/// Longest wait for the lock that a page held before its reload. A duplicated tab waits this long in vain. Guess: the
/// old page is gone in a few milliseconds.
const RELOAD_WAIT: std::time::Duration = std::time::Duration::from_secs(1);
