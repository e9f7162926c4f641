//! A scrubbed draft is not validated before it is anonymous and generalised.
use chorus_core::privacy::{Expected, Scrub, Scrubbed};

fn wrong(scrubbed: Scrubbed, expected: &Expected, scrub: &mut Scrub<'_>) {
    let _ = scrubbed.validate(expected, scrub);
}

fn main() {}
