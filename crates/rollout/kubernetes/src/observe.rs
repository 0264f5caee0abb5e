//! From a look at the cluster to what the machine understands. Pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use plimsoll_model::Digest;
use plimsoll_model::progress::Condition;
use plimsoll_rollout_core::fleet::{CRASH_LOOP_DEATHS, LAST_LINES};
use plimsoll_rollout_core::{Cause, Desired, Failing, Fleet, Observed, Seen, Share, Traffic};

use crate::diagnosis::{self, Finding, diagnose};
use crate::record::Record;
use crate::view::{View, is_ready, uid};
use crate::workload::Workload;

/// What was fetched about pods that are in trouble, by pod id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pub(crate) events: BTreeMap<String, Vec<Event>>,
    pub(crate) last_lines: BTreeMap<String, Vec<String>>,
}

impl Evidence {
    fn events(&self, pod: &Pod) -> &[Event] {
        self.events.get(uid(&pod.metadata)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A pod that events and output should be fetched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Troubled {
    pub(crate) uid: String,
    pub(crate) name: String,
    /// Changes when there is something new to fetch.
    pub(crate) restarts: i32,
    /// Whose output, and of which run, once that is known.
    pub(crate) output: Option<(String, bool)>,
}

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PodState {
    Starting,
    Ready,
    Failing(Finding),
    /// Asked to end, and still receiving requests.
    Draining,
    /// Asked to end, and out of the Service.
    Leaving,
    /// Ended for good; its controller replaces it.
    Dead(String),
}

/// How one pod is.
pub(crate) fn state_of(pod: &Pod, receiving: &BTreeSet<&str>, events: &[Event]) -> PodState {
    if pod.metadata.deletion_timestamp.is_some() {
        let receives = receiving.contains(uid(&pod.metadata));
        return if receives { PodState::Draining } else { PodState::Leaving };
    }
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if matches!(phase, "Failed" | "Succeeded") {
        let said = diagnose(pod, events).map(|finding| finding.message);
        return PodState::Dead(said.unwrap_or_else(|| format!("it ended: {phase}")));
    }
    if is_ready(pod) {
        return PodState::Ready;
    }
    diagnose(pod, events).map_or(PodState::Starting, PodState::Failing)
}

/// The image a pod runs, by digest: what its container is told to run where
/// that is pinned, else what the kubelet says runs.
pub(crate) fn digest_of(pod: &Pod, container: &str) -> Option<Digest> {
    let spec = pod.spec.as_ref()?.containers.iter().find(|c| c.name == container)?;
    spec.image.as_deref().and_then(digest_in).or_else(|| running_digest(pod, container))
}

/// The digest that the kubelet reports of what runs.
pub(crate) fn running_digest(pod: &Pod, container: &str) -> Option<Digest> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    digest_in(&statuses.iter().find(|status| status.name == container)?.image_id)
}

/// The digest at the end of a reference.
pub(crate) fn digest_in(reference: &str) -> Option<Digest> {
    reference.rsplit_once('@')?.1.parse().ok()
}

/// What the machine is told, and which pods to learn more about.
pub(crate) fn observed(
    view: &View,
    record: &Record,
    container: &str,
    evidence: &Evidence,
    next_step: &dyn Fn(&str, Option<&str>, bool) -> String,
    now: Timestamp,
) -> (Observed, Vec<Troubled>) {
    let Some(home) = &view.home else {
        // Whoever asks has made sure that there is one.
        let fleets = BTreeMap::new();
        return (Observed { at: now, generation_seen: 0, fleets, traffic: None, scale: None }, Vec::new());
    };
    let receiving = view.receiving();
    let candidate = view.candidate_workload();
    let mut fleets: BTreeMap<Digest, Fleet> = BTreeMap::new();
    let mut dead: BTreeMap<Digest, Vec<Failing>> = BTreeMap::new();
    let mut troubled = Vec::new();
    let left_alone = left_alone(record);
    let silent = silent_nodes(view, evidence);
    for (_, pod) in view.own_pods() {
        let Some(digest) = digest_of(pod, container).or_else(|| unpinned(pod, container)) else { continue };
        // Nothing of Plimsoll's is wanted: what was there before is the user's.
        if left_alone.is_some_and(|image| told(pod, container) == Some(image)) {
            continue;
        }
        let state = state_of(pod, &receiving, evidence.events(pod));
        let state = on_silent_node(pod, state, &silent);
        let fleet = fleets.entry(digest).or_default();
        let pod_uid = uid(&pod.metadata);
        let name = pod.metadata.name.clone().unwrap_or_default();
        fleet.instances.push(seen(pod, &name, &state, receiving.contains(pod_uid)));
        match state {
            PodState::Starting => {
                fleet.starting += 1;
                if worth_asking(pod, now) {
                    troubled.push(trouble(pod, pod_uid, &name, None));
                }
            }
            PodState::Ready => {
                fleet.ready += 1;
                fleet.serving += u32::from(receiving.contains(pod_uid));
            }
            PodState::Draining => fleet.draining += 1,
            PodState::Leaving => fleet.leaving += 1,
            PodState::Failing(finding) => {
                troubled.push(trouble(pod, pod_uid, &name, Some(&finding)));
                if record.was_before(pod_uid) {
                    fleet.failing_before += 1;
                } else {
                    fleet.failing.push(failing(&name, pod_uid, &finding, evidence, next_step));
                }
            }
            PodState::Dead(message) if !record.was_before(pod_uid) => {
                let last_lines = Vec::new();
                let (instance, cause) = (name, Cause::CrashLoop);
                dead.entry(digest).or_default().push(Failing {
                    instance,
                    cause,
                    message,
                    last_lines,
                    heals: false,
                });
            }
            PodState::Dead(_) => {}
        }
    }
    for (digest, mut dead) in dead {
        if let Some(mut last) = dead.pop().filter(|_| dead.len() + 1 >= CRASH_LOOP_DEATHS) {
            last.message = format!("{} pods ended for good; the last: {}", dead.len() + 1, last.message);
            fleets.entry(digest).or_default().failing.push(last);
        }
    }
    hold_back(&mut fleets, home, home.image(container).and_then(digest_in));
    if let Some(candidate) = &candidate {
        hold_back(&mut fleets, candidate, candidate.image(container).and_then(digest_in));
    }
    for workload in [Some(home), candidate.as_ref()].into_iter().flatten() {
        if let Some(finding) = diagnosis::not_created(workload, &view.replica_sets)
            && let Some(digest) = workload.image(container).and_then(digest_in)
        {
            let message = format!("{}; {}", finding.message, next_step("", None, false));
            let instance = format!("{} {}", workload.kind(), workload.name());
            let (cause, heals) = (finding.cause, finding.heals);
            let failing = Failing { instance, cause, message, last_lines: Vec::new(), heals };
            fleets.entry(digest).or_default().failing.push(failing);
        }
    }
    if is_untidy(view, record) {
        let digest = home.image(container).and_then(digest_in);
        fleets.entry(digest.unwrap_or_else(|| Digest::from_sha256([0; 32]))).or_default().draining += 1;
    }
    let fresh = home.is_seen() && candidate.as_ref().is_none_or(Workload::is_seen);
    let generation_seen = if fresh { record.generation() } else { record.generation().saturating_sub(1) };
    let traffic = record.desired.as_ref().and_then(|desired| traffic_of(desired, &fleets));
    let scale = Some(home.replicas().max(1));
    (Observed { at: now, generation_seen, fleets, traffic, scale }, troubled)
}

/// Whether something of a blue/green rollout is left although only the home
/// workload is wanted: what is left is on its way out like a pod that drains,
/// and no rollout ends before it is gone.
fn is_untidy(view: &View, record: &Record) -> bool {
    let alone = record.desired.as_ref().is_some_and(|desired| desired.candidate.is_none());
    let preview = view.preview.as_ref().is_some_and(|p| p.metadata.deletion_timestamp.is_none());
    alone && (view.candidate.is_some() || preview || view.bound_to().is_some())
}

/// Nodes on which some pod is known not to be reached any more.
fn silent_nodes<'a>(view: &'a View, evidence: &Evidence) -> BTreeMap<&'a str, Finding> {
    let lost = view.own_pods().filter(|(_, pod)| !is_ready(pod)).filter_map(|(_, pod)| {
        let finding = diagnose(pod, evidence.events(pod)).filter(|f| f.cause == Cause::Lost)?;
        Some((pod.spec.as_ref()?.node_name.as_deref()?, finding))
    });
    lost.collect()
}

