//! Server-side apply: who owns which field, what two writers disagree on, and
//! what goes when an owner no longer wants it.
//!
//! After `sigs.k8s.io/structured-merge-diff` (v6, `merge/update.go`), over the
//! table in `schema.rs` in place of the OpenAPI document.

mod fields;
mod managers;
mod merge;

pub(crate) use fields::FieldSet;
pub(crate) use managers::{Managers, Operation, Writer};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::{remove, set};
use crate::schema;

/// The object after `config` was applied by `writer`, its managers noted.
///
/// # Errors
/// 409 with the causes when others own what would change, unless `force`.
pub(crate) fn apply(
    kind: &Kind,
    live: &Value,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Failure> {
    let root = schema::root(kind.kind);
    let mut managers = Managers::of(live);
    let config = stripped(config);
    let live_fields = stripped(live);
    let wanted = FieldSet::of(&config, root);
    let last = managers.set(writer).cloned().unwrap_or_default();
    let mut merged = merge::merge(&live_fields, &config, root);
    let others = managers.all_but(writer);
    let kept = others.union(&wanted);
    merge::prune(&mut merged, &last.difference(&kept), &kept, root);

    let changed = Changes::between(&live_fields, &merged, root);
    let touched = changed.modified.union(&changed.added);
    let conflicts = managers.conflicts(writer, &touched);
    if !conflicts.is_empty() && !force {
        return Err(managers::conflict(&conflicts));
    }
    managers.take_away(writer, &touched.union(&changed.removed));
    managers.put(writer, wanted);
    let mut result = restored(merged, live);
    managers.write(&mut result);
    Ok(result)
}

/// Notes in `object` what `writer` has changed of `live`, as a create, an
/// update or a patch does.
pub(crate) fn note_update(kind: &Kind, live: &Value, object: &mut Value, writer: &Writer<'_>) {
    if kind.kind == "Event" {
        // Nobody asks who owns an event, and there are many.
        return;
    }
    let root = schema::root(kind.kind);
    let mut managers = Managers::of(live);
    let (before, after) = (stripped(live), stripped(object));
    let mut changed = Changes::between(&before, &after, root);
    // Whoever makes a list or a map anew owns that, too; and nobody owns one
    // that is gone.
    changed.added = changed.added.union(&FieldSet::made(&before, &after, root));
    changed.removed = changed.removed.union(&FieldSet::made(&after, &before, root));
    let touched = changed.modified.union(&changed.added);
    managers.take_away(writer, &touched.union(&changed.removed));
    let own = managers.set(writer).cloned().unwrap_or_default();
    managers.put(writer, own.difference(&changed.removed).union(&touched));
    managers.write(object);
}

/// An object that is there and holds nothing: the fields that every object of
/// a kind has, and that nobody makes.
pub(crate) fn blank() -> Value {
    json!({
        "metadata": {}, "status": {},
        "spec": {"template": {"metadata": {}, "spec": {"containers": []}}, "strategy": {}, "updateStrategy": {}, "containers": []},
    })
}

/// What is different between two states.
struct Changes {
    added: FieldSet,
    removed: FieldSet,
    modified: FieldSet,
}

impl Changes {
    fn between(before: &Value, after: &Value, root: &'static str) -> Self {
        let (old, new) = (FieldSet::of(before, root), FieldSet::of(after, root));
        Self {
            // A map that was there is not added by becoming empty, nor removed
            // by being filled.
            added: new.difference(&old).difference(&FieldSet::emptied(before, after, root)),
            removed: old.difference(&new).difference(&FieldSet::emptied(after, before, root)),
            modified: merge::modified(before, after, root),
        }
    }
}

/// Fields that nobody owns: identity, and what the server itself writes.
const SERVERS_OWN: [&str; 11] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/creationTimestamp",
    "/metadata/uid",
    "/metadata/generation",
    "/metadata/resourceVersion",
    "/metadata/managedFields",
    "/metadata/selfLink",
    "/metadata/clusterName",
];

fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    for field in SERVERS_OWN {
        remove(&mut object, field);
    }
    if object["metadata"].as_object().is_some_and(serde_json::Map::is_empty) {
        remove(&mut object, "/metadata");
    }
    object
}

fn restored(mut object: Value, live: &Value) -> Value {
    for field in SERVERS_OWN {
        if let Some(value) = live.pointer(field) {
            set(&mut object, field, value.clone());
        }
    }
    object
}

#[cfg(test)]
mod tests;
