use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::error::TensorError;
use super::safetensors::Header;
use super::tensor::CHUNK;
use super::*;
use crate::digest::Digest;

/// A tensor, its numbers, and those of its base.
pub(super) type Tensor = (TensorInfo, Vec<u8>, Option<Vec<u8>>);

pub(super) fn info(name: &str, dtype: Dtype, shape: &[u64]) -> TensorInfo {
    TensorInfo {
        name: name.into(),
        dtype,
        shape: shape.into(),
    }
}

/// Numbers like weights, with a scale for each row, as bytes of f32.
fn weights(seed: u8, rows: usize, columns: usize) -> Vec<u8> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let mut even = || (f64::from(rng.next_u32()) / f64::from(u32::MAX)) as f32 - 0.5;
    (0..rows * columns)
        .map(|place| {
            let scale = 0.01 * (1 + place / columns % 7) as f32;
            (0..4).map(|_| even()).sum::<f32>() * scale
        })
        .flat_map(f32::to_le_bytes)
        .collect()
}

/// The upper halves of f32.
fn bf16(f32s: &[u8]) -> Vec<u8> {
    f32s.chunks_exact(4)
        .flat_map(|number| [number[2], number[3]])
        .collect()
}

/// Moves the numbers a little.
fn tuned(f32s: &[u8], seed: u8) -> Vec<u8> {
    let steps = weights(seed, 1, f32s.len() / 4);
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    (f32s.chunks_exact(4).zip(steps.chunks_exact(4)))
        .flat_map(|(a, b)| (number(a) + 0.05 * number(b)).to_le_bytes())
        .collect()
}

fn layer(codec: Codec) -> LayerPlan {
    LayerPlan {
        codec,
        params: Vec::new(),
    }
}

pub(super) fn plan(tensors: &[Tensor], codecs: &[Codec]) -> Plan {
    let planned = |((info, _, base), codec): (&Tensor, &Codec)| PlannedTensor {
        info: info.clone(),
        base: base.as_deref().map(Digest::sha256),
        layers: vec![layer(*codec)],
    };
    Plan {
        source: Vec::new(),
        tensors: tensors.iter().zip(codecs).map(planned).collect(),
    }
}

/// Writes an engram of one layer.
pub(super) fn packed(plan: Plan, tensors: &[Tensor]) -> Vec<u8> {
    let mut writer = EngramWriter::new(plan, &Limits::default()).unwrap();
    let mut file = vec![0; writer.index_len()];
    while let Some(chunk) = writer.wanted().copied() {
        let (_, raw, base) = &tensors[chunk.id.tensor];
        let place = chunk.offset as usize..chunk.offset as usize + chunk.raw_len;
        let base = base.as_ref().map(|base| &base[place.clone()]);
        file.extend(writer.push(&raw[place], base).unwrap());
    }
    let (index, _) = writer.finish().unwrap();
    file[..index.len()].copy_from_slice(&index);
    file
}

/// Reads tensor `place`, and nothing else of the file.
fn read(
    file: &[u8],
    index: &Index,
    place: usize,
    base: Option<&[u8]>,
) -> Result<Vec<u8>, EngramError> {
    let mut reader = LayerReader::new(index, (place, 0), base.map(Digest::sha256))?;
    let (mut numbers, mut raw) = (Vec::new(), Vec::new());
    while let Some(chunk) = reader.wanted() {
        let from = (chunk.position as usize).min(file.len());
        let coded = &file[from..file.len().min(from + chunk.coded_len)];
        let base =
            base.map(|base| &base[chunk.offset as usize..chunk.offset as usize + chunk.raw_len]);
        reader.push(coded, base, &mut raw)?;
        numbers.extend_from_slice(&raw);
    }
    Ok(numbers)
}

/// Reads all tensors of a file that must end with its last chunk.
pub(super) fn unpacked(file: &[u8], tensors: &[Tensor]) -> Result<Vec<Vec<u8>>, EngramError> {
    let index = Index::parse(file, &Limits::default())?;
    if index.file_len() != file.len() as u64 {
        return Err(EngramError::State { what: "length" });
    }
    (0..index.tensors().len())
        .map(|place| {
            read(
                file,
                &index,
                place,
                tensors.get(place).and_then(|t| t.2.as_deref()),
            )
        })
        .collect()
}

fn round_trip(tensors: &[Tensor], codecs: &[Codec]) -> usize {
    let file = packed(plan(tensors, codecs), tensors);
    let back = unpacked(&file, tensors).unwrap();
    for ((info, raw, _), back) in tensors.iter().zip(back) {
        assert!(*raw == back, "{info:?}");
    }
    file.len()
}

