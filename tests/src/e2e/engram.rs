//! Engrams on the command line: packed, looked into and unpacked to the byte, in little memory.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::relay::{chorus_relay, succeed};

/// A folder with a model, its base, and what they become.
pub(super) struct Desk(TempDir);

impl Desk {
    pub(super) fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let base = weights(1, 0.0);
        fs::write(desk.path("base"), safetensors(&base)).unwrap();
        fs::write(desk.path("model"), safetensors(&weights(1, 1e-3))).unwrap();
        desk
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn engram(&self, args: &[&str]) -> Output {
        chorus_relay(&self.args(args))
    }

    /// Expects success; returns the line of JSON.
    pub(super) fn done(&self, args: &[&str]) -> Value {
        serde_json::from_str(&succeed(&self.args(args))).unwrap()
    }

    /// Expects a failure with `status`; returns what was said.
    pub(super) fn refused(&self, args: &[&str], status: i32) -> String {
        let output = self.engram(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(
            output.stdout.is_empty() && said.lines().count() == 1,
            "{said}"
        );
        said
    }

    /// Names of files stand for files in the folder: `@model`.
    pub(super) fn args(&self, args: &[&str]) -> Vec<String> {
        let path = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => (*arg).to_owned(),
        };
        std::iter::once("engram".to_owned())
            .chain(args.iter().map(path))
            .collect()
    }

    pub(super) fn files(&self) -> usize {
        fs::read_dir(self.0.path()).unwrap().count()
    }
}

/// Numbers like weights, moved by `step` times others.
fn weights(seed: u64, step: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        // Knuth's MMIX generator; only the shape of the numbers matters.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    (0..100_000)
        .map(|_| (next() + next() + next()) * 0.02 + step * next())
        .collect()
}

/// A file with a tensor of f32, one of whole numbers, one without numbers, and metadata; spaced as no program would.
pub(super) fn safetensors(weights: &[f32]) -> Vec<u8> {
    let (rows, bytes) = (weights.len() / 100, weights.len() * 4);
    let json = format!(
        "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{rows},100],\"data_offsets\":[3,{}]}},\n  \"n\":{{\"shape\":[3],\"dtype\":\"U8\",\
         \"data_offsets\":[0,3]}},\"e\":{{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[3,3]}},\
         \"__metadata__\":{{\"format\":\"pt\"}}}}   ",
        bytes + 3
    );
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json.as_bytes());
    file.extend([1, 2, 3]);
    file.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    file
}

#[test]
fn a_model_comes_back_to_the_byte_at_every_level_and_is_smaller() {
    let desk = Desk::new();
    let model = fs::read(desk.path("model")).unwrap();
    let mut sizes = Vec::new();
    for level in [
        "plain", "deflate", "lzma", "pco", "plane", "fast", "neural", "small",
    ] {
        let packed = desk.done(&["pack", "@model", "--level", level, "--force"]);
        assert_eq!(
            (packed["bytes"].as_u64(), packed["tensors"].as_u64()),
            (Some(model.len() as u64), Some(3))
        );
        assert_eq!(
            packed["packed_bytes"],
            fs::metadata(desk.path("model.engram")).unwrap().len()
        );
        sizes.push((packed["packed_bytes"].as_u64().unwrap(), level));
        let back = desk.done(&["unpack", "@model.engram", "-o", "@back", "--force"]);
        assert_eq!(back["digest"], packed["digest"]);
        assert!(fs::read(desk.path("back")).unwrap() == model, "{level}");
    }
    let size = |level: &str| sizes.iter().find(|(_, name)| *name == level).unwrap().0;
    assert!(size("plain") > model.len() as u64);
    assert!(
        size("neural") < size("fast") && size("fast") < size("lzma"),
        "{sizes:?}"
    );
    assert!(size("small") <= size("neural"), "{sizes:?}");
}

