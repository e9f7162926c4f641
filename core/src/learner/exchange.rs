//! Aligned rounds among neighbours: train a little, share the weights, wait for the neighbours' weights of the round,
//! merge, evaluate. Does no IO and reads no clock.
//!
//! Every node runs its own rounds; the number in a share aligns them. A neighbour that misses the deadline is not
//! waited for until it shares again; its last model stands in for it for a while, so that a message lost costs no class. A
//! node that comes late takes over the model of those ahead of it and joins their round. Without neighbours a node makes no exchange: its merged model rests, so that it forgets nothing
//! of what it learned from others, and only the second model, trained on its own digits alone, goes on.
//!
//! What is shared is an [`Update`](crate::learner::Update): the quantised difference to the model that the round started
//! from, which nodes that merged the same set hold to the bit, or to the network's first model where somebody is out of
//! step. What it leaves out goes out later, and momentum costs nothing: who merges the same set repeats the same change.
//!
//! Which digits are its own a node chooses once it knows what the others hold, or after a bounded time, and it may
//! change them after an exchange where digits are missing in the mesh (see `holding`). The model trained alone then
//! starts again, so that it never knows more digits than its node holds; the merged model stays as it is.
//!
//! In [private mode](Config::privacy) what is shared depends on this node's samples only through steps that a
//! [`Privatise`] made, and once it makes no more the node goes on sharing and merging what it has. The model trained alone
//! learns openly, and stays here.
//!
//! What it does not do: it trusts no one and verifies no signature (a packet's author is checked before), and it does
//! not defend the merge against well-formed lies; that is [`Merge`]'s work.

mod io;
mod neighbour;
mod order;
mod outgoing;
mod receive;
mod shard;
mod train;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use io::{Dropped, Input, Output, Refusal};
use neighbour::{Neighbour, Shared};
use order::Order;
pub(super) use outgoing::Outgoing;

use crate::bounds::RangeError;
use crate::learner::classes::Classes;
use crate::learner::config::Config;
use crate::learner::digits::{Digits, Sample};
use crate::learner::holding::Holdings;
use crate::learner::merge::{Average, Contribution, Merge};
use crate::learner::mlp::Mlp;
use crate::learner::private::Privatise;
use crate::time::Instant;

/// The exchange of one node.
pub struct Exchange<P> {
    me: P,
    config: Config,
    rule: Box<dyn Merge<P> + Send>,
    digits: Arc<Digits>,
    holdings: Holdings<P>,
    /// What was last told of `holdings`.
    told: (Classes, Classes),
    seed: u64,
    /// The training samples of the classes held.
    shard: Vec<Sample>,
    model: Mlp,
    alone: Mlp,
    order: Order,
    /// What of this round goes out.
    outgoing: Outgoing,
    round: u64,
    exchanges: u64,
    alone_turns: u64,
    /// ε that the shared models have spent; none was told where training is not private.
    epsilon: Option<f64>,
    phase: Phase,
    is_paused: bool,
    neighbours: BTreeMap<P, Neighbour>,
    outputs: VecDeque<Output<P>>,
    dropped: Dropped,
}

impl<P: Copy + Ord> Exchange<P> {
    /// Creates the exchange of node `me`, which will choose its classes among `digits`. `seed` orders its training
    /// samples, and decides what it chooses where it knows of nobody; the first model comes from the network-wide
    /// `config.init_seed`.
    ///
    /// # Errors
    /// [`RangeError`] where a setting is out of its range.
    pub fn new(me: P, config: Config, digits: Arc<Digits>, seed: u64) -> Result<Self, RangeError> {
        config.validate()?;
        let first = Mlp::new(config.init_seed);
        let outgoing = Outgoing::new(&first);
        // Every model is in whole units, the first one too.
        let mut model = first.clone();
        let rounded = model.set_parameters(&outgoing.base());
        debug_assert!(rounded.is_ok(), "as the model that was rounded");
        Ok(Self {
            me,
            rule: Box::new(Average),
            holdings: Holdings::new(me, seed, config.claim_for, config.max_neighbours),
            told: Default::default(),
            seed,
            shard: Vec::new(),
            order: Order::new(0, seed),
            outgoing,
            alone: first,
            model,
            config,
            digits,
            round: 0,
            exchanges: 0,
            alone_turns: 0,
            epsilon: None,
            phase: Phase::UNCHOSEN,
            is_paused: false,
            neighbours: BTreeMap::new(),
            outputs: VecDeque::new(),
            dropped: Dropped::default(),
        })
    }

