//! Engrams that are lossy first and exact at last, on the command line. They are packed and unpacked in memory.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use chorus_core::{
    digest::Hasher,
    engram::{
        Limits, TensorInfo,
        hybrid::{self, HEAD, Header, HybridError, Options, Part, Target},
        tensor::CHUNK,
    },
};
use serde_json::{Value, json};

use super::{beside, file::Output, io_error, limits, peak_resident_bytes, progress::Progress};
use crate::{
    cli::{InfoArgs, PackArgs, UnpackArgs},
    cmd::{Failure, print_line},
};

/// Returns how to pack, where loss is asked for.
pub(super) fn options(args: &PackArgs) -> Option<Options> {
    let target = match (args.bits, args.decibels) {
        (Some(bits), _) => Target::Bits(bits),
        (None, Some(decibels)) => Target::Decibels(decibels),
        (None, None) => return None,
    };
    Some(Options {
        target,
        layers: args.layers.into(),
        is_exact: args.exact,
    })
}

/// Tells whether a file is such an engram.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_hybrid(path: &Path) -> Result<bool, Failure> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(io_error(path))?;
    file.take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(io_error(path))?;
    Ok(hybrid::is_hybrid(&head))
}

/// Packs a file and prints `{"file":…,"bytes":…,"packed_bytes":…,"ratio":…,"tensors":…,"bits_per_number":…,"snr_decibels":…,
/// "layers":[…],"digest":…,"peak_resident_bytes":…}`. What has no noise has `null` decibels.
///
/// # Errors
/// As [`super::pack::pack`]; a number is not finite and no exact layer is asked for.
pub(super) fn pack(args: PackArgs, options: &Options) -> Result<(), Failure> {
    let output = args
        .output
        .unwrap_or_else(|| beside(&args.file, ".engram", ""));
    let mut out = Output::create(&output, args.force)?;
    let read = |path: &Path| fs::read(path).map_err(io_error(path));
    let file = read(&args.file)?;
    let base = args.base.as_deref().map(read).transpose()?;
    let mut progress = Share::new("packing", file.len() as u64);
    let packed = hybrid::pack(
        &file,
        base.as_deref(),
        options,
        &Limits::default(),
        &mut |share| progress.reach(share),
    );
    drop(progress);
    let packed = packed.map_err(|error| match error {
        HybridError::Target { .. } => Failure::Usage(error.to_string()),
        error => wrong(&args.file)(error),
    })?;
    out.write(&packed.bytes)?;
    out.finish(&[])?;
    let (header, len) = (&packed.header, packed.bytes.len());
    let line = json!({
        "file": output,
        "bytes": file.len(),
        "packed_bytes": len,
        "ratio": (file.len() as f64 / len as f64 * 1e4).round() / 1e4,
        "tensors": header.tensors.len(),
        "bits_per_number": packed.bits_per_number,
        "snr_decibels": packed.snr_decibels,
        "layers": layers(header),
        "digest": header.digest(),
        "peak_resident_bytes": peak_resident_bytes(),
    });
    print_line(&line.to_string())
}

/// Unpacks a file, as far as is asked for, and prints `{"file":…,"bytes":…,"tensors":…,"layers":…,"is_exact":…,"digest":…,
/// "peak_resident_bytes":…}`.
///
/// # Errors
/// As [`super::unpack::unpack`].
pub(super) fn unpack(args: UnpackArgs) -> Result<(), Failure> {
    if args.tensor.is_some() {
        let file = args.file.display();
        let message = format!("{file}: --tensor is for engrams without loss; this one has layers");
        return Err(Failure::Usage(message));
    }
    let limits = limits(args.max_bytes.min(MOST_BYTES));
    let output = args
        .output
        .unwrap_or_else(|| beside(&args.file, ".safetensors", ".engram"));
    let (header, mut file, _) = open(&args.file, &limits)?;
    let most = header.layers.len();
    let wanted = args.layers.map_or(most, usize::from);
    if wanted > most {
        let file = args.file.display();
        let message = format!("{file}: layers must be in 1..={most}, got {wanted}");
        return Err(Failure::Usage(message));
    }
    let mut out = Output::create(&output, args.force)?;
    let mut bytes = Vec::new();
    file.rewind().map_err(io_error(&args.file))?;
    // All of it where all is wanted, so that what is too long is seen.
    let end = if wanted < most {
        header.end_of(wanted)
    } else {
        u64::MAX
    };
    file.take(end)
        .read_to_end(&mut bytes)
        .map_err(io_error(&args.file))?;
    let base = args.base.as_deref();
    let base = base.map(|path| fs::read(path).map_err(io_error(path)));
    let base = base.transpose()?;
    let mut progress = Share::new("unpacking", header.source_len());
    let restored = hybrid::unpack(&bytes, base.as_deref(), wanted, &limits, &mut |share| {
        progress.reach(share)
    });
    drop(progress);
    let restored = restored.map_err(wrong(&args.file))?;
    out.write(&restored)?;
    out.finish(&[])?;
    let line = json!({
        "file": output,
        "bytes": restored.len(),
        "tensors": header.tensors.len(),
        "layers": wanted,
        "is_exact": header.is_exact && wanted == most,
        "digest": header.digest(),
        "peak_resident_bytes": peak_resident_bytes(),
    });
    print_line(&line.to_string())
}

