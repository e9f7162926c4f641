//! Telephone numbers: E.164 with its country codes, and how the national plans write theirs.

use super::number::{in_context, is_embedded};
use super::text::{Text, is_word};
use super::vocabulary::PHONE;
use super::{Candidate, Kind};

/// Digits of the longest number with an access code before it: E.164 allows 15.
const MAX_DIGITS: usize = 18;

/// What was read: digits in groups.
struct Dialled {
    digits: [u8; MAX_DIGITS],
    len: usize,
    /// Lengths of the groups.
    groups: [u8; MAX_DIGITS],
    group_count: usize,
    /// Offset after each group.
    ends: [usize; MAX_DIGITS],
    has_plus: bool,
    /// The area code is in parentheses.
    has_area: bool,
    has_slash: bool,
    /// A blank separates groups.
    has_blank: bool,
    /// Nothing but blanks separates the groups.
    is_blank: bool,
    /// A dot and a blank separate groups, as between decimals.
    is_mixed: bool,
    /// A dot separates groups.
    has_dot: bool,
    /// More digits follow than a number has.
    is_long: bool,
}

/// Returns the telephone number whose first digits are the token at `digits_at`, which hit `index` is.
pub(super) fn find(text: &Text, index: usize, digits_at: usize) -> Option<Candidate> {
    let start = start(text, digits_at);
    let dialled = read(text, start);
    if start == digits_at && (is_inside_word(text, start) || is_embedded(text, start)) {
        return None;
    }
    // Behind a comma stand decimals; in a table's columns numbers with signs of their own.
    let is_part = text.before(start) == b',' && start > 1 && is_word(text.byte(start - 2));
    if is_part && start == digits_at && (dialled.group_count < 2 || dialled.is_blank) {
        return None;
    }
    let (base, label) = rate(&dialled)?;
    let end = dialled.ends[dialled.group_count - 1];
    let (end, has_extension) = extension(text, end);
    let base = if has_extension { base + 20 } else { base };
    let mut confidence = in_context(text, index, (start, end), base.min(90), PHONE);
    // A sign that only telephone numbers have outweighs an order number nearby.
    if dialled.has_plus {
        confidence = confidence.max(base.saturating_sub(10));
    }
    Some(Candidate {
        kind: Kind::Phone,
        label,
        start,
        end,
        confidence,
    })
}

/// Returns where the number of the digits at `at` begins: at a plus sign or parenthesis before them.
fn start(text: &Text, at: usize) -> usize {
    let before = |back: usize| at.checked_sub(back).map_or(b' ', |at| text.byte(at));
    match (before(2), before(1)) {
        (b'+', b'(') | (b'(', b'+') => at - 2,
        (_, b'(' | b'+') => at - 1,
        _ => at,
    }
}

fn is_inside_word(text: &Text, start: usize) -> bool {
    let before = text.before(start);
    let earlier = start.checked_sub(2).map_or(b' ', |at| text.byte(at));
    before.is_ascii_alphanumeric()
        || matches!(before, b'#' | b'$')
        || (matches!(before, b'-' | b'.' | b'/' | b'_') && earlier.is_ascii_alphanumeric())
}

