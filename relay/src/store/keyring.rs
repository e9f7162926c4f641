//! The keyring's file: the secrets that open what others seal to this peer, in a redb file of its own beside the store.
//!
//! Of its own, because a running peer holds the store as long as it runs, while `get` needs the secrets for a moment.
//! What rotation erased is gone from the tables; the file system may still hold the bytes.

use std::path::{Path, PathBuf};

use chorus_core::{
    seal::{Keyring, SealSecret, Validity},
    time::Timestamp,
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use zeroize::Zeroizing;

use crate::store::{
    StoreError,
    file::{Stamp, classify, create, open_or_make},
};

/// The open file. Only one process can hold it: drop it soon.
pub(crate) struct KeyringFile {
    path: PathBuf,
    database: Database,
}

impl KeyringFile {
    /// The name of the file in the data directory.
    pub(crate) const NAME: &str = "keyring.redb";

    /// Opens the keyring in `dir`; makes an empty one when there is none.
    ///
    /// # Errors
    /// The directory or file is not accessible, in use, damaged or foreign. Nothing that was there is changed then.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(Self::NAME);
        let database = open_or_make(&path, STAMP, || {
            create(&path, STAMP, |transaction| {
                transaction.open_table(KEYS)?;
                Ok(())
            })
        })?;
        Ok(Self { path, database })
    }

    /// Reads the keyring.
    ///
    /// # Errors
    /// The file cannot be read, or holds what no keyring has.
    pub(crate) fn load(&self) -> Result<Keyring, StoreError> {
        let rows = self.rows().map_err(|e| classify(&self.path, e))?;
        let entries = rows
            .into_iter()
            .map(|(epoch, row)| entry(epoch, &row))
            .collect::<Result<Vec<_>, _>>();
        entries
            .and_then(|entries| Keyring::restore(entries).map_err(|error| error.to_string()))
            .map_err(|message| StoreError::Corrupt {
                path: self.path.clone(),
                message,
            })
    }

    /// Replaces what the file holds by `keyring`, in one transaction; it is on disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self, keyring: &Keyring) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            write_rows(&transaction, keyring)?;
            Ok(transaction.commit()?)
        };
        write().map_err(|e| classify(&self.path, e))
    }

    fn rows(&self) -> Result<Vec<(u64, Zeroizing<Row>)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(KEYS)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (epoch, row) = row?;
            rows.push((epoch.value(), Zeroizing::new(*row.value())));
        }
        Ok(rows)
    }
}

fn write_rows(transaction: &WriteTransaction, keyring: &Keyring) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(KEYS)?;
    table.retain(|_, _| false)?;
    for (secret, validity) in keyring.entries() {
        let mut row = Zeroizing::new([0; ROW]);
        row[..32].copy_from_slice(&*secret.seed());
        row[32..64].copy_from_slice(secret.public().as_bytes());
        row[64..72].copy_from_slice(&validity.from.as_millis().to_be_bytes());
        row[72..].copy_from_slice(&validity.until.as_millis().to_be_bytes());
        table.insert(validity.epoch, &*row)?;
    }
    Ok(())
}

/// Reads a row; says what does not fit, never a secret.
fn entry(epoch: u64, row: &Row) -> Result<(SealSecret, Validity), String> {
    let (keys, times) = row.split_at(64);
    let (seed, public) = keys.split_at(32);
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(seed);
    let secret = SealSecret::from_seed(&secret);
    if secret.public().as_bytes() != public {
        return Err(format!(
            "the secret of epoch {epoch} is not that of its public key"
        ));
    }
    let [from, until] = [&times[..8], &times[8..]].map(|bytes| {
        let mut millis = [0; 8];
        millis.copy_from_slice(bytes);
        Timestamp::from_millis(u64::from_be_bytes(millis))
    });
    if until <= from || until > from.saturating_add(Validity::MAX) {
        return Err(format!(
            "the key of epoch {epoch} is valid from {from} to {until}"
        ));
    }
    Ok((secret, Validity { epoch, from, until }))
}

