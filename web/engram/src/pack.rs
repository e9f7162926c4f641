//! Packing a file without loss, a few chunks at a time, so that a worker can be asked to stop in between.

use chorus_core::digest::Digest;
use chorus_core::engram::pick::SAMPLE;
use chorus_core::engram::{EngramWriter, LayerPlan, Level, Plan, PlannedTensor, TensorInfo, pick};

use crate::file::{File, limits};
use crate::problem::{INVALID_ARGUMENT, Problem};

/// Reads the name of a level.
///
/// # Errors
/// `ERR_INVALID_ARGUMENT`.
pub fn level(name: &str) -> Result<Level, Problem> {
    match name {
        "fast" => Ok(Level::Fast),
        "neural" => Ok(Level::Neural),
        "smallest" => Ok(Level::Small),
        _ => {
            let message = format!("codec must be fast, neural, smallest or lossy, got {name:?}");
            Err(Problem::new(INVALID_ARGUMENT, message))
        }
    }
}

/// An engram that is being packed.
#[derive(Debug)]
pub struct Packing {
    writer: EngramWriter,
    /// For each tensor its place in the base, where it is coded against that.
    bases: Vec<Option<usize>>,
    out: Vec<u8>,
    done: u64,
}

impl Packing {
    /// Picks a codec for each tensor.
    ///
    /// # Errors
    /// `ERR_TOO_LARGE`.
    pub fn new(file: &File, base: Option<&File>, level: Level) -> Result<Self, Problem> {
        let (mut tensors, mut bases) = (Vec::new(), Vec::new());
        for (place, info) in file.tensors().iter().enumerate() {
            let (planned, base) = plan(file, base, (place, info), level);
            tensors.push(planned);
            bases.push(base);
        }
        let source = file.header().bytes().to_vec();
        let writer = EngramWriter::new(Plan { source, tensors }, &limits())?;
        let out = vec![0; writer.index_len()];
        Ok(Self {
            writer,
            bases,
            out,
            done: 0,
        })
    }

    /// Packs at least `bytes` more of `file`, where they are there; returns how much is done, 0..=1. Both files are those that
    /// it was started with.
    ///
    /// # Errors
    /// `ERR_DAMAGED` where they are others.
    pub fn step(&mut self, file: &File, base: Option<&File>, bytes: usize) -> Result<f64, Problem> {
        let end = self.done + bytes as u64;
        while let Some(chunk) = self.writer.wanted().copied() {
            if self.done >= end {
                break;
            }
            let (tensor, from) = (chunk.id.tensor, chunk.offset as usize);
            let range = from..from + chunk.raw_len;
            let other = self.bases.get(tensor).copied().flatten();
            let against = base
                .zip(other)
                .and_then(|(base, place)| base.numbers(place).get(range.clone()));
            let raw = file.numbers(tensor).get(range).unwrap_or_default();
            let coded = self.writer.push(raw, against)?;
            self.out.extend_from_slice(coded);
            self.done += chunk.raw_len as u64;
        }
        let all = file.header().data_len().max(1);
        Ok(match self.writer.wanted() {
            None => 1.0,
            Some(_) => (self.done as f64 / all as f64).min(0.999),
        })
    }

    /// Returns the engram.
    ///
    /// # Errors
    /// `ERR_DAMAGED` where steps are missing.
    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        let Self {
            writer, mut out, ..
        } = self;
        let (index, _) = writer.finish()?;
        if let Some(head) = out.get_mut(..index.len()) {
            head.copy_from_slice(&index);
        }
        Ok(out)
    }
}

/// Packs in one go. For curves and tests.
///
/// # Errors
/// Those of [`Packing`].
pub fn pack(file: &File, base: Option<&File>, level: Level) -> Result<Vec<u8>, Problem> {
    let mut packing = Packing::new(file, base, level)?;
    packing.step(file, base, usize::MAX / 2)?;
    packing.finish()
}

/// Picks a codec for a tensor by a piece from its middle; returns the place of its base where that helps.
fn plan(
    file: &File,
    base: Option<&File>,
    (place, info): (usize, &TensorInfo),
    level: Level,
) -> (PlannedTensor, Option<usize>) {
    let numbers = file.numbers(place);
    let len = numbers.len().min(SAMPLE);
    // Whole numbers, and planes of whole words, whatever their type.
    let from = (numbers.len() - len) / 2 / 64 * 64;
    let piece = |numbers: &[u8]| numbers.get(from..from + len).map(<[u8]>::to_vec);
    let sample = piece(numbers).unwrap_or_default();
    let other = base.and_then(|base| Some((base, base.find(info)?)));
    let against = other.and_then(|(base, other)| piece(base.numbers(other)));
    let choice = pick(info, level, &sample, against.as_deref());
    let other = other.filter(|_| choice.with_base);
    let layers = vec![LayerPlan {
        codec: choice.codec,
        params: Vec::new(),
    }];
    let digest = other.map(|(base, other)| Digest::sha256(base.numbers(other)));
    let planned = PlannedTensor {
        info: info.clone(),
        base: digest,
        layers,
    };
    (planned, other.map(|(_, other)| other))
}
