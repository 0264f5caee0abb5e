//! The comparison. Pure.

use k8s_openapi::api::core::v1::Pod;
use plimsoll_model::Digest;

use super::{Drift, DriftFacts, OfRollout, Recorded, RunningPod, service};
use crate::names;
use crate::observe::{digest_in, digest_of, running_digest};
use crate::target::Options;
use crate::view::{Slot, View, controller, is_ready, matches, uid};
use crate::workload::{Workload, WorkloadKind};

/// Whose a pod is, by what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of what should run; before the first rollout has ended, of what was there.
    Current,
    /// Of what the rollout on its way brings.
    New,
    /// Of a release that was rolled out before.
    Older(Digest),
    /// Of nobody that Plimsoll knows.
    Stranger,
}

impl Whose {
    /// Whether it may have requests.
    pub(super) fn is_meant(self) -> bool {
        matches!(self, Self::Current | Self::New)
    }

    fn of(pod: &Pod, image: &str, view: &View, container: &str, recorded: &Recorded<'_>) -> Self {
        if view.slot_of(pod).is_none() {
            return Self::Stranger;
        }
        let digest = digest_of(pod, container);
        let is = |other: Digest| digest == Some(other);
        if recorded.current.is_some_and(|release| is(release.digest())) || adopted(view, recorded, image) {
            return Self::Current;
        }
        if recorded.rollout.is_some_and(|rollout| is(rollout.to.digest())) {
            return Self::New;
        }
        match digest.filter(|digest| recorded.earlier.contains(digest)) {
            Some(digest) => Self::Older(digest),
            None => Self::Stranger,
        }
    }
}

/// Whether it is the image that ran before the first rollout, and that has no end
/// yet. Before its first write nothing is noted, and nothing is Plimsoll's.
fn adopted(view: &View, recorded: &Recorded<'_>, image: &str) -> bool {
    let first = recorded.current.is_none() && recorded.rollout.is_some();
    let before = view.home.as_ref().and_then(|home| home.annotation(names::ADOPTED_IMAGE));
    first && before.is_none_or(|before| before == image)
}

pub(super) fn facts(view: &View, options: &Options, recorded: &Recorded<'_>) -> DriftFacts {
    let (container, service) = (options.container.as_str(), options.service.as_str());
    let Some(home) = &view.home else {
        let (workload, image) = (String::new(), String::new());
        return DriftFacts { workload, image, pods: Vec::new(), drift: Vec::new(), of_rollout: Vec::new() };
    };
    let object = format!("{} {}", home.kind(), home.name());
    let image = home.image(container).unwrap_or_default().to_owned();
    let (mut drift, mut of_rollout, mut pods) = (Vec::new(), Vec::new(), Vec::new());
    let is =
        |release: Option<&plimsoll_model::Release>| release.is_some_and(|r| r.image.to_string() == image);
    let to = recorded.rollout.map(|rollout| rollout.to);
    if is(to) && !is(recorded.current) {
        of_rollout.push(OfRollout { object: object.clone(), image: image.clone() });
    } else if !is(recorded.current) && !adopted(view, recorded, &image) {
        let by = home.image_changed_by(container);
        drift.push(Drift::ChangedByHand {
            object: object.clone(),
            expected: recorded.current.or(to).map(|release| release.image.to_string()).unwrap_or_default(),
            found: image.clone(),
            by: by.as_ref().map(|by| by.manager.clone()),
            at: by.and_then(|by| by.at),
        });
    }
    let (receiving, selector) = (view.receiving(), view.selector());
    let (mut ready_as_meant, mut serving) = (0, Vec::new());
    for pod in &view.pods {
        let slot = view.slot_of(pod);
        let served = receiving.contains(uid(&pod.metadata));
        // Others that the workload's selector happens to match, and no user reaches.
        let selected = !selector.is_empty() && matches(&selector, pod.metadata.labels.as_ref());
        let leaving = pod.metadata.deletion_timestamp.is_some();
        if leaving || slot.is_none() && !(served || selected) {
            continue;
        }
        let found = running(pod, container, served);
        let whose = Whose::of(pod, &found.image, view, container, recorded);
        match whose {
            Whose::Current => {}
            Whose::New => {
                let object = format!("pod {}", found.pod);
                of_rollout.push(OfRollout { object, image: found.image.clone() });
            }
            Whose::Older(digest) => drift.push(Drift::Older { pod: found.pod.clone(), digest }),
            Whose::Stranger => {
                let owner = controller(&pod.metadata).filter(|_| slot.is_none());
                let made_by = owner.map(|owner| format!("{} {}", owner.kind, owner.name));
                let (pod, image) = (found.pod.clone(), found.image.clone());
                drift.push(Drift::Extra { pod, image, made_by });
            }
        }
        if let (Some(told), Some(running)) = (found.told, found.running)
            && told != running
        {
            drift.push(Drift::Differs { pod: found.pod.clone(), expected: told, found: running });
        }
        // The second Deployment's pods stand in for the others on the way only.
        let counts = slot == Some(Slot::Home) || recorded.rollout.is_some();
        ready_as_meant += u32::from(found.ready && whose.is_meant() && counts);
        if served {
            serving.push((found.pod.clone(), whose));
        }
        pods.push(found);
    }
    if ready_as_meant + may_be_missing(home, recorded) < home.replicas() {
        drift.push(Drift::Missing { expected: home.replicas(), found: ready_as_meant });
    }
    drift.extend(service::astray(view, home, service, recorded, &serving));
    DriftFacts { workload: object, image, pods, drift, of_rollout }
}

/// How many pods the rollout on its way may do without; never all of a Deployment's.
fn may_be_missing(home: &Workload, recorded: &Recorded<'_>) -> u32 {
    let most = match home.kind() {
        WorkloadKind::Deployment => home.replicas().saturating_sub(1),
        WorkloadKind::StatefulSet => home.replicas(),
    };
    recorded.rollout.map_or(0, |rollout| rollout.max_unavailable.min(most))
}

fn running(pod: &Pod, container: &str, serving: bool) -> RunningPod {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|spec| spec.containers.iter().find(|c| c.name == container));
    // A stranger's pod has no container of that name.
    let first = spec.and_then(|spec| spec.containers.first());
    let image = own.or(first).and_then(|c| c.image.clone()).unwrap_or_default();
    RunningPod {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        told: digest_in(&image),
        running: running_digest(pod, container),
        image,
        ready: is_ready(pod),
        serving,
        since: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}
