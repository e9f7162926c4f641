//! What one author can do to the others by the number or the order of its packets.

use super::{
    life::{gossip, listed, replacing, revoke},
    *,
};
use crate::{
    digest::Codec,
    flat::FlatSet,
    packet::{REVOCATION_TYPE, Revocation, When},
};

#[test]
fn a_revocation_cannot_be_revoked_whichever_comes_first() {
    for is_first in [false, true] {
        let mut mesh = Mesh::tabs(2);
        let cid = mesh.share(0, b"a slip");
        let slip = mesh.hosts[0].node.library.get(&cid).unwrap().clone();
        let by = revoke(&mut mesh, 0, &[cid]);
        let second = revoke(&mut mesh, 0, &[by]);
        let mut packets =
            [by, second].map(|cid| mesh.hosts[0].node.library.get(&cid).unwrap().clone());
        if is_first {
            packets.reverse();
        }
        mesh.links.insert((0, 1));
        for packet in packets.iter().chain([&slip]) {
            gossip(&mut mesh, 1, 0, packet);
            mesh.run();
        }
        assert!(mesh.knows(1, &by) && mesh.knows(1, &second));
        assert!(!mesh.knows(1, &cid), "{is_first}");
    }
}

#[test]
fn names_that_strangers_make_up_push_out_no_revocation() {
    let mut mesh = Mesh::tabs(2);
    mesh.hosts[1].node.taken_back = Memory::new(256, 128);
    mesh.hosts[1].node.revoked = Memory::new(4, 4);
    mesh.links.insert((0, 1));
    // The first is known when it is taken back, the second is not.
    let known = mesh.share(0, b"a slip");
    let packet = mesh.hosts[0].node.library.get(&known).unwrap().clone();
    let draft = PacketDraft::inline("note", b"another".to_vec());
    let unseen = draft
        .sign(&mesh.hosts[0].key, "main", mesh.now.wall)
        .unwrap();
    for seed in 50..66 {
        if seed == 58 {
            revoke(&mut mesh, 0, &[known, unseen.cid()]);
        }
        let names: Vec<_> = (0..64u8)
            .map(|n| ContentId::of(Codec::Raw, &[seed, n]))
            .collect();
        for life in [86_400, 86_401] {
            let draft = Revocation::new(&names).unwrap().draft(life);
            let stranger = Keypair::from_seed(&[seed; 32]);
            let flood = draft.sign(&stranger, "main", mesh.now.wall).unwrap();
            gossip(&mut mesh, 1, 0, &flood);
            mesh.run();
        }
    }
    for packet in [&packet, &unseen] {
        gossip(&mut mesh, 1, 0, packet);
        mesh.run();
        assert!(!mesh.knows(1, &packet.cid()));
    }
    assert!(mesh.hosts[1].node.counters().revocations_dropped > 700);
}

#[test]
fn an_offer_that_there_is_no_room_to_remember_is_refused() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    mesh.connect(0, 1);
    let config = crate::packet::ReplayConfig {
        capacity: 0,
        per_author: 0,
        ..Default::default()
    };
    mesh.hosts[1].node.replay = ReplayGuard::new(config);
    let (cid, peer) = (mesh.share(0, b"one too many"), mesh.id(1));
    let offer = mesh.command(0, Command::Offer { peer, cid });
    let reply = &mesh.hosts[0].replies[&offer];
    assert!(matches!(reply, Err(NodeError::Refused { .. })), "{reply:?}");
    assert!(!mesh.knows(1, &cid));
}

#[test]
fn large_packets_of_one_key_push_out_neither_others_nor_revocations_nor_what_waits() {
    let mut mesh = Mesh::tabs(2);
    mesh.links.insert((0, 1));
    let kept = mesh.share(0, b"kept");
    let slip = mesh.share(0, b"a slip");
    let by = revoke(&mut mesh, 0, &[slip]);
    let stranger = Keypair::from_seed(&[60; 32]);
    let waits = {
        let mut draft = PacketDraft::inline("note", b"gate".to_vec());
        draft.instructions.when = When::Threshold {
            metric: "accuracy".into(),
            value: 0.9,
        };
        draft
            .sign(&Keypair::from_seed(&[61; 32]), "main", mesh.now.wall)
            .unwrap()
    };
    gossip(&mut mesh, 1, 0, &waits);
    for n in 0..80u8 {
        let draft = PacketDraft::inline("note", vec![n; 250_000]);
        let flood = draft.sign(&stranger, "main", mesh.now.wall).unwrap();
        gossip(&mut mesh, 1, 0, &flood);
    }
    mesh.run();
    assert!(mesh.hosts[1].node.counters().packets_dropped >= 10);
    assert!([kept, by, waits.cid()].iter().all(|cid| mesh.knows(1, cid)));
}

