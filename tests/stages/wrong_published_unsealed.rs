//! What is addressed to somebody is sealed first.
use chorus_core::privacy::{Sealed, Validated};

fn send(_: Sealed) {}

fn wrong(validated: Validated) {
    send(validated);
}

fn main() {}
