//! Each part of a push alone, to name the one that limits it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use libdeflater::{CompressionLvl, Compressor};
use plimsoll_oci::Hasher;

use super::data::Data;
use super::figures::{Figure, Figures, best};
use super::{Bench, Outcome};

/// What the image crate compresses together, and at which levels.
const BLOCK: usize = 1 << 20;
const SEGMENT: usize = 128 << 10;
const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 3;
/// Blocks that stand for all, taken evenly from the whole tar.
const SAMPLE: usize = 128;

/// What the whole command took for the parts.
pub(crate) struct Measured<'a> {
    pub(crate) data: &'a Data,
    pub(crate) tar: &'a Path,
    /// Seconds of the step that reads, packs, hashes and writes, with gzip.
    pub(crate) layer: f64,
    /// The same with zstd.
    pub(crate) layer_zstd: f64,
    /// Seconds of the step that sends the gzip layer.
    pub(crate) upload: f64,
}

/// One part, alone, on one core.
struct Part {
    name: &'static str,
    /// MB/s, of what it takes in.
    rate: f64,
    /// Core seconds it needs for the whole directory.
    seconds: f64,
}

pub(crate) fn report(bench: &Bench, figures: &mut Figures, measured: &Measured<'_>) -> Outcome<()> {
    let blocks = sample(measured.tar)?;
    let sampled: usize = blocks.iter().map(Vec::len).sum();
    let total = measured.data.bytes as f64 / 1e6;
    let cores = std::thread::available_parallelism()?.get();
    let rounds = bench.rounds;
    let reading = fastest(rounds, || read(&measured.data.folder))?;
    let hashing = fastest(rounds, || {
        let mut hasher = Hasher::new();
        blocks.iter().for_each(|block| hasher.update(block));
        std::hint::black_box(hasher.finish());
        Ok(())
    })?;
    let megabytes = sampled as f64 / 1e6;
    let hash_rate = megabytes / hashing;
    for (name, encode, took) in [
        ("gzip", gzip as fn(&[Vec<u8>], usize) -> Outcome<usize>, measured.layer),
        ("zstd", zstd, measured.layer_zstd),
    ] {
        let mut size = 0;
        let compressing = fastest(rounds, || {
            size = encode(&blocks, cores)?;
            Ok(())
        })?;
        let ratio = size as f64 / sampled as f64;
        let packed = total * ratio;
        let writing = fastest(rounds, || write(&bench.folder.join("write"), packed))?;
        let parts = [
            Part { name: "read", rate: total / reading, seconds: reading },
            Part { name: "hash the tar", rate: hash_rate, seconds: total / hash_rate },
            Part {
                name: "compress",
                rate: megabytes / compressing / cores as f64,
                seconds: total / megabytes * compressing * cores as f64,
            },
            Part { name: "hash the layer", rate: hash_rate, seconds: packed / hash_rate },
            Part { name: "write and sync", rate: packed / writing, seconds: writing },
        ];
        let sum: f64 = parts.iter().map(|part| part.seconds).sum();
        // They run side by side; what one core alone has to do in order bounds it too.
        let alone = parts.iter().filter(|part| part.name != "compress").map(|part| part.seconds);
        let least = (sum / cores as f64).max(best(alone.map(|seconds| -seconds)).abs());
        let limit = parts.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("there are five");
        figures.add(
            Figure::new(format!("push: layer step, {name}"), took, "s").beside("its parts alone", least),
        );
        let each = parts.iter().map(|part| format!("{} {:.0} MB/s", part.name, part.rate));
        figures.note(format!(
            "{name}, size {ratio:.2}, each part alone per core: {}; the limit is `{}` with {:.0} % of the work \
             on {cores} cores",
            each.collect::<Vec<_>>().join(", "),
            limit.name,
            100.0 * limit.seconds / sum,
        ));
        if name == "gzip" {
            let rate = packed / measured.upload;
            figures.note(format!("upload: {packed:.0} MB in {:.2} s, {rate:.0} MB/s", measured.upload));
        }
    }
    Ok(())
}

/// Seconds of the fastest of several runs.
fn fastest(rounds: usize, mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds.max(2) {
        let since = Instant::now();
        work()?;
        times.push(since.elapsed().as_secs_f64());
    }
    Ok(best(times))
}

/// Blocks from all over the tar.
fn sample(tar: &Path) -> Outcome<Vec<Vec<u8>>> {
    let mut file = File::open(tar)?;
    let blocks = usize::try_from(file.metadata()?.len())? / BLOCK;
    let count = SAMPLE.min(blocks).max(1);
    let read = |at: usize| {
        file.seek(SeekFrom::Start((at * blocks / count * BLOCK) as u64))?;
        let mut block = Vec::with_capacity(BLOCK);
        (&file).take(BLOCK as u64).read_to_end(&mut block)?;
        Ok(block)
    };
    (0..count).map(read).collect()
}

/// Reads every file, in the page cache as the build command left them.
fn read(folder: &Path) -> Outcome<()> {
    let mut buffer = vec![0; BLOCK];
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let mut file = File::open(path)?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}

/// Writes so many MB, through to the disk.
fn write(path: &Path, megabytes: f64) -> Outcome<()> {
    let block = vec![7; 1_000_000];
    let mut file = File::create(path)?;
    for _ in 0..megabytes.round() as u64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    drop(file);
    Ok(std::fs::remove_file(path)?)
}

/// What does not shrink is stored, as the image crate does it.
fn gzip(blocks: &[Vec<u8>], cores: usize) -> Outcome<usize> {
    on_all_cores(blocks, cores, || {
        let level = |n| Compressor::new(CompressionLvl::new(n).expect("0 and 1 are levels of libdeflate"));
        let (mut compressor, mut storer) = (level(GZIP_LEVEL), level(0));
        let mut packed = vec![0; compressor.gzip_compress_bound(BLOCK)];
        move |block: &[u8]| {
            block.chunks(SEGMENT).try_fold(0, |size, segment| {
                let trial = &segment[..segment.len().min(4096)];
                let stored =
                    compressor.deflate_compress(trial, &mut packed[..trial.len() * 99 / 100]).is_err();
                let chosen = if stored { &mut storer } else { &mut compressor };
                chosen
                    .gzip_compress(segment, &mut packed)
                    .map(|more| size + more)
                    .map_err(std::io::Error::other)
            })
        }
    })
}

fn zstd(blocks: &[Vec<u8>], cores: usize) -> Outcome<usize> {
    on_all_cores(blocks, cores, || {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL);
        let mut compressor = compressor.expect("a compressor of a level that exists can be made");
        let mut packed = vec![0; zstd::zstd_safe::compress_bound(BLOCK)];
        move |block: &[u8]| compressor.compress_to_buffer(block, &mut packed[..])
    })
}

/// Bytes that all blocks have together after `encode`.
fn on_all_cores<E: FnMut(&[u8]) -> std::io::Result<usize>>(
    blocks: &[Vec<u8>],
    cores: usize,
    encoder: impl Fn() -> E + Sync,
) -> Outcome<usize> {
    let (next, size) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let worked: std::io::Result<()> = std::thread::scope(|scope| {
        let work = || {
            let mut encode = encoder();
            while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                size.fetch_add(encode(block)?, Ordering::Relaxed);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("compressing does not panic"))
    });
    worked?;
    Ok(size.into_inner())
}