/// Checks every part and prints the tensors, one in a line, and the layers, or one JSON object.
///
/// # Errors
/// The file cannot be read, a part is damaged, or bytes are missing or left.
pub(super) fn info(args: InfoArgs) -> Result<(), Failure> {
    // Nothing is unpacked, so any size will do.
    let (header, mut file, len) = open(&args.file, &limits(u64::MAX))?;
    let wrong = wrong(&args.file);
    let mut progress = Progress::new("checking", header.file_len());
    let mut buffer = vec![0; CHUNK];
    for (part, place, expected) in header.parts() {
        if place.end > len || (len > header.file_len() && place.end == header.file_len()) {
            let (expected, got) = (place.end, len);
            return Err(wrong(HybridError::PartLength {
                part,
                expected,
                got,
            }));
        }
        let io = io_error(&args.file);
        file.seek(SeekFrom::Start(place.start)).map_err(&io)?;
        let (mut hasher, mut left) = (Hasher::default(), place.end - place.start);
        while left > 0 {
            let piece = &mut buffer[..left.min(CHUNK as u64) as usize];
            file.read_exact(piece).map_err(&io)?;
            hasher.update(piece);
            left -= piece.len() as u64;
            progress.add(piece.len());
        }
        let got = hasher.finish();
        if got != expected {
            return Err(wrong(HybridError::PartDigest {
                part,
                expected,
                got,
            }));
        }
    }
    drop(progress);
    let is_based = header.is_based.iter();
    let tensors: Vec<_> = (header.tensors.iter().zip(is_based))
        .map(|(info, is_based)| describe(info, *is_based))
        .collect();
    let (bytes, packed) = (header.source_len(), header.file_len());
    let whole = json!({
        "kind": "layers",
        "digest": header.digest(),
        "bytes": bytes,
        "packed_bytes": packed,
        "base": header.base,
        "is_exact": header.is_exact,
        "layers": layers(&header),
        "tensors": tensors,
    });
    if args.json {
        return print_line(&whole.to_string());
    }
    for tensor in &tensors {
        print_line(&tensor_line(tensor))?;
    }
    for place in 1..=header.layers.len() {
        print_line(&layer_line(&header, place))?;
    }
    print_line(&format!(
        "{} tensors, {bytes} bytes in {packed} ({:.3}x), {} layers, digest {}",
        tensors.len(),
        bytes as f64 / packed.max(1) as f64,
        header.layers.len(),
        header.digest()
    ))
}

/// Opens a file and reads its header. Returns the file's length too.
fn open(path: &Path, limits: &Limits) -> Result<(Header, File, u64), Failure> {
    let (io, wrong) = (io_error(path), wrong(path));
    let mut file = File::open(path).map_err(&io)?;
    let len = file.metadata().map_err(&io)?.len();
    let mut bytes = Vec::new();
    (&mut file)
        .take(HEAD as u64)
        .read_to_end(&mut bytes)
        .map_err(&io)?;
    let header_len = Header::len_of(&bytes, limits).map_err(&wrong)?;
    // No more is read than there is, whatever the file says.
    (&mut file)
        .take((header_len - HEAD) as u64)
        .read_to_end(&mut bytes)
        .map_err(&io)?;
    let header = Header::parse(&bytes, limits).map_err(&wrong)?;
    Ok((header, file, len))
}

/// Names the file that an error is about.
fn wrong(path: &Path) -> impl Fn(HybridError) -> Failure + use<> {
    let path = path.to_path_buf();
    move |error| Failure::Failed(format!("{}: {error}", path.display()))
}

/// Lists the layers; bits and decibels are those of a layer and all before it.
fn layers(header: &Header) -> Vec<Value> {
    (header.layers.iter().zip(1..))
        .map(|(layer, place)| {
            json!({
                "bytes": layer.len,
                "bits_per_number": header.bits_per_number(place),
                "snr_decibels": layer.snr_decibels,
            })
        })
        .collect()
}

fn layer_line(header: &Header, place: usize) -> String {
    let layer = header.layers.get(place - 1);
    let (bytes, decibels) = layer.map_or((0, 0.0), |layer| (layer.len, layer.snr_decibels));
    let bits = header.bits_per_number(place);
    let exactness = if header.is_exact && place == header.layers.len() {
        "every bit".into()
    } else {
        format!("{decibels:.2} dB")
    };
    let part = Part::Layer(place);
    format!("{part}: {bytes} bytes, up to it {bits:.3} bits a number, {exactness}")
}

fn describe(info: &TensorInfo, is_based: bool) -> Value {
    json!({
        "name": info.name,
        "dtype": info.dtype.name(),
        "shape": info.shape,
        "bytes": info.bytes().unwrap_or_default(),
        "has_base": is_based,
    })
}

/// Writes one tensor for people. The name is quoted: a stranger chose it.
fn tensor_line(tensor: &Value) -> String {
    let base = if tensor["has_base"] == true {
        " against a base"
    } else {
        ""
    };
    format!(
        "{:?} {} {} {} bytes{base}",
        tensor["name"].as_str().unwrap_or_default(),
        tensor["dtype"].as_str().unwrap_or_default(),
        tensor["shape"],
        tensor["bytes"],
    )
}

/// A bar for work that tells its share.
struct Share {
    progress: Progress,
    total: u64,
    done: u64,
}

impl Share {
    fn new(what: &'static str, total: u64) -> Self {
        Self {
            progress: Progress::new(what, total),
            total,
            done: 0,
        }
    }

    /// Draws how far it is. The command line is stopped by a signal, so it always goes on.
    fn reach(&mut self, share: f64) -> bool {
        let done = (share * self.total as f64) as u64;
        self.progress.add(done.saturating_sub(self.done) as usize);
        self.done = done.max(self.done);
        true
    }
}

/// Bytes of a file that is restored in memory. Guess: with its numbers as f32 it takes three times as much.
const MOST_BYTES: u64 = 8_000_000_000;
