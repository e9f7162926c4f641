//! Sizes, counts and ids as people read them, and text as HTML holds it: the same in every module of the page.

use alloc::format;
use alloc::string::String;

/// Returns the end of an id, which is what differs between ids: `…p3aQz7Kp`.
pub fn short(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(8);
    if skip == 0 {
        return id.into();
    }
    let mut text = String::from("…");
    text.extend(id.chars().skip(skip));
    text
}

/// Returns a size in bytes in decimal units: `512 B`, `19.2 kB`, `10.0 MB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    if value < 1000.0 {
        return format!("{bytes} B");
    }
    for unit in ["kB", "MB", "GB"] {
        value /= 1000.0;
        if value < 999.95 || unit == "GB" {
            return format!("{value:.1} {unit}");
        }
    }
    String::new()
}

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
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {one}s")
    }
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
    fn sizes_round_to_the_next_unit() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(19_240), "19.2 kB");
        assert_eq!(size(999_949), "999.9 kB");
        assert_eq!(size(999_960), "1.0 MB");
        assert_eq!(size(10_000_000), "10.0 MB");
        assert_eq!(size(u64::MAX), "18446744073.7 GB");
    }

    #[test]
    fn ids_keep_their_end() {
        assert_eq!(short("12D3KooWabcdefgh"), "…abcdefgh");
        assert_eq!(short("abc"), "abc");
    }
}
