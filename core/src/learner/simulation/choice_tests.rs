//! Nodes that choose their own classes: what they come to hold, and what becomes of the learning.

use alloc::vec;

use super::*;

/// Adds a node that chooses.
fn choose(network: &mut Network) -> usize {
    let exchange = network.exchange(Config::default());
    network.add(exchange)
}

fn held(nodes: &[Node]) -> Classes {
    nodes
        .iter()
        .map(|node| node.exchange.classes())
        .fold(Classes::default(), Classes::union)
}

fn have_chosen(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| !node.exchange.classes().is_empty())
}

/// How often nodes changed what they had chosen.
fn changes(nodes: &[Node]) -> usize {
    let of = |node: &Node| {
        let mut own: Vec<Classes> = node.held.iter().map(|&(_, own, _)| own).collect();
        own.retain(|own| !own.is_empty());
        own.dedup();
        own.len().saturating_sub(1)
    };
    nodes.iter().map(of).sum()
}

#[test]
fn four_nodes_started_at_once_hold_all_ten_and_pass_92_percent_within_30_exchanges() {
    for seed in 100..106 {
        let mut network = Network::new(seed, (5, 60), 0);
        (0..4).for_each(|_| {
            choose(&mut network);
        });
        network.connect_all();
        assert!(
            network.run(4, have_chosen),
            "seed {seed}: the wait is bounded"
        );
        assert_eq!(held(&network.nodes), Classes::ALL, "seed {seed}");
        assert!(network.run(120, have(60)), "seed {seed}");
        assert_eq!(changes(&network.nodes), 0, "seed {seed}");
        for (i, node) in network.nodes.iter().enumerate() {
            assert!(
                node.curve[29] > 0.92,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            assert!(node.alone < 0.4, "seed {seed} node {i}: {}", node.alone);
        }
    }
}

#[test]
fn nodes_that_chose_before_they_met_change_until_they_hold_all_ten_and_learn_them() {
    for seed in 110..116 {
        let mut network = Network::new(seed, (5, 60), 0);
        for _ in 0..4 {
            let node = choose(&mut network);
            network.handle(node, Input::Nobody);
        }
        assert!(
            have_chosen(&network.nodes),
            "at once, where there is nobody"
        );
        network.run(3, |_| false);
        network.connect_all();
        assert!(network.run(60, have(16)), "seed {seed}");
        assert_eq!(held(&network.nodes), Classes::ALL, "seed {seed}");
        let before = changes(&network.nodes);
        assert!(network.run(120, have(76)), "seed {seed}");
        assert_eq!(changes(&network.nodes), before, "seed {seed}");
        for (i, node) in network.nodes.iter().enumerate() {
            assert!(
                node.curve[59] > 0.92,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            assert!(node.alone < 0.4, "seed {seed} node {i}: {}", node.alone);
        }
    }
}

#[test]
fn nodes_that_come_one_after_another_choose_at_once_what_the_others_lack() {
    for seed in 120..124 {
        let mut network = Network::new(seed, (5, 60), 0);
        for count in 1..=6usize {
            let node = choose(&mut network);
            if count == 1 {
                network.handle(node, Input::Nobody);
            }
            network.connect_all();
            let came = network.now;
            assert!(network.run(4, have_chosen), "seed {seed} node {node}");
            let waited = network.now.saturating_duration_since(came);
            // Longest where the only other one sees its first neighbour: it trains before it shares.
            assert!(
                waited <= Duration::from_millis(800),
                "seed {seed} node {node}: {waited:?}"
            );
            assert_eq!(
                held(&network.nodes).len(),
                (3 * count).min(10),
                "seed {seed}"
            );
            network.run(6, |_| false);
        }
        assert_eq!(changes(&network.nodes), 0, "seed {seed}");
        assert!(
            network
                .nodes
                .iter()
                .all(|node| *node.curve.last().unwrap() > 0.9)
        );
    }
}

#[test]
fn nobody_waits_longer_than_the_bound_for_news_and_until_then_where_there_is_somebody() {
    let bound = Instant::ORIGIN + Config::default().choose_within;
    let silent = Input::PeerUp { peer: 99 };
    // Alone without a word on whether there is anybody; beside one that says nothing; with a wrong word on it.
    for inputs in [vec![], vec![silent.clone()], vec![silent, Input::Nobody]] {
        let mut network = Network::new(130, (5, 60), 0);
        let node = choose(&mut network);
        for (millis, input) in (0..).zip(inputs) {
            network.post(node, Duration::from_millis(millis), input);
        }
        assert!(network.run(10, have_chosen));
        assert_eq!(network.now, bound);
    }
}

#[test]
fn when_a_node_leaves_another_takes_over_its_digits_and_starts_alone_again() {
    for seed in 140..143 {
        let mut network = Network::new(seed, (5, 60), 0);
        (0..5).for_each(|_| {
            choose(&mut network);
        });
        network.connect_all();
        assert!(network.run(60, have(20)), "seed {seed}");
        assert_eq!(
            (held(&network.nodes), changes(&network.nodes)),
            (Classes::ALL, 0)
        );
        let own = |nodes: &[Node], i: usize| nodes[i].exchange.classes();
        let before: Vec<Classes> = (0..5).map(|i| own(&network.nodes, i)).collect();
        // What the third one holds is held by nobody else.
        network.disconnect(2);
        let left = network.now;
        let stayed = [0, 1, 3, 4];
        let is_whole = |nodes: &[Node]| {
            let sets = stayed.map(|i| own(nodes, i));
            sets.into_iter().fold(Classes::default(), Classes::union) == Classes::ALL
        };
        assert!(
            !is_whole(&network.nodes) && network.run(20, is_whole),
            "seed {seed}"
        );
        let took = network.now.saturating_duration_since(left);
        assert!(took < Duration::from_secs(5), "seed {seed}: {took:?}");
        // Any that had changed before this moment has trained since.
        let moved = (0..5)
            .rev()
            .find(|&i| own(&network.nodes, i) != before[i])
            .unwrap();
        let exchange = &network.nodes[moved].exchange;
        // The model that knows what the others know stays; the other one knows nothing of its new digits yet.
        let test = &digits().test;
        assert!(exchange.model().accuracy(test) > 0.8, "seed {seed}");
        assert!(exchange.alone().accuracy(test) < 0.2, "seed {seed}");
        let goal = network.nodes[0].curve.len() + 60;
        let is_done = |nodes: &[Node]| stayed.iter().all(|&i| nodes[i].curve.len() >= goal);
        assert!(network.run(200, is_done), "seed {seed}");
        assert!(is_whole(&network.nodes));
        for i in stayed {
            let node = &network.nodes[i];
            assert!(
                *node.curve.last().unwrap() > 0.92,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            assert!(node.alone < 0.4, "seed {seed} node {i}: {}", node.alone);
        }
    }
}

#[test]
fn given_classes_stay_and_the_others_choose_around_them() {
    let mut network = Network::new(150, (5, 60), 0);
    let given = "0,1,2".parse().unwrap();
    network.join(given, Config::default());
    network.join(given, Config::default());
    network.connect_all();
    network.run(2, |_| false);
    for _ in 0..3 {
        choose(&mut network);
    }
    network.connect_all();
    assert!(network.run(60, have(30)));
    assert_eq!(held(&network.nodes), Classes::ALL);
    for node in &network.nodes[..2] {
        assert_eq!(node.exchange.classes(), given);
    }
}

#[test]
fn a_paused_node_shares_nothing_and_knows_who_holds_what_all_the_same() {
    let mut network = Network::new(160, (5, 60), 0);
    (0..3).for_each(|_| {
        choose(&mut network);
    });
    network.handle(2, Input::Pause);
    network.connect_all();
    assert!(network.run(30, |nodes| have(10)(&nodes[..2])));
    assert!(
        network.nodes[2].exchange.classes().is_empty(),
        "it has not begun"
    );
    assert_eq!(
        network.nodes[2].held.last().unwrap().2,
        held(&network.nodes[..2])
    );
    network.handle(2, Input::Resume);
    assert!(network.run(30, |nodes| nodes[2].curve.len() >= 10));
    assert_eq!(held(&network.nodes).len(), 9);
    // Paused again, what it said lapses, and what it held is nobody's.
    network.handle(2, Input::Pause);
    let (count, own) = (
        network.nodes[2].curve.len(),
        network.nodes[2].exchange.classes(),
    );
    network.run(40, |_| false);
    assert_eq!(network.nodes[2].curve.len(), count);
    assert_eq!(network.nodes[2].exchange.classes(), own);
    let (_, _, others) = *network.nodes[0].held.last().unwrap();
    assert_eq!(others, network.nodes[1].exchange.classes());
}
