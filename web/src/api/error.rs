//! Errors as JavaScript sees them: `Error` objects with a stable `code`.

use chorus_core::{net::HandleError, node::NodeError};
use wasm_bindgen::JsValue;

/// Makes an `Error` with a code.
pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    // Setting a property of a fresh object cannot fail.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// Returns the stable code of an error.
fn code_of(error: &HandleError) -> &'static str {
    match error {
        HandleError::Closed => "ERR_CLOSED",
        HandleError::Node(NodeError::NotFound { .. }) => "ERR_NOT_FOUND",
        HandleError::Node(NodeError::TooLarge { .. }) => "ERR_TOO_LARGE",
        HandleError::Node(NodeError::Busy { .. }) => "ERR_BUSY",
        HandleError::Node(NodeError::Revoked { .. }) => "ERR_REVOKED",
        HandleError::Node(NodeError::NotStored(_)) => "ERR_NOT_KEPT",
        HandleError::Node(NodeError::Measurement { .. }) => "ERR_INVALID_ARGUMENT",
        HandleError::NotAuthor { .. } => "ERR_NOT_AUTHOR",
        HandleError::Node(NodeError::Content { .. } | NodeError::Packet(_)) => {
            "ERR_INVALID_CONTENT"
        }
        HandleError::Node(_) => "ERR_PEER",
        HandleError::Stale { .. } => "ERR_STALE",
        HandleError::Packet(_) | HandleError::Block(_) => "ERR_INVALID_PACKET",
        HandleError::Dial { .. } => "ERR_DIAL",
        _ => "ERR_UNKNOWN",
    }
}

/// Turns a handle's error into a JavaScript one.
pub(crate) fn handle_error(failed: HandleError) -> JsValue {
    error(code_of(&failed), &failed.to_string())
}
