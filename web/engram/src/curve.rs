//! What each way of packing would make of a file, by a sample of its rows: a rate–distortion curve, point by point.

use chorus_core::engram::TensorInfo;
use chorus_core::engram::hybrid::{self, Method, Target};
use chorus_core::engram::number::is_float;
use chorus_core::engram::safetensors::Header;
use serde::Serialize;

use crate::file::{File, len_of, limits};
use crate::pack::{level, pack};
use crate::problem::Problem;

/// One way of packing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// `fast`, `neural` or `smallest`, which lose nothing; `lossy`; or, to compare with, blocks: `int8`, `int4`, `nf4`.
    pub codec: &'static str,
    /// Bits per number, all bytes counted.
    pub bits: f64,
    /// Ratio of signal to noise over all floats; none where every bit comes back.
    pub decibels: Option<f64>,
    /// Bytes of the engram.
    pub bytes: f64,
    /// Whether a sample was packed and not the whole file.
    pub is_estimate: bool,
}

/// A curve that is being drawn.
#[derive(Debug)]
pub struct Curve {
    sample: File,
    base: Option<File>,
    /// Bytes of the file for each byte of the sample.
    scale: f64,
    parameters: f64,
    next: usize,
}

impl Curve {
    /// Takes a sample of `file`, and of the same rows of `base`.
    ///
    /// # Errors
    /// Those of [`File::open`], which none of a file's samples has.
    pub fn new(file: &File, base: Option<&File>) -> Result<Self, Problem> {
        let share = SAMPLE as f64 / file.bytes().len().max(1) as f64;
        let sample = File::open(sampled(file, share)?)?;
        let base = base
            .map(|base| File::open(sampled(base, share)?))
            .transpose()?;
        let numbers = |file: &File| file.header().data_len().max(1) as f64;
        Ok(Self {
            scale: numbers(file) / numbers(&sample),
            parameters: file.parameters().max(1) as f64,
            sample,
            base,
            next: 0,
        })
    }

    /// Returns the next points, none after the last: first each way of losing nothing, then the others, the finest first. They
    /// are of the files that the curve was started with.
    ///
    /// # Errors
    /// What packing says.
    pub fn points(&mut self, file: &File, base: Option<&File>) -> Result<Vec<Point>, Problem> {
        let next = self.next;
        self.next += 1;
        if next == LOSSLESS.len() {
            return lossy(file, base);
        }
        let Some(codec) = LOSSLESS.get(next).copied() else {
            return Ok(Vec::new());
        };
        let packed = pack(&self.sample, self.base.as_ref(), level(codec)?)?;
        Ok(vec![self.at(codec, packed.len(), None)])
    }

    fn at(&self, codec: &'static str, packed: usize, decibels: Option<f64>) -> Point {
        let bytes = (packed as f64 * self.scale).round();
        Point {
            codec,
            bits: bytes * 8.0 / self.parameters,
            decibels,
            bytes,
            is_estimate: self.scale > 1.0,
        }
    }
}

/// Returns what losing some exactness would make.
fn lossy(file: &File, base: Option<&File>) -> Result<Vec<Point>, Problem> {
    let floats = |info: &&TensorInfo| is_float(info.dtype);
    let numbers = |info: &TensorInfo| len_of(info) as u64 * 8 / info.dtype.bits();
    let count: u64 = file.tensors().iter().filter(floats).map(numbers).sum();
    if count == 0 {
        return Ok(Vec::new());
    }
    let others = file
        .tensors()
        .iter()
        .filter(|info| !floats(info))
        .map(len_of);
    let others = others.sum::<usize>() as f64;
    let targets = DECIBELS.map(Target::Decibels);
    let base = base.map(File::bytes);
    let points = hybrid::curve(file.bytes(), base, &targets, &limits())?;
    let point = |point: hybrid::Point| {
        let codec = match point.method {
            Method::Learned(_) => "lossy",
            Method::Int8 => "int8",
            Method::Int4 => "int4",
            Method::Nf4 => "nf4",
            // Those of the whole file come first.
            Method::Plane | Method::Neural => return None,
        };
        let bytes = (point.bits_per_number * count as f64 / 8.0 + others).round();
        Some(Point {
            codec,
            bits: bytes * 8.0 / file.parameters().max(1) as f64,
            decibels: Some(point.snr_decibels).filter(|decibels| decibels.is_finite()),
            bytes,
            is_estimate: point.is_estimated,
        })
    };
    Ok(points.into_iter().filter_map(point).collect())
}

