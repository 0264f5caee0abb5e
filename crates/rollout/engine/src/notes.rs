//! What labels cannot hold, because it changes while a container lives.
//!
//! ```text
//! <environment's folder>/
//!   fleet.json            what was last desired, and the highest fence seen
//!   id.json               marks this environment's containers
//!   images/<digest>.json  the engine's id of an image that was verified
//!   instances/<name>/
//!     identity.json       what it is, for when its container is gone
//!     refused.json        why it could not be started
//!     ready, draining, stopping
//! ```

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use plimsoll_model::{Digest, Release};
use plimsoll_rollout_core::Cause;
use plimsoll_rollout_switch::files::{read_json, replace_json, write_json};
use plimsoll_rollout_switch::marks::Marks;
use serde::{Deserialize, Serialize};

/// What an instance is, as its labels say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) release: Release,
    pub(crate) rollout: String,
    pub(crate) generation: u64,
}

/// Why an instance could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) cause: Cause,
    pub(crate) message: String,
}

/// The environment's folder.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentDir(PathBuf);

/// The folder of one instance.
#[derive(Debug, Clone)]
pub(crate) struct InstanceDir(PathBuf);

impl EnvironmentDir {
    /// Creates the folders where they are missing; only the owner may look in.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        for folder in [path.to_path_buf(), path.join("instances"), path.join("images")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Self(path.canonicalize()?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("fleet.json")
    }

    /// What tells this environment's containers from those of another project
    /// that uses the same name for its environment. Made once.
    pub(crate) fn id(&self) -> io::Result<String> {
        let path = self.0.join("id.json");
        let fresh = format!("{:016x}", RandomState::new().hash_one(&path));
        replace_json(&path, &fresh, |_| true)?;
        Ok(read_json(&path)?.unwrap_or(fresh))
    }

    /// The engine's id of an image that was verified to be this manifest's.
    pub(crate) fn image(&self, manifest: &Digest) -> io::Result<Option<String>> {
        read_json(&self.image_path(manifest))
    }

    pub(crate) fn note_image(&self, manifest: &Digest, id: &str) -> io::Result<()> {
        write_json(&self.image_path(manifest), &id)
    }

    fn image_path(&self, manifest: &Digest) -> PathBuf {
        self.0.join("images").join(manifest.hex()).with_extension("json")
    }

    pub(crate) fn instance(&self, name: &str) -> InstanceDir {
        InstanceDir(self.0.join("instances").join(name))
    }

    /// Every instance that something was noted about.
    pub(crate) fn instances(&self) -> io::Result<Vec<(InstanceDir, Identity)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.0.join("instances"))? {
            let dir = InstanceDir(entry?.path());
            if let Some(identity) = dir.identity()? {
                found.push((dir, identity));
            }
        }
        Ok(found)
    }
}

impl InstanceDir {
    fn identity(&self) -> io::Result<Option<Identity>> {
        read_json(&self.0.join("identity.json"))
    }

    /// For reading; finds none where nothing was noted.
    pub(crate) fn marks(&self) -> Marks {
        Marks::new(&self.0)
    }

    /// For setting one: what it is is noted first.
    pub(crate) fn marks_of(&self, identity: &Identity) -> io::Result<Marks> {
        fs::create_dir_all(&self.0)?;
        if self.identity()?.is_none() {
            write_json(&self.0.join("identity.json"), identity)?;
        }
        Ok(self.marks())
    }

    pub(crate) fn refused(&self) -> io::Result<Option<Refused>> {
        read_json(&self.0.join("refused.json"))
    }

    pub(crate) fn refuse(&self, identity: &Identity, refused: &Refused) -> io::Result<()> {
        self.marks_of(identity)?;
        write_json(&self.0.join("refused.json"), refused)
    }

    /// Forgets it. Its identity goes first: a crash leaves nothing that is read.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for result in [fs::remove_file(self.0.join("identity.json")), fs::remove_dir_all(&self.0)] {
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
