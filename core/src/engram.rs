//! Engrams: what a model has learned, made small enough to hand to a stranger's tab. Does no IO.
//!
//! | module | what |
//! |---|---|
//! | [`tensor`] | types, names, shapes, and the [`Limits`] that hold for all that is read |
//! | [`number`] | floats of 16 and 32 bits as singles, and back |
//! | [`safetensors`] | the header of a safetensors file, read strictly |
//! | [`index`] | the container: what tensors there are, how each is coded, a digest for every chunk |
//! | [`writer`] | writing it in one pass, a chunk at a time |
//! | [`reader`] | reading it: tensors one by one, chunks from anywhere in any order |
//! | [`codec`] | the codecs by number |
//! | [`mod@pick`] | which codec for which tensor |
//! | `plane`, `prefix` | lossless and fast: planes of bytes under prefix codes |
//! | `delta` | lossless and fast, against a base |
//! | [`lossy`], `trellis`, `level` | lossy: one step, trellis-coded levels under a learned model |
//! | [`target`] | how exact that must be: in bits, decibels or loss; which tensors need finer steps |
//! | [`feedback`] | what a lossy code dropped goes with the next delta |
//! | [`hybrid`] | one file of all that: a safetensors file, lossy first and exact at last |
//! | [`outline`] | what an engram says in words, for who only searches it |
//! | [`block`] | lossy and fast to read: 8 or 4 bits in blocks with a scale |
//! | [`memory`] | records of text and embeddings: packed, merged as a set, forgotten with time |
//! | [`integrate`] | letting a delta into a model: five steps, each seen and reversible |
//! | `float`, `mix` | lossless and small: exponents under a learned model |
//! | `bits`, `foreign` | bits as they are; LZMA and pcodec |
//!
//! Numbers are little-endian bytes, as safetensors has them; NaN and infinities are bits like others. Everything is on
//! integers, so that a browser and a server read the same bits from the same bytes.

mod bits;
pub mod block;
pub mod codec;
mod delta;
pub mod error;
pub mod feedback;
mod float;
mod foreign;
pub mod hybrid;
pub mod index;
pub mod integrate;
mod level;
pub mod lossy;
pub mod memory;
mod mix;
pub mod number;
pub mod outline;
pub mod pick;
mod plane;
mod prefix;
pub mod reader;
pub mod safetensors;
pub mod target;
pub mod tensor;
mod trellis;
pub mod writer;

pub use codec::{Codec, Coder};
pub use error::EngramError;
pub use index::{Chunk, ChunkId, Index, LayerPlan, Plan, PlannedTensor};
pub use pick::{Choice, Level, pick};
pub use reader::{LayerReader, Received};
pub use tensor::{Dtype, Limits, TensorInfo};
pub use writer::EngramWriter;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
