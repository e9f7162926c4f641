//! The page in Yew: one component per panel, each a function of a part of [`crate::view::state::State`].

mod app;
mod control;
mod panel;
mod shape;

pub(crate) use app::{App, AppProps, View};
pub(crate) use control::{Control, Controls, Sample};
