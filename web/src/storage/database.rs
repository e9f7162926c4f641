//! IndexedDB as futures: one database with a store of identities, one of blocks and one of records. Every handler is
//! detached when its future ends or is dropped.

use std::rc::Rc;

use futures::channel::oneshot;
use js_sys::{Function, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{
    IdbDatabase, IdbFactory, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction,
    IdbTransactionMode,
};
use zeroize::Zeroizing;

use crate::storage::{StorageError, request_error};

/// A change to the stored blocks.
#[derive(Debug)]
pub(super) enum Change {
    Put { key: String, value: Vec<u8> },
    Remove { key: String },
}

/// An open database; closed when the last clone is dropped, or when another tab wants to upgrade it.
#[derive(Clone, Debug)]
pub(super) struct Database {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: IdbDatabase,
    // Called by the database until it is closed.
    _on_version_change: Closure<dyn FnMut()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.database.set_onversionchange(None);
        self.database.close();
    }
}

impl Database {
    pub(super) async fn open(name: &str) -> Result<Self, StorageError> {
        let unavailable = |error: JsValue| StorageError::Unavailable {
            reason: text_of(&error),
        };
        let factory = Reflect::get(&js_sys::global(), &"indexedDB".into()).map_err(unavailable)?;
        if !factory.is_object() {
            return Err(StorageError::Unavailable {
                reason: "the browser has none here".to_owned(),
            });
        }
        let factory: IdbFactory = factory.unchecked_into();
        let request = factory.open_with_u32(name, VERSION).map_err(unavailable)?;
        let on_upgrade = Closure::<dyn FnMut()>::new({
            let request = request.clone();
            move || {
                if let Ok(database) = request.result() {
                    let database: IdbDatabase = database.unchecked_into();
                    // What an older version made is there already and stays. A store that cannot be made shows as an error
                    // of the first request to it.
                    for store in [IDENTITIES, BLOCKS, RECORDS] {
                        let _ = database.create_object_store(store);
                    }
                }
            }
        });
        request.set_onupgradeneeded(Some(on_upgrade.as_ref().unchecked_ref()));
        let opened = settled(&request).await;
        request.set_onupgradeneeded(None);
        let database: IdbDatabase = opened.map_err(unavailable)?.unchecked_into();

        let on_version_change = Closure::<dyn FnMut()>::new({
            let database = database.clone();
            move || database.close()
        });
        database.set_onversionchange(Some(on_version_change.as_ref().unchecked_ref()));
        Ok(Self {
            inner: Rc::new(Inner {
                database,
                _on_version_change: on_version_change,
            }),
        })
    }

    pub(super) async fn identity(
        &self,
        slot: u32,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let failed = request_error("read an identity");
        let (_, store) = self
            .begin(IDENTITIES, IdbTransactionMode::Readonly)
            .map_err(&failed)?;
        let value = settled(&store.get(&slot.into()).map_err(&failed)?)
            .await
            .map_err(&failed)?;
        if value.is_undefined() {
            return Ok(None);
        }
        // What is no array of bytes reads as no bytes: no key, and not overwritten.
        let Some(array) = value.dyn_ref::<Uint8Array>() else {
            return Ok(Some(Zeroizing::new(Vec::new())));
        };
        let seed = Zeroizing::new(array.to_vec());
        array.fill(0, 0, array.length());
        Ok(Some(seed))
    }

    /// Returns when the seed is on disk.
    pub(super) async fn put_identity(
        &self,
        slot: u32,
        seed: &[u8; 32],
    ) -> Result<(), StorageError> {
        let failed = request_error("write an identity");
        let (transaction, store) = self
            .begin(IDENTITIES, IdbTransactionMode::Readwrite)
            .map_err(&failed)?;
        let value = Uint8Array::from(&seed[..]);
        // `add`, not `put`: a key that is there is never overwritten.
        store.add_with_key(&value, &slot.into()).map_err(&failed)?;
        value.fill(0, 0, value.length());
        completed(&transaction).await.map_err(&failed)
    }

