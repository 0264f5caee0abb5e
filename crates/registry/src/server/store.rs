//! Repositories on disk: one image layout each, under one root.
//!
//! Everything here blocks and runs on the blocking pool. What changes which
//! manifests and blobs a repository has (a manifest put or deleted, a blob
//! deleted) happens under the repository's lock, so that a manifest is never
//! accepted while one of its blobs is being deleted.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_model::{Commit, Digest};
use plimsoll_oci::{BlobWriter, Descriptor, Layout, ManifestKind, limits, media_type};

use super::answer::Failure;
use super::error::OpenError;
use super::route::Name;
use crate::error::Code;

/// Marks a layout; the layout store writes it last.
const MARKER: &str = "oci-layout";
const LOCK: &str = ".lock";

/// All repositories.
pub(super) struct Store {
    root: PathBuf,
    open: Mutex<HashMap<Name, Arc<Repository>>>,
    /// Held for as long as the registry is open.
    _lock: File,
}

/// One repository.
pub(super) struct Repository {
    pub(super) layout: Layout,
    changing: Mutex<()>,
    /// The subject of each manifest that was looked at. Content addressed, so
    /// never stale.
    subjects: Mutex<HashMap<Digest, Option<Digest>>>,
}

/// Whether a tag is a commit SHA, full or of twelve digits: such a tag never
/// moves (TAG-1..3).
pub(super) fn is_commit_tag(tag: &str) -> bool {
    let short = tag.len() == 12 && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    short || tag.parse::<Commit>().is_ok()
}

fn failed(what: &'static str) -> impl Fn(plimsoll_oci::Error) -> Failure {
    move |error| Failure::internal(what, &error)
}

impl Store {
    /// Opens the root, and in each repository removes the files of uploads
    /// that an earlier process did not finish.
    pub(super) fn open(root: PathBuf) -> Result<Self, OpenError> {
        let storage = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Storage { action, path, source }
        };
        fs::create_dir_all(&root).map_err(storage("create", &root))?;
        let path = root.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(storage("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { root }),
            Err(TryLockError::Error(source)) => return Err(storage("lock", &path)(source)),
        }
        let store = Self { root, open: Mutex::default(), _lock: lock };
        for name in store.names().map_err(storage("list", &store.root))? {
            let path = store.path(&name);
            let layout = Layout::open_or_create(&path);
            layout.map_err(|error| storage("open", &path)(io::Error::other(error)))?;
        }
        Ok(store)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn open_repositories(&self) -> MutexGuard<'_, HashMap<Name, Arc<Repository>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all repositories, sorted.
    pub(super) fn names(&self) -> io::Result<BTreeSet<Name>> {
        let mut names = BTreeSet::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.root.join(&folder))? {
                let entry = entry?;
                let Ok(part) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { part } else { format!("{folder}/{part}") };
                // Links are not followed: they may lead out of the root.
                if !entry.file_type()?.is_dir() {
                    continue;
                }
                let Ok(name) = Name::parse(&path) else { continue };
                if self.path(&name).join(MARKER).is_file() {
                    names.insert(name);
                }
                folders.push(path);
            }
        }
        Ok(names)
    }

    /// A repository that exists.
    pub(super) fn find(&self, name: &Name) -> Result<Option<Arc<Repository>>, Failure> {
        if let Some(found) = self.open_repositories().get(name) {
            return Ok(Some(Arc::clone(found)));
        }
        match Layout::open(self.path(name)) {
            Ok(layout) => Ok(Some(self.keep(name, layout))),
            Err(plimsoll_oci::Error::NotALayout { .. }) => Ok(None),
            Err(error) => Err(failed("open a repository")(error)),
        }
    }

    /// A repository that must exist.
    pub(super) fn require(&self, name: &Name) -> Result<Arc<Repository>, Failure> {
        self.find(name)?.ok_or_else(|| {
            Failure::new(Code::NameUnknown).say(format!("repository {name} is not known to this registry"))
        })
    }

    /// A repository, made if need be, durably.
    pub(super) fn require_or_create(&self, name: &Name) -> Result<Arc<Repository>, Failure> {
        if let Some(found) = self.find(name)? {
            return Ok(found);
        }
        let path = self.path(name);
        let layout = Layout::open_or_create(&path).map_err(failed("create a repository"))?;
        // The layout flushes its own files; the folders that lead to them are
        // new as well.
        let mut folder = Some(path.join("blobs"));
        while let Some(path) = folder.take_if(|path| path.starts_with(&self.root)) {
            let flushed = File::open(&path).and_then(|folder| folder.sync_all());
            flushed.map_err(|error| Failure::internal("create a repository", &error))?;
            folder = path.parent().map(Path::to_path_buf);
        }
        Ok(self.keep(name, layout))
    }

    fn keep(&self, name: &Name, layout: Layout) -> Arc<Repository> {
        let repository =
            || Arc::new(Repository { layout, changing: Mutex::default(), subjects: Mutex::default() });
        // Whoever came first stays: there must be one lock per repository.
        Arc::clone(self.open_repositories().entry(name.clone()).or_insert_with(repository))
    }

    /// A writer for a blob of this repository.
    pub(super) fn begin_blob(&self, name: &Name) -> Result<BlobWriter, Failure> {
        self.require_or_create(name)?.layout.writer().map_err(failed("begin a blob"))
    }

    /// Makes what was written a blob, if it is the right one.
    pub(super) fn finish_blob(&self, writer: BlobWriter, digest: Digest) -> Result<(), Failure> {
        match writer.commit(Some(&digest)) {
            Ok(_) => Ok(()),
            Err(plimsoll_oci::Error::DigestMismatch { expected, found, .. }) => {
                Err(Failure::new(Code::DigestInvalid)
                    .say(format!(
                        "what was uploaded has the digest {found}, not {expected}; it was discarded"
                    ))
                    .detail(serde_json::json!({ "expected": expected, "found": found })))
            }
            Err(error) => Err(failed("finish a blob")(error)),
        }
    }

    /// Makes a blob of one repository one of another too; whether the first
    /// has it.
    pub(super) fn mount(&self, from: &Name, into: &Name, digest: Digest) -> Result<bool, Failure> {
        let Some(from) = self.find(from)? else { return Ok(false) };
        if !from.layout.has(&digest).map_err(failed("look for a blob"))? {
            return Ok(false);
        }
        let into = self.require_or_create(into)?;
        match into.layout.link_blob_from(&from.layout, &digest) {
            Ok(()) => Ok(true),
            Err(plimsoll_oci::Error::BlobAbsent { .. }) => Ok(false),
            Err(error) => Err(failed("mount a blob")(error)),
        }
    }
}

