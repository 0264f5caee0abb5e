//! Where advisories come from: files and directories, found, told apart, read
//! in parallel.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::advisory::Advisory;
use crate::error::Error;

mod osv;
mod rustsec;
#[cfg(test)]
mod tests;
mod zip;

/// What is read at most. The defaults are far above every published database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one advisory; a larger one is a warning.
    pub advisory_bytes: u64,
    /// Files and archive entries together; more is an error.
    pub files: u64,
    /// Bytes that one archive may expand to; more is an error.
    pub archive_bytes: u64,
    /// Directories within directories; deeper ones are an error.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { advisory_bytes: 64 << 20, files: 5_000_000, archive_bytes: 32 << 30, depth: 32 }
    }
}

/// An advisory that was not understood, and so is not looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The file, within its database; an archive's entry after ` > `.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    RustSec,
    Zip,
}

impl Form {
    fn of(name: &str) -> Option<Self> {
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
    path: PathBuf,
    /// Within the database that was named.
    name: String,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    form: Form,
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
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { path, source }
    };
    if depth == 0 {
        return Err(Error::TooMuch {
            path: dir.into(),
            what: "directories within directories",
            most: limits.depth.into(),
        });
    }
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let entry = entry.map_err(unreadable(dir))?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable(&path))?;
        let name = if prefix.is_empty() { file_name.to_owned() } else { format!("{prefix}/{file_name}") };
        if kind.is_dir() {
            walk(&path, &name, depth - 1, limits, found)?;
            continue;
        }
        let Some(form) = Form::of(file_name) else { continue };
        // Mounted volumes show their files as symbolic links. Links to
        // directories are not followed: they can lead round in circles.
        let metadata = if kind.is_symlink() { fs::metadata(&path) } else { entry.metadata() };
        let metadata = metadata.map_err(unreadable(&path))?;
        if !metadata.is_file() {
            continue;
        }
        if found.len() as u64 >= limits.files {
            return Err(Error::TooMuch { path: dir.into(), what: "files", most: limits.files });
        }
        found.push(describe(path, name, form, &metadata));
    }
    Ok(())
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

/// What one file gave: its place in the order of all, and advisories or a warning.
pub(crate) type Given = (u64, Result<Vec<Advisory>, Warning>);

/// Some files, read one after the other by one thread.
enum Unit<'a> {
    Loose(&'a [Found]),
    Packed(&'a Found, &'a [zip::Entry]),
}

/// Files of one unit: enough to make hand-over cheap, few enough to share out.
const UNIT: usize = 256;

/// Reads every advisory and gives it to `sink`, in no fixed order.
///
/// # Errors
/// A file that cannot be read, an archive that is damaged as a whole.
pub(crate) fn read(found: &[Found], limits: &Limits, mut sink: impl FnMut(Given)) -> Result<(), Error> {
    let mut archives = Vec::new();
    let mut entries = 0_u64;
    for file in found.iter().filter(|file| file.form == Form::Zip) {
        let list = list(file, limits)?;
        entries += list.len() as u64;
        if entries > limits.files {
            return Err(Error::TooMuch { path: file.path.clone(), what: "entries", most: limits.files });
        }
        archives.push((file, list));
    }
    // Loose files in runs without an archive between them.
    let loose = found.chunk_by(|a, b| (a.form == Form::Zip) == (b.form == Form::Zip));
    let loose =
        loose.filter(|run| run[0].form != Form::Zip).flat_map(|run| run.chunks(UNIT)).map(Unit::Loose);
    let packed =
        archives.iter().flat_map(|(file, list)| list.chunks(UNIT).map(|part| Unit::Packed(file, part)));
    let units: Vec<Unit<'_>> = loose.chain(packed).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8).min(units.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(2 * threads.max(1));
        for _ in 0..threads {
            let (sender, units, next) = (sender.clone(), &units, &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(unit) = units.get(at) else { return };
                    let given = read_unit(at, unit, limits);
                    let failed = given.is_err();
                    // Nobody receives any more after an error elsewhere.
                    if sender.send(given).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for given in receiver {
            given?.into_iter().for_each(&mut sink);
        }
        Ok(())
    })
}

fn list(file: &Found, limits: &Limits) -> Result<Vec<zip::Entry>, Error> {
    let archive = open(file, limits)?;
    let broken = |why| Error::Archive { path: file.path.clone(), why };
    let mut entries = archive.entries().map_err(broken)?;
    entries.retain(|entry| matches!(Form::of(&entry.name), Some(Form::Json | Form::RustSec)));
    let expanded = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size()));
    if expanded > limits.archive_bytes {
        return Err(Error::TooMuch {
            path: file.path.clone(),
            what: "bytes when it is expanded",
            most: limits.archive_bytes,
        });
    }
    Ok(entries)
}

fn open(file: &Found, limits: &Limits) -> Result<zip::Archive, Error> {
    let open =
        File::open(&file.path).map_err(|source| Error::Unreadable { path: file.path.clone(), source })?;
    zip::Archive::open(open, limits.files).map_err(|why| Error::Archive { path: file.path.clone(), why })
}

fn read_unit(at: usize, unit: &Unit<'_>, limits: &Limits) -> Result<Vec<Given>, Error> {
    let place = |position: usize| (at as u64) << 32 | position as u64;
    let mut bytes = Vec::new();
    let mut given = Vec::new();
    match unit {
        Unit::Loose(files) => {
            for (position, file) in files.iter().enumerate() {
                let read = read_file(file, limits, &mut bytes)?;
                let parsed = read.and_then(|()| parse(file.form, &bytes));
                given.push((place(position), parsed.map_err(|why| Warning { file: file.name.clone(), why })));
            }
        }
        Unit::Packed(file, entries) => {
            let mut archive = open(file, limits)?;
            for (position, entry) in entries.iter().enumerate() {
                let read = archive.read(entry, limits.advisory_bytes, &mut bytes);
                let form = Form::of(&entry.name).unwrap_or(Form::Json);
                let parsed = read.and_then(|()| parse(form, &bytes));
                let warning = |why| Warning { file: format!("{} > {}", file.name, shown(&entry.name)), why };
                given.push((place(position), parsed.map_err(warning)));
            }
        }
    }
    Ok(given)
}

/// A name out of an archive, fit to be shown.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The outer error stops everything: a file that was found and cannot be read
/// would be missing without a trace.
fn read_file(file: &Found, limits: &Limits, bytes: &mut Vec<u8>) -> Result<Result<(), String>, Error> {
    let unreadable = |source| Error::Unreadable { path: file.path.clone(), source };
    bytes.clear();
    if file.size > limits.advisory_bytes {
        return Ok(Err(format!("it is larger than {} bytes", limits.advisory_bytes)));
    }
    let open = File::open(&file.path).map_err(unreadable)?;
    let read = open.take(limits.advisory_bytes + 1).read_to_end(bytes).map_err(unreadable)?;
    if read as u64 > limits.advisory_bytes {
        return Ok(Err(format!("it is larger than {} bytes", limits.advisory_bytes)));
    }
    Ok(Ok(()))
}

fn parse(form: Form, bytes: &[u8]) -> Result<Vec<Advisory>, String> {
    match form {
        Form::RustSec => {
            let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            rustsec::parse(text).map(|advisory| advisory.into_iter().collect())
        }
        Form::Json | Form::Zip => osv::parse(bytes),
    }
}
