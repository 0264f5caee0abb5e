//! From what should be and what is to the next write. Pure.
//!
//! ```text
//! rolling      the workload's image; its own controller replaces the pods
//! comparing    before that: a second Deployment of a few pods behind the
//!              user's own selector, which goes when the replacing begins; of a
//!              StatefulSet its last pods, by the partition of its update
//! blue-green   Service bound to the home pods -> second Deployment, preview
//!              -> all of it ready -> Service bound to it -> home gets the
//!              image -> Service bound to home -> second Deployment removed
//! ```
//!
//! The user's workload is the home: what serves between rollouts, and what
//! autoscalers, disruption budgets and people go on pointing at. The second
//! Deployment lives for one rollout.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use plimsoll_model::{Release, Strategy};
use plimsoll_rollout_core::{Desired, Fence, Traffic};
use serde_json::Value;

use crate::error::KubernetesError;
use crate::manifest::{self, Bounds};
use crate::names;
use crate::record::Record;
use crate::view::{Slot, View, is_ready, uid};
use crate::workload::{ChangedBy, Workload, WorkloadKind};

/// What does not change from turn to turn.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) environment: String,
    pub(crate) container: String,
    pub(crate) max_surge: Option<u32>,
    /// How long after the Service was bound to another workload the one that
    /// served before is removed.
    pub(crate) settle: SignedDuration,
}

/// One write. Each carries the resourceVersion of what it was decided on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Apply the user's workload's document.
    Home(Value),
    /// Apply the second Deployment's document.
    Candidate(Value),
    /// Apply the preview Service's document.
    Preview(Value),
    /// Merge this into the user's Service.
    Bind(Value),
    /// Remove the second Deployment; it must still be this one.
    RemoveCandidate { uid: String },
    /// Remove the preview Service.
    RemovePreview { uid: String },
    /// Remove a pod that its StatefulSet waits for in vain.
    RemovePod { name: String, uid: String },
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Do this, then ask again.
    Write(Box<Write>),
    /// All is as desired, or there is nothing to do but wait; for what.
    Wait(&'static str),
    /// A newer owner has been here.
    Fenced(Fence),
    /// Somebody changed the image that this rollout had set.
    Changed { set: String, found: String, by: Option<ChangedBy> },
    /// It cannot be done; why. Nothing was written.
    Impossible(Box<KubernetesError>),
}

/// What the two workloads shall run.
struct Roles {
    /// Nothing: leave its image as it is.
    home: Option<String>,
    candidate: Option<Release>,
}

/// The next write towards `desired`.
pub(crate) fn next(setting: &Setting, desired: &Desired, fence: Fence, view: &View, now: Timestamp) -> Next {
    // Whoever asks has made sure that there is one.
    let Some(home) = &view.home else { return Next::Wait("for the workload") };
    let impossible = |error| Next::Impossible(Box::new(error));
    let record = match Record::of(home) {
        Ok(record) => record,
        Err(reason) => return impossible(KubernetesError::Record { reason }),
    };
    if record.is_newer_than(fence, desired) {
        return Next::Fenced(record.fence);
    }
    let Some(image) = home.image(&setting.container) else {
        let workload = format!("{} {}", home.kind(), home.name());
        let names = home.pod_spec().map(|spec| spec.containers.iter().map(|c| c.name.clone()).collect());
        let (container, known) = (setting.container.clone(), names.unwrap_or_default());
        return impossible(KubernetesError::NoContainer { workload, container, known });
    };
    let roles = roles(desired, home.kind(), image, &record);
    // Ours, set under this very generation, and something else now.
    let forward = desired.candidate.is_some();
    if let Some(set) = record.image.as_deref().filter(|set| forward && *set != image)
        && record.desired.as_ref() == Some(desired)
        && roles.home.as_deref() == Some(set)
    {
        let by = home.image_changed_by(&setting.container);
        return Next::Changed { set: set.into(), found: image.into(), by };
    }
    if let Some(write) = write_home(setting, desired, fence, view, home, &record, image, &roles) {
        return write;
    }
    match &roles.candidate {
        Some(release) if desired.strategy == Strategy::Rolling => {
            with_a_few(setting, desired, fence, view, home, release, now)
        }
        Some(release) => with_candidate(setting, desired, fence, view, home, release, now),
        None => without_candidate(setting, desired, fence, view, home, now),
    }
}

