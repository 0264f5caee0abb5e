//! Create, update and patch.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Review, Verb, WriteOptions, defaults, validate};
use crate::apply::{self, Operation};
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::{at, default, is_leaving, list, name, namespace, remove, set, text, tidy, time};
use crate::patch;
use crate::store::Key;
use crate::world::World;

/// What a patch's body means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(crate) fn of(content_type: &str) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Self::Apply),
            _ => Err(Failure::unsupported_media()),
        }
    }
}

impl World {
    /// A new object.
    pub(crate) fn create(
        &mut self,
        kind: &'static Kind,
        within: &str,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        if kind.group == "events.k8s.io" {
            // Both groups show the same objects.
            let core = crate::controllers::event_of_core(&object, self.now);
            return self.create(kind.storage(), within, core, options);
        }
        self.prepare_new(kind, within, &mut object)?;
        remove(&mut object, "/metadata/managedFields");
        defaults::fill(kind, &mut object);
        let writer = options.writer(kind, self.now, Operation::Update);
        apply::note_update(kind, &apply::blank(), &mut object, &writer);
        self.keep_new(kind, object, options)
    }

    fn prepare_new(&mut self, kind: &'static Kind, within: &str, object: &mut Value) -> Result<(), Failure> {
        check_type(kind, object)?;
        tidy(object);
        if !text(object, "/metadata/resourceVersion").is_empty() {
            return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
        }
        if kind.namespaced {
            let named = namespace(object).to_owned();
            if !named.is_empty() && named != within {
                return Err(Failure::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            set(object, "/metadata/namespace", within);
        } else {
            remove(object, "/metadata/namespace");
        }
        if name(object).is_empty() {
            let prefix = text(object, "/metadata/generateName").to_owned();
            if prefix.is_empty() {
                let cause = "Required value: name or generateName is required".to_owned();
                return Err(Failure::invalid(
                    kind,
                    "",
                    &[("FieldValueRequired", "metadata.name".into(), cause)],
                ));
            }
            let generated = format!("{prefix}{}", self.suffix(5));
            set(object, "/metadata/name", generated);
        }
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
            remove(object, &format!("/metadata/{field}"));
        }
        if kind.has_status() {
            remove(object, "/status");
        }
        let uid = self.uid();
        set(object, "/metadata/uid", uid);
        set(object, "/metadata/creationTimestamp", time(self.now));
        Ok(())
    }

    fn keep_new(
        &mut self,
        kind: &'static Kind,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        validate::new(kind, &object)?;
        if kind.generation {
            set(&mut object, "/metadata/generation", 1);
        }
        self.complete_new(kind, &mut object);
        let key = Key::of(kind, &object);
        let review = Review {
            actor: &options.actor,
            verb: Verb::Create,
            kind,
            subresource: "",
            namespace: &key.namespace,
            object: &object,
            before: &Value::Null,
            dry_run: options.dry_run,
        };
        let object = self.mutated(&review)?;
        let review = Review { object: &object, ..review };
        self.admit(&review, &key.name)?;
        if self.store.get(&key).is_some() {
            return Err(Failure::already_exists(kind, &key.name));
        }
        if options.dry_run {
            return Ok(object);
        }
        Ok(Value::clone(&self.persist(&key, object)))
    }

    /// What other parts of the server add to a new object.
    fn complete_new(&mut self, kind: &Kind, object: &mut Value) {
        if kind.kind == "Service" {
            default(object, "/spec/ipFamilies", json!(["IPv4"]));
            default(object, "/spec/ipFamilyPolicy", "SingleStack");
            default(object, "/status/loadBalancer", json!({}));
        }
        match kind.kind {
            "Service"
                if text(object, "/spec/type") != "ExternalName"
                    && at(object, "/spec/clusterIP").is_null() =>
            {
                let address = self.address("10.96");
                set(object, "/spec/clusterIP", address.clone());
                set(object, "/spec/clusterIPs", json!([address]));
            }
            "Job" => job_selector(object),
            "Pod" => {
                default(object, "/spec/serviceAccountName", "default");
                default(object, "/spec/serviceAccount", "default");
                default(object, "/spec/priority", 0);
                default(object, "/spec/preemptionPolicy", "PreemptLowerPriority");
                let wait = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
                default(object, "/spec/tolerations", json!([]));
                if let Some(Value::Array(tolerations)) = object.pointer_mut("/spec/tolerations") {
                    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
                        if !tolerations.iter().any(|one| one["key"] == key) {
                            tolerations.push(wait(key));
                        }
                    }
                }
                set(object, "/status", json!({"phase": "Pending", "qosClass": qos(object)}));
            }
            _ => {}
        }
    }

