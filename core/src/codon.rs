//! The 256-codon alphabet: one byte is one codon, written as three letters.
//!
//! The letters are `A`, `C`, `G`, `T`; the case of the first two carries two more bits and the third is always upper
//! case, so that the reading frame shows. Layout of the byte, highest bit first:
//!
//! | bit | meaning |
//! |---|---|
//! | 7 | first letter in lower case |
//! | 6 | second letter in lower case |
//! | 5–4 | first letter: A 0, C 1, G 2, T 3 |
//! | 3–2 | second letter |
//! | 1–0 | third letter |
//!
//! So the 64 triplets of molecular biology, all upper case ("unmarked"), are the bytes 0..=63 in alphabetical order,
//! and the [eighteen named codons](Codon::NAMED) are among them. `ATG`, the start codon of life, begins every genetic
//! sequence that is to be integrated at once.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::bounds::LimitError;

/// One letter triplet with its marking; one byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Codon(u8);

macro_rules! named {
    ($($name:ident $letters:literal $doc:literal,)*) => {
        impl Codon {
            $(
                #[doc = concat!("`", $letters, "`: ", $doc)]
                pub const $name: Self = Self::unmarked($letters);
            )*

            /// The named codons with their names, in the order when, where, how, why, what, order.
            pub const NAMED: [(&'static str, Self); 18] = [$((stringify!($name), Self::$name)),*];
        }
    };
}

named! {
    WHEN_IMMEDIATE "ATG" "integrate on arrival.",
    WHEN_THRESHOLD "TAC" "integrate once a metric reaches a value.",
    WHEN_PERIODIC "GCA" "integrate at intervals.",
    WHERE_MEMORY "CGT" "into a region of memory.",
    WHERE_PATTERN "TGA" "wherever a pattern matches.",
    WHERE_GENETIC "ACG" "at a locus of the genetic sequence.",
    HOW_MERGE "GTC" "blend with what is there.",
    HOW_REPLACE "CAT" "in place of what is there.",
    HOW_APPEND "AGC" "beside what is there.",
    WHY_OPTIMIZE "TCG" "to improve a metric.",
    WHY_ADAPT "GAT" "to fit a context.",
    WHY_LEARN "CTA" "to learn a task.",
    WHAT_WEIGHTS "GGA" "model weights.",
    WHAT_STRUCTURE "TTC" "a structure: a file, a graph, an architecture.",
    WHAT_PARAMETERS "AAG" "parameters of a process.",
    ORDER_FIRST "CCG" "before everything else.",
    ORDER_AFTER "TTG" "after another packet.",
    ORDER_PARALLEL "AAC" "beside others, in any order.",
}

impl Codon {
    /// Returns the codon of a byte.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// Returns the byte of the codon.
    pub const fn as_byte(self) -> u8 {
        self.0
    }

    /// Returns the three letters, which are ASCII.
    pub const fn letters(self) -> [u8; 3] {
        [
            letter(self.0 >> 4) | (self.0 >> 7) << 5,
            letter(self.0 >> 2) | (self.0 >> 6 & 1) << 5,
            letter(self.0),
        ]
    }

    /// Returns the name of the codon where it has one, such as `WHEN_IMMEDIATE`.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED
            .iter()
            .find(|(_, codon)| *codon == self)
            .map(|(name, _)| *name)
    }

    /// Reads three upper-case letters at compile time; anything else does not compile.
    const fn unmarked(letters: &str) -> Self {
        let &[first, second, third] = letters.as_bytes() else {
            panic!("a codon has three letters")
        };
        let (Some(first), Some(second), Some(third)) = (base(first), base(second), base(third))
        else {
            panic!("a codon is written over A, C, G, T")
        };
        Self(first << 4 | second << 2 | third)
    }
}

impl fmt::Display for Codon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters()
            .iter()
            .try_for_each(|&letter| fmt::Write::write_char(f, char::from(letter)))
    }
}

