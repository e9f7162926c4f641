//! What an exchange is told, what it wants, and what it drops.

use alloc::vec::Vec;

use crate::learner::classes::Classes;
use crate::learner::mlp::ParametersError;
use crate::learner::update::UpdateError;
use crate::time::{Instant, Timestamp};

/// What happens to an exchange. `P` identifies a peer.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<P> {
    /// A peer is connected: it is a neighbour from now on.
    PeerUp {
        /// The peer.
        peer: P,
    },
    /// A peer is gone.
    PeerDown {
        /// The peer.
        peer: P,
    },
    /// The first search for peers is over and found nobody: there is no news to wait for.
    Nobody,
    /// A packet of weights, whose signature holds, says which classes its author trained on. Comes before the weights,
    /// which may still have to be fetched.
    Claim {
        /// Who signed it.
        author: P,
        /// When, by the author's clock.
        said: Timestamp,
        /// Which; `None` where it does not say, or says what cannot be.
        classes: Option<Classes>,
    },
    /// An update arrived in a packet whose signature holds. It also says which classes its author trained on.
    Update {
        /// Who signed it.
        author: P,
        /// When, by the author's clock.
        said: Timestamp,
        /// As [`Output::Share`] gave them; checked here.
        bytes: Vec<u8>,
    },
    /// Plain weights arrived in a packet whose signature holds.
    Weights {
        /// Who signed them.
        author: P,
        /// The round they were shared in.
        round: u64,
        /// 4810 parameters in the model's order; checked here.
        params: Vec<f32>,
    },
    /// Nothing is trained or shared from now on; peers come and go, and what they say they hold is still told.
    Pause,
    /// Training and sharing go on.
    Resume,
    /// Time has passed.
    Tick,
}

/// What an exchange wants or tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<P> {
    /// Publish these bytes.
    Share {
        /// The round they belong to.
        round: u64,
        /// The classes that this node trains on.
        classes: Classes,
        /// An [`Update`](crate::learner::Update), or [plain](crate::learner::Config::is_plain) weights.
        bytes: Vec<u8>,
        /// The model that those who are in step read from the bytes: 4810 parameters in the model's order.
        params: Vec<f32>,
    },
    /// An exchange is done: the model now holds what the neighbours know.
    Merged {
        /// Exchanges done by this node, from 1.
        exchange: u64,
        /// The round that was merged.
        round: u64,
        /// Accuracy of the merged model on the held-out digits, 0..=1.
        accuracy: f32,
        /// Accuracy of the model trained on this node's own digits alone, 0..=1.
        alone_accuracy: f32,
        /// Neighbours whose weights were merged.
        peers: usize,
        /// ε that this node's own examples have spent with all that it ever shared, and with what is paid in advance;
        /// `None` where training is not private.
        epsilon: Option<f64>,
    },
    /// The model trained on this node's own digits alone went on while there was no neighbour.
    TrainedAlone {
        /// Its accuracy on the held-out digits, 0..=1.
        alone_accuracy: f32,
    },
    /// Who holds what is known, or has changed.
    Held {
        /// The classes that this node trains on; none before it has chosen.
        own: Classes,
        /// Those that the connected peers say they train on.
        others: Classes,
    },
    /// Weights were refused.
    Refused {
        /// Who signed them.
        author: P,
        /// Why.
        reason: Refusal,
    },
    /// Nothing to do before `wake_at`, or before the next input. [`Instant::MAX`] where only an input helps.
    Idle {
        /// When to call `handle` with [`Input::Tick`].
        wake_at: Instant,
    },
}

/// Why weights were refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// They are no model's.
    #[error(transparent)]
    Malformed(#[from] ParametersError),
    /// The bytes are no update.
    #[error(transparent)]
    Unreadable(#[from] UpdateError),
    /// The round is further ahead than any honest node can be.
    #[error("round must be at most {max}, got {got}")]
    TooFarAhead {
        /// The round.
        got: u64,
        /// Latest round taken now.
        max: u64,
    },
}

/// Weights that were not merged, and why: each counts up only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Malformed, or too far ahead.
    pub refused: u64,
    /// Of a round that is over.
    pub stale: u64,
    /// A second share of the same author in the same round; the first one counts.
    pub duplicate: u64,
    /// A difference to a model that this node does not have.
    pub unknown: u64,
    /// From more authors than are held.
    pub full: u64,
    /// Outputs that nobody polled for.
    pub outputs: u64,
}
