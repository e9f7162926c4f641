//! Web Locks (W3C), which end with the tab that holds them, however it ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use futures_timer::Delay;
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

use crate::storage::StorageError;
use crate::storage::database::text_of;

// web-sys has the API behind an unstable flag only.
#[wasm_bindgen]
extern "C" {
    type LockManager;

    #[wasm_bindgen(method, catch)]
    fn request(
        this: &LockManager,
        name: &str,
        options: &JsValue,
        callback: &Function,
    ) -> Result<Promise, JsValue>;
}

/// A lock held. Dropping it lets the lock go.
pub struct LockGuard {
    release: Function,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Resolving a promise does not throw.
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockGuard")
    }
}

/// Takes the lock `name`; `None` where another tab holds it.
///
/// # Errors
/// [`StorageError::NoLocks`] where the browser gives no access.
pub(super) async fn take(name: &str) -> Result<Option<LockGuard>, StorageError> {
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE).map_err(no_locks)?;
    Ok(request(name, &options)?.await.unwrap_or(None))
}

/// Waits for the lock `name`; `None` where another tab holds it for longer than `patience`.
///
/// # Errors
/// [`StorageError::NoLocks`] where the browser gives no access.
pub(super) async fn wait(
    name: &str,
    patience: Duration,
) -> Result<Option<LockGuard>, StorageError> {
    let controller = AbortController::new().map_err(no_locks)?;
    let options = Object::new();
    Reflect::set(&options, &"signal".into(), &controller.signal()).map_err(no_locks)?;
    let granted = request(name, &options)?;
    match select(granted, Delay::new(patience)).await {
        Either::Left((guard, _)) => Ok(guard.unwrap_or(None)),
        Either::Right(((), granted)) => {
            controller.abort();
            // The lock may have been granted in the same moment: dropping the guard lets it go.
            drop(granted);
            Ok(None)
        }
    }
}

/// Asks for a lock. The receiver gets the guard, or `None` where the lock is not available, and is cancelled where the
/// request is aborted.
fn request(
    name: &str,
    options: &Object,
) -> Result<oneshot::Receiver<Option<LockGuard>>, StorageError> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).map_err(no_locks)?;
    let locks = Reflect::get(&navigator, &"locks".into()).map_err(no_locks)?;
    if !locks.is_object() {
        return Err(StorageError::NoLocks {
            reason: "the page is no secure context".to_owned(),
        });
    }
    let locks: LockManager = locks.unchecked_into();

    let (sender, receiver) = oneshot::channel();
    let on_granted: Closure<dyn FnMut(JsValue) -> JsValue> = Closure::once(move |lock: JsValue| {
        if lock.is_null() || lock.is_undefined() {
            let _ = sender.send(None);
            return JsValue::UNDEFINED;
        }
        // The lock is held until the promise that this callback returns is resolved.
        let release = Rc::new(RefCell::new(None));
        let keep = release.clone();
        let held = Promise::new(&mut |resolve, _| *keep.borrow_mut() = Some(resolve));
        let guard = release
            .borrow_mut()
            .take()
            .map(|release| LockGuard { release });
        // A receiver that is gone drops the guard, which lets the lock go.
        let _ = sender.send(guard);
        held.into()
    });
    let done = locks
        .request(name, options, on_granted.as_ref().unchecked_ref())
        .map_err(no_locks)?;

    // The callback lives until the browser is done with the request: granted and released, or aborted.
    spawn_local(async move {
        let _ = JsFuture::from(done).await;
        drop(on_granted);
    });
    Ok(receiver)
}

fn no_locks(error: JsValue) -> StorageError {
    StorageError::NoLocks {
        reason: text_of(&error),
    }
}