fn read(text: &Text, start: usize) -> Dialled {
    let mut dialled = Dialled {
        digits: [0; MAX_DIGITS],
        len: 0,
        groups: [0; MAX_DIGITS],
        group_count: 0,
        ends: [0; MAX_DIGITS],
        has_plus: false,
        has_area: false,
        has_slash: false,
        has_blank: false,
        is_blank: true,
        is_mixed: false,
        has_dot: false,
        is_long: false,
    };
    let mut at = start;
    while matches!(text.byte(at), b'+' | b'(') {
        dialled.has_plus |= text.byte(at) == b'+';
        dialled.has_area |= text.byte(at) == b'(';
        at += 1;
    }
    loop {
        let from = dialled.len;
        while text.byte(at).is_ascii_digit() && dialled.len < MAX_DIGITS {
            dialled.digits[dialled.len] = text.byte(at);
            dialled.len += 1;
            at += 1;
        }
        if text.byte(at).is_ascii_digit()
            || text.byte(at).is_ascii_alphabetic() && text.byte(at) | 32 != b'x'
        {
            // What goes on in letters is no telephone number; the group does not count.
            dialled.is_long = text.byte(at).is_ascii_digit() || from == 0;
            dialled.len = from;
            break;
        }
        dialled.groups[dialled.group_count] = (dialled.len - from) as u8;
        dialled.ends[dialled.group_count] = at;
        dialled.group_count += 1;
        if dialled.len == MAX_DIGITS || dialled.group_count == MAX_DIGITS {
            break;
        }
        let gap = gap(text, at);
        if gap == 0 {
            break;
        }
        let separators = &text.bytes[at..at + gap];
        // A national prefix in parentheses is not dialled from abroad.
        if separators.ends_with(b"(") && text.bytes.get(at + gap..at + gap + 2) == Some(b"0)") {
            at += gap
                + 2
                + self::gap(text, at + gap + 2).max(usize::from(text.byte(at + gap + 2) == b' '));
            continue;
        }
        dialled.has_area |= separators.contains(&b'(') || separators.starts_with(b")");
        dialled.has_slash |= separators.contains(&b'/');
        dialled.has_dot |= separators == b".";
        dialled.is_mixed |= dialled.has_dot && (separators == b" " || dialled.has_blank);
        dialled.has_blank |= separators == b" ";
        dialled.is_blank &= separators == b" ";
        at += gap;
    }
    text.work(at - start);
    dialled
}

/// Returns the length of what may stand between two groups of digits at `at`; 0 where they end.
fn gap(text: &Text, at: usize) -> usize {
    let rest = text.bytes.get(at..).unwrap_or_default();
    let len = rest
        .iter()
        .take(3)
        .take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')'))
        .count();
    let separators = &rest[..len];
    let digit = rest.get(len).is_some_and(u8::is_ascii_digit);
    // `. ` ends a sentence; `.-` and the like separate nothing.
    let is_odd = separators.starts_with(b". ")
        || separators
            .windows(2)
            .any(|pair| pair == b".." || pair == b"--" || pair == b"  ");
    if digit && !is_odd { len } else { 0 }
}

/// Returns the offset after an extension (`x123`, `ext. 12`, `Durchwahl 3`) that follows `end`, and whether one does.
fn extension(text: &Text, end: usize) -> (usize, bool) {
    let rest = text.bytes.get(end..).unwrap_or_default();
    let blanks = rest
        .iter()
        .take_while(|byte| **byte == b' ')
        .take(1)
        .count();
    let rest = &rest[blanks..];
    let word = [
        &b"extension"[..],
        b"durchwahl",
        b"poste",
        b"ext.",
        b"ext",
        b"x",
    ]
    .into_iter()
    .find(|word| {
        rest.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    });
    let Some(word) = word else {
        return (end, false);
    };
    let rest = &rest[word.len()..];
    let blank = usize::from(rest.first() == Some(&b' '));
    let digits = rest[blank..]
        .iter()
        .take(7)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if (1..=6).contains(&digits) {
        (end + blanks + word.len() + blank + digits, true)
    } else {
        (end, false)
    }
}