#[test]
fn against_a_base_a_tuned_model_is_smaller_and_needs_that_base() {
    let desk = Desk::new();
    let alone = desk.done(&["pack", "@model", "-o", "@alone"])["packed_bytes"].as_u64();
    let packed = desk.done(&["pack", "@model", "--base", "@base", "--level", "neural"]);
    assert!(packed["packed_bytes"].as_u64() < alone, "{packed}");

    let said = desk.refused(&["unpack", "@model.engram", "-o", "@back"], 1);
    assert!(
        said.contains("tensor \"w\": it is coded against the tensor with digest"),
        "{said}"
    );
    let said = desk.refused(
        &["unpack", "@model.engram", "-o", "@back", "--base", "@model"],
        1,
    );
    assert!(
        said.contains("tensor \"w\"") && said.contains(", got "),
        "{said}"
    );
    assert!(!desk.path("back").exists());
    desk.done(&["unpack", "@model.engram", "-o", "@back", "--base", "@base"]);
    assert!(fs::read(desk.path("back")).unwrap() == fs::read(desk.path("model")).unwrap());
}

#[test]
fn one_tensor_alone_is_unpacked_though_others_are_damaged() {
    let desk = Desk::new();
    desk.done(&["pack", "@model"]);
    let mut engram = fs::read(desk.path("model.engram")).unwrap();
    *engram.last_mut().unwrap() ^= 1;
    fs::write(desk.path("model.engram"), &engram).unwrap();
    let said = desk.refused(&["info", "@model.engram"], 1);
    assert!(
        said.contains("tensor \"w\" from byte 262144: its digest must be"),
        "{said}"
    );
    let said = desk.refused(&["unpack", "@model.engram", "-o", "@all"], 1);
    assert!(said.contains("tensor \"w\" from byte 262144"), "{said}");

    desk.done(&["unpack", "@model.engram", "--tensor", "n", "-o", "@n"]);
    let n = fs::read(desk.path("n")).unwrap();
    assert!(
        n.ends_with(&[1, 2, 3]) && n[8..].starts_with(b"{\"n\":{\"dtype\":\"U8\",\"shape\":[3],")
    );
    let said = desk.refused(&["unpack", "@model.engram", "--tensor", "x", "-o", "@x"], 2);
    assert!(said.contains("there is no tensor \"x\""), "{said}");
    assert_eq!(
        desk.files(),
        4,
        "model, base, engram, n: nothing unfinished is left"
    );
}

#[test]
fn nothing_is_replaced_unasked_and_nothing_half_done_is_left() {
    let desk = Desk::new();
    desk.done(&["pack", "@model"]);
    let said = desk.refused(&["pack", "@model"], 2);
    assert!(
        said.contains("model.engram exists; --force replaces it"),
        "{said}"
    );
    desk.done(&["pack", "@model", "--force"]);
    fs::write(desk.path("out"), "mine").unwrap();
    desk.refused(&["unpack", "@model.engram", "-o", "@out"], 2);
    assert_eq!(fs::read(desk.path("out")).unwrap(), b"mine");

    let engram = fs::read(desk.path("model.engram")).unwrap();
    fs::write(desk.path("cut"), &engram[..engram.len() - 1]).unwrap();
    let said = desk.refused(&["unpack", "@cut", "-o", "@back"], 1);
    assert!(said.contains("the engram must have"), "{said}");
    let said = desk.refused(&["pack", "@cut", "-o", "@back"], 1);
    assert!(
        said.contains("cut: bytes of a header must be at most"),
        "{said}"
    );
    let said = desk.refused(&["unpack", "@model", "-o", "@back"], 1);
    assert!(said.contains("an engram begins with"), "{said}");
    let said = desk.refused(
        &[
            "unpack",
            "@model.engram",
            "-o",
            "@back",
            "--max-bytes",
            "1000",
        ],
        1,
    );
    assert!(said.contains("must be at most 1000"), "{said}");
    desk.refused(&["pack", "@nothing"], 1);
    desk.refused(&["pack", "@model", "-o", "@none/out"], 1);
    assert_eq!(desk.files(), 5, "model, base, engram, out, cut");
}

