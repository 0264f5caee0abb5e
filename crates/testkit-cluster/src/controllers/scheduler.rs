//! The scheduler: a node for each pod, or why there is none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use crate::api::WriteOptions;
use crate::failure::Failure;
use crate::kubelet::turned;
use crate::object::{at, is_finished, is_true, list, name, namespace, quantity, set, text};
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "default-scheduler";

pub(super) fn pass(world: &mut World) {
    let waiting: Vec<(Key, Arc<Value>)> = world
        .all("pods", "")
        .into_iter()
        .filter(|(_, pod)| text(pod, "/spec/nodeName").is_empty() && !is_finished(pod))
        .filter(|(_, pod)| list(pod, "/spec/schedulingGates").is_empty())
        .collect();
    for (key, pod) in waiting {
        match choose(world, &pod) {
            Ok(node) => {
                if world.bind(&key, &node).is_ok() {
                    let words = format!("Successfully assigned {}/{} to {node}", namespace(&pod), name(&pod));
                    world.event(&About::object(&pod), false, "Scheduled", &words, COMPONENT);
                }
            }
            Err(why) => refuse(world, &key, &pod, &why),
        }
    }
}

/// The fitting node with the fewest pods.
fn choose(world: &World, pod: &Value) -> Result<String, String> {
    let nodes = world.all("nodes", "");
    let total = nodes.len();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut helpless = 0;
    let mut fitting = Vec::new();
    for (_, node) in &nodes {
        match fits(world, pod, node) {
            Ok(pods) => fitting.push((pods, name(node).to_owned())),
            Err((all, hopeless)) => {
                helpless += usize::from(hopeless);
                for reason in all {
                    *reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    if let Some((_, node)) = fitting.into_iter().min() {
        return Ok(node);
    }
    if total == 0 {
        return Err("no nodes available to schedule pods".into());
    }
    let mut words: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    words.sort();
    let mut preemption = Vec::new();
    if total > helpless {
        preemption.push(format!("{} No preemption victims found for incoming pod", total - helpless));
    }
    if helpless > 0 {
        preemption.push(format!("{helpless} Preemption is not helpful for scheduling"));
    }
    preemption.sort();
    Err(format!(
        "0/{total} nodes are available: {}. no new claims to deallocate, preemption: 0/{total} nodes are available: {}.",
        words.join(", "),
        preemption.join(", ")
    ))
}

/// How many pods the node has; or why it does not fit, and whether making room
/// would not help either.
fn fits(world: &World, pod: &Value, node: &Value) -> Result<usize, (Vec<String>, bool)> {
    if at(node, "/spec/unschedulable") == true {
        return Err((vec!["node(s) were unschedulable".into()], true));
    }
    let tolerations = list(pod, "/spec/tolerations");
    let taint = list(node, "/spec/taints").iter().find(|taint| {
        taint["effect"] != "PreferNoSchedule" && !tolerations.iter().any(|one| tolerates(one, taint))
    });
    if taint.is_some() {
        return Err((vec!["node(s) had untolerated taint(s)".into()], true));
    }
    let wanted = at(pod, "/spec/nodeSelector").as_object();
    let labels = at(node, "/metadata/labels");
    if wanted.is_some_and(|wanted| wanted.iter().any(|(key, value)| labels.get(key) != Some(value))) {
        return Err((vec!["node(s) didn't match Pod's node affinity/selector".into()], true));
    }
    if !is_true(node, "Ready") {
        return Err((vec!["node(s) were not ready".into()], true));
    }
    let here: Vec<Arc<Value>> = world
        .all("pods", "")
        .into_iter()
        .map(|(_, pod)| pod)
        .filter(|other| text(other, "/spec/nodeName") == name(node) && !is_finished(other))
        .collect();
    let mut short = Vec::new();
    let mut helpless = false;
    if here.len() as i64 * 1000 >= quantity(at(node, "/status/allocatable/pods")) {
        short.push("Too many pods".to_owned());
    }
    for resource in ["cpu", "memory"] {
        let room = quantity(at(node, &format!("/status/allocatable/{resource}")));
        let used: i64 = here.iter().map(|pod| requested(pod, resource)).sum();
        let wanted = requested(pod, resource);
        if wanted > 0 && used + wanted > room {
            short.push(format!("Insufficient {resource}"));
            helpless |= wanted > room;
        }
    }
    if short.is_empty() { Ok(here.len()) } else { Err((short, helpless)) }
}

fn requested(pod: &Value, resource: &str) -> i64 {
    let of = |container: &Value| {
        let request = at(container, &format!("/resources/requests/{resource}"));
        let request =
            if request.is_null() { at(container, &format!("/resources/limits/{resource}")) } else { request };
        quantity(request)
    };
    list(pod, "/spec/containers").iter().map(of).sum()
}

pub(super) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect = text(toleration, "/effect");
    let key = text(toleration, "/key");
    (effect.is_empty() || effect == text(taint, "/effect"))
        && (key.is_empty() || key == text(taint, "/key"))
        && (text(toleration, "/operator") == "Exists" || text(toleration, "/value") == text(taint, "/value"))
}

fn refuse(world: &mut World, key: &Key, pod: &Value, why: &str) {
    let now = world.now;
    let mut condition = turned(pod, "PodScheduled", false, "Unschedulable", why, now);
    condition["lastProbeTime"] = Value::Null;
    if world.due_again(crate::object::uid(pod), why, 300_000) {
        world.event(&About::object(pod), true, "FailedScheduling", why, COMPONENT);
    }
    // It may have gone in the meantime.
    drop(world.edit(key, &WriteOptions::system("kube-scheduler").on("status"), |pod| put(pod, condition)));
}

fn put(pod: &mut Value, condition: Value) {
    let mut all = list(pod, "/status/conditions").to_vec();
    all.retain(|one| one["type"] != condition["type"]);
    all.push(condition);
    set(pod, "/status/conditions", all);
}

impl World {
    /// Gives a pod to a node.
    pub(crate) fn bind(&mut self, key: &Key, node: &str) -> Result<Value, Failure> {
        let pod = self.live(key.kind, key)?;
        if !text(&pod, "/spec/nodeName").is_empty() {
            return Err(Failure::conflict(key.kind, &key.name));
        }
        let condition = turned(&pod, "PodScheduled", true, "", "", self.now);
        let mut bound = Value::clone(&pod);
        set(&mut bound, "/spec/nodeName", node);
        put(&mut bound, condition);
        self.persist(key, bound);
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }
}
