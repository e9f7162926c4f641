//! Postal addresses: street and number as they are written in English, German, French, Spanish and their neighbours.

use super::text::{COMPOUND, Hit, Text, is_blank, is_word};
use super::vocabulary::{ADDRESS, COMMON, PARTICLE, STREET_AFTER, STREET_BEFORE};
use super::{Candidate, Kind};

/// Words of a street's name.
const MAX_WORDS: usize = 6;

/// Returns the address whose street's kind (street, rue, Calle, Hauptstr.) is hit `index`.
pub(super) fn find(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    if hit.marks & COMPOUND != 0 {
        return compound(text, index, hit);
    }
    let mut found = None;
    if hit.flags & STREET_BEFORE != 0 {
        found = before(text, index, hit);
    }
    if found.is_none() && hit.flags & STREET_AFTER != 0 {
        found = after(text, index, hit);
    }
    found
}

fn candidate(text: &Text, index: usize, start: usize, end: usize, base: u8) -> Option<Candidate> {
    let (end, has_town) = town(text, end);
    let cue = text.near(index, (start, end), ADDRESS, 60).is_some();
    let confidence = base + if has_town { 25 } else { 0 } + if cue { 15 } else { 0 };
    Some(Candidate {
        kind: Kind::Address,
        label: "street",
        start,
        end,
        confidence: confidence.min(95),
    })
}

/// `Hauptstr. 12a`, `Kaiserallee 5/7`, `Storgatan 3`: the number follows the word.
fn compound(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    let end = house_after(text, hit.end())?;
    let mut start = hit.start();
    // Willy-Brandt-Platz, Lange Gasse: the words before it that belong to the name.
    for _ in 0..MAX_WORDS {
        let separator = text.before(start);
        let mut at = start.saturating_sub(1);
        while at > 0 && start - at < 40 && is_word(text.before(at)) {
            at -= 1;
        }
        let word = text
            .bytes
            .get(at..start.saturating_sub(1))
            .unwrap_or_default();
        let is_capital = word.first().is_some_and(u8::is_ascii_uppercase);
        let joins = separator == b'-'
            || (separator == b' '
                && text.vocabulary.look_up(word) & COMMON == 0
                && start == hit.start());
        if !is_capital || !joins {
            break;
        }
        start = at;
    }
    text.work(hit.start() - start);
    // `Platz 3` alone is a rank, `Str. 3` alone says no more.
    let alone = start == hit.start() && hit.len <= 7;
    candidate(text, index, start, end, if alone { 20 } else { 65 })
}

/// `12, rue de la Paix`, `Calle Mayor 5`, `Avenida de la Constitución, 3`, `C/ Sol 4`.
fn before(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    // `C/`: one letter is a street only with its slash; `C.` is not enough.
    if hit.len == 1 && text.byte(hit.end()) != b'/' {
        return None;
    }
    let mut at = hit.end()
        + text
            .bytes
            .get(hit.end()..)?
            .iter()
            .take(2)
            .take_while(|byte| matches!(byte, b'.' | b'/' | b' '))
            .count();
    at += usize::from(text.byte(at) == b' ');
    let name_at = at;
    let mut name_end = at;
    for _ in 0..MAX_WORDS {
        let len = word_len(text, at);
        let Some(word) = text.bytes.get(at..at + len).filter(|word| !word.is_empty()) else {
            break;
        };
        let is_capital = word[0].is_ascii_uppercase();
        let joins = text.vocabulary.look_up(word) & PARTICLE != 0
            || matches!(
                word,
                b"d" | b"l" | b"des" | b"los" | b"las" | b"aux" | b"au"
            );
        if !is_capital && !joins {
            break;
        }
        at += len;
        if is_capital {
            name_end = at;
        }
        if !matches!(text.byte(at), b' ' | b'\'' | b'-' | b'.')
            || (text.byte(at) == b'.' && text.byte(at + 1) != b' ')
        {
            break;
        }
        at += 1 + usize::from(text.byte(at) == b'.');
    }
    text.work(at - hit.start());
    if name_end == name_at {
        return None;
    }
    if let Some(start) = house_before(text, hit.start()) {
        return candidate(text, index, start, unit(text, name_end), 65);
    }
    if let Some(end) = house_after(text, name_end) {
        return candidate(text, index, hit.start(), unit(text, end), 62);
    }
    // Without a number the town must follow: `boulevard Marie Leroy\n35001 Rennes`.
    let (_, has_town) = town(text, name_end);
    if has_town {
        candidate(text, index, hit.start(), name_end, 45)
    } else {
        None
    }
}

