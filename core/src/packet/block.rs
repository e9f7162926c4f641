//! Shared objects in content-addressed blocks: a [`Manifest`] names raw leaves of [`LEAF_SIZE`] bytes, and an
//! [`Assembly`] checks each leaf as it arrives, from whomever, in any order.
//!
//! The length of every leaf is known before it is asked for, so that nobody sends more than was asked. Memory grows only
//! with what has arrived and was verified.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::bounds::{LEAF_SIZE, LimitError, MAX_BLOCK};
use crate::digest::{Codec, ContentId, Digest, Hasher};

/// Leaves of one object: what a manifest of one block has room for, at 41 bytes a leaf.
pub const MAX_LEAVES: usize = 25_000;
/// Bytes of one object, whatever the configuration says: 6.5 GB.
pub const MAX_OBJECT: u64 = MAX_LEAVES as u64 * LEAF_SIZE as u64;

/// Bytes with their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The name.
    pub cid: ContentId,
    /// The bytes, at most [`MAX_BLOCK`].
    pub bytes: Vec<u8>,
}

impl Block {
    /// Names `bytes`. O(n).
    ///
    /// # Errors
    /// [`BlockError::Limit`] past [`MAX_BLOCK`].
    pub fn new(codec: Codec, bytes: Vec<u8>) -> Result<Self, BlockError> {
        LimitError::check_len("block bytes", bytes.len(), MAX_BLOCK)?;
        Ok(Self {
            cid: ContentId::of(codec, &bytes),
            bytes,
        })
    }

    /// Checks that `bytes` are what `cid` names. O(n).
    ///
    /// # Errors
    /// [`BlockError::Limit`] past [`MAX_BLOCK`], [`BlockError::Mismatch`].
    pub fn verify(cid: ContentId, bytes: Vec<u8>) -> Result<Self, BlockError> {
        LimitError::check_len("block bytes", bytes.len(), MAX_BLOCK)?;
        if cid.verify(&bytes) {
            Ok(Self { cid, bytes })
        } else {
            Err(BlockError::Mismatch { cid })
        }
    }
}

/// The root of an object: its length and its leaves in order. Every leaf but the last has [`LEAF_SIZE`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Bytes of the object.
    pub size: u64,
    /// The leaves in order. A leaf may occur more than once.
    pub leaves: Vec<ContentId>,
}

impl Manifest {
    /// Cuts `content` into leaves and names them. O(n).
    pub fn of(content: &[u8]) -> Self {
        let leaves = content
            .chunks(LEAF_SIZE)
            .map(|leaf| ContentId::of(Codec::Raw, leaf))
            .collect();
        Self {
            size: content.len() as u64,
            leaves,
        }
    }

    /// Encodes the manifest and names it.
    ///
    /// # Errors
    /// [`BlockError`] where [`Manifest::from_cbor`] would refuse it, with [`MAX_OBJECT`].
    pub fn to_block(&self) -> Result<Block, BlockError> {
        self.check(MAX_OBJECT)?;
        let bytes = serde_ipld_dagcbor::to_vec(self).map_err(|error| BlockError::Manifest {
            message: format!("{error}"),
        })?;
        Block::new(Codec::DagCbor, bytes)
    }

    /// Reads a manifest of an object of at most `max_object` bytes.
    ///
    /// # Errors
    /// [`BlockError::Limit`] past [`MAX_BLOCK`] or `max_object`; [`BlockError::Manifest`] where the bytes are no
    /// canonical DAG-CBOR of the expected form, or the leaves do not fit the size.
    pub fn from_cbor(bytes: &[u8], max_object: u64) -> Result<Self, BlockError> {
        LimitError::check_len("manifest bytes", bytes.len(), MAX_BLOCK)?;
        let malformed = |message| BlockError::Manifest { message };
        let manifest: Self =
            serde_ipld_dagcbor::from_slice(bytes).map_err(|error| malformed(format!("{error}")))?;
        manifest.check(max_object)?;
        let canonical =
            serde_ipld_dagcbor::to_vec(&manifest).map_err(|error| malformed(format!("{error}")))?;
        if canonical != bytes {
            return Err(malformed("not canonical".into()));
        }
        Ok(manifest)
    }

    /// Returns the length of leaf `index` in bytes, 0 past the last.
    pub fn leaf_len(&self, index: usize) -> usize {
        let start = (index as u64).saturating_mul(LEAF_SIZE as u64);
        let rest = self.size.saturating_sub(start).min(LEAF_SIZE as u64);
        usize::try_from(rest).unwrap_or(LEAF_SIZE)
    }

