//! What the page hears from the window and the document.

use std::rc::Rc;

use js_sys::Reflect;
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::spawn_local;
use web_sys::VisibilityState;

use crate::page::Page;

/// A handler on the window or the document, detached when dropped.
pub(super) struct Listener {
    target: web_sys::EventTarget,
    event: &'static str,
    on_event: Closure<dyn FnMut(JsValue)>,
}

impl Listener {
    fn new(
        target: web_sys::EventTarget,
        event: &'static str,
        on_event: impl FnMut(JsValue) + 'static,
    ) -> Self {
        let on_event = Closure::<dyn FnMut(JsValue)>::new(on_event);
        // The names of the events are constants, so that the browser takes them.
        let _ = target.add_event_listener_with_callback(event, on_event.as_ref().unchecked_ref());
        Self {
            target,
            event,
            on_event,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.target.remove_event_listener_with_callback(
            self.event,
            self.on_event.as_ref().unchecked_ref(),
        );
    }
}

/// Reconnects at once when the tab is shown again or the network is back, and says good-bye when the page goes.
pub(super) fn wake_listeners(page: &Rc<Page>) -> Vec<Listener> {
    let Some(window) = web_sys::window() else {
        return Vec::new();
    };
    let Some(document) = window.document() else {
        return Vec::new();
    };
    let (online, shown, hidden) = (page.clone(), page.clone(), page.clone());
    let seen = document.clone();
    vec![
        Listener::new(window.clone().into(), "online", move |_| online.wake()),
        Listener::new(document.into(), "visibilitychange", move |_| {
            if seen.visibility_state() == VisibilityState::Visible {
                shown.wake();
            }
        }),
        Listener::new(window.into(), "pagehide", move |event| {
            // What the browser keeps for the way back is shown again, which wakes it.
            if Reflect::get(&event, &"persisted".into()).is_ok_and(|kept| kept.is_truthy()) {
                return;
            }
            let peer = hidden.peer.borrow().clone();
            if let Some(peer) = peer {
                spawn_local(async move { peer.handle.close().await });
            }
        }),
    ]
}
