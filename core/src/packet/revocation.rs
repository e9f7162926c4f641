//! What an author takes back: the content of a packet of type [`REVOCATION_TYPE`], always inline.
//!
//! The binary forms of 1 to [`MAX_REVOKED`] content ids, 36 bytes each, strictly ascending and nothing else, so that one
//! list has one spelling. Only packets by the revocation's own author are meant; it cannot tell nodes that never hear of
//! it, and whoever has read the content has read it. A revocation itself cannot be revoked.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{PacketDraft, PacketError};
use crate::bounds::LimitError;
use crate::digest::ContentId;

/// The type of packets that revoke.
pub const REVOCATION_TYPE: &str = "revocation";
/// Packets that one revocation names. Guess: a page of them; who has more sends several.
pub const MAX_REVOKED: usize = 64;

/// Content ids of packets that their author takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation(BTreeSet<ContentId>);

impl Revocation {
    /// Lists `cids`, each once.
    ///
    /// # Errors
    /// [`PacketError::Limit`] past [`MAX_REVOKED`], [`PacketError::Payload`] where there is none.
    pub fn new(cids: &[ContentId]) -> Result<Self, PacketError> {
        let cids: BTreeSet<_> = cids.iter().copied().collect();
        LimitError::check_len("revoked packets", cids.len(), MAX_REVOKED)?;
        if cids.is_empty() {
            return Err(malformed("none"));
        }
        Ok(Self(cids))
    }

    /// Reads the content of a revocation. O(n).
    ///
    /// # Errors
    /// [`PacketError::Limit`] past [`MAX_REVOKED`], [`PacketError::Payload`] where it is not a list of content ids in
    /// strictly ascending order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PacketError> {
        let max = MAX_REVOKED * ContentId::LEN;
        LimitError::check_len("revocation bytes", bytes.len(), max)?;
        let mut cids = Vec::new();
        for chunk in bytes.chunks(ContentId::LEN) {
            cids.push(ContentId::from_bytes(chunk).map_err(|e| malformed(&e.to_string()))?);
        }
        let read = Self::new(&cids)?;
        if read.to_bytes() != bytes {
            return Err(malformed("another order"));
        }
        Ok(read)
    }

    /// Returns the content of the packet.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(ContentId::to_bytes).collect()
    }

    /// Returns the packets named, in ascending order.
    pub fn cids(&self) -> impl Iterator<Item = ContentId> + '_ {
        self.0.iter().copied()
    }

    /// Drafts the packet; it is to live as long as what it revokes.
    pub fn draft(&self, ttl_secs: u64) -> PacketDraft {
        PacketDraft {
            ttl_secs,
            ..PacketDraft::inline(REVOCATION_TYPE, self.to_bytes())
        }
    }
}

fn malformed(got: &str) -> PacketError {
    PacketError::Payload {
        expected: "1 to 64 content ids in strictly ascending order",
        got: got.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Codec;

    fn cid(n: u16) -> ContentId {
        ContentId::of(Codec::DagCbor, &n.to_be_bytes())
    }

    #[test]
    fn a_list_has_one_spelling_whatever_its_order_was() {
        let one = Revocation::new(&[cid(1), cid(2), cid(3)]).unwrap();
        let other = Revocation::new(&[cid(3), cid(1), cid(2), cid(1)]).unwrap();
        assert_eq!(one.to_bytes(), other.to_bytes());
        assert_eq!(one.to_bytes().len(), 3 * ContentId::LEN);
        assert_eq!(Revocation::from_bytes(&one.to_bytes()), Ok(one));
    }

    #[test]
    fn another_spelling_is_refused() {
        let bytes = Revocation::new(&[cid(1), cid(2)]).unwrap().to_bytes();
        let (first, second) = bytes.split_at(ContentId::LEN);
        for wrong in [
            [second, first].concat(),
            [first, first].concat(),
            [first, &second[..35]].concat(),
            [first, second, &[0]].concat(),
            Vec::new(),
        ] {
            let refused = Revocation::from_bytes(&wrong);
            assert!(
                matches!(refused, Err(PacketError::Payload { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn sixty_four_are_taken_and_one_more_is_not() {
        let cids: Vec<_> = (0..65).map(cid).collect();
        let most = Revocation::new(&cids[..64]).unwrap();
        assert_eq!(
            Revocation::from_bytes(&most.to_bytes())
                .unwrap()
                .cids()
                .count(),
            64
        );
        assert!(matches!(Revocation::new(&cids), Err(PacketError::Limit(_))));
        let bytes = [most.to_bytes(), cid(64).to_bytes().to_vec()].concat();
        assert!(matches!(
            Revocation::from_bytes(&bytes),
            Err(PacketError::Limit(_))
        ));
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let bytes = Revocation::new(&[cid(1), cid(2)]).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x11;
            if let Ok(read) = Revocation::from_bytes(&flipped) {
                assert_eq!(read.to_bytes(), flipped);
            }
        }
    }
}
