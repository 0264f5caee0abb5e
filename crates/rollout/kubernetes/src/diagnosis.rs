//! Why a pod does not serve: from its status, its conditions, its events and
//! its controller's conditions. Pure.
//!
//! What the kubelet and the scheduler repeat for ever is told from what they
//! may still get over: the former stops a rollout at once, the latter has the
//! grace of a failing probe. The first cause is looked for, in the order in
//! which a pod comes to life: admitted, scheduled, image, configuration,
//! start, run, probe.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use plimsoll_rollout_core::Cause;

use crate::view::condition;
use crate::workload::Workload;

/// Restarts after having been ready that make a crash loop.
const CRASH_LOOP_RESTARTS: i32 = 3;
/// A longer message is cut in its middle: errors that wrap each other repeat what
/// they are about, and have the cause at their end.
const LONGEST_MESSAGE: usize = 400;
/// What is kept of its end.
const END_OF_MESSAGE: usize = 240;
/// Events shown of a failing instance.
const MOST_EVENTS: usize = 8;

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The machine's word for it.
    pub cause: Cause,
    /// One sentence, with the cluster's own words.
    pub message: String,
    /// Whether waiting may heal it.
    pub heals: bool,
    /// The container whose output explains it.
    pub container: Option<String>,
    /// Whether that output is of the run before the present one.
    pub previous: bool,
}

impl Finding {
    fn new(cause: Cause, message: impl Into<String>) -> Self {
        let message = shortened(&message.into());
        Self { cause, message, heals: false, container: None, previous: false }
    }

    fn healing(mut self) -> Self {
        self.heals = true;
        self
    }

    fn in_container(mut self, name: &str, previous: bool) -> Self {
        self.container = Some(name.into());
        self.previous = previous;
        self
    }
}

/// What is wrong with a pod that is not ready; nothing when it is only on its
/// way. `events` are the pod's own.
pub fn diagnose(pod: &Pod, events: &[Event]) -> Option<Finding> {
    let status = pod.status.as_ref()?;
    if let Some(found) = lost_or_evicted(pod, events) {
        return Some(found);
    }
    if let Some(scheduled) = condition(pod, "PodScheduled").filter(|c| c.status == "False") {
        return unscheduled(scheduled.message.as_deref().unwrap_or_default(), events);
    }
    let init = status.init_container_statuses.iter().flatten();
    let containers: Vec<&ContainerStatus> = init.chain(status.container_statuses.iter().flatten()).collect();
    let waiting = containers.iter().find_map(|container| waiting(container, events));
    waiting
        .or_else(|| containers.iter().find_map(|container| ended(container)))
        .or_else(|| stuck_before_start(pod, events))
        .or_else(|| failing_probe(&containers, events))
}

/// A container that the kubelet has not got to run.
fn waiting(container: &ContainerStatus, events: &[Event]) -> Option<Finding> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let said = waiting.message.as_deref().unwrap_or_default();
    let name = &container.name;
    Some(match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => pull(container, said, events),
        "InvalidImageName" | "ErrImageNeverPull" => {
            Finding::new(Cause::ImageUnavailable, format!("{}: {said}", container.image))
        }
        "CreateContainerConfigError" => Finding::new(
            Cause::CannotStart,
            format!("container {name} cannot be configured: {}", or(said, "no reason given")),
        ),
        "CreateContainerError" | "RunContainerError" | "PreStartHookError" | "PostStartHookError" => {
            Finding::new(
                Cause::CannotStart,
                format!("container {name} cannot be started: {}", or(said, reason)),
            )
            .in_container(name, container.restart_count > 0)
        }
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            crashed(container, last, true)
        }
        _ => return None,
    })
}

