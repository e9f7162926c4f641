//! Whole lives of packets among nodes: order, revocation, replacement, pins, restarts.

use super::*;
use crate::{
    digest::Codec,
    packet::{How, Order, REVOCATION_TYPE, Revocation, When},
    time::Timestamp,
};

/// What `host` was told to be due, in order.
pub(super) fn due(mesh: &Mesh, host: usize) -> Vec<ContentId> {
    let due = |event: &Event| match event {
        Event::BecameDue { packet, .. } => Some(packet.cid()),
        _ => None,
    };
    mesh.hosts[host].events.iter().filter_map(due).collect()
}

pub(super) fn never_due(mesh: &Mesh, host: usize) -> Vec<(ContentId, Undue)> {
    let never = |event: &Event| match event {
        Event::NeverDue { cid, reason } => Some((*cid, *reason)),
        _ => None,
    };
    mesh.hosts[host].events.iter().filter_map(never).collect()
}

pub(super) fn after(cid: ContentId) -> impl FnOnce(&mut PacketDraft) {
    move |draft| draft.instructions.order = Order::After { cid }
}

pub(super) fn replacing(cid: ContentId) -> impl FnOnce(&mut PacketDraft) {
    move |draft| {
        draft.instructions.order = Order::After { cid };
        draft.instructions.how = How::Replace;
    }
}

pub(super) fn revoke(mesh: &mut Mesh, host: usize, cids: &[ContentId]) -> ContentId {
    let draft = Revocation::new(cids).unwrap().draft(86_400);
    mesh.publish(host, draft)
}

