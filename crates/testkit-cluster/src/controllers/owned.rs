//! What controllers of pods have in common.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{DeleteOptions, WriteOptions};
use crate::failure::Failure;
use crate::object::{
    at, condition, controller, is_finished, is_leaving, is_ready, list, number, owned_by, parse_time, set,
    text, uid,
};
use crate::selector::selects;
use crate::store::Key;
use crate::world::World;

/// Pods of one owner.
pub(super) type Pods = Vec<(Key, Arc<Value>)>;

impl World {
    /// The pods that belong to `owner`; those that match its selector and
    /// belong to nobody are adopted.
    pub(super) fn pods_of(&mut self, owner: &Value, namespace: &str, manager: &str) -> Pods {
        let mut pods = Vec::new();
        for (key, pod) in self.all("pods", namespace) {
            match controller(&pod) {
                Some((_, _, found)) if found == uid(owner) => pods.push((key, pod)),
                Some(_) => {}
                None => {
                    let selected = selects(at(owner, "/spec/selector"), at(&pod, "/metadata/labels"));
                    if selected && !is_leaving(&pod) && !is_finished(&pod) && !is_leaving(owner) {
                        let reference = owned_by(owner);
                        let adopted = self.edit(&key, &WriteOptions::system(manager), |pod| {
                            set(pod, "/metadata/ownerReferences", reference);
                        });
                        pods.extend(adopted.ok().map(|pod| (key, Arc::new(pod))));
                    }
                }
            }
        }
        pods
    }

    /// A pod of `owner`'s template.
    pub(super) fn make_pod(
        &mut self,
        owner: &Value,
        template: &Value,
        named: &Named<'_>,
        manager: &str,
    ) -> Result<Value, Failure> {
        let mut metadata = json!({
            "labels": at(template, "/metadata/labels"),
            "ownerReferences": owned_by(owner),
        });
        let annotations = at(template, "/metadata/annotations");
        if !annotations.is_null() {
            metadata["annotations"] = annotations.clone();
        }
        match named {
            Named::Generated(prefix) => metadata["generateName"] = (*prefix).into(),
            Named::Exactly(name) => metadata["name"] = (*name).into(),
        }
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": at(template, "/spec")});
        let Some(pods) = crate::kinds::by_any_name("pods") else { return Err(Failure::no_resource()) };
        let namespace = crate::object::namespace(owner).to_owned();
        let options = WriteOptions::system(manager);
        self.create(pods, &namespace, pod, &options)
    }

    /// Tells a pod to go, gracefully.
    pub(super) fn remove_pod(&mut self, key: &Key, manager: &str) {
        // It may have gone by itself.
        drop(self.delete(key.kind, key, &DeleteOptions::default(), &WriteOptions::system(manager)));
    }

    /// Whether a pod has been ready for so many seconds; where it will be, the
    /// world wakes then.
    pub(super) fn is_available(&mut self, pod: &Value, seconds: i64) -> bool {
        if !is_ready(pod) {
            return false;
        }
        let wait = u64::try_from(seconds).unwrap_or(0) * 1000;
        let since = condition(pod, "Ready").and_then(|ready| parse_time(text(ready, "/lastTransitionTime")));
        let at = since.unwrap_or(self.now) + wait;
        if at > self.now {
            self.wake_at(at);
        }
        at <= self.now
    }

    /// Writes a status, where it is another one.
    pub(super) fn put_status(&mut self, key: &Key, object: &Value, status: Value) {
        if *at(object, "/status") != status {
            // What went away in the meantime has no status to keep.
            drop(
                self.edit(key, &WriteOptions::system(MANAGER).on("status"), |object| {
                    object["status"] = status
                }),
            );
        }
    }
}

/// Who the controllers are, as a field manager.
pub(super) const MANAGER: &str = "kube-controller-manager";

/// How a new pod is named.
pub(super) enum Named<'a> {
    Generated(&'a str),
    Exactly(&'a str),
}

/// Pods that count: not told to go, not ended.
pub(super) fn active(pods: &Pods) -> Pods {
    pods.iter().filter(|(_, pod)| !is_leaving(pod) && !is_finished(pod)).cloned().collect()
}

/// Sets one condition among the others; its times as the API has them.
pub(super) fn put_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) -> bool {
    let before = conditions.iter().position(|one| one["type"] == kind);
    let mut new = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now, "lastUpdateTime": now,
    });
    let Some(index) = before else {
        conditions.push(new);
        return true;
    };
    let old = &conditions[index];
    if old["status"] == status && old["reason"] == reason {
        return false;
    }
    if old["status"] == status {
        new["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
    // As the real one does it, the changed condition comes last.
    conditions.remove(index);
    conditions.push(new);
    true
}

/// The conditions of an object's status.
pub(super) fn conditions(object: &Value) -> Vec<Value> {
    list(object, "/status/conditions").to_vec()
}

/// `spec.replicas`.
pub(super) fn replicas(object: &Value) -> i64 {
    at(object, "/spec/replicas").as_i64().unwrap_or(1)
}

/// `metadata.generation`.
pub(super) fn generation(object: &Value) -> i64 {
    number(object, "/metadata/generation")
}
