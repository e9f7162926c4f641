//! What is shown of an engram: HTML as text, without a browser.
//!
//! Everything that comes from outside (names of files and tensors, errors, ids) goes through
//! [`escape`](chorus_core::figure::escape); the tests hold every place to it.

mod blend;
mod chart;
mod pack;

pub use blend::{Received, received};
pub use pack::{Offer, offer};

/// Returns a share as a percentage: `12 %`, `0.4 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() >= 9.95 || percent == 0.0 {
        format!("{percent:.0}\u{202f}%")
    } else {
        format!("{percent:.1}\u{202f}%")
    }
}

/// Returns a count with a thin space between thousands: `1 843 200`.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Returns a bar that is filled by `share`, 0..=1, with its name for those who do not see it.
fn bar(name: &str, share: f64) -> String {
    let percent = (share.clamp(0.0, 1.0) * 100.0).round();
    format!(
        "<div class=\"meter\" role=\"progressbar\" aria-label=\"{name}\" aria-valuemin=\"0\" aria-valuemax=\"100\" \
         aria-valuenow=\"{percent}\"><svg viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect height=\"6\" width=\"{percent}\" /></svg></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(percent(0.0), "0\u{202f}%");
        assert_eq!(percent(0.0042), "0.4\u{202f}%");
        assert_eq!(percent(1.0), "100\u{202f}%");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_843_200), "1\u{202f}843\u{202f}200");
    }

    #[test]
    fn a_bar_never_passes_its_end() {
        assert!(bar("Packing", 7.0).contains("width=\"100\""));
    }
}
