//! Addresses of machines and mailboxes: e-mail (RFC 5321), IP (RFC 791, RFC 4291), MAC (IEEE 802), URLs with
//! credentials (RFC 3986, section 3.2.1).

use super::text::{Text, is_blank, is_word};
use super::vocabulary::{NET, VERSION};
use super::{Candidate, Kind};

/// RFC 5321, section 4.5.3.1.
const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 255;

/// Returns the e-mail address around the `@` at `at`, also written `%40`, `[at]` or `(at)`.
pub(super) fn email(text: &Text, at: usize) -> Option<Candidate> {
    address(text, at, at + 1)
}

/// Returns the e-mail address whose `@` is written as the word at `at`: `(at)`, `[at]`, `{at}`.
pub(super) fn disguised_email(text: &Text, at: usize) -> Option<Candidate> {
    let is_bracketed = matches!(
        (text.before(at), text.byte(at + 2)),
        (b'(', b')') | (b'[', b']') | (b'{', b'}') | (b'<', b'>')
    );
    if !is_bracketed {
        return None;
    }
    let (mut from, mut to) = (at - 1, at + 3);
    // Before the text stands no blank of its own.
    from -= usize::from(from > 0 && text.before(from) == b' ');
    to += usize::from(text.byte(to) == b' ');
    address(text, from, to)
}

fn address(text: &Text, from: usize, to: usize) -> Option<Candidate> {
    let mut start = from;
    while start > 0 && from - start < MAX_LOCAL && is_local(text.before(start)) {
        start -= 1;
    }
    let quoted = text.before(from) == b'"';
    if quoted {
        let rest = text.bytes.get(from.saturating_sub(MAX_LOCAL)..from - 1)?;
        start = from.saturating_sub(MAX_LOCAL) + rest.iter().rposition(|byte| *byte == b'"')?;
    }
    while !quoted
        && start < from
        && matches!(
            text.byte(start),
            b'.' | b'\'' | b'-' | b'/' | b'=' | b'*' | b'#' | b'`' | b'|' | b'{' | b'~'
        )
    {
        start += 1;
    }
    let end = domain(text, to)?;
    text.work(end - start);
    if start == from || text.before(from) == b'.' {
        return None;
    }
    Some(Candidate {
        kind: Kind::Email,
        label: "e-mail",
        start,
        end,
        confidence: 95,
    })
}

