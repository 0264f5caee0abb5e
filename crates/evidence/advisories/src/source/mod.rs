//! Where advisories come from: files and directories, found, told apart, read
//! in parallel.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use crate::advisory::Advisory;
use crate::error::Error;

use walk::Form;
pub(crate) use walk::{Found, find, fingerprint};

mod osv;
mod rustsec;
#[cfg(test)]
mod tests;
mod walk;
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
        Self { advisory_bytes: 16 << 20, files: 5_000_000, archive_bytes: 32 << 30, depth: 32 }
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

/// What one file gave: its place in the order of all, and advisories or a warning.
pub(crate) type Given = (u64, Result<Vec<Advisory>, Warning>);

/// Some files, read one after the other by one thread.
enum Unit<'a> {
    Loose(&'a [Found]),
    Packed(&'a Found, &'a [zip::Entry]),
}

/// Files of one unit: enough to make hand-over cheap, few enough to share out.
const UNIT: usize = 256;
/// Bytes of one unit. What waits to be indexed is parsed and in memory.
const UNIT_BYTES: u64 = 4 << 20;

/// Cuts a list into units by number and size.
fn units<T>(mut list: &[T], size: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let mut units = Vec::new();
    while !list.is_empty() {
        let mut bytes = 0_u64;
        let fits = |item: &T| {
            bytes = bytes.saturating_add(size(item));
            bytes <= UNIT_BYTES
        };
        let count = list.iter().take(UNIT).map(fits).take_while(|fits| *fits).count().max(1);
        let (unit, rest) = list.split_at(count);
        units.push(unit);
        list = rest;
    }
    units
}

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
    let loose = loose.filter(|run| run[0].form != Form::Zip).flat_map(|run| units(run, |file| file.size));
    let mut all: Vec<Unit<'_>> = loose.map(Unit::Loose).collect();
    for (file, list) in &archives {
        all.extend(units(list, zip::Entry::size).into_iter().map(|part| Unit::Packed(file, part)));
    }
    let units = all;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).min(units.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(threads);
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
    let broken = |why| Error::Archive { path: file.path.clone(), why };
    let directory = zip::Directory::read(&open(file)?, limits.files).map_err(broken)?;
    let mut entries = directory.entries().map_err(broken)?;
    entries.retain(|entry| matches!(Form::of(&entry.name), Some(Form::Json | Form::RustSec)));
    let expanded = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size()));
    if expanded > limits.archive_bytes {
        let (path, most) = (file.path.clone(), limits.archive_bytes);
        return Err(Error::TooMuch { path, what: "bytes when it is expanded", most });
    }
    Ok(entries)
}

fn open(file: &Found) -> Result<File, Error> {
    File::open(&file.path).map_err(|source| Error::Unreadable { path: file.path.clone(), source })
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
            let broken = |why| Error::Archive { path: file.path.clone(), why };
            let mut archive = zip::Reader::new(open(file)?).map_err(broken)?;
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
    let read = open(file)?.take(limits.advisory_bytes + 1).read_to_end(bytes).map_err(unreadable)?;
    if read as u64 > limits.advisory_bytes {
        return Ok(Err(format!("it is larger than {} bytes", limits.advisory_bytes)));
    }
    Ok(Ok(()))
}

/// The largest advisory that a person has written, with room to spare, in bytes.
const MOST_RUSTSEC: usize = 1 << 20;

fn parse(form: Form, bytes: &[u8]) -> Result<Vec<Advisory>, String> {
    match form {
        Form::RustSec if bytes.len() > MOST_RUSTSEC => Err(format!("it is larger than {MOST_RUSTSEC} bytes")),
        Form::RustSec => {
            let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
            rustsec::parse(text).map(|advisory| advisory.into_iter().collect())
        }
        Form::Json | Form::Zip => osv::parse(bytes),
    }
}
