//! The agenda alone: orders of arrival, conditions, periods, bounds.

use alloc::{format, vec};

use super::*;
use crate::{
    digest::Codec,
    key::Keypair,
    packet::{How, Instructions, PacketDraft},
};

mod bounds;
mod restart;

/// Milliseconds since the epoch at which the tests begin.
const START: u64 = 1_800_000_000_000;

fn at(secs: u64) -> Now {
    Now {
        instant: Instant::from_micros(secs * 1_000_000),
        wall: Timestamp::from_millis(START + secs * 1000),
    }
}

/// A packet of author `seed`, the `number`th by its timestamp.
fn packet(seed: u8, number: u64, change: impl FnOnce(&mut Instructions)) -> Packet {
    let mut draft = PacketDraft::inline("step", number.to_be_bytes().to_vec());
    change(&mut draft.instructions);
    let signed_at = Timestamp::from_millis(START + number);
    draft
        .sign(&Keypair::from_seed(&[seed; 32]), "main", signed_at)
        .unwrap()
}

fn after(cid: ContentId) -> impl FnOnce(&mut Instructions) {
    move |instructions| instructions.order = Order::After { cid }
}

fn threshold(metric: &str, value: f64) -> impl FnOnce(&mut Instructions) {
    let metric = metric.into();
    move |instructions| instructions.when = When::Threshold { metric, value }
}

fn first(instructions: &mut Instructions) {
    instructions.order = Order::First;
}

/// `length` packets of one author, each after the one before.
fn chain(length: u64) -> Vec<Packet> {
    let mut chain = vec![packet(1, 0, |_| {})];
    for number in 1..length {
        let before = chain.last().unwrap().cid();
        chain.push(packet(1, number, after(before)));
    }
    chain
}

fn started() -> Agenda {
    let mut agenda = Agenda::new(Keypair::from_seed(&[9; 32]).peer_id());
    agenda.end_restoring(at(0));
    agenda
}

/// What is told now: who became due, and who never will.
fn told(agenda: &mut Agenda, now: Now) -> (Vec<ContentId>, Vec<(ContentId, Undue)>) {
    let (mut due, mut never) = (Vec::new(), Vec::new());
    while let Some(event) = agenda.poll(now) {
        match event {
            Event::BecameDue { packet, .. } => due.push(packet.cid()),
            Event::NeverDue { cid, reason } => never.push((cid, reason)),
            other => panic!("{other:?}"),
        }
    }
    agenda.rest(now.instant);
    (due, never)
}

fn cids(packets: &[Packet]) -> Vec<ContentId> {
    packets.iter().map(Packet::cid).collect()
}

fn shuffled<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut items = items.to_vec();
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(i, (state % (i as u64 + 1)) as usize);
    }
    items
}

#[test]
fn a_chain_becomes_due_in_its_order_whatever_the_order_of_arrival() {
    let chain = chain(24);
    for seed in 0..200 {
        let mut agenda = started();
        let mut due = Vec::new();
        for packet in shuffled(&chain, seed) {
            agenda.admit(&packet, at(1));
            due.extend(told(&mut agenda, at(1)).0);
        }
        assert_eq!(due, cids(&chain), "seed {seed}");
        assert!(agenda.waiting.is_empty());
    }
}

#[test]
fn what_waits_behind_one_gate_becomes_due_in_one_order_whatever_the_order_of_arrival() {
    let gate = packet(1, 0, threshold("accuracy", 0.8));
    let mut all = vec![gate.clone()];
    // A tree of several authors: each comes after one of those before.
    for number in 1..40 {
        let parent = all[(number as usize * 7) % all.len()].cid();
        all.push(packet((number % 5) as u8 + 1, 1000 - number, after(parent)));
    }
    let mut orders: Vec<Vec<ContentId>> = Vec::new();
    for seed in 0..100 {
        let mut agenda = started();
        for packet in shuffled(&all, seed) {
            agenda.admit(&packet, at(1));
        }
        assert_eq!(told(&mut agenda, at(1)), (vec![], vec![]), "seed {seed}");
        assert!(agenda.measure("accuracy".into(), 0.9));
        orders.push(told(&mut agenda, at(1)).0);
    }
    assert_eq!(orders[0].len(), all.len());
    assert!(orders.iter().all(|order| *order == orders[0]));
    for packet in &all[1..] {
        let Order::After { cid } = packet.instructions().order else {
            panic!("a root")
        };
        let place = |cid: ContentId| orders[0].iter().position(|c| *c == cid).unwrap();
        assert!(place(cid) < place(packet.cid()));
    }
}