/// The codecs of this build that code `info`.
pub(super) fn codecs_for(info: &TensorInfo, has_base: bool) -> Vec<Codec> {
    let codes = |codec: &Codec| Coder::new(*codec, &[], info, has_base).is_ok();
    Codec::ALL.into_iter().filter(codes).collect()
}

/// A small engram with every codec and a base.
pub(super) fn small() -> Vec<Tensor> {
    let w = weights(1, 12, 10);
    vec![
        (info("w", Dtype::F32, &[12, 10]), w.clone(), None),
        (
            info("t", Dtype::F32, &[12, 10]),
            tuned(&w, 2),
            Some(w.clone()),
        ),
        (
            info("n", Dtype::Bf16, &[120]),
            bf16(&tuned(&w, 3)),
            Some(bf16(&w)),
        ),
        (info("d", Dtype::U8, &[64]), vec![7; 64], None),
        (info("e", Dtype::I8, &[0, 3]), vec![], None),
        (info("s", Dtype::F16, &[]), vec![1, 2], None),
    ]
}

pub(super) const SMALL: [Codec; 6] = [
    Codec::Plane,
    Codec::Neural,
    Codec::Plane,
    Codec::Deflate,
    Codec::Plain,
    Codec::Neural,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_type_and_shape_comes_back_to_the_bit(
        dtype in 0..Dtype::ALL.len(),
        shape in prop::collection::vec(0u64..24, 0..4),
        kind in 0..4u8,
        seed: u8,
        has_base: bool,
    ) {
        let mut info = info("t", Dtype::ALL[dtype], &shape);
        if info.bytes().is_err() {
            // Fours of numbers fill whole bytes, whatever their type.
            info.shape.push(4);
        }
        let bytes = info.bytes().unwrap() as usize;
        let noise = |seed: u8| {
            let mut noise = vec![0; bytes];
            ChaCha20Rng::from_seed([seed; 32]).fill_bytes(&mut noise);
            noise
        };
        let raw = match kind {
            0 => noise(seed),
            1 => vec![seed; bytes],
            2 => weights(seed, 1, bytes.div_ceil(4))[..bytes].to_vec(),
            _ => noise(seed).iter().map(|byte| byte & 0x83).collect(),
        };
        let base = has_base.then(|| match kind {
            2 => tuned(&weights(seed, 1, bytes.div_ceil(4)), seed)[..bytes].to_vec(),
            3 => raw.clone(),
            _ => noise(seed ^ 1),
        });
        for codec in codecs_for(&info, has_base) {
            round_trip(&[(info.clone(), raw.clone(), base.clone())], &[codec]);
        }
    }

    #[test]
    fn random_bytes_are_no_engram_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Index::parse(&bytes, &Limits::default()).is_err());
        for codec in Codec::ALL {
            for has_base in [false, true] {
                let info = info("t", Dtype::F32, &[8, 16]);
                let Ok(mut coder) = Coder::new(codec, &[], &info, has_base) else { continue };
                let mut raw = vec![0; 512];
                let base = has_base.then(|| weights(1, 8, 16));
                let _ = coder.decode(&bytes, base.as_deref(), &mut raw);
            }
        }
    }
}

#[test]
fn every_float_there_is_comes_back_with_its_nans_infinities_and_zeros() {
    let specials: [u32; 9] = [
        0,
        1 << 31,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0xffff_ffff,
        0x7f80_0001,
        1,
        0x807f_ffff,
    ];
    let mut f32s = weights(4, 30, 30);
    for (place, bits) in specials.iter().enumerate() {
        f32s[place * 400..place * 400 + 4].copy_from_slice(&bits.to_le_bytes());
    }
    let all16: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let turned: Vec<u8> = (0..=u16::MAX)
        .map(|bits| bits.rotate_left(5))
        .flat_map(u16::to_le_bytes)
        .collect();
    let rotated: Vec<u8> = f32s.iter().rev().copied().collect();
    for (dtype, raw, base) in [
        (Dtype::F32, f32s, rotated),
        (Dtype::F16, all16.clone(), turned.clone()),
        (Dtype::Bf16, all16, turned),
    ] {
        let count = raw.len() as u64 * 8 / dtype.bits();
        for base in [None, Some(base)] {
            let info = info("t", dtype, &[count / 4, 4]);
            for codec in codecs_for(&info, base.is_some()) {
                round_trip(&[(info.clone(), raw.clone(), base.clone())], &[codec]);
            }
        }
    }
}

