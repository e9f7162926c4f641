//! What leaves, whatever bytes go in: no panic, nothing changed without a reason, nothing left that would be found again.

use chorus_core::engram::{Limits, hybrid};
use chorus_core::privacy::Anonymiser;
use chorus_core::privacy::pseudonym::{EpochLength, NodeSecret};
use chorus_core::privacy::scrub::{Policy, Salt, Scrubber};
use chorus_core::release::{Format, Outgoing, Prepared, ReleaseError, Rules, prepare};
use chorus_core::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn rules() -> Rules {
    let epoch = EpochLength::default().epoch_of(Timestamp::from_millis(1_795_233_600_000));
    let pseudonyms = NodeSecret::from_bytes([7; 32]).pseudonyms("main", epoch);
    let scrubber = Scrubber::new(Policy::default(), Salt::from_bytes([5; 32]));
    Rules::new(scrubber, Anonymiser::new(pseudonyms))
}

fn prepared(rules: &Rules, outgoing: Outgoing) -> Result<Prepared, ReleaseError> {
    prepare(outgoing, rules, None, &mut ChaCha20Rng::from_seed([1; 32]))
}

/// Takes `content` through all stages and checks what must hold for everything that leaves.
fn examine(rules: &Rules, content: &[u8]) -> Result<Option<Prepared>, TestCaseError> {
    let one = match prepared(rules, Outgoing::new("file", content.to_vec())) {
        Ok(one) => one,
        Err(
            ReleaseError::Safetensors { .. }
            | ReleaseError::Refused { .. }
            | ReleaseError::Picture { .. }
            | ReleaseError::Unclean { .. }
            | ReleaseError::Number { .. },
        ) => return Ok(None),
        Err(error) => return Err(TestCaseError::fail(format!("refused: {error}"))),
    };
    let preview = one.preview();
    let has_reason = preview.findings_total > 0 || preview.dropped_total > 0;
    prop_assert!(
        has_reason || one.content() == content,
        "changed without a reason"
    );
    prop_assert_eq!(preview.bytes, one.content().len() as u64);
    prop_assert!(preview.checks.iter().all(|check| check.is_met));
    let again = prepared(rules, Outgoing::new("file", one.content().to_vec()));
    let again =
        again.map_err(|error| TestCaseError::fail(format!("left, and not again: {error}")))?;
    prop_assert!(
        again.content() == one.content(),
        "what left would leave otherwise"
    );
    let verbatim = Outgoing {
        is_verbatim: true,
        ..Outgoing::new("file", content.to_vec())
    };
    let verbatim = prepared(rules, verbatim).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert!(verbatim.content() == content, "verbatim is verbatim");
    Ok(Some(one))
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        ..Config::default()
    }
}

fn safetensors(header: &str, numbers: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        numbers,
    ]
    .concat()
}

/// A whole file of each format with something to take out.
fn samples() -> Vec<(Format, Vec<u8>)> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let len = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&len[..], kind, data, &[0; 4]].concat()
    };
    let png = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0; 13]),
        chunk(b"tEXt", b"Author\0Ada"),
        chunk(b"IDAT", &[0x80; 9]),
        chunk(b"IEND", b""),
    ];
    let jpeg = [
        &b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"[..],
        b"\xff\xe1\0\x0aExif\0\0ab",
        b"\xff\xfe\0\x05Ada",
        b"\xff\xda\0\x04\x01\x02\x80\xff\0\x81\xff\xd0\x82\xff\xd9",
    ];
    let header = r#"{"__metadata__":{"by":"Ada"},"w of ada@example.org":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
    vec![
        (
            Format::Text,
            "Ünï: ada@example.org, +49 30 123456 and 4111 1111 1111 1111.".into(),
        ),
        (
            Format::Json,
            r#"{"e-mail":"ada@example.org","n":[1.50,{"born":"1980-02-03"}],"\u00e9":null}"#.into(),
        ),
        (Format::Safetensors, safetensors(header, &[1, 2])),
        (Format::Engram, engram()),
        (Format::Png, png.concat()),
        (Format::Jpeg, jpeg.concat()),
        (Format::Opaque, vec![0xff, 0, 1, 2]),
    ]
}

