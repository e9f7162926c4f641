use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::super::safetensors;
use super::super::tensor::{Dtype, TensorInfo};
use super::*;

/// A tensor: name, type, shape, bytes.
pub(super) type Given = (&'static str, Dtype, Vec<u64>, Vec<u8>);

pub(super) fn file(tensors: &[Given]) -> Vec<u8> {
    let infos = (tensors.iter()).map(|(name, dtype, shape, _)| TensorInfo {
        name: (*name).into(),
        dtype: *dtype,
        shape: shape.clone(),
    });
    let metadata = vec![("format".into(), "pt".into())];
    let header = safetensors::Header::new(infos.collect(), metadata, &Limits::default()).unwrap();
    let mut bytes = header.bytes().to_vec();
    tensors.iter().for_each(|(.., raw)| bytes.extend(raw));
    bytes
}

/// Numbers like weights, with a scale for each row of 64.
pub(super) fn weights(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut even = || (f64::from(rng.next_u32()) / f64::from(u32::MAX)) as f32 - 0.5;
    (0..count)
        .map(|place| (0..4).map(|_| even()).sum::<f32>() * 0.01 * (1 + place / 64 % 7) as f32)
        .collect()
}

pub(super) fn bytes_of(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let float = Float::of(dtype).unwrap();
    values
        .iter()
        .for_each(|value| float.write(*value, &mut bytes));
    bytes
}

pub(super) fn options(target: Target, layers: usize, is_exact: bool) -> Options {
    Options {
        target,
        layers,
        is_exact,
    }
}

pub(super) fn packed(
    file: &[u8],
    base: Option<&[u8]>,
    options: &Options,
) -> Result<Packed, HybridError> {
    pack(file, base, options, &Limits::default(), &mut |_| true)
}

pub(super) fn unpacked(
    bytes: &[u8],
    base: Option<&[u8]>,
    layers: usize,
) -> Result<Vec<u8>, HybridError> {
    unpack(bytes, base, layers, &Limits::default(), &mut |_| true)
}

/// Tensors of several types and shapes, as models have them.
pub(super) fn mixed() -> Vec<Given> {
    let values = weights(1, 600);
    let mut odd = values[..12].to_vec();
    odd[3] = f32::NAN;
    odd[4] = f32::NEG_INFINITY;
    vec![
        (
            "a.f32",
            Dtype::F32,
            vec![6, 64],
            bytes_of(Dtype::F32, &values[..384]),
        ),
        ("b.empty", Dtype::F32, vec![0, 1 << 40], vec![]),
        (
            "c.f16",
            Dtype::F16,
            vec![2, 3, 4, 5],
            bytes_of(Dtype::F16, &values[384..504]),
        ),
        ("d.mask", Dtype::Bool, vec![7], vec![0, 1, 1, 0, 1, 0, 0]),
        (
            "e.bf16",
            Dtype::Bf16,
            vec![96],
            bytes_of(Dtype::Bf16, &values[504..]),
        ),
        (
            "f.scalar",
            Dtype::F32,
            vec![],
            bytes_of(Dtype::F32, &[0.75]),
        ),
        ("g.ids", Dtype::I64, vec![3], (0..24).collect()),
        ("h.bytes", Dtype::U8, vec![2, 5], (3..13).collect()),
        (
            "i.odd",
            Dtype::F32,
            vec![3, 4],
            odd.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ),
    ]
}

/// Returns the floats of a file.
fn floats(bytes: &[u8]) -> Vec<f64> {
    let file = File::parse(bytes, &Limits::default()).unwrap();
    let all = Floats::all(&file, &vec![None; file.raw.len()], true).unwrap();
    let values = all.iter().flat_map(|floats| floats.values.iter());
    values.map(|value| f64::from(*value)).collect()
}

/// Returns the signal to noise of the floats of a file.
fn ratio(given: &[u8], back: &[u8]) -> f64 {
    let (given, back) = (floats(given), floats(back));
    assert_eq!(given.len(), back.len());
    let noise = given.iter().zip(&back).map(|(a, b)| (a - b) * (a - b));
    decibels(given.iter().map(|a| a * a).sum(), noise.sum())
}

#[test]
fn after_the_last_layer_every_byte_is_back_and_before_it_numbers_come_nearer() {
    let values = weights(2, 40_000);
    let given = file(&[
        (
            "w",
            Dtype::F32,
            vec![400, 64],
            bytes_of(Dtype::F32, &values[..25_600]),
        ),
        (
            "h",
            Dtype::Bf16,
            vec![225, 64],
            bytes_of(Dtype::Bf16, &values[25_600..]),
        ),
        ("n", Dtype::U8, vec![9], vec![7; 9]),
    ]);
    for layers in 1..=3 {
        let packed = packed(&given, None, &options(Target::Bits(2.0), layers, true)).unwrap();
        let header = Header::parse(&packed.bytes, &Limits::default()).unwrap();
        assert_eq!(header, packed.header);
        assert_eq!(header.file_len(), packed.bytes.len() as u64);
        assert_eq!(header.source_len(), given.len() as u64);
        assert_eq!(
            (header.layers.len(), header.numbers()),
            (layers + 1, 40_000)
        );
        let mut last = 0.0;
        for stop in 1..=layers {
            // No more of the file is needed than told.
            let some = &packed.bytes[..header.end_of(stop) as usize];
            let back = unpacked(some, None, stop).unwrap();
            let ratio = ratio(&given, &back);
            assert!(
                (ratio - header.layers[stop - 1].snr_decibels).abs() < 0.01,
                "{ratio}"
            );
            assert!(ratio > last + 10.0, "{ratio} after {last}");
            last = ratio;
            assert!(unpacked(&some[..some.len() - 1], None, stop).is_err());
        }
        assert_eq!(unpacked(&packed.bytes, None, usize::MAX).unwrap(), given);
        assert!(packed.bytes.len() < given.len());
    }
}

#[test]
fn targets_are_met_within_two_percent_and_a_quarter_of_a_decibel() {
    let values = weights(3, 110_000);
    for (dtype, some_bits, some_decibels) in [
        (Dtype::F32, &[0.3, 1.0, 4.0, 7.0][..], &[3.0, 30.0][..]),
        (Dtype::F16, &[2.5], &[12.0]),
    ] {
        let given = file(&[
            (
                "w",
                dtype,
                vec![1500, 64],
                bytes_of(dtype, &values[..96_000]),
            ),
            ("b", dtype, vec![14_000], bytes_of(dtype, &values[96_000..])),
        ]);
        for &bits in some_bits {
            let packed = packed(&given, None, &options(Target::Bits(bits), 1, false)).unwrap();
            let used = packed.bytes.len() as f64 * 8.0 / 110_000.0;
            assert_eq!(used, packed.bits_per_number);
            assert!(used <= bits && used >= bits * 0.98, "{bits}: {used}");
        }
        for &decibels in some_decibels {
            let target = Target::Decibels(decibels);
            let packed = packed(&given, None, &options(target, 1, false)).unwrap();
            let got = ratio(&given, &unpacked(&packed.bytes, None, 1).unwrap());
            assert!(
                (decibels..=decibels + 0.25).contains(&got),
                "{decibels}: {got}"
            );
        }
        let packed = packed(&given, None, &options(Target::Step(0.01), 1, false)).unwrap();
        assert!(packed.snr_decibels > 10.0 && packed.snr_decibels < 25.0);
    }
}

#[test]
fn a_large_file_is_written_once_or_twice_and_meets_its_target() {
    let count = 600_000;
    let given = file(&[(
        "w",
        Dtype::F32,
        vec![count as u64 / 64, 64],
        bytes_of(Dtype::F32, &weights(4, count)),
    )]);
    for bits in [1.0, 3.0] {
        let packed = packed(&given, None, &options(Target::Bits(bits), 1, false)).unwrap();
        let used = packed.bits_per_number;
        assert!(used <= bits && used >= bits * 0.98, "{bits}: {used}");
    }
}

#[test]
fn a_base_makes_a_file_smaller_and_another_one_is_refused() {
    let (before, moves) = (weights(5, 20_000), weights(6, 20_000));
    let tuned: Vec<f32> = before
        .iter()
        .zip(&moves)
        .map(|(a, b)| a + 0.1 * b)
        .collect();
    let make = |values: &[f32], ids: u8, name: &'static str| {
        file(&[
            (
                name,
                Dtype::F32,
                vec![100, 200],
                bytes_of(Dtype::F32, values),
            ),
            ("ids", Dtype::I64, vec![500], vec![ids; 4000]),
            ("new", Dtype::F16, vec![2], vec![ids; 4]),
        ])
    };
    let (base, given) = (make(&before, 4, "w"), make(&tuned, 4, "w"));
    for is_exact in [false, true] {
        // The tuning is a tenth of the weights: 20 dB less.
        let to = |decibels| options(Target::Decibels(decibels), 1, is_exact);
        let alone = packed(&given, None, &to(40.0)).unwrap();
        let based = packed(&given, Some(&base), &to(20.0)).unwrap();
        let back = unpacked(&based.bytes, Some(&base), 9).unwrap();
        if is_exact {
            assert_eq!(back, given);
        }
        assert!(ratio(&given, &back) > 38.0);
        assert!(based.bytes.len() < alone.bytes.len());
        let missing = unpacked(&based.bytes, None, 9).unwrap_err();
        assert!(
            matches!(missing, HybridError::BaseMissing { .. }),
            "{missing}"
        );
        for other in [
            make(&tuned, 4, "w"),
            make(&before, 5, "w"),
            make(&before, 4, "v"),
        ] {
            let error = unpacked(&based.bytes, Some(&other), 9).unwrap_err();
            let got = digest_of(&based.header, &other, &Limits::default()).unwrap();
            let expected = digest_of(&based.header, &base, &Limits::default()).unwrap();
            assert_eq!(error, HybridError::BaseWrong { expected, got });
        }
        // What is not looked at may differ.
        assert_eq!(
            unpacked(&alone.bytes, Some(&base), 9),
            unpacked(&alone.bytes, None, 9)
        );
    }
    let alien = file(&[("x", Dtype::F32, vec![1], vec![0; 4])]);
    let error = packed(&given, Some(&alien), &Options::default()).unwrap_err();
    assert_eq!(error, HybridError::BaseAlien);
}

