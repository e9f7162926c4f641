//! Numbers that describe the owner as ranges that at least k owners share (k-anonymity: Sweeney 2002, "k-Anonymity: a
//! model for protecting privacy").
//!
//! A range is a rung of a public ladder: rung 0 is narrow, each next one joins two. All facts of an owner are widened
//! together until k − 1 others have published ranges inside every one of them, so that no combination singles the owner
//! out; where the widest rung is not enough the fact is left out. Rungs lie at fixed places, so a range tells nothing of
//! where in it the number is.
//!
//! What it does not do: it believes the counts, so the caller counts each author once and only those it trusts. While
//! fewer than k have published, facts stay at home; a new network starts with a public distribution as its rows. Owners
//! who share a range may also share a secret (homogeneity): k-anonymity says nothing of that.
//!
//! It does not know the owner among the rows: one who has published before is counted twice unless the caller leaves the
//! owner's own earlier row out. And k-anonymity does not compose: each of several releases may hide its owner among k, and
//! all of them together, or one with other knowledge, single the owner out. No budget is kept of that.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::error::PrivacyError;
use crate::bounds::LimitError;

/// Facts of one owner. Guess: size of the data, processors, memory, latitude, longitude, and twice as many to come.
pub const MAX_FACTS: usize = 16;
/// Rows of published ranges. Guess: bounds the work of a preview to some milliseconds.
pub const MAX_ROWS: usize = 4096;

/// A number that describes the owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fact {
    /// The number.
    pub value: f64,
    /// The ranges that may stand for it.
    pub ladder: Ladder,
}

/// Ranges that double in width from rung to rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ladder {
    /// For sizes ≥ 0: below 1, 1 to 2, 2 to 4, 4 to 8 and so on at the narrowest; wider rungs join their neighbours.
    Sizes,
    /// For places and the like: equal widths from `lowest` upward.
    Even {
        /// The least value.
        lowest: f64,
        /// Width of the narrowest range, > 0.
        width: f64,
    },
}

/// Numbers from `lower` up to and without `upper`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The least number in it.
    pub lower: f64,
    /// The least number past it.
    pub upper: f64,
}

impl Range {
    /// Tells whether all of `other` is in this range.
    pub fn contains(&self, other: &Self) -> bool {
        self.lower <= other.lower && other.upper <= self.upper
    }
}

/// The ranges that a number of owners have published, all the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The ranges by the names of the facts.
    pub ranges: BTreeMap<String, Range>,
    /// How many different owners published them.
    pub owners: u64,
}

/// How many must look alike, and how far ranges may be widened for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anonymity {
    /// k: owners that share the ranges, the owner included, ≥ 2. Default 5. Guess: what statistical offices ask of a cell.
    pub k: u64,
    /// The widest rung, 0..=32. Default 6: 64 times as wide as the narrowest. Guess: beyond it a range says nothing.
    pub widest: u32,
}

impl Default for Anonymity {
    fn default() -> Self {
        Self { k: 5, widest: 6 }
    }
}

impl Anonymity {
    /// Says whether both settings are in range.
    ///
    /// # Errors
    /// [`PrivacyError::Setting`].
    pub fn validate(&self) -> Result<(), PrivacyError> {
        if self.k < 2 {
            return Err(PrivacyError::Setting {
                what: "k",
                bound: "at least 2",
                got: self.k as f64,
            });
        }
        if self.widest > 32 {
            return Err(PrivacyError::Setting {
                what: "widest rung",
                bound: "at most 32",
                got: f64::from(self.widest),
            });
        }
        Ok(())
    }
}

/// Facts as ranges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges {
    /// The ranges that may be told.
    pub told: BTreeMap<String, Range>,
    /// The facts that no allowed range hides.
    pub suppressed: Vec<String>,
    /// Owners that all of these ranges fit, the owner included.
    pub crowd: u64,
}

impl Fact {
    /// Checks that the ladder has a rung for the value.
    pub(super) fn check(&self, place: usize) -> Result<(), PrivacyError> {
        match self.ladder.rung(self.value) {
            Some(_) => Ok(()),
            None => Err(PrivacyError::Fact { fact: place }),
        }
    }
}

impl Ladder {
    /// Returns the number of the narrowest range with `value`, `0..2⁴⁰`.
    fn rung(self, value: f64) -> Option<i64> {
        let rung = match self {
            Self::Sizes if value >= 1.0 => f64::from(libm::ilogb(value)) + 1.0,
            Self::Sizes => value,
            Self::Even { lowest, width } if width > 0.0 && width.is_finite() => {
                (value - lowest) / width
            }
            Self::Even { .. } => f64::NAN,
        };
        if !(value.is_finite() && (0.0..MAX_RUNG).contains(&rung)) {
            return None;
        }
        // Division may round over an edge.
        let rung = rung as i64;
        Some(if self.edge(rung) > value {
            rung - 1
        } else if self.edge(rung + 1) <= value {
            rung + 1
        } else {
            rung
        })
    }

