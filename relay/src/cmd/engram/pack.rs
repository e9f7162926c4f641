//! `chorus-relay engram pack`: a safetensors file, in one pass, to an engram.

use chorus_core::{
    digest::Digest,
    engram::{
        EngramWriter, LayerPlan, Plan, PlannedTensor, TensorInfo, pick, pick::SAMPLE, tensor::CHUNK,
    },
};
use serde_json::json;

use super::{
    beside,
    file::{Output, Tensors},
    hybrid, in_file, limits, peak_resident_bytes,
    progress::Progress,
};
use crate::{
    cli::PackArgs,
    cmd::{Failure, print_line},
};

/// Packs a file and prints `{"file":…,"bytes":…,"packed_bytes":…,"ratio":…,"tensors":…,"digest":…,"peak_resident_bytes":…}`.
///
/// # Errors
/// A file cannot be read or written, is no safetensors file, or stands where the output goes.
pub(super) fn pack(args: PackArgs) -> Result<(), Failure> {
    if let Some(options) = hybrid::options(&args) {
        return hybrid::pack(args, &options);
    }
    // What is on one's own disk may be as large as it is.
    let limits = limits(u64::MAX);
    let output = args
        .output
        .unwrap_or_else(|| beside(&args.file, ".engram", ""));
    let mut tensors = Tensors::open(&args.file, &limits)?;
    let base = args
        .base
        .as_deref()
        .map(|path| Tensors::open(path, &limits));
    let mut base = base.transpose()?;
    let mut out = Output::create(&output, args.force)?;
    let wrong = in_file(&args.file);

    let mut planned = Vec::with_capacity(tensors.header().tensors().len());
    for place in 0..tensors.header().tensors().len() {
        let info = tensors.header().tensors()[place].clone();
        let level = args.level.into();
        planned.push(plan(&mut tensors, base.as_mut(), (place, info), level)?);
    }
    let source = tensors.header().bytes().to_vec();
    let bases: Vec<Option<usize>> = planned
        .iter()
        .map(|tensor| tensor.base.and(base.as_ref()?.find(&tensor.info)))
        .collect();
    let count = planned.len();
    let plan = Plan {
        source,
        tensors: planned,
    };
    let mut writer = EngramWriter::new(plan, &limits).map_err(&wrong)?;

    out.write(&vec![0; writer.index_len()])?;
    let mut packed = writer.index_len() as u64;
    let mut progress = Progress::new("packing", tensors.header().data_len());
    let (mut raw, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    while let Some(chunk) = writer.wanted().copied() {
        let (place, offset) = (chunk.id.tensor, chunk.offset);
        let raw = &mut raw[..chunk.raw_len];
        tensors.read(place, offset, raw)?;
        let mut against = None;
        if let (Some(base), Some(place)) = (&mut base, bases[place]) {
            let other = &mut other[..chunk.raw_len];
            base.read(place, offset, other)?;
            against = Some(&*other);
        }
        let coded = writer.push(raw, against).map_err(&wrong)?;
        out.write(coded)?;
        packed += coded.len() as u64;
        progress.add(chunk.raw_len);
    }
    drop(progress);
    let (index, digest) = writer.finish().map_err(&wrong)?;
    out.finish(&index)?;
    let bytes = tensors.header().bytes().len() as u64 + tensors.header().data_len();
    let ratio = (bytes as f64 / packed as f64 * 1e4).round() / 1e4;
    let line = json!({
        "file": output,
        "bytes": bytes,
        "packed_bytes": packed,
        "ratio": ratio,
        "tensors": count,
        "digest": digest,
        "peak_resident_bytes": peak_resident_bytes(),
    });
    print_line(&line.to_string())
}

/// Picks a codec for the tensor at `place`, by a piece from its middle.
fn plan(
    tensors: &mut Tensors,
    base: Option<&mut Tensors>,
    (place, info): (usize, TensorInfo),
    level: chorus_core::engram::Level,
) -> Result<PlannedTensor, Failure> {
    let bytes = info.bytes().unwrap_or_default();
    // Whole numbers, and planes of whole words, whatever their type.
    let len = bytes.min(SAMPLE as u64);
    let offset = (bytes - len) / 2 / 64 * 64;
    let mut sample = vec![0; len as usize];
    tensors.read(place, offset, &mut sample)?;
    let mut against = None;
    if let Some(base) = base
        && let Some(other) = base.find(&info)
    {
        let mut sample = vec![0; len as usize];
        base.read(other, offset, &mut sample)?;
        against = Some((base, other, sample));
    }
    let choice = pick(
        &info,
        level,
        &sample,
        against.as_ref().map(|(_, _, sample)| &sample[..]),
    );
    let base: Option<Digest> = match against {
        Some((base, other, _)) if choice.with_base => Some(base.digest(other)?),
        _ => None,
    };
    let layers = vec![LayerPlan {
        codec: choice.codec,
        params: Vec::new(),
    }];
    Ok(PlannedTensor { info, base, layers })
}
