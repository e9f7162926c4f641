//! A draft is not anonymised before it is scrubbed.
use chorus_core::privacy::{Anonymiser, Raw};

fn wrong(raw: Raw, how: &Anonymiser) {
    raw.anonymise(how);
}

fn main() {}
