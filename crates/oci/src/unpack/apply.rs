//! Applies the entries of one layer below the root (image-spec, layer.md).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::root::{Problem, Root, kind, make_directory};
use super::{Options, Ownership, Special};
use crate::tarball::clean_path;
use crate::{Entry, EntryKind, Error, LayerReader, Result};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bookkeeping of AUFS, which some old images carry.
const WHITEOUT_META: &[u8] = b".wh..wh.";
const CHUNK: usize = 256 << 10;

/// Unpacks layers, one after the other.
pub(super) struct Applier<'a> {
    root: Root,
    options: &'a Options,
    /// What directories get at the very end: writing into them changes their
    /// times, and their modes may forbid it.
    directories: BTreeMap<PathBuf, Entry>,
    buffer: Vec<u8>,
    /// Regular files written.
    pub(super) files: u64,
    /// Bytes written to them.
    pub(super) bytes: u64,
    /// Devices and pipes that were left out.
    pub(super) skipped: Vec<PathBuf>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(root: Root, options: &'a Options) -> Self {
        Self {
            root,
            options,
            directories: BTreeMap::new(),
            buffer: vec![0; CHUNK],
            files: 0,
            bytes: 0,
            skipped: Vec::new(),
        }
    }

    /// Applies all entries of a layer, and verifies it.
    pub(super) fn layer(&mut self, reader: &mut LayerReader) -> Result<()> {
        self.root.next_layer();
        while let Some(entry) = reader.next_entry()? {
            let written = entry.path.clone();
            self.entry(entry, reader).map_err(|failure| failure.name(&written, reader))?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, reader: &mut LayerReader) -> Result<(), Failure> {
        let path = clean_path(&entry.path).map_err(Problem::refused)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            if entry.kind != EntryKind::Directory {
                return Err(Problem::refused("it would replace the root directory").into());
            }
            self.directories.insert(path, entry);
            return Ok(());
        };
        if name.as_bytes().starts_with(WHITEOUT) {
            return Ok(self.whiteout(parent, name)?);
        }
        let directory = self
            .root
            .directory(parent, true)?
            .expect("with `create` a directory is made or an error is returned");
        let directory = directory.as_fd();
        match &entry.kind {
            EntryKind::File => {
                let file = self.create(directory, name)?;
                self.fill(&entry, &file, reader)?;
                self.finish(&entry, &file)?;
                self.files += 1;
            }
            EntryKind::Directory => {
                self.make_directory(directory, name, &path)?;
                self.directories.insert(path.clone(), entry);
            }
            EntryKind::Symlink(target) => self.symlink(&entry, target, directory, name)?,
            EntryKind::HardLink(target) => self.hard_link(target, directory, name)?,
            EntryKind::CharacterDevice | EntryKind::BlockDevice | EntryKind::Fifo => {
                if self.options.special == Special::Refuse {
                    return Err(Problem::refused("it is a device or a named pipe").into());
                }
                self.skipped.push(path.clone());
                return Ok(());
            }
        }
        self.root.touch(&path);
        Ok(())
    }

    fn whiteout(&mut self, parent: &Path, name: &OsStr) -> Result<(), Problem> {
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            return self.root.hide_content(parent);
        }
        if bytes.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        match &bytes[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(Problem::refused("it is a whiteout of no name")),
            hidden => self.root.hide(&parent.join(OsStr::from_bytes(hidden))),
        }
    }

    /// Creates a file that nothing else is linked to.
    fn create(&mut self, directory: BorrowedFd<'_>, name: &OsStr) -> Result<File, Problem> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
        self.replacing(directory, name, open).map(File::from)
    }

    /// Does something that fails where the name is taken; then frees the name.
    fn replacing<T>(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, Problem> {
        match make() {
            Err(Errno::EXIST) => {
                self.root.remove(directory, name)?;
                make()
            }
            other => other,
        }
        .map_err(Problem::system("create"))
    }

    fn fill(&mut self, entry: &Entry, mut file: &File, reader: &mut LayerReader) -> Result<(), Failure> {
        let written = |e| Problem::System("write", e);
        let mut left = entry.size;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = reader.read(&mut self.buffer[..most]).map_err(|e| Failure::Layer(reader.failure(e)))?;
            if n == 0 {
                return Err(Problem::refused("its content ends too early").into());
            }
            let chunk = &self.buffer[..n];
            if entry.sparse && chunk.iter().all(|&b| b == 0) {
                file.seek(SeekFrom::Current(i64::try_from(n).expect("a buffer's length")))
                    .map_err(written)?;
            } else {
                file.write_all(chunk).map_err(written)?;
            }
            left -= n as u64;
        }
        if entry.sparse {
            file.set_len(entry.size).map_err(written)?;
        }
        self.bytes += entry.size;
        Ok(())
    }

    /// Owner, mode, attributes, times: in this order, since a change of the
    /// owner takes setuid away.
    fn finish(&self, entry: &Entry, file: impl AsFd) -> Result<(), Problem> {
        let fd = file.as_fd();
        if let Some((uid, gid)) = self.owner(entry)? {
            rustix::fs::fchown(fd, Some(uid), Some(gid)).map_err(Problem::system("change the owner of"))?;
        }
        rustix::fs::fchmod(fd, self.mode(entry)).map_err(Problem::system("change the mode of"))?;
        if self.options.xattrs {
            for (name, value) in &entry.xattrs {
                rustix::fs::fsetxattr(fd, name.as_os_str(), value, XattrFlags::empty())
                    .map_err(Problem::system("set an extended attribute of"))?;
            }
        }
        rustix::fs::futimens(fd, &times(entry)).map_err(Problem::system("set the time of"))
    }

    fn mode(&self, entry: &Entry) -> Mode {
        let kept = if self.options.setuid { 0o7777 } else { 0o1777 };
        Mode::from_raw_mode(entry.mode & kept)
    }

    fn owner(&self, entry: &Entry) -> Result<Option<(Uid, Gid)>, Problem> {
        if self.options.ownership == Ownership::Process {
            return Ok(None);
        }
        // The all-ones value means "leave unchanged" to the system.
        let id = |id: u64| u32::try_from(id).ok().filter(|&id| id != u32::MAX);
        match (id(entry.uid), id(entry.gid)) {
            (Some(uid), Some(gid)) => Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid)))),
            _ => Err(Problem::refused("its owner or group is out of range")),
        }
    }

    /// Writable for now; its own mode comes at the end.
    fn make_directory(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Problem> {
        match make_directory(parent, name, 0o700) {
            Err(Errno::EXIST) => {
                let found = kind(parent, name).map_err(Problem::system("inspect"))?;
                if found == FileType::Directory {
                    return Ok(());
                }
                self.root.remove(parent, name)?;
                self.directories.remove(path);
                make_directory(parent, name, 0o700)
            }
            other => other,
        }
        .map_err(Problem::system("create"))
    }

    /// The target stays as it is written, since it means something only to
    /// whoever follows it; here nobody does without the root as its bounds.
    fn symlink(
        &mut self,
        entry: &Entry,
        target: &Path,
        directory: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<(), Problem> {
        if target.as_os_str().is_empty() {
            return Err(Problem::refused("it is a symbolic link to nothing"));
        }
        self.replacing(directory, name, || rustix::fs::symlinkat(target, directory, name))?;
        let itself = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner(entry)? {
            rustix::fs::chownat(directory, name, Some(uid), Some(gid), itself)
                .map_err(Problem::system("change the owner of"))?;
        }
        rustix::fs::utimensat(directory, name, &times(entry), itself)
            .map_err(Problem::system("set the time of"))
    }

    fn hard_link(&mut self, target: &Path, directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Problem> {
        let shown = target.display();
        let clean = clean_path(target)
            .map_err(|reason| Problem::refused(format!("its link target `{shown}` is unsafe: {reason}")))?;
        let (Some(from), Some(file)) = (clean.parent(), clean.file_name()) else {
            return Err(Problem::refused("it is a hard link to the root directory"));
        };
        let absent = || Problem::refused(format!("its link target `{shown}` does not exist"));
        let from = self.root.directory(from, false)?.ok_or_else(absent)?;
        let stat = |directory: BorrowedFd<'_>, name: &OsStr| {
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        };
        let found = match stat(from.as_fd(), file) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Err(absent()),
            Err(errno) => return Err(Problem::system("inspect the link target of")(errno)),
        };
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Err(Problem::refused(format!("its link target `{shown}` is a directory")));
        }
        let link = || rustix::fs::linkat(&from, file, directory, name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                let there = stat(directory, name).map_err(Problem::system("inspect"))?;
                if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) {
                    return Ok(());
                }
                self.root.remove(directory, name)?;
                link()
            }
            other => other,
        }
        .map_err(Problem::system("link"))
    }

    /// Gives directories their owners, modes and times, the deepest first.
    pub(super) fn finish_directories(mut self, dest: &Path) -> Result<Self> {
        for (path, entry) in std::mem::take(&mut self.directories).into_iter().rev() {
            let done = match self.root.directory(&path, false) {
                Ok(Some(directory)) => self.finish(&entry, &*directory),
                // A later layer hid it or put something else in its place.
                Ok(None) | Err(Problem::Refused(_)) => Ok(()),
                Err(problem) => Err(problem),
            };
            done.map_err(|problem| match problem {
                Problem::System(action, e) => Error::io(action, dest.join(&path), e),
                Problem::Refused(reason) => Error::UnsafeEntry {
                    layer: "the image".into(),
                    entry: path.display().to_string(),
                    reason,
                },
            })?;
        }
        Ok(self)
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }
}

fn times(entry: &Entry) -> Timestamps {
    let (tv_sec, nanos) = entry.mtime;
    let time = Timespec { tv_sec, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Why an entry could not be applied.
enum Failure {
    Problem(Problem),
    /// Its content could not be read; the error names the layer already.
    Layer(Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Failure {
    /// The error, with entry and layer named.
    fn name(self, entry: &Path, reader: &LayerReader) -> Error {
        let layer = reader.layer().to_owned();
        let shown = || -> String {
            let text = OsString::from(entry).to_string_lossy().into_owned();
            text.chars().take(400).collect()
        };
        match self {
            Self::Layer(error) => error,
            Self::Problem(Problem::Refused(reason)) => Error::UnsafeEntry { layer, entry: shown(), reason },
            Self::Problem(Problem::System(action, source)) => match Error::io(action, entry, source) {
                Error::Io { source, .. } => Error::Entry { layer, entry: shown(), action, source },
                full => full,
            },
        }
    }
}