#[test]
fn what_is_not_finite_is_named_or_kept_by_the_last_layer() {
    let mut values = weights(7, 640);
    for (place, bits) in [(70, 0x7fc0_1234), (71, 0x7f80_0000), (72, 0xff80_0000)] {
        values[place] = f32::from_bits(bits);
    }
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let half = (0..64_u16)
        .flat_map(|place| (0x7bf0 + place).to_le_bytes())
        .collect();
    let fine = (
        "fine",
        Dtype::F32,
        vec![64],
        bytes_of(Dtype::F32, &weights(8, 64)),
    );
    let given = file(&[
        fine.clone(),
        ("w", Dtype::F32, vec![10, 64], raw),
        ("h", Dtype::F16, vec![64], half),
    ]);
    let error = packed(&given, None, &options(Target::Bits(4.0), 1, false)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"w\": number 70 must be finite, got NaN; only an exact layer keeps it"
    );
    let exact = packed(&given, None, &options(Target::Bits(4.0), 2, true)).unwrap();
    assert_eq!(unpacked(&exact.bytes, None, 3).unwrap(), given);
    let lossy = floats(&unpacked(&exact.bytes, None, 1).unwrap());
    assert!(lossy.iter().all(|value| value.is_finite()));
    // A base may hold what is not finite, too.
    let based = packed(&given, Some(&given), &options(Target::Bits(4.0), 1, true)).unwrap();
    assert_eq!(unpacked(&based.bytes, Some(&given), 2).unwrap(), given);
}