/// Returns a file with the same share of rows of every tensor, from its middle; all of it for a share of 1 and more.
fn sampled(file: &File, share: f64) -> Result<Vec<u8>, Problem> {
    if share >= 1.0 {
        return Ok(file.bytes().to_vec());
    }
    let (mut infos, mut numbers) = (Vec::new(), Vec::new());
    for (place, info) in file.tensors().iter().enumerate() {
        let Some((rows, row)) = rows(info) else {
            continue;
        };
        let count = ((rows as f64 * share).ceil() as usize).clamp(1, rows);
        let from = (rows - count) / 2 * row;
        let piece = file.numbers(place).get(from..from + count * row);
        numbers.extend_from_slice(piece.unwrap_or_default());
        let columns = info.columns();
        infos.push(TensorInfo {
            shape: vec![count as u64, columns],
            ..info.clone()
        });
    }
    let mut bytes = Header::new(infos, Vec::new(), &limits())?.bytes().to_vec();
    bytes.extend(numbers);
    Ok(bytes)
}

/// Returns the rows of a tensor and the bytes of each; none where it is empty or rows are no whole bytes.
fn rows(info: &TensorInfo) -> Option<(usize, usize)> {
    let bits = info.columns().checked_mul(info.dtype.bits())?;
    let row = usize::try_from(bits / 8).ok()?;
    let len = len_of(info);
    (bits % 8 == 0 && len > 0).then(|| (len / row.max(1), row))
}

/// The levels that lose nothing, the fastest first.
const LOSSLESS: [&str; 3] = ["fast", "neural", "smallest"];
/// Ratios of signal to noise at which lossy engrams are looked at. Guess: from what no task notices to what most do.
const DECIBELS: [f64; 8] = [50.0, 40.0, 30.0, 25.0, 20.0, 15.0, 10.0, 5.0];
/// Bytes of a sample. Guess: half a million numbers tell bits to a hundredth, and take each codec half a second.
const SAMPLE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use chorus_core::engram::Dtype;

    use super::*;
    use crate::file::tests::{file, singles};

    #[test]
    fn the_curve_of_a_large_file_is_near_what_packing_it_makes() {
        let numbers = singles(1_500_000, 3);
        let file = File::open(file(&[
            (
                "a",
                Dtype::F32,
                &[1000, 1000],
                numbers[..4_000_000].to_vec(),
            ),
            ("b", Dtype::F32, &[500_000], numbers[4_000_000..].to_vec()),
        ]))
        .unwrap();
        let mut curve = Curve::new(&file, None).unwrap();
        for codec in LOSSLESS {
            let point = curve.points(&file, None).unwrap().remove(0);
            assert_eq!((point.codec, point.is_estimate), (codec, true));
            let packed = pack(&file, None, level(codec).unwrap()).unwrap();
            let ratio = point.bytes / packed.len() as f64;
            assert!((0.98..1.02).contains(&ratio), "{codec}: {ratio}");
        }
        let coarse = curve.points(&file, None).unwrap();
        let lossy: Vec<_> = coarse.iter().filter(|p| p.codec == "lossy").collect();
        assert_eq!(lossy.len(), DECIBELS.len());
        assert!(lossy.is_sorted_by(|a, b| a.bits > b.bits && a.decibels > b.decibels));
        assert_eq!(coarse.len(), DECIBELS.len() + 3);
        assert_eq!(curve.points(&file, None).unwrap(), []);
    }

    #[test]
    fn the_curve_of_a_small_file_is_exact() {
        let file = File::open(file(&[("a", Dtype::F32, &[50, 10], singles(500, 3))])).unwrap();
        let mut curve = Curve::new(&file, None).unwrap();
        let point = curve.points(&file, None).unwrap().remove(0);
        let packed = pack(&file, None, level("fast").unwrap()).unwrap();
        assert!(!point.is_estimate);
        // Header and index count.
        assert!((point.bytes - packed.len() as f64).abs() < 1.0);
        assert!((point.bits - packed.len() as f64 * 8.0 / 500.0).abs() < 1e-9);
    }
}
