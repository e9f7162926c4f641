//! Runs the learner's exchange on what the mesh brings: neighbours come and go, weights travel as packets.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, sync::Arc};

use chorus_core::{
    key::PeerId,
    learner::{
        Classes, Config, Digits, Exchange, Input, Mlp, Output, PARAMETER_BYTES, Privacy, Privatise,
        Update, parameters_from_bytes,
    },
    net::{Event, Handle, HandleError, ShareOptions},
    node,
    packet::{Packet, Payload},
    time::{Instant, Timestamp},
    training::instructions,
};
use futures::{FutureExt, StreamExt, channel::mpsc, select_biased};
use futures_timer::Delay;
use wasm_bindgen_futures::spawn_local;

use crate::storage::Records;

use crate::peer::{
    Learned, Peer,
    learned::EPSILON,
    private::{Private, Steps, note_open, was_open},
};

/// What a learner reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Lesson {
    /// The model that never heard from anyone trained on.
    Alone {
        /// Its accuracy on the held-out digits, 0..=1.
        accuracy: f32,
    },
    /// An exchange is done.
    Merged {
        /// The round's number.
        round: u64,
        /// Accuracy of the merged model on the held-out digits, 0..=1.
        accuracy: f32,
        /// Accuracy alone, 0..=1.
        alone: f32,
        /// Neighbours that took part.
        partners: usize,
        /// ε that is spent, where training is private.
        epsilon: Option<f64>,
    },
    /// Learning is private from here on.
    Private {
        /// ε that is spent before.
        epsilon: f64,
        /// Whether tabs of this profile have shared what they learned without noise before.
        was_open: bool,
    },
    /// Who holds which digits is known, or has changed.
    Held {
        /// Those that this tab trains on; none before it has chosen.
        own: Classes,
        /// Those that the connected tabs say they train on.
        others: Classes,
    },
}

/// What a learner is made of.
#[derive(Debug)]
pub struct Learning {
    /// The digits.
    pub digits: Arc<Digits>,
    /// Which of them this tab holds, whatever the others do; it chooses what they lack otherwise.
    pub given: Option<Classes>,
    /// Orders the training samples, and decides what a tab chooses that knows of nobody.
    pub seed: u64,
    /// Whether the peer has looked for others already.
    pub has_searched: bool,
    /// What makes the steps where what is shared must tell little of any single digit (differential privacy).
    pub private: Option<Steps>,
}

/// A learner that can be switched on and off.
#[derive(Clone)]
pub struct Learner {
    exchange: Rc<RefCell<Exchange<PeerId>>>,
    switch: mpsc::Sender<bool>,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").finish_non_exhaustive()
    }
}

impl Learner {
    /// Starts a learner on `peer`, switched off; `on_lesson` hears what comes of it.
    ///
    /// # Errors
    /// In words: the peer is closed, or the privacy budget cannot be read.
    pub async fn start(
        peer: Peer,
        learning: Learning,
        mut on_lesson: impl FnMut(Lesson) + 'static,
    ) -> Result<Self, String> {
        let Learning {
            digits,
            given,
            seed,
            has_searched,
            private,
        } = learning;
        let mut config = Config::default();
        let private = private.map(Private);
        if let Some(private) = &private {
            config.privacy = Some(Privacy::default());
            on_lesson(Lesson::Private {
                epsilon: private.epsilon(),
                was_open: was_open(&peer.records).await?,
            });
        }
        let unnoted = private.is_none().then(|| peer.records.clone());
        let (handle, learned) = (peer.handle, peer.learned);
        let exchange = Exchange::new(handle.id(), config, digits, seed);
        let mut exchange = exchange.map_err(|e| e.to_string())?;
        if let Some(given) = given {
            exchange = exchange.with_classes(given);
        }
        let exchange = Rc::new(RefCell::new(exchange));
        let events = handle.events().await.map_err(|e| e.to_string())?;
        let (switch, switched) = mpsc::channel(4);
        let (to_run, weights) = mpsc::channel(WEIGHTS_QUEUE);
        let run = Run {
            handle,
            learned,
            exchange: exchange.clone(),
            tabs: BTreeSet::new(),
            on_lesson: Box::new(on_lesson),
            weights: to_run,
            private,
            unnoted,
            is_on: false,
        };
        let heard = Heard {
            events,
            switched,
            weights,
        };
        spawn_local(run.run(heard, has_searched));
        Ok(Self { exchange, switch })
    }

    /// Switches training and exchange on or off.
    pub fn switch(&self, on: bool) {
        // A full queue holds newer switches than anyone can want.
        let _ = self.switch.clone().try_send(on);
    }

