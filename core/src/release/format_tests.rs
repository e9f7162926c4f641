//! Tests of what is read of each format, and of what leaves.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::tests::{prepared, rng, rules};
use super::*;
use crate::digest::Digest;
use crate::packet::{Dtype, Instructions, What};
use crate::privacy::PrivacyError;
use crate::privacy::ledger::{Budget, Grant, Ledger};
use crate::privacy::noise::{Neighbours, plan};

/// A file of safetensors with this header and these numbers.
fn safetensors(header: &str, numbers: &[u8]) -> Vec<u8> {
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend_from_slice(header.as_bytes());
    content.extend_from_slice(numbers);
    content
}

/// Two tensors of f32, one of them with an address in its name, and a note of who made them.
fn weights() -> Vec<u8> {
    let numbers: Vec<u8> = [0.5f32, -0.25, 0.125]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    safetensors(
        r#"{"__metadata__":{"format":"pt","author":"Ada, ada@example.org"},"bias of ada@example.org":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"hidden":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#,
        &numbers,
    )
}

fn grant(multiplier: f64) -> Grant {
    let mut ledger = Ledger::new(Digest::sha256(b"test"), Budget::default()).unwrap();
    let mechanism = plan(multiplier, Neighbours::Absent, 1.0).unwrap();
    ledger.reserve(mechanism, 1).unwrap().stored()
}

fn file(content: Vec<u8>) -> Outgoing {
    Outgoing::new("file", content)
}

/// The header and the numbers of a file of safetensors.
fn read(content: &[u8]) -> (String, Vec<f32>) {
    let (len, rest) = content.split_first_chunk().unwrap();
    let (header, numbers) = rest.split_at(usize::try_from(u64::from_le_bytes(*len)).unwrap());
    assert_eq!((8 + header.len()) % 8, 0, "the numbers are aligned");
    let numbers = numbers
        .as_chunks::<4>()
        .0
        .iter()
        .map(|v| f32::from_le_bytes(*v));
    (
        String::from_utf8(header.to_vec()).unwrap(),
        numbers.collect(),
    )
}

#[test]
fn tensors_leave_with_clean_names_and_without_notes_of_their_maker() {
    let prepared = prepared(file(weights())).unwrap();
    let (header, numbers) = read(prepared.content());
    assert_eq!(
        header.trim_end(),
        r#"{"__metadata__":{"format":"pt"},"bias of [email]":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"hidden":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#
    );
    assert_eq!(numbers, [0.5, -0.25, 0.125]);
    let preview = prepared.preview();
    assert_eq!(preview.format, Format::Safetensors);
    assert!(preview.noise.is_none() && preview.notes[0].contains("without noise"));
    let dropped: Vec<_> = preview
        .dropped
        .iter()
        .map(|d| (d.block.as_str(), d.key.as_str()))
        .collect();
    assert_eq!(
        (dropped, preview.dropped_total),
        (vec![("safetensors", "author")], 1)
    );
    let places: Vec<_> = preview.findings.iter().map(|f| f.place.as_str()).collect();
    assert!(places.contains(&"name of a tensor"), "{places:?}");
    assert!(
        places.contains(&"embedded safetensors \"author\""),
        "{places:?}"
    );
}

#[test]
fn tensors_without_anything_to_clean_leave_byte_for_byte() {
    let clean = safetensors(
        "{\"__metadata__\":{\"format\":\"np\"}, \"w\" : {\"shape\":[2],\"dtype\":\"BF16\",\"data_offsets\":[0,4]}}   ",
        &[1, 2, 3, 4],
    );
    assert_eq!(prepared(file(clean.clone())).unwrap().content(), clean);
}

