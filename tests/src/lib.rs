//! Tests that belong to no crate: `e2e` uses the relay as a process, `netns` puts peers on networks that do not reach
//! each other, `stages` holds programs that must not compile, `tidy` reads the tree.
//!
//! `cargo xtask test e2e|netns|core|tidy` runs them; it builds the relay first.

#[cfg(test)]
mod e2e;
#[cfg(test)]
mod netns;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod tidy;
