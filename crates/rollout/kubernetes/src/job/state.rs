//! What a Job and its pod are at. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, Pod};

use crate::names;

/// How it ended, once it has. Our own condition: a failed Job is at its end.
pub(super) fn end_of(job: &Job) -> Option<Result<(), String>> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    if is("Complete").or_else(|| is("SuccessCriteriaMet")).is_some() {
        return Some(Ok(()));
    }
    // The target comes before its pods are gone; nothing succeeds after it.
    let failed = is("Failed").or_else(|| is("FailureTarget"))?;
    let reason = failed.reason.as_deref().unwrap_or("Failed");
    Some(Err(match failed.message.as_deref() {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }))
}

/// Whether somebody deletes it before it has ended: nothing is said of it any
/// more then.
pub(super) fn is_leaving(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

/// Whether it is kept from making pods.
pub(super) fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))
}

/// The Job that a pod is of.
pub(super) fn job_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(names::JOB).map(String::as_str)
}

/// The newest of a Job's pods: there is one, but for what somebody deleted.
pub(super) fn newest(pods: Vec<Pod>) -> Option<Pod> {
    pods.into_iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Whether its container runs or has run.
pub(super) fn has_run(pod: &Pod, container: &str) -> bool {
    state(pod, container).is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// Whether nothing of it runs any more.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn state<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerState> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == container)?.state.as_ref()
}

/// How far the pod of a Job had got that nobody will say anything of any more,
/// and what follows for the work.
pub(super) fn last_seen(pods: Option<&[Pod]>, container: &str) -> String {
    const NOT_KNOWN: &str = "whether it did its work, or a part of it, is not known";
    let Some(pods) = pods else { return format!("what became of its pod cannot be seen, and {NOT_KNOWN}") };
    let Some(pod) = newest(pods.to_vec()) else { return format!("its pod is gone, too, and {NOT_KNOWN}") };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let state = state(&pod, container);
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return match ended.exit_code {
            0 => format!("its pod {name} had ended with status 0, so its command had done its work"),
            code => format!("its pod {name} ended with status {code}, and {NOT_KNOWN}"),
        };
    }
    if state.is_none_or(|state| state.running.is_none()) {
        return format!("its pod {name} had not begun when it was last seen");
    }
    match pod.metadata.deletion_timestamp {
        Some(_) => format!("its pod {name} was told to end in the middle, and {NOT_KNOWN}"),
        None => format!("its pod {name} still ran, and {NOT_KNOWN}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn pod(state: Value, deleted: bool) -> Pod {
        let at = deleted.then_some("2026-01-01T00:00:00Z");
        let statuses = json!([{ "name": "payouts", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state }]);
        serde_json::from_value(json!({
            "metadata": { "name": "p", "deletionTimestamp": at },
            "status": { "containerStatuses": statuses },
        }))
        .unwrap()
    }

    #[test]
    fn what_is_known_of_the_work_is_said_and_no_more() {
        let said = |pods: Option<&[Pod]>| last_seen(pods, "payouts");
        assert!(said(None).ends_with("is not known"));
        assert!(said(Some(&[])).starts_with("its pod is gone, too"));
        let running = json!({ "running": {} });
        assert!(said(Some(&[pod(running.clone(), true)])).contains("told to end in the middle"));
        assert!(said(Some(&[pod(running, false)])).contains("still ran"));
        let ended = |code: i32| pod(json!({ "terminated": { "exitCode": code } }), true);
        assert!(said(Some(&[ended(0)])).ends_with("had done its work"));
        assert!(said(Some(&[ended(143)])).contains("status 143, and whether"));
        let waiting = pod(json!({ "waiting": { "reason": "ContainerCreating" } }), false);
        assert!(said(Some(&[waiting])).contains("had not begun"));
    }
}
