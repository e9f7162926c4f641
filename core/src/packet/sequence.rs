//! The genetic sequence: six instructions, then the payload. One byte is one codon, and one sequence has one spelling.

use alloc::format;
use alloc::vec::Vec;

use super::{Instructions, PacketError, block};
use crate::bounds::{LimitError, MAX_INLINE};
use crate::digest::{Codec, ContentId};
use crate::wire::{Reader, Writer};

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The content itself, at most [`MAX_INLINE`] bytes.
    Inline(Vec<u8>),
    /// Content too large to carry, in blocks.
    Link {
        /// The block with the [`Manifest`](block::Manifest).
        root: ContentId,
        /// Bytes of the content, at most [`block::MAX_OBJECT`].
        size: u64,
    },
}

impl Payload {
    /// Returns the length of the content in bytes.
    pub const fn size(&self) -> u64 {
        match self {
            Self::Inline(content) => content.len() as u64,
            Self::Link { size, .. } => *size,
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Inline(content) => writer.u8(INLINE).bytes(content),
            Self::Link { root, size } => writer.u8(LINK).put(&root.to_bytes()).uvarint(*size),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, PacketError> {
        match reader.u8()? {
            INLINE => Ok(Self::Inline(
                reader.bytes("inline bytes", MAX_INLINE)?.to_vec(),
            )),
            LINK => {
                let refused = |got| PacketError::Payload {
                    expected: "a link to a dag-cbor block",
                    got,
                };
                let root = reader.take(ContentId::LEN)?;
                let root =
                    ContentId::from_bytes(root).map_err(|error| refused(format!("{error}")))?;
                if root.codec() != Codec::DagCbor {
                    return Err(refused(format!("{root}")));
                }
                let size = reader.uvarint()?;
                LimitError::check("linked bytes", size, block::MAX_OBJECT)?;
                Ok(Self::Link { root, size })
            }
            kind => Err(PacketError::Payload {
                expected: "of kind 0 or 1",
                got: format!("kind {kind}"),
            }),
        }
    }
}

/// The sequence, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequence {
    pub(super) instructions: Instructions,
    pub(super) payload: Payload,
}

impl Sequence {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let inline = if let Payload::Inline(content) = &self.payload {
            content.len()
        } else {
            0
        };
        let mut writer = Writer::with_capacity(inline + USUAL_INSTRUCTIONS);
        self.instructions.write(&mut writer);
        self.payload.write(&mut writer);
        writer.into_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(bytes);
        let instructions = Instructions::read(&mut reader)?;
        let payload = Payload::read(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            instructions,
            payload,
        })
    }
}

const INLINE: u8 = 0;
const LINK: u8 = 1;
/// Bytes to make room for; more only costs a reallocation.
const USUAL_INSTRUCTIONS: usize = 256;
