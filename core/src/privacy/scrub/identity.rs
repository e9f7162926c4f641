//! National numbers: which letters, digits and check digits each country's specification allows.
//!
//! Every function takes the number without separators, in upper case, of the length that its format states.

use super::checksum::{digit, icao, is_date, luhn, mod_11_10, number, verhoeff, weighted};

pub(super) fn any(_: &[u8]) -> bool {
    true
}

fn all_same(text: &[u8]) -> bool {
    text.windows(2).all(|pair| pair[0] == pair[1])
}

fn two(text: &[u8], at: usize) -> u32 {
    text.get(at..at + 2).map_or(0, number)
}

/// Social Security Administration, POMS RM 10201.035: no area 000, 666 or 9xx, no group 00, no serial 0000.
pub(super) fn us_ssn(n: &[u8]) -> bool {
    let area = number(&n[..3]);
    area != 0 && area != 666 && area < 900 && two(n, 3) != 0 && number(&n[5..]) != 0
}

/// Internal Revenue Manual 3.21.263: 9xx, then 50–65, 70–88, 90–92 or 94–99.
pub(super) fn us_itin(n: &[u8]) -> bool {
    n[0] == b'9' && matches!(two(n, 3), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// CMS, Understanding the Medicare Beneficiary Identifier: letters without S, L, O, I, B, Z.
pub(super) fn us_mbi(n: &[u8]) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() && !b"SLOIBZ".contains(&byte);
    let either = |byte: u8| byte.is_ascii_digit() || letter(byte);
    matches!(n[0], b'1'..=b'9')
        && [1, 4, 7, 8].iter().all(|&at| letter(n[at]))
        && [2, 5].iter().all(|&at| either(n[at]))
        && [3, 6, 9, 10].iter().all(|&at| n[at].is_ascii_digit())
}

/// 45 CFR 162.406: Luhn with the prefix 80840, which adds 24.
pub(super) fn us_npi(n: &[u8]) -> bool {
    matches!(n[0], b'1' | b'2') && (luhn(n) + 24).is_multiple_of(10)
}

/// ABA routing number: weights 3, 7, 1; the first two digits 00–12, 21–32, 61–72 or 80.
pub(super) fn us_routing(n: &[u8]) -> bool {
    matches!(two(n, 0), 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(n, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// DEA registration number (21 CFR 1301): digits 1 + 3 + 5 plus twice 2 + 4 + 6 end in digit 7.
pub(super) fn us_dea(n: &[u8]) -> bool {
    b"ABCDEFGHJKLMPRSTUX".contains(&n[0])
        && (n[1].is_ascii_uppercase() || n[1] == b'9')
        && weighted(&n[2..8], &[1, 2, 1, 2, 1, 2]) % 10 == digit(n[8])
}

/// NHS Data Dictionary, NHS NUMBER: modulus 11.
pub(super) fn uk_nhs(n: &[u8]) -> bool {
    let rest = weighted(n, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    !all_same(n) && (11 - rest) % 11 == digit(n[9])
}

/// HMRC, NIM39110: allowed prefixes and suffix A to D.
pub(super) fn uk_nino(n: &[u8]) -> bool {
    let not = [b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"];
    !b"DFIQUV".contains(&n[0])
        && !b"DFIOQUV".contains(&n[1])
        && !not.iter().any(|prefix| n.starts_with(*prefix))
        && (b'A'..=b'D').contains(&n[8])
}

/// DVLA driver number: surname, decade, month (+ 50), day, year, initials, two check characters.
pub(super) fn uk_driver(n: &[u8]) -> bool {
    let month = two(n, 6) % 50;
    n[..5].iter().all(|&b| b.is_ascii_uppercase() || b == b'9')
        && n[5..11].iter().all(u8::is_ascii_digit)
        && is_date(two(n, 8), month)
        && n[11..13]
            .iter()
            .all(|&b| b.is_ascii_uppercase() || b == b'9')
        && n[14..16].iter().all(u8::is_ascii_uppercase)
}

/// BZSt, Informationen zur Steuerlichen Identifikationsnummer: one digit of the first ten comes twice or three times.
pub(super) fn de_tax_id(n: &[u8]) -> bool {
    let mut counts = [0u8; 10];
    n[..10]
        .iter()
        .for_each(|&byte| counts[digit(byte) as usize] += 1);
    let repeated = counts.iter().filter(|count| **count > 1).count();
    n[0] != b'0' && repeated == 1 && counts.iter().all(|count| *count <= 3) && mod_11_10(n)
}

/// Personalausweis and Reisepass since 2010: consonants and digits (TR-03105), ICAO check digit at the end.
pub(super) fn de_document_checked(n: &[u8]) -> bool {
    de_document(n) && icao(&n[..9]) == digit(n[9])
}

/// Serial number of Personalausweis and Reisepass: the first letter names the authority.
pub(super) fn de_document(n: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_digit() || b"CFGHJKLMNPRTVWXYZ".contains(byte);
    b"CFGHJKLMNPRTVWXYZ".contains(&n[0])
        && n[..9].iter().all(allowed)
        && n.iter().filter(|byte| byte.is_ascii_digit()).count() >= 3
}

/// § 2 VKVV: weights 2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1, the letter as two digits, digit sums, modulo 10.
pub(super) fn de_pension(n: &[u8]) -> bool {
    let letter = u32::from(n[8].wrapping_sub(b'A')) + 1;
    let mut digits = [0; 12];
    digits[..8].copy_from_slice(&n[..8]);
    digits[8] = b'0' + (letter / 10 % 10) as u8;
    digits[9] = b'0' + (letter % 10) as u8;
    digits[10..].copy_from_slice(&n[9..11]);
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(&byte, weight)| digit(byte) * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    let day = two(n, 2);
    (is_date(day, two(n, 4)) || is_date(day.wrapping_sub(50), two(n, 4)))
        && sum % 10 == digit(n[11])
}

/// § 290 SGB V, GKV-Spitzenverband: the letter as two digits, weights 1, 2, digit sums, modulo 10.
pub(super) fn de_health(n: &[u8]) -> bool {
    let letter = u32::from(n[0].wrapping_sub(b'A')) + 1;
    let body = n[1..9].iter().map(|&byte| digit(byte));
    let sum: u32 = [letter / 10, letter % 10]
        .into_iter()
        .chain(body)
        .zip([1, 2].into_iter().cycle())
        .map(|(value, weight)| value * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    sum % 10 == digit(n[9])
}

/// KBV, Arztnummern-Richtlinie: weights 4 and 9 over six digits, ten's complement.
pub(super) fn de_physician(n: &[u8]) -> bool {
    (10 - weighted(n, &[4, 9, 4, 9, 4, 9]) % 10) % 10 == digit(n[6])
}

/// Sales tax number with its country's letters before: DE 123456788.
pub(super) fn de_vat(n: &[u8]) -> bool {
    n.starts_with(b"DE") && n[2] != b'0' && mod_11_10(&n[2..])
}

/// INSEE, NIR: sex, year, month, department (2A and 2B in Corsica), key 97 − n mod 97.
pub(super) fn fr_nir(n: &[u8]) -> bool {
    fr_nir_body(n) && {
        // 2A counts as 19, 2B as 18.
        let mut body = [0; 13];
        body.copy_from_slice(&n[..13]);
        if !body[6].is_ascii_digit() {
            (body[5], body[6]) = (b'1', if body[6] == b'A' { b'9' } else { b'8' });
        }
        let rest = body
            .iter()
            .fold(0, |rest, &byte| (rest * 10 + digit(byte)) % 97);
        97 - rest == two(n, 13)
    }
}

/// The thirteen characters of a NIR before its key.
pub(super) fn fr_nir_body(n: &[u8]) -> bool {
    let department = n[5].is_ascii_digit() && n[6].is_ascii_digit()
        || n[5] == b'2' && matches!(n[6], b'A' | b'B');
    let digits = n[..5].iter().chain(&n[7..]).all(u8::is_ascii_digit);
    matches!(n[0], b'1'..=b'4' | b'7' | b'8')
        && digits
        && department
        && matches!(two(n, 3), 1..=12 | 20..=42 | 50..=99)
}

/// SIREN behind a key: (12 + 3 × SIREN mod 97) mod 97, CGI annexe 3.
pub(super) fn fr_vat(n: &[u8]) -> bool {
    n.starts_with(b"FR") && (12 + 3 * (number(&n[4..]) % 97)) % 97 == two(n, 2)
}

/// Croatia, OIB: ISO/IEC 7064 MOD 11,10.
pub(super) fn mod_11_10_number(n: &[u8]) -> bool {
    !all_same(n) && mod_11_10(n)
}

pub(super) fn luhn_number(n: &[u8]) -> bool {
    !all_same(n) && luhn(n) == 0
}

/// Real Decreto 1553/2005: letter = number mod 23.
pub(super) fn es_dni(n: &[u8]) -> bool {
    ES_LETTERS[(number(&n[..8]) % 23) as usize] == n[8]
}

/// The same without the leading zero.
pub(super) fn es_dni_short(n: &[u8]) -> bool {
    ES_LETTERS[(number(&n[..7]) % 23) as usize] == n[7]
}

/// Real Decreto 557/2011: X, Y, Z stand for 0, 1, 2 before the number.
pub(super) fn es_nie(n: &[u8]) -> bool {
    let lead = match n[0] {
        b'X' | b'K' | b'L' | b'M' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return false,
    };
    ES_LETTERS[((lead * 10_000_000 + number(&n[1..8])) % 23) as usize] == n[8]
}

/// Orden EHA/451/2008: odd digits doubled, ten's complement, as digit or letter.
pub(super) fn es_cif(n: &[u8]) -> bool {
    let control = (10 - luhn(&[&n[1..8], b"0"].concat()) % 10) % 10;
    b"ABCDEFGHJNPQRSUVW".contains(&n[0])
        && (n[8] == b'0' + control as u8 || n[8] == b"JABCDEFGHI"[control as usize])
}

/// Tesorería General de la Seguridad Social: the first ten digits mod 97.
pub(super) fn es_nuss(n: &[u8]) -> bool {
    let rest = n[..10]
        .iter()
        .fold(0, |rest, &byte| (rest * 10 + digit(byte)) % 97);
    let short = (two(n, 0) * 10_000_000 + number(&n[3..10])) % 97;
    (1..=66).contains(&two(n, 0)) && (rest == two(n, 10) || n[2] == b'0' && short == two(n, 10))
}

const ES_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// DM 23/12/1976: odd and even characters have tables of their own; digits may be written L M N P Q R S T U V.
pub(super) fn it_fiscal(n: &[u8]) -> bool {
    let as_digit = |byte: u8| match b"LMNPQRSTUV".iter().position(|&letter| letter == byte) {
        Some(value) => value as u32,
        None => digit(byte),
    };
    let numeric = |byte: &u8| byte.is_ascii_digit() || b"LMNPQRSTUV".contains(byte);
    let shape = n[..6].iter().all(u8::is_ascii_uppercase)
        && [6, 7, 9, 10, 12, 13, 14].iter().all(|&at| numeric(&n[at]))
        && b"ABCDEHLMPRST".contains(&n[8])
        && n[11].is_ascii_uppercase()
        && matches!(as_digit(n[9]) * 10 + as_digit(n[10]), 1..=31 | 41..=71);
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        _ => byte.wrapping_sub(b'0') % 10,
    };
    let sum: u32 = n[..15]
        .iter()
        .enumerate()
        .map(|(at, &byte)| match at % 2 {
            0 => ODD[value(byte) as usize],
            _ => u32::from(value(byte)),
        })
        .sum();
    shape && u32::from(n[15].wrapping_sub(b'A')) == sum % 26
}

pub(super) fn it_vat(n: &[u8]) -> bool {
    n.starts_with(b"IT") && luhn_number(&n[2..])
}

/// Ustawa o ewidencji ludności, art. 15: date with the century in the month, weights 1, 3, 7, 9.
pub(super) fn pl_pesel(n: &[u8]) -> bool {
    is_date(two(n, 4), two(n, 2) % 20)
        && weighted(n, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

pub(super) fn pl_nip(n: &[u8]) -> bool {
    !all_same(n) && weighted(n, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digit(n[9])
}

/// Identity card ABC 123456: weights 7, 3, 1, 9, 7, 3, 1, 7, 3 with A = 10.
pub(super) fn pl_card(n: &[u8]) -> bool {
    let letters: u32 = n[..3]
        .iter()
        .zip([7, 3, 1])
        .map(|(&byte, weight)| (u32::from(byte.wrapping_sub(b'A')) + 10) * weight)
        .sum();
    (letters + weighted(&n[3..], &[9, 7, 3, 1, 7, 3])).is_multiple_of(10)
}

/// Skatteverket, SKV 704: date (day + 60 for coordination numbers), Luhn.
pub(super) fn se_person(n: &[u8]) -> bool {
    let n = &n[n.len() - 10..];
    is_date(two(n, 4) % 60, two(n, 2)) && luhn(n) == 0
}

/// Twelve digits: the century comes first.
pub(super) fn se_person_long(n: &[u8]) -> bool {
    matches!(two(n, 0), 18..=20) && se_person(n)
}

pub(super) fn se_organisation(n: &[u8]) -> bool {
    n[2] >= b'2' && luhn(n) == 0
}

/// Wet algemene bepalingen burgerservicenummer: the eleven test, the last weight −1.
pub(super) fn nl_bsn(n: &[u8]) -> bool {
    let sum = weighted(n, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !all_same(n) && sum % 11 == digit(n[8]) && sum > 0
}

/// eCH-0044: 756, EAN-13 check digit.
pub(super) fn ean_756(n: &[u8]) -> bool {
    n.starts_with(b"756")
        && weighted(n, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// ASVG § 31: weights 3, 7, 9, –, 5, 8, 4, 2, 1, 6; the fourth digit checks; the rest is a date.
pub(super) fn at_insurance(n: &[u8]) -> bool {
    let dated = is_date(two(n, 4), two(n, 6)) || matches!(two(n, 6), 13..=15);
    n[0] != b'0' && dated && weighted(n, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == digit(n[3])
}

/// Rijksregisternummer, KB 3 april 1984: 97 − n mod 97; people born since 2000 have a 2 before.
pub(super) fn be_national(n: &[u8]) -> bool {
    let body = number(&n[..9]);
    let key = two(n, 9);
    let later = (u64::from(body) + 2_000_000_000) % 97;
    let month = two(n, 2) % 20;
    month <= 12 && two(n, 4) <= 31 && (97 - body % 97 == key || 97 - later as u32 == key)
}

pub(super) fn au_tfn(n: &[u8]) -> bool {
    !all_same(n) && weighted(n, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

/// ABR, Format of the ABN: subtract 1 from the first digit, weights 10, 1, 3, …, modulo 89.
pub(super) fn au_abn(n: &[u8]) -> bool {
    let sum = weighted(n, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    n[0] != b'0' && sum.wrapping_sub(10).is_multiple_of(89)
}

pub(super) fn au_acn(n: &[u8]) -> bool {
    !all_same(n) && (10 - weighted(n, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10 == digit(n[8])
}

pub(super) fn au_medicare(n: &[u8]) -> bool {
    matches!(n[0], b'2'..=b'6') && weighted(n, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(n[8])
}

/// Singapore NRIC and FIN: weights 2, 7, 6, 5, 4, 3, 2; T and G add 4, M adds 3.
pub(super) fn sg_nric(n: &[u8]) -> bool {
    let sum = weighted(&n[1..8], &[2, 7, 6, 5, 4, 3, 2]);
    let letter = match n[0] {
        b'S' => b"JZIHGFEDCBA"[(sum % 11) as usize],
        b'T' => b"JZIHGFEDCBA"[((sum + 4) % 11) as usize],
        b'F' => b"XWUTRQPNMLK"[(sum % 11) as usize],
        b'G' => b"XWUTRQPNMLK"[((sum + 4) % 11) as usize],
        b'M' => b"KLJNPQRTUWX"[(10 - (sum + 3) % 11) as usize],
        _ => return false,
    };
    letter == n[8]
}

/// ACRA, UEN of other entities: T, S or R, year, two letters, four digits, letter.
pub(super) fn sg_uen(n: &[u8]) -> bool {
    matches!(n[0], b'T' | b'S' | b'R')
}

/// UIDAI: starts with 2–9, Verhoeff, no palindrome.
pub(super) fn in_aadhaar(n: &[u8]) -> bool {
    n[0] >= b'2' && !n.iter().eq(n.iter().rev()) && verhoeff(n)
}

/// Income Tax Department: the fourth letter says who holds it.
pub(super) fn in_pan(n: &[u8]) -> bool {
    b"ABCFGHJLPT".contains(&n[3])
}

/// GSTN: state code, PAN, entity, Z, check character.
pub(super) fn in_gstin(n: &[u8]) -> bool {
    matches!(two(n, 0), 1..=38 | 97) && n[13] == b'Z'
}

/// Digital and population data services agency: date, century sign, number, check character mod 31.
pub(super) fn fi_hetu(n: &[u8]) -> bool {
    // With a letter for the century it is one of the eleven characters, with - or + it was a separator.
    if n.len() == 11 && !b"ABCDEFUVWXY".contains(&n[6]) {
        return false;
    }
    let (serial, check) = (&n[n.len() - 4..n.len() - 1], n[n.len() - 1]);
    let value = number(&n[..6]) * 1000 + number(serial);
    n[..6].iter().chain(serial).all(u8::is_ascii_digit)
        && is_date(two(n, 0), two(n, 2))
        && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[(value % 31) as usize] == check
}

/// Receita Federal: two check digits, weights from 10 and from 11 down.
pub(super) fn br_cpf(n: &[u8]) -> bool {
    let check = |len: usize| {
        let sum: u32 = (0..len)
            .map(|at| digit(n[at]) * (len + 1 - at) as u32)
            .sum();
        (sum * 10 % 11) % 10 == digit(n[len])
    };
    !all_same(n) && check(9) && check(10)
}

pub(super) fn br_cnpj(n: &[u8]) -> bool {
    const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let check = |len: usize| {
        let rest = weighted(&n[..len], &WEIGHTS[13 - len..]) % 11;
        (if rest < 2 { 0 } else { 11 - rest }) == digit(n[len])
    };
    !all_same(n) && check(12) && check(13)
}

/// Social Insurance Number: Luhn; no number begins with 8, and only examples with 0.
pub(super) fn ca_sin(n: &[u8]) -> bool {
    n[0] != b'8' && luhn_number(n)
}

/// Resident and foreigner registration: date, then 1–4 or 5–8 (and 9, 0 for the nineteenth century).
pub(super) fn kr_resident(n: &[u8]) -> bool {
    is_date(two(n, 4), two(n, 2)) && matches!(n[6], b'1'..=b'8')
}

/// Korea, business registration: weights 1 3 7 1 3 7 1 3 5, the tens of the last product added.
pub(super) fn kr_business(n: &[u8]) -> bool {
    let sum = weighted(n, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + digit(n[8]) * 5 / 10;
    (10 - sum % 10) % 10 == digit(n[9])
}

pub(super) fn th_national(n: &[u8]) -> bool {
    let sum = weighted(n, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    n[0] != b'0' && (11 - sum % 11) % 10 == digit(n[12])
}

pub(super) fn tr_national(n: &[u8]) -> bool {
    let odd = weighted(n, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(n, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let sum: u32 = n[..10].iter().map(|&byte| digit(byte)).sum();
    n[0] != b'0' && (odd * 7 + 90 - even) % 10 == digit(n[9]) && sum % 10 == digit(n[10])
}

pub(super) fn za_identity(n: &[u8]) -> bool {
    is_date(two(n, 4), two(n, 2)) && matches!(n[10], b'0'..=b'2') && luhn(n) == 0
}

/// Skatteetaten: date (day + 40 for D numbers), two check digits mod 11.
pub(super) fn no_birth(n: &[u8]) -> bool {
    let check = |weights: &[u32], at: usize| (11 - weighted(n, weights) % 11) % 11 == digit(n[at]);
    is_date(two(n, 0) % 40, two(n, 2) % 40)
        && check(&[3, 7, 6, 1, 8, 9, 4, 5, 2], 9)
        && check(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2], 10)
}

pub(super) fn dk_cpr(n: &[u8]) -> bool {
    is_date(two(n, 0), two(n, 2))
}

/// Estonia and Lithuania: sex and century, date, two rounds of weights mod 11.
pub(super) fn baltic(n: &[u8]) -> bool {
    let first = weighted(n, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(n, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let check = if first < 10 { first } else { second % 10 };
    matches!(n[0], b'1'..=b'8') && is_date(two(n, 5), two(n, 3)) && check == digit(n[10])
}

/// Latvia: weights 1, 6, 3, 7, 9, 10, 5, 8, 4, 2 from 1101.
pub(super) fn lv_personal(n: &[u8]) -> bool {
    let sum = weighted(n, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    n.starts_with(b"32") || is_date(two(n, 0), two(n, 2)) && (1101 - sum) % 11 % 10 == digit(n[10])
}

/// Czech and Slovak birth number: month + 50 for women (+ 20 where numbers ran out), divisible by 11.
pub(super) fn cz_birth(n: &[u8]) -> bool {
    let month = match two(n, 2) {
        month @ 51..=82 => month - 50,
        month => month,
    };
    let rest = n
        .iter()
        .fold(0, |rest, &byte| (rest * 10 + digit(byte)) % 11);
    is_date(two(n, 4), if month > 20 { month - 20 } else { month }) && rest == 0
}

/// Romania, CNP: date, weights 2 7 9 1 4 6 3 5 8 2 7 9, modulo 11.
pub(super) fn ro_cnp(n: &[u8]) -> bool {
    let rest = weighted(n, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    n[0] != b'0'
        && is_date(two(n, 5), two(n, 3))
        && (if rest == 10 { 1 } else { rest }) == digit(n[12])
}

/// Bulgaria, EGN: month + 20 or + 40, weights 2 4 8 5 10 9 7 3 6.
pub(super) fn bg_egn(n: &[u8]) -> bool {
    is_date(two(n, 4), two(n, 2) % 20)
        && weighted(n, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == digit(n[9])
}

/// Greece, AMKA: date, Luhn.
pub(super) fn gr_amka(n: &[u8]) -> bool {
    is_date(two(n, 0), two(n, 2)) && luhn(n) == 0
}

/// JMBG of the former Yugoslav republics, EMŠO in Slovenia: date, weights 7 6 5 4 3 2 twice.
pub(super) fn jmbg(n: &[u8]) -> bool {
    let rest = weighted(n, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(n[4], b'0' | b'9')
        && is_date(two(n, 0), two(n, 2))
        && (11 - rest) % 11 % 10 == digit(n[12])
}

pub(super) fn pt_nif(n: &[u8]) -> bool {
    let rest = weighted(n, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    !all_same(n)
        && b"1235689".contains(&n[0])
        && (if rest < 2 { 0 } else { 11 - rest }) == digit(n[8])
}

/// Ireland, PPS number: weights 8 to 2, the second letter × 9, modulo 23.
pub(super) fn ie_pps(n: &[u8]) -> bool {
    let second = n
        .get(8)
        .map_or(0, |byte| u32::from(byte.wrapping_sub(b'@')));
    let rest = (weighted(n, &[8, 7, 6, 5, 4, 3, 2]) + second * 9) % 23;
    b"WABCDEFGHIJKLMNOPQRSTUV"[rest as usize] == n[7]
}

/// Mexico, CURP: four letters, date, sex, state, three consonants, homonym, digit.
pub(super) fn mx_curp(n: &[u8]) -> bool {
    is_date(two(n, 8), two(n, 6)) && b"HMX".contains(&n[10])
}

/// Mexico, RFC of a person: four letters, date, three characters.
pub(super) fn mx_rfc(n: &[u8]) -> bool {
    is_date(two(n, 8), two(n, 6))
}

/// Mexico, clave de elector: six letters, date, state, sex, three digits.
pub(super) fn mx_elector(n: &[u8]) -> bool {
    is_date(two(n, 10), two(n, 8)) && matches!(n[14], b'H' | b'M')
}

/// Chile, RUT: weights 2 to 7 from the right, modulo 11, K is 10.
pub(super) fn cl_rut(n: &[u8]) -> bool {
    let (check, body) = (n[n.len() - 1], &n[..n.len() - 1]);
    let sum: u32 = body
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7].into_iter().cycle())
        .map(|(&byte, weight)| digit(byte) * weight)
        .sum();
    !all_same(body) && b"0K987654321"[(sum % 11) as usize] == check
}

pub(super) fn ar_cuit(n: &[u8]) -> bool {
    let rest = weighted(n, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(two(n, 0), 20 | 23 | 24 | 25 | 26 | 27 | 30 | 33 | 34)
        && (11 - rest) % 11 == digit(n[10])
}

/// GB 11643-1999: date and ISO 7064 MOD 11-2.
pub(super) fn cn_resident(n: &[u8]) -> bool {
    let sum = weighted(n, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    matches!(two(n, 6), 18..=20)
        && is_date(two(n, 12), two(n, 10))
        && b"10X98765432"[(sum % 11) as usize] == n[17]
}

/// Taiwan: the letter as two digits, weights 1, 9, 8, …, 1, 1.
pub(super) fn tw_national(n: &[u8]) -> bool {
    let Some(letter) = b"ABCDEFGHJKLMNPQRSTUVXYWZIO"
        .iter()
        .position(|&b| b == n[0])
    else {
        return false;
    };
    let letter = letter as u32 + 10;
    let sum = letter / 10 + letter % 10 * 9 + weighted(&n[1..], &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    matches!(n[1], b'1' | b'2' | b'8' | b'9') && sum.is_multiple_of(10)
}
