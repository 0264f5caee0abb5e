//! Compression on all cores with output that does not depend on how many there
//! are (BLD-2).
//!
//! The tar is cut into blocks of [`BLOCK`] bytes; each becomes one gzip member
//! or one zstd frame, made without knowledge of its neighbours. RFC 1952
//! section 2.2 and RFC 8878 section 3.1 define a file as a concatenation of
//! these, and every image reader takes them (eStargz images are made of gzip
//! members too).
//!
//! ```text
//! producer: read files, hash the tar ──blocks──▶ N workers: compress ──▶ writer: order, hash, write
//!     ▲                                                                     │
//!     └───────────────────── emptied buffers (bounds the memory) ◀──────────┘
//! ```
//!
//! Measured on two cores with executables, libraries, documents and random
//! bytes (MB/s per core, size of the result relative to the input):
//! libdeflate level 1: 214, 0.42; zlib-rs level 1: 193, 0.50; zlib-rs level 3:
//! 104, 0.41; zstd level 1: 527, 0.42; zstd level 3: 334, 0.39. Hence libdeflate
//! level 1 for gzip, zstd level 3 (the usual one) for zstd. Blocks of 1 MiB
//! cost under 1 % of size against larger ones. What gzip cannot shrink is stored:
//! that takes 40 % off the time for files of which 40 % are archives. Compression is the limit on up to
//! about four cores; after that the hash of the tar is.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use libdeflater::{CompressionLvl, Compressor as Deflater};
use plimsoll_model::Digest;
use plimsoll_oci::{Hasher, media_type};
use serde::{Deserialize, Serialize};

/// Bytes of tar in one gzip member or zstd frame. Part of the format: another
/// size gives other digests.
pub(crate) const BLOCK: usize = 1 << 20;
/// More workers than this gain nothing, since the tar is hashed by one thread,
/// and each holds memory.
const MOST_WORKERS: usize = 16;

const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 3;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Read by everything.
    #[default]
    Gzip,
    /// Faster and smaller; read by container engines since about 2020.
    Zstd,
}

/// What compressed a layer. Recorded in the provenance, because other versions
/// write other bytes for the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressor {
    /// `libdeflate` or `zstd`.
    pub name: String,
    /// Version of the library.
    pub version: String,
    /// Compression level.
    pub level: i32,
    /// Bytes of tar that are compressed together.
    pub block_size: u64,
}

impl Compression {
    /// Name, version and level of what this build of Plimsoll uses.
    pub fn compressor(self) -> Compressor {
        let (name, version, level) = match self {
            Self::Gzip => ("libdeflate", LIBDEFLATE_VERSION, GZIP_LEVEL),
            Self::Zstd => ("zstd", zstd::zstd_safe::version_string(), ZSTD_LEVEL),
        };
        Compressor { name: name.into(), version: version.into(), level, block_size: BLOCK as u64 }
    }

    /// Media type of a layer compressed like this.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => media_type::OCI_LAYER_TAR_GZIP,
            Self::Zstd => media_type::OCI_LAYER_TAR_ZSTD,
        }
    }
}

/// The C library inside of the pinned `libdeflater`; it cannot be asked.
const LIBDEFLATE_VERSION: &str = "1.26";

/// The number of workers that suits this machine.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
}

/// Where a producer puts the uncompressed bytes.
pub(crate) struct Blocks {
    current: Vec<u8>,
    hash: Hasher,
    written: u64,
    sequence: u64,
    full: Sender<Job>,
    empty: Receiver<Buffers>,
    /// Where the current block will be compressed to.
    out: Vec<u8>,
}

/// A block's two sides, used again and again: a fresh megabyte each time would
/// be mapped, zeroed and unmapped by the kernel.
#[derive(Default)]
struct Buffers {
    raw: Vec<u8>,
    out: Vec<u8>,
}

/// One block on its way through a worker.
struct Job {
    sequence: u64,
    buffers: Buffers,
}

impl Blocks {
    /// Appends bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK - self.current.len());
            self.current.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// Appends what `reader` gives, at most `limit` bytes, without another
    /// buffer in between. Returns how many came before its end.
    pub(crate) fn write_from(&mut self, reader: &mut impl Read, limit: u64) -> io::Result<u64> {
        let mut done = 0;
        while done < limit {
            let room = ((BLOCK - self.current.len()) as u64).min(limit - done);
            let read = reader.by_ref().take(room).read_to_end(&mut self.current)? as u64;
            done += read;
            if read < room {
                break;
            }
            self.flush_if_full()?;
        }
        Ok(done)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.current.len() == BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Both channels only close when the writer has failed; its error is
        // reported in place of this one.
        let stopped = |_| io::Error::other("the writer of the layer has stopped");
        let mut next = self.empty.recv().map_err(|_| stopped(()))?;
        next.raw.clear();
        let raw = std::mem::replace(&mut self.current, next.raw);
        let out = std::mem::replace(&mut self.out, next.out);
        self.hash.update(&raw);
        self.written += raw.len() as u64;
        let job = Job { sequence: self.sequence, buffers: Buffers { raw, out } };
        self.full.send(job).map_err(|_| stopped(()))?;
        self.sequence += 1;
        Ok(())
    }
}

