//! Nodes that exchange weights in virtual time, with latency, loss, reordering and churn; every run has a seed.

mod choice_tests;
mod update_tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;
use crate::time::{Instant, Timestamp};

/// A network of nodes, numbered from 0.
struct Network {
    rng: ChaCha8Rng,
    now: Instant,
    nodes: Vec<Node>,
    /// Messages under way by the moment they arrive; the second number makes the keys different.
    mail: BTreeMap<(Instant, u64), (usize, Input<usize>)>,
    sent: u64,
    links: BTreeSet<(usize, usize)>,
    /// One-way delay of a message: from, up to.
    delay: (Duration, Duration),
    /// Messages lost, out of 100.
    loss: u32,
}

struct Node {
    exchange: Exchange<usize>,
    wake_at: Instant,
    /// Accuracy after each exchange.
    curve: Vec<f32>,
    alone: f32,
    /// Bytes of each share.
    shared: Vec<usize>,
    /// The round that was merged last, and the model that came of it.
    merged: (u64, Vec<f32>),
    /// What it held, and the others as far as it knew, each time that this changed.
    held: Vec<(Instant, Classes, Classes)>,
}

impl Network {
    fn new(seed: u64, delay_millis: (u64, u64), loss: u32) -> Self {
        let delay = (
            Duration::from_millis(delay_millis.0),
            Duration::from_millis(delay_millis.1),
        );
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mail = BTreeMap::new();
        Self {
            rng,
            now: Instant::ORIGIN,
            nodes: Vec::new(),
            mail,
            sent: 0,
            links: BTreeSet::new(),
            delay,
            loss,
        }
    }

    /// Adds a node that holds `classes`.
    fn join(&mut self, classes: Classes, config: Config) -> usize {
        let exchange = self.exchange(config).with_classes(classes);
        self.add(exchange)
    }

    fn exchange(&mut self, config: Config) -> Exchange<usize> {
        let seed = self.rng.next_u64();
        Exchange::new(self.nodes.len(), config, digits(), seed).unwrap()
    }

    fn add(&mut self, exchange: Exchange<usize>) -> usize {
        self.nodes.push(Node {
            exchange,
            wake_at: self.now,
            curve: Vec::new(),
            alone: 0.0,
            shared: Vec::new(),
            merged: Default::default(),
            held: Vec::new(),
        });
        self.nodes.len() - 1
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.links.insert((a, b));
        self.links.insert((b, a));
        for (at, peer) in [(a, b), (b, a)] {
            let delay = self.random_delay();
            self.post(at, delay, Input::PeerUp { peer });
        }
    }

    fn connect_all(&mut self) {
        for b in 0..self.nodes.len() {
            for a in 0..b {
                if !self.links.contains(&(a, b)) {
                    self.connect(a, b);
                }
            }
        }
    }

    fn disconnect(&mut self, a: usize) {
        self.links.retain(|&(from, to)| from != a && to != a);
        for b in 0..self.nodes.len() {
            if b != a {
                self.post(b, Duration::ZERO, Input::PeerDown { peer: a });
                self.post(a, Duration::ZERO, Input::PeerDown { peer: b });
            }
        }
    }

    fn random_delay(&mut self) -> Duration {
        let span = (self.delay.1 - self.delay.0).as_micros() as u64;
        self.delay.0 + Duration::from_micros(self.rng.next_u64() % (span + 1))
    }

    fn post(&mut self, to: usize, delay: Duration, input: Input<usize>) {
        self.sent += 1;
        self.mail.insert((self.now + delay, self.sent), (to, input));
    }

    /// Runs until `is_done`, at most `secs` of virtual time; says whether it was.
    fn run(&mut self, secs: u64, is_done: impl Fn(&[Node]) -> bool) -> bool {
        let end = self.now + Duration::from_secs(secs);
        while self.now <= end && !is_done(&self.nodes) {
            let mail = self.mail.keys().next().map_or(Instant::MAX, |&(at, _)| at);
            let wake = self
                .nodes
                .iter()
                .map(|node| node.wake_at)
                .min()
                .unwrap_or(Instant::MAX);
            let next = mail.min(wake);
            if next == Instant::MAX {
                return false;
            }
            assert!(next >= self.now, "time goes backward");
            self.now = next;
            if mail <= wake {
                let Some((_, (to, input))) = self.mail.pop_first() else {
                    return false;
                };
                self.handle(to, input);
            } else {
                let due = self
                    .nodes
                    .iter()
                    .position(|node| node.wake_at == wake)
                    .unwrap();
                self.handle(due, Input::Tick);
            }
        }
        is_done(&self.nodes)
    }

