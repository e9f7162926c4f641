use alloc::string::{String, ToString as _};
use alloc::vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::header::{header_len, wrap};
use super::stream::{SEALED_CHUNK, Stream};
use super::*;
use crate::key::Keypair;
use crate::wire::WireError;

pub(super) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(super) fn secret(seed: u8) -> SealSecret {
    SealSecret::from_seed(&[seed; 32])
}

pub(super) fn context() -> Context<'static> {
    Context {
        network: "main",
        author: Keypair::from_seed(&[7; 32]).peer_id(),
        purpose: "note",
    }
}

pub(super) fn recipient(secret: &SealSecret) -> Recipient {
    Recipient {
        key: secret.public(),
        identity: Keypair::from_seed(&[8; 32]).peer_id(),
    }
}

/// Seals to one recipient, whose secret has seed 1.
pub(super) fn sealed(content: &[u8], seed: u8) -> Vec<u8> {
    seal(
        content,
        &[recipient(&secret(1))],
        &context(),
        &mut rng(seed),
    )
    .unwrap()
}

pub(super) fn opened(envelope: &[u8]) -> Result<Vec<u8>, SealError> {
    open(envelope, [&secret(1)], &context())
}

/// Bytes of the header for one recipient.
const HEADER: usize = header_len(1);

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect()
}

#[test]
fn content_of_every_size_around_a_chunk_opens_to_what_was_sealed() {
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17] {
        let content = content(len);
        let envelope = sealed(&content, 2);
        assert_eq!(envelope.len(), sealed_len(len, 1));
        assert_eq!(opened(&envelope).as_ref(), Ok(&content));
    }
}

#[test]
fn sealing_and_opening_in_pieces_gives_what_one_call_gives() {
    for len in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let content = content(len);
        let envelope = sealed(&content, 2);
        for piece in [1000, CHUNK - 1, CHUNK, SEALED_CHUNK, 2 * CHUNK + 5] {
            let mut pieces = Vec::new();
            let recipients = [recipient(&secret(1))];
            let mut sealer =
                Sealer::start(&recipients, &context(), &mut rng(2), &mut pieces).unwrap();
            for bytes in content.chunks(piece) {
                sealer.update(bytes, &mut pieces).unwrap();
            }
            sealer.finish(&mut pieces).unwrap();
            assert!(pieces == envelope, "{len} bytes by {piece}");

            let mut opened = Vec::new();
            let mut opener = Opener::new([&secret(1)], &context()).unwrap();
            for bytes in envelope.chunks(piece) {
                opener.update(bytes, &mut opened).unwrap();
            }
            opener.finish(&mut opened).unwrap();
            assert!(opened == content, "{len} bytes by {piece}");
        }
    }
}

/// A Python script written from the documentation alone, on PyPI's `cryptography`, opens these bytes.
#[test]
fn an_envelope_keeps_its_bytes() {
    let recipients = [1, 2, 3].map(|seed| recipient(&secret(seed)));
    let envelope = seal(b"hello", &recipients, &context(), &mut rng(4)).unwrap();
    assert_eq!(hex(&envelope), ENVELOPE);
}

#[test]
fn a_changed_byte_anywhere_is_found_and_says_where() {
    let envelope = sealed(b"hello", 2);
    for at in 0..envelope.len() {
        for bit in [1, 0x80] {
            let mut changed = envelope.clone();
            changed[at] ^= bit;
            let error = opened(&changed).unwrap_err();
            let is_named = match at {
                0..14 => matches!(error, SealError::Format { .. }),
                14 => matches!(error, SealError::Header(_) | SealError::Limit(_)),
                15..95 => matches!(
                    error,
                    SealError::NotAddressed {
                        slots: 1,
                        secrets: 1
                    }
                ),
                95..HEADER => error == SealError::Commitment,
                _ => error == SealError::Chunk { chunk: 0 },
            };
            assert!(is_named, "byte {at}: {error}");
        }
    }
}

#[test]
fn an_envelope_cut_anywhere_is_refused() {
    let envelope = sealed(b"hello", 2);
    for len in 0..envelope.len() {
        let error = opened(&envelope[..len]).unwrap_err();
        let is_named = match len {
            0..HEADER => {
                matches!(error, SealError::Header(WireError::Truncated { position, .. }) if position == len)
            }
            _ if len < HEADER + TAG => error == SealError::Cut { chunk: 0 },
            _ => error == SealError::Chunk { chunk: 0 },
        };
        assert!(is_named, "{len} bytes: {error}");
    }
}

#[test]
fn a_stream_that_ends_between_chunks_is_cut() {
    let envelope = sealed(&content(3 * CHUNK), 2);
    for (chunks, chunk) in [(0, 0), (1, 0), (2, 1)] {
        let cut = &envelope[..HEADER + chunks * SEALED_CHUNK];
        assert_eq!(opened(cut), Err(SealError::Cut { chunk }));
    }
}

