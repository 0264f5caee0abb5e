//! Project tasks: `cargo xtask tidy` and `cargo xtask bench`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy\n       cargo xtask bench [start|push|again|guard|history|append|switch|verify|\
                     sbom|scan|secrets|evidence|contract|lint|backfill|kubernetes|admission|all] [--quick] \
                     [--rounds N] [--json] [--context NAME]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("tidy", [])) => tidy::run(&root()),
        Some(("bench", rest)) => bench::run(&root(), rest),
        Some((bench::measure::WRAPPER, rest)) => bench::measure::wrapper(rest),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The workspace's root: the folder above this package.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}
