//! Scans directories, or every image of OCI layouts, and prints what a table
//! of precision needs:
//! `cargo run --release -p plimsoll-evidence-secrets --example scan_tree -- DIR…`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use plimsoll_evidence_secrets::{Level, Options, Report, scan_directory, scan_image};
use plimsoll_oci::{Layout, Manifest, limits};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date());
    for tree in std::env::args_os().skip(1) {
        let tree = Path::new(&tree);
        let started = Instant::now();
        if tree.join("oci-layout").exists() {
            let layout = Layout::open(tree)?;
            for image in layout.manifests()? {
                let manifest = Manifest::parse(&layout.read_blob(&image.digest, limits::MANIFEST)?)?;
                print(&image.digest.short(), &scan_image(&layout, &manifest, &options)?, started);
            }
        } else {
            print(&tree.display().to_string(), &scan_directory(tree, tree, &options)?, started);
        }
    }
    Ok(())
}

fn print(name: &str, report: &Report, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    for finding in &report.findings {
        println!("{:?} {} {} {} {}", finding.level, finding.rule, finding.name, finding.place, finding.value);
    }
    for unread in report.unread.iter().filter(|unread| unread.level == Level::Stop) {
        println!("unread {}: {}", unread.place, unread.reason);
    }
    let stops = report.stops().count();
    println!(
        "{name}: {} files, {} bytes, {stops} stops, {} notes, {} unread, {} unlisted, {seconds:.2} s, {:.0} MB/s",
        report.files,
        report.bytes,
        report.findings.len() - stops,
        report.unread.len(),
        report.unlisted,
        report.bytes as f64 / 1e6 / seconds,
    );
}