pub(super) fn listed(mesh: &mut Mesh, host: usize, superseded: bool) -> Vec<ContentId> {
    let filter = Filter {
        superseded,
        ..Filter::default()
    };
    let query = mesh.command(host, Command::Query(filter));
    match &mesh.hosts[host].replies[&query] {
        Ok(Reply::Packets(packets)) => packets.iter().map(Packet::cid).collect(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn gossip(mesh: &mut Mesh, to: usize, from: usize, packet: &Packet) {
    mesh.token += 1;
    let (from, token) = (mesh.id(from), mesh.token);
    let data = News::Packet(packet.as_cbor().to_vec()).encode();
    mesh.input(to, Input::Gossip { from, token, data });
}

#[test]
fn a_packet_that_comes_before_its_predecessor_is_known_at_once_and_due_after_it() {
    let mut mesh = Mesh::tabs(3);
    let before = mesh.share(0, b"first");
    mesh.connect(1, 2);
    let behind = mesh.share_with(1, b"second", after(before));
    assert!(mesh.knows(2, &behind));
    assert_eq!(due(&mesh, 2), []);
    mesh.connect(0, 2);
    assert_eq!(due(&mesh, 2), [before, behind]);
    mesh.pass(Duration::from_secs(30));
    assert_eq!(
        due(&mesh, 1),
        [before, behind],
        "its author waits like everybody"
    );
}

#[test]
fn a_predecessor_that_catching_up_did_not_bring_is_fetched() {
    let mut mesh = Mesh::tabs(2);
    let before = mesh.share(0, b"first");
    for n in 0u32..70 {
        mesh.share(0, &n.to_be_bytes());
    }
    let behind = mesh.share_with(0, b"second", after(before));
    mesh.connect(0, 1);
    assert!(!mesh.knows(1, &before) && mesh.knows(1, &behind));
    assert!(!due(&mesh, 1).contains(&behind));
    mesh.pass(Duration::from_secs(5));
    let due = due(&mesh, 1);
    assert!(due.ends_with(&[before, behind]), "{due:?}");
}

#[test]
fn a_name_that_is_no_packet_of_this_network_is_no_predecessor() {
    let mut mesh = Mesh::tabs(2);
    let foreign = PacketDraft::inline("note", b"x".to_vec())
        .sign(&mesh.hosts[0].key, "other", mesh.now.wall)
        .unwrap();
    let cid = foreign.cid();
    mesh.hosts[0].store.insert(cid, foreign.as_cbor().to_vec());
    mesh.connect(0, 1);
    let behind = mesh.share_with(0, b"second", after(cid));
    mesh.pass(Duration::from_secs(5));
    for host in [0, 1] {
        assert_eq!(due(&mesh, host), []);
        assert_eq!(never_due(&mesh, host), [(behind, Undue::Predecessor(cid))]);
    }
}

#[test]
fn who_waits_in_vain_is_told_so_when_its_life_ends() {
    let mut mesh = Mesh::tabs(1);
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let behind = mesh.share_with(0, b"second", |draft| {
        after(nowhere)(draft);
        draft.ttl_secs = 3600;
    });
    mesh.pass(Duration::from_secs(3500));
    assert_eq!(never_due(&mesh, 0), []);
    mesh.pass(Duration::from_secs(200));
    assert_eq!(never_due(&mesh, 0), [(behind, Undue::Expired)]);
    assert!(mesh.hosts[0].node.fetches.is_empty());
}

#[test]
fn loss_and_other_orders_of_arrival_change_nothing_in_the_order_in_which_packets_are_due() {
    for seed in 1..40u64 {
        let mut mesh = Mesh::tabs(2);
        let mut chain = Vec::new();
        for n in 0u64..12 {
            let before = chain.last().copied();
            chain.push(mesh.share_with(0, &n.to_be_bytes(), |draft| {
                if let Some(before) = before {
                    after(before)(draft);
                }
            }));
        }
        // Its neighbour answers for blocks and says nothing by itself.
        let packets: Vec<Packet> = chain
            .iter()
            .map(|cid| mesh.hosts[0].node.library.get(cid).unwrap().clone())
            .collect();
        let peer = mesh.id(0);
        mesh.links.insert((0, 1));
        for host in [0, 1] {
            let peer = mesh.id(1 - host);
            let path = Path::Direct;
            mesh.input(
                host,
                Input::Connected {
                    peer,
                    connection: 9,
                    path,
                },
            );
            mesh.input(
                host,
                Input::Identified {
                    peer,
                    role: Role::Member,
                },
            );
        }
        mesh.run();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed);
            ((state >> 33) % below as u64) as usize
        };
        // A third is lost, the last arrives; some come twice.
        for _ in 0..packets.len() {
            let at = random(packets.len());
            if random(3) > 0 {
                gossip(&mut mesh, 1, 0, &packets[at]);
                mesh.run();
            }
            mesh.pass(Duration::from_millis(random(3000) as u64));
        }
        gossip(&mut mesh, 1, 0, &packets[11]);
        mesh.run();
        mesh.pass(Duration::from_secs(60));
        assert_eq!(due(&mesh, 1), chain, "seed {seed}, from {peer}");
        assert_eq!(never_due(&mesh, 1), []);
    }
}

#[test]
fn a_long_chain_is_due_whole_a_few_packets_a_call() {
    let mut mesh = Mesh::tabs(2);
    let gate = mesh.share_with(0, b"gate", |draft| {
        draft.instructions.when = When::Threshold {
            metric: "accuracy".into(),
            value: 0.9,
        };
    });
    let mut chain = vec![gate];
    for n in 0u64..60 {
        let before = *chain.last().unwrap();
        chain.push(mesh.share_with(0, &n.to_be_bytes(), after(before)));
    }
    mesh.connect(0, 1);
    assert_eq!(due(&mesh, 1), []);
    let measure = |value| Command::Measure {
        metric: "accuracy".into(),
        value,
    };
    mesh.command(1, measure(0.89));
    assert_eq!(due(&mesh, 1), []);
    mesh.command(1, measure(0.9));
    assert_eq!(due(&mesh, 1).len(), 16);
    mesh.pass(Duration::from_secs(1));
    assert_eq!(due(&mesh, 1), chain);
    let wrong = mesh.command(1, measure(f64::NAN));
    let reply = &mesh.hosts[1].replies[&wrong];
    assert!(
        matches!(reply, Err(NodeError::Measurement { .. })),
        "{reply:?}"
    );
}

#[test]
fn what_is_periodic_is_due_until_it_expires() {
    let mut mesh = Mesh::tabs(1);
    let cid = mesh.share_with(0, b"again", |draft| {
        draft.instructions.when = When::Periodic { secs: 60 };
        draft.ttl_secs = 600;
    });
    mesh.pass(Duration::from_secs(299));
    assert_eq!(due(&mesh, 0), [cid; 5]);
    mesh.pass(Duration::from_secs(3600));
    let times = due(&mesh, 0).len();
    assert!((10..=11).contains(&times), "{times}");
}

#[test]
fn a_wall_clock_that_jumps_neither_hurries_nor_delays_what_is_periodic() {
    let mut mesh = Mesh::tabs(1);
    let cid = mesh.share_with(0, b"again", |draft| {
        draft.instructions.when = When::Periodic { secs: 60 };
    });
    mesh.pass(Duration::from_secs(30));
    let start = mesh.now.wall;
    mesh.now.wall = Timestamp::from_millis(start.as_millis() + 3_600_000);
    mesh.pass(Duration::from_secs(29));
    assert_eq!(due(&mesh, 0), [cid]);
    mesh.now.wall = Timestamp::from_millis(start.as_millis() - 60_000);
    mesh.pass(Duration::from_secs(2));
    assert_eq!(due(&mesh, 0), [cid; 2]);
}

#[test]
fn a_relay_is_not_told_what_is_due() {
    let relay = Config {
        integrate: false,
        ..relay()
    };
    let mut mesh = Mesh::new(vec![Config::default(), relay]);
    mesh.connect(0, 1);
    let cid = mesh.share(0, b"hello");
    assert_eq!((due(&mesh, 0), due(&mesh, 1)), (vec![cid], vec![]));
}

#[test]
fn a_revoked_file_goes_everywhere_with_its_blocks_and_does_not_come_back() {
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    mesh.connect(1, 2);
    let bytes = content(LEAF_SIZE * 3 + 5);
    let cid = mesh.share(0, &bytes);
    let packet = mesh.hosts[0].node.library.get(&cid).unwrap().clone();
    mesh.connect(0, 2);
    let get = mesh.command(2, Command::Get(cid));
    assert_eq!(mesh.got(2, get), bytes);
    assert!(mesh.hosts[1].store.len() > 4 && mesh.hosts[2].store.len() > 4);
    assert!(mesh.hosts[0].provided.contains(&cid));

    let by = revoke(&mut mesh, 0, &[cid]);
    mesh.pass(Duration::from_secs(6));
    for host in [0, 1, 2] {
        assert!(!mesh.knows(host, &cid) && mesh.knows(host, &by), "{host}");
        let kept: Vec<_> = mesh.hosts[host].store.keys().collect();
        assert_eq!(kept, [&by], "{host}: the revocation alone is left");
        let told =
            |e: &Event| matches!(e, Event::Revoked { cid: c, by: b } if *c == cid && *b == by);
        assert_eq!(
            mesh.hosts[host].events.iter().filter(|e| told(e)).count(),
            1
        );
    }
    assert!(!mesh.hosts[0].provided.contains(&cid));

    // It comes again: by gossip, by an offer, by request.
    gossip(&mut mesh, 2, 0, &packet);
    let peer = mesh.id(1);
    mesh.token += 1;
    let token = mesh.token;
    mesh.pending.insert((1, token), (0, u64::MAX));
    let offer = Request::Offer {
        packet: packet.as_cbor().to_vec(),
    };
    let from = mesh.id(0);
    mesh.input(
        1,
        Input::Request {
            peer: from,
            token,
            request: offer,
        },
    );
    mesh.run();
    assert!(!mesh.knows(1, &cid) && !mesh.knows(2, &cid), "{peer}");
    assert!(mesh.hosts[1].node.counters().packets_revoked > 0);
    assert!(mesh.hosts[2].node.counters().packets_revoked > 0);
    let get = mesh.command(2, Command::Get(cid));
    let reply = &mesh.hosts[2].replies[&get];
    assert!(matches!(reply, Err(NodeError::Revoked { .. })), "{reply:?}");
}

#[test]
fn a_newcomer_that_heard_of_the_revocation_first_does_not_take_the_packet_in() {
    let mut mesh = Mesh::tabs(4);
    mesh.connect(0, 1);
    let cid = mesh.share(0, b"a slip");
    mesh.disconnect(0, 1);
    revoke(&mut mesh, 0, &[cid]);
    mesh.connect(0, 2);
    assert!(mesh.knows(1, &cid) && !mesh.knows(2, &cid));
    // 2 meets one who has not heard; that one hears of it now.
    mesh.connect(1, 2);
    assert!(!mesh.knows(1, &cid) && !mesh.knows(2, &cid));
    let behind = mesh.share_with(1, b"behind", after(cid));
    mesh.pass(Duration::from_secs(5));
    assert_eq!(never_due(&mesh, 2), [(behind, Undue::Predecessor(cid))]);
}

#[test]
fn only_the_author_revokes_whenever_the_revocation_comes() {
    let mut mesh = Mesh::tabs(3);
    mesh.connect(0, 1);
    let early = mesh.share(0, b"mine");
    let by = revoke(&mut mesh, 1, &[early]);
    assert!(mesh.knows(0, &early) && mesh.knows(1, &early));
    // 2 hears of the foreign revocation before the packet.
    mesh.connect(1, 2);
    assert!(mesh.knows(2, &by));
    mesh.connect(0, 2);
    assert!(mesh.knows(2, &early));
    // And a revocation is not revoked.
    revoke(&mut mesh, 1, &[by]);
    assert!(mesh.knows(1, &by) && mesh.knows(2, &by));
}

#[test]
fn a_revocation_of_the_wrong_form_does_nothing_and_nobody_is_blamed() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let cid = mesh.share(0, b"mine");
    let draft = PacketDraft::inline(REVOCATION_TYPE, [&cid.to_bytes()[..], b"x"].concat());
    mesh.publish(0, draft);
    assert!(mesh.knows(1, &cid));
    assert_eq!(mesh.hosts[1].node.counters().revocations_dropped, 1);
    assert_eq!(mesh.hosts[1].node.peers.get(&mesh.id(0)).unwrap().faults, 0);
}