#[test]
fn a_tensor_of_many_chunks_comes_back_and_costs_less_the_more_the_model_has_seen() {
    // Two and a half chunks, and rows that do not end with them.
    let raw = weights(5, 1639, 100);
    let base = Some(tuned(&raw, 6));
    let sizes: Vec<usize> = [
        (Codec::Plane, None),
        (Codec::Neural, None),
        (Codec::Plane, base.clone()),
        (Codec::Neural, base),
    ]
    .into_iter()
    .map(|(codec, base)| {
        round_trip(
            &[(info("t", Dtype::F32, &[1639, 100]), raw.clone(), base)],
            &[codec],
        )
    })
    .collect();
    assert!(
        raw.len() > 2 * CHUNK && sizes.is_sorted_by(|a, b| a > b),
        "{sizes:?}"
    );
}

#[test]
fn a_chunk_of_noise_between_weights_is_stored_as_it_is_and_learning_starts_anew() {
    let mut noise = vec![0; CHUNK];
    ChaCha20Rng::from_seed([7; 32]).fill_bytes(&mut noise);
    let raw = [weights(5, 64, 1024), noise, weights(5, 64, 1024)].concat();
    let tensors = [(info("t", Dtype::F32, &[192, 1024]), raw, None)];
    for codec in [Codec::Plane, Codec::Neural] {
        let file = packed(plan(&tensors, &[codec]), &tensors);
        let index = Index::parse(&file, &Limits::default()).unwrap();
        let lens: Vec<bool> = index
            .chunks()
            .iter()
            .map(|chunk| chunk.coded_len == CHUNK)
            .collect();
        assert_eq!(lens, [false, true, false], "{codec:?}");
        assert!(unpacked(&file, &tensors).unwrap()[0] == tensors[0].1);
    }
}

#[test]
fn a_base_that_is_missing_or_another_one_is_told_by_the_tensors_name() {
    let tensors = small();
    let file = packed(plan(&tensors, &SMALL), &tensors);
    let index = Index::parse(&file, &Limits::default()).unwrap();
    let expected = Digest::sha256(tensors[1].2.as_deref().unwrap());
    let named = |problem| EngramError::Tensor {
        name: "t".into(),
        problem,
    };
    assert_eq!(
        read(&file, &index, 1, None),
        Err(named(TensorError::BaseMissing { expected }))
    );
    let got = Digest::sha256(&tensors[0].1[1..]);
    assert_eq!(
        read(&file, &index, 1, Some(&tensors[0].1[1..])),
        Err(named(TensorError::BaseWrong { expected, got }))
    );
    let mut reader = LayerReader::new(&index, (1, 0), Some(expected)).unwrap();
    let chunk = reader.wanted().unwrap();
    let coded = &file[chunk.position as usize..chunk.position as usize + chunk.coded_len];
    let error = reader
        .push(coded, Some(&[0; 3]), &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor \"t\" from byte 0: a base of 480 bytes is needed, got 3"
    );
    // The caller's slip costs nothing.
    let mut raw = Vec::new();
    reader
        .push(coded, tensors[1].2.as_deref(), &mut raw)
        .unwrap();
    assert!(raw == tensors[1].1 && reader.wanted().is_none());
}

#[test]
fn chunks_from_several_peers_come_in_any_order_and_after_a_stop() {
    let raw = weights(8, 400, 512);
    let tensors = [(info("t", Dtype::F32, &[400, 512]), raw, None)];
    let file = packed(plan(&tensors, &[Codec::Neural]), &tensors);
    let index = Index::parse(&file, &Limits::default()).unwrap();
    let (mut received, mut own) = (Received::new(&index), vec![0; file.len()]);
    own[..index.len()].copy_from_slice(&file[..index.len()]);
    let peers = [vec![3, 1], vec![1, 0], vec![2]];
    for place in peers.concat() {
        let chunk = &index.chunks()[place];
        let range = chunk.position as usize..chunk.position as usize + chunk.coded_len;
        let mut damaged = file[range.clone()].to_vec();
        damaged[0] ^= 1;
        assert!(
            index.verify(chunk, &damaged).is_err() && index.verify(chunk, &damaged[1..]).is_err()
        );
        index.verify(chunk, &file[range.clone()]).unwrap();
        own[range.clone()].copy_from_slice(&file[range]);
        assert_ne!(received.has(place), received.note(place));
    }
    assert_eq!(
        (received.missing(), received.missing_places().count()),
        (0, 0)
    );
    assert!(!received.note(4), "there is no fifth");
    assert!(unpacked(&own, &tensors).unwrap()[0] == tensors[0].1);
}

