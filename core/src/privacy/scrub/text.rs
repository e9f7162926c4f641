//! One pass over folded text: which tokens are worth a closer look, and what the words around them say.

use alloc::vec::Vec;
use core::cell::Cell;

use super::secret;
use super::vocabulary::{COMMON, Flags, Vocabulary};

/// A token that a rule looks at, or a word that says something about its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    /// Offset in the folded text.
    pub(super) at: u32,
    /// Length in bytes, at most [`u16::MAX`] is told.
    pub(super) len: u16,
    /// Which rules look at it.
    pub(super) marks: u16,
    /// What the word says.
    pub(super) flags: Flags,
    /// How many words that say something come before it.
    rank: u32,
}

impl Hit {
    pub(super) fn start(&self) -> usize {
        self.at as usize
    }

    pub(super) fn end(&self) -> usize {
        self.at as usize + usize::from(self.len)
    }
}

/// The token has a digit.
pub(super) const DIGITS: u16 = 1;
/// An `@`.
pub(super) const AT: u16 = 1 << 1;
/// `://` or `::`.
pub(super) const COLONS: u16 = 1 << 2;
/// Capitals before a digit, as in `ZZ 12 34`.
pub(super) const LEAD: u16 = 1 << 3;
/// A directory below which people's directories are.
pub(super) const HOMES: u16 = 1 << 4;
/// A long token, or one that begins like a key.
pub(super) const LONG: u16 = 1 << 5;
/// A word that ends like a street, before a number.
pub(super) const COMPOUND: u16 = 1 << 6;
/// The word begins with a capital.
pub(super) const CAPITAL: u16 = 1 << 7;
/// Characters of base64 begin here, as many as are worth a look, with signs among the letters.
pub(super) const SIGNS: u16 = 1 << 8;

/// Folded text with its hits, in ascending order.
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) hits: Vec<Hit>,
    /// The hits that say something about their neighbours.
    words: Vec<u32>,
    pub(super) vocabulary: &'a Vocabulary,
    /// Bytes and hits that were looked at: the work done, whatever the clock says.
    steps: Cell<u64>,
    /// Where the last run that [`Text::run_end`] read begins and ends.
    run: Cell<(usize, usize)>,
}

impl<'a> Text<'a> {
    /// Reads `bytes`, at most 2³² of them. O(n).
    pub(super) fn new(bytes: &'a [u8], vocabulary: &'a Vocabulary) -> Self {
        let mut text = Self {
            bytes,
            hits: Vec::with_capacity(bytes.len() / 16),
            words: Vec::new(),
            vocabulary,
            steps: Cell::new(bytes.len() as u64),
            run: Cell::new((0, 0)),
        };
        text.read();
        text
    }

