//! Private training in a tab: every step is paid from a ledger, which is on disk before the noise is drawn.

use std::rc::Rc;

use chorus_core::{
    digest::Digest,
    learner::Privatise,
    privacy::ledger::{Budget, Grant, Ledger},
    training::{Plan, Training},
};
use futures::channel::mpsc;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use wasm_bindgen_futures::spawn_local;
use zeroize::Zeroizing;

use crate::{
    peer::Peer,
    storage::{Records, Whose},
};

/// The private training of a tab. One budget protects the digits that a profile's tabs train on, whichever tab it is and
/// for as long as the profile lives.
pub(super) struct Private {
    training: Training<ChaCha20Rng>,
    ledger: Ledger,
    /// The ledger as it is on disk.
    kept: Option<Zeroizing<Vec<u8>>>,
    records: Rc<Records>,
    scope: Digest,
    is_booking: bool,
    booked: mpsc::Sender<Booked>,
}

/// What became of a booking.
pub(super) enum Booked {
    /// It is on disk.
    Paid {
        ledger: Ledger,
        bytes: Zeroizing<Vec<u8>>,
        grant: Grant,
    },
    /// Another tab has booked meanwhile, or the browser does not keep it: this is the ledger there, where it can be read.
    Not(Option<(Ledger, Option<Zeroizing<Vec<u8>>>)>),
}

impl Private {
    /// Opens the ledger that `peer` keeps, or begins one. The receiver hears of bookings, for [`Private::on_booked`].
    ///
    /// # Errors
    /// In words: there is no lasting storage, the ledger cannot be read, or the browser gives no randomness.
    pub(super) async fn open(peer: &Peer) -> Result<(Self, mpsc::Receiver<Booked>), String> {
        let records = peer.records.clone();
        if !records.is_kept() {
            return Err("private learning needs a browser that keeps its budget".into());
        }
        let scope = format!("chorus/{RECORD}/1/{}", peer.handle.network());
        let scope = Digest::sha256(scope.as_bytes());
        let (ledger, kept) = read(&records, scope).await?;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|e| e.to_string())?;
        let rng = ChaCha20Rng::from_seed(*seed);
        let training = Training::new(&Plan::default(), &ledger, rng).map_err(|e| e.to_string())?;
        let (booked, bookings) = mpsc::channel(1);
        let private = Self {
            training,
            ledger,
            kept,
            records,
            scope,
            is_booking: false,
            booked,
        };
        Ok((private, bookings))
    }

    /// What makes the steps, as long as they are paid.
    pub(super) fn steps(&mut self) -> &mut dyn Privatise {
        &mut self.training
    }

    /// What is spent so far, booked steps among it; 0 before the first.
    pub(super) fn spent(&self) -> Budget {
        let epsilon = if self.ledger.sequence() == 0 {
            0.0
        } else {
            self.training.epsilon()
        };
        Budget {
            epsilon,
            ..self.ledger.budget()
        }
    }

    /// Books more steps where few are left, and none are being booked. To be called only where there is somebody to learn
    /// with: what is booked and not used is lost.
    pub(super) fn book(&mut self) {
        if self.is_booking {
            return;
        }
        // A booking that does not reach the disk was none.
        let mut ledger = self.ledger.clone();
        let Ok(Some(reservation)) = self.training.reserve(&mut ledger) else {
            return;
        };
        self.is_booking = true;
        let (records, seen, scope) = (self.records.clone(), self.kept.clone(), self.scope);
        let mut booked = self.booked.clone();
        spawn_local(async move {
            let bytes = Zeroizing::new(reservation.bytes().to_vec());
            let is_seen =
                |stored: Option<&[u8]>| stored == seen.as_ref().map(|seen| seen.as_slice());
            let replaced = records
                .replace(Whose::Everyones, RECORD, &bytes, is_seen)
                .await;
            let result = if replaced == Ok(true) {
                Booked::Paid {
                    ledger,
                    bytes,
                    grant: reservation.stored(),
                }
            } else {
                Booked::Not(read(&records, scope).await.ok())
            };
            // A learner that has ended takes no more steps; those are lost.
            let _ = booked.try_send(result);
        });
    }

    /// Takes the steps of a booking that is on disk. One that is not is tried again with the next input.
    pub(super) fn on_booked(&mut self, booked: Booked) {
        self.is_booking = false;
        match booked {
            Booked::Paid {
                ledger,
                bytes,
                grant,
            } => {
                (self.ledger, self.kept) = (ledger, Some(bytes));
                self.training.accept(grant);
            }
            Booked::Not(Some((ledger, kept))) => (self.ledger, self.kept) = (ledger, kept),
            Booked::Not(None) => {}
        }
    }
}

/// Says whether a tab of the profile has shared what it learned without noise.
///
/// # Errors
/// In words: the browser does not keep it.
pub(super) async fn was_open(records: &Records) -> Result<bool, String> {
    let kept = records.get(Whose::Everyones, OPEN).await;
    Ok(kept.map_err(|e| e.to_string())?.is_some())
}

/// Notes that what was learned leaves without noise.
pub(super) async fn note_open(records: &Records) {
    // Without it the page claims no more than the noise does; the next tab notes it again.
    let _ = records.put(Whose::Everyones, OPEN, &[1]).await;
}

async fn read(
    records: &Records,
    scope: Digest,
) -> Result<(Ledger, Option<Zeroizing<Vec<u8>>>), String> {
    let kept = records.get(Whose::Everyones, RECORD).await;
    let kept = kept.map_err(|e| e.to_string())?;
    let ledger = match &kept {
        // Bytes are put in place only where the store holds those that they were made from.
        Some(bytes) => Ledger::from_bytes(bytes, scope, 0),
        None => Ledger::new(scope, Budget::default()),
    };
    Ok((ledger.map_err(|e| e.to_string())?, kept))
}

/// The record that holds the ledger; also told by `www/privacy.js`.
const RECORD: &str = "training";
/// The record that says that the profile has learned openly.
const OPEN: &str = "training-open";
