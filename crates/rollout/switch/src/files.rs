//! State files of the single-host targets: each is written whole or not at
//! all, and damage is never taken for absence.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No state file is longer than this.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a JSON file; nothing when there is none.
///
/// # Errors
/// When it cannot be read; [`io::ErrorKind::InvalidData`] when it is damaged
/// or longer than a state file can be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
    })
}

/// Writes a JSON file whole or not at all: beside, synced, renamed, folder
/// synced.
///
/// # Errors
/// When the file may not have been written; the old or the new one is there.
///
/// # Panics
/// When `path` has no parent folder.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let folder = path.parent().expect("a state file lies in a folder");
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut temporary, value)?;
    temporary.write_all(b"\n")?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// [`write_json`] unless the file has a value that `stays` keeps; returns
/// whether it was written. Compared and replaced under one lock (`flock` on a
/// file beside it, which the system drops with its holder), so that a process
/// that slept in between replaces nothing newer.
///
/// # Errors
/// As [`read_json`] and [`write_json`].
pub fn replace_json<T: Serialize + DeserializeOwned>(
    path: &Path,
    value: &T,
    stays: impl FnOnce(&T) -> bool,
) -> io::Result<bool> {
    let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    if read_json(path)?.as_ref().is_some_and(stays) {
        return Ok(false);
    }
    write_json(path, value).map(|()| true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_damaged_file_is_an_error_and_a_missing_one_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        write_json(&path, &7u32).unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(7));
        std::fs::write(&path, "{").unwrap();
        assert!(read_json::<u32>(&path).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn only_what_may_be_replaced_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let newer = |n: u32| move |stored: &u32| *stored > n;
        assert!(replace_json(&path, &7, newer(7)).unwrap());
        assert!(!replace_json(&path, &6, newer(6)).unwrap());
        assert!(replace_json(&path, &8, newer(8)).unwrap());
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(8));
        std::fs::write(&path, "{").unwrap();
        replace_json(&path, &9, newer(9)).unwrap_err();
    }
}
