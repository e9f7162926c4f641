//! Nobody makes what may be published out of plain data.
use chorus_core::privacy::{Parts, Report, Validated};

fn wrong(parts: Parts, report: Report) -> Validated {
    Validated { parts, report, changes: Vec::new() }
}

fn main() {}
