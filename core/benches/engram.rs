//! Sizes and speeds of the lossless codecs on weights, on one core.
//!
//! Usage: `engram --weights PATH [--cases DIR]`. PATH is a safetensors file, or a folder of them; files called `delta-…` are
//! differences from the sum of the others' model where there is exactly one other. Tensors of f32 are measured as they are
//! and rounded to bf16. `--cases` leaves the same numbers as raw bytes for other codecs, and the header with which they are a
//! safetensors file.
//!
//! Cases: `bits_f32` is the whole engram, index and digests included, in bits per number; `compress_f32` and
//! `decompress_f32` are the codecs alone, as other codecs are measured, and `pack_f32` and `unpack_f32` the engram with its
//! digests; the same for `bf16`; with `_delta-0` for a difference as it is, and `_base_delta-0` for the tuned model against
//! its base. `symbols_…` are numbers per second.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chorus_core::digest::Digest;
use chorus_core::engram::safetensors::Header;
use chorus_core::engram::tensor::CHUNK;
use chorus_core::engram::{
    Coder, Dtype, EngramWriter, Index, LayerPlan, LayerReader, Level, Limits, Plan, PlannedTensor,
    TensorInfo, pick, pick::SAMPLE,
};

/// Tensors with their numbers as bytes.
type Tensors = Vec<(TensorInfo, Vec<u8>)>;

/// What is measured under one name.
struct Case {
    name: String,
    dtype: &'static str,
    tensors: Tensors,
    base: Option<Tensors>,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(PathBuf::from)
    };
    let weights = after("--weights").expect("--weights PATH");
    let cases = cases(&weights);
    if let Some(dir) = after("--cases") {
        leave(&dir, &cases);
    }
    for case in &cases {
        measure(case, "chorus-fast", Level::Fast, FAST_RUNS);
        measure(case, "chorus-neural", Level::Neural, SLOW_RUNS);
    }
}

/// Reads what there is at `path` and says what is to be measured.
fn cases(path: &Path) -> Vec<Case> {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("the folder can be read");
        files = entries
            .map(|entry| entry.expect("the folder can be read").path())
            .collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "safetensors"));
        files.sort();
    }
    let stem = |file: &PathBuf| {
        file.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let (deltas, wholes): (Vec<_>, Vec<_>) = files
        .iter()
        .partition(|file| stem(file).starts_with("delta-") && files.len() > 1);
    assert!(
        !wholes.is_empty(),
        "{}: there are no weights",
        path.display()
    );
    let mut cases = Vec::new();
    // All models together make the plain cases; tensors of two files may have the same name.
    let mut all = Tensors::new();
    for (place, file) in wholes.iter().enumerate() {
        for (info, data) in read(file) {
            let name = format!("{place}.{}", info.name);
            all.push((TensorInfo { name, ..info }, data));
        }
    }
    both(&mut cases, "", all, None);
    for delta in deltas {
        let (name, change) = (stem(delta), read(delta));
        let [base] = wholes[..] else { continue };
        let base = read(base);
        let tuned = sum(&base, &change);
        both(&mut cases, &format!("_{name}"), change, None);
        both(&mut cases, &format!("_base_{name}"), tuned, Some(base));
    }
    cases
}

/// Adds the cases of f32 as it is, and rounded to bf16.
fn both(cases: &mut Vec<Case>, name: &str, tensors: Tensors, base: Option<Tensors>) {
    let short = |tensors: &Tensors| tensors.iter().map(rounded).collect();
    cases.push(Case {
        name: format!("bf16{name}"),
        dtype: "bf16",
        tensors: short(&tensors),
        base: base.as_ref().map(short),
    });
    cases.push(Case {
        name: format!("f32{name}"),
        dtype: "f32",
        tensors,
        base,
    });
}

/// Reads the tensors of f32 of a file.
fn read(path: &Path) -> Tensors {
    let bytes = fs::read(path).expect("the weights can be read");
    let limits = Limits::default();
    let header = Header::parse(&bytes, &limits).expect("the weights are safetensors");
    let mut rest = &bytes[header.bytes().len()..];
    let mut tensors = Vec::new();
    for info in header.tensors() {
        let len = info.bytes().expect("the header was checked") as usize;
        let (data, following) = rest.split_at(len);
        rest = following;
        if info.dtype == Dtype::F32 {
            tensors.push((info.clone(), data.to_vec()));
        }
    }
    tensors
}

