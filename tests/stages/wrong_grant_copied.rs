//! A grant pays once.
use chorus_core::privacy::ledger::Grant;

fn wrong(grant: &Grant) -> Grant {
    grant.clone()
}

fn main() {}
