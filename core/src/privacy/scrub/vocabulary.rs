//! The words that rules look for, in a hash table that is built once per scanner.

use alloc::vec;
use alloc::vec::Vec;

/// What a word says about what stands near it: a set of the constants below.
pub(super) type Flags = u32;

pub(super) const BIRTH: Flags = 1;
pub(super) const PHONE: Flags = 1 << 1;
pub(super) const CARD: Flags = 1 << 2;
pub(super) const BANK: Flags = 1 << 3;
pub(super) const ID: Flags = 1 << 4;
pub(super) const TAX: Flags = 1 << 5;
pub(super) const HEALTH: Flags = 1 << 6;
pub(super) const PASSPORT: Flags = 1 << 7;
pub(super) const LICENCE: Flags = 1 << 8;
pub(super) const NET: Flags = 1 << 9;
pub(super) const VERSION: Flags = 1 << 10;
pub(super) const SECRET: Flags = 1 << 11;
pub(super) const WALLET: Flags = 1 << 12;
pub(super) const ORDER: Flags = 1 << 13;
pub(super) const CURRENCY: Flags = 1 << 14;
pub(super) const NAME_CUE: Flags = 1 << 15;
pub(super) const TITLE: Flags = 1 << 16;
pub(super) const PARTICLE: Flags = 1 << 17;
pub(super) const SUFFIX: Flags = 1 << 18;
pub(super) const MONTH: Flags = 1 << 19;
pub(super) const STREET_AFTER: Flags = 1 << 20;
pub(super) const STREET_BEFORE: Flags = 1 << 21;
pub(super) const ADDRESS: Flags = 1 << 22;
pub(super) const COMMON: Flags = 1 << 23;
pub(super) const FIRST: Flags = 1 << 24;
pub(super) const LAST: Flags = 1 << 25;

/// Words near a number that say whose it is.
pub(super) const PERSONAL: Flags = ID | TAX | HEALTH | PASSPORT | LICENCE;

/// The names of the classes in `words.txt`, in the order of their bits.
const CLASSES: [&str; 26] = [
    "birth",
    "phone",
    "card",
    "bank",
    "id",
    "tax",
    "health",
    "passport",
    "licence",
    "net",
    "version",
    "secret",
    "wallet",
    "order",
    "currency",
    "namecue",
    "title",
    "particle",
    "suffixname",
    "month",
    "streetafter",
    "streetbefore",
    "address",
    "common",
    "first",
    "last",
];

const WORDS: &str = include_str!("words.txt");

/// Slots of the table: a power of two, at least twice the words.
const SLOTS: usize = 8192;

/// Letters that a `word*` may have. A longer word is looked up by each of these lengths.
const PREFIXES: core::ops::RangeInclusive<usize> = 5..=10;

/// A hash table from words to what they say.
pub(super) struct Vocabulary {
    /// Hash and flags; flags 0 where empty.
    slots: Vec<(u32, Flags)>,
    /// The same for prefixes.
    prefixes: Vec<(u32, Flags)>,
    /// For each first letter the second letters of prefixes, one bit each: few words are worth a look.
    starts: [u32; 32],
}

impl Vocabulary {
    /// Reads `words.txt`.
    pub(super) fn new() -> Self {
        let mut vocabulary = Self {
            slots: vec![(0, 0); SLOTS],
            prefixes: vec![(0, 0); PREFIX_SLOTS],
            starts: [0; 32],
        };
        for line in WORDS.lines() {
            let Some((class, words)) = line.split_once(':') else {
                continue;
            };
            let Some(bit) = CLASSES.iter().position(|name| *name == class) else {
                continue;
            };
            for word in words.split(' ').filter(|word| !word.is_empty()) {
                let (word, table) = match word.strip_suffix('*') {
                    Some(prefix) => {
                        if let [first, second, ..] = prefix.as_bytes() {
                            vocabulary.starts[usize::from(first & 31)] |= 1 << (second & 31);
                        }
                        insert(&mut vocabulary.slots, prefix, 1 << bit);
                        (prefix, &mut vocabulary.prefixes)
                    }
                    None => (word, &mut vocabulary.slots),
                };
                insert(table, word, 1 << bit);
            }
        }
        vocabulary
    }

