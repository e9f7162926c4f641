//! The formats of numbers: shape, usual grouping, check, and how much each says by itself.

use super::Kind;
use super::account::card;
use super::identity::*;
use super::vocabulary::{BANK, CARD, Flags, HEALTH, ID, LICENCE, PASSPORT, TAX};

/// A number's format.
pub(super) struct Format {
    pub(super) label: &'static str,
    pub(super) kind: Kind,
    /// One byte per character: `d` a digit, `L` a letter, `X` either.
    shape: &'static [u8],
    /// Groups in which it is usually written: bit k is set where a group ends after k characters.
    pub(super) layouts: &'static [u64],
    /// Whether the characters obey the specification.
    pub(super) check: fn(&[u8]) -> bool,
    /// Confidence in percent without separators and without words around it.
    pub(super) plain: u8,
    /// The same in one of the layouts.
    pub(super) grouped: u8,
    /// Words that raise it.
    pub(super) context: Flags,
    /// Words of which one must be near, where the check says little and the shape is everybody's.
    pub(super) words: &'static [&'static str],
    /// Digits of a check group that belongs to it and that may be left out: where one follows, it did not check.
    pub(super) longer: usize,
}

impl Format {
    /// Returns whether `chars`, of the format's length, have its shape.
    pub(super) fn fits(&self, chars: &[u8]) -> bool {
        chars
            .iter()
            .zip(self.shape)
            .all(|(byte, class)| match class {
                b'd' => byte.is_ascii_digit(),
                b'L' => byte.is_ascii_uppercase(),
                _ => byte.is_ascii_alphanumeric(),
            })
    }
}

/// Returns the formats of `len` characters.
pub(super) fn formats(len: usize) -> &'static [Format] {
    let (from, to) = INDEX.get(len).copied().unwrap_or_default();
    FORMATS.get(from as usize..to as usize).unwrap_or_default()
}

/// Returns the mask of a layout.
const fn ends<const N: usize>(groups: [u32; N]) -> u64 {
    let (mut mask, mut at, mut index) = (0u64, 0, 0);
    while index + 1 < N {
        at += groups[index];
        mask |= 1 << at;
        index += 1;
    }
    mask
}

/// Returns what must be near a number of the format `label`: its own name.
const fn words(label: &str) -> &'static [&'static str] {
    match label.as_bytes() {
        b"Croatia OIB" => &["oib"],
        b"Mexico NSS" => &["nss", "imss", "seguridad"],
        b"Italy VAT" | b"France VAT" => &["iva", "partita", "piva", "vat", "tva", "ust", "mwst"],
        b"Israel ID" => &["israel", "israeli", "teudat", "zehut"],
        b"France SIREN" => &["siren"],
        b"France SIRET" => &["siret"],
        b"Portugal NIF" => &["nif", "contribuinte", "nipc"],
        b"Australia ACN" => &["acn"],
        b"Germany physician" => &["lanr", "arztnummer"],
        _ => &[],
    }
}

macro_rules! formats {
    ($($label:literal $kind:ident $shape:literal $check:ident $plain:literal $grouped:literal $context:expr, [$($layout:expr),*];)*) => {
        static FORMATS: &[Format] = &[$(Format {
            label: $label,
            kind: Kind::$kind,
            shape: $shape,
            layouts: &[$(ends($layout)),*],
            check: $check,
            plain: $plain,
            grouped: $grouped,
            context: $context,
            words: words($label),
            longer: if $shape.len() == 13 && $shape[5] == b'X' { 2 } else { 0 },
        }),*];
    };
}

