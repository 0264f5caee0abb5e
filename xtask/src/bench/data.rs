//! The files that are packed: the same for the same number of bytes.
//!
//! A container's usual content, by bytes: 40 % that is compressed already
//! (archives, images, fonts), 35 % text (sources, JSON, JavaScript), 25 %
//! machine code. The sizes are uneven as real ones are: most files are small,
//! most bytes are in few files.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::Outcome;

/// Where the files are, and how many bytes they have together.
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    pub(crate) bytes: u64,
}

/// Files and bytes of the full benchmark.
pub(crate) const FULL: (usize, u64) = (2_300, 670_000_000);
/// The same of a quick one.
pub(crate) const QUICK: (usize, u64) = (230, 67_000_000);

/// Writes the files, below 50 folders.
pub(crate) fn generate(folder: &Path, (files, bytes): (usize, u64)) -> Outcome<Data> {
    let mut rng = Rng::with_seed(0x506C_696D_736F_6C6C);
    // Squares of even numbers: the largest tenth has a quarter of all bytes.
    let weights: Vec<u64> = (0..files).map(|_| rng.u64(1..1000).pow(2)).collect();
    let sum: u64 = weights.iter().sum();
    let words = words(&mut rng);
    let mut written = 0;
    for (at, weight) in weights.iter().enumerate() {
        let parent = folder.join(format!("part-{:02}", at % 50));
        std::fs::create_dir_all(&parent)?;
        let size = usize::try_from(bytes * weight / sum)?;
        let (kind, content) = match at % 20 {
            0..8 => ("bin.gz", random(&mut rng, size)),
            8..15 => ("txt", text(&mut rng, &words, size)),
            _ => ("so", code(&mut rng, size)),
        };
        let mut file = BufWriter::new(std::fs::File::create(parent.join(format!("file-{at:04}.{kind}")))?);
        file.write_all(&content)?;
        file.into_inner().map_err(|error| error.into_error())?;
        written += size as u64;
    }
    Ok(Data { folder: folder.into(), bytes: written })
}

/// What is compressed already looks random.
fn random(rng: &mut Rng, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    rng.fill(&mut bytes);
    bytes
}

/// Lines of words, of which few are frequent, as in any language.
fn text(rng: &mut Rng, words: &[String], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 64);
    while bytes.len() < size {
        for _ in 0..rng.usize(0..4) {
            bytes.extend_from_slice(b"    ");
        }
        for _ in 0..rng.usize(2..10) {
            // The product of two even numbers is small more often than not.
            let at = rng.usize(0..words.len()) * rng.usize(0..words.len()) / words.len();
            bytes.extend_from_slice(words[at].as_bytes());
            bytes.extend_from_slice([" ", "(", ", ", ".", " = ", "_"][rng.usize(0..6)].as_bytes());
        }
        bytes.push(b'\n');
    }
    bytes.truncate(size);
    bytes
}

fn words(rng: &mut Rng) -> Vec<String> {
    let word = |rng: &mut Rng| (0..rng.usize(2..12)).map(|_| rng.lowercase()).collect();
    (0..4000).map(|_| word(rng)).collect()
}

/// Instructions: few operations, registers that repeat, small offsets, an
/// address now and then, runs of padding.
fn code(rng: &mut Rng, size: usize) -> Vec<u8> {
    const OPERATIONS: [&[u8]; 8] = [
        &[0x48, 0x89],
        &[0x48, 0x8b],
        &[0xe8],
        &[0x0f, 0x84],
        &[0x83],
        &[0x48, 0x8d],
        &[0x41, 0xff],
        &[0xc7, 0x44, 0x24],
    ];
    let mut bytes = Vec::with_capacity(size + 64);
    while bytes.len() < size {
        bytes.extend_from_slice(OPERATIONS[rng.usize(0..8) * rng.usize(1..9) / 8]);
        bytes.push(0xc0 | rng.u8(0..16));
        match rng.u8(0..16) {
            0..6 => bytes.push(rng.u8(0..32) << 3),
            6..11 => bytes.extend_from_slice(&rng.u32(0..1 << 18).to_le_bytes()),
            11 => bytes.extend_from_slice(&[0xcc; 9]),
            _ => {}
        }
    }
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_data_is_the_same_each_time_and_about_as_compressible_as_images_are() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let data = generate(one.path(), (60, 2_000_000)).unwrap();
        generate(two.path(), (60, 2_000_000)).unwrap();
        assert!((1_990_000..=2_000_000).contains(&data.bytes), "{}", data.bytes);
        let content = |folder: &Path| {
            let mut all = Vec::new();
            for part in 0..50 {
                let mut files: Vec<_> = std::fs::read_dir(folder.join(format!("part-{part:02}")))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                files.sort();
                files.iter().for_each(|file| all.extend(std::fs::read(file).unwrap()));
            }
            all
        };
        let all = content(one.path());
        assert!(all == content(two.path()));
        let ratio = zstd::bulk::compress(&all, 3).unwrap().len() as f64 / all.len() as f64;
        assert!((0.5..0.8).contains(&ratio), "{ratio}");
    }
}
