//! Text as a person reads it: look-alike letters become plain ones, invisible characters vanish, escapes are read.
//!
//! Every byte of the folded text knows where it came from, so that findings point into the original. Sources: Unicode
//! Standard, chapter 23 (invisible characters); UTS 39, section 4 (confusables, of which only Cyrillic and Greek
//! letters that look like Latin ones are read); RFC 3986, section 2.1; HTML, section 13.5; RFC 8259, section 7.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Stands for a letter of a script that no rule reads.
pub(super) const OTHER_LETTER: u8 = 0x80;
/// Stands for a symbol that no rule reads, and for bytes that are no UTF-8.
pub(super) const OTHER_SYMBOL: u8 = 0x81;

/// Folded text and the way back.
pub(super) struct Folded<'a> {
    /// The text that rules read: ASCII, [`OTHER_LETTER`] and [`OTHER_SYMBOL`].
    pub(super) text: Cow<'a, [u8]>,
    /// Where the distance between folded and original offset changes: (folded, original), both ascending.
    steps: Vec<(u32, u32)>,
}

impl<'a> Folded<'a> {
    /// Folds `bytes`, at most 2³² of them. O(n).
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let plain = first_special(bytes);
        if plain == bytes.len() {
            return Self {
                text: Cow::Borrowed(bytes),
                steps: Vec::new(),
            };
        }
        let mut folder = Folder {
            text: Vec::with_capacity(bytes.len()),
            steps: Vec::new(),
        };
        let mut at = 0;
        while at < bytes.len() {
            let run = first_special(&bytes[at..]);
            folder.text.extend_from_slice(&bytes[at..at + run]);
            at += run;
            if at < bytes.len() {
                at += folder.special(&bytes[at..], at);
            }
        }
        Self {
            text: Cow::Owned(folder.text),
            steps: folder.steps,
        }
    }

    /// Returns the offset in the original of the folded offset `at`: where that byte's character begins.
    pub(super) fn origin(&self, at: usize) -> usize {
        let after = self.steps.partition_point(|step| step.0 as usize <= at);
        match after.checked_sub(1).and_then(|index| self.steps.get(index)) {
            Some(&(folded, original)) => original as usize + (at - folded as usize),
            None => at,
        }
    }

    /// Returns the offset in the original after the character that folded byte `at - 1` came from.
    pub(super) fn origin_end(&self, at: usize, bytes: &[u8]) -> usize {
        let Some(last) = at.checked_sub(1) else {
            return 0;
        };
        let from = self.origin(last);
        match bytes.get(from..) {
            Some(rest @ [first, ..]) if is_special(*first) => from + unit(rest).1,
            _ => from + 1,
        }
    }
}

struct Folder {
    text: Vec<u8>,
    steps: Vec<(u32, u32)>,
}

impl Folder {
    /// Reads one special unit at the start of `rest`, which is at `at` in the original; returns its length in bytes.
    fn special(&mut self, rest: &[u8], at: usize) -> usize {
        let (folded, len) = unit(rest);
        let before = self.text.len();
        self.text.extend(folded);
        let written = self.text.len() - before;
        if written != len {
            // The unit's own byte starts at `at`; what follows starts after the unit.
            self.step(before, at);
            self.step(self.text.len(), at + len);
        }
        len
    }

    fn step(&mut self, folded: usize, original: usize) {
        let step = (folded as u32, original as u32);
        match self.steps.last_mut() {
            Some(last) if last.0 == step.0 => *last = step,
            _ => self.steps.push(step),
        }
    }
}

/// Whether `byte` may not stand for itself.
const fn is_special(byte: u8) -> bool {
    (byte >= 0x80) | (byte == b'%') | (byte == b'&') | (byte == b'\\')
}

