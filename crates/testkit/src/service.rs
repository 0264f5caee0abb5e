//! The program of a tiny service (`service/service.rs`, see there for what it
//! can be told to do), for tests that build, deploy and ask.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The source, of the standard library alone.
const SOURCE: &str = include_str!("../service/service.rs");

/// The static program, compiled into `folder` if it is not there yet; give
/// `env!("CARGO_TARGET_TMPDIR")`.
///
/// # Panics
/// When `rustc` cannot be run or refuses the source.
pub fn program(folder: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let program = folder.join(format!("service-{}", plimsoll_oci::digest_of(SOURCE.as_bytes()).short()));
    if program.exists() {
        return program;
    }
    // Another test process may be at it, too: each writes its own, the last
    // rename wins, and all are the same.
    let own = tempfile::tempdir_in(folder).expect("cargo's folder for tests is writable");
    let (source, made) = (own.path().join("service.rs"), own.path().join("service"));
    std::fs::write(&source, SOURCE).expect("a temporary folder is writable");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--edition=2024", "-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols"])
        .args(["-Ctarget-feature=+crt-static", "-o"])
        .arg(&made)
        .arg(&source)
        .current_dir(own.path())
        .output()
        .expect("rustc can be run");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    std::fs::rename(made, &program).expect("both are in one folder");
    program
}
