//! Addresses of wallets: base58check (Bitcoin and its kin), bech32 (BIP 173) and bech32m (BIP 350), Ethereum.

use crate::digest::Digest;

use super::text::Text;
use super::vocabulary::{ORDER, WALLET};
use super::{Candidate, Kind};

/// Returns the wallet address that is the token from `start` to `end`, which hit `index` is.
pub(super) fn find(text: &Text, index: usize, start: usize, end: usize) -> Option<Candidate> {
    let token = text.bytes.get(start..end)?;
    if matches!(text.before(start), b'/' | b'-' | b'_' | b'+' | b'=')
        || matches!(text.byte(end), b'/' | b'+' | b'=' | b'_')
    {
        return None;
    }
    text.work(token.len());
    let (label, confidence) = match token {
        [b'0', b'x', hex @ ..] if hex.len() == 40 && hex.iter().all(u8::is_ascii_hexdigit) => {
            // A hash may look the same: Ethereum's own checksum is in the letters' case, which not all programs keep.
            let known = text.near(index, (start, end), WALLET, 80).is_some();
            let other = text.near(index, (start, end), ORDER, 40).is_some();
            (
                "Ethereum",
                if known {
                    95
                } else if other {
                    45
                } else {
                    75
                },
            )
        }
        _ if (26..=35).contains(&token.len()) => (base58check(token)?, 95),
        _ if (14..=90).contains(&token.len()) => (bech32(token)?, 95),
        _ => return None,
    };
    Some(Candidate {
        kind: Kind::Wallet,
        label,
        start,
        end,
        confidence,
    })
}

/// Checks the four bytes of double SHA-256 at the end, and the version byte.
fn base58check(token: &[u8]) -> Option<&'static str> {
    let mut bytes = [0; 32];
    let len = bs58::decode(token).onto(&mut bytes[..]).ok()?;
    let (payload, check) = bytes.get(..len)?.split_at_checked(21)?;
    let hash = Digest::sha256(Digest::sha256(payload).as_bytes());
    let is_whole = check == &hash.as_bytes()[..4];
    let label = match payload[0] {
        0x00 | 0x05 | 0x6f | 0xc4 => "Bitcoin",
        0x30 | 0x32 | 0x3a => "Litecoin",
        0x1e | 0x16 => "Dogecoin",
        0x4c | 0x10 => "Dash",
        0x41 => "Tron",
        _ => "wallet",
    };
    is_whole.then_some(label)
}

/// BIP 173, "Bech32", and BIP 350: the checksum's polynomial over the prefix and the data.
fn bech32(token: &[u8]) -> Option<&'static str> {
    let one = token.iter().rposition(|byte| *byte == b'1')?;
    let (prefix, data) = (&token[..one], &token[one + 1..]);
    let lower = token.iter().any(u8::is_ascii_lowercase);
    let upper = token.iter().any(u8::is_ascii_uppercase);
    let known = [
        (&b"bc"[..], "Bitcoin"),
        (b"tb", "Bitcoin"),
        (b"ltc", "Litecoin"),
        (b"cosmos", "Cosmos"),
        (b"addr", "Cardano"),
    ];
    let label = known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(prefix))?
        .1;
    if data.len() < 6 || (lower && upper) {
        return None;
    }
    let step = |state: u32, value: u32| {
        let top = state >> 25;
        let generators = [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ];
        let shifted = (state & 0x1ff_ffff) << 5 ^ value;
        (0..5).fold(shifted, |state, bit| {
            if top >> bit & 1 == 1 {
                state ^ generators[bit as usize]
            } else {
                state
            }
        })
    };
    let letters = prefix
        .iter()
        .map(|byte| u32::from(byte.to_ascii_lowercase()));
    let mut state = letters.clone().map(|letter| letter >> 5).fold(1, step);
    state = step(state, 0);
    state = letters.map(|letter| letter & 31).fold(state, step);
    for byte in data {
        let value = ALPHABET
            .iter()
            .position(|letter| *letter == byte.to_ascii_lowercase())?;
        state = step(state, value as u32);
    }
    (state == 1 || state == 0x2bc8_30a3).then_some(label)
}

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