#[test]
fn tensors_with_noise_leave_clipped_as_one_update_and_say_what_it_cost() {
    let outgoing = Outgoing {
        noise: Some(NoiseWish {
            clip_norm: 0.1,
            noise_multiplier: 4.0,
        }),
        instructions: Some(Instructions {
            what: What::Weights {
                tensor: "hidden".into(),
                dtype: Dtype::F32,
                shape: vec![2, 1],
            },
            ..Instructions::default()
        }),
        ..file(weights())
    };
    let mut grant = grant(4.0);
    let prepared = prepare(outgoing.clone(), &rules(), Some(&mut grant), &mut rng()).unwrap();
    assert_eq!(grant.steps_left(), 0);
    let (header, numbers) = read(prepared.content());
    assert!(header.contains("bias of [email]"));
    assert!(
        numbers
            .iter()
            .zip([0.5, -0.25, 0.125])
            .all(|(a, b)| *a != b),
        "{numbers:?}"
    );
    // What a receiver must know of the noise is inside the envelope where it is sealed.
    let sealed = prepared.preview_for(&[]).sealed_quality;
    assert!(sealed["privacy.epsilon"] > 0.0 && sealed["privacy.delta"] > 0.0);
    assert_eq!(&sealed, prepared.quality());
    let noise = prepared.preview().noise.as_ref().unwrap();
    assert_eq!(
        (noise.clip_norm, noise.multiplier, noise.numbers),
        (0.1, 4.0, 3)
    );
    // The first tensor of the header is the last in the numbers.
    let after: Vec<_> = noise.sample.iter().map(|(_, after)| *after).collect();
    assert_eq!(after, [numbers[2], numbers[0], numbers[1]]);
    assert_eq!(noise.sample[0].0, 0.125);
    assert_eq!(prepared.quality()["privacy.epsilon"], noise.epsilon_spent);
    assert!(noise.epsilon_spent > 0.0 && noise.epsilon_spent < noise.epsilon_budget);

    let absent = prepare(outgoing.clone(), &rules(), None, &mut rng()).unwrap_err();
    assert_eq!(
        absent,
        ReleaseError::Privacy(PrivacyError::NoGrant { tensors: 2 })
    );
    let other = prepare(
        outgoing,
        &rules(),
        Some(&mut super::format_tests::grant(2.0)),
        &mut rng(),
    );
    assert_eq!(
        other.unwrap_err(),
        ReleaseError::OtherNoise {
            wished: 4.0,
            got: 2.0
        }
    );
}

#[test]
fn tensors_without_noise_are_finite_in_bounds_and_the_ones_that_are_announced() {
    let one = |dtype: &str, numbers: &[u8]| {
        let n = numbers.len();
        let header =
            format!("{{\"w\":{{\"dtype\":\"{dtype}\",\"shape\":[1],\"data_offsets\":[0,{n}]}}}}");
        file(safetensors(&header, numbers))
    };
    for (dtype, numbers) in [
        ("F32", f32::NAN.to_le_bytes().to_vec()),
        ("F32", 2e6f32.to_le_bytes().to_vec()),
        ("F64", f64::INFINITY.to_le_bytes().to_vec()),
        ("BF16", vec![0x80, 0xff]),
        ("F16", vec![0, 0x7c]),
    ] {
        let error = prepared(one(dtype, &numbers)).unwrap_err();
        let expected = ReleaseError::Number {
            tensor: 0,
            index: 0,
            max: 1e6,
        };
        assert_eq!(error, expected, "{dtype}");
    }
    let plain = one("F16", &[0, 0x3c]);
    let clean = prepared(plain.clone()).unwrap();
    let checks = &clean.preview().checks;
    let figure = |name: &str| checks.iter().find(|c| c.name == name).map(|c| c.figure);
    assert_eq!(figure("largest magnitude"), Some(1.0));
    assert_eq!(
        (figure("tensors"), figure("tensors without noise")),
        (Some(1.0), None)
    );
    assert!(clean.preview().notes[0].contains("1 numbers"));
    let announced = |tensor: &str, dtype, shape: &[u32]| Outgoing {
        instructions: Some(Instructions {
            what: What::Weights {
                tensor: tensor.into(),
                dtype,
                shape: shape.into(),
            },
            ..Instructions::default()
        }),
        ..plain.clone()
    };
    prepared(announced("w", Dtype::F16, &[1])).unwrap();
    for other in [
        announced("v", Dtype::F16, &[1]),
        announced("w", Dtype::F32, &[1]),
        announced("w", Dtype::F16, &[1, 1]),
    ] {
        assert_eq!(prepared(other).unwrap_err(), ReleaseError::Undeclared);
    }
}

#[test]
fn noise_is_for_f32_alone() {
    let half = safetensors(
        "{\"w\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        &[0; 4],
    );
    let outgoing = Outgoing {
        noise: Some(NoiseWish {
            clip_norm: 1.0,
            noise_multiplier: 4.0,
        }),
        ..file(half)
    };
    let mut grant = grant(4.0);
    let error = prepare(outgoing, &rules(), Some(&mut grant), &mut rng()).unwrap_err();
    assert_eq!(
        (error, grant.steps_left()),
        (ReleaseError::NotF32 { tensors: 1 }, 1)
    );
}

