//! Names of people: given names and surnames that are common, titles, and words that announce a name.

use super::text::{CAPITAL, Hit, Text, is_word};
use super::vocabulary::{
    ADDRESS, COMMON, FIRST, Flags, LAST, MONTH, NAME_CUE, ORDER, PARTICLE, STREET_AFTER,
    STREET_BEFORE, SUFFIX, TITLE,
};
use super::{Candidate, Kind};

/// Words of the longest name, with its particles.
const MAX_WORDS: usize = 6;

/// A capitalised word, a particle or an initial.
#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    flags: Flags,
    is_capital: bool,
}

/// Returns the word at `at`: letters with inner apostrophes and hyphens before capitals; with its flags.
fn word(text: &Text, at: usize) -> Option<Word> {
    let first = text.byte(at);
    if !is_word(first) || first.is_ascii_digit() || is_word(text.before(at)) {
        return None;
    }
    let mut end = at;
    loop {
        while end - at < 40 && is_word(text.byte(end)) {
            end += 1;
        }
        let joint =
            matches!(text.byte(end), b'-' | b'\'') && text.byte(end + 1).is_ascii_uppercase();
        if !joint || end - at >= 40 {
            break;
        }
        end += 1;
    }
    let letters = text.bytes.get(at..end)?;
    if letters.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut flags = text.vocabulary.look_up(letters);
    // A joined name (Hans-Peter, O'Brien) says what its parts say.
    for part in letters.split(|byte| matches!(byte, b'-' | b'\'')) {
        flags |= text.vocabulary.look_up(part) & (FIRST | LAST);
    }
    Some(Word {
        start: at,
        end,
        flags,
        is_capital: first.is_ascii_uppercase(),
    })
}

/// Returns the name that begins at or after hit `index`: a title, a given name, a surname or a cue.
pub(super) fn find(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    let is_capital = hit.marks & CAPITAL != 0;
    if is_capital
        && hit.flags & TITLE != 0
        && let Some(found) = titled(text, hit)
    {
        return Some(found);
    }
    if is_capital
        && hit.flags & FIRST != 0
        && let Some(found) = given(text, index, hit)
    {
        return Some(found);
    }
    if is_capital
        && hit.flags & LAST != 0
        && let Some(found) = surname(text, index, hit)
    {
        return Some(found);
    }
    if hit.flags & NAME_CUE != 0 {
        announced(text, hit)
    } else {
        None
    }
}

/// Reads the words of a name from `at` on: capitalised, with particles between them.
fn sequence(text: &Text, at: usize) -> ([Option<Word>; MAX_WORDS], usize) {
    let mut words = [None; MAX_WORDS];
    let (mut len, mut at) = (0, at);
    while len < MAX_WORDS {
        let Some(word) = word(text, at) else {
            break;
        };
        let is_initial = word.is_capital && word.end - word.start == 1;
        let is_particle = !word.is_capital && word.flags & PARTICLE != 0 && len > 0;
        let is_all_capitals = word.end - word.start > 3
            && text.bytes[word.start..word.end]
                .iter()
                .all(|byte| !byte.is_ascii_lowercase());
        let is_name = word.flags & (FIRST | LAST) != 0;
        let stops = word.flags
            & (COMMON | MONTH | STREET_AFTER | STREET_BEFORE | ADDRESS | ORDER | NAME_CUE)
            != 0
            && !is_name
            && word.flags & PARTICLE == 0;
        if !(is_particle || (word.is_capital && !stops && (!is_all_capitals || is_name))) {
            break;
        }
        words[len] = Some(word);
        len += 1;
        let dot = usize::from(
            text.byte(word.end) == b'.' && (is_initial || word.flags & (SUFFIX | TITLE) != 0),
        );
        if text.byte(word.end + dot) != b' ' {
            break;
        }
        at = word.end + dot + 1;
    }
    // Particles do not end a name, nor does the first letter of a degree.
    while len > 0
        && words[len - 1]
            .is_some_and(|word| !word.is_capital || (len > 1 && word.end - word.start == 1))
    {
        len -= 1;
        words[len] = None;
    }
    text.work(len + 1);
    (words, len)
}

fn candidate(text: &Text, start: usize, end: usize, confidence: u8) -> Option<Candidate> {
    // A user's handle, a file or a domain has no blank around it.
    let inside = matches!(text.before(start), b'@' | b'/' | b'\\' | b'_' | b'.' | b'=')
        || matches!(text.byte(end), b'@' | b'/' | b'\\' | b'_' | b'=')
        || (text.byte(end) == b'.' && text.byte(end + 1).is_ascii_alphanumeric());
    (!inside).then_some(Candidate {
        kind: Kind::PersonName,
        label: "name",
        start,
        end,
        confidence,
    })
}

