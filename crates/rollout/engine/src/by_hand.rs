//! What somebody has done to containers behind Plimsoll's back, as far as the
//! engine tells (DEP-8). It does not tell who.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_model::{Digest, Release};
use plimsoll_rollout_core::TargetError;

use crate::error::EngineError;
use crate::fleet::{EngineFleet, noted};
use crate::image::has_digest;

/// A container that is not as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Its name.
    pub name: String,
    /// In which way.
    pub way: ByHand,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// Since when, where the engine knows.
    pub at: Option<Timestamp>,
}

/// In which way a container is not as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// It runs another image than its labels say.
    OtherImage,
    /// It was paused.
    Paused,
    /// It was stopped: the engine would have started one that ended by itself again.
    Stopped,
    /// It was ready, and is gone.
    Removed,
}

impl EngineFleet {
    /// Containers of this environment that are not as they were made; those that
    /// are on their way out are left alone.
    ///
    /// # Errors
    /// When the engine cannot be asked: never an empty list instead.
    pub async fn by_hand(&self) -> Result<Vec<Differing>, TargetError> {
        self.differing().await.map_err(|e| self.failed("look for what was changed by hand", &e))
    }

    async fn differing(&self) -> Result<Vec<Differing>, EngineError> {
        let (containers, mut differing) = (self.containers().await?, Vec::new());
        // One answer for all containers of a release.
        let mut known: BTreeMap<(Digest, String), bool> = BTreeMap::new();
        for container in &containers {
            let noted = noted(&self.dir.instance(&container.identity.name));
            let noted = noted.map_err(|e| self.state_failed(e))?;
            if noted.stopping || noted.draining.is_some() {
                continue;
            }
            differing.extend(container.by_hand(&noted));
            let (release, image) = (&container.identity.release, &container.image);
            let key = (release.digest(), image.clone());
            let is_so = match known.get(&key) {
                Some(is_so) => *is_so,
                // Not told is not another one.
                None if image.is_empty() => true,
                None => self.is_of(image, release).await?,
            };
            known.insert(key, is_so);
            if !is_so {
                differing.push(Differing {
                    name: container.identity.name.clone(),
                    way: ByHand::OtherImage,
                    expected: release.to_string(),
                    found: image.clone(),
                    at: container.created,
                });
            }
        }
        for (dir, identity) in self.dir.instances().map_err(|e| self.state_failed(e))? {
            let noted = noted(&dir).map_err(|e| self.state_failed(e))?;
            let wanted = noted.ready && !noted.stopping && noted.draining.is_none();
            if wanted && !containers.iter().any(|container| container.identity.name == identity.name) {
                differing.push(Differing::state(&identity.name, ByHand::Removed, "removed".into(), None));
            }
        }
        Ok(differing)
    }

    /// Whether the engine's image of this id is the release's.
    async fn is_of(&self, id: &str, release: &Release) -> Result<bool, EngineError> {
        // What was verified once needs no engine: an id names content.
        let noted = self.dir.image(&release.digest()).map_err(|e| self.state_failed(e))?;
        let expected = match noted {
            Some(noted) => Some(noted),
            None => self.image_of(release).await?,
        };
        if let Some(expected) = expected {
            return Ok(bare(&expected) == bare(id));
        }
        let found = self.api.image(id).await?;
        Ok(found.is_some_and(|image| has_digest(&image, &release.digest())))
    }
}

impl Differing {
    /// One that should run and does not.
    pub(crate) fn state(name: &str, way: ByHand, found: String, at: Option<Timestamp>) -> Self {
        Self { name: name.into(), way, expected: "running".into(), found, at }
    }
}

/// An id without its algorithm, which not every engine writes.
fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}
