//! One file that restores a safetensors file: first with little exactness, then finer, at last to the byte. A receiver may
//! stop after any layer. Does no IO.
//!
//! Floats of 16 and 32 bits go through [`lossy`](super::lossy) layers, as f32, each with a quarter of the step before it; the
//! last layer, where there is one, tells every bit, coded against what the layers before it restore. Numbers of other types
//! travel to the byte. A base that the receiver has is subtracted before and added after. What is not finite counts as 0
//! until the last layer; sums past the largest number of a type are that.
//!
//! # Bytes
//! `ENGHYB`, version (16 bits), length of the header (32 bits, big-endian), header, SHA-256 of all before it; the part of
//! other tensors; the layers. The header, in the words of [`wire`](crate::wire):
//! - the safetensors file's header: its length (varint), and its bytes under deflate;
//! - 0, or 1 and the digest of the base's tensors, one after the other; for each tensor 1 where it has a base, else 0;
//! - the part of other tensors as the layers: length (varint), SHA-256, signal to noise in hundredths of a dB (32 bits, signed;
//!   the ends of the range stand for infinities);
//! - number of layers (a byte), 1 where the last one is exact, else 0; for each layer the same as above.
//!
//! A lossy layer is one stream of all floats in order; other tensors and the exact layer are as `exact` has them.

use alloc::vec::Vec;

use super::lossy::{Gain, decode_on, encode_and_make};
use super::number::{Float, is_float, sum};
use super::tensor::Limits;
use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::{Reader, Writer};

mod curve;
mod error;
mod exact;
mod header;
mod search;
mod source;

pub use curve::{Method, Point, curve};
pub use error::{HybridError, Part};
pub use header::{HEAD, Header, Layer, is_hybrid};

use search::{Whole, first};
use source::{File, Floats, decibels, finest, lossy_error, restore};

/// How exact the first layer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Bits a number of all floats, the header included, the other tensors not. Met within 2 %, from below, where the file has
    /// 100,000 numbers or more and the bits are 0.3 to 12; else as near as three tries come. With a base each tensor keeps its
    /// share of the difference, which is worth more to a model than the least error.
    Bits(f64),
    /// Signal to noise of all floats (of their differences from the base, where there is one), in dB. Met from above, within
    /// 0.25 dB where numbers of the type are that fine.
    Decibels(f64),
    /// The step of the quantiser, in the unit of the numbers.
    Step(f32),
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How exact the first layer is.
    pub target: Target,
    /// Lossy layers, 1 to [`MAX_LAYERS`], each four times as fine as the one before it: about 2 bits a number and 12 dB more.
    pub layers: usize,
    /// Whether a last layer brings back every bit.
    pub is_exact: bool,
}

impl Default for Options {
    /// One layer at 4 bits a number. Source: algorithms.md, section 2: whole weights lose 0.02 of 1.7 in loss at 3.84 bits.
    fn default() -> Self {
        Self {
            target: Target::Bits(4.0),
            layers: 1,
            is_exact: false,
        }
    }
}

/// Lossy layers of a file. Guess: three are 24 dB apart from first to last.
pub const MAX_LAYERS: usize = 3;

/// A packed file.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Bits a number with the first layer, as [`Header::bits_per_number`] counts; those with more layers are the header's.
    pub bits_per_number: f64,
    /// Signal to noise with the first layer, dB; infinite where every number is right.
    pub snr_decibels: f64,
    /// The header of the file.
    pub header: Header,
}