    fn check(&self, max_object: u64) -> Result<(), BlockError> {
        LimitError::check("object bytes", self.size, max_object.min(MAX_OBJECT))?;
        let needed = self.size.div_ceil(LEAF_SIZE as u64);
        if self.leaves.len() as u64 != needed {
            let message = format!(
                "{} leaves where {} bytes need {needed}",
                self.leaves.len(),
                self.size
            );
            return Err(BlockError::Manifest { message });
        }
        if let Some(leaf) = self.leaves.iter().find(|leaf| leaf.codec() != Codec::Raw) {
            return Err(BlockError::Manifest {
                message: format!("leaf {leaf} is not raw"),
            });
        }
        // One name is one length: a short last leaf that occurs before can never arrive.
        if let [before @ .., last] = &*self.leaves
            && self.leaf_len(before.len()) != LEAF_SIZE
            && before.contains(last)
        {
            return Err(BlockError::Manifest {
                message: format!("leaf {last} has two lengths"),
            });
        }
        Ok(())
    }
}

/// Cuts `content` into its manifest and its leaves, which are copied one by one as the iterator is driven. O(n).
pub fn split(content: &[u8]) -> (Manifest, impl Iterator<Item = Block> + '_) {
    let manifest = Manifest::of(content);
    let cids = manifest.leaves.clone();
    let leaves = cids.into_iter().zip(content.chunks(LEAF_SIZE));
    (
        manifest,
        leaves.map(|(cid, leaf)| Block {
            cid,
            bytes: leaf.to_vec(),
        }),
    )
}

/// An object on its way: verifies each leaf as it arrives. Resumable: insert what a store still has, ask for
/// [`Assembly::missing`].
#[derive(Clone, Debug)]
pub struct Assembly {
    manifest: Manifest,
    /// Length of every leaf that has not arrived.
    missing: BTreeMap<ContentId, usize>,
    /// Leaves that have arrived, once each.
    arrived: BTreeMap<ContentId, Arc<[u8]>>,
    bytes_arrived: u64,
    /// Has hashed the first `hashed` leaves of the object: a page that fetches answers in between.
    hasher: Hasher,
    hashed: usize,
}

impl Assembly {
    /// Starts with nothing but a manifest.
    ///
    /// # Errors
    /// [`BlockError`] where [`Manifest::from_cbor`] would refuse the manifest, with [`MAX_OBJECT`].
    pub fn new(manifest: Manifest) -> Result<Self, BlockError> {
        manifest.check(MAX_OBJECT)?;
        let lens = |index| manifest.leaf_len(index);
        let missing = manifest
            .leaves
            .iter()
            .enumerate()
            .map(|(index, &cid)| (cid, lens(index)))
            .collect();
        Ok(Self {
            manifest,
            missing,
            arrived: BTreeMap::new(),
            bytes_arrived: 0,
            hasher: Hasher::default(),
            hashed: 0,
        })
    }

