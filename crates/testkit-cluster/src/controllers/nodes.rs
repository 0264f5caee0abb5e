//! Nodes that go silent, and what becomes of their pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use super::owned::MANAGER;
use super::scheduler::tolerates;
use crate::api::WriteOptions;
use crate::kinds::by_any_name;
use crate::object::{at, condition, is_leaving, list, name, namespace, parse_time, set, text, time};
use crate::store::Key;
use crate::world::World;

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

pub(super) fn pass(world: &mut World) {
    for (key, node) in world.all("nodes", "") {
        match world.kubelet.lost.get(name(&node)).copied() {
            Some(since) => lost(world, &key, &node, since),
            None => here(world, &key, &node),
        }
    }
}

fn lost(world: &mut World, key: &Key, node: &Arc<Value>, since: u64) {
    let silent_until = since + world.settings.node_grace;
    if world.now < silent_until {
        world.wake_at(silent_until);
        return;
    }
    if condition(node, "Ready").is_some_and(|ready| ready["status"] != "Unknown") {
        turn(world, key, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
        let now = time(world.now);
        let taints = ["NoSchedule", "NoExecute"]
            .map(|effect| json!({"key": UNREACHABLE, "effect": effect, "timeAdded": now}));
        // It was there just now.
        drop(world.edit(key, &WriteOptions::system(MANAGER), |node| {
            let mut all = list(node, "/spec/taints").to_vec();
            all.extend(taints);
            set(node, "/spec/taints", all);
        }));
        let words = format!("Node {} status is now: NodeNotReady", name(node));
        world.event(&About::object(node), false, "NodeNotReady", &words, "node-controller");
    }
    for (pod_key, pod) in world.all("pods", "") {
        if text(&pod, "/spec/nodeName") == name(node) {
            stranded(world, &pod_key, &pod, node);
        }
    }
}

/// A pod whose node is lost: not ready at once, told to go after as long as it
/// tolerates that.
fn stranded(world: &mut World, key: &Key, pod: &Arc<Value>, node: &Value) {
    if crate::object::is_ready(pod) {
        let now = time(world.now);
        // It was there just now.
        drop(world.edit(key, &WriteOptions::system(MANAGER).on("status"), |pod| {
            if let Some(Value::Array(all)) = pod.pointer_mut("/status/conditions") {
                for ready in all.iter_mut().filter(|one| one["type"] == "Ready") {
                    ready["status"] = "False".into();
                    ready["lastTransitionTime"] = now.as_str().into();
                }
            }
        }));
        world.event(&About::object(pod), true, "NodeNotReady", "Node is not ready", "node-controller");
    }
    let Some(live) =
        by_any_name("nodes").and_then(|kind| world.store.get(&Key::new(kind, "", name(node)))).cloned()
    else {
        return;
    };
    let taint = list(&live, "/spec/taints")
        .iter()
        .find(|taint| taint["key"] == UNREACHABLE && taint["effect"] == "NoExecute")
        .cloned();
    let Some(taint) = taint.filter(|_| !is_leaving(pod)) else { return };
    let seconds = list(pod, "/spec/tolerations")
        .iter()
        .filter(|one| tolerates(one, &taint))
        .map(|one| one["tolerationSeconds"].as_u64())
        .min();
    let since = parse_time(text(&taint, "/timeAdded")).unwrap_or(world.now);
    let at = match seconds {
        None => since,
        Some(None) => return,
        Some(Some(seconds)) => since + seconds * 1000,
    };
    if world.now < at {
        world.wake_at(at);
        return;
    }
    let now = time(world.now);
    drop(world.edit(key, &WriteOptions::system(MANAGER).on("status"), |pod| {
        let mut all = list(pod, "/status/conditions").to_vec();
        all.push(json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": now,
        }));
        set(pod, "/status/conditions", all);
    }));
    let words = format!("Marking for deletion Pod {}/{}", namespace(pod), name(pod));
    world.event(&About::object(pod), false, "TaintManagerEviction", &words, "taint-eviction-controller");
    world.remove_pod(key, MANAGER);
}

fn here(world: &mut World, key: &Key, node: &Arc<Value>) {
    if condition(node, "Ready").is_some_and(|ready| ready["status"] == "Unknown") {
        turn(world, key, "True", "KubeletReady", "kubelet is posting ready status");
        // It was there just now.
        drop(world.edit(key, &WriteOptions::system(MANAGER), |node| {
            let mut all = list(node, "/spec/taints").to_vec();
            all.retain(|taint| taint["key"] != UNREACHABLE);
            set(node, "/spec/taints", all);
        }));
    }
}

fn turn(world: &mut World, key: &Key, status: &str, reason: &str, message: &str) {
    let now = time(world.now);
    drop(world.edit(key, &WriteOptions::system(MANAGER).on("status"), |node| {
        let heartbeat =
            condition(node, "Ready").map_or(json!(now), |ready| at(ready, "/lastHeartbeatTime").clone());
        let ready = json!({
            "type": "Ready", "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": heartbeat, "lastTransitionTime": now,
        });
        let mut all = list(node, "/status/conditions").to_vec();
        all.retain(|one| one["type"] != "Ready");
        all.push(ready);
        set(node, "/status/conditions", all);
    }));
}

impl World {
    /// A node goes silent.
    pub(crate) fn lose_node(&mut self, name: &str) {
        let now = self.now;
        self.kubelet.lost.entry(name.into()).or_insert(now);
        self.settle();
        self.notify();
    }

    /// It is back.
    pub(crate) fn return_node(&mut self, name: &str) {
        self.kubelet.lost.remove(name);
        self.settle();
        self.notify();
    }
}
