//! Scans directories and prints what a table of precision needs:
//! `cargo run --release -p plimsoll-evidence-secrets --example scan_tree -- DIR…`
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use plimsoll_evidence_secrets::{Level, Options, scan_directory};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::new(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date());
    for tree in std::env::args_os().skip(1) {
        let started = Instant::now();
        let report = scan_directory(Path::new(&tree), Path::new(&tree), &options)?;
        let seconds = started.elapsed().as_secs_f64();
        for finding in &report.findings {
            println!(
                "{:?} {} {} {} {}",
                finding.level, finding.rule, finding.name, finding.place, finding.value
            );
        }
        for unread in report.unread.iter().filter(|unread| unread.level == Level::Stop) {
            println!("unread {}: {}", unread.place, unread.reason);
        }
        let stops = report.stops().count();
        println!(
            "{}: {} files, {} bytes, {stops} stops, {} notes, {} unread, {} unlisted, {seconds:.2} s, {:.0} MB/s",
            tree.display(),
            report.files,
            report.bytes,
            report.findings.len() - stops,
            report.unread.len(),
            report.unlisted,
            report.bytes as f64 / 1e6 / seconds,
        );
    }
    Ok(())
}