impl fmt::Debug for Codon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}({self})"),
            None => write!(f, "Codon({self})"),
        }
    }
}

impl FromStr for Codon {
    type Err = CodonError;

    fn from_str(text: &str) -> Result<Self, CodonError> {
        match decode(text)?.as_slice() {
            [byte] => Ok(Self(*byte)),
            _ => Err(CodonError {
                position: 0,
                text: text.chars().take(3).collect(),
            }),
        }
    }
}

/// A place in a text where no codon stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no codon at letter {position}: {text:?} (three letters of A, C, G, T, the third in upper case)"
)]
pub struct CodonError {
    /// Byte offset of the offending triplet in the text.
    pub position: usize,
    /// The offending triplet, or what is left of the text where that is shorter.
    pub text: String,
}

/// Writes every byte of `payload` as a codon: three letters each.
///
/// ```
/// assert_eq!(chorus_core::codon::encode(&[0x0e, 0x4e, 0x8e, 0xce]), "ATGAtGaTGatG");
/// ```
pub fn encode(payload: &[u8]) -> String {
    let mut letters = vec![0; payload.len().saturating_mul(3)];
    encode_exact(payload, &mut letters);
    // The letters are ASCII by construction, so nothing is ever replaced or copied here.
    String::from_utf8(letters).unwrap_or_default()
}

/// Writes every byte of `payload` as a codon into the front of `letters`; returns how many letters were written.
///
/// # Errors
/// [`LimitError`] where `letters` is shorter than three times `payload`; nothing is written then.
pub fn encode_into(payload: &[u8], letters: &mut [u8]) -> Result<usize, LimitError> {
    let needed = payload.len().saturating_mul(3);
    let room = letters.len();
    let Some(letters) = letters.get_mut(..needed) else {
        return Err(LimitError {
            what: "letters of a genetic sequence",
            got: needed as u64,
            max: room as u64,
        });
    };
    encode_exact(payload, letters);
    Ok(needed)
}

/// Reads a text of codons.
///
/// # Errors
/// [`CodonError`] with the place of the first triplet that is no codon.
pub fn decode(text: &str) -> Result<Vec<u8>, CodonError> {
    let mut payload = vec![0; text.len() / 3];
    decode_exact(text.as_bytes(), &mut payload)
        .map_err(|position| CodonError::at(position, text.as_bytes()))?;
    Ok(payload)
}

/// Reads codons from ASCII `letters` into the front of `payload`; returns how many bytes were written.
///
/// # Errors
/// [`DecodeIntoError`]: no codon at some place, or no room.
pub fn decode_into(letters: &[u8], payload: &mut [u8]) -> Result<usize, DecodeIntoError> {
    let (needed, room) = (letters.len() / 3, payload.len());
    let Some(payload) = payload.get_mut(..needed) else {
        return Err(LimitError {
            what: "bytes of a genetic sequence",
            got: needed as u64,
            max: room as u64,
        }
        .into());
    };
    decode_exact(letters, payload).map_err(|position| CodonError::at(position, letters))?;
    Ok(needed)
}

/// Why letters were not read into a slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeIntoError {
    /// A triplet is no codon.
    #[error(transparent)]
    Codon(#[from] CodonError),
    /// The slice is too short.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl CodonError {
    fn at(position: usize, letters: &[u8]) -> Self {
        let rest = letters.get(position..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(MAX_SHOWN)).unwrap_or_default();
        let text = String::from_utf8_lossy(rest).chars().take(3).collect();
        Self { position, text }
    }
}

