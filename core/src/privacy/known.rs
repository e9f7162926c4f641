//! The owner's identifiers, and where they stand in what leaves.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;

use super::pseudonym::Pseudonym;

/// Bytes from which an identifier is looked for inside texts and names: a shorter one would hit words by chance. Guess.
pub const MIN_IDENTIFIER: usize = 4;

/// Identifiers that are looked for, each with what stands for it. Never printed.
#[derive(Default, PartialEq)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Known {
    /// Identifiers in lower case with the texts of their pseudonyms, the longest first.
    entries: Vec<(String, String)>,
    /// By first byte: which entries begin so.
    begins: BTreeMap<u8, Vec<usize>>,
}

impl Known {
    /// Takes those of `identifiers` (by kind) that are long enough and have a pseudonym.
    pub(super) fn new(
        identifiers: &BTreeMap<String, String>,
        pseudonyms: &BTreeMap<String, Pseudonym>,
    ) -> Self {
        let mut entries: Vec<_> = identifiers
            .iter()
            .filter(|(_, identifier)| identifier.len() >= MIN_IDENTIFIER)
            .filter_map(|(kind, identifier)| Some((identifier, pseudonyms.get(kind)?)))
            .map(|(identifier, pseudonym)| (identifier.to_ascii_lowercase(), pseudonym.to_text()))
            .collect();
        entries.sort_by_key(|(identifier, _)| Reverse(identifier.len()));
        let mut begins: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (index, (identifier, _)) in entries.iter().enumerate() {
            if let Some(first) = identifier.as_bytes().first() {
                begins.entry(*first).or_default().push(index);
            }
        }
        Self { entries, begins }
    }

    /// Returns `text` with pseudonyms for identifiers, in one pass: where some overlap, that of the longest stands for
    /// all of them, and nothing inside a pseudonym is replaced again. ASCII letters match in either case.
    /// O(text × identifiers that begin alike).
    pub(super) fn hide(&self, text: &str) -> String {
        let mut left = String::with_capacity(text.len());
        let mut kept = 0;
        for place in self.places(text, |_| None) {
            left.push_str(text.get(kept..place.start).unwrap_or_default());
            let pseudonym = self.entries.get(place.entry);
            left.push_str(pseudonym.map_or("", |(_, pseudonym)| pseudonym));
            kept = place.end;
        }
        left.push_str(text.get(kept..).unwrap_or_default());
        left
    }

    /// Counts the places where identifiers stand in `text`, outside of pseudonyms. As costly as [`Known::hide`].
    pub(super) fn count(&self, text: &str) -> usize {
        let pseudonym = |rest: &[u8]| {
            // What every pseudonym begins with, so that most of the text costs one comparison.
            let rest = rest.starts_with(b"anon-").then_some(rest)?;
            let starts = |(_, one): &&(String, String)| rest.starts_with(one.as_bytes());
            let found = self.entries.iter().find(starts);
            found.map(|(_, one)| one.len())
        };
        self.places(text, pseudonym).count()
    }

    /// Walks over the places of identifiers, joined where they overlap. `skip` answers how many bytes at the beginning of
    /// the rest of the text are not to be read.
    fn places<'a>(
        &'a self,
        text: &'a str,
        skip: impl Fn(&[u8]) -> Option<usize> + 'a,
    ) -> impl Iterator<Item = Place> + 'a {
        let bytes = text.as_bytes();
        let mut at = 0;
        core::iter::from_fn(move || {
            let mut open: Option<Place> = None;
            while at < bytes.len() && open.as_ref().is_none_or(|place| at < place.end) {
                let rest = bytes.get(at..).unwrap_or_default();
                if let Some(skipped) = skip(rest).filter(|_| open.is_none()) {
                    at += skipped.max(1);
                    continue;
                }
                if let Some(entry) = self.longest(rest) {
                    let end = at + self.len(entry);
                    let place = open.get_or_insert(Place {
                        start: at,
                        end,
                        entry,
                    });
                    place.end = place.end.max(end);
                    // Entries are sorted: the first is the longest.
                    place.entry = place.entry.min(entry);
                }
                at += 1;
            }
            open
        })
    }

    /// Returns the longest identifier that `rest` begins with.
    fn longest(&self, rest: &[u8]) -> Option<usize> {
        let first = rest.first()?.to_ascii_lowercase();
        let is_here = |index: &&usize| {
            let begin = rest.get(..self.len(**index));
            let entry = self.entries.get(**index);
            entry.zip(begin).is_some_and(|((identifier, _), begin)| {
                begin.eq_ignore_ascii_case(identifier.as_bytes())
            })
        };
        self.begins.get(&first)?.iter().find(is_here).copied()
    }

    fn len(&self, entry: usize) -> usize {
        self.entries
            .get(entry)
            .map_or(0, |(identifier, _)| identifier.len())
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} identifiers)", self.entries.len())
    }
}

/// Where identifiers stand: bytes, and the longest of them.
struct Place {
    start: usize,
    end: usize,
    entry: usize,
}

#[cfg(test)]
mod tests {
    use super::super::pseudonym::{Epoch, NodeSecret};
    use super::*;

    fn known(identifiers: &[(&str, &str)]) -> (Known, impl Fn(&str) -> String) {
        let makers = NodeSecret::from_bytes([7; 32]).pseudonyms("main", Epoch::default());
        let identifiers: BTreeMap<String, String> = identifiers
            .iter()
            .map(|(kind, identifier)| ((*kind).into(), (*identifier).into()))
            .collect();
        let pseudonyms: BTreeMap<_, _> = identifiers
            .iter()
            .map(|(kind, identifier)| (kind.clone(), makers.of(kind, identifier).unwrap()))
            .collect();
        let known = Known::new(&identifiers, &pseudonyms);
        (known, move |kind| pseudonyms[kind].to_text())
    }

    #[test]
    fn an_identifier_is_replaced_in_whatever_case_it_is_written() {
        let (known, of) = known(&[("host", "Löwe-PC"), ("short", "abc")]);
        let text = "LöWE-pc, abc, löwe-pc";
        let host = of("host");
        assert_eq!(known.count(text), 2);
        let hidden = known.hide(text);
        assert_eq!(hidden, alloc::format!("{host}, abc, {host}"));
        assert_eq!(known.count(&hidden), 0);
    }

    #[test]
    fn where_identifiers_overlap_nothing_of_either_is_left() {
        let (known, of) = known(&[("left", "abcdef"), ("right", "defghijk"), ("part", "cdef")]);
        let right = of("right");
        assert_eq!(known.hide("x abcdefghijk y"), alloc::format!("x {right} y"));
        assert_eq!(known.hide("abcdef"), of("left"));
        assert_eq!(
            known.hide("abcdefabcdef"),
            alloc::format!("{0}{0}", of("left"))
        );
    }

    #[test]
    fn what_stands_inside_a_pseudonym_is_not_replaced() {
        let (known, of) = known(&[("device", "anon"), ("peer", "ada-lovelace")]);
        let hidden = known.hide("ada-lovelace on anon");
        assert_eq!(hidden, alloc::format!("{} on {}", of("peer"), of("device")));
        assert_eq!(known.count(&hidden), 0);
        assert_eq!(known.count("anonymous"), 1);
    }
}
