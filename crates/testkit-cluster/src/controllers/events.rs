//! Events: one object for the same words about the same thing, which counts.

use serde_json::{Value, json};

use crate::api::WriteOptions;
use crate::kinds::by_any_name;
use crate::object::{at, micro_time, name, namespace, number, set, text, time, uid};
use crate::store::Key;
use crate::world::World;

/// What an event is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    reference: Value,
}

impl About {
    /// An object.
    pub(crate) fn object(object: &Value) -> Self {
        let mut reference = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"], "name": name(object), "uid": uid(object),
            "resourceVersion": at(object, "/metadata/resourceVersion"),
        });
        if !namespace(object).is_empty() {
            reference["namespace"] = namespace(object).into();
        }
        Self { reference }
    }

    /// A part of it, e.g. `spec.containers{app}`.
    pub(crate) fn field(mut self, path: &str) -> Self {
        self.reference["fieldPath"] = path.into();
        self
    }
}

/// The component that writes its events through `events.k8s.io`: they have a
/// time and a series instead of counts.
const NEWER: &str = "default-scheduler";

impl World {
    /// Tells something about an object.
    pub(crate) fn event(
        &mut self,
        about: &About,
        warning: bool,
        reason: &str,
        message: &str,
        component: &str,
    ) {
        let who = text(&about.reference, "/uid").to_owned();
        let told = (who, reason.to_owned(), message.to_owned());
        let now = time(self.now);
        let options = WriteOptions::system(component);
        let newer = component == NEWER;
        let micro = micro_time(self.now);
        if let Some(key) = self.memory.told.get(&told).cloned()
            && self.store.get(&key).is_some()
        {
            // It was there just now.
            drop(self.edit(&key, &options, |event| {
                if newer {
                    let count = number(event, "/series/count").max(1) + 1;
                    set(event, "/series", json!({"count": count, "lastObservedTime": micro}));
                } else {
                    set(event, "/count", number(event, "/count") + 1);
                    set(event, "/lastTimestamp", now);
                }
            }));
            return;
        }
        let within = match text(&about.reference, "/namespace") {
            "" => "default",
            namespace => namespace,
        };
        let name = format!("{}.{:016x}", text(&about.reference, "/name"), self.rng.u64(..));
        let mut event = json!({
            "metadata": {"name": name},
            "involvedObject": about.reference, "reason": reason, "message": message,
            "type": if warning { "Warning" } else { "Normal" }, "reportingComponent": component,
            "reportingInstance": if newer { format!("{component}-test") } else { String::new() },
        });
        let more = if newer {
            json!({"eventTime": micro, "action": if warning { "Scheduling" } else { "Binding" }, "source": {}})
        } else {
            json!({"count": 1, "firstTimestamp": now, "lastTimestamp": now, "source": {"component": component}})
        };
        crate::patch::merge(&mut event, &more);
        self.make("events", within, event, &options);
        if let Some(kind) = by_any_name("events") {
            self.memory.told.insert(told, Key::new(kind, within, &name));
        }
    }
}

/// An event of the core group in the form of `events.k8s.io`.
pub(crate) fn event_of_new_group(event: &Value) -> Value {
    let mut new = json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": event["metadata"],
        "eventTime": event["eventTime"], "regarding": event["involvedObject"], "reason": event["reason"],
        "note": event["message"], "type": event["type"], "reportingController": event["reportingComponent"],
        "reportingInstance": event["reportingInstance"], "deprecatedSource": event["source"],
        "deprecatedFirstTimestamp": event["firstTimestamp"], "deprecatedLastTimestamp": event["lastTimestamp"],
        "deprecatedCount": event["count"],
    });
    for field in ["action", "series"] {
        if let Some(value) = event.get(field) {
            new[field] = value.clone();
        }
    }
    new
}

/// An event of `events.k8s.io` as it is kept.
pub(crate) fn event_of_core(event: &Value, now: u64) -> Value {
    let mut core = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": event["metadata"], "involvedObject": event["regarding"],
        "reason": event["reason"], "message": event["note"], "type": event["type"],
        "eventTime": event["eventTime"], "reportingComponent": event["reportingController"],
        "reportingInstance": event["reportingInstance"], "action": event["action"],
        "source": event["deprecatedSource"], "firstTimestamp": event["deprecatedFirstTimestamp"],
        "lastTimestamp": event["deprecatedLastTimestamp"], "count": event["deprecatedCount"],
    });
    if core["eventTime"].is_null() && core["firstTimestamp"].is_null() {
        core["eventTime"] = micro_time(now).into();
    }
    core
}
