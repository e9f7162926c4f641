//! An anonymous draft is not published.
use chorus_core::privacy::Anonymous;

fn wrong(anonymous: Anonymous) {
    let _ = anonymous.into_parts();
}

fn main() {}
