//! What the page may ask of its peer.

use std::{fmt, ops::Deref, rc::Rc};

/// A digit from the held-out set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Ink in each of 8 × 8 cells, row-major, 0..=1.
    pub(crate) pixels: [f32; 64],
    /// Which digit it is.
    pub(crate) label: u8,
}

/// What the page may ask of its peer. Every call returns at once; what comes of it arrives as a change of state.
pub(crate) trait Control {
    /// Asks whether a file may leave, and shares it.
    fn share(&self, file: web_sys::File);
    /// Shows what left this tab.
    fn ledger(&self);
    /// Shows what a model has learned, and lets it into another.
    fn engram(&self, cid: &str);
    /// Fetches an offered file.
    fn fetch(&self, cid: &str);
    /// Switches learning on or off.
    fn learn(&self, on: bool);
    /// Begins to learn anew, with or without noise in what is shared.
    fn learn_privately(&self, is_private: bool);
    /// Returns how likely the model takes the pixels for each digit; `None` before there is a model.
    fn predict(&self, pixels: &[f32; 64]) -> Option<[f32; 10]>;
    /// Returns some digit from the held-out set; `None` before the digits are here.
    fn sample(&self) -> Option<Sample>;
    /// Takes back the last notice.
    fn dismiss(&self);
}

/// A shared [`Control`]; equal to itself only.
#[derive(Clone)]
pub(crate) struct Controls(pub(crate) Rc<dyn Control>);

impl PartialEq for Controls {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Controls {
    type Target = dyn Control;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Controls")
    }
}
