//! Prints what changed from one SBOM document to another, whoever wrote them,
//! and how long reading them took and how much memory.
//!
//! `cargo run --release -p plimsoll-evidence-sbom --example compare -- OLD NEW`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::error::Error;
use std::time::Instant;

use plimsoll_evidence_sbom::{Bom, diff};

fn main() -> Result<(), Box<dyn Error>> {
    let mut boms = Vec::new();
    for path in std::env::args().skip(1).take(2) {
        let bytes = std::fs::read(&path)?;
        let start = Instant::now();
        let read = Bom::parse(&bytes);
        eprintln!("{path}: {} bytes in {:.2?}", bytes.len(), start.elapsed());
        boms.push(read?);
    }
    let [old, new] = &boms[..] else { return Err("which OLD and NEW?".into()) };
    for change in diff(old, new) {
        println!("{:?} {} {:?} {:?}", change.change, change.package, change.from, change.to);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| eprintln!("{line}"));
    Ok(())
}
