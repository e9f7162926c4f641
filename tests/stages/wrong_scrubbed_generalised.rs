//! A scrubbed draft is not generalised before it is anonymous.
use chorus_core::privacy::{Generaliser, Scrubbed};

fn wrong(scrubbed: Scrubbed, how: &Generaliser<'_>, rng: &mut rand_chacha::ChaCha20Rng) {
    let _ = scrubbed.generalise(how, None, rng);
}

fn main() {}
