//! The privacy budget of a profile: what all its tabs together may spend on one network.

use chorus_core::digest::Digest;
use chorus_core::privacy::ledger::{Budget, Grant, Ledger, LedgerError, Reservation};
use chorus_core::privacy::noise::{Neighbours, plan};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use crate::error::error;

/// A release that is paid once its bytes are stored.
#[wasm_bindgen]
pub struct Reserved(Reservation);

#[wasm_bindgen]
impl Reserved {
    /// The ledger as it is to be stored, in the place of the one that it was made from and of no other.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> Uint8Array {
        self.0.bytes().into()
    }
}

impl Reserved {
    /// Hands out the right to draw noise: JavaScript passes a reservation on once it, or its like, is stored.
    pub(crate) fn into_grant(self) -> Grant {
        self.0.stored()
    }
}

/// Books one release with noise of `noise_multiplier` clip norms in the ledger `stored`, or in a new one where there is
/// none.
///
/// # Errors
/// `ERR_BUDGET`: the budget would not be kept. `ERR_INVALID_ARGUMENT`: this is no noise. `ERR_NOT_KEPT`: the stored
/// ledger is damaged.
#[wasm_bindgen]
pub fn reserve(
    stored: Option<Vec<u8>>,
    network: &str,
    noise_multiplier: f64,
) -> Result<Reserved, JsValue> {
    let mut ledger = read(stored.as_deref(), network, "budget")?;
    let mechanism = plan(noise_multiplier, Neighbours::Absent, 1.0)
        .map_err(|e| error("ERR_INVALID_ARGUMENT", &e))?;
    let reservation = ledger.reserve(mechanism, 1).map_err(|e| {
        let code = match e {
            LedgerError::Exhausted { .. } => "ERR_BUDGET",
            _ => "ERR_INVALID_ARGUMENT",
        };
        error(code, &e)
    })?;
    Ok(Reserved(reservation))
}

/// Returns what the ledger `stored` allows and has spent: ε, δ, and the ε spent. `what` tells ledgers apart: `budget` for
/// tensors, `training` for the built-in learner.
///
/// # Errors
/// `ERR_NOT_KEPT`: it is damaged.
#[wasm_bindgen(js_name = budgetOf)]
pub fn budget_of(stored: Option<Vec<u8>>, network: &str, what: &str) -> Result<Vec<f64>, JsValue> {
    let ledger = read(stored.as_deref(), network, what)?;
    let Budget { epsilon, delta } = ledger.budget();
    let spent = ledger.spent().map_err(|e| error("ERR_NOT_KEPT", &e))?;
    let spent = if ledger.sequence() == 0 {
        0.0
    } else {
        spent.epsilon
    };
    Ok(vec![epsilon, delta, spent])
}

fn read(stored: Option<&[u8]>, network: &str, what: &str) -> Result<Ledger, JsValue> {
    // One budget for everything that a profile shares on a network: whoever sees it there may join all of it.
    let scope = Digest::sha256(format!("chorus/{what}/1/{network}").as_bytes());
    let ledger = match stored {
        // Bytes are put in place only where the store holds those that they were made from, and nowhere else is a number
        // kept that could tell of older ones.
        Some(bytes) => Ledger::from_bytes(bytes, scope, 0),
        None => Ledger::new(scope, Budget::default()),
    };
    ledger.map_err(|e| error("ERR_NOT_KEPT", &format!("the stored budget: {e}")))
}
