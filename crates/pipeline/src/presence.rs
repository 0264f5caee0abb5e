//! Whether the process that holds an environment's lock still lives.
//!
//! A lease ends by itself, but somebody whose deployment was killed wants to
//! go on at once. So the holder also locks a file of the environment and
//! writes its fence into it: a file with that fence that nobody locks was left
//! by a process that is gone. The kernel lets go of the file however the
//! process ended, and process numbers, which are used again and differ between
//! containers, play no part. Where the ledger is shared by several machines,
//! the other machines' files are not seen, and their leases are waited for.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the file in the environment's folder.
const FILE: &str = "lock-holder";

/// The file of one environment, as one process uses it.
#[derive(Debug)]
pub(crate) struct Presence {
    path: PathBuf,
    locked: Mutex<Option<File>>,
}

impl Presence {
    /// The file in the environment's folder. Nothing is made yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), locked: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, Option<File>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows this process as the one at work; false when another one is, or
    /// the file cannot be had, in which case the lease alone counts.
    pub(crate) fn take(&self) -> bool {
        let mut locked = self.locked();
        if locked.is_none() {
            *locked = self.open().ok().filter(|file| file.try_lock().is_ok());
        }
        locked.is_some()
    }

    fn open(&self) -> std::io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().read(true).write(true).create(true).truncate(false).open(&self.path)
    }

    /// Writes down under which fence this process works. Without that its
    /// death would not be noticed before its lease ends, which is no error.
    pub(crate) fn mark(&self, fence: u64) {
        if let Some(file) = self.locked().as_mut() {
            let text = fence.to_string();
            let written = file
                .rewind()
                .and_then(|()| file.write_all(text.as_bytes()))
                .and_then(|()| file.set_len(text.len() as u64));
            if let Err(error) = written {
                tracing::debug!(%error, path = %self.path.display(), "the lock's holder cannot be marked");
            }
        }
    }

    /// The fence under which the last process worked that had the file; only
    /// meaningful after [`Presence::take`]: then that process is gone.
    pub(crate) fn left_fence(&self) -> Option<u64> {
        self.locked().as_mut().and_then(fence_in)
    }

    /// No longer at work.
    pub(crate) fn leave(&self) {
        // Closing lets go of the lock.
        *self.locked() = None;
    }

    /// Whether whoever held the lock under `fence` is gone. Changes nothing.
    pub(crate) fn is_abandoned(&self, fence: u64) -> bool {
        let Ok(mut file) = File::open(&self.path) else { return false };
        file.try_lock_shared().is_ok() && fence_in(&mut file) == Some(fence)
    }
}

fn fence_in(file: &mut File) -> Option<u64> {
    const MOST_DIGITS: u64 = 20;
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MOST_DIGITS).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_one_is_present_and_the_next_sees_what_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Presence::new(folder.path()), Presence::new(folder.path()));
        assert!(!other.is_abandoned(7), "nobody was ever there");
        assert!(one.take() && one.take());
        assert_eq!(one.left_fence(), None);
        one.mark(1234);
        one.mark(7);
        assert!(!other.take() && !other.is_abandoned(7));
        one.leave();
        assert!(other.is_abandoned(7) && !other.is_abandoned(8));
        assert!(other.take());
        assert_eq!(other.left_fence(), Some(7));
    }

    #[test]
    fn without_a_folder_there_is_nobody() {
        let presence = Presence::new(Path::new("/proc/none"));
        assert!(!presence.take() && !presence.is_abandoned(1));
        presence.mark(1);
        presence.leave();
        assert_eq!(presence.left_fence(), None);
    }
}