    /// Calls `each` with the key and the value of every block whose key begins with `prefix`, one by one.
    pub(super) async fn for_each_block(
        &self,
        prefix: &str,
        mut each: impl FnMut(String, Vec<u8>),
    ) -> Result<(), StorageError> {
        let failed = request_error("read the blocks");
        let mut after = prefix.to_owned();
        loop {
            // A bounded batch at a time: the values are copied once and never all held twice.
            let (_, store) = self
                .begin(BLOCKS, IdbTransactionMode::Readonly)
                .map_err(&failed)?;
            let end = format!("{prefix}\u{ffff}");
            let range =
                IdbKeyRange::bound_with_lower_open(&after.as_str().into(), &end.into(), true)
                    .map_err(&failed)?;
            let keys = store
                .get_all_keys_with_key_and_limit(&range, BATCH)
                .map_err(&failed)?;
            let values = store
                .get_all_with_key_and_limit(&range, BATCH)
                .map_err(&failed)?;
            let (keys, values) = futures::join!(settled(&keys), settled(&values));
            let keys: js_sys::Array = keys.map_err(&failed)?.unchecked_into();
            let values: js_sys::Array = values.map_err(&failed)?.unchecked_into();
            for (key, value) in keys.iter().zip(values.iter()) {
                let Some(key) = key.as_string() else { continue };
                after.clone_from(&key);
                each(
                    key,
                    value
                        .dyn_ref::<Uint8Array>()
                        .map(Uint8Array::to_vec)
                        .unwrap_or_default(),
                );
            }
            if keys.length() < BATCH {
                return Ok(());
            }
        }
    }

    /// Makes all `changes` or none; returns when they are on disk.
    pub(super) async fn change_blocks(&self, changes: &[Change]) -> Result<(), StorageError> {
        let failed = request_error("write the blocks");
        let (transaction, store) = self
            .begin(BLOCKS, IdbTransactionMode::Readwrite)
            .map_err(&failed)?;
        for change in changes {
            match change {
                Change::Put { key, value } => store
                    .put_with_key(&Uint8Array::from(&value[..]), &key.as_str().into())
                    .map_err(&failed)?,
                Change::Remove { key } => store.delete(&key.as_str().into()).map_err(&failed)?,
            };
        }
        completed(&transaction).await.map_err(&failed)
    }

    pub(super) async fn record(
        &self,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let failed = request_error("read a record");
        let (_, store) = self
            .begin(RECORDS, IdbTransactionMode::Readonly)
            .map_err(&failed)?;
        read(&store, key).await.map_err(&failed)
    }

    /// Puts `value` in the place of what is stored under `key`, where that is what `may_replace` wants: looks and writes in
    /// one transaction, so that nobody writes between. Returns whether it did, once it is on disk.
    pub(super) async fn replace_record(
        &self,
        key: &str,
        value: &[u8],
        may_replace: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<bool, StorageError> {
        let failed = request_error("write a record");
        let (transaction, store) = self
            .begin(RECORDS, IdbTransactionMode::Readwrite)
            .map_err(&failed)?;
        let stored = read(&store, key).await.map_err(&failed)?;
        if !may_replace(stored.as_ref().map(|stored| stored.as_slice())) {
            return Ok(false);
        }
        let value = Uint8Array::from(value);
        let written = store.put_with_key(&value, &key.into());
        value.fill(0, 0, value.length());
        written.map_err(&failed)?;
        completed(&transaction).await.map_err(&failed)?;
        Ok(true)
    }

    fn begin(
        &self,
        store: &str,
        mode: IdbTransactionMode,
    ) -> Result<(IdbTransaction, IdbObjectStore), JsValue> {
        // By name: web-sys counts a transaction's options among its unstable interfaces.
        let begin = Reflect::get(&self.inner.database, &"transaction".into())?;
        let begin: Function = begin.dyn_into()?;
        let options = Object::new();
        Reflect::set(&options, &"durability".into(), &durability(store).into())?;
        let transaction =
            begin.call3(&self.inner.database, &store.into(), &mode.into(), &options)?;
        let transaction: IdbTransaction = transaction.unchecked_into();
        let store = transaction.object_store(store)?;
        Ok((transaction, store))
    }
}

/// How sure the browser is to be that a change of `store` is on disk before it says so. By default it may only have handed
/// it to the system, and a crash of the device then takes back a booking, a key or an entry. Blocks can be had again.
fn durability(store: &str) -> &'static str {
    match store {
        BLOCKS => "relaxed",
        _ => "strict",
    }
}