    /// Returns what `word` (ASCII, any case) says; 0 for most words.
    #[inline]
    pub(super) fn look_up(&self, word: &[u8]) -> Flags {
        if word.len() > MAX_WORD {
            return 0;
        }
        let found = get(&self.slots, hash(word));
        let may_start =
            |word: &[u8]| self.starts[usize::from(word[0] & 31)] >> (word[1] & 31) & 1 == 1;
        if found != 0 || word.len() <= *PREFIXES.start() || !may_start(word) {
            return found;
        }
        PREFIXES
            .filter_map(|len| word.get(..len))
            .fold(0, |flags, prefix| flags | get(&self.prefixes, hash(prefix)))
    }
}

/// Letters of the longest word that is looked up.
const MAX_WORD: usize = 32;
const PREFIX_SLOTS: usize = 512;

fn insert(table: &mut [(u32, Flags)], word: &str, flags: Flags) {
    let hash = hash(word.as_bytes());
    let mask = table.len() - 1;
    let mut at = hash as usize & mask;
    // The tables are larger than what is put in: an empty slot is found.
    while table[at].1 != 0 && table[at].0 != hash {
        at = (at + 1) & mask;
    }
    table[at] = (hash, table[at].1 | flags);
}

#[inline]
fn get(table: &[(u32, Flags)], hash: u32) -> Flags {
    let mask = table.len() - 1;
    let mut at = hash as usize & mask;
    loop {
        let (found, flags) = table[at];
        if flags == 0 || found == hash {
            return flags;
        }
        at = (at + 1) & mask;
    }
}

/// Hashes up to [`MAX_WORD`] letters without regard to case, eight at a time.
#[inline]
fn hash(word: &[u8]) -> u32 {
    let mut state = word.len() as u64;
    let mut chunks = word.chunks_exact(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        state = mix(state, u64::from_le_bytes(bytes));
    }
    let tail = chunks.remainder();
    let mut last = 0u64;
    for &byte in tail {
        last = last << 8 | u64::from(byte);
    }
    (mix(state, last) >> 32) as u32
}

#[inline]
fn mix(state: u64, bytes: u64) -> u64 {
    // Bit 5 tells ASCII letters' cases apart.
    let folded = bytes | 0x2020_2020_2020_2020;
    (state ^ folded)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case_and_by_their_beginning() {
        let vocabulary = Vocabulary::new();
        assert_eq!(vocabulary.look_up(b"IBAN"), BANK);
        assert_ne!(vocabulary.look_up(b"Telefonnummer") & PHONE, 0);
        assert_ne!(vocabulary.look_up(b"Geburtstag") & BIRTH, 0);
        assert_ne!(vocabulary.look_up(b"martin") & FIRST & !LAST, 0);
        assert_eq!(vocabulary.look_up(b"zebra"), 0);
        assert_eq!(vocabulary.look_up(&[b'x'; 99]), 0);
    }

    #[test]
    fn every_class_in_the_file_is_known_and_no_two_words_share_a_hash() {
        let mut hashes = alloc::collections::BTreeMap::new();
        let mut prefixes = 0;
        for line in WORDS.lines().filter(|line| !line.starts_with('#')) {
            let (class, words) = line.split_once(':').unwrap();
            assert!(CLASSES.contains(&class), "{class}");
            for word in words.split(' ').filter(|word| !word.is_empty()) {
                prefixes += usize::from(word.ends_with('*'));
                let word = word.trim_end_matches('*');
                assert!(word.len() <= MAX_WORD && word.is_ascii(), "{word}");
                assert_eq!(*hashes.entry(hash(word.as_bytes())).or_insert(word), word);
            }
        }
        assert!(hashes.len() * 2 <= SLOTS && prefixes * 2 <= PREFIX_SLOTS);
    }
}
