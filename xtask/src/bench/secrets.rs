//! How fast credentials are looked for.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use plimsoll_evidence_secrets::{Options, scan_directory};

use super::figures::{Figure, Figures, best};
use super::{Bench, Outcome, measure};

const TIMES: usize = 3;

/// Every file of the Rust toolchain that runs this, on all cores, beside a
/// plain read of all of them with one.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let tree = PathBuf::from(measure::output(Command::new("rustc").args(["--print", "sysroot"]))?.trim_end());
    let tree = if bench.quick { tree.join("bin") } else { tree };
    let options = Options::new(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date());
    // The first brings the files into memory.
    let mut report = scan_directory(&tree, &tree, &options)?;
    let (mut rates, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let since = Instant::now();
        report = scan_directory(&tree, &tree, &options)?;
        rates.push(since.elapsed().as_secs_f64());
        let since = Instant::now();
        read(&tree)?;
        reads.push(since.elapsed().as_secs_f64());
    }
    let rate = |seconds: Vec<f64>| report.bytes as f64 / 1e6 / best(seconds);
    figures.add(
        Figure::new("secrets: the Rust toolchain", rate(rates), "MB/s").beside("read, one core", rate(reads)),
    );
    figures.note(format!(
        "secrets: {} files, {:.0} MB, {} findings that would stop a build",
        report.files,
        report.bytes as f64 / 1e6,
        report.stops().count()
    ));
    Ok(())
}

/// Reads every file.
fn read(tree: &Path) -> Outcome<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => {
                    let mut file = std::fs::File::open(entry.path())?;
                    while file.read(&mut buffer)? > 0 {}
                }
                _ => {}
            }
        }
    }
    Ok(())
}