/// The kubelet could not fetch an image. What a registry denies stays denied;
/// a line that is down may come back.
fn pull(container: &ContainerStatus, said: &str, events: &[Event]) -> Finding {
    // The back-off says nothing; the failure before it is in the events.
    let failed = newest(events, |event| {
        event.reason.as_deref() == Some("Failed")
            && event.message.as_deref().is_some_and(|message| message.contains("pull"))
    });
    let said = match said {
        said if said.is_empty() || said.starts_with("Back-off") => failed.as_deref().unwrap_or(said),
        said => said,
    };
    let finding = Finding::new(
        Cause::ImageUnavailable,
        format!("image {} cannot be pulled: {}", container.image, or(said, "no reason given")),
    );
    let lower = said.to_lowercase();
    let passing = [
        "timeout",
        "timed out",
        "connection refused",
        "connection reset",
        "no such host",
        "temporary failure",
        "tls handshake",
        "unexpected eof",
        "toomanyrequests",
        "too many requests",
        "500 internal",
        "502 bad",
        "503 service",
        "504 gateway",
        "server misbehaving",
        "context deadline",
    ];
    let nothing_known = said.is_empty() || said.starts_with("Back-off");
    if nothing_known || passing.iter().any(|words| lower.contains(words)) {
        finding.healing()
    } else {
        finding
    }
}

/// A container that ended although nobody asked it to.
fn ended(container: &ContainerStatus) -> Option<Finding> {
    let state = container.state.as_ref()?;
    if let Some(terminated) = &state.terminated {
        // A finished init container is as it should be.
        return (terminated.exit_code != 0 || terminated.signal.is_some_and(|signal| signal != 0))
            .then(|| crashed(container, Some(terminated), false));
    }
    let last = container.last_state.as_ref()?.terminated.as_ref()?;
    let was_killed_for_memory = last.reason.as_deref() == Some("OOMKilled");
    (!container.ready && (was_killed_for_memory || container.restart_count >= CRASH_LOOP_RESTARTS))
        .then(|| crashed(container, Some(last), true))
}

/// It ended. Once may be an accident: the kubelet starts it again at once.
fn crashed(container: &ContainerStatus, last: Option<&ContainerStateTerminated>, again: bool) -> Finding {
    let name = &container.name;
    let restarts = container.restart_count;
    let how = last.map_or_else(|| "ended".into(), end_of);
    let cannot_start =
        last.is_some_and(|last| matches!(last.reason.as_deref(), Some("StartError" | "ContainerCannotRun")));
    if cannot_start {
        let message = format!("container {name} cannot be started: {how}");
        return Finding::new(Cause::CannotStart, message);
    }
    let times = match restarts {
        0 => String::new(),
        1 => ", and was started again once".into(),
        _ => format!(", and was started again {restarts} times"),
    };
    let cause = if restarts >= CRASH_LOOP_RESTARTS { Cause::CrashLoop } else { Cause::ExitedAtOnce };
    let finding = Finding::new(cause, format!("container {name} {how}{times}"));
    // Its output is of the run before as soon as the next one waits or runs.
    let previous = container.state.as_ref().is_some_and(|state| state.terminated.is_none()) && restarts > 0;
    let finding = finding.in_container(name, previous);
    let for_memory = last.is_some_and(|last| last.reason.as_deref() == Some("OOMKilled"));
    if again || for_memory { finding } else { finding.healing() }
}

fn end_of(last: &ContainerStateTerminated) -> String {
    let reason = last.reason.as_deref().unwrap_or_default();
    let said = last.message.as_deref().map(str::trim).filter(|said| !said.is_empty());
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    match (reason, last.exit_code, last.signal.unwrap_or(0)) {
        ("OOMKilled", _, _) => "was killed for using more memory than its limit (OOMKilled)".into(),
        ("StartError" | "ContainerCannotRun", code, _) => format!("{reason}, exit status {code}{said}"),
        (_, _, signal) if signal != 0 => format!("was ended by signal {signal}{said}"),
        (_, code, _) if code > 128 => {
            format!("exited with status {code}, which is signal {}{said}", code - 128)
        }
        (_, code, _) => format!("exited with status {code}{said}"),
    }
}

