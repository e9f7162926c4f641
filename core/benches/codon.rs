//! Speed of the codon alphabet on one core. Prints one JSON line per direction: gigabytes of payload per second.

use std::hint::black_box;
use std::time::Instant;

use chorus_core::codon;

fn main() {
    let payload: Vec<u8> = (0..PAYLOAD as u64)
        .map(|n| n.wrapping_mul(MIX).to_be_bytes()[0])
        .collect();
    let mut letters = vec![0; PAYLOAD * 3];
    let mut decoded = vec![0; PAYLOAD];

    report("encode", || {
        codon::encode_into(black_box(&payload), black_box(&mut letters)).is_ok()
    });
    report("decode", || {
        codon::decode_into(black_box(&letters), black_box(&mut decoded)).is_ok()
    });
    assert_eq!(payload, decoded, "decoding must give back what was encoded");
}

/// Measures `run`, which handles [`PAYLOAD`] bytes of payload, and prints the median.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn report(case: &str, mut run: impl FnMut() -> bool) {
    let mut speeds: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..REPEATS {
                assert!(run(), "{case} must succeed");
            }
            (PAYLOAD * REPEATS) as f64 / start.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    speeds.sort_by(f64::total_cmp);
    let value = speeds[SAMPLES / 2];
    println!(
        r#"{{"bench":"codon","system":"chorus","case":"{case}","value":{value:.3},"unit":"GB/s"}}"#
    );
}

/// Bytes of payload: the most that a packet carries itself.
const PAYLOAD: usize = chorus_core::bounds::MAX_INLINE;
/// Runs per sample: some tens of milliseconds.
const REPEATS: usize = 100;
/// Samples, of which the median is reported.
const SAMPLES: usize = 31;
/// Spreads a counter over all bytes, so that every table entry is used (Knuth, TAOCP 3, section 6.4).
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
