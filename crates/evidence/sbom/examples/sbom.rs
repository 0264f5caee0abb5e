//! Prints the SBOM of an image layout, an archive or a directory, and says how
//! long that took and how much memory it needed.
//!
//! `cargo run --release -p plimsoll-evidence-sbom --example sbom -- PATH [cyclonedx-json|spdx-json]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use plimsoll_evidence_sbom::{Format, Options, Source, generate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which PATH?")?;
    let format: Format = arguments.next().as_deref().unwrap_or(Format::CycloneDx.name()).parse()?;
    let start = Instant::now();
    let bom = generate(&Source::open(Path::new(&path), None)?, &Options::default())?;
    let generated = start.elapsed();
    let document = bom.to_bytes(format);
    let written = start.elapsed() - generated;
    println!("{}", String::from_utf8_lossy(&document));
    for warning in &bom.warnings {
        eprintln!("warning: {}: {}", warning.path, warning.reason);
    }
    eprintln!("{} components, read in {generated:.2?}, written in {written:.2?}", bom.components.len());
    // Peak memory, where the system says it.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| eprintln!("{line}"));
    Ok(())
}
