//! What happens to data before it leaves a node.

pub mod accountant;
pub mod discrete;
pub mod ledger;
pub mod noise;
