//! Which files of the checkout become which paths of the image: one
//! `image.copy` is one layer.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::base::BaseTree;
use super::resolve::Root;
use super::tar::Node;
use crate::error::Error;

/// No real image has more files; bounds memory.
const MOST_FILES: usize = 2_000_000;
/// Linux's PATH_MAX.
const PATH_LIMIT: usize = 4096;
/// image-spec, layer.md, "Whiteouts": such a name deletes instead of adding.
const WHITEOUT: &[u8] = b".wh.";

/// One `[[image.copy]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// File, directory or pattern (`*`, `?`, `[…]` within a component, `**`
    /// across them), relative to the top of the checkout after the build
    /// command. A symbolic link named outright is followed, one found in a
    /// directory or by a pattern is kept as a link.
    pub from: String,
    /// Absolute path in the image. A file takes this name, or its own below it
    /// where the path ends in `/`. The content of a directory goes to this
    /// path. What a pattern matches goes below it, by its path from the last
    /// directory before the first wildcard.
    pub to: String,
    /// Mode of the files; without it 0755 where the owner may execute, else
    /// 0644. Directories always get 0755, whatever the umask was.
    pub mode: Option<u32>,
}

/// Reads a mode as it is written in the configuration: `0755`, `755`, `0o755`.
///
/// # Errors
/// Not an octal number up to 7777.
pub fn parse_mode(text: &str) -> Result<u32, Error> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| plain && *mode <= 0o7777)
        .ok_or_else(|| Error::bad_value("file mode", text, "an octal number such as 0755"))
}

/// The content of one layer by path, without the leading slash.
pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// Who writes which path, over all layers of an image.
#[derive(Default)]
pub(crate) struct Claims(BTreeMap<Vec<u8>, (bool, String)>);

impl Claims {
    /// Directories may be shared, everything else has one owner.
    fn claim(&mut self, path: &[u8], directory: bool, by: &str) -> Result<(), Error> {
        match self.0.get(path) {
            Some((other, first)) if !(*other && directory) => Err(Error::SamePath {
                destination: format!("/{}", String::from_utf8_lossy(path)),
                first: first.clone(),
                second: by.to_owned(),
            }),
            Some(_) => Ok(()),
            None => {
                self.0.insert(path.to_owned(), (directory, by.to_owned()));
                Ok(())
            }
        }
    }
}

/// Finds the files of one copy and places them.
pub(crate) fn select(
    copy: &FileCopy,
    root: &Root,
    base: &BaseTree,
    claims: &mut Claims,
) -> Result<Tree, Error> {
    let to = destination(&copy.to)?;
    let mut found = Found { tree: Tree::new(), mode: copy.mode, copy };
    let literal = Path::new(&copy.from);
    if copy.from.is_empty() || copy.from.contains('\0') {
        return Err(Error::MissingFile { from: copy.from.clone() });
    }
    match root.resolve(&copy.from, literal)? {
        Some(source) => {
            let metadata = inspect(&source)?;
            let mut to = to;
            if !metadata.is_dir() && copy.to.ends_with('/') {
                let name = literal.file_name().or_else(|| source.file_name()).unwrap_or_default();
                to = join(&to, name.as_bytes());
            }
            found.add(&source, &metadata, to)?;
        }
        None if is_pattern(&copy.from) => {
            for (source, name) in matches(&copy.from, root)? {
                let metadata = inspect(&source)?;
                found.add(&source, &metadata, join(&to, name.as_os_str().as_bytes()))?;
            }
        }
        None => return Err(Error::MissingFile { from: copy.from.clone() }),
    }
    // The root itself is part of every image.
    found.tree.remove(&b""[..]);
    place(found.tree, &copy.from, base, claims)
}

/// Adds the parent directories that the base does not have, and follows the
/// base's symbolic links (`/lib -> usr/lib`): an entry for `lib/` as a
/// directory would replace the link when the layer is unpacked.
fn place(found: Tree, from: &str, base: &BaseTree, claims: &mut Claims) -> Result<Tree, Error> {
    let mut placed = Tree::new();
    for (path, node) in found {
        check_name(&path)?;
        let (path, directory) = (base.resolve(&path), node == Node::Directory);
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends {
            let parent = &path[..end];
            claims.claim(parent, true, from)?;
            if !base.is_directory(parent) {
                placed.entry(parent.to_owned()).or_insert(Node::Directory);
            }
        }
        if directory {
            claims.claim(&path, true, from)?;
            if !base.is_directory(&path) {
                placed.insert(path, node);
            }
        } else {
            claims.claim(&path, false, from)?;
            placed.insert(path, node);
        }
    }
    Ok(placed)
}

struct Found<'a> {
    tree: Tree,
    mode: Option<u32>,
    copy: &'a FileCopy,
}