    /// Returns the lower edge of narrow range `index`.
    fn edge(self, index: i64) -> f64 {
        match self {
            Self::Sizes if index <= 0 => 0.0,
            Self::Sizes => libm::scalbn(1.0, i32::try_from(index - 1).unwrap_or(i32::MAX)),
            Self::Even { lowest, width } => lowest + index as f64 * width,
        }
    }

    /// Returns the range with narrow range `index` that is 2^`level` of them wide.
    fn range(self, index: i64, level: u32) -> Range {
        let first = (index >> level) << level;
        Range {
            lower: self.edge(first),
            upper: self.edge(first + (1 << level)),
        }
    }
}

/// Widens `facts` until they hide among `published`. O(facts² × rungs × rows).
///
/// # Errors
/// [`PrivacyError::Limit`] past [`MAX_FACTS`] and [`MAX_ROWS`], [`PrivacyError::Fact`], and as [`Anonymity::validate`].
pub fn generalise(
    facts: &BTreeMap<String, Fact>,
    published: &[Row],
    anonymity: Anonymity,
) -> Result<Ranges, PrivacyError> {
    anonymity.validate()?;
    LimitError::check_len("facts", facts.len(), MAX_FACTS)?;
    LimitError::check_len("rows of published ranges", published.len(), MAX_ROWS)?;
    let mut candidates = Vec::with_capacity(facts.len());
    for (place, (name, fact)) in facts.iter().enumerate() {
        fact.check(place)?;
        let index = fact.ladder.rung(fact.value).unwrap_or_default();
        candidates.push(Candidate {
            name,
            ladder: fact.ladder,
            index,
            level: Some(0),
        });
    }
    // Each round widens or drops one fact, so there are at most facts × (widest + 1) of them.
    loop {
        let crowd = crowd(&candidates, published);
        let told = candidates.iter().any(|one| one.level.is_some());
        if crowd >= anonymity.k || !told {
            return Ok(settled(&candidates, crowd));
        }
        let alone = |one: &Candidate<'_>| self::crowd(core::slice::from_ref(one), published);
        // The fact that alone hides the owner worst.
        let worst = candidates
            .iter_mut()
            .filter(|one| one.level.is_some())
            .min_by_key(|one| alone(one));
        if let Some(worst) = worst {
            worst.level = worst
                .level
                .map(|level| level + 1)
                .filter(|level| *level <= anonymity.widest);
        }
    }
}

/// A fact on its way up the ladder.
struct Candidate<'a> {
    name: &'a str,
    ladder: Ladder,
    index: i64,
    /// `None`: not told at all.
    level: Option<u32>,
}

impl Candidate<'_> {
    fn range(&self) -> Option<Range> {
        self.level.map(|level| self.ladder.range(self.index, level))
    }
}

