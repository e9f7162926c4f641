//! Private learning in a tab. Its steps come from the second module (`web/privacy`), which has the noise and the ledger:
//! `www/privacy.js` stores a booking before it hands the steps over.

use chorus_core::learner::Privatise;
use js_sys::Float32Array;
use wasm_bindgen::prelude::*;

use crate::storage::{Records, Whose};

#[wasm_bindgen]
extern "C" {
    /// What makes the steps: the object that `training` of `www/privacy.js` resolves to.
    #[derive(Clone, Debug)]
    pub type Steps;

    #[wasm_bindgen(method)]
    fn step(
        this: &Steps,
        parameters: usize,
        examples: usize,
        gradient: &dyn Fn(usize) -> Float32Array,
    ) -> Option<Float32Array>;

    /// Books more steps where few are left. To be called only where there is somebody to learn with: what is booked and
    /// not used is lost.
    #[wasm_bindgen(method)]
    pub fn book(this: &Steps);

    /// ε that is spent so far, booked steps among it.
    #[wasm_bindgen(method, getter)]
    pub fn spent(this: &Steps) -> f64;

    /// δ of the budget.
    #[wasm_bindgen(method, getter)]
    pub fn delta(this: &Steps) -> f64;

    #[wasm_bindgen(method)]
    fn free(this: &Steps);
}

/// The steps of a learner; freed with it.
#[derive(Debug)]
pub(super) struct Private(pub(super) Steps);

impl Drop for Private {
    fn drop(&mut self) {
        self.0.free();
    }
}

impl Privatise for Private {
    fn step(
        &mut self,
        parameters: usize,
        examples: usize,
        gradient: &dyn Fn(usize) -> Vec<f32>,
    ) -> Option<Vec<f32>> {
        let gradient = |index: usize| Float32Array::from(&gradient(index)[..]);
        let sum = self.0.step(parameters, examples, &gradient)?;
        // The model is one of so many numbers.
        (sum.length() as usize == parameters).then(|| sum.to_vec())
    }

    fn epsilon(&self) -> f64 {
        self.0.spent()
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

/// The record that says that the profile has learned openly.
const OPEN: &str = "training-open";
