use alloc::vec::Vec;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::learner::classes::CLASSES;

/// Nodes in rounds: each says what it holds, some of it is lost, each reconsiders.
struct Rounds {
    nodes: BTreeMap<u8, Holdings<u8>>,
    round: u64,
    /// Changes so far, by node and in their order.
    changed: Vec<(u64, u8)>,
}

const CLAIM_FOR: Duration = Duration::from_secs(30);

impl Rounds {
    /// Nodes that are connected to each other and hold what `hold` makes them.
    fn new(ids: impl IntoIterator<Item = u8>, hold: impl Fn(u8, &mut Holdings<u8>)) -> Self {
        let ids: BTreeSet<u8> = ids.into_iter().collect();
        let node = |&me: &u8| {
            let mut node = Holdings::new(me, u64::from(me), CLAIM_FOR, 32);
            ids.iter().for_each(|&peer| {
                node.on_up(peer);
            });
            hold(me, &mut node);
            (me, node)
        };
        Self {
            nodes: ids.iter().map(node).collect(),
            round: 0,
            changed: Vec::new(),
        }
    }

    /// One round; `is_heard(from, to)` says what arrives.
    fn step(&mut self, mut is_heard: impl FnMut(u8, u8) -> bool) {
        self.round += 1;
        let now = Instant::from_micros(self.round * 250_000);
        let said = Timestamp::from_millis(self.round);
        let claims: Vec<(u8, Classes)> = self.nodes.iter().map(|(&id, n)| (id, n.own())).collect();
        for (from, classes) in claims {
            for (&to, node) in &mut self.nodes {
                if is_heard(from, to) {
                    node.on_claim(now, from, said, Some(classes));
                }
            }
        }
        for (&id, node) in &mut self.nodes {
            let before = node.own();
            if node.reconsider() {
                assert!(node.own() != before);
                self.changed.push((self.round, id));
            }
            let held = node.own().len();
            assert!(node.is_given || (1..=MOST_HELD).contains(&held), "{held}");
        }
    }

    /// Rounds without loss until as many classes as can be are held. Returns how many it took.
    fn settle(&mut self) -> u64 {
        let goal = (self.nodes.len() * MOST_HELD).min(usize::from(CLASSES));
        let start = self.round;
        while self.held().len() < goal {
            self.step(|_, _| true);
            assert!(self.round - start <= 64, "{self:?}");
        }
        self.round - start
    }

    fn held(&self) -> Classes {
        self.nodes
            .values()
            .map(Holdings::own)
            .fold(Classes::default(), Classes::union)
    }

    fn leave(&mut self, id: u8) {
        self.nodes.remove(&id);
        self.nodes.values_mut().for_each(|node| node.on_down(id));
    }
}

impl core::fmt::Debug for Rounds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map()
            .entries(self.nodes.iter().map(|(id, node)| (id, node.own().bits())))
            .finish()
    }
}

fn held(classes: impl IntoIterator<Item = u8>) -> impl Fn(u8, &mut Holdings<u8>) {
    let classes: Classes = classes.into_iter().collect();
    move |_, node| node.own = classes
}

fn set() -> impl Strategy<Value = Classes> {
    btree_set(0..CLASSES, 1..=MOST_HELD).prop_map(|set| set.into_iter().collect())
}