    /// Gives the node its classes: it neither chooses nor ever changes them.
    pub fn with_classes(mut self, classes: Classes) -> Self {
        self.holdings.give(classes);
        self.start_shard();
        self.phase = Phase::Resting {
            until: Instant::ORIGIN,
        };
        self
    }

    /// Puts another rule in the place of plain averaging.
    pub fn with_rule(mut self, rule: impl Merge<P> + Send + 'static) -> Self {
        self.rule = Box::new(rule);
        self
    }

    /// Returns the merged model.
    pub fn model(&self) -> &Mlp {
        &self.model
    }

    /// Returns the model that only this node's own digits have taught.
    pub fn alone(&self) -> &Mlp {
        &self.alone
    }

    /// Returns the classes that this node trains on; none before it has chosen.
    pub fn classes(&self) -> Classes {
        self.holdings.own()
    }

    /// Returns the current round.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Returns the number of exchanges done.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Returns what was not merged so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Takes one input. Never fails; a call trains at most once: 2 × `steps` × `batch` samples and two evaluations,
    /// 2.2 ms natively with the defaults (release build, from its parts); not measured in a browser.
    pub fn handle(&mut self, now: Instant, input: Input<P>) {
        self.handle_with(now, input, None);
    }

    /// As [`Exchange::handle`] in [private mode](Config::privacy): `privatise` makes the steps of training and says when
    /// none is paid. The mode needs both: where one is without the other, the model that is shared is not trained.
    /// Costs a gradient and a clipping for each example taken, and the noise.
    pub fn handle_with(
        &mut self,
        now: Instant,
        input: Input<P>,
        privatise: Option<&mut dyn Privatise>,
    ) {
        self.holdings.on_time(now);
        match input {
            Input::PeerUp { peer } => self.on_peer_up(now, peer),
            Input::PeerDown { peer } => {
                self.holdings.on_down(peer);
                self.neighbours.remove(&peer);
            }
            Input::Nobody => self.on_nobody(now),
            Input::Claim {
                author,
                said,
                classes,
            } => self.holdings.on_claim(now, author, said, classes),
            Input::Update {
                author,
                said,
                bytes,
            } => self.on_update(now, author, said, &bytes),
            Input::Weights {
                author,
                round,
                params,
            } => self.on_weights(now, author, round, params),
            Input::Pause => self.on_pause(),
            Input::Resume => self.on_resume(now),
            Input::Tick => {}
        }
        if !self.is_paused {
            self.advance(now, privatise);
        }
        self.tell();
    }

