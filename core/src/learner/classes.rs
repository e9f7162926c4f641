//! Which digits a node holds. No node holds all ten: what it lacks, it learns from the others.

use alloc::vec::Vec;
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
    pub got: alloc::string::String,
}

/// Returns the 2 or 3 classes that node number `seed` holds where nothing is known of the others.
///
/// Four consecutive numbers from a multiple of four cover all ten classes; the next four cover them in other groups.
/// Give it the tab's identity slot, or any seed: a random one picks a random group.
pub fn classes_for(seed: u64) -> Classes {
    // 3 and 7 are prime to 10: every multiplier and shift permutes the digits.
    let (group, block) = (seed % 4, seed / 4);
    let multiplier = [1, 3, 7, 9][(block % 4) as usize];
    let shift = block / 4 % 10;
    GROUPS[group as usize]
        .iter()
        .map(|&class| ((u64::from(class) * multiplier + shift) % 10) as u8)
        .collect()
}

/// Returns the 2 or 3 classes that are held least among `others`, the sets that the present peers hold.
///
/// A node that joins with these makes the mesh cover all ten classes soonest: with n nodes that know of each other,
/// four suffice. `seed` decides among equals.
pub fn classes_beside(seed: u64, others: impl IntoIterator<Item = Classes>) -> Classes {
    let mut held = [0u32; CLASSES as usize];
    for class in others
        .into_iter()
        .flat_map(|classes| classes.iter().collect::<Vec<_>>())
    {
        held[usize::from(class)] = held[usize::from(class)].saturating_add(1);
    }
    let burden = |group: &&[u8]| {
        group
            .iter()
            .map(|&class| held[usize::from(class)])
            .sum::<u32>()
            / group.len() as u32
    };
    let least = GROUPS
        .iter()
        .map(|group| burden(&&**group))
        .min()
        .unwrap_or(0);
    let free: Vec<&[u8]> = GROUPS
        .iter()
        .copied()
        .filter(|group| burden(group) == least)
        .collect();
    let index = seed % free.len().max(1) as u64;
    free.get(index as usize)
        .copied()
        .unwrap_or(GROUPS[0])
        .iter()
        .copied()
        .collect()
}

/// The groups of the example: four nodes, ten classes.
const GROUPS: [&[u8]; 4] = [&[0, 1, 2], &[3, 4, 5], &[6, 7], &[8, 9]];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn four_consecutive_nodes_hold_two_or_three_classes_each_and_all_ten_together() {
        for block in 0..100 {
            let sets: Vec<Classes> = (0..4).map(|node| classes_for(block * 4 + node)).collect();
            assert!(
                sets.iter().all(|set| (2..=3).contains(&set.len())),
                "{sets:?}"
            );
            assert_eq!(
                sets.into_iter().fold(Classes::default(), Classes::union),
                Classes::ALL
            );
        }
        assert!(!classes_for(u64::MAX).is_empty());
    }

    #[test]
    fn nodes_that_know_of_each_other_cover_all_ten_classes_with_four() {
        for seed in 0..20 {
            let mut sets = Vec::new();
            for node in 0..8 {
                sets.push(classes_beside(seed * 31 + node, sets.iter().copied()));
            }
            let covered = |sets: &[Classes]| {
                sets.iter()
                    .copied()
                    .fold(Classes::default(), Classes::union)
            };
            assert_eq!(covered(&sets[..4]), Classes::ALL, "{sets:?}");
            assert_eq!(covered(&sets[4..]), Classes::ALL, "{sets:?}");
        }
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
}