#[test]
fn info_lists_tensors_and_bench_measures_codecs() {
    let desk = Desk::new();
    let packed = desk.done(&["pack", "@model", "--base", "@base"]);
    let info = desk.done(&["info", "@model.engram", "--json"]);
    assert_eq!(
        (&info["digest"], &info["bytes"]),
        (&packed["digest"], &packed["bytes"])
    );
    let names: Vec<_> = info["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tensor| &tensor["name"])
        .collect();
    assert_eq!(names, ["n", "e", "w"]);
    let w = &info["tensors"][2];
    assert_eq!(
        (&w["dtype"], &w["shape"], &w["layers"][0]["codec"]),
        (
            &"F32".into(),
            &[1000, 100].into_iter().collect(),
            &"plane".into()
        )
    );
    assert_eq!(w["base"].as_str().unwrap().len(), 64);
    let text = succeed(&desk.args(&["info", "@model.engram"]));
    assert!(
        text.contains("\"w\" F32 [1000,100] 400000 bytes: plane ")
            && text.contains("against a base"),
        "{text}"
    );

    let table = succeed(&desk.args(&["bench", "@model"]));
    for codec in ["plain", "plane", "neural", "deflate", "lzma", "pco"] {
        assert!(
            table
                .lines()
                .any(|line| line.starts_with(codec) && line.contains("MB/s")),
            "{table}"
        );
    }
}

/// Bytes of memory that a command may hold, whatever the file. Source: issue 4, "a 1 GB file through 64 MiB".
const MOST_MEMORY: u64 = 64 << 20;

#[test]
fn a_model_of_ten_thousand_tensors_is_packed_and_unpacked_in_64_mib() {
    let desk = Desk::new();
    let infos: Vec<_> = (0..10_000)
        .map(|at| {
            let (from, to) = (at * 16, at * 16 + 16);
            format!("\"model.layers.{at}.self_attn.q_proj.weight\":{{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[{from},{to}]}}")
        })
        .collect();
    let json = format!("{{{}}}", infos.join(","));
    let numbers: Vec<u8> = (0..160_000u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    let len = (json.len() as u64).to_le_bytes();
    let model = [&len[..], json.as_bytes(), &numbers].concat();
    fs::write(desk.path("many"), &model).unwrap();
    let packed = desk.done(&["pack", "@many", "--base", "@many"]);
    let unpack = ["unpack", "@many.engram", "-o", "@back", "--base", "@many"];
    let back = desk.done(&unpack);
    for command in [packed, back] {
        let peak = command["peak_resident_bytes"].as_u64().unwrap();
        assert!(peak < MOST_MEMORY, "{peak} bytes were resident: {command}");
    }
    assert!(fs::read(desk.path("back")).unwrap() == model);
}

#[test]
fn a_gigabyte_is_packed_and_unpacked_in_64_mib() {
    let desk = Desk::new();
    let block: Vec<u8> = real_weights();
    let numbers = 1 << 28;
    write_repeated(&desk.path("large"), &block, numbers);
    let packed = desk.done(&["pack", "@large"]);
    assert!(
        packed["bytes"].as_u64().unwrap() > 1_000_000_000,
        "{packed}"
    );
    assert!(packed["ratio"].as_f64().unwrap() > 1.1, "{packed}");
    let back = desk.done(&["unpack", "@large.engram", "-o", "@back"]);
    for command in [packed, back] {
        let peak = command["peak_resident_bytes"].as_u64().unwrap();
        assert!(peak < MOST_MEMORY, "{peak} bytes were resident: {command}");
    }
    assert!(is_same(&desk.path("large"), &desk.path("back")));
}

/// Reads the numbers of real weights where they are, else makes some.
pub(super) fn real_weights() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    match fs::read(root.join("../shared/data/engram/transformer.safetensors")) {
        Ok(file) => {
            let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
            file[8 + len..].to_vec()
        }
        Err(_) => weights(2, 0.0)
            .iter()
            .flat_map(|weight| weight.to_le_bytes())
            .collect(),
    }
}

/// Writes one tensor of `numbers` f32 in rows of 1,024: `block`, again and again.
fn write_repeated(path: &Path, block: &[u8], numbers: usize) {
    let (rows, mut left) = (numbers / 1024, numbers * 4);
    let json = format!(
        "{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{rows},1024],\"data_offsets\":[0,{left}]}}}}"
    );
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(json.len() as u64).to_le_bytes()).unwrap();
    file.write_all(json.as_bytes()).unwrap();
    while left > 0 {
        let part = &block[..block.len().min(left)];
        file.write_all(part).unwrap();
        left -= part.len();
    }
    file.flush().unwrap();
}

fn is_same(one: &Path, other: &Path) -> bool {
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    if one.metadata().unwrap().len() != other.metadata().unwrap().len() {
        return false;
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = one.read(&mut a).unwrap();
        other.read_exact(&mut b[..count]).unwrap();
        if count == 0 || a[..count] != b[..count] {
            return count == 0;
        }
    }
}
