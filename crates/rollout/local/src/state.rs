//! What lives with an instance on disk, so that a new process finds it again.
//!
//! ```text
//! <environment's folder>/
//!   fleet.json                 what was last desired, and the highest fence seen
//!   images/<digest>/root/      the image's files, unpacked once per digest
//!   images/<digest>/image.json how to start it; its presence says: unpacked whole
//!   instances/<name>/
//!     spec.json                what it is: written before anything starts
//!     state.json               how it is: written by its supervisor
//!     lock                     held by its supervisor as long as it lives
//!     ready                    present once it was healthy
//!     draining                 present once it is out of traffic
//!     log, log.1               what it writes
//! ```
//!
//! Every file is written beside, synced and renamed, so a crash leaves the old
//! one or the new one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use plimsoll_model::Release;
use plimsoll_rollout_core::Cause;
use plimsoll_rollout_core::fleet::last_lines;
use plimsoll_rollout_switch::files::{read_json, write_json};
use plimsoll_rollout_switch::marks::Marks;
use serde::{Deserialize, Serialize};

/// How much of a log's end is read for them.
const LOG_TAIL: u64 = 64 * 1024;

/// How an image is started; made once, when it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Entrypoint and arguments; not empty.
    pub argv: Vec<String>,
    /// The image's own environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts, within the image.
    pub workdir: String,
    /// The image's user, as written: `65532:65532`, `app`, or empty.
    pub user: String,
    /// The signal that asks it to stop, by number.
    pub stop_signal: i32,
}

/// What an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name, which is its folder's.
    pub name: String,
    /// What runs in it.
    pub release: Release,
    /// The rollout that created it.
    pub rollout: String,
    /// The generation that created it.
    pub generation: u64,
    /// When it was created.
    pub created: Timestamp,
    /// Where it listens; the port is its `$PORT`.
    pub address: SocketAddr,
    /// The unpacked image.
    pub image: PathBuf,
    /// Added over the image's environment (from `env_file`), and `PORT`.
    pub env: BTreeMap<String, String>,
    /// How long it gets between being asked to stop and being killed.
    pub grace_sec: u32,
}

/// How an instance is, as its supervisor last wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Its process runs.
    Running {
        /// The process.
        pid: i32,
        /// How often it was started again.
        restarts: u32,
        /// Whether it has a root of its own, or why not.
        isolation: String,
    },
    /// Its process ended and will be started again at that time.
    Restarting {
        /// How it ended.
        message: String,
        /// How often it was started again.
        restarts: u32,
    },
    /// Its process ended and will not be started again.
    Exited {
        /// How it ended.
        message: String,
    },
    /// It could not be started at all.
    CannotStart {
        /// Which kind of reason.
        cause: Cause,
        /// Why.
        message: String,
    },
    /// It was stopped as asked.
    Stopped,
}

/// The folder of one instance.
#[derive(Debug, Clone)]
pub(crate) struct InstanceDir(PathBuf);

impl InstanceDir {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(crate) fn spec(&self) -> io::Result<Option<Spec>> {
        read_json(&self.0.join("spec.json"))
    }

    pub(crate) fn write_spec(&self, spec: &Spec) -> io::Result<()> {
        write_json(&self.0.join("spec.json"), spec)
    }

    pub(crate) fn status(&self) -> io::Result<Option<Status>> {
        read_json(&self.0.join("state.json"))
    }

    pub(crate) fn write_status(&self, status: &Status) -> io::Result<()> {
        write_json(&self.0.join("state.json"), status)
    }

    /// How often it was started again, as far as that is known.
    pub(crate) fn restarts(&self) -> u32 {
        match self.status() {
            Ok(Some(Status::Running { restarts, .. } | Status::Restarting { restarts, .. })) => restarts,
            _ => 0,
        }
    }

    pub(crate) fn marks(&self) -> Marks {
        Marks::new(&self.0)
    }

