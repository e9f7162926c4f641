//! Whole conversations between nodes.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::ToString,
    vec,
    vec::Vec,
};
use core::time::Duration;

use super::*;
use crate::{
    bounds::LEAF_SIZE,
    digest::Digest,
    key::Keypair,
    packet::{
        PacketDraft,
        block::{HASH_STEP, split},
    },
};

mod crowd;
mod hostile;
mod life;
mod mesh;

use crowd::{Asked, asked};
use mesh::{Host, Line, Mesh};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn relay() -> Config {
    Config {
        forward: true,
        mirror: Some(Mirror::default()),
        ..Config::default()
    }
}

#[test]
fn a_small_packet_reaches_every_neighbour_once() {
    let mut mesh = Mesh::tabs(3);
    mesh.connect(0, 1);
    mesh.connect(0, 2);
    let cid = mesh.share(0, b"hello");
    assert!(mesh.knows(1, &cid) && mesh.knows(2, &cid));
    let received = |e: &&Event| matches!(e, Event::PacketReceived { .. });
    assert_eq!(mesh.hosts[1].events.iter().filter(received).count(), 1);
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Accept]);
}

#[test]
fn a_newcomer_catches_up_with_what_was_shared_before() {
    let mut mesh = Mesh::tabs(2);
    let cid = mesh.share(0, b"earlier");
    mesh.connect(0, 1);
    assert!(mesh.knows(1, &cid));
}

#[test]
fn a_query_by_author_finds_what_newer_packets_of_others_push_out() {
    let mut mesh = Mesh::tabs(4);
    mesh.connect(0, 1);
    mesh.connect(0, 2);
    let cid = mesh.share(1, b"once");
    for n in 0..MAX_QUERY {
        mesh.share(2, &n.to_be_bytes());
    }
    mesh.connect(0, 3);
    let peer = mesh.id(0);
    let mut found = |author| {
        let filter = Filter {
            author,
            ..Filter::default()
        };
        let query = mesh.command(3, Command::QueryPeer { peer, filter });
        match mesh.hosts[3].replies.remove(&query) {
            Some(Ok(Reply::Packets(packets))) => packets.iter().any(|p| p.cid() == cid),
            other => panic!("no packets: {other:?}"),
        }
    };
    let author = Keypair::from_seed(&[2; 32]).peer_id();
    assert!(!found(None), "256 others are newer");
    assert!(found(Some(author)));
}

#[test]
fn a_large_object_comes_from_several_providers_at_once() {
    let mut mesh = Mesh::tabs(4);
    let bytes = content(LEAF_SIZE * 9 + 17);
    for host in [0, 1, 2] {
        mesh.connect(host, 3);
    }
    mesh.connect(0, 1);
    mesh.connect(0, 2);
    let cid = mesh.share(0, &bytes);
    for host in [1, 2] {
        let get = mesh.command(host, Command::Get(cid));
        assert_eq!(mesh.got(host, get), bytes);
    }
    let before: Vec<_> = mesh.hosts.iter().map(|h| h.served).collect();
    let providers = vec![mesh.id(1), mesh.id(2)];
    mesh.token += 1;
    let get = mesh.token;
    mesh.input(3, Input::Command(get, Command::Get(cid)));
    mesh.input(
        3,
        Input::Providers {
            cid,
            peers: providers,
        },
    );
    mesh.run();
    assert_eq!(mesh.got(3, get), bytes);
    let served: Vec<_> = mesh
        .hosts
        .iter()
        .zip(before)
        .map(|(h, b)| h.served - b)
        .collect();
    assert!(
        served.iter().filter(|n| **n > 0).count() >= 2,
        "served {served:?}"
    );
}

#[test]
fn whoever_fetched_a_large_object_sends_a_part_of_it_to_the_next_one() {
    let mut mesh = Mesh::tabs(3);
    let bytes = content(LEAF_SIZE * 20);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        mesh.connect(one, other);
    }
    let cid = mesh.share(0, &bytes);
    let get = mesh.command(1, Command::Get(cid));
    assert_eq!(mesh.got(1, get), bytes);
    let before = mesh.hosts[1].served;
    let get = mesh.command(2, Command::Get(cid));
    assert_eq!(mesh.got(2, get), bytes);
    assert!(
        mesh.hosts[1].served > before + 3,
        "{}",
        mesh.hosts[1].served - before
    );
}