/// `1234 Michael Locks`, `221B Baker St.`: the number stands before the name.
fn after(text: &Text, index: usize, hit: &Hit) -> Option<Candidate> {
    let mut start = hit.start();
    let mut is_capital = text.byte(start).is_ascii_uppercase();
    for _ in 0..MAX_WORDS {
        let blank = start
            .checked_sub(1)
            .filter(|at| matches!(text.byte(*at), b' ' | b'.' | b'\n'))?;
        let mut at = blank;
        while at > 0
            && blank - at < 40
            && (is_word(text.before(at)) || matches!(text.before(at), b'-' | b'\''))
        {
            at -= 1;
        }
        text.work(blank - at + 1);
        let word = text.bytes.get(at..blank)?;
        let first = *word.first()?;
        if first.is_ascii_digit() {
            let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let ordinal = word.len() >= digits + 2
                && [&b"st"[..], b"nd", b"rd", b"th"].contains(&&word[digits..]);
            if ordinal {
                start = at;
                is_capital = true;
                continue;
            }
            let is_house = (1..=6).contains(&digits) && word.len() <= digits + 2;
            // `3/77`: flat and house.
            let flat = if text.before(at) == b'/' {
                1 + (at.saturating_sub(6)..at - 1)
                    .rev()
                    .take_while(|at| text.byte(*at).is_ascii_digit())
                    .count()
            } else {
                0
            };
            let separated = start != hit.start()
                && (flat > 1
                    || !matches!(text.before(at), b'.' | b'/' | b'-' | b'#' | b'$' | b':'));
            if !is_house || !separated || !is_capital {
                return None;
            }
            let at = at - flat;
            let end = hit.end() + usize::from(hit.len <= 4 && text.byte(hit.end()) == b'.');
            return candidate(text, index, at, unit(text, end), 62);
        }
        if !first.is_ascii_uppercase() && text.vocabulary.look_up(word) & PARTICLE == 0 {
            return None;
        }
        start = at;
    }
    None
}

/// Returns the length of the word of letters at `at`.
fn word_len(text: &Text, at: usize) -> usize {
    (at..at + 40)
        .take_while(|at| is_word(text.byte(*at)) && !text.byte(*at).is_ascii_digit())
        .count()
}

/// Returns the end of a house number (`12`, `12a`, `5/7`, `, 3`, `Nr. 4`, `n° 5`) behind `at`.
fn house_after(text: &Text, mut at: usize) -> Option<usize> {
    at += usize::from(text.byte(at) == b'.');
    at += usize::from(text.byte(at) == b',');
    at += usize::from(text.byte(at) == b' ');
    for number in [
        &b"Nr. "[..],
        b"nr. ",
        b"No. ",
        b"num. ",
        b"no ",
        b"n. ",
        b"N ",
        b"#",
        b"No ",
        b"N\x81 ",
        b"n\x81 ",
        b"# ",
    ] {
        if text
            .bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(number))
        {
            at += number.len();
        }
    }
    let digits = (at..at + 6)
        .take_while(|at| text.byte(*at).is_ascii_digit())
        .count();
    if !(1..=5).contains(&digits) {
        return None;
    }
    let mut end = at + digits;
    // A letter, or the second number of a corner or flat.
    if text.byte(end).is_ascii_alphabetic() && !is_word(text.byte(end + 1)) {
        end += 1;
    } else if matches!(text.byte(end), b'/' | b'-') && text.byte(end + 1).is_ascii_digit() {
        end += 1
            + (end + 1..end + 5)
                .take_while(|at| text.byte(*at).is_ascii_digit())
                .count();
    }
    (!is_word(text.byte(end))).then_some(end)
}

/// Returns the start of a house number (`12`, `12,`, `12 bis`, `3ter`) before `at`.
fn house_before(text: &Text, at: usize) -> Option<usize> {
    let mut end = at.checked_sub(1).filter(|at| text.byte(*at) == b' ')?;
    end -= usize::from(text.before(end) == b',');
    for suffix in [&b" bis"[..], b" ter", b" quater", b"bis", b"ter"] {
        if text
            .bytes
            .get(..end)
            .is_some_and(|head| head.ends_with(suffix))
        {
            end -= suffix.len();
            break;
        }
    }
    let mut start = end;
    while start > 0 && end - start < 6 && text.before(start).is_ascii_digit() {
        start -= 1;
    }
    // One letter may follow: 12a rue …
    let is_number = (1..=5).contains(&(end - start))
        && !is_word(text.before(start))
        && !matches!(text.before(start), b'.' | b'/' | b'-' | b'#');
    is_number.then_some(start)
}

