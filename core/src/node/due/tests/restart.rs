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
