//! A generalised draft is not sealed before it is validated.
use chorus_core::privacy::Generalised;

fn wrong(generalised: Generalised) {
    let _ = generalised.seal_with(|_| Ok::<_, ()>(Vec::new()));
}

fn main() {}
