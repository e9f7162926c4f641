//! Bytes from those who wish us ill: nothing panics, and nothing but the packet itself verifies.

use chorus_core::digest::ContentId;
use chorus_core::key::PeerId;
use chorus_core::packet::block::Manifest;
use chorus_core::packet::{Packet, PacketError, UnverifiedPacket};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sample::{POLICY, inline, link};

fn received_cbor(bytes: &[u8]) -> Result<Packet, PacketError> {
    UnverifiedPacket::from_cbor(bytes)?.verify(&POLICY)
}

fn received_json(text: &str) -> Result<Packet, PacketError> {
    UnverifiedPacket::from_json(text)?.verify(&POLICY)
}

#[test]
fn no_packet_with_a_flipped_bit_verifies() {
    for packet in [inline(), link()] {
        let mut bytes = packet.as_cbor().to_vec();
        assert!(received_cbor(&bytes).is_ok());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(received_cbor(&bytes).is_err(), "byte {at}, bit {bit}");
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn no_truncated_or_extended_packet_verifies() {
    for packet in [inline(), link()] {
        let bytes = packet.as_cbor();
        for len in 0..bytes.len() {
            assert!(received_cbor(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(received_cbor(&[bytes, &[0]].concat()).is_err());
        assert!(received_cbor(&[bytes, bytes].concat()).is_err());
    }
}

/// JSON has several spellings of one packet; what it must not have is another packet.
#[test]
fn no_json_with_a_flipped_bit_verifies_as_another_packet() {
    for packet in [inline(), link()] {
        let json = packet.to_json();
        let mut bytes = json.clone().into_bytes();
        for at in 0..bytes.len() {
            for bit in 0..7 {
                bytes[at] ^= 1 << bit;
                if let Ok(text) = core::str::from_utf8(&bytes)
                    && let Ok(received) = received_json(text)
                {
                    assert_eq!(received.as_cbor(), packet.as_cbor(), "byte {at}, bit {bit}");
                }
                bytes[at] ^= 1 << bit;
            }
        }
        for len in (0..json.len()).filter(|&len| json.is_char_boundary(len)) {
            assert!(received_json(&json[..len]).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn a_packet_in_another_encoding_is_refused() {
    let packet = inline();
    let cbor = packet.as_cbor();
    // ttl, the first key: 86400 in four bytes. The same in eight bytes is not DAG-CBOR.
    let canonical = b"\x63ttl\x1a\x00\x01\x51\x80";
    let at = cbor
        .windows(canonical.len())
        .position(|window| window == canonical)
        .unwrap();
    let mut longer = cbor[..at].to_vec();
    longer.extend_from_slice(b"\x63ttl\x1b\x00\x00\x00\x00\x00\x01\x51\x80");
    longer.extend_from_slice(&cbor[at + canonical.len()..]);
    assert!(received_cbor(&longer).is_err());
    // An indefinite map, and the keys in another order.
    assert!(received_cbor(&[&[0xbf], &cbor[1..], &[0xff]].concat()).is_err());
    let mut reordered = vec![cbor[0]];
    reordered.extend_from_slice(&cbor[at + canonical.len()..]);
    reordered.extend_from_slice(canonical);
    assert_eq!(reordered.len(), cbor.len());
    assert!(received_cbor(&reordered).is_err());
}

#[test]
fn deep_nesting_and_announced_lengths_end_in_an_error() {
    for byte in [0x81, 0xa1, 0xd8, 0x9f, 0xbf, 0x5f, 0x7f] {
        assert!(received_cbor(&vec![byte; 100_000]).is_err());
    }
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let bytes = [
            head, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3,
        ];
        assert!(received_cbor(&bytes).is_err());
        assert!(Manifest::from_cbor(&bytes, u64::MAX).is_err());
    }
    assert!(received_json(&"[".repeat(100_000)).is_err());
    assert!(received_json(&r#"{"metadata":"#.repeat(10_000)).is_err());
}

#[test]
fn no_manifest_with_a_flipped_bit_has_the_same_name() {
    let content = vec![1; 600_000];
    let block = Manifest::of(&content).to_block().unwrap();
    let mut bytes = block.bytes.clone();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            // It may be a manifest, but of something else.
            let _ = Manifest::from_cbor(&bytes, u64::MAX);
            assert!(!block.cid.verify(&bytes));
            bytes[at] ^= 1 << bit;
        }
    }
    for len in 0..bytes.len() {
        assert!(
            Manifest::from_cbor(&bytes[..len], u64::MAX).is_err(),
            "{len} bytes"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_packet_no_manifest_and_no_name(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(received_cbor(&bytes).is_err());
        prop_assert!(Manifest::from_cbor(&bytes, u64::MAX).is_err());
        prop_assert!(ContentId::from_bytes(&bytes).is_err());
        prop_assert!(PeerId::from_bytes(&bytes).is_err());
    }

    #[test]
    fn random_text_is_no_packet_and_no_name(text in "\\PC{0,100}") {
        prop_assert!(received_json(&text).is_err());
        prop_assert!(text.parse::<ContentId>().is_err());
        prop_assert!(text.parse::<PeerId>().is_err());
    }

    #[test]
    fn a_packet_with_a_stretch_overwritten_does_not_verify(
        at in any::<prop::sample::Index>(),
        stretch in vec(any::<u8>(), 1..40),
    ) {
        let packet = link();
        let mut bytes = packet.as_cbor().to_vec();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + stretch.len());
        bytes[at..end].copy_from_slice(&stretch[..end - at]);
        prop_assert!(received_cbor(&bytes).is_err() || bytes == packet.as_cbor());
    }
}
