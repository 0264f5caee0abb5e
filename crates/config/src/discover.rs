//! Finding and reading `plimsoll.toml`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

/// The file's name.
pub const FILE_NAME: &str = "plimsoll.toml";

/// The most a configuration file may have: 1 MiB.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// The `plimsoll.toml` of `dir`: in it, or in the nearest folder above it, up
/// to the top of the git repository. Outside a repository only `dir` itself is
/// looked into.
///
/// # Errors
/// There is none, or a folder cannot be looked into.
pub fn discover(dir: &Path) -> Result<PathBuf, ConfigError> {
    let read = |source| ConfigError::Read { path: dir.into(), source };
    let from = dir.canonicalize().map_err(read)?;
    let mut top = from.as_path();
    if let Some(repository) = from.ancestors().find(|folder| folder.join(".git").exists()) {
        top = repository;
    }
    for folder in from.ancestors() {
        let file = folder.join(FILE_NAME);
        match file.try_exists() {
            Ok(true) => return Ok(file),
            Ok(false) => {}
            Err(source) => return Err(ConfigError::Read { path: file, source }),
        }
        if folder == top {
            break;
        }
    }
    Err(ConfigError::NotFound { to: top.into(), from })
}

/// Reads a configuration file, bounded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let fail = |source| ConfigError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}