fn is_local(byte: u8) -> bool {
    is_word(byte) || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

/// Returns the end of the domain at `start`: labels with dots, the last one of letters.
fn domain(text: &Text, start: usize) -> Option<usize> {
    let (mut at, mut end, mut labels) = (start, None, 0);
    while at - start < MAX_DOMAIN {
        let label = at;
        while at - label < 63 && (is_word(text.byte(at)) || (text.byte(at) == b'-' && at > label)) {
            at += 1;
        }
        while at > label && text.before(at) == b'-' {
            at -= 1;
        }
        let word = text.bytes.get(label..at).unwrap_or_default();
        if word.is_empty() || is_word(text.byte(at)) {
            break;
        }
        labels += 1;
        let top =
            word.len() >= 2 && (word.starts_with(b"xn--") || !word.iter().any(u8::is_ascii_digit));
        if labels > 1 && top && !is_file_ending(word) {
            end = Some(at);
        }
        at += match text.bytes.get(at..) {
            Some([b'.', next, ..]) if is_word(*next) => 1,
            Some(rest) => dot_word(rest),
            None => 0,
        };
        if text.before(at) != b'.' && !matches!(text.before(at), b')' | b']' | b' ') {
            break;
        }
    }
    end
}

/// Returns the length of a dot that is written as a word: `(dot)`, ` [dot] `.
fn dot_word(rest: &[u8]) -> usize {
    let forms = [
        &b" [dot] "[..],
        b" (dot) ",
        b"[dot]",
        b"(dot)",
        b"[.]",
        b"(.)",
    ];
    forms
        .iter()
        .find(|form| rest.starts_with(form))
        .map_or(0, |form| form.len())
}

/// Names of files that look like domains behind an `@`, as in `icon@2x.png`.
fn is_file_ending(word: &[u8]) -> bool {
    let endings = [
        &b"png"[..],
        b"jpg",
        b"jpeg",
        b"gif",
        b"svg",
        b"webp",
        b"css",
        b"js",
        b"ts",
        b"json",
        b"html",
        b"php",
        b"txt",
        b"xml",
    ];
    endings
        .iter()
        .any(|ending| ending.eq_ignore_ascii_case(word))
}

/// Returns the URL with a user's name or password whose `://` is at `at`.
pub(super) fn url(text: &Text, at: usize) -> Option<Candidate> {
    let mut start = at;
    while start > 0
        && at - start < 20
        && (text.before(start).is_ascii_alphanumeric()
            || matches!(text.before(start), b'+' | b'.' | b'-'))
    {
        start -= 1;
    }
    let host = at + 3;
    let authority = text.bytes.get(host..).unwrap_or_default();
    let len = authority
        .iter()
        .take(MAX_DOMAIN)
        .take_while(|byte| {
            !is_blank(**byte) && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\')
        })
        .count();
    let user = authority[..len].iter().rposition(|byte| *byte == b'@')?;
    text.work(len);
    if start == at || user == 0 {
        return None;
    }
    let mut end = host + len;
    while end < text.bytes.len()
        && end - host < 2048
        && !is_blank(text.byte(end))
        && !b"\"'<>`".contains(&text.byte(end))
    {
        end += 1;
    }
    while end > host + len
        && matches!(
            text.before(end),
            b'.' | b',' | b';' | b')' | b']' | b'}' | b'!' | b'?'
        )
    {
        end -= 1;
    }
    text.work(end - start);
    let has_password = authority[..user]
        .iter()
        .position(|byte| *byte == b':')
        .is_some_and(|colon| colon + 1 < user);
    Some(Candidate {
        kind: Kind::CredentialUrl,
        label: if has_password {
            "URL with a password"
        } else {
            "URL with a user"
        },
        start,
        end,
        confidence: if has_password { 96 } else { 55 },
    })
}

/// Returns the IPv4 address that starts at `at`.
pub(super) fn ip_v4(text: &Text, index: usize, at: usize) -> Option<Candidate> {
    let mut end = at;
    for octet in 0..4 {
        if octet > 0 {
            if text.byte(end) != b'.' {
                return None;
            }
            end += 1;
        }
        let len = (end..end + 4)
            .take_while(|at| text.byte(*at).is_ascii_digit())
            .count();
        let digits = text.bytes.get(end..end + len)?;
        let leading_zero = len > 1 && digits[0] == b'0';
        if !(1..=3).contains(&len) || leading_zero || super::checksum::number(digits) > 255 {
            return None;
        }
        end += len;
    }
    let before = text.before(at);
    let goes_on = text.byte(end) == b'.' && text.byte(end + 1).is_ascii_alphanumeric();
    let is_part = is_word(before)
        || matches!(before, b'.' | b'_')
        || (before == b'-' && is_word(text.byte(at.saturating_sub(2))));
    if goes_on || is_part || is_word(text.byte(end)) {
        return None;
    }
    let version = text.near(index, (at, end), VERSION, 24);
    let net = text.near(index, (at, end), NET, 60);
    let is_version = version.is_some_and(|version| net.is_none_or(|net| version < net));
    (!is_version).then_some(Candidate {
        kind: Kind::IpAddress,
        label: "IPv4",
        start: at,
        end,
        confidence: if net.is_some() { 95 } else { 85 },
    })
}

/// Returns the IPv6 or MAC address in the run of hexadecimal digits and colons or dashes around `at`.
pub(super) fn hex_groups(text: &Text, index: usize, at: usize) -> Option<Candidate> {
    let mut start = at;
    let in_run = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    while start > 0 && at - start < 48 && in_run(text.before(start)) {
        start -= 1;
    }
    let mut end = at;
    while end - start < 60 && (in_run(text.byte(end)) || text.byte(end) == b'.') {
        end += 1;
    }
    text.work(end - start);
    // A single colon before it ends a word, after it a clause.
    if text.byte(start) == b':' && text.byte(start + 1) != b':' {
        start += 1;
    }
    while end > start
        && (text.before(end) == b'.'
            || (text.before(end) == b':' && text.byte(end.saturating_sub(2)) != b':'))
    {
        end -= 1;
    }
    let run = text.bytes.get(start..end)?;
    if is_word(text.before(start)) || is_word(text.byte(end)) {
        return mac(text, at);
    }
    let mac = mac(text, start);
    if mac.is_some() {
        return mac;
    }
    let is_address = is_ip_v6(run)
        && (!is_slice(text, start, end) || {
            let net = text.near(index, (start, end), NET, 60);
            net.is_some() && !in_brackets(text, start, end)
        });
    is_address.then_some(Candidate {
        kind: Kind::IpAddress,
        label: "IPv6",
        start,
        end,
        confidence: 90,
    })
}

fn in_brackets(text: &Text, start: usize, end: usize) -> bool {
    // `//[fe80::1]` is a URL's host (RFC 3986, section 3.2.2).
    let is_host = text.before(start) == b'['
        && start
            .checked_sub(2)
            .is_some_and(|at| matches!(text.byte(at), b'/' | b'@'));
    (text.before(start) == b'[' || text.byte(end) == b']') && !is_host
}

/// Returns whether the run may be a slice of an array, such as `::2` or `1::2`: few and short groups.
fn is_slice(text: &Text, start: usize, end: usize) -> bool {
    let run = text.bytes.get(start..end).unwrap_or_default();
    let groups = run
        .split(|byte| *byte == b':')
        .filter(|part| !part.is_empty());
    let long = groups.clone().any(|part| part.len() >= 3);
    groups.count() < 3 && (in_brackets(text, start, end) || !(long || run == b"::1"))
}

/// RFC 4291, section 2.2: eight groups, one `::` for zeros, IPv4 at the end.
fn is_ip_v6(run: &[u8]) -> bool {
    let (mut groups, mut gaps, mut has_digit) = (0, 0, false);
    let mut parts = run.split(|byte| *byte == b':').peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if part.is_empty() {
            // `::` gives one empty part inside, two at an edge.
            let edge = first || last;
            gaps += if edge { 0 } else { 1 };
            first = false;
            continue;
        }
        first = false;
        has_digit |= part.iter().any(u8::is_ascii_digit);
        if part.contains(&b'.') {
            let octets = part.split(|byte| *byte == b'.');
            let is_v4 = octets.clone().count() == 4
                && octets.into_iter().all(|octet| {
                    (1..=3).contains(&octet.len())
                        && octet.iter().all(u8::is_ascii_digit)
                        && super::checksum::number(octet) < 256
                });
            if !last || !is_v4 {
                return false;
            }
            groups += 2;
        } else if part.len() <= 4 {
            groups += 1;
        } else {
            return false;
        }
    }
    let open = run.starts_with(b"::") || run.ends_with(b"::");
    match (gaps, open) {
        (0, false) => groups == 8,
        // `::1` is somebody's machine, `a::b` more often a path in a program.
        (0 | 1, true) => {
            (1..=7).contains(&groups) && has_digit && (groups > 1 || run.starts_with(b"::"))
        }
        (1, false) => groups <= 7 && has_digit && groups >= 2,
        _ => false,
    }
}