#[test]
fn nothing_becomes_due_twice() {
    let chain = chain(3);
    let mut agenda = started();
    for packet in chain.iter().chain(&chain) {
        agenda.admit(packet, at(1));
    }
    assert_eq!(told(&mut agenda, at(1)).0, cids(&chain));
    chain.iter().for_each(|packet| agenda.admit(packet, at(2)));
    assert_eq!(told(&mut agenda, at(2)).0, []);
}

#[test]
fn a_threshold_is_met_from_its_value_on_and_stays_met() {
    let waits = packet(1, 1, threshold("performance", 0.8));
    let mut agenda = started();
    agenda.admit(&waits, at(1));
    agenda.measure("performance".into(), 0.799);
    agenda.measure("loss".into(), 5.0);
    assert_eq!(told(&mut agenda, at(1)).0, []);
    agenda.measure("performance".into(), 0.8);
    agenda.measure("performance".into(), 0.1);
    assert_eq!(told(&mut agenda, at(1)).0, [waits.cid()]);
    let later = packet(1, 2, threshold("performance", 0.05));
    agenda.admit(&later, at(2));
    assert_eq!(
        told(&mut agenda, at(2)).0,
        [later.cid()],
        "the last measurement counts"
    );
}

#[test]
fn metrics_are_bounded() {
    let mut agenda = started();
    for n in 0..MAX_METRICS {
        assert!(agenda.measure(format!("m{n}"), 1.0));
    }
    assert!(!agenda.measure("one more".into(), 1.0));
    assert!(agenda.measure("m3".into(), 2.0));
}

#[test]
fn the_first_holds_back_its_author_and_type_alone_until_it_is_due() {
    let gate = packet(1, 9, |i| {
        first(i);
        threshold("accuracy", 0.5)(i);
    });
    let (early, same) = (packet(1, 1, |_| {}), packet(1, 2, |_| {}));
    let of_another = packet(2, 3, |_| {});
    let mut agenda = started();
    agenda.admit(&early, at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [early.cid()]);
    agenda.admit(&gate, at(1));
    agenda.admit(&same, at(1));
    agenda.admit(&of_another, at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [of_another.cid()]);
    agenda.measure("accuracy".into(), 0.5);
    assert_eq!(told(&mut agenda, at(1)).0, [gate.cid(), same.cid()]);
}

#[test]
fn the_first_overtakes_what_becomes_due_in_the_same_moment() {
    let one = packet(1, 1, threshold("accuracy", 0.5));
    let two = packet(1, 2, |i| {
        first(i);
        threshold("accuracy", 0.5)(i);
    });
    let mut agenda = started();
    agenda.admit(&one, at(1));
    agenda.admit(&two, at(1));
    agenda.measure("accuracy".into(), 0.7);
    assert_eq!(told(&mut agenda, at(1)).0, [two.cid(), one.cid()]);
}

#[test]
fn the_first_is_told_before_the_others_that_came_with_it_however_many_they_are() {
    let others: Vec<_> = (0..200).map(|n| packet(1, n, |_| {})).collect();
    let gate = packet(1, 900, first);
    let mut agenda = started();
    others
        .iter()
        .chain([&gate])
        .for_each(|p| agenda.admit(p, at(1)));
    let expected: Vec<_> = [&gate]
        .into_iter()
        .chain(&others)
        .map(Packet::cid)
        .collect();
    assert_eq!(told(&mut agenda, at(1)), (expected, vec![]));
}

#[test]
fn a_first_that_expires_holds_nobody_back_any_more() {
    let gate = packet(1, 1, |i| {
        first(i);
        threshold("never", 1.0)(i);
    });
    let same = packet(1, 2, |_| {});
    let mut agenda = started();
    agenda.admit(&gate, at(1));
    agenda.admit(&same, at(1));
    agenda.remove(&gate, Undue::Expired, at(2));
    let (due, never) = told(&mut agenda, at(2));
    assert_eq!(
        (due, never),
        (vec![same.cid()], vec![(gate.cid(), Undue::Expired)])
    );
}

