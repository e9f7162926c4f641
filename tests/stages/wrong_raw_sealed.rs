//! A draft is not sealed as it is.
use chorus_core::privacy::Raw;

fn wrong(raw: Raw) {
    let _ = raw.seal_with(|_| Ok::<_, ()>(Vec::new()));
}

fn main() {}