/// Returns the offset of the first byte that may not stand for itself.
fn first_special(bytes: &[u8]) -> usize {
    // Blocks first: most text is plain, and this loop compiles to vector instructions.
    let mut at = 0;
    for block in bytes.chunks_exact(32) {
        if block
            .iter()
            .fold(false, |any, &byte| any | is_special(byte))
        {
            break;
        }
        at += 32;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let found = rest.iter().position(|&byte| is_special(byte));
    at + found.unwrap_or(rest.len())
}

/// Returns what the unit at the start of `rest` (not empty) folds to, and its length in bytes.
fn unit(rest: &[u8]) -> (Option<u8>, usize) {
    match rest[0] {
        b'%' | b'&' | b'\\' => escape(rest).unwrap_or((Some(rest[0]), 1)),
        byte if byte < 0x80 => (Some(byte), 1),
        _ => match decode(rest) {
            Some((code, len)) => (fold(code), len),
            None => (Some(OTHER_SYMBOL), 1),
        },
    }
}

/// Reads `%40`, `&#64;`, `&#x40;` and `\u0040` where they stand for a character that rules read.
fn escape(rest: &[u8]) -> Option<(Option<u8>, usize)> {
    let (code, len) = match rest {
        [b'%', high, low, ..] => (hex(*high)? << 4 | hex(*low)?, 3),
        [b'&', b'#', b'x' | b'X', digits @ ..] => {
            let (code, len) = number(digits, 16)?;
            (code, len + 4)
        }
        [b'&', b'#', digits @ ..] => {
            let (code, len) = number(digits, 10)?;
            (code, len + 3)
        }
        [b'\\', b'u', a, b, c, d, ..] => {
            (hex(*a)? << 12 | hex(*b)? << 8 | hex(*c)? << 4 | hex(*d)?, 6)
        }
        _ => return None,
    };
    let printable = (0x20..0x7f).contains(&code) || (code >= 0x80 && rest[0] != b'%');
    printable.then(|| (fold(code), len))
}

/// Reads digits up to a semicolon; returns their value and count.
fn number(digits: &[u8], base: u32) -> Option<(u32, usize)> {
    let len = digits.iter().take(7).position(|&byte| byte == b';')?;
    let mut value = 0;
    for &digit in &digits[..len] {
        let digit = hex(digit).filter(|digit| *digit < base)?;
        value = value * base + digit;
    }
    (len > 0).then_some((value, len))
}

fn hex(byte: u8) -> Option<u32> {
    (byte as char).to_digit(16)
}

/// Reads one character of UTF-8 (Unicode Standard, table 3-7); returns its code point and length in bytes.
fn decode(rest: &[u8]) -> Option<(u32, usize)> {
    let len = match rest[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let text = core::str::from_utf8(rest.get(..len)?).ok()?;
    Some((text.chars().next()? as u32, len))
}

/// Returns the byte that stands for `code`; none where a reader sees nothing.
fn fold(code: u32) -> Option<u8> {
    let ascii = |code: u32| Some(code as u8);
    match code {
        0x20..=0x7e => ascii(code),
        // Invisible: soft hyphen, joiners, direction marks, variation selectors, tags, combining marks.
        0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f => None,
        0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfeff | 0xffa0 => None,
        0xfe00..=0xfe0f | 0xe0000..=0xe0fff | 0x300..=0x36f | 0x1ab0..=0x1aff | 0x20d0..=0x20ff => {
            None
        }
        0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => Some(b' '),
        0x2010..=0x2015 | 0x2212 | 0xfe58 | 0xfe63 | 0x2043 => Some(b'-'),
        0x2024 | 0x3002 | 0xff61 | 0x66b => Some(b'.'),
        0xb7 => Some(b'.'),
        0x2215 | 0x2044 => Some(b'/'),
        0x2018 | 0x2019 | 0x2bc => Some(b'\''),
        0x201c..=0x201f | 0xab | 0xbb => Some(b'"'),
        0xfe6b => Some(b'@'),
        0x2236 | 0xa789 => Some(b':'),
        0xff01..=0xff5e => ascii(code - 0xff01 + 0x21),
        0x660..=0x669 => ascii(code - 0x660 + 0x30),
        0x6f0..=0x6f9 => ascii(code - 0x6f0 + 0x30),
        0x966..=0x96f => ascii(code - 0x966 + 0x30),
        0x1d7ce..=0x1d7ff => ascii((code - 0x1d7ce) % 10 + 0x30),
        // Mathematical letters: thirteen alphabets of 52.
        0x1d400..=0x1d6a3 => {
            let letter = (code - 0x1d400) % 52;
            ascii(if letter < 26 {
                letter + 0x41
            } else {
                letter - 26 + 0x61
            })
        }
        0x2460..=0x2468 => ascii(code - 0x2460 + 0x31),
        0xc0..=0x17f => Some(LATIN[(code - 0xc0) as usize]),
        0xaa => Some(b'a'),
        0xba => Some(b'o'),
        0x1e00..=0x1eff => Some(vietnamese(code)),
        0x218 | 0x21a => ascii(if code == 0x218 { 0x53 } else { 0x54 }),
        0x219 | 0x21b => ascii(if code == 0x219 { 0x73 } else { 0x74 }),
        0x370..=0x52f => Some(lookalike(code)),
        0x2c6f..=0x2c7f | 0x250..=0x2af | 0x530..=0x1fff | 0x2e80..=0xd7ff => Some(OTHER_LETTER),
        0xf900..=0xfaff | 0x10000..=0x1cfff | 0x20000..=0x3ffff => Some(OTHER_LETTER),
        _ => Some(OTHER_SYMBOL),
    }
}

/// Base letters of U+00C0 to U+017F.
const LATIN: &[u8; 192] = b"AAAAAAACEEEEIIIIDNOOOOO*OUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty\
AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

/// Base letters of U+1E00 to U+1EFF, where the Vietnamese vowels are.
fn vietnamese(code: u32) -> u8 {
    let base = match code {
        0x1ea0..=0x1eb7 => b'A',
        0x1eb8..=0x1ec7 => b'E',
        0x1ec8..=0x1ecb => b'I',
        0x1ecc..=0x1ee3 => b'O',
        0x1ee4..=0x1ef1 => b'U',
        0x1ef2..=0x1ef9 => b'Y',
        0x1e9e => return b'S',
        _ => return OTHER_LETTER,
    };
    if code % 2 == 1 { base | 0x20 } else { base }
}

/// Returns the Latin letter that a Greek or Cyrillic one looks like.
fn lookalike(code: u32) -> u8 {
    let found = LOOKALIKES.iter().find(|pair| pair.0 as u32 == code);
    found.map_or(OTHER_LETTER, |pair| pair.1)
}

/// Source: UTS 39, confusables.txt, the pairs between Greek or Cyrillic and ASCII letters.
const LOOKALIKES: [(char, u8); 59] = [
    ('Α', b'A'),
    ('Β', b'B'),
    ('Ε', b'E'),
    ('Ζ', b'Z'),
    ('Η', b'H'),
    ('Ι', b'I'),
    ('Κ', b'K'),
    ('Μ', b'M'),
    ('Ν', b'N'),
    ('Ο', b'O'),
    ('Ρ', b'P'),
    ('Τ', b'T'),
    ('Υ', b'Y'),
    ('Χ', b'X'),
    ('α', b'a'),
    ('γ', b'y'),
    ('ι', b'i'),
    ('κ', b'k'),
    ('ν', b'v'),
    ('ο', b'o'),
    ('ρ', b'p'),
    ('υ', b'u'),
    ('χ', b'x'),
    ('ϳ', b'j'),
    ('А', b'A'),
    ('В', b'B'),
    ('С', b'C'),
    ('Е', b'E'),
    ('Н', b'H'),
    ('І', b'I'),
    ('Ј', b'J'),
    ('К', b'K'),
    ('М', b'M'),
    ('О', b'O'),
    ('Р', b'P'),
    ('Ѕ', b'S'),
    ('Т', b'T'),
    ('У', b'Y'),
    ('Х', b'X'),
    ('З', b'3'),
    ('а', b'a'),
    ('с', b'c'),
    ('е', b'e'),
    ('һ', b'h'),
    ('і', b'i'),
    ('ј', b'j'),
    ('о', b'o'),
    ('р', b'p'),
    ('ѕ', b's'),
    ('у', b'y'),
    ('х', b'x'),
    ('ԁ', b'd'),
    ('ԛ', b'q'),
    ('ԝ', b'w'),
    ('ѵ', b'v'),
    ('ӏ', b'l'),
    ('Ԍ', b'G'),
    ('к', b'k'),
    ('т', b't'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> alloc::string::String {
        alloc::string::String::from_utf8_lossy(&Folded::new(text.as_bytes()).text).into_owned()
    }

    #[test]
    fn what_looks_alike_folds_alike() {
        assert_eq!(
            folded("Müller, Weiß, ÇAĞRI, Łódź"),
            "Muller, Weis, CAGRI, Lodz"
        );
        assert_eq!(folded("４１１１ ٤١ 𝟒𝟏 раураl"), "4111 41 41 paypal");
        assert_eq!(folded("a\u{200b}b\u{ad}c\u{2060}d\u{301}"), "abcd");
        assert_eq!(
            folded("a%40b.c &#64; &#x40; \\u0040 100%"),
            "a@b.c @ @ @ 100%"
        );
        assert_eq!(folded("1\u{a0}2\u{2011}3"), "1 2-3");
    }

    #[test]
    fn offsets_lead_back_to_whole_characters() {
        let text = "x\u{200b}ü%40y\u{ad}";
        let folded = Folded::new(text.as_bytes());
        assert_eq!(&*folded.text, b"xu@y");
        assert_eq!(
            (folded.origin(0), folded.origin(1), folded.origin(2)),
            (0, 4, 6)
        );
        assert_eq!(folded.origin_end(2, text.as_bytes()), 6);
        assert_eq!(folded.origin_end(3, text.as_bytes()), 9);
        assert_eq!(folded.origin_end(4, text.as_bytes()), 10);
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_symbols() {
        let folded = Folded::new(b"a\xff\xc3b\xe2\x82");
        assert_eq!(&*folded.text, &[b'a', 0x81, 0x81, b'b', 0x81, 0x81]);
    }
}
