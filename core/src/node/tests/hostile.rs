//! What peers can do to a node by asking, offering and announcing without end, and what a clock that is off does not do.

use super::{life::gossip, *};
use crate::{
    digest::Codec,
    packet::{REVOCATION_TYPE, ReplayConfig},
    time::Timestamp,
};

/// A link to an object that nobody has in full: the packet, its manifest, and all its leaves but the last.
fn withheld(mesh: &Mesh, seed: u8) -> (Packet, Vec<Block>) {
    let bytes: Vec<u8> = content(LEAF_SIZE * 3).iter().map(|b| b ^ seed).collect();
    let (manifest, leaves) = split(&bytes);
    let root = manifest.to_block().unwrap();
    let draft = PacketDraft::link("file", root.cid, bytes.len() as u64, Digest::sha256(&bytes));
    let packet = draft
        .sign(&mesh.hosts[0].key, "main", mesh.now.wall)
        .unwrap();
    (packet, leaves.take(2).chain([root]).collect())
}

fn request(mesh: &mut Mesh, to: usize, from: usize, request: Request) -> u64 {
    mesh.token += 1;
    let (peer, token) = (mesh.id(from), mesh.token);
    // Answers go nowhere; the node's own counters tell what became of them.
    mesh.pending.insert((to, token), (from, u64::MAX));
    mesh.input(
        to,
        Input::Request {
            peer,
            token,
            request,
        },
    );
    token
}

fn refused(mesh: &Mesh, host: usize) -> u64 {
    mesh.hosts[host].node.counters().requests_refused
}

fn announce(mesh: &mut Mesh, to: usize, from: usize, cid: ContentId) {
    mesh.token += 1;
    let (from, token) = (mesh.id(from), mesh.token);
    let data = News::Announcement { cid, author: from }.encode();
    mesh.input(to, Input::Gossip { from, token, data });
}

#[test]
fn nobody_is_blamed_for_packets_that_another_clock_dated() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    mesh.connect(0, 1);
    let peer = mesh.id(0);
    let ahead = Timestamp::from_millis(mesh.now.wall.as_millis() + 3_600_000);
    for n in 0..20u8 {
        let draft = PacketDraft::inline("note", vec![n]);
        let packet = draft.sign(&mesh.hosts[0].key, "main", ahead).unwrap();
        gossip(&mut mesh, 1, 0, &packet);
        let packet = packet.as_cbor().to_vec();
        request(&mut mesh, 1, 0, Request::Offer { packet });
    }
    mesh.run();
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Ignore; 20]);
    assert_eq!(mesh.hosts[1].node.peers.get(&peer).unwrap().faults, 0);
    assert_eq!(refused(&mesh, 1), 20);
    assert_eq!(mesh.hosts[1].node.library.len(), 0);
}

#[test]
fn announcements_of_nothing_leave_room_for_what_the_owner_wants_and_go_no_further() {
    let mut mesh = Mesh::tabs(3);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    let bytes = content(5000);
    let cid = mesh.share(2, &bytes);
    mesh.hosts[0].line = Line::Silent;
    for n in 0..200u8 {
        announce(&mut mesh, 1, 0, ContentId::of(Codec::DagCbor, &[n]));
    }
    mesh.run();
    let under_way = mesh.hosts[1].node.fetches.len();
    assert!((1..=8).contains(&under_way), "{under_way}");
    assert!(!mesh.hosts[1].verdicts[1..].contains(&Verdict::Accept));
    let get = mesh.command(1, Command::Get(cid));
    assert_eq!(mesh.got(1, get), bytes);
    mesh.pass(Duration::from_secs(40));
    assert_eq!(mesh.hosts[1].node.fetches.len(), 0);
    let verdicts = &mesh.hosts[1].verdicts;
    assert_eq!(verdicts.len(), 201, "each has one");
    assert_eq!(
        verdicts.iter().filter(|v| **v == Verdict::Accept).count(),
        1
    );
}

#[test]
fn what_was_announced_is_passed_on_once_it_is_here() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let large = PacketDraft::inline("note", vec![7; FLOOD_LIMIT]);
    let cid = mesh.publish(0, large);
    assert!(mesh.knows(1, &cid));
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Accept]);
    // What a neighbour announces it has verified: a packet of another network it never had.
    let draft = PacketDraft::inline("note", b"elsewhere".to_vec());
    let foreign = draft
        .sign(&mesh.hosts[0].key, "other", mesh.now.wall)
        .unwrap();
    let bytes = foreign.as_cbor().to_vec();
    mesh.hosts[0].store.insert(foreign.cid(), bytes);
    announce(&mut mesh, 1, 0, foreign.cid());
    mesh.run();
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Accept, Verdict::Reject]);
}

