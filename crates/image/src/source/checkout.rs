//! A clean checkout: exactly the files of one commit, in a directory of its own
//! (BLD-1).
//!
//! The blobs are read with `git cat-file --batch` and written as they are.
//! Attributes (`export-ignore`, `export-subst`, `eol`, `ident`, filters) and
//! `core.autocrlf` are not applied, so the tree does not depend on the
//! machine; Git LFS pointers are refused because nothing replaces them. Every
//! blob's SHA-1 is computed again while it is read.
//!
//! Symbolic links are created after all files, so nothing is ever written
//! through one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use jiff::Timestamp;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use plimsoll_model::Commit;
use tempfile::TempDir;

use super::{Source, git, submodule};
use crate::error::Error;

/// More entries than any real tree has; bounds memory.
const MOST_ENTRIES: usize = 2_000_000;
/// Submodules inside submodules inside submodules …
const MOST_NESTING: usize = 16;
/// No symbolic link target is longer (PATH_MAX).
const LINK_LIMIT: u64 = 4096;
/// git-lfs, docs/spec.md: pointers are shorter than 1024 bytes.
const LFS_POINTER_LIMIT: usize = 1024;

/// Names of checkouts begin with this.
const PREFIX: &str = "checkout-";
/// The file that is locked as long as a checkout is used.
const LOCK: &str = "lock";

/// Which modification time the files get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTimes {
    /// The commit's time, on every file: the same everywhere.
    Commit,
    /// The time of the checkout. Needed where an older target directory is
    /// reused: build tools compare times, and a file that changed with an old
    /// commit would look older than what was built from its predecessor.
    Now,
}

/// A directory with exactly the tree of one commit; removed when dropped.
#[derive(Debug)]
pub struct Checkout {
    dir: TempDir,
    /// Held as long as this process lives.
    _lock: File,
    tree: PathBuf,
    commit: Commit,
    time: Timestamp,
    files: u64,
    bytes: u64,
}

struct Entry {
    path: Vec<u8>,
    object: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File { executable: bool },
    Link,
    Submodule,
}

impl Checkout {
    /// Writes the tree of `commit` to a new directory under `parent`.
    ///
    /// # Errors
    /// The commit or an object of it is not here; a submodule is missing; a
    /// file is a Git LFS pointer; a path cannot be checked out safely; the
    /// directory cannot be written. What was written is removed again.
    pub fn create(source: &Source, commit: &Commit, parent: &Path, times: FileTimes) -> Result<Self, Error> {
        let time = source.commit_time(commit)?;
        let fail = |e| Error::io("create a directory under", parent, e);
        fs::create_dir_all(parent).map_err(fail)?;
        // Relative paths would mean something else to the build command.
        let parent = parent.canonicalize().map_err(fail)?;
        remove_abandoned(&parent);
        let prefix = format!("{PREFIX}{}-", commit.short());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(fail)?;
        let lock = hold(dir.path()).map_err(fail)?;
        let tree = dir.path().join("src");
        let stamp = match times {
            FileTimes::Commit => {
                SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
            }
            FileTimes::Now => SystemTime::now(),
        };
        let mut writer = Writer { root: tree.clone(), stamp, dirs: BTreeSet::new(), files: 0, bytes: 0 };
        writer.make_dir(&tree)?;
        writer.write_tree(source, commit, Path::new(""), 0)?;
        writer.stamp_dirs()?;
        let (files, bytes) = (writer.files, writer.bytes);
        Ok(Self { dir, _lock: lock, tree, commit: commit.clone(), time, files, bytes })
    }

    /// The top of the tree.
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// A directory beside the tree that is removed together with it.
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The commit's time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The commit's time in seconds since 1970: `SOURCE_DATE_EPOCH`.
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.time.as_second()).unwrap_or(0)
    }

    /// How many files and links were written.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// How many bytes the files have.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether `content` is what Git LFS leaves in place of a file.
pub(super) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.len() < LFS_POINTER_LIMIT && content.starts_with(b"version https://git-lfs.github.com/spec/v1\n")
}

struct Writer {
    root: PathBuf,
    stamp: SystemTime,
    dirs: BTreeSet<PathBuf>,
    files: u64,
    bytes: u64,
}