    fn read(&mut self) {
        let bytes = self.bytes;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let class = CLASS[usize::from(byte)];
            if class & WORD == 0 {
                if class & MARK != 0 {
                    self.punctuation(at);
                }
                at += 1;
                continue;
            }
            let start = at;
            let mut seen = 0;
            while let Some(&byte) = bytes.get(at) {
                let class = CLASS[usize::from(byte)];
                if class & WORD == 0 {
                    break;
                }
                seen |= class;
                at += 1;
            }
            self.token(start, at, seen);
        }
    }

    fn punctuation(&mut self, at: usize) {
        let marks = match &self.bytes[at..] {
            [b'@', ..] => AT,
            [b':', b'/', b'/', ..] | [b':', b':', ..] => COLONS,
            _ => return,
        };
        self.hit(at, at + 1, marks, 0);
    }

    #[inline]
    fn token(&mut self, start: usize, end: usize, seen: u8) {
        let bytes = self.bytes;
        let len = end - start;
        let next = bytes.get(end).copied().unwrap_or(b' ');
        let capital = CLASS[usize::from(bytes[start])] & UPPER != 0;
        let mut marks = if capital { CAPITAL } else { 0 };
        let mut flags = 0;
        if seen & DIGIT != 0 {
            marks |= DIGITS;
        } else {
            flags = self.vocabulary.look_up(&bytes[start..end]);
            if !capital {
                flags &= !COMMON;
            } else if is_blank(next) || matches!(next, b'-' | b'.') {
                marks |= self.before_number(start, end, seen);
            }
        }
        let previous = self.before(start);
        if len == 2
            && matches!(previous, b'(' | b'[' | b'{' | b'<')
            && bytes[start..end].eq_ignore_ascii_case(b"at")
        {
            marks |= AT;
        }
        if previous == b'-' && &bytes[start..end] == b"BEGIN" {
            marks |= LONG;
        }
        if len < LONG_TOKEN
            && matches!(next, b'+' | b'/' | b'-' | b'_')
            && !is_base64(previous)
            && bytes
                .get(start..start + LONG_TOKEN)
                .is_some_and(|blob| blob.iter().all(|byte| is_base64(*byte)))
        {
            marks |= SIGNS;
        }
        if len >= LONG_TOKEN
            || (matches!(next, b'-' | b'_' | b'.') && secret::starts_key(&bytes[start..]))
        {
            marks |= LONG;
        }
        if matches!(previous, b'/' | b'\\') && matches!(next, b'/' | b'\\') {
            let name = &bytes[start..end];
            if HOME_NAMES
                .iter()
                .any(|home| home.eq_ignore_ascii_case(name))
            {
                marks |= HOMES;
            }
        }
        if flags != 0 || marks & !CAPITAL != 0 {
            self.hit(start, end, marks, flags);
        }
    }

    /// Returns the marks of a capitalised word that a number follows.
    fn before_number(&self, start: usize, end: usize, seen: u8) -> u16 {
        let rest = &self.bytes[end..];
        let skipped = rest
            .iter()
            .take(2)
            .take_while(|byte| matches!(byte, b'.' | b' ' | b'-'))
            .count();
        if !rest.get(skipped).is_some_and(u8::is_ascii_digit) {
            // The dot of `str.` may be followed by a blank.
            return 0;
        }
        if seen & LOWER == 0 && end - start <= 4 {
            return LEAD;
        }
        let word = &self.bytes[start..end];
        let compound = word.len() >= 3
            && STREET_ENDS.iter().any(|suffix| {
                word.len() >= suffix.len()
                    && word[word.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
            });
        if compound { COMPOUND } else { 0 }
    }

    fn hit(&mut self, start: usize, end: usize, marks: u16, flags: Flags) {
        self.hits.push(Hit {
            at: start as u32,
            len: u16::try_from(end - start).unwrap_or(u16::MAX),
            marks,
            flags,
            rank: self.words.len() as u32,
        });
        if flags != 0 {
            self.words.push(self.hits.len() as u32 - 1);
        }
    }

    /// Returns the words that say something before hit `index`, the nearest first, and those from it on.
    fn around(&self, index: usize) -> (impl Iterator<Item = &Hit>, impl Iterator<Item = &Hit>) {
        let rank = self
            .hits
            .get(index)
            .map_or(self.words.len(), |hit| hit.rank as usize);
        let (before, after) = self.words.split_at(rank.min(self.words.len()));
        let hit = |at: &u32| self.hits.get(*at as usize);
        (
            before.iter().rev().filter_map(hit),
            after.iter().filter_map(hit),
        )
    }

    /// Counts `steps` of work.
    pub(super) fn work(&self, steps: usize) {
        self.steps.set(self.steps.get() + steps as u64);
    }

    /// Returns the work done so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Returns the end of the run of bytes of one kind, always the same, at `at`; at most [`MAX_RUN`] are read. A run
    /// that was read from an earlier byte is not read again.
    pub(super) fn run_end(&self, at: usize, is_in: impl Fn(u8) -> bool) -> usize {
        let (start, end) = self.run.get();
        if (start..end).contains(&at) && (end - start < MAX_RUN || end - at >= MAX_RUN / 2) {
            return end;
        }
        let rest = self.bytes.get(at..).unwrap_or_default();
        let len = rest
            .iter()
            .take(MAX_RUN)
            .take_while(|byte| is_in(**byte))
            .count();
        self.work(len);
        self.run.set((at, at + len));
        at + len
    }

    /// Returns the byte at `at`, or a blank outside the text.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b' ')
    }

    /// Returns the byte before `at`, or a blank.
    pub(super) fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(b' ', |at| self.byte(at))
    }

    /// Returns whether one of `words` (lower case) is before the span, or after it half as far.
    pub(super) fn near_word(
        &self,
        index: usize,
        span: (usize, usize),
        words: &[&str],
        reach: usize,
    ) -> bool {
        let is_one = |hit: &&Hit| {
            let word = self.bytes.get(hit.start()..hit.end()).unwrap_or_default();
            words
                .iter()
                .any(|one| one.as_bytes().eq_ignore_ascii_case(word))
        };
        let (before, after) = self.around(index);
        let mut before = before.take_while(|hit| hit.end() + reach >= span.0);
        let mut after = after.take_while(|hit| hit.start() <= span.1 + reach / 2);
        self.work(words.len());
        before.find(is_one).is_some() || after.find(is_one).is_some()
    }

    /// Returns how far the nearest word with one of `flags` is from the span: before it at most `reach` bytes, after it
    /// half as many, where each counts twice. `index` is a hit near the span.
    pub(super) fn near(
        &self,
        index: usize,
        span: (usize, usize),
        flags: Flags,
        reach: usize,
    ) -> Option<usize> {
        let mut looked = 0;
        let mut nearest = None;
        let (before, after) = self.around(index);
        for hit in before {
            looked += 1;
            let Some(distance) = span.0.checked_sub(hit.end()) else {
                continue;
            };
            if distance > reach {
                break;
            }
            if hit.flags & flags != 0 {
                nearest = Some(distance);
                break;
            }
        }
        for hit in after {
            looked += 1;
            if hit.start() < span.1 {
                continue;
            }
            let distance = (hit.start() - span.1) * 2;
            if distance > reach || nearest.is_some_and(|nearest| nearest <= distance) {
                break;
            }
            if hit.flags & flags != 0 {
                nearest = Some(distance);
                break;
            }
        }
        self.work(looked);
        nearest
    }
}