/// Writes 8 bytes as 24 letters per turn. `letters` is exactly three times as long as `payload`.
fn encode_exact(payload: &[u8], letters: &mut [u8]) {
    let (blocks, rest) = payload.as_chunks::<8>();
    let (wide, narrow) = letters.as_chunks_mut::<24>();
    for (&[a, b, c, d, e, f, g, h], out) in blocks.iter().zip(wide) {
        let [a, b, c, d] = [a, b, c, d].map(|byte| ENCODE[usize::from(byte)]);
        let [e, f, g, h] = [e, f, g, h].map(|byte| ENCODE[usize::from(byte)]);
        out[..8].copy_from_slice(&(a | b << 24 | c << 48).to_le_bytes());
        out[8..16].copy_from_slice(&(c >> 16 | d << 8 | e << 32 | f << 56).to_le_bytes());
        out[16..].copy_from_slice(&(f >> 8 | g << 16 | h << 40).to_le_bytes());
    }
    let (narrow, _) = narrow.as_chunks_mut::<3>();
    for (&byte, out) in rest.iter().zip(narrow) {
        *out = Codon(byte).letters();
    }
}

/// Reads 24 letters as 8 bytes per turn. `payload` is a third as long as `letters`, rounded down. The error is the
/// offset of the first triplet that is no codon.
fn decode_exact(letters: &[u8], payload: &mut [u8]) -> Result<(), usize> {
    let mut faults = 0;
    let (triplets, rest) = letters.as_chunks::<3>();
    for (&[first, second, third], byte) in triplets.iter().zip(payload) {
        let entry = DECODE[0][usize::from(first)]
            | DECODE[1][usize::from(second)]
            | DECODE[2][usize::from(third)];
        faults |= entry;
        *byte = entry.to_le_bytes()[0];
    }
    if faults & FAULT == 0 && rest.is_empty() {
        return Ok(());
    }
    let is_fault = |letters: &[u8; 3]| {
        letters
            .iter()
            .zip(&DECODE)
            .any(|(&l, table)| table[usize::from(l)] == FAULT)
    };
    Err(triplets.iter().position(is_fault).unwrap_or(triplets.len()) * 3)
}

/// Returns the letter of the two lowest bits, in upper case.
const fn letter(bits: u8) -> u8 {
    [b'A', b'C', b'G', b'T'][(bits & 3) as usize]
}

/// Returns the two bits of an upper-case letter.
const fn base(letter: u8) -> Option<u8> {
    match letter {
        b'A' => Some(0),
        b'C' => Some(1),
        b'G' => Some(2),
        b'T' => Some(3),
        _ => None,
    }
}

/// The three letters of every byte, first letter lowest.
const ENCODE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let [first, second, third] = Codon(byte as u8).letters();
        table[byte] = first as u64 | (second as u64) << 8 | (third as u64) << 16;
        byte += 1;
    }
    table
};

/// What every letter contributes to the byte in the first, second and third place, or [`FAULT`].
const DECODE: [[u16; 256]; 3] = {
    let mut tables = [[FAULT; 256]; 3];
    let mut bits = 0;
    while bits < 4 {
        let upper = letter(bits as u8) as usize;
        let lower = upper | 0x20;
        tables[0][upper] = bits << 4;
        tables[0][lower] = bits << 4 | 0x80;
        tables[1][upper] = bits << 2;
        tables[1][lower] = bits << 2 | 0x40;
        tables[2][upper] = bits;
        bits += 1;
    }
    tables
};

