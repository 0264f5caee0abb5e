//! Writes, one after another, each decided on what is there now.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Service;
use plimsoll_rollout_core::{Applied, Desired, Fence};

use super::KubernetesTarget;
use super::lists::Home;
use crate::api::Kind;
use crate::converge::{self, Next, Setting, Write};
use crate::error::KubernetesError;
use crate::names;
use crate::view::View;
use crate::workload::Workload;

/// At most so many writes in one turn; the next turn goes on.
const MOST_WRITES: usize = 8;
/// Attempts at one write that others are faster than.
const MOST_CONFLICTS: usize = 5;

impl KubernetesTarget {
    pub(super) async fn act(&self, desired: &Desired, fence: Fence) -> Result<Applied, KubernetesError> {
        let setting = Setting {
            environment: self.options.environment.clone(),
            container: self.options.container.clone(),
            max_surge: self.options.max_surge,
            settle: jiff::SignedDuration::try_from(self.options.settle).unwrap_or_default(),
        };
        let mut conflicts = 0;
        let mut view = self.view().await?;
        // One time for the whole turn: the same decision is the same write.
        let now = Timestamp::now();
        for _ in 0..MOST_WRITES {
            if view.home.is_none() {
                return Err(self.no_workload());
            }
            let write = match converge::next(&setting, desired, fence, &view, now) {
                Next::Write(write) => write,
                Next::Wait(what) => {
                    tracing::debug!(what, generation = desired.generation, "waiting");
                    return Ok(Applied::Accepted);
                }
                Next::Fenced(seen) => return Ok(Applied::Fenced { seen }),
                Next::Changed { set, found, by } => {
                    let object = view.home.as_ref().map(|home| format!("{} {}", home.kind(), home.name()));
                    let object = object.unwrap_or_default();
                    return Err(KubernetesError::Changed { object, set, found, by });
                }
                Next::Impossible(error) => return Err(*error),
            };
            // What is not under the record's own resourceVersion is done only
            // after a fresh look at the record.
            if !matches!(*write, Write::Home(_)) {
                self.refresh(&mut view).await?;
                if converge::next(&setting, desired, fence, &view, now) != Next::Write(write.clone()) {
                    continue;
                }
            }
            match self.write(&write, &mut view).await {
                Ok(true) => {}
                Ok(false) => return Ok(Applied::Accepted),
                Err(error) if error.is_conflict() && conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    self.refresh(&mut view).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Applied::Accepted)
    }

    /// One write; whether the next can be decided on at once.
    async fn write(&self, write: &Write, view: &mut View) -> Result<bool, KubernetesError> {
        let lists = self.lists().await?;
        let (own, service) = (&self.options.workload, &self.options.service);
        tracing::debug!(?write, "write");
        match write {
            Write::Home(document) => match &lists.home {
                Home::Deployment(kept) => {
                    let home: Deployment = self.api.apply(Kind::DEPLOYMENT, own, document).await?;
                    kept.put(home.clone());
                    view.home = Some(Workload::Deployment(home));
                }
                Home::StatefulSet(kept) => {
                    let home: StatefulSet = self.api.apply(Kind::STATEFUL_SET, own, document).await?;
                    kept.put(home.clone());
                    view.home = Some(Workload::StatefulSet(home));
                }
            },
            Write::Candidate(document) => {
                let name = names::candidate_deployment(own);
                // One that is not known of is created, never written over.
                let made: Deployment = match &view.candidate {
                    Some(_) => self.api.apply(Kind::DEPLOYMENT, &name, document).await?,
                    None => self.api.create(Kind::DEPLOYMENT, &name, document).await?,
                };
                if let Some(list) = &lists.candidate {
                    list.put(made.clone());
                }
                view.candidate = Some(made);
            }
            Write::Preview(document) => {
                let name = names::preview_service(service);
                let made: Service = self.api.apply(Kind::SERVICE, &name, document).await?;
                if let Some(list) = &lists.preview {
                    list.put(made.clone());
                }
                view.preview = Some(made);
            }
            Write::Bind(patch) => {
                let bound: Service = self.api.merge(Kind::SERVICE, service, patch).await?;
                lists.service.put(bound.clone());
                view.service = Some(bound);
            }
            Write::RemoveCandidate { uid } => {
                let name = names::candidate_deployment(own);
                self.api.delete(Kind::DEPLOYMENT, &name, uid).await?;
                return Ok(false);
            }
            Write::RemovePreview { uid } => {
                self.api.delete(Kind::SERVICE, &names::preview_service(service), uid).await?;
                return Ok(false);
            }
            Write::RemovePod { name, uid } => {
                self.api.delete(Kind::POD, name, uid).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }
}
