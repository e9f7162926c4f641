//! `chorus-relay engram bench`: sizes and speeds of every codec on the owner's own weights, on one core.

use std::time::{Duration, Instant};

use chorus_core::engram::{Codec, Coder, tensor::CHUNK};

use super::{file::Tensors, limits, progress::Progress};
use crate::{
    cli::BenchArgs,
    cmd::{Failure, print_line},
};

/// What a codec did.
#[derive(Default)]
struct Measured {
    raw: u64,
    coded: u64,
    packing: Duration,
    unpacking: Duration,
}

/// Packs and unpacks all tensors with each codec, compares, and prints a line for each codec.
///
/// # Errors
/// The file cannot be read, or a codec does not give back what it was given.
pub(super) fn bench(args: BenchArgs) -> Result<(), Failure> {
    let limits = limits(u64::MAX);
    let mut tensors = Tensors::open(&args.file, &limits)?;
    let base = args
        .base
        .as_deref()
        .map(|path| Tensors::open(path, &limits));
    let mut base = base.transpose()?;
    print_line("codec      ratio    packing  unpacking")?;
    for codec in Codec::ALL {
        let measured = measure(codec, &mut tensors, base.as_mut())?;
        let Some(measured) = measured else {
            continue;
        };
        let ratio = measured.raw as f64 / measured.coded.max(1) as f64;
        let speed = |time: Duration| measured.raw as f64 / time.as_secs_f64().max(1e-9) / 1e6;
        print_line(&format!(
            "{:8} {ratio:6.3}x {:5.0} MB/s {:5.0} MB/s",
            codec.name(),
            speed(measured.packing),
            speed(measured.unpacking)
        ))?;
    }
    Ok(())
}

/// Measures one codec on the tensors that it takes; `None` where it takes none. Tensors that it does not take count as they
/// are.
fn measure(
    codec: Codec,
    tensors: &mut Tensors,
    mut base: Option<&mut Tensors>,
) -> Result<Option<Measured>, Failure> {
    let mut measured = Measured::default();
    let mut is_taken = false;
    let mut progress = Progress::new(codec.name(), tensors.header().data_len());
    let (mut raw, mut other, mut back) = (vec![0; CHUNK], vec![0; CHUNK], vec![0; CHUNK]);
    let mut coded = Vec::new();
    for (place, info) in tensors.header().tensors().to_vec().iter().enumerate() {
        let own_base = base
            .as_ref()
            .filter(|_| codec.takes_base())
            .and_then(|base| base.find(info));
        let coder = || Coder::new(codec, &[], info, own_base.is_some()).ok();
        let mut both = coder().zip(coder());
        is_taken |= both.is_some();
        let bytes = info.bytes()?;
        let mut offset = 0;
        while offset < bytes {
            let len = (bytes - offset).min(CHUNK as u64) as usize;
            let (raw, back) = (&mut raw[..len], &mut back[..len]);
            tensors.read(place, offset, raw)?;
            let mut against = None;
            if let (Some(base), Some(other_place)) = (&mut base, own_base) {
                base.read(other_place, offset, &mut other[..len])?;
                against = Some(&other[..len]);
            }
            measured.raw += len as u64;
            match &mut both {
                None => measured.coded += len as u64,
                Some((packer, unpacker)) => {
                    let start = Instant::now();
                    packer.encode(raw, against, &mut coded)?;
                    measured.packing += start.elapsed();
                    let start = Instant::now();
                    unpacker.decode(&coded, against, back)?;
                    measured.unpacking += start.elapsed();
                    if raw != back {
                        let (codec, name) = (codec.name(), &info.name);
                        let message = format!("{codec} does not give tensor {name:?} back");
                        return Err(Failure::Failed(message));
                    }
                    measured.coded += coded.len() as u64;
                }
            }
            offset += len as u64;
            progress.add(len);
        }
    }
    Ok(is_taken.then_some(measured))
}
