//! Where too many wait, and how long is remembered what was due.

use super::*;

#[test]
fn where_too_many_wait_the_newest_of_their_author_goes_and_is_counted_and_told() {
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let mut agenda = started();
    let of_another = packet(2, 0, after(nowhere));
    agenda.admit(&of_another, at(1));
    let waiting: Vec<_> = (0..MAX_WAITING_OF_AUTHOR as u64 + 3)
        .map(|n| packet(1, n, after(nowhere)))
        .collect();
    waiting.iter().for_each(|p| agenda.admit(p, at(1)));
    let (due, never) = told(&mut agenda, at(1));
    let crowded: Vec<_> = waiting[MAX_WAITING_OF_AUTHOR..]
        .iter()
        .map(|p| (p.cid(), Undue::Crowded))
        .collect();
    assert_eq!((due, never, agenda.dropped), (vec![], crowded, 3));
    assert!(agenda.waiting.contains_key(&of_another.cid()));
}

#[test]
fn a_gate_at_the_root_of_a_long_chain_stays_and_the_rest_comes_when_it_is_asked_for() {
    for is_first in [false, true] {
        let gate = packet(1, 0, |i| {
            threshold("accuracy", 0.5)(i);
            if is_first {
                first(i);
            }
        });
        let mut all = vec![gate.clone()];
        for number in 1..200 {
            let before = all.last().unwrap().cid();
            all.push(packet(1, number, |i| {
                if !is_first {
                    after(before)(i);
                }
            }));
        }
        let mut agenda = started();
        all.iter().for_each(|p| agenda.admit(p, at(1)));
        let (due, never) = told(&mut agenda, at(1));
        assert_eq!(
            (due.len(), never.len()),
            (0, all.len() - MAX_WAITING_OF_AUTHOR)
        );
        agenda.measure("accuracy".into(), 1.0);
        let due = told(&mut agenda, at(1)).0;
        assert_eq!(due, cids(&all[..MAX_WAITING_OF_AUTHOR]));
        // One that had to make room was not due: it is once something comes after it, in its order.
        let (crowded, last) = (
            &all[MAX_WAITING_OF_AUTHOR],
            packet(1, 900, after(all[MAX_WAITING_OF_AUTHOR].cid())),
        );
        agenda.admit(&last, at(2));
        assert_eq!(told(&mut agenda, at(2)).0, []);
        agenda.recall(crowded, at(3));
        assert_eq!(told(&mut agenda, at(3)).0, [crowded.cid(), last.cid()]);
    }
}

#[test]
fn strangers_push_out_neither_each_other_nor_what_is_ones_own() {
    let nowhere = ContentId::of(Codec::DagCbor, b"nowhere");
    let mut agenda = started();
    // 9 is the local one, 8 has one packet; both came first.
    let own: Vec<_> = (0..100).map(|n| packet(9, n, after(nowhere))).collect();
    let other = packet(8, 0, after(nowhere));
    own.iter()
        .chain([&other])
        .for_each(|p| agenda.admit(p, at(1)));
    for seed in 10..20 {
        for number in 0..60 {
            agenda.admit(&packet(seed, number, after(nowhere)), at(2));
        }
    }
    assert_eq!(agenda.waiting.len(), MAX_WAITING);
    assert!(
        own.iter()
            .chain([&other])
            .all(|p| agenda.waiting.contains_key(&p.cid()))
    );
}

#[test]
fn a_chain_of_thousands_is_bounded_and_costs_one_step_a_call() {
    let chain = chain(2000);
    let mut agenda = started();
    for packet in chain.iter().rev() {
        agenda.admit(packet, at(1));
        // And one that is due and not told yet.
        assert!(agenda.waiting.len() <= MAX_WAITING_OF_AUTHOR + 1);
        assert!(agenda.events.len() <= MAX_EVENTS);
    }
    // What comes last in the chain was dropped; what is left is due, one packet at a time.
    assert!(agenda.dropped > 1000);
    let (due, _) = told(&mut agenda, at(1));
    assert_eq!(due, cids(&chain[..due.len()]));
    assert!(due.len() >= MAX_WAITING_OF_AUTHOR);
}

#[test]
fn who_floods_the_memory_of_turns_keeps_nobody_from_coming_after_another() {
    let mut agenda = started();
    agenda.due = Memory::new(8, 8);
    for number in 0..20 {
        agenda.admit(&packet(2, number, |_| {}), at(1));
    }
    told(&mut agenda, at(1));
    let chain = chain(3);
    chain.iter().for_each(|p| agenda.admit(p, at(2)));
    assert_eq!(told(&mut agenda, at(2)).0, cids(&chain));
    assert!(agenda.dropped() >= 12);
}

#[test]
fn what_was_due_and_is_over_for_days_still_lets_others_come_after_it() {
    let chain = chain(2);
    let mut agenda = started();
    agenda.admit(&chain[0], at(1));
    assert_eq!(told(&mut agenda, at(1)).0, [chain[0].cid()]);
    agenda.remove(&chain[0], Undue::Expired, at(100_000));
    let days = at(20 * 86_400);
    agenda.admit(&packet(2, 1, |_| {}), days);
    agenda.admit(&chain[1], days);
    assert!(told(&mut agenda, days).0.contains(&chain[1].cid()));
}

#[test]
fn a_long_chain_that_comes_at_once_is_due_whole() {
    let chain = chain(250);
    let mut agenda = started();
    chain.iter().for_each(|p| agenda.admit(p, at(1)));
    assert_eq!(told(&mut agenda, at(1)), (cids(&chain), vec![]));
}
