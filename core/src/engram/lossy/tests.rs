use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;
use crate::digest::Digest;

/// Numbers of about the normal distribution, rows of different scales.
fn numbers(count: usize, columns: usize, seed: u8) -> Vec<f32> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    (0..count)
        .map(|place| {
            let sum: f32 = (0..12)
                .map(|_| (rng.next_u32() >> 8) as f32 / 16_777_216.0)
                .sum();
            (sum - 6.0) * 0.01 * (1 + place / columns % 5) as f32
        })
        .collect()
}

const SHAPES: [Shape; 4] = [shape(64, 64), shape(1, 64), shape(0, 7), shape(64, 10)];

fn with_tensors<T>(run: impl FnOnce(&[Tensor<'_>]) -> T) -> T {
    let values: Vec<Vec<f32>> = (SHAPES.iter().zip(1..))
        .map(|(shape, seed)| numbers(shape.rows * shape.columns, shape.columns, seed))
        .collect();
    let tensors: Vec<Tensor<'_>> = (values.iter().zip(SHAPES).zip([0, 5, 0, -3]))
        .map(|((values, shape), finer)| Tensor {
            values,
            columns: shape.columns,
            finer,
        })
        .collect();
    run(&tensors)
}

fn settings(step: f32, trellis: Trellis, gain: Gain) -> Settings {
    Settings {
        trellis,
        gain,
        ..Settings::new(step)
    }
}

/// A tensor with the common step.
fn tensor(values: &[f32], columns: usize) -> Tensor<'_> {
    Tensor {
        values,
        columns,
        finer: 0,
    }
}

const fn shape(rows: usize, columns: usize) -> Shape {
    Shape { rows, columns }
}

/// Signal to noise in decibels.
fn quality(tensors: &[Tensor<'_>], decoded: &[Vec<f32>]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (tensor, decoded) in tensors.iter().zip(decoded) {
        for (value, other) in tensor.values.iter().zip(decoded) {
            signal += f64::from(*value).powi(2);
            noise += f64::from(value - other).powi(2);
        }
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn numbers_come_back_the_nearer_the_finer_the_step() {
    with_tensors(|tensors| {
        for trellis in [Trellis::Scalar, Trellis::Four, Trellis::Eight] {
            for gain in [
                Gain::Projection,
                Gain::Norm,
                Gain::Fixed(1.0),
                Gain::Even(1.0),
            ] {
                let mut last = (usize::MAX, f64::INFINITY);
                for step in [0.0005, 0.01, 0.06] {
                    let bytes = encode(tensors, &settings(step, trellis, gain)).unwrap();
                    let decoded = decode(&bytes, &SHAPES, 4800).unwrap();
                    let lens: Vec<_> = decoded.iter().map(Vec::len).collect();
                    assert_eq!(lens, [4096, 64, 0, 640]);
                    let now = (bytes.len(), quality(tensors, &decoded));
                    assert!(
                        now.0 < last.0 && now.1 < last.1,
                        "{trellis:?} {gain:?} {step}: {now:?}"
                    );
                    last = now;
                }
                assert!(last.1 > 1.0, "{trellis:?} {gain:?}: {last:?}");
            }
        }
    });
}

#[test]
fn a_trellis_says_more_in_as_many_bits() {
    with_tensors(|tensors| {
        let at = |step, trellis| {
            let bytes = encode(tensors, &settings(step, trellis, Gain::Projection)).unwrap();
            let decoded = decode(&bytes, &SHAPES, 4800).unwrap();
            (
                bytes.len() as f64 * 8.0 / 4800.0,
                quality(tensors, &decoded),
            )
        };
        let ((scalar_bits, scalar), (bits, trellis)) =
            (at(0.03, Trellis::Scalar), at(0.039, Trellis::Eight));
        assert!(bits < scalar_bits, "{bits} {scalar_bits}");
        assert!(
            trellis > scalar + 0.2,
            "{trellis} dB in {bits} bits, {scalar} dB in {scalar_bits}"
        );
    });
}

#[test]
fn an_even_gain_keeps_each_tensors_share() {
    with_tensors(|tensors| {
        let bytes = encode(tensors, &settings(0.06, Trellis::Eight, Gain::Even(0.9))).unwrap();
        let decoded = decode(&bytes, &SHAPES, 4800).unwrap();
        for (tensor, decoded) in tensors
            .iter()
            .zip(&decoded)
            .filter(|(_, decoded)| !decoded.is_empty())
        {
            let both: f64 = (tensor.values.iter().zip(decoded))
                .map(|(a, b)| f64::from(a * b))
                .sum();
            let own: f64 = tensor.values.iter().map(|a| f64::from(a * a)).sum();
            assert!((both / own - 0.9).abs() < 0.01, "{}", both / own);
        }
    });
}

#[test]
fn bytes_and_bits_are_the_same_on_every_machine() {
    with_tensors(|tensors| {
        let bytes = encode(tensors, &settings(0.04, Trellis::Eight, Gain::Even(1.0))).unwrap();
        let decoded = decode(&bytes, &SHAPES, 4800).unwrap();
        let bits: Vec<u8> = decoded
            .iter()
            .flatten()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let shown = [&bytes, &bits].map(|bytes| Digest::sha256(bytes).to_string()[..16].to_owned());
        assert_eq!(
            (bytes.len(), shown[0].as_str(), shown[1].as_str()),
            (GOLDEN_BYTES, GOLDEN[0], GOLDEN[1])
        );
    });
}

#[test]
fn damaged_and_cut_bytes_never_panic_and_never_make_more_numbers() {
    with_tensors(|tensors| {
        for gain in [Gain::Norm, Gain::Even(1.0)] {
            let tensors = &[tensors[1], tensors[3]];
            let shapes = [SHAPES[1], SHAPES[3]];
            let tensors = &tensors.map(|tensor| Tensor { finer: 0, ..tensor });
            let bytes = encode(tensors, &settings(0.04, Trellis::Eight, gain)).unwrap();
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len], &shapes, 704).is_err(), "{len} bytes");
            }
            let mut told = 0;
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                match decode(&changed, &shapes, 704) {
                    Ok(decoded) => assert_eq!(decoded.iter().map(Vec::len).sum::<usize>(), 704),
                    Err(_) => told += 1,
                }
            }
            // Not told: other steps, which are numbers like all.
            let steps = if gain == Gain::Norm { 16 } else { 32 };
            assert!(
                told + steps >= bytes.len() * 8,
                "{told} of {}",
                bytes.len() * 8
            );
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(decode(&longer, &shapes, 704).is_err());
        }
    });
}

