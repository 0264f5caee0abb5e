//! The tar of a layer, written so that nothing but names, modes and content
//! decides its bytes (BLD-2): entries in the order of their names, owner 0:0
//! without names, one time for all, no extended attributes.
//!
//! GNU format; long names and link targets are `@LongLink` entries, sizes from
//! 8 GiB on are in base 256, as GNU tar and all image readers do it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::compress::Blocks;
use crate::error::Error;

const RECORD: u64 = 512;
/// Length of the name fields of a header (POSIX ustar interchange format).
const NAME: usize = 100;

/// One thing in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory.
    Directory,
    /// A regular file with this mode, its content in this file.
    File { source: PathBuf, mode: u32 },
    /// A symbolic link with this target.
    Link { target: PathBuf },
}

/// Mode of all directories.
const DIRECTORY_MODE: u32 = 0o755;

/// Writes entries and counts nothing but bytes.
pub(crate) struct TarStream<'a> {
    pub(crate) blocks: &'a mut Blocks,
    /// Seconds since 1970, of every entry.
    pub(crate) mtime: u64,
}

/// The writer of the layer has stopped; its own error takes the place of this.
fn stopped(source: io::Error) -> Error {
    Error::io("write a layer from", Path::new("the checkout"), source)
}

impl TarStream<'_> {
    /// Appends one entry; `path` is relative to the root of the image.
    pub(crate) fn append(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        match node {
            Node::Directory => {
                let name = [path, b"/"].concat();
                self.header(&name, b"", EntryType::Directory, DIRECTORY_MODE, 0)?;
            }
            Node::Link { target } => {
                self.header(path, target.as_os_str().as_bytes(), EntryType::Symlink, 0o777, 0)?;
            }
            Node::File { source, mode } => self.file(path, source, *mode)?,
        }
        Ok(())
    }

    /// The end of the archive: two records of zeros.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.blocks.write(&[0; 2 * RECORD as usize]).map_err(stopped)
    }

    fn file(&mut self, path: &[u8], source: &Path, mode: u32) -> Result<(), Error> {
        let unreadable = |e| Error::Unreadable { path: source.into(), source: e };
        let changed = || Error::Changed { path: source.into() };
        // NONBLOCK: a file that was replaced by a named pipe must not hang us.
        let mut file: File = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(source)
            .map_err(unreadable)?;
        let before = file.metadata().map_err(unreadable)?;
        if !before.is_file() {
            return Err(changed());
        }
        let size = before.len();
        self.header(path, b"", EntryType::Regular, mode, size)?;
        let read = self.blocks.write_from(&mut file, size).map_err(unreadable)?;
        if read < size || file.read(&mut [0]).map_err(unreadable)? != 0 {
            return Err(changed());
        }
        let after = file.metadata().map_err(unreadable)?;
        if state(&before) != state(&after) {
            return Err(changed());
        }
        self.pad(size)
    }

    fn header(
        &mut self,
        name: &[u8],
        link: &[u8],
        kind: EntryType,
        mode: u32,
        size: u64,
    ) -> Result<(), Error> {
        if name.len() > NAME {
            self.long(name, EntryType::GNULongName)?;
        }
        if link.len() > NAME {
            self.long(link, EntryType::GNULongLink)?;
        }
        let mut header = Header::new_gnu();
        copy_start(&mut header.as_old_mut().name, name);
        copy_start(&mut header.as_old_mut().linkname, link);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_mtime(self.mtime);
        header.set_cksum();
        self.blocks.write(header.as_bytes()).map_err(stopped)
    }

    /// GNU tar manual, "Storing long names": an entry whose content is the name.
    fn long(&mut self, name: &[u8], kind: EntryType) -> Result<(), Error> {
        let mut header = Header::new_gnu();
        copy_start(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(name.len() as u64 + 1);
        header.set_mtime(0);
        header.set_cksum();
        self.blocks.write(header.as_bytes()).map_err(stopped)?;
        self.blocks.write(name).map_err(stopped)?;
        self.blocks.write(&[0]).map_err(stopped)?;
        self.pad(name.len() as u64 + 1)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let missing = (RECORD - size % RECORD) % RECORD;
        let zeros = [0; RECORD as usize];
        self.blocks.write(&zeros[..usize::try_from(missing).expect("less than a record")]).map_err(stopped)
    }
}

/// What changes when a file is written to: size, times.
fn state(metadata: &Metadata) -> (u64, i64, i64, i64, i64) {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
}

fn copy_start(field: &mut [u8; NAME], bytes: &[u8]) {
    let length = bytes.len().min(NAME);
    field[..length].copy_from_slice(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::super::compress::{Compression, PackError, pack};
    use super::*;

    fn written(nodes: &[(&str, Node)]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let result = pack(Compression::Zstd, 1, &mut out, |blocks| {
            let mut tar = TarStream { blocks, mtime: 7 };
            nodes.iter().try_for_each(|(path, node)| tar.append(path.as_bytes(), node))?;
            tar.finish()
        });
        match result {
            Ok(_) => Ok(zstd::decode_all(&out[..]).unwrap()),
            Err(PackError::Produce(error)) => Err(error),
            Err(PackError::Write(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_file_that_is_not_what_was_measured_is_refused() {
        // The kernel says 0 bytes and gives more: as a file that grows does.
        let growing = Node::File { source: "/proc/self/status".into(), mode: 0o644 };
        assert!(matches!(written(&[("x", growing)]), Err(Error::Changed { .. })));
        // What was a file when it was selected is none now.
        for other in ["/dev/null", "/tmp"] {
            let node = Node::File { source: other.into(), mode: 0o644 };
            assert!(matches!(written(&[("x", node)]), Err(Error::Changed { .. })), "{other}");
        }
        let gone = Node::File { source: "/nonexistent".into(), mode: 0o644 };
        assert!(matches!(written(&[("x", gone)]), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn sizes_and_names_at_the_edges_of_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for (at, size) in [0_usize, 1, 511, 512, 513].into_iter().enumerate() {
            let source = dir.path().join(at.to_string());
            File::create(&source).unwrap().write_all(&vec![b'x'; size]).unwrap();
            // Names of 99, 100 and 101 bytes and longer.
            nodes.push(("n".repeat(99 + at), Node::File { source, mode: 0o600 }));
        }
        nodes.push(("z".into(), Node::Link { target: "t".repeat(101).into() }));
        nodes.push(("d".repeat(100), Node::Directory));
        let borrowed: Vec<(&str, Node)> = nodes.iter().map(|(path, node)| (&**path, node.clone())).collect();
        let tar = written(&borrowed).unwrap();
        assert_eq!(tar.len() % 512, 0);
        let mut archive = tar::Archive::new(&tar[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let link = entry.link_name_bytes().map(|link| link.len());
            seen.push((entry.path_bytes().len(), content.len(), link));
        }
        let files = [(99, 0), (100, 1), (101, 511), (102, 512), (103, 513)];
        let mut expected: Vec<_> = files.map(|(name, size)| (name, size, None)).to_vec();
        expected.extend([(1, 0, Some(101)), (101, 0, None)]);
        assert_eq!(seen, expected);
    }
}
