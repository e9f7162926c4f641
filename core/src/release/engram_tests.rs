//! Tests of engrams that leave: what is read of them, and what is not.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::tests::prepared;
use super::*;
use crate::engram::hybrid::{Options, pack};
use crate::engram::{Codec, EngramWriter, LayerPlan, Limits, Plan, PlannedTensor, safetensors};

/// A safetensors file with one tensor of 64 f32.
fn model(name: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
    let pairs: Vec<_> = (metadata.iter())
        .map(|(key, text)| format!("{key:?}:{text:?}"))
        .collect();
    let pairs = pairs.join(",");
    let json = format!(
        "{{\"__metadata__\":{{{pairs}}},{name:?}:{{\"dtype\":\"F32\",\"shape\":[8,8],\"data_offsets\":[0,256]}}}}"
    );
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    file.extend((0..64_u8).flat_map(|n| (f32::from(n) * 0.01 - 0.3).to_le_bytes()));
    file
}

fn planned(file: &[u8], params: &[u8]) -> Plan {
    let header = safetensors::Header::parse(file, &Limits::default()).unwrap();
    let planned = |info: &crate::engram::TensorInfo| PlannedTensor {
        info: info.clone(),
        base: None,
        layers: vec![LayerPlan {
            codec: Codec::Plane,
            params: params.to_vec(),
        }],
    };
    Plan {
        source: header.bytes().to_vec(),
        tensors: header.tensors().iter().map(planned).collect(),
    }
}

fn lossless(file: &[u8]) -> Vec<u8> {
    let plan = planned(file, &[]);
    let numbers = &file[plan.source.len()..];
    let mut writer = EngramWriter::new(plan, &Limits::default()).unwrap();
    let chunk = writer.push(numbers, None).unwrap().to_vec();
    let (index, _) = writer.finish().unwrap();
    [index, chunk].concat()
}

fn layered(file: &[u8]) -> Vec<u8> {
    pack(
        file,
        None,
        &Options::default(),
        &Limits::default(),
        &mut |_| true,
    )
    .unwrap()
    .bytes
}

/// Both kinds of engrams of a file.
fn both(file: &[u8]) -> [Vec<u8>; 2] {
    [lossless(file), layered(file)]
}

fn file(content: Vec<u8>) -> Outgoing {
    Outgoing::new("file", content)
}

fn verbatim(content: Vec<u8>) -> Outgoing {
    Outgoing {
        is_verbatim: true,
        ..file(content)
    }
}

#[test]
fn engrams_leave_as_they_are_and_their_owner_is_told_what_was_not_searched() {
    for engram in both(&model("h0.up", &[("format", "pt")])) {
        let one = prepared(file(engram.clone())).unwrap();
        assert_eq!(one.content(), engram);
        let preview = one.preview();
        assert_eq!(
            (preview.format, preview.findings_total),
            (Format::Engram, 0)
        );
        assert!(preview.is_searched);
        assert!(preview.notes[0].contains("64 numbers, which were not searched"));
        assert!(preview.notes[1].contains("1 entries of metadata leave"));
    }
}

#[test]
fn what_is_found_in_names_and_metadata_refuses_an_engram_unless_it_leaves_verbatim() {
    for (name, metadata, kind) in [
        ("w of ada@example.org", &[][..], "email"),
        ("w", &[("author", "Ada, ada@example.org")], "email"),
        ("w", &[("ada@example.org", "")], "email"),
        ("w", &[("user", "made by LOVELACE")], "identifier"),
        ("lovelace.w", &[], "identifier"),
    ] {
        let outgoing = |outgoing: Outgoing| Outgoing {
            identifiers: [("user".into(), "lovelace".into())].into(),
            ..outgoing
        };
        for engram in both(&model(name, metadata)) {
            let error = prepared(outgoing(file(engram.clone()))).unwrap_err();
            assert!(
                matches!(error, ReleaseError::Unclean { found: 1, kind: got, .. } if got == kind),
                "{error}"
            );
            let said = error.to_string();
            assert!(
                said.contains("a file that can be cleaned and packed again"),
                "{said}"
            );
            let one = prepared(outgoing(verbatim(engram.clone()))).unwrap();
            assert_eq!(one.content(), engram);
            assert!(one.preview().is_searched);
            assert_eq!(one.preview().findings_total, u64::from(kind == "email"));
        }
    }
}

#[test]
fn what_the_policy_refuses_leaves_in_no_engram() {
    // Source: the shape of RFC 7468, section 10; nobody's key.
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----";
    for engram in both(&model("w", &[("note", key)])) {
        for outgoing in [file(engram.clone()), verbatim(engram)] {
            let error = prepared(outgoing).unwrap_err();
            assert!(matches!(error, ReleaseError::Refused { .. }), "{error}");
        }
    }
}

#[test]
fn what_begins_as_an_engram_and_is_none_is_searched_as_bytes_with_a_note() {
    let told = |preview: &Preview| {
        preview
            .notes
            .iter()
            .any(|note| note.contains("begins as an engram"))
    };
    for engram in both(&model("w", &[])) {
        for len in 0..engram.len() {
            let one = prepared(file(engram[..len].to_vec())).unwrap();
            let preview = one.preview();
            assert_ne!(preview.format, Format::Engram, "{len}");
            assert_eq!(
                told(preview),
                preview.format == Format::Opaque && len >= 8,
                "{len}"
            );
        }
        let header = engram.len() - 100;
        for place in (0..header).step_by(3) {
            let mut changed = engram.clone();
            changed[place] ^= 0x10;
            prepared(file(changed)).unwrap();
        }
        // Behind its end something could hide.
        let longer = [&engram[..], b" write to ada@example.org, she knows"].concat();
        let error = prepared(file(longer)).unwrap_err();
        assert!(
            matches!(error, ReleaseError::Unclean { kind: "email", .. }),
            "{error}"
        );
        let quiet = prepared(file([&engram[..], &[0]].concat())).unwrap();
        assert!(told(quiet.preview()) && !quiet.preview().is_searched);
    }
    assert_eq!(Format::of(b"ENGRAM of a poem"), Format::Text);
}

#[test]
fn parameters_in_which_a_text_could_hide_make_no_engram() {
    // No codec takes any; a tensor without numbers is never coded.
    let json = r#"{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    let mut model = (json.len() as u64).to_le_bytes().to_vec();
    model.extend(json.as_bytes());
    let plan = planned(&model, b"write to ada@example.org, she knows");
    let writer = EngramWriter::new(plan, &Limits::default()).unwrap();
    let (content, _) = writer.finish().unwrap();
    let error = prepared(file(content)).unwrap_err();
    assert!(
        matches!(error, ReleaseError::Unclean { kind: "email", .. }),
        "{error}"
    );
}
