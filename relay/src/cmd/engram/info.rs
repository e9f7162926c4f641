//! `chorus-relay engram info`: what is in an engram, and whether all of it is there.

use chorus_core::engram::{Index, PlannedTensor};
use serde_json::{Value, json};

use super::{file::Packed, hybrid, limits, progress::Progress};
use crate::{
    cli::InfoArgs,
    cmd::{Failure, print_line},
};

/// Checks every chunk and prints the tensors, one in a line, or one JSON object.
///
/// # Errors
/// The file cannot be read, is no engram, or a chunk is damaged.
pub(super) fn info(args: InfoArgs) -> Result<(), Failure> {
    if hybrid::is_hybrid(&args.file)? {
        return hybrid::info(args);
    }
    // Nothing is unpacked, so any size will do.
    let mut packed = Packed::open(&args.file, &limits(u64::MAX))?;
    let wrong = packed.wrong();
    let mut progress = Progress::new("checking", packed.index().file_len());
    let (index, mut read) = packed.parts();
    let mut coded = Vec::new();
    for chunk in index.chunks() {
        read(chunk, &mut coded)?;
        index.verify(chunk, &coded).map_err(&wrong)?;
        progress.add(coded.len());
    }
    drop(progress);
    let (mut raw, mut tensors) = (0, Vec::new());
    for (place, tensor) in index.tensors().iter().enumerate() {
        raw += tensor.info.bytes().unwrap_or_default();
        tensors.push(describe(index, place, tensor));
    }
    let whole = json!({
        "kind": "lossless",
        "digest": index.digest(),
        "bytes": index.source().len() as u64 + raw,
        "packed_bytes": index.file_len(),
        "chunks": index.chunks().len(),
        "tensors": tensors,
    });
    if args.json {
        return print_line(&whole.to_string());
    }
    for tensor in &tensors {
        print_line(&line(tensor))?;
    }
    let (bytes, packed) = (index.source().len() as u64 + raw, index.file_len());
    print_line(&format!(
        "{} tensors, {bytes} bytes in {packed} ({:.3}x), {} chunks, digest {}",
        tensors.len(),
        bytes as f64 / packed.max(1) as f64,
        index.chunks().len(),
        index.digest()
    ))
}

fn describe(index: &Index, place: usize, tensor: &PlannedTensor) -> Value {
    let coded = |layer| {
        index
            .chunks_of(place, layer)
            .iter()
            .map(|chunk| chunk.coded_len as u64)
            .sum::<u64>()
    };
    let layers: Vec<_> = (tensor.layers.iter().enumerate())
        .map(|(layer, plan)| json!({ "codec": plan.codec.name(), "bytes": coded(layer) }))
        .collect();
    json!({
        "name": tensor.info.name,
        "dtype": tensor.info.dtype.name(),
        "shape": tensor.info.shape,
        "bytes": tensor.info.bytes().unwrap_or_default(),
        "base": tensor.base,
        "layers": layers,
    })
}

/// Writes one tensor for people. The name is quoted: a stranger chose it.
fn line(tensor: &Value) -> String {
    let name = tensor["name"].as_str().unwrap_or_default();
    let layers = tensor["layers"].as_array().into_iter().flatten();
    let layers: Vec<_> = layers
        .map(|layer| {
            format!(
                "{} {}",
                layer["codec"].as_str().unwrap_or_default(),
                layer["bytes"]
            )
        })
        .collect();
    let base = if tensor["base"].is_null() {
        ""
    } else {
        " against a base"
    };
    format!(
        "{name:?} {} {} {} bytes: {}{base}",
        tensor["dtype"].as_str().unwrap_or_default(),
        tensor["shape"],
        tensor["bytes"],
        layers.join(", ")
    )
}
