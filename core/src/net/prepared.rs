//! A packet that is signed and not yet shared: what a preview shows is what leaves.

use std::{fmt, time::Duration};

use super::HandleError;
use crate::{
    packet::{Packet, block::Block},
    time::Timestamp,
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Keypair, packet::PacketDraft};

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
}
