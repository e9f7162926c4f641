//! Nobody makes a later stage out of a draft.
use chorus_core::privacy::{Draft, Raw};

fn wrong(draft: Draft) -> Raw {
    Raw(draft)
}

fn main() {}
