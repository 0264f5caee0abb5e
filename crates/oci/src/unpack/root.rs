//! A directory that nothing escapes from: every path is walked component by
//! component from its descriptor, and symbolic links are followed by hand,
//! with the directory as their `/`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Why something could not be done below the root.
#[derive(Debug)]
pub(super) enum Problem {
    /// The entry is hostile or nonsense.
    Refused(String),
    /// The system said no: what was being done, an infinitive, and why.
    System(&'static str, io::Error),
}

impl Problem {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    pub(super) fn system(action: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::System(action, errno.into())
    }
}

/// Symbolic links followed for one path, as Linux does.
const LINKS: usize = 40;
/// Directories between the root and what is made. Deeper trees exhaust file
/// descriptors and stacks of whoever walks them.
const DEPTH: usize = 255;
/// Components walked for one path, those of links included.
const STEPS: usize = 4096;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root directory, and what the current layer has put into it.
pub(super) struct Root {
    fd: Rc<OwnedFd>,
    /// The directory that was walked to last; most entries follow siblings.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    touched: Touched,
}

/// The paths that the current layer wrote, and their ancestors, as keyed
/// hashes: whiteouts only hide what lower layers wrote.
#[derive(Default)]
struct Touched {
    paths: HashSet<u64>,
    keys: RandomState,
}

impl Root {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd: Rc::new(fd), last: None, touched: Touched::default() }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Forgets what the layer before wrote.
    pub(super) fn next_layer(&mut self) {
        self.touched = Touched::default();
    }

    /// Notes that the current layer wrote this path.
    pub(super) fn touch(&mut self, path: &Path) {
        for path in path.ancestors() {
            if !self.touched.paths.insert(self.touched.keys.hash_one(path)) {
                break;
            }
        }
    }

    /// Opens a directory; with `create`, makes what is missing on the way to
    /// it. `None` when it does not exist.
    pub(super) fn directory(&mut self, path: &Path, create: bool) -> Result<Option<Rc<OwnedFd>>, Problem> {
        if let Some((last, fd)) = &self.last
            && last == path
        {
            return Ok(Some(fd.clone()));
        }
        let found = self.walk(path, create)?;
        if let Some(fd) = &found {
            self.last = Some((path.to_owned(), fd.clone()));
        }
        Ok(found)
    }

    fn walk(&self, path: &Path, create: bool) -> Result<Option<Rc<OwnedFd>>, Problem> {
        let mut stack = vec![self.fd.clone()];
        let mut ahead: Vec<OsString> = Vec::new();
        push_components(&mut ahead, path.as_os_str());
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = ahead.pop() {
            steps += 1;
            if steps > STEPS || stack.len() > DEPTH {
                return Err(Problem::refused("its path is too deep"));
            }
            if name == ".." {
                // The root is its own parent.
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let here = stack.last().expect("the root is never popped").clone();
            let next = match rustix::fs::openat(&here, &name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if create => {
                    make_directory(&here, &name, 0o755)
                        .map_err(Problem::system("create the directory of"))?;
                    rustix::fs::openat(&here, &name, DIRECTORY, Mode::empty())
                }
                other => other,
            };
            match next {
                Ok(fd) => stack.push(Rc::new(fd)),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Problem::refused("its path leads through too many symbolic links"));
                    }
                    let target = match rustix::fs::readlinkat(&here, &name, Vec::new()) {
                        Ok(target) => OsString::from_vec(target.into_bytes()),
                        Err(Errno::INVAL) => {
                            return Err(Problem::refused(
                                "its path leads through something that is no directory",
                            ));
                        }
                        Err(errno) => return Err(Problem::system("walk to")(errno)),
                    };
                    if target.as_bytes().starts_with(b"/") {
                        stack.truncate(1);
                    }
                    push_components(&mut ahead, &target);
                }
                Err(errno) => return Err(Problem::system("walk to")(errno)),
            }
        }
        Ok(stack.pop())
    }

    /// Removes what has this name, and all below it; its absence is fine.
    pub(super) fn remove(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Problem> {
        // The directory walked to last may be among what goes.
        self.last = None;
        remove_tree(parent, name).map_err(Problem::system("remove what was in the place of"))
    }

    /// Hides what lower layers have at `path` (a whiteout).
    pub(super) fn hide(&mut self, path: &Path) -> Result<(), Problem> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        self.last = None;
        let Some(parent) = self.directory(parent, false)? else { return Ok(()) };
        self.last = None;
        hide(&self.touched, parent.as_fd(), name, path).map_err(Problem::system("hide what is below"))
    }

    /// Hides what lower layers have in the directory `path` (an opaque one).
    pub(super) fn hide_content(&mut self, path: &Path) -> Result<(), Problem> {
        let Some(directory) = self.directory(path, true)? else { return Ok(()) };
        self.last = None;
        hide_children(&self.touched, directory.as_fd(), path).map_err(Problem::system("hide what is below"))
    }
}

/// Puts the components of `path` in front of those that are still to be
/// walked; the first one last, since they are popped.
fn push_components(ahead: &mut Vec<OsString>, path: &OsStr) {
    let components = path.as_bytes().split(|&b| b == b'/').rev();
    ahead.extend(components.filter(|c| !c.is_empty() && *c != b".").map(|c| OsStr::from_bytes(c).to_owned()));
}

/// Makes a directory of exactly this mode, whatever the umask is.
pub(super) fn make_directory(parent: impl AsFd, name: &OsStr, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::mkdirat(parent.as_fd(), name, Mode::RWXU)?;
    let fd = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
}

/// Kind of what has this name, itself and not what it points to.
pub(super) fn kind(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<FileType> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Names in a directory.
fn children(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// Not deeper than [`DEPTH`], as nothing deeper is made.
fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    {
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
        for child in children(directory.as_fd())? {
            remove_tree(directory.as_fd(), &child)?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn hide(touched: &Touched, parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> rustix::io::Result<()> {
    if !touched.paths.contains(&touched.keys.hash_one(path)) {
        return remove_tree(parent, name);
    }
    match rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()) {
        Ok(directory) => hide_children(touched, directory.as_fd(), path),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn hide_children(touched: &Touched, directory: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    children(directory)?
        .into_iter()
        .try_for_each(|child| hide(touched, directory, &child, &path.join(&child)))
}
