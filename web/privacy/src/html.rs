//! What the dialogs of `www/dialog.js` show, from JSON.

use wasm_bindgen::prelude::*;

use crate::error::error;
use crate::view;

/// Returns the question before something is shared, as HTML.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT`: `offer` is not the JSON of a [`view::Offer`].
#[wasm_bindgen(js_name = previewHtml)]
pub fn preview_html(offer: &str) -> Result<String, JsValue> {
    let offer = serde_json::from_str(offer).map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
    Ok(view::preview(&offer))
}

/// Returns the list of what left, as HTML.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT`: `ledger` is not the JSON of a [`view::Ledger`].
#[wasm_bindgen(js_name = ledgerHtml)]
pub fn ledger_html(ledger: &str) -> Result<String, JsValue> {
    let ledger = serde_json::from_str(ledger).map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
    Ok(view::ledger(&ledger))
}