#[test]
fn a_second_layer_gives_back_what_the_first_left_out() {
    // A first layer that keeps the upper halves stands for any lossy one.
    let exact = weights(9, 40, 25);
    let rough: Vec<u8> = exact
        .chunks_exact(4)
        .flat_map(|n| [0, 0, n[2], n[3]])
        .collect();
    let plan = Plan {
        source: Vec::new(),
        tensors: vec![PlannedTensor {
            info: info("t", Dtype::F32, &[40, 25]),
            base: None,
            layers: vec![layer(Codec::Plane), layer(Codec::Plane)],
        }],
    };
    let mut writer = EngramWriter::new(plan, &Limits::default()).unwrap();
    let mut file = vec![0; writer.index_len()];
    file.extend(writer.push(&rough, None).unwrap());
    file.extend(writer.push(&exact, Some(&rough)).unwrap());
    assert!(writer.wanted().is_none() && writer.push(&[], None).is_err());
    let (bytes, digest) = writer.finish().unwrap();
    file[..bytes.len()].copy_from_slice(&bytes);
    let index = Index::parse(&file, &Limits::default()).unwrap();
    assert_eq!(index.digest(), digest);
    let first = read(&file, &index, 0, None).unwrap();
    assert!(first == rough);
    let chunk = index.chunks_of(0, 1)[0];
    let mut reader = LayerReader::new(&index, (0, 1), None).unwrap();
    let mut raw = Vec::new();
    reader
        .push(&file[chunk.position as usize..], Some(&first), &mut raw)
        .unwrap();
    assert!(raw == exact);
}

#[test]
fn a_safetensors_file_comes_back_to_the_byte() {
    let json = "{\"__metadata__\":{\"a\":\"b\"},\n\"b\":{\"dtype\":\"F32\",\"shape\":[30,10],\"data_offsets\":[8,1208]},\
        \"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}     ";
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    let header = Header::parse(&bytes, &Limits::default()).unwrap();
    let tensors = [
        (
            header.tensors()[0].clone(),
            vec![3, 0, 0, 0, 0, 0, 0, 0],
            None,
        ),
        (header.tensors()[1].clone(), weights(1, 30, 10), None),
    ];
    let mut plan = plan(&tensors, &[Codec::Plane, Codec::Plane]);
    plan.source = header.bytes().to_vec();
    let file = packed(plan.clone(), &tensors);
    let index = Index::parse(&file, &Limits::default()).unwrap();
    assert_eq!(index.source(), bytes);
    assert!(
        unpacked(&file, &tensors).unwrap().concat() == [&tensors[0].1[..], &tensors[1].1].concat()
    );
    plan.tensors.swap(0, 1);
    let error = EngramWriter::new(plan, &Limits::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("must list the tensors of the index")
    );
}

#[test]
fn the_best_codec_is_picked_by_a_sample() {
    let w = weights(1, 64, 64);
    let long = info("w", Dtype::F32, &[64, 640]);
    let picked = |info: &TensorInfo, level, sample: &[u8], base: Option<&[u8]>| {
        let choice = pick(info, level, sample, base);
        (choice.codec, choice.with_base)
    };
    assert_eq!(picked(&long, Level::Fast, &w, None), (Codec::Plane, false));
    assert_eq!(
        picked(&long, Level::Neural, &w, None),
        (Codec::Neural, false)
    );
    assert_eq!(
        picked(&long, Level::Neural, &tuned(&w, 2), Some(&w)),
        (Codec::Neural, true)
    );
    assert_eq!(
        picked(&long, Level::Fast, &tuned(&w, 2), Some(&w)),
        (Codec::Plane, true)
    );
    // A base that has nothing to do with it is not used.
    let mut noise = vec![0; w.len()];
    ChaCha20Rng::from_seed([3; 32]).fill_bytes(&mut noise);
    assert_eq!(
        picked(&long, Level::Fast, &w, Some(&noise)),
        (Codec::Plane, false)
    );
    assert_eq!(
        picked(&long, Level::Neural, &noise, None),
        (Codec::Plain, false)
    );
    let text = b"the quick brown fox jumps over the lazy dog. ".repeat(40);
    let words = info("x", Dtype::U8, &[1800]);
    assert_eq!(
        picked(&words, Level::Neural, &text, None),
        (Codec::Deflate, false)
    );
    assert_eq!(
        picked(&words, Level::Only(Codec::Neural), &text, None),
        (Codec::Plain, false)
    );
    assert_eq!(
        picked(&words, Level::Fast, &[], None),
        (Codec::Plain, false)
    );
}

#[test]
fn an_engram_has_the_same_bytes_on_every_machine() {
    let mut tensors = small();
    tensors.push((
        info("long", Dtype::F32, &[900, 100]),
        weights(11, 900, 100),
        None,
    ));
    let codecs: Vec<Codec> = SMALL.into_iter().chain([Codec::Neural]).collect();
    let file = packed(plan(&tensors, &codecs), &tensors);
    let digest = Digest::sha256(&file).to_string();
    assert_eq!(
        format!("{} bytes, {}", file.len(), &digest[..16]),
        String::from("300002 bytes, 310be7bd9071e049")
    );
}