#[test]
fn bytes_after_the_last_chunk_are_found() {
    let full = [sealed(&content(2 * CHUNK), 2), vec![0]].concat();
    assert_eq!(opened(&full), Err(SealError::Trailing { chunk: 1 }));
    let short = [sealed(b"hello", 2), vec![0]].concat();
    assert_eq!(opened(&short), Err(SealError::Chunk { chunk: 0 }));
    // A second envelope after the first, even for the same recipient.
    let twice = [sealed(&content(CHUNK), 2), sealed(b"more", 3)].concat();
    assert_eq!(opened(&twice), Err(SealError::Trailing { chunk: 0 }));
}

#[test]
fn chunks_that_are_swapped_dropped_repeated_or_foreign_are_found() {
    let envelope = sealed(&content(4 * CHUNK), 2);
    let other = sealed(&content(4 * CHUNK), 3);
    let (header, chunks) = envelope.split_at(HEADER);
    let chunks: Vec<&[u8]> = chunks.chunks(SEALED_CHUNK).collect();
    let foreign: Vec<&[u8]> = other[HEADER..].chunks(SEALED_CHUNK).collect();
    for (order, chunk) in [
        (vec![chunks[1], chunks[0], chunks[2], chunks[3]], 0),
        (vec![chunks[0], chunks[2], chunks[1], chunks[3]], 1),
        (vec![chunks[0], chunks[2], chunks[3]], 1),
        (
            vec![chunks[0], chunks[0], chunks[1], chunks[2], chunks[3]],
            1,
        ),
        (vec![chunks[0], chunks[1], chunks[2], foreign[3]], 3),
        (vec![chunks[0], foreign[1], chunks[2], chunks[3]], 1),
        (foreign.clone(), 0),
    ] {
        let changed = [header, &order.concat()].concat();
        assert_eq!(opened(&changed), Err(SealError::Chunk { chunk }));
    }
    assert!(opened(&[header, &chunks.concat()].concat()).is_ok());
}

#[test]
fn an_empty_chunk_at_the_end_is_not_another_form_of_the_same_envelope() {
    let (key, mut envelope) = ([9; 32], start_of_header(0));
    envelope.extend(wrap(&secret(1).public(), &info(), &key, &mut rng(5)).unwrap());
    let (commitment, mut stream) = header::derive(&key, &info(), &envelope).unwrap();
    envelope.extend(commitment);
    let mut chunks = vec![0; SEALED_CHUNK + TAG];
    stream
        .seal(&content(CHUNK), false, &mut chunks[..SEALED_CHUNK])
        .unwrap();
    stream.seal(&[], true, &mut chunks[SEALED_CHUNK..]).unwrap();
    envelope.extend(chunks);
    assert_eq!(opened(&envelope), Err(SealError::Chunk { chunk: 1 }));
}

#[test]
fn no_header_is_believed_before_it_has_arrived() {
    let mut huge = start_of_header(7);
    let limit = LimitError {
        what: "binary logarithm of an envelope's slots",
        got: 7,
        max: 6,
    };
    assert_eq!(opened(&huge), Err(SealError::Limit(limit)));
    huge[14] = 6;
    let truncated = WireError::Truncated {
        position: 15,
        needed: 64 * 80 + 32,
        left: 0,
    };
    assert_eq!(opened(&huge), Err(SealError::Header(truncated)));
    let format = SealError::Format {
        got: r"\rchorus/seal/2".to_string(),
    };
    huge[13] = b'2';
    assert_eq!(opened(&huge), Err(format));
}

#[test]
fn an_opener_that_found_a_fault_opens_nothing_more() {
    let content = content(3 * CHUNK);
    let mut envelope = sealed(&content, 2);
    envelope[HEADER + SEALED_CHUNK] ^= 1;
    let (mut opener, mut out) = (Opener::new([&secret(1)], &context()).unwrap(), Vec::new());
    let fault = SealError::Chunk { chunk: 1 };
    assert_eq!(opener.update(&envelope, &mut out), Err(fault.clone()));
    assert!(
        out == content[..CHUNK],
        "what came before the fault is genuine"
    );
    assert_eq!(opener.update(b"more", &mut out), Err(fault.clone()));
    assert_eq!(opener.finish(&mut out), Err(fault));
    assert_eq!(out.len(), CHUNK);
}

#[test]
fn the_number_of_chunks_is_bounded_before_a_nonce_repeats() {
    let mut stream = Stream::new(&[1; Stream::KEY]);
    stream.chunk = u32::MAX.into();
    let mut sealed = [0; 1 + TAG];
    assert_eq!(stream.seal(b"x", false, &mut sealed), Ok(()));
    let limit = LimitError {
        what: "number of a chunk",
        got: 1 << 32,
        max: u32::MAX.into(),
    };
    assert_eq!(
        stream.seal(b"y", true, &mut sealed),
        Err(SealError::Limit(limit))
    );
    assert_eq!(
        stream.open(&sealed, true, &mut [0]),
        Err(SealError::Limit(limit))
    );
}

