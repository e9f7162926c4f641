//! Engrams in a tab: what is slow, for a worker. Loaded when somebody opens an engram, never before.
//!
//! Functions of plain data: this module fetches nothing, stores nothing and holds no secret. `www/engram-worker.js` calls
//! it, and `www/engram.js` is what pages call. Everything but [`api`](self) is tested natively.

#[cfg(target_arch = "wasm32")]
pub mod api;
#[cfg(all(target_arch = "wasm32", feature = "bench"))]
pub mod bench;
pub mod curve;
pub mod file;
#[cfg(target_arch = "wasm32")]
pub mod html;
pub mod inspect;
pub mod lossy;
pub mod pack;
pub mod problem;
pub mod session;
pub mod unpack;
pub mod view;
