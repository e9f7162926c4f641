//! The ledger of everything that left this tab, kept over reloads.
//!
//! Two journals: one of what its owner shared, one of what the learner exchanges, of which there is something every few
//! seconds. The second is a single line, so that noting it writes a few hundred bytes; a new start of the peer moves it to
//! the first. A crash between the two writes of that move counts the line twice, never not at all.

use std::rc::Rc;

use chorus_core::release::{Entry, Journal, JournalError};
use futures::lock::Mutex;

use crate::storage::{Records, StorageError, Whose};

/// Why something cannot be noted. It must not leave then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The browser does not keep it.
    #[error("the ledger of what left this tab is not kept: {0}")]
    Storage(#[from] StorageError),
    /// What is kept is damaged or full.
    #[error("the ledger of what left this tab: {0}")]
    Journal(#[from] JournalError),
}

/// The journals of one identity.
#[derive(Debug)]
pub struct Ledger {
    records: Rc<Records>,
    shared: Mutex<Journal>,
    learned: Mutex<Journal>,
}

impl Ledger {
    /// Opens the ledger that `records` keep. One that cannot be read is kept aside under another name; the error then says
    /// why, and the ledger begins anew.
    pub async fn open(records: Rc<Records>) -> (Self, Option<LedgerError>) {
        let mut setback = None;
        let mut journals = [Journal::new(), Journal::new()];
        for (journal, name) in journals.iter_mut().zip([SHARED, LEARNED]) {
            match read(&records, name).await {
                Ok(kept) => *journal = kept,
                Err(why) => setback = Some(why),
            }
        }
        let [shared, learned] = journals;
        let ledger = Self {
            records,
            shared: Mutex::new(shared),
            learned: Mutex::new(learned),
        };
        if let Err(why) = ledger.fold().await {
            setback = Some(why);
        }
        (ledger, setback)
    }

    /// Notes what is about to leave; it is on disk when this returns.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing may leave then.
    pub async fn note(&self, entry: Entry) -> Result<(), LedgerError> {
        let mut held = self.shared.lock().await;
        let mut changed = held.clone();
        // What the owner shares is a line of its own, whatever the page says of it.
        changed.push(Entry {
            is_routine: false,
            ..entry
        })?;
        write(&self.records, SHARED, &changed).await?;
        *held = changed;
        Ok(())
    }

    /// Notes what the learner is about to share, in its one line. Where the browser does not keep it the line ends with the
    /// tab, as the blocks do, and learning goes on.
    ///
    /// # Errors
    /// [`LedgerError::Journal`]: never, since one line has room.
    pub async fn note_learned(&self, entry: Entry) -> Result<(), LedgerError> {
        let mut held = self.learned.lock().await;
        held.push(Entry {
            is_routine: true,
            ..entry
        })?;
        // Why is told by the writer of the blocks.
        let _ = write(&self.records, LEARNED, &held).await;
        Ok(())
    }

    /// Returns all entries as one journal in JSON, the oldest first.
    pub async fn to_json(&self) -> String {
        let mut all: Vec<Entry> = self.shared.lock().await.entries().cloned().collect();
        all.extend(self.learned.lock().await.entries().cloned());
        all.sort_by_key(|entry| entry.at);
        let mut journal = Journal::new();
        for entry in all {
            // Both are within the bound; what does not fit in the sum is the newest line of the learner.
            let _ = journal.push(entry);
        }
        journal.to_json()
    }

    /// Moves what the learner shared before to the other journal.
    async fn fold(&self) -> Result<(), LedgerError> {
        let mut learned = self.learned.lock().await;
        if learned.total() == 0 {
            return Ok(());
        }
        let mut shared = self.shared.lock().await;
        for entry in learned.entries() {
            shared.push(entry.clone())?;
        }
        write(&self.records, SHARED, &shared).await?;
        *learned = Journal::new();
        write(&self.records, LEARNED, &learned).await
    }
}

async fn write(records: &Records, name: &str, journal: &Journal) -> Result<(), LedgerError> {
    let text = journal.to_json();
    Ok(records.put(Whose::Own, name, text.as_bytes()).await?)
}

async fn read(records: &Records, name: &str) -> Result<Journal, LedgerError> {
    let Some(bytes) = records.get(Whose::Own, name).await? else {
        return Ok(Journal::new());
    };
    let read = Journal::from_json(&bytes);
    if read.is_err() {
        let aside = format!("{name}-damaged");
        records.put(Whose::Own, &aside, &bytes).await?;
    }
    Ok(read?)
}

/// Name of the record of what the owner shared.
const SHARED: &str = "journal";
/// Name of the record of what the learner shares.
const LEARNED: &str = "journal-learned";

#[cfg(test)]
mod tests {
    use chorus_core::key::Keypair;
    use chorus_core::packet::PacketDraft;
    use chorus_core::time::Timestamp;
    use futures::executor::block_on;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_233_600_000);

    fn entry(packet_type: &str, content: u8) -> Entry {
        let packet = PacketDraft::inline(packet_type, vec![content; 10])
            .sign(&Keypair::from_seed(&[1; 32]), "main", AT)
            .unwrap();
        let late = AT.saturating_add(std::time::Duration::from_secs(content.into()));
        Entry::of_packet(&packet, late)
    }

    async fn lines(ledger: &Ledger) -> Vec<(String, u64)> {
        let journal = Journal::from_json(&ledger.to_json().await).unwrap();
        let line = |entry: &Entry| (entry.packet_type.clone(), entry.count);
        journal.entries().map(line).collect()
    }

    #[test]
    fn what_left_is_still_listed_after_a_new_start_and_weights_are_one_line() {
        let records = Rc::new(Records::new(None, None));
        let one = |packet_type: &str, count| (packet_type.to_owned(), count);
        block_on(async {
            let (ledger, setback) = Ledger::open(records.clone()).await;
            assert_eq!(setback, None);
            ledger.note_learned(entry("weights", 1)).await.unwrap();
            ledger.note(entry("note", 2)).await.unwrap();
            ledger.note_learned(entry("weights", 3)).await.unwrap();
            let expected = [one("weights", 2), one("note", 1)];
            assert_eq!(lines(&ledger).await, expected);

            let (again, setback) = Ledger::open(records.clone()).await;
            assert_eq!(setback, None);
            assert_eq!(lines(&again).await, expected);
            again.note_learned(entry("weights", 4)).await.unwrap();
            assert_eq!(lines(&again).await.len(), 3);
        });
    }

    #[test]
    fn weights_that_the_owner_shares_are_a_line_each() {
        let records = Rc::new(Records::new(None, None));
        block_on(async {
            let (ledger, _) = Ledger::open(records).await;
            ledger.note(entry("weights", 1)).await.unwrap();
            ledger.note(entry("weights", 2)).await.unwrap();
            ledger.note_learned(entry("weights", 3)).await.unwrap();
            let line = || ("weights".to_owned(), 1);
            assert_eq!(lines(&ledger).await, [line(), line(), line()]);
        });
    }

    #[test]
    fn a_damaged_ledger_is_kept_aside_and_said() {
        let records = Rc::new(Records::new(None, None));
        block_on(async {
            records
                .put(Whose::Own, SHARED, b"{\"version\":1")
                .await
                .unwrap();
            let (ledger, setback) = Ledger::open(records.clone()).await;
            assert!(matches!(setback, Some(LedgerError::Journal(_))));
            ledger.note(entry("note", 1)).await.unwrap();
            let aside = records.get(Whose::Own, "journal-damaged").await.unwrap();
            assert_eq!(aside.unwrap().as_slice(), b"{\"version\":1");
        });
    }
}
