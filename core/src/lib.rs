//! Everything a Chorus node decides, without IO.
#![no_std]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;
pub mod webrtc;
