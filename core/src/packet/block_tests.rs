//! Blocks in order, out of order, and from those who lie.

use alloc::string::ToString;
use alloc::vec;

use super::*;

/// Two whole leaves and a short one, all different.
fn content() -> Vec<u8> {
    (0..2 * LEAF_SIZE + 1000)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2])
        .collect()
}

fn assembly(content: &[u8]) -> (Assembly, Vec<Block>) {
    let (manifest, leaves) = split(content);
    (Assembly::new(manifest).unwrap(), leaves.collect())
}

#[test]
fn an_object_comes_together_in_any_order() {
    let content = content();
    let (mut assembly, leaves) = assembly(&content);
    assert_eq!(
        leaves
            .iter()
            .map(|leaf| leaf.bytes.len())
            .collect::<Vec<_>>(),
        [LEAF_SIZE, LEAF_SIZE, 1000]
    );
    let expected: Vec<_> = leaves
        .iter()
        .map(|leaf| (leaf.cid, leaf.bytes.len()))
        .collect();
    assert_eq!(assembly.missing().collect::<Vec<_>>(), expected);
    for leaf in leaves.into_iter().rev() {
        assert!(!assembly.is_complete());
        assembly.insert(leaf).unwrap();
    }
    assert_eq!(assembly.bytes_arrived(), content.len() as u64);
    assert_eq!(assembly.into_content(Digest::sha256(&content)), Ok(content));
}

#[test]
fn what_arrived_without_a_gap_is_hashed_and_all_of_it_once_it_is_whole() {
    // More leaves than are hashed at once wait for the first.
    let content: Vec<u8> = (0..(HASH_STEP + 3 * LEAF_SIZE) as u32 / 4)
        .flat_map(u32::to_le_bytes)
        .collect();
    let (mut assembly, mut leaves) = assembly(&content);
    let first = leaves.remove(0);
    for leaf in leaves {
        assembly.insert(leaf).unwrap();
        assert_eq!(assembly.clone().digest(), Digest::sha256(b""));
    }
    assembly.insert(first).unwrap();
    let at_once = Digest::sha256(&content[..HASH_STEP]);
    assert_eq!(assembly.hasher.clone().finish(), at_once);
    assert_eq!(assembly.clone().digest(), Digest::sha256(&content));
    for _ in 0..2 {
        assert!(!assembly.is_hashed());
        assembly.hash_step();
    }
    assert!(assembly.is_hashed());
    assert_eq!(assembly.digest(), Digest::sha256(&content));
}

#[test]
fn sizes_around_a_leaf_have_as_many_leaves_as_they_need() {
    for (size, leaves) in [
        (0, 0),
        (1, 1),
        (LEAF_SIZE, 1),
        (LEAF_SIZE + 1, 2),
        (2 * LEAF_SIZE, 2),
    ] {
        let content: Vec<u8> = (0..size).map(|n| n.to_le_bytes()[2]).collect();
        let (mut assembly, blocks) = assembly(&content);
        assert_eq!(
            (assembly.manifest().leaves.len(), assembly.missing_count()),
            (leaves, leaves)
        );
        blocks
            .into_iter()
            .for_each(|leaf| assembly.insert(leaf).unwrap());
        assert_eq!(assembly.digest(), Digest::sha256(&content));
        assert_eq!(assembly.into_bytes(), Ok(content));
    }
}

#[test]
fn a_leaf_that_occurs_twice_is_asked_for_once() {
    let content = vec![7; 3 * LEAF_SIZE];
    let (mut assembly, leaves) = assembly(&content);
    assert_eq!(
        (assembly.manifest().leaves.len(), assembly.missing().count()),
        (3, 1)
    );
    assembly.insert(leaves[0].clone()).unwrap();
    assert_eq!(assembly.digest(), Digest::sha256(&content));
    assert_eq!(assembly.into_bytes(), Ok(content));
}