#[test]
fn what_is_periodic_comes_again_at_its_time_and_never_makes_up_for_a_pause() {
    let often = packet(1, 1, |i| i.when = When::Periodic { secs: 1 });
    let hourly = packet(1, 2, |i| i.when = When::Periodic { secs: 3600 });
    let mut agenda = started();
    agenda.admit(&often, at(0));
    agenda.admit(&hourly, at(0));
    assert_eq!(told(&mut agenda, at(0)).0, [often.cid(), hourly.cid()]);
    assert_eq!(
        agenda.wake_at(),
        Some(Instant::ORIGIN + MIN_PERIOD),
        "a floor"
    );
    assert_eq!(told(&mut agenda, at(9)).0, []);
    assert_eq!(told(&mut agenda, at(10)).0, [often.cid()]);
    // The device slept for two hours.
    assert_eq!(told(&mut agenda, at(7200)).0, [often.cid(), hourly.cid()]);
    assert_eq!(agenda.wake_at(), Some(at(7210).instant));
    let Some(Event::BecameDue { round, .. }) = agenda.poll(at(7210)) else {
        panic!("due")
    };
    assert_eq!(round, 3);
    agenda.remove(&often, Undue::Expired, at(7211));
    agenda.remove(&hourly, Undue::Expired, at(7211));
    let expired = |p: &Packet| (p.cid(), Undue::Expired);
    assert_eq!(
        told(&mut agenda, at(99_999)),
        (vec![], vec![expired(&often), expired(&hourly)])
    );
}

#[test]
fn a_revoked_predecessor_takes_those_behind_it_along_and_each_says_so() {
    let chain = chain(4);
    for known in [true, false] {
        let mut agenda = started();
        chain[1..].iter().for_each(|p| agenda.admit(p, at(1)));
        if known {
            agenda.remove(&chain[0], Undue::Revoked, at(1));
        } else {
            agenda.forbid(
                chain[0].author(),
                chain[0].cid(),
                chain[0].expires_at(),
                at(1),
            );
        }
        let expected: Vec<_> = chain
            .windows(2)
            .map(|pair| (pair[1].cid(), Undue::Predecessor(pair[0].cid())))
            .collect();
        assert_eq!(told(&mut agenda, at(1)), (vec![], expected));
        agenda.admit(&chain[0], at(2));
        assert_eq!(told(&mut agenda, at(2)), (vec![], vec![]));
    }
}

#[test]
fn what_was_due_and_then_revoked_lets_nobody_come_after_it() {
    let chain = chain(2);
    let mut agenda = started();
    agenda.admit(&chain[0], at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [chain[0].cid()]);
    agenda.remove(&chain[0], Undue::Revoked, at(1));
    agenda.admit(&chain[1], at(1));
    let (due, never) = told(&mut agenda, at(1));
    assert_eq!(due, []);
    assert_eq!(
        never,
        [(chain[1].cid(), Undue::Predecessor(chain[0].cid()))]
    );
}

#[test]
fn what_was_due_and_then_expired_still_lets_others_come_after_it() {
    let chain = chain(2);
    let mut agenda = started();
    agenda.admit(&chain[0], at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [chain[0].cid()]);
    agenda.remove(&chain[0], Undue::Expired, at(1));
    agenda.admit(&chain[1], at(1));
    assert_eq!(told(&mut agenda, at(1)), (vec![chain[1].cid()], vec![]));
}

#[test]
fn a_packet_that_replaces_waits_for_the_old_one_but_not_when_that_is_gone() {
    let old = packet(1, 1, threshold("accuracy", 0.5));
    let new = packet(1, 2, |i| {
        after(old.cid())(i);
        i.how = How::Replace;
    });
    let mut agenda = started();
    agenda.admit(&new, at(1));
    agenda.admit(&old, at(1));
    assert_eq!(told(&mut agenda, at(1)).0, []);
    agenda.remove(&old, Undue::Revoked, at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [new.cid()]);
}

