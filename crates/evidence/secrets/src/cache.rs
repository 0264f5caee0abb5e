//! Results of layers, kept in a directory: a layer never changes, so neither
//! does what these rules find in it.
//!
//! One file per layer, ruleset and limits: the digest of the rest, a line end,
//! and JSON. What is damaged, foreign or unreadable is as good as not there.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;

use plimsoll_model::Digest;
use plimsoll_oci::digest_of;
use serde::{Deserialize, Serialize};

use crate::image::moved;
use crate::report::{Finding, Unread};
use crate::scan::Tally;
use crate::{Options, RULESET};

/// The most bytes of one file that are read.
const MOST: u64 = 32 << 20;

#[derive(Serialize, Deserialize)]
struct Kept {
    layer: Digest,
    ruleset: String,
    /// What the result depends on beside layer and rules.
    bounds: [u64; 4],
    findings: Vec<Finding>,
    unlisted: u64,
    unread: Vec<Unread>,
    files: u64,
    bytes: u64,
}

fn bounds(options: &Options) -> [u64; 4] {
    let limits = options.limits;
    [limits.total_bytes, limits.file_bytes, limits.entries, options.archive_bytes]
}

fn path(options: &Options, layer: Digest) -> Option<PathBuf> {
    Some(options.cache.as_ref()?.join(format!("{}-{RULESET}.json", layer.hex())))
}

/// The result of an earlier scan of this layer by these rules.
pub(crate) fn load(options: &Options, index: usize, layer: Digest) -> Option<Tally> {
    let mut bytes = Vec::new();
    File::open(path(options, layer)?).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    let end = memchr::memchr(b'\n', &bytes)?;
    let (sum, body) = (&bytes[..end], &bytes[end + 1..]);
    if digest_of(body).to_string().as_bytes() != sum {
        return None;
    }
    let kept: Kept = serde_json::from_slice(body).ok()?;
    if kept.layer != layer || kept.ruleset != RULESET || kept.bounds != bounds(options) {
        return None;
    }
    let place = |place| moved(place, index, layer);
    Some(Tally {
        findings: kept.findings.into_iter().map(|f| Finding { place: place(f.place), ..f }).collect(),
        unlisted: kept.unlisted,
        unread: kept.unread.into_iter().map(|u| Unread { place: place(u.place), ..u }).collect(),
        files: kept.files,
        bytes: kept.bytes,
        ..Tally::default()
    })
}

/// Keeps the result of a scan. That it cannot be kept costs time, no verdict;
/// the report says of each layer whether it came from here.
pub(crate) fn store(options: &Options, layer: Digest, tally: &Tally) {
    let Some(path) = path(options, layer) else { return };
    let kept = Kept {
        layer,
        ruleset: RULESET.into(),
        bounds: bounds(options),
        findings: tally.findings.clone(),
        unlisted: tally.unlisted,
        unread: tally.unread.clone(),
        files: tally.files,
        bytes: tally.bytes,
    };
    let Ok(body) = serde_json::to_vec(&kept) else { return };
    let write = || {
        let dir = path.parent().ok_or(std::io::ErrorKind::NotFound)?;
        fs::create_dir_all(dir)?;
        // Beside, then renamed: nobody reads half of it. Two processes that
        // scan the same layer write the same bytes under names of their own.
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = File::create(&beside)?;
        file.write_all(format!("{}\n", digest_of(&body)).as_bytes())?;
        file.write_all(&body)?;
        drop(file);
        fs::rename(&beside, &path).inspect_err(|_| drop(fs::remove_file(&beside)))
    };
    let _: std::io::Result<()> = write();
}
