//! The scanner: folds a piece of text, marks its tokens, and asks the rules about each.

use alloc::vec::Vec;

use super::fold::Folded;
use super::text::{
    AT, COLONS, COMPOUND, DIGITS, HOMES, Hit, LEAD, LONG, SIGNS, Text, is_base64, is_word,
};
use super::vocabulary::{
    FIRST, LAST, NAME_CUE, SECRET, STREET_AFTER, STREET_BEFORE, TITLE, Vocabulary,
};
use super::{
    Candidate, Finding, Kind, address, date, home, name, network, number, phone, secret, wallet,
};

/// What a scan found and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Findings in ascending order; they do not overlap.
    pub findings: Vec<Finding>,
    /// Bytes and words looked at, some of them more than once: at most a constant times the input's bytes.
    pub steps: u64,
}

/// Scans `bytes` for findings of at least `min_confidence` percent. O(n); memory is bounded but for the findings.
pub(super) fn scan(bytes: &[u8], vocabulary: &Vocabulary, min_confidence: u8) -> Scan {
    let mut scan = Scan::default();
    // Where the base64 began that reaches up to `at`.
    let (mut at, mut run) = (0usize, 0usize);
    loop {
        let mut from = at.saturating_sub(HEAD);
        // Base64 that goes on from the piece before is read on in the steps of four that it began with.
        let goes_on = run < from;
        if goes_on {
            from -= (from - run) % 4;
        }
        let to = bytes.len().min(at.saturating_add(CHUNK + TAIL));
        let is_last = to == bytes.len();
        let owned_to = if is_last { to } else { at + CHUNK };
        let piece = &bytes[from..to];
        let folded = Folded::new(piece);
        let text = Text::new(&folded.text, vocabulary);
        for found in candidates(&text, 0) {
            let mut span =
                from + folded.origin(found.start)..from + folded.origin_end(found.end, piece);
            if goes_on && span.start == from && span.end > at {
                // The piece before has looked at what stands there.
                span.start = at;
            }
            if found.confidence >= min_confidence && (at..owned_to).contains(&span.start) {
                scan.findings.push(Finding {
                    kind: found.kind,
                    label: found.label,
                    span,
                    confidence: found.confidence,
                });
            }
        }
        scan.steps += text.steps() + piece.len() as u64;
        if is_last {
            break;
        }
        let before = at;
        at += CHUNK;
        let piece = bytes.get(before..at).unwrap_or_default();
        let back = piece.iter().rev().take_while(|byte| is_base64(**byte));
        let back = back.count();
        if back < CHUNK {
            run = at - back;
        }
    }
    scan.findings = without_overlaps(scan.findings);
    scan
}

/// Of findings that overlap, keeps the surest, and the longest of those, and lets it cover what the others covered.
fn without_overlaps(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        // Streets are named after people: a name in an address is the address.
        let rank = |finding: &Finding| match finding.kind {
            Kind::Address => (100, finding.span.len()),
            _ => (finding.confidence, finding.span.len()),
        };
        match kept
            .last_mut()
            .filter(|last| last.span.end > finding.span.start)
        {
            None => kept.push(finding),
            Some(last) => {
                let end = last.span.end.max(finding.span.end);
                if rank(&finding) > rank(last) {
                    let start = last.span.start;
                    *last = finding;
                    last.span.start = start;
                }
                last.span.end = end;
            }
        }
    }
    kept
}

/// Returns what the rules find in `text`. `depth` counts how often it was unwrapped from base64: at most once.
fn candidates(text: &Text, depth: usize) -> Vec<Candidate> {
    let mut reader = Reader {
        text,
        depth,
        found: Vec::new(),
        read_to: 0,
        decoded_to: [0; 4],
        numbers_to: 0,
        short: (0, 0),
    };
    for (index, hit) in text.hits.iter().enumerate() {
        if hit.start() >= reader.read_to {
            reader.read(index, hit);
        }
    }
    reader.found
}

