//! The question before a model is shared: how small, how exact, against which base.

use chorus_core::figure::{counted, escape, size};
use serde::Deserialize;

use super::chart::{Dot, rate_distortion};
use super::{bar, thousands};

/// What is asked, as `www/studio.js` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The file's name.
    name: String,
    /// Its bytes.
    bytes: u64,
    /// Numbers in it.
    parameters: u64,
    /// Tensors in it.
    tensors: u64,
    /// Types of its numbers.
    dtypes: Vec<String>,
    /// What there is to choose from, and to compare with; none while it is measured.
    points: Vec<Point>,
    /// Which of them is chosen.
    chosen: Option<usize>,
    /// Bytes that one shared object may have.
    limit: u64,
    /// The file that the others are to have, where there is one.
    base: Option<String>,
    /// Names that were changed: before and after.
    renamed: Vec<(String, String)>,
    /// How far packing is, 0..=1; `None` where it has not begun.
    packing: Option<f64>,
    /// Why the last wish could not be met.
    trouble: Option<String>,
}

/// One way to pack.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    codec: String,
    bits: f64,
    decibels: Option<f64>,
    bytes: f64,
    is_estimate: bool,
}

impl Point {
    /// Whether a file can be made of it; others are there to compare with.
    fn is_choice(&self) -> bool {
        matches!(&*self.codec, "fast" | "neural" | "smallest" | "lossy")
    }

    fn words(&self) -> String {
        match &*self.codec {
            "fast" => "Every bit, packed quickly".into(),
            "neural" => "Every bit, packed tightly".into(),
            "smallest" => "Every bit, the best way for each tensor".into(),
            "lossy" => format!("Rounded, {:.1} bits for each number", self.bits),
            "int8" => "8 bits in blocks".into(),
            "int4" => "4 bits in blocks".into(),
            "nf4" => "4 bits in blocks, for bell-shaped numbers (NF4)".into(),
            other => escape(other),
        }
    }

    fn exactness(&self) -> String {
        match self.decibels {
            None => "exact".into(),
            // The error beside the numbers, as people compare it: 20 dB is a tenth.
            Some(decibels) => format!("off by {}", super::percent(10_f64.powf(-decibels / 20.0))),
        }
    }
}

/// Returns what the dialog shows. Inputs carry `data-choice`, buttons `data-answer`, dots of the picture `data-pick`.
pub fn offer(offer: &Offer) -> String {
    [
        format!(
            "<h2>Share “{}”?</h2><p class=\"note\">{} with {}, {} as {}. Nothing has left your tab yet: first you choose how small \
             it gets.</p>",
            escape(&offer.name),
            size(offer.bytes),
            counted(offer.tensors, "tensor"),
            format_args!("{} numbers", thousands(offer.parameters)),
            escape(&offer.dtypes.join(", ")),
        ),
        picture(offer),
        choices(offer),
        base(offer),
        renamed(offer),
        trouble(offer),
        buttons(offer),
    ]
    .concat()
}

fn picture(offer: &Offer) -> String {
    if offer.points.is_empty() {
        return "<p class=\"wait\" data-state=\"measuring\">Trying the ways to pack it …</p>"
            .into();
    }
    let dots: Vec<Dot> = offer
        .points
        .iter()
        .enumerate()
        .map(|(at, point)| Dot {
            bits: point.bits,
            decibels: point.decibels,
            title: format!(
                "{}: {}, {}",
                point.words(),
                size(point.bytes as u64),
                point.exactness()
            ),
            choice: point.is_choice().then_some(at),
            is_chosen: offer.chosen == Some(at),
        })
        .collect();
    let others: Vec<String> = offer
        .points
        .iter()
        .filter(|point| !point.is_choice())
        .map(|point| {
            format!(
                "{} ({}, {})",
                point.words(),
                size(point.bytes as u64),
                point.exactness()
            )
        })
        .collect();
    let compared = if others.is_empty() {
        String::new()
    } else {
        format!(
            "<p class=\"note\">Hollow, to compare with: {}.</p>",
            others.join(" · ")
        )
    };
    format!("{}{compared}", rate_distortion(&dots))
}

fn choices(offer: &Offer) -> String {
    if offer.points.is_empty() {
        return String::new();
    }
    // What cannot be chosen comes last.
    let is_fitting = |point: &Point| point.bytes <= offer.limit as f64;
    let choices = || {
        let points = offer.points.iter().enumerate();
        points.filter(|(_, point)| point.is_choice())
    };
    let rows: String = choices()
        .filter(|(_, point)| is_fitting(point))
        .chain(choices().filter(|(_, point)| !is_fitting(point)))
        .map(|(at, point)| choice(offer, at, point))
        .collect();
    format!("<fieldset><legend>How small, how exact</legend>{rows}</fieldset>")
}

fn choice(offer: &Offer, at: usize, point: &Point) -> String {
    let is_fitting = point.bytes <= offer.limit as f64;
    let checked = if offer.chosen == Some(at) {
        " checked"
    } else {
        ""
    };
    let disabled = if is_fitting { "" } else { " disabled" };
    let about = if point.is_estimate { "about " } else { "" };
    let small = if is_fitting {
        format!(
            "{:.1} times smaller",
            offer.bytes as f64 / point.bytes.max(1.0)
        )
    } else {
        format!("too large: {} is the most", size(offer.limit))
    };
    format!(
        "<label class=\"way-to-pack\"><input type=\"radio\" name=\"point\" data-choice=\"point\" value=\"{at}\"{checked}{disabled}> \
         <span><b>{}</b><span class=\"sub\">{about}{}, {}, {small}</span></span></label>",
        point.words(),
        size(point.bytes as u64),
        point.exactness(),
    )
}