    /// Runs until every node has made `exchanges` more than the first of them has now; fails where that takes 300 s.
    fn go_on(&mut self, exchanges: usize) {
        let made = self.nodes.iter().map(|node| node.curve.len());
        let goal = made.max().unwrap() + exchanges;
        assert!(self.run(300, have(goal)), "{:?}", self.nodes[0].exchange);
    }

    /// Tells every node the same, now.
    fn tell_all(&mut self, input: impl Fn() -> Input<usize>) {
        for node in 0..self.nodes.len() {
            self.post(node, Duration::ZERO, input());
        }
    }

    fn handle(&mut self, at: usize, input: Input<usize>) {
        self.nodes[at].exchange.handle(self.now, input);
        loop {
            match self.nodes[at].exchange.poll_output() {
                Output::Share { round, bytes, .. } => self.broadcast(at, round, bytes),
                Output::Merged {
                    exchange,
                    round,
                    accuracy,
                    alone_accuracy,
                    peers,
                    ..
                } => {
                    assert!(peers > 0);
                    let node = &mut self.nodes[at];
                    node.merged = (round, node.exchange.model().parameters().to_vec());
                    node.curve.push(accuracy);
                    node.alone = alone_accuracy;
                    assert_eq!(exchange, node.curve.len() as u64);
                }
                Output::TrainedAlone { alone_accuracy } => self.nodes[at].alone = alone_accuracy,
                Output::Held { own, others } => self.nodes[at].held.push((self.now, own, others)),
                Output::Refused { .. } => {}
                Output::Idle { wake_at } => {
                    assert!(
                        wake_at > self.now,
                        "node {at} would spin: {:?}",
                        self.nodes[at].exchange
                    );
                    self.nodes[at].wake_at = wake_at;
                    return;
                }
            }
        }
    }

    fn broadcast(&mut self, from: usize, round: u64, bytes: Vec<u8>) {
        self.nodes[from].shared.push(bytes.len());
        let to: Vec<usize> = self
            .links
            .range((from, 0)..(from + 1, 0))
            .map(|&(_, to)| to)
            .collect();
        for to in to {
            if self.rng.next_u32() % 100 >= self.loss {
                let delay = self.random_delay();
                let author = from;
                let input = match parameters_from_bytes(&bytes) {
                    Ok(params) => Input::Weights {
                        author,
                        round,
                        params,
                    },
                    Err(_) => Input::Update {
                        author,
                        said: Timestamp::from_millis(self.now.as_micros() / 1000),
                        bytes: bytes.clone(),
                    },
                };
                self.post(to, delay, input);
            }
        }
    }
}

fn digits() -> Arc<Digits> {
    Arc::new(Digits::parse(include_bytes!("../../../www/digits.bin")).unwrap())
}

/// The 2 or 3 classes of node number `node`: four from a multiple of four cover all ten, the next four in other groups.
fn classes_for(node: u64) -> Classes {
    let group: &[u64] = [&[0, 1, 2][..], &[3, 4, 5], &[6, 7], &[8, 9]][(node % 4) as usize];
    // 3 and 7 are prime to 10: every multiplier and shift permutes the digits.
    let multiplier = [1, 3, 7, 9][(node / 4 % 4) as usize];
    let shift = node / 16 % 10;
    group
        .iter()
        .map(|class| ((class * multiplier + shift) % 10) as u8)
        .collect()
}

/// Four nodes that cover all ten classes: the groups, or the next ones.
fn four(seed: u64, network: &mut Network) {
    for node in 0..4 {
        network.join(classes_for(seed % 40 * 4 + node), Config::default());
    }
}

fn have(exchanges: usize) -> impl Fn(&[Node]) -> bool {
    move |nodes| nodes.iter().all(|node| node.curve.len() >= exchanges)
}

