//! The functions that the worker calls.

use std::rc::Rc;

use js_sys::{Function, Uint8Array};
use serde_json::Value;
use wasm_bindgen::prelude::*;

use crate::curve;
use crate::file::File;
use crate::lossy;
use crate::pack::{Packing, level};
use crate::problem::{INVALID_ARGUMENT, Problem};
use crate::session;
use crate::unpack;

impl From<Problem> for JsValue {
    fn from(problem: Problem) -> Self {
        let error = js_sys::Error::new(&problem.message);
        // Setting a property of a fresh object cannot fail.
        let _ = js_sys::Reflect::set(&error, &"code".into(), &problem.code.into());
        error.into()
    }
}

/// A safetensors file.
#[wasm_bindgen]
pub struct Weights(Rc<File>);

#[wasm_bindgen]
impl Weights {
    /// Reads the header of a file, whose bytes come in parts, and keeps the file. Each byte is copied once.
    ///
    /// # Errors
    /// Those of [`File::open`].
    #[wasm_bindgen(constructor)]
    pub fn new(parts: Vec<Uint8Array>) -> Result<Self, JsValue> {
        let mut bytes = vec![0; parts.iter().map(|part| part.length() as usize).sum()];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (own, others) = rest.split_at_mut(part.length() as usize);
            part.copy_to(own);
            rest = others;
        }
        Self::of(bytes)
    }

    fn of(bytes: Vec<u8>) -> Result<Self, JsValue> {
        Ok(Self(Rc::new(File::open(bytes)?)))
    }

    /// Returns a file of names alone.
    ///
    /// # Errors
    /// Those of [`File::names`].
    pub fn names(&self) -> Result<Uint8Array, JsValue> {
        Ok(self.0.names()?.as_slice().into())
    }

    /// Returns this file under the names of another.
    ///
    /// # Errors
    /// Those of [`File::renamed`].
    pub fn renamed(&self, names: &[u8]) -> Result<Uint8Array, JsValue> {
        Ok(self.0.renamed(names)?.as_slice().into())
    }

    /// Returns what is shown of it, JSON.
    pub fn info(&self) -> String {
        serde_json::to_string(&self.0.info()).unwrap_or_default()
    }

    /// Returns the file.
    pub fn bytes(&self) -> Uint8Array {
        self.0.bytes().into()
    }

    /// Begins to pack without loss, against `base`, another file, where there is one.
    ///
    /// # Errors
    /// Those of [`Packing::new`].
    pub fn pack(&self, codec: &str, base: Option<Vec<u8>>) -> Result<Packer, JsValue> {
        let base = base.map(File::open).transpose()?;
        let packing = Packing::new(&self.0, base.as_ref(), level(codec)?)?;
        Ok(Packer {
            file: Rc::clone(&self.0),
            base,
            packing,
        })
    }

    /// Begins to estimate what each way of packing makes.
    ///
    /// # Errors
    /// Those of [`File::open`] of the base.
    pub fn curve(&self, base: Option<Vec<u8>>) -> Result<Curve, JsValue> {
        let base = base.map(File::open).transpose()?;
        Ok(Curve {
            curve: curve::Curve::new(&self.0, base.as_ref())?,
            file: Rc::clone(&self.0),
            base,
        })
    }
}

/// An engram that is being packed.
#[wasm_bindgen]
pub struct Packer {
    file: Rc<File>,
    base: Option<File>,
    packing: Packing,
}

#[wasm_bindgen]
impl Packer {
    /// Packs `bytes` more; returns how much is done, 0..=1.
    ///
    /// # Errors
    /// Those of [`Packing::step`].
    pub fn step(&mut self, bytes: usize) -> Result<f64, JsValue> {
        Ok(self.packing.step(&self.file, self.base.as_ref(), bytes)?)
    }

    /// Returns the engram.
    ///
    /// # Errors
    /// Those of [`Packing::finish`].
    pub fn finish(self) -> Result<Uint8Array, JsValue> {
        Ok(self.packing.finish()?.as_slice().into())
    }
}

/// A curve that is being drawn.
#[wasm_bindgen]
pub struct Curve {
    file: Rc<File>,
    base: Option<File>,
    curve: curve::Curve,
}

#[wasm_bindgen]
impl Curve {
    /// Returns the next points, a list in JSON; an empty one after the last.
    ///
    /// # Errors
    /// Those of [`curve::Curve::points`].
    pub fn points(&mut self) -> Result<String, JsValue> {
        let points = self.curve.points(&self.file, self.base.as_ref())?;
        Ok(serde_json::to_string(&points).unwrap_or_default())
    }
}

