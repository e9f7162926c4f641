//! What is due after a restart, and what waits on.

use super::*;

#[test]
fn what_an_earlier_run_knew_counts_as_due_and_what_waits_waits_on() {
    let chain = chain(5);
    let gate = packet(1, 100, |i| {
        first(i);
        threshold("accuracy", 0.5)(i);
    });
    for seed in 0..20 {
        let mut agenda = Agenda::new(Keypair::from_seed(&[9; 32]).peer_id());
        // Number 2 is missing: 3 and 4 still wait for it.
        let restored = [&chain[..2], &chain[3..], core::slice::from_ref(&gate)].concat();
        for packet in shuffled(&restored, seed) {
            agenda.admit(&packet, at(0));
            told(&mut agenda, at(0));
        }
        agenda.end_restoring(at(0));
        assert_eq!(told(&mut agenda, at(1)), (vec![], vec![]));
        agenda.measure("accuracy".into(), 1.0);
        assert_eq!(told(&mut agenda, at(1)).0, [gate.cid()]);
        agenda.admit(&chain[2], at(1));
        assert_eq!(told(&mut agenda, at(1)).0, cids(&chain[2..]), "seed {seed}");
    }
}

#[test]
fn what_a_gate_held_back_before_a_restart_is_due_after_the_gate() {
    let gate = packet(1, 10, |i| {
        first(i);
        threshold("accuracy", 0.5)(i);
    });
    let (told_before, held) = (packet(1, 5, |_| {}), packet(1, 11, |_| {}));
    let behind = packet(2, 1, after(held.cid()));
    let all = [told_before, gate.clone(), held.clone(), behind.clone()];
    for seed in 0..20 {
        let mut agenda = Agenda::new(gate.author());
        for packet in shuffled(&all, seed) {
            agenda.admit(&packet, at(0));
            assert_eq!(told(&mut agenda, at(0)), (vec![], vec![]));
        }
        agenda.end_restoring(at(0));
        assert_eq!(told(&mut agenda, at(1)), (vec![], vec![]));
        agenda.measure("accuracy".into(), 1.0);
        let expected = [&gate, &held, &behind].map(Packet::cid);
        assert_eq!(told(&mut agenda, at(1)).0, expected, "seed {seed}");
    }
}

#[test]
fn what_is_periodic_keeps_its_rhythm_over_a_restart() {
    let hourly = packet(1, 0, |i| i.when = When::Periodic { secs: 3600 });
    let mut agenda = Agenda::new(hourly.author());
    agenda.admit(&hourly, at(5400));
    agenda.end_restoring(at(5400));
    assert_eq!(told(&mut agenda, at(7199)).0, []);
    let Some(Event::BecameDue { round, .. }) = agenda.poll(at(7200)) else {
        panic!("due")
    };
    assert_eq!(round, 2, "after the turns at 0 and at 3600");
}

#[test]
fn a_chain_whose_author_dated_it_backwards_is_gone_through_once() {
    const LENGTH: u64 = 500;
    let mut chain = vec![packet(1, LENGTH, |_| {})];
    for number in (0..LENGTH).rev() {
        let before = chain.last().unwrap().cid();
        chain.push(packet(1, number, after(before)));
    }
    let mut agenda = Agenda::new(Keypair::from_seed(&[9; 32]).peer_id());
    for packet in shuffled(&chain, 7) {
        agenda.admit(&packet, at(0));
    }
    let order = agenda.predecessors_first();
    assert_eq!(order, cids(&chain));
    assert_eq!(agenda.settle(&order, at(0)), 2, "the second finds nothing");
    agenda.end_restoring(at(0));
    assert_eq!(told(&mut agenda, at(1)), (vec![], vec![]));
}

#[test]
fn whoever_came_after_what_will_never_be_due_is_let_go_at_once() {
    let chain = chain(50);
    let mut agenda = Agenda::new(Keypair::from_seed(&[9; 32]).peer_id());
    for packet in shuffled(&chain[1..], 3) {
        agenda.admit(&packet, at(0));
    }
    agenda.forbid_named(chain[0].cid(), at(86_400).wall, at(0));
    agenda.end_restoring(at(0));
    assert!(agenda.waiting.is_empty());
    assert_eq!(told(&mut agenda, at(1)), (vec![], vec![]));
}