    /// Returns how likely the model takes the pixels (ink in 0..=1, 8 × 8 row-major) for each digit.
    pub fn predict(&self, pixels: &[f32; 64]) -> [f32; 10] {
        self.exchange.borrow().model().predict(pixels)
    }

    /// Returns a copy of the merged model.
    pub fn model(&self) -> Mlp {
        self.exchange.borrow().model().clone()
    }
}

struct Run {
    handle: Handle,
    learned: Rc<Learned>,
    exchange: Rc<RefCell<Exchange<PeerId>>>,
    /// Connected peers that may be tabs; those that have said so are the exchange's neighbours.
    tabs: BTreeSet<PeerId>,
    on_lesson: Box<dyn FnMut(Lesson)>,
    weights: mpsc::Sender<Input<PeerId>>,
    private: Option<Private>,
    /// Where it is to be noted that something leaves without noise, until it is.
    unnoted: Option<Rc<Records>>,
    is_on: bool,
}

/// What a learner listens to.
struct Heard {
    events: mpsc::Receiver<Event>,
    switched: mpsc::Receiver<bool>,
    weights: mpsc::Receiver<Input<PeerId>>,
}

impl Run {
    async fn run(mut self, heard: Heard, has_searched: bool) {
        let Heard {
            mut events,
            mut switched,
            mut weights,
        } = heard;
        let mut timer = Delay::new(FOREVER);
        self.handle(Input::Pause);
        if let Ok(peers) = self.handle.peers().await {
            peers.iter().for_each(|info| self.on_peer(info));
        }
        // What came before this learner listened, oldest first.
        let filter = node::Filter {
            packet_type: Some(WEIGHTS.into()),
            ..node::Filter::default()
        };
        if let Ok(packets) = self.handle.query(filter).await {
            packets
                .iter()
                .rev()
                .for_each(|packet| self.on_claim(packet));
        }
        if has_searched {
            self.on_searched();
        }
        loop {
            let wake_at = self.poll();
            timer.reset(wake_at.saturating_duration_since(now()).min(FOREVER));
            select_biased! {
                on = switched.next() => match on {
                    Some(on) => self.on_switch(on),
                    None => break,
                },
                event = events.next() => match event {
                    Some(Event::Node(event)) => self.on_event(event),
                    Some(Event::Reserved(_)) => self.on_searched(),
                    Some(_) => {}
                    None => break,
                },
                input = weights.select_next_some() => self.handle(input),
                () = (&mut timer).fuse() => self.handle(Input::Tick),
            }
        }
    }

    fn handle(&mut self, input: Input<PeerId>) {
        let mut exchange = self.exchange.borrow_mut();
        match &mut self.private {
            Some(private) => {
                exchange.handle_with(now(), input, Some(private));
                if self.is_on && !self.tabs.is_empty() {
                    private.0.book();
                }
            }
            None => exchange.handle(now(), input),
        }
    }

    /// Carries out what the exchange wants; returns when it wants to be woken.
    fn poll(&mut self) -> Instant {
        loop {
            let output = self.exchange.borrow_mut().poll_output();
            match output {
                Output::Share {
                    round,
                    classes,
                    bytes,
                    ..
                } => self.share(round, classes, bytes),
                Output::Held { own, others } => (self.on_lesson)(Lesson::Held { own, others }),
                Output::Merged {
                    round,
                    accuracy,
                    alone_accuracy,
                    peers,
                    epsilon,
                    ..
                } => {
                    (self.on_lesson)(Lesson::Merged {
                        round,
                        accuracy,
                        alone: alone_accuracy,
                        partners: peers,
                        epsilon,
                    });
                }
                Output::TrainedAlone { alone_accuracy } => {
                    (self.on_lesson)(Lesson::Alone {
                        accuracy: alone_accuracy,
                    });
                }
                // Counted by the exchange; what a peer sends wrongly is no news for the page.
                Output::Refused { .. } => {}
                Output::Idle { wake_at } => return wake_at,
            }
        }
    }

    fn on_switch(&mut self, on: bool) {
        self.is_on = on;
        self.handle(if on { Input::Resume } else { Input::Pause });
    }