/// The uncompressed side of what was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uncompressed {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Why packing stopped: on the side that reads or on the side that writes.
pub(crate) enum PackError<E> {
    Produce(E),
    Write(io::Error),
}

/// One compressed block: the first so many bytes of `buffers.out`.
struct Packed {
    sequence: u64,
    size: io::Result<usize>,
    buffers: Buffers,
}

/// Runs `produce` and writes what it produced, compressed, to `sink`.
/// Memory: about `(2 * workers + 2) * 2 * BLOCK`.
pub(crate) fn pack<W: Write + Send, E>(
    compression: Compression,
    workers: usize,
    sink: &mut W,
    produce: impl FnOnce(&mut Blocks) -> Result<(), E>,
) -> Result<Uncompressed, PackError<E>> {
    let workers = workers.clamp(1, MOST_WORKERS);
    let (full, queue) = channel::<Job>();
    let (packed, results) = channel::<Packed>();
    let (recycle, empty) = channel::<Buffers>();
    for _ in 0..2 * workers + 1 {
        recycle
            .send(Buffers { raw: Vec::with_capacity(BLOCK), out: Vec::new() })
            .expect("the receiver is in scope");
    }
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (packed, queue) = (packed.clone(), &queue);
            scope.spawn(move || work(compression, queue, &packed));
        }
        drop(packed);
        let writer = scope.spawn(move || write_in_order(sink, &results, &recycle));
        let mut blocks = Blocks {
            current: Vec::with_capacity(BLOCK),
            hash: Hasher::new(),
            written: 0,
            sequence: 0,
            full,
            empty,
            out: Vec::new(),
        };
        let mut produced = produce(&mut blocks).map_err(PackError::Produce);
        if produced.is_ok() && !blocks.current.is_empty() {
            produced = blocks.flush().map_err(PackError::Write);
        }
        // Closing the queue ends the workers, and they the writer.
        let Blocks { hash, written, full, empty, .. } = blocks;
        drop((full, empty));
        let wrote = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        wrote.map_err(PackError::Write)?;
        produced?;
        Ok(Uncompressed { digest: hash.finish(), size: written })
    })
}

fn work(compression: Compression, queue: &Mutex<Receiver<Job>>, packed: &Sender<Packed>) {
    let mut encoder = Encoder::new(compression);
    loop {
        let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(Job { sequence, mut buffers }) = next else { return };
        let size = match &mut encoder {
            Ok(encoder) => encoder.encode(&buffers.raw, &mut buffers.out),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if packed.send(Packed { sequence, size, buffers }).is_err() {
            return;
        }
    }
}

fn write_in_order(
    sink: &mut impl Write,
    results: &Receiver<Packed>,
    recycle: &Sender<Buffers>,
) -> io::Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    while let Ok(Packed { sequence, size, buffers }) = results.recv() {
        waiting.insert(sequence, (size, buffers));
        while let Some((size, buffers)) = waiting.remove(&next) {
            sink.write_all(&buffers.out[..size?])?;
            next += 1;
            // The producer may have ended already and need no more buffers.
            recycle.send(buffers).ok();
        }
    }
    Ok(())
}

enum Encoder {
    Gzip { deflater: Deflater, storer: Deflater },
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => {
                let level =
                    |n| Deflater::new(CompressionLvl::new(n).expect("0 and 1 are levels of libdeflate"));
                Self::Gzip { deflater: level(GZIP_LEVEL), storer: level(0) }
            }
            Compression::Zstd => Self::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        })
    }

    /// Compresses `block` to the beginning of `out`; how many bytes that are.
    fn encode(&mut self, block: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let most = match self {
            Self::Gzip { storer, .. } => {
                block.len().div_ceil(SEGMENT) * storer.gzip_compress_bound(block.len().min(SEGMENT))
            }
            Self::Zstd(_) => zstd::zstd_safe::compress_bound(block.len()),
        };
        if out.len() < most {
            out.resize(most, 0);
        }
        match self {
            Self::Gzip { deflater, storer } => gzip(deflater, storer, block, out),
            Self::Zstd(encoder) => encoder.compress_to_buffer(block, &mut out[..]),
        }
    }
}

