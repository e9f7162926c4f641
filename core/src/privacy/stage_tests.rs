use alloc::string::ToString;
use alloc::vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::desk::Clean;
use super::super::environment::OTHER;
use super::super::ledger::Ledger;
use super::super::noise::{Neighbours, STEPS_PER_NORM, plan};
use super::super::pseudonym::NodeSecret;
use super::super::range::Ladder;
use super::super::scrub::{Policy, Salt, Scrubber};
use super::super::validate::{Declared, DeclaredTensor};
use super::*;
use crate::digest::Digest;

/// Stands for stage 1: takes out one address, forbids one word.
fn scrub(_: Option<&str>, text: &str) -> Clean {
    Clean {
        text: text.replace(ADDRESS, "[email]"),
        findings: text.matches(ADDRESS).count() as u64,
        is_forbidden: text.contains("top secret"),
    }
}

const ADDRESS: &str = "ada@example.org";
const PEER: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(3)
}

fn tensor(name: &str, shape: &[u32], data: &[f32]) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        data: data.to_vec(),
    }
}

fn draft() -> Draft {
    let entry = |block: &str, key: &str, text: Option<&str>| Embedded {
        block: block.into(),
        key: key.into(),
        text: text.map(Into::into),
    };
    Draft {
        texts: [("notes".into(), alloc::format!("from {PEER}, ask {ADDRESS}"))].into(),
        tensors: vec![
            tensor("hidden", &[2, 3], &[0.5, -0.25, 1.0, 0.0, 0.75, -1.0]),
            tensor("bias of ada@example.org", &[2], &[0.1, 0.2]),
        ],
        identifiers: [("peer".into(), PEER.into())].into(),
        times: [("trained".into(), Timestamp::from_millis(1_795_233_600_000))].into(),
        environment: [
            (Trait::Platform, "Linux x86_64".into()),
            (Trait::Other, "serial 4711".into()),
        ]
        .into(),
        embedded: vec![
            entry("safetensors", "format", Some("pt")),
            entry("safetensors", "author", Some("Ada")),
            entry("exif", "GPSLatitude", None),
        ],
        facts: [(
            "records".into(),
            Fact {
                value: 1500.0,
                ladder: Ladder::Sizes,
            },
        )]
        .into(),
    }
}

fn anonymiser() -> Anonymiser {
    let secret = NodeSecret::from_bytes([7; 32]);
    Anonymiser::new(secret.pseudonyms("main", Epoch::default()))
}

fn published() -> Vec<Row> {
    let range = Range {
        lower: 1024.0,
        upper: 2048.0,
    };
    vec![Row {
        ranges: [("records".into(), range)].into(),
        owners: 9,
    }]
}

fn generaliser(published: &[Row]) -> Generaliser<'_> {
    Generaliser {
        published,
        anonymity: Anonymity::default(),
        clip_norm: ClipNorm::new(1.0).unwrap(),
        keep_largest: None,
    }
}

fn grant() -> Grant {
    let mut ledger = Ledger::new(Digest::sha256(b"test"), Budget::default()).unwrap();
    let mechanism = plan(2.0, Neighbours::Absent, 1.0).unwrap();
    ledger.reserve(mechanism, 1).unwrap().stored()
}

fn expected() -> Expected {
    let line = "WHAT_WEIGHTS tensor=\"hidden\"".to_string();
    Expected {
        declared: Declared {
            instructions: vec![line.clone()],
            metadata: vec![line],
            tensors: vec![DeclaredTensor {
                name: "hidden".into(),
                dtype: "f32".into(),
                shape: vec![2, 3],
            }],
        },
        ..Expected::default()
    }
}

fn anonymous(draft: Draft) -> Anonymous {
    let raw = Raw::new(draft, &Limits::default()).unwrap();
    raw.scrub(&mut scrub).unwrap().anonymise(&anonymiser())
}

fn generalised() -> Generalised {
    anonymous(draft())
        .generalise(&generaliser(&published()), Some(&mut grant()), &mut rng())
        .unwrap()
}

