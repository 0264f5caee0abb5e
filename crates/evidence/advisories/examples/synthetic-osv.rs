//! Writes a database of invented advisories, and measures a scan against it.
//!
//! ```console
//! $ cargo run --release -p plimsoll-evidence-advisories --features synthetic --example synthetic-osv -- DIR 200000
//! ```
//!
//! `DIR/archives` gets `osv-scanner/ECOSYSTEM/all.zip`, `DIR/rustsec` 1,000
//! advisories in RustSec's form, `DIR/components` 2,000 package URLs, one a line;
//! with `files` as a third word, `DIR/files` gets every advisory as a file.

#![allow(clippy::print_stdout, reason = "a program for measuring")]

use std::path::PathBuf;
use std::time::Instant;

use plimsoll_evidence_advisories::{Database, Error, Limits, synthetic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: synthetic-osv DIR [ADVISORIES] [files]";
    let dir = PathBuf::from(arguments.next().ok_or(usage)?);
    let count = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let loose = arguments.next().is_some_and(|word| word == "files");
    let (archives, rustsec) = (dir.join("archives"), dir.join("rustsec"));
    if !archives.exists() {
        synthetic::write_archives(&archives, count)?;
        synthetic::write_rustsec(&rustsec, 1000)?;
    }
    let components = synthetic::components(2000);
    std::fs::write(dir.join("components"), components.join("\n") + "\n")?;
    measure("archives", &[archives, rustsec.clone()], &dir, &components)?;
    if loose {
        let files = dir.join("files");
        if !files.exists() {
            synthetic::write_files(&files, count)?;
        }
        measure("files", &[files, rustsec], &dir, &components)?;
    }
    Ok(())
}

fn measure(
    name: &str,
    sources: &[PathBuf],
    dir: &std::path::Path,
    components: &[String],
) -> Result<(), Error> {
    let place = dir.join(format!("{name}.index"));
    for _ in 0..3 {
        let start = Instant::now();
        let mut database = Database::open(sources, &place, Limits::default())?;
        let opened = start.elapsed();
        let report = database.scan(components)?;
        println!(
            "{name}: {} advisories, {} components, {} findings, {} uncovered; open {opened:.3?} ({:?}), all {:.3?}, index {} bytes",
            report.database.advisories,
            report.components,
            report.findings.len(),
            report.uncovered.len(),
            database.origin(),
            start.elapsed(),
            place.metadata().map_or(0, |metadata| metadata.len()),
        );
    }
    Ok(())
}
