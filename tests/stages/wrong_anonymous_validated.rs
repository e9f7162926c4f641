//! An anonymous draft is not validated before it is generalised and noised.
use chorus_core::privacy::{Anonymous, Expected, Scrub};

fn wrong(anonymous: Anonymous, expected: &Expected, scrub: &mut Scrub<'_>) {
    let _ = anonymous.validate(expected, scrub);
}

fn main() {}