/// Counts the owners that all of `candidates` fit, and the owner.
fn crowd(candidates: &[Candidate<'_>], published: &[Row]) -> u64 {
    let ranges: Vec<_> = candidates
        .iter()
        .filter_map(|one| Some((one.name, one.range()?)))
        .collect();
    let fits = |row: &&Row| {
        ranges.iter().all(|(name, range)| {
            row.ranges
                .get(*name)
                .is_some_and(|other| range.contains(other))
        })
    };
    let others = published.iter().filter(fits).map(|row| row.owners);
    others.fold(1, u64::saturating_add)
}

fn settled(candidates: &[Candidate<'_>], crowd: u64) -> Ranges {
    let mut ranges = Ranges {
        crowd,
        ..Ranges::default()
    };
    for one in candidates {
        match one.range() {
            Some(range) => {
                ranges.told.insert(one.name.into(), range);
            }
            None => ranges.suppressed.push(one.name.into()),
        }
    }
    ranges
}

/// Narrow ranges of a ladder: far inside what f64 counts exactly.
const MAX_RUNG: f64 = (1u64 << 40) as f64;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const EARTH: Ladder = Ladder::Even {
        lowest: -180.0,
        width: 1.0,
    };

    fn facts<const N: usize>(facts: [(&str, f64, Ladder); N]) -> BTreeMap<String, Fact> {
        let fact = |(name, value, ladder): (&str, _, _)| (name.to_string(), Fact { value, ladder });
        facts.into_iter().map(fact).collect()
    }

    fn row<const N: usize>(owners: u64, ranges: [(&str, f64, f64); N]) -> Row {
        let range = |(name, lower, upper): (&str, _, _)| (name.to_string(), Range { lower, upper });
        Row {
            ranges: ranges.into_iter().map(range).collect(),
            owners,
        }
    }

    #[test]
    fn a_number_that_many_share_keeps_its_narrow_range() {
        let published = [row(4, [("records", 1024.0, 2048.0)])];
        let facts = facts([("records", 1500.0, Ladder::Sizes)]);
        let ranges = generalise(&facts, &published, Anonymity::default()).unwrap();
        assert_eq!(
            ranges.told["records"],
            Range {
                lower: 1024.0,
                upper: 2048.0
            }
        );
        assert_eq!((ranges.crowd, ranges.suppressed.len()), (5, 0));
    }

    #[test]
    fn a_rare_number_is_widened_until_k_owners_fit() {
        let published = [
            row(2, [("records", 1024.0, 2048.0)]),
            row(2, [("records", 512.0, 1024.0)]),
            row(9, [("records", 16384.0, 32768.0)]),
        ];
        let facts = facts([("records", 1500.0, Ladder::Sizes)]);
        let ranges = generalise(&facts, &published, Anonymity::default()).unwrap();
        // Narrow ranges 10 and 11.
        assert_eq!(
            ranges.told["records"],
            Range {
                lower: 512.0,
                upper: 2048.0
            }
        );
        assert_eq!(ranges.crowd, 5);
    }

    #[test]
    fn a_number_that_nobody_shares_is_not_told() {
        let facts = facts([("records", 1500.0, Ladder::Sizes)]);
        for published in [&[][..], &[row(100, [("other", 0.0, 1.0)])]] {
            let ranges = generalise(&facts, published, Anonymity::default()).unwrap();
            assert_eq!(ranges.told, BTreeMap::new());
            assert_eq!(ranges.suppressed, ["records"]);
        }
    }

    /// Each alone is common; together they are one person.
    #[test]
    fn a_combination_that_singles_out_is_widened_although_each_number_is_common() {
        let published = [
            row(50, [("lat", 48.0, 49.0), ("cores", 64.0, 128.0)]),
            row(50, [("lat", 10.0, 11.0), ("cores", 4.0, 8.0)]),
        ];
        let facts = facts([("lat", 48.2, EARTH), ("cores", 4.0, Ladder::Sizes)]);
        let ranges = generalise(&facts, &published, Anonymity::default()).unwrap();
        assert!(ranges.crowd >= 5);
        assert_ne!(
            ranges.told.get("cores"),
            Some(&Range {
                lower: 4.0,
                upper: 8.0
            })
        );
    }

    #[test]
    fn numbers_without_a_rung_are_refused_by_name() {
        for (value, ladder) in [
            (f64::NAN, Ladder::Sizes),
            (f64::INFINITY, Ladder::Sizes),
            (-1.0, Ladder::Sizes),
            (-181.0, EARTH),
            (1e300, EARTH),
            (
                1.0,
                Ladder::Even {
                    lowest: 0.0,
                    width: 0.0,
                },
            ),
            (
                1.0,
                Ladder::Even {
                    lowest: 0.0,
                    width: f64::NAN,
                },
            ),
            (
                1.0,
                Ladder::Even {
                    lowest: f64::NEG_INFINITY,
                    width: 1.0,
                },
            ),
        ] {
            let facts = facts([("x", value, ladder)]);
            let error = generalise(&facts, &[], Anonymity::default()).unwrap_err();
            assert!(
                matches!(error, PrivacyError::Fact { .. }),
                "{value} {ladder:?}"
            );
        }
        for (k, widest) in [(0, 6), (1, 6), (5, 33)] {
            assert!(generalise(&BTreeMap::new(), &[], Anonymity { k, widest }).is_err());
        }
    }

    #[test]
    fn more_facts_and_rows_than_the_bounds_are_refused() {
        let many = (0..=MAX_FACTS).map(|n| {
            let fact = Fact {
                value: 1.0,
                ladder: Ladder::Sizes,
            };
            (n.to_string(), fact)
        });
        assert!(generalise(&many.collect(), &[], Anonymity::default()).is_err());
        let rows = alloc::vec![Row::default(); MAX_ROWS + 1];
        assert!(generalise(&BTreeMap::new(), &rows, Anonymity::default()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_told_has_the_number_in_it_and_k_owners_inside(
            values in proptest::collection::vec((0.0f64..1e6, -180.0f64..180.0), 1..40),
            own in (0.0f64..1e6, -180.0f64..180.0),
            k in 2u64..20,
        ) {
            let narrow = |(size, place): &(f64, f64)| {
                let of = |ladder: Ladder, value| ladder.range(ladder.rung(value).unwrap(), 0);
                let (size, place) = (of(Ladder::Sizes, *size), of(EARTH, *place));
                row(1, [("size", size.lower, size.upper), ("lon", place.lower, place.upper)])
            };
            let published: Vec<_> = values.iter().map(narrow).collect();
            let facts = facts([("size", own.0, Ladder::Sizes), ("lon", own.1, EARTH)]);
            let anonymity = Anonymity { k, widest: 6 };
            let ranges = generalise(&facts, &published, anonymity).unwrap();
            let inside = published.iter().filter(|row| {
                ranges.told.iter().all(|(name, range)| range.contains(&row.ranges[name]))
            });
            let crowd = 1 + inside.count() as u64;
            prop_assert_eq!(ranges.crowd, crowd);
            prop_assert!(ranges.told.is_empty() || crowd >= k);
            for (name, range) in &ranges.told {
                let value = facts[name].value;
                prop_assert!(range.lower <= value && value < range.upper);
            }
        }
    }
}