#[test]
fn revoking_spares_the_blocks_that_another_packet_has_too() {
    let mut mesh = Mesh::new(vec![Config::default(), relay(), Config::default()]);
    mesh.connect(0, 1);
    mesh.connect(2, 1);
    let bytes = content(LEAF_SIZE * 3);
    let wanted = mesh.share(0, &bytes);
    // Somebody links to the same blocks, and to others that begin alike, and takes both back.
    let same = mesh.share(2, &bytes);
    let alike = mesh.share(2, &content(LEAF_SIZE * 4));
    let before = mesh.hosts[1].store.len();
    revoke(&mut mesh, 2, &[same, alike]);
    mesh.pass(Duration::from_secs(6));
    // Two packets, the root of the second and its last leaf went; the revocation came.
    assert_eq!(mesh.hosts[1].store.len(), before - 4 + 1);
    mesh.disconnect(0, 1);
    let get = mesh.command(2, Command::Get(wanted));
    assert_eq!(mesh.got(2, get), bytes);
}

#[test]
fn a_newer_packet_takes_the_place_of_the_old_whichever_comes_first() {
    for old_first in [true, false] {
        let mut mesh = Mesh::tabs(2);
        let old = mesh.share(0, b"one");
        let new = mesh.share_with(0, b"two", replacing(old));
        let packets = [old, new].map(|cid| mesh.hosts[0].node.library.get(&cid).unwrap().clone());
        mesh.links.insert((0, 1));
        let order = if old_first { [0, 1] } else { [1, 0] };
        for at in order {
            gossip(&mut mesh, 1, 0, &packets[at]);
            mesh.run();
        }
        assert_eq!(listed(&mut mesh, 1, false), [new]);
        assert_eq!(listed(&mut mesh, 1, true).len(), 2);
        assert_eq!(due(&mesh, 1), [old, new]);
        let told =
            |e: &&Event| matches!(e, Event::Superseded { cid, by } if (*cid, *by) == (old, new));
        assert_eq!(mesh.hosts[1].events.iter().filter(told).count(), 1);
        // The newer one is taken back: the older is listed again.
        revoke(&mut mesh, 0, &[new]);
        assert!(listed(&mut mesh, 0, false).contains(&old));
    }
}