#[test]
fn neither_packets_nor_revocations_of_one_key_push_out_the_revocations_of_another() {
    let mut library = Library::default();
    let sign = |seed: u8, n: u32, kind: &str| {
        let draft = PacketDraft::inline(kind, n.to_be_bytes().to_vec());
        let now = crate::time::Timestamp::from_millis(1_800_000_000_000);
        draft
            .sign(&Keypair::from_seed(&[seed; 32]), "main", now)
            .unwrap()
    };
    let first = sign(1, 0, REVOCATION_TYPE);
    let mut gone = Vec::new();
    let mut insert = |packet: Packet| {
        let room = library.insert(packet, &FlatSet::new(), |_| false);
        gone.extend(room.unwrap());
    };
    insert(first.clone());
    (0..1100).for_each(|n| insert(sign(2, n, REVOCATION_TYPE)));
    (0..10).for_each(|n| insert(sign(3, n, "note")));
    assert_eq!(gone.len(), 1100 + 1 - 1024);
    assert!(
        gone.iter()
            .all(|p| p.author() != first.author() && p.packet_type() == REVOCATION_TYPE)
    );
}

#[test]
fn what_is_pinned_stays_when_what_took_its_place_is_over() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let bytes = content(LEAF_SIZE * 2);
    let long = |draft: &mut PacketDraft| draft.ttl_secs = 86_400;
    let old = mesh.share_with(0, &bytes, long);
    let pin = mesh.command(1, Command::Pin(old));
    assert!(matches!(mesh.hosts[1].replies[&pin], Ok(Reply::Done)));
    let new = mesh.share_with(0, b"for an hour", |draft| {
        replacing(old)(draft);
        draft.ttl_secs = 3600;
    });
    assert_eq!(listed(&mut mesh, 1, false), [new]);
    mesh.disconnect(0, 1);
    mesh.pass(Duration::from_secs(4000));
    assert_eq!(listed(&mut mesh, 1, false), [old]);
    assert_eq!(listed(&mut mesh, 0, true), [], "nobody pinned it there");
    let get = mesh.command(1, Command::Get(old));
    assert_eq!(mesh.got(1, get), bytes);
}

/// What a node asked of its driver at one moment.
#[derive(Default)]
pub(super) struct Asked {
    settle: Vec<u64>,
    pub(super) load: Vec<ContentId>,
    freed: Vec<ContentId>,
    pub(super) hash: Vec<u64>,
    pub(super) replies: Vec<Result<Reply, NodeError>>,
}

pub(super) fn asked(node: &mut Node, input: Input, now: Now) -> Asked {
    node.handle(now, input);
    let mut asked = Asked::default();
    loop {
        match node.poll_output() {
            Output::Settle(id) => asked.settle.push(id),
            Output::Load(cid) => asked.load.push(cid),
            Output::Free(cids) => asked.freed.extend(cids),
            Output::Hash { id, .. } => asked.hash.push(id),
            Output::Reply(_, reply) => asked.replies.push(reply),
            Output::Idle { .. } => return asked,
            _ => {}
        }
    }
}

#[test]
fn freeing_spares_the_blocks_of_what_is_being_shared() {
    for is_under_way in [false, true] {
        let mut mesh = Mesh::tabs(1);
        let bytes = content(LEAF_SIZE * 2);
        let old = mesh.share(0, &bytes);
        let (manifest, leaves) = split(&bytes);
        let root = manifest.to_block().unwrap();
        let (now, cid, digest) = (mesh.now, root.cid, Digest::sha256(&bytes));
        let blocks: Vec<Block> = leaves.chain([root]).collect();
        let again = PacketDraft::link("again", cid, bytes.len() as u64, digest);
        let by = Revocation::new(&[old]).unwrap().draft(86_400);
        let Host {
            node, key, store, ..
        } = &mut mesh.hosts[0];
        let share = |draft: PacketDraft, blocks| {
            let packet = draft.sign(key, "main", now.wall).unwrap();
            Input::Command(900, Command::Share { packet, blocks })
        };
        let mut freed = Vec::new();
        let mut answer = |node: &mut Node, mut load: Vec<ContentId>| {
            while let Some(cid) = load.pop() {
                let bytes = store.get(&cid).cloned();
                let next = asked(node, Input::Loaded { cid, bytes }, now);
                load.extend(next.load);
                freed.extend(next.freed);
            }
        };
        if is_under_way {
            let revoked = asked(node, share(by, vec![]), now).settle[0];
            let load = asked(node, Input::Settled(revoked), now).load;
            assert_eq!(load, [cid], "the look through what goes began");
            let shared = asked(node, share(again, blocks), now).settle[0];
            answer(node, load);
            asked(node, Input::Settled(shared), now);
        } else {
            let shared = asked(node, share(again, blocks), now).settle[0];
            let revoked = asked(node, share(by, vec![]), now).settle[0];
            let load = asked(node, Input::Settled(revoked), now).load;
            answer(node, load);
            let load = asked(node, Input::Settled(shared), now).load;
            answer(node, load);
        }
        assert_eq!(freed, [], "{is_under_way}");
        assert!(node.library.get(&old).is_none(), "it was revoked");
    }
}