/// Tokens of at least so many letters and digits may be keys or wallets. The shortest key that is looked for has 16.
const LONG_TOKEN: usize = 16;

/// Bytes of a run that are read at once: a key has no more.
const MAX_RUN: usize = 4096;

/// Where systems keep people's directories, in the languages that show them translated.
const HOME_NAMES: [&[u8]; 7] = [
    b"home",
    b"users",
    b"benutzer",
    b"usuarios",
    b"utilisateurs",
    b"utenti",
    b"homes",
];

/// How street names end where they are one word: German, Dutch, Swedish.
const STREET_ENDS: [&[u8]; 20] = [
    b"strasse", b"strase", b"str", b"weg", b"platz", b"allee", b"gasse", b"ring", b"damm", b"ufer",
    b"steig", b"straat", b"laan", b"plein", b"gracht", b"singel", b"gatan", b"vagen", b"grand",
    b"torget",
];

/// Returns whether `byte` is a character of base64 (RFC 4648), in either alphabet.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Returns whether `byte` is a letter or digit, of whatever script.
pub(super) fn is_word(byte: u8) -> bool {
    CLASS[usize::from(byte)] & WORD != 0
}

const WORD: u8 = 1;
const DIGIT: u8 = 1 << 1;
const UPPER: u8 = 1 << 2;
const LOWER: u8 = 1 << 3;
/// Punctuation that a rule looks at.
const MARK: u8 = 1 << 4;

/// The class of every byte.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => WORD | DIGIT,
            b'A'..=b'Z' => WORD | UPPER,
            b'a'..=b'z' | super::fold::OTHER_LETTER => WORD | LOWER,
            b'@' | b':' => MARK,
            _ => 0,
        };
        byte += 1;
    }
    table
};
