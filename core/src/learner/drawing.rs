//! Turns a drawn bitmap into what the model reads, the way the digits it learned were made: the inked box scaled into
//! 32 × 32 bits and the ink counted in blocks of 4 × 4 (E. Alpaydin and C. Kaynak, description of the UCI set).

use crate::bounds::LimitError;
use crate::learner::digits::PIXELS;

/// Returns the 8 × 8 pixels 0..=16, row-major, of a drawing: `bitmap` holds the ink of each pixel, 0 (none) to 255, in
/// rows of `width`. Size and place of the drawing do not matter, and thin lines are thickened to the usual weight.
/// Costs about as much as reading the bitmap once.
///
/// # Errors
/// `DrawingError` where the bitmap is no rectangle of that width, has more than [`MAX_SIDE`] pixels a side, or is blank.
pub fn scale(bitmap: &[u8], width: usize) -> Result<[u8; PIXELS], DrawingError> {
    if width == 0 || bitmap.is_empty() || !bitmap.len().is_multiple_of(width) {
        return Err(DrawingError::Shape {
            pixels: bitmap.len(),
            width,
        });
    }
    LimitError::check_len("drawing width in pixels", width, MAX_SIDE)?;
    LimitError::check_len("drawing height in pixels", bitmap.len() / width, MAX_SIDE)?;
    let ink = Box::around(bitmap, width).ok_or(DrawingError::Blank)?;
    let mut bits = ink.fit(bitmap, width);
    thicken(&mut bits);
    Ok(count(&bits))
}

/// Why a drawing cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrawingError {
    /// The pixels do not fill rows of that width.
    #[error("drawing must be rows of {width} pixels, got {pixels} pixels")]
    Shape {
        /// Pixels there are.
        pixels: usize,
        /// Pixels of a row.
        width: usize,
    },
    /// The drawing is too large.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No pixel is inked.
    #[error("drawing must have a pixel with ink of at least 128, got none")]
    Blank,
}

/// Greatest width or height of a drawing in pixels. Guess: a canvas on a screen of high density.
pub const MAX_SIDE: usize = 2048;

/// The smallest box that holds all ink: columns `left..right`, rows `top..bottom`.
struct Box {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Box {
    fn around(bitmap: &[u8], width: usize) -> Option<Self> {
        let inked = |(_, row): &(usize, &[u8])| row.iter().any(|&ink| ink >= INKED);
        let mut rows = bitmap.chunks_exact(width).enumerate().filter(inked);
        let (top, _) = rows.next()?;
        let bottom = rows.next_back().map_or(top, |(row, _)| row) + 1;
        let first = |row: &[u8]| row.iter().position(|&ink| ink >= INKED);
        let last = |row: &[u8]| row.iter().rposition(|&ink| ink >= INKED);
        let left = bitmap.chunks_exact(width).filter_map(first).min()?;
        let right = bitmap.chunks_exact(width).filter_map(last).max()? + 1;
        Some(Self {
            left,
            right,
            top,
            bottom,
        })
    }

    /// Scales the box to the full height, or to the usual width where it is wide, and centres it.
    fn fit(&self, bitmap: &[u8], width: usize) -> [u32; SIDE] {
        let (wide, high) = (
            (self.right - self.left) as f32,
            (self.bottom - self.top) as f32,
        );
        let step = (high / SIDE as f32).max(wide / WIDTH);
        let middle = (self.left as f32 + wide / 2.0, self.top as f32 + high / 2.0);
        let mut bits = [0u32; SIDE];
        for (y, row) in bits.iter_mut().enumerate() {
            for x in 0..SIDE {
                let from = (x as f32 - HALF) * step + middle.0;
                let down = (y as f32 - HALF) * step + middle.1;
                if self.mean(bitmap, width, (from, down), step) >= f32::from(INKED) / 2.0 {
                    *row |= 1 << x;
                }
            }
        }
        bits
    }

    /// Returns the mean ink of the square of side `step` at `corner`; nothing outside the box counts.
    fn mean(&self, bitmap: &[u8], width: usize, corner: (f32, f32), step: f32) -> f32 {
        let samples = libm::ceilf(step).clamp(1.0, 64.0) as usize;
        let mut sum = 0.0;
        for j in 0..samples {
            for i in 0..samples {
                let part = |k: usize| (k as f32 + 0.5) / samples as f32 * step;
                let (x, y) = (
                    libm::floorf(corner.0 + part(i)),
                    libm::floorf(corner.1 + part(j)),
                );
                let is_inside = x >= self.left as f32
                    && x < self.right as f32
                    && y >= self.top as f32
                    && y < self.bottom as f32;
                if is_inside {
                    sum += f32::from(bitmap[y as usize * width + x as usize]);
                }
            }
        }
        sum / (samples * samples) as f32
    }
}

/// Spreads thin ink by a pixel to either side, in turns across and along, until it weighs what a digit weighs.
fn thicken(bits: &mut [u32; SIDE]) {
    for turn in 0..MAX_TURNS {
        if bits.iter().map(|row| row.count_ones()).sum::<u32>() >= INK {
            return;
        }
        let thin = *bits;
        for (y, row) in bits.iter_mut().enumerate() {
            *row |= if turn % 2 == 0 {
                thin[y] << 1 | thin[y] >> 1
            } else {
                (if y > 0 { thin[y - 1] } else { 0 }) | thin.get(y + 1).copied().unwrap_or(0)
            };
        }
    }
}

fn count(bits: &[u32; SIDE]) -> [u8; PIXELS] {
    core::array::from_fn(|pixel| {
        let (row, column) = (pixel / 8 * BLOCK, pixel % 8 * BLOCK);
        bits[row..row + BLOCK]
            .iter()
            .map(|row| (row >> column & 0b1111).count_ones() as u8)
            .sum()
    })
}

/// Side of the bitmap that is counted.
const SIDE: usize = 32;
const HALF: f32 = 16.0;
/// Side of a counted block.
const BLOCK: usize = 4;
/// Usual width of a digit in the 32 × 32 bitmap. Source: measured on the set, 5.0 (a one) to 6.1 columns of 4.
const WIDTH: f32 = 24.0;
/// Ink that a digit has at least in the 32 × 32 bitmap. Source: measured on the set, means of 303 to 330 by class.
const INK: u32 = 260;
/// Spreading twice across and twice along makes a line of one pixel as thick as the set's pens.
const MAX_TURNS: usize = 4;
/// Ink from which a pixel of the drawing counts.
const INKED: u8 = 128;

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::learner::digits::{Digits, Sample};
    use crate::learner::mlp::Mlp;