fn roles(desired: &Desired, kind: WorkloadKind, image: &str, record: &Record) -> Roles {
    let text = |release: &Release| release.image.to_string();
    let stable = desired.stable.as_ref().map(|share| &share.release);
    let candidate = desired.candidate.as_ref().map(|share| &share.release);
    let two = desired.strategy == Strategy::BlueGreen || desired.beside;
    let beside = two && kind == WorkloadKind::Deployment;
    match (stable, candidate) {
        (_, Some(release)) if !beside => Roles { home: Some(text(release)), candidate: None },
        (None, Some(release)) if text(release) == image => {
            Roles { home: Some(text(release)), candidate: None }
        }
        (stable, Some(release)) => Roles { home: stable.map(text), candidate: Some(release.clone()) },
        (Some(release), None) => Roles { home: Some(text(release)), candidate: None },
        // Nothing was there of Plimsoll's: back to what it was adopted with.
        (None, None) => Roles { home: record.adopted_image.clone(), candidate: None },
    }
}

/// The workload's document, where it is not what was applied last.
#[allow(clippy::too_many_arguments, reason = "all of it has been read already by the one caller")]
fn write_home(
    setting: &Setting,
    desired: &Desired,
    fence: Fence,
    view: &View,
    home: &Workload,
    record: &Record,
    image: &str,
    roles: &Roles,
) -> Option<Next> {
    let begins = record.desired.as_ref().is_none_or(|before| before.rollout != desired.rollout);
    // What it was adopted with is remembered once, and only if it is not ours.
    let adopted = record.adopted_image.clone().or_else(|| record.image.is_none().then(|| image.to_owned()));
    // While it is left as it is, it is not ours.
    let owned = roles.home.clone().or_else(|| record.image.clone());
    let before = || Record::before_of(view.own_pods().map(|(_, pod)| uid(&pod.metadata)));
    let wanted = Record {
        fence,
        desired: Some(desired.clone()),
        image: owned.clone(),
        adopted_image: adopted,
        before: if begins { before() } else { record.before.clone() },
    };
    let bounds = Bounds::of(desired, home.replicas(), setting.max_surge);
    // Only two workloads have to be told apart; what is there stays, since
    // taking it away would replace every pod.
    let has_label = home.pod_labels().get(names::SLOT).map(String::as_str) == Some(names::HOME);
    let labelled = has_label || (desired.strategy == Strategy::BlueGreen && roles.candidate.is_some());
    let as_wanted = *record == wanted
        && owned.as_deref().is_none_or(|owned| owned == image)
        && has_label == labelled
        && manifest::has_strategy(home, bounds);
    (!as_wanted).then(|| {
        let image = owned.as_deref();
        let document =
            manifest::home(home, &wanted, &setting.container, image, &setting.environment, bounds, labelled);
        Next::Write(Box::new(Write::Home(document)))
    })
}

/// Both workloads are wanted: the way into a blue/green rollout.
fn with_candidate(
    setting: &Setting,
    desired: &Desired,
    fence: Fence,
    view: &View,
    home: &Workload,
    release: &Release,
    now: Timestamp,
) -> Next {
    let (deployment, service) = match both(home, view) {
        Ok(both) => both,
        Err(error) => return Next::Impossible(error),
    };
    let bind = |slot| Next::Write(Box::new(Write::Bind(manifest::bind(service, Some(slot), fence, now))));
    let holds = view.candidate.as_ref().map(|other| {
        let image = other.metadata.annotations.as_ref().and_then(|a| a.get(names::IMAGE));
        image.is_some_and(|image| *image == release.image.to_string())
    });
    let ready = view.candidate_workload().is_some_and(|candidate| candidate.is_complete());
    match view.bound_to() {
        // As the user wrote it: both receive requests while they are compared,
        // and until the candidate can take them all.
        None if desired.traffic != Traffic::Stable && holds == Some(true) => {}
        // Pods that do not have the label yet would be without requests.
        None if !home_is_labelled(view) => return Next::Wait("for the home pods to carry their label"),
        None => return bind(names::HOME),
        // Left by a rollout that did not come to its end.
        Some(Slot::Candidate) if holds != Some(true) && home_can_serve(view, home, desired) => {
            return bind(names::HOME);
        }
        Some(Slot::Candidate) if holds != Some(true) => return Next::Wait("for the home pods to serve"),
        Some(_) => {}
    }
    if let Some(write) = second(setting, desired, fence, view, deployment, release, None) {
        return write;
    }
    let preview = manifest::preview(service, deployment, &setting.environment);
    if annotation(view.preview.as_ref().map(|p| &p.metadata), names::MADE_FROM)
        != preview["metadata"]["annotations"][names::MADE_FROM].as_str()
    {
        return Next::Write(Box::new(Write::Preview(preview)));
    }
    match (desired.traffic, view.bound_to()) {
        (Traffic::Stable, Some(Slot::Candidate)) if home_can_serve(view, home, desired) => bind(names::HOME),
        (Traffic::Shared, Some(Slot::Home)) if ready => unbind(service, fence, now),
        (Traffic::Candidate, Some(Slot::Home) | None) if ready => bind(names::CANDIDATE),
        (Traffic::Candidate, Some(Slot::Home) | None) | (Traffic::Shared, Some(Slot::Home)) => {
            Next::Wait("for every pod of the candidate")
        }
        _ => Next::Wait("for the machine"),
    }
}

