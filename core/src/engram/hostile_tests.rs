mod forged;

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use self::forged::index as forged;
use super::error::{ChunkError, CodecError};
use super::index::HEAD;
use super::tests::{SMALL, Tensor, codecs_for, info, packed, plan, small, unpacked};
use super::*;
use crate::digest::Digest;

/// An engram of some tensors.
pub(super) fn small_file() -> Vec<u8> {
    let tensors = small();
    packed(plan(&tensors, &SMALL), &tensors)
}

#[test]
fn each_flipped_byte_of_a_small_engram_is_an_error() {
    let tensors = small();
    let file = packed(plan(&tensors, &SMALL), &tensors);
    unpacked(&file, &tensors).unwrap();
    let index = Index::parse(&file, &Limits::default()).unwrap();
    for place in 0..file.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[place] ^= mask;
            let error = unpacked(&changed, &tensors).unwrap_err();
            if place >= index.len() {
                // Past the index the error names the tensor that the byte belongs to.
                let chunk = index
                    .chunks()
                    .iter()
                    .rfind(|chunk| chunk.position <= place as u64)
                    .unwrap();
                let name = &index.tensors()[chunk.id.tensor].info.name;
                assert!(
                    matches!(&error, EngramError::Chunk { name: got, problem: ChunkError::Digest { .. }, .. } if got == name),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn each_prefix_of_a_small_engram_is_an_error() {
    let tensors = small();
    let file = packed(plan(&tensors, &SMALL), &tensors);
    for len in 0..file.len() {
        assert!(unpacked(&file[..len], &tensors).is_err(), "{len} bytes");
    }
    let longer = [&file[..], &[0]].concat();
    assert!(unpacked(&longer, &tensors).is_err());
}

#[test]
fn each_flipped_bit_of_a_coded_chunk_is_no_panic_even_past_the_digest() {
    for (info, raw, base) in small() {
        for codec in codecs_for(&info, base.is_some()) {
            let coder = || Coder::new(codec, &[], &info, base.is_some()).unwrap();
            let mut coded = Vec::new();
            coder().encode(&raw, base.as_deref(), &mut coded).unwrap();
            let mut back = vec![0; raw.len()];
            for bit in 0..coded.len() * 8 {
                let mut changed = coded.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let _ = coder().decode(&changed, base.as_deref(), &mut back);
            }
            for len in 0..coded.len() {
                let error = coder().decode(&coded[..len], base.as_deref(), &mut back);
                assert!(error.is_err(), "{codec:?}, {len} of {} bytes", coded.len());
            }
        }
    }
}

#[test]
fn an_index_that_lies_is_refused_before_memory_is_asked_for() {
    let refused = |body: &[u8]| {
        Index::parse(&forged(body), &Limits::default())
            .unwrap_err()
            .to_string()
    };
    let chunk = [0x80, 0x80, 0x10];
    let body = |rest: &[u8]| [&chunk[..], rest].concat();
    Index::parse(&forged(&body(&[0, 0, 0])), &Limits::default()).unwrap();
    for (rest, said) in [
        (
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f][..],
            "tensors must be at most 65536, got 4294967295",
        ),
        // 2^20 times 2^10 numbers, and no digest of a chunk.
        (
            &[
                0, 0, 1, 1, b'w', 15, 2, 0x80, 0x80, 0x40, 0x80, 0x08, 0, 1, 0, 0,
            ],
            "589824 more needed, 0 left",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 9, 0xff, 0xff, 0xff],
            "1 more needed, 0 left",
        ),
        (
            &[0, 0, 1, 1, b'w', 20, 0, 0, 1, 0, 0],
            "tensor \"w\": type 20 is not known",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 0, 0, 1, 99, 0],
            "tensor \"w\": codec 99 is not known",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 0, 0, 5],
            "tensor \"w\": layers must be at most 4, got 5",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 0, 0, 0],
            "tensor \"w\": it must have a layer",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 0, 2],
            "tensor \"w\": what says whether it has a base must be at most 1, got 2",
        ),
        (
            &[0, 0, 1, 1, b'w', 15, 17],
            "tensor \"w\": dimensions must be at most 16, got 17",
        ),
        (&[0, 0, 1, 1, 0xff, 15, 0, 0, 1, 0, 0], "UTF-8"),
        (&[5, 3, 0x4b, 4, 0], "packed header"),
        (&[0, 0, 0, 9], "index: 1 bytes left over at byte 18"),
    ] {
        let error = refused(&body(rest));
        assert!(error.contains(said), "{rest:?}: {error}");
    }
    assert!(refused(&[16]).contains("262144"));
    // A header of a mebibyte of zeros in a thousand bytes, which says that it has 256.
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 1 << 20], 9);
    let mut body = chunk.to_vec();
    body.extend([
        0x80,
        0x02,
        0x80 | (bomb.len() % 128) as u8,
        (bomb.len() / 128) as u8,
    ]);
    body.extend(bomb);
    assert!(refused(&body).contains("packed header"));
    assert!(Index::parse(b"ENGRAM\0\x02\0\0\0\0", &Limits::default()).is_err());
    let limits = Limits {
        max_index: 8,
        ..Limits::default()
    };
    let error = Index::len_of(b"ENGRAM\0\x01\0\0\0\x09", &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bytes of the index must be at most 8, got 9"
    );
    assert_eq!(HEAD, 12);
}