/// An engram of a tensor of bytes.
fn engram() -> Vec<u8> {
    let header =
        r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
    let (options, limits) = (hybrid::Options::default(), Limits::default());
    let packed = hybrid::pack(
        &safetensors(header, &[1, 2]),
        None,
        &options,
        &limits,
        &mut |_| true,
    );
    packed.unwrap().bytes
}

#[test]
fn whole_files_of_each_format_are_read_as_what_they_are() {
    let rules = rules();
    for (format, content) in samples() {
        let one = examine(&rules, &content).unwrap().unwrap();
        assert_eq!(one.preview().format, format);
        let is_kept = matches!(format, Format::Opaque | Format::Engram);
        assert_eq!(one.content() == content, is_kept, "{format:?}");
    }
}

#[test]
fn cut_files_of_each_format_do_no_harm() {
    let rules = rules();
    for (_, content) in samples() {
        for end in 0..content.len() {
            examine(&rules, &content[..end]).unwrap();
        }
    }
}

#[test]
fn flipped_bits_in_files_of_each_format_do_no_harm() {
    let rules = rules();
    for (_, content) in samples() {
        for at in 0..content.len() {
            for bit in [0, 3, 5, 7] {
                let mut flipped = content.clone();
                flipped[at] ^= 1 << bit;
                examine(&rules, &flipped).unwrap();
            }
        }
    }
}

#[test]
fn any_bytes_after_the_beginning_of_any_format_do_no_harm() {
    let rules = rules();
    let begins: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\x89PNG\r\n\x1a\n".to_vec(),
        b"\x89PNG\r\n\x1a\n\0\0\0\x02IHDRab\0\0\0\0".to_vec(),
        b"\xff\xd8\xff".to_vec(),
        b"\xff\xd8\xff\xda\0\x02".to_vec(),
        b"\x10\0\0\0\0\0\0\0{".to_vec(),
        b"\x02\0\0\0\0\0\0\0{}".to_vec(),
    ];
    let input = (
        prop::sample::select(begins),
        prop::collection::vec(any::<u8>(), 0..200),
    );
    let mut runner = proptest::test_runner::TestRunner::new(config(400));
    runner
        .run(&input, |(begin, rest)| {
            examine(&rules, &[begin, rest].concat()).map(drop)
        })
        .unwrap();
}

#[test]
fn any_text_and_any_json_leave_once_and_for_all() {
    let rules = rules();
    let words = prop::sample::select(vec![
        "ada@example.org",
        "Mr ",
        "John Smith",
        "4111 1111 1111 1111",
        "\\u0040",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"mail\":",
        "\"password\": ",
        "1980-02-03",
        "born ",
        "12",
        "3e9",
        " ",
        "\n",
        "é",
        "\u{200b}",
        "key=",
        "192.168.1.77",
        "DE89370400440532013000",
        "[email]",
        "anon-",
        "https://a:b@c.de/",
    ]);
    let text = prop::collection::vec(words, 0..24).prop_map(|words| words.concat());
    let value = text
        .clone()
        .prop_map(|text| serde_json::to_string(&text).unwrap());
    let json = prop::collection::vec((text.clone(), value), 0..6).prop_map(|entries| {
        let entry = |(key, value): &(String, String)| {
            format!("{} : {value}", serde_json::to_string(key).unwrap())
        };
        format!(
            "{{{}}}",
            entries.iter().map(entry).collect::<Vec<_>>().join(" ,\n")
        )
    });
    let mut runner = proptest::test_runner::TestRunner::new(config(400));
    runner
        .run(&text, |text| examine(&rules, text.as_bytes()).map(drop))
        .unwrap();
    runner
        .run(&json, |json| {
            let Some(one) = examine(&rules, json.as_bytes())? else {
                return Ok(());
            };
            prop_assert_eq!(one.preview().format, Format::Json);
            let left: Result<serde_json::Value, _> = serde_json::from_slice(one.content());
            prop_assert!(left.is_ok(), "no JSON any more");
            Ok(())
        })
        .unwrap();
}