#[test]
fn numbers_of_any_size_come_back() {
    for values in [
        vec![f32::MAX, f32::MIN, 1.0, 0.0],
        vec![f32::MAX; 64],
        vec![1e-40, -1e-45, 0.0, -0.0],
        vec![0.0; 100],
        vec![1e38, 1e-38, 5.0, -3e30],
    ] {
        let count = values.len() as u64;
        let other: Vec<f32> = values.iter().map(|value| -value).collect();
        let make =
            |values: &[f32]| file(&[("w", Dtype::F32, vec![count], bytes_of(Dtype::F32, values))]);
        let (given, base) = (make(&values), make(&other));
        for target in [
            Target::Bits(0.001),
            Target::Bits(3.0),
            Target::Bits(1e9),
            Target::Decibels(500.0),
            Target::Decibels(-500.0),
            Target::Step(f32::MAX),
            Target::Step(1e-45),
        ] {
            for base in [None, Some(&base[..])] {
                let packed = packed(&given, base, &options(target, 3, true));
                let packed =
                    packed.unwrap_or_else(|error| panic!("{values:?} {target:?}: {error}"));
                assert_eq!(unpacked(&packed.bytes, base, 4).unwrap(), given);
                let back = floats(&unpacked(&packed.bytes, base, 1).unwrap());
                assert!(back.iter().all(|value| value.is_finite()));
            }
        }
    }
}

