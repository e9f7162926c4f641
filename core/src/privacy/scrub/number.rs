//! Runs of digits and letters with separators, held against the formats of every country.

use super::account::{iban, iban_len};
use super::format::{Format, formats};
use super::text::{Text, is_word};
use super::vocabulary::{BANK, CARD, CURRENCY, Flags, LICENCE, ORDER, PASSPORT, PERSONAL, VERSION};
use super::{Candidate, Kind};

/// Characters of the longest number: an IBAN of 34.
const MAX: usize = 34;

/// Letters and digits from one token on, without what separates them.
pub(super) struct Run {
    chars: [u8; MAX],
    /// Offset after each character.
    after: [u32; MAX],
    len: usize,
    /// Bit k: a group ends after k characters.
    ends: u64,
    /// The separators differ.
    is_mixed: bool,
    /// Characters of the first group that has lower-case letters and what follows it start here.
    lower_from: usize,
}

impl Run {
    /// Reads the run that starts at `start`.
    pub(super) fn read(text: &Text, start: usize) -> Self {
        let mut run = Self {
            chars: [0; MAX],
            after: [0; MAX],
            len: 0,
            ends: 0,
            is_mixed: false,
            lower_from: MAX + 1,
        };
        let (mut at, mut separator) = (start, None);
        loop {
            while run.len < MAX && text.byte(at).is_ascii_alphanumeric() {
                let byte = text.byte(at);
                if byte.is_ascii_lowercase() {
                    run.lower_from = run.lower_from.min(run.len);
                }
                run.chars[run.len] = byte.to_ascii_uppercase();
                at += 1;
                run.after[run.len] = at as u32;
                run.len += 1;
            }
            if !is_word(text.byte(at)) {
                run.ends |= 1 << run.len;
            }
            let gap = gap(text, at);
            if run.len == MAX || gap == 0 {
                break;
            }
            let this = text.byte(at + gap / 2);
            run.is_mixed |= separator.is_some_and(|other| other != this);
            separator = Some(this);
            at += gap;
        }
        text.work(at - start);
        run
    }

    fn end(&self, len: usize) -> usize {
        self.after[len - 1] as usize
    }

    /// Returns the confidence that the grouping of the first `len` characters gives to `format`.
    fn base(&self, len: usize, format: &Format) -> u8 {
        let layout = self.layout(len) & !1;
        let base = if layout == 0 {
            format.plain
        } else if format.layouts.contains(&layout) {
            format.grouped
        } else if format.plain >= 50 {
            // An unusual grouping says less.
            format.plain - if self.is_mixed { 25 } else { 10 }
        } else if self.is_even(len) {
            // Groups of equal length may hide a number.
            format.plain.saturating_sub(10)
        } else {
            0
        };
        base.saturating_sub(if self.lower_from < len { 10 } else { 0 })
    }

    /// Returns whether the groups of the first `len` characters have one length, at most four, but for a shorter last.
    fn is_even(&self, len: usize) -> bool {
        let group = (self.ends >> 1 << 1).trailing_zeros() as usize;
        let even = (1..=4).contains(&group)
            && (1..len).all(|at| (self.ends >> at & 1 == 1) == (at.is_multiple_of(group)));
        even && !self.is_mixed
    }

    /// Returns the ends of groups inside the first `len` characters.
    fn layout(&self, len: usize) -> u64 {
        self.ends & ((1 << len) - 1)
    }
}

/// Returns the length of what separates two groups at `at`; 0 where nothing does.
fn gap(text: &Text, at: usize) -> usize {
    let is_separator = |byte: u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'_' | b'+' | b':');
    let next = text.byte(at + 1).is_ascii_alphanumeric();
    if is_separator(text.byte(at)) && next {
        return 1;
    }
    let dashed = text
        .bytes
        .get(at..at + 3)
        .is_some_and(|gap| matches!(gap, b" - " | b" / "));
    if dashed && text.byte(at + 3).is_ascii_alphanumeric() {
        3
    } else {
        0
    }
}

