//! Reading layers: decompression on a thread of its own, both digests
//! verified on the way, everything bounded.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use plimsoll_model::Digest;

use crate::tarball::{Entry, TarReader};
use crate::{Descriptor, Error, Hasher, Layout, Result, VerifyingReader, media_type};

/// How much a layer, or an image, may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all uncompressed tars, and bytes of all files with their
    /// holes: neither may exceed this.
    pub total_bytes: u64,
    /// Bytes of one file, holes included.
    pub file_bytes: u64,
    /// Entries.
    pub entries: u64,
}

impl Default for Limits {
    /// 64 GiB in all, 16 GiB a file, two million entries.
    fn default() -> Self {
        Self { total_bytes: 64 << 30, file_bytes: 16 << 30, entries: 2_000_000 }
    }
}

impl Limits {
    /// What is left once one layer was read.
    pub(crate) fn less(self, used: Used) -> Self {
        Self {
            total_bytes: self.total_bytes.saturating_sub(used.tar_bytes.max(used.file_bytes)),
            entries: self.entries.saturating_sub(used.entries),
            ..self
        }
    }
}

/// What one layer used of the [`Limits`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) tar_bytes: u64,
    pub(crate) file_bytes: u64,
    pub(crate) entries: u64,
}

/// Reads one layer without unpacking it. [`Read`] gives the content of the
/// entry that [`LayerReader::next_entry`] returned last.
///
/// ```no_run
/// # use std::io::Read;
/// # fn f(layout: &plimsoll_oci::Layout, layer: &plimsoll_oci::Descriptor) -> plimsoll_oci::Result<()> {
/// let mut reader = plimsoll_oci::LayerReader::open(layout, layer, None, Default::default())?;
/// while let Some(entry) = reader.next_entry()? {
///     let mut bytes = Vec::new();
///     if entry.size < 1024 {
///         reader.read_to_end(&mut bytes).map_err(|e| reader.failure(e))?;
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # Caveats
/// Until `next_entry` has returned `Ok(None)`, what was read is not verified:
/// the digests are known only at the end.
pub struct LayerReader {
    tar: TarReader<Pump>,
    layer: String,
    limits: Limits,
    used: Used,
    diff_id: Option<Digest>,
    verified: bool,
}

impl LayerReader {
    /// Opens a layer of `layout`. How it is compressed is found out from its
    /// first bytes. `diff_id` is verified too where it is given.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`] when the descriptor is no layer's;
    /// as [`Layout::open_blob`].
    pub fn open(
        layout: &Layout,
        descriptor: &Descriptor,
        diff_id: Option<Digest>,
        limits: Limits,
    ) -> Result<Self> {
        let layer = format!("layer {}", descriptor.digest);
        if media_type::layer_compression(&descriptor.media_type).is_none() {
            return Err(Error::UnsupportedMediaType {
                object: layer,
                media_type: descriptor.media_type.clone(),
            });
        }
        let blob = layout.open_blob(descriptor)?;
        let most = limits.total_bytes;
        let pump = Pump::start(move || Ok(Verified { plain: decompress(blob)? }), most)
            .map_err(|e| Error::io("start a thread to read", &layer, e))?;
        let tar = TarReader::new(pump, layer.clone());
        Ok(Self { tar, layer, limits, used: Used::default(), diff_id, verified: false })
    }

    /// The next entry; `None` once all of them were read and both digests
    /// were found right.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::SizeMismatch`],
    /// [`Error::Malformed`], [`Error::LayerLimit`], [`Error::Io`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.verified {
            return Ok(None);
        }
        let entry = match self.tar.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return self.verify().map(|()| None),
            // Nonsense because of damage is damage.
            Err(error @ Error::Malformed { .. }) => {
                return Err(self.verify().err().filter(is_damage).unwrap_or(error));
            }
            Err(error) => return Err(self.name_limit(error)),
        };
        self.used.entries += 1;
        self.used.file_bytes = self.used.file_bytes.saturating_add(entry.size);
        let Limits { total_bytes, file_bytes, entries } = self.limits;
        let exceeded = |limit: String| {
            Err(Error::LayerLimit {
                layer: self.layer.clone(),
                entry: entry.path.display().to_string(),
                limit,
            })
        };
        if self.used.entries > entries {
            return exceeded(format!("{entries} entries"));
        }
        if entry.size > file_bytes {
            return exceeded(format!("{file_bytes} bytes in one file"));
        }
        if self.used.file_bytes > total_bytes {
            return exceeded(format!("{total_bytes} bytes in all"));
        }
        Ok(Some(entry))
    }

    /// What reading content failed with, as an error of this crate.
    pub fn failure(&self, error: io::Error) -> Error {
        self.name_limit(match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::malformed(&self.layer, "it ends in the middle of a file"),
            _ => Error::from_read("read", &self.layer, error),
        })
    }

    /// The pump knows its limit but not which layer it reads.
    fn name_limit(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => Error::LayerLimit {
                layer: self.layer.clone(),
                entry: "(its uncompressed tar)".into(),
                limit: format!("{} bytes in all", self.limits.total_bytes),
            },
            // What the system did not say, the decoder said.
            Error::Io { source, .. } if source.raw_os_error().is_none() => {
                Error::malformed(&self.layer, format!("its compression is damaged: {source}"))
            }
            other => other,
        }
    }

    /// Reads what follows the end marker, and compares the digests.
    fn verify(&mut self) -> Result<()> {
        let pump = self.tar.get_mut();
        let drained = io::copy(pump, &mut io::sink());
        let (found, tar_bytes) = (pump.hasher.clone().finish(), pump.count);
        drained.map_err(|e| self.failure(e))?;
        self.used.tar_bytes = tar_bytes;
        if let Some(expected) = self.diff_id.filter(|&expected| expected != found) {
            let object = format!("the uncompressed tar (diff id) of {}", self.layer);
            return Err(Error::DigestMismatch { object, expected, found });
        }
        self.verified = true;
        Ok(())
    }

    /// Names the layer in errors.
    pub(crate) fn layer(&self) -> &str {
        &self.layer
    }

    /// Only complete once all entries were read.
    pub(crate) fn used(&self) -> Used {
        self.used
    }
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tar.read(buffer)
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::DigestMismatch { .. } | Error::SizeMismatch { .. })
}

