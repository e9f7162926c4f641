//! Files under a name of their own until they are complete, and gone when they never are.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A file that is not complete. Dropped, it is removed, or is gone already where it got another name.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
}

/// The files of this process that are not complete.
struct Open {
    paths: BTreeSet<PathBuf>,
    /// Whether the process ends: nothing is begun any more.
    is_ending: bool,
}

static OPEN: Mutex<Open> = Mutex::new(Open {
    paths: BTreeSet::new(),
    is_ending: false,
});

impl Unfinished {
    /// Creates a file in the folder of `path`, with `options`, under a name that no other has: what another run left behind is
    /// in nobody's way.
    ///
    /// # Errors
    /// `path` names no file, the folder cannot be written, or the process ends.
    pub(super) fn beside(path: &Path, options: &mut OpenOptions) -> io::Result<(Self, File)> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_ending {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut tries = 0;
        loop {
            let mut fresh = [0; 8];
            getrandom::fill(&mut fresh).map_err(io::Error::other)?;
            let fresh = u64::from_le_bytes(fresh);
            let name = format!(".{}.{fresh:016x}.part", name.to_string_lossy());
            let path = path.with_file_name(name);
            tries += 1;
            match options.create_new(true).write(true).open(&path) {
                Ok(file) => {
                    open.paths.insert(path.clone());
                    return Ok((Self { path }, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.paths.remove(&self.path);
        // Best effort: an error before this is the one to report.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the files that are not complete, for a process that ends without dropping them. None is begun after this.
pub(super) fn remove_all() {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.is_ending = true;
    for path in std::mem::take(&mut open.paths) {
        let _ = fs::remove_file(path);
    }
}

/// Names to try. Guess: of 2⁶⁴ even a second one never happens.
const TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_unfinished_files_for_one_path_are_in_nobodys_way_and_go_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let (one, _) = Unfinished::beside(&path, &mut OpenOptions::new()).unwrap();
        let (other, _) = Unfinished::beside(&path, &mut OpenOptions::new()).unwrap();
        assert_ne!(one.path(), other.path());
        assert_eq!(count(), 2);
        drop((one, other));
        assert_eq!(count(), 0);
        assert!(Unfinished::beside(Path::new("/"), &mut OpenOptions::new()).is_err());
    }
}