#[test]
fn what_was_replaced_is_listed_again_only_where_its_content_is() {
    let mut mesh = Mesh::tabs(3);
    mesh.connect(0, 1);
    let bytes = content(LEAF_SIZE * 2);
    let old = mesh.share(0, &bytes);
    let pin = mesh.command(1, Command::Pin(old));
    assert!(matches!(mesh.hosts[1].replies[&pin], Ok(Reply::Done)));
    let new = mesh.share_with(0, &content(LEAF_SIZE * 3), replacing(old));
    mesh.pass(Duration::from_secs(6));
    let by = revoke(&mut mesh, 0, &[new]);
    mesh.pass(Duration::from_secs(6));
    assert_eq!(listed(&mut mesh, 0, false), [by], "its blocks are gone");
    assert_eq!(listed(&mut mesh, 1, false), [by, old], "it is pinned");
    let get = mesh.command(0, Command::Get(old));
    assert_eq!(mesh.got(0, get), bytes);
    assert_eq!(listed(&mut mesh, 0, false), [by, old]);
}

#[test]
fn a_revocation_spreads_from_whoever_catches_up_though_much_is_newer() {
    let mut mesh = Mesh::tabs(3);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    let cid = mesh.share(0, b"a slip");
    let slip = mesh.hosts[0].node.library.get(&cid).unwrap().clone();
    gossip(&mut mesh, 2, 1, &slip);
    mesh.run();
    mesh.disconnect(0, 1);
    let by = revoke(&mut mesh, 0, &[cid]);
    for n in 0..70u8 {
        mesh.share(0, &[n]);
    }
    assert!(mesh.knows(1, &cid) && mesh.knows(2, &cid));
    mesh.connect(0, 1);
    for host in [1, 2] {
        assert!(mesh.knows(host, &by) && !mesh.knows(host, &cid), "{host}");
    }
}

#[test]
fn a_pin_says_so_where_the_packet_was_revoked_before_all_of_it_was_kept() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let (pinned, other) = (mesh.share(0, b"a slip"), mesh.share(0, b"another"));
    let draft = Revocation::new(&[pinned]).unwrap().draft(86_400);
    let by = draft
        .sign(&mesh.hosts[0].key, "main", mesh.now.wall)
        .unwrap();
    let (from, now) = (mesh.id(0), mesh.now);
    let Host { node, store, .. } = &mut mesh.hosts[1];
    let mut pinning = asked(node, Input::Command(900, Command::Pin(pinned)), now);
    while let Some(cid) = pinning.load.pop() {
        let bytes = store.get(&cid).cloned();
        pinning = asked(node, Input::Loaded { cid, bytes }, now);
    }
    let settle = pinning.settle[0];
    let data = News::Packet(by.as_cbor().to_vec()).encode();
    node.handle(
        now,
        Input::Gossip {
            from,
            token: 1,
            data,
        },
    );
    asked(node, Input::Tick, now);
    mesh.input(1, Input::Settled(settle));
    mesh.run();
    let reply = &mesh.hosts[1].replies[&900];
    assert!(matches!(reply, Err(NodeError::Revoked { .. })), "{reply:?}");
    let pin = mesh.command(1, Command::Pin(other));
    assert!(matches!(mesh.hosts[1].replies[&pin], Ok(Reply::Done)));
}

#[test]
fn the_blocks_of_everything_revoked_at_once_go() {
    let mut mesh = Mesh::tabs(1);
    let mut cids = Vec::new();
    for n in 0..200usize {
        cids.push(mesh.share(0, &content(2000 + n)));
    }
    let slips: Vec<_> = cids.chunks(50).map(|c| revoke(&mut mesh, 0, c)).collect();
    mesh.pass(Duration::from_secs(11));
    assert_eq!(mesh.hosts[0].node.counters().frees_dropped, 0);
    assert_eq!(mesh.hosts[0].store.len(), slips.len());
}