#[test]
fn garbage_is_counted_and_the_block_comes_from_elsewhere() {
    let mut mesh = Mesh::tabs(3);
    let bytes = content(LEAF_SIZE * 3);
    mesh.connect(0, 1);
    let cid = mesh.share(0, &bytes);
    let get = mesh.command(1, Command::Get(cid));
    assert_eq!(mesh.got(1, get), bytes);
    mesh.connect(0, 2);
    mesh.connect(1, 2);
    mesh.hosts[0].line = Line::Garbage;
    let get = mesh.command(2, Command::Get(cid));
    assert_eq!(mesh.got(2, get), bytes);
    assert!(mesh.hosts[2].node.counters().blocks_garbage > 0);
}

#[test]
fn a_peer_that_sends_only_garbage_is_banned_and_stays_out() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let cids: Vec<_> = (0..MAX_FAULTS as usize)
        .map(|i| mesh.share(0, &content(LEAF_SIZE + i + 1)))
        .collect();
    mesh.hosts[0].line = Line::Garbage;
    for cid in cids {
        mesh.command(1, Command::Get(cid));
    }
    assert!(!mesh.linked(0, 1));
    mesh.connect(0, 1);
    assert_eq!(mesh.hosts[1].node.counters().connections_refused, 1);
}

#[test]
fn a_silent_peer_costs_time_and_nothing_else() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let cid = mesh.share(0, &content(LEAF_SIZE * 2));
    mesh.hosts[0].line = Line::Silent;
    let get = mesh.command(1, Command::Get(cid));
    mesh.pass(FETCH_PATIENCE + Duration::from_secs(2));
    let result = mesh.hosts[1]
        .replies
        .get(&get)
        .expect("an answer in the end");
    assert!(
        matches!(result, Err(NodeError::NotFound { .. })),
        "{result:?}"
    );
    assert!(mesh.hosts[1].node.wants.table.is_empty() && mesh.hosts[1].node.fetches.is_empty());
}

#[test]
fn a_fetch_goes_on_where_it_stopped_when_its_provider_comes_back() {
    let mut mesh = Mesh::tabs(2);
    let bytes = content(LEAF_SIZE * 20);
    mesh.connect(0, 1);
    let cid = mesh.share(0, &bytes);
    mesh.hosts[0].line = Line::Silent;
    let get = mesh.command(1, Command::Get(cid));
    mesh.pass(Duration::from_secs(3));
    mesh.disconnect(0, 1);
    mesh.hosts[0].line = Line::Honest;
    mesh.connect(0, 1);
    mesh.pass(Duration::from_secs(3));
    assert_eq!(mesh.got(1, get), bytes);
}

#[test]
fn a_relay_finds_a_block_for_whoever_cannot_reach_its_holder() {
    let mut mesh = Mesh::new(vec![
        Config::default(),
        Config {
            mirror: None,
            ..relay()
        },
        Config::default(),
    ]);
    mesh.connect(0, 1);
    mesh.connect(2, 1);
    let bytes = content(LEAF_SIZE * 3 + 5);
    let cid = mesh.share(0, &bytes);
    let get = mesh.command(2, Command::Get(cid));
    mesh.pass(Duration::from_secs(1));
    assert_eq!(mesh.got(2, get), bytes);
}

#[test]
fn a_relay_keeps_a_file_after_its_author_left() {
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    let bytes = content(LEAF_SIZE * 3 + 5);
    let cid = mesh.share(0, &bytes);
    mesh.disconnect(0, 1);
    mesh.connect(2, 1);
    let get = mesh.command(2, Command::Get(cid));
    assert_eq!(mesh.got(2, get), bytes);
}

#[test]
fn an_offer_is_answered_when_everything_is_kept() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    let bytes = content(LEAF_SIZE * 2 + 5);
    let cid = mesh.share(0, &bytes);
    mesh.connect(0, 1);
    let peer = mesh.id(1);
    for _ in 0..2 {
        let offer = mesh.command(0, Command::Offer { peer, cid });
        assert!(matches!(
            mesh.hosts[0].replies.get(&offer),
            Some(Ok(Reply::Stored))
        ));
    }
    assert!(mesh.knows(1, &cid));
}

