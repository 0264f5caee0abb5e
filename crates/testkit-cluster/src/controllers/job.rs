//! Jobs: pods that are to end.

use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use super::owned::{MANAGER, Named, Pods};
use crate::api::{DeleteOptions, WriteOptions};
use crate::object::{
    at, condition, is_finished, is_leaving, is_ready, list, name, namespace, number, parse_time, text, time,
    uid,
};
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "job-controller";

/// The first pause after a failed pod; it doubles.
const FIRST_BACKOFF: u64 = 10_000;
const LONGEST_BACKOFF: u64 = 600_000;

pub(super) fn pass(world: &mut World) {
    for (key, job) in world.all("jobs", "") {
        sync(world, &key, &job);
    }
}

struct Counts {
    active: Pods,
    ready: usize,
    succeeded: i64,
    failed: i64,
    leaving: usize,
}

fn count(pods: Pods, policy: &str) -> Counts {
    let phase = |pods: &Pods, phase: &str| {
        i64::try_from(pods.iter().filter(|(_, pod)| text(pod, "/status/phase") == phase).count()).unwrap_or(0)
    };
    let restarts: i64 = pods
        .iter()
        .filter(|(_, pod)| !is_finished(pod) && policy == "OnFailure")
        .flat_map(|(_, pod)| list(pod, "/status/containerStatuses"))
        .map(|status| number(status, "/restartCount"))
        .sum();
    let succeeded = phase(&pods, "Succeeded");
    let failed = phase(&pods, "Failed") + restarts;
    let leaving = pods.iter().filter(|(_, pod)| is_leaving(pod) && !is_finished(pod)).count();
    let active: Pods = pods.into_iter().filter(|(_, pod)| !is_finished(pod) && !is_leaving(pod)).collect();
    let ready = active.iter().filter(|(_, pod)| is_ready(pod)).count();
    Counts { active, ready, succeeded, failed, leaving }
}

fn sync(world: &mut World, key: &Key, job: &Arc<Value>) {
    let ended = ["Complete", "Failed"].into_iter().find_map(|kind| condition(job, kind));
    if let Some(ended) = ended {
        expire(world, key, job, ended);
        return;
    }
    if is_leaving(job) {
        return;
    }
    let policy = text(job, "/spec/template/spec/restartPolicy").to_owned();
    let mut counts = count(world.pods_of(job, namespace(job), MANAGER), &policy);
    let wanted = at(job, "/spec/completions").as_i64().unwrap_or(1);
    let limit = at(job, "/spec/backoffLimit").as_i64().unwrap_or(6);
    let started = parse_time(text(job, "/status/startTime")).unwrap_or(world.now);
    let deadline = at(job, "/spec/activeDeadlineSeconds").as_u64().map(|seconds| started + seconds * 1000);
    if let Some(deadline) = deadline {
        world.wake_at(deadline);
    }
    let failure = if counts.failed > limit {
        Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if deadline.is_some_and(|deadline| world.now >= deadline) {
        Some(("DeadlineExceeded", "Job was active longer than specified deadline"))
    } else {
        None
    };
    let mut conditions = super::owned::conditions(job);
    let now = time(world.now);
    let mut note = |kind: &str, reason: &str, message: &str| {
        if !conditions.iter().any(|one| one["type"] == kind) {
            conditions.push(json!({
                "type": kind, "status": "True", "reason": reason, "message": message,
                "lastProbeTime": now, "lastTransitionTime": now,
            }));
        }
    };
    let mut completed = false;
    if let Some((reason, message)) = failure {
        note("FailureTarget", reason, message);
        for (pod, _) in &counts.active {
            world.remove_pod(pod, MANAGER);
        }
        counts = count(world.pods_of(job, namespace(job), MANAGER), &policy);
        if counts.active.is_empty() && counts.leaving == 0 {
            note("Failed", reason, message);
            world.event(&About::object(job), true, reason, message, COMPONENT);
        }
    } else if counts.succeeded >= wanted {
        let message = "Reached expected number of succeeded pods";
        note("SuccessCriteriaMet", "CompletionsReached", message);
        if counts.active.is_empty() && counts.leaving == 0 {
            note("Complete", "CompletionsReached", message);
            world.event(&About::object(job), false, "Completed", "Job completed", COMPONENT);
            completed = true;
        }
    } else if at(job, "/spec/suspend") != true {
        start(world, job, &counts, wanted);
        counts = count(world.pods_of(job, namespace(job), MANAGER), &policy);
    }
    let mut status = json!({
        "startTime": time(started), "ready": counts.ready, "terminating": counts.leaving,
        "uncountedTerminatedPods": {},
    });
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    let numbers = [
        ("active", i64::try_from(counts.active.len()).unwrap_or(0)),
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
    ];
    for (field, count) in numbers.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    if completed {
        status["completionTime"] = time(world.now).into();
    }
    world.put_status(key, job, status);
}

/// Starts what is missing; after a failure not before its pause.
fn start(world: &mut World, job: &Value, counts: &Counts, wanted: i64) {
    let parallel = at(job, "/spec/parallelism").as_i64().unwrap_or(1).min(wanted - counts.succeeded);
    let running = i64::try_from(counts.active.len() + counts.leaving).unwrap_or(0);
    let missing = parallel - running;
    if missing <= 0 {
        return;
    }
    if counts.failed > 0 {
        let doubled = u32::try_from(counts.failed - 1).unwrap_or(0).min(16);
        let pause = (FIRST_BACKOFF << doubled).min(LONGEST_BACKOFF);
        let last = world
            .pods_of(job, namespace(job), MANAGER)
            .iter()
            .flat_map(|(_, pod)| list(pod, "/status/containerStatuses").to_vec())
            .filter_map(|status| parse_time(text(&status, "/state/terminated/finishedAt")))
            .max();
        let again = last.unwrap_or(world.now) + pause;
        if world.now < again {
            world.wake_at(again);
            return;
        }
    }
    let retry = world.memory.again.get(&(uid(job).to_owned(), "create".to_owned()));
    if retry.is_some_and(|at| *at > world.now) {
        return;
    }
    let prefix = format!("{}-", name(job));
    for _ in 0..missing {
        match world.make_pod(job, at(job, "/spec/template"), &Named::Generated(&prefix), MANAGER) {
            Ok(pod) => {
                let words = format!("Created pod: {}", name(&pod));
                world.event(&About::object(job), false, "SuccessfulCreate", &words, COMPONENT);
            }
            Err(failure) => {
                let words = format!("Error creating: {}", failure.message);
                world.event(&About::object(job), true, "FailedCreate", &words, COMPONENT);
                world.due_again(uid(job), "create", 2_000);
                world.wake_at(world.now + 2_000);
                return;
            }
        }
    }
}

/// Removes an ended job after its time.
fn expire(world: &mut World, key: &Key, job: &Value, ended: &Value) {
    let Some(seconds) = at(job, "/spec/ttlSecondsAfterFinished").as_u64() else { return };
    let at = parse_time(text(ended, "/lastTransitionTime")).unwrap_or(world.now) + seconds * 1000;
    if world.now < at {
        world.wake_at(at);
    } else if !is_leaving(job) {
        let options = DeleteOptions { propagation: "Foreground".into(), ..DeleteOptions::default() };
        // It was there just now.
        drop(world.delete(key.kind, key, &options, &WriteOptions::system(MANAGER)));
    }
}
