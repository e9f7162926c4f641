use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::key::Keypair;
use crate::privacy::pseudonym::{EpochLength, NodeSecret};
use crate::privacy::range::{Fact, Ladder};
use crate::privacy::scrub::{Kind, Policy, Salt, Scrubber};
use crate::privacy::{Anonymiser, Trait};
use crate::seal::{Keyring, SealSecret};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);

pub(super) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([9; 32])
}

pub(super) fn rules() -> Rules {
    let epoch = EpochLength::default().epoch_of(NOW);
    let pseudonyms = NodeSecret::from_bytes([7; 32]).pseudonyms("main", epoch);
    let scrubber = Scrubber::new(Policy::default(), Salt::from_bytes([5; 32]));
    Rules::new(scrubber, Anonymiser::new(pseudonyms))
}

pub(super) fn prepared(outgoing: Outgoing) -> Result<Prepared, ReleaseError> {
    prepare(outgoing, &rules(), None, &mut rng())
}

fn note(content: &str) -> Outgoing {
    Outgoing {
        name: Some("note.txt".into()),
        ..Outgoing::new("file", content.as_bytes().to_vec())
    }
}

#[test]
fn an_address_in_a_text_is_masked_and_shown_to_the_owner() {
    let prepared = prepared(note("Please write to ada@example.org today.")).unwrap();
    assert_eq!(prepared.content(), b"Please write to [email] today.");
    let preview = prepared.preview();
    assert_eq!((preview.bytes_before, preview.bytes), (38, 30));
    assert_eq!(
        (preview.findings_total, preview.findings_by_kind["email"]),
        (1, 1)
    );
    let found = &preview.findings[0];
    assert_eq!(
        (found.place.as_str(), found.kind, found.action),
        ("content", "email", "mask")
    );
    assert_eq!(
        (found.before.as_str(), found.after.as_str()),
        ("ada@example.org", "[email]")
    );
    assert_eq!(found.context_before, "Please write to ");
    assert_eq!(found.context_after, " today.");
    assert!(preview.checks.iter().all(|check| check.is_met));
    let json = serde_json::to_value(preview).unwrap();
    assert_eq!(json["format"], "text");
    assert_eq!(json["readers"], "everybody");
    assert_eq!(json["lines"][1], "WHERE_MEMORY region=\"note.txt\"");
    for shown in [
        alloc::format!("{preview:?}"),
        alloc::format!("{prepared:?}"),
    ] {
        assert!(!shown.contains("ada"), "{shown}");
    }
}

#[test]
fn content_without_findings_leaves_byte_for_byte() {
    for content in [
        "",
        "plain words\r\n\u{feff} and ünï\u{0}",
        "{ \"a\" : [1,2.50, 1e3],\n \"a\":\"\\u00e9\" }",
    ] {
        let prepared = prepared(note(content)).unwrap();
        assert_eq!(prepared.content(), content.as_bytes());
    }
    let bytes = vec![0xff, 0, 1, 2];
    let prepared = prepared(Outgoing::new("file", bytes.clone())).unwrap();
    assert_eq!(prepared.content(), bytes);
    assert!(!prepared.preview().is_searched);
    assert_eq!(prepared.preview().format, Format::Opaque);
    assert_eq!(prepared.into_open().content, bytes);
}

#[test]
fn json_keys_say_what_values_are_and_the_rest_stays_as_it_is_written() {
    let content = "{ \"date_of_birth\" : \"1980-02-03\",\n  \"sizes\":[1.50, 2], \"mail\": \"ada\\u0040example.org\", \"mail\": \"x\" }";
    let prepared = prepared(note(content)).unwrap();
    let after = core::str::from_utf8(prepared.content()).unwrap();
    assert_eq!(
        after,
        "{ \"date_of_birth\" : \"[birth_date]\",\n  \"sizes\":[1.50, 2], \"mail\": \"[email]\", \"mail\": \"x\" }"
    );
    let places: Vec<_> = prepared
        .preview()
        .findings
        .iter()
        .map(|f| f.place.as_str())
        .collect();
    assert_eq!(places, ["content /date_of_birth", "content /mail"]);
}

#[test]
fn keys_that_become_the_same_stay_apart() {
    let content = "{\"a@example.org\":1,\"b@example.org\":2,\"[email] 2\":3}";
    let prepared = prepared(note(content)).unwrap();
    let after = core::str::from_utf8(prepared.content()).unwrap();
    assert_eq!(after, "{\"[email]\":1,\"[email] 2\":2,\"[email] 2 2\":3}");
}

#[test]
fn a_private_key_is_refused_verbatim_or_not() {
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
    for is_verbatim in [false, true] {
        let outgoing = Outgoing {
            is_verbatim,
            ..note(key)
        };
        let error = prepared(outgoing).unwrap_err();
        assert!(
            matches!(&error, ReleaseError::Refused { place, kind: Kind::PrivateKey, .. } if place == "content"),
            "{error}"
        );
        assert!(!error.to_string().contains("MC4C"), "{error}");
    }
}