/// Returns the end of `Apt. 5`, `Suite 123`, `Edif. 565 , Depto. 583`, `Puerta 2`, `#4` behind `end`.
fn unit(text: &Text, end: usize) -> usize {
    let mut end = end;
    for _ in 0..2 {
        let gap = (end..end + 3)
            .take_while(|at| matches!(text.byte(*at), b',' | b' '))
            .count();
        let at = end + gap;
        let rest = text.bytes.get(at..).unwrap_or_default();
        let Some(word) = UNITS.iter().find(|word| rest.starts_with(word)) else {
            break;
        };
        let dot = rest[word.len()..]
            .iter()
            .take(2)
            .take_while(|byte| matches!(byte, b'.' | b' '))
            .count();
        let len = rest[word.len() + dot..]
            .iter()
            .take(6)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        if len == 0 || (dot == 0 && *word != b"#") {
            break;
        }
        end = at + word.len() + dot + len;
    }
    end
}

/// What names a flat in a house.
const UNITS: [&[u8]; 20] = [
    b"Apt",
    b"Suite",
    b"Unit",
    b"Flat",
    b"Floor",
    b"#",
    b"Ste",
    b"Box",
    b"Edif",
    b"Depto",
    b"Dpto",
    b"Puerta",
    b"Piso",
    b"Interior",
    b"Int",
    b"Of",
    b"Esc",
    b"Bloque",
    b"Appt",
    b"Whg",
];

/// Returns the end of the town with its postal code behind `end`, and whether there is one.
///
/// `, 75002 Paris`, `\n12345 Neustadt`, `, Port David, CA 12345`, `, London SW1A 1AA`, `, 28013 Madrid`.
fn town(text: &Text, end: usize) -> (usize, bool) {
    let Some(at) = line_gap(text, end) else {
        return (end, false);
    };
    let (code_end, has_code) = postal_code(text, at);
    if has_code {
        let name_end = name(text, code_end + usize::from(text.byte(code_end) == b' '));
        return (name_end.unwrap_or(code_end), true);
    }
    let Some(name_end) = name(text, at) else {
        return (end, false);
    };
    let name_end = name_end - usize::from(text.before(name_end) == b' ');
    let comma = usize::from(text.byte(name_end) == b',');
    let after = name_end + comma + usize::from(is_blank(text.byte(name_end + comma)));
    if let Some(code) = british(text, after) {
        return (code, true);
    }
    // `CA 12345`, `COAH 31410`, `NSW, 2312`, `NB Y4Y 6M6`.
    let state = (after..after + 5)
        .take_while(|at| text.byte(*at).is_ascii_uppercase())
        .count();
    let gap = (after + state..after + state + 2)
        .take_while(|at| matches!(text.byte(*at), b' ' | b','))
        .count();
    let code_at = if (2..=4).contains(&state) && gap > 0 {
        after + state + gap
    } else {
        after
    };
    if let Some(code) = canadian(text, code_at) {
        return (code, true);
    }
    postal_code_or(text, code_at, end)
}

fn postal_code_or(text: &Text, at: usize, end: usize) -> (usize, bool) {
    match postal_code(text, at) {
        (code_end, true) => (code_end, true),
        _ => (end, false),
    }
}

/// Returns the end of a Canadian postal code at `at`: A9A 9A9, or without the blank.
fn canadian(text: &Text, at: usize) -> Option<usize> {
    let blank = usize::from(text.byte(at + 3) == b' ');
    let letters = [at, at + 2, at + 4 + blank]
        .iter()
        .all(|at| text.byte(*at).is_ascii_uppercase());
    let digits = [at + 1, at + 3 + blank, at + 5 + blank]
        .iter()
        .all(|at| text.byte(*at).is_ascii_digit());
    let end = at + 6 + blank;
    (letters && digits && !is_word(text.byte(end))).then_some(end)
}

/// Returns the offset after a comma, a line's end, ` - ` or `, ` behind `at`.
fn line_gap(text: &Text, at: usize) -> Option<usize> {
    let rest = text.bytes.get(at..)?;
    let len = rest
        .iter()
        .take(4)
        .take_while(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'-' | b';'))
        .count();
    let escaped = usize::from(rest[len..].starts_with(b"\\n")) * 2;
    (len + escaped > 0).then_some(at + len + escaped)
}

