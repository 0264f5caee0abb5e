//! What the switch is started with, and the files of its state directory.
//!
//! | file | what |
//! |---|---|
//! | `switch.json` | the settings, written by whoever starts it |
//! | `table.json` | the routing table in force, written by the switch |
//! | `switch.lock` | locked (`flock`) by the one switch of this directory |
//! | `switch.sock` | the control socket, mode 0600 |
//! | `switch.log`, `switch.log.1` | what it wrote, bounded at each start |

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{SwitchError, Table};

/// Name of the settings file.
pub const SETTINGS: &str = "switch.json";
/// Name of the table file.
pub const TABLE: &str = "table.json";
const SCHEMA_SETTINGS: &str = "plimsoll/switch-settings/v1";
const SCHEMA_TABLE: &str = "plimsoll/switch-table/v1";
/// No state file is larger.
const MAX_FILE: u64 = 4 << 20;

/// What a switch serves and within which limits. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whose traffic it carries; named in 503 answers and metrics.
    pub environment: String,
    /// Where users connect.
    pub listen: SocketAddr,
    /// How long a client may take for a request's head, and how long a
    /// connection may stay idle between requests.
    #[serde(default = "defaults::header_sec")]
    pub header_sec: f64,
    /// How long an instance may take to the head of its answer.
    #[serde(default = "defaults::response_sec")]
    pub response_sec: f64,
    /// How long a request waits for an instance when none is routed or none
    /// can be connected to.
    #[serde(default = "defaults::wait_sec")]
    pub wait_sec: f64,
    /// How often each instance is probed.
    #[serde(default = "defaults::probe_sec")]
    pub probe_sec: f64,
    /// Threads that carry traffic; 0: one per core.
    #[serde(default)]
    pub workers: usize,
    /// Open connections of users, beyond which new ones wait in the kernel's
    /// queue; 0: as many as the limit on open files allows.
    #[serde(default)]
    pub max_connections: usize,
}

mod defaults {
    pub(super) fn header_sec() -> f64 {
        60.0
    }
    pub(super) fn response_sec() -> f64 {
        300.0
    }
    pub(super) fn wait_sec() -> f64 {
        3.0
    }
    pub(super) fn probe_sec() -> f64 {
        3.0
    }
}

impl Settings {
    /// The usual limits.
    pub fn new(environment: &str, listen: SocketAddr) -> Self {
        Self {
            environment: environment.into(),
            listen,
            header_sec: defaults::header_sec(),
            response_sec: defaults::response_sec(),
            wait_sec: defaults::wait_sec(),
            probe_sec: defaults::probe_sec(),
            workers: 0,
            max_connections: 0,
        }
    }

    /// Reads what [`Settings::write`] wrote.
    ///
    /// # Errors
    /// When the file is missing, unreadable or damaged.
    pub fn read(state_dir: &Path) -> Result<Self, SwitchError> {
        let path = state_dir.join(SETTINGS);
        let settings: Self = read_document(&path, SCHEMA_SETTINGS)?.ok_or_else(|| SwitchError::State {
            operation: "read",
            path: path.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let times = [settings.header_sec, settings.response_sec, settings.wait_sec, settings.probe_sec];
        if times.iter().any(|&sec| !(0.0..=86_400.0 * 365.0).contains(&sec)) {
            return Err(SwitchError::CorruptState { path, reason: "a time limit makes no sense".into() });
        }
        Ok(settings)
    }

    /// Writes the settings durably; creates the directory (mode 0700) when needed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, state_dir: &Path) -> Result<(), SwitchError> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(|source| SwitchError::State { operation: "create", path: state_dir.into(), source })?;
        write_document(&state_dir.join(SETTINGS), SCHEMA_SETTINGS, self)
    }
}

/// The persisted table, or `None` when none was ever applied.
///
/// # Errors
/// When the file is unreadable or damaged: never "none" instead.
pub fn read_table(state_dir: &Path) -> Result<Option<Table>, SwitchError> {
    let path = state_dir.join(TABLE);
    let table: Option<Table> = read_document(&path, SCHEMA_TABLE)?;
    if let Some(table) = &table {
        table
            .validate()
            .map_err(|e| SwitchError::CorruptState { path: path.clone(), reason: e.to_string() })?;
    }
    Ok(table)
}

pub(crate) fn write_table(state_dir: &Path, table: &Table) -> Result<(), SwitchError> {
    write_document(&state_dir.join(TABLE), SCHEMA_TABLE, table)
}

#[derive(Serialize, Deserialize)]
struct Document<T> {
    schema: String,
    body: T,
}

fn read_document<T: DeserializeOwned>(path: &Path, schema: &str) -> Result<Option<T>, SwitchError> {
    let corrupt = |reason: String| SwitchError::CorruptState { path: path.into(), reason };
    let failed = |source| SwitchError::State { operation: "read", path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(corrupt(format!("larger than {MAX_FILE} bytes")));
    }
    let document: Document<T> = serde_json::from_slice(&text).map_err(|e| corrupt(e.to_string()))?;
    if document.schema != schema {
        let found = document.schema.chars().take(80).collect::<String>();
        return Err(corrupt(format!("schema {found:?} instead of {schema:?}")));
    }
    Ok(Some(document.body))
}

/// Temporary file, fsync, rename, fsync of the directory. A crash leaves the
/// old document or the new one. When only the last step fails the new
/// document may be in place although an error is reported; callers repeat.
fn write_document<T: Serialize>(path: &Path, schema: &str, body: &T) -> Result<(), SwitchError> {
    let write = || -> io::Result<()> {
        let directory = path.parent().expect("state files are inside the state directory");
        let document = Document { schema: schema.into(), body };
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, &document)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| SwitchError::State { operation: "write", path: path.into(), source })
}
