//! No noise is drawn from a reservation before the ledger is stored.
use chorus_core::privacy::{ledger::Reservation, noise::Clipped};

fn wrong(clipped: Clipped, reservation: &mut Reservation, rng: &mut rand_chacha::ChaCha20Rng) {
    let _ = clipped.noise(reservation, rng);
}

fn main() {}
