//! Content that is no UTF-8: text in UTF-16 or UTF-32, text of one byte per letter, and what only programs read.

use alloc::string::String;
use alloc::vec::Vec;

/// How text of two or four bytes per unit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    /// Bytes per unit: 2 or 4.
    unit: usize,
    is_big_endian: bool,
    /// Whether it begins with a byte order mark.
    has_mark: bool,
}

impl Wide {
    /// Reads text in UTF-16 or UTF-32, which a mark or zeros at every other place tell. `None` for what is neither, or could
    /// not be written again as it was. O(n).
    pub(super) fn read(content: &[u8]) -> Option<(Self, String)> {
        let wide = Self::of(content)?;
        let (text, is_whole) = wide.decode(content);
        (is_whole && is_readable(&text)).then_some((wide, text))
    }

    /// Writes `text` in this form. O(n).
    pub(super) fn write(self, text: &str) -> Vec<u8> {
        let mut left = Vec::with_capacity((text.len() + 1) * self.unit);
        let mark = self.has_mark.then_some('\u{feff}');
        for letter in mark.into_iter().chain(text.chars()) {
            if self.unit == 4 {
                let code = u32::from(letter);
                left.extend(if self.is_big_endian {
                    code.to_be_bytes()
                } else {
                    code.to_le_bytes()
                });
                continue;
            }
            for code in letter.encode_utf16(&mut [0; 2]) {
                left.extend(if self.is_big_endian {
                    code.to_be_bytes()
                } else {
                    code.to_le_bytes()
                });
            }
        }
        left
    }

    fn of(content: &[u8]) -> Option<Self> {
        let form = |unit, is_big_endian, has_mark| Self {
            unit,
            is_big_endian,
            has_mark,
        };
        let marked = match content {
            [0xff, 0xfe, 0, 0, ..] => Some(form(4, false, true)),
            [0, 0, 0xfe, 0xff, ..] => Some(form(4, true, true)),
            [0xff, 0xfe, ..] => Some(form(2, false, true)),
            [0xfe, 0xff, ..] => Some(form(2, true, true)),
            _ => None,
        };
        let unmarked = [
            form(4, false, false),
            form(4, true, false),
            form(2, false, false),
            form(2, true, false),
        ];
        marked.or_else(|| unmarked.into_iter().find(|form| form.has_zeros(content)))
    }

    /// Whether nearly all units of `content` are a plain letter and zeros.
    fn has_zeros(self, content: &[u8]) -> bool {
        let units = content.chunks_exact(self.unit);
        let all = units.len();
        let letter = if self.is_big_endian { self.unit - 1 } else { 0 };
        let is_plain = |unit: &&[u8]| {
            let mut places = unit.iter().enumerate();
            places.all(|(place, byte)| match place == letter {
                true => is_printable(*byte),
                false => *byte == 0,
            })
        };
        all >= MIN_UNITS && units.filter(is_plain).count() >= share(all)
    }

    /// Returns the text after the mark, and whether it tells the bytes wholly.
    fn decode(self, content: &[u8]) -> (String, bool) {
        let mark = if self.has_mark { self.unit } else { 0 };
        let units = content.get(mark..).unwrap_or_default();
        let units = units.chunks_exact(self.unit);
        let mut is_whole = units.remainder().is_empty();
        let number = |unit: &[u8]| {
            let next = |code: u32, byte: &u8| code << 8 | u32::from(*byte);
            if self.is_big_endian {
                unit.iter().fold(0, next)
            } else {
                unit.iter().rev().fold(0, next)
            }
        };
        let numbers = units.map(number);
        let mut text = String::with_capacity(content.len() / self.unit);
        let mut take = |letter: Option<char>| {
            is_whole &= letter.is_some();
            text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        };
        if self.unit == 4 {
            numbers.for_each(|code| take(char::from_u32(code)));
        } else {
            // Two bytes each.
            let codes = numbers.map(|code| u16::try_from(code).unwrap_or_default());
            char::decode_utf16(codes).for_each(|letter| take(letter.ok()));
        }
        (text, is_whole)
    }
}

/// Returns what a person would read in `content`, if it reads as text in some encoding: UTF-16 and UTF-32 with what is
/// broken in it, or UTF-8 in which other bytes are letters of Latin-1. O(n).
pub(super) fn text(content: &[u8]) -> Option<String> {
    if let Some(wide) = Wide::of(content) {
        let (text, _) = wide.decode(content);
        if is_readable(&text) {
            return Some(text);
        }
    }
    let printable = content.iter().filter(|byte| is_printable(**byte)).count();
    if printable < share(content.len()) {
        return None;
    }
    let mut text = String::with_capacity(content.len() + content.len() / 8);
    for chunk in content.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
    }
    Some(text)
}

/// Returns the text of two bytes per letter that stands in `content`, a line for each run. O(n).
pub(super) fn wide_strings(content: &[u8]) -> Vec<u8> {
    let mut strings = Vec::new();
    let mut at = 0;
    while let Some(rest) = content.get(at..).filter(|rest| rest.len() >= 2 * MIN_RUN) {
        let units = rest.as_chunks::<2>().0.iter();
        let run = units.take_while(|[low, high]| *high == 0 && is_printable(*low));
        let run = run.count();
        if run >= MIN_RUN {
            let units = rest.as_chunks::<2>().0.iter().take(run);
            strings.extend(units.map(|[low, _]| *low));
            strings.push(b'\n');
        }
        at += (2 * run).max(1);
    }
    strings
}

/// Whether nearly all letters of `text` are such.
fn is_readable(text: &str) -> bool {
    let is_letter = |letter: &char| !letter.is_control() || "\t\n\r".contains(*letter);
    let (mut all, mut letters) = (0, 0);
    for letter in text.chars() {
        all += 1;
        letters += usize::from(is_letter(&letter) && letter != char::REPLACEMENT_CHARACTER);
    }
    letters >= share(all)
}

/// Whether a byte is a letter in ASCII or Latin-1, or ends a line.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0xa0..)
}

/// How many of `all` make a text. Guess: nine in ten; three in four of random bytes are printable.
const fn share(all: usize) -> usize {
    all - all / 10
}

/// Units from which zeros tell an encoding. Guess: fewer are a number.
const MIN_UNITS: usize = 4;
/// Letters from which wide text is read inside other bytes. Guess: as `strings` does, and one more.
const MIN_RUN: usize = 5;
