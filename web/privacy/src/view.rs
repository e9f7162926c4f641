//! What is shown before something is shared, and of what was shared: HTML as text, without a browser.
//!
//! Everything that comes from outside (names, findings, ids) goes through [`escape`]; the tests hold every place to it.

mod ledger;
mod preview;

use chorus_core::figure::{short, size};
use ledger::Budget;
pub use ledger::{Ledger, ledger};
pub use preview::{Offer, preview};

/// Returns `text` as it may stand in HTML, in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Letters that turn the direction of reading could make a text look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// Returns `count` with its noun: `1 tab`, `3 tabs`.
fn counted(count: u64, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
}

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
    fn markup_in_a_name_stays_text() {
        assert_eq!(
            escape("<img src=x onerror='a(\"b\")'>&\u{202e}gpj"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;\u{fffd}gpj"
        );
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        assert_eq!(
            [lifetime(1), lifetime(7200), lifetime(86_400)],
            ["1 second", "2 hours", "1 day"]
        );
    }
}