/// Packs `file`, a whole safetensors file. `base` is another one: tensors of the same name, type and shape are told as
/// differences from it. `progress` is told the share that is done, in 0..=1, and says whether to go on. Memory is 16 bytes a
/// number, 8 more for those of the largest tensor, and up to 1.5 MB beside the files.
///
/// # Errors
/// [`HybridError::Source`] for what is no safetensors file, [`HybridError::NotFinite`] without an exact layer,
/// [`HybridError::BaseAlien`], [`HybridError::Target`], [`HybridError::Layers`], [`HybridError::Stopped`].
pub fn pack(
    file: &[u8],
    base: Option<&[u8]>,
    options: &Options,
    limits: &Limits,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Packed, HybridError> {
    if !(1..=MAX_LAYERS).contains(&options.layers) {
        let (got, most) = (options.layers, MAX_LAYERS);
        return Err(HybridError::Layers { got, most });
    }
    search::Aim::of(options.target, base.is_some())?;
    let file = File::parse(file, limits)?;
    let base = base.map(|base| File::parse(base, limits)).transpose()?;
    let infos = file.header.tensors();
    let bases = base.as_ref().map(|base| base.like(infos));
    let digest = bases.as_ref().map(|bases| {
        let is_based: Vec<bool> = bases.iter().map(Option::is_some).collect();
        (source::digest_of(bases), is_based)
    });
    if bases
        .as_ref()
        .is_some_and(|bases| bases.iter().all(Option::is_none))
    {
        return Err(HybridError::BaseAlien);
    }
    let bases = bases.unwrap_or_else(|| alloc::vec![None; infos.len()]);
    let floats = Floats::all(&file, &bases, options.is_exact)?;
    let mut header = Header::new(&file.header, digest);

    // Looking for the first layer takes as long as writing two.
    let is_exact = usize::from(options.is_exact);
    let mut work = Work::new(progress, options.layers + 1 + is_exact);
    let mut others = Writer::new();
    for ((info, raw), base) in infos.iter().zip(&file.raw).zip(&bases) {
        if !is_float(info.dtype) {
            let go_on = &mut |_| work.go_on(0.0);
            exact::write(info, raw, *base, (&mut others, go_on))?;
        }
    }
    let others = others.into_bytes();
    header.others = Layer::new(&others, f64::INFINITY);

    let dummy = Layer::new(&[], 0.0);
    header.layers = alloc::vec![dummy; options.layers + is_exact];
    let whole = Whole::of(&floats, header.write().len());
    let target = (options.target, base.is_some());
    let first = first(&floats, whole, target, &mut |done| work.go_on(2.0 * done))?;
    work.step(2);
    let mut layers = alloc::vec![first.bytes];
    let mut told = first.made;
    start(&mut told);
    let mut ratios = alloc::vec![decibels(whole.signal, first.noise)];
    let mut step = first.step;
    for layer in 1..options.layers {
        step *= 0.25;
        let bytes = refine(&floats, &mut told, (layer + 1, step), &mut |done| {
            work.go_on(done)
        })?;
        work.step(1);
        let noise = floats.iter().zip(&told);
        let noise = noise.map(|(floats, told)| floats.noise(told)).sum();
        layers.push(bytes);
        ratios.push(decibels(whole.signal, noise));
    }
    if options.is_exact {
        let mut last = Writer::new();
        let mut done = 0;
        let all: usize = floats.iter().map(|floats| floats.raw().len()).sum();
        for (floats, told) in floats.iter().zip(&told) {
            let mut restored = Vec::new();
            restore(floats.float, floats.base(), told, &mut restored);
            let go_on = &mut |bytes| {
                done += bytes;
                work.go_on(done as f64 / all as f64)
            };
            exact::write(
                floats.info,
                floats.raw(),
                Some(&restored),
                (&mut last, go_on),
            )?;
        }
        layers.push(last.into_bytes());
        ratios.push(f64::INFINITY);
    }
    header.is_exact = options.is_exact;
    header.layers = (layers.iter().zip(ratios))
        .map(|(bytes, ratio)| Layer::new(bytes, ratio))
        .collect();
    if !progress(1.0) {
        return Err(HybridError::Stopped);
    }
    finish(header, &others, &layers, limits)
}

/// Writes what the layers so far left, and adds what the new one tells to `told`.
fn refine(
    floats: &[Floats<'_>],
    told: &mut [Vec<f32>],
    (layer, step): (usize, f32),
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<u8>, HybridError> {
    let left: Vec<Vec<f32>> = (floats.iter().zip(told.iter()))
        .map(|(floats, told)| {
            let pairs = floats.values.iter().zip(told);
            pairs.map(|(value, told)| sum(*value, -told)).collect()
        })
        .collect();
    let tensors = || floats.iter().zip(&left).map(|(own, left)| own.tensor(left));
    let mut settings = super::lossy::Settings::new(step.max(finest(tensors())));
    settings.gain = Gain::Fixed(1.0);
    let tensors: Vec<_> = tensors().collect();
    let infos = floats.iter().map(|floats| floats.info);
    let (bytes, made) =
        encode_and_make(&tensors, &settings, go_on).map_err(lossy_error(layer, infos))?;
    add(told, &made);
    Ok(bytes)
}

/// Makes sums of what the first layer tells.
fn start(told: &mut [Vec<f32>]) {
    // A sum with 0 is never −0.
    told.iter_mut()
        .flatten()
        .for_each(|told| *told = sum(0.0, *told));
}

fn add(told: &mut [Vec<f32>], more: &[Vec<f32>]) {
    for (told, more) in told.iter_mut().zip(more) {
        for (told, more) in told.iter_mut().zip(more) {
            *told = sum(*told, more.clamp(f32::MIN, f32::MAX));
        }
    }
}

fn finish(
    mut header: Header,
    others: &[u8],
    layers: &[Vec<u8>],
    limits: &Limits,
) -> Result<Packed, HybridError> {
    let mut bytes = header.finish();
    // What is written can be read.
    Header::len_of(&bytes, limits)?;
    bytes.extend_from_slice(others);
    for layer in layers {
        bytes.extend_from_slice(layer);
    }
    Ok(Packed {
        bytes,
        bits_per_number: header.bits_per_number(1),
        snr_decibels: (header.layers.first()).map_or(f64::INFINITY, |layer| layer.snr_decibels),
        header,
    })
}

/// Restores the safetensors file from the first `layers` layers, or all where there are fewer. `bytes` may end behind those.
/// `base` is the safetensors file that was given to [`pack`]. Memory is 8 bytes a number beside the files.
///
/// # Errors
/// [`HybridError`]: nothing is restored from a file that is damaged, or from another base.
pub fn unpack(
    bytes: &[u8],
    base: Option<&[u8]>,
    layers: usize,
    limits: &Limits,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<u8>, HybridError> {
    let header = Header::parse(bytes, limits)?;
    let layers = layers.min(header.layers.len());
    if layers == 0 {
        let (got, most) = (layers, header.layers.len());
        return Err(HybridError::Layers { got, most });
    }
    if bytes.len() as u64 > header.file_len() {
        let (part, expected) = (Part::Layer(header.layers.len()), header.file_len());
        let got = bytes.len() as u64;
        return Err(HybridError::PartLength {
            part,
            expected,
            got,
        });
    }
    let mut parts = parts(&header, bytes, layers)?.into_iter();
    let mut others = Reader::new(parts.next().unwrap_or_default());
    let mut parts: Vec<&[u8]> = parts.collect();
    let bases = bases_of(&header, base, limits)?;
    let needed = check_memory(&header)?;

    let last = if header.is_exact && layers == header.layers.len() {
        parts.pop()
    } else {
        None
    };
    let mut work = Work::new(progress, parts.len() + 1);
    let shapes = header.shapes()?;
    let mut told: Vec<Vec<f32>> = Vec::new();
    for (layer, bytes) in parts.iter().enumerate() {
        let floats = (header.tensors.iter()).filter(|info| is_float(info.dtype));
        let more = decode_on(bytes, &shapes, needed, &mut |done| work.go_on(done));
        let more = more.map_err(lossy_error(layer + 1, floats))?;
        work.step(1);
        if layer == 0 {
            told = more;
            start(&mut told);
        } else {
            add(&mut told, &more);
        }
    }
    let mut out = Vec::new();
    reserve(&mut out, header.source_len())?;
    out.extend_from_slice(&header.source);
    let mut last = last.map(Reader::new);
    let (mut told, all) = (told.iter(), header.source_len() as f64);
    let empty = Vec::new();
    for (info, base) in header.tensors.iter().zip(bases) {
        let mut done = out.len();
        let go_on = &mut |bytes: usize| {
            done += bytes;
            work.go_on(done as f64 / all)
        };
        let Some(float) = Float::of(info.dtype) else {
            exact::read(info, &mut others, base, (&mut out, go_on))?;
            continue;
        };
        // One for each tensor of floats.
        let told = told.next().unwrap_or(&empty);
        match &mut last {
            None => restore(float, base, told, &mut out),
            Some(last) => {
                let mut restored = Vec::new();
                restore(float, base, told, &mut restored);
                exact::read(info, last, Some(&restored), (&mut out, go_on))?;
            }
        }
    }
    others.finish()?;
    if let Some(last) = last {
        last.finish()?;
    }
    if !progress(1.0) {
        return Err(HybridError::Stopped);
    }
    Ok(out)
}

/// Returns the digest of the tensors that a base must have for `header`, found in `base`, a safetensors file.
///
/// # Errors
/// [`HybridError::Source`] for what is no safetensors file.
pub fn digest_of(header: &Header, base: &[u8], limits: &Limits) -> Result<Digest, HybridError> {
    let base = File::parse(base, limits)?;
    Ok(source::digest_of(&based(header, &base)))
}

fn based<'a>(header: &Header, base: &File<'a>) -> Vec<Option<&'a [u8]>> {
    let mut found = base.like(&header.tensors);
    for (found, is_based) in found.iter_mut().zip(&header.is_based) {
        *found = found.filter(|_| *is_based);
    }
    found
}

/// Returns the base of each tensor that has one.
fn bases_of<'a>(
    header: &Header,
    base: Option<&'a [u8]>,
    limits: &Limits,
) -> Result<Vec<Option<&'a [u8]>>, HybridError> {
    let Some(expected) = header.base else {
        return Ok(alloc::vec![None; header.tensors.len()]);
    };
    let base = base.ok_or(HybridError::BaseMissing { expected })?;
    let base = File::parse(base, limits)?;
    let found = based(header, &base);
    let got = source::digest_of(&found);
    let is_there = found
        .iter()
        .map(Option::is_some)
        .eq(header.is_based.iter().copied());
    if got == expected && is_there {
        Ok(found)
    } else {
        Err(HybridError::BaseWrong { expected, got })
    }
}

