//! Engrams that are lossy first and exact at last, on the command line.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::engram::{Desk, real_weights, safetensors};
use crate::relay::succeed;

/// Returns the signal to noise of the floats of two files of the same header, in dB.
fn decibels(desk: &Desk, name: &str, other: &str) -> f64 {
    let numbers = |name: &str| -> Vec<f64> {
        let file = fs::read(desk.path(name)).unwrap();
        let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        // Three bytes of another tensor come first.
        let (numbers, _) = file[8 + len + 3..].as_chunks::<4>();
        let number = |bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes));
        numbers.iter().map(number).collect()
    };
    let (given, back) = (numbers(name), numbers(other));
    assert_eq!(given.len(), back.len());
    let noise = given.iter().zip(&back).map(|(a, b)| (a - b) * (a - b));
    let signal = given.iter().map(|a| a * a).sum::<f64>();
    10.0 * (signal / noise.sum::<f64>()).log10()
}

fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn len(path: &Path) -> f64 {
    fs::metadata(path).unwrap().len() as f64
}

#[test]
fn real_weights_take_the_bits_that_are_asked_for_and_come_back_near() {
    let desk = Desk::new();
    let (weights, _) = {
        let raw = real_weights();
        let (numbers, rest) = raw.as_chunks::<4>();
        let numbers: Vec<f32> = numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        // Whole rows of 100.
        (numbers[..numbers.len() / 100 * 100].to_vec(), rest.len())
    };
    fs::write(desk.path("real"), safetensors(&weights)).unwrap();
    let count = weights.len() as f64;
    for bits in [1.5, 4.0] {
        let asked = bits.to_string();
        let packed = desk.done(&["pack", "@real", "--bits", &asked, "--force"]);
        let used = len(&desk.path("real.engram")) * 8.0 / count;
        assert!(used > bits * 0.97 && used <= bits * 1.02, "{bits}: {used}");
        assert!((figure(&packed["bits_per_number"]) - used).abs() < 0.01);
        desk.done(&["unpack", "@real.engram", "-o", "@back", "--force"]);
        let got = decibels(&desk, "real", "back");
        assert!(
            (got - figure(&packed["snr_decibels"])).abs() < 0.02,
            "{got}"
        );
        // Plain rounding to a grid gives six decibels a bit less a few.
        assert!(got > 6.02 * bits - 2.0, "{bits}: {got}");
    }
    desk.done(&["pack", "@real", "--decibels", "25", "--force"]);
    desk.done(&["unpack", "@real.engram", "-o", "@back", "--force"]);
    let got = decibels(&desk, "real", "back");
    assert!((25.0..25.3).contains(&got), "{got}");
}

#[test]
fn a_reader_may_stop_after_any_layer_and_has_every_bit_after_the_last() {
    let desk = Desk::new();
    let packed = desk.done(&["pack", "@model", "--bits", "3", "--layers", "2", "--exact"]);
    let info = desk.done(&["info", "@model.engram", "--json"]);
    assert_eq!(
        (
            &info["kind"],
            &info["is_exact"],
            &info["layers"],
            &info["digest"]
        ),
        (
            &"layers".into(),
            &true.into(),
            &packed["layers"],
            &packed["digest"]
        )
    );
    assert_eq!(info["packed_bytes"], packed["packed_bytes"]);
    let text = succeed(&desk.args(&["info", "@model.engram"]));
    assert!(
        text.contains("layer 1: ") && text.contains(" dB\n"),
        "{text}"
    );
    assert!(
        text.contains("layer 3: ") && text.contains("every bit"),
        "{text}"
    );
    assert!(
        text.contains("\"w\" F32 [1000,100] 400000 bytes\n"),
        "{text}"
    );

    let back = desk.done(&["unpack", "@model.engram", "-o", "@back"]);
    assert_eq!(
        (&back["is_exact"], &back["layers"]),
        (&true.into(), &3.into())
    );
    assert_eq!(back["digest"], packed["digest"]);
    assert!(fs::read(desk.path("back")).unwrap() == fs::read(desk.path("model")).unwrap());
    let mut last = 0.0;
    for layers in ["1", "2"] {
        let to = [
            "unpack",
            "@model.engram",
            "--layers",
            layers,
            "-o",
            "@near",
            "--force",
        ];
        assert_eq!(desk.done(&to)["is_exact"], false);
        let got = decibels(&desk, "model", "near");
        assert!(got > last + 10.0, "{got} after {last}");
        last = got;
    }
    // The first layer is there though the file was cut behind it.
    let engram = fs::read(desk.path("model.engram")).unwrap();
    let end = engram.len() as u64
        - packed["layers"][1]["bytes"].as_u64().unwrap()
        - packed["layers"][2]["bytes"].as_u64().unwrap();
    fs::write(desk.path("cut"), &engram[..end as usize]).unwrap();
    desk.done(&["unpack", "@cut", "--layers", "1", "-o", "@first"]);
    let said = desk.refused(&["unpack", "@cut", "--layers", "2", "-o", "@second"], 1);
    assert!(said.contains("cut: layer 2 must end at byte"), "{said}");
    let said = desk.refused(&["info", "@cut"], 1);
    assert!(said.contains("cut: layer 2 must end at byte"), "{said}");
    let said = desk.refused(&["unpack", "@model.engram", "--layers", "4", "-o", "@x"], 2);
    assert!(said.contains("layers must be in 1..=3, got 4"), "{said}");
}

