//! A draft is not validated as it is.
use chorus_core::privacy::{Expected, Raw, Scrub};

fn wrong(raw: Raw, expected: &Expected, scrub: &mut Scrub<'_>) {
    let _ = raw.validate(expected, scrub);
}

fn main() {}