#[test]
fn safetensors_in_which_something_could_hide_are_refused_and_leave_verbatim_alone() {
    let info =
        |offsets: &str| format!("{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":{offsets}}}");
    let (first, second) = (info("[0,2]"), info("[2,4]"));
    let cases = [
        (format!("{{\"a\":{first},\"a\":{second}}}"), 4, "doubled"),
        (
            format!("{{\"__metadata__\":{{\"k\":\"1\",\"k\":\"2\"}},\"a\":{first}}}"),
            2,
            "doubled",
        ),
        (
            format!("{{\"a\":{first},\"b\":{}}}", info("[1,3]")),
            3,
            "overlap",
        ),
        (
            format!("{{\"a\":{first},\"b\":{}}}", info("[3,5]")),
            5,
            "gap",
        ),
        (format!("{{\"a\":{first}}}"), 3, "after the last"),
        (format!("{{\"a\":{first}}}"), 1, "do not fit"),
        (format!("{{\"a\":{}}}", info("[2,0]")), 2, "do not fit"),
        (
            format!("{{\"a\":{}}}", info("[0,18446744073709551615]")),
            2,
            "do not fit",
        ),
        (
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}"
                .into(),
            0,
            "do not fit",
        ),
        (
            "{\"a\":{\"dtype\":\"Ada\",\"shape\":[2],\"data_offsets\":[0,2]}}".into(),
            2,
            "known type",
        ),
        (
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"by\":\"Ada\"}}".into(),
            2,
            "unknown",
        ),
        ("{\"a\":".into(), 0, "no JSON"),
    ];
    for (header, bytes, reason) in cases {
        let content = safetensors(&header, &vec![0; bytes]);
        let error = prepared(file(content.clone())).unwrap_err();
        assert!(error.to_string().contains(reason), "{header}: {error}");
        assert!(matches!(error, ReleaseError::Safetensors { .. }), "{error}");
        let verbatim = Outgoing {
            is_verbatim: true,
            ..file(content.clone())
        };
        assert_eq!(prepared(verbatim).unwrap().content(), content);
    }
}

/// A chunk of PNG. Its checksum is not looked at.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&len[..], kind, data, &[0; 4]].concat()
}

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    let signature = vec![0x89, b'P', b'N', b'G', 13, 10, 26, 10];
    [vec![signature], chunks.to_vec()].concat().concat()
}

#[test]
fn a_png_leaves_with_what_draws_it_alone() {
    let (head, data, end) = (
        chunk(b"IHDR", &[0; 13]),
        chunk(b"IDAT", &[9; 40]),
        chunk(b"IEND", &[]),
    );
    let colour = chunk(b"gAMA", &[0; 4]);
    let clean = png(&[head.clone(), colour.clone(), data.clone(), end.clone()]);
    let described = png(&[
        head.clone(),
        chunk(b"tEXt", b"Author\0Ada Lovelace"),
        colour,
        chunk(b"zTXt", b"Comment\0\0xxxx"),
        chunk(b"eXIf", b"MM\0*GPS"),
        data,
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        chunk(b"tIME", &[7, 232, 1, 1, 0, 0, 0]),
        chunk(b"prVt", b"own notes"),
        end,
        b"after the end".to_vec(),
    ]);
    let prepared_one = prepared(file(described.clone())).unwrap();
    assert_eq!(prepared_one.content(), clean);
    let preview = prepared_one.preview();
    assert_eq!((preview.format, preview.dropped_total), (Format::Png, 7));
    assert_eq!(preview.dropped[0].key, "tEXt Author");
    assert_eq!(prepared(file(clean.clone())).unwrap().content(), clean);
    let verbatim = Outgoing {
        is_verbatim: true,
        ..file(described.clone())
    };
    assert_eq!(prepared(verbatim).unwrap().content(), described);
    // Cut, it is no picture that could be read.
    let cut = &described[..described.len() - 30];
    let broken = prepared(file(cut.to_vec())).unwrap_err();
    assert_eq!(broken, ReleaseError::Picture { format: "png" });
}

