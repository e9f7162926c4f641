use crate::sample::{inline, link};
#[test]
fn dump() {
    for (n, p) in [("inline", inline()), ("link", link())] {
        println!("{n} CBOR {}", p.as_cbor().iter().map(|b| format!("{b:02x}")).collect::<String>());
        println!("{n} JSON {}", p.to_json());
        println!("{n} CID {}", p.cid());
    }
    let (m, _) = chorus_core::packet::block::split(&vec![7u8; 300_000]);
    let b = m.to_block().unwrap();
    println!("manifest CBOR {} {}", b.bytes.iter().map(|b| format!("{b:02x}")).collect::<String>(), b.cid);
}