#[test]
fn others_cannot_supersede() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let old = mesh.share(0, b"one");
    mesh.share_with(1, b"two", replacing(old));
    assert!(listed(&mut mesh, 0, false).contains(&old));
    assert!(listed(&mut mesh, 1, false).contains(&old));
}

#[test]
fn the_old_content_goes_when_the_new_is_complete_except_what_both_have() {
    let mut mesh = Mesh::new(vec![Config::default(), relay()]);
    mesh.connect(0, 1);
    let mut bytes = content(LEAF_SIZE * 3);
    let old = mesh.share(0, &bytes);
    let before = mesh.hosts[1].store.len();
    bytes[LEAF_SIZE * 2] ^= 1;
    let new = mesh.share_with(0, &bytes, replacing(old));
    mesh.pass(Duration::from_secs(6));
    // The new packet, root and last leaf for the old root and last leaf; the old packet stays.
    assert_eq!(mesh.hosts[1].store.len(), before + 1);
    let get = mesh.command(1, Command::Get(new));
    assert_eq!(mesh.got(1, get), bytes);
}

#[test]
fn what_is_pinned_outlives_what_takes_its_place_until_it_is_unpinned() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let bytes = content(LEAF_SIZE * 2);
    let old = mesh.share(0, &bytes);
    let pin = mesh.command(1, Command::Pin(old));
    assert!(matches!(mesh.hosts[1].replies[&pin], Ok(Reply::Done)));
    // Packet, root, two leaves.
    assert_eq!(mesh.hosts[1].pinned.len(), 4);
    assert!(mesh.hosts[1].provided.contains(&old));
    let new = mesh.share_with(0, &content(LEAF_SIZE * 3), replacing(old));
    let pin = mesh.command(1, Command::Pin(new));
    assert!(matches!(mesh.hosts[1].replies[&pin], Ok(Reply::Done)));
    mesh.pass(Duration::from_secs(6));
    mesh.disconnect(0, 1);
    let get = mesh.command(1, Command::Get(old));
    assert_eq!(mesh.got(1, get), bytes);
    mesh.command(1, Command::Unpin(old));
    mesh.pass(Duration::from_secs(6));
    // The leaves are pinned for the new packet.
    assert_eq!(mesh.hosts[1].pinned.len(), 5);
    assert!(!mesh.hosts[1].provided.contains(&old));
}

