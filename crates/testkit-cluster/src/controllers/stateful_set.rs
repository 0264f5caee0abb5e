//! Stateful sets: pods by number, one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use super::owned::{MANAGER, Named, generation, replicas};
use super::{hash, name_of_hash};
use crate::api::WriteOptions;
use crate::kinds::by_any_name;
use crate::object::{
    at, default, is_finished, is_leaving, is_ready, label, list, name, namespace, number, owned_by, set,
    text, uid,
};
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "statefulset-controller";
const REVISION: &str = "controller-revision-hash";

type ByNumber = BTreeMap<i64, (Key, Arc<Value>)>;

pub(super) fn pass(world: &mut World) {
    for (key, object) in world.all("statefulsets", "") {
        sync(world, &key, &object);
    }
}

fn sync(world: &mut World, key: &Key, object: &Arc<Value>) {
    let update = revision_of(world, object);
    let current = match text(object, "/status/currentRevision") {
        "" => update.clone(),
        current => current.to_owned(),
    };
    if !is_leaving(object) {
        act(world, object, &current, &update);
    }
    let pods = numbered(world, object);
    let status = status(world, object, &pods, &current, &update);
    world.put_status(key, object, status);
}

/// The name of the present template's revision, which is kept.
fn revision_of(world: &mut World, object: &Value) -> String {
    let template = at(object, "/spec/template").clone();
    let revision = format!("{}-{}", name(object), name_of_hash(hash(template.to_string().as_bytes())));
    if !world.is_there("controllerrevisions", namespace(object), &revision) {
        let number = world
            .all("controllerrevisions", namespace(object))
            .iter()
            .filter(|(_, kept)| {
                list(kept, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid(object))
            })
            .map(|(_, kept)| number(kept, "/revision"))
            .max()
            .unwrap_or(0)
            + 1;
        let kept = json!({
            "metadata": {"name": revision, "labels": at(&template, "/metadata/labels"), "ownerReferences": owned_by(object)},
            "data": {"spec": {"template": template}}, "revision": number,
        });
        world.make("controllerrevisions", namespace(object), kept, &WriteOptions::system(MANAGER));
    }
    revision
}

fn template_of(world: &World, object: &Value, revision: &str) -> Value {
    by_any_name("controllerrevisions")
        .and_then(|kind| world.store.get(&Key::new(kind, namespace(object), revision)))
        .map_or_else(|| at(object, "/spec/template").clone(), |kept| at(kept, "/data/spec/template").clone())
}

fn numbered(world: &mut World, object: &Value) -> ByNumber {
    let prefix = format!("{}-", name(object));
    world
        .pods_of(object, namespace(object), MANAGER)
        .into_iter()
        .filter_map(|(key, pod)| {
            let number = name(&pod).strip_prefix(&prefix)?.parse().ok()?;
            Some((number, (key, pod)))
        })
        .collect()
}

/// The next thing to do; it does no more where order matters.
fn act(world: &mut World, object: &Value, current: &str, update: &str) {
    let wanted = replicas(object);
    let ordered = text(object, "/spec/podManagementPolicy") != "Parallel";
    let wait = number(object, "/spec/minReadySeconds");
    let rolling = text(object, "/spec/updateStrategy/type") == "RollingUpdate";
    let partition = if rolling { number(object, "/spec/updateStrategy/rollingUpdate/partition") } else { 0 };
    let pods = numbered(world, object);
    for number in 0..wanted {
        let Some((key, pod)) = pods.get(&number) else {
            let revision = if rolling && number >= partition { update } else { current };
            create(world, object, number, revision);
            if ordered {
                return;
            }
            continue;
        };
        if is_finished(pod) {
            world.remove_pod(key, MANAGER);
            if ordered {
                return;
            }
            continue;
        }
        // One that is not well holds up all after it, also one that would be
        // mended by the update.
        let well = !is_leaving(pod) && is_ready(pod) && world.is_available(pod, wait);
        if ordered && !well {
            return;
        }
    }
    let surplus: Vec<_> = pods.iter().rev().filter(|(number, _)| **number >= wanted).collect();
    for (_, (key, pod)) in &surplus {
        if !is_leaving(pod) {
            remove(world, object, key, pod);
        }
        if ordered {
            return;
        }
    }
    if !rolling {
        return;
    }
    for (_, (key, pod)) in pods.iter().rev().filter(|(number, _)| **number >= partition && **number < wanted)
    {
        if is_leaving(pod) {
            return;
        }
        if label(pod, REVISION) != update {
            remove(world, object, key, pod);
            return;
        }
        if !is_ready(pod) || !world.is_available(pod, wait) {
            return;
        }
    }
}

fn create(world: &mut World, object: &Value, number: i64, revision: &str) {
    let retry = world.memory.again.get(&(uid(object).to_owned(), "create".to_owned()));
    if retry.is_some_and(|at| *at > world.now) {
        return;
    }
    let pod_name = format!("{}-{number}", name(object));
    let mut template = template_of(world, object, revision);
    let labels = [
        (REVISION, revision.to_owned()),
        ("statefulset.kubernetes.io~1pod-name", pod_name.clone()),
        ("apps.kubernetes.io~1pod-index", number.to_string()),
    ];
    for (label, value) in labels {
        set(&mut template, &format!("/metadata/labels/{label}"), value);
    }
    default(&mut template, "/spec/hostname", pod_name.clone());
    default(&mut template, "/spec/subdomain", text(object, "/spec/serviceName"));
    let about = About::object(object);
    let set_name = name(object);
    match world.make_pod(object, &template, &Named::Exactly(&pod_name), MANAGER) {
        Ok(_) => {
            let words = format!("create Pod {pod_name} in StatefulSet {set_name} successful");
            world.event(&about, false, "SuccessfulCreate", &words, COMPONENT);
        }
        Err(failure) => {
            let words =
                format!("create Pod {pod_name} in StatefulSet {set_name} failed error: {}", failure.message);
            world.event(&about, true, "FailedCreate", &words, COMPONENT);
            world.due_again(uid(object), "create", 2_000);
            world.wake_at(world.now + 2_000);
        }
    }
}

fn remove(world: &mut World, object: &Value, key: &Key, pod: &Value) {
    world.remove_pod(key, MANAGER);
    let words = format!("delete Pod {} in StatefulSet {} successful", name(pod), name(object));
    world.event(&About::object(object), false, "SuccessfulDelete", &words, COMPONENT);
}

fn status(world: &mut World, object: &Value, pods: &ByNumber, current: &str, update: &str) -> Value {
    let wait = number(object, "/spec/minReadySeconds");
    let living: Vec<&Arc<Value>> = pods.values().map(|(_, pod)| pod).collect();
    let of = |revision: &str| {
        living.iter().filter(|pod| label(pod, REVISION) == revision && !is_leaving(pod)).count()
    };
    let ready = living.iter().filter(|pod| is_ready(pod)).count();
    let updated = of(update);
    let available = living.iter().filter(|pod| world.is_available(pod, wait)).count();
    let wanted = usize::try_from(replicas(object)).unwrap_or(0);
    let done = updated == wanted && ready == wanted && living.len() == wanted;
    let current =
        if done && text(object, "/spec/updateStrategy/type") == "RollingUpdate" { update } else { current };
    let mut status = json!({
        "observedGeneration": generation(object), "replicas": living.len(), "currentRevision": current,
        "updateRevision": update, "collisionCount": 0, "availableReplicas": available,
    });
    let counts = [("readyReplicas", ready), ("currentReplicas", of(current)), ("updatedReplicas", updated)];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    status
}