/// An engram that was packed with loss.
#[wasm_bindgen]
pub struct Packed(chorus_core::engram::hybrid::Packed);

#[wasm_bindgen]
impl Packed {
    /// Returns the engram.
    pub fn bytes(&self) -> Uint8Array {
        self.0.bytes.as_slice().into()
    }

    /// Ratio of signal to noise over all floats with the first layer; infinite where every number is right.
    #[wasm_bindgen(getter)]
    pub fn decibels(&self) -> f64 {
        self.0.snr_decibels
    }
}

/// Packs a safetensors file with loss. `wanted` is the JSON of a [`lossy::Wanted`]; `progress` is called with the share that
/// is done.
///
/// # Errors
/// Those of [`lossy::pack`].
#[wasm_bindgen(js_name = packLossy)]
pub fn pack_lossy(
    file: &[u8],
    base: Option<Vec<u8>>,
    wanted: &str,
    progress: &Function,
) -> Result<Packed, JsValue> {
    let wanted = serde_json::from_str(wanted)
        .map_err(|e| Problem::new(INVALID_ARGUMENT, format!("options: {e}")))?;
    let packed = lossy::pack(file, base.as_deref(), wanted, &mut told(progress))?;
    Ok(Packed(packed))
}

/// Unpacks an engram, of one in layers the first `layers` or all. `progress` is called with the share that is done.
///
/// # Errors
/// Those of [`unpack::unpack`].
#[wasm_bindgen]
pub fn unpack(
    packed: &[u8],
    base: Option<Vec<u8>>,
    layers: Option<usize>,
    progress: &Function,
) -> Result<Weights, JsValue> {
    let base = base.map(File::open).transpose()?;
    let layers = layers.unwrap_or(usize::MAX);
    let bytes = unpack::unpack(packed, base.as_ref(), layers, &mut told(progress))?;
    drop(base);
    Weights::of(bytes)
}

/// Tells JavaScript about every hundredth. Who wants to stop ends the worker.
fn told(progress: &Function) -> impl FnMut(f64) -> bool + use<'_> {
    let mut last = 0.0;
    move |share| {
        if share >= last + 0.01 {
            last = share;
            // Nobody listens any more where this fails.
            let _ = progress.call1(&JsValue::NULL, &share.into());
        }
        true
    }
}

/// Engrams that an integration is made of.
#[wasm_bindgen]
#[derive(Default)]
pub struct Given(Vec<session::Given>);

#[wasm_bindgen]
impl Given {
    /// Starts with none.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, bytes: Vec<u8>, cid: String, weight: f64) {
        self.0.push(session::Given { bytes, cid, weight });
    }
}

/// Engrams on their way into a model.
#[wasm_bindgen]
pub struct Session(session::Session);

#[wasm_bindgen]
impl Session {
    /// Validates engrams against a model, and makes one of several. `options` are the JSON of a [`session::Options`].
    ///
    /// # Errors
    /// Those of [`session::Session::new`].
    #[wasm_bindgen(constructor)]
    pub fn new(model: Vec<u8>, given: Given, options: &str) -> Result<Self, JsValue> {
        let options = serde_json::from_str(options)
            .map_err(|e| Problem::new(INVALID_ARGUMENT, format!("options: {e}")))?;
        Ok(Self(session::Session::new(model, given.0, options)?))
    }

    /// Returns step, share, trail and curve, JSON.
    pub fn state(&self) -> String {
        let (step, alpha) = (self.0.step(), self.0.alpha());
        let (trail, curve): (Value, Value) = (self.0.trail(), self.0.curve());
        serde_json::json!({ "step": step, "alpha": alpha, "trail": trail, "curve": curve })
            .to_string()
    }

    /// Takes what was measured of the model and its shadow, or nothing.
    ///
    /// # Errors
    /// Those of [`session::Session::assess`].
    pub fn assess(&mut self, before: Option<f32>, after: Option<f32>) -> Result<(), JsValue> {
        Ok(self.0.assess(before.zip(after))?)
    }

    /// Takes what was measured of the model as it is now, or nothing.
    ///
    /// # Errors
    /// Those of [`session::Session::measured`].
    pub fn measured(&mut self, metric: Option<f32>) -> Result<(), JsValue> {
        Ok(self.0.measured(metric)?)
    }

    /// Puts the model back as it was.
    pub fn undo(&mut self) {
        self.0.undo();
    }

    /// Returns the model as it is now.
    pub fn now(&self) -> Uint8Array {
        self.0.now().as_slice().into()
    }

    /// Returns the model with all of the engrams.
    pub fn shadow(&self) -> Uint8Array {
        self.0.shadow().as_slice().into()
    }
}
