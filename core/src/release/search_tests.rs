//! Tests of what is found in content that is no plain UTF-8, and of what leaves verbatim.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::tests::prepared;
use super::*;
use crate::privacy::scrub::Kind;

const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";

fn file(content: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing::new("file", content.into())
}

fn verbatim(content: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing {
        is_verbatim: true,
        ..file(content)
    }
}

/// Each form of text in which a letter has two or four bytes, with and without a mark.
fn wide(text: &str) -> Vec<Vec<u8>> {
    let forms = |mark: &str| {
        let text = format!("{mark}{text}");
        let two = text.encode_utf16().map(u16::to_le_bytes);
        let big = text.encode_utf16().map(u16::to_be_bytes);
        let four = text.chars().map(|c| u32::from(c).to_le_bytes());
        let big_four = text.chars().map(|c| u32::from(c).to_be_bytes());
        [
            two.flatten().collect(),
            big.flatten().collect(),
            four.flatten().collect(),
            big_four.flatten().collect::<Vec<u8>>(),
        ]
    };
    [forms(""), forms("\u{feff}")].concat()
}

/// A key and an address, in each format that is read or not.
fn holders(inside: &[u8]) -> Vec<Vec<u8>> {
    let len = |data: &[u8]| u8::try_from(data.len() + 2).unwrap();
    let exif = [
        &[0xff, 0xd8, 0xff, 0xe1, 0, len(inside)][..],
        inside,
        &[0xff, 0xd9],
    ];
    let head = [0, 0, 0, len(inside) - 2];
    let text = [&head[..], b"tEXt", inside, &[0; 4]].concat();
    let png = [
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec(),
        vec![0; 17],
        text,
        b"\0\0\0\0IEND\0\0\0\0".to_vec(),
    ];
    let header = format!(
        "{{\"w\":{{\"dtype\":\"U8\",\"shape\":[{n}],\"data_offsets\":[0,{n}]}}}}",
        n = inside.len()
    );
    let head = (header.len() as u64).to_le_bytes();
    vec![
        [&b"Gr\xfc\xdfe "[..], inside, b"\nDein M\xfcller"].concat(),
        [&[0xff, 0, 1, 2, 0x80, 0x90][..], inside, &[0x80; 200]].concat(),
        exif.concat(),
        exif.concat()[..exif.concat().len() - 2].to_vec(),
        png.concat(),
        [&head[..], header.as_bytes(), inside].concat(),
        [&head[..], header.as_bytes(), inside, b"more"].concat(),
    ]
}

#[test]
fn a_private_key_is_refused_in_every_format_verbatim_too() {
    let contents = holders(KEY.as_bytes()).into_iter().chain(wide(KEY));
    for (place, content) in contents.enumerate() {
        let error = prepared(verbatim(content.clone())).unwrap_err();
        assert!(
            matches!(
                error,
                ReleaseError::Refused {
                    kind: Kind::PrivateKey,
                    ..
                }
            ),
            "{place}: {error}"
        );
        // A picture that is read loses it with its description.
        if let Ok(one) = prepared(file(content.clone())) {
            let left = String::from_utf8_lossy(one.content()).into_owned();
            assert!(!left.contains("PRIVATE KEY"), "{place}");
        }
    }
}

#[test]
fn what_is_found_in_content_that_is_not_rewritten_leaves_verbatim_alone() {
    for (place, content) in holders(b"mail ada@example.org today")
        .into_iter()
        .enumerate()
    {
        let one = prepared(verbatim(content.clone())).unwrap();
        assert_eq!(one.content(), content);
        let found = &one.preview().findings;
        assert!(
            found.iter().any(|found| found.before == "ada@example.org"
                && (found.place.as_str(), found.action) == ("content", "keep")),
            "{place}: {:?}",
            one.preview()
        );
        match prepared(file(content)) {
            // The picture's description is dropped.
            Ok(one) => assert!(matches!(place, 2 | 4) && one.preview().dropped_total == 1),
            Err(error) => assert!(
                error.to_string().ends_with("verbatim or not at all"),
                "{place}: {error}"
            ),
        }
    }
}

