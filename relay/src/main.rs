//! The Chorus relay: serves the page, introduces browsers to each other, stores blocks; and the headless peer commands.
//!
//! Standard output carries what scripts read (contract.md); everything else goes to standard error.
//! Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.

mod behaviour;
mod bootstrap;
mod config;
mod http;
mod meter;
mod metrics;
mod store;
mod transport;

fn main() {}