/// Adds the tensors of the same name.
fn sum(base: &Tensors, change: &Tensors) -> Tensors {
    let changed = |(info, data): &(TensorInfo, Vec<u8>)| {
        let change = change.iter().find(|(other, _)| other == info);
        let Some((_, change)) = change else {
            return (info.clone(), data.clone());
        };
        let number = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
        let pairs = data.as_chunks().0.iter().zip(change.as_chunks().0);
        let sums = pairs.flat_map(|(a, b)| (number(a) + number(b)).to_le_bytes());
        (info.clone(), sums.collect())
    };
    base.iter().map(changed).collect()
}

/// Rounds f32 to bf16, to the nearest, ties to even.
fn rounded((info, data): &(TensorInfo, Vec<u8>)) -> (TensorInfo, Vec<u8>) {
    let round = |bytes: &[u8; 4]| {
        let bits = u64::from(u32::from_le_bytes(*bytes));
        (((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16).to_le_bytes()
    };
    let info = TensorInfo {
        dtype: Dtype::Bf16,
        ..info.clone()
    };
    (info, data.as_chunks().0.iter().flat_map(round).collect())
}

/// Leaves the numbers for other codecs.
fn leave(dir: &Path, cases: &[Case]) {
    fs::create_dir_all(dir).expect("the folder can be made");
    let write = |name: String, tensors: &Tensors| {
        let bytes: Vec<u8> = tensors
            .iter()
            .flat_map(|(_, data)| data.iter().copied())
            .collect();
        fs::write(dir.join(&name), bytes).expect("the disk has room");
        name
    };
    let describe = |case: &Case| {
        let base = case
            .base
            .as_ref()
            .map(|base| write(format!("{}.base", case.name), base));
        let file = write(format!("{}.raw", case.name), &case.tensors);
        let infos = case.tensors.iter().map(|(info, _)| info.clone()).collect();
        let header = Header::new(infos, Vec::new(), &Limits::default()).expect("names differ");
        let head = format!("{}.head", case.name);
        fs::write(dir.join(&head), header.bytes()).expect("the disk has room");
        serde_json::json!({ "case": case.name, "dtype": case.dtype, "head": head, "file": file, "base": base })
    };
    let cases: Vec<_> = cases.iter().map(describe).collect();
    let text = serde_json::Value::from(cases).to_string();
    fs::write(dir.join("cases.json"), text).expect("the disk has room");
}

/// Measures one level and prints its lines.
fn measure(case: &Case, system: &str, level: Level, runs: usize) {
    let plan = plan(case, level);
    let report = |what: &str, value: f64, unit: &str| {
        let name = &case.name;
        println!(
            r#"{{"bench":"engram","system":"{system}","case":"{what}_{name}","value":{value:.4},"unit":"{unit}"}}"#
        );
    };
    let raw: usize = case.tensors.iter().map(|(_, data)| data.len()).sum();
    let numbers = raw / if case.dtype == "f32" { 4 } else { 2 };
    let (mut codec, mut whole) = ([f64::MAX; 2], [f64::MAX; 2]);
    let mut size = 0;
    for _ in 0..runs {
        for (best, seconds) in codec.iter_mut().zip(code(case, &plan)) {
            *best = best.min(seconds);
        }
        let (len, seconds) = pack(case, &plan);
        size = len;
        for (best, seconds) in whole.iter_mut().zip(seconds) {
            *best = best.min(seconds);
        }
    }
    report("bits", size as f64 * 8.0 / numbers as f64, "bits/number");
    let speed = |seconds: f64| raw as f64 / seconds / 1e6;
    report("compress", speed(codec[0]), "MB/s");
    report("decompress", speed(codec[1]), "MB/s");
    report("pack", speed(whole[0]), "MB/s");
    report("unpack", speed(whole[1]), "MB/s");
    report("symbols_compress", numbers as f64 / codec[0] / 1e6, "M/s");
    report("symbols_decompress", numbers as f64 / codec[1] / 1e6, "M/s");
}

/// Picks a codec for each tensor, as `chorus-relay engram pack` does.
fn plan(case: &Case, level: Level) -> Plan {
    let planned = |(place, (info, data)): (usize, &(TensorInfo, Vec<u8>))| {
        let from = data.len().saturating_sub(SAMPLE) / 2 / 64 * 64;
        let range = from..data.len().min(from + SAMPLE);
        let base = case.base.as_ref().map(|base| &base[place].1);
        let choice = pick(
            info,
            level,
            &data[range.clone()],
            base.map(|base| &base[range]),
        );
        let layers = vec![LayerPlan {
            codec: choice.codec,
            params: Vec::new(),
        }];
        PlannedTensor {
            info: info.clone(),
            base: base
                .filter(|_| choice.with_base)
                .map(|base| Digest::sha256(base)),
            layers,
        }
    };
    Plan {
        source: Vec::new(),
        tensors: case.tensors.iter().enumerate().map(planned).collect(),
    }
}

/// Returns the base of a tensor, where it is used.
fn base_of<'a>(case: &'a Case, plan: &Plan, tensor: usize) -> Option<&'a [u8]> {
    plan.tensors[tensor].base?;
    Some(&case.base.as_ref()?[tensor].1)
}

