//! Sparsification comes after noise: which numbers are the largest is a secret.
use chorus_core::privacy::noise::Clipped;

fn wrong(clipped: Clipped) {
    let _ = clipped.keep_largest(10);
}

fn main() {}
