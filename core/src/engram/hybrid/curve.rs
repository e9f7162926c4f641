//! What a file would take, and how exact it would be, under each kind of coding: measured on a sample of its numbers, for a
//! picture of rate and distortion.

use alloc::vec::Vec;

use super::super::block::{self, Format};
use super::super::codec::{Codec, Coder};
use super::super::tensor::{CHUNK, Limits};
use super::Target;
use super::error::HybridError;
use super::exact::middle;
use super::header::Header;
use super::search::{Aim, Care, SAMPLE, Sample, Tried, Whole};
use super::source::{File, Floats, lossy_error};

/// A kind of coding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Lossy layers of this module, the first one with this target.
    Learned(Target),
    /// 8 bits in blocks that share a scale.
    Int8,
    /// 4 bits in blocks that share a scale.
    Int4,
    /// The 16 values of NF4 in blocks that share a scale.
    Nf4,
    /// Lossless and fast.
    Plane,
    /// Lossless under a learned model.
    Neural,
}

/// What a kind of coding makes of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The kind.
    pub method: Method,
    /// Bits a number of all floats of 16 and 32 bits, the header included, the other tensors not.
    pub bits_per_number: f64,
    /// Signal to noise of these floats, dB, of their differences where there is a base; infinite where every number is right.
    pub snr_decibels: f64,
    /// Whether it was measured on a part of the numbers.
    pub is_estimated: bool,
}

/// Estimates what `file` takes under every [`Method`], the learned one once for each of `targets`. With a `base` all but blocks
/// code differences from it, and blocks the differences themselves. What is not finite counts as 0.
///
/// Looks at about 262,144 numbers and 2 MB of bytes, spread over the tensors, so the time does not grow with the file but for
/// reading its numbers once.
///
/// # Errors
/// As [`pack`](super::pack).
pub fn curve(
    file: &[u8],
    base: Option<&[u8]>,
    targets: &[Target],
    limits: &Limits,
) -> Result<Vec<Point>, HybridError> {
    let file = File::parse(file, limits)?;
    let base = base.map(|base| File::parse(base, limits)).transpose()?;
    let infos = file.header.tensors();
    let bases = match &base {
        None => alloc::vec![None; infos.len()],
        Some(base) => base.like(infos),
    };
    let floats = Floats::all(&file, &bases, true)?;
    let header = Header::new(&file.header, None).write().len();
    let whole = Whole::of(&floats, header);
    let sample = Sample::new(&floats, whole, SAMPLE);
    let is_estimated = sample.count() < whole.count;
    let mut points = Vec::new();
    // What was tried for one target helps the next, where the same matters.
    let (mut in_bits, mut in_decibels) = (Vec::<Tried>::new(), Vec::<Tried>::new());
    for target in targets {
        let aim = Aim::of(*target, base.is_some())?;
        let tried = match (&aim, target) {
            (None, Target::Step(step)) => {
                sample.at_step(*step, Care::of(*target, base.is_some()))?
            }
            (None, _) => continue,
            (Some(aim), target) => {
                let tried = match target {
                    Target::Decibels(_) => &mut in_decibels,
                    Target::Bits(_) | Target::Step(_) => &mut in_bits,
                };
                sample.find(aim, tried, &mut || true)?.0
            }
        };
        points.push(Point {
            method: Method::Learned(*target),
            bits_per_number: tried.bits,
            snr_decibels: tried.decibels,
            is_estimated,
        });
    }
    for (method, format) in [
        (Method::Int8, Format::Int8),
        (Method::Int4, Format::Int4),
        (Method::Nf4, Format::Nf4),
    ] {
        let (mut bytes, mut noise) = (0, 0.0);
        for values in sample.bands() {
            let wrong = || lossy_error(1, core::iter::empty());
            let coded = block::encode(values, format).map_err(wrong())?;
            let back = block::decode(&coded, values.len(), format).map_err(wrong())?;
            bytes += coded.len();
            let away = |(value, back): (&f32, f32)| f64::from(*value) - f64::from(back);
            let pairs = values.iter().zip(back).map(away);
            noise += pairs.map(|away| away * away).sum::<f64>();
        }
        points.push(Point {
            method,
            bits_per_number: sample.bits(bytes, 0.0),
            snr_decibels: sample.decibels(noise),
            is_estimated,
        });
    }
    for (method, codec) in [
        (Method::Plane, Codec::Plane),
        (Method::Neural, Codec::Neural),
    ] {
        let (levels, is_estimated) = lossless(&floats, codec)?;
        points.push(Point {
            method,
            bits_per_number: whole.bits(levels),
            snr_decibels: f64::INFINITY,
            is_estimated,
        });
    }
    Ok(points)
}

/// Returns the bits of a number under a lossless codec, and whether that was measured on a part of the numbers.
fn lossless(floats: &[Floats<'_>], codec: Codec) -> Result<(f64, bool), HybridError> {
    let (mut bits, mut count, mut left) = (0.0, 0, BYTES);
    let mut is_part = false;
    let mut coded = Vec::new();
    // Large ones tell most.
    let mut sorted: Vec<&Floats<'_>> = floats.iter().collect();
    sorted.sort_by_key(|floats| core::cmp::Reverse(floats.raw().len()));
    for floats in sorted {
        let (raw, base) = (floats.raw(), floats.base());
        let (piece, base) = (middle(raw), base.map(middle));
        if left < piece.len() {
            is_part = true;
            continue;
        }
        left -= piece.len();
        is_part |= piece.len() < raw.len();
        let mut bytes = 0;
        let wrong = |problem| super::exact::error(floats.info, 0, problem);
        let mut coder = Coder::new(codec, &[], floats.info, base.is_some()).map_err(wrong)?;
        for (place, chunk) in piece.chunks(CHUNK).enumerate() {
            let from = place * CHUNK;
            let base = base.and_then(|base| base.get(from..from + chunk.len()));
            coder.encode(chunk, base, &mut coded).map_err(wrong)?;
            bytes += coded.len();
        }
        let numbers = raw.len() / floats.float.width();
        bits += bytes as f64 * 8.0 / piece.len().max(1) as f64 * raw.len() as f64;
        count += numbers;
    }
    Ok((bits / count.max(1) as f64, is_part))
}

/// Bytes that lossless codes are measured on, at most.
const BYTES: usize = 2 << 20;