#[test]
fn coded_bytes_that_unpack_to_more_or_less_than_was_announced_are_refused() {
    let info = info("w", Dtype::U8, &[3000]);
    let damaged = CodecError::Foreign { codec: "deflate" };
    let mut coder = Coder::new(Codec::Deflate, &[], &info, false).unwrap();
    let mut decoded = |len: usize| {
        let coded = miniz_oxide::deflate::compress_to_vec(&vec![7; len], 9);
        assert!(coded.len() < 3000, "whole, and not taken for the numbers");
        let mut raw = vec![0; 3000];
        coder.decode(&coded, None, &mut raw).map(|()| raw)
    };
    assert_eq!(decoded(3000), Ok(vec![7; 3000]));
    for len in [0, 1, 2999, 3001, 1 << 20] {
        assert_eq!(decoded(len), Err(damaged), "{len} bytes");
    }
}

#[test]
fn differences_that_no_writer_makes_are_refused_by_what_is_wrong_with_them() {
    let info = info("w", Dtype::F32, &[2]);
    let decoded = |coded: &[u8]| {
        let mut coder = Coder::new(Codec::Plane, &[], &info, true).unwrap();
        coder.decode(coded, Some(&[0; 8]), &mut [0; 8])
    };
    // No bits are clear, no exponents added; all lengths are 0.
    assert_eq!(decoded(&[0, 0, 1, 0]), Ok(()));
    for (coded, error) in [
        ([22, 0, 1, 0], CodecError::Clear { got: 22, max: 21 }),
        ([0, 2, 1, 0], CodecError::Added { got: 2 }),
        ([0, 0, 3, 0], CodecError::Tag { got: 3 }),
        ([0, 0, 1, 33], CodecError::Length { got: 33 }),
    ] {
        assert_eq!(decoded(&coded), Err(error));
    }
}

#[test]
fn bytes_behind_the_last_number_of_a_chunk_are_refused() {
    // A tensor without numbers has no chunks.
    for (info, raw, base) in small().into_iter().filter(|(_, raw, _)| !raw.is_empty()) {
        for codec in codecs_for(&info, base.is_some()) {
            let coder = || Coder::new(codec, &[], &info, base.is_some()).unwrap();
            let mut coded = Vec::new();
            coder().encode(&raw, base.as_deref(), &mut coded).unwrap();
            let mut back = vec![0; raw.len()];
            coder().decode(&coded, base.as_deref(), &mut back).unwrap();
            assert!(back == raw, "{codec:?}");
            for garbage in [&[0][..], &[1], &[0; 7], &[1, 2, 3, 4, 5, 6, 7]] {
                let longer = [&coded, garbage].concat();
                // As long as the numbers are, it would be the numbers.
                if longer.len() != raw.len() {
                    let error = coder().decode(&longer, base.as_deref(), &mut back);
                    assert!(error.is_err(), "{codec:?} {info:?} and {garbage:?}");
                }
            }
        }
    }
}

/// An index in which `garbage` follows the packed header of the source.
pub(super) fn with_garbage(garbage: &[u8]) -> Vec<u8> {
    let (tensors, json) = (vec![], b"\x08\0\0\0\0\0\0\0{}      ");
    let mut plan = plan(&tensors, &[]);
    plan.source = json.to_vec();
    let file = packed(plan, &tensors);
    assert_eq!(
        Index::parse(&file, &Limits::default()).unwrap().source(),
        json
    );
    // Digests, and the length of the index before its varints.
    let body = &file[HEAD..file.len() - 32];
    let (before, packed) = (&body[..4], &body[5..body.len() - 1]);
    assert_eq!(
        (before, usize::from(body[4])),
        (&[0x80, 0x80, 0x10, 16][..], packed.len())
    );
    let len = (packed.len() + garbage.len()) as u8;
    forged(&[before, &[len], packed, garbage, &[0]].concat())
}