/// Returns how sure the form alone makes it that these digits are dialled.
fn rate(dialled: &Dialled) -> Option<(u8, &'static str)> {
    let digits = &dialled.digits[..dialled.len];
    let groups = &dialled.groups[..dialled.group_count];
    if dialled.is_long || digits.len() < 7 || groups.len() > 8 {
        return None;
    }
    if dialled.has_plus {
        let fits = (8..=15).contains(&digits.len()) && country_code(digits);
        return fits.then_some((80, "international"));
    }
    if is_decimal(dialled) {
        return None;
    }
    // The code is dialled in one go.
    let abroad = [&b"00"[..], b"011"]
        .into_iter()
        .filter(|access| access.len() <= usize::from(groups[0]))
        .find_map(|access| digits.strip_prefix(access));
    if let Some(rest) = abroad.filter(|rest| (8..=15).contains(&rest.len()) && country_code(rest)) {
        let is_american = rest.len() == 11 && rest[0] == b'1';
        let grouped = groups.len() > 1;
        return Some((
            if grouped || is_american { 65 } else { 50 },
            "international",
        ));
    }
    let american = digits
        .strip_prefix(b"1")
        .filter(|rest| rest.len() == 10)
        .unwrap_or(digits);
    let tail = &groups[groups.len().saturating_sub(3)..];
    if american.len() == 10
        && (tail == [3, 3, 4]
            || (groups.len() <= 3 && dialled.has_area && groups.ends_with(&[3, 4])))
    {
        let is_valid = american[0] >= b'2' && american[3] >= b'2';
        return Some((
            if dialled.has_area {
                70
            } else if dialled.is_blank && groups.len() > 1 {
                // Sizes stand in a row like this: a word has to say that it is a telephone number.
                NEEDS_WORD
            } else if is_valid {
                62
            } else {
                45
            },
            "North America",
        ));
    }
    if digits[0] == b'0' && digits[1] != b'0' && (9..=12).contains(&digits.len()) {
        let pairs = groups.len() == 5 && groups.iter().all(|len| *len == 2);
        let base = match groups.len() {
            _ if pairs => 75,
            _ if dialled.has_area => 70,
            _ if dialled.has_slash && groups.len() == 2 => 60,
            1 if (10..=11).contains(&digits.len()) => 50,
            1 => 30,
            2..=5 if (2..=5).contains(&groups[0]) => 55,
            _ => 40,
        };
        return Some((base, "national"));
    }
    let iberian = digits.len() == 9 && matches!(digits[0], b'6'..=b'9');
    if iberian && matches!(groups, [3, 3, 3] | [3, 2, 2, 2] | [2, 3, 2, 2]) {
        return Some((if dialled.is_blank { NEEDS_WORD } else { 52 }, "Spain"));
    }
    if (7..=13).contains(&digits.len()) {
        return Some((if dialled.has_area { 45 } else { 22 }, "local"));
    }
    None
}

/// Percent of a form that much else has: with a word nearby it counts.
const NEEDS_WORD: u8 = 30;

/// Returns whether the digits are decimals: `0.0312`, `12.34567`, `0.05 0.07`.
fn is_decimal(dialled: &Dialled) -> bool {
    let groups = &dialled.groups[..dialled.group_count];
    let starts_zero = dialled.has_dot && groups[0] == 1 && dialled.digits[0] == b'0';
    let is_one = dialled.has_dot
        && matches!(groups, [whole, part] if *whole <= 3 && *part != 4)
        && dialled.digits[0] != b'0';
    !dialled.has_area && (starts_zero || is_one || dialled.is_mixed)
}

/// ITU-T E.164, list of assigned country codes: one digit, two digits, or three in the zones that have them.
fn country_code(digits: &[u8]) -> bool {
    match digits {
        [b'1', area, ..] => *area >= b'2',
        [b'7', ..] => true,
        [b'2', b'0' | b'7', ..] => true,
        [b'2', b'1'..=b'6' | b'9', ..] => true,
        [b'3', b'0'..=b'9', ..] | [b'4', b'0'..=b'9', ..] => true,
        [b'5', ..] => true,
        [b'6', b'0'..=b'9', ..] => true,
        [b'8', b'0' | b'1' | b'2' | b'4'..=b'8', ..] => true,
        [b'9', b'0'..=b'6' | b'7'..=b'9', ..] => true,
        _ => false,
    }
}