#[test]
fn verbatim_content_stays_and_what_is_around_it_is_cleaned() {
    let outgoing = Outgoing {
        name: Some("from ada@example.org.txt".into()),
        is_verbatim: true,
        quality: [("accuracy".into(), 0.9)].into(),
        ..note("ask ada@example.org")
    };
    let prepared = prepared(outgoing).unwrap();
    assert_eq!(prepared.content(), b"ask ada@example.org");
    let preview = prepared.preview();
    assert!(preview.is_verbatim);
    assert_eq!(preview.name.as_deref(), Some("from [email].txt"));
    let shown: Vec<_> = preview
        .findings
        .iter()
        .map(|f| (f.place.as_str(), f.action))
        .collect();
    assert_eq!(shown, [("content", "keep"), ("name", "mask")]);
    assert_eq!(preview.quality["accuracy"], 0.9);
}

#[test]
fn identifiers_leave_as_pseudonyms_wherever_they_stand() {
    let outgoing = Outgoing {
        identifiers: [
            ("user".into(), "lovelace".into()),
            ("word".into(), "shared".into()),
        ]
        .into(),
        ..note("{\"by\": \"Love\\u006cace\", \"where\": \"shared\"}")
    };
    let prepared = prepared(outgoing).unwrap();
    let preview = prepared.preview();
    let after = core::str::from_utf8(prepared.content()).unwrap();
    let expected = alloc::format!(
        "{{\"by\": \"{}\", \"where\": \"shared\"}}",
        preview.pseudonyms["user"]
    );
    assert_eq!(after, expected);
}

#[test]
fn what_the_stages_tell_of_the_owner_travels_in_metrics() {
    let outgoing = Outgoing {
        environment: [
            (Trait::Platform, "X11; Linux x86_64".into()),
            (Trait::Other, "x".into()),
        ]
        .into(),
        times: [("trained".into(), NOW)].into(),
        facts: [(
            "records".into(),
            Fact {
                value: 1500.0,
                ladder: Ladder::Sizes,
            },
        )]
        .into(),
        ..note("hello")
    };
    let prepared = prepared(outgoing).unwrap();
    let quality = prepared.quality();
    assert_eq!(quality["environment.platform.linux"], 1.0);
    assert_eq!(quality["epoch.trained"], 20_778.0);
    assert_eq!(quality.len(), 2, "nobody else has the fact: {quality:?}");
    assert_eq!(prepared.preview().suppressed, ["records"]);
}

#[test]
fn metrics_that_only_the_stages_may_give_are_refused() {
    let outgoing = Outgoing {
        quality: [("privacy.epsilon".into(), 0.1)].into(),
        ..note("hello")
    };
    assert!(matches!(
        prepared(outgoing).unwrap_err(),
        ReleaseError::ReservedMetric {
            place: 0,
            prefix: "privacy."
        }
    ));
}

