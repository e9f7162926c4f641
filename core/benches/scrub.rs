//! Speed of the scrubber on clean text, on one core; with `--find`, what it finds in sentences.
//!
//! `--find` reads one JSON object per line from standard input, `{"text": "…"}`, and writes one per line:
//! `[[kind, label, start, end, confidence], …]`, offsets in characters as Python counts them.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::Instant;

use chorus_core::privacy::scrub::{Action, Policy, Salt, Scrubber};

fn main() {
    let scrubber = Scrubber::new(Policy::all(Action::Mask), Salt::from_bytes([0; 32]));
    if std::env::args().any(|arg| arg == "--find") {
        find(&scrubber);
        return;
    }
    let text = clean_text();
    report(&scrubber, "scan", &text);
    report(&scrubber, "scan_german", &GERMAN.repeat(LEN / GERMAN.len()));
    report(&scrubber, "scan_digits", &DIGITS.repeat(LEN / DIGITS.len()));
}

/// Finds what is in each line's text.
fn find(scrubber: &Scrubber) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is UTF-8");
        let value: serde_json::Value =
            serde_json::from_str(&line).expect("a line is a JSON object");
        let text = value["text"].as_str().expect("the object has a text");
        let chars = |at: usize| text[..at].chars().count();
        let found: Vec<_> = scrubber
            .scan(text)
            .findings
            .into_iter()
            .map(|f| {
                serde_json::json!([
                    f.kind.name(),
                    f.label,
                    chars(f.span.start),
                    chars(f.span.end),
                    f.confidence
                ])
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::from(found)).expect("standard output is open");
    }
}

/// Measures scans of `text` and prints the median in megabytes per second.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn report(scrubber: &Scrubber, case: &str, text: &str) {
    let mut speeds: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            black_box(scrubber.scan(black_box(text)));
            text.len() as f64 / start.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    speeds.sort_by(f64::total_cmp);
    let value = speeds[SAMPLES / 2];
    println!(
        r#"{{"bench":"privacy","system":"chorus","case":"{case}","value":{value:.1},"unit":"MB/s"}}"#
    );
}

/// The README, again and again: prose, code and figures as projects write them.
fn clean_text() -> String {
    let readme = include_str!("../../README.md");
    readme.repeat(LEN / readme.len())
}

/// German prose: every noun has a capital, and letters have two bytes.
const GERMAN: &str = "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller \
    staatlichen Gewalt. Das Deutsche Volk bekennt sich darum zu unverletzlichen und unveräußerlichen Menschenrechten als \
    Grundlage jeder menschlichen Gemeinschaft, des Friedens und der Gerechtigkeit in der Welt. Die nachfolgenden Grundrechte \
    binden Gesetzgebung, vollziehende Gewalt und Rechtsprechung als unmittelbar geltendes Recht.\n";

/// Measurements in columns.
const DIGITS: &str =
    "2024-03-01T10:15:30 17 0.8731 1.25e-4 1024 65536 3.14159 epoch 12 loss 0.0312 step 4096\n";

/// Bytes of text.
const LEN: usize = 16 << 20;
/// Samples, of which the median is reported.
const SAMPLES: usize = 9;