#[test]
fn garbage_duplicates_and_foreign_leaves_are_told_apart_and_change_nothing() {
    let (mut assembly, leaves) = assembly(&content());
    let (cid, expected) = (leaves[2].cid, 1000);
    let mut garbage = leaves[2].clone();
    garbage.bytes[999] ^= 1;
    assert_eq!(
        assembly.insert(garbage.clone()),
        Err(BlockError::Mismatch { cid })
    );
    garbage.bytes.push(0);
    assert_eq!(
        assembly.insert(garbage),
        Err(BlockError::Length {
            cid,
            got: 1001,
            expected
        })
    );
    let foreign = Block::new(Codec::Raw, vec![1]).unwrap();
    assert_eq!(
        assembly.insert(foreign.clone()),
        Err(BlockError::Foreign { cid: foreign.cid })
    );
    assert_eq!((assembly.missing_count(), assembly.bytes_arrived()), (3, 0));
    assembly.insert(leaves[2].clone()).unwrap();
    assert_eq!(
        assembly.insert(leaves[2].clone()),
        Err(BlockError::Duplicate { cid })
    );
    assert_eq!(
        assembly.into_bytes(),
        Err(BlockError::Incomplete { missing: 2 })
    );
}

#[test]
fn an_object_that_is_not_what_its_packet_states_is_refused() {
    let (mut assembly, leaves) = assembly(b"small");
    leaves
        .into_iter()
        .for_each(|leaf| assembly.insert(leaf).unwrap());
    let error = assembly.into_content(Digest::sha256(b"other")).unwrap_err();
    assert!(
        matches!(error, BlockError::ContentHash { actual, .. } if actual == Digest::sha256(b"small"))
    );
}

#[test]
fn a_manifest_survives_its_block() {
    let manifest = Manifest::of(&content());
    let block = manifest.to_block().unwrap();
    assert_eq!(block.cid.codec(), Codec::DagCbor);
    assert_eq!(
        Manifest::from_cbor(&block.bytes, content().len() as u64),
        Ok(manifest)
    );
    assert_eq!(Block::verify(block.cid, block.bytes.clone()), Ok(block));
}

#[test]
fn a_manifest_past_the_bound_of_the_receiver_is_refused() {
    let block = Manifest::of(&content()).to_block().unwrap();
    let max = content().len() as u64 - 1;
    let limit = LimitError {
        what: "object bytes",
        got: max + 1,
        max,
    };
    assert_eq!(
        Manifest::from_cbor(&block.bytes, max),
        Err(BlockError::Limit(limit))
    );
    let error = Manifest::from_cbor(&vec![0; MAX_BLOCK + 1], u64::MAX).unwrap_err();
    assert!(matches!(error, BlockError::Limit(_)));
}

#[test]
fn the_largest_manifest_fits_in_a_block() {
    let leaves = vec![ContentId::of(Codec::Raw, b""); MAX_LEAVES];
    let block = Manifest {
        size: MAX_OBJECT,
        leaves,
    }
    .to_block()
    .unwrap();
    assert!(Manifest::from_cbor(&block.bytes, u64::MAX).is_ok());
}

#[test]
fn a_manifest_whose_leaves_do_not_fit_its_size_is_refused() {
    let leaf = ContentId::of(Codec::Raw, b"x");
    let node = ContentId::of(Codec::DagCbor, b"x");
    let whole = LEAF_SIZE as u64;
    for (size, leaves, says) in [
        (0, vec![leaf], "1 leaves where 0 bytes need 0"),
        (1, vec![], "0 leaves where 1 bytes need 1"),
        (whole + 1, vec![leaf], "1 leaves where 262145 bytes need 2"),
        (1, vec![node], "is not raw"),
        (whole + 1, vec![leaf, leaf], "has two lengths"),
    ] {
        let manifest = Manifest { size, leaves };
        let bytes = serde_ipld_dagcbor::to_vec(&manifest).unwrap();
        let error = Manifest::from_cbor(&bytes, u64::MAX).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(Assembly::new(manifest.clone()).is_err() && manifest.to_block().is_err());
    }
    assert!(
        Assembly::new(Manifest {
            size: 2 * whole,
            leaves: vec![leaf, leaf]
        })
        .is_ok()
    );
}

#[test]
fn a_manifest_that_announces_more_than_it_brings_is_refused() {
    // {"size": 0, "leaves": [2^63 of them, and the input ends.
    let bytes = [
        b"\xa2\x64size\x00\x66leaves\x9b".as_slice(),
        &[0x80, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert!(matches!(
        Manifest::from_cbor(&bytes, u64::MAX),
        Err(BlockError::Manifest { .. })
    ));
}
