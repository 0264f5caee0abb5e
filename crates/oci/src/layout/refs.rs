//! References: the entries of `index.json`.
//!
//! Reading takes no lock, since the file is only ever replaced as a whole.
//! Changing reads, modifies and replaces it under the layout's lock.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use plimsoll_model::Digest;

use super::{INDEX, Layout};
use crate::descriptor::REF_NAME;
use crate::{Descriptor, Error, Index, ManifestKind, Result, limits};

/// A parsed `index.json`, and the file it came from. The file is kept open so
/// that its inode number cannot be given to another one meanwhile: equal
/// identity then means equal content.
pub(super) struct Cached {
    _file: File,
    identity: Identity,
    refs: Arc<Refs>,
}

/// Device, inode, size, modification and change time.
#[derive(PartialEq, Eq)]
struct Identity(u64, u64, u64, (i64, i64), (i64, i64));

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self(
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            (metadata.mtime(), metadata.mtime_nsec()),
            (metadata.ctime(), metadata.ctime_nsec()),
        )
    }
}

struct Refs {
    index: Index,
    /// Positions in `index.manifests`.
    by_name: HashMap<String, Vec<usize>>,
}

impl Refs {
    fn new(index: Index) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, manifest) in index.manifests.iter().enumerate() {
            if let Some(name) = manifest.ref_name() {
                by_name.entry(name.into()).or_default().push(at);
            }
        }
        Self { index, by_name }
    }

    fn find(&self, name: &str, path: &Path) -> Result<Option<&Descriptor>> {
        let Some(found) = self.by_name.get(name) else { return Ok(None) };
        let first = &self.index.manifests[found[0]];
        if found.iter().any(|&at| self.index.manifests[at].digest != first.digest) {
            let reason = format!("several manifests are named `{name}`");
            return Err(Error::CorruptLayout { path: path.into(), reason });
        }
        Ok(Some(first))
    }
}

impl Layout {
    /// Sets a reference, whatever it was before.
    ///
    /// # Errors
    /// [`Error::RefName`], [`Error::CorruptLayout`], [`Error::Io`],
    /// [`Error::DiskFull`]; then the reference is unchanged, or (when only
    /// the last flush failed) is set.
    pub fn tag(&self, name: &str, descriptor: Descriptor) -> Result<()> {
        check_name(name)?;
        self.change(|index, _| Ok(set(&mut index.manifests, name, descriptor)))
    }

    /// Sets a reference if it has the expected digest now, or, with `None`,
    /// if it does not exist. Setting what is already there succeeds.
    ///
    /// # Errors
    /// [`Error::RefMoved`] when it has another; as [`Layout::tag`] otherwise.
    pub fn tag_if(&self, name: &str, expected: Option<Digest>, descriptor: Descriptor) -> Result<()> {
        check_name(name)?;
        self.change(|index, path| {
            let refs = Refs::new(index.clone());
            let found = refs.find(name, path)?.map(|current| current.digest);
            if found == Some(descriptor.digest) {
                return Ok(false);
            }
            if found != expected {
                return Err(Error::RefMoved { name: name.into(), expected, found });
            }
            Ok(set(&mut index.manifests, name, descriptor))
        })
    }

    /// Adds a manifest without a name; nothing happens when its digest is
    /// listed already.
    ///
    /// # Errors
    /// As [`Layout::tag`].
    pub fn add(&self, mut descriptor: Descriptor) -> Result<()> {
        descriptor.annotations.remove(REF_NAME);
        self.change(|index, _| {
            let absent = index.manifests.iter().all(|entry| entry.digest != descriptor.digest);
            if absent {
                index.manifests.push(descriptor);
            }
            Ok(absent)
        })
    }

    /// Removes a reference; whether it was there.
    ///
    /// # Errors
    /// As [`Layout::tag`].
    pub fn untag(&self, name: &str) -> Result<bool> {
        self.remove(|entry| entry.ref_name() == Some(name)).map(|count| count > 0)
    }

    /// Removes every entry of this digest, named or not; how many there were.
    /// The blob stays.
    ///
    /// # Errors
    /// As [`Layout::tag`].
    pub fn untag_digest(&self, digest: &Digest) -> Result<usize> {
        self.remove(|entry| entry.digest == *digest)
    }

    fn remove(&self, matches: impl Fn(&Descriptor) -> bool) -> Result<usize> {
        let mut removed = 0;
        self.change(|index, _| {
            let before = index.manifests.len();
            index.manifests.retain(|entry| !matches(entry));
            removed = before - index.manifests.len();
            Ok(removed > 0)
        })?;
        Ok(removed)
    }

