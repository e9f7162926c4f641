//! Cards and bank accounts: issuers' prefixes, lengths per country, check digits.

use super::checksum::{luhn, mod_97, number};

/// Card numbers (ISO/IEC 7812-1): issuer prefix with its lengths, and Luhn.
pub(super) fn card(n: &[u8]) -> bool {
    let (two_digits, four, six) = (number(&n[..2]), number(&n[..4]), number(&n[..6]));
    let fits = match n.len() {
        13 => n[0] == b'4' || two_digits == 50,
        14 => matches!(two_digits, 30 | 36 | 38 | 39),
        15 => matches!(two_digits, 34 | 37) || matches!(four, 2131 | 1800),
        12 | 17 | 18 => matches!(two_digits, 50 | 56..=69) || four == 604,
        16 | 19 => {
            matches!(n[0], b'4' | b'5' | b'6')
                || matches!(four, 2200..=2204 | 2221..=2720 | 3500..=3599 | 3000..=3059 | 3600..=3899)
                || matches!(two_digits, 81 | 82)
                || matches!(six, 979_200..=979_289)
        }
        _ => false,
    };
    fits && !n.windows(2).all(|pair| pair[0] == pair[1]) && luhn(n) == 0
}

/// ISO 13616-1: two check digits behind the country, mod 97 over the rest and them.
pub(super) fn iban(text: &[u8]) -> bool {
    let is_account = text.len() > 4
        && text[..2].iter().all(u8::is_ascii_uppercase)
        && text[2..4].iter().all(u8::is_ascii_digit);
    is_account && mod_97(text[4..].iter().chain(&text[..4]).copied()) == 1
}

/// Returns the length that the IBAN registry (SWIFT, release 99) states for IBANs of `country`.
pub(super) fn iban_len(country: &[u8]) -> Option<usize> {
    if !country.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let found = IBAN_LENGTHS
        .iter()
        .find(|(codes, _)| codes.chunks(2).any(|code| code == country));
    found.map(|(_, len)| *len)
}

const IBAN_LENGTHS: [(&[u8], usize); 18] = [
    (b"NO", 15),
    (b"BE", 16),
    (b"DKFIFKFOGLNLSD", 18),
    (b"MKSI", 19),
    (b"ATBAEEKZLTLUMNXK", 20),
    (b"CHHRLILV", 21),
    (b"BGBHCRDEGBGEIEMERSVA", 22),
    (b"AEGIILIQOMSOTL", 23),
    (b"ADCZESMDPKROSASESKTNVG", 24),
    (b"AOCVGWLYMZPTST", 25),
    (b"DZIRISTR", 26),
    (b"BICFCGCMDJFRGAGQGRITKMMCMGMRSMTD", 27),
    (b"ALAZBFBJBYCICYDOGTHNHULBMAMLNENIPLSNTG", 28),
    (b"BREGPSQAUA", 29),
    (b"JOKWMUYE", 30),
    (b"MTSC", 31),
    (b"LC", 32),
    (b"RU", 33),
];
