use chorus_core::engram::{Dtype, Level};

use super::*;
use crate::file::tests::file;
use crate::pack::pack;

const CID: &str = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn model(w: &[f32], half: u16, ids: u8) -> Vec<u8> {
    file(&[
        ("ids", Dtype::U8, &[1], vec![ids]),
        ("w", Dtype::F32, &[2, 2], bytes_of(w)),
        ("h", Dtype::F16, &[], half.to_le_bytes().to_vec()),
    ])
}

const BEFORE: [f32; 4] = [1.0, -2.0, -0.0, 0.25];
const TUNED: [f32; 4] = [1.5, -2.0, -0.0, 0.75];

fn given(bytes: Vec<u8>) -> Given {
    Given {
        bytes,
        cid: CID.into(),
        weight: 1.0,
    }
}

fn session(theirs: Vec<u8>) -> Result<Session, Problem> {
    let own = model(&BEFORE, 0x3c00, 7);
    Session::new(own, vec![given(theirs)], Options::default())
}

/// Measures every share as a metric that grows with it.
fn run(session: &mut Session) {
    session.assess(Some((0.5, 0.9))).unwrap();
    while session.step() == "blend" {
        session.measured(Some(0.5 + session.alpha() * 0.4)).unwrap();
    }
}

#[test]
fn weights_are_blended_in_until_all_is_in_and_undone_to_the_byte() {
    let (own, theirs) = (model(&BEFORE, 0x3c00, 7), model(&TUNED, 0x4000, 7));
    let packed = pack(&File::open(theirs.clone()).unwrap(), None, Level::Fast).unwrap();
    for bytes in [theirs.clone(), packed] {
        let mut session = session(bytes).unwrap();
        assert_eq!((session.step(), session.now()), ("assess", own.clone()));
        assert_eq!(session.shadow(), theirs);
        run(&mut session);
        assert_eq!((session.step(), session.alpha()), ("monitor", 1.0));
        assert_eq!(session.now(), theirs);
        let curve = session.curve();
        assert_eq!(curve[0], json!({ "alpha": 0.0, "metric": 0.5 }));
        assert_eq!(curve[1]["alpha"], 0.125);
        session.undo();
        assert_eq!(
            (session.step(), session.now()),
            ("rolled-back", own.clone())
        );
        let trail = session.trail();
        let lines = trail.as_array().unwrap();
        assert_eq!(
            lines[0],
            json!({ "event": "validated", "parameters": 3, "cids": [CID] })
        );
        assert_eq!(lines[lines.len() - 1]["event"], "rolled-back");
    }
}

#[test]
fn a_model_of_halves_never_becomes_infinite() {
    for (theirs, largest) in [(1e6f32, 0x7bff_u16), (-1e6, 0xfbff)] {
        let theirs = file(&[("h", Dtype::F32, &[], bytes_of(&[theirs]))]);
        let mut session = session(theirs).unwrap();
        run(&mut session);
        assert_eq!(session.step(), "monitor");
        let expected = model(&BEFORE, largest, 7);
        assert_eq!(
            (session.now(), session.shadow()),
            (expected.clone(), expected)
        );
        session.undo();
        assert_eq!(session.now(), model(&BEFORE, 0x3c00, 7));
    }
}

#[test]
fn an_engram_against_the_model_is_its_difference() {
    let (own, theirs) = (model(&BEFORE, 0x3c00, 7), model(&TUNED, 0x4000, 7));
    let base = File::open(own).unwrap();
    let packed = pack(
        &File::open(theirs.clone()).unwrap(),
        Some(&base),
        Level::Fast,
    )
    .unwrap();
    assert_eq!(session(packed).unwrap().shadow(), theirs);
    let change: Vec<f32> = TUNED.iter().zip(BEFORE).map(|(t, b)| t - b).collect();
    let options = Options {
        is_delta: true,
        ..Options::default()
    };
    let change = file(&[("w", Dtype::F32, &[2, 2], bytes_of(&change))]);
    let session = Session::new(base.into_bytes(), vec![given(change)], options).unwrap();
    assert_eq!(session.shadow(), model(&TUNED, 0x3c00, 7));
}

#[test]
fn a_metric_that_falls_takes_it_out_again() {
    let mut session = session(model(&TUNED, 0x3c00, 7)).unwrap();
    session.assess(Some((0.5, 0.45))).unwrap();
    session.measured(Some(0.4)).unwrap();
    assert_eq!(session.step(), "rolled-back");
    assert_eq!(session.now(), model(&BEFORE, 0x3c00, 7));
    assert!(session.measured(Some(0.4)).is_err());
}

#[test]
fn without_a_measurement_numbers_speak_for_themselves() {
    let mut session = session(model(&TUNED, 0x3c00, 7)).unwrap();
    session.assess(None).unwrap();
    while session.step() == "blend" {
        session.measured(None).unwrap();
    }
    assert_eq!((session.step(), session.alpha()), ("monitor", 1.0));
    assert!(session.curve()[0]["metric"].is_null());
}

#[test]
fn several_engrams_become_one_whatever_their_order() {
    let other = Given {
        cid: "another".into(),
        ..given(model(&[1.0, -2.5, -0.0, 1.25], 0x3c00, 7))
    };
    let all = |other, first| {
        let given = if first {
            vec![other, given(model(&TUNED, 0x3c00, 7))]
        } else {
            vec![given(model(&TUNED, 0x3c00, 7)), other]
        };
        let options = Options {
            resolution: Conflicts::Mean,
            ..Options::default()
        };
        Session::new(model(&BEFORE, 0x3c00, 7), given, options).unwrap()
    };
    let copy = Given {
        bytes: other.bytes.clone(),
        cid: other.cid.clone(),
        weight: other.weight,
    };
    let (one, two) = (all(copy, false), all(other, true));
    assert_eq!(one.shadow(), model(&[1.25, -2.25, -0.0, 1.0], 0x3c00, 7));
    assert_eq!(one.shadow(), two.shadow());
    assert_eq!(one.trail()[1]["event"], "resolved");
    assert_eq!(one.trail()[0]["cids"], json!([CID, "another"]));
}

#[test]
fn what_does_not_fit_is_named() {
    for (theirs, said) in [
        (model(&TUNED, 0x3c00, 8), "\"ids\" of U8 is not blended"),
        (
            file(&[("v", Dtype::F32, &[1], bytes_of(&[1.0]))]),
            "no tensor \"v\"",
        ),
        (
            file(&[("w", Dtype::F32, &[4], bytes_of(&TUNED))]),
            "\"w\" must have the shape [2, 2]",
        ),
        (
            file(&[("w", Dtype::I32, &[2, 2], bytes_of(&TUNED))]),
            "\"w\" must be of F32, got I32",
        ),
        (
            file(&[("w", Dtype::F32, &[2, 2], bytes_of(&[f32::NAN; 4]))]),
            "must be finite",
        ),
    ] {
        let error = session(theirs).unwrap_err();
        assert!(error.message.contains(said), "{error}");
        assert_eq!(error.code, MISMATCH);
    }
    let none = Session::new(model(&BEFORE, 0, 7), Vec::new(), Options::default());
    assert_eq!(none.unwrap_err().code, INVALID_ARGUMENT);
}