    /// Returns what to do next; [`Output::Idle`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output<P> {
        self.outputs.pop_front().unwrap_or(Output::Idle {
            wake_at: self.wake_at().min(self.holdings.lapses_at()),
        })
    }

    fn on_peer_up(&mut self, now: Instant, peer: P) {
        if !self.holdings.on_up(peer) {
            self.dropped.full += u64::from(peer != self.me);
            return;
        }
        if !self.is_paused {
            self.on_neighbour(now, peer);
        }
    }

    fn on_neighbour(&mut self, now: Instant, peer: P) {
        let is_first = !self.is_accompanied();
        if !self.make_room(peer, true) {
            self.dropped.full += 1;
            return;
        }
        let neighbour = self.neighbours.entry(peer).or_default();
        if neighbour.is_connected {
            return;
        }
        neighbour.is_connected = true;
        neighbour.is_awaited = true;
        // What was shared before the peer came did not reach it.
        match &mut self.phase {
            Phase::Choosing { quiet_at, .. } => *quiet_at = now + self.config.choose_after,
            Phase::Resting { until } if is_first => *until = (*until).min(now),
            Phase::Resting { .. } => {}
            Phase::Waiting { since, reshare_at } => {
                *reshare_at = now;
                if is_first {
                    *since = now;
                }
            }
        }
    }

    /// Makes room for `peer` among the neighbours held: one that is connected takes the place of one that is not.
    fn make_room(&mut self, peer: P, is_connected: bool) -> bool {
        if self.neighbours.contains_key(&peer) || self.neighbours.len() < self.config.max_neighbours
        {
            return true;
        }
        let stranger = self
            .neighbours
            .iter()
            .find(|(_, neighbour)| !neighbour.is_connected)
            .map(|(&peer, _)| peer);
        match stranger {
            Some(stranger) if is_connected => self.neighbours.remove(&stranger).is_some(),
            _ => false,
        }
    }

    fn advance(&mut self, now: Instant, privatise: Option<&mut dyn Privatise>) {
        if let Phase::Choosing { until, quiet_at } = self.phase {
            self.await_news(now, until, quiet_at);
        }
        match self.phase {
            Phase::Choosing { .. } => {}
            Phase::Resting { until } if now >= until => {
                if self.is_accompanied() {
                    self.start_round(now, privatise);
                } else if self.alone_turns < ALONE_TURNS {
                    self.train_alone(now);
                }
            }
            Phase::Resting { .. } => {}
            Phase::Waiting { since, reshare_at } => {
                let is_due = now >= since + self.config.deadline;
                if self.is_accompanied()
                    && self.has_contribution()
                    && (is_due || self.is_complete())
                {
                    self.merge(now);
                } else if self.is_accompanied() && now >= reshare_at {
                    self.share();
                    self.phase = Phase::Waiting {
                        since,
                        reshare_at: now + self.config.reshare,
                    };
                }
            }
        }
    }

    fn merge(&mut self, now: Instant) {
        let round = self.round;
        let (models, is_in_step) = self.models();
        let mut contributions: Vec<Contribution<'_, P>> = models
            .iter()
            .map(|(author, round, params)| Contribution {
                author: *author,
                round: *round,
                params,
            })
            .collect();
        let peers = contributions.len();
        let latest = contributions
            .iter()
            .map(|contribution| contribution.round)
            .max()
            .unwrap_or(round);

        // Those further ahead than one message's travel time are in another part of the curve.
        let is_newcomer = self.exchanges == 0;
        let ahead: Vec<Contribution<'_, P>> = contributions
            .iter()
            .filter(|other| other.round >= round + if is_newcomer { 1 } else { BEHIND })
            .copied()
            .collect();
        let takes_over = if is_newcomer {
            !ahead.is_empty()
        } else {
            ahead.len() * 2 > peers
        };
        let merged = match ahead.split_first() {
            Some((first, others)) if takes_over => self.rule.merge(first.params, others),
            _ => {
                let late = self.neighbours.iter().filter_map(|(author, neighbour)| {
                    let (shared, params) = neighbour.late(round)?;
                    Some(Contribution {
                        author: *author,
                        round: shared,
                        params,
                    })
                });
                contributions.extend(late);
                contributions.sort_unstable_by_key(|contribution| contribution.author);
                self.rule.merge(self.outgoing.model(), &contributions)
            }
        };
        for (author, round, params) in models {
            if let Some(neighbour) = self.neighbours.get_mut(&author) {
                neighbour.last = Some((round, params));
            }
        }
        // Everybody in step has merged the same set, and so knows how the model moves. Plain weights are never in step.
        let is_carried = (is_in_step || self.config.is_plain) && !takes_over;
        self.outgoing
            .adopt(&merged, is_carried.then_some(self.config.momentum));
        if takes_over {
            self.outgoing.forget();
        }
        self.restore();

        // In step with those furthest ahead, who wait for this node's share of their round. Past them, they would go past
        // it in turn, and no two nodes would ever be in one round.
        self.round = latest.max(round + 1);
        self.exchanges += 1;
        self.forget();
        let settled = self.exchanges >= self.config.settled_after;
        let pause = if settled {
            self.config.settled_interval
        } else {
            self.config.interval
        };
        self.phase = Phase::Resting { until: now + pause };
        self.push(Output::Merged {
            exchange: self.exchanges,
            round,
            accuracy: self.model.accuracy(&self.digits.test),
            alone_accuracy: self.alone.accuracy(&self.digits.test),
            peers,
            epsilon: self.epsilon,
        });
        if self.holdings.reconsider() {
            self.start_shard();
        }
    }

    /// Returns what the neighbours have shared in this round or a later one as models, and notes who will have merged the
    /// same as this node: where all were told whole, everybody; where there are differences, those that share the base.
    fn models(&mut self) -> (Vec<(P, u64, Vec<f32>)>, bool) {
        let mut models = Vec::new();
        let mut are_all_whole = self.outgoing.is_whole();
        let mut is_in_step = true;
        for (&author, neighbour) in &self.neighbours {
            let share = neighbour.oldest_since(self.round);
            if let (Some((round, shared)), true) = (share, neighbour.is_connected) {
                are_all_whole &= shared.is_whole();
                is_in_step &= round == self.round && self.outgoing.is_base_of(shared);
                match self.outgoing.read(shared) {
                    Ok(params) => models.push((author, round, params)),
                    Err(_) => self.dropped.unknown += 1,
                }
            }
        }
        for neighbour in self.neighbours.values_mut() {
            neighbour.is_behind = false;
            let share = neighbour.oldest_since(self.round);
            neighbour.is_in_step = share.is_some_and(|(round, shared)| {
                round == self.round && (are_all_whole || self.outgoing.is_base_of(shared))
            });
        }
        (models, is_in_step)
    }

    /// Puts the model that was merged last in the place of the trained one.
    fn restore(&mut self) {
        let restored = self.model.set_parameters(&self.outgoing.base());
        debug_assert!(restored.is_ok(), "checked before");
    }

    /// Lets go of what the next round cannot use, and stops waiting for who missed this one.
    fn forget(&mut self) {
        let round = self.round;
        for neighbour in self.neighbours.values_mut() {
            neighbour.is_awaited &= !neighbour.held.is_empty();
            neighbour.held.retain(|(held, _)| *held >= round);
        }
        self.neighbours
            .retain(|_, neighbour| neighbour.is_connected || !neighbour.held.is_empty());
    }

    fn share(&mut self) {
        let bytes = self
            .outgoing
            .bytes(self.round, self.holdings.own(), self.is_in_step());
        self.push(Output::Share {
            round: self.round,
            classes: self.holdings.own(),
            bytes,
            params: self.outgoing.model().to_vec(),
        });
    }

    /// Says whether all who are waited for hold the model that this round started from.
    fn is_in_step(&self) -> bool {
        let is_apart = |neighbour: &Neighbour| {
            let is_expected = neighbour.is_awaited && !neighbour.is_in_step;
            neighbour.is_connected && (is_expected || neighbour.is_behind)
        };
        !self.neighbours.values().any(is_apart)
    }

    fn push(&mut self, output: Output<P>) {
        if self.outputs.len() >= MAX_OUTPUTS {
            self.outputs.pop_front();
            self.dropped.outputs += 1;
        }
        self.outputs.push_back(output);
    }

    fn wake_at(&self) -> Instant {
        let is_accompanied = self.is_accompanied();
        if self.is_paused {
            return Instant::MAX;
        }
        match self.phase {
            Phase::Choosing { until, quiet_at } => self.choose_at(until, quiet_at),
            Phase::Resting { until } if is_accompanied || self.alone_turns < ALONE_TURNS => until,
            Phase::Waiting { since, reshare_at } if is_accompanied => {
                if self.has_contribution() {
                    reshare_at.min(since + self.config.deadline)
                } else {
                    reshare_at
                }
            }
            Phase::Resting { .. } | Phase::Waiting { .. } => Instant::MAX,
        }
    }

    fn is_accompanied(&self) -> bool {
        self.neighbours
            .values()
            .any(|neighbour| neighbour.is_connected)
    }

    fn has_contribution(&self) -> bool {
        let has = |neighbour: &Neighbour| {
            neighbour.is_connected && neighbour.oldest_since(self.round).is_some()
        };
        self.neighbours.values().any(has)
    }

    /// Says whether every neighbour that is waited for has shared this round or a later one.
    fn is_complete(&self) -> bool {
        let is_missing = |neighbour: &Neighbour| {
            neighbour.is_connected
                && neighbour.is_awaited
                && neighbour.oldest_since(self.round).is_none()
        };
        !self.neighbours.values().any(is_missing)
    }
}