/// Returns the report of a validation that must be refused.
fn refusal(stage: Generalised, expected: &Expected) -> Vec<&'static str> {
    let refused = stage.clone().validate(expected, &mut scrub).unwrap_err();
    // As text, in which NaN equals NaN.
    assert_eq!(
        alloc::format!("{:?}", refused.stage),
        alloc::format!("{stage:?}")
    );
    let PrivacyError::Invalid { report } = refused.error else {
        panic!("{:?}", refused.error);
    };
    let failed = report.checks().iter().filter(|check| !check.is_met());
    failed.map(|check| check.name).collect()
}

#[test]
fn the_scrubber_itself_leaves_nothing_that_it_would_find_again() {
    let scrubber = Scrubber::new(Policy::default(), Salt::from_bytes([5; 32]));
    let mut scrub = |name: Option<&str>, text: &str| scrubber.clean(name, text);
    let validated = Raw::new(draft(), &Limits::default())
        .unwrap()
        .scrub(&mut scrub)
        .unwrap()
        .anonymise(&anonymiser())
        .generalise(&generaliser(&published()), Some(&mut grant()), &mut rng())
        .unwrap()
        .validate(&expected(), &mut scrub)
        .unwrap();
    assert!(!validated.parts().texts["notes"].contains(ADDRESS));
    assert!(!validated.parts().texts["notes"].contains(PEER));
    assert_eq!(validated.parts().tensors[1].name, "bias of [email]");

    let mut secret = draft();
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----";
    secret.texts.insert("key".into(), key.into());
    let raw = Raw::new(secret, &Limits::default()).unwrap();
    assert!(raw.scrub(&mut scrub).is_err(), "the policy refuses keys");
}

#[test]
fn what_leaves_has_no_address_name_time_or_exact_number() {
    let validated = generalised().validate(&expected(), &mut scrub).unwrap();
    let parts = validated.parts();
    let peer = parts.pseudonyms["peer"].to_text();
    assert_eq!(
        parts.texts["notes"],
        alloc::format!("from {peer}, ask [email]")
    );
    assert_eq!(parts.tensors[1].name, "bias of [email]");
    assert_eq!(parts.epochs["trained"].number(), 20_778);
    assert_eq!(
        parts.environment,
        [(Trait::Platform, "linux"), (Trait::Other, OTHER)].into()
    );
    assert_eq!((parts.embedded.len(), parts.dropped), (1, 2));
    assert_eq!((parts.ranges["records"].lower, parts.crowd), (1024.0, 10));
    let everything = alloc::format!("{validated:?}");
    for secret in [ADDRESS, PEER, "4711", "1500", "Ada", "GPS", "1795233600"] {
        assert!(!everything.contains(secret), "{secret}");
    }
    let places: Vec<_> = validated
        .changes()
        .iter()
        .map(|c| c.place.as_str())
        .collect();
    assert_eq!(places, ["text \"notes\"", "name of a tensor"]);
}

#[test]
fn tensors_leave_clipped_as_one_update_and_noised_with_their_epsilon() {
    let validated = generalised().validate(&expected(), &mut scrub).unwrap();
    let parts = validated.into_parts();
    let before = draft().tensors;
    let numbers = parts.tensors.iter().zip(&before);
    for (after, before) in numbers {
        assert_eq!(after.shape, before.shape);
        assert!(after.data.iter().zip(&before.data).all(|(a, b)| a != b));
    }
    let quality: Vec<_> = parts.quality.keys().map(String::as_str).collect();
    assert_eq!(
        quality,
        [
            "privacy.clip_norm",
            "privacy.delta",
            "privacy.epsilon",
            "privacy.noise_multiplier"
        ]
    );
    assert_eq!(parts.quality["privacy.epsilon"], grant().spent().epsilon);
    assert_eq!(parts.quality["privacy.noise_multiplier"], 2.0);
    assert_eq!(grant().mechanism().sigma(), 2 * STEPS_PER_NORM);
}

#[test]
fn sparsification_keeps_the_largest_of_what_noise_left() {
    let published = published();
    let how = Generaliser {
        keep_largest: Some(3),
        ..generaliser(&published)
    };
    let stage = anonymous(draft())
        .generalise(&how, Some(&mut grant()), &mut rng())
        .unwrap();
    let count = |tensors: &[Tensor]| {
        let numbers = tensors.iter().flat_map(|tensor| &tensor.data);
        numbers.filter(|value| **value != 0.0).count()
    };
    assert_eq!(count(&stage.parts().tensors), 3);
}

