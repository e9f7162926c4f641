//! What strangers' bytes may make the core ask for: the most memory that was held while they were read. A binary of its own,
//! because the allocator counts for the whole process; one test, so that nothing else allocates meanwhile.
#![allow(
    clippy::unwrap_used,
    reason = "clippy's allow-unwrap-in-tests does not see the helpers of an integration test"
)]

extern crate alloc;

#[path = "../src/engram/hostile_tests/forged.rs"]
mod forged;

use chorus_core::digest::Digest;
use chorus_core::engram::hybrid::{Options, Target, pack, unpack};
use chorus_core::engram::memory;
use chorus_core::engram::safetensors::Header;
use chorus_core::engram::{
    Codec, Dtype, EngramWriter, Index, LayerPlan, Limits, Plan, PlannedTensor, TensorInfo,
};
use miniz_oxide::deflate::compress_to_vec;
use peak_alloc::PeakAlloc;

use self::forged::index;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Returns what `work` does, and the most bytes that were held for it at once.
fn held<T>(work: impl FnOnce() -> T) -> (T, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let done = work();
    (done, ALLOCATOR.peak_usage() - before)
}

/// Bytes of a header at the default bound, and of what else a small index takes.
const HEADER: usize = 8 << 20;
const LITTLE: usize = 1 << 20;

