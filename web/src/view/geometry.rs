//! Where lines and circles go: curves and the small picture of the mesh. Pure; units are those of the SVG's view box.

use std::{f64::consts::TAU, fmt::Write};

use super::state::{Kind, PeerRow, Point};

/// Width of the chart's view box.
pub const CHART_WIDTH: f64 = 600.0;
/// Height of the chart's view box.
pub const CHART_HEIGHT: f64 = 200.0;
/// Width of the mesh picture's view box.
pub const MESH_WIDTH: f64 = 340.0;
/// Height of the mesh picture's view box.
pub const MESH_HEIGHT: f64 = 250.0;
/// Peers drawn at most; the others are counted in words. Guess: what stays legible.
pub const MAX_DRAWN: usize = 16;

/// Returns how many exchanges the chart's width stands for: 10, 20, 30, 60, then whole hundreds.
pub fn span(exchanges: u64) -> u64 {
    match exchanges {
        0..=10 => 10,
        11..=20 => 20,
        21..=30 => 30,
        31..=60 => 60,
        more => more.div_ceil(100) * 100,
    }
}

/// Returns the path of a curve of accuracies, `value` picking which; empty for no points.
pub fn curve(points: &[Point], span: u64, value: impl Fn(&Point) -> f64) -> String {
    let mut path = String::with_capacity(points.len() * 14);
    for point in points {
        let (x, y) = place(point.exchange, value(point), span);
        let command = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    path
}

/// Returns the path of the area below a curve; empty for fewer than two points.
pub fn area(points: &[Point], span: u64) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let mut path = curve(points, span, |p| p.together);
    let (from, _) = place(first.exchange, 0.0, span);
    let (to, _) = place(last.exchange, 0.0, span);
    let _ = write!(path, "L{to:.1} {CHART_HEIGHT}L{from:.1} {CHART_HEIGHT}Z");
    path
}

/// Returns a dot at the end of a curve, as a path of no length whose round cap shows.
pub fn dot(point: &Point, span: u64, value: impl Fn(&Point) -> f64) -> String {
    let (x, y) = place(point.exchange, value(point), span);
    format!("M{x:.1} {y:.1}h0")
}

fn place(exchange: u64, value: f64, span: u64) -> (f64, f64) {
    let x = exchange as f64 / span.max(1) as f64 * CHART_WIDTH;
    (x, (1.0 - value.clamp(0.0, 1.0)) * CHART_HEIGHT)
}

/// One circle of the mesh picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// Index into the peers given.
    pub index: usize,
    /// Horizontal centre.
    pub x: f64,
    /// Vertical centre.
    pub y: f64,
}

/// Returns where the peers go: on an ellipse around this peer, relays at the top, at most [`MAX_DRAWN`].
pub fn mesh(peers: &[PeerRow]) -> Vec<Spot> {
    let mut order: Vec<usize> = (0..peers.len()).collect();
    order.sort_by_key(|&i| (peers[i].kind != Kind::Relay, i));
    order.truncate(MAX_DRAWN);
    let count = order.len();
    let (rx, ry) = (MESH_WIDTH * 0.375, MESH_HEIGHT * 0.36);
    let turn = |n: usize| TAU * n as f64 / count as f64 - TAU / 4.0;
    let at = |(n, index): (usize, usize)| Spot {
        index,
        x: MESH_WIDTH / 2.0 + rx * turn(n).cos(),
        y: MESH_HEIGHT / 2.0 - 6.0 + ry * turn(n).sin(),
    };
    order.into_iter().enumerate().map(at).collect()
}

/// Splits a bar 100 wide in proportion to `counts`; returns (start, width) of each.
pub fn portions<const N: usize>(counts: [usize; N]) -> [(f64, f64); N] {
    let total: usize = counts.iter().sum();
    let mut start = 0.0;
    counts.map(|count| {
        let width = count as f64 / total.max(1) as f64 * 100.0;
        start += width;
        (start - width, width)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::state::tests::peer;

    fn point(exchange: u64, together: f64) -> Point {
        Point {
            exchange,
            together,
            alone: 0.25,
        }
    }

    #[test]
    fn the_curve_starts_at_the_left_and_perfect_is_at_the_top() {
        assert_eq!(
            curve(&[point(0, 0.5), point(10, 1.0)], 10, |p| p.together),
            "M0.0 100.0L600.0 0.0"
        );
        assert_eq!(curve(&[], 10, |p| p.together), "");
        assert_eq!(
            area(&[point(0, 1.0), point(5, 1.0)], 10),
            "M0.0 0.0L300.0 0.0L300.0 200L0.0 200Z"
        );
    }

    #[test]
    fn the_span_always_holds_all_exchanges() {
        for n in [0, 9, 10, 11, 59, 60, 61, 100, 101, 12_345] {
            assert!(span(n) >= n);
        }
    }

    #[test]
    fn everybody_is_inside_the_picture_and_the_relay_is_at_the_top() {
        let mut peers = vec![peer("p", Kind::Direct); 40];
        peers.push(peer("p", Kind::Relay));
        let spots = mesh(&peers);
        assert_eq!(spots.len(), MAX_DRAWN);
        assert_eq!(spots[0].index, 40);
        assert!(spots.iter().all(|s| s.x > 20.0
            && s.x < MESH_WIDTH - 20.0
            && s.y > 14.0
            && s.y < MESH_HEIGHT - 14.0));
        assert!(spots.iter().all(|s| spots[0].y <= s.y));
        assert!(mesh(&[]).is_empty());
    }

    #[test]
    fn portions_fill_the_bar() {
        let parts = portions([1, 0, 3]);
        assert_eq!(parts, [(0.0, 25.0), (25.0, 0.0), (25.0, 75.0)]);
        assert_eq!(portions([0, 0]), [(0.0, 0.0), (0.0, 0.0)]);
    }
}