#[test]
fn shapes_that_lie_are_refused_before_memory_is_taken() {
    let bytes = with_tensors(|tensors| {
        encode(&tensors[..1], &settings(0.04, Trellis::Eight, Gain::Norm)).unwrap()
    });
    let huge = [usize::MAX, 1 << 31].map(|rows| Shape {
        rows,
        columns: 1 << 30,
    });
    assert!(matches!(
        decode(&bytes, &huge, 1 << 30),
        Err(LossyError::Count { .. })
    ));
    let more = [shape(1 << 20, 64)];
    // Allowed, but the bytes end long before.
    assert!(matches!(
        decode(&bytes, &more, 1 << 30),
        Err(LossyError::Truncated { .. })
    ));
    let wide = [shape(1, 1 << 31)];
    assert!(matches!(
        decode(&bytes, &wide, 1 << 31),
        Err(LossyError::Truncated { .. })
    ));
    // As many as there are addresses, and none of them is there: nothing at all is said of them.
    for rows in [usize::MAX, usize::MAX / 2 + 1] {
        let error = decode(&[2, 0, 0], &[shape(rows, 2)], usize::MAX);
        assert!(matches!(error, Err(LossyError::Count { .. })), "{error:?}");
    }
    let rows_of_nothing = [shape(usize::MAX, 0)];
    assert!(decode(&bytes, &rows_of_nothing, 10).is_err());
}

#[test]
fn zeros_and_nothing_take_three_bytes() {
    let zeros = vec![0.0; 100];
    let given = |values| tensor(values, 10);
    let bytes = encode(&[given(&zeros)], &Settings::new(1.0)).unwrap();
    assert_eq!(bytes.len(), 3);
    assert_eq!(
        decode(&bytes, &[shape(10, 10)], 100),
        Ok(vec![zeros.clone()])
    );
    assert_eq!(
        decode(&encode(&[], &Settings::new(1.0)).unwrap(), &[], 0),
        Ok(vec![])
    );
    let bytes = encode(&[given(&[])], &Settings::new(1.0)).unwrap();
    assert_eq!(decode(&bytes, &[shape(0, 10)], 0), Ok(vec![vec![]]));
}

