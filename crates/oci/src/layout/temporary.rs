//! Temporary files of the store: locked while their writer lives, so that
//! those left behind by a killed process can be told apart and removed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file in the store's directory for temporary files. Dropping removes it.
pub(crate) struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    /// Makes an empty file in `dir`, locked.
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        loop {
            let named = tempfile::Builder::new().prefix("new-").make_in(dir, |path| {
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path)
            })?;
            let (file, path) = named.keep().map_err(|e| e.error)?;
            file.lock()?;
            // Between creation and lock a collector may have taken it for a
            // left-over: then it has no name any more.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { file, path: Some(path) });
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().expect("only `moved` takes the path, and it consumes the value")
    }

    /// The file got another name and stays.
    pub(crate) fn moved(mut self) {
        self.path = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove a temporary file; it is collected later");
        }
    }
}

/// Removes the files in `dir` whose writers are gone. Returns how many.
/// Directories are collected by [`crate::scratch`].
pub(crate) fn collect(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let file = match OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(removed)
}