/// Nothing runs yet, and the events say why: a volume, a sandbox, a secret.
fn stuck_before_start(pod: &Pod, events: &[Event]) -> Option<Finding> {
    if pod.status.as_ref()?.phase.as_deref() != Some("Pending") {
        return None;
    }
    const REASONS: [&str; 4] =
        ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"];
    let said = newest(events, |event| event.reason.as_deref().is_some_and(|r| REASONS.contains(&r)))?;
    Some(Finding::new(Cause::CannotStart, said).healing())
}

/// It runs, and a probe says no. Only an event knows which probe and how.
fn failing_probe(containers: &[&ContainerStatus], events: &[Event]) -> Option<Finding> {
    let running = |container: &&&ContainerStatus| {
        !container.ready && container.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    let container = containers.iter().find(running)?;
    let said = newest(events, |event| event.reason.as_deref() == Some("Unhealthy"));
    let killed = newest(events, |event| {
        event.reason.as_deref() == Some("Killing")
            && event.message.as_deref().is_some_and(|message| message.contains("probe"))
    });
    let said = match (said, killed) {
        (Some(said), Some(_)) if container.restart_count > 0 => {
            format!("{said}; the kubelet ended it for that {} times", container.restart_count)
        }
        (Some(said), _) => said,
        (None, Some(killed)) => killed,
        // It has not been probed yet, or is not told to be.
        (None, None) => return None,
    };
    Some(Finding::new(Cause::ProbeFailed, said).in_container(&container.name, false))
}

/// The scheduler finds no room, in its own words.
fn unscheduled(said: &str, events: &[Event]) -> Option<Finding> {
    // A new machine is on its way.
    if newest(events, |event| event.reason.as_deref() == Some("TriggeredScaleUp")).is_some() {
        return None;
    }
    let failed = newest(events, |event| event.reason.as_deref() == Some("FailedScheduling"));
    let said = if said.is_empty() { failed.unwrap_or_else(|| "no reason given".into()) } else { said.into() };
    Some(Finding::new(Cause::CannotBeScheduled, format!("it cannot be scheduled: {said}")).healing())
}

fn lost_or_evicted(pod: &Pod, events: &[Event]) -> Option<Finding> {
    let status = pod.status.as_ref()?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("its node");
    let said = status.message.as_deref().unwrap_or_default();
    if status.reason.as_deref() == Some("Evicted") {
        return Some(Finding::new(
            Cause::CannotBeScheduled,
            format!("it was evicted from {node}: {}", or(said, "no reason given")),
        ));
    }
    if let Some(disrupted) = condition(pod, "DisruptionTarget").filter(|c| c.status == "True") {
        let reason = disrupted.reason.as_deref().unwrap_or_default();
        let said = disrupted.message.as_deref().unwrap_or(reason);
        let (cause, what) = match reason {
            "DeletionByTaintManager" | "DeletionByPodGC" => (Cause::Lost, "was lost with its node"),
            "PreemptionByScheduler" => (Cause::CannotBeScheduled, "had to make room"),
            _ => (Cause::CannotBeScheduled, "is being evicted from"),
        };
        return Some(Finding::new(cause, format!("it {what} {node}: {said}")).healing());
    }
    let lost =
        matches!(status.reason.as_deref(), Some("NodeLost" | "NodeAffinity" | "Shutdown" | "Terminated"));
    let not_ready = condition(pod, "Ready").filter(|ready| ready.status != "True");
    // The node's controller marks the pod; the kubelet would have marked its
    // containers.
    let silent = not_ready.is_some_and(|ready| ready.status == "Unknown")
        || (not_ready.is_some() && {
            let containers = status.container_statuses.iter().flatten();
            let mut containers = containers.peekable();
            containers.peek().is_some()
                && containers.all(|container| container.ready)
                && newest(events, |event| event.reason.as_deref() == Some("NodeNotReady")).is_some()
        });
    (lost || silent).then(|| {
        let message = format!("{node}, on which it runs, does not answer{}", and(said));
        Finding::new(Cause::Lost, message).healing()
    })
}

/// Pods that are not even made: quota, admission, from their controller's
/// conditions.
pub fn not_created(home: &Workload, sets: &[ReplicaSet]) -> Option<Finding> {
    let own = sets.iter().filter(|set| {
        crate::view::controller(&set.metadata).is_some_and(|owner| owner.uid == home.uid())
            && crate::workload::unsigned(set.spec.as_ref().and_then(|spec| spec.replicas)) > 0
    });
    let conditions = own
        .flat_map(|set| set.status.iter().flat_map(|status| status.conditions.iter().flatten()))
        .filter(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    let said = conditions.filter_map(|condition| condition.message.clone()).next().or_else(|| {
        let Workload::Deployment(deployment) = home else { return None };
        let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
        let failure = conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
        failure.message.clone()
    })?;
    Some(refused(&said))
}

/// Somebody keeps a Job from making pods, such as a queue of the cluster's.
pub(crate) fn suspended() -> Finding {
    Finding::new(Cause::CannotBeScheduled, "it is suspended (`spec.suspend`)").healing()
}

/// What the API server says when it does not take a pod.
pub(crate) fn refused(said: &str) -> Finding {
    let lower = said.to_lowercase();
    if lower.contains("exceeded quota")
        || lower.contains("must specify limits")
        || lower.contains("limitrange")
    {
        let finding = Finding::new(Cause::CannotBeScheduled, format!("the namespace's quota: {said}"));
        // Room may come from a pod that is about to go.
        return if lower.contains("must specify") { finding } else { finding.healing() };
    }
    if lower.contains("serviceaccount") && lower.contains("not found") {
        return Finding::new(Cause::CannotStart, said);
    }
    if lower.contains("timeout") || lower.contains("connection refused") || lower.contains("failed calling") {
        return Finding::new(Cause::NotAdmitted, format!("an admission webhook does not answer: {said}"))
            .healing();
    }
    Finding::new(Cause::NotAdmitted, format!("the cluster refuses its pods: {said}"))
}

/// The newest event of a kind, in words.
fn newest(events: &[Event], is: impl Fn(&Event) -> bool) -> Option<String> {
    let newest = events.iter().filter(|event| is(event)).max_by_key(|event| at(event))?;
    newest.message.as_deref().map(|message| message.trim().to_owned())
}

fn at(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref().map(|t| t.0));
    series
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.first_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// A pod's events as lines to read, oldest first, the newest few.
pub fn event_lines(events: &[Event]) -> Vec<String> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| at(event));
    let newest = sorted.iter().skip(sorted.len().saturating_sub(MOST_EVENTS));
    newest
        .map(|event| {
            let count = event.count.or_else(|| event.series.as_ref().and_then(|series| series.count));
            let times = count.filter(|n| *n > 1).map(|n| format!(" (x{n})")).unwrap_or_default();
            let reason = event.reason.as_deref().unwrap_or("Unknown");
            let said = event.message.as_deref().unwrap_or_default();
            shortened(&format!("event: {reason}{times}: {said}"))
        })
        .collect()
}

/// One line without control characters, cut in the middle where it is too long.
pub(crate) fn shortened(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
    }
    let length = line.chars().count();
    if length <= LONGEST_MESSAGE {
        return line;
    }
    let begin: String = line.chars().take(LONGEST_MESSAGE - END_OF_MESSAGE).collect();
    let end: String = line.chars().skip(length - END_OF_MESSAGE).collect();
    format!("{begin} … {end}")
}

fn or<'a>(said: &'a str, otherwise: &'a str) -> &'a str {
    if said.trim().is_empty() { otherwise } else { said }
}

fn and(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
