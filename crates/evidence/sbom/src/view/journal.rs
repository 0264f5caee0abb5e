//! What was met in one layer or directory, in order, kept small until it is
//! applied to the tree.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::catalog::{Fact, Unread, Wanted};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Directory,
    Symlink,
    HardLink,
    Other,
}

#[derive(Debug)]
struct Record {
    /// Bytes of the path that it has in common with the one before it.
    shared: u16,
    /// Bytes of the rest of the path, and then of the link's target.
    rest: u16,
    target: u16,
    what: What,
}

/// What catalogers made of one file.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Who was shown the file.
    pub(crate) asked: Wanted,
    /// What they said; nothing where it was none of their business.
    pub(crate) answers: Vec<(usize, Result<Fact, Unread>)>,
}

/// Entries in order. Neighbours in an archive share most of their paths, so
/// only the rest is kept: some 30 bytes an entry.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    text: String,
    records: Vec<Record>,
    last: String,
    /// By the number of the entry.
    pub(crate) readings: BTreeMap<u32, Reading>,
    /// Entries that were left out, with the reason; and what ended the
    /// reading early. No path: about the whole.
    pub(crate) warnings: Vec<(String, Unread)>,
}

impl Journal {
    /// Notes an entry and returns its number.
    pub(crate) fn push(&mut self, path: &str, what: What, target: &str) -> Result<u32, Unread> {
        let number = u32::try_from(self.records.len()).map_err(|_| "there are too many entries")?;
        let mut shared = path.bytes().zip(self.last.bytes()).take_while(|(a, b)| a == b).count();
        while !path.is_char_boundary(shared) {
            shared -= 1;
        }
        let length = |length: usize| u16::try_from(length).map_err(|_| Unread::from("its path is too long"));
        let rest = &path[shared..];
        let record = Record {
            shared: length(shared)?,
            rest: length(rest.len())?,
            target: length(target.len())?,
            what,
        };
        self.text.push_str(rest);
        self.text.push_str(target);
        self.last.truncate(shared);
        self.last.push_str(rest);
        self.records.push(record);
        Ok(number)
    }

    /// Calls `visit` with number, path, kind and target of each entry.
    pub(crate) fn replay(&self, mut visit: impl FnMut(u32, &str, What, &str)) {
        let mut path = String::new();
        let mut at = 0;
        for (number, record) in (0..).zip(&self.records) {
            path.truncate(record.shared.into());
            let (rest, after) = (at + usize::from(record.rest), usize::from(record.target));
            path.push_str(&self.text[at..rest]);
            at = rest + after;
            visit(number, &path, record.what, &self.text[rest..at]);
        }
    }
}

/// A path as text: bytes that are no UTF-8 are written `\xNN`, so that two
/// different paths stay different.
pub(crate) fn text(path: &OsStr) -> Cow<'_, str> {
    match std::str::from_utf8(path.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::new();
            for chunk in path.as_bytes().utf8_chunks() {
                text.push_str(chunk.valid());
                chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
            }
            Cow::Owned(text)
        }
    }
}

/// A path of an archive without empty parts, `.` and a leading `/`.
///
/// # Errors
/// When it would lead out of the root.
pub(crate) fn clean(path: &str) -> Result<Cow<'_, str>, Unread> {
    let plain = |path: &str| !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its path has a `..` component".into()),
            _ => parts.push(part),
        }
    }
    Ok(Cow::Owned(parts.join("/")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_pushed_is_replayed() {
        let entries = [
            ("usr", What::Directory, ""),
            ("usr/bin/é", What::File, ""),
            ("usr/bin/è", What::HardLink, "usr/bin/é"),
            ("u", What::Symlink, "usr"),
            ("u", What::Symlink, "x"),
            ("", What::Other, ""),
        ];
        let mut journal = Journal::default();
        for (path, what, target) in entries {
            journal.push(path, what, target).unwrap();
        }
        let mut seen = Vec::new();
        journal.replay(|number, path, what, target| {
            seen.push((number, path.to_owned(), what, target.to_owned()));
        });
        let expected: Vec<_> = (0..)
            .zip(entries)
            .map(|(number, (path, what, target))| (number, path.to_owned(), what, target.to_owned()))
            .collect();
        assert_eq!(seen, expected);
        assert!(journal.push(&"x".repeat(70_000), What::File, "").is_err());
    }

    #[test]
    fn paths_are_cleaned_and_do_not_escape() {
        for (path, expected) in
            [("a/b", "a/b"), ("./a/", "a"), ("/a//b/./c", "a/b/c"), ("", ""), (".", ""), ("./", "")]
        {
            assert_eq!(clean(path).unwrap(), expected, "{path}");
        }
        for path in ["..", "a/../b", "../../etc/passwd"] {
            assert!(clean(path).is_err(), "{path}");
        }
        assert_eq!(text(OsStr::from_bytes(b"a\xff/b")), "a\\xff/b");
    }
}