/// What a pod's kubelet said last is old where its node is silent.
fn on_silent_node(pod: &Pod, state: PodState, silent: &BTreeMap<&str, Finding>) -> PodState {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let lost = node.and_then(|node| silent.get(node));
    match (lost, state) {
        (Some(lost), PodState::Starting | PodState::Failing(_)) => PodState::Failing(lost.clone()),
        (_, state) => state,
    }
}

/// The image of pods that are none of Plimsoll's business now.
fn left_alone(record: &Record) -> Option<&str> {
    let desired = record.desired.as_ref()?;
    let nothing = desired.stable.is_none() && desired.candidate.is_none();
    record.adopted_image.as_deref().filter(|_| nothing)
}

fn told<'a>(pod: &'a Pod, container: &str) -> Option<&'a str> {
    pod.spec.as_ref()?.containers.iter().find(|c| c.name == container)?.image.as_deref()
}

/// A key for an image that is known by a tag only and does not run yet: it is
/// certainly not the release that is being rolled out, and has to be counted.
fn unpinned(pod: &Pod, container: &str) -> Option<Digest> {
    let image = told(pod, container)?;
    let mut bytes = [0_u8; 32];
    let print = crate::manifest::fingerprint(&serde_json::json!(image));
    for (to, from) in bytes.iter_mut().zip(print.bytes().cycle()) {
        *to = from;
    }
    Some(Digest::from_sha256(bytes))
}

