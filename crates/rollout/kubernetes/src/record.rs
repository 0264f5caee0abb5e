//! What Plimsoll remembers in the cluster: annotations of the workload,
//! compared and replaced under its resourceVersion.

use plimsoll_rollout_core::{Desired, Fence};

use crate::names;
use crate::workload::Workload;

/// The record of an environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    /// The highest fence seen.
    pub(crate) fence: Fence,
    /// What was last desired.
    pub(crate) desired: Option<Desired>,
    /// The image that was set for it, pinned.
    pub(crate) image: Option<String>,
    /// The image that ran before the first rollout.
    pub(crate) adopted_image: Option<String>,
    /// Short ids of pods that were there when the rollout began.
    pub(crate) before: Vec<String>,
}

/// At most this many pods are remembered as having been there before.
const MOST_BEFORE: usize = 2_000;

impl Record {
    /// The record of a workload; the default one where there is none.
    ///
    /// # Errors
    /// What is damaged, in words: unknown, never "none".
    pub(crate) fn of(workload: &Workload) -> Result<Self, String> {
        let parsed = |key: &str| workload.annotation(key);
        let fence = match parsed(names::FENCE) {
            None => Fence(0),
            Some(text) => Fence(text.parse().map_err(|_| damaged(names::FENCE, text))?),
        };
        let desired = match parsed(names::DESIRED) {
            None => None,
            Some(text) => Some(serde_json::from_str(text).map_err(|_| damaged(names::DESIRED, text))?),
        };
        Ok(Self {
            fence,
            desired,
            image: parsed(names::IMAGE).map(Into::into),
            adopted_image: parsed(names::ADOPTED_IMAGE).map(Into::into),
            before: parsed(names::BEFORE)
                .map(|text| text.split(',').filter(|id| !id.is_empty()).map(Into::into).collect())
                .unwrap_or_default(),
        })
    }

    /// The newest generation taken in; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.desired.as_ref().map_or(0, |desired| desired.generation)
    }

    /// Whether a call under this fence comes from a former owner, or asks for
    /// something that has been superseded.
    pub(crate) fn is_newer_than(&self, fence: Fence, desired: &Desired) -> bool {
        self.fence > fence || self.generation() > desired.generation
    }

    /// Whether a pod was there when the rollout began.
    pub(crate) fn was_before(&self, uid: &str) -> bool {
        !self.before.is_empty() && self.before.iter().any(|id| *id == short(uid))
    }

    /// The list of [`Record::before`] for these pods.
    pub(crate) fn before_of<'a>(uids: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut ids: Vec<String> = uids.map(short).collect();
        ids.sort();
        ids.truncate(MOST_BEFORE);
        ids
    }
}

/// The first block and a half of a uid: unique among the pods of a workload.
fn short(uid: &str) -> String {
    uid.chars().take(13).collect()
}

fn damaged(key: &str, text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("its annotation {key} is {shown:?}, which Plimsoll did not write")
}
