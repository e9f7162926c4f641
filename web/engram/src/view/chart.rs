//! Drawings: what a file's size costs in exactness, and how a blend went. SVG as text.

use std::fmt::Write;

/// The drawing's sides, in its own units: small, so that letters stay readable on a telephone.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 214.0;
const LEFT: f64 = 34.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 34.0;

/// A point of the rate–distortion picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dot {
    /// Bits per number, > 0.
    pub(super) bits: f64,
    /// Signal to noise in decibels; `None` where every bit comes back.
    pub(super) decibels: Option<f64>,
    /// What it is, as HTML.
    pub(super) title: String,
    /// Which choice it stands for; `None` where it is there to compare with.
    pub(super) choice: Option<usize>,
    /// Whether that is chosen.
    pub(super) is_chosen: bool,
}

/// Returns the picture: size from left to right (each step twice the bits), exactness from below to above, and what loses
/// nothing on a line of its own at the top.
pub(super) fn rate_distortion(dots: &[Dot]) -> String {
    let most = dots
        .iter()
        .filter_map(|dot| dot.decibels)
        .fold(20.0, f64::max);
    let most = (most / 10.0).ceil() * 10.0;
    let x = |bits: f64| {
        let share = (bits.clamp(LEAST_BITS, MOST_BITS) / LEAST_BITS).log2()
            / (MOST_BITS / LEAST_BITS).log2();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let y = |decibels: f64| {
        let share = decibels.clamp(0.0, most) / most;
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    };
    let place = |dot: &Dot| (x(dot.bits), dot.decibels.map_or(EXACT_Y, y));
    let mut svg = format!(
        "<svg class=\"picture\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Bits for each number, and how exact \
         the numbers come back\">"
    );
    for decibels in [0.0, most / 2.0, most] {
        gridline(&mut svg, y(decibels), &format!("{decibels:.0}"));
    }
    let _ = write!(
        svg,
        "<line class=\"gridline exact\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{EXACT_Y}\" y2=\"{EXACT_Y}\" />\
         <text class=\"tick\" x=\"{LEFT}\" y=\"{:.1}\">every bit comes back</text>",
        WIDTH - RIGHT,
        EXACT_Y - 6.0,
    );
    for bits in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] {
        let _ = write!(
            svg,
            "<text class=\"tick middle\" x=\"{:.1}\" y=\"{:.1}\">{bits}</text>",
            x(bits),
            HEIGHT - BOTTOM + 15.0,
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">bits for each number</text>\
         <text class=\"tick\" x=\"{LEFT}\" y=\"{:.1}\">exactness in dB</text>",
        WIDTH - RIGHT,
        HEIGHT - 4.0,
        HEIGHT - 4.0,
    );
    // The curve of what one may choose among what is not exact.
    let mut curve: Vec<_> = dots
        .iter()
        .filter(|dot| dot.choice.is_some() && dot.decibels.is_some())
        .map(place)
        .collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    if curve.len() > 1 {
        let points: Vec<String> = curve
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            svg,
            "<polyline class=\"curve\" points=\"{}\" />",
            points.join(" ")
        );
    }
    for dot in dots {
        let (x, y) = place(dot);
        let class = match (dot.choice, dot.is_chosen) {
            (Some(_), true) => "spot chosen",
            (Some(_), false) => "spot",
            (None, _) => "spot other",
        };
        let pick = dot
            .choice
            .map(|at| format!(" data-pick=\"{at}\""))
            .unwrap_or_default();
        let radius = if dot.is_chosen { 7 } else { 5 };
        let _ = write!(
            svg,
            "<circle class=\"{class}\"{pick} cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            dot.title
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Returns how a blend went, one column for each measurement: how much of the engram was in (bars), and what was measured
/// (line) where that is more than one number.
pub(super) fn blend(points: &[(f64, f64)]) -> String {
    let mut svg = format!(
        "<svg class=\"picture\" viewBox=\"0 0 {WIDTH} {BLEND_HEIGHT}\" role=\"img\" aria-label=\"How much of the engram was in the \
         model, and what was measured\">"
    );
    let (low, high) = points
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), point| {
            (low.min(point.1), high.max(point.1))
        });
    let column = (WIDTH - LEFT - RIGHT) / points.len().max(1) as f64;
    let base = BLEND_HEIGHT - BOTTOM;
    for (share, label) in [(0.0, "0"), (0.5, "½"), (1.0, "all")] {
        gridline(&mut svg, base - share * (base - BLEND_TOP), label);
    }
    let mut line = Vec::new();
    for (at, (alpha, metric)) in points.iter().enumerate() {
        let left = LEFT + column * at as f64;
        let height = alpha.clamp(0.0, 1.0) * (base - BLEND_TOP);
        let _ = write!(
            svg,
            "<rect class=\"share\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{:.0} % in, measured \
             {metric:.4}</title></rect>",
            left + column * 0.15,
            base - height,
            column * 0.7,
            alpha * 100.0,
        );
        if high > low {
            let y = base - (metric - low) / (high - low) * (base - BLEND_TOP);
            line.push(format!("{:.1},{y:.1}", left + column / 2.0));
        }
    }
    if line.len() > 1 {
        let _ = write!(
            svg,
            "<polyline class=\"curve\" points=\"{}\" />",
            line.join(" ")
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{LEFT}\" y=\"{:.1}\">bars: the share that is in, step by step{}</text></svg>",
        BLEND_HEIGHT - BOTTOM + 17.0,
        if line.len() > 1 {
            format!(" · line: measured, {low:.4} to {high:.4}")
        } else {
            String::new()
        }
    );
    svg
}

/// Draws a line across at the height `at`, with its label on the left.
fn gridline(svg: &mut String, at: f64, label: &str) {
    let _ = write!(
        svg,
        "<line class=\"gridline\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" />\
         <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
        WIDTH - RIGHT,
        LEFT - 5.0,
        at + 3.5,
    );
}

/// The same for how a blend went.
const BLEND_HEIGHT: f64 = 160.0;
const BLEND_TOP: f64 = 10.0;
/// Bits per number at the left and at the right edge.
const LEAST_BITS: f64 = 0.5;
const MOST_BITS: f64 = 32.0;
/// Where what loses nothing stands.
const EXACT_Y: f64 = 18.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(bits: f64, decibels: Option<f64>, choice: Option<usize>) -> Dot {
        Dot {
            bits,
            decibels,
            title: format!("{bits} bits"),
            choice,
            is_chosen: choice == Some(0),
        }
    }

    /// The `cx` of each circle.
    fn places(svg: &str) -> Vec<f64> {
        let parts = svg.split("cx=\"").skip(1);
        parts
            .map(|part| part.split('"').next().unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn more_bits_stand_further_right_and_what_loses_nothing_on_top() {
        let svg = rate_distortion(&[
            dot(2.0, Some(10.0), Some(0)),
            dot(4.0, Some(22.0), Some(1)),
            dot(26.5, None, Some(2)),
        ]);
        let x = places(&svg);
        assert!(x[0] < x[1] && x[1] < x[2], "{x:?}");
        assert!(svg.contains("cy=\"18.0\""));
        assert_eq!(svg.matches("data-pick").count(), 3);
        assert_eq!(svg.matches("class=\"spot chosen\"").count(), 1);
        // The curve joins what is lossy.
        assert_eq!(svg.matches("<polyline").count(), 1);
    }

    #[test]
    fn what_is_out_of_the_picture_stands_at_its_edge() {
        let svg = rate_distortion(&[dot(1e9, Some(-40.0), None), dot(0.0, Some(f64::NAN), None)]);
        for x in places(&svg) {
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
        }
        assert!(!svg.contains("data-pick"));
    }

    #[test]
    fn each_share_of_a_blend_is_a_bar() {
        let svg = blend(&[(0.125, 0.9), (0.25, 0.91), (0.5, 0.95)]);
        assert_eq!(svg.matches("class=\"share\"").count(), 3);
        assert!(svg.contains("50 % in, measured 0.9500") && svg.contains("<polyline"));
        // Nothing was measured to differ.
        assert!(!blend(&[(0.125, 0.0), (1.0, 0.0)]).contains("<polyline"));
        assert!(blend(&[]).contains("</svg>"));
    }
}