#[test]
fn a_predecessor_that_does_not_come_is_looked_for_a_few_times() {
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let (one, two) = (packet(1, 1, after(nowhere)), packet(2, 2, after(nowhere)));
    let mut agenda = started();
    agenda.admit(&one, at(0));
    agenda.admit(&two, at(0));
    let mut searches = Vec::new();
    let mut now = at(0);
    for _ in 0..20 {
        assert_eq!(told(&mut agenda, now), (vec![], vec![]));
        let Some(wake_at) = agenda.wake_at() else {
            break;
        };
        now = at((wake_at.as_micros() / 1_000_000).max(now.instant.as_micros() / 1_000_000));
        while let Some((cid, author)) = agenda.next_search(now.instant) {
            assert_eq!(cid, nowhere);
            assert!([one.author(), two.author()].contains(&author));
            searches.push(now.instant.as_micros() / 1_000_000);
        }
    }
    assert_eq!(searches, [2, 62, 542], "once for both, with growing pauses");
    assert_eq!(agenda.wake_at(), None);
}

#[test]
fn a_replacement_whose_old_packet_nobody_has_is_due_after_the_last_search() {
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let new = packet(1, 2, |i| {
        after(nowhere)(i);
        i.how = How::Replace;
    });
    let mut agenda = started();
    agenda.admit(&new, at(0));
    for secs in [2, 62, 542] {
        assert_eq!(told(&mut agenda, at(secs - 1)).0, []);
        assert!(agenda.next_search(at(secs).instant).is_some(), "{secs}");
    }
    assert_eq!(told(&mut agenda, at(542)).0, [new.cid()]);
}

#[test]
fn the_newest_of_a_document_replaced_a_hundred_times_is_due_for_newcomers() {
    let mut versions = vec![packet(1, 0, |_| {})];
    for number in 1..100 {
        let before = versions.last().unwrap().cid();
        versions.push(packet(1, number, |i| {
            after(before)(i);
            i.how = How::Replace;
        }));
    }
    let mut agenda = started();
    agenda.admit(versions.last().unwrap(), at(0));
    let (mut secs, mut due) = (0, Vec::new());
    for packet in versions.iter().rev().skip(1) {
        secs += 3;
        while let Some(Event::BecameDue { packet, .. }) = agenda.poll(at(secs)) {
            due.push(packet.cid());
        }
        if agenda.next_search(at(secs).instant).is_some() {
            agenda.admit(packet, at(secs));
        }
    }
    assert_eq!(due, cids(&versions[100 - 1 - MAX_PULLED as usize..]));
}

#[test]
fn a_predecessor_taken_back_before_it_was_known_dooms_or_frees_who_waits_for_it() {
    let unknown = ContentId::of(Codec::DagCbor, b"nowhere");
    let behind = packet(1, 1, after(unknown));
    let instead = packet(1, 2, |i| {
        after(unknown)(i);
        i.how = How::Replace;
    });
    let of_another = packet(2, 3, after(unknown));
    for is_early in [true, false] {
        let mut agenda = started();
        let until = behind.expires_at();
        if is_early {
            agenda.take_back(behind.author(), &unknown, until, at(1));
        }
        for packet in [&behind, &instead, &of_another] {
            agenda.admit(packet, at(1));
        }
        if !is_early {
            agenda.take_back(behind.author(), &unknown, until, at(1));
        }
        let never = vec![(behind.cid(), Undue::Predecessor(unknown))];
        assert_eq!(told(&mut agenda, at(1)), (vec![instead.cid()], never));
        assert!(
            agenda.waiting.contains_key(&of_another.cid()),
            "not its word"
        );
    }
}

#[test]
fn predecessors_of_predecessors_are_looked_for_only_so_far_back() {
    let chain = chain(MAX_PULLED as u64 + 20);
    let mut agenda = started();
    let mut secs = 0;
    agenda.admit(chain.last().unwrap(), at(0));
    let mut found = 0;
    for packet in chain.iter().rev().skip(1) {
        secs += 3;
        assert!(agenda.poll(at(secs)).is_none());
        match agenda.next_search(at(secs).instant) {
            Some((cid, _)) => assert_eq!(cid, packet.cid()),
            None => break,
        }
        found += 1;
        agenda.admit(packet, at(secs));
    }
    assert_eq!(found, MAX_PULLED);
}