#[test]
fn tensors_without_a_grant_stay_and_come_back() {
    let stage = anonymous(draft());
    let published = published();
    let refused = stage
        .clone()
        .generalise(&generaliser(&published), None, &mut rng())
        .unwrap_err();
    assert_eq!(refused.error, PrivacyError::NoGrant { tensors: 2 });
    assert_eq!(*refused.stage, stage);
    // Texts alone need none.
    let texts = Draft {
        tensors: Vec::new(),
        ..draft()
    };
    let stage = anonymous(texts)
        .generalise(&generaliser(&published), None, &mut rng())
        .unwrap();
    assert_eq!(stage.parts().quality, BTreeMap::new());
    assert!(stage.validate(&Expected::default(), &mut scrub).is_ok());
}

#[test]
fn a_forbidden_text_stops_everything_and_nothing_is_lost() {
    let mut draft = draft();
    draft.texts.insert("memo".into(), "top secret".into());
    let raw = Raw::new(draft, &Limits::default()).unwrap();
    let refused = raw.clone().scrub(&mut scrub).unwrap_err();
    assert!(
        matches!(&refused.error, PrivacyError::Forbidden { place, .. } if place == "text \"memo\"")
    );
    assert_eq!(*refused.stage, raw);
}

#[test]
fn names_that_become_the_same_are_told_apart() {
    let draft = Draft {
        texts: [
            (alloc::format!("a {ADDRESS}"), "1".into()),
            ("a [email]".into(), "2".into()),
        ]
        .into(),
        tensors: vec![
            tensor("w [email]", &[], &[1.0]),
            tensor(&alloc::format!("w {ADDRESS}"), &[], &[2.0]),
        ],
        ..Draft::default()
    };
    let stage = anonymous(draft);
    let texts: Vec<_> = stage.parts.texts.keys().collect();
    assert_eq!(texts, ["a [email]", "a [email] 2"]);
    assert_eq!(stage.tensors()[1].name, "w [email] 2");
}

#[test]
fn drafts_out_of_bounds_come_back_with_the_reason() {
    let with = |tensors: Vec<Tensor>| Draft {
        tensors,
        ..Draft::default()
    };
    let huge = u32::MAX;
    for (tensors, reason) in [
        (
            vec![tensor("a", &[2], &[1.0])],
            "must have as many elements, got 1",
        ),
        (
            vec![tensor("a", &[huge, huge, huge], &[])],
            "must have as many elements, got 0",
        ),
        (
            vec![tensor("a", &[1; 9], &[1.0])],
            "dimensions must be at most 8, got 9",
        ),
        (
            vec![tensor("a", &[1], &[f32::NAN])],
            "must be finite, number 0 is not",
        ),
        (
            vec![tensor("a", &[2], &[0.0, f32::INFINITY])],
            "number 1 is not",
        ),
        (
            vec![tensor("a", &[], &[1.0]), tensor("a", &[], &[1.0])],
            "tensor 1 has that of one before it",
        ),
        (
            vec![tensor(&"n".repeat(1025), &[], &[1.0])],
            "bytes of a name must be at most 1024",
        ),
        (
            vec![Tensor::default(); 4097],
            "tensors must be at most 4096, got 4097",
        ),
    ] {
        let refused = Raw::new(with(tensors.clone()), &Limits::default()).unwrap_err();
        let message = refused.to_string();
        // Nothing of the draft is in what a log would show.
        assert_eq!(
            alloc::format!("{refused:?}"),
            alloc::format!("Refused({message})")
        );
        assert!(message.contains(reason), "{message}");
        assert!(refused.stage.tensors.len() == tensors.len());
    }
    let small = Limits {
        max_elements: 5,
        max_text: 3,
        ..Limits::default()
    };
    let tensors = vec![tensor("a", &[3], &[0.0; 3]), tensor("b", &[3], &[0.0; 3])];
    assert!(Raw::new(with(tensors), &small).is_err());
    let text = Draft {
        texts: [("a".into(), "long".into())].into(),
        ..Draft::default()
    };
    assert!(Raw::new(text, &small).is_err());
    let fact = Fact {
        value: f64::NAN,
        ladder: Ladder::Sizes,
    };
    let facts = Draft {
        facts: [("x".into(), fact)].into(),
        ..Draft::default()
    };
    assert!(Raw::new(facts, &Limits::default()).is_err());
}

