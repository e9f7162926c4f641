//! What is written is read back, whatever it is.

use std::collections::BTreeMap;

use chorus_core::codon;
use chorus_core::digest::{Codec, ContentId, Digest};
use chorus_core::key::{Keypair, PeerId};
use chorus_core::packet::block::{Assembly, Manifest, split};
use chorus_core::packet::{
    Dtype, How, Instructions, Order, PacketDraft, Payload, UnverifiedPacket, What, When, Where, Why,
};
use chorus_core::time::Timestamp;
use chorus_core::wire::{Reader, Writer};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::sample::{NOW, POLICY};

fn text() -> impl Strategy<Value = String> {
    // Anything but control characters, up to four bytes each.
    "\\PC{0,60}"
}

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    (POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO).prop_map(|value| value + 0.0)
}

fn cid(codec: Codec) -> impl Strategy<Value = ContentId> {
    any::<[u8; 32]>().prop_map(move |digest| ContentId::new(codec, Digest::from_bytes(digest)))
}

fn dtype() -> impl Strategy<Value = Dtype> {
    prop::sample::select(vec![
        Dtype::F32,
        Dtype::F64,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I8,
        Dtype::U8,
        Dtype::I16,
        Dtype::I32,
        Dtype::I64,
    ])
}

fn instructions() -> impl Strategy<Value = Instructions> {
    let when = prop_oneof![
        Just(When::Immediate),
        (text(), finite()).prop_map(|(metric, value)| When::Threshold { metric, value }),
        (1..=31_536_000u64).prop_map(|secs| When::Periodic { secs }),
    ];
    let whither = prop_oneof![
        text().prop_map(|region| Where::Memory { region }),
        text().prop_map(|pattern| Where::Pattern { pattern }),
        text().prop_map(|locus| Where::Genetic { locus }),
    ];
    let how = prop_oneof![
        (0.0..=1.0f64).prop_map(|weight| How::Merge { weight }),
        Just(How::Replace),
        Just(How::Append),
    ];
    let why = prop_oneof![
        text().prop_map(|metric| Why::Optimize { metric }),
        text().prop_map(|context| Why::Adapt { context }),
        text().prop_map(|task| Why::Learn { task }),
    ];
    let what = prop_oneof![
        (text(), dtype(), vec(any::<u32>(), 0..=8)).prop_map(|(tensor, dtype, shape)| {
            What::Weights {
                tensor,
                dtype,
                shape,
            }
        }),
        (text(), text()).prop_map(|(name, format)| What::Structure { name, format }),
        text().prop_map(|name| What::Parameters { name }),
    ];
    let order = prop_oneof![
        Just(Order::First),
        cid(Codec::Raw).prop_map(|cid| Order::After { cid }),
        Just(Order::Parallel),
    ];
    (when, whither, how, why, what, order).prop_map(|(when, whither, how, why, what, order)| {
        Instructions {
            when,
            whither,
            how,
            why,
            what,
            order,
        }
    })
}