impl Writer {
    fn write_tree(
        &mut self,
        source: &Source,
        commit: &Commit,
        prefix: &Path,
        depth: usize,
    ) -> Result<(), Error> {
        let entries = list(source, commit)?;
        for entry in &entries {
            let path = prefix.join(OsStr::from_bytes(&entry.path));
            if !is_safe(&entry.path) {
                return Err(Error::UnsafePath { path });
            }
            self.make_parents(&path)?;
        }
        self.write_blobs(source, &entries, prefix)?;
        if entries.iter().any(|entry| entry.kind == Kind::Submodule) {
            let declared = submodule::declared(source, commit)?;
            for entry in entries.iter().filter(|entry| entry.kind == Kind::Submodule) {
                let path = String::from_utf8_lossy(&entry.path).into_owned();
                let whole = prefix.join(&path);
                let bad = |reason: &str| Error::Submodule { path: whole.clone(), reason: reason.into() };
                if depth >= MOST_NESTING {
                    return Err(bad("submodules are nested too deeply"));
                }
                let wanted: Commit =
                    entry.object.parse().map_err(|_| bad("its commit is not a SHA-1 name"))?;
                let name = declared.get(&path).map(String::as_str);
                let inner = submodule::locate(source, &path, name, &wanted).map_err(|error| match error {
                    Error::Submodule { reason, .. } => Error::Submodule { path: whole.clone(), reason },
                    other => other,
                })?;
                self.make_dir(&self.root.join(&whole))?;
                self.write_tree(&inner, &wanted, &whole, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Streams all blobs of one repository through one `git cat-file`.
    fn write_blobs(&mut self, source: &Source, entries: &[Entry], prefix: &Path) -> Result<(), Error> {
        let (links, files): (Vec<_>, Vec<_>) = entries
            .iter()
            .filter(|entry| entry.kind != Kind::Submodule)
            .partition(|entry| entry.kind == Kind::Link);
        let ordered: Vec<&Entry> = files.into_iter().chain(links).collect();
        if ordered.is_empty() {
            return Ok(());
        }
        let mut child = source.git.start(&["cat-file", "--batch", "--buffer"])?;
        let feeder = git::feed(&mut child, ordered.iter().map(|entry| entry.object.clone()).collect());
        let result = self.receive(&mut child, &ordered, prefix);
        if result.is_err() {
            // Already ended is as good as killed.
            child.kill().ok();
        }
        let status = child.wait().map_err(|e| Error::io("wait for", Path::new("git"), e))?;
        let fed = feeder.join().is_ok_and(|fed| fed.is_ok());
        result?;
        match status.success() && fed {
            true => Ok(()),
            false => Err(git::failed("read the files of the commit", "git cat-file ended early")),
        }
    }

    fn receive(&mut self, child: &mut Child, ordered: &[&Entry], prefix: &Path) -> Result<(), Error> {
        let mut objects = BufReader::with_capacity(256 << 10, child.stdout.take().expect("stdout is piped"));
        for entry in ordered {
            let path = prefix.join(OsStr::from_bytes(&entry.path));
            let size = read_header(&mut objects, &entry.object, &path)?;
            match entry.kind {
                Kind::File { executable } => {
                    self.write_file(&mut objects, &path, &entry.object, size, executable)?;
                }
                Kind::Link => self.write_link(&mut objects, &path, &entry.object, size)?,
                Kind::Submodule => unreachable!("submodules have no blob and were filtered out"),
            }
            self.files += 1;
            self.bytes += size;
        }
        Ok(())
    }

    fn write_file(
        &mut self,
        objects: &mut BufReader<ChildStdout>,
        path: &Path,
        object: &str,
        size: u64,
        executable: bool,
    ) -> Result<(), Error> {
        let target = self.root.join(path);
        let fail = |e| Error::io("write", &target, e);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&target)
            .map_err(fail)?;
        let mut hash = blob_hash(size);
        let mut left = size;
        if size < LFS_POINTER_LIMIT as u64 {
            let mut content = Vec::new();
            objects.take(size).read_to_end(&mut content).map_err(fail)?;
            if is_lfs_pointer(&content) {
                return Err(Error::LfsPointer { path: path.into() });
            }
            file.write_all(&content).map_err(fail)?;
            hash.update(&content);
            left -= content.len() as u64;
        }
        while left > 0 {
            let chunk = objects.fill_buf().map_err(fail)?;
            let take = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if take == 0 {
                return Err(git::failed("read the files of the commit", "git cat-file ended early"));
            }
            file.write_all(&chunk[..take]).map_err(fail)?;
            hash.update(&chunk[..take]);
            objects.consume(take);
            left -= take as u64;
        }
        end_of_object(objects, hash, object, path)?;
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
        file.set_modified(self.stamp).map_err(fail)
    }

    fn write_link(
        &mut self,
        objects: &mut BufReader<ChildStdout>,
        path: &Path,
        object: &str,
        size: u64,
    ) -> Result<(), Error> {
        let place = self.root.join(path);
        let fail = |e| Error::io("create the symbolic link", &place, e);
        if size > LINK_LIMIT {
            return Err(Error::UnsafePath { path: path.into() });
        }
        let mut content = Vec::new();
        objects.take(size).read_to_end(&mut content).map_err(fail)?;
        let mut hash = blob_hash(size);
        hash.update(&content);
        end_of_object(objects, hash, object, path)?;
        std::os::unix::fs::symlink(OsStr::from_bytes(&content), &place).map_err(fail)?;
        set_time(&place, self.stamp).map_err(fail)
    }

    fn make_parents(&mut self, path: &Path) -> Result<(), Error> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(dir) = at.filter(|dir| !dir.as_os_str().is_empty()) {
            if self.dirs.contains(&self.root.join(dir)) {
                break;
            }
            missing.push(self.root.join(dir));
            at = dir.parent();
        }
        missing.iter().rev().try_for_each(|dir| self.make_dir(dir))
    }

    /// Creates a directory that must not exist: one that was not made here
    /// would be a link or a file of a malformed tree.
    fn make_dir(&mut self, dir: &Path) -> Result<(), Error> {
        if !self.dirs.insert(dir.to_owned()) {
            return Ok(());
        }
        let fail = |e| Error::io("create the directory", dir, e);
        fs::create_dir(dir).map_err(fail)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(fail)
    }

    /// Directories get their time last: creating an entry changes it.
    fn stamp_dirs(&self) -> Result<(), Error> {
        self.dirs
            .iter()
            .rev()
            .try_for_each(|dir| set_time(dir, self.stamp).map_err(|e| Error::io("set the time of", dir, e)))
    }
}

fn set_time(path: &Path, stamp: SystemTime) -> std::io::Result<()> {
    let since = stamp.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = TimeSpec::from_duration(since);
    utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(std::io::Error::from)
}

/// A git blob's name is the SHA-1 of `blob <size>\0` and its content.
fn blob_hash(size: u64) -> digest::Context {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(format!("blob {size}\0").as_bytes());
    hash
}

fn end_of_object(
    objects: &mut BufReader<ChildStdout>,
    hash: digest::Context,
    object: &str,
    path: &Path,
) -> Result<(), Error> {
    let mut newline = [0];
    objects.read_exact(&mut newline).map_err(|e| Error::io("read", path, e))?;
    let found: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    match found == object {
        true => Ok(()),
        false => Err(Error::CorruptObject { path: path.into(), expected: object.into(), found }),
    }
}

/// `<object> blob <size>`, or `<object> missing`.
pub(super) fn read_header(
    objects: &mut BufReader<ChildStdout>,
    object: &str,
    path: &Path,
) -> Result<u64, Error> {
    let mut line = String::new();
    objects.by_ref().take(256).read_line(&mut line).map_err(|e| Error::io("read", path, e))?;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields[..] {
        [name, "blob", size] if name == object => {
            size.parse().map_err(|_| git::failed("read the files of the commit", "git cat-file gave no size"))
        }
        [_, "missing"] => Err(Error::MissingObject { path: path.into(), object: object.into() }),
        _ => Err(git::failed("read the files of the commit", "git cat-file ended early")),
    }
}

fn list(source: &Source, commit: &Commit) -> Result<Vec<Entry>, Error> {
    let answer = source
        .git
        .run("list the files of the commit", &["ls-tree", "-r", "-z", "--full-tree", commit.as_str()])?;
    let malformed = || git::failed("list the files of the commit", "git ls-tree gave an unreadable entry");
    let mut entries = Vec::new();
    for line in answer.stdout.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
        let tab = line.iter().position(|&byte| byte == b'\t').ok_or_else(malformed)?;
        let head = std::str::from_utf8(&line[..tab]).map_err(|_| malformed())?;
        let mut fields = head.split(' ');
        let (mode, _, object) = (fields.next(), fields.next(), fields.next().ok_or_else(malformed)?);
        let kind = match mode {
            Some("100755") => Kind::File { executable: true },
            Some("120000") => Kind::Link,
            Some("160000") => Kind::Submodule,
            Some(mode) if mode.starts_with("100") => Kind::File { executable: false },
            _ => return Err(malformed()),
        };
        if entries.len() == MOST_ENTRIES {
            return Err(git::failed("list the files of the commit", "it has more than 2,000,000 files"));
        }
        entries.push(Entry { path: line[tab + 1..].to_vec(), object: object.to_owned(), kind });
    }
    Ok(entries)
}

/// A tree can be made by hand to contain any name. `.git` would make a
/// repository of the checkout, the others lead out of it.
fn is_safe(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|part| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git"))
}

impl Drop for Checkout {
    fn drop(&mut self) {
        remove(self.dir.path());
    }
}

/// Removes a checkout. Builds leave read-only directories behind (module
/// caches, vendored trees); removal needs them writable.
fn remove(dir: &Path) {
    if fs::remove_dir_all(dir).is_ok() {
        return;
    }
    make_writable(dir);
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(dir = %dir.display(), %error, "cannot remove a checkout");
    }
}

/// Makes the lock file of a checkout. It gets its name when it is locked, so
/// that nobody ever finds it unlocked while its owner lives.
fn hold(dir: &Path) -> std::io::Result<File> {
    let unnamed = dir.join("lock.new");
    let file = File::create(&unnamed)?;
    file.lock()?;
    fs::rename(&unnamed, dir.join(LOCK))?;
    Ok(file)
}

/// Removes the checkouts that killed processes left behind: nobody holds their
/// lock.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // One without a lock file is just being made.
        let lock = File::open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            remove(&entry.path());
        }
    }
}

fn make_writable(dir: &Path) {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let readable =
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).and_then(|()| fs::read_dir(&dir));
        let Ok(entries) = readable else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
}
