//! Why bytes are no engram, or tensors make none. Every error of a tensor names it, and the offset in it.

use alloc::string::String;

use crate::bounds::LimitError;
use crate::digest::Digest;
use crate::wire::WireError;

/// Why coded bytes cannot be read, or numbers not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The lengths of codes do not make a complete prefix code.
    #[error("the code must give every bit pattern one meaning")]
    Code,
    /// A stream ends too early or too late.
    #[error("coded bytes must end with their last symbol")]
    Truncated,
    /// A plane is neither plain nor constant nor coded.
    #[error("a plane's tag must be at most 2, got {got}")]
    Tag {
        /// The tag.
        got: u8,
    },
    /// What says whether exponents were added to the lengths of differences says neither.
    #[error("what says whether exponents were added must be at most 1, got {got}")]
    Added {
        /// What says so.
        got: u8,
    },
    /// A difference is longer than numbers are.
    #[error("a difference must have at most 32 bits, got {got}")]
    Length {
        /// Its bits.
        got: u8,
    },
    /// More bits are said to be clear than a number has, or they were not clear.
    #[error("clear low bits must be at most {max}, got {got}")]
    Clear {
        /// Bits that are said to be clear.
        got: u32,
        /// Bits of the mantissa.
        max: u32,
    },
    /// A well-known format (deflate, LZMA, pco) found its own bytes damaged.
    #[error("{codec} bytes must be whole and of the announced length")]
    Foreign {
        /// The format.
        codec: &'static str,
    },
    /// The codec is known, but this build has it not.
    #[error("codec {codec} is not part of this build")]
    Absent {
        /// The codec.
        codec: &'static str,
    },
    /// The codec needs numbers of another type.
    #[error("codec {codec} does not code this type of numbers")]
    Dtype {
        /// The codec.
        codec: &'static str,
    },
    /// The parameters of a codec are none that it writes.
    #[error("codec {codec} does not take these {got} bytes of parameters")]
    Params {
        /// The codec.
        codec: &'static str,
        /// Bytes there are.
        got: usize,
    },
    /// There is a base, and the codec codes against none.
    #[error("codec {codec} does not code against a base")]
    NoBase {
        /// The codec.
        codec: &'static str,
    },
    /// A base of another length was given, or none, or one where none is used.
    #[error("a base of {expected} bytes is needed, got {got}")]
    Base {
        /// Bytes that are needed; 0 where the codec uses no base.
        expected: usize,
        /// Bytes that were given.
        got: usize,
    },
}

/// What is wrong with a tensor as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Its type has no such number.
    #[error("type {got} is not known")]
    Dtype {
        /// The number.
        got: u8,
    },
    /// The product of its dimensions, or its length in bytes, is past 64 bits, or ends within a byte.
    #[error("its shape makes no whole number of bytes below 2^64")]
    Shape,
    /// Its place is not as long as its shape and type say.
    #[error("its shape and type make {expected} bytes, its place is {got}")]
    Length {
        /// Bytes by shape and type.
        expected: u64,
        /// Bytes of its place.
        got: u64,
    },
    /// Its place begins after its end, before the end of the tensor before it, or leaves bytes to nobody.
    #[error("it must begin at byte {expected} of the numbers, begins at {got}")]
    Place {
        /// Where the tensor before it ends.
        expected: u64,
        /// Where it begins.
        got: u64,
    },
    /// It ends before it begins.
    #[error("it must end after it begins, at {from}, and ends at {to}")]
    Backwards {
        /// Where it begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// It has the name of what is no tensor.
    #[error("safetensors has this name for what is no tensor")]
    Reserved,
    /// Two tensors have this name.
    #[error("the name is there twice")]
    Twice,
    /// A dimension, the name or a count is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It is coded against a base that was not shown.
    #[error("it is coded against the tensor with digest {expected}, which is needed")]
    BaseMissing {
        /// Digest of the base tensor's bytes.
        expected: Digest,
    },
    /// Its base is another one.
    #[error("it is coded against the tensor with digest {expected}, got {got}")]
    BaseWrong {
        /// Digest of the base tensor's bytes.
        expected: Digest,
        /// Digest of what was shown.
        got: Digest,
    },
    /// There is no codec with this number.
    #[error("codec {got} is not known")]
    Codec {
        /// The number.
        got: u8,
    },
    /// Its codec cannot read it.
    #[error(transparent)]
    Coding(CodecError),
    /// It has no layer.
    #[error("it must have a layer")]
    Layers,
    /// A codec that uses no base has one, or one that needs one has none.
    #[error("its codec and its base do not fit")]
    Base,
    /// A codec that uses no base has one.
    #[error("codec {codec} does not code against a base")]
    BaseUnused {
        /// The codec.
        codec: &'static str,
    },
    /// It is said neither that it has a base nor that it has none.
    #[error("what says whether it has a base must be at most 1, got {got}")]
    BaseTag {
        /// What says so.
        got: u8,
    },
}

/// What is wrong with a chunk of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The bytes are not those that the index names.
    #[error("its digest must be {expected}, got {got}")]
    Digest {
        /// Digest in the index.
        expected: Digest,
        /// Digest of the bytes.
        got: Digest,
    },
    /// The bytes are fewer or more than the index says.
    #[error("it must have {expected} bytes, got {got}")]
    Length {
        /// Bytes that were announced.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// More bytes are coded than they stand for.
    #[error("its {raw} bytes are said to be coded in {coded}")]
    Grown {
        /// Bytes of numbers.
        raw: u64,
        /// Bytes that code them.
        coded: u64,
    },
    /// A chunk is given where another is next.
    #[error("chunk {expected} of the tensor is next, got {got}")]
    Order {
        /// The next one.
        expected: usize,
        /// The one given.
        got: usize,
    },
    /// The coded bytes have no meaning.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why bytes are no engram, or tensors make none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngramError {
    /// The file does not begin as an engram does.
    #[error("an engram begins with \"ENGRAM\" and version 1")]
    Magic,
    /// The index is not the one that was written.
    #[error("the index must have digest {expected}, got {got}")]
    IndexDigest {
        /// Digest behind the index.
        expected: Digest,
        /// Digest of its bytes.
        got: Digest,
    },
    /// A value of the index is cut or malformed.
    #[error("index: {0}")]
    Index(#[from] WireError),
    /// A count or length is past its bound.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The header of safetensors is malformed.
    #[error("safetensors header, byte {offset}: {reason}")]
    Header {
        /// Offset in the file.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A tensor's type is none of safetensors'.
    #[error("tensor {name:?}: type {got:?} is not known")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        got: String,
    },
    /// A text of the metadata of safetensors is there twice.
    #[error("metadata {key:?}: the key is there twice")]
    Metadata {
        /// The text's key.
        key: String,
    },
    /// A tensor is malformed, or its base is another one.
    #[error("tensor {name:?}: {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: TensorError,
    },
    /// A chunk of a tensor is damaged.
    #[error("tensor {name:?} from byte {offset}: {problem}")]
    Chunk {
        /// The tensor.
        name: String,
        /// Offset of the chunk's first byte in the tensor.
        offset: u64,
        /// What is wrong.
        problem: ChunkError,
    },
    /// Something is written or read past the end, or not all of it.
    #[error("{what}")]
    State {
        /// What is expected.
        what: &'static str,
    },
}
