//! A generalised draft is not published before it is validated.
use chorus_core::privacy::Generalised;

fn wrong(generalised: Generalised) {
    let _ = generalised.into_parts();
}

fn main() {}