#[test]
fn empty_and_scalar_tensors_and_those_with_a_zero_dimension_pass() {
    let tensors = vec![
        tensor("scalar", &[], &[1.0]),
        tensor("nothing", &[u32::MAX, u32::MAX, u32::MAX, 0], &[]),
        tensor("subnormal", &[1], &[f32::from_bits(1)]),
    ];
    let draft = Draft {
        tensors,
        ..Draft::default()
    };
    let stage = anonymous(draft)
        .generalise(&generaliser(&[]), Some(&mut grant()), &mut rng())
        .unwrap();
    assert!(stage.validate(&Expected::default(), &mut scrub).is_ok());
}

#[test]
fn every_check_has_its_figure_in_the_report() {
    let validated = generalised().validate(&expected(), &mut scrub).unwrap();
    let report = validated.report();
    let figure = |name: &str| {
        let check = report.checks().iter().find(|check| check.name == name);
        check.unwrap().figure
    };
    assert_eq!(report.checks().len(), 17);
    assert_eq!((figure("tensors"), figure("elements")), (2.0, 8.0));
    assert_eq!(figure("epsilon spent"), grant().spent().epsilon);
    assert_eq!(figure("owners that share the ranges"), 10.0);
    assert!(figure("bytes") > 32.0 && figure("largest magnitude") > 0.0);
}

#[test]
fn each_defect_is_named_by_its_check() {
    type Spoil = fn(&mut Generalised, &mut Expected);
    let spoil = |spoil: Spoil| {
        let (mut stage, mut expected) = (generalised(), expected());
        spoil(&mut stage, &mut expected);
        refusal(stage, &expected)
    };
    let cases: &[(Spoil, &str)] = &[
        (
            |stage, _| stage.parts.tensors[0].data[0] = f32::NAN,
            "numbers not finite",
        ),
        (
            |stage, _| stage.parts.tensors[1].data[0] = 2e6,
            "largest magnitude",
        ),
        (
            |stage, _| stage.parts.tensors[1].shape = vec![3],
            "misshapen tensors",
        ),
        (
            |stage, _| stage.parts.crowd = 4,
            "owners that share the ranges",
        ),
        (|stage, _| stage.spent = None, "tensors without noise"),
        (|_, expected| expected.budget.epsilon = 0.1, "epsilon spent"),
        (|_, expected| expected.budget.delta = 1e-6, "delta"),
        (|_, expected| expected.limits.max_bytes = 10, "bytes"),
        (|_, expected| expected.limits.max_elements = 7, "elements"),
        (|_, expected| expected.limits.max_entries = 1, "tensors"),
        (
            |_, expected| expected.declared.metadata[0].push('x'),
            "instructions unlike the metadata",
        ),
        (
            |_, expected| expected.declared.metadata.clear(),
            "instructions unlike the metadata",
        ),
        (
            |_, expected| expected.declared.tensors[0].dtype = "f16".into(),
            "declared types but f32",
        ),
        (
            |_, expected| expected.declared.tensors[0].shape = vec![3, 2],
            "declared tensors not there",
        ),
    ];
    for (spoil_one, name) in cases {
        assert_eq!(spoil(*spoil_one), [*name]);
    }
    let twins = spoil(|stage, _| stage.parts.tensors[1].name = "hidden".into());
    assert_eq!(twins, ["tensors of the same name"]);
}

#[test]
fn what_the_first_stage_would_find_again_does_not_leave() {
    let mut stage = generalised();
    stage.parts.texts.insert("late".into(), ADDRESS.into());
    assert_eq!(refusal(stage, &expected()), ["residual findings"]);
    let mut expected = expected();
    for lines in [
        &mut expected.declared.instructions,
        &mut expected.declared.metadata,
    ] {
        lines[0].push_str(ADDRESS);
    }
    assert_eq!(refusal(generalised(), &expected), ["residual findings"]);
}

/// A scrubber that takes runs of digits for keys must not stumble over our own pseudonyms.
#[test]
fn pseudonyms_are_no_finding() {
    let mut strict = |_: Option<&str>, text: &str| Clean {
        text: text.into(),
        findings: text.contains("anon-").into(),
        is_forbidden: false,
    };
    let mut stage = generalised();
    stage.parts.texts.retain(|_, text| text.contains("anon-"));
    assert_eq!(stage.parts.texts.len(), 1);
    assert!(stage.validate(&expected(), &mut strict).is_ok());
}

