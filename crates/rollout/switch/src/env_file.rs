//! The `env_file` of an environment: `NAME=value` lines for its replicas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// No `env_file` is longer than this.
const MOST_BYTES: u64 = 1 << 20;

/// An `env_file` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has a line that is not `NAME=value`. The line's text is not part of
    /// the error: it may hold a secret.
    #[error("line {line} of {path} is not `NAME=value`")]
    Line {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// The variables of an `env_file`; empty lines and comments are left out.
///
/// # Errors
/// When the file cannot be read or a line has another form.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>, EnvFileError> {
    let unreadable = |source| EnvFileError::Unreadable { path: path.into(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MOST_BYTES {
        return Err(unreadable(io::Error::other("it is longer than 1 MiB")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let mut env = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                env.insert(name.into(), value.into());
            }
            _ => return Err(EnvFileError::Line { path: path.into(), line: index + 1 }),
        }
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn env_files_name_the_line_and_never_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.env");
        fs::write(&path, "# comment\n\nA=1\n  B=x=y\nEMPTY=\n").unwrap();
        let env = read(&path).unwrap();
        assert_eq!(
            env,
            BTreeMap::from([("A", "1"), ("B", "x=y"), ("EMPTY", "")].map(|(k, v)| (k.into(), v.into())))
        );
        fs::write(&path, "A=1\nhunter2\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
