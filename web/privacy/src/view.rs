//! What is shown before something is shared, and of what was shared: HTML as text, without a browser.
//!
//! Everything that comes from outside (names, findings, ids) goes through [`escape`]; the tests hold every place to it.

mod ledger;
mod preview;

use chorus_core::figure::{counted, escape, short, size};
use ledger::Budget;
pub use ledger::{Ledger, ledger};
pub use preview::{Offer, preview};

/// Returns a time that something lives, in words: `1 day`, `2 hours`.
fn lifetime(secs: u64) -> String {
    for (unit, length) in [("day", 86_400), ("hour", 3600), ("minute", 60)] {
        if secs >= length {
            return counted(secs / length, unit);
        }
    }
    counted(secs, "second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        assert_eq!(
            [lifetime(1), lifetime(7200), lifetime(86_400)],
            ["1 second", "2 hours", "1 day"]
        );
    }
}