    fn on_event(&mut self, event: node::Event) {
        match event {
            node::Event::PeerChanged(info) => self.on_peer(&info),
            node::Event::PeerLeft(peer) => {
                self.tabs.remove(&peer);
                self.handle(Input::PeerDown { peer });
            }
            node::Event::PacketReceived { packet, .. } if packet.packet_type() == WEIGHTS => {
                match update_in(&packet) {
                    Some(bytes) if self.tabs.contains(&packet.author()) => {
                        self.handle(Input::Update {
                            author: packet.author(),
                            said: packet.timestamp(),
                            bytes: bytes.to_vec(),
                        });
                    }
                    _ => {
                        self.on_claim(&packet);
                        self.fetch(packet);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_peer(&mut self, info: &node::PeerInfo) {
        let is_member = info.role == node::Role::Member;
        if is_member || (info.role, info.path) == (node::Role::Unknown, node::Path::Relayed) {
            self.tabs.insert(info.peer);
        }
        // Learning goes on where a packet can reach the peer at all: directly, or through the relay that both know.
        if is_member {
            self.handle(Input::PeerUp { peer: info.peer });
        }
    }

    /// The relay has given this tab a place, which it asks for once it has looked for others.
    fn on_searched(&mut self) {
        if self.tabs.is_empty() {
            self.handle(Input::Nobody);
        }
    }

    fn on_claim(&mut self, packet: &Packet) {
        self.handle(Input::Claim {
            author: packet.author(),
            said: packet.timestamp(),
            classes: match update_in(packet).map(Update::from_bytes) {
                Some(update) => update.ok().and_then(|update| update.classes()),
                None => Classes::from_metrics(packet.quality()),
            },
        });
    }

    fn share(&mut self, round: u64, classes: Classes, bytes: Vec<u8>) {
        let handle = self.handle.clone();
        let mut options = ShareOptions::new(WEIGHTS);
        options.ttl_secs = WEIGHTS_TTL_SECS;
        if bytes.len() == PARAMETER_BYTES {
            // Plain weights say neither themselves.
            options.quality.insert(ROUND.into(), round as f64);
            let held = classes.metrics();
            options
                .quality
                .extend(held.map(|(name, value)| (name.into(), value)));
        }
        if let Some(private) = &self.private {
            options.quality.insert(EPSILON.into(), private.epsilon());
            options.quality.insert(DELTA.into(), private.0.delta());
        }
        options.instructions = instructions();
        let (learned, unnoted) = (self.learned.clone(), self.unnoted.take());
        spawn_local(async move {
            if let Some(records) = unnoted {
                note_open(&records).await;
            }
            // A peer that is closing shares nothing more.
            let _ = note_and_share(&handle, &learned, bytes, options).await;
        });
    }

    /// Fetches the plain weights of a neighbour's packet and gives them to the exchange.
    fn fetch(&self, packet: Packet) {
        // News of tabs that have left comes along too. Nobody may have their weights any more, and waiting for them
        // would take the place of those that can be had.
        let is_of_use = self.is_on && self.tabs.contains(&packet.author());
        let round = packet
            .quality()
            .get(ROUND)
            .copied()
            .filter(|r| (0.0..1e15).contains(r));
        let (Some(round), true) = (round, is_of_use) else {
            return;
        };
        let (handle, mut weights) = (self.handle.clone(), self.weights.clone());
        spawn_local(async move {
            let Ok((packet, bytes)) = handle.get(packet.cid()).await else {
                return;
            };
            if let Ok(params) = parameters_from_bytes(&bytes) {
                // A learner that does not keep up misses a share; the next one comes.
                let _ = weights.try_send(Input::Weights {
                    author: packet.author(),
                    round: round as u64,
                    params,
                });
            }
        });
    }
}

async fn note_and_share(
    handle: &Handle,
    learned: &Learned,
    bytes: Vec<u8>,
    options: ShareOptions,
) -> Result<(), HandleError> {
    let prepared = handle.prepare(bytes, options)?;
    let at = Timestamp::from_millis(js_sys::Date::now() as u64);
    learned.note(prepared.packet(), at).await;
    handle.publish(prepared).await?;
    Ok(())
}

/// Returns the update that `packet` carries, which anybody may have written; `None` where it carries or names plain weights.
fn update_in(packet: &Packet) -> Option<&[u8]> {
    match packet.payload() {
        Payload::Inline(bytes) if bytes.len() != PARAMETER_BYTES => Some(bytes),
        Payload::Inline(_) | Payload::Link { .. } => None,
    }
}

fn now() -> Instant {
    let millis = web_sys::window()
        .and_then(|w| w.performance())
        .map_or(0.0, |p| p.now());
    Instant::from_micros((millis * 1000.0) as u64)
}

/// The type of packets that carry the learner's weights.
const WEIGHTS: &str = "weights";
/// The metric that says which round weights belong to.
const ROUND: &str = "round";
/// The δ of what private training has spent.
const DELTA: &str = "privacy.delta";
/// Weights are of use to the next round only. Guess: a minute covers every clock.
const WEIGHTS_TTL_SECS: u64 = 120;
/// Shares waiting for the learner.
const WEIGHTS_QUEUE: usize = 64;
/// Longest sleep of the timer; browsers cap theirs.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(3600);
