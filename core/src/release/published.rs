//! What the network already published of its owners: rows of ranges, out of packets' metrics.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::key::PeerId;
use crate::privacy::range::{MAX_FACTS, MAX_ROWS, Range, Row};

/// Returns the ranges that the authors of `packets` (author and metrics, newest first) published: each author once, with
/// its newest packet that has some, and without `owner`. At most [`MAX_ROWS`] different rows; ranges that are none are
/// passed over. The counts are no better than the authors are: whoever makes many identities counts many times. O(n log n).
pub fn rows<'a>(
    packets: impl IntoIterator<Item = (PeerId, &'a BTreeMap<String, f64>)>,
    owner: PeerId,
) -> Vec<Row> {
    let mut authors = BTreeSet::from([owner]);
    let mut counts: BTreeMap<Vec<(&str, u64, u64)>, u64> = BTreeMap::new();
    for (author, quality) in packets {
        let ranges = ranges(quality);
        if ranges.is_empty() || !authors.insert(author) {
            continue;
        }
        let is_known = counts.contains_key(&ranges);
        if is_known || counts.len() < MAX_ROWS {
            *counts.entry(ranges).or_default() += 1;
        }
    }
    let row = |(ranges, owners): (Vec<(&str, u64, u64)>, u64)| {
        let range = |(fact, lower, upper): (&str, u64, u64)| {
            let (lower, upper) = (f64::from_bits(lower), f64::from_bits(upper));
            (fact.to_owned(), Range { lower, upper })
        };
        Row {
            ranges: ranges.into_iter().map(range).collect(),
            owners,
        }
    };
    counts.into_iter().map(row).collect()
}

/// Returns the ranges that metrics tell, by fact, with the bits of their edges; none where there are too many.
fn ranges(quality: &BTreeMap<String, f64>) -> Vec<(&str, u64, u64)> {
    let ranges = quality.iter().filter_map(|(name, lower)| {
        let fact = name.strip_prefix("range.")?.strip_suffix(".from")?;
        let upper = quality.get(&alloc::format!("range.{fact}.to"))?;
        let is_range = lower.is_finite() && upper.is_finite() && lower < upper;
        is_range.then_some((fact, lower.to_bits(), upper.to_bits()))
    });
    let ranges: Vec<_> = ranges.collect();
    if ranges.len() > MAX_FACTS {
        return Vec::new();
    }
    ranges
}
