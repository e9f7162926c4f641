//! Which digits a node holds. No node holds all ten: what it lacks, it learns from the others.
//!
//! An update says which its author trained on; a packet of plain weights does as metrics `shard_0` to `shard_9` of value 1.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Number of digit classes.
pub const CLASSES: u8 = 10;

/// A set of digit classes 0..=9. Written as digits separated by commas: `0,1,2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Classes(u16);

impl Classes {
    /// All ten.
    pub const ALL: Self = Self((1 << CLASSES) - 1);

    /// Returns the set whose bit `c` stands for class `c`, or `None` where a bit past the ninth is set.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns the set as bits: bit `c` stands for class `c`.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Says whether `class` belongs to the set.
    pub const fn contains(self, class: u8) -> bool {
        class < CLASSES && self.0 & (1 << class) != 0
    }

    /// Returns the classes in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u8> + use<> {
        (0..CLASSES).filter(move |&class| self.contains(class))
    }

    /// Returns the number of classes, 0..=10.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Says whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the set as the metrics of a packet: `shard_3` is 1 where class 3 belongs to it.
    pub fn metrics(self) -> impl Iterator<Item = (&'static str, f64)> {
        let name = |class: u8| METRICS.get(usize::from(class)).copied();
        self.iter().filter_map(name).map(|name| (name, 1.0))
    }

    /// Reads the set from a packet's metrics, which anybody may have written. `None`, unknown, where none is named, or
    /// where one is neither 1 nor 0 (which says that it does not belong to the set).
    pub fn from_metrics(metrics: &BTreeMap<String, f64>) -> Option<Self> {
        let mut classes = Self::default();
        for (class, name) in (0u8..).zip(METRICS) {
            match metrics.get(name) {
                Some(1.0) => classes.0 |= 1 << class,
                Some(0.0) | None => {}
                Some(_) => return None,
            }
        }
        (!classes.is_empty()).then_some(classes)
    }

    /// Returns the classes in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Classes past the ninth are left out.
impl FromIterator<u8> for Classes {
    fn from_iter<I: IntoIterator<Item = u8>>(classes: I) -> Self {
        Self(
            classes
                .into_iter()
                .filter(|&class| class < CLASSES)
                .fold(0, |bits, class| bits | 1 << class),
        )
    }
}

/// As from an iterator.
impl From<&[u8]> for Classes {
    fn from(classes: &[u8]) -> Self {
        classes.iter().copied().collect()
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, class) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{class}")?;
        }
        Ok(())
    }
}

impl FromStr for Classes {
    type Err = ClassesError;

    fn from_str(text: &str) -> Result<Self, ClassesError> {
        let mut classes = Self::default();
        for part in text.split(',') {
            match part.trim().as_bytes() {
                [digit @ b'0'..=b'9'] => classes.0 |= 1 << (digit - b'0'),
                _ => {
                    return Err(ClassesError {
                        got: part.chars().take(20).collect(),
                    });
                }
            }
        }
        Ok(classes)
    }
}

/// A text that names no set of classes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("classes must be digits separated by commas such as 0,1,2, got {got:?}")]
pub struct ClassesError {
    /// The part that is no digit, shortened.
    pub got: String,
}

/// How often each class is held in some sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u32; CLASSES as usize]);

impl Tally {
    /// Returns how often `class` is held; 0 past the ninth.
    pub fn count(self, class: u8) -> u32 {
        self.0.get(usize::from(class)).copied().unwrap_or(0)
    }

    /// Returns the tally with `classes` held once more.
    #[must_use]
    pub fn with(mut self, classes: Classes) -> Self {
        for class in classes.iter() {
            let count = &mut self.0[usize::from(class)];
            *count = count.saturating_add(1);
        }
        self
    }

    /// Returns the tally without one holder of `classes`.
    #[must_use]
    pub fn without(mut self, classes: Classes) -> Self {
        for class in classes.iter() {
            let count = &mut self.0[usize::from(class)];
            *count = count.saturating_sub(1);
        }
        self
    }

    /// Returns the classes that nobody holds.
    pub fn missing(self) -> Classes {
        (0..CLASSES)
            .filter(|&class| self.count(class) == 0)
            .collect()
    }

    /// Returns the [`MOST_HELD`] classes that are held least; among equals the first from `start` on, round past nine.
    ///
    /// A node that joins with these makes the mesh cover all ten classes soonest: four nodes that know of each other
    /// suffice.
    pub fn least(self, start: u64) -> Classes {
        let start = (start % u64::from(CLASSES)) as u8;
        let mut order: [u8; CLASSES as usize] =
            core::array::from_fn(|place| (start + place as u8) % CLASSES);
        // Stable: equals stay in their order.
        order.sort_by_key(|&class| self.count(class));
        order.into_iter().take(MOST_HELD).collect()
    }

