//! From pen strokes to the 64 numbers that the model reads.
//!
//! The digits that the model learned were scanned at 32 × 32 pixels, size-normalised, and counted in 4 × 4 blocks (UCI
//! optical digits). A drawing goes the same way: fit into the square, drawn with a round pen, counted.

/// A point of a stroke; both coordinates in 0..=1, origin at the top left.
pub type Dot = (f32, f32);

/// Strokes of one drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    strokes: Vec<Vec<Dot>>,
    dots: usize,
}

impl Drawing {
    /// Begins a stroke.
    pub fn press(&mut self, at: Dot) {
        if self.dots < MAX_DOTS {
            self.strokes.push(vec![at]);
            self.dots += 1;
        }
    }

    /// Goes on with the stroke. Moves too small to see are left out.
    pub fn drag(&mut self, to: Dot) {
        let Some(stroke) = self.strokes.last_mut() else {
            return;
        };
        let is_new = stroke
            .last()
            .is_none_or(|at| (at.0 - to.0).hypot(at.1 - to.1) >= MIN_MOVE);
        if is_new && self.dots < MAX_DOTS {
            stroke.push(to);
            self.dots += 1;
        }
    }

    /// Wipes the drawing.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns whether nothing was drawn.
    pub fn is_empty(&self) -> bool {
        self.strokes.is_empty()
    }

    /// Returns the strokes.
    pub fn strokes(&self) -> &[Vec<Dot>] {
        &self.strokes
    }

    /// Returns the share of ink in each of 8 × 8 cells, row-major, 0..=1; `None` for an empty drawing.
    pub fn pixels(&self) -> Option<[f32; 64]> {
        let strokes = self.fitted()?;
        let mut cells = [0.0; 64];
        for y in 0..SIDE {
            for x in 0..SIDE {
                let pixel = (x as f32 + 0.5, y as f32 + 0.5);
                if strokes.iter().any(|stroke| touches(stroke, pixel)) {
                    cells[y / CELL * 8 + x / CELL] += 1.0 / (CELL * CELL) as f32;
                }
            }
        }
        Some(cells)
    }

    /// Moves and scales the strokes so that the inked box fills the square's height, or its usual width.
    fn fitted(&self) -> Option<Vec<Vec<Dot>>> {
        let dots = || self.strokes.iter().flatten();
        dots().next()?;
        let least = |axis: fn(&Dot) -> f32| dots().map(axis).fold(f32::MAX, f32::min);
        let most = |axis: fn(&Dot) -> f32| dots().map(axis).fold(f32::MIN, f32::max);
        let (left, right, top, bottom) =
            (least(|d| d.0), most(|d| d.0), least(|d| d.1), most(|d| d.1));
        let room = SIDE as f32 - 2.0 * PEN;
        let scale = (room / (bottom - top).max(MIN_BOX)).min(WIDTH / (right - left).max(MIN_BOX));
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        let half = SIDE as f32 / 2.0;
        let fit = |d: &Dot| {
            (
                (d.0 - middle.0) * scale + half,
                (d.1 - middle.1) * scale + half,
            )
        };
        Some(
            self.strokes
                .iter()
                .map(|stroke| stroke.iter().map(fit).collect())
                .collect(),
        )
    }
}

fn touches(stroke: &[Dot], pixel: Dot) -> bool {
    let is_near = |a: Dot, b: Dot| distance_squared(a, b, pixel) <= PEN * PEN;
    match stroke {
        [only] => is_near(*only, *only),
        more => more.windows(2).any(|pair| is_near(pair[0], pair[1])),
    }
}

/// Returns the squared distance between `p` and the segment from `a` to `b`.
fn distance_squared(a: Dot, b: Dot, p: Dot) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length
    } else {
        0.0
    };
    let along = along.clamp(0.0, 1.0);
    let (ex, ey) = (p.0 - a.0 - along * dx, p.1 - a.1 - along * dy);
    ex * ex + ey * ey
}

/// Side of the scan in pixels. Source: the data set's description.
const SIDE: usize = 32;
/// Side of a counted block in pixels. Source: the data set's description.
const CELL: usize = 4;
/// Radius of the pen in pixels. Source: the data set's mean ink (about 31 % of the square) on drawn digits.
const PEN: f32 = 2.5;
/// Widest centre line in pixels. Source: the outermost columns of the data set are all but empty.
const WIDTH: f32 = 20.0;
/// Smallest box that is enlarged, as a share of the square; less is a dot. Guess.
const MIN_BOX: f32 = 0.08;
/// Smallest move kept, as a share of the square. Guess: below a pixel of the pad.
const MIN_MOVE: f32 = 0.008;
/// Points of one drawing. Bounds the work of [`Drawing::pixels`] to 600 × 1024 distances.
const MAX_DOTS: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: Dot, to: Dot) -> Drawing {
        let mut drawing = Drawing::default();
        drawing.press(from);
        drawing.drag(to);
        drawing
    }

    #[test]
    fn an_upright_stroke_fills_the_middle_columns_from_top_to_bottom() {
        let cells = line((0.7, 0.2), (0.7, 0.6)).pixels().expect("ink");
        for row in cells.chunks(8) {
            assert!(row[3] > 0.5 && row[4] > 0.5, "{row:?}");
            assert_eq!((row[0], row[7]), (0.0, 0.0));
        }
    }

    #[test]
    fn size_and_place_do_not_matter() {
        let small = line((0.1, 0.1), (0.2, 0.3)).pixels();
        let large = line((0.2, 0.1), (0.6, 0.9)).pixels();
        let differ: f32 = small
            .iter()
            .flatten()
            .zip(large.iter().flatten())
            .map(|(a, b)| (a - b).abs())
            .sum();
        assert!(differ < 0.7, "{differ}");
    }

    #[test]
    fn a_dot_is_a_dot_and_nothing_is_nothing() {
        assert_eq!(Drawing::default().pixels(), None);
        let mut dot = Drawing::default();
        dot.press((0.9, 0.9));
        let cells = dot.pixels().expect("ink");
        assert!(cells.iter().sum::<f32>() < 2.0);
        assert!(cells.iter().all(|c| (0.0..=1.0).contains(c)));
    }

    #[test]
    fn scribbling_is_bounded() {
        let mut drawing = Drawing::default();
        for n in 0..100_000_u32 {
            let at = (n % 97) as f32 / 97.0;
            drawing.press((at, 1.0 - at));
            drawing.drag((1.0 - at, at));
        }
        assert!(drawing.strokes().iter().map(Vec::len).sum::<usize>() <= MAX_DOTS);
        drawing.clear();
        assert!(drawing.is_empty());
    }

    #[test]
    fn numbers_that_are_none_do_no_harm() {
        let mut drawing = line((f32::NAN, 0.1), (f32::INFINITY, 0.9));
        drawing.drag((0.5, f32::NEG_INFINITY));
        assert!(
            drawing
                .pixels()
                .is_some_and(|cells| cells.iter().all(|c| (0.0..=1.0).contains(c)))
        );
    }
}
