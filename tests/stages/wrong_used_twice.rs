//! A stage is gone once the next one exists: what was scrubbed cannot be shared unscrubbed.
use chorus_core::privacy::{Raw, Scrub};

fn wrong(raw: Raw, scrub: &mut Scrub<'_>) {
    let _ = raw.scrub(scrub);
    let _ = raw.scrub(scrub);
}

fn main() {}