impl<P> core::fmt::Debug for Exchange<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Exchange")
            .field("round", &self.round)
            .field("exchanges", &self.exchanges)
            .field("phase", &self.phase)
            .field("neighbours", &self.neighbours.len())
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

/// Where in a round a node is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The classes are chosen at `until` at the latest, where that is known, and not before `quiet_at`.
    Choosing {
        until: Option<Instant>,
        quiet_at: Instant,
    },
    /// The next round starts at `until`, where there are neighbours.
    Resting { until: Instant },
    /// Weights are shared; the neighbours' are awaited since `since`, and shared again at `reshare_at`.
    Waiting { since: Instant, reshare_at: Instant },
}

impl Phase {
    /// Nothing is known yet, not even the time.
    const UNCHOSEN: Self = Self::Choosing {
        until: None,
        quiet_at: Instant::ORIGIN,
    };
}

/// Rounds that a share may be ahead of this node. Guess: 2^32 rounds take 34 years, and a liar cannot exhaust 64 bits
/// with steps of this size.
const MAX_AHEAD: u64 = 1 << 32;
/// Rounds that separate a node that is behind from one whose neighbour's message was faster. Source: in aligned rounds
/// a neighbour is at most one ahead; two where a share was lost.
const BEHIND: u64 = 3;
/// Outputs held for polling. Guess: a driver polls until idle after every input, which makes at most five.
const MAX_OUTPUTS: usize = 32;
/// Turns of training while there is no neighbour. Guess: in the one run watched in a browser the alone model stood
/// still within the first 16.
const ALONE_TURNS: u64 = 60;
