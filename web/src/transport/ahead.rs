//! What `www/chorus.js` begins while the wasm is on its way, because it needs none: the relay is asked where it is, a socket
//! to it opens, and a first `RTCPeerConnection` starts the browser's part of WebRTC.

use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{RtcPeerConnection, WebSocket};

/// What was begun. What nobody takes is closed when this is dropped.
#[derive(Debug, Default)]
pub struct Ahead {
    /// What `/bootstrap.json` said.
    pub bootstrap: Option<JsValue>,
    pub(super) socket: Option<WebSocket>,
    pub(super) connection: Option<RtcPeerConnection>,
}

impl Ahead {
    /// Reads `{ bootstrap, socket, connection }`, of which each may be missing.
    pub fn read(begun: &JsValue) -> Self {
        let field = |name: &str| Reflect::get(begun, &name.into()).ok();
        Self {
            bootstrap: field("bootstrap").filter(|value| value.is_object()),
            socket: field("socket").and_then(|value| value.dyn_into().ok()),
            connection: field("connection").and_then(|value| value.dyn_into().ok()),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // Closing a socket that is closed already is no error.
            let _ = socket.close();
        }
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }
}