    /// A whole new state, as `PUT` brings it.
    pub(crate) fn update(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        check_type(kind, &object)?;
        if !name(&object).is_empty() && name(&object) != key.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                name(&object),
                key.name
            )));
        }
        let live = self.live(kind, key)?;
        let version = text(&object, "/metadata/resourceVersion");
        if !version.is_empty() && version != text(&live, "/metadata/resourceVersion") {
            return Err(Failure::conflict(kind, &key.name));
        }
        let uid = text(&object, "/metadata/uid").to_owned();
        if !uid.is_empty() && uid != text(&live, "/metadata/uid") {
            return Err(Failure::uid_conflict(kind, &key.name, &uid, text(&live, "/metadata/uid")));
        }
        defaults::fill(kind, &mut object);
        self.keep_change(kind, key, &live, object, options, Operation::Update)
    }

    /// A change of the state that is there now.
    pub(crate) fn patch(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        patch_type: PatchType,
        patch: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        if patch_type == PatchType::Apply {
            return self.apply(kind, key, patch, options);
        }
        let live = self.live(kind, key)?;
        let mut object = match patch_type {
            PatchType::Json => patch::json_patch(&live, patch)?,
            PatchType::Merge => {
                let mut object = Value::clone(&live);
                patch::merge(&mut object, patch);
                object
            }
            _ => patch::strategic_merge(kind, &live, patch),
        };
        if text(&object, "/metadata/resourceVersion") != text(&live, "/metadata/resourceVersion") {
            return Err(Failure::conflict(kind, &key.name));
        }
        if name(&object) != key.name {
            let cause = format!("Invalid value: {:?}: field is immutable", name(&object));
            return Err(Failure::invalid(
                kind,
                &key.name,
                &[("FieldValueInvalid", "metadata.name".into(), cause)],
            ));
        }
        defaults::fill(kind, &mut object);
        self.keep_change(kind, key, &live, object, options, Operation::Update)
    }

    fn apply(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        if options.manager.is_empty() {
            let why = "Required value: is required for apply patch";
            let message = format!("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: {why}");
            let mut failure = Failure::new(422, "Invalid", message);
            failure.details = json!({
                "group": "meta.k8s.io", "kind": "PatchOptions",
                "causes": [{"reason": "FieldValueRequired", "message": why, "field": "fieldManager"}],
            });
            return Err(failure);
        }
        if !at(config, "/metadata/managedFields").is_null() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let (version, named) = (text(config, "/apiVersion"), text(config, "/kind"));
        if version != kind.api_version() || named != kind.kind {
            let shown = if version.is_empty() { "/" } else { version };
            return Err(Failure::bad_request(format!("invalid object type: {shown}, Kind={named}")));
        }
        let writer = options.writer(kind, self.now, Operation::Apply);
        let version = text(config, "/metadata/resourceVersion");
        let Some(live) = self.store.get(key).cloned() else {
            if !options.subresource.is_empty() {
                return Err(Failure::not_found(kind, &key.name));
            }
            if !version.is_empty() && version != "0" {
                return Err(Failure::conflict(kind, &key.name));
            }
            return self.apply_new(kind, key, config, options);
        };
        if !version.is_empty() && version != text(&live, "/metadata/resourceVersion") {
            return Err(Failure::conflict(kind, &key.name));
        }
        let mut config = config.clone();
        if kind.has_status() && options.subresource.is_empty() {
            remove(&mut config, "/status");
        }
        let mut object = apply::apply(kind, &live, &config, &writer, options.force)?;
        defaults::fill(kind, &mut object);
        self.keep_change(kind, key, &live, object, options, Operation::Apply)
    }

    fn apply_new(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Failure> {
        let mut config = config.clone();
        set(&mut config, "/metadata/name", key.name.clone());
        let mut base = config.clone();
        self.prepare_new(kind, &key.namespace, &mut base)?;
        remove(&mut config, "/status");
        let writer = options.writer(kind, self.now, Operation::Apply);
        let noted = apply::apply(kind, &json!({}), &config, &writer, true)?;
        set(&mut base, "/metadata/managedFields", at(&noted, "/metadata/managedFields").clone());
        defaults::fill(kind, &mut base);
        self.keep_new(kind, base, options)
    }

    /// The object as it is, or 404.
    pub(crate) fn live(&self, kind: &Kind, key: &Key) -> Result<Arc<Value>, Failure> {
        self.store.get(key).cloned().ok_or_else(|| Failure::not_found(kind, &key.name))
    }

    fn keep_change(
        &mut self,
        kind: &'static Kind,
        key: &Key,
        live: &Arc<Value>,
        mut object: Value,
        options: &WriteOptions,
        operation: Operation,
    ) -> Result<Value, Failure> {
        tidy(&mut object);
        self.only_what_may_change(kind, live, &mut object, &options.subresource);
        if operation == Operation::Update {
            let noted = at(live, "/metadata/managedFields").clone();
            set(&mut object, "/metadata/managedFields", noted);
            let writer = options.writer(kind, self.now, Operation::Update);
            apply::note_update(kind, live, &mut object, &writer);
        }
        if options.subresource.is_empty() || options.subresource == "scale" {
            validate::update(kind, live, &object)?;
        }
        if kind.generation && desired(live) != desired(&object) {
            set(
                &mut object,
                "/metadata/generation",
                at(live, "/metadata/generation").as_i64().unwrap_or(0) + 1,
            );
        }
        let review = Review {
            actor: &options.actor,
            verb: Verb::Update,
            kind,
            subresource: &options.subresource,
            namespace: &key.namespace,
            object: &object,
            before: live,
            dry_run: options.dry_run,
        };
        let object = self.mutated(&review)?;
        let review = Review { object: &object, ..review };
        self.admit(&review, &key.name)?;
        if options.dry_run || object == **live {
            return Ok(object);
        }
        let kept = self.persist(key, object);
        if is_leaving(&kept) && list(&kept, "/metadata/finalizers").is_empty() && is_gone(kind, &kept) {
            self.drop_object(key);
        }
        Ok(Value::clone(&kept))
    }

    /// Puts back what this endpoint does not change.
    fn only_what_may_change(&self, kind: &Kind, live: &Value, object: &mut Value, subresource: &str) {
        match subresource {
            "status" => {
                let status = at(object, "/status").clone();
                let annotations = at(object, "/metadata/annotations").clone();
                let managed = at(object, "/metadata/managedFields").clone();
                *object = live.clone();
                set(object, "/status", status);
                // Controllers note revisions with the status.
                if !annotations.is_null() {
                    set(object, "/metadata/annotations", annotations);
                }
                set(object, "/metadata/managedFields", managed);
            }
            _ if kind.has_status() => match live.get("status") {
                Some(status) => set(object, "/status", status.clone()),
                None => drop(remove(object, "/status")),
            },
            _ => {}
        }
        let kept = [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "generation",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ];
        for field in kept {
            let pointer = format!("/metadata/{field}");
            match live.pointer(&pointer) {
                Some(value) => set(object, &pointer, value.clone()),
                None => drop(remove(object, &pointer)),
            }
        }
        if kind.kind == "Service" {
            for field in ["/spec/clusterIP", "/spec/clusterIPs"] {
                default(object, field, at(live, field).clone());
            }
        }
    }

    /// Changes an object as a part of the cluster does: it reads, changes and
    /// writes.
    pub(crate) fn edit(
        &mut self,
        key: &Key,
        options: &WriteOptions,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Failure> {
        let live = self.live(key.kind, key)?;
        let mut object = Value::clone(&live);
        change(&mut object);
        if options.subresource.is_empty() {
            // What is left out here and filled in where it is copied to would never be
            // the same: a Deployment would make replica sets for ever.
            defaults::fill(key.kind, &mut object);
        }
        self.keep_change(key.kind, key, &live, object, options, Operation::Update)
    }
}

/// What marks a job's pods as its own.
fn job_selector(job: &mut Value) {
    if at(job, "/spec/manualSelector") == true {
        return;
    }
    let (uid, name) = (text(job, "/metadata/uid").to_owned(), name(job).to_owned());
    default(job, "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid", uid.clone());
    for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
        for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
            default(job, &format!("{labels}/{label}"), value.clone());
            default(job, &format!("{labels}/batch.kubernetes.io~1{label}"), value.clone());
        }
    }
}