/// Returns the bytes of the parts that `layers` need, as they were written: first that of other tensors.
fn parts<'a>(
    header: &Header,
    bytes: &'a [u8],
    layers: usize,
) -> Result<Vec<&'a [u8]>, HybridError> {
    let mut parts = Vec::new();
    for (part, place, expected) in header.parts().take(1 + layers) {
        let end = place.end;
        let place = usize::try_from(place.start)
            .ok()
            .zip(usize::try_from(end).ok());
        let Some(own) = place.and_then(|(from, to)| bytes.get(from..to)) else {
            let (expected, got) = (end, bytes.len() as u64);
            return Err(HybridError::PartLength {
                part,
                expected,
                got,
            });
        };
        let got = Digest::sha256(own);
        if got != expected {
            return Err(HybridError::PartDigest {
                part,
                expected,
                got,
            });
        }
        parts.push(own);
    }
    Ok(parts)
}

/// Asks whether there is memory for what the header announces, and returns how many numbers the layers tell.
fn check_memory(header: &Header) -> Result<usize, HybridError> {
    let numbers = header.numbers();
    // Their sum, and those of a layer.
    reserve(&mut Vec::<u8>::new(), numbers.saturating_mul(8))?;
    let most = usize::MAX as u64;
    LimitError::check("numbers of all tensors", numbers, most)?;
    Ok(numbers as usize)
}

fn reserve(bytes: &mut Vec<u8>, wanted: u64) -> Result<(), HybridError> {
    let refused = HybridError::Memory { bytes: wanted };
    let Ok(count) = usize::try_from(wanted) else {
        return Err(refused);
    };
    bytes.try_reserve_exact(count).map_err(|_| refused)
}

/// How far the work is, in parts of equal size.
struct Work<'a> {
    progress: &'a mut dyn FnMut(f64) -> bool,
    done: usize,
    all: usize,
}

impl<'a> Work<'a> {
    fn new(progress: &'a mut dyn FnMut(f64) -> bool, all: usize) -> Self {
        Self {
            progress,
            done: 0,
            all,
        }
    }

    /// Tells that a share of the next parts is done.
    fn go_on(&mut self, share: f64) -> bool {
        (self.progress)(((self.done as f64 + share) / self.all as f64).min(1.0))
    }

    fn step(&mut self, parts: usize) {
        self.done += parts;
    }
}

#[cfg(test)]
pub(super) mod hostile_tests;
#[cfg(test)]
mod tests;