fn varint(mut value: usize, to: &mut Vec<u8>) {
    while value >= 128 {
        to.push(value as u8 | 128);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The start of the body of an index: bytes of a chunk, and a source that is said to have `len` bytes.
fn start(len: usize, packed: &[u8]) -> Vec<u8> {
    let mut body = vec![0x80, 0x80, 0x10];
    varint(len, &mut body);
    varint(packed.len(), &mut body);
    body.extend(packed);
    body
}

/// An engram without tensors whose source has this JSON.
fn of_source(json: &str) -> Vec<u8> {
    let mut source = (json.len() as u64).to_le_bytes().to_vec();
    source.extend(json.as_bytes());
    let mut body = start(source.len(), &compress_to_vec(&source, 6));
    body.push(0);
    index(&body)
}

/// Repeats what `next` makes until a header is as long as it may be.
fn filled(before: &str, next: impl Fn(usize) -> String, after: &str) -> String {
    let mut json = String::from(before);
    let mut count = 0;
    while json.len() < HEADER - 100 {
        json += &next(count);
        count += 1;
    }
    json + after
}

fn refused(bytes: &[u8], said: &str, most: usize) {
    let (parsed, held) = held(|| Index::parse(bytes, &Limits::default()));
    let error = parsed.unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
    assert!(
        held < most,
        "{held} bytes were held for {} where at most {most} may: {error}",
        bytes.len()
    );
}

fn many_tensors(count: usize) -> Plan {
    let infos: Vec<_> = (0..count)
        .map(|at| TensorInfo {
            name: format!("model.layers.{at}.weight"),
            dtype: Dtype::U8,
            shape: vec![1],
        })
        .collect();
    let header = Header::new(infos.clone(), Vec::new(), &Limits::default()).unwrap();
    let planned = |info| PlannedTensor {
        info,
        base: None,
        layers: vec![LayerPlan {
            codec: Codec::Plain,
            params: Vec::new(),
        }],
    };
    Plan {
        source: header.bytes().to_vec(),
        tensors: infos.into_iter().map(planned).collect(),
    }
}

#[test]
fn what_strangers_announce_takes_no_more_memory_than_its_bounds() {
    // Nothing is there of what they announce.
    let tensors = [&start(0, &[])[..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    refused(&index(&tensors), "tensors must be at most 65536", LITTLE);
    let numbers = [
        0, 0, 1, 1, b'w', 15, 2, 0x80, 0x80, 0x40, 0x80, 0x08, 0, 1, 0, 0,
    ];
    let numbers = [&start(0, &[])[..3], &numbers].concat();
    refused(&index(&numbers), "589824 more needed, 0 left", LITTLE);
    refused(
        &index(&start(HEADER, &compress_to_vec(b"{}", 6))),
        "packed header",
        LITTLE,
    );
    let zeros = compress_to_vec(&vec![0; HEADER], 6);
    refused(&index(&start(300_000, &zeros)), "packed header", LITTLE);

    // Few bytes that stand for a long header. It is held once, and of what is in it no more than the bounds say.
    let texts = filled(
        "{\"__metadata__\":{\"\":\"\"",
        |at| format!(",\"{at:x}\":\"\""),
        "}}",
    );
    refused(
        &of_source(&texts),
        "texts of metadata must be at most 4096",
        HEADER + LITTLE,
    );
    let shape = filled(
        "{\"w\":{\"dtype\":\"U8\",\"shape\":[0",
        |_| ",0".into(),
        "],\"data_offsets\":[0,0]}}",
    );
    refused(
        &of_source(&shape),
        "dimensions must be at most 16",
        HEADER + LITTLE,
    );
    let names = filled(
        "{\"\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
        |at| format!(",\"{at:x}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
        "}",
    );
    refused(
        &of_source(&names),
        "must list the tensors of the index",
        HEADER + LITTLE,
    );

    // As many tensors as there may be.
    let plan = many_tensors(1 << 16);
    let ((index, _), most) = held(|| {
        let mut writer = EngramWriter::new(plan, &Limits::default()).unwrap();
        while writer.wanted().is_some() {
            writer.push(&[7], None).unwrap();
        }
        writer.finish().unwrap()
    });
    assert!(most < 24 << 20, "{most} bytes were held to write");
    let (parsed, most) = held(|| Index::parse(&index, &Limits::default()));
    assert_eq!(parsed.unwrap().tensors().len(), 1 << 16);
    assert!(most < 32 << 20, "{most} bytes were held to read");
    records_take_no_memory_for_texts_that_cannot_come();
    layers_take_what_their_documentation_says();
}

/// As many texts as may be announced, and a stream that is too short for any of them.
fn records_take_no_memory_for_texts_that_cannot_come() {
    let config = memory::Config::default();
    let mut bytes = vec![1];
    bytes.extend(&Digest::sha256(b"").as_bytes()[..4]);
    for value in [config.max_records, config.max_records * config.max_text, 3] {
        varint(value, &mut bytes);
    }
    for _ in 0..config.max_records {
        // Named by their texts, with an embedding of no number.
        bytes.extend([0x80 | 8, 0, 0, 0]);
        varint(config.max_text, &mut bytes);
    }
    bytes.extend([0x4b, 4, 0]);
    let (unpacked, most) = held(|| memory::unpack(&bytes, &[], &config, 0));
    let error = unpacked.unwrap_err().to_string();
    assert!(error.contains("must unpack to 16777216 bytes"), "{error}");
    assert!(most < LITTLE, "{most} bytes were held for {}", bytes.len());
}

/// Packs a file in layers and unpacks it. One number more than a power of two: where room is made for twice as many as came,
/// there would be nearly as much again.
fn layers_take_what_their_documentation_says() {
    const COUNT: usize = (1 << 17) + 1;
    let info = TensorInfo {
        name: "w".into(),
        dtype: Dtype::F32,
        shape: vec![COUNT as u64],
    };
    let header = Header::new(vec![info], Vec::new(), &Limits::default()).unwrap();
    let mut file = header.bytes().to_vec();
    let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 9) as u16 as i16;
    file.extend((0..COUNT).flat_map(|at| (f32::from(noise(at)) / 32_768.0).to_le_bytes()));
    let options = Options {
        target: Target::Step(0.5),
        layers: 2,
        is_exact: false,
    };
    let pack = || pack(&file, None, &options, &Limits::default(), &mut |_| true).unwrap();
    let (packed, most) = held(pack);
    // Parts, and the file that they make.
    let bound = 2 * packed.bytes.len() + (16 + 8) * COUNT + LITTLE * 3 / 2;
    assert!(
        most < bound,
        "{most} bytes were held to pack {COUNT} numbers"
    );
    let unpack = || unpack(&packed.bytes, None, 2, &Limits::default(), &mut |_| true).unwrap();
    let (back, most) = held(unpack);
    let bound = back.len() + 8 * COUNT + LITTLE;
    assert!(
        most < bound,
        "{most} bytes were held to unpack {COUNT} numbers"
    );
}
