//! The ledger's file: the privacy budget, the list of everything that left, and the secrets behind pseudonyms, in a redb
//! file of its own beside the store.
//!
//! Of its own, because a running peer holds the store as long as it runs. The number of the budget's last state is also
//! kept in a second file: a budget that is put back from a copy is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chorus_core::{
    digest::Digest,
    privacy::{
        ledger::{Budget, Grant, Ledger, LedgerError, Mechanism, Reservation},
        pseudonym::NodeSecret,
        scrub::Salt,
    },
    release::{Entry, Journal},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use zeroize::Zeroizing;

use crate::store::{
    StoreError,
    file::{Stamp, classify, create, io_error, open_or_make},
};

/// The open file. Only one process can hold it: drop it soon.
pub(crate) struct LedgerFile {
    path: PathBuf,
    database: Database,
}

/// Why nothing was booked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpendError {
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The budget.
    #[error("the privacy budget does not allow this release: {0}")]
    Ledger(#[from] LedgerError),
}

/// Random bytes for the secrets of a new file.
pub(crate) type Seeds = Zeroizing<[u8; 64]>;

impl LedgerFile {
    /// The name of the file in the data directory.
    pub(crate) const NAME: &str = "ledger.redb";
    /// The name of the second file, with the number of the budget's last state.
    pub(crate) const SEQUENCE_NAME: &str = "ledger.sequence";