/// A few pods of the candidate beside all of the home workload's, behind the
/// selector that the user wrote: as large a part of the requests as of the pods.
fn with_a_few(
    setting: &Setting,
    desired: &Desired,
    fence: Fence,
    view: &View,
    home: &Workload,
    release: &Release,
    now: Timestamp,
) -> Next {
    let (deployment, service) = match both(home, view) {
        Ok(both) => both,
        Err(error) => return Next::Impossible(error),
    };
    // Left by a rollout that did not come to its end.
    match view.bound_to() {
        Some(Slot::Candidate) if !home_can_serve(view, home, desired) => {
            return Next::Wait("for the home pods to serve");
        }
        Some(_) => return unbind(service, fence, now),
        None => {}
    }
    let pods = desired.candidate.as_ref().map(|share| share.replicas);
    second(setting, desired, fence, view, deployment, release, pods).unwrap_or(Next::Wait("for the machine"))
}

/// The second Deployment's document, where it is not what was applied last.
fn second(
    setting: &Setting,
    desired: &Desired,
    fence: Fence,
    view: &View,
    home: &Deployment,
    release: &Release,
    pods: Option<u32>,
) -> Option<Next> {
    let own = home.spec.as_ref().and_then(|spec| spec.replicas);
    let bounds = Bounds::of(desired, crate::workload::unsigned(own.or(Some(1))), setting.max_surge);
    let (container, environment) = (&setting.container, &setting.environment);
    let existing = view.candidate.as_ref();
    let document = manifest::candidate(home, container, release, fence, environment, bounds, pods, existing);
    let made_from = annotation(existing.map(|other| &other.metadata), names::MADE_FROM);
    let as_made = made_from == document["metadata"]["annotations"][names::MADE_FROM].as_str();
    (!as_made).then(|| Next::Write(Box::new(Write::Candidate(document))))
}

/// What two workloads of one Service need.
fn both<'a>(
    home: &'a Workload,
    view: &'a View,
) -> Result<(&'a Deployment, &'a Service), Box<KubernetesError>> {
    match (home, &view.service) {
        (Workload::Deployment(deployment), Some(service)) => Ok((deployment, service)),
        _ => Err(Box::new(KubernetesError::Unsuitable {
            object: format!("{} {}", home.kind(), home.name()),
            reason: "two releases side by side need a Deployment and a Service in front of it".into(),
            hint: "the Service is gone: `kubectl get services` lists them".into(),
        })),
    }
}

/// The Service's selector as the user wrote it.
fn unbind(service: &Service, fence: Fence, now: Timestamp) -> Next {
    Next::Write(Box::new(Write::Bind(manifest::bind(service, None, fence, now))))
}

