use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::super::tensor::Dtype;
use super::tests::{bytes_of, file, mixed, options, packed, unpacked, weights};
use super::*;

#[test]
fn each_flipped_byte_of_a_small_file_is_an_error_that_names_the_part() {
    let given = file(&mixed());
    let packed = packed(&given, None, &options(Target::Bits(3.0), 2, true)).unwrap();
    let (bytes, header) = (packed.bytes, packed.header);
    for place in 0..bytes.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= mask;
            let error = unpacked(&changed, None, 9).unwrap_err();
            let is_right = if place < 8 {
                matches!(error, HybridError::Magic)
            } else if place < header.len() {
                matches!(
                    error,
                    HybridError::HeaderDigest { .. } | HybridError::Wire(_) | HybridError::Limit(_)
                )
            } else {
                let after = |layer: usize| (place as u64) >= header.end_of(layer);
                let part = match (0..3).rfind(|layer| after(*layer)) {
                    None => Part::Others,
                    Some(layer) => Part::Layer(layer + 1),
                };
                matches!(error, HybridError::PartDigest { part: got, .. } if got == part)
            };
            assert!(is_right, "byte {place}: {error}");
        }
    }
}

#[test]
fn each_prefix_of_a_small_file_is_an_error_and_so_is_a_byte_more() {
    let given = file(&mixed());
    let bytes = packed(&given, None, &options(Target::Bits(3.0), 2, true))
        .unwrap()
        .bytes;
    for len in 0..bytes.len() {
        assert!(unpacked(&bytes[..len], None, 9).is_err(), "{len} bytes");
    }
    let error = unpacked(&[&bytes[..], &[0]].concat(), None, 9).unwrap_err();
    assert!(matches!(error, HybridError::PartLength { .. }), "{error}");
}

/// Writes a file around parts that may say anything, with digests that are right.
fn forged(header: &Header, others: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let mut header = header.clone();
    header.others = Layer::new(others, 0.0);
    header.layers = layers.iter().map(|layer| Layer::new(layer, 0.0)).collect();
    let mut bytes = header.write();
    bytes.extend(others);
    layers.iter().for_each(|layer| bytes.extend(layer));
    bytes
}

/// Returns the parts of a file.
fn parts(bytes: &[u8], header: &Header) -> (Vec<u8>, Vec<Vec<u8>>) {
    let take = |part| {
        let place = header.place_of(part);
        bytes[place.start as usize..place.end as usize].to_vec()
    };
    let layers = (1..=header.layers.len()).map(|layer| take(Part::Layer(layer)));
    (take(Part::Others), layers.collect())
}

#[test]
fn damage_behind_right_digests_never_panics_and_never_makes_more_bytes() {
    let given = file(&mixed());
    for layers in [1, 2] {
        let packed = packed(&given, None, &options(Target::Bits(4.0), layers, true)).unwrap();
        let (others, layers) = parts(&packed.bytes, &packed.header);
        assert_eq!(
            unpacked(&forged(&packed.header, &others, &layers), None, 9).unwrap(),
            given
        );
        let check = |others: &[u8], layers: &[Vec<u8>]| match unpacked(
            &forged(&packed.header, others, layers),
            None,
            9,
        ) {
            Ok(back) => assert_eq!(back.len(), given.len()),
            Err(error) => assert!(!matches!(error, HybridError::PartDigest { .. })),
        };
        for place in 0..others.len() {
            let mut changed = others.clone();
            changed[place] ^= 1 << (place % 8);
            check(&changed, &layers);
            assert!(unpacked(&forged(&packed.header, &others[..place], &layers), None, 9).is_err());
        }
        for layer in 0..layers.len() {
            for place in 0..layers[layer].len() {
                let mut changed = layers.clone();
                changed[layer][place] ^= 1 << (place % 8);
                check(&others, &changed);
                changed[layer].truncate(place);
                assert!(unpacked(&forged(&packed.header, &others, &changed), None, 9).is_err());
            }
            let mut longer = layers.clone();
            longer[layer].extend([0; 64]);
            assert!(unpacked(&forged(&packed.header, &others, &longer), None, 9).is_err());
        }
    }
}