#[test]
fn identifiers_in_any_json_become_pseudonyms_and_the_rest_stays() {
    let rules = rules();
    let users = ["nova", "n\"ova", "Löwe", "u000a"];
    let letters = prop::sample::select(vec![
        "nova",
        "n\"ova",
        "löwe",
        "u000a",
        "\n",
        "\t",
        "ova",
        "n",
        "\"",
        "\\",
        "u",
        "0",
        "000a",
        " ",
        "é",
        "\u{1f3b5}",
    ]);
    let text = prop::collection::vec(letters, 0..12).prop_map(|letters| letters.concat());
    // Each letter plain, escaped as is usual, or by its number.
    let strings = prop::collection::vec((text, prop::collection::vec(0..3u8, 64)), 0..5);
    let mut runner = proptest::test_runner::TestRunner::new(config(400));
    let written = |(text, ways): &(String, Vec<u8>)| {
        let letter = |(letter, way): (char, &u8)| -> String {
            let units = &mut [0; 2];
            if *way == 2 {
                let units = letter.encode_utf16(units).iter();
                return units.map(|unit| format!("\\u{unit:04x}")).collect();
            }
            let plain = serde_json::to_string(&letter).unwrap();
            plain[1..plain.len() - 1].to_owned()
        };
        let letters = text.chars().zip(ways.iter().cycle()).map(letter);
        format!("\"{}\"", letters.collect::<String>())
    };
    runner
        .run(&strings, |strings| {
            let json = format!(
                "[{}]",
                strings.iter().map(written).collect::<Vec<_>>().join(",")
            );
            let before: Vec<String> = serde_json::from_str(&json).unwrap();
            for user in users {
                let outgoing = Outgoing {
                    identifiers: [("user".into(), user.into())].into(),
                    ..Outgoing::new("file", json.clone().into_bytes())
                };
                let one = prepared(&rules, outgoing)
                    .map_err(|error| TestCaseError::fail(format!("{user} in {json}: {error}")))?;
                let after: Vec<String> = serde_json::from_slice(one.content())
                    .map_err(|error| TestCaseError::fail(format!("{user} in {json}: {error}")))?;
                let is_in = |text: &String| text.to_lowercase().contains(&user.to_lowercase());
                for (before, after) in before.iter().zip(&after) {
                    prop_assert!(!is_in(after), "{user} in {json} left in {after}");
                    let has_reason = is_in(before) || one.preview().findings_total > 0;
                    prop_assert!(has_reason || before == after || after == "[identifier]");
                }
            }
            Ok(())
        })
        .unwrap();
}

/// Sizes at which work that grows with the square would not end within a day.
#[test]
fn json_of_equal_keys_long_keys_and_deep_lists_takes_time_in_proportion() {
    let rules = rules();
    let keys: Vec<_> = (0..60_000)
        .map(|n| format!("\"a{n}@example.org\":{n}"))
        .collect();
    let same = format!("{{{}}}", keys.join(","));
    let one = examine(&rules, same.as_bytes()).unwrap().unwrap();
    assert!(String::from_utf8_lossy(one.content()).ends_with("\"[email] 60000\":59999}"));
    let long = format!(
        "{{\"{}\":[{}1]}}",
        "k".repeat(1_000_000),
        "\"a@example.org\",".repeat(20_000)
    );
    assert!(examine(&rules, long.as_bytes()).unwrap().is_some());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert!(examine(&rules, deep.as_bytes()).unwrap().is_some());
    let deeper = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let one = examine(&rules, deeper.as_bytes()).unwrap().unwrap();
    assert_eq!(one.preview().format, Format::Text);
}
