//! Sizes and ids as people read them, the same in every module of the page.

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

#[cfg(test)]
mod tests {
    use super::*;

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
