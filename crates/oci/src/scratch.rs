//! Directories that are filled before they appear, or that are needed for a
//! while only. Each is locked while its process lives, so that what killed
//! processes left can be told apart and removed.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::unpack::remove;
use crate::{Error, Result};

/// A directory of this process. Dropping removes it with all that is in it.
pub(crate) struct Scratch {
    path: PathBuf,
    lock: File,
    published: bool,
}

impl Scratch {
    /// Makes an empty directory in `parent`.
    pub(crate) fn create(parent: &Path, prefix: &str) -> io::Result<Self> {
        loop {
            let path = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?.keep();
            let lock = match File::open(&path) {
                Ok(lock) => lock,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            lock.lock()?;
            // Another process may have taken it for a left-over meanwhile.
            if lock.metadata()?.nlink() > 0 {
                lock.set_permissions(Permissions::from_mode(0o755))?;
                return Ok(Self { path, lock, published: false });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A descriptor of the directory.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        rustix::io::dup(&self.lock).map_err(|e| Error::io("open", &self.path, e.into()))
    }

    /// Gives the directory its name, which must be free or that of an empty
    /// directory beside it.
    pub(crate) fn publish(mut self, dest: &Path, durable: bool) -> Result<()> {
        fs::rename(&self.path, dest).map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => Error::Occupied { path: dest.into() },
            _ => Error::io("create", dest, e),
        })?;
        self.published = true;
        if durable && let Some(parent) = self.path.parent() {
            File::open(parent).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("flush", parent, e))?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a temporary directory; it is collected later");
        }
    }
}

/// Removes directories in `parent` whose process is gone. Returns how many.
pub(crate) fn collect(parent: &Path, prefix: &str) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) || !entry.file_type()?.is_dir() {
            continue;
        }
        let lock = match File::open(entry.path()) {
            Ok(lock) => lock,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        match lock.try_lock() {
            Ok(()) => {
                remove(&entry.path())?;
                removed += 1;
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Ok(removed)
}
