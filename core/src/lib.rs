//! Everything that a Chorus node decides, for browsers and servers alike.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | foundation | [`time`], [`key`], [`digest`], [`wire`], [`bounds`], [`figure`], [`codon`], [`flat`] | itself |
//! | domain | [`packet`], [`privacy`], [`seal`], [`engram`], [`learner`], `webrtc`, [`status`] | foundation |
//! | orchestration | [`release`], [`training`] | everything above |
//! | node | [`node`] | everything above |
//! | driver | `net` (feature `net`) | `node`, and libp2p |
//!
//! Invariants: without feature `net` the crate is `no_std`, does no IO, reads no clock and logs nothing; remote input
//! never panics and never allocates what it announces before it arrives; the same inputs give the same outputs.
//!
//! What it does not do: it brings no transports and no storage. The crates `web` and `relay` do.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;

pub mod bounds;
pub mod codon;
pub mod digest;
pub mod engram;
pub mod figure;
pub mod flat;
pub mod key;
pub mod learner;
#[cfg(feature = "net")]
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the driver is where clocks and libp2p's unordered ids live; nothing replays it"
)]
pub mod net;
pub mod node;
pub mod packet;
pub mod privacy;
pub mod release;
pub mod seal;
pub mod status;
pub mod time;
pub mod training;
pub mod webrtc;
pub mod wire;