    /// Draws `sample` magnified 20 times, smoothly, into a canvas of 300 × 260 with its corner at `(x, y)`.
    fn magnified(sample: &Sample, x: usize, y: usize) -> Vec<u8> {
        let mut canvas = vec![0u8; 300 * 260];
        let pixel = |row: isize, column: isize| {
            let is_inside = (0..8).contains(&row) && (0..8).contains(&column);
            if is_inside {
                f32::from(sample.pixels[(row * 8 + column) as usize]) / 16.0
            } else {
                0.0
            }
        };
        for v in 0..160 {
            for u in 0..160 {
                let (row, column) = ((v as f32 + 0.5) / 20.0 - 0.5, (u as f32 + 0.5) / 20.0 - 0.5);
                let (r, c) = (row.floor(), column.floor());
                let (b, a) = (row - r, column - c);
                let at = |i: f32, j: f32| pixel((r + i) as isize, (c + j) as isize);
                let top = at(0.0, 0.0) * (1.0 - a) + at(0.0, 1.0) * a;
                let low = at(1.0, 0.0) * (1.0 - a) + at(1.0, 1.0) * a;
                let ink = top * (1.0 - b) + low * b;
                canvas[(y + v) * 300 + x + u] = if ink > 0.5 { 255 } else { 0 };
            }
        }
        canvas
    }

    #[test]
    fn a_model_recognises_digits_drawn_large_anywhere_on_a_canvas() {
        let digits = Digits::parse(include_bytes!("../../../www/digits.bin")).unwrap();
        let mut model = Mlp::new(7);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..30 {
            model.train_epoch(&digits.train, 0.1, 16, &mut rng);
        }
        let drawn: Vec<Sample> = digits
            .test
            .iter()
            .enumerate()
            .map(|(i, sample)| {
                let canvas = magnified(sample, i % 140, i * 7 % 100);
                Sample {
                    pixels: scale(&canvas, 300).unwrap(),
                    label: sample.label,
                }
            })
            .collect();
        let accuracy = model.accuracy(&drawn);
        assert!(accuracy > 0.85, "{accuracy}");
    }

    #[test]
    fn the_place_and_size_of_a_drawing_do_not_matter() {
        // An upright bar of one to three, drawn twice.
        let bar = |side: usize, left: usize, top: usize, unit: usize| {
            let mut canvas = vec![0; side * side];
            for y in 0..3 * unit {
                canvas[(top + y) * side + left..][..unit].fill(255);
            }
            scale(&canvas, side).unwrap()
        };
        let small = bar(28, 3, 2, 5);
        let large = bar(320, 150, 8, 100);
        assert!(
            small.iter().zip(&large).all(|(a, b)| a.abs_diff(*b) <= 4),
            "{small:?} {large:?}"
        );
        assert!(small.iter().all(|&pixel| pixel <= 16));
        assert_eq!(small[3], 16, "{small:?}");
        assert_eq!(small[0], 0);
    }

    #[test]
    fn a_thin_line_is_thickened() {
        let mut canvas = vec![0; 28 * 28];
        for y in 2..26 {
            canvas[y * 28 + 14] = 255;
        }
        let ink: u32 = scale(&canvas, 28)
            .unwrap()
            .iter()
            .map(|&pixel| u32::from(pixel))
            .sum();
        assert!((90..=200).contains(&ink), "{ink}");
    }

    #[test]
    fn blank_and_crooked_bitmaps_are_errors() {
        assert_eq!(scale(&[0; 784], 28), Err(DrawingError::Blank));
        assert_eq!(
            scale(&[255; 783], 28),
            Err(DrawingError::Shape {
                pixels: 783,
                width: 28
            })
        );
        assert_eq!(
            scale(&[], 28),
            Err(DrawingError::Shape {
                pixels: 0,
                width: 28
            })
        );
        assert_eq!(
            scale(&[255], 0),
            Err(DrawingError::Shape {
                pixels: 1,
                width: 0
            })
        );
        assert!(matches!(
            scale(&vec![255; 4096], 4096),
            Err(DrawingError::Limit(_))
        ));
        assert!(scale(&[255], 1).is_ok());
    }
}