/// Reads the bytes under `key`; what is no array of bytes reads as no bytes.
async fn read(store: &IdbObjectStore, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, JsValue> {
    let value = settled(&store.get(&key.into())?).await?;
    if value.is_undefined() {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(array) = value.dyn_ref::<Uint8Array>() {
        bytes.resize(array.length() as usize, 0);
        array.copy_to(&mut bytes);
        array.fill(0, 0, array.length());
    }
    Ok(Some(bytes))
}

/// Returns the name and message of what JavaScript threw, shortened.
pub(super) fn text_of(error: &JsValue) -> String {
    let field = |name: &str| {
        Reflect::get(error, &name.into())
            .ok()
            .and_then(|value| value.as_string())
    };
    let text = match (field("name"), field("message")) {
        (Some(name), Some(message)) => format!("{name}: {message}"),
        (name, message) => name.or(message).unwrap_or_else(|| format!("{error:?}")),
    };
    text.chars().take(200).collect()
}

type Handler = Closure<dyn FnMut()>;

/// Handlers of one request or transaction; detached on drop.
struct Handlers<T: Detach> {
    target: T,
    _done: Handler,
    _failed: Handler,
}

trait Detach {
    fn detach(&self);
}

impl Detach for IdbRequest {
    fn detach(&self) {
        self.set_onsuccess(None);
        self.set_onerror(None);
    }
}

impl Detach for IdbTransaction {
    fn detach(&self) {
        self.set_oncomplete(None);
        self.set_onerror(None);
        self.set_onabort(None);
    }
}

impl<T: Detach> Drop for Handlers<T> {
    fn drop(&mut self) {
        self.target.detach();
    }
}

/// Makes two closures of which the first one called decides: success or failure.
fn outcome() -> (Handler, Handler, oneshot::Receiver<bool>) {
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(std::cell::Cell::new(Some(sender)));
    let tell = |is_done: bool| {
        let sender = sender.clone();
        Closure::<dyn FnMut()>::new(move || {
            if let Some(sender) = sender.take() {
                let _ = sender.send(is_done);
            }
        })
    };
    (tell(true), tell(false), receiver)
}

/// Waits for the result of `request`.
async fn settled(request: &IdbRequest) -> Result<JsValue, JsValue> {
    let (done, failed, outcome) = outcome();
    request.set_onsuccess(Some(done.as_ref().unchecked_ref()));
    request.set_onerror(Some(failed.as_ref().unchecked_ref()));
    let _handlers = Handlers {
        target: request.clone(),
        _done: done,
        _failed: failed,
    };
    match outcome.await {
        Ok(true) => request.result(),
        _ => Err(request
            .error()
            .ok()
            .flatten()
            .map_or(JsValue::from_str("unknown error"), Into::into)),
    }
}

/// Waits until `transaction` is on disk.
async fn completed(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let (done, failed, outcome) = outcome();
    transaction.set_oncomplete(Some(done.as_ref().unchecked_ref()));
    transaction.set_onerror(Some(failed.as_ref().unchecked_ref()));
    transaction.set_onabort(Some(failed.as_ref().unchecked_ref()));
    let _handlers = Handlers {
        target: transaction.clone(),
        _done: done,
        _failed: failed,
    };
    match outcome.await {
        Ok(true) => Ok(()),
        _ => Err(transaction
            .error()
            .map_or(JsValue::from_str("transaction aborted"), Into::into)),
    }
}

/// Version of the database's layout: 1 had no records.
const VERSION: u32 = 2;
/// Key: slot number. Value: the 32 bytes of an Ed25519 seed.
const IDENTITIES: &str = "identities";
/// Key: slot, `/`, content id. Value: see [`super::store`].
const BLOCKS: &str = "blocks";
/// Key: slot, `/`, name; without a slot where all tabs share it. Value: bytes.
const RECORDS: &str = "records";
/// Blocks read at a time: at most 16 MiB.
const BATCH: u32 = 16;