struct Reader<'t, 'a> {
    text: &'t Text<'a>,
    depth: usize,
    found: Vec<Candidate>,
    /// Nothing before this offset is looked at again: a key, a URL.
    read_to: usize,
    /// Up to where base64 was decoded, by the remainder of its beginning over four.
    decoded_to: [usize; 4],
    /// No number begins before this offset.
    numbers_to: usize,
    /// Single digits with the same blank or dash between them: how many, and where the last one ended.
    short: (usize, usize),
}

impl Reader<'_, '_> {
    fn read(&mut self, index: usize, hit: &Hit) {
        let (text, start, end) = (self.text, hit.start(), hit.end());
        if hit.marks & AT != 0 {
            let found = match text.byte(start) {
                b'@' => network::email(text, start),
                _ => network::disguised_email(text, start),
            };
            self.found.extend(found);
        }
        if hit.marks & COLONS != 0 {
            match text.byte(start + 1) {
                b'/' => self.whole(network::url(text, start)),
                _ => self.number(network::hex_groups(text, index, start)),
            }
        }
        if hit.marks & LONG != 0 && self.long(index, hit) {
            return;
        }
        if hit.marks & SIGNS != 0
            && let Some(found) = self.wrapped(start)
        {
            return self.whole(Some(found));
        }
        if hit.flags & SECRET != 0 {
            self.whole(secret::assigned(text, (start, end)));
        }
        if hit.marks & HOMES != 0 {
            self.whole(home::find(text, start, end));
        }
        if hit.marks & (DIGITS | LEAD) != 0 && start >= self.numbers_to {
            self.numbers(index, start);
        }
        if hit.marks & COMPOUND != 0 || hit.flags & (STREET_BEFORE | STREET_AFTER) != 0 {
            self.found.extend(address::find(text, index, hit));
        }
        if hit.flags & (TITLE | FIRST | LAST | NAME_CUE) != 0 {
            self.found.extend(name::find(text, index, hit));
        }
    }

    /// Takes a finding that nothing else is looked for in.
    fn whole(&mut self, found: Option<Candidate>) {
        if let Some(found) = found {
            self.read_to = self.read_to.max(found.end);
            self.found.push(found);
        }
    }

    /// Takes a finding that no other number begins in.
    fn number(&mut self, found: Option<Candidate>) {
        if let Some(found) = found {
            self.numbers_to = self.numbers_to.max(found.end);
            self.found.push(found);
        }
    }

    /// Reads a token that may be a key, a wallet or wrapped; returns whether it was one.
    fn long(&mut self, index: usize, hit: &Hit) -> bool {
        let (text, start) = (self.text, hit.start());
        let found = secret::pem(text, start)
            .or_else(|| secret::prefixed(text, start))
            .or_else(|| wallet::find(text, index, start, hit.end()))
            .or_else(|| self.wrapped(start))
            .or_else(|| secret::random(text, index, start));
        let is_found = found.is_some();
        self.whole(found);
        is_found
    }

    /// Returns the base64 at `start` as the surest of what its text contains. It may stand behind a path's slash, where
    /// it is decoded for itself.
    fn wrapped(&mut self, start: usize) -> Option<Candidate> {
        let text = self.text;
        let phase = start % 4;
        // What was decoded in the same steps of four from an earlier character says nothing new.
        if self.depth > 0 || start < self.decoded_to[phase] {
            return None;
        }
        let (mut at, mut surest) = (start, None::<Candidate>);
        loop {
            let decoded = secret::unwrap_base64(text, at, at > start);
            self.decoded_to[phase] = decoded.end;
            surest = [surest, self.inner(&decoded.text)]
                .into_iter()
                .flatten()
                .max_by_key(|found| found.confidence);
            if !decoded.goes_on {
                break;
            }
            at = decoded.end - secret::WRAPPED_OVERLAP;
        }
        let surest = surest?;
        let rest = text.bytes.get(at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| is_base64(**byte)).count();
        let padding = rest[len..]
            .iter()
            .take(2)
            .take_while(|byte| **byte == b'=')
            .count();
        text.work(len);
        Some(Candidate {
            start,
            end: at + len + padding,
            ..surest
        })
    }

