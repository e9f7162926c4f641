//! Engrams whose bytes must never change, nor what they decode to: the same natively, as wasm and in a browser
//! (`tests/browser/engram.test.mjs` reads the same files).
//!
//! `CHORUS_GOLDEN=write cargo test -p chorus-core --test it engram` writes the files anew.

use chorus_core::engram::hybrid::{self, Options, Target};
use chorus_core::engram::pick::SAMPLE;
use chorus_core::engram::safetensors::Header;
use chorus_core::engram::{
    Dtype, EngramWriter, Index, LayerPlan, LayerReader, Level, Limits, Plan, PlannedTensor,
    TensorInfo, pick,
};

/// The files, in the folder `golden`.
const WEIGHTS: &[u8] = include_bytes!("golden/weights.safetensors");
const FAST: &[u8] = include_bytes!("golden/fast.engram");
const NEURAL: &[u8] = include_bytes!("golden/neural.engram");
const LOSSY: &[u8] = include_bytes!("golden/lossy.engram");
/// What the first layer of the lossy one decodes to.
const DECODED: &[u8] = include_bytes!("golden/lossy.safetensors");

/// Makes the weights: bell-shaped numbers from a generator in integers, so that every machine makes the same.
fn weights() -> Vec<u8> {
    let info = |name: &str, dtype, shape: &[u64]| TensorInfo {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let infos = vec![
        info("layer.weight", Dtype::F32, &[48, 64]),
        info("layer.bias", Dtype::F32, &[64]),
        info("head.bf16", Dtype::Bf16, &[32, 64]),
        info("head.f16", Dtype::F16, &[7, 9]),
        info("ids", Dtype::I64, &[16]),
        info("scale", Dtype::F32, &[]),
    ];
    let header = Header::new(
        infos,
        vec![("format".into(), "pt".into())],
        &Limits::default(),
    );
    let header = header.unwrap();
    let mut state = 0x2545_f491_u32;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        i64::from(state >> 8)
    };
    let mut number = || {
        let sum: i64 = (0..6).map(|_| uniform()).sum();
        // A division by a power of two is exact.
        (sum - 3 * (1 << 24)) as f32 / 268_435_456.0
    };
    let mut bytes = header.bytes().to_vec();
    for info in header.tensors() {
        let count: u64 = info.shape.iter().product();
        for place in 0..count {
            match info.dtype {
                Dtype::F32 => bytes.extend(number().to_le_bytes()),
                // Cut, not rounded: sign, exponent and first bits of the mantissa.
                Dtype::Bf16 => bytes.extend(&number().to_le_bytes()[2..]),
                Dtype::F16 => bytes.extend((0x2c00 + place as u16 * 5).to_le_bytes()),
                _ => bytes.extend((place as i64 - 3).to_le_bytes()),
            }
        }
    }
    bytes
}

/// Packs without loss, as `chorus-relay engram pack --level` and `engram.pack` of a page do.
fn pack(file: &[u8], level: Level) -> Vec<u8> {
    let limits = Limits::default();
    let header = Header::parse(file, &limits).unwrap();
    let mut rest = &file[header.bytes().len()..];
    let (mut tensors, mut numbers) = (Vec::new(), Vec::new());
    for info in header.tensors() {
        let (own, following) = rest.split_at(info.bytes().unwrap() as usize);
        rest = following;
        let from = own.len().saturating_sub(SAMPLE) / 2 / 64 * 64;
        let sample = &own[from..own.len().min(from + SAMPLE)];
        let codec = pick(info, level, sample, None).codec;
        let layers = vec![LayerPlan {
            codec,
            params: Vec::new(),
        }];
        tensors.push(PlannedTensor {
            info: info.clone(),
            base: None,
            layers,
        });
        numbers.push(own);
    }
    let source = header.bytes().to_vec();
    let mut writer = EngramWriter::new(Plan { source, tensors }, &limits).unwrap();
    let mut bytes = vec![0; writer.index_len()];
    while let Some(chunk) = writer.wanted().copied() {
        let from = chunk.offset as usize;
        let raw = &numbers[chunk.id.tensor][from..from + chunk.raw_len];
        bytes.extend_from_slice(writer.push(raw, None).unwrap());
    }
    let (index, _) = writer.finish().unwrap();
    bytes[..index.len()].copy_from_slice(&index);
    bytes
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let index = Index::parse(packed, &Limits::default()).unwrap();
    let (mut bytes, mut raw) = (index.source().to_vec(), Vec::new());
    for tensor in 0..index.tensors().len() {
        let mut reader = LayerReader::new(&index, (tensor, 0), None).unwrap();
        while let Some(chunk) = reader.wanted() {
            let from = chunk.position as usize;
            reader
                .push(&packed[from..from + chunk.coded_len], None, &mut raw)
                .unwrap();
            bytes.extend_from_slice(&raw);
        }
    }
    bytes
}

fn lossy(file: &[u8]) -> Vec<u8> {
    let options = Options {
        target: Target::Decibels(20.0),
        layers: 2,
        is_exact: true,
    };
    hybrid::pack(file, None, &options, &Limits::default(), &mut |_| true)
        .unwrap()
        .bytes
}

fn layers(packed: &[u8], layers: usize) -> Vec<u8> {
    hybrid::unpack(packed, None, layers, &Limits::default(), &mut |_| true).unwrap()
}

#[test]
fn golden_engrams_decode_to_the_same_bytes_everywhere() {
    if std::env::var_os("CHORUS_GOLDEN").is_some_and(|what| what == "write") {
        return write();
    }
    assert!(unpack(FAST) == WEIGHTS, "fast");
    assert!(unpack(NEURAL) == WEIGHTS, "neural");
    assert!(layers(LOSSY, 1) == DECODED, "lossy, one layer");
    assert!(layers(LOSSY, 3) == WEIGHTS, "lossy, all layers");
}

#[test]
fn engrams_are_packed_to_the_same_bytes_everywhere() {
    assert!(weights() == WEIGHTS, "weights");
    assert!(pack(WEIGHTS, Level::Fast) == FAST, "fast");
    assert!(pack(WEIGHTS, Level::Neural) == NEURAL, "neural");
    assert!(lossy(WEIGHTS) == LOSSY, "lossy");
}

fn write() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let weights = weights();
    let lossy = lossy(&weights);
    for (name, bytes) in [
        ("fast.engram", &pack(&weights, Level::Fast)),
        ("neural.engram", &pack(&weights, Level::Neural)),
        ("lossy.safetensors", &layers(&lossy, 1)),
        ("lossy.engram", &lossy),
        ("weights.safetensors", &weights),
    ] {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}
