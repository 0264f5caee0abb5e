//! Delete: grace, finalizers, preconditions, what becomes of dependents.

use serde_json::{Value, json};

use super::{Review, Verb, WriteOptions};
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::{at, is_finished, is_leaving, list, remove, set, text, time, uid};
use crate::store::Key;
use crate::world::World;

/// The body of a `DELETE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<u64>,
    /// `Background`, `Foreground`, `Orphan`; empty: as the kind has it.
    pub(crate) propagation: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Of the body and the query's parameters.
    pub(crate) fn parse(body: &Value, query: &dyn Fn(&str) -> String) -> Self {
        let both = |name: &str| match text(body, &format!("/{name}")) {
            "" => query(name),
            found => found.into(),
        };
        let orphans = body["orphanDependents"] == true || query("orphanDependents") == "true";
        let propagation = if orphans { "Orphan".into() } else { both("propagationPolicy") };
        Self {
            grace: body["gracePeriodSeconds"].as_u64().or_else(|| query("gracePeriodSeconds").parse().ok()),
            propagation,
            uid: text(body, "/preconditions/uid").into(),
            resource_version: text(body, "/preconditions/resourceVersion").into(),
            dry_run: list(body, "/dryRun").iter().any(|one| one == "All") || query("dryRun") == "All",
        }
    }
}

impl World {
    /// Tells an object to go. The answer is the object where it goes later,
    /// a `Status` where it is gone.
    pub(crate) fn delete(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        options: &DeleteOptions,
        who: &WriteOptions,
    ) -> Result<Value, Failure> {
        let live = self.live(kind, key)?;
        if !options.uid.is_empty() && options.uid != uid(&live) {
            return Err(Failure::uid_conflict(kind, &key.name, &options.uid, uid(&live)));
        }
        if !options.resource_version.is_empty()
            && options.resource_version != text(&live, "/metadata/resourceVersion")
        {
            return Err(Failure::conflict(kind, &key.name));
        }
        let review = Review {
            actor: &who.actor,
            verb: Verb::Delete,
            kind,
            subresource: "",
            namespace: &key.namespace,
            object: &Value::Null,
            before: &live,
            dry_run: options.dry_run,
        };
        self.admit(&review, &key.name)?;
        let mut object = Value::clone(&live);
        self.mark(kind, &mut object, options);
        let stays = !list(&object, "/metadata/finalizers").is_empty()
            || at(&object, "/metadata/deletionGracePeriodSeconds").as_u64().unwrap_or(0) > 0
            || kind.kind == "Namespace";
        if !stays {
            if !options.dry_run {
                self.drop_object(key);
            }
            if kind.kind == "Pod" {
                return Ok(object);
            }
            return Ok(gone(kind, &live));
        }
        if options.dry_run || object == *live {
            return Ok(object);
        }
        Ok(Value::clone(&self.persist(key, object)))
    }

    fn mark(&self, kind: &Kind, object: &mut Value, options: &DeleteOptions) {
        let finalizer = match (options.propagation.as_str(), kind.kind) {
            ("Foreground", _) => Some("foregroundDeletion"),
            ("Orphan", _) | ("", "Job") => Some("orphan"),
            _ => None,
        };
        let mut finalizers = list(object, "/metadata/finalizers").to_vec();
        if let Some(finalizer) = finalizer.filter(|finalizer| !finalizers.iter().any(|one| one == finalizer))
        {
            finalizers.push(json!(finalizer));
            set(object, "/metadata/finalizers", finalizers);
        }
        let grace = if kind.kind == "Pod" { pod_grace(object, options.grace) } else { 0 };
        if is_leaving(object) {
            let before = at(object, "/metadata/deletionGracePeriodSeconds").as_u64().unwrap_or(0);
            if grace < before {
                set(object, "/metadata/deletionGracePeriodSeconds", grace);
                set(object, "/metadata/deletionTimestamp", time(self.now + grace * 1000));
            }
            return;
        }
        set(object, "/metadata/deletionTimestamp", time(self.now + grace * 1000));
        set(object, "/metadata/deletionGracePeriodSeconds", grace);
        if kind.generation {
            let generation = at(object, "/metadata/generation").as_i64().unwrap_or(0) + 1;
            set(object, "/metadata/generation", generation);
        }
        if kind.kind == "Namespace" {
            set(object, "/status/phase", "Terminating");
            remove(object, "/metadata/deletionGracePeriodSeconds");
        }
    }

    /// Removes an object for good.
    pub(crate) fn drop_object(&mut self, key: &Key) {
        if self.store.remove(key).is_some() {
            self.touched();
        }
    }
}

/// A pod that nothing runs has nothing to wait for.
fn pod_grace(pod: &Value, wanted: Option<u64>) -> u64 {
    if text(pod, "/spec/nodeName").is_empty() || is_finished(pod) {
        return 0;
    }
    wanted.or_else(|| at(pod, "/spec/terminationGracePeriodSeconds").as_u64()).unwrap_or(30)
}

fn gone(kind: &Kind, object: &Value) -> Value {
    let mut details = json!({"name": at(object, "/metadata/name"), "kind": kind.plural, "uid": uid(object)});
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
