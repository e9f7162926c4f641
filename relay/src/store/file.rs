//! The store's file: made whole or not at all, readable by its owner alone, opened only if it is ours.

use std::{fs, io, path::Path};

use redb::{Database, ReadableDatabase, TableDefinition};

use crate::store::{BLOCKS, ENTRIES, Secrets, StoreError};

pub(super) fn io_error(path: &Path, source: io::Error) -> StoreError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
        _ => StoreError::Io { path, source },
    }
}

pub(super) fn classify(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            StoreError::Foreign {
                path: path.to_path_buf(),
                message: source.to_string(),
            }
        }
        redb::Error::Io(source) => io_error(path, source),
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse {
            path: path.to_path_buf(),
        },
        other => StoreError::Corrupt {
            path: path.to_path_buf(),
            message: other.to_string(),
        },
    }
}

pub(super) fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| io_error(dir, source))
}

/// Opens a file that only its owner can read; `new` refuses one that is there.
fn open_private_file(path: &Path, new: bool) -> Result<fs::File, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| io_error(path, source))
}

pub(super) fn open_existing(path: &Path) -> Result<Database, StoreError> {
    let file = open_private_file(path, false)?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
            message: "it is empty or not a file".into(),
        });
    }
    let database = builder()
        .create_file(file)
        .map_err(|e| classify(path, e.into()))?;
    check_stamp(&database).map_err(|message| StoreError::Foreign {
        path: path.to_path_buf(),
        message,
    })?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|source| io_error(path, source))?;
    Ok(database)
}

fn check_stamp(database: &Database) -> Result<(), String> {
    let transaction = database.begin_read().map_err(|error| error.to_string())?;
    let stamps = transaction
        .open_table(STAMPS)
        .map_err(|error| error.to_string())?;
    let version = stamps
        .get(VERSION)
        .map_err(|error| error.to_string())?
        .map(|value| value.value());
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(other) => Err(format!(
            "format version must be {FORMAT_VERSION}, got {other}"
        )),
        None => Err("it has no format version".into()),
    }
}

pub(super) fn create(path: &Path, secrets: &Secrets) -> Result<Database, StoreError> {
    let unfinished = path.with_extension(format!("redb.{}.new", std::process::id()));
    let result = create_at(&unfinished, secrets).and_then(|database| {
        // A link, unlike a rename, never replaces what another process put there meanwhile.
        fs::hard_link(&unfinished, path).map_err(|source| io_error(path, source))?;
        Ok(database)
    });
    // Best effort: it is in place under its own name, or the error says why not.
    let _ = fs::remove_file(&unfinished);
    result
}

fn create_at(path: &Path, secrets: &Secrets) -> Result<Database, StoreError> {
    let fail = |error: redb::Error| classify(path, error);
    let file = open_private_file(path, true)?;
    let database = builder().create_file(file).map_err(|e| fail(e.into()))?;
    let transaction = database.begin_write().map_err(|e| fail(e.into()))?;
    {
        let mut stamps = transaction.open_table(STAMPS).map_err(|e| fail(e.into()))?;
        stamps
            .insert(VERSION, FORMAT_VERSION)
            .map_err(|e| fail(e.into()))?;
        let mut table = transaction
            .open_table(SECRETS)
            .map_err(|e| fail(e.into()))?;
        table
            .insert(SEED, secrets.seed.as_slice())
            .map_err(|e| fail(e.into()))?;
        table
            .insert(CERTIFICATE, secrets.certificate.as_bytes())
            .map_err(|e| fail(e.into()))?;
        transaction.open_table(BLOCKS).map_err(|e| fail(e.into()))?;
        transaction
            .open_table(ENTRIES)
            .map_err(|e| fail(e.into()))?;
    }
    transaction.commit().map_err(|e| fail(e.into()))?;
    Ok(database)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

const STAMPS: TableDefinition<'_, &str, u64> = TableDefinition::new("chorus_relay");
const VERSION: &str = "format_version";
/// Raised when a table changes its meaning.
const FORMAT_VERSION: u64 = 1;
pub(super) const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
pub(super) const SEED: &str = "identity_seed";
pub(super) const CERTIFICATE: &str = "webrtc_certificate";
/// redb's page cache. Guess: sixteen full blocks; the operating system caches the rest.
const CACHE_BYTES: usize = 16 << 20;