/// A header with a digest that is right, whatever it says.
fn signed(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"ENGHYB\0\x01".to_vec();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    let digest = Digest::sha256(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

/// The body of a header around the header of a safetensors file.
fn body(json: &str, rest: &[u8]) -> Vec<u8> {
    let mut source = (json.len() as u64).to_le_bytes().to_vec();
    source.extend(json.as_bytes());
    let mut body = Writer::new();
    body.uvarint(source.len() as u64)
        .bytes(&miniz_oxide::deflate::compress_to_vec(&source, 6))
        .put(rest);
    body.into_bytes()
}

/// A part of a header: length and no digest that matters.
fn told(len: u64) -> Vec<u8> {
    let mut part = Writer::new();
    part.uvarint(len).put(&[0; 32]).u32(0);
    part.into_bytes()
}

#[test]
fn headers_that_lie_are_refused_before_memory_is_asked_for() {
    let refused = |body: &[u8]| -> String {
        let error = Header::parse(&signed(body), &Limits::default()).unwrap_err();
        error.to_string()
    };
    let tensor = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let fine = [&[0, 0][..], &told(9), &[1, 0], &told(1)].concat();
    Header::parse(&signed(&body(tensor, &fine)), &Limits::default()).unwrap();
    let most = u64::MAX >> 1;
    for (json, rest, said) in [
        (tensor, vec![2], "a base is there or not"),
        (tensor, vec![0, 1], "a tensor has a base or not"),
        (tensor, vec![0, 2], "a tensor has a base or not"),
        (tensor, vec![1, 1, 2, 3], "32 more needed, 3 left"),
        (
            tensor,
            [&[0, 0][..], &told(most)].concat(),
            "bytes of a layer must be at most",
        ),
        (
            tensor,
            [&[0, 0][..], &told(0), &[0, 0]].concat(),
            "layers must be in 1..=3, got 0",
        ),
        (
            tensor,
            [&[0, 0][..], &told(0), &[4, 0]].concat(),
            "layers must be in 1..=3, got 4",
        ),
        (
            tensor,
            [&[0, 0][..], &told(0), &[5, 1]].concat(),
            "layers must be in 1..=4, got 5",
        ),
        (
            tensor,
            [&[0, 0][..], &told(0), &[1, 1]].concat(),
            "layers must be in",
        ),
        (
            tensor,
            [&[0, 0][..], &told(0), &[1, 2]].concat(),
            "layers must be in",
        ),
        (tensor, [&fine[..], &[0]].concat(), "1 bytes left over"),
        (
            r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            fine.clone(),
            "12 bytes",
        ),
        (
            r#"{"w":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}}"#,
            fine.clone(),
            "no whole number of bytes",
        ),
        (
            r#"{"w":{"dtype":"F32","shape":[12500000001],"data_offsets":[0,50000000004]}}"#,
            fine.clone(),
            "must be at most 50000000000",
        ),
        ("[]", fine.clone(), "must begin with {"),
    ] {
        let error = refused(&body(json, &rest));
        assert!(error.contains(said), "{error} / {said}");
    }
    // A safetensors header that goes on behind its end, one that is said to be short, and a bomb.
    let packed = |source: &[u8], len: u64| {
        let mut body = Writer::new();
        body.uvarint(len)
            .bytes(&miniz_oxide::deflate::compress_to_vec(source, 9));
        body.into_bytes()
    };
    let source = [&2_u64.to_le_bytes()[..], b"{} "].concat();
    assert!(refused(&packed(&source, 11)).contains("announced length"));
    assert!(refused(&packed(&source, 10)).contains("announced length"));
    assert!(refused(&packed(&source, 12)).contains("announced length"));
    assert!(refused(&packed(&vec![0; 1 << 24], 1 << 20)).contains("announced length"));
    let error = refused(&packed(&source, most));
    assert!(
        error.contains("bytes of a header must be at most"),
        "{error}"
    );
    let small = Limits {
        max_header: 8,
        ..Limits::default()
    };
    let error = Header::len_of(b"ENGHYB\0\x01\0\0\0\x09", &small).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bytes of the header must be at most 8, got 9"
    );
}

/// A header in which `garbage` follows the packed header of the safetensors file.
pub(in super::super) fn with_garbage(garbage: &[u8]) -> Vec<u8> {
    let source = b"\x08\0\0\0\0\0\0\0{}      ";
    let packed = miniz_oxide::deflate::compress_to_vec(source, 6);
    let mut body = Writer::new();
    body.uvarint(source.len() as u64)
        .bytes(&[&packed, garbage].concat())
        .put(&[&[0][..], &told(0), &[1, 0], &told(0)].concat());
    signed(&body.into_bytes())
}

#[test]
fn without_a_bound_for_headers_their_lengths_are_still_counted() {
    let limits = Limits {
        max_header: usize::MAX,
        ..Limits::default()
    };
    assert!(
        Header::parse(&with_garbage(&[]), &limits)
            .unwrap()
            .is_empty()
    );
    for len in [u64::MAX, u64::MAX - 7, u64::MAX - 8] {
        let file = [&len.to_le_bytes()[..], b"{}"].concat();
        let error = packed_within(&file, &limits).unwrap_err();
        assert!(matches!(error, HybridError::Source(_)), "{error}");
    }
}

fn packed_within(file: &[u8], limits: &Limits) -> Result<Packed, HybridError> {
    pack(file, None, &Options::default(), limits, &mut |_| true)
}

#[test]
fn bytes_behind_the_packed_header_are_refused() {
    let parsed = |garbage: &[u8]| Header::parse(&with_garbage(garbage), &Limits::default());
    assert!(parsed(&[]).unwrap().is_empty());
    for garbage in [&[0][..], b"my address is 1 Main Street"] {
        let error = parsed(garbage).unwrap_err().to_string();
        assert!(error.contains("announced length"), "{error}");
    }
}

#[test]
fn more_numbers_than_the_limits_allow_or_memory_holds_are_refused() {
    // 48 GB of zeros in three bytes: within the usual limits, but not within those of a page.
    let json = r#"{"w":{"dtype":"F32","shape":[12000000000],"data_offsets":[0,48000000000]}}"#;
    let zeros = vec![2, 0, 0];
    let (others, layer) = (Layer::new(&[], 0.0), Layer::new(&zeros, 0.0));
    let mut rest = Writer::new();
    rest.u8(0).u8(0);
    for part in [&others, &layer] {
        if part.len > 0 {
            rest.u8(1).u8(0);
        }
        rest.uvarint(part.len).put(part.digest.as_bytes()).u32(0);
    }
    let mut bytes = signed(&body(json, &rest.into_bytes()));
    bytes.extend(&zeros);
    let limits = Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    };
    let error = unpack(&bytes, None, 9, &limits, &mut |_| true).unwrap_err();
    assert!(
        error.to_string().contains("must be at most 1048576"),
        "{error}"
    );
    // No tensor has more numbers than a small machine counts, whatever the limits say.
    let error = unpacked(&bytes, None, 9).unwrap_err();
    assert!(
        matches!(error, HybridError::Limit(_) | HybridError::Memory { .. }),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_safetensors_file_is_refused() {
    let given = file(&[(
        "w",
        Dtype::F32,
        vec![64],
        bytes_of(Dtype::F32, &weights(1, 64)),
    )]);
    for len in 0..given.len() {
        assert!(
            packed(&given[..len], None, &Options::default()).is_err(),
            "{len}"
        );
        if len > 0 {
            assert!(
                packed(&given, Some(&given[..len]), &Options::default()).is_err(),
                "{len}"
            );
        }
    }
    let limits = Limits {
        max_bytes: 255,
        ..Limits::default()
    };
    let error = pack(&given, None, &Options::default(), &limits, &mut |_| true).unwrap_err();
    assert!(
        error.to_string().contains("at most 255, got 256"),
        "{error}"
    );
}
