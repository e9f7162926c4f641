//! `chorus-relay engram unpack`: an engram, or one tensor of it, to a safetensors file.

use chorus_core::{
    bounds::LimitError,
    engram::{EngramError, Index, LayerReader, Limits, safetensors::Header},
};
use serde_json::json;

use super::{
    beside,
    file::{Output, Packed, Tensors},
    hybrid, limits, peak_resident_bytes,
    progress::Progress,
};
use crate::{
    cli::UnpackArgs,
    cmd::{Failure, print_line},
};

/// Unpacks a file and prints `{"file":…,"bytes":…,"tensors":…,"digest":…,"peak_resident_bytes":…}`, the digest of the
/// engram.
///
/// # Errors
/// A file cannot be read or written, a chunk is damaged, the base is another one, or a file stands where the output goes.
pub(super) fn unpack(args: UnpackArgs) -> Result<(), Failure> {
    if hybrid::is_hybrid(&args.file)? {
        return hybrid::unpack(args);
    }
    if args.layers.is_some() {
        let file = args.file.display();
        let message = format!("{file}: --layers is for engrams packed with --bits or --decibels");
        return Err(Failure::Usage(message));
    }
    // What is unpacked is bounded below; the base is one's own.
    let limits = limits(u64::MAX);
    let mut packed = Packed::open(&args.file, &limits)?;
    let base = args
        .base
        .as_deref()
        .map(|path| Tensors::open(path, &limits));
    let mut base = base.transpose()?;
    let index = packed.index();
    let places: Vec<usize> = match &args.tensor {
        None => (0..index.tensors().len()).collect(),
        Some(name) => {
            let place = index
                .tensors()
                .iter()
                .position(|tensor| tensor.info.name == *name);
            vec![place.ok_or_else(|| {
                Failure::Usage(format!(
                    "{}: there is no tensor {name:?}",
                    args.file.display()
                ))
            })?]
        }
    };
    let raw = places
        .iter()
        .map(|place| index.tensors()[*place].info.bytes().unwrap_or_default())
        .fold(0, u64::saturating_add);
    LimitError::check("bytes to unpack", raw, args.max_bytes)
        .map_err(EngramError::from)
        .map_err(packed.wrong())?;
    let header = header(index, &places, args.tensor.is_none(), &limits).map_err(packed.wrong())?;
    let output = args
        .output
        .unwrap_or_else(|| beside(&args.file, ".safetensors", ".engram"));
    let mut out = Output::create(&output, args.force)?;
    out.write(&header)?;
    let mut bytes = header.len() as u64;
    let mut progress = Progress::new("unpacking", raw);
    let wrong = packed.wrong();
    let (index, mut read) = packed.parts();
    for place in &places {
        let planned = &index.tensors()[*place];
        let own_base = match (&mut base, planned.base) {
            (Some(base), Some(_)) => base.find(&planned.info),
            _ => None,
        };
        let digest = match (&mut base, own_base) {
            (Some(base), Some(other)) => Some(base.digest(other)?),
            _ => None,
        };
        let mut layers = Vec::with_capacity(planned.layers.len());
        for layer in 0..planned.layers.len() {
            layers.push(LayerReader::new(index, (*place, layer), digest).map_err(&wrong)?);
        }
        let (mut coded, mut raw, mut against) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(first) = layers.first().and_then(LayerReader::wanted).copied() {
            let mut has_base = false;
            if let (Some(base), Some(other)) = (&mut base, own_base) {
                against.resize(first.raw_len, 0);
                base.read(other, first.offset, &mut against)?;
                has_base = true;
            }
            for layer in &mut layers {
                let Some(chunk) = layer.wanted() else { break };
                read(chunk, &mut coded)?;
                let base = has_base.then_some(&against[..]);
                layer.push(&coded, base, &mut raw).map_err(&wrong)?;
                // What one layer gives is the base of the next.
                std::mem::swap(&mut raw, &mut against);
                has_base = true;
            }
            out.write(&against)?;
            bytes += against.len() as u64;
            progress.add(against.len());
        }
    }
    drop(progress);
    let digest = index.digest();
    out.finish(&[])?;
    let line = json!({
        "file": output,
        "bytes": bytes,
        "tensors": places.len(),
        "digest": digest,
        "peak_resident_bytes": peak_resident_bytes(),
    });
    print_line(&line.to_string())
}

/// Returns the header of what is written: that of the source where all of it comes back, else one that is made.
fn header(
    index: &Index,
    places: &[usize],
    is_whole: bool,
    limits: &Limits,
) -> Result<Vec<u8>, EngramError> {
    if is_whole && !index.source().is_empty() {
        return Ok(index.source().to_vec());
    }
    let tensors = places
        .iter()
        .map(|place| index.tensors()[*place].info.clone());
    let header = Header::new(tensors.collect(), Vec::new(), limits)?;
    Ok(header.bytes().to_vec())
}