#[test]
fn a_pin_that_does_not_fit_says_so() {
    let mut mesh = Mesh::tabs(2);
    mesh.connect(0, 1);
    let cid = mesh.share(0, &content(LEAF_SIZE * 2));
    mesh.hosts[1].is_full = true;
    let pin = mesh.command(1, Command::Pin(cid));
    let reply = &mesh.hosts[1].replies[&pin];
    assert!(matches!(reply, Err(NodeError::NotStored(_))), "{reply:?}");
    assert!(mesh.hosts[1].pinned.is_empty());
}

#[test]
fn after_a_restart_nothing_is_due_again_and_what_was_revoked_stays_away() {
    let mut mesh = Mesh::tabs(2);
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let one = mesh.share(0, b"one");
    let two = mesh.share_with(0, b"two", after(one));
    let waits = mesh.share_with(0, b"three", after(nowhere));
    let gone = mesh.share(0, b"a slip");
    let slip = mesh.hosts[0].node.library.get(&gone).unwrap().clone();
    revoke(&mut mesh, 0, &[gone]);
    mesh.hosts[0].provided.clear();
    mesh.restart(0);
    assert_eq!((due(&mesh, 0), never_due(&mesh, 0)), (vec![], vec![]));
    assert!([one, two, waits].iter().all(|cid| mesh.knows(0, cid)));
    assert!(
        [one, two]
            .iter()
            .all(|cid| mesh.hosts[0].provided.contains(cid))
    );
    gossip(&mut mesh, 0, 1, &slip);
    mesh.run();
    assert!(!mesh.knows(0, &gone));
    let three = mesh.share_with(0, b"more", after(two));
    assert_eq!(due(&mesh, 0), [three]);
}

#[test]
fn news_of_own_packets_are_told_again_from_time_to_time() {
    let mut mesh = Mesh::tabs(2);
    mesh.links.insert((0, 1));
    let cid = mesh.share(0, b"hello");
    let heard = |mesh: &Mesh| mesh.hosts[1].verdicts.len();
    let before = heard(&mesh);
    assert!(mesh.knows(1, &cid));
    mesh.pass(Duration::from_secs(1300));
    assert_eq!(heard(&mesh) - before, 2, "every ten minutes");
    assert_eq!(mesh.hosts[1].verdicts.last(), Some(&Verdict::Ignore));
}

#[test]
fn a_revocation_lives_as_long_as_it_says_and_is_forgotten_then() {
    let mut mesh = Mesh::tabs(1);
    let cid = mesh.share(0, b"a slip");
    revoke(&mut mesh, 0, &[cid]);
    assert!(mesh.hosts[0].node.revoked.contains(&cid));
    mesh.now.wall = Timestamp::from_millis(mesh.now.wall.as_millis() + 2 * 86_400_000);
    mesh.pass(Duration::from_secs(10));
    mesh.share(0, b"later");
    revoke(&mut mesh, 0, &[ContentId::of(Codec::DagCbor, b"another")]);
    assert!(!mesh.hosts[0].node.revoked.contains(&cid));
}
