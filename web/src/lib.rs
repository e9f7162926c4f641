//! The Chorus peer in a browser tab: transports, storage, the dashboard, the widget and the JavaScript API.
//!
//! Everything that touches the browser is wasm only, but [`view`], what the page shows as plain data, and the
//! bookkeeping of [`storage`] are tested natively.

#[cfg(target_arch = "wasm32")]
pub mod api;
#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
pub mod peer;
pub mod storage;
#[cfg(target_arch = "wasm32")]
pub mod transport;
#[cfg(target_arch = "wasm32")]
mod ui;
pub mod view;