const STAMP: Stamp = Stamp {
    table: "chorus_keyring",
    version: 1,
};
/// By epoch: seed of the secret (32), its public key (32), start and end of validity (ms since the Unix epoch, 8 each).
const KEYS: TableDefinition<'_, u64, &Row> = TableDefinition::new("keys");
type Row = [u8; ROW];
const ROW: usize = 80;

#[cfg(test)]
mod tests {
    use std::fs;

    use chorus_core::{
        key::Keypair,
        seal::{MAX_SECRETS, SealKey},
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_233_600_000);

    fn keyring(secrets: u8) -> Keyring {
        let identity = Keypair::from_seed(&[9; 32]);
        let mut keyring = Keyring::new();
        for n in 1..=secrets {
            let secret = SealSecret::from_seed(&[n; 32]);
            keyring.rotate(secret, &identity, "main", NOW).unwrap();
        }
        keyring
    }

    /// Puts `row` under each of `epochs` into the file.
    fn write(file: &KeyringFile, epochs: impl IntoIterator<Item = u64>, row: &Row) {
        let transaction = file.database.begin_write().unwrap();
        for epoch in epochs {
            transaction
                .open_table(KEYS)
                .unwrap()
                .insert(epoch, row)
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    fn keys(keyring: &Keyring) -> Vec<(SealKey, Validity)> {
        let entries = keyring.entries();
        entries
            .map(|(secret, validity)| (secret.public(), *validity))
            .collect()
    }

    #[test]
    fn a_keyring_is_the_same_after_reopening_and_forgets_what_was_erased() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyringFile::open(dir.path()).unwrap();
        assert!(keys(&file.load().unwrap()).is_empty());
        file.save(&keyring(3)).unwrap();
        drop(file);
        let file = KeyringFile::open(dir.path()).unwrap();
        assert_eq!(keys(&file.load().unwrap()), keys(&keyring(3)));
        file.save(&keyring(1)).unwrap();
        assert_eq!(keys(&file.load().unwrap()), keys(&keyring(1)));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        KeyringFile::open(dir.path()).unwrap();
        let metadata = fs::metadata(dir.path().join(KeyringFile::NAME)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_foreign_file_is_reported_with_its_path_and_left_untouched() {
        let other = tempfile::tempdir().unwrap();
        let path = other.path().join("other.redb");
        let stamp = Stamp {
            table: "chorus_relay",
            version: 1,
        };
        drop(create(&path, stamp, |_| Ok(())).unwrap());
        let store = fs::read(path).unwrap();
        for content in [&b"a diary, not a database"[..], b"", &[0; 8192], &store] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(KeyringFile::NAME);
            fs::write(&path, content).unwrap();
            let error = KeyringFile::open(dir.path()).map(drop).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(fs::read(&path).unwrap() == content);
        }
    }

    #[test]
    fn a_row_that_no_keyring_has_is_reported_without_its_secret() {
        type Damage = (fn(&mut Row), &'static str);
        let damages: [Damage; 3] = [
            (|row| row[0] ^= 1, "not that of its public key"),
            (|row| row[40] ^= 1, "not that of its public key"),
            (|row| row[72] = 0xff, "is valid from"),
        ];
        for (damage, why) in damages {
            let dir = tempfile::tempdir().unwrap();
            let file = KeyringFile::open(dir.path()).unwrap();
            file.save(&keyring(1)).unwrap();
            let (epoch, mut row) = file.rows().unwrap().remove(0);
            damage(&mut row);
            write(&file, [epoch], &row);
            let error = file.load().unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(why) && error.contains(KeyringFile::NAME),
                "{error}"
            );
        }
    }

    #[test]
    fn more_secrets_than_a_keyring_holds_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyringFile::open(dir.path()).unwrap();
        file.save(&keyring(1)).unwrap();
        let (_, row) = file.rows().unwrap().remove(0);
        write(&file, 0..MAX_SECRETS as u64, &row);
        let error = file.load().unwrap_err().to_string();
        assert!(error.contains("at most 8, got 9"), "{error}");
    }
}
