//! Which files a database has, and a hash that tells when they change.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::thread;

use aws_lc_rs::digest;

use super::Limits;
use crate::error::Error;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    RustSec,
    Zip,
}

impl Form {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "md" | "toml" => Some(Self::RustSec),
            "zip" => Some(Self::Zip),
            _ => None,
        }
    }
}

/// A file of a database.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(super) path: PathBuf,
    /// Within the database that was named.
    pub(super) name: String,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    pub(super) form: Form,
}

impl Found {
    /// When the file was last written, in seconds since 1970.
    pub(crate) fn modified_seconds(&self) -> i64 {
        i64::try_from(self.modified.div_euclid(1_000_000_000)).unwrap_or(0)
    }
}

/// Every file of the databases, in a fixed order.
pub(crate) fn find(roots: &[PathBuf], limits: &Limits) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for root in roots {
        let metadata = match fs::metadata(root) {
            Ok(metadata) => metadata,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoDatabase { path: root.clone() });
            }
            Err(source) => return Err(Error::Unreadable { path: root.clone(), source }),
        };
        let before = found.len();
        if metadata.is_dir() {
            walk(root, "", limits.depth, limits, &mut found)?;
        } else {
            let name = root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let form = Form::of(&name).ok_or_else(|| Error::NotADatabase { path: root.clone() })?;
            found.push(describe(root.clone(), name, form, &metadata));
        }
        found[before..].sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(found)
}

fn describe(path: PathBuf, name: String, form: Form, metadata: &fs::Metadata) -> Found {
    use std::os::unix::fs::MetadataExt as _;
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Found { path, name, size: metadata.len(), modified, form }
}

fn walk(dir: &Path, prefix: &str, depth: u32, limits: &Limits, found: &mut Vec<Found>) -> Result<(), Error> {
    if depth == 0 {
        return Err(Error::TooMuch {
            path: dir.into(),
            what: "directories within directories",
            most: limits.depth.into(),
        });
    }
    let unreadable = |source| Error::Unreadable { path: dir.into(), source };
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        if file_name.starts_with('.') {
            continue;
        }
        let name = if prefix.is_empty() { file_name.into_owned() } else { format!("{prefix}/{file_name}") };
        if entry.file_type().map_err(unreadable)?.is_dir() {
            dirs.push((entry.path(), name));
        } else if let Some(form) = Form::of(&name) {
            files.push((entry, name, form));
        }
        if (found.len() + files.len() + dirs.len()) as u64 > limits.files {
            return Err(Error::TooMuch { path: dir.into(), what: "files", most: limits.files });
        }
    }
    found.extend(described(files)?);
    dirs.into_iter().try_for_each(|(path, name)| walk(&path, &name, depth - 1, limits, found))
}

type Named = (DirEntry, String, Form);

/// Size and time of each file. This is most of the work of opening an index
/// over many small files, so it is shared out.
fn described(mut files: Vec<Named>) -> Result<Vec<Found>, Error> {
    const WORTH_A_THREAD: usize = 4096;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    let one = |files: Vec<Named>| -> Result<Vec<Found>, Error> {
        files.into_iter().filter_map(|file| describe_entry(file).transpose()).collect()
    };
    if files.len() < WORTH_A_THREAD || threads == 1 {
        return one(files);
    }
    thread::scope(|scope| {
        let share = files.len().div_ceil(threads);
        let mut parts = Vec::new();
        while !files.is_empty() {
            let part = files.split_off(files.len().saturating_sub(share));
            parts.push(scope.spawn(move || one(part)));
        }
        let mut all = Vec::new();
        for part in parts {
            all.extend(part.join().expect("reading sizes does not panic")?);
        }
        Ok(all)
    })
}

/// Nothing for what is no file in the end: a socket, a link to a directory.
fn describe_entry((entry, name, form): Named) -> Result<Option<Found>, Error> {
    let path = entry.path();
    // Mounted volumes show their files as symbolic links. Links to
    // directories are not followed: they can lead round in circles.
    let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let metadata = if link { fs::metadata(&path) } else { entry.metadata() };
    match metadata {
        Ok(metadata) => Ok(metadata.is_file().then(|| describe(path, name, form, &metadata))),
        Err(source) => Err(Error::Unreadable { path, source }),
    }
}

/// A hash over names, sizes and times of the files: another one means that the
/// database has changed.
pub(crate) fn fingerprint(found: &[Found]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in found {
        context.update(&(file.name.len() as u64).to_le_bytes());
        context.update(file.name.as_bytes());
        context.update(&file.size.to_le_bytes());
        context.update(&file.modified.to_le_bytes());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
