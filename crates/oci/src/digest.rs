//! SHA-256 over bytes and streams, and reading that verifies.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use plimsoll_model::Digest;

use crate::Error;

/// A running SHA-256.
#[derive(Clone)]
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// The hash of nothing, yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        let hash = self.0.finish();
        Digest::from_sha256(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// The digest of these bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// Hashes and counts what is read through it.
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps a reader.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// Bytes read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Digest and number of the bytes read, and the reader.
    pub fn finish(self) -> (Digest, u64, R) {
        (self.hasher.finish(), self.count, self.inner)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

/// Hashes and counts what is written through it.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps a writer.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// Bytes written so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The writer beneath.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Digest and number of the bytes written, and the writer (not flushed).
    pub fn finish(self) -> (Digest, u64, W) {
        (self.hasher.finish(), self.count, self.inner)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads exactly `size` bytes that hash to `digest`, or fails (DIG-3).
///
/// The last bytes are handed out only after size and digest were found right,
/// so whoever got all bytes got the right ones. What fails is an
/// [`io::Error`] of kind `InvalidData` around an [`Error`] of class
/// Integrity; [`Error::from_read`] gets it out again. The failure is
/// repeated by each further read.
pub struct VerifyingReader<R> {
    inner: R,
    object: String,
    digest: Digest,
    size: u64,
    seen: u64,
    state: State,
}

enum State {
    Reading(Hasher),
    Verified,
    TooShort,
    TooLong,
    Other(Digest),
}

impl<R: Read> VerifyingReader<R> {
    /// Wraps a reader; `object` names the bytes in errors.
    pub fn new(inner: R, object: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self { inner, object: object.into(), digest, size, seen: 0, state: State::Reading(Hasher::new()) }
    }

    /// Whether all bytes were read and found right.
    pub fn is_verified(&self) -> bool {
        matches!(self.state, State::Verified)
    }

    /// Reads what is left, and fails unless all of it is right.
    ///
    /// # Errors
    /// Reading failed, or size or digest are not what they should be.
    pub fn verify_rest(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    fn failure(&self) -> io::Error {
        let object = self.object.clone();
        let error = match self.state {
            State::TooShort => {
                Error::SizeMismatch { object, expected: self.size, found: self.seen.to_string() }
            }
            State::TooLong => {
                Error::SizeMismatch { object, expected: self.size, found: format!("more than {}", self.size) }
            }
            State::Other(found) => Error::DigestMismatch { object, expected: self.digest, found },
            State::Reading(_) | State::Verified => unreachable!("only called after a failure"),
        };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    /// All bytes are there: is that all, and are they the right ones?
    fn complete(&mut self) -> io::Result<()> {
        let mut probe = [0];
        let extra = loop {
            match self.inner.read(&mut probe) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let State::Reading(hasher) = &self.state else { return Ok(()) };
        let found = hasher.clone().finish();
        self.state = match (extra, found == self.digest) {
            (0, true) => State::Verified,
            (0, false) => State::Other(found),
            _ => State::TooLong,
        };
        if self.is_verified() { Ok(()) } else { Err(self.failure()) }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Verified => return Ok(0),
            State::Reading(_) if buffer.is_empty() => return Ok(0),
            State::Reading(_) if self.seen == self.size => {
                self.complete()?;
                return Ok(0);
            }
            State::Reading(hasher) => {
                let left = usize::try_from(self.size - self.seen).unwrap_or(usize::MAX);
                let most = buffer.len().min(left);
                let n = self.inner.read(&mut buffer[..most])?;
                hasher.update(&buffer[..n]);
                self.seen += n as u64;
                if n > 0 {
                    if self.seen == self.size {
                        self.complete()?;
                    }
                    return Ok(n);
                }
                self.state = State::TooShort;
            }
            State::TooShort | State::TooLong | State::Other(_) => {}
        }
        Err(self.failure())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_hashes() {
        assert_eq!(
            digest_of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let mut reader = HashingReader::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!((reader.finish().0, reader_count()), (digest_of(b"abc"), 3));
    }

    fn reader_count() -> u64 {
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        writer.count()
    }

    fn read(bytes: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        VerifyingReader::new(bytes, "blob", digest, size)
            .read_to_end(&mut out)
            .map(|_| out)
            .map_err(|e| Error::from_read("read", "blob", e))
    }

    #[test]
    fn dig_3_only_the_right_bytes_come_through() {
        let digest = digest_of(b"abc");
        assert_eq!(read(b"abc", digest, 3).unwrap(), b"abc");
        assert_eq!(read(b"", digest_of(b""), 0).unwrap(), b"");
        assert!(matches!(read(b"abd", digest, 3), Err(Error::DigestMismatch { .. })));
        assert!(matches!(read(b"ab", digest, 3), Err(Error::SizeMismatch { .. })));
        assert!(matches!(read(b"abcd", digest, 3), Err(Error::SizeMismatch { .. })));
        assert!(matches!(read(b"a", digest_of(b""), 0), Err(Error::SizeMismatch { .. })));
    }

    #[test]
    fn dig_3_the_last_byte_waits_for_the_verdict() {
        let mut reader = VerifyingReader::new(&b"abd"[..], "blob", digest_of(b"abc"), 3);
        let mut buffer = [0; 3];
        assert!(reader.read_exact(&mut buffer).is_err());
        assert!(reader.read(&mut buffer).is_err(), "the failure stays");
        assert!(!reader.is_verified());
    }
}