    /// Returns the manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the leaves that have not arrived, each once, with its length in bytes, in the order of the object.
    pub fn missing(&self) -> impl Iterator<Item = (ContentId, usize)> + '_ {
        let mut named = BTreeSet::new();
        let in_order = self
            .manifest
            .leaves
            .iter()
            .filter_map(|cid| self.missing.get_key_value(cid));
        in_order
            .filter(move |(cid, _)| named.insert(**cid))
            .map(|(cid, len)| (*cid, *len))
    }

    /// Returns how long a leaf that is missing must be, in bytes: how much to accept from whoever sends it.
    pub fn expected_len(&self, cid: &ContentId) -> Option<usize> {
        self.missing.get(cid).copied()
    }

    /// Returns how many different leaves have not arrived.
    pub fn missing_count(&self) -> usize {
        self.missing.len()
    }

    /// Returns how many bytes of different leaves have arrived and were verified.
    pub const fn bytes_arrived(&self) -> u64 {
        self.bytes_arrived
    }

    /// Verifies a leaf and keeps it. O(n).
    ///
    /// # Errors
    /// [`BlockError::Duplicate`] where it has arrived before (harmless: two providers were asked),
    /// [`BlockError::Foreign`] where it is no leaf of this object, [`BlockError::Length`], [`BlockError::Mismatch`].
    /// The assembly is as before then.
    pub fn insert(&mut self, block: Block) -> Result<(), BlockError> {
        self.check_expected(&block)?;
        if !block.cid.verify(&block.bytes) {
            return Err(BlockError::Mismatch { cid: block.cid });
        }
        self.keep(block);
        Ok(())
    }

    /// Keeps a leaf whose bytes were checked against its id when they arrived: hashing is what a fetch spends most on.
    ///
    /// # Errors
    /// Those of [`Assembly::insert`], [`BlockError::Mismatch`] excepted.
    pub(crate) fn insert_verified(&mut self, block: Block) -> Result<(), BlockError> {
        self.check_expected(&block)?;
        self.keep(block);
        Ok(())
    }

    /// Checks what costs no hashing: that the leaf is missing and as long as its place.
    fn check_expected(&self, block: &Block) -> Result<(), BlockError> {
        let cid = block.cid;
        let Some(&expected) = self.missing.get(&cid) else {
            let is_known = self.arrived.contains_key(&cid);
            return Err(if is_known {
                BlockError::Duplicate { cid }
            } else {
                BlockError::Foreign { cid }
            });
        };
        let got = block.bytes.len();
        if got == expected {
            Ok(())
        } else {
            Err(BlockError::Length { cid, got, expected })
        }
    }

    fn keep(&mut self, Block { cid, bytes }: Block) {
        self.missing.remove(&cid);
        self.bytes_arrived += bytes.len() as u64;
        self.arrived.insert(cid, bytes.into());
        self.hash_step();
    }

    /// Hashes the leaves that come next in the object, as far as they have arrived, until that was `least` bytes or more.
    fn hash(&mut self, least: usize) {
        let mut done = 0;
        for cid in self.manifest.leaves.iter().skip(self.hashed) {
            let Some(leaf) = self.arrived.get(cid).filter(|_| done < least) else {
                return;
            };
            self.hasher.update(leaf);
            self.hashed += 1;
            done += leaf.len();
        }
    }

    /// Hashes the next [`HASH_STEP`] bytes of those that have arrived without a gap.
    pub(crate) fn hash_step(&mut self) {
        self.hash(HASH_STEP);
    }

    /// Tells whether the whole object has arrived and is hashed: [`Assembly::digest`] costs nothing then.
    pub(crate) const fn is_hashed(&self) -> bool {
        self.hashed == self.manifest.leaves.len()
    }

    /// Tells whether every leaf has arrived.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Returns SHA-256 of the object as far as it has arrived without a gap. Hashes what was not hashed as it arrived:
    /// little, but where an early leaf came last.
    pub fn digest(&mut self) -> Digest {
        self.hash(usize::MAX);
        self.hasher.finish()
    }

    /// Puts the object together. O(n).
    ///
    /// # Errors
    /// [`BlockError::Incomplete`]: the assembly is dropped, so ask [`Assembly::is_complete`] first;
    /// [`BlockError::Memory`].
    pub fn into_bytes(self) -> Result<Vec<u8>, BlockError> {
        let incomplete = || BlockError::Incomplete {
            missing: self.missing.len(),
        };
        if !self.is_complete() {
            return Err(incomplete());
        }
        // A leaf that occurs a thousand times arrives once: `max_object` bounds that, and this the rest.
        let mut content = Vec::new();
        let out_of_memory = BlockError::Memory {
            size: self.manifest.size,
        };
        let size = usize::try_from(self.manifest.size).map_err(|_| out_of_memory.clone())?;
        content.try_reserve_exact(size).map_err(|_| out_of_memory)?;
        for cid in &self.manifest.leaves {
            content.extend_from_slice(self.arrived.get(cid).ok_or_else(incomplete)?);
        }
        Ok(content)
    }

    /// Puts the object together and checks it against the hash that its packet states. O(n).
    ///
    /// # Errors
    /// [`BlockError::Incomplete`]; [`BlockError::Memory`]; [`BlockError::ContentHash`] where the packet's author stated another hash.
    pub fn into_content(mut self, stated: Digest) -> Result<Vec<u8>, BlockError> {
        let actual = self.digest();
        let content = self.into_bytes()?;
        if actual == stated {
            Ok(content)
        } else {
            Err(BlockError::ContentHash { stated, actual })
        }
    }
}

/// Why a block, a manifest or a leaf is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Something is larger than allowed.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The bytes are no manifest.
    #[error("manifest: {message}")]
    Manifest {
        /// What is wrong with it.
        message: String,
    },
    /// The leaf belongs to another object.
    #[error("block {cid} is no leaf of this object")]
    Foreign {
        /// Its name.
        cid: ContentId,
    },
    /// The leaf has arrived before.
    #[error("leaf {cid} has arrived before")]
    Duplicate {
        /// Its name.
        cid: ContentId,
    },
    /// The leaf is too long or too short.
    #[error("leaf {cid} must have {expected} bytes, got {got}")]
    Length {
        /// Its name.
        cid: ContentId,
        /// Bytes that came.
        got: usize,
        /// Bytes that its place in the object has.
        expected: usize,
    },
    /// The bytes are not what the name says.
    #[error("bytes are not those of {cid}")]
    Mismatch {
        /// The name.
        cid: ContentId,
    },
    /// Leaves are missing.
    #[error("{missing} leaves have not arrived")]
    Incomplete {
        /// How many.
        missing: usize,
    },
    /// The object does not fit in memory.
    #[error("no memory for {size} bytes")]
    Memory {
        /// Bytes of the object.
        size: u64,
    },
    /// The object is not what its packet promises.
    #[error("compatibility_hash is {stated}, but the content's is {actual}")]
    ContentHash {
        /// What the packet says.
        stated: Digest,
        /// What the content hashes to.
        actual: Digest,
    },
}

/// Bytes that are hashed when a leaf arrives, up to the end of a leaf: that one, and some that waited for it. Guess: a page does
/// not feel it.
pub(crate) const HASH_STEP: usize = 512 << 10;

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
