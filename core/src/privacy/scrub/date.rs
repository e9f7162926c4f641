//! Dates, in digits and with the months' names. Only one that words around it make a date of birth is personal.

use super::text::{Text, is_word};
use super::vocabulary::{BIRTH, MONTH};
use super::{Candidate, Kind};

/// A date in the text.
pub(super) struct Date {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Returns the date that the digits at `at`, which hit `index` is, belong to.
pub(super) fn find(text: &Text, index: usize, at: usize) -> Option<Date> {
    if matches!(text.before(at), b'.' | b'-' | b'/') && digit_before(text, at - 1) {
        return None;
    }
    numeric(text, at)
        .or_else(|| named(text, index, at))
        .map(|(start, end)| Date { start, end })
}

fn digit_before(text: &Text, at: usize) -> bool {
    text.before(at).is_ascii_digit()
}

/// Returns the date of birth that `date` is, if words around it say so.
pub(super) fn birth(text: &Text, index: usize, date: &Date) -> Option<Candidate> {
    let near = text
        .near(index, (date.start, date.end), BIRTH, 60)
        .is_some();
    // German forms write a star before the date.
    let starred =
        (1..=2).any(|back| date.start.checked_sub(back).map(|at| text.byte(at)) == Some(b'*'));
    let near = near || born(text, date.start);
    (near || starred).then_some(Candidate {
        kind: Kind::BirthDate,
        label: "date of birth",
        start: date.start,
        end: date.end,
        confidence: if near { 75 } else { 60 },
    })
}

/// Returns whether `né le`, `né(e) à Lyon le`, `nata il` or the like ends at `at`. Without its accent the first word
/// is French for not: the words behind it decide.
fn born(text: &Text, at: usize) -> bool {
    let head = text
        .bytes
        .get(at.saturating_sub(48)..at)
        .unwrap_or_default();
    text.work(head.len());
    let mut words = head
        .rsplit(|byte| !is_word(*byte))
        .filter(|word| !word.is_empty());
    let is_one = |word: &[u8], of: &[&[u8]]| of.iter().any(|one| one.eq_ignore_ascii_case(word));
    let article: [&[u8]; 4] = [b"le", b"en", b"il", b"the"];
    if !words.next().is_some_and(|word| is_one(word, &article)) {
        return false;
    }
    let names: [&[u8]; 6] = [b"ne", b"nes", b"nee", b"nees", b"nato", b"nata"];
    let mut place: Option<&[u8]> = None;
    for (index, word) in words.take(4).enumerate() {
        if is_one(word, &names) {
            let in_place: [&[u8]; 3] = [b"a", b"en", b"e"];
            return index == 0 || place.is_some_and(|word| is_one(word, &in_place));
        }
        place = Some(word);
    }
    false
}

/// Reads digits; returns their value, count and the offset after them.
fn digits(text: &Text, at: usize) -> (u32, usize, usize) {
    let len = (at..at + 5)
        .take_while(|at| text.byte(*at).is_ascii_digit())
        .count();
    let value = super::checksum::number(text.bytes.get(at..at + len).unwrap_or_default());
    (value, len, at + len)
}

fn is_year(value: u32, len: usize) -> bool {
    len == 2 || (len == 4 && (1880..=2035).contains(&value))
}

/// Reads `1985-03-12`, `12.03.1985`, `3/12/85`, `12. 3. 1985`, `19850312`.
fn numeric(text: &Text, start: usize) -> Option<(usize, usize)> {
    let (first, first_len, at) = digits(text, start);
    let separator = text.byte(at);
    if !matches!(separator, b'-' | b'/' | b'.' | b' ') {
        return None;
    }
    let skip = |at: usize| {
        let blank = separator == b'.' && text.byte(at + 1) == b' ';
        (text.byte(at) == separator).then_some(at + 1 + usize::from(blank))
    };
    let (second, second_len, at) = digits(text, skip(at)?);
    let (third, third_len, end) = digits(text, skip(at)?);
    let month_day = |a: u32, b: u32| (1..=12).contains(&a) && (1..=31).contains(&b);
    let year_first = first_len == 4 && is_year(first, 4) && second_len <= 2 && third_len <= 2;
    let is_date = if year_first {
        month_day(second, third) || month_day(third, second)
    } else {
        (1..=2).contains(&first_len)
            && (1..=2).contains(&second_len)
            && is_year(third, third_len)
            && (month_day(second, first) || month_day(first, second))
    };
    let goes_on =
        matches!(text.byte(end), b'.' | b'-' | b'/') && text.byte(end + 1).is_ascii_digit();
    // Blanks separate too much else: only with a full year.
    let is_loose = separator == b' ' && !(third_len == 4 || first_len == 4);
    let ends = !is_word(text.byte(end)) || text.byte(end) == b'T';
    (is_date && !goes_on && !is_loose && ends).then_some((start, end))
}

/// Reads `12 March 1985`, `12. März 1985`, `12 de marzo de 1985`, `12-MAR-85`, and `March 12, 1985` from the month on.
fn named(text: &Text, index: usize, at: usize) -> Option<(usize, usize)> {
    let (day, len, after) = digits(text, at);
    if len > 2 || !(1..=31).contains(&day) {
        return None;
    }
    let after = ordinal(text, after);
    let previous = index.checked_sub(1).and_then(|index| text.hits.get(index));
    if let Some(month) = previous.filter(|hit| hit.flags & MONTH != 0 && hit.end() + 2 >= at) {
        let comma = usize::from(text.byte(after) == b',');
        let (year, len, end) = digits(
            text,
            after + comma + usize::from(text.byte(after + comma) == b' '),
        );
        if len == 4 && is_year(year, len) {
            return Some((month.start(), end));
        }
    }
    let month_at = skip_words(text, after);
    let word_len = (month_at..month_at + 12)
        .take_while(|at| text.byte(*at).is_ascii_alphabetic())
        .count();
    let month = text.bytes.get(month_at..month_at + word_len)?;
    if word_len < 3 || text.vocabulary.look_up(month) & MONTH == 0 {
        return None;
    }
    let (year, len, end) = digits(text, skip_words(text, month_at + word_len));
    (is_year(year, len) && !is_word(text.byte(end))).then_some((at, end))
}

/// Returns the offset after `st`, `nd`, `rd`, `th`, `er`, `o` behind a day.
fn ordinal(text: &Text, at: usize) -> usize {
    let word = (at..at + 3)
        .take_while(|at| text.byte(*at).is_ascii_alphabetic())
        .count();
    let known = [&b"st"[..], b"nd", b"rd", b"th", b"er", b"o", b"a"];
    match text.bytes.get(at..at + word) {
        Some(found) if known.contains(&found) => at + word,
        _ => at,
    }
}

/// Returns the offset after what may stand between day, month and year: dots, blanks, dashes, `de`, `of`, `del`.
fn skip_words(text: &Text, mut at: usize) -> usize {
    let limit = at + 8;
    loop {
        let before = at;
        while at < limit && matches!(text.byte(at), b' ' | b'.' | b'-' | b',' | b'/') {
            at += 1;
        }
        for word in [&b"de "[..], b"of ", b"del "] {
            if text.bytes.get(at..at + word.len()) == Some(word) {
                at += word.len();
            }
        }
        if at == before || at >= limit {
            return at;
        }
    }
}
