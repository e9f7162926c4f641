//! What a tab needs to share with care: the five stages, sealing, opening, and what is shown of
//! them. Loaded at the first share, so that a page
//! that only watches does not wait for it.
//!
//! Functions of plain data: this module stores nothing and sends nothing. `www/privacy.js` calls it and the peer's own
//! module, which signs, stores and sends.

#[cfg(all(target_arch = "wasm32", feature = "bench"))]
pub mod bench;
#[cfg(target_arch = "wasm32")]
pub mod budget;
#[cfg(target_arch = "wasm32")]
mod error;
#[cfg(target_arch = "wasm32")]
pub mod html;
#[cfg(target_arch = "wasm32")]
pub mod journal;
#[cfg(target_arch = "wasm32")]
pub mod keyring;
#[cfg(target_arch = "wasm32")]
pub mod stages;
#[cfg(target_arch = "wasm32")]
pub mod training;
pub mod view;