#[test]
fn too_long_a_context_or_too_many_secrets_are_refused() {
    let long = "n".repeat(65);
    for (what, context) in [
        (
            "network name bytes",
            Context {
                network: &long,
                ..context()
            },
        ),
        (
            "purpose bytes",
            Context {
                purpose: &long,
                ..context()
            },
        ),
    ] {
        let limit = SealError::Limit(LimitError {
            what,
            got: 65,
            max: 64,
        });
        let recipients = [recipient(&secret(1))];
        assert_eq!(
            seal(&[], &recipients, &context, &mut rng(1)),
            Err(limit.clone())
        );
        assert_eq!(open(&[], [&secret(1)], &context), Err(limit));
    }
    let secrets: Vec<_> = (0..9).map(secret).collect();
    let limit = LimitError {
        what: "sealing secrets",
        got: 9,
        max: 8,
    };
    assert_eq!(
        open(&[], &secrets, &context()),
        Err(SealError::Limit(limit))
    );
}

#[test]
fn secrets_are_never_printed() {
    let secret = secret(0xab);
    let recipients = [recipient(&secret)];
    let sealer = Sealer::start(&recipients, &context(), &mut rng(1), &mut Vec::new()).unwrap();
    let opener = Opener::new([&secret], &context()).unwrap();
    assert_eq!(
        alloc::format!("{secret:?}"),
        alloc::format!("SealSecret({}, secret)", secret.public())
    );
    assert_eq!(
        alloc::format!("{sealer:?}"),
        "Sealer(Stream(at chunk 0, secret))"
    );
    assert_eq!(alloc::format!("{opener:?}"), "Opener(None)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sealed_in_any_pieces_opens_in_any_pieces(
        len in 0..3 * CHUNK,
        pieces in proptest::collection::vec(1..2 * CHUNK, 1..6),
        seed in any::<u8>(),
    ) {
        let content = content(len);
        let recipients = [recipient(&secret(1)), recipient(&secret(seed))];
        let (mut envelope, mut sizes) = (Vec::new(), pieces.iter().cycle());
        let mut sealer = Sealer::start(&recipients, &context(), &mut rng(seed), &mut envelope).unwrap();
        let mut rest = &content[..];
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            sealer.update(piece, &mut envelope).unwrap();
            rest = tail;
        }
        sealer.finish(&mut envelope).unwrap();

        let (mut opener, mut out) = (Opener::new([&secret(1)], &context()).unwrap(), Vec::new());
        let mut rest = &envelope[..];
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            opener.update(piece, &mut out).unwrap();
            rest = tail;
        }
        opener.finish(&mut out).unwrap();
        prop_assert!(out == content);
    }

    #[test]
    fn bytes_of_a_stranger_never_open_and_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&bytes).is_err());
        let start = start_of_header(bytes.len() as u8 % 3);
        bytes.splice(..start.len().min(bytes.len()), start);
        prop_assert!(opened(&bytes).is_err());
    }
}

/// The first 15 bytes of a header with 2^`exponent` slots.
pub(super) fn start_of_header(exponent: u8) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bytes(DOMAIN).u8(exponent);
    writer.into_bytes()
}

pub(super) fn info() -> Vec<u8> {
    context().info().unwrap()
}

/// `hello` for the secrets with seeds 1, 2 and 3, in the test's context.
const ENVELOPE: &str = "\
0d63686f7275732f7365616c2f3102a6cc0782f53da6c916319d4371a1748d1c6aa130300b47cdd9ba89a070f2c72a4f\
9c6a5657297e28dce29804d9f6e27b199ecace79554572b8bc92b795e3e29aa41f2b623fc419b4c2ca790a0a4716e4f5\
bbf0fe1d07a54cb4805b525d85c671c7938bcb9bae38e6631cb8473e5f327de5c138d7fbed991bce2e9d30c30e55dab1\
ad3c01ae002f75c5cf504b3be53637ce8a5cf74c036efbe9fe11a9ee98f0ca640f156f0686c488198de741986ebd514a\
ea8d303982c715cf6a74f98acbab338ddf332a822602373459b9575b0f2decdb723c55631eb474f8cb147771c98ab555\
8e021a95ee1ab2a22a24ea2e1e35f4afe514bf17e8d1b9a6b21a964e7083e6b996be178a2bbd80848f8aca8a0a7b0c8b\
a7133fa07dbf16608c760b6505dc8638b2480bc89a333ed62cec7a06bd201034cfb9dc4c007821f3da380d530735d3f5\
e519c5a2451b206ea278300d5bd54963d783345b6b984b4c34a66199621d4c6d74be08d48f731580f1844d7f5567f711\
5cc81498";
