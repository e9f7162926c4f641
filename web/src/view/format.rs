//! Numbers and ids as people read them.

pub use chorus_core::figure::{short, size};

/// Returns a share in 0..=1 as a percentage: `91.2 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1}\u{202f}%", share * 100.0)
}

/// Returns a duration in ms: `0.4 ms`, `12 ms`, `1.2 s`.
pub fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// Returns the time of day: `at_ms` since the Unix epoch, `offset_min` as `Date.getTimezoneOffset` gives it.
pub fn clock(at_ms: f64, offset_min: f64) -> String {
    let secs = ((at_ms / 1000.0 - offset_min * 60.0).max(0.0)) as u64 % 86_400;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

/// Returns the digits as a sentence part: `2`, `2 and 7`, `0, 1 and 5`.
pub fn digits(classes: &[u8]) -> String {
    let words: Vec<String> = classes.iter().map(u8::to_string).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Returns what a packet of this type carries, in plain words.
pub fn packet_type(name: &str) -> &str {
    match name {
        "weights" => "What a model learned",
        "file" => "A file",
        "tensors" => "Numbers for a model",
        "sealed" => "Something sealed",
        "seal-key" => "A key for sealed files",
        "revocation" => "Something taken back",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_local() {
        assert_eq!(clock(0.0, 0.0), "00:00:00");
        assert_eq!(clock(3_600_000.0, -60.0), "02:00:00");
    }

    #[test]
    fn digits_read_as_a_sentence() {
        assert_eq!(digits(&[]), "");
        assert_eq!(digits(&[2]), "2");
        assert_eq!(digits(&[0, 1, 5]), "0, 1 and 5");
    }
}