#[test]
fn metrics_that_tell_a_number_of_somebody_are_refused() {
    let outgoing = Outgoing {
        quality: [
            ("accuracy".into(), 0.9),
            ("card".into(), 4_111_111_111_111_111.0),
        ]
        .into(),
        ..note("hello")
    };
    let error = prepared(outgoing).unwrap_err();
    assert!(
        matches!(
            error,
            ReleaseError::PersonalMetric {
                place: 1,
                kind: Kind::Card,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains("111"), "{error}");
    let usual = [
        ("loss", 0.000_412_345_678_9),
        ("steps", 1e9),
        ("tokens_per_sec", 123_456.789),
        ("temperature", -0.5),
    ];
    let outgoing = Outgoing {
        quality: usual.map(|(name, figure)| (name.into(), figure)).into(),
        ..note("hello")
    };
    assert_eq!(prepared(outgoing).unwrap().quality().len(), 4);
}

#[test]
fn pseudonyms_are_shown_where_they_stand_and_short_identifiers_are_told() {
    let outgoing = Outgoing {
        identifiers: [
            ("user".into(), "lovelace".into()),
            ("host".into(), "nowhere-pc".into()),
            ("nick".into(), "al".into()),
        ]
        .into(),
        ..note("by lovelace and al")
    };
    let prepared = prepared(outgoing).unwrap();
    let preview = prepared.preview();
    let kinds: Vec<_> = preview
        .pseudonyms
        .keys()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(kinds, ["user"]);
    assert!(preview.notes[0].contains("your nick is too short"));
}

#[test]
fn an_identifier_inside_a_constant_word_is_looked_for_all_the_same() {
    for identifier in ["earn", "emor", "hare"] {
        let outgoing = Outgoing {
            identifiers: [("user".into(), identifier.into())].into(),
            ..note(&alloc::format!("by {identifier}, {identifier}ing"))
        };
        let prepared = prepared(outgoing).unwrap();
        let content = core::str::from_utf8(prepared.content()).unwrap();
        assert!(!content.contains(identifier), "{content}");
        assert!(prepared.preview().lines[3].starts_with("WHY_LEARN"));
    }
}

#[test]
fn instructions_that_no_packet_may_have_are_refused() {
    let outgoing = Outgoing {
        instructions: Some(crate::packet::Instructions {
            how: crate::packet::How::Merge { weight: f64::NAN },
            ..Default::default()
        }),
        ..note("hello")
    };
    let error = prepared(outgoing).unwrap_err();
    assert!(matches!(error, ReleaseError::Instructions(_)), "{error}");
}

#[test]
fn noise_that_is_shown_to_the_owner_is_not_in_a_log() {
    let noise = NoiseShown {
        clip_norm: 1.0,
        multiplier: 4.0,
        epsilon_spent: 0.5,
        epsilon_budget: 8.0,
        delta: 1e-5,
        numbers: 1,
        sample: vec![(0.4711, 0.1234)],
    };
    let shown = alloc::format!("{noise:?}");
    assert!(
        !shown.contains("4711") && !shown.contains("1234"),
        "{shown}"
    );
}

#[test]
fn identifiers_behind_escapes_become_pseudonyms_and_escapes_make_none() {
    let user = "nova";
    let cases = [
        // Hidden beside one that is not.
        (r#"{"a":"nova and \u006eova"}"#, r#"{"a":"USER and USER"}"#),
        // The letter of an escape joins.
        (r#"{"a":"hi\nova"}"#, r#"{"a":"hi\u000aova"}"#),
        (r#"{"a":"nova\nova"}"#, r#"{"a":"USER\u000aova"}"#),
        (r#"{"a":"\nnova \\nova"}"#, r#"{"a":"\nUSER \\USER"}"#),
        // Half of a pair hurts itself alone.
        (
            r#"{"a":"\ud800 no\u0076a \ud83c\udfb5"}"#,
            "{\"a\":\"\u{fffd} USER 🎵\"}",
        ),
        (r#"{"a":"\ud800 \u00e9"}"#, r#"{"a":"\ud800 \u00e9"}"#),
        // A mark before, and a line after another.
        ("\u{feff}{\"a\":\"no\\u0076a\"}", "\u{feff}{\"a\":\"USER\"}"),
        (
            "{\"date_of_birth\":\"1980-02-03\"}\n\n{\"a\":\"\\u006eova\"}\r\n",
            "{\"date_of_birth\":\"[birth_date]\"}\n\n{\"a\":\"USER\"}\r\n",
        ),
    ];
    for (before, after) in cases {
        let outgoing = Outgoing {
            identifiers: [("user".into(), user.into())].into(),
            ..note(before)
        };
        let prepared = prepared(outgoing).unwrap();
        assert_eq!(prepared.preview().format, Format::Json, "{before}");
        let pseudonym = prepared.preview().pseudonyms.get("user");
        let after = after.replace("USER", pseudonym.map_or("", |one| one.as_str()));
        let left = core::str::from_utf8(prepared.content()).unwrap();
        assert_eq!(left, after, "{before}");
    }
    let outgoing = Outgoing {
        identifiers: [("user".into(), "alse".into())].into(),
        ..note("{\"a\":false}")
    };
    assert_eq!(
        super::tests::prepared(outgoing).unwrap_err(),
        ReleaseError::Json
    );
}

#[test]
fn what_is_sealed_opens_for_its_reader_with_its_clean_name_and_shows_nothing_outside() {
    let (author, reader) = (Keypair::from_seed(&[1; 32]), Keypair::from_seed(&[2; 32]));
    let mut keyring = Keyring::new();
    let secret = SealSecret::from_seed(&[3; 32]);
    let certificate = keyring.rotate(secret, &reader, "main", NOW).unwrap();
    let to = [certificate.recipient(NOW).unwrap()];
    let outgoing = Outgoing {
        quality: [("accuracy".into(), 0.9)].into(),
        ..note("ask ada@example.org")
    };
    let prepared = prepared(outgoing).unwrap();
    let before = prepared.preview_for(&[reader.peer_id()]);
    let sealed = prepared
        .seal(&to, "main", author.peer_id(), &mut rng())
        .unwrap();
    assert_eq!(sealed.preview(), &before);
    assert_eq!(before.sealed_bytes, Some(sealed.content().len() as u64));
    assert_eq!(before.readers, Readers::Peers(vec![reader.peer_id()]));
    assert!(before.quality.is_empty() && !before.lines.join(" ").contains("note"));
    assert_eq!(before.sealed_quality, [("accuracy".into(), 0.9)].into());
    let sender = ("main", author.peer_id());
    let parcel = sealing::open_parcel(sealed.content(), &keyring, sender, NOW).unwrap();
    assert_eq!(
        (parcel.name.as_str(), parcel.content_type.as_str()),
        ("note.txt", "file")
    );
    assert_eq!(parcel.content, b"ask [email]");
    assert_eq!(parcel.quality, before.sealed_quality);
}

#[test]
fn noise_on_what_has_no_tensors_is_refused() {
    let wish = NoiseWish {
        clip_norm: 1.0,
        noise_multiplier: 1.0,
    };
    let outgoing = Outgoing {
        noise: Some(wish),
        ..note("hello")
    };
    assert_eq!(
        prepared(outgoing).unwrap_err(),
        ReleaseError::NoTensors { format: "text" }
    );
}