#[test]
fn what_the_store_did_not_keep_is_neither_acknowledged_nor_published() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    mesh.connect(0, 1);
    for size in [100, 600_000] {
        mesh.hosts[1].is_full = true;
        let cid = mesh.share(0, &content(size));
        let peer = mesh.id(1);
        let offered = mesh.command(0, Command::Offer { peer, cid });
        assert!(
            matches!(&mesh.hosts[0].replies[&offered], Err(NodeError::Refused { reason, .. }) if reason.contains("store")),
            "{:?}",
            mesh.hosts[0].replies[&offered]
        );
        mesh.hosts[1].is_full = false;
        let again = mesh.command(0, Command::Offer { peer, cid });
        assert!(matches!(mesh.hosts[0].replies[&again], Ok(Reply::Stored)));
        assert!(mesh.hosts[1].store.contains_key(&cid));
    }
    mesh.hosts[0].is_full = true;
    let lost = mesh.share(0, &content(50));
    let reply = mesh.hosts[0].replies.last_key_value().unwrap().1;
    assert!(matches!(reply, Err(NodeError::NotStored(cid)) if *cid == lost));
    assert!(!mesh.knows(0, &lost) && !mesh.knows(1, &lost));
    assert_eq!(mesh.hosts[0].node.counters().blocks_unstored, 1);
}

#[test]
fn an_object_over_the_limit_is_refused_with_both_sizes() {
    let mut mesh = Mesh::new(vec![
        Config::default(),
        Config {
            max_object: 1000,
            ..Config::default()
        },
    ]);
    mesh.connect(0, 1);
    let cid = mesh.share(0, &content(2000));
    let get = mesh.command(1, Command::Get(cid));
    assert!(matches!(
        mesh.hosts[1].replies.get(&get),
        Some(Err(NodeError::TooLarge {
            size: 2000,
            max: 1000
        }))
    ));
}

#[test]
fn a_packet_of_another_network_is_rejected_and_counted() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let key = Keypair::from_seed(&[9; 32]);
    let packet = PacketDraft::inline("note", b"x".to_vec())
        .sign(&key, "other", mesh.now.wall)
        .unwrap();
    let (from, data) = (mesh.id(0), News::Packet(packet.as_cbor().to_vec()).encode());
    mesh.input(
        1,
        Input::Gossip {
            from,
            token: 7,
            data,
        },
    );
    mesh.run();
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Reject]);
    assert_eq!(mesh.hosts[1].node.counters().packets_refused, 1);
    assert_eq!(mesh.hosts[1].node.peers.get(&from).unwrap().faults, 1);
}

#[test]
fn an_expired_packet_is_ignored_without_blame() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let packet = {
        let mut draft = PacketDraft::inline("note", b"x".to_vec());
        draft.ttl_secs = 60;
        draft
            .sign(&mesh.hosts[0].key, "main", mesh.now.wall)
            .unwrap()
    };
    mesh.pass(Duration::from_secs(3600));
    let (from, data) = (mesh.id(0), News::Packet(packet.as_cbor().to_vec()).encode());
    mesh.input(
        1,
        Input::Gossip {
            from,
            token: 7,
            data,
        },
    );
    mesh.run();
    assert_eq!(mesh.hosts[1].verdicts, [Verdict::Ignore]);
    assert_eq!(mesh.hosts[1].node.peers.get(&from).unwrap().faults, 0);
}

#[test]
fn random_bytes_on_the_topic_never_panic_and_never_pass() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let from = mesh.id(0);
    let mut state = 1u64;
    for len in 0..200usize {
        let data = (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 33) as u8
            })
            .collect();
        mesh.input(
            1,
            Input::Gossip {
                from,
                token: len as u64,
                data,
            },
        );
    }
    mesh.run();
    assert!(!mesh.hosts[1].verdicts.contains(&Verdict::Accept));
}

#[test]
fn requests_over_the_rate_are_refused_not_queued() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let peer = mesh.id(0);
    let cid = ContentId::of(crate::digest::Codec::Raw, b"nothing");
    for token in 0..2000u64 {
        mesh.pending.insert((1, 1_000_000 + token), (0, u64::MAX));
        mesh.input(
            1,
            Input::Request {
                peer,
                token: 1_000_000 + token,
                request: Request::Get {
                    cid,
                    hops: 0,
                    hint: None,
                },
            },
        );
        mesh.run();
    }
    let refused = mesh.hosts[1].node.counters().requests_refused;
    assert!((900..1100).contains(&refused), "{refused}");
}