// Confidence without context follows from how many random numbers of the shape pass: 1 in 10 or 11 (one check digit)
// gives about 30 without separators, 1 in 100 or a date inside about 60, letters in set places 70.
formats! {
    "Spain DNI" NationalId b"dddddddL" es_dni_short 40 50 ID | TAX, [[7, 1]];
    "Chile RUT" NationalId b"dddddddX" cl_rut 20 70 ID | TAX, [[1, 3, 3, 1], [7, 1]];
    "Ireland PPS" NationalId b"dddddddL" ie_pps 45 50 ID | TAX, [[7, 1]];
    "US SSN" NationalId b"ddddddddd" us_ssn 20 65 ID, [[3, 2, 4]];
    "US ITIN" NationalId b"ddddddddd" us_itin 20 65 ID | TAX, [[3, 2, 4]];
    "US EIN" NationalId b"ddddddddd" any 0 20 TAX, [[2, 7]];
    "US routing" BankAccount b"ddddddddd" us_routing 25 40 BANK, [[4, 4, 1]];
    "US passport" Document b"Ldddddddd" any 15 15 PASSPORT, [];
    "US DEA" Document b"LXddddddd" us_dea 60 60 HEALTH | LICENCE, [];
    "UK NINO" NationalId b"LLddddddL" uk_nino 70 80 ID | TAX, [[2, 2, 2, 2, 1], [2, 6, 1], [8, 1], [2, 7]];
    "UK NINO" NationalId b"LLddddddL" any 25 60 ID | TAX, [[2, 2, 2, 2, 1]];
    "Germany document" Document b"LXXXXXXXX" de_document 20 20 PASSPORT | ID, [];
    "Germany physician" NationalId b"ddddddddd" de_physician 15 15 HEALTH, [];
    "Spain DNI" NationalId b"ddddddddL" es_dni 65 75 ID | TAX, [[8, 1], [2, 3, 3, 1], [2, 3, 4]];
    "Spain NIE" NationalId b"LdddddddL" es_nie 70 75 ID | TAX, [[1, 7, 1], [8, 1]];
    "Spain CIF" NationalId b"LdddddddX" es_cif 50 55 TAX | ID, [[1, 8], [1, 7, 1]];
    "Poland card" Document b"LLLdddddd" pl_card 45 50 ID, [[3, 6]];
    "Netherlands BSN" NationalId b"ddddddddd" nl_bsn 25 45 ID, [[4, 2, 3], [3, 3, 3], [4, 3, 2]];
    "Australia TFN" NationalId b"ddddddddd" au_tfn 25 45 TAX, [[3, 3, 3]];
    "Australia ACN" NationalId b"ddddddddd" au_acn 20 45 ID | TAX, [[3, 3, 3]];
    "Canada SIN" NationalId b"ddddddddd" ca_sin 25 45 ID | TAX, [[3, 3, 3]];
    "Portugal NIF" NationalId b"ddddddddd" pt_nif 25 45 ID | TAX, [[3, 3, 3]];
    "Israel ID" NationalId b"ddddddddd" luhn_number 20 20 ID, [];
    "France SIREN" NationalId b"ddddddddd" luhn_number 15 20 TAX, [[3, 3, 3]];
    "Singapore NRIC" NationalId b"LdddddddL" sg_nric 75 75 ID, [];
    "Chile RUT" NationalId b"ddddddddX" cl_rut 25 75 ID | TAX, [[2, 3, 3, 1], [8, 1]];
    "Ireland PPS" NationalId b"dddddddLL" ie_pps 60 60 ID | TAX, [[7, 2]];
    "UK NHS" NationalId b"dddddddddd" uk_nhs 30 45 HEALTH, [[3, 3, 4]];
    "US NPI" NationalId b"dddddddddd" us_npi 20 40 HEALTH, [[4, 3, 3]];
    "Poland NIP" NationalId b"dddddddddd" pl_nip 25 60 TAX | ID, [[3, 3, 2, 2], [3, 2, 2, 3]];
    "Sweden personnummer" NationalId b"dddddddddd" se_person 40 75 ID, [[6, 4]];
    "Sweden organisation" NationalId b"dddddddddd" se_organisation 20 60 ID | TAX, [[6, 4]];
    "Finland hetu" NationalId b"dddddddddX" fi_hetu 20 75 ID, [[6, 4]];
    "Austria SVNR" NationalId b"dddddddddd" at_insurance 50 65 ID | HEALTH, [[4, 6]];
    "Australia Medicare" NationalId b"dddddddddd" au_medicare 30 75 HEALTH, [[4, 5, 1]];
    "India PAN" NationalId b"LLLLLddddL" in_pan 70 70 TAX | ID, [];
    "India PAN" NationalId b"LLLLLddddL" any 30 30 TAX | ID, [];
    "Singapore UEN" NationalId b"LddLLddddL" sg_uen 60 60 ID | TAX, [];
    "Korea business" NationalId b"dddddddddd" kr_business 20 55 TAX | ID, [[3, 2, 5]];
    "Czech birth number" NationalId b"dddddddddd" cz_birth 45 65 ID, [[6, 4]];
    "Denmark CPR" NationalId b"dddddddddd" dk_cpr 15 45 ID, [[6, 4]];
    "Bulgaria EGN" NationalId b"dddddddddd" bg_egn 45 45 ID, [];
    "Germany document" Document b"LXXXXXXXXd" de_document_checked 55 55 PASSPORT | ID, [];
    "Germany KVNR" NationalId b"Lddddddddd" de_health 60 60 HEALTH, [];
    "Taiwan ID" NationalId b"Lddddddddd" tw_national 60 60 ID, [];
    "US MBI" NationalId b"dLXdLXdLLdd" us_mbi 65 75 HEALTH, [[4, 3, 4]];
    "Germany VAT" NationalId b"LLddddddddd" de_vat 60 70 TAX, [[2, 9], [2, 3, 3, 3], [5, 3, 3]];
    "Finland hetu" NationalId b"ddddddLdddX" fi_hetu 75 75 ID, [];
    "Germany tax" NationalId b"ddddddddddd" de_tax_id 60 75 TAX | ID, [[2, 3, 3, 3], [2, 9]];
    "Poland PESEL" NationalId b"ddddddddddd" pl_pesel 55 60 ID, [[6, 5]];
    "Belgium NN" NationalId b"ddddddddddd" be_national 60 75 ID, [[2, 2, 2, 3, 2], [6, 3, 2], [6, 5]];
    "Australia ABN" NationalId b"ddddddddddd" au_abn 55 75 TAX | ID, [[2, 3, 3, 3]];
    "Brazil CPF" NationalId b"ddddddddddd" br_cpf 55 80 ID | TAX, [[3, 3, 3, 2], [9, 2]];
    "Turkey ID" NationalId b"ddddddddddd" tr_national 55 55 ID, [];
    "Norway birth number" NationalId b"ddddddddddd" no_birth 60 70 ID, [[6, 5]];
    "Baltic ID" NationalId b"ddddddddddd" baltic 50 50 ID, [];
    "Latvia ID" NationalId b"ddddddddddd" lv_personal 30 60 ID, [[6, 5]];
    "Greece AMKA" NationalId b"ddddddddddd" gr_amka 50 50 ID | HEALTH, [];
    "Croatia OIB" NationalId b"ddddddddddd" mod_11_10_number 30 30 ID | TAX, [];
    "Argentina CUIT" NationalId b"ddddddddddd" ar_cuit 45 70 TAX | ID, [[2, 8, 1]];
    "Mexico NSS" NationalId b"ddddddddddd" luhn_number 20 25 ID | HEALTH, [[2, 2, 2, 4, 1]];
    "Italy VAT" NationalId b"ddddddddddd" luhn_number 20 20 TAX, [];
    "Card" Card b"dddddddddddd" card 50 55 CARD, [[4, 4, 4]];
    "Germany pension" NationalId b"ddddddddLddd" de_pension 70 75 HEALTH | ID, [[2, 6, 1, 3], [8, 1, 3], [2, 6, 4]];
    "Sweden personnummer" NationalId b"dddddddddddd" se_person_long 60 75 ID, [[8, 4]];
    "Spain NUSS" NationalId b"dddddddddddd" es_nuss 50 70 ID | HEALTH, [[2, 8, 2], [2, 10]];
    "India Aadhaar" NationalId b"dddddddddddd" in_aadhaar 40 65 ID, [[4, 4, 4]];
    "Philippines UMID" NationalId b"dddddddddddd" any 10 52 ID, [[4, 7, 1]];
    "Mexico RFC" NationalId b"LLLddddddXXX" any 20 20 TAX, [[3, 6, 3]];
    "Card" Card b"ddddddddddddd" card 50 60 CARD, [];
    "France NIR" NationalId b"dddddXXdddddd" fr_nir_body 20 50 ID | HEALTH, [[1, 2, 2, 2, 3, 3]];
    "Switzerland AHV" NationalId b"ddddddddddddd" ean_756 75 90 ID | HEALTH, [[3, 4, 4, 2]];
    "Korea RRN" NationalId b"ddddddddddddd" kr_resident 40 75 ID, [[6, 7]];
    "Thailand ID" NationalId b"ddddddddddddd" th_national 45 75 ID, [[1, 4, 5, 2, 1]];
    "South Africa ID" NationalId b"ddddddddddddd" za_identity 55 60 ID, [[6, 4, 3], [6, 4, 2, 1]];
    "Romania CNP" NationalId b"ddddddddddddd" ro_cnp 60 60 ID, [];
    "JMBG" NationalId b"ddddddddddddd" jmbg 60 60 ID, [];
    "Italy VAT" NationalId b"LLddddddddddd" it_vat 60 60 TAX, [[2, 11]];
    "France VAT" NationalId b"LLddddddddddd" fr_vat 65 70 TAX, [[2, 2, 9], [4, 9], [2, 2, 3, 3, 3]];
    "Mexico RFC" NationalId b"LLLLddddddXXX" mx_rfc 60 65 TAX | ID, [[4, 6, 3]];
    "Card" Card b"dddddddddddddd" card 60 75 CARD, [[4, 6, 4]];
    "Brazil CNPJ" NationalId b"dddddddddddddd" br_cnpj 55 80 TAX | ID, [[2, 3, 3, 4, 2]];
    "France SIRET" NationalId b"dddddddddddddd" luhn_number 15 30 TAX, [[3, 3, 3, 5]];
    "Card" Card b"ddddddddddddddd" card 65 80 CARD, [[4, 6, 5], [4, 4, 4, 3]];
    "France NIR" NationalId b"dddddXXdddddddd" fr_nir 75 85 ID | HEALTH, [[1, 2, 2, 2, 3, 3, 2], [13, 2]];
    "India GSTIN" NationalId b"ddLLLLLddddLXXX" in_gstin 70 70 TAX, [];
    "Card" Card b"dddddddddddddddd" card 70 85 CARD, [[4, 4, 4, 4]];
    "UK driving licence" Document b"XXXXXddddddXXXXX" uk_driver 75 75 LICENCE, [];
    "Italy codice fiscale" NationalId b"LLLLLLXXLXXLXXXL" it_fiscal 85 85 ID | TAX, [[3, 3, 5, 5], [3, 3, 5, 4, 1], [6, 5, 5]];
    "Card" Card b"ddddddddddddddddd" card 50 55 CARD, [];
    "Card" Card b"dddddddddddddddddd" card 50 60 CARD, [];
    "Mexico CURP" NationalId b"LLLLddddddLLLLLXXd" mx_curp 80 80 ID, [];
    "Mexico elector" NationalId b"LLLLLLddddddddLddd" mx_elector 75 75 ID, [];
    "China resident" NationalId b"dddddddddddddddddX" cn_resident 75 75 ID, [];
    "Card" Card b"ddddddddddddddddddd" card 60 75 CARD, [[4, 4, 4, 4, 3]];
    "Germany KVNR" NationalId b"Lddddddddddddddddddd" de_health 60 60 HEALTH, [];
}

/// For each length where its formats begin and end in [`FORMATS`], which is in the order of length.
static INDEX: [(u8, u8); 24] = {
    let mut index = [(0, 0); 24];
    let (mut at, mut previous) = (0, 0);
    while at < FORMATS.len() {
        let len = FORMATS[at].shape.len();
        assert!(len >= previous, "the formats are in the order of length");
        if len != previous {
            index[len].0 = at as u8;
        }
        index[len].1 = at as u8 + 1;
        previous = len;
        at += 1;
    }
    index
};
