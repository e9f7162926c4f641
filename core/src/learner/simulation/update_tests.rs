//! What updates cost and what they teach, beside plain weights.

use alloc::vec;

use super::*;

/// Mean accuracy of four nodes after 60 exchanges, and mean bytes of their shares, over six seeds.
fn accuracy_and_bytes(config: Config) -> (f64, f64) {
    let (mut accuracy, mut bytes, mut shares) = (0.0, 0, 0);
    for seed in 0..6 {
        let mut network = Network::new(seed, (1, 30), 0);
        for node in 0..4 {
            network.join(classes_for(seed * 4 + node), config);
        }
        network.connect_all();
        assert!(network.run(120, have(60)), "seed {seed}");
        for node in &network.nodes {
            accuracy += f64::from(node.curve[59]) / 24.0;
            bytes += node.shared.iter().sum::<usize>();
            shares += node.shared.len();
        }
    }
    (accuracy, bytes as f64 / shares as f64)
}

#[test]
fn updates_teach_the_same_as_plain_weights_within_half_a_point_in_a_hundredth_of_the_bytes() {
    let (accuracy, bytes) = accuracy_and_bytes(Config::default());
    let (plain_accuracy, plain_bytes) = accuracy_and_bytes(Config {
        is_plain: true,
        ..Config::default()
    });
    assert_eq!(plain_bytes, 19_240.0);
    assert!(bytes <= plain_bytes / 100.0, "{bytes}");
    assert!(
        accuracy >= plain_accuracy - 0.005,
        "{accuracy} where plain weights have {plain_accuracy}"
    );
}

#[test]
fn nodes_that_heard_the_same_hold_the_same_bits_and_tell_each_other_differences_only() {
    let mut network = Network::new(80, (1, 30), 0);
    four(80, &mut network);
    network.connect_all();
    assert!(network.run(120, have(60)));
    let round = network.nodes.iter().map(|node| node.merged.0).max();
    let latest = network
        .nodes
        .iter()
        .filter(|node| Some(node.merged.0) == round);
    let models: Vec<_> = latest.map(|node| &node.merged.1).collect();
    assert!(models.len() >= 2, "{round:?}");
    assert!(models.iter().all(|other| *other == models[0]));
    let most = Config::default().update_bytes as usize;
    for node in &network.nodes {
        let late = &node.shared[10..];
        assert!(late.iter().all(|&bytes| bytes <= most), "{:?}", node.shared);
    }
}

#[test]
fn updates_that_lie_about_their_base_or_cannot_be_read_are_counted_and_cost_only_bytes() {
    let mut network = Network::new(90, (1, 30), 0);
    four(90, &mut network);
    network.connect_all();
    network.tell_all(|| Input::PeerUp { peer: 99 });
    assert!(network.run(60, have(10)));
    // It tells a difference to a model that nobody has, in every round, and what is no update beside it.
    let wrong = Mlp::new(9);
    for turn in 0..20 {
        let round = network.nodes[0].exchange.round();
        let mut liar = exchange::Outgoing::new(&wrong);
        liar.prepare(
            &Config::default(),
            (round, Classes::ALL),
            wrong.parameters(),
            false,
        );
        let mut lie = liar.bytes(round, Classes::ALL, true);
        lie[0] = 1;
        for bytes in [
            lie.clone(),
            lie[..lie.len() - 1].to_vec(),
            vec![7; 5000],
            lie,
        ] {
            network.tell_all(|| Input::Update {
                author: 99,
                said: Timestamp::from_millis(turn),
                bytes: bytes.clone(),
            });
        }
        assert!(network.run(60, have(12 + turn as usize * 2)));
    }
    network.tell_all(|| Input::PeerDown { peer: 99 });
    network.go_on(40);
    let most = Config::default().whole_bytes as usize;
    for node in &network.nodes {
        assert!(
            node.exchange.dropped().refused >= 20,
            "{:?}",
            node.exchange.dropped()
        );
        assert!(
            node.shared.iter().all(|&bytes| bytes <= most),
            "{:?}",
            node.shared
        );
        assert!(*node.curve.last().unwrap() > 0.9, "{:?}", node.curve);
    }
}