#[test]
fn files_without_numbers_come_back() {
    for tensors in [
        vec![],
        vec![("e", Dtype::F32, vec![0, 3], vec![])],
        vec![("n", Dtype::I64, vec![2], (0..16).collect())],
        vec![("s", Dtype::F16, vec![], vec![0, 0x3c])],
    ] {
        let given = file(&tensors);
        for is_exact in [false, true] {
            let packed = packed(&given, None, &options(Target::Bits(3.0), 1, is_exact)).unwrap();
            let back = unpacked(&packed.bytes, None, 2).unwrap();
            if is_exact || packed.snr_decibels == f64::INFINITY {
                assert_eq!(back, given);
            }
            assert_eq!(back.len(), given.len());
        }
        let points = curve(&given, None, &[Target::Bits(3.0)], &Limits::default()).unwrap();
        assert_eq!(points.len(), 6);
    }
}

#[test]
fn the_same_file_makes_the_same_bytes() {
    let given = file(&mixed());
    let pack = || packed(&given, None, &options(Target::Bits(3.0), 2, true)).unwrap();
    assert_eq!(pack().bytes, pack().bytes);
    // Golden: who changes it writes files that others cannot read alike.
    assert_eq!(
        Digest::sha256(&pack().bytes).to_string(),
        "2bed2634cf7c428945f097fefe995838dbf39ec655c22db0f0435df942d1e748"
    );
}

#[test]
fn progress_never_goes_back_and_whoever_stops_is_heard() {
    let given = file(&[(
        "w",
        Dtype::F32,
        vec![50, 64],
        bytes_of(Dtype::F32, &weights(9, 3200)),
    )]);
    let options = options(Target::Bits(3.0), 2, true);
    let limits = Limits::default();
    let mut seen = Vec::new();
    let bytes = pack(&given, None, &options, &limits, &mut |share| {
        seen.push(share);
        true
    });
    let bytes = bytes.unwrap().bytes;
    assert!(seen.is_sorted() && seen[0] >= 0.0 && seen.last() == Some(&1.0));
    let packing = seen.len();
    seen.clear();
    let back = unpack(&bytes, None, 3, &limits, &mut |share| {
        seen.push(share);
        true
    });
    assert_eq!(back.unwrap(), given);
    assert!(seen.is_sorted() && seen[0] >= 0.0 && seen.last() == Some(&1.0));
    for (count, is_packing) in [(packing, true), (seen.len(), false)] {
        for stop in 0..count {
            let mut calls = 0;
            let mut go_on = |_| {
                calls += 1;
                calls <= stop
            };
            let result = if is_packing {
                pack(&given, None, &options, &limits, &mut go_on).map(|packed| packed.bytes)
            } else {
                unpack(&bytes, None, 3, &limits, &mut go_on)
            };
            assert_eq!(result, Err(HybridError::Stopped), "{stop} of {count}");
            assert_eq!(calls, stop + 1);
        }
    }
}