#[test]
fn the_same_object_offered_again_and_again_is_fetched_once() {
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    let mut blocks = BTreeMap::new();
    let mut offers = Vec::new();
    for seed in 0..8 {
        let (packet, some) = withheld(&mesh, seed);
        blocks.extend(some.into_iter().map(|block| (block.cid, block.bytes)));
        offers.push(packet.as_cbor().to_vec());
    }
    mesh.hosts[0].store = blocks;
    let packet = offers[0].clone();
    for _ in 0..3 {
        request(
            &mut mesh,
            1,
            0,
            Request::Offer {
                packet: packet.clone(),
            },
        );
        request(
            &mut mesh,
            1,
            2,
            Request::Offer {
                packet: packet.clone(),
            },
        );
    }
    mesh.run();
    let fetches = |mesh: &Mesh| mesh.hosts[1].node.fetches.len();
    assert_eq!((fetches(&mesh), refused(&mesh, 1)), (1, 0));
    // One of this peer's four places is left.
    for packet in &offers[1..] {
        let packet = packet.clone();
        request(&mut mesh, 1, 0, Request::Offer { packet });
    }
    mesh.run();
    assert_eq!((fetches(&mesh), refused(&mesh, 1)), (2, 6));
    mesh.pass(Duration::from_secs(40));
    assert_eq!((fetches(&mesh), refused(&mesh, 1)), (0, 6 + 7));
}

#[test]
fn an_offer_costs_as_much_as_asking_for_its_leaves() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    let cid = mesh.share(0, &content(LEAF_SIZE * 32));
    let packet = mesh.hosts[0].node.library.get(&cid).unwrap().clone();
    mesh.connect(0, 1);
    for _ in 0..100 {
        let packet = packet.as_cbor().to_vec();
        request(&mut mesh, 1, 0, Request::Offer { packet });
        mesh.run();
    }
    // 1024 tokens: 33 for each, and some were spent on catching up.
    let refused = refused(&mesh, 1);
    assert!((68..=72).contains(&refused), "{refused}");
}

#[test]
fn one_author_does_not_fill_the_memory_of_what_was_seen() {
    let mut mesh = Mesh::tabs(2);
    mesh.links.insert((0, 1));
    let config = ReplayConfig {
        capacity: 100,
        per_author: 10,
        ..ReplayConfig::default()
    };
    mesh.hosts[1].node.replay = ReplayGuard::new(config);
    let key = Keypair::from_seed(&[50; 32]);
    for n in 0..120u8 {
        let draft = PacketDraft::inline("note", vec![n]);
        let packet = draft.sign(&key, "main", mesh.now.wall).unwrap();
        gossip(&mut mesh, 1, 0, &packet);
    }
    mesh.run();
    assert_eq!(mesh.hosts[1].node.library.len(), 10);
    let cid = mesh.share(0, b"another's");
    assert!(mesh.knows(1, &cid));
}

#[test]
fn a_revocation_that_names_nothing_is_not_taken_in() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    mesh.connect(0, 1);
    let draft = PacketDraft::inline(REVOCATION_TYPE, vec![0; 1000]);
    let packet = draft
        .sign(&mesh.hosts[0].key, "main", mesh.now.wall)
        .unwrap();
    gossip(&mut mesh, 1, 0, &packet);
    let bytes = packet.as_cbor().to_vec();
    request(
        &mut mesh,
        1,
        0,
        Request::Offer {
            packet: bytes.clone(),
        },
    );
    mesh.input(1, Input::Restored(bytes));
    mesh.run();
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Ignore]);
    assert!(!mesh.knows(1, &packet.cid()));
    assert!(mesh.hosts[1].store.is_empty());
    assert_eq!(mesh.hosts[1].node.counters().revocations_dropped, 2);
}

#[test]
fn one_peer_does_not_take_every_place_of_those_who_wait_for_blocks() {
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    mesh.hosts[2].line = Line::Silent;
    let get = |bytes: &[u8]| Request::Get {
        cid: ContentId::of(Codec::Raw, bytes),
        hops: 1,
        hint: None,
    };
    for n in 0..200u8 {
        request(&mut mesh, 1, 0, get(&[n]));
        mesh.run();
    }
    assert_eq!(mesh.hosts[1].node.asked.len(), 64);
    assert_eq!(refused(&mesh, 1), 200 - 64);
    // Each who waits for a block gets a copy of it.
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    mesh.hosts[2].line = Line::Silent;
    for _ in 0..30 {
        request(&mut mesh, 1, 0, get(b"one"));
        mesh.run();
    }
    assert_eq!(mesh.hosts[1].node.asked.len(), 16);
}

#[test]
fn who_subscribes_again_and_again_is_asked_again_now_and_then() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let peer = mesh.id(0);
    let subscribe = |mesh: &mut Mesh| {
        mesh.input(1, Input::Subscribed(peer));
        mesh.run();
        mesh.hosts[1].node.peers.get(&peer).unwrap().catch_ups
    };
    let asked = (0..50).map(|_| subscribe(&mut mesh)).last();
    assert_eq!(asked, Some(4));
    mesh.pass(Duration::from_secs(31));
    assert_eq!(subscribe(&mut mesh), 5);
}

#[test]
fn what_expires_together_goes_in_one() {
    let mut mesh = Mesh::tabs(1);
    for n in 0..50u8 {
        mesh.publish(0, PacketDraft::inline("note", vec![n]));
    }
    let mut now = mesh.now;
    now.instant = now.instant + Duration::from_secs(60);
    now.wall = Timestamp::from_millis(now.wall.as_millis() + 40 * 86_400_000);
    let node = &mut mesh.hosts[0].node;
    node.handle(now, Input::Tick);
    let outputs = core::iter::from_fn(|| match node.poll_output() {
        Output::Idle { .. } => None,
        output => Some(output),
    });
    let freed: Vec<usize> = outputs
        .filter_map(|output| match output {
            Output::Free(cids) => Some(cids.len()),
            _ => None,
        })
        .collect();
    assert_eq!(freed, [50]);
}