/// Returns the best reading of the number that starts at `start`, which hit `index` is.
pub(super) fn find(text: &Text, index: usize, start: usize, run: &Run) -> Option<Candidate> {
    let embedded = is_embedded(text, start);
    let mut best: Option<Candidate> = None;
    let mut consider = |candidate: Option<Candidate>| {
        if let Some(candidate) = candidate
            && best.as_ref().is_none_or(|best| {
                (candidate.confidence, candidate.end) > (best.confidence, best.end)
            })
        {
            best = Some(candidate);
        }
    };
    let registered = iban_len(&run.chars[..2]);
    let mut ends = run.ends >> 1 << 1;
    while ends != 0 {
        let len = ends.trailing_zeros() as usize;
        ends &= ends - 1;
        if len >= MIN_IBAN && (Some(len) == registered || len == iban_extent(run)) {
            consider(find_iban(text, start, (run, len), registered));
        }
        let cut = embedded || goes_on(text, run.end(len)) || is_isbn(&run.chars[..len]);
        for format in formats(len) {
            text.work(1);
            // What no word nearby could raise enough is not checked.
            let base = run
                .base(len, format)
                .saturating_sub(if cut { 40 } else { 0 });
            if base + 35 >= COUNTS
                && format.fits(&run.chars[..len])
                && (format.check)(&run.chars[..len])
            {
                consider(score(text, index, (start, run.end(len)), format, base));
            }
        }
    }
    best
}

/// Returns whether `digits` are an ISBN-13 (ISO 2108): a book, whatever else the digits check as.
fn is_isbn(digits: &[u8]) -> bool {
    let weights = [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1];
    digits.len() == 13
        && (digits.starts_with(b"978") || digits.starts_with(b"979"))
        && super::checksum::weighted(digits, &weights).is_multiple_of(10)
}

/// An IBAN of another length or country than the registry's checks once in 97 by chance: less sure, but a reader sees
/// an account.
fn find_iban(
    text: &Text,
    start: usize,
    (run, len): (&Run, usize),
    registered: Option<usize>,
) -> Option<Candidate> {
    let is_embedded = is_word(text.before(start)) || run.lower_from < len && run.lower_from != 0;
    let base = match registered {
        Some(registered) if registered == len => 95,
        Some(_) => 65,
        None => 58,
    };
    iban(&run.chars[..len]).then(|| Candidate {
        kind: Kind::Iban,
        label: "IBAN",
        start,
        end: run.end(len),
        confidence: if is_embedded { base - 30 } else { base },
    })
}

/// Returns the characters that are written like an IBAN: one group, or groups of four and a last one of at most four.
fn iban_extent(run: &Run) -> usize {
    let plain = (run.ends >> 1 << 1).trailing_zeros() as usize;
    if plain >= MIN_IBAN {
        return if plain <= MAX { plain } else { 0 };
    }
    let mut len = 0;
    while run.ends >> (len + 4) & 1 == 1
        && len + 4 <= run.lower_from
        && (run.ends >> (len + 1) & 0b111) == 0
    {
        len += 4;
    }
    let rest = (1..4).find(|rest| run.ends >> (len + rest) & 1 == 1);
    len + rest
        .filter(|rest| len + rest <= run.lower_from)
        .unwrap_or(0)
}

/// Returns the end of what is written like an IBAN or a card at `start`, whether it checks or not: its middle is no
/// other number.
pub(super) fn shape_end(run: &Run) -> Option<usize> {
    let len = iban_extent(run);
    let is_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let is_account = run.chars[..2].iter().all(u8::is_ascii_uppercase)
        && is_digits(&run.chars[2..4])
        && len >= MIN_IBAN;
    let is_card = len >= 16 && is_digits(&run.chars[..16]) && run.layout(16) & !1 == 0x1110;
    (is_account || is_card).then(|| run.end(len))
}

/// Characters of the shortest IBAN, Norway's.
const MIN_IBAN: usize = 15;

fn score(
    text: &Text,
    index: usize,
    span: (usize, usize),
    format: &'static Format,
    base: u8,
) -> Option<Candidate> {
    if !format.words.is_empty() && !text.near_word(index, span, format.words, REACH) {
        return None;
    }
    let follows = group_follows(text, span.1, format.longer);
    let base = base.saturating_sub(if follows { 40 } else { 0 });
    Some(Candidate {
        kind: format.kind,
        label: format.label,
        start: span.0,
        end: span.1,
        confidence: in_context(text, index, span, base, format.context),
    })
}

