//! The small built-in model that a mesh teaches itself: handwritten digits, a perceptron of 4810 parameters, and the
//! exchange of weights among neighbours.
//!
//! Each node holds some of the ten classes only, so alone it cannot pass 40 %; what it lacks comes from the others.
//! [`Digits`] reads the data, [`Mlp`] learns, [`Exchange`] chooses classes that the others lack, shares and merges; what
//! it shares is an [`Update`], about a hundred bytes.
//! Sans-IO: bytes, peers and time come in as values.
//!
//! What it does not do: it is no tensor library, and merging is plain averaging until [`Merge`] gets a robust rule.

pub mod classes;
mod coder;
pub mod config;
pub mod digits;
pub mod exchange;
mod factors;
mod holding;
pub mod merge;
pub mod mlp;
pub mod private;
pub mod update;

#[cfg(test)]
mod simulation;

pub use classes::{CLASSES, Classes, ClassesError, MOST_HELD, Tally};
pub use config::Config;
pub use digits::{Digits, DigitsError, Sample};
pub use exchange::{Dropped, Exchange, Input, Output, Refusal};
pub use merge::{Average, Contribution, Merge, merge};
pub use mlp::{
    Mlp, PARAMETER_BYTES, PARAMETERS, ParametersError, parameters_from_bytes, parameters_to_bytes,
};
pub use private::{Privacy, Privatise};
pub use update::{Update, UpdateError};