/// Only the home workload is wanted: rolling, settling, going back.
fn without_candidate(
    setting: &Setting,
    desired: &Desired,
    fence: Fence,
    view: &View,
    home: &Workload,
    now: Timestamp,
) -> Next {
    if let Some(pod) = stuck_pod(desired, view, home) {
        return Next::Write(Box::new(pod));
    }
    let bind = |service, slot| Next::Write(Box::new(Write::Bind(manifest::bind(service, slot, fence, now))));
    if let (Some(Slot::Candidate), Some(service)) = (view.bound_to(), &view.service) {
        return match home_can_serve(view, home, desired) {
            true => bind(service, Some(names::HOME)),
            false => Next::Wait("for the home pods to serve"),
        };
    }
    // Back from a release that took part of the requests: it gets none from now
    // on, and ends what it has.
    if let (None, Some(other), Some(service)) = (view.bound_to(), &view.candidate, &view.service)
        && desired.candidate.is_none()
        && other.metadata.deletion_timestamp.is_none()
        && home_is_labelled(view)
        && home_can_serve(view, home, desired)
    {
        return bind(service, Some(names::HOME));
    }
    if let Some(other) = &view.candidate {
        let switched = annotation(view.service.as_ref().map(|s| &s.metadata), names::SWITCHED_AT);
        let since = switched.and_then(|at| at.parse::<Timestamp>().ok());
        let settled = since.is_none_or(|at| now.duration_since(at) >= setting.settle || now < at);
        return match (settled, other.metadata.deletion_timestamp.is_some()) {
            (false, _) => Next::Wait("for the nodes to hear of the switch"),
            (true, true) => Next::Wait("for the second Deployment to go"),
            (true, false) => {
                Next::Write(Box::new(Write::RemoveCandidate { uid: uid(&other.metadata).into() }))
            }
        };
    }
    if let Some(preview) = view.preview.as_ref().filter(|p| p.metadata.deletion_timestamp.is_none()) {
        return Next::Write(Box::new(Write::RemovePreview { uid: uid(&preview.metadata).into() }));
    }
    // Pods of a Deployment that is gone go a moment later; as long as they are
    // there, the user's own selector would send them requests.
    let is_left = |pod: &Pod| {
        label(pod, names::SLOT) == Some(names::CANDIDATE) && pod.metadata.deletion_timestamp.is_none()
    };
    if view.pods.iter().any(is_left) {
        return Next::Wait("for the second Deployment's pods to go");
    }
    match (&view.service, view.bound_to()) {
        // As the user wrote it: there is only one workload to choose.
        (Some(service), Some(Slot::Home)) => bind(service, None),
        _ => Next::Wait("for the cluster"),
    }
}

/// Whether the Service may be bound to the home pods: none that serves is
/// without their label.
fn home_is_labelled(view: &View) -> bool {
    view.own_pods()
        .filter(|(slot, pod)| *slot == Slot::Home && pod.metadata.deletion_timestamp.is_none())
        .all(|(_, pod)| label(pod, names::SLOT) == Some(names::HOME) || !is_ready(pod))
        && view.own_pods().any(|(_, pod)| label(pod, names::SLOT) == Some(names::HOME) && is_ready(pod))
}

/// Whether the home pods can take over: all of them, or, going back from a
/// release that is worse, as many as must never be missing.
fn home_can_serve(view: &View, home: &Workload, desired: &Desired) -> bool {
    if home.is_complete() {
        return true;
    }
    let wanted = desired.stable.as_ref().map(|share| share.release.image.to_string());
    let serves = |pod: &k8s_openapi::api::core::v1::Pod| {
        let spec = pod.spec.as_ref();
        let runs = |image: &str| {
            spec.is_some_and(|s| s.containers.iter().any(|c| c.image.as_deref() == Some(image)))
        };
        is_ready(pod)
            && pod.metadata.deletion_timestamp.is_none()
            && label(pod, names::SLOT) == Some(names::HOME)
            && wanted.as_deref().is_none_or(runs)
    };
    let ready = view.own_pods().filter(|(slot, pod)| *slot == Slot::Home && serves(pod)).count();
    let floor = home.replicas().saturating_sub(desired.max_unavailable).max(1);
    ready >= floor as usize
}

/// A StatefulSet goes back one pod at a time and waits for the broken one to
/// become ready first, for ever: that one has to be taken away.
fn stuck_pod(desired: &Desired, view: &View, home: &Workload) -> Option<Write> {
    let Workload::StatefulSet(set) = home else { return None };
    if desired.candidate.is_some() || !home.is_seen() {
        return None;
    }
    let wanted = set.status.as_ref()?.update_revision.as_deref()?;
    let stuck = view.own_pods().map(|(_, pod)| pod).find(|pod| {
        !is_ready(pod)
            && pod.metadata.deletion_timestamp.is_none()
            && label(pod, "controller-revision-hash").is_some_and(|revision| revision != wanted)
    })?;
    Some(Write::RemovePod { name: stuck.metadata.name.clone()?, uid: uid(&stuck.metadata).into() })
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'a>(
    meta: Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
    key: &str,
) -> Option<&'a str> {
    meta?.annotations.as_ref()?.get(key).map(String::as_str)
}
