//! Tabs that learn together in lockstep, openly or privately: messages take no time and none is lost. For tests and for
//! `cargo xtask bench membership`; the learner's own simulation has delays, losses and churn.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{Plan, Training};
use crate::digest::Digest;
use crate::learner::{Classes, Config, Digits, Exchange, Input, Output, Privacy, Privatise};
use crate::privacy::ledger::Ledger;
use crate::privacy::noise::NoiseError;
use crate::time::{Instant, Timestamp};

/// Private mode: how the budget is spent, and how the learner steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Private {
    /// For the noise.
    pub plan: Plan,
    /// For the learner.
    pub privacy: Privacy,
}

/// A tab: its exchange and, in private mode, its training with the ledger that pays for it.
pub struct Tab {
    /// The exchange.
    pub exchange: Exchange<usize>,
    /// The noise and the ledger; `None` in a tab that trains openly.
    pub training: Option<(Training<ChaCha20Rng>, Ledger)>,
    /// What the exchange told last of ε.
    pub epsilon: Option<f64>,
    wake_at: Instant,
}

impl Tab {
    /// Creates tab number `me` with the training samples of `classes`, in private mode where there is one.
    /// `None` where its settings are out of range.
    ///
    /// # Errors
    /// As [`Training::new`].
    pub fn new(
        me: usize,
        digits: &Arc<Digits>,
        classes: Classes,
        private: Option<&Private>,
        seed: u64,
    ) -> Result<Option<Self>, NoiseError> {
        let config = Config {
            privacy: private.map(|private| private.privacy),
            ..Config::default()
        };
        let training = private
            .map(|Private { plan, .. }| -> Result<_, NoiseError> {
                let ledger = Ledger::new(Digest::sha256(b"lockstep"), plan.budget)?;
                let mut rng = ChaCha20Rng::seed_from_u64(seed);
                // Tabs with the same noise would all point the same wrong way.
                rng.set_stream(me as u64);
                Ok((Training::new(plan, &ledger, rng)?, ledger))
            })
            .transpose()?;
        let exchange = Exchange::new(me, config, digits.clone(), seed).ok();
        Ok(exchange.map(|exchange| Self {
            exchange: exchange.with_classes(classes),
            training,
            epsilon: None,
            wake_at: Instant::ORIGIN,
        }))
    }
}

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Tab `tab` shared `params`, as everybody reads them.
    Shared {
        /// Its number.
        tab: usize,
        /// 4810 parameters in the model's order.
        params: &'a [f32],
        /// What travels: an update.
        bytes: &'a [u8],
    },
    /// Tab `tab` has merged what was shared, into `params`.
    Merged {
        /// Its number.
        tab: usize,
        /// 4810 parameters in the model's order.
        params: &'a [f32],
    },
}

/// Connects all of `tabs` with each other and lets them learn until each has made `exchanges`.
pub fn run(tabs: &mut [Tab], exchanges: u64, on_event: &mut dyn FnMut(Event<'_>)) {
    let mut now = Instant::from_micros(1);
    let count = tabs.len();
    let pairs = (0..count).flat_map(|to| (0..count).map(move |peer| (to, peer)));
    let mut mail: VecDeque<(usize, Input<usize>)> = pairs
        .filter(|(to, peer)| to != peer)
        .map(|(to, peer)| (to, Input::PeerUp { peer }))
        .collect();
    while tabs.iter().any(|tab| tab.exchange.exchanges() < exchanges) {
        let due = (0..count).min_by_key(|&tab| tabs[tab].wake_at);
        let (to, input) = match (mail.pop_front(), due) {
            (Some(mail), _) => mail,
            (None, Some(due)) if tabs[due].wake_at < Instant::MAX => {
                now = now.max(tabs[due].wake_at);
                (due, Input::Tick)
            }
            _ => return,
        };
        let is_done = tabs[to].exchange.exchanges() >= exchanges;
        if !is_done {
            let shared = step(&mut tabs[to], to, now, input, on_event);
            for bytes in shared {
                mail.extend((0..count).filter(|&peer| peer != to).map(|peer| {
                    let bytes = bytes.clone();
                    let input = Input::Update {
                        author: to,
                        said: Timestamp::UNIX_EPOCH,
                        bytes,
                    };
                    (peer, input)
                }));
            }
        }
        if tabs[to].exchange.exchanges() >= exchanges {
            tabs[to].wake_at = Instant::MAX;
        }
    }
}

/// Gives `tab` an input and returns what it shares.
fn step(
    tab: &mut Tab,
    me: usize,
    now: Instant,
    input: Input<usize>,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Vec<Vec<u8>> {
    let mut shared = Vec::new();
    let training = tab.training.as_mut();
    if let Some((training, ledger)) = training {
        // A store that answers at once.
        if let Ok(Some(reservation)) = training.reserve(ledger) {
            training.accept(reservation.stored());
        }
        let privatise: &mut dyn Privatise = training;
        tab.exchange.handle_with(now, input, Some(privatise));
    } else {
        tab.exchange.handle(now, input);
    }
    loop {
        match tab.exchange.poll_output() {
            Output::Share { bytes, params, .. } => {
                on_event(Event::Shared {
                    tab: me,
                    params: &params,
                    bytes: &bytes,
                });
                shared.push(bytes);
            }
            Output::Merged { epsilon, .. } => {
                tab.epsilon = epsilon;
                on_event(Event::Merged {
                    tab: me,
                    params: tab.exchange.model().parameters(),
                });
            }
            Output::TrainedAlone { .. } | Output::Held { .. } | Output::Refused { .. } => {}
            Output::Idle { wake_at } => {
                tab.wake_at = wake_at;
                return shared;
            }
        }
    }
}