impl Found<'_> {
    /// Adds a file, link or whole directory.
    fn add(&mut self, source: &Path, metadata: &Metadata, to: Vec<u8>) -> Result<(), Error> {
        let mut open = vec![(source.to_owned(), metadata.clone(), to)];
        while let Some((source, metadata, to)) = open.pop() {
            let kind = metadata.file_type();
            let node = if kind.is_dir() {
                for entry in list(&source)? {
                    let metadata = inspect(&entry)?;
                    let name = entry.file_name().unwrap_or_default().as_bytes();
                    open.push((entry.clone(), metadata, join(&to, name)));
                }
                Node::Directory
            } else if kind.is_symlink() {
                let target = fs::read_link(&source).map_err(|e| unreadable(&source, e))?;
                Node::Link { target }
            } else if kind.is_file() {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                let mode = self.mode.unwrap_or(if executable { 0o755 } else { 0o644 });
                Node::File { source, mode }
            } else {
                return Err(Error::SpecialFile { path: source, kind: special(kind) });
            };
            self.insert(to, node)?;
        }
        Ok(())
    }

    fn insert(&mut self, to: Vec<u8>, node: Node) -> Result<(), Error> {
        if self.tree.len() >= MOST_FILES {
            let reason = "it stands for more than 2,000,000 files".into();
            return Err(Error::BadGlob { from: self.copy.from.clone(), reason });
        }
        self.tree.insert(to, node);
        Ok(())
    }
}

/// What a pattern matches: where it is, and its path from the last directory
/// before the first wildcard. What is below a directory that matches is not
/// looked at.
fn matches(from: &str, root: &Root) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let empty = || Error::EmptyGlob { from: from.to_owned() };
    let parts: Vec<&str> = from.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let wild = parts.iter().position(|part| is_pattern(part)).ok_or_else(empty)?;
    let matcher = compile(from, &parts[wild..].join("/"))?;
    let depth =
        if parts[wild..].iter().any(|part| part.contains("**")) { usize::MAX } else { parts.len() - wild };
    let prefix: PathBuf = parts[..wild].iter().collect();
    let start = root.resolve(from, &prefix)?.ok_or_else(empty)?;
    if !inspect(&start)?.is_dir() {
        return Err(empty());
    }
    let mut found = Vec::new();
    let mut open = vec![(start, PathBuf::new(), 1)];
    while let Some((dir, below, level)) = open.pop() {
        for entry in list(&dir)? {
            let name = below.join(entry.file_name().unwrap_or_default());
            if matcher.is_match(&name) {
                found.push((entry, name));
            } else if level < depth && inspect(&entry)?.is_dir() {
                open.push((entry, name, level + 1));
            }
        }
    }
    if found.is_empty() { Err(empty()) } else { Ok(found) }
}

pub(crate) fn compile(from: &str, pattern: &str) -> Result<GlobMatcher, Error> {
    // Braces are ordinary characters here.
    let pattern = pattern.replace('{', "[{]").replace('}', "[}]");
    GlobBuilder::new(&pattern)
        .literal_separator(true)
        .backslash_escape(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|e| Error::BadGlob { from: from.to_owned(), reason: e.kind().to_string() })
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Unreadable { path: path.into(), source }
}

pub(crate) fn inspect(path: &Path) -> Result<Metadata, Error> {
    path.symlink_metadata().map_err(|e| unreadable(path, e))
}

pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(|e| unreadable(dir, e))?;
    entries.map(|entry| Ok(entry.map_err(|e| unreadable(dir, e))?.path())).collect()
}

fn special(kind: fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "device"
    } else {
        "special file"
    }
}

/// The components of `to`, without slashes at either end.
fn destination(to: &str) -> Result<Vec<u8>, Error> {
    let bad = |reason| Error::BadDestination { destination: to.chars().take(200).collect(), reason };
    let Some(rest) = to.strip_prefix('/') else { return Err(bad("it does not begin with `/`")) };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.chars().any(char::is_control) {
        return Err(bad("it has control characters"));
    }
    if !rest.is_empty() && rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(bad("it has an empty, `.` or `..` component"));
    }
    Ok(rest.into())
}

fn check_name(path: &[u8]) -> Result<(), Error> {
    let bad = |reason| {
        let destination = format!("/{}", String::from_utf8_lossy(path));
        Err(Error::BadDestination { destination, reason })
    };
    if path.len() > PATH_LIMIT {
        return bad("it is longer than 4096 bytes");
    }
    if path.split(|&byte| byte == b'/').any(|part| part.starts_with(WHITEOUT)) {
        return bad("names that begin with `.wh.` delete files in an image layer");
    }
    Ok(())
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir.is_empty() {
        true => name.to_owned(),
        false => [dir, b"/", name].concat(),
    }
}

/// The one path that `from` names; `what` says in the error what is looked for.
pub(crate) fn one(from: &str, root: &Root, what: &'static str) -> Result<PathBuf, Error> {
    if from.is_empty() || from.contains('\0') {
        return Err(Error::MissingFile { from: from.to_owned() });
    }
    if let Some(path) = root.resolve(from, Path::new(from))? {
        return Ok(path);
    }
    if !is_pattern(from) {
        return Err(Error::MissingFile { from: from.to_owned() });
    }
    let mut found = matches(from, root)?;
    match found.len() {
        1 => Ok(found.remove(0).0),
        _ => {
            let found = found.iter().take(8).map(|(_, name)| name.display().to_string()).collect();
            Err(Error::ManyMatches { from: from.to_owned(), what, found })
        }
    }
}