#[test]
fn four_nodes_with_two_or_three_classes_each_pass_92_percent_within_30_exchanges_and_alone_stay_under_40()
 {
    for seed in 0..6 {
        let mut network = Network::new(seed, (1, 30), 0);
        four(seed, &mut network);
        network.connect_all();
        assert!(network.run(120, have(60)), "seed {seed}");
        for (i, node) in network.nodes.iter().enumerate() {
            assert!(
                node.curve[29] > 0.92,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            assert!(
                node.curve[59] > 0.94,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            assert!(node.alone < 0.4, "seed {seed} node {i}: {}", node.alone);
            assert!(
                node.exchange.round() <= 70,
                "seed {seed} node {i}: {:?}",
                node.exchange
            );
        }
    }
}

#[test]
fn thirty_percent_loss_and_late_and_reordered_delivery_cost_time_but_not_accuracy() {
    for seed in 10..14 {
        let mut network = Network::new(seed, (5, 900), 30);
        four(seed, &mut network);
        network.connect_all();
        assert!(
            network.run(600, have(60)),
            "seed {seed}: {:?}",
            network.nodes[0].exchange
        );
        for (i, node) in network.nodes.iter().enumerate() {
            assert!(
                node.curve[59] > 0.9,
                "seed {seed} node {i}: {:?}",
                node.curve
            );
            // What is lost is stood in for: nobody forgets what its author knows.
            let lowest = node.curve[40..60].iter().copied().fold(1.0, f32::min);
            assert!(lowest > 0.85, "seed {seed} node {i}: {:?}", node.curve);
        }
    }
}

#[test]
fn a_node_that_joins_late_takes_over_what_the_others_know() {
    for seed in 20..24 {
        let mut network = Network::new(seed, (5, 60), 0);
        four(seed, &mut network);
        network.connect_all();
        assert!(network.run(120, have(40)), "seed {seed}");
        let late = network.join(classes_for(seed), Config::default());
        network.connect_all();
        assert!(
            network.run(60, |nodes| nodes[late].curve.len() >= 10),
            "seed {seed}"
        );
        assert!(
            network.nodes[late].curve[0] > 0.9,
            "seed {seed}: {:?}",
            network.nodes[late].curve
        );
        let rounds: Vec<u64> = network
            .nodes
            .iter()
            .map(|node| node.exchange.round())
            .collect();
        assert!(
            rounds.iter().max().unwrap() - rounds.iter().min().unwrap() <= 2,
            "seed {seed}: {rounds:?}"
        );
        for node in &network.nodes {
            assert!(
                node.curve[node.curve.len() - 8..]
                    .iter()
                    .all(|&accuracy| accuracy > 0.88),
                "{:?}",
                node.curve
            );
        }
    }
}

#[test]
fn tabs_opened_one_after_another_with_time_alone_still_learn() {
    for seed in 30..34 {
        let mut network = Network::new(seed, (5, 60), 0);
        for node in 0..4 {
            network.join(classes_for(seed * 4 + node), Config::default());
            network.connect_all();
            network.run(5, |_| false);
        }
        assert!(network.run(120, have(60)), "seed {seed}");
        for (i, node) in network.nodes.iter().enumerate() {
            let since_all = node.curve.len() - network.nodes[3].curve.len();
            let curve = &node.curve[since_all..];
            assert!(curve[59] > 0.9, "seed {seed} node {i}: {curve:?}");
            assert!(node.alone < 0.4);
        }
    }
}

#[test]
fn nodes_that_came_one_after_another_go_through_their_rounds_side_by_side() {
    for seed in 80..84 {
        let mut network = Network::new(seed, (5, 60), 0);
        for node in 0..5 {
            network.join(classes_for(seed * 4 + node), Config::default());
            network.connect_all();
            network.run(3, |_| false);
        }
        let before: Vec<usize> = network.nodes.iter().map(|node| node.curve.len()).collect();
        network.run(6, |_| false);
        // Every 250 ms and the time of the messages. Past each other, each would wait for all the others in turn.
        for (node, before) in network.nodes.iter().zip(before) {
            let made = node.curve.len() - before;
            assert!(made >= 15, "seed {seed}: {made} in 6 s");
        }
    }
}

#[test]
fn a_vanished_a_silent_and_a_returning_neighbour_hold_nobody_up_for_long() {
    let mut network = Network::new(40, (5, 60), 0);
    four(40, &mut network);
    network.connect_all();
    assert!(network.run(60, have(10)));
    // Silent: connected, but shares nothing, as a relay does.
    network.tell_all(|| Input::PeerUp { peer: 99 });
    let before = network.now;
    assert!(network.run(60, have(20)));
    let took = network.now.saturating_duration_since(before);
    assert!(took < Duration::from_secs(8), "{took:?}");
    // Gone: the others go on, and it goes on with them when it is back.
    network.disconnect(3);
    assert!(network.run(60, |nodes| have(40)(&nodes[..3])));
    let kept = network.nodes[3].curve.clone();
    assert!(
        kept.len() <= 22,
        "no exchange without neighbours: {}",
        kept.len()
    );
    network.connect_all();
    assert!(network.run(60, |nodes| nodes[3].curve.len() >= kept.len() + 10));
    let rounds: Vec<u64> = network
        .nodes
        .iter()
        .map(|node| node.exchange.round())
        .collect();
    assert!(
        rounds.iter().max().unwrap() - rounds.iter().min().unwrap() <= 2,
        "{rounds:?}"
    );
    assert!(network.run(60, have(60)));
    for node in &network.nodes {
        assert!(*node.curve.last().unwrap() > 0.9, "{:?}", node.curve);
    }
}

#[test]
fn eight_nodes_in_a_ring_learn_all_ten_classes() {
    let mut network = Network::new(50, (5, 60), 0);
    for node in 0..8 {
        network.join(classes_for(node), Config::default());
    }
    for node in 0..8 {
        network.connect(node, (node + 1) % 8);
    }
    assert!(network.run(300, have(100)));
    let worst = network
        .nodes
        .iter()
        .map(|node| node.curve[99])
        .fold(1.0, f32::min);
    assert!(worst > 0.8, "{worst}");
}

#[test]
fn the_same_seed_gives_the_same_curves() {
    let curves = || {
        let mut network = Network::new(60, (1, 500), 20);
        four(60, &mut network);
        network.connect_all();
        assert!(network.run(60, have(5)));
        network
            .nodes
            .iter()
            .map(|node| node.curve.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(curves(), curves());
}

#[test]
fn hostile_weights_are_refused_counted_and_bounded() {
    let config = Config {
        max_neighbours: 4,
        ..Config::default()
    };
    let mut exchange = Exchange::new(0u32, config, digits(), 1)
        .unwrap()
        .with_classes(classes_for(0));
    let now = Instant::from_micros(1);
    let honest = Mlp::new(Config::default().init_seed).parameters().to_vec();
    let send = |exchange: &mut Exchange<u32>, author, round, params: &[f32]| {
        exchange.handle(
            now,
            Input::Weights {
                author,
                round,
                params: params.to_vec(),
            },
        );
        let mut refused = 0;
        loop {
            match exchange.poll_output() {
                Output::Idle { .. } => return refused,
                Output::Refused { .. } => refused += 1,
                _ => {}
            }
        }
    };
    let mut poisoned = honest.clone();
    poisoned[4000] = f32::NAN;
    let huge: Vec<f32> = honest.iter().map(|parameter| parameter * 1e30).collect();
    assert_eq!(send(&mut exchange, 1, 0, &poisoned), 1);
    assert_eq!(send(&mut exchange, 1, 0, &huge), 1);
    assert_eq!(send(&mut exchange, 1, 0, &honest[1..]), 1);
    assert_eq!(send(&mut exchange, 1, 0, &[]), 1);
    assert_eq!(send(&mut exchange, 1, u64::MAX, &honest), 1);
    assert_eq!(exchange.dropped().refused, 5);
    // The node's own share, echoed by gossip.
    assert_eq!(send(&mut exchange, 0, 0, &honest), 0);
    // Twice the same round; then ever newer ones: two are held.
    for round in [0, 0, 1, 2, 3, 4] {
        assert_eq!(send(&mut exchange, 1, round, &honest), 0);
    }
    assert_eq!(exchange.dropped().duplicate, 1);
    // More authors than are held.
    for author in 2..100 {
        send(&mut exchange, author, 0, &honest);
    }
    assert_eq!(exchange.dropped().full, 95);
    assert_eq!(exchange.exchanges(), 0, "none of them is a neighbour");
    // A neighbour takes the place of a stranger.
    exchange.handle(now, Input::PeerUp { peer: 1000 });
    send(&mut exchange, 1000, 0, &honest);
    assert_eq!(exchange.exchanges(), 1);
    assert!(exchange.model().accuracy(&digits().test) <= 1.0);
}

#[test]
fn a_liar_with_a_far_round_moves_the_numbers_but_stops_nobody() {
    let mut network = Network::new(70, (5, 60), 0);
    four(70, &mut network);
    network.connect_all();
    network.tell_all(|| Input::PeerUp { peer: 99 });
    for turn in 0..20u64 {
        assert!(network.run(60, have(turn as usize * 3)));
        let params = Mlp::new(turn).parameters().to_vec();
        network.post(
            turn as usize % 4,
            Duration::ZERO,
            Input::Weights {
                author: 99,
                round: turn << 32,
                params,
            },
        );
    }
    network.tell_all(|| Input::PeerDown { peer: 99 });
    network.go_on(30);
    for node in &network.nodes {
        assert!(*node.curve.last().unwrap() > 0.9, "{:?}", node.curve);
    }
}
