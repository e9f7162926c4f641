//! Check digits. Every function takes digits (`b'0'..=b'9'`) or upper-case letters and answers whether they check.

/// Returns the value of an ASCII digit, 0 for other bytes.
pub(super) fn digit(byte: u8) -> u32 {
    (byte as char).to_digit(10).unwrap_or(0)
}

/// Returns the number that `digits` (at most 9) write.
pub(super) fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .take(9)
        .fold(0, |value, &byte| value * 10 + digit(byte))
}

/// Returns the sum of digit × weight.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(&byte, weight)| digit(byte) * weight)
        .sum()
}

/// Luhn's sum modulo 10 (ISO/IEC 7812-1, annex B); 0 where the digits check.
pub(super) fn luhn(digits: &[u8]) -> u32 {
    let doubled = |value: u32| if value > 4 { value * 2 - 9 } else { value * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &byte)| match at % 2 {
            0 => digit(byte),
            _ => doubled(digit(byte)),
        })
        .sum();
    sum % 10
}

/// ISO/IEC 7064 MOD 97-10 over digits and letters (A = 10); a valid string gives 1.
pub(super) fn mod_97(text: impl Iterator<Item = u8>) -> u32 {
    text.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + digit(byte)) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => rest,
    })
}

/// ISO/IEC 7064 MOD 11,10: whether the last digit checks the others.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((&last, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10, |product, &byte| {
        let sum = (digit(byte) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == digit(last)
}

/// Verhoeff's check (J. Verhoeff, Error Detecting Decimal Codes, 1969): whether the digits check.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    // The dihedral group D5, and the powers of the permutation (1 5 8 9 4 2 7 0)(3 6).
    let multiply = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    const PERMUTATION: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (at, &byte)| {
            let permuted = (0..at % 8).fold(digit(byte), |value, _| PERMUTATION[value as usize]);
            multiply(check, permuted)
        });
    check == 0
}

/// Whether day, month and a two-digit year's day-of-month rule hold; February has 29 days.
pub(super) fn is_date(day: u32, month: u32) -> bool {
    const DAYS: [u32; 13] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    month <= 12 && day >= 1 && DAYS.get(month as usize).is_some_and(|days| day <= *days)
}

/// ICAO 9303 part 3, section 4.9: weights 7, 3, 1 over digits and letters, modulo 10.
pub(super) fn icao(text: &[u8]) -> u32 {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        _ => digit(byte),
    };
    let sum: u32 = text
        .iter()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(&byte, weight)| value(byte) * weight)
        .sum();
    sum % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_check_and_one_wrong_digit_does_not() {
        assert_eq!((luhn(b"79927398713"), luhn(b"79927398710")), (0, 7));
        assert_eq!(mod_97(b"3214282912345698765432161182".iter().copied()), 1);
        assert!(mod_11_10(b"86095742719") && !mod_11_10(b"86095742718"));
        assert!(verhoeff(b"2363") && !verhoeff(b"2364") && verhoeff(b"123451"));
        assert_eq!(icao(b"L01X00T47"), 1);
        assert!(is_date(29, 2) && !is_date(30, 2) && !is_date(1, 13) && !is_date(0, 1));
    }
}
