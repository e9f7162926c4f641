//! One component per panel. Each takes the part of the state that it shows, so that it is drawn again only for that.

pub(crate) mod census;
pub(crate) mod draw;
pub(crate) mod files;
pub(crate) mod header;
pub(crate) mod learner;
pub(crate) mod mesh;
pub(crate) mod packets;
pub(crate) mod peers;
