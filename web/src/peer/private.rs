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

/// The private training of one identity. The budget protects the digits that it trains on, for as long as it lives.
pub(super) struct Private {
    training: Training<ChaCha20Rng>,
    ledger: Ledger,
    /// The ledger as it is on disk.
    kept: Option<Zeroizing<Vec<u8>>>,
    records: Rc<Records>,
    is_booking: bool,
    booked: mpsc::Sender<Option<Booked>>,
}

/// Steps that are paid, and the ledger that says so.
pub(super) struct Booked {
    ledger: Ledger,
    bytes: Zeroizing<Vec<u8>>,
    grant: Grant,
}

impl Private {
    /// Opens the ledger that `peer` keeps, or begins one. The receiver hears of bookings, for [`Private::on_booked`].
    ///
    /// # Errors
    /// In words: the ledger cannot be read, or the browser gives no randomness.
    pub(super) async fn open(
        peer: &Peer,
    ) -> Result<(Self, mpsc::Receiver<Option<Booked>>), String> {
        let records = peer.records.clone();
        let scope = Digest::sha256(format!("{}/digits", peer.handle.network()).as_bytes());
        let kept = records.get(Whose::Own, RECORD).await;
        let kept = kept.map_err(|e| e.to_string())?;
        let ledger = match &kept {
            Some(bytes) => Ledger::from_bytes(bytes, scope, 0),
            None => Ledger::new(scope, Budget::default()),
        };
        let ledger = ledger.map_err(|e| e.to_string())?;
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
            is_booking: false,
            booked,
        };
        Ok((private, bookings))
    }

    /// What makes the steps, as long as they are paid.
    pub(super) fn steps(&mut self) -> &mut dyn Privatise {
        &mut self.training
    }

    /// What is spent so far, booked steps among it.
    pub(super) fn spent(&self) -> Budget {
        Budget {
            epsilon: self.training.epsilon(),
            ..self.ledger.budget()
        }
    }

    /// Books more steps where few are left, and none are being booked.
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
        let (records, seen) = (self.records.clone(), self.kept.clone());
        let mut booked = self.booked.clone();
        spawn_local(async move {
            let bytes = Zeroizing::new(reservation.bytes().to_vec());
            let is_seen =
                |stored: Option<&[u8]>| stored == seen.as_ref().map(|seen| seen.as_slice());
            let replaced = records.replace(Whose::Own, RECORD, &bytes, is_seen).await;
            let result = (replaced == Ok(true)).then(|| Booked {
                ledger,
                bytes,
                grant: reservation.stored(),
            });
            // A learner that has ended takes no more steps; those are lost.
            let _ = booked.try_send(result);
        });
    }

    /// Takes the steps of a booking that is on disk. After one that is not, the next is tried with the next input.
    pub(super) fn on_booked(&mut self, booked: Option<Booked>) {
        self.is_booking = false;
        if let Some(booked) = booked {
            self.ledger = booked.ledger;
            self.kept = Some(booked.bytes);
            self.training.accept(booked.grant);
        }
    }
}

/// The name of the record that holds the ledger.
const RECORD: &str = "training";
