use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;

/// Bytes of which few are frequent.
fn plane(len: usize, bits: u32, seed: u8) -> Vec<u8> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    (0..len)
        .map(|_| (rng.next_u32() >> (32 - bits)).count_ones() as u8 * 3 + 100)
        .collect()
}

/// Bytes of which 150 are as frequent.
fn even_plane(len: usize, seed: u8) -> Vec<u8> {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    (0..len).map(|_| (rng.next_u32() % 150) as u8).collect()
}

fn coded(plane: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Code::new(&histogram(plane)).encode(plane, &mut out);
    out
}

/// Decodes in both ways, which must agree.
fn decode(bytes: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
    let mut singly = vec![0; out.len()];
    let result = decode_by(bytes, out, 0);
    assert_eq!(decode_by(bytes, &mut singly, usize::MAX), result);
    assert!(result.is_err() || singly == out);
    result
}

#[test]
fn a_look_tells_as_many_symbols_as_its_bits_hold_and_six_at_the_most() {
    let few: [u32; 256] = core::array::from_fn(|byte| u32::from(byte < 2));
    let planes = [plane(5000, 8, 4), plane(5000, 16, 5), even_plane(5000, 4)];
    let histograms = planes.iter().map(|plane| histogram(plane));
    for histogram in histograms.chain([few]) {
        let lengths = lengths(&histogram);
        let singles = singles(&lengths).unwrap();
        let [_, table] = *several(&singles, &lengths);
        for (index, entry) in table.iter().enumerate() {
            let (mut symbols, mut count, mut used) = (0, 0, 0);
            while count < MAX_SYMBOLS {
                let single = singles[index >> used];
                let length = u32::from(single & 0xff);
                if used + length > MAX_BITS {
                    break;
                }
                symbols |= u64::from(single >> 8) << (8 * count);
                count += 1;
                used += length;
            }
            let told = symbols << 16 | count << 8 | u64::from(used);
            assert_eq!(*entry, told, "{index:011b}");
        }
    }
}

#[test]
fn planes_of_every_length_come_back() {
    for len in (2..300).chain([1000, 4096, 65_537]) {
        // Several of the first are told by one look, of the second hardly ever two.
        for (kind, mut plane) in [plane(len, 8, 1), even_plane(len, 1)]
            .into_iter()
            .enumerate()
        {
            plane[0] = 7;
            let coded = coded(&plane);
            let mut back = vec![0; len];
            decode(&coded, &mut back).unwrap();
            assert_eq!(back, plane, "{len} bytes of kind {kind}");
            assert!(coded.len() as u64 <= Code::new(&histogram(&plane)).size(&histogram(&plane)));
            let is_even = mean_length(&read_lengths(&coded).unwrap().0) > MAX_MEAN;
            assert!(
                len < 1000 || is_even == (kind == 1),
                "{len} bytes of kind {kind}"
            );
        }
    }
}

#[test]
fn codes_are_as_short_as_the_counts_allow() {
    // Fibonacci numbers would make a code of seventeen bits without the limit.
    let mut histogram = [0; 256];
    let (mut a, mut b) = (1, 1);
    for count in histogram.iter_mut().take(18) {
        *count = a;
        (a, b) = (b, a + b);
    }
    let lengths = lengths(&histogram);
    assert_eq!(lengths.iter().max(), Some(&11));
    let kraft: u32 = lengths.iter().filter(|l| **l > 0).map(|l| 2048 >> l).sum();
    assert_eq!(kraft, 2048);
    // A plain tree where the limit does not bind: 1 1 2 4 8 has lengths 4 4 3 2 1.
    let mut histogram = [0; 256];
    histogram[..5].copy_from_slice(&[1, 1, 2, 4, 8]);
    assert_eq!(super::lengths(&histogram)[..5], [4, 4, 3, 2, 1]);
}

#[test]
fn a_coded_plane_is_near_its_entropy() {
    let plane = plane(100_000, 16, 3);
    let histogram = histogram(&plane);
    let entropy: f64 = histogram
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) * libm::log2(100_000.0 / f64::from(*count)))
        .sum();
    let size = coded(&plane).len() as f64 * 8.0;
    assert!(size < 1.02 * entropy, "{size} bits, entropy {entropy}");
}

#[test]
fn every_cut_and_every_flipped_bit_is_an_error_or_other_bytes_and_never_a_panic() {
    for plane in [plane(600, 8, 2), even_plane(900, 2)] {
        let coded = coded(&plane);
        let mut back = vec![0; plane.len()];
        for len in 0..coded.len() {
            assert!(decode(&coded[..len], &mut back).is_err(), "{len} bytes");
        }
        for bit in 0..coded.len() * 8 {
            let mut changed = coded.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = decode(&changed, &mut back);
            assert!(result.is_err() || back != plane, "bit {bit}");
        }
        let mut longer = coded;
        longer.push(0);
        assert!(decode(&longer, &mut back).is_err());
    }
}

#[test]
fn lengths_that_make_no_complete_code_are_refused() {
    let lengths = |nibbles: &[u8]| {
        let mut bytes = vec![0, nibbles.len() as u8 * 2 - 1];
        bytes.extend(nibbles);
        bytes.extend([0; 12]);
        decode(&bytes, &mut [0; 4])
    };
    for (nibbles, why) in [
        (&[0x00][..], "nothing"),
        (&[0x21], "a quarter means nothing"),
        (&[0x11, 0x01], "too many"),
        (&[0xc1], "twelve bits"),
    ] {
        assert_eq!(lengths(nibbles), Err(CodecError::Code), "{why}");
    }
}