/// Returns the MAC address that starts at `start`: six pairs, or three groups of four with dots.
fn mac(text: &Text, start: usize) -> Option<Candidate> {
    let found = |len: usize| Candidate {
        kind: Kind::MacAddress,
        label: "MAC",
        start,
        end: start + len,
        confidence: 92,
    };
    let hex = |at: usize| text.byte(start + at).is_ascii_hexdigit();
    let ends = |len: usize| {
        let next = text.byte(start + len);
        let goes_on = matches!(next, b':' | b'-' | b'.') && is_word(text.byte(start + len + 1));
        !is_word(next) && !goes_on
    };
    let before = text.before(start);
    if is_word(before) || (matches!(before, b'-') && is_word(text.byte(start.saturating_sub(2)))) {
        return None;
    }
    let separator = text.byte(start + 2);
    let pairs = matches!(separator, b':' | b'-')
        && (0..17).all(|at| {
            if at % 3 == 2 {
                text.byte(start + at) == separator
            } else {
                hex(at)
            }
        });
    if pairs && ends(17) {
        return Some(found(17));
    }
    let dotted = (0..14).all(|at| {
        if at % 5 == 4 {
            text.byte(start + at) == b'.'
        } else {
            hex(at)
        }
    });
    (dotted && ends(14)).then(|| found(14))
}

/// Returns the MAC address that the token at `at` is a part of: its first pairs may be letters alone.
pub(super) fn dashed_mac(text: &Text, at: usize) -> Option<Candidate> {
    (0..6)
        .filter_map(|pairs| at.checked_sub(pairs * 3))
        .take_while(|start| *start == at || text.byte(*start + 2) == b'-')
        .find_map(|start| mac(text, start))
}