#[test]
fn a_malformed_answer_counts_against_its_sender() {
    let mut mesh = Mesh::tabs(2);
    mesh.hosts[0].line = Line::Malformed;
    mesh.connect(0, 1);
    let peer = mesh.id(0);
    assert!(mesh.hosts[1].node.peers.get(&peer).unwrap().faults > 0);
}

#[test]
fn whom_discovery_names_is_dialled_within_bounds_and_again_after_a_failure() {
    let mut mesh = Mesh::tabs(1);
    let peers: Vec<_> = (50..60)
        .map(|i| Keypair::from_seed(&[i; 32]).peer_id())
        .collect();
    for peer in &peers {
        mesh.input(0, Input::PeerFound(*peer));
    }
    mesh.run();
    assert_eq!(mesh.hosts[0].dialled.len(), 4);
    let (first, mut again) = (mesh.hosts[0].dialled[0], 0);
    mesh.input(0, Input::DialFailed(first));
    mesh.run();
    assert_eq!(mesh.hosts[0].dialled.len(), 5);
    for _ in 0..60 {
        for peer in core::mem::take(&mut mesh.hosts[0].dialled) {
            again += usize::from(peer == first);
            mesh.input(0, Input::DialFailed(peer));
        }
        mesh.run();
        mesh.pass(Duration::from_secs(1));
    }
    assert!((2..=8).contains(&again), "{again}");
}

#[test]
fn messages_survive_flips_and_cuts_without_panic() {
    let cid = ContentId::of(crate::digest::Codec::DagCbor, b"x");
    let hint = Some(Keypair::from_seed(&[1; 32]).peer_id());
    let requests = [
        Request::Get { cid, hops: 2, hint },
        Request::Query {
            packet_type: Some("file".to_string()),
            limit: 9,
            author: None,
        },
        Request::Query {
            packet_type: None,
            limit: 9,
            author: hint,
        },
        Request::Offer {
            packet: vec![1, 2, 3],
        },
    ];
    for request in &requests {
        assert_eq!(Request::decode(&request.encode()).as_ref(), Ok(request));
    }
    let responses = [
        Response::Block(vec![5; 40]),
        Response::NotFound,
        Response::Packets(vec![vec![1], vec![]]),
        Response::Stored,
        Response::Refused("no".to_string()),
    ];
    for response in &responses {
        assert_eq!(Response::decode(&response.encode()).as_ref(), Ok(response));
    }
    for bytes in requests
        .iter()
        .map(Request::encode)
        .chain(responses.iter().map(Response::encode))
    {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let _ = (
                    Request::decode(&flipped),
                    Response::decode(&flipped),
                    News::decode(&flipped),
                );
            }
            let cut = &bytes[..at];
            assert!(Request::decode(cut).is_err() || Response::decode(cut).is_err());
        }
    }
}

#[test]
fn an_object_whose_first_leaf_comes_last_is_hashed_in_turns() {
    const LEAVES: usize = 11;
    let mut mesh = Mesh::tabs(1);
    let bytes = content(LEAF_SIZE * LEAVES);
    let cid = mesh.share(0, &bytes);
    let now = mesh.now;
    let Host { node, store, .. } = &mut mesh.hosts[0];
    let loaded = |cid| {
        let bytes = store.get(&cid).cloned();
        Input::Loaded { cid, bytes }
    };
    let root = asked(node, Input::Command(900, Command::Get(cid)), now).load;
    let leaves = asked(node, loaded(root[0]), now).load;
    assert_eq!(leaves.len(), LEAVES);
    let mut last = Asked::default();
    for leaf in leaves.into_iter().rev() {
        assert!(last.hash.is_empty() && last.replies.is_empty());
        last = asked(node, loaded(leaf), now);
    }
    // What came with the last leaf, then as much in each turn.
    let each = HASH_STEP / LEAF_SIZE;
    for turn in 1..LEAVES.div_ceil(each) {
        assert!(last.replies.is_empty(), "turn {turn}");
        last = asked(node, Input::Hash(last.hash[0]), now);
    }
    assert!(last.hash.is_empty());
    let [Ok(Reply::Object(_, got))] = &last.replies[..] else {
        panic!("{:?}", last.replies);
    };
    assert_eq!(*got, bytes);
    let late = asked(node, Input::Hash(900), now);
    assert!(late.hash.is_empty() && late.replies.is_empty());
}
