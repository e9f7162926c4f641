//! The integration tests of the core in one binary: what peers see of packets, blocks and codons.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's allow-unwrap-in-tests does not see the helpers of an integration test"
)]

#[path = "it/engram.rs"]
mod engram;
#[path = "it/golden.rs"]
mod golden;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/property.rs"]
mod property;
#[path = "it/release.rs"]
mod release;
#[path = "it/sample.rs"]
mod sample;