    /// Whether there is one in `dir`.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(Self::NAME).exists()
    }

    /// Opens the file in `dir`; makes one with secrets of `seeds` when there is none.
    ///
    /// # Errors
    /// The directory or file is not accessible, in use, damaged or foreign. Nothing that was there is changed then.
    pub(crate) fn open(dir: &Path, seeds: &Seeds) -> Result<Self, StoreError> {
        let path = dir.join(Self::NAME);
        let database = open_or_make(&path, STAMP, || {
            create(&path, STAMP, |transaction| {
                let mut table = transaction.open_table(VALUES)?;
                table.insert(SECRETS, seeds.as_slice())?;
                Ok(())
            })
        })?;
        Ok(Self { path, database })
    }

    /// The secrets behind pseudonyms, and behind the hashes of what is taken out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn secrets(&self) -> Result<(NodeSecret, Salt), StoreError> {
        let stored = self.value(SECRETS)?.map(Zeroizing::new);
        let seeds = stored.as_ref().and_then(|bytes| bytes.first_chunk::<64>());
        let seeds = seeds.ok_or_else(|| self.corrupt("it has no secrets"))?;
        let mut halves = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        halves.0.copy_from_slice(&seeds[..32]);
        halves.1.copy_from_slice(&seeds[32..]);
        Ok((
            NodeSecret::from_bytes(*halves.0),
            Salt::from_bytes(*halves.1),
        ))
    }

    /// Everything that left.
    ///
    /// # Errors
    /// The file cannot be read, or holds what is no journal.
    pub(crate) fn journal(&self) -> Result<Journal, StoreError> {
        self.journal_of(self.value(JOURNAL)?)
    }

    /// Adds an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// The file cannot be read or written, or the journal takes no more: [`StoreError::Journal`]. What it held stays.
    pub(crate) fn note(&self, entry: Entry) -> Result<(), StoreError> {
        self.change(|transaction| {
            let mut journal = self.journal_of(self.value_in(transaction, JOURNAL)?)?;
            self.push(&mut journal, entry)?;
            self.put(transaction, JOURNAL, journal.to_json().as_bytes())
        })
    }

    /// Says whether such an entry would be taken in now.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(crate) fn check_room(&self, entry: Entry) -> Result<(), StoreError> {
        self.push(&mut self.journal()?, entry)
    }

    fn push(&self, journal: &mut Journal, entry: Entry) -> Result<(), StoreError> {
        let path = self.path.clone();
        let full = |source| StoreError::Journal { path, source };
        journal.push(entry).map_err(full)
    }

    /// The budget as it is.
    ///
    /// # Errors
    /// The file cannot be read, or holds an older or another budget than it should.
    pub(crate) fn ledger(&self) -> Result<Ledger, StoreError> {
        self.ledger_of(self.value(LEDGER)?)
    }

    /// Books one release of `mechanism`; the booking is on disk when this returns.
    ///
    /// # Errors
    /// [`SpendError`]: nothing was booked, or it could not be made sure that it was.
    pub(crate) fn reserve(&self, mechanism: Mechanism) -> Result<Grant, SpendError> {
        let mut booked: Option<Result<Reservation, LedgerError>> = None;
        self.change(|transaction| {
            let mut ledger = self.ledger_of(self.value_in(transaction, LEDGER)?)?;
            let reserved = ledger.reserve(mechanism, 1);
            if let Ok(reservation) = &reserved {
                self.put_booked(transaction, reservation)?;
            }
            booked = Some(reserved);
            Ok(())
        })?;
        let reservation = booked.unwrap_or(Err(LedgerError::Scope))?;
        // Later than the ledger: a crash in between leaves a number that is too small, never one too large.
        self.write_sequence(reservation.replaces().saturating_add(1))?;
        Ok(reservation.stored())
    }

    /// Puts a booking in the place of the ledger that it was made on, and of no other.
    fn put_booked(
        &self,
        transaction: &WriteTransaction,
        reservation: &Reservation,
    ) -> Result<(), StoreError> {
        let held = self.ledger_of(self.value_in(transaction, LEDGER)?)?;
        if reservation.replaces() != held.sequence() {
            // Another has booked meanwhile.
            let path = self.path.clone();
            return Err(StoreError::InUse { path });
        }
        self.put(transaction, LEDGER, reservation.bytes())
    }

    fn journal_of(&self, stored: Option<Vec<u8>>) -> Result<Journal, StoreError> {
        let Some(stored) = stored else {
            return Ok(Journal::new());
        };
        Journal::from_json(stored).map_err(|error| self.corrupt(&error.to_string()))
    }

    fn ledger_of(&self, stored: Option<Vec<u8>>) -> Result<Ledger, StoreError> {
        let noted = self.last_sequence()?;
        let last = noted.unwrap_or(0);
        let scope = Digest::sha256(SCOPE);
        let ledger = match stored {
            Some(bytes) => Ledger::from_bytes(&bytes, scope, last),
            None if last == 0 => Ledger::new(scope, Budget::default()),
            None => Err(LedgerError::RolledBack { got: 0, last }),
        };
        let ledger = ledger.map_err(|error| self.corrupt(&error.to_string()))?;
        // A crash at the first booking leaves none; later, one was there and is gone.
        if noted.is_none() && ledger.sequence() > 1 {
            return Err(StoreError::Corrupt {
                path: self.sequence_path(),
                message: format!(
                    "it is gone, and the budget is at number {}",
                    ledger.sequence()
                ),
            });
        }
        Ok(ledger)
    }

    fn sequence_path(&self) -> PathBuf {
        self.path.with_file_name(Self::SEQUENCE_NAME)
    }

    /// The number in the second file; `None` where there is no such file.
    fn last_sequence(&self) -> Result<Option<u64>, StoreError> {
        let path = self.sequence_path();
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(StoreError::Corrupt {
                    path,
                    message: "it must hold one number".into(),
                }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    fn write_sequence(&self, sequence: u64) -> Result<(), StoreError> {
        let path = self.sequence_path();
        let unfinished = path.with_extension("sequence.new");
        let write = || {
            let mut file = fs::File::create(&unfinished)?;
            std::io::Write::write_all(&mut file, format!("{sequence}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| io_error(&path, source))
    }

    fn value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(VALUES)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|e| classify(&self.path, e))
    }

    fn value_in(
        &self,
        transaction: &WriteTransaction,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let table = transaction.open_table(VALUES)?;
            let value = table.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        };
        read().map_err(|e| classify(&self.path, e))
    }

    fn put(
        &self,
        transaction: &WriteTransaction,
        key: &str,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            transaction.open_table(VALUES)?.insert(key, bytes)?;
            Ok(())
        };
        write().map_err(|e| classify(&self.path, e))
    }

    /// Lets `change` write in one transaction, which is on disk when this returns, or not made at all.
    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let fail = |error: redb::Error| classify(&self.path, error);
        let transaction = self.database.begin_write().map_err(|e| fail(e.into()))?;
        change(&transaction)?;
        transaction.commit().map_err(|e| fail(e.into()))
    }

    fn corrupt(&self, message: &str) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            message: message.into(),
        }
    }
}

const STAMP: Stamp = Stamp {
    table: "chorus_ledger",
    version: 1,
};
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
const SECRETS: &str = "secrets";
const JOURNAL: &str = "journal";
const LEDGER: &str = "ledger";
/// What the budget protects: everything that is shared from this data directory, on whatever network.
const SCOPE: &[u8] = b"chorus-relay share";

#[cfg(test)]
mod tests {
    use chorus_core::{
        key::Keypair,
        packet::PacketDraft,
        privacy::noise::{Neighbours, plan},
        release::MAX_JOURNAL_JSON,
        time::Timestamp,
    };

    use super::*;

    fn seeds(seed: u8) -> Seeds {
        Zeroizing::new([seed; 64])
    }

    fn mechanism() -> Mechanism {
        plan(1.0, Neighbours::Absent, 1.0).unwrap()
    }

    fn spend_all(dir: &Path) -> (u64, String) {
        let mut releases = 0;
        loop {
            let file = LedgerFile::open(dir, &seeds(1)).unwrap();
            match file.reserve(mechanism()) {
                Ok(grant) => assert_eq!(grant.steps_left(), 1),
                Err(error) => return (releases, error.to_string()),
            }
            releases += 1;
        }
    }

