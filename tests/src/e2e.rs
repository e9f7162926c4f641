//! The relay as a process: its command line, its HTTP and its files, as scripts rely on them.

mod blocks;
mod engram;
mod engram_layers;
mod faults;
mod life;
mod order;
mod revoked;
mod scene;
mod sealed;
mod share;
mod unfinished;