#[test]
fn targets_and_layers_that_cannot_be_made_are_refused() {
    let given = file(&mixed());
    for (target, layers, said) in [
        (
            Target::Bits(0.0),
            1,
            "a target must be finite, and > 0 in bits and steps, got 0",
        ),
        (Target::Bits(f64::NAN), 1, "got NaN"),
        (Target::Decibels(f64::INFINITY), 1, "got inf"),
        (Target::Step(-1.0), 1, "got -1"),
        (Target::Bits(3.0), 0, "layers must be in 1..=3, got 0"),
        (Target::Bits(3.0), 4, "layers must be in 1..=3, got 4"),
    ] {
        let error = packed(&given, None, &options(target, layers, true)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let exact = packed(&given, None, &options(Target::Bits(3.0), 1, true)).unwrap();
    let error = unpacked(&exact.bytes, None, 0).unwrap_err();
    assert_eq!(error.to_string(), "layers must be in 1..=2, got 0");
    assert!(is_hybrid(&exact.bytes) && is_hybrid(b"ENGHYB"));
    assert!(!is_hybrid(b"ENGRAM\0\x01") && !is_hybrid(b"ENGHY"));
}

#[test]
fn the_picture_of_rates_is_near_what_files_take() {
    let count = 400_000;
    let given = file(&[(
        "w",
        Dtype::F32,
        vec![count as u64 / 200, 200],
        bytes_of(Dtype::F32, &weights(10, count)),
    )]);
    let targets = [2.0, 4.0].map(Target::Bits);
    let points = curve(&given, None, &targets, &Limits::default()).unwrap();
    for (point, target) in points.iter().zip(targets) {
        assert_eq!(
            (point.method, point.is_estimated),
            (Method::Learned(target), true)
        );
        let packed = packed(&given, None, &options(target, 1, false)).unwrap();
        let off = point.bits_per_number / packed.bits_per_number - 1.0;
        assert!(off.abs() < 0.03, "{off}");
        let off = point.snr_decibels - packed.snr_decibels;
        assert!(off.abs() < 0.4, "{off}");
    }
    let of = |method| points.iter().find(|point| point.method == method).unwrap();
    // A scale of two bytes for 64 numbers.
    assert!((of(Method::Int8).bits_per_number - 8.25).abs() < 0.05);
    assert!((of(Method::Nf4).bits_per_number - 4.25).abs() < 0.05);
    assert!(of(Method::Int8).snr_decibels > of(Method::Nf4).snr_decibels + 15.0);
    for method in [Method::Plane, Method::Neural] {
        let point = of(method);
        assert_eq!(point.snr_decibels, f64::INFINITY);
        assert!(point.bits_per_number > 20.0 && point.bits_per_number < 32.0);
    }
}

fn dtypes() -> impl Strategy<Value = Dtype> {
    prop::sample::select(vec![
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I64,
        Dtype::U8,
        Dtype::Bool,
        Dtype::F64,
    ])
}

/// Any bytes, so NaN, infinities and numbers of every size too.
fn any_tensor() -> impl Strategy<Value = (Dtype, Vec<u64>, u64)> {
    (
        dtypes(),
        prop::collection::vec(0_u64..9, 0..4),
        any::<u64>(),
    )
}

fn raw_of(dtype: Dtype, shape: &[u64], seed: u64) -> Vec<u8> {
    let count = shape.iter().product::<u64>() as usize;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut raw = vec![0; count * dtype.bits() as usize / 8];
    if seed.is_multiple_of(2) {
        rng.fill_bytes(&mut raw);
    } else if is_float(dtype) {
        raw = bytes_of(dtype, &weights(seed, count));
    }
    raw
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tensors_of_any_type_and_shape_come_back_to_the_byte(
        tensors in prop::collection::vec(any_tensor(), 0..5),
        layers in 1_usize..=3,
        bits in 0.1..9.0_f64,
        with_base: bool,
    ) {
        const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
        let make = |other: u64| {
            let given = tensors.iter().zip(NAMES).map(|((dtype, shape, seed), name)| {
                (name, *dtype, shape.clone(), raw_of(*dtype, shape, seed ^ other))
            });
            file(&given.collect::<Vec<_>>())
        };
        let (given, base) = (make(0), make(6));
        let base = Some(&base[..]).filter(|_| with_base && !tensors.is_empty());
        let exact = packed(&given, base, &options(Target::Bits(bits), layers, true)).unwrap();
        prop_assert_eq!(unpacked(&exact.bytes, base, 9).unwrap(), &given[..]);
        let lossy = unpacked(&exact.bytes, base, 1).unwrap();
        prop_assert_eq!(lossy.len(), given.len());
        // What is no such float is right from the first layer on.
        let (given, lossy) = (
            File::parse(&given, &Limits::default()).unwrap(),
            File::parse(&lossy, &Limits::default()).unwrap(),
        );
        for ((info, raw), back) in given.header.tensors().iter().zip(&given.raw).zip(&lossy.raw) {
            prop_assert!(is_float(info.dtype) || raw == back);
        }
    }
}

/// Keeps names short in messages.
#[test]
fn errors_name_the_tensor_shortly() {
    let name: &'static str = String::from_utf8(vec![b'x'; 500]).unwrap().leak();
    let given = file(&[(name, Dtype::F32, vec![1], vec![0xff; 4])]);
    let error = packed(&given, None, &Options::default()).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}
