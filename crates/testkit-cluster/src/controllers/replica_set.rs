//! Replica sets: as many pods as are wanted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use super::owned::{MANAGER, Named, Pods, active, conditions, generation, replicas};
use crate::object::{annotation, at, is_leaving, is_ready, label, name, namespace, number, text, time, uid};
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "replicaset-controller";

/// A creation that was refused is tried again after this.
const RETRY: u64 = 2_000;

pub(super) fn pass(world: &mut World) {
    for (key, set) in world.all("replicasets", "") {
        sync(world, &key, &set);
    }
}

fn sync(world: &mut World, key: &Key, set: &Arc<Value>) {
    let mut pods = world.pods_of(set, namespace(set), MANAGER);
    let mut failure = failure_before(set);
    if !is_leaving(set) {
        let living = active(&pods);
        let missing = replicas(set) - i64::try_from(living.len()).unwrap_or(i64::MAX);
        if missing > 0 {
            failure = create(world, set, missing, failure);
        } else {
            failure = None;
            remove(world, set, living, -missing);
        }
        pods = world.pods_of(set, namespace(set), MANAGER);
    }
    let status = status(world, set, &pods, failure);
    world.put_status(key, set, status);
}

fn failure_before(set: &Value) -> Option<Value> {
    crate::object::condition(set, "ReplicaFailure").cloned()
}

fn create(world: &mut World, set: &Value, missing: i64, before: Option<Value>) -> Option<Value> {
    let retry = world.memory.again.get(&(uid(set).to_owned(), "create".to_owned()));
    if retry.is_some_and(|at| *at > world.now) {
        return before;
    }
    let prefix = format!("{}-", name(set));
    for _ in 0..missing {
        match world.make_pod(set, at(set, "/spec/template"), &Named::Generated(&prefix), MANAGER) {
            Ok(pod) => {
                let words = format!("Created pod: {}", name(&pod));
                world.event(&About::object(set), false, "SuccessfulCreate", &words, COMPONENT);
            }
            Err(failure) => {
                let words = format!("Error creating: {}", failure.message);
                world.event(&About::object(set), true, "FailedCreate", &words, COMPONENT);
                world.due_again(uid(set), "create", RETRY);
                world.wake_at(world.now + RETRY);
                let now = time(world.now);
                let since = before.as_ref().map_or(json!(now), |before| before["lastTransitionTime"].clone());
                return Some(json!({
                    "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                    "message": failure.message, "lastTransitionTime": since,
                }));
            }
        }
    }
    None
}

/// Removes those that serve least: without a node, not running, not ready,
/// cheap, young.
fn remove(world: &mut World, set: &Value, mut living: Pods, surplus: i64) {
    let crowd: Vec<String> = living.iter().map(|(_, pod)| text(pod, "/spec/nodeName").to_owned()).collect();
    living.sort_by_cached_key(|(_, pod)| {
        let node = text(pod, "/spec/nodeName");
        let together = crowd.iter().filter(|other| *other == node).count();
        let cost = annotation(pod, "controller.kubernetes.io/pod-deletion-cost").parse::<i64>().unwrap_or(0);
        (
            !node.is_empty(),
            text(pod, "/status/phase") == "Running",
            is_ready(pod),
            cost,
            std::cmp::Reverse(together),
            std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned()),
            name(pod).to_owned(),
        )
    });
    for (key, pod) in living.into_iter().take(usize::try_from(surplus).unwrap_or(0)) {
        world.remove_pod(&key, MANAGER);
        let words = format!("Deleted pod: {}", name(&pod));
        world.event(&About::object(set), false, "SuccessfulDelete", &words, COMPONENT);
    }
}

fn status(world: &mut World, set: &Value, pods: &Pods, failure: Option<Value>) -> Value {
    let living = active(pods);
    let leaving = pods.iter().filter(|(_, pod)| is_leaving(pod)).count();
    let ready = living.iter().filter(|(_, pod)| is_ready(pod)).count();
    let wait = number(set, "/spec/minReadySeconds");
    let available = living.iter().filter(|(_, pod)| world.is_available(pod, wait)).count();
    let labelled = at(set, "/spec/template/metadata/labels").as_object().cloned().unwrap_or_default();
    let whole = living
        .iter()
        .filter(|(_, pod)| labelled.iter().all(|(key, value)| value.as_str() == Some(label(pod, key))))
        .count();
    let mut status = json!({"replicas": living.len(), "observedGeneration": generation(set)});
    let counts =
        [("fullyLabeledReplicas", whole), ("readyReplicas", ready), ("availableReplicas", available)];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    status["terminatingReplicas"] = leaving.into();
    let mut all = conditions(set);
    all.retain(|condition| condition["type"] != "ReplicaFailure");
    all.extend(failure);
    if !all.is_empty() {
        status["conditions"] = all.into();
    }
    status
}
