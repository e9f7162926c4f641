//! The pause after a full disk. Reads no clock: times are arguments.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::store::StoreError;

/// Until when nothing is written, because the disk was full.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Option<Instant>,
}

impl Pause {
    /// Refuses as long as the pause lasts.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] with `path`.
    pub(super) fn check(&self, path: &Path, now: Instant) -> Result<(), StoreError> {
        if self.until.is_some_and(|until| now < until) {
            return Err(StoreError::DiskFull {
                path: path.to_path_buf(),
            });
        }
        Ok(())
    }

    /// Begins where `error` says that the disk is full.
    pub(super) fn note(&mut self, error: &StoreError, now: Instant) {
        if matches!(error, StoreError::DiskFull { .. }) {
            self.until = Some(now + AFTER_FULL_DISK);
        }
    }
}

/// Time between attempts to write while the disk is full. Guess: a large store is read in seconds, nobody frees a disk
/// faster than in a minute.
const AFTER_FULL_DISK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_nothing_else_is_followed_by_a_minute_of_refusals() {
        let (path, start) = (Path::new("chorus.redb"), Instant::now());
        let mut pause = Pause::default();
        pause.check(path, start).unwrap();
        let (path_buf, source) = (path.to_path_buf(), std::io::Error::other("other"));
        let other = StoreError::Io {
            path: path_buf.clone(),
            source,
        };
        pause.note(&other, start);
        pause.check(path, start).unwrap();
        pause.note(&StoreError::DiskFull { path: path_buf }, start);
        for millis in [0, 1, 59_999] {
            let refused = pause.check(path, start + Duration::from_millis(millis));
            assert!(matches!(refused, Err(StoreError::DiskFull { .. })));
        }
        pause.check(path, start + AFTER_FULL_DISK).unwrap();
    }
}