#[test]
fn chunks_of_png_that_are_not_known_or_too_long_do_not_leave() {
    let head = chunk(b"IHDR", &[0; 13]);
    let (data, end) = (chunk(b"IDAT", &[9; 40]), chunk(b"IEND", &[]));
    let clean = png(&[head.clone(), data.clone(), end.clone()]);
    let described = png(&[
        head,
        chunk(b"ADAX", b"a critical one of nobody's"),
        chunk(b"iCCP", b"Ada's screen\0\0xx"),
        chunk(b"sPLT", b"Ada's colours\0"),
        chunk(b"pHYs", b"123456789 and Ada"),
        data,
        end,
    ]);
    let one = prepared(file(described)).unwrap();
    assert_eq!(
        (one.content(), one.preview().dropped_total),
        (&clean[..], 4)
    );
    for broken in [
        png(&[chunk(b"IHDR", &[0; 14]), chunk(b"IEND", &[])]),
        png(&[chunk(b"IHDR", &[0; 13]), chunk(b"IEND", b"Ada")]),
    ] {
        let error = prepared(file(broken)).unwrap_err();
        assert_eq!(error, ReleaseError::Picture { format: "png" });
    }
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &len[..], data].concat()
}

#[test]
fn a_jpeg_leaves_with_what_draws_it_alone() {
    let jfif = segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let with_thumbnail = segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc");
    let (table, frame) = (segment(0xdb, &[1; 65]), segment(0xc2, &[8; 15]));
    let icc = segment(0xe2, b"ICC_PROFILE\0\x01\x01profile");
    let scan = |bytes: &[u8]| [segment(0xda, &[1; 6]), bytes.to_vec()].concat();
    let first = scan(&[1, 2, 0xff, 0, 3, 0xff, 0xd0, 4]);
    let second = scan(&[5, 0xff, 0]);
    let (begin, end) = (vec![0xff, 0xd8], vec![0xff, 0xd9]);
    let adobe = segment(0xee, b"Adobe\0\x64\0\0\0\0\x01");
    let clean = [
        &begin, &jfif, &adobe, &table, &frame, &first, &table, &second, &end,
    ]
    .map(|p| p.clone())
    .concat();
    let described = [
        begin,
        with_thumbnail,
        segment(0xe1, b"Exif\0\0MM\0*GPS"),
        segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        icc,
        adobe,
        segment(0xf0, b"by Ada"),
        segment(0x02, b"by Ada"),
        segment(0xe2, b"MPF\0others"),
        segment(0xed, b"Photoshop 3.0\08BIM"),
        segment(0xfe, b"by Ada"),
        table.clone(),
        frame,
        first,
        table,
        second,
        end,
        b"a film".to_vec(),
    ]
    .concat();
    let prepared_one = prepared(file(described.clone())).unwrap();
    assert_eq!(prepared_one.content(), clean);
    let preview = prepared_one.preview();
    let keys: Vec<_> = preview.dropped.iter().map(|d| d.key.as_str()).collect();
    let expected = [
        "JFIF thumbnail",
        "APP1 Exif",
        "APP1 XMP",
        "APP2 ICC profile",
        "segment f0",
        "segment 02",
        "APP2",
        "APP13 Photoshop",
        "COM",
        "bytes after the end",
    ];
    assert_eq!((preview.format, keys), (Format::Jpeg, expected.to_vec()));
    assert_eq!(prepared(file(clean.clone())).unwrap().content(), clean);
    for cut in [3, 30, described.len() - 9] {
        let cut = &described[..cut];
        let broken = prepared(file(cut.to_vec())).unwrap_err();
        assert_eq!(broken, ReleaseError::Picture { format: "jpeg" });
        let verbatim = Outgoing {
            is_verbatim: true,
            ..file(cut.to_vec())
        };
        let verbatim = prepared(verbatim).unwrap();
        assert_eq!(verbatim.content(), cut);
        // Three bytes are three letters.
        assert_eq!(verbatim.preview().is_searched, cut.len() == 3);
    }
}

#[test]
fn entries_past_those_that_are_shown_are_counted() {
    let mut chunks = vec![chunk(b"IHDR", &[0; 13])];
    chunks.extend((0..5000).map(|_| chunk(b"tEXt", b"k\0v")));
    chunks.push(chunk(b"IEND", &[]));
    let prepared = prepared(file(png(&chunks))).unwrap();
    assert_eq!(prepared.preview().dropped.len(), MAX_DROPPED);
    assert_eq!(prepared.preview().dropped_total, 5000);
}