fn draft() -> impl Strategy<Value = PacketDraft> {
    let content = prop_oneof![
        vec(any::<u8>(), 0..2000).prop_map(|content| PacketDraft::inline("t", content)),
        (cid(Codec::DagCbor), 0..6_000_000_000u64, any::<[u8; 32]>()).prop_map(
            |(root, size, digest)| PacketDraft::link("t", root, size, Digest::from_bytes(digest))
        ),
    ];
    let name = "[a-zA-Z][a-zA-Z0-9._/-]{0,63}";
    let quality = btree_map(name, finite(), 0..=32);
    (content, name, instructions(), quality, 1..=2_592_000u64).prop_map(
        |(content, packet_type, instructions, quality, ttl_secs)| PacketDraft {
            packet_type,
            instructions,
            quality,
            ttl_secs,
            ..content
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packet_survives_both_forms(draft in draft(), seed in any::<[u8; 32]>()) {
        let packet = draft.clone().sign(&Keypair::from_seed(&seed), "main", NOW).unwrap();
        let cbor = UnverifiedPacket::from_cbor(packet.as_cbor()).unwrap().verify(&POLICY).unwrap();
        let json = UnverifiedPacket::from_json(&packet.to_json()).unwrap().verify(&POLICY).unwrap();
        for received in [&cbor, &json] {
            prop_assert_eq!(received.as_cbor(), packet.as_cbor());
            prop_assert_eq!(received.cid(), packet.cid());
            prop_assert_eq!(received.instructions(), &draft.instructions);
            prop_assert_eq!(received.payload(), &draft.payload);
            prop_assert_eq!(received.quality(), &draft.quality);
            prop_assert_eq!(received.ttl_secs(), draft.ttl_secs);
            prop_assert_eq!(received.packet_type(), &*draft.packet_type);
            prop_assert_eq!(received.content_digest(), draft.content_digest);
        }
    }

    #[test]
    fn instructions_survive_serde(instructions in instructions()) {
        let json = serde_json::to_string(&instructions).unwrap();
        prop_assert_eq!(serde_json::from_str::<Instructions>(&json).unwrap(), instructions);
    }

    #[test]
    fn codons_are_read_back(payload in vec(any::<u8>(), 0..500)) {
        let text = codon::encode(&payload);
        prop_assert_eq!(text.len(), 3 * payload.len());
        prop_assert_eq!(codon::decode(&text), Ok(payload));
    }

    #[test]
    fn a_letter_changed_in_a_text_of_codons_is_another_text_or_an_error_at_its_place(
        payload in vec(any::<u8>(), 1..100),
        at in any::<prop::sample::Index>(),
        letter in any::<u8>(),
    ) {
        let mut letters = codon::encode(&payload).into_bytes();
        let at = at.index(letters.len());
        letters[at] = letter;
        let mut decoded = vec![0; payload.len()];
        match codon::decode_into(&letters, &mut decoded) {
            Ok(_) => prop_assert_eq!(codon::encode(&decoded).into_bytes(), letters),
            Err(codon::DecodeIntoError::Codon(error)) => prop_assert_eq!(error.position, at / 3 * 3),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn any_text_is_codons_or_an_error_within_it(text in "[ACGTacgt]{0,40}|\\PC{0,40}") {
        match codon::decode(&text) {
            Ok(payload) => prop_assert_eq!(codon::encode(&payload), text),
            Err(error) => prop_assert!(error.position < text.len() && error.position % 3 == 0),
        }
    }

    #[test]
    fn integers_and_bytes_are_read_back(a in any::<u64>(), b in vec(any::<u8>(), 0..300)) {
        let a = a >> 1;
        let mut writer = Writer::new();
        writer.uvarint(a).bytes(&b);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.uvarint(), Ok(a));
        prop_assert_eq!(reader.bytes("b", 300), Ok(&*b));
        prop_assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_varint_that_is_read_has_one_spelling(bytes in vec(any::<u8>(), 0..12)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(value) = reader.uvarint() {
            let mut writer = Writer::new();
            writer.uvarint(value);
            prop_assert_eq!(&writer.into_bytes(), &bytes[..reader.position()]);
        }
    }

    #[test]
    fn names_survive_text_and_bytes(digest in any::<[u8; 32]>(), seed in any::<[u8; 32]>()) {
        for codec in [Codec::Raw, Codec::DagCbor] {
            let cid = ContentId::new(codec, Digest::from_bytes(digest));
            prop_assert_eq!(cid.to_string().parse(), Ok(cid));
            prop_assert_eq!(ContentId::from_bytes(&cid.to_bytes()), Ok(cid));
        }
        let id = Keypair::from_seed(&seed).peer_id();
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(PeerId::from_bytes(&id.to_bytes()), Ok(id));
        prop_assert_eq!(id.to_string().len(), PeerId::TEXT_LEN);
    }

    #[test]
    fn a_timestamp_survives_its_text(millis in 0..=Timestamp::MAX.as_millis()) {
        let timestamp = Timestamp::from_millis(millis);
        prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_object_survives_its_blocks_in_any_order(
        size in 0..1_500_000usize,
        byte in any::<u8>(),
        order in any::<u64>(),
    ) {
        let content: Vec<u8> =
            (0..size).map(|n| byte.wrapping_add((n >> 12).to_le_bytes()[0])).collect();
        let (manifest, leaves) = split(&content);
        let block = manifest.to_block().unwrap();
        prop_assert_eq!(Manifest::from_cbor(&block.bytes, size as u64).unwrap(), manifest.clone());
        let mut assembly = Assembly::new(manifest).unwrap();
        let shuffled: BTreeMap<_, _> = leaves
            .enumerate()
            .map(|(n, leaf)| ((n as u64 + 1).wrapping_mul(order | 1), leaf))
            .collect();
        for leaf in shuffled.into_values() {
            prop_assert_eq!(assembly.expected_len(&leaf.cid).unwrap_or(leaf.bytes.len()), leaf.bytes.len());
            let _ = assembly.insert(leaf);
        }
        prop_assert_eq!(assembly.into_content(Digest::sha256(&content)), Ok(content));
    }

    #[test]
    fn the_size_of_a_payload_is_that_of_its_content(content in vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(Payload::Inline(content.clone()).size(), content.len() as u64);
    }
}
