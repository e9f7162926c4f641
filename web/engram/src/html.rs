//! What the dialogs of `www/studio.js` show, from JSON.

use wasm_bindgen::prelude::*;

use crate::inspect::inspect as look;
use crate::problem::{INVALID_ARGUMENT, Problem};
use crate::view;

/// Returns the question how small a model is to get, as HTML.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT`: `offer` is not the JSON of a [`view::Offer`].
#[wasm_bindgen(js_name = offerHtml)]
pub fn offer_html(offer: &str) -> Result<String, JsValue> {
    Ok(view::offer(&read(offer)?))
}

/// Returns what is shown of an engram that came, as HTML.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT`: `received` is not the JSON of a [`view::Received`].
#[wasm_bindgen(js_name = receivedHtml)]
pub fn received_html(received: &str) -> Result<String, JsValue> {
    Ok(view::received(&read(received)?))
}

/// Returns what an engram says of itself, JSON.
///
/// # Errors
/// Those of [`inspect`](look).
#[wasm_bindgen]
pub fn inspect(packed: &[u8]) -> Result<String, JsValue> {
    Ok(serde_json::to_string(&look(packed)?).unwrap_or_default())
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Problem> {
    serde_json::from_str(json).map_err(|e| Problem::new(INVALID_ARGUMENT, e))
}