    /// Takes the supervisor's lock, or nothing when a supervisor lives.
    pub(crate) fn lock(&self) -> io::Result<Option<Flock<File>>> {
        let file = File::options().create(true).truncate(false).write(true).open(self.0.join("lock"))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Whether its supervisor lives.
    pub(crate) fn is_supervised(&self) -> io::Result<bool> {
        if !self.0.join("lock").exists() {
            return Ok(false);
        }
        Ok(self.lock()?.is_none())
    }

    /// The supervisor's process, as it wrote it.
    pub(crate) fn supervisor(&self) -> io::Result<Option<i32>> {
        read_json(&self.0.join("supervisor"))
    }

    pub(crate) fn write_supervisor(&self, pid: u32) -> io::Result<()> {
        write_json(&self.0.join("supervisor"), &pid)
    }

    /// The last lines it wrote, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        last_lines(&tail(&self.log()).unwrap_or_default())
    }
}

impl InstanceDir {
    /// Whole lines that it has written from this byte of its log on, and where
    /// to go on. A log that is shorter than that was begun anew. Of what is too
    /// much for one look the end is read.
    pub(crate) fn lines_from(&self, from: u64) -> io::Result<(Vec<String>, u64)> {
        use std::io::Seek;
        let mut file = File::open(self.log())?;
        let length = file.metadata()?.len();
        let from = if from > length { 0 } else { from };
        let from = from.max(length.saturating_sub(LOG_TAIL));
        file.seek(io::SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(whole);
        let lines = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        Ok((lines, from + whole as u64))
    }
}

fn tail(path: &Path) -> io::Result<String> {
    use std::io::Seek;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The folder of an environment's instances and images.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentDir(PathBuf);

impl EnvironmentDir {
    /// Creates the folders where they are missing; only the owner may look in.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        for folder in [path.to_path_buf(), path.join("instances"), path.join("images")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Self(path.canonicalize()?))
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("fleet.json")
    }

    pub(crate) fn image(&self, release: &Release) -> PathBuf {
        self.0.join("images").join(release.digest().hex())
    }

    pub(crate) fn instance(&self, name: &str) -> InstanceDir {
        InstanceDir::new(self.0.join("instances").join(name))
    }

    /// Every instance that has a spec, by name. A folder without one is what a
    /// crash left before the instance existed, and is nothing.
    pub(crate) fn instances(&self) -> io::Result<Vec<(InstanceDir, Spec)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.0.join("instances"))? {
            let entry = entry?;
            // What a crash left between renaming and removing a folder.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                let _ = fs::remove_dir_all(entry.path());
                continue;
            }
            let dir = InstanceDir::new(entry.path());
            if let Some(spec) = dir.spec()? {
                found.push((dir, spec));
            }
        }
        found.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn new_lines_are_read_once_and_only_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let dir = InstanceDir::new(folder.path());
        assert!(dir.lines_from(0).is_err(), "there is no log yet");
        fs::write(dir.log(), "one\ntwo\nthr").unwrap();
        let (lines, at) = dir.lines_from(0).unwrap();
        assert_eq!((lines, at), (vec!["one".to_owned(), "two".to_owned()], 8));
        assert_eq!(dir.lines_from(8).unwrap(), (Vec::new(), 8));
        fs::write(dir.log(), "one\ntwo\nthree\n").unwrap();
        assert_eq!(dir.lines_from(8).unwrap(), (vec!["three".to_owned()], 14));
        fs::write(dir.log(), "anew\n").unwrap();
        assert_eq!(dir.lines_from(14).unwrap(), (vec!["anew".to_owned()], 5));
        // Of very much, the end.
        fs::write(dir.log(), format!("{}\nend\n", "x".repeat(300_000))).unwrap();
        let (lines, at) = dir.lines_from(0).unwrap();
        assert_eq!((lines.last().map(String::as_str), at), (Some("end"), 300_005));
    }

    #[test]
    fn a_second_supervisor_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let dir = InstanceDir::new(folder.path());
        assert!(!dir.is_supervised().unwrap());
        let lock = dir.lock().unwrap().unwrap();
        assert!(dir.is_supervised().unwrap());
        drop(lock);
        assert!(!dir.is_supervised().unwrap());
    }
}