fn base(offer: &Offer) -> String {
    let words = match &offer.base {
        Some(name) => format!(
            "<p class=\"fine\">Only the difference to “{}” is packed. Whoever reads it needs that very file.</p>\
             <button type=\"button\" class=\"button\" data-answer=\"whole\">Pack the whole instead</button>",
            escape(name)
        ),
        None => "<p class=\"note\">If the others already have a model that this one was made from, only the difference needs to \
                 travel.</p><label class=\"button pick\"><input type=\"file\" class=\"hidden\" data-choice=\"base\" \
                 accept=\".safetensors\">Choose that model</label>"
            .into(),
    };
    format!("<section><h3>The difference only</h3>{words}</section>")
}

fn renamed(offer: &Offer) -> String {
    if offer.renamed.is_empty() {
        return String::new();
    }
    let rows: String = offer
        .renamed
        .iter()
        .take(MAX_RENAMED)
        .map(|(before, after)| {
            format!(
                "<li><del>{}</del> <ins>{}</ins></li>",
                escape(before),
                escape(after)
            )
        })
        .collect();
    let rest = offer.renamed.len().saturating_sub(MAX_RENAMED);
    let more = if rest > 0 {
        format!("<p class=\"note\">And {rest} more.</p>")
    } else {
        String::new()
    };
    format!(
        "<section><h3>Taken out of names and notes</h3><ul class=\"lines\">{rows}</ul>{more}</section>"
    )
}

fn trouble(offer: &Offer) -> String {
    let Some(why) = &offer.trouble else {
        return String::new();
    };
    format!("<p class=\"warn\" role=\"alert\">{}</p>", escape(why))
}

fn buttons(offer: &Offer) -> String {
    if let Some(share) = offer.packing {
        return format!(
            "{}<div class=\"buttons\"><button type=\"button\" class=\"button\" data-answer=\"stop\">Stop</button></div>",
            bar("Packing", share)
        );
    }
    let disabled = if offer.chosen.is_some() {
        ""
    } else {
        " disabled"
    };
    let plain = if offer.bytes <= offer.limit {
        "<button type=\"button\" class=\"button\" data-answer=\"plain\">As a plain file</button>"
    } else {
        ""
    };
    format!(
        "<div class=\"buttons\"><button type=\"button\" class=\"button\" data-answer=\"no\">Keep it here</button>{plain}<button type=\"button\" class=\"button primary\" data-answer=\"pack\"{disabled}>Pack it</button></div>"
    )
}

/// Changed names that are shown.
const MAX_RENAMED: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// Markup in every text that comes from outside.
    const EVIL: &str = "<script>alert('x')</script>\"";

    fn value() -> serde_json::Value {
        serde_json::json!({
            "name": EVIL, "bytes": 26_000_000, "parameters": 6_500_000, "tensors": 41, "dtypes": [EVIL], "chosen": 1,
            "points": [
                { "codec": "fast", "bits": 26.7, "decibels": null, "bytes": 21_700_000, "isEstimate": true },
                { "codec": "lossy", "bits": 3.0, "decibels": 20.0, "bytes": 2_440_000, "isEstimate": true },
                { "codec": EVIL, "bits": 4.5, "decibels": 18.0, "bytes": 3_660_000, "isEstimate": false },
            ],
            "limit": 10_000_000, "base": EVIL, "renamed": [[EVIL, EVIL]], "packing": null, "trouble": EVIL,
        })
    }

    fn shown(value: serde_json::Value) -> String {
        offer(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn no_text_from_outside_becomes_markup() {
        let html = shown(value());
        assert!(!html.contains("<script") && !html.contains("alert('x')"));
        assert_eq!(html.matches("&lt;script&gt;").count(), 8, "{html}");
    }

    #[test]
    fn what_is_too_large_for_the_mesh_cannot_be_chosen() {
        let html = shown(value());
        assert!(
            html.contains("value=\"0\" disabled")
                && html.contains("too large: 10.0 MB is the most"),
            "{html}"
        );
        assert!(html.contains("value=\"1\" checked"));
        assert!(
            html.contains("about 2.4 MB, off by 10\u{202f}%, 10.7 times smaller"),
            "{html}"
        );
        // What is there to compare with is no choice.
        assert!(!html.contains("value=\"2\""));
    }

    #[test]
    fn nothing_is_packed_before_something_is_chosen() {
        let mut value = value();
        value["chosen"] = serde_json::Value::Null;
        assert!(shown(value.clone()).contains("data-answer=\"pack\" disabled"));
        value["points"] = serde_json::json!([]);
        assert!(shown(value).contains("data-state=\"measuring\""));
    }

    #[test]
    fn a_small_file_may_leave_as_it_is() {
        let mut value = value();
        assert!(!shown(value.clone()).contains("data-answer=\"plain\""));
        value["bytes"] = 10_000_000.into();
        assert!(shown(value).contains("data-answer=\"plain\""));
    }

    #[test]
    fn packing_shows_how_far_it_is_and_can_be_stopped() {
        let mut value = value();
        value["packing"] = 0.25.into();
        let html = shown(value);
        assert!(html.contains("aria-valuenow=\"25\"") && html.contains("data-answer=\"stop\""));
        assert!(!html.contains("data-answer=\"pack\""));
    }
}
