//! Adversarial and arbitrary bytes: no rule stops at them, and none works more than a constant per byte.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Work per byte that no text exceeds: every rule looks at a bounded window.
const MAX_STEPS_PER_BYTE: u64 = 200;

#[test]
fn work_grows_with_the_text_and_not_faster() {
    let scrubber = scrubber();
    let mut all = Vec::new();
    for unit in [
        "@",
        "a@",
        "1",
        "1 ",
        "12 ",
        "123 ",
        "12-",
        "1,",
        "1-",
        "+1",
        "(",
        ":",
        "::",
        "a:",
        "://",
        "x://a:b@",
        "eyJ",
        "eyJ.",
        "SG.",
        "hvs.",
        "AAAAAAAAAAAAAAAA.",
        "ABCDEFGHijklmnop=",
        "key=",
        "key:",
        "://a@",
        "password:&a",
        "pwd=&",
        "x://@",
        "sk-",
        "A1",
        "DE89 ",
        "Dr. ",
        "Anna ",
        "Rue ",
        "12 Ave ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----\n",
        "password:",
        concat!("/ho", "me/"),
        "QUJD",
        "QUJDQUJDQUJDQUJD/",
        "QUJD+QUJDQUJDQUJD ",
        "a-b/",
        "KGF0KWphbmU-",
        "1.2.3.",
        "12.",
        "born ",
        "\u{200b}",
        "%40",
        "&#64;",
        "\\u0040",
        "Str 1 ",
        "2024-03-01T10:15:30 17 0.8731 1.25e-4 1024 65536 epoch 12 loss 0.03\n",
    ] {
        let mut steps = Vec::new();
        for len in [1 << 12, 1 << 15, 1 << 18] {
            let text = unit.repeat(len / unit.len());
            steps.push(scrubber.scan(&text).steps / text.len() as u64);
        }
        all.push((steps.iter().max().copied().unwrap_or_default(), unit));
    }
    all.sort();
    assert!(
        all.iter().all(|(steps, _)| *steps <= MAX_STEPS_PER_BYTE),
        "steps per byte: {all:?}"
    );
}

#[test]
fn what_begins_in_the_middle_of_something_is_read_without_a_stop() {
    let long = [
        "-----BEGIN PRIVATE ",
        "KEY-----",
        &"A".repeat(16_383),
        "\\nAAAA",
    ];
    // The base64 is of "(at)example.org is".
    for text in [
        long.concat().as_str(),
        "(at)",
        "[at]",
        "{at}",
        "\"@example.org",
        "\"(at)example.org",
        "x KGF0KWV4YW1wbGUub3JnIGlz",
        "@",
        ")",
        "-----",
    ] {
        let scan = scrubber().scan(text);
        assert!(
            scan.findings
                .iter()
                .all(|found| found.span.end <= text.len())
        );
    }
    // The same at the start of what is read with a later piece.
    let mut later = "lorem ipsum ".repeat(60_000);
    later.replace_range(262_144 - 1024..262_144 - 1020, "(at)");
    assert_nothing(&later);
}

#[test]
fn a_line_of_sixteen_megabytes_is_read() {
    let mut text = "a1".repeat(8 << 20);
    text.push_str(" jane@example.org");
    assert_eq!(found(&text).len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_give_findings_inside_them(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let scan = scrubber().scan(&bytes);
        let mut at = 0;
        for finding in &scan.findings {
            prop_assert!(finding.span.start >= at && finding.span.start < finding.span.end && finding.span.end <= bytes.len());
            at = finding.span.end;
        }
        prop_assert!(scan.steps <= (bytes.len() as u64 + 1) * MAX_STEPS_PER_BYTE);
        prop_assert!(scrubber().scrub(&bytes).is_ok());
    }

    #[test]
    fn any_text_gives_spans_on_character_boundaries(text in "([a-zäß]{0,9}|[0-9]{1,5}|[ -/:-@\\u{200b}\\u{ad}＠４é]|DE[0-9]{2}|@ex\\.org|[(\\[{]at[)\\]}]|\"@|\\\\n|AKIA|eyJ|/hom[e]/|Dr\\.|-----BEGIN|%4[0-9]){0,60}") {
        for finding in scrubber().scan(&text).findings {
            prop_assert!(text.get(finding.span.clone()).is_some(), "{finding:?}");
        }
    }

    #[test]
    fn any_pieces_of_forms_are_read(text in "(\\(at\\)|\\[at\\]|\\{at\\}|\"|@|\\\\n|-----BEGIN PRIVATE KEY-----|-----END|A{1,40}|SG\\.|eyJ\\.|KGF0KWV4YW1wbGUub3Jn|::|0\\.|[0-9]{1,4}|[ ,.:/=]|key|ne le |x\\[){0,40}") {
        let scan = scrubber().scan(&text);
        for finding in &scan.findings {
            prop_assert!(text.get(finding.span.clone()).is_some(), "{finding:?}");
        }
        prop_assert!(scan.steps <= (text.len() as u64 + 1) * MAX_STEPS_PER_BYTE);
    }

    #[test]
    fn nothing_is_found_again_where_masks_stand(text in "((mail|card|Tel|born|rue|Dr) |[0-9]{4}[ -]|jane@example\\.org |4111 1111 1111 1111 |\\+49 30 901820 |Anna Weber ){0,20}") {
        let once = scrubber().scrub(&text).unwrap();
        for finding in scrubber().scan(&once.text).findings {
            prop_assert!(!once.text[finding.span.clone()].contains('['), "{finding:?} in {}", once.text);
        }
    }
}

/// Text is read in pieces of 256 KiB; what begins in one of them was not decoded in the next.
#[test]
fn base64_over_several_pieces_is_read_to_its_end() {
    let address = "bWFpbCBqYW5lQGV4YW1wbGUub3Jn";
    let (long, short) = (
        "bG9yZW0gaXBzdW0g".repeat(40_000),
        "bG9yZW0gaXBzdW0g".repeat(40),
    );
    for lead in ["", "a ", "ab ", "abc "] {
        let text = [lead, &long, address, &short, " end"].concat();
        let left = scrubber().scrub(&text).unwrap().text;
        assert!(!left.contains(address), "after {lead:?}");
        assert!(left.ends_with("[email] end"), "after {lead:?}");
        let harmless = [lead, &long, &short, " end"].concat();
        assert_eq!(scrubber().scan(&harmless).findings, []);
    }
}