#[test]
fn tensors_without_numbers_cost_nothing_however_wide_they_are_said_to_be() {
    let one = [3.0];
    let given = [tensor(&[], usize::MAX / 2), tensor(&one, 1)];
    let shapes = [shape(0, usize::MAX / 2), shape(1, 1)];
    for gain in [Gain::Fixed(1.0), Gain::Even(1.0)] {
        let bytes = encode(&given, &settings(1.0, Trellis::Eight, gain)).unwrap();
        assert_eq!(decode(&bytes, &shapes, 1), Ok(vec![vec![], vec![3.0]]));
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let usual = Settings::new(0.1);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let values = [0.0, bad];
        assert_eq!(
            encode(&[tensor(&[1.0], 1), tensor(&values, 2)], &usual),
            Err(LossyError::NotFinite {
                tensor: 1,
                offset: 1
            })
        );
    }
    assert!(matches!(
        encode(&[tensor(&[1e9], 1)], &usual),
        Err(LossyError::Far { .. })
    ));
    assert!(matches!(
        encode(&[tensor(&[1.0; 3], 2)], &usual),
        Err(LossyError::Columns { .. })
    ));
    assert!(matches!(
        encode(&[tensor(&[1.0], 0)], &usual),
        Err(LossyError::Columns { .. })
    ));
    for step in [0.0, -1.0, f32::NAN, f32::INFINITY, 3e-39, 2e38] {
        assert!(matches!(
            encode(&[], &Settings::new(step)),
            Err(LossyError::Step { .. })
        ));
    }
    // A step that only one tensor's is too fine or too coarse for, and a number that is too far away only there.
    let refused = |values: &[f32], finer: i8, step| {
        let tensors = [
            tensor(&[0.0], 1),
            Tensor {
                finer,
                ..tensor(values, 1)
            },
        ];
        encode(&tensors, &Settings::new(step))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&[0.0], 24, 1e-36),
        "the step must be within 1e-37..=1e38, also where it is finer, got 1.5625e-38"
    );
    assert!(
        refused(&[0.0], -8, 9e37).ends_with("got inf"),
        "{}",
        refused(&[0.0], -8, 9e37)
    );
    assert_eq!(
        refused(&[200_000.0], 8, 1.0),
        "number 0 of tensor 1 must be at most 262143 steps of 2.5e-1 away from 0"
    );
    assert!(encode(&[tensor(&[262_143.0], 1)], &Settings::new(1.0)).is_ok());
    assert!(encode(&[tensor(&[262_144.0], 1)], &Settings::new(1.0)).is_err());
}

#[test]
fn settings_that_nobody_could_decode_are_refused() {
    let values = numbers(100, 10, 3);
    let tensor = tensor(&values, 10);
    let usual = Settings::new(0.01);
    for got in [-1.0, f32::NAN, f32::INFINITY] {
        for (what, wrong) in [
            (
                "gain",
                Settings {
                    gain: Gain::Fixed(got),
                    ..usual
                },
            ),
            (
                "share",
                Settings {
                    gain: Gain::Even(got),
                    ..usual
                },
            ),
            (
                "weight of a bit",
                Settings {
                    bit_weight: got,
                    ..usual
                },
            ),
        ] {
            let error = encode(&[tensor], &wrong).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{what} must be finite and not negative, got {got}")
            );
        }
    }
}

#[test]
fn the_smallest_and_the_largest_numbers_come_back_as_numbers() {
    let values = [3.4e38, -1e38, 2e38, 1e37, 0.0, -3.4e38];
    let shape = shape(1, 6);
    let tensor = |values| tensor(values, 6);
    for step in [1e34, 1e36, 1e37, 1e38] {
        for gain in [
            Gain::Projection,
            Gain::Norm,
            Gain::Fixed(1.0),
            Gain::Even(1.0),
        ] {
            let settings = settings(step, Trellis::Eight, gain);
            let bytes = encode(&[tensor(&values)], &settings).unwrap();
            let decoded = decode(&bytes, &[shape], 6).unwrap();
            for (value, other) in values.iter().zip(&decoded[0]) {
                let away = (f64::from(*value) - f64::from(*other)).abs();
                assert!(away <= 1.3e38, "{value:e} {other:e} for {step:e} {gain:?}");
            }
        }
    }
    let small = values.map(|value| value * 1e-37 * 1e-37);
    let bytes = encode(&[tensor(&small)], &Settings::new(1e-37)).unwrap();
    let decoded = decode(&bytes, &[shape], 6).unwrap();
    assert!(quality(&[tensor(&small)], &decoded) > 10.0, "{decoded:?}");
}

#[test]
fn rows_wider_than_the_model_knows_come_back() {
    let values = numbers(100_000, 1000, 9);
    let tensor = tensor(&values, 50_000);
    let bytes = encode(&[tensor], &settings(0.03, Trellis::Eight, Gain::Norm)).unwrap();
    let shape = shape(2, 50_000);
    let decoded = decode(&bytes, &[shape], 100_000).unwrap();
    assert!(quality(&[tensor], &decoded) > 8.0);
}

#[test]
fn large_levels_come_back() {
    let values: Vec<f32> = (0..40)
        .map(|n| (1_u32 << (n % 18)) as f32 * if n % 3 == 0 { -1.0 } else { 1.0 })
        .collect();
    let tensor = tensor(&values, 40);
    let exact = Settings {
        bit_weight: 0.0,
        gain: Gain::Fixed(1.0),
        ..Settings::new(1.0)
    };
    let bytes = encode(&[tensor], &exact).unwrap();
    let decoded = decode(&bytes, &[shape(1, 40)], 40).unwrap();
    for (value, other) in values.iter().zip(&decoded[0]) {
        assert!((value - other).abs() <= 1.0, "{value} {other}");
    }
}

const GOLDEN_BYTES: usize = 1068;
const GOLDEN: [&str; 2] = ["9da5df03832a4874", "d46f979061ec210f"];
