//! What is refused, and how it is said.

use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::codon::Codon;
use crate::digest::Codec;

const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);

fn key() -> Keypair {
    Keypair::from_seed(&[1; 32])
}

fn draft() -> PacketDraft {
    PacketDraft::inline("test", b"content".to_vec())
}

fn refused(draft: PacketDraft) -> PacketError {
    draft.sign(&key(), "main", NOW).unwrap_err()
}

fn later(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

fn checked_at(packet: &Packet, now: Timestamp) -> Result<Packet, PacketError> {
    UnverifiedPacket::from_cbor(packet.as_cbor())
        .unwrap()
        .verify(&Policy::new("main", now))
}

/// Returns what a peer would receive who gets `packet` with its JSON changed.
fn received(packet: &Packet, from: &str, to: &str) -> Result<Packet, PacketError> {
    let json = packet.to_json();
    assert!(json.contains(from), "{from} is in {json}");
    UnverifiedPacket::from_json(&json.replacen(from, to, 1))?.verify(&Policy::new("main", NOW))
}

#[test]
fn a_packet_that_was_signed_verifies_in_both_forms_as_the_same_packet() {
    let mut draft = draft();
    draft
        .quality
        .insert("accuracy".into(), 0.912_345_678_901_234_5);
    let packet = draft.sign(&key(), "main", NOW).unwrap();
    let policy = Policy::new("main", NOW);
    let from_cbor = UnverifiedPacket::from_cbor(packet.as_cbor())
        .unwrap()
        .verify(&policy)
        .unwrap();
    let from_json = UnverifiedPacket::from_json(&packet.to_json())
        .unwrap()
        .verify(&policy)
        .unwrap();
    assert_eq!(
        (from_cbor.cid(), from_json.cid()),
        (packet.cid(), packet.cid())
    );
    assert_eq!(from_json.as_cbor(), packet.as_cbor());
    assert_eq!(from_json.payload(), &Payload::Inline(b"content".to_vec()));
    assert_eq!(
        (from_json.packet_type(), from_json.ttl_secs()),
        ("test", DEFAULT_TTL_SECS)
    );
    assert_eq!(from_json.instructions(), &Instructions::default());
    assert!(packet.cid().verify(packet.as_cbor()));
}

#[test]
fn a_packet_of_another_network_is_refused_by_its_signature() {
    let packet = draft().sign(&key(), "test-net", NOW).unwrap();
    let error = checked_at(&packet, NOW).unwrap_err();
    assert_eq!(
        error,
        PacketError::Signature {
            author: key().peer_id(),
            network: "main".into()
        }
    );
    assert!(error.to_string().contains("another network"), "{error}");
}

#[test]
fn a_packet_under_another_name_is_refused() {
    let packet = draft().sign(&key(), "main", NOW).unwrap();
    let other = Keypair::from_seed(&[2; 32]).peer_id();
    let error = received(&packet, &key().peer_id().to_string(), &other.to_string()).unwrap_err();
    assert_eq!(
        error,
        PacketError::Signature {
            author: other,
            network: "main".into()
        }
    );
}

#[test]
fn a_packet_lives_from_its_timestamp_to_its_end_give_or_take_the_skew() {
    let mut draft = draft();
    draft.ttl_secs = 60;
    let packet = draft.sign(&key(), "main", later(1000)).unwrap();
    let skew = MAX_CLOCK_SKEW.as_secs();
    assert!(checked_at(&packet, later(1000 - skew)).is_ok());
    assert!(checked_at(&packet, later(1060 + skew)).is_ok());
    let early = checked_at(&packet, later(999 - skew)).unwrap_err();
    assert!(matches!(early, PacketError::Future { timestamp, .. } if timestamp == later(1000)));
    let late = checked_at(&packet, later(1061 + skew)).unwrap_err();
    assert!(matches!(late, PacketError::Expired { expired_at, .. } if expired_at == later(1060)));
}

#[test]
fn content_that_has_another_hash_is_refused_before_and_after_signing() {
    let mut wrong = draft();
    wrong.content_digest = Digest::sha256(b"other");
    assert!(matches!(refused(wrong), PacketError::ContentHash { .. }));

    // An author who lies: signed without the check.
    let sequence = Sequence {
        instructions: Instructions::default(),
        payload: Payload::Inline(vec![1]),
    };
    let parts = Parts {
        author: key().peer_id(),
        packet_type: "test".into(),
        sequence,
        quality: BTreeMap::new(),
        content_digest: Digest::sha256(b"other"),
        timestamp: NOW,
        ttl_secs: 60,
    };
    let signature = key().sign(&parts.signed_bytes("main").unwrap());
    let sealed = Sealed::new(parts, signature).unwrap();
    let error = UnverifiedPacket::from_cbor(&sealed.cbor)
        .unwrap()
        .verify(&Policy::new("main", NOW))
        .unwrap_err();
    assert!(
        matches!(error, PacketError::ContentHash { stated, .. } if stated == Digest::sha256(b"other"))
    );
}

#[test]
fn metadata_that_disagree_with_the_genetic_sequence_are_refused_by_name() {
    let packet = draft().sign(&key(), "main", NOW).unwrap();
    for (field, says) in [
        ("integration_when", "WHEN_IMMEDIATE"),
        ("integration_where", r#"WHERE_MEMORY region=\"shared\""#),
        ("integration_how", "HOW_MERGE weight=1.0"),
        ("integration_why", r#"WHY_LEARN task=\"\""#),
        ("integration_what", r#"WHAT_PARAMETERS name=\"\""#),
        ("integration_order", "ORDER_PARALLEL"),
    ] {
        let error = received(&packet, says, "SOMETHING_ELSE").unwrap_err();
        assert!(
            matches!(&error, PacketError::Metadata { field: f, .. } if *f == field),
            "{error}"
        );
    }
    // And the other way round: the sequence says `HOW_APPEND` instead of `HOW_MERGE`, 9 codons long.
    let merge = codon::encode(&[0x2d, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    let error = received(&packet, &merge, &codon::encode(&[0x09, 0])).unwrap_err();
    assert!(
        matches!(
            error,
            PacketError::Metadata {
                field: "integration_how",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_instruction_in_the_wrong_place_is_named() {
    let packet = draft().sign(&key(), "main", NOW).unwrap();
    let error = received(
        &packet,
        r#""genetic_sequence":"ATG"#,
        r#""genetic_sequence":"CAT"#,
    )
    .unwrap_err();
    let expected = PacketError::Instruction {
        field: "integration_when",
        codon: Codon::HOW_REPLACE,
        position: 0,
    };
    assert_eq!(error, expected);
    assert_eq!(
        error.to_string(),
        "genetic_sequence: HOW_REPLACE(CAT) at codon 0 is not an integration_when"
    );
}

#[test]
fn a_sequence_that_is_not_in_codons_is_refused_with_the_place() {
    let packet = draft().sign(&key(), "main", NOW).unwrap();
    let error = received(
        &packet,
        r#""genetic_sequence":"ATG"#,
        r#""genetic_sequence":"ATGXYZ"#,
    )
    .unwrap_err();
    assert!(
        matches!(&error, PacketError::Codon(e) if e.position == 3 && e.text == "XYZ"),
        "{error}"
    );
}

#[test]
fn fields_that_are_missing_unknown_or_of_another_type_are_refused() {
    let packet = draft().sign(&key(), "main", NOW).unwrap();
    let signature = alloc::format!(r#""signature":"{}","#, packet.signature());
    for (from, to) in [
        (r#","ttl":86400"#, ""),
        (r#""ttl":86400"#, r#""ttl":"86400""#),
        (r#""ttl":86400"#, r#""ttl":86400,"extra":1"#),
        (r#""ttl":86400"#, r#""ttl":86400,"ttl":86400"#),
        (r#""ttl":86400"#, r#""ttl":-1"#),
        (&*signature, ""),
        ("2026-11-21T", "2026-11-21 "),
        (
            r#""quality_metrics":{}"#,
            r#""quality_metrics":{"a":1e999}"#,
        ),
    ] {
        let error = received(&packet, from, to).unwrap_err();
        assert!(matches!(error, PacketError::Json { .. }), "{to}: {error}");
    }
}

#[test]
fn bounds_are_the_same_for_who_signs_and_who_receives() {
    let mut large = PacketDraft::inline("test", vec![0; MAX_INLINE]);
    assert!(large.clone().sign(&key(), "main", NOW).is_ok());
    large.payload = Payload::Inline(vec![0; MAX_INLINE + 1]);
    let error = refused(large);
    assert!(
        matches!(
            error,
            PacketError::Sequence(crate::wire::WireError::Limit(_))
        ),
        "{error}"
    );

    for name in ["", "1a", "a b", "ä", &"a".repeat(MAX_NAME + 1)] {
        let error = refused(PacketDraft {
            packet_type: name.into(),
            ..draft()
        });
        assert!(
            matches!(
                &error,
                PacketError::Name {
                    what: "packet type",
                    ..
                }
            ),
            "{error}"
        );
        let quality = [(name.to_string(), 1.0)].into();
        assert!(matches!(
            refused(PacketDraft { quality, ..draft() }),
            PacketError::Name { .. }
        ));
    }
    for got in [0, MAX_TTL_SECS + 1, u64::MAX] {
        let error = refused(PacketDraft {
            ttl_secs: got,
            ..draft()
        });
        assert_eq!(
            error,
            PacketError::Ttl {
                got,
                max: MAX_TTL_SECS
            }
        );
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let quality = [("loss".to_string(), value)].into();
        assert!(matches!(
            refused(PacketDraft { quality, ..draft() }),
            PacketError::Quality { .. }
        ));
    }
    let quality = (0..=MAX_QUALITY_METRICS)
        .map(|n| (alloc::format!("m{n}"), 0.0))
        .collect();
    assert!(matches!(
        refused(PacketDraft { quality, ..draft() }),
        PacketError::Limit(_)
    ));
}

#[test]
fn arguments_out_of_range_are_named() {
    let with = |change: fn(&mut Instructions)| {
        let mut draft = draft();
        change(&mut draft.instructions);
        refused(draft)
    };
    let argument = |error: PacketError| match error {
        PacketError::Argument {
            field, argument, ..
        } => (field, argument),
        error => panic!("{error}"),
    };
    assert_eq!(
        argument(with(|i| i.how = How::Merge { weight: 1.5 })),
        ("integration_how", "weight")
    );
    assert_eq!(
        argument(with(|i| i.how = How::Merge { weight: f64::NAN })),
        ("integration_how", "weight")
    );
    assert_eq!(
        argument(with(|i| i.when = When::Periodic { secs: 0 })),
        ("integration_when", "secs")
    );
    assert_eq!(
        argument(with(|i| i.when = When::Threshold {
            metric: "m".into(),
            value: f64::INFINITY
        })),
        ("integration_when", "value")
    );
    assert_eq!(
        argument(with(|i| i.why = Why::Learn {
            task: "a\nb".into()
        })),
        ("integration_why", "task")
    );
    let shape = |dimensions| What::Weights {
        tensor: "w".into(),
        dtype: Dtype::F32,
        shape: vec![1; dimensions],
    };
    for dimensions in [MAX_DIMENSIONS + 1, 300] {
        let mut draft = draft();
        draft.instructions.what = shape(dimensions);
        assert!(draft.sign(&key(), "main", NOW).is_err(), "{dimensions}");
    }
    let long = with(|i| {
        i.whither = Where::Memory {
            region: "r".repeat(MAX_TEXT + 1),
        }
    });
    assert!(matches!(long, PacketError::Sequence(_)), "{long}");
}

#[test]
fn a_link_names_a_manifest_of_a_possible_size() {
    let root = ContentId::of(Codec::DagCbor, b"manifest");
    let digest = Digest::sha256(b"content");
    let packet = PacketDraft::link("file", root, block::MAX_OBJECT, digest)
        .sign(&key(), "main", NOW)
        .unwrap();
    assert_eq!(
        checked_at(&packet, NOW).unwrap().payload(),
        &Payload::Link {
            root,
            size: block::MAX_OBJECT
        }
    );
    let raw = ContentId::of(Codec::Raw, b"manifest");
    assert!(matches!(
        refused(PacketDraft::link("file", raw, 1, digest)),
        PacketError::Payload { .. }
    ));
    let error = refused(PacketDraft::link(
        "file",
        root,
        block::MAX_OBJECT + 1,
        digest,
    ));
    assert!(matches!(error, PacketError::Limit(_)), "{error}");
}

#[test]
fn a_minus_zero_becomes_the_zero_that_dag_cbor_has() {
    let mut draft = draft();
    draft.quality.insert("loss".into(), -0.0);
    draft.instructions.how = How::Merge { weight: -0.0 };
    let packet = draft.sign(&key(), "main", NOW).unwrap();
    assert!(packet.quality()["loss"].is_sign_positive());
    assert!(checked_at(&packet, NOW).is_ok());
}

#[test]
fn what_is_too_long_is_refused_unread() {
    let error = UnverifiedPacket::from_cbor(&vec![0; MAX_PACKET + 1]).unwrap_err();
    assert!(matches!(
        error,
        PacketError::Limit(LimitError {
            what: "packet bytes",
            ..
        })
    ));
    let error = UnverifiedPacket::from_json(&" ".repeat(MAX_PACKET_JSON + 1)).unwrap_err();
    assert!(matches!(error, PacketError::Limit(_)));
}