/// Our own count of ready pods is never ahead of what the controller counts as
/// updated and available (`minReadySeconds`, by its clock): a difference is
/// somebody's delay, and the last pod waits for it. What the controller has not
/// seen yet counts for nothing anyway (`generation_seen`).
fn hold_back(fleets: &mut BTreeMap<Digest, Fleet>, workload: &Workload, digest: Option<Digest>) {
    let Some(fleet) = digest.and_then(|digest| fleets.get_mut(&digest)) else { return };
    let counted = workload.is_complete() || !workload.is_seen();
    if fleet.ready > 0 && fleet.ready >= workload.replicas() && !counted {
        fleet.ready -= 1;
        fleet.starting += 1;
        fleet.serving = fleet.serving.min(fleet.ready);
    }
}

/// A pod that has been about to be ready for a while: its events may say why.
fn worth_asking(pod: &Pod, now: Timestamp) -> bool {
    const LONG: SignedDuration = SignedDuration::from_secs(1);
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.is_none_or(|at| now.duration_since(at) >= LONG || now < at)
}

/// A pod as a person follows it.
fn seen(pod: &Pod, name: &str, state: &PodState, receives: bool) -> Seen {
    let (condition, reason) = match state {
        PodState::Starting => (Condition::Starting, String::new()),
        PodState::Ready => (Condition::Ready, String::new()),
        PodState::Failing(finding) => {
            (Condition::Failing, format!("{} {}", finding.cause.code(), finding.message))
        }
        PodState::Draining | PodState::Leaving => (Condition::Draining, String::new()),
        PodState::Dead(message) => (Condition::Ended, message.clone()),
    };
    Seen {
        name: name.to_owned(),
        state: condition,
        reason,
        restarts: u32::try_from(restarts(pod)).unwrap_or_default(),
        serving: receives,
        weight: 1,
        since: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).sum()
}

fn trouble(pod: &Pod, uid: &str, name: &str, finding: Option<&Finding>) -> Troubled {
    let restarts = restarts(pod);
    let output = finding.and_then(|f| Some((f.container.clone()?, f.previous)));
    Troubled { uid: uid.into(), name: name.into(), restarts, output }
}

fn failing(
    name: &str,
    uid: &str,
    finding: &Finding,
    evidence: &Evidence,
    next_step: &dyn Fn(&str, Option<&str>, bool) -> String,
) -> Failing {
    let mut last_lines =
        evidence.events.get(uid).map(|events| diagnosis::event_lines(events)).unwrap_or_default();
    let wrote = evidence.last_lines.get(uid).cloned().unwrap_or_default();
    let room = LAST_LINES.saturating_sub(last_lines.len());
    last_lines.extend_from_slice(&wrote[wrote.len().saturating_sub(room)..]);
    let next = next_step(name, finding.container.as_deref(), finding.previous);
    Failing {
        instance: name.into(),
        cause: finding.cause,
        message: format!("{}; {next}", finding.message),
        last_lines,
        heals: finding.heals,
    }
}

fn traffic_of(desired: &Desired, fleets: &BTreeMap<Digest, Fleet>) -> Option<Traffic> {
    let serves = |share: &Option<Share>| {
        share.as_ref().and_then(|s| fleets.get(&s.release.digest())).is_some_and(|f| f.serving > 0)
    };
    match (serves(&desired.stable), serves(&desired.candidate)) {
        (true, true) => Some(Traffic::Shared),
        (true, false) => Some(Traffic::Stable),
        (false, true) => Some(Traffic::Candidate),
        (false, false) => None,
    }
}