const FAULT: u16 = 0x8000;
/// Bytes looked at for the three characters of an error: four each in UTF-8.
const MAX_SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_named_codons_have_the_letters_and_bytes_of_the_table() {
        let table = [
            ("WHEN_IMMEDIATE", "ATG", 0x0e),
            ("WHEN_THRESHOLD", "TAC", 0x31),
            ("WHEN_PERIODIC", "GCA", 0x24),
            ("WHERE_MEMORY", "CGT", 0x1b),
            ("WHERE_PATTERN", "TGA", 0x38),
            ("WHERE_GENETIC", "ACG", 0x06),
            ("HOW_MERGE", "GTC", 0x2d),
            ("HOW_REPLACE", "CAT", 0x13),
            ("HOW_APPEND", "AGC", 0x09),
            ("WHY_OPTIMIZE", "TCG", 0x36),
            ("WHY_ADAPT", "GAT", 0x23),
            ("WHY_LEARN", "CTA", 0x1c),
            ("WHAT_WEIGHTS", "GGA", 0x28),
            ("WHAT_STRUCTURE", "TTC", 0x3d),
            ("WHAT_PARAMETERS", "AAG", 0x02),
            ("ORDER_FIRST", "CCG", 0x16),
            ("ORDER_AFTER", "TTG", 0x3e),
            ("ORDER_PARALLEL", "AAC", 0x01),
        ];
        for ((name, letters, byte), (named, codon)) in table.into_iter().zip(Codon::NAMED) {
            assert_eq!(
                (name, letters, byte),
                (named, &*codon.to_string(), codon.as_byte())
            );
            assert_eq!(codon.name(), Some(name));
            assert_eq!(letters.parse(), Ok(codon));
        }
    }

    #[test]
    fn every_byte_is_one_codon_and_every_codon_one_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        let mut codons: Vec<&[u8; 3]> = text.as_bytes().as_chunks().0.iter().collect();
        assert_eq!(decode(&text), Ok(all));
        codons.sort_unstable();
        codons.dedup();
        assert_eq!(codons.len(), 256);
        assert!(codons.iter().all(|codon| codon[2].is_ascii_uppercase()));
    }

    /// Golden: the four markings of the first and the last triplet, the first eight codons, and a word that was
    /// worked out from the table in the module's documentation by a separate Python script.
    #[test]
    fn the_letters_of_known_bytes_do_not_change() {
        assert_eq!(encode(&[0, 0x40, 0x80, 0xc0]), "AAAAaAaAAaaA");
        assert_eq!(encode(&[0x3f, 0x7f, 0xbf, 0xff]), "TTTTtTtTTttT");
        assert_eq!(
            encode(&[0, 1, 2, 3, 4, 5, 6, 7]),
            "AAAAACAAGAATACAACCACGACT"
        );
        assert_eq!(encode(b"Chorus"), "AaTGgAGtTTaGTcCTaT");
        assert_eq!(encode(b""), "");
    }

    #[test]
    fn lengths_around_the_block_size_round_trip() {
        let payload: Vec<u8> = (0..100u8).map(|byte| byte.wrapping_mul(37)).collect();
        for len in 0..payload.len() {
            let text = encode(&payload[..len]);
            assert_eq!(text.len(), len * 3);
            assert_eq!(decode(&text).as_deref(), Ok(&payload[..len]));
        }
    }

    #[test]
    fn an_error_names_the_place_and_the_text() {
        for (text, position, offending) in [
            ("ATGAXG", 3, "AXG"),
            ("ATg", 0, "ATg"),
            ("ATGA", 3, "A"),
            ("ATGAT", 3, "AT"),
            ("ATG TAC", 3, " TA"),
            ("ATGÀCG", 3, "ÀCG"),
            ("NNN", 0, "NNN"),
            ("ATGATUATGATUATGATUATGATUATGATU", 3, "ATU"),
        ] {
            let error = decode(text).unwrap_err();
            assert_eq!(
                (error.position, &*error.text),
                (position, offending),
                "{text}"
            );
        }
        assert_eq!(
            decode("ATGAXG").unwrap_err().to_string(),
            "no codon at letter 3: \"AXG\" (three letters of A, C, G, T, the third in upper case)"
        );
    }

    #[test]
    fn a_slice_without_room_is_refused_untouched() {
        let mut letters = [0; 5];
        let error = encode_into(&[1, 2], &mut letters).unwrap_err();
        assert_eq!((error.got, error.max, letters), (6, 5, [0; 5]));
        let mut payload = [0; 1];
        assert!(matches!(
            decode_into(b"ATGATG", &mut payload),
            Err(DecodeIntoError::Limit(_))
        ));
        assert_eq!(
            (decode_into(b"ATG", &mut payload), payload),
            (Ok(1), [0x0e])
        );
    }
}
