//! Everything a Chorus node decides. Stub of the map; the founder writes it.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod bounds;
pub mod codon;
pub mod digest;
pub mod key;
pub mod packet;
pub mod time;
pub mod wire;