/// Magic numbers of the compressed forms.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// zstd frames that decoders skip: the last byte's low half is free.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// How bytes that begin so are compressed.
pub(crate) fn detect(start: &[u8]) -> media_type::Compression {
    match start {
        _ if start.starts_with(GZIP) => media_type::Compression::Gzip,
        _ if start.starts_with(ZSTD) => media_type::Compression::Zstd,
        [first, rest @ ..] if first & 0xf0 == 0x50 && rest.starts_with(ZSTD_SKIPPABLE) => {
            media_type::Compression::Zstd
        }
        _ => media_type::Compression::None,
    }
}

/// Bytes that were, or were not, compressed.
pub(crate) enum Plain<R: Read> {
    Tar(BufReader<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<R>>>),
}

/// Decompresses what the first bytes say is compressed.
pub(crate) fn decompress<R: Read>(inner: R) -> io::Result<Plain<R>> {
    let mut buffered = BufReader::with_capacity(CHUNK, inner);
    Ok(match detect(buffered.fill_buf()?) {
        media_type::Compression::None => Plain::Tar(buffered),
        media_type::Compression::Gzip => {
            Plain::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(buffered)))
        }
        media_type::Compression::Zstd => Plain::Zstd(Box::new(zstd::Decoder::with_buffer(buffered)?)),
    })
}

impl<R: Read> Plain<R> {
    /// The reader of the bytes as they are stored.
    pub(crate) fn stored(&mut self) -> &mut BufReader<R> {
        match self {
            Self::Tar(reader) => reader,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tar(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Plain bytes that end only once the stored ones were verified to their end.
struct Verified<R: Read> {
    plain: Plain<VerifyingReader<R>>,
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.plain.read(buffer);
        // After the last byte, and also after an error: damaged bytes seldom
        // decompress, and that they are damaged is the better thing to say.
        if matches!(read, Err(_) | Ok(0)) && !buffer.is_empty() {
            io::copy(self.plain.stored(), &mut io::sink())?;
        }
        read
    }
}

const CHUNK: usize = 256 << 10;

/// Reads ahead on a thread of its own, so that decompressing and writing
/// files overlap. Hashes and counts what passes.
struct Pump {
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    /// Buffers go back, so that only a few are ever allocated.
    used: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    thread: Option<JoinHandle<()>>,
    hasher: Hasher,
    count: u64,
    most: u64,
}

/// Chunks in flight: with [`CHUNK`], 2 MiB.
const AHEAD: usize = 8;

impl Pump {
    fn start<R: Read + 'static>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        most: u64,
    ) -> io::Result<Self> {
        let (full, chunks) = sync_channel(AHEAD);
        let (used, empty) = sync_channel::<Vec<u8>>(AHEAD + 2);
        let thread = std::thread::Builder::new().name("layer".into()).spawn(move || {
            let mut reader = match open() {
                Ok(reader) => reader,
                Err(error) => return drop(full.send(Err(error))),
            };
            loop {
                let mut chunk = empty.try_recv().unwrap_or_default();
                chunk.clear();
                let end = match (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk) {
                    Ok(n) => n == 0,
                    Err(error) => return drop(full.send(Err(error))),
                };
                // The receiver is gone when nobody wants the rest.
                if full.send(Ok(chunk)).is_err() || end {
                    return;
                }
            }
        })?;
        Ok(Self {
            chunks: Some(chunks),
            used,
            current: Vec::new(),
            at: 0,
            thread: Some(thread),
            hasher: Hasher::new(),
            count: 0,
            most,
        })
    }
}

impl Read for Pump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            let Some(chunks) = &self.chunks else { return Ok(0) };
            let next =
                chunks.recv().unwrap_or_else(|_| Err(io::Error::other("the reading thread ended early")))?;
            if next.is_empty() {
                self.chunks = None;
            }
            self.hasher.update(&next);
            self.count += next.len() as u64;
            if self.count > self.most {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            // A full channel only means that there are buffers enough.
            let _ = self.used.try_send(std::mem::replace(&mut self.current, next));
            self.at = 0;
        }
        let n = buffer.len().min(self.current.len() - self.at);
        buffer[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.chunks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that read a layer panicked");
        }
    }
}
