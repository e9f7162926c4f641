//! `chorus-relay ledger`: everything that left from a data directory, and what is left of its privacy budget.

use chorus_core::{
    privacy::ledger::Budget,
    release::{Entry, Journal, Readers},
};
use serde_json::{Value, json};

use crate::{
    cli::LedgerArgs,
    cmd::{Failure, print_line, privacy::open_ledger},
    store::LedgerFile,
};

/// Prints the list, the oldest first, and the budget.
///
/// # Errors
/// The file is not usable, damaged or foreign.
pub(crate) async fn ledger(args: LedgerArgs) -> Result<(), Failure> {
    let (journal, budget, spent) = if LedgerFile::is_in(&args.data_dir) {
        let file = open_ledger(&args.data_dir).await?;
        let ledger = file.ledger()?;
        (file.journal()?, ledger.budget(), ledger.spent()?)
    } else {
        let budget = Budget::default();
        let spent = Budget {
            epsilon: 0.0,
            ..budget
        };
        (Journal::new(), budget, spent)
    };
    if args.json {
        return print_json(&journal, budget, spent);
    }
    for entry in journal.entries() {
        print_line(&line(entry))?;
    }
    print_line(&format!(
        "{} left; epsilon spent {:.4} of {} at delta {}",
        journal.total(),
        spent.epsilon,
        budget.epsilon,
        budget.delta
    ))
}

fn print_json(journal: &Journal, budget: Budget, spent: Budget) -> Result<(), Failure> {
    let mut form: Value = serde_json::from_str(&journal.to_json())?;
    form["budget"] = json!({
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "epsilon_spent": spent.epsilon,
    });
    print_line(&form.to_string())
}

fn line(entry: &Entry) -> String {
    let findings: u64 = entry.findings.values().sum();
    let readers = match &entry.readers {
        Readers::Everybody => "everybody".to_owned(),
        Readers::Peers(peers) => {
            let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
            peers.join(" ")
        }
    };
    let mut line = format!(
        "{} {} {} {:?} {} bytes, {findings} findings",
        entry.at,
        entry.cid,
        entry.packet_type,
        entry.name.as_deref().unwrap_or_default(),
        entry.bytes
    );
    if entry.is_verbatim {
        line.push_str(" left as they are");
    }
    if entry.count > 1 {
        line.push_str(&format!(", {} packets", entry.count));
    }
    if let Some(epsilon) = entry.epsilon_after {
        line.push_str(&format!(", epsilon {epsilon:.4}"));
    }
    line.push_str(&format!(", for {readers}"));
    line
}
