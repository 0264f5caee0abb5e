//! Names the ruleset: a number over the sources of this crate, so that results
//! kept by an older scanner are never taken for results of this one.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// FNV-1a, 64 bits: any change must change the name; nobody attacks it.
fn mix(mut state: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files)?;
    files.sort();
    let mut state = 0xcbf2_9ce4_8422_2325;
    for file in &files {
        state = mix(state, file.to_string_lossy().as_bytes());
        state = mix(state, &fs::read(file)?);
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=SECRETS_RULESET={version}-{state:016x}");
    Ok(())
}