    /// The manifest of this name.
    ///
    /// # Errors
    /// [`Error::CorruptLayout`] (also when several different manifests have
    /// the name), [`Error::Io`].
    pub fn resolve(&self, name: &str) -> Result<Option<Descriptor>> {
        self.current()?.find(name, &self.path().join(INDEX)).map(|found| found.cloned())
    }

    /// All named manifests, in the order in which they were added.
    ///
    /// # Errors
    /// [`Error::CorruptLayout`], [`Error::Io`].
    pub fn refs(&self) -> Result<Vec<(String, Descriptor)>> {
        let current = self.current()?;
        let named = |entry: &Descriptor| entry.ref_name().map(|name| (name.to_owned(), entry.clone()));
        Ok(current.index.manifests.iter().filter_map(named).collect())
    }

    /// All manifests that are listed, named or not.
    ///
    /// # Errors
    /// [`Error::CorruptLayout`], [`Error::Io`].
    pub fn manifests(&self) -> Result<Vec<Descriptor>> {
        Ok(self.current()?.index.manifests.clone())
    }

    /// The first entry of this digest, named or not.
    ///
    /// # Errors
    /// [`Error::CorruptLayout`], [`Error::Io`].
    pub fn listed(&self, digest: &Digest) -> Result<Option<Descriptor>> {
        Ok(self.current()?.index.manifests.iter().find(|entry| entry.digest == *digest).cloned())
    }

    /// The references as they are on disk now.
    fn current(&self) -> Result<Arc<Refs>> {
        let path = self.path().join(INDEX);
        let corrupt = |reason: String| Error::CorruptLayout { path: path.clone(), reason };
        let file = File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => corrupt("it is missing".into()),
            _ => Error::io("open", &path, e),
        })?;
        let metadata = file.metadata().map_err(|e| Error::io("inspect", &path, e))?;
        let identity = Identity::of(&metadata);
        let mut cache = self.0.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(cached) = cache.as_ref().filter(|cached| cached.identity == identity) {
            return Ok(cached.refs.clone());
        }
        if metadata.len() > limits::LAYOUT_INDEX {
            return Err(Error::TooLarge { object: path.display().to_string(), limit: limits::LAYOUT_INDEX });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        (&file)
            .take(limits::LAYOUT_INDEX)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("read", &path, e))?;
        let index = ManifestKind::index(&bytes).map_err(|e| match e {
            Error::Malformed { reason, .. } => corrupt(reason),
            other => other,
        })?;
        let refs = Arc::new(Refs::new(index));
        *cache = Some(Cached { _file: file, identity, refs: refs.clone() });
        Ok(refs)
    }

    /// Puts another index in the place of the whole list.
    pub(crate) fn set_index(&self, new: &Index) -> Result<()> {
        self.change(|index, _| {
            index.clone_from(new);
            Ok(true)
        })
    }

    /// Reads, modifies and, if `modify` says that something changed, replaces
    /// `index.json`, while no other process does.
    fn change(&self, modify: impl FnOnce(&mut Index, &Path) -> Result<bool>) -> Result<()> {
        let path = self.path().join(INDEX);
        let _lock = self.lock()?;
        let mut index = self.current()?.index.clone();
        if modify(&mut index, &path)? { self.replace(&path, &index.to_bytes()) } else { Ok(()) }
    }
}

/// Puts `descriptor` in the place of what has the name; whether that changes
/// anything.
fn set(manifests: &mut Vec<Descriptor>, name: &str, mut descriptor: Descriptor) -> bool {
    descriptor.annotations.insert(REF_NAME.into(), name.into());
    let mut places = manifests.iter().enumerate().filter(|(_, entry)| entry.ref_name() == Some(name));
    match (places.next(), places.next()) {
        (Some((_, entry)), None) if *entry == descriptor => false,
        (Some((at, _)), None) => {
            manifests[at] = descriptor;
            true
        }
        (first, _) => {
            if first.is_some() {
                manifests.retain(|entry| entry.ref_name() != Some(name));
            }
            manifests.push(descriptor);
            true
        }
    }
}

/// Printable ASCII without spaces: it is shown in terminals and typed.
fn check_name(name: &str) -> Result<()> {
    if (1..=limits::REF_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::RefName { name: name.chars().take(80).flat_map(char::escape_default).collect() })
}