    #[test]
    fn what_was_booked_stays_booked_over_restarts_until_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (releases, error) = spend_all(dir.path());
        assert!((1..10).contains(&releases), "{releases}");
        assert!(error.contains("epsilon must be at most 8"), "{error}");
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        let ledger = file.ledger().unwrap();
        assert_eq!(ledger.sequence(), releases);
        assert_eq!(ledger.releases().next(), Some((mechanism(), releases)));
    }

    #[test]
    fn a_budget_that_was_put_back_or_taken_away_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LedgerFile::NAME);
        drop(LedgerFile::open(dir.path(), &seeds(1)).unwrap());
        let fresh = fs::read(&path).unwrap();
        spend_all(dir.path());
        for put_back in [true, false] {
            if put_back {
                fs::write(&path, &fresh).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
            let error = file.reserve(mechanism()).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert!(file.ledger().is_err());
        }
    }

    #[test]
    fn secrets_are_those_of_the_first_opening() {
        let dir = tempfile::tempdir().unwrap();
        let pseudonym = |seed: u8| {
            let file = LedgerFile::open(dir.path(), &seeds(seed)).unwrap();
            let (secret, _) = file.secrets().unwrap();
            secret
                .pseudonyms("main", Default::default())
                .of("user", "ada")
        };
        assert_eq!(pseudonym(1), pseudonym(2));
    }

    #[test]
    fn a_budget_whose_number_is_gone_is_refused_but_after_a_crash_at_the_first_booking() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        let number = dir.path().join(LedgerFile::SEQUENCE_NAME);
        file.reserve(mechanism()).unwrap();
        fs::remove_file(&number).unwrap();
        file.reserve(mechanism()).unwrap();
        assert_eq!(fs::read_to_string(&number).unwrap(), "2\n");
        fs::remove_file(&number).unwrap();
        let error = file.reserve(mechanism()).unwrap_err().to_string();
        assert!(error.contains(number.to_str().unwrap()), "{error}");
        assert!(file.ledger().is_err());
    }

    #[test]
    fn a_booking_on_a_ledger_that_another_has_changed_is_not_stored() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        let stale = file.ledger().unwrap().reserve(mechanism(), 1).unwrap();
        file.reserve(mechanism()).unwrap();
        let put = file.change(|transaction| file.put_booked(transaction, &stale));
        assert!(matches!(put, Err(StoreError::InUse { .. })), "{put:?}");
        assert_eq!(file.ledger().unwrap().sequence(), 1);
        let next = file.ledger().unwrap().reserve(mechanism(), 1).unwrap();
        file.change(|transaction| file.put_booked(transaction, &next))
            .unwrap();
        assert_eq!(file.ledger().unwrap().sequence(), 2);
    }

    fn entry(packet_type: &str, name: &str) -> Entry {
        let packet = PacketDraft::inline(packet_type, b"content".to_vec())
            .sign(
                &Keypair::from_seed(&[1; 32]),
                "main",
                Timestamp::from_millis(1),
            )
            .unwrap();
        Entry {
            name: Some(name.into()),
            ..Entry::of_packet(&packet, packet.timestamp())
        }
    }

    #[test]
    fn a_full_journal_says_so_and_reads_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        let long = "n".repeat(MAX_JOURNAL_JSON / 5);
        for number in 0..4 {
            file.note(entry(&format!("type{number}"), &long)).unwrap();
        }
        for error in [
            file.check_room(entry("type4", &long)).unwrap_err(),
            file.note(entry("type4", &long)).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains("is full"), "{error}");
            assert!(!error.contains("damaged"), "{error}");
        }
        assert_eq!(file.journal().unwrap().total(), 4);
        file.note(entry("type0", "short")).unwrap();
        assert_eq!(file.journal().unwrap().total(), 5);
    }

    #[test]
    fn a_journal_with_a_damaged_letter_is_not_written_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        file.note(entry("file", "slip")).unwrap();
        let mut torn = file.value(JOURNAL).unwrap().unwrap();
        let at = torn.windows(4).position(|w| w == b"slip").unwrap();
        torn[at] = 0xff;
        file.change(|transaction| file.put(transaction, JOURNAL, &torn))
            .unwrap();
        let error = file.note(entry("file", "next")).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert_eq!(file.value(JOURNAL).unwrap().unwrap(), torn);
    }

    #[test]
    fn a_damaged_journal_is_reported_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(dir.path(), &seeds(1)).unwrap();
        assert_eq!(file.journal().unwrap(), Journal::new());
        file.change(|transaction| file.put(transaction, JOURNAL, b"{\"version\":1"))
            .unwrap();
        let error = file.journal().unwrap_err().to_string();
        assert!(error.contains("ends too early"), "{error}");
        assert_eq!(file.value(JOURNAL).unwrap().unwrap(), b"{\"version\":1");
    }
}