/// `Dr. Anna Weber`, `Mme Dupont`: what follows a title is a name.
fn titled(text: &Text, hit: &Hit) -> Option<Candidate> {
    let mut at = hit.end();
    let title = text.bytes.get(hit.start()..hit.end())?;
    // Words of other use too, and `MS`: what follows has to be a name that is known.
    let is_doubtful = title == b"MS"
        || [&b"miss"[..], b"pan", b"don"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(title));
    // Titles may follow each other: Herr Prof. Dr.
    for _ in 0..4 {
        at += usize::from(text.byte(at) == b'.');
        if text.byte(at) != b' ' {
            return None;
        }
        at += 1;
        match word(text, at) {
            Some(next) if next.flags & TITLE != 0 && next.flags & LAST == 0 => at = next.end,
            _ => break,
        }
    }
    let (words, len) = sequence(text, at);
    let last = words.get(len.checked_sub(1)?).copied().flatten()?;
    // `Don't`, `Me`, `Sr` and the like begin sentences too: a lone word of them is a weak title.
    let weak = hit.len <= 2 && text.byte(hit.end()) != b'.'
        || hit.flags & (COMMON | PARTICLE) != 0 && len == 1;
    let known = words
        .iter()
        .flatten()
        .any(|word| word.flags & (FIRST | LAST) != 0);
    if is_doubtful && !known {
        return None;
    }
    candidate(text, at, last.end, if weak && !known { 50 } else { 85 })
}

/// `Anna Weber`, `Jean-Pierre de la Tour`, `María`: a given name and what follows it.
fn given(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    let (words, len) = sequence(text, hit.start());
    let first = words[0]?;
    if len == 0 {
        return None;
    }
    let last = words[len - 1]?;
    let followed = len > 1;
    let is_weak =
        first.flags & (COMMON | MONTH | STREET_AFTER | STREET_BEFORE | ORDER | PARTICLE) != 0;
    let knows_last = words[1..len]
        .iter()
        .flatten()
        .any(|word| word.flags & (LAST | FIRST) != 0);
    let cue = text
        .near(index, (hit.start(), last.end), NAME_CUE | TITLE, 24)
        .is_some();
    let confidence = match (followed, knows_last, is_weak) {
        (true, true, _) => 90,
        (true, false, false) => 78,
        (true, false, true) => 45,
        (false, _, true) => {
            if cue {
                55
            } else {
                25
            }
        }
        (false, _, false) => {
            if cue {
                70
            } else if first.flags & LAST != 0 {
                48
            } else {
                55
            }
        }
    };
    candidate(text, first.start, last.end, confidence)
}

/// `Weber, Anna`, or a surname that a cue announces, or one that a capitalised word stands before.
fn surname(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    let comma = text.byte(hit.end()) == b',' && text.byte(hit.end() + 1) == b' ';
    if comma
        && let Some(next) =
            word(text, hit.end() + 2).filter(|next| next.is_capital && next.flags & FIRST != 0)
    {
        return candidate(text, hit.start(), next.end, 80);
    }
    let before = previous(text, hit.start())?;
    let usable = before.is_capital
        && before.flags & (COMMON | MONTH | STREET_BEFORE | STREET_AFTER | ADDRESS | ORDER) == 0;
    if usable && before.end - before.start > 1 && hit.flags & (COMMON | STREET_AFTER) == 0 {
        return candidate(text, before.start, hit.end(), 65);
    }
    let cue = text
        .near(index, (hit.start(), hit.end()), NAME_CUE | TITLE, 16)
        .is_some();
    cue.then(|| {
        candidate(
            text,
            hit.start(),
            hit.end(),
            if hit.flags & COMMON == 0 { 55 } else { 40 },
        )
    })?
}

/// Returns the word that ends one blank before `at`.
fn previous(text: &Text, at: usize) -> Option<Word> {
    let end = at.checked_sub(1).filter(|end| text.byte(*end) == b' ')?;
    let mut start = end;
    while start > 0
        && end - start < 40
        && (is_word(text.before(start)) || matches!(text.before(start), b'-' | b'\''))
    {
        start -= 1;
    }
    word(text, start).filter(|word| word.end == end)
}

/// `My name is …`, `Kundin: …`: two capitalised words behind a cue.
fn announced(text: &Text, hit: &Hit) -> Option<Candidate> {
    let mut at = hit.end();
    let limit = at + 12;
    while at < limit
        && matches!(
            text.byte(at),
            b' ' | b':' | b',' | b'"' | b'-' | b'\n' | b'\r'
        )
    {
        at += 1;
    }
    let rest = text.bytes.get(at..).unwrap_or_default();
    let verbs = [&b"is "[..], b"ist ", b"est ", b"es ", b"was ", b"by "];
    let has_verb = verbs.iter().find(|verb| rest.starts_with(verb));
    at += has_verb.map_or(0, |verb| verb.len());
    let (words, len) = sequence(text, at);
    let last = words.get(len.checked_sub(1)?).copied().flatten()?;
    let first = words[0]?;
    let known = words
        .iter()
        .flatten()
        .any(|word| word.flags & (FIRST | LAST) != 0 && word.flags & COMMON == 0);
    // `"name": "Dense Block"`: a program's name has any words, a person's one that is known.
    let cue = text.bytes.get(hit.start()..hit.end())?;
    let is_key = matches!(cue, b"name" | b"names")
        && matches!(text.byte(hit.end()), b'"' | b'\'' | b':' | b'=' | b'_');
    let confidence = match len {
        _ if known => 75,
        _ if is_key => 35,
        1 => 35,
        2 | 3 => {
            if first.flags & (COMMON | PARTICLE) == 0 {
                58
            } else {
                30
            }
        }
        _ => 40,
    };
    candidate(text, first.start, last.end, confidence)
}