/// Packs and unpacks with the codecs alone; returns the seconds of both.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn code(case: &Case, plan: &Plan) -> [f64; 2] {
    let mut seconds = [0.0; 2];
    // Memory is asked for once, as a sender of many chunks does.
    let mut buffers: Vec<Vec<u8>> = Vec::new();
    let mut back = vec![0; CHUNK];
    for (tensor, (info, data)) in case.tensors.iter().enumerate() {
        let base = base_of(case, plan, tensor);
        let coder = || {
            let codec = plan.tensors[tensor].layers[0].codec;
            Coder::new(codec, &[], info, base.is_some()).expect("it was picked")
        };
        let piece = |place: usize| {
            base.map(|base| &base[place * CHUNK..base.len().min((place + 1) * CHUNK)])
        };
        buffers.resize_with(buffers.len().max(data.len().div_ceil(CHUNK)), || {
            Vec::with_capacity(CHUNK + 64)
        });
        let start = Instant::now();
        let mut packer = coder();
        for (place, (raw, out)) in data.chunks(CHUNK).zip(&mut buffers).enumerate() {
            packer
                .encode(raw, piece(place), out)
                .expect("numbers can be coded");
        }
        seconds[0] += start.elapsed().as_secs_f64();
        let mut unpacker = coder();
        for (place, (raw, coded)) in data.chunks(CHUNK).zip(&buffers).enumerate() {
            let start = Instant::now();
            let back = &mut back[..raw.len()];
            unpacker
                .decode(black_box(coded), piece(place), back)
                .expect("they come back");
            seconds[1] += start.elapsed().as_secs_f64();
            assert!(back == raw, "{} comes back to the bit", info.name);
        }
    }
    seconds
}

/// Packs and unpacks the whole engram in memory; returns its length, and the seconds of both.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures; the core itself reads no clock"
)]
fn pack(case: &Case, plan: &Plan) -> (usize, [f64; 2]) {
    let limits = Limits::default();
    let start = Instant::now();
    let mut writer = EngramWriter::new(plan.clone(), &limits).expect("the plan is sound");
    let mut file = vec![0; writer.index_len()];
    while let Some(chunk) = writer.wanted() {
        let range = chunk.offset as usize..chunk.offset as usize + chunk.raw_len;
        let base = base_of(case, plan, chunk.id.tensor).map(|base| &base[range.clone()]);
        let raw = &case.tensors[chunk.id.tensor].1[range];
        file.extend_from_slice(writer.push(raw, base).expect("numbers can be coded"));
    }
    let (index, _) = writer.finish().expect("all was given");
    file[..index.len()].copy_from_slice(&index);
    let packing = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let index = Index::parse(&file, &limits).expect("it was just written");
    let mut raw = Vec::new();
    for (tensor, planned) in index.tensors().iter().enumerate() {
        // The base is known already: its digest is not taken again.
        let mut reader =
            LayerReader::new(&index, (tensor, 0), planned.base).expect("it was picked");
        let base = base_of(case, plan, tensor);
        while let Some(chunk) = reader.wanted() {
            let coded = &file[chunk.position as usize..chunk.position as usize + chunk.coded_len];
            let base = base
                .map(|base| &base[chunk.offset as usize..chunk.offset as usize + chunk.raw_len]);
            reader
                .push(coded, base, &mut raw)
                .expect("it was just written");
            black_box(&raw);
        }
    }
    (file.len(), [packing, start.elapsed().as_secs_f64()])
}

/// Runs of which the fastest counts.
const FAST_RUNS: usize = 25;
const SLOW_RUNS: usize = 5;