    /// Returns what a node that holds `own` had better hold beside others that hold this tally: what only it holds,
    /// then classes that nobody holds, then what it held, at most [`MOST_HELD`]. `None` where that adds no class.
    pub fn better(self, own: Classes) -> Option<Classes> {
        let is_alone_with = |class: &u8| self.count(*class) == 0;
        let mut better: Classes = own.iter().filter(is_alone_with).collect();
        let missing = self.with(own).missing();
        if missing.is_empty() || better.len() >= MOST_HELD {
            return None;
        }
        for class in missing.iter().chain(own.iter()) {
            if better.len() < MOST_HELD {
                better = better.union(Classes::from_iter([class]));
            }
        }
        Some(better)
    }
}

impl FromIterator<Classes> for Tally {
    fn from_iter<I: IntoIterator<Item = Classes>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), Self::with)
    }
}

/// The metric of each class. Part of what packets look like: a name that changes is listed in the CHANGELOG.
const METRICS: [&str; CLASSES as usize] = [
    "shard_0", "shard_1", "shard_2", "shard_3", "shard_4", "shard_5", "shard_6", "shard_7",
    "shard_8", "shard_9",
];

/// Classes that a node takes at most. Source: issue 2, "2 or 3 each"; four nodes then cover all ten.
pub const MOST_HELD: usize = 3;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn nodes_that_know_of_each_other_cover_all_ten_classes_with_four() {
        for seed in 0..100 {
            let mut tally = Tally::default();
            for node in 1..=8 {
                let own = tally.least(seed * 31 + node * seed);
                assert_eq!(own.len(), MOST_HELD);
                tally = tally.with(own);
                let missing = 10usize.saturating_sub(node as usize * MOST_HELD);
                assert_eq!(tally.missing().len(), missing, "{tally:?}");
            }
        }
    }

    #[test]
    fn what_only_a_node_holds_it_keeps_and_what_others_hold_too_makes_room() {
        let set = |text: &str| text.parse::<Classes>().unwrap();
        let others: Tally = [set("0,1,2"), set("3,4,5")].into_iter().collect();
        assert_eq!(others.better(set("0,1,2")), Some(set("6,7,8")));
        assert_eq!(others.better(set("0,1,9")), Some(set("6,7,9")));
        assert_eq!(others.better(set("6")), Some(set("6,7,8")));
        assert_eq!(others.better(set("6,7,8")), None, "no room");
        let others = others.with(set("6,7,8"));
        assert_eq!(
            others.better(set("2,4,6")),
            Some(set("2,4,9")),
            "one is missing"
        );
        assert_eq!(others.better(set("0,9")), None, "nothing is missing");
    }

    #[test]
    fn classes_are_written_and_read_as_digits_with_commas() {
        let classes = Classes::from_iter([7, 0, 3, 12]);
        assert_eq!(classes.to_string(), "0,3,7");
        assert_eq!("7, 3,0".parse(), Ok(classes));
        assert_eq!(Classes::from_bits(classes.bits()), Some(classes));
        assert_eq!(Classes::from_bits(1 << 10), None);
        for text in ["", "10", "a", "1,,2", "1;2", "é"] {
            assert!(text.parse::<Classes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_packets_metrics_say_which_classes_its_author_holds() {
        let read = |metrics: &[(&str, f64)]| {
            let metrics = metrics.iter().map(|&(name, value)| (name.into(), value));
            Classes::from_metrics(&metrics.collect())
        };
        for bits in 1..1 << CLASSES {
            let classes = Classes::from_bits(bits).unwrap();
            let metrics: Vec<_> = classes.metrics().chain([("round", 7.0)]).collect();
            assert_eq!(read(&metrics), Some(classes));
        }
        assert_eq!(
            read(&[("shard_3", 1.0), ("shard_4", 0.0)]),
            Some([3].into_iter().collect())
        );
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.5, 2.0, 1e300, 5e-324] {
            assert_eq!(
                read(&[("shard_0", 1.0), ("shard_3", value)]),
                None,
                "{value}"
            );
        }
        for metrics in [
            &[("round", 1.0)][..],
            &[],
            &[("shard_3", 0.0)],
            &[("shard_10", 1.0), ("shard_", 1.0)],
        ] {
            assert_eq!(read(metrics), None, "{metrics:?}");
        }
    }
}
