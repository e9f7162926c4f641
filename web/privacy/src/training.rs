//! The steps of private learning: the built-in learner runs in the peer's own module and asks for each of them.

use chorus_core::digest::Digest;
use chorus_core::learner::Privatise as _;
use chorus_core::privacy::ledger::{Budget, Ledger, Reservation};
use chorus_core::training::{Plan, Training};
use js_sys::{Float32Array, Function, Uint8Array};
use rand_chacha::ChaCha20Rng;
use wasm_bindgen::prelude::*;

use crate::error::{error, rng};

/// The private training of a tab. One budget protects the digits that a profile's tabs train on, whichever tab it is and
/// for as long as the profile lives.
#[wasm_bindgen]
pub struct Steps {
    training: Training<ChaCha20Rng>,
    ledger: Ledger,
    scope: Digest,
}

/// Steps that are paid once the bytes are stored.
#[wasm_bindgen]
pub struct ReservedSteps {
    reservation: Reservation,
    ledger: Ledger,
}

#[wasm_bindgen]
impl ReservedSteps {
    /// The ledger as it is to be stored, in the place of the one that it was made from and of no other.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> Uint8Array {
        self.reservation.bytes().into()
    }
}

#[wasm_bindgen]
impl Steps {
    /// Reads the ledger `stored`, or begins one.
    ///
    /// # Errors
    /// `ERR_NOT_KEPT`: the stored ledger is damaged.
    #[wasm_bindgen(constructor)]
    pub fn new(stored: Option<Vec<u8>>, network: &str) -> Result<Self, JsValue> {
        let scope = Digest::sha256(format!("chorus/training/1/{network}").as_bytes());
        let ledger = read(stored.as_deref(), scope)?;
        let training = Training::new(&Plan::default(), &ledger, rng()?);
        Ok(Self {
            training: training.map_err(|e| error("ERR_UNKNOWN", &e))?,
            ledger,
            scope,
        })
    }

    /// What is spent so far, booked steps among it; 0 before the first.
    #[wasm_bindgen(getter)]
    pub fn spent(&self) -> f64 {
        if self.ledger.sequence() == 0 {
            return 0.0;
        }
        // Other tabs book too: their steps are in the ledger once it is read again.
        let ledger = self.ledger.spent().map_or(0.0, |spent| spent.epsilon);
        ledger.max(self.training.epsilon())
    }

    /// The δ of the budget.
    #[wasm_bindgen(getter)]
    pub fn delta(&self) -> f64 {
        self.ledger.budget().delta
    }

    /// Books more steps where few are left; none where there are enough, or the budget is spent.
    pub fn reserve(&self) -> Option<ReservedSteps> {
        // A booking that does not reach the disk was none.
        let mut ledger = self.ledger.clone();
        let reservation = self.training.reserve(&mut ledger).ok()??;
        Some(ReservedSteps {
            reservation,
            ledger,
        })
    }

    /// Takes steps whose booking is stored.
    pub fn accept(&mut self, reserved: ReservedSteps) {
        self.ledger = reserved.ledger;
        self.training.accept(reserved.reservation.stored());
    }

    /// Goes on from the ledger `stored`: another tab has booked meanwhile.
    ///
    /// # Errors
    /// `ERR_NOT_KEPT`: it is damaged.
    pub fn reread(&mut self, stored: Option<Vec<u8>>) -> Result<(), JsValue> {
        self.ledger = read(stored.as_deref(), self.scope)?;
        Ok(())
    }

    /// Takes one step over `examples` examples; `gradient(index)` returns one's gradient, `parameters` numbers. Returns their
    /// sum, each bounded, with noise; nothing where no step is paid.
    pub fn step(
        &mut self,
        parameters: usize,
        examples: usize,
        gradient: &Function,
    ) -> Option<Float32Array> {
        let gradient = |index: usize| {
            let answer = gradient.call1(&JsValue::NULL, &(index as f64).into());
            let numbers = answer.ok().and_then(|answer| answer.dyn_into().ok());
            // What is no gradient adds nothing.
            numbers.map_or_else(Vec::new, |numbers: Float32Array| numbers.to_vec())
        };
        let sum = self.training.step(parameters, examples, &gradient)?;
        Some(Float32Array::from(&sum[..]))
    }
}

fn read(stored: Option<&[u8]>, scope: Digest) -> Result<Ledger, JsValue> {
    let ledger = match stored {
        // Bytes are put in place only where the store holds those that they were made from.
        Some(bytes) => Ledger::from_bytes(bytes, scope, 0),
        None => Ledger::new(scope, Budget::default()),
    };
    ledger.map_err(|e| error("ERR_NOT_KEPT", &format!("the stored budget: {e}")))
}