impl Repository {
    /// Held while manifests are put or deleted, and blobs deleted.
    pub(super) fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest's bytes, verified.
    pub(super) fn read(&self, digest: &Digest) -> plimsoll_oci::Result<Vec<u8>> {
        self.layout.read_blob(digest, limits::MANIFEST)
    }

    /// A manifest, parsed.
    pub(super) fn parse(&self, entry: &Descriptor) -> plimsoll_oci::Result<ManifestKind> {
        ManifestKind::parse(&self.read(&entry.digest)?, Some(&entry.media_type))
    }

    /// Everything that is reached from these manifests, themselves included:
    /// manifests, configurations, layers.
    fn reach(&self, from: Vec<Descriptor>) -> Result<HashSet<Digest>, Failure> {
        let mut reached = HashSet::new();
        let mut ahead = from;
        while let Some(entry) = ahead.pop() {
            let manifest =
                media_type::is_image_manifest(&entry.media_type) || media_type::is_index(&entry.media_type);
            if !reached.insert(entry.digest) || !manifest {
                continue;
            }
            match self.parse(&entry) {
                Ok(ManifestKind::Image(manifest)) => reached.extend(manifest.blobs().map(|blob| blob.digest)),
                Ok(ManifestKind::Index(index)) => ahead.extend(index.manifests),
                Ok(ManifestKind::Other { .. }) | Err(plimsoll_oci::Error::BlobAbsent { .. }) => {}
                Err(error) => return Err(failed("follow a manifest")(error)),
            }
        }
        Ok(reached)
    }

    /// The tag that is a commit and from which `digest` is reached.
    pub(super) fn held_by_commit(&self, digest: &Digest) -> Result<Option<String>, Failure> {
        let refs = self.layout.refs().map_err(failed("read the tags"))?;
        for (tag, entry) in refs.into_iter().filter(|(tag, _)| is_commit_tag(tag)) {
            if entry.digest == *digest || self.reach(vec![entry])?.contains(digest) {
                return Ok(Some(tag));
            }
        }
        Ok(None)
    }

    /// Whether any manifest other than itself needs `digest`.
    pub(super) fn needed(&self, digest: &Digest) -> Result<bool, Failure> {
        let mut others = self.layout.manifests().map_err(failed("read the manifests"))?;
        others.retain(|entry| entry.digest != *digest);
        Ok(self.reach(others)?.contains(digest))
    }

    /// The manifests whose subject is `subject`, in the order of their
    /// digests.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Failure> {
        let mut found = self.layout.manifests().map_err(failed("read the manifests"))?;
        found.sort_by_key(|entry| entry.digest);
        found.dedup_by_key(|entry| entry.digest);
        let mut known = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failure = None;
        found.retain(|entry| {
            let of = match known.get(&entry.digest) {
                Some(of) => *of,
                None => match self.parse(entry) {
                    Ok(kind) => {
                        let of = kind.subject().map(|subject| subject.digest);
                        known.insert(entry.digest, of);
                        of
                    }
                    Err(error) => {
                        failure.get_or_insert(error);
                        None
                    }
                },
            };
            of == Some(*subject)
        });
        // An answer that lacks one would say that it does not exist.
        match failure {
            Some(error) => Err(failed("read a manifest")(error)),
            None => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_3_which_tags_never_move() {
        for (tag, fixed) in [
            ("0123456789abcdef0123456789abcdef01234567", true),
            ("0123456789ab", true),
            ("0123456789aB", false),
            ("0123456789a", false),
            ("0123456789abc", false),
            ("0123456789ABCDEF0123456789ABCDEF01234567", false),
            ("latest", false),
            ("v1.2.3", false),
        ] {
            assert_eq!(is_commit_tag(tag), fixed, "{tag}");
        }
    }
}
