//! An archive's files: small documents in memory, the rest as blobs of a
//! staging layout.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use plimsoll_model::Digest;

use crate::layer::decompress;
use crate::scratch::Scratch;
use crate::tarball::{TarReader, clean_path};
use crate::{EntryKind, Error, Index, Layout, Limits, Result, limits, media_type};

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const DOCKER_LIST: &str = "manifest.json";

/// The most files of an archive.
const FILES: usize = 100_000;
/// Links that are followed from a name to its file.
const LINKS: usize = 16;

/// What an archive holds.
pub(super) struct Stage {
    path: PathBuf,
    blobs: Layout,
    files: HashMap<PathBuf, Staged>,
    documents: HashMap<&'static str, Vec<u8>>,
    /// Removed after all else, since fields are dropped in this order.
    _scratch: Scratch,
}

enum Staged {
    Blob(Digest, u64),
    Link(PathBuf),
}

impl Stage {
    /// Reads the whole archive at `path`, beside `into`.
    pub(super) fn read(path: &Path, into: &Layout, limits: Limits) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let (blobs, scratch) = into.stage()?;
        let mut stage = Self {
            path: path.into(),
            blobs,
            files: HashMap::new(),
            documents: HashMap::new(),
            _scratch: scratch,
        };
        let object = format!("the archive {}", path.display());
        let plain = decompress(file).map_err(|e| Error::io("read", path, e))?;
        let mut tar = TarReader::new(plain.take(limits.total_bytes.saturating_add(1)), object);
        let mut bytes = 0_u64;
        while let Some(entry) = tar.next_entry().map_err(|e| stage.explain(e))? {
            let refused = |reason: String| Error::UnsafeEntry {
                layer: format!("the archive {}", path.display()),
                entry: entry.path.display().to_string(),
                reason,
            };
            let name = clean_path(&entry.path).map_err(|reason| refused(reason.into()))?;
            // Sparse files have more bytes than the archive.
            bytes = bytes.saturating_add(entry.size);
            let too_large = entry.size > limits.file_bytes || bytes > limits.total_bytes;
            if too_large || tar.get_mut().limit() == 0 || stage.files.len() >= FILES {
                return Err(Error::LayerLimit {
                    layer: format!("the archive {}", path.display()),
                    entry: entry.path.display().to_string(),
                    limit: format!(
                        "{} bytes in all, {} bytes in one file, or {FILES} files",
                        limits.total_bytes, limits.file_bytes
                    ),
                });
            }
            match &entry.kind {
                EntryKind::Directory => {}
                EntryKind::File => stage.take_file(name, entry.size, &mut tar)?,
                // Old archives have equal layers as links to one of them.
                EntryKind::Symlink(target) => {
                    let target = inside(name.parent(), target).ok_or_else(|| {
                        refused(format!("its target `{}` leaves the archive", target.display()))
                    })?;
                    stage.files.insert(name, Staged::Link(target));
                }
                EntryKind::HardLink(target) => {
                    let target = clean_path(target).map_err(|reason| refused(reason.into()))?;
                    stage.files.insert(name, Staged::Link(target));
                }
                _ => return Err(refused("it is a device or a named pipe".into())),
            }
        }
        if !stage.documents.contains_key(INDEX) && !stage.documents.contains_key(DOCKER_LIST) {
            return Err(stage.unknown("a tar archive without `index.json` and without `manifest.json`"));
        }
        Ok(stage)
    }

    fn unknown(&self, reason: &str) -> Error {
        Error::NotAnArchive { path: self.path.clone(), reason: reason.into() }
    }

    /// A first header that is none means that this is no tar at all; and what
    /// the system did not say, the decompressor said.
    fn explain(&self, error: Error) -> Error {
        match error {
            Error::Malformed { reason, .. } if self.files.is_empty() && self.documents.is_empty() => {
                self.unknown(&format!("a file that is no tar archive: {reason}"))
            }
            Error::Io { source, .. } if source.raw_os_error().is_none() => Error::malformed(
                format!("the archive {}", self.path.display()),
                format!("its compression is damaged: {source}"),
            ),
            other => other,
        }
    }

    fn take_file<R: Read>(&mut self, name: PathBuf, size: u64, tar: &mut TarReader<R>) -> Result<()> {
        let document = [MARKER, INDEX, DOCKER_LIST].into_iter().find(|known| name == Path::new(known));
        if let Some(document) = document {
            if size > limits::MANIFEST {
                return Err(Error::TooLarge {
                    object: format!("{document} of {}", self.path.display()),
                    limit: limits::MANIFEST,
                });
            }
            let mut bytes = Vec::new();
            tar.read_to_end(&mut bytes).map_err(|e| self.unreadable(e))?;
            self.documents.insert(document, bytes);
            return Ok(());
        }
        let mut writer = self.blobs.writer()?;
        io::copy(tar, &mut writer).map_err(|e| self.unreadable(e))?;
        let (digest, size) = writer.commit(None)?;
        self.files.insert(name, Staged::Blob(digest, size));
        Ok(())
    }

    /// Reading or writing failed while a file was copied.
    fn unreadable(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::malformed(
                format!("the archive {}", self.path.display()),
                "it ends in the middle of a file",
            ),
            _ => self.explain(Error::from_read("import", &self.path, error)),
        }
    }

    /// The blobs under the digests that their bytes have.
    pub(super) fn blobs(&self) -> &Layout {
        &self.blobs
    }

    /// The blob of a file in the archive.
    pub(super) fn file(&self, name: &str) -> Option<(Digest, u64)> {
        let mut name = clean_path(Path::new(name)).ok()?;
        for _ in 0..LINKS {
            match self.files.get(&name)? {
                Staged::Blob(digest, size) => return Some((*digest, *size)),
                Staged::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    pub(super) fn has_docker_list(&self) -> bool {
        self.documents.contains_key(DOCKER_LIST)
    }

    pub(super) fn docker_list(&self) -> Option<&[u8]> {
        self.documents.get(DOCKER_LIST).map(Vec::as_slice)
    }

    /// The archive as a layout, if it is one. Its files are the blobs of the
    /// staging layout already, each under the digest it really has.
    pub(super) fn as_layout(&self) -> Result<Option<Layout>> {
        let (Some(marker), Some(index)) = (self.documents.get(MARKER), self.documents.get(INDEX)) else {
            return Ok(None);
        };
        let object = |name: &str| format!("{name} of {}", self.path.display());
        let marker: serde_json::Value =
            serde_json::from_slice(marker).map_err(|e| Error::malformed(object(MARKER), e))?;
        if !marker["imageLayoutVersion"].as_str().is_some_and(|version| version.starts_with("1.")) {
            return Err(Error::malformed(object(MARKER), "its imageLayoutVersion is not 1.0.0"));
        }
        let index = Index::parse(index).map_err(|e| match e {
            Error::Malformed { reason, .. } => Error::malformed(object(INDEX), reason),
            other => other,
        })?;
        for (name, staged) in &self.files {
            check_blob_name(name, staged)?;
        }
        self.blobs.set_index(&Index { media_type: Some(media_type::OCI_INDEX.into()), ..index })?;
        Ok(Some(self.blobs.clone()))
    }
}

/// A file in `blobs/sha256` must be what its name says.
fn check_blob_name(name: &Path, staged: &Staged) -> Result<()> {
    let (Ok(hex), Staged::Blob(found, _)) = (name.strip_prefix("blobs/sha256"), staged) else {
        return Ok(());
    };
    match format!("sha256:{}", hex.display()).parse::<Digest>() {
        Ok(expected) if expected != *found => Err(Error::DigestMismatch {
            object: format!("the file {} of the archive", name.display()),
            expected,
            found: *found,
        }),
        _ => Ok(()),
    }
}

/// A link target seen from the root of the archive; `None` when it leaves it.
fn inside(directory: Option<&Path>, target: &Path) -> Option<PathBuf> {
    let mut path = directory.map(Path::to_path_buf).unwrap_or_default();
    for component in target.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}
