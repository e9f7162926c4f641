//! Which codec for which tensor, by a quick estimate: a piece from the middle of the tensor is coded with each that comes
//! into question, and the smallest wins; a slower one has to win clearly.

use alloc::vec::Vec;

use super::codec::{Codec, Coder};
use super::error::CodecError;
use super::tensor::TensorInfo;

/// How much work a byte less is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Planes, or deflate where it wins clearly: as fast as a disk.
    Fast,
    /// The learned model for floats, else as [`Level::Fast`]: millions of numbers a second.
    Neural,
    /// The smallest of all that this build has.
    Small,
    /// This codec for all tensors that it takes; the others are plain.
    Only(Codec),
}

/// What was picked for a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The codec.
    pub codec: Codec,
    /// Whether the base helps.
    pub with_base: bool,
}

/// Bytes of a sample that [`pick`] makes use of. Guess: 16 Ki numbers tell 1 % apart, and cost a thousandth of a gigabyte.
pub const SAMPLE: usize = 1 << 16;

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Picks a codec for a tensor by `sample`, whole numbers from its middle, and the numbers at the same place of its base
/// where there is one. O(sample).
pub fn pick(info: &TensorInfo, level: Level, sample: &[u8], base: Option<&[u8]>) -> Choice {
    let plain = Choice {
        codec: Codec::Plain,
        with_base: false,
    };
    let candidates: &[Codec] = match &level {
        Level::Fast => &[Codec::Plane, Codec::Deflate],
        Level::Neural => &[Codec::Plane, Codec::Neural, Codec::Deflate],
        Level::Small => &[
            Codec::Plane,
            Codec::Neural,
            Codec::Pco,
            Codec::Deflate,
            Codec::Lzma,
        ],
        Level::Only(codec) => core::slice::from_ref(codec),
    };
    let (mut best, mut least) = (plain, sample.len());
    // What a model does on a sample it does better on the whole.
    let is_long = info.bytes().unwrap_or(0) > 4 * sample.len() as u64;
    for codec in candidates {
        for base in core::iter::once(None).chain(base.map(Some)) {
            // A codec that does not take these numbers is no candidate.
            let Ok(size) = size(*codec, info, sample, base) else {
                continue;
            };
            // The index names the base.
            let size = size + if base.is_some() { DIGEST } else { 0 };
            let learns = *codec == Codec::Neural && is_long;
            let bonus = if learns { least / 100 } else { 0 };
            let bound = least.saturating_sub(margin(*codec, level, least)) + bonus;
            if size < bound.min(sample.len()) {
                least = size;
                best = Choice {
                    codec: *codec,
                    with_base: base.is_some(),
                };
            }
        }
    }
    best
}

/// Returns by how many bytes a codec has to win against the best before it, which takes `least`.
const fn margin(codec: Codec, level: Level, least: usize) -> usize {
    match (level, codec) {
        (Level::Only(_) | Level::Small, _) => 0,
        // Less is not worth reading twice.
        (_, Codec::Plain | Codec::Plane | Codec::Neural) => least / 200,
        // Ten times as slow as planes.
        (_, Codec::Deflate | Codec::Lzma | Codec::Pco) => least / 33,
    }
}

fn size(
    codec: Codec,
    info: &TensorInfo,
    sample: &[u8],
    base: Option<&[u8]>,
) -> Result<usize, CodecError> {
    let mut coder = Coder::new(codec, &[], info, base.is_some())?;
    let mut out = Vec::new();
    coder.encode(sample, base, &mut out)?;
    Ok(out.len())
}
