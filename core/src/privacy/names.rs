//! Names that must stay apart.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

/// Names that are taken, and how the next of each is called. Each name costs O(log n).
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
    /// The last number that stands behind a name.
    last: BTreeMap<String, u64>,
}

impl Names {
    /// Takes `name`, or the first of `name 2`, `name 3`, … that is free.
    pub(crate) fn take(&mut self, name: &str) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let last = self.last.entry(name.to_owned()).or_insert(1);
        loop {
            // Ends: there are fewer names than numbers. Each number is tried once.
            *last = last.saturating_add(1);
            let next = format!("{name} {last}");
            if self.taken.insert(next.clone()) {
                return next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_numbers_that_are_free() {
        let mut names = Names::default();
        let taken = ["a", "a 2", "a", "a", "b", "a 2"].map(|name| names.take(name));
        assert_eq!(taken, ["a", "a 2", "a 3", "a 4", "b", "a 2 2"]);
    }
}