/// Returns `base` raised by a word of `context` nearby, or lowered where a word nearer says what else the number is.
pub(super) fn in_context(
    text: &Text,
    index: usize,
    span: (usize, usize),
    base: u8,
    context: Flags,
) -> u8 {
    let own = text.near(index, span, context, REACH);
    let personal = context & PERSONAL != 0;
    let kin = if personal {
        text.near(index, span, PERSONAL, REACH)
    } else {
        None
    };
    let mut others = ORDER | VERSION;
    if personal {
        others |= CARD | BANK;
    }
    let other = text.near(index, span, others, OTHER_REACH);
    let amount = text.near(index, span, CURRENCY, 4).is_some();
    let nearer = |distance: usize| other.is_none_or(|other| distance <= other) && !amount;
    if own.is_some_and(nearer) {
        return (base + 35).min(99);
    }
    if kin.is_some_and(nearer) {
        return (base + 28).min(99);
    }
    if other.is_some() || amount {
        return base.saturating_sub(if base >= 70 { 20 } else { 35 });
    }
    base
}

/// Returns whether the number is the middle of something longer, such as a UUID.
pub(super) fn is_embedded(text: &Text, start: usize) -> bool {
    let before = text.before(start);
    let Some(other) = start.checked_sub(2) else {
        return false;
    };
    match before {
        b'-' | b'.' | b'/' | b'_' | b':' | b'+' => (other.saturating_sub(7)..=other)
            .rev()
            .map(|at| text.byte(at))
            .take_while(u8::is_ascii_alphanumeric)
            .any(|byte| byte.is_ascii_digit()),
        // A group of three digits or more before it belongs to it.
        b' ' => {
            (other.saturating_sub(2)..=other).all(|at| text.byte(at).is_ascii_digit()) && other >= 2
        }
        byte => byte.is_ascii_digit(),
    }
}

/// Returns whether digits go on after `end` behind a separator.
fn goes_on(text: &Text, end: usize) -> bool {
    matches!(text.byte(end), b'-' | b'.' | b'/' | b'_') && text.byte(end + 1).is_ascii_digit()
}

/// Returns whether a group of digits as long as the last one, of three or more, or of `longer`, follows after a blank.
fn group_follows(text: &Text, end: usize, longer: usize) -> bool {
    let digits = |at: &usize| text.byte(*at).is_ascii_digit();
    let last = (end.saturating_sub(6)..end)
        .rev()
        .take_while(digits)
        .count();
    let next = (end + 1..end + 7).take_while(digits).count();
    text.byte(end) == b' '
        && (last >= 3 && last == next || longer > 0 && longer == next)
        && !is_word(text.byte(end + 1 + next))
}

/// Returns the end of a UUID (RFC 9562) that starts at `start`.
pub(super) fn uuid(text: &Text, start: usize) -> Option<usize> {
    let uuid = text.bytes.get(start..start + 36)?;
    let dashes = [8, 13, 18, 23];
    let is_uuid = uuid
        .iter()
        .enumerate()
        .all(|(at, byte)| match dashes.contains(&at) {
            true => *byte == b'-',
            false => byte.is_ascii_hexdigit(),
        });
    is_uuid.then_some(start + 36)
}

/// Returns a number of no stated format that the word before it says is a document's or an account's.
pub(super) fn named(text: &Text, index: usize, start: usize, run: &Run) -> Option<Candidate> {
    // The longest group sequence of capitals and digits, at most three groups.
    let mut ends = run.ends >> 1 << 1;
    let mut len = 0;
    for _ in 0..3 {
        let next = ends.trailing_zeros() as usize;
        let has_word = |from: usize| {
            run.chars[from..next].iter().all(u8::is_ascii_alphabetic) && next - from > 3
        };
        if ends == 0 || next > 20 || run.lower_from < next || has_word(len) {
            break;
        }
        len = next;
        ends &= ends - 1;
    }
    let digits = run.chars[..len]
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .count();
    if len == 0 || is_embedded(text, start) || goes_on(text, run.end(len)) {
        return None;
    }
    let span = (start, run.end(len));
    let near = |flags: Flags| {
        let word = text.near(index, span, flags, 45)?;
        let other = text.near(index, span, ORDER | VERSION, 45);
        other.is_none_or(|other| word < other).then_some(word)
    };
    let (kind, label) =
        if digits >= 4 && (6..=18).contains(&len) && near(PASSPORT | LICENCE).is_some() {
            (Kind::Document, "document")
        } else if digits == len && (7..=18).contains(&len) && near(BANK).is_some() {
            (Kind::BankAccount, "bank account")
        } else {
            return None;
        };
    Some(Candidate {
        kind,
        label,
        start,
        end: span.1,
        confidence: 55,
    })
}

/// Percent from which a number counts.
const COUNTS: u8 = 50;
/// Bytes before a number in which a word may say what it is. Guess: a line of text.
const REACH: usize = 80;
/// The same for words that say it is something else: three or four words.
const OTHER_REACH: usize = 32;