/// Bytes that are compressed or stored alike.
const SEGMENT: usize = 128 << 10;
/// Bytes at either end of a segment that are tried.
const TRIED: usize = 4 << 10;

/// Writes a gzip member for each run of segments that shrink, and for each run
/// of those that do not, which are stored: libdeflate takes longer over what is
/// compressed already (archives, images, fonts) than over anything else. zstd
/// notices by itself.
fn gzip(deflater: &mut Deflater, storer: &mut Deflater, block: &[u8], out: &mut [u8]) -> io::Result<usize> {
    let (mut start, mut size) = (0, 0);
    let mut ahead = block.chunks(SEGMENT).map(|segment| shrinks(deflater, segment, out)).collect::<Vec<_>>();
    while let Some(&shrinking) = ahead.first() {
        let run = ahead.iter().take_while(|other| **other == shrinking).count();
        ahead.drain(..run);
        let end = block.len().min(start + run * SEGMENT);
        let encoder = if shrinking { &mut *deflater } else { &mut *storer };
        size += encoder
            .gzip_compress(&block[start..end], &mut out[size..])
            .map_err(|e| io::Error::other(e.to_string()))?;
        start = end;
    }
    Ok(size)
}

/// Whether either end of a segment loses a hundredth.
fn shrinks(deflater: &mut Deflater, segment: &[u8], out: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (segment.first_chunk::<TRIED>(), segment.last_chunk::<TRIED>()) else {
        return true;
    };
    // What does not fit has not shrunk.
    let room = &mut out[..TRIED - TRIED / 100];
    [first, last].into_iter().any(|piece| deflater.deflate_compress(piece, room).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn packed(compression: Compression, workers: usize, content: &[u8]) -> (Vec<u8>, Uncompressed) {
        let mut out = Vec::new();
        let whole = pack::<_, io::Error>(compression, workers, &mut out, |blocks| {
            // Odd pieces, so that blocks do not fall together with writes.
            content.chunks(77_777).try_for_each(|piece| blocks.write(piece))
        });
        (out, whole.unwrap_or_else(|_| panic!("packing failed")))
    }

    fn content() -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..3 * BLOCK + 12_345)
            .map(|at| if at % 3 == 0 { random.u8(..) } else { (at / 1000) as u8 })
            .collect()
    }

    #[test]
    fn bld_2_the_output_does_not_depend_on_the_number_of_workers() {
        let content = content();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let one = packed(compression, 1, &content);
            for workers in [2, 3, 16, 99] {
                assert_eq!(packed(compression, workers, &content), one, "{compression:?} {workers}");
            }
            assert_eq!(one.1.digest, plimsoll_oci::digest_of(&content));
            assert_eq!(one.1.size, content.len() as u64);
            let mut back = Vec::new();
            match compression {
                Compression::Gzip => {
                    flate2::read::MultiGzDecoder::new(&one.0[..]).read_to_end(&mut back).unwrap();
                }
                Compression::Zstd => back = zstd::decode_all(&one.0[..]).unwrap(),
            }
            assert!(back == content);
        }
    }

    fn gunzipped(bytes: &[u8]) -> Vec<u8> {
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut back).unwrap();
        back
    }

    #[test]
    fn what_is_compressed_already_is_stored_and_nothing_else_is() {
        let mut random = vec![0; 2 * BLOCK];
        fastrand::Rng::with_seed(3).fill(&mut random);
        let (stored, _) = packed(Compression::Gzip, 2, &random);
        assert!(gunzipped(&stored) == random);
        // A stored block of deflate has at most 65535 bytes and a header of 5.
        assert!((random.len()..random.len() + 1000).contains(&stored.len()), "{}", stored.len());
        // A text file between is found, also where it begins within a segment.
        random[BLOCK / 2 - 5000..BLOCK / 2 + 2 * SEGMENT].fill(b'x');
        let (mixed, _) = packed(Compression::Gzip, 2, &random);
        assert!(gunzipped(&mixed) == random);
        assert!(mixed.len() < random.len() - 2 * SEGMENT, "{}", mixed.len());
    }

    #[test]
    fn a_failing_sink_stops_everything() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let content = content();
        let mut sink = Full(100);
        let result = pack::<_, io::Error>(Compression::Zstd, 2, &mut sink, |blocks| {
            (0..100).try_for_each(|_| blocks.write(&content))
        });
        assert!(matches!(result, Err(PackError::Write(e)) if e.kind() == io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_failing_producer_is_reported() {
        let mut out = Vec::new();
        let result =
            pack::<_, io::Error>(Compression::Gzip, 2, &mut out, |_| Err(io::ErrorKind::NotFound.into()));
        assert!(matches!(result, Err(PackError::Produce(e)) if e.kind() == io::ErrorKind::NotFound));
    }
}
