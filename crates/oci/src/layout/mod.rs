//! An OCI image layout directory (image-spec, image-layout.md) as a
//! content-addressed store.
//!
//! ```text
//! oci-layout              marks the directory; written last
//! index.json              the references; replaced as a whole, under a lock
//! blobs/sha256/<hex>      appear complete and verified, by rename
//! .tmp/                   what is being written; locked while its writer lives
//! .lock                   serialises changes of index.json
//! ```
//!
//! Any number of threads and processes may use one layout. A process may be
//! killed at any moment: then a temporary file is left, which the next
//! [`Layout::open_or_create`] removes, and nothing else.

mod blobs;
mod disk;
mod refs;
mod temporary;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use plimsoll_model::Digest;
use serde::Deserialize;

use crate::scratch::{self, Scratch};
use crate::{Error, Index, Result, limits};
pub use blobs::BlobWriter;
use disk::Disk;
use temporary::Temporary;

const MARKER: &str = "oci-layout";
pub(crate) const MARKER_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
const TEMPORARY: &str = ".tmp";
const LOCK: &str = ".lock";
/// Directories in [`TEMPORARY`] in which imports are unpacked.
const STAGE: &str = "stage-";

/// A handle on an image layout. Clones are cheap and share one cache.
#[derive(Clone)]
pub struct Layout(Arc<Inner>);

struct Inner {
    root: PathBuf,
    blobs: PathBuf,
    disk: Disk,
    cache: Mutex<Option<refs::Cached>>,
}

#[derive(Deserialize)]
struct Marker {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

impl Layout {
    /// Opens the layout in `path`, or makes an empty one there, and removes
    /// what killed writers left behind.
    ///
    /// # Errors
    /// [`Error::CorruptLayout`] when there is a damaged one,
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        Self::create_on(Disk::default(), path.as_ref())
    }

    fn create_on(disk: Disk, path: &Path) -> Result<Self> {
        let layout = Self::handle(disk, path);
        let inner = &layout.0;
        let temporary = inner.root.join(TEMPORARY);
        for dir in [&inner.blobs, &temporary] {
            fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        }
        if !layout.marked()? {
            layout.initialise()?;
        }
        let removed = temporary::collect(&temporary)
            .and_then(|files| Ok(files + scratch::collect(&temporary, STAGE)?))
            .map_err(|e| Error::io("clean up", &temporary, e))?;
        if removed > 0 {
            tracing::info!(layout = %inner.root.display(), removed, "removed files of interrupted writers");
        }
        Ok(layout)
    }

    /// Opens an existing layout and changes nothing in it.
    ///
    /// # Errors
    /// [`Error::NotALayout`], [`Error::CorruptLayout`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let layout = Self::handle(Disk::default(), path.as_ref());
        if layout.marked()? { Ok(layout) } else { Err(Error::NotALayout { path: layout.0.root.clone() }) }
    }

    fn handle(disk: Disk, path: &Path) -> Self {
        Self(Arc::new(Inner {
            root: path.to_path_buf(),
            blobs: path.join("blobs/sha256"),
            disk,
            cache: Mutex::default(),
        }))
    }

    /// Whether the marker is there; a wrong one is an error.
    fn marked(&self) -> Result<bool> {
        let path = self.0.root.join(MARKER);
        let bytes = match read_bounded(&path, limits::SMALL_DOCUMENT) {
            Ok(bytes) => bytes,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let corrupt = |reason: String| Error::CorruptLayout { path: path.clone(), reason };
        let marker: Marker = serde_json::from_slice(&bytes).map_err(|e| corrupt(e.to_string()))?;
        if !marker.version.starts_with("1.") {
            return Err(corrupt(format!("imageLayoutVersion is `{}`; 1.0.0 is supported", marker.version)));
        }
        Ok(true)
    }

    /// First the index, then the marker: a crash between the two leaves a
    /// directory that is not a layout yet, and the next call goes on.
    fn initialise(&self) -> Result<()> {
        let _lock = self.lock()?;
        if self.marked()? {
            return Ok(());
        }
        let index = self.0.root.join(INDEX);
        if !index.try_exists().map_err(|e| Error::io("look for", &index, e))? {
            self.replace(&index, &Index::oci(Vec::new()).to_bytes())?;
        }
        self.replace(&self.0.root.join(MARKER), MARKER_BYTES)
    }

    #[cfg(test)]
    pub(crate) fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0.root
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.blobs.join(digest.hex())
    }

    /// Takes the lock that serialises changes of `index.json`, for as long as
    /// the file is open. The system releases it when the process ends.
    fn lock(&self) -> Result<File> {
        let path = self.0.root.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        file.lock().map_err(|e| Error::io("lock", &path, e))?;
        Ok(file)
    }

    fn temporary(&self) -> Result<Temporary> {
        let dir = self.0.root.join(TEMPORARY);
        let create = |dir: &Path| Temporary::create(dir);
        match create(&dir) {
            // A layout that another tool wrote has no such directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&dir).and_then(|()| create(&dir))
            }
            other => other,
        }
        .map_err(|e| Error::io("create a file in", dir, e))
    }

    /// An empty layout on the same file system; it goes with the directory.
    pub(crate) fn stage(&self) -> Result<(Self, Scratch)> {
        let dir = self.0.root.join(TEMPORARY);
        let scratch = fs::create_dir_all(&dir)
            .and_then(|()| Scratch::create(&dir, STAGE))
            .map_err(|e| Error::io("create a directory in", dir, e))?;
        Ok((Self::create_on(self.0.disk.clone(), scratch.path())?, scratch))
    }

    /// Replaces a file as a whole: it has the old bytes or the new ones,
    /// whatever happens.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let failed = |action| move |e| Error::io(action, path, e);
        let temporary = self.temporary()?;
        Steps { disk: &self.0.disk, file: temporary.file() }.write_all(bytes).map_err(failed("write"))?;
        self.0.disk.sync_file(temporary.file()).map_err(failed("flush"))?;
        self.0.disk.rename(temporary.path(), path).map_err(failed("replace"))?;
        temporary.moved();
        self.0.disk.sync_dir(&self.0.root).map_err(failed("flush the directory of"))
    }
}

/// Writes through the [`Disk`].
struct Steps<'a> {
    disk: &'a Disk,
    file: &'a File,
}

impl Write for Steps<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write(self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layout").field(&self.0.root).finish()
    }
}

/// The bytes of a small file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { object: path.display().to_string(), limit });
    }
    Ok(bytes)
}