#[test]
fn bytes_behind_the_packed_header_of_an_index_are_refused() {
    let parsed = |garbage: &[u8]| Index::parse(&with_garbage(garbage), &Limits::default());
    assert!(parsed(&[]).is_ok());
    for garbage in [&[0][..], &[1, 2, 3]] {
        let error = parsed(garbage).unwrap_err().to_string();
        assert!(error.contains("packed header"), "{error}");
    }
}

#[test]
fn a_tensor_with_a_chunk_that_cannot_be_decoded_is_never_taken_for_complete() {
    let body = |coded: &[&[u8]]| {
        // One tensor of 2^17 numbers, two chunks.
        let mut body = vec![
            0x80, 0x80, 0x10, 0, 0, 1, 1, b'w', 15, 1, 0x80, 0x80, 0x08, 0, 1, 1, 0,
        ];
        for coded in coded {
            body.extend((coded.len() as u32).to_be_bytes());
            body.extend(Digest::sha256(coded).as_bytes());
        }
        body
    };
    let (mut good, raw) = (Vec::new(), vec![5; 1 << 18]);
    let info = info("w", Dtype::F32, &[1 << 17]);
    let mut coder = Coder::new(Codec::Plane, &[], &info, false).unwrap();
    coder.encode(&raw, None, &mut good).unwrap();
    let bad = [9; 5];
    let index = forged(&body(&[&good, &bad]));
    let index = Index::parse(&index, &Limits::default()).unwrap();
    let mut reader = LayerReader::new(&index, (0, 0), None).unwrap();
    let mut back = Vec::new();
    reader.push(&good, None, &mut back).unwrap();
    assert!(back == raw && !reader.is_broken());

    // Not the chunk: nothing of the one before is left, and the right one may still come.
    assert!(reader.push(&good, None, &mut back).is_err());
    assert!(back.is_empty() && !reader.is_broken());
    let chunk = *reader.wanted().unwrap();
    // The chunk, and no code of anything.
    assert!(reader.push(&bad, None, &mut back).is_err());
    assert!(back.is_empty() && reader.is_broken());
    assert_eq!(reader.wanted(), Some(&chunk));
    let error = reader.push(&bad, None, &mut back).unwrap_err().to_string();
    assert!(error.contains("could not be decoded"), "{error}");
}

#[test]
fn a_codec_that_takes_no_base_says_so() {
    let info = info("w", Dtype::U8, &[4]);
    let error = Coder::new(Codec::Deflate, &[], &info, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "codec deflate does not code against a base"
    );
}

#[test]
fn plans_that_cannot_be_coded_are_refused() {
    let refused = |tensors: &[Tensor], codecs: &[Codec]| {
        EngramWriter::new(plan(tensors, codecs), &Limits::default())
            .err()
            .map(|error| error.to_string())
    };
    let tensor = |base: Option<Vec<u8>>| (info("w", Dtype::U8, &[4]), vec![0; 4], base);
    let twice = refused(&[tensor(None), tensor(None)], &[Codec::Plain; 2]);
    assert_eq!(twice.unwrap(), "tensor \"w\": the name is there twice");
    let based = refused(&[tensor(Some(vec![0; 4]))], &[Codec::Deflate]);
    assert_eq!(
        based.unwrap(),
        "tensor \"w\": codec deflate does not code against a base"
    );
    let wide = (info("w", Dtype::U8, &[0, u64::MAX]), vec![], None);
    assert_eq!(
        refused(&[wide], &[Codec::Plain]).unwrap(),
        "tensor \"w\": a dimension must be at most 9223372036854775807, got 18446744073709551615"
    );
    let mut writer =
        EngramWriter::new(plan(&[tensor(None)], &[Codec::Neural]), &Limits::default()).unwrap();
    let error = writer.push(&[0; 4], None).unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor \"w\" from byte 0: codec neural does not code this type of numbers"
    );
    let mut writer =
        EngramWriter::new(plan(&[tensor(None)], &[Codec::Plain]), &Limits::default()).unwrap();
    assert!(writer.push(&[0; 5], None).is_err());
    writer.push(&[0; 4], None).unwrap();
    assert!(writer.push(&[0; 4], None).is_err());
    let unfinished =
        EngramWriter::new(plan(&[tensor(None)], &[Codec::Plain]), &Limits::default()).unwrap();
    assert!(unfinished.finish().is_err());
}