/// Up to twelve nodes, each with some classes of its own.
fn nodes(
    count: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = BTreeMap<u8, Classes>> {
    prop::collection::btree_map(any::<u8>(), set(), count)
}

fn start(nodes: &BTreeMap<u8, Classes>) -> Rounds {
    Rounds::new(nodes.keys().copied(), |id, node| node.own = nodes[&id])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_four_to_twelve_nodes_start_with_they_hold_all_ten_within_16_rounds_and_then_nobody_changes(
        nodes in nodes(4..=12),
    ) {
        let mut rounds = start(&nodes);
        let took = rounds.settle();
        // At most seven classes are missing; each change takes two rounds and covers one of them or more.
        prop_assert!(took <= 16, "{} rounds: {:?}", took, rounds.changed);
        for pair in rounds.changed.windows(2) {
            prop_assert!(pair[0].0 < pair[1].0, "two at once: {:?}", rounds.changed);
        }
        let before = rounds.changed.len();
        (0..40).for_each(|_| rounds.step(|_, _| true));
        prop_assert_eq!(rounds.changed.len(), before);
    }

    #[test]
    fn one_to_three_nodes_end_with_three_classes_each_and_none_twice(nodes in nodes(1..=3)) {
        let mut rounds = start(&nodes);
        prop_assert!(rounds.settle() <= 16);
        let before = rounds.changed.len();
        (0..40).for_each(|_| rounds.step(|_, _| true));
        prop_assert_eq!(rounds.changed.len(), before);
    }

    #[test]
    fn when_nodes_leave_others_take_over_what_only_they_held(
        nodes in nodes(5..=12),
        leaving in vec(any::<prop::sample::Index>(), 1..=3),
    ) {
        let mut rounds = start(&nodes);
        rounds.settle();
        for index in leaving {
            let ids: Vec<u8> = rounds.nodes.keys().copied().collect();
            rounds.leave(*index.get(&ids));
            prop_assert!(rounds.settle() <= 40, "{:?}", rounds.changed);
        }
    }

    #[test]
    fn lost_and_late_news_cost_rounds_but_no_class(
        nodes in nodes(4..=12),
        losses in vec(any::<u8>(), 64..256),
    ) {
        let mut rounds = start(&nodes);
        let mut turn = 0;
        for _ in 0..60 {
            // A third is lost.
            rounds.step(|from, to| {
                turn += 1;
                from == to || losses[turn % losses.len()] > 85
            });
        }
        rounds.settle();
        let before = rounds.changed.len();
        (0..40).for_each(|_| rounds.step(|_, _| true));
        prop_assert_eq!(rounds.changed.len(), before);
    }

    #[test]
    fn nodes_that_see_only_some_of_the_others_hold_all_ten_too(
        nodes in nodes(10..=12),
        pairs in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
    ) {
        // As where each keeps eight connections.
        let mut rounds = start(&nodes);
        let ids: Vec<u8> = nodes.keys().copied().collect();
        for (a, b) in pairs {
            let (a, b) = (*a.get(&ids), *b.get(&ids));
            let has_many = |id: u8| rounds.nodes[&id].connected.len() > 8;
            if has_many(a) && has_many(b) {
                rounds.nodes.get_mut(&a).unwrap().on_down(b);
                rounds.nodes.get_mut(&b).unwrap().on_down(a);
            }
        }
        // A node may add what is held where it does not see it: more changes than are needed, and slower, but an end.
        for _ in 0..120 {
            rounds.step(|_, _| true);
        }
        prop_assert_eq!(rounds.held(), Classes::ALL);
        let before = rounds.changed.len();
        (0..40).for_each(|_| rounds.step(|_, _| true));
        prop_assert_eq!(rounds.changed.len(), before);
    }

    #[test]
    fn nodes_that_choose_at_the_same_time_and_see_each_other_need_no_change(
        ids in btree_set(any::<u8>(), 1..=12),
    ) {
        let mut rounds = Rounds::new(ids.clone(), |_, node| node.choose());
        prop_assert_eq!(rounds.held().len(), (ids.len() * MOST_HELD).min(10));
        (0..20).for_each(|_| rounds.step(|_, _| true));
        prop_assert!(rounds.changed.is_empty());
    }

    #[test]
    fn nodes_that_choose_before_they_see_anybody_end_with_all_ten(seeds in vec(any::<u64>(), 4..=12)) {
        let mut rounds = Rounds::new(0..seeds.len() as u8, |id, node| {
            let seed = seeds[usize::from(id)];
            let mut alone = Holdings::new(id, seed, CLAIM_FOR, 32);
            alone.choose();
            node.own = alone.own();
        });
        prop_assert!(rounds.settle() <= 16);
    }
}

#[test]
fn a_node_that_comes_later_takes_what_the_others_lack() {
    for seed in 0..20 {
        let mut sets: Vec<Classes> = Vec::new();
        for me in 0..4u8 {
            let mut node = Holdings::new(me, seed * 7 + u64::from(me), CLAIM_FOR, 32);
            for (peer, &classes) in (0..).zip(&sets) {
                node.on_claim(Instant::ORIGIN, peer, Timestamp::UNIX_EPOCH, Some(classes));
                node.on_up(peer);
            }
            node.choose();
            sets.push(node.own());
        }
        let held = sets
            .iter()
            .copied()
            .fold(Classes::default(), Classes::union);
        assert_eq!(held, Classes::ALL, "{sets:?}");
    }
}

#[test]
fn given_classes_are_never_changed_and_hold_up_the_others_for_a_while_only() {
    // The three lowest ids would have to change first, and do not.
    let mut rounds = Rounds::new(0..5, |id, node| match id {
        0..3 => node.give([0, 1].into_iter().collect()),
        _ => node.own = [0, 1, 2].into_iter().collect(),
    });
    for _ in 0..40 {
        rounds.step(|_, _| true);
    }
    for id in 0..3 {
        assert_eq!(rounds.nodes[&id].own(), [0, 1].into_iter().collect());
    }
    assert_eq!(rounds.held().len(), 8, "two that may change cover six more");
    assert!(
        rounds.changed.iter().all(|&(round, _)| round <= 24),
        "{:?}",
        rounds.changed
    );
}

#[test]
fn a_node_that_holds_nothing_yet_or_all_there_is_leaves_things_as_they_are() {
    let mut rounds = Rounds::new([1], held([]));
    assert!(!rounds.nodes.get_mut(&1).unwrap().reconsider());
    let mut rounds = Rounds::new(0..4, |id, node| match id {
        0 => node.give(Classes::ALL),
        _ => node.own = [u8::from(id > 1), 2, 3].into_iter().collect(),
    });
    // It claims more than a node takes: it is shown, but the three go on to cover what they can.
    for _ in 0..40 {
        rounds.step(|_, _| true);
    }
    let node = &rounds.nodes[&1];
    assert_eq!(node.others(), Classes::ALL);
    let three: Vec<Classes> = (1..4).map(|id| rounds.nodes[&id].own()).collect();
    assert_eq!(
        three
            .into_iter()
            .fold(Classes::default(), Classes::union)
            .len(),
        9
    );
}

#[test]
fn a_liar_that_says_something_else_each_time_moves_a_node_ever_less_often() {
    let mut node = Holdings::new(5, 0, CLAIM_FOR, 32);
    node.on_up(1);
    node.own = [0, 1, 2].into_iter().collect();
    let mut changes = Vec::new();
    for round in 0..1000u64 {
        let now = Instant::from_micros(round * 250_000);
        // Whatever the node holds, the liar says that it holds it too.
        node.on_claim(now, 1, Timestamp::from_millis(round), Some(node.own()));
        if node.reconsider() {
            changes.push(round);
        }
    }
    assert!(changes.len() <= 24, "{changes:?}");
    assert!(
        changes
            .windows(2)
            .skip(8)
            .all(|pair| pair[1] - pair[0] > 60),
        "{changes:?}"
    );
}

#[test]
fn a_claim_counts_while_its_peer_is_connected_and_for_a_while_only() {
    let (one, two) = (Classes::from_iter([1]), Classes::from_iter([2]));
    let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
    let said = Timestamp::from_millis;
    let mut node = Holdings::new(5, 0, CLAIM_FOR, 32);
    node.on_claim(at(0), 1, said(10), Some(one));
    assert!(node.others().is_empty(), "not connected");
    assert!(!node.have_all_said(), "nobody is connected");
    node.on_up(1);
    assert_eq!(node.others(), one);
    assert!(node.have_all_said());
    // Packets may arrive in another order than they were made in.
    node.on_claim(at(1), 1, said(12), Some(two));
    node.on_claim(at(1), 1, said(11), Some(one));
    assert_eq!(node.others(), two);
    assert_eq!(node.lapses_at(), at(31));
    node.on_time(at(30));
    assert_eq!(node.others(), two);
    node.on_time(at(31));
    assert!(node.others().is_empty());
    assert!(!node.have_all_said());
    assert_eq!(node.lapses_at(), Instant::MAX);
    // What cannot be understood is unknown, and its own echo is nobody's claim.
    node.on_claim(at(32), 1, said(13), Some(two));
    node.on_claim(at(32), 1, said(14), None);
    node.on_up(5);
    node.on_claim(at(32), 5, said(14), Some(one));
    assert!(node.others().is_empty());
    node.on_claim(at(32), 1, said(15), Some(two));
    node.on_down(1);
    node.on_up(1);
    assert!(node.others().is_empty(), "what left is forgotten");
}

#[test]
fn claims_of_strangers_are_bounded_and_make_room_for_those_of_neighbours() {
    let mut node = Holdings::new(0u32, 0, CLAIM_FOR, 4);
    let one = Some(Classes::from_iter([1]));
    for stranger in 1..1000 {
        node.on_claim(Instant::ORIGIN, stranger, Timestamp::UNIX_EPOCH, one);
    }
    assert!(node.claims.len() <= 4);
    for neighbour in 2000..2004 {
        assert!(node.on_up(neighbour));
        node.on_claim(Instant::ORIGIN, neighbour, Timestamp::UNIX_EPOCH, one);
    }
    assert!(!node.on_up(3000), "full");
    assert!(node.on_up(2000), "known");
    assert!(node.have_all_said());
    node.on_claim(Instant::ORIGIN, 1, Timestamp::UNIX_EPOCH, one);
    assert_eq!((node.claims.len(), node.connected.len()), (4, 4));
    assert!(node.have_all_said());
}
