//! Errors as JavaScript sees them: `Error` objects with a stable `code`.

use std::fmt::Display;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

/// Makes an `Error` with a code.
pub(crate) fn error(code: &str, message: &impl Display) -> JsValue {
    let error = js_sys::Error::new(&message.to_string());
    // Setting a property of a fresh object cannot fail.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// A generator seeded by the browser.
///
/// # Errors
/// `ERR_IDENTITY`: the browser has no secure generator.
pub(crate) fn rng() -> Result<ChaCha20Rng, JsValue> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|e| error("ERR_UNKNOWN", &e))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