#[test]
fn only_what_was_validated_is_sealed() {
    let validated = generalised().validate(&expected(), &mut scrub).unwrap();
    let Err((error, validated)) = validated.seal_with(|_| Err("no recipient")) else {
        panic!("sealed without a recipient");
    };
    assert_eq!(error, "no recipient");
    let encode = |parts: &Parts| serde_json::to_vec(parts);
    let sealed = validated.seal_with(encode).unwrap();
    let text = core::str::from_utf8(sealed.bytes()).unwrap();
    assert!(text.contains("\"platform\":\"linux\"") && text.contains("anon-"));
    assert!(sealed.report().is_met());
}

/// The accountant takes off for sampling, and stage 3 lets the whole update leave.
#[test]
fn a_grant_for_sampled_records_is_not_good_for_a_whole_update() {
    let mut ledger = Ledger::new(Digest::sha256(b"test"), Budget::default()).unwrap();
    let mechanism = plan(2.0, Neighbours::Absent, 0.01).unwrap();
    let mut grant = ledger.reserve(mechanism, 1).unwrap().stored();
    let refused = anonymous(draft())
        .generalise(&generaliser(&published()), Some(&mut grant), &mut rng())
        .unwrap_err();
    let sampling_rate = 0.01;
    assert_eq!(refused.error, PrivacyError::Sampled { sampling_rate });
    assert_eq!(grant.steps_left(), 1);
}

#[test]
fn identifiers_leave_in_no_name_of_anything_whatever_their_case() {
    let named = |what: &str| alloc::format!("{what} of {}", PEER.to_ascii_uppercase());
    let mut draft = draft();
    draft.texts.insert(named("text"), named("so says the text"));
    draft.tensors[0].name = named("tensor");
    draft.identifiers.insert(named("friend"), "Grace".into());
    draft.times = [(named("time"), Timestamp::from_millis(0))].into();
    let size = draft.facts["records"];
    draft.facts.insert(named("fact"), size);
    let stage = anonymous(draft)
        .generalise(&generaliser(&published()), Some(&mut grant()), &mut rng())
        .unwrap();
    assert_eq!(stage.parts.suppressed.len(), 1, "nobody else has the fact");
    assert!(stage.parts.suppressed[0].starts_with("fact of anon-"));
    assert!(
        stage
            .parts
            .pseudonyms
            .keys()
            .any(|kind| kind.starts_with("friend of anon-"))
    );
    let everything = alloc::format!("{stage:?}").to_ascii_lowercase();
    assert!(!everything.contains(&PEER.to_ascii_lowercase()));
}

#[test]
fn an_identifier_that_comes_back_before_the_last_look_does_not_leave() {
    let mut expected = expected();
    for lines in [
        &mut expected.declared.instructions,
        &mut expected.declared.metadata,
    ] {
        lines[0].push_str(&PEER.to_ascii_lowercase());
    }
    assert_eq!(refusal(generalised(), &expected), ["residual identifiers"]);
}

#[test]
fn the_name_of_a_field_says_what_its_text_is_in_the_first_and_the_last_look() {
    let scrubber = Scrubber::new(Policy::default(), Salt::from_bytes([5; 32]));
    let mut scrub = |name: Option<&str>, text: &str| scrubber.clean(name, text);
    let born = ("date_of_birth".into(), "1980-02-03".into());
    let draft = Draft {
        texts: [born].into(),
        ..Draft::default()
    };
    let scrubbed = Raw::new(draft, &Limits::default())
        .unwrap()
        .scrub(&mut scrub)
        .unwrap();
    assert_eq!(scrubbed.draft.texts["date_of_birth"], "[birth_date]");
    let mut stage = scrubbed
        .anonymise(&anonymiser())
        .generalise(&generaliser(&[]), None, &mut rng())
        .unwrap();
    assert!(
        stage
            .clone()
            .validate(&Expected::default(), &mut scrub)
            .is_ok()
    );
    stage
        .parts
        .texts
        .insert("date_of_birth".into(), "1980-02-03".into());
    let refused = stage
        .validate(&Expected::default(), &mut scrub)
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("residual findings must be at most 0, got 1")
    );
}
