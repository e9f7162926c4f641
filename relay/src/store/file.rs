//! The files of the data directory: made whole or not at all, readable by their owner alone, opened only if they are ours.

use std::{fs, io, path::Path};

use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::store::StoreError;

/// What tells a file of one kind from all others: a table of this name that holds this format version.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) table: &'static str,
    /// Raised when a table of such a file changes its meaning.
    pub(super) version: u64,
}

impl Stamp {
    fn definition(&self) -> TableDefinition<'static, &'static str, u64> {
        TableDefinition::new(self.table)
    }
}

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

fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
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

/// Opens the file at `path`, which must carry `stamp`, or lets `make` make it where there is none; its directory too.
pub(super) fn open_or_make(
    path: &Path,
    stamp: Stamp,
    make: impl FnOnce() -> Result<Database, StoreError>,
) -> Result<Database, StoreError> {
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    if path.try_exists().map_err(|source| io_error(path, source))? {
        open_existing(path, stamp)
    } else {
        make()
    }
}

/// Opens a file that must carry `stamp`.
pub(super) fn open_existing(path: &Path, stamp: Stamp) -> Result<Database, StoreError> {
    let file = open_private_file(path, false)?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
            message: "it is empty or not a file".into(),
        });
    }
    let check = |result: Result<(), String>| {
        result.map_err(|message| StoreError::Foreign {
            path: path.to_path_buf(),
            message,
        })
    };
    // Opening for writing writes, also into what belongs to others: look first. What was not closed properly, or is
    // damaged, cannot be looked at; opening it for writing says why, or repairs it.
    if let Ok(database) = builder().open_read_only(path) {
        check(check_stamp(&database, stamp))?;
    }
    let database = builder()
        .create_file(file)
        .map_err(|e| classify(path, e.into()))?;
    check(check_stamp(&database, stamp))?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|source| io_error(path, source))?;
    Ok(database)
}

fn check_stamp(database: &impl ReadableDatabase, stamp: Stamp) -> Result<(), String> {
    let transaction = database.begin_read().map_err(|error| error.to_string())?;
    let stamps = transaction
        .open_table(stamp.definition())
        .map_err(|error| error.to_string())?;
    let version = stamps
        .get(VERSION)
        .map_err(|error| error.to_string())?
        .map(|value| value.value());
    match version {
        Some(version) if version == stamp.version => Ok(()),
        Some(other) => Err(format!(
            "format version must be {}, got {other}",
            stamp.version
        )),
        None => Err("it has no format version".into()),
    }
}

/// Makes a file with `stamp` and what `fill` puts into it, in one transaction.
pub(super) fn create(
    path: &Path,
    stamp: Stamp,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<Database, StoreError> {
    let unfinished = path.with_extension(format!("redb.{}.new", std::process::id()));
    let result = create_at(&unfinished, stamp, fill).and_then(|database| {
        // A link, unlike a rename, never replaces what another process put there meanwhile.
        fs::hard_link(&unfinished, path).map_err(|source| io_error(path, source))?;
        Ok(database)
    });
    // Best effort: it is in place under its own name, or the error says why not.
    let _ = fs::remove_file(&unfinished);
    result
}

fn create_at(
    path: &Path,
    stamp: Stamp,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<Database, StoreError> {
    let fail = |error: redb::Error| classify(path, error);
    let file = open_private_file(path, true)?;
    let database = builder().create_file(file).map_err(|e| fail(e.into()))?;
    let transaction = database.begin_write().map_err(|e| fail(e.into()))?;
    {
        let mut stamps = transaction
            .open_table(stamp.definition())
            .map_err(|e| fail(e.into()))?;
        stamps
            .insert(VERSION, stamp.version)
            .map_err(|e| fail(e.into()))?;
    }
    fill(&transaction).map_err(fail)?;
    transaction.commit().map_err(|e| fail(e.into()))?;
    Ok(database)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

const VERSION: &str = "format_version";
/// redb's page cache. Guess: sixteen full blocks; the operating system caches the rest.
const CACHE_BYTES: usize = 16 << 20;