#[test]
fn text_of_two_or_four_bytes_per_letter_is_cleaned_and_written_as_it_was() {
    let (before, after) = ("Grüße an ada@example.org 🎵", "Grüße an [email] 🎵");
    let clean = "nothing to find here, only words 🎵";
    for (place, content) in wide(before).into_iter().enumerate() {
        let one = prepared(file(content)).unwrap();
        assert_eq!(one.content(), wide(after)[place], "{place}");
        assert_eq!(one.preview().format, Format::Text);
        assert_eq!(one.preview().findings[0].before, "ada@example.org");
        let clean = &wide(clean)[place];
        assert_eq!(prepared(file(clean.clone())).unwrap().content(), clean);
    }
    let json = wide("{\"date_of_birth\":\"1980-02-03\"}");
    let one = prepared(file(json[0].clone())).unwrap();
    assert_eq!(
        one.content(),
        wide("{\"date_of_birth\":\"[birth_date]\"}")[0]
    );
    // Half a letter at its end, it could not be written again.
    let mut cut = wide(before)[4].clone();
    cut.push(0x20);
    assert!(matches!(
        prepared(file(cut)).unwrap_err(),
        ReleaseError::Unclean { kind: "email", .. }
    ));
    // Behind other bytes.
    for head in [&b"BIN\0\0\x01"[..], &[0x80, 0x90, 0xff, 1, 3]] {
        let wide = &wide("write to ada@example.org")[0];
        let mixed = [head, wide.as_slice(), &[1; 90]].concat();
        assert!(matches!(
            prepared(file(mixed)).unwrap_err(),
            ReleaseError::Unclean { kind: "email", .. }
        ));
    }
}

#[test]
fn the_owners_name_in_bytes_leaves_verbatim_alone() {
    for content in [
        b"die lovelace f\xfcr alle".to_vec(),
        [&[0xff, 0, 1, 2, 0x80, 0x90][..], b"LOVELACE", &[0x80; 90]].concat(),
    ] {
        let outgoing = |content: Outgoing| Outgoing {
            identifiers: [("user".into(), "lovelace".into())].into(),
            ..content
        };
        let error = prepared(outgoing(file(content.clone()))).unwrap_err();
        assert!(
            matches!(
                error,
                ReleaseError::Unclean {
                    kind: "identifier",
                    found: 1,
                    ..
                }
            ),
            "{error}"
        );
        let one = prepared(outgoing(verbatim(content.clone()))).unwrap();
        assert_eq!(one.content(), content);
    }
}

#[test]
fn text_of_one_byte_per_letter_without_findings_leaves_as_it_is_and_was_searched() {
    let content = b"Sch\xf6ne Gr\xfc\xdfe aus dem S\xfcden, bis bald".to_vec();
    let one = prepared(file(content.clone())).unwrap();
    assert_eq!(one.content(), content);
    assert!(one.preview().is_searched && one.preview().findings_total == 0);
}

#[test]
fn noise_is_no_finding() {
    for seed in 0..4 {
        let mut noise = vec![0; 10_000_000];
        ChaCha20Rng::from_seed([seed; 32]).fill_bytes(&mut noise);
        let one = prepared(file(noise.clone())).unwrap();
        assert!(one.content() == noise, "noise leaves as it is");
        let preview = one.preview();
        assert_eq!((preview.findings_total, preview.is_searched), (0, false));
        assert!(preview.notes[0].contains("not read"), "{:?}", preview.notes);
    }
}

#[test]
fn a_short_address_between_noise_and_noise_is_chance_and_a_long_or_a_framed_one_is_not() {
    let mut noise = vec![0; 20_000];
    ChaCha20Rng::from_seed([9; 32]).fill_bytes(&mut noise);
    let found = |at: usize, text: &str, frame: usize| {
        let mut content = noise.clone();
        // Zeros around it, as in a record.
        content[at - frame..at + text.len() + frame].fill(0);
        content[at..at + text.len()].copy_from_slice(text.as_bytes());
        match prepared(file(content)) {
            Ok(one) => one.preview().findings_total,
            Err(ReleaseError::Unclean { found, .. }) => found,
            Err(error) => panic!("{error}"),
        }
    };
    let (short, long) = ("anna@example.org", "From: anna.meyer@example.org");
    assert_eq!(found(10_000, short, 1), 0);
    assert_eq!(found(10_000, long, 1), 1);
    assert_eq!(
        found(10_000, "4111-1111-1111-1111", 1),
        1,
        "no chance makes it"
    );
    assert_eq!(found(10_000, short, 200), 1);
    assert_eq!(found(100, short, 1), 1, "no noise before it");
    assert_eq!(found(19_900, short, 1), 1, "no noise behind it");
}

#[test]
fn real_files_of_this_repository_leave_without_more_consent() {
    let files: [&[u8]; 3] = [
        include_bytes!("../../../www/digits.bin"),
        include_bytes!("../../../docs/ask.png"),
        include_bytes!("../../../docs/page.png"),
    ];
    for content in files {
        let one = prepared(file(content)).unwrap();
        assert_eq!(one.preview().findings_total, 0);
        let is_picture = one.preview().format == Format::Png;
        assert!(is_picture || one.content() == content);
    }
}
