//! What the page shows, as plain data and pure functions: no DOM, no clock, no network. Compiles and is tested natively.

pub mod digit;
pub mod drawing;
pub mod format;
pub mod geometry;
pub mod link;
pub mod state;
pub mod store;