    /// Returns the surest of what decoded text contains.
    fn inner(&self, decoded: &[u8]) -> Option<Candidate> {
        let folded = Folded::new(decoded);
        let inner = Text::new(&folded.text, self.text.vocabulary);
        let found = candidates(&inner, self.depth + 1);
        self.text.work(inner.steps() as usize);
        found
            .into_iter()
            .filter(|found| !matches!(found.kind, Kind::PersonName | Kind::Address))
            .max_by_key(|found| found.confidence)
            .filter(|found| found.confidence >= MIN_WRAPPED_CONFIDENCE)
    }

    /// Returns whether the token is a digit in a long list of single digits that goes on behind it.
    fn list(&mut self, start: usize, end: usize) -> bool {
        let text = self.text;
        let separator = text.before(start);
        if end - start > 1 || !matches!(separator, b' ' | b'-') {
            self.short = (usize::from(end - start == 1), end);
            return false;
        }
        let follows = self.short.0 > 0 && start == self.short.1 + 1;
        self.short = (if follows { self.short.0 + 1 } else { 1 }, end);
        let goes_on = text.byte(end) == separator && !is_word(text.byte(end + 2));
        self.short.0 > MAX_SHORT && goes_on
    }

    fn numbers(&mut self, index: usize, start: usize) {
        let text = self.text;
        if let Some(end) = number::uuid(text, start) {
            self.numbers_to = end;
            return;
        }
        let end = text.hits.get(index).map_or(start, Hit::end);
        let is_in_list = self.list(start, end);
        if matches!(text.byte(end), b':' | b'-' | b'.') || matches!(text.before(start), b':' | b'-')
        {
            let found = match text.byte(end) {
                b':' => network::hex_groups(text, index, start),
                _ if text.before(start) == b':' => network::hex_groups(text, index, start),
                _ => network::dashed_mac(text, start),
            };
            let found = found.or_else(|| network::ip_v4(text, index, start));
            if found.is_some() {
                return self.number(found);
            }
        }
        if let Some(date) = date::find(text, index, start) {
            self.numbers_to = date.end;
            self.found.extend(date::birth(text, index, &date));
            return;
        }
        if is_in_list {
            return;
        }
        let run = number::Run::read(text, start);
        let best = [
            number::find(text, index, start, &run),
            phone::find(text, index, start),
            number::named(text, index, start, &run),
            address::postcode(text, index, start),
        ];
        // The first of equals: a number with a check digit is more than a telephone number.
        let best = best.into_iter().flatten().reduce(|best, other| {
            if other.confidence > best.confidence {
                other
            } else {
                best
            }
        });
        match best {
            Some(best) if best.confidence >= COUNTS => self.number(Some(best)),
            other => {
                self.found.extend(other);
                self.numbers_to = number::shape_end(&run).unwrap_or(self.numbers_to);
            }
        }
    }
}

/// Single digits in a row at which a number may begin: a long list of them is none.
const MAX_SHORT: usize = 8;
/// Percent from which a number is taken for what it seems, so that none is looked for in its middle.
const COUNTS: u8 = 50;
/// Percent that a finding inside base64 needs.
const MIN_WRAPPED_CONFIDENCE: u8 = 60;

/// Bytes that are folded at once. Guess: fits a second-level cache with its hits.
const CHUNK: usize = 256 * 1024;
/// Bytes before a piece that are read with it, for the words before its first number.
const HEAD: usize = 1024;
/// Bytes after a piece that are read with it, for the longest finding that begins in it.
const TAIL: usize = secret::MAX_PEM + 4096;
