//! Blobs: they appear complete, verified and durable, or not at all; what is
//! only cached is not durable.

use std::fs::{self, File};
use std::io::{self, Read, Write};

use plimsoll_model::Digest;

use super::Layout;
use super::temporary::Temporary;
use crate::{Descriptor, Error, Hasher, Result, VerifyingReader, digest_of};

impl Layout {
    /// Whether the blob is there.
    ///
    /// # Errors
    /// [`Error::Io`] when that cannot be found out.
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        match self.size(digest) {
            Ok(_) => Ok(true),
            Err(Error::BlobAbsent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Size of the blob's file, in bytes.
    ///
    /// # Errors
    /// [`Error::BlobAbsent`], [`Error::Io`].
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        self.open_file(digest).map(|(_, size)| size)
    }

    fn open_file(&self, digest: &Digest) -> Result<(File, u64)> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::BlobAbsent { digest: *digest, layout: self.path().into() });
            }
            Err(e) => return Err(Error::io("open", path, e)),
        };
        let metadata = file.metadata().map_err(|e| Error::io("inspect", &path, e))?;
        if !metadata.is_file() {
            return Err(Error::CorruptLayout { path, reason: "it is not a regular file".into() });
        }
        Ok((file, metadata.len()))
    }

    /// A reader of exactly the bytes that the descriptor names (DIG-3).
    ///
    /// # Errors
    /// [`Error::BlobAbsent`], [`Error::Io`]; while reading, see
    /// [`VerifyingReader`].
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<VerifyingReader<File>> {
        let (file, size) = self.open_file(&descriptor.digest)?;
        let object = format!("blob {}", descriptor.digest);
        if size != descriptor.size {
            return Err(Error::SizeMismatch { object, expected: descriptor.size, found: size.to_string() });
        }
        Ok(VerifyingReader::new(file, object, descriptor.digest, size))
    }

    /// All bytes of a blob of at most `limit` bytes, verified.
    ///
    /// # Errors
    /// [`Error::BlobAbsent`], [`Error::TooLarge`], [`Error::DigestMismatch`],
    /// [`Error::Io`].
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let (file, size) = self.open_file(digest)?;
        let object = format!("blob {digest}");
        if size > limit {
            return Err(Error::TooLarge { object, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        VerifyingReader::new(file, object, *digest, size)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::from_read("read", self.blob_path(digest), e))?;
        Ok(bytes)
    }

    /// A writer for a blob whose digest is not known yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn writer(&self) -> Result<BlobWriter> {
        Ok(BlobWriter {
            layout: self.clone(),
            temporary: self.temporary()?,
            hasher: Hasher::new(),
            written: 0,
            failed: false,
        })
    }

    /// Stores bytes; returns their digest and number.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`]; then the blob is not visible, or
    /// (when only the last flush failed) is complete.
    pub fn put(&self, bytes: &[u8]) -> Result<(Digest, u64)> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|e| Error::io("write a blob in", self.path(), e))?;
        writer.commit(None)
    }

    /// Stores bytes that can be had again from elsewhere: nothing is flushed to
    /// disk, so that a crash of the machine may lose or damage them. Readers
    /// verify, and [`Layout::put`] and this replace what is damaged.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`]; then the blob is not visible.
    pub fn put_cached(&self, bytes: &[u8]) -> Result<(Digest, u64)> {
        let (digest, size) = (digest_of(bytes), bytes.len() as u64);
        if self.intact(&digest, size) {
            return Ok((digest, size));
        }
        let path = self.blob_path(&digest);
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|e| Error::io("write a blob in", self.path(), e))?;
        let temporary = writer.temporary;
        self.0.disk.rename(temporary.path(), &path).map_err(|e| Error::io("store", &path, e))?;
        temporary.moved();
        Ok((digest, size))
    }

    /// Makes a blob of another layout visible in this one, by a hard link
    /// where that is possible, else by a verified copy.
    ///
    /// # Errors
    /// [`Error::BlobAbsent`] when the other does not have it; as
    /// [`BlobWriter::commit`] otherwise.
    pub fn link_blob_from(&self, other: &Layout, digest: &Digest) -> Result<()> {
        let (mut file, size) = other.open_file(digest)?;
        let target = self.blob_path(digest);
        match self.0.disk.link(&other.blob_path(digest), &target) {
            Ok(()) => return self.sync_blobs(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.size(digest)? == size => {
                return self.sync_blobs();
            }
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Err(Error::io("link", target, e)),
            // Another file system, too many links, or links not permitted.
            Err(_) => {}
        }
        let mut writer = self.writer()?;
        io::copy(&mut file, &mut writer).map_err(|e| Error::from_read("copy", &target, e))?;
        writer.commit(Some(digest)).map(drop)
    }

    /// Removes a blob; whether it was there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn delete_blob(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io("remove", path, e)),
        }
    }

    /// The digests of all blobs, in no particular order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let failed = |e| Error::io("list", &self.0.blobs, e);
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.0.blobs).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // Other names are not blobs; the specification lets them be there.
            if let Some(Ok(digest)) = name.to_str().map(|hex| format!("sha256:{hex}").parse()) {
                digests.push(digest);
            }
        }
        Ok(digests)
    }

    fn sync_blobs(&self) -> Result<()> {
        self.0.disk.sync_dir(&self.0.blobs).map_err(|e| Error::io("flush", &self.0.blobs, e))
    }
}

/// Writes one blob, hashing it on the way. Dropping discards it.
pub struct BlobWriter {
    layout: Layout,
    temporary: Temporary,
    hasher: Hasher,
    written: u64,
    /// A write failed: what the file holds is not known, so it is never
    /// committed.
    failed: bool,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the blob visible under its digest, durably. One that is there
    /// already is kept if it is intact and replaced if it is damaged.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] when it is not the expected one;
    /// [`Error::Io`], [`Error::DiskFull`]: then the blob is not visible, or
    /// (when only the last flush failed) is complete. Committing again is
    /// always right.
    pub fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let Self { layout, temporary, hasher, written, failed } = self;
        if failed {
            let cause = io::Error::other("an earlier write to it failed");
            return Err(Error::io("commit", temporary.path(), cause));
        }
        let digest = hasher.finish();
        if let Some(&expected) = expected.filter(|&&expected| expected != digest) {
            return Err(Error::DigestMismatch { object: "the blob".into(), expected, found: digest });
        }
        let path = layout.blob_path(&digest);
        let disk = &layout.0.disk;
        if layout.intact(&digest, written) {
            // It may be there without ever having been flushed.
            let there = File::open(&path).and_then(|file| disk.sync_file(&file));
            there.map_err(|e| Error::io("flush", &path, e))?;
            layout.sync_blobs()?;
            return Ok((digest, written));
        }
        disk.sync_file(temporary.file()).map_err(|e| Error::io("flush", &path, e))?;
        disk.rename(temporary.path(), &path).map_err(|e| Error::io("store", &path, e))?;
        temporary.moved();
        layout.sync_blobs()?;
        Ok((digest, written))
    }
}

impl Layout {
    /// Whether the blob is there and hashes right. Reading it costs less than
    /// flushing the same bytes to disk once more.
    fn intact(&self, digest: &Digest, size: u64) -> bool {
        self.open_blob(&Descriptor::new("", *digest, size))
            .is_ok_and(|mut reader| reader.verify_rest().is_ok())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.layout.0.disk.write(self.temporary.file(), bytes) {
            Ok(n) => {
                self.hasher.update(&bytes[..n]);
                self.written += n as u64;
                Ok(n)
            }
            Err(error) => {
                self.failed |= error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
