//! Packets that the tests share.

use chorus_core::digest::{Codec, ContentId, Digest};
use chorus_core::key::Keypair;
use chorus_core::packet::{
    Dtype, How, Instructions, Order, Packet, PacketDraft, Policy, What, When, Where, Why,
};
use chorus_core::time::Timestamp;

/// 2026-11-21T04:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);

pub(crate) const POLICY: Policy<'static> = Policy::new("main", NOW);

/// RFC 8032, section 7.1, TEST 1.
pub(crate) fn key() -> Keypair {
    Keypair::from_seed(Digest::as_bytes(
        &"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
            .parse()
            .unwrap(),
    ))
}

/// The least there is: defaults and two bytes.
pub(crate) fn inline() -> Packet {
    PacketDraft::inline("greeting", b"hi".to_vec())
        .sign(&key(), "main", NOW)
        .unwrap()
}

/// Every kind of argument, quality metrics and a link.
pub(crate) fn link() -> Packet {
    let root = ContentId::of(Codec::DagCbor, b"manifest");
    let mut draft = PacketDraft::link("weights", root, 1_000_000, Digest::sha256(b"content"));
    draft.instructions = Instructions {
        when: When::Threshold {
            metric: "accuracy".into(),
            value: 0.9,
        },
        whither: Where::Pattern {
            pattern: r#"layer "1""#.into(),
        },
        how: How::Merge { weight: 0.25 },
        why: Why::Learn {
            task: "digits".into(),
        },
        what: What::Weights {
            tensor: "all".into(),
            dtype: Dtype::F32,
            shape: vec![4810],
        },
        order: Order::After {
            cid: ContentId::of(Codec::DagCbor, &[0xa0]),
        },
    };
    draft.quality = [("accuracy".into(), 0.875), ("loss".into(), 0.1)].into();
    draft.ttl_secs = 3600;
    draft.sign(&key(), "main", NOW).unwrap()
}
