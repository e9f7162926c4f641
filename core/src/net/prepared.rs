//! A packet that is signed and not yet shared: what a preview shows is what leaves. And content on its way into one.

use std::{fmt, mem, time::Duration};

use super::HandleError;
use crate::{
    bounds::LEAF_SIZE,
    digest::{Codec, ContentId, Hasher},
    packet::{
        Packet, PacketDraft,
        block::{Block, BlockError, Manifest},
    },
    time::Timestamp,
};

/// Content that is to leave, cut into blocks and hashed as it comes: a page answers between two pieces.
#[derive(Default)]
pub struct Pieces {
    size: u64,
    hasher: Hasher,
    leaves: Vec<Block>,
    /// What does not fill a leaf yet.
    rest: Vec<u8>,
}

impl Pieces {
    /// Appends `bytes`. O(n).
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let room = LEAF_SIZE - self.rest.len();
            let (fitting, later) = bytes.split_at(room.min(bytes.len()));
            self.rest.extend_from_slice(fitting);
            if self.rest.len() == LEAF_SIZE {
                self.end_leaf();
            }
            bytes = later;
        }
    }

    /// Returns the bytes so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Drafts the packet: inline where the content is small, else with its blocks, the manifest last.
    ///
    /// # Errors
    /// [`BlockError`]: the content is larger than any object may be.
    pub(super) fn into_draft(
        mut self,
        packet_type: &str,
    ) -> Result<(PacketDraft, Vec<Block>), BlockError> {
        if self.size <= INLINE_MAX {
            let draft = PacketDraft::inline(packet_type, self.rest);
            return Ok((draft, Vec::new()));
        }
        if !self.rest.is_empty() {
            self.end_leaf();
        }
        let manifest = Manifest {
            size: self.size,
            leaves: self.leaves.iter().map(|leaf| leaf.cid).collect(),
        };
        let root = manifest.to_block()?;
        let draft = PacketDraft::link(packet_type, root.cid, self.size, self.hasher.finish());
        self.leaves.push(root);
        Ok((draft, self.leaves))
    }

    fn end_leaf(&mut self) {
        let bytes = mem::take(&mut self.rest);
        let cid = ContentId::of(Codec::Raw, &bytes);
        self.leaves.push(Block { cid, bytes });
    }
}

/// Tells how much there is, not the content.
impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("size", &self.size).finish()
    }
}

/// A signed packet with the blocks of its content. Only [`super::Handle::prepare`] makes one, only
/// [`super::Handle::publish`] lets it leave, byte for byte; nothing leaves where it is dropped.
pub struct PreparedPacket {
    packet: Packet,
    blocks: Vec<Block>,
}

impl PreparedPacket {
    /// Longest time between preparing and sharing: 10 min. Guess: long enough to read a preview. The packet's time is the
    /// moment of preparing, so whoever shares it later would pass on an old date as news.
    pub const MAX_AGE: Duration = Duration::from_secs(600);

    pub(super) const fn new(packet: Packet, blocks: Vec<Block>) -> Self {
        Self { packet, blocks }
    }

    /// Returns the packet.
    pub const fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Returns the packet's binary form, as it leaves.
    pub fn as_cbor(&self) -> &[u8] {
        self.packet.as_cbor()
    }

    /// Returns the blocks that leave where somebody fetches the content: leaves in their order, then the manifest; none
    /// where the content is inside the packet.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.blocks.iter().map(|block| block.bytes.as_slice())
    }

    /// Returns the bytes of the packet and all blocks.
    pub fn bytes(&self) -> u64 {
        let blocks: usize = self.blocks().map(<[u8]>::len).sum();
        (self.as_cbor().len() + blocks) as u64
    }

    /// Says whether it may still be shared at `now`.
    ///
    /// # Errors
    /// [`HandleError::Stale`] past [`Self::MAX_AGE`].
    pub fn check_age(&self, now: Timestamp) -> Result<(), HandleError> {
        let age = now.saturating_duration_since(self.packet.timestamp());
        if age > Self::MAX_AGE {
            return Err(HandleError::Stale {
                age_secs: age.as_millis().div_ceil(1000) as u64,
                max_secs: Self::MAX_AGE.as_secs(),
            });
        }
        Ok(())
    }

    pub(super) fn into_parts(self) -> (Packet, Vec<Block>) {
        (self.packet, self.blocks)
    }
}

/// Tells the id and how much there is, not the content.
impl fmt::Debug for PreparedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedPacket")
            .field("cid", &self.packet.cid())
            .field("blocks", &self.blocks.len())
            .finish()
    }
}

/// Content up to this size travels inside its packet, in bytes. Guess: what a flood may carry without thought.
const INLINE_MAX: u64 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, key::Keypair, packet::block::split};

    const MADE: Timestamp = Timestamp::from_millis(1_795_233_600_000);

    fn prepared() -> PreparedPacket {
        let packet = PacketDraft::inline("note", b"secret".to_vec())
            .sign(&Keypair::from_seed(&[1; 32]), "main", MADE)
            .unwrap();
        PreparedPacket::new(packet, Vec::new())
    }

    #[test]
    fn a_packet_that_was_prepared_ten_minutes_ago_is_shared_and_an_older_one_is_not() {
        let last = MADE.saturating_add(PreparedPacket::MAX_AGE);
        assert!(prepared().check_age(last).is_ok());
        let late = last.saturating_add(Duration::from_millis(1));
        assert_eq!(
            prepared().check_age(late).unwrap_err().to_string(),
            "a prepared packet must be shared within 600 s, it is 601 s old"
        );
    }

    #[test]
    fn what_is_prepared_prints_without_its_content() {
        let shown = format!("{:?}", prepared());
        assert!(
            shown.contains("blocks: 0") && !shown.contains("115"),
            "{shown}"
        );
    }

    #[test]
    fn content_that_comes_in_pieces_makes_the_blocks_of_the_whole() {
        let inline = INLINE_MAX as usize;
        let sizes = [inline + 1, LEAF_SIZE, LEAF_SIZE + 1, 3 * LEAF_SIZE - 7];
        for (size, piece) in sizes
            .into_iter()
            .flat_map(|n| [1000, LEAF_SIZE, n].map(|p| (n, p)))
        {
            let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut pieces = Pieces::default();
            for piece in content.chunks(piece) {
                pieces.push(piece);
            }
            assert_eq!(pieces.size(), size as u64);
            let (draft, blocks) = pieces.into_draft("file").unwrap();
            let (manifest, leaves) = split(&content);
            let root = manifest.to_block().unwrap();
            let link = PacketDraft::link("file", root.cid, size as u64, Digest::sha256(&content));
            assert_eq!(draft, link, "{size} in pieces of {piece}");
            assert!(blocks.into_iter().eq(leaves.chain([root])));
        }
        for size in [0, 1, inline] {
            let content = vec![7; size];
            let mut pieces = Pieces::default();
            pieces.push(&content);
            let (draft, blocks) = pieces.into_draft("note").unwrap();
            assert_eq!(draft, PacketDraft::inline("note", content));
            assert!(blocks.is_empty());
        }
    }
}