/// An object that only its finalizers and its grace kept.
fn is_gone(kind: &Kind, object: &Value) -> bool {
    match kind.kind {
        "Pod" => at(object, "/metadata/deletionGracePeriodSeconds") == 0,
        "Namespace" => list(object, "/spec/finalizers").is_empty(),
        _ => true,
    }
}

/// Everything whose change counts as another generation.
fn desired(object: &Value) -> Value {
    let mut object = object.clone();
    remove(&mut object, "/metadata");
    remove(&mut object, "/status");
    object
}

fn check_type(kind: &Kind, object: &Value) -> Result<(), Failure> {
    let (version, found) = (text(object, "/apiVersion"), text(object, "/kind"));
    if !found.is_empty() && found != kind.kind {
        let group =
            if kind.group.is_empty() { "core" } else { kind.group.split('.').next().unwrap_or_default() };
        return Err(Failure::bad_request(format!(
            "{found} in version \"{version}\" cannot be handled as a {}: converting ({version}.{found}) to \
             ({group}.{}): unknown conversion",
            kind.kind, kind.kind
        )));
    }
    if !object.is_object() {
        return Err(Failure::bad_request("the object provided is unrecognized (must be of type object)"));
    }
    if !version.is_empty() && version != kind.api_version() {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    Ok(())
}

fn qos(pod: &Value) -> &'static str {
    let containers = list(pod, "/spec/containers");
    let has = |container: &Value, what: &str| !at(container, &format!("/resources/{what}")).is_null();
    let guaranteed = |container: &Value| {
        let limits = at(container, "/resources/limits");
        limits.get("cpu").is_some()
            && limits.get("memory").is_some()
            && (!has(container, "requests") || at(container, "/resources/requests") == limits)
    };
    if !containers.is_empty() && containers.iter().all(guaranteed) {
        "Guaranteed"
    } else if containers.iter().any(|container| has(container, "requests") || has(container, "limits")) {
        "Burstable"
    } else {
        "BestEffort"
    }
}

/// The object as a `Scale`.
pub(crate) fn scale_of(object: &Value) -> Value {
    let selector = at(object, "/spec/selector/matchLabels").as_object().map_or_else(String::new, |labels| {
        let parts = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        parts.collect::<Vec<_>>().join(",")
    });
    let replicas = at(object, "/spec/replicas").as_i64().unwrap_or(0);
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": name(object), "namespace": namespace(object), "uid": at(object, "/metadata/uid"),
            "resourceVersion": at(object, "/metadata/resourceVersion"),
            "creationTimestamp": at(object, "/metadata/creationTimestamp"),
        },
        "spec": if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) },
        "status": {"replicas": at(object, "/status/replicas").as_i64().unwrap_or(0), "selector": selector},
    })
}
