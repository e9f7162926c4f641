//! What `engram` commands leave alone: what was not asked for, and the folder when they are ended.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::engram::{Desk, safetensors};
use crate::relay::{DEADLINE, EXIT_DEADLINE, binary};

/// Waits until `condition` holds, at most for the deadline.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "it did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_is_asked_to_end_leaves_nothing_unfinished() {
    let desk = Desk::new();
    // Seconds of work for the slowest codec.
    let weights: Vec<f32> = (0..5_000_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) as f32) * 1e-9)
        .collect();
    fs::write(desk.path("long"), safetensors(&weights)).unwrap();
    let before = desk.files();
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(binary())
            .args(desk.args(&["pack", "@long", "--level", "lzma"]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until(|| desk.files() > before);
        let killed = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let start = Instant::now();
        wait_until(|| child.try_wait().unwrap().is_some());
        assert!(start.elapsed() < EXIT_DEADLINE, "SIG{signal}");
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "SIG{signal}: {said}");
        assert!(
            output.stdout.is_empty() && said.contains("asked to end"),
            "{said}"
        );
        assert_eq!(desk.files(), before, "SIG{signal}");
    }
}

#[test]
fn one_tensor_alone_never_goes_where_the_whole_model_is() {
    let desk = Desk::new();
    fs::copy(desk.path("model"), desk.path("m.safetensors")).unwrap();
    desk.done(&["pack", "@m.safetensors", "-o", "@m.engram"]);
    let output = desk.engram(&["unpack", "@m.engram", "--tensor", "n", "--force"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--output"), "{said}");
    assert!(fs::read(desk.path("m.safetensors")).unwrap() == fs::read(desk.path("model")).unwrap());
}

#[test]
fn the_most_bytes_to_unpack_count_what_is_unpacked_and_nothing_else() {
    let desk = Desk::new();
    desk.done(&["pack", "@model", "--base", "@base"]);
    let unpack = |more: &[&'static str]| {
        [
            &["unpack", "@model.engram", "-o", "@back", "--base", "@base"],
            more,
        ]
        .concat()
    };
    // Three bytes of a model of 400,003, and of a base as large.
    desk.done(&unpack(&["--tensor", "n", "--max-bytes", "3"]));
    fs::remove_file(desk.path("back")).unwrap();
    let said = desk.refused(&unpack(&["--tensor", "n", "--max-bytes", "2"]), 1);
    assert!(
        said.contains("bytes to unpack must be at most 2, got 3"),
        "{said}"
    );
    let said = desk.refused(&unpack(&["--max-bytes", "400002"]), 1);
    assert!(said.contains("at most 400002, got 400003"), "{said}");
    desk.done(&unpack(&["--max-bytes", "400003"]));
}