/// Returns the end of a postal code of four to six digits at `at` (with `D-`, `F-`, `-1234`, ` AB` of the Dutch).
fn postal_code(text: &Text, at: usize) -> (usize, bool) {
    let country = [
        &b"D-"[..],
        b"F-",
        b"A-",
        b"CH-",
        b"E-",
        b"I-",
        b"L-",
        b"B-",
        b"NL-",
        b"C.P. ",
        b"CP ",
    ];
    let rest = text.bytes.get(at..).unwrap_or_default();
    let skipped = country
        .iter()
        .find(|country| rest.starts_with(country))
        .map_or(0, |country| country.len());
    let rest = &rest[skipped..];
    let digits = rest
        .iter()
        .take(7)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let mut end = at + skipped + digits;
    if !(4..=6).contains(&digits) {
        // Sweden and the Czech Republic write 123 45, Poland 12-345.
        let split = match rest {
            [a, b, c, b' ', d, e, ..]
                if [a, b, c, d, e].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                6
            }
            [a, b, b'-', c, d, e, ..]
                if [a, b, c, d, e].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                6
            }
            _ => return (at, false),
        };
        end = at + skipped + split;
        return (end, !is_word(text.byte(end)));
    }
    if text.byte(end) == b'-' && (end + 1..end + 5).all(|at| text.byte(at).is_ascii_digit()) {
        end += 5;
    }
    let dutch = digits == 4
        && text
            .bytes
            .get(end..end + 3)
            .is_some_and(|tail| tail[0] == b' ' && tail[1..].iter().all(u8::is_ascii_uppercase))
        && !is_word(text.byte(end + 3));
    end += if dutch { 3 } else { 0 };
    (end, !is_word(text.byte(end)))
}

/// Returns the end of up to four capitalised words at `at`.
fn name(text: &Text, at: usize) -> Option<usize> {
    let (mut at, mut end) = (at, None);
    for _ in 0..4 {
        let len = word_len(text, at);
        let Some(word) = text.bytes.get(at..at + len).filter(|word| !word.is_empty()) else {
            break;
        };
        let flags = text.vocabulary.look_up(word);
        let is_capital = word[0].is_ascii_uppercase();
        // `NW1` is no town.
        if text.byte(at + len).is_ascii_digit() {
            break;
        }
        if !is_capital
            && flags & PARTICLE == 0
            && !matches!(
                word,
                b"sur" | b"les" | b"am" | b"an" | b"bei" | b"im" | b"upon"
            )
        {
            break;
        }
        if is_capital && flags & COMMON != 0 && end.is_some() {
            break;
        }
        at += len;
        if is_capital {
            end = Some(at);
        }
        if !matches!(text.byte(at), b' ' | b'-' | b'\'') {
            break;
        }
        at += 1;
    }
    end
}

/// Returns the end of a British postal code at `at` (Royal Mail, PAF digest): A9 9AA, A99 9AA, AA9 9AA, AA9A 9AA …
fn british(text: &Text, at: usize) -> Option<usize> {
    let area = (at..at + 3)
        .take_while(|at| text.byte(*at).is_ascii_uppercase())
        .count();
    let district = (at + area..at + area + 3)
        .take_while(|at| text.byte(*at).is_ascii_alphanumeric())
        .count();
    let gap = at + area + district;
    let inward = gap + usize::from(text.byte(gap) == b' ');
    let is_code = (1..=2).contains(&area)
        && (1..=2).contains(&district)
        && text.byte(at + area).is_ascii_digit()
        && text.byte(inward).is_ascii_digit()
        && text.byte(inward + 1).is_ascii_uppercase()
        && text.byte(inward + 2).is_ascii_uppercase()
        && !is_word(text.byte(inward + 3))
        && text.byte(gap) == b' ';
    is_code.then_some(inward + 3)
}

/// Returns the British postal code that is the token at `at`.
pub(super) fn postcode(text: &Text, index: usize, at: usize) -> Option<Candidate> {
    if is_word(text.before(at)) || matches!(text.before(at), b'-' | b'/' | b'_') {
        return None;
    }
    let end = british(text, at)?;
    let cue = text.near(index, (at, end), ADDRESS, 60).is_some();
    Some(Candidate {
        kind: Kind::Address,
        label: "postal code",
        start: at,
        end,
        confidence: if cue { 75 } else { 55 },
    })
}
