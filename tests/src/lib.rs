//! Tests that belong to no crate: `e2e` uses the relay as a process, `tidy` reads the tree.
//!
//! `cargo xtask test e2e|tidy` runs them; it builds the relay first.

#[cfg(test)]
mod e2e;
#[cfg(test)]
mod tidy;