#[test]
fn a_tuned_model_is_told_as_a_difference_and_needs_its_base() {
    let desk = Desk::new();
    let packed = desk.done(&["pack", "@model", "--bits", "2", "--base", "@base"]);
    let alone = desk.done(&["pack", "@model", "--bits", "2", "-o", "@alone"]);
    assert!(figure(&packed["packed_bytes"]) < 1.03 * figure(&alone["packed_bytes"]));
    let to = ["unpack", "@model.engram", "-o", "@back"];
    let said = desk.refused(&to, 1);
    assert!(said.contains("are needed as base"), "{said}");
    let said = desk.refused(&[&to[..], &["--base", "@model"]].concat(), 1);
    assert!(
        said.contains("the base's tensors must have digest"),
        "{said}"
    );
    assert!(!desk.path("back").exists());
    desk.done(&[&to[..], &["--base", "@base"]].concat());
    desk.done(&["unpack", "@alone", "-o", "@plain"]);
    let (near, far) = (
        decibels(&desk, "model", "back"),
        decibels(&desk, "model", "plain"),
    );
    assert!(near > far + 10.0, "{near} {far}");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_left() {
    let desk = Desk::new();
    desk.done(&["pack", "@model", "--bits", "3"]);
    let said = desk.refused(&["pack", "@model", "--bits", "4"], 2);
    assert!(
        said.contains("model.engram exists; --force replaces it"),
        "{said}"
    );
    let said = desk.refused(&["pack", "@model", "--bits", "0", "-o", "@x"], 2);
    assert!(said.contains("a target must be finite"), "{said}");
    for args in [
        &[
            "pack",
            "@model",
            "--bits",
            "3",
            "--decibels",
            "9",
            "-o",
            "@x",
        ][..],
        &[
            "pack", "@model", "--bits", "3", "--level", "fast", "-o", "@x",
        ],
        &["pack", "@model", "--bits", "3", "--layers", "4", "-o", "@x"],
        &["pack", "@model", "--exact", "-o", "@x"],
        &["pack", "@model", "--layers", "2", "-o", "@x"],
    ] {
        assert_eq!(desk.engram(args).status.code(), Some(2), "{args:?}");
    }
    let said = desk.refused(&["unpack", "@model.engram", "--tensor", "w", "-o", "@x"], 2);
    assert!(
        said.contains("--tensor is for engrams without loss"),
        "{said}"
    );
    let said = desk.refused(
        &["unpack", "@model.engram", "-o", "@x", "--max-bytes", "1000"],
        1,
    );
    assert!(said.contains("must be at most 1000"), "{said}");
    let said = desk.refused(&["pack", "@model.engram", "--bits", "3", "-o", "@x"], 1);
    assert!(
        said.contains("model.engram: bytes of a header must be at most"),
        "{said}"
    );

    let engram = fs::read(desk.path("model.engram")).unwrap();
    for (place, what) in [
        (0, "an engram begins with"),
        (20, "digest"),
        (engram.len() - 9, "layer 1"),
    ] {
        let mut changed = engram.clone();
        changed[place] ^= 1;
        fs::write(desk.path("changed"), &changed).unwrap();
        let said = desk.refused(&["unpack", "@changed", "-o", "@x"], 1);
        assert!(said.contains(what), "{said}");
        let said = desk.refused(&["info", "@changed"], 1);
        assert!(said.contains(what), "{said}");
    }
    fs::write(desk.path("changed"), [&engram[..], &[0]].concat()).unwrap();
    for args in [
        &["unpack", "@changed", "-o", "@x"][..],
        &["info", "@changed"],
    ] {
        let said = desk.refused(args, 1);
        assert!(said.contains("layer 1 must end at byte"), "{said}");
    }
    desk.done(&["pack", "@model", "-o", "@exact"]);
    let said = desk.refused(&["unpack", "@exact", "--layers", "1", "-o", "@x"], 2);
    assert!(
        said.contains("--layers is for engrams packed with"),
        "{said}"
    );

    // Infinity: the exact layer keeps it.
    let mut model = fs::read(desk.path("model")).unwrap();
    let at = model.len() - 4;
    model[at..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(desk.path("odd"), &model).unwrap();
    let said = desk.refused(&["pack", "@odd", "--bits", "3"], 1);
    assert!(
        said.contains("tensor \"w\": number 99999 must be finite, got inf"),
        "{said}"
    );
    assert_eq!(desk.files(), 6, "model, base, engram, changed, exact, odd");
    desk.done(&["pack", "@odd", "--bits", "3", "--exact"]);
    desk.done(&["unpack", "@odd.engram", "-o", "@back"]);
    assert!(fs::read(desk.path("back")).unwrap() == model);
}
