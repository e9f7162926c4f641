//! Noise comes after clipping: without a bound it hides nothing.
use chorus_core::privacy::{ledger::Grant, noise::Clipped};

fn wrong(update: Vec<f32>, grant: &mut Grant, rng: &mut rand_chacha::ChaCha20Rng) {
    let _ = Clipped::noise(update, grant, rng);
}

fn main() {}
