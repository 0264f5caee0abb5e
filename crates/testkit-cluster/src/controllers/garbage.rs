//! The garbage collector: what nobody owns any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::owned::MANAGER;
use crate::api::{DeleteOptions, WriteOptions};
use crate::kinds::KINDS;
use crate::object::{is_leaving, list, set, text, uid};
use crate::store::Key;
use crate::world::World;

pub(super) fn pass(world: &mut World) {
    // Time alone leaves nothing without an owner.
    let revision = world.store.revision();
    if std::mem::replace(&mut world.memory.collected, revision) == revision {
        return;
    }
    let mut living = BTreeSet::new();
    let mut dependents: BTreeMap<String, Vec<(Key, Arc<Value>)>> = BTreeMap::new();
    let mut leaving = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.kind != "Event") {
        for (key, object) in world.store.list(kind, "") {
            living.insert(uid(object).to_owned());
            for owner in list(object, "/metadata/ownerReferences") {
                let owner = text(owner, "/uid").to_owned();
                dependents.entry(owner).or_default().push((key.clone(), object.clone()));
            }
            let waits = list(object, "/metadata/finalizers")
                .iter()
                .any(|finalizer| finalizer == "foregroundDeletion" || finalizer == "orphan");
            if is_leaving(object) && waits {
                leaving.push((key.clone(), object.clone()));
            }
        }
    }
    for (owner, objects) in &dependents {
        if !living.contains(owner) {
            for (key, object) in objects {
                abandoned(world, key, object, &living);
            }
        }
    }
    for (key, object) in leaving {
        let nothing = Vec::new();
        finish(world, &key, &object, dependents.get(uid(&object)).unwrap_or(&nothing));
    }
}

/// One of its owners is gone: without any other it goes, too.
fn abandoned(world: &mut World, key: &Key, object: &Value, living: &BTreeSet<String>) {
    let owners = list(object, "/metadata/ownerReferences");
    let left: Vec<Value> =
        owners.iter().filter(|owner| living.contains(text(owner, "/uid"))).cloned().collect();
    let who = WriteOptions::system(MANAGER);
    if left.is_empty() {
        if !is_leaving(object) {
            let options = DeleteOptions { propagation: "Background".into(), ..DeleteOptions::default() };
            // It may have gone already.
            drop(world.delete(key.kind, key, &options, &who));
        }
    } else {
        drop(world.edit(key, &who, |object| set(object, "/metadata/ownerReferences", left)));
    }
}

/// An owner that waits for its dependents to go, or to be let go.
fn finish(world: &mut World, key: &Key, object: &Value, dependents: &[(Key, Arc<Value>)]) {
    let who = WriteOptions::system(MANAGER);
    let orphans = list(object, "/metadata/finalizers").iter().any(|finalizer| finalizer == "orphan");
    let mine = |owner: &Value| text(owner, "/uid") == uid(object);
    if orphans {
        for (key, _) in dependents {
            drop(world.edit(key, &who, |dependent| {
                let mut owners = list(dependent, "/metadata/ownerReferences").to_vec();
                owners.retain(|owner| !mine(owner));
                set(dependent, "/metadata/ownerReferences", owners);
            }));
        }
        release(world, key, "orphan");
        return;
    }
    for (key, dependent) in dependents.iter().filter(|(_, dependent)| !is_leaving(dependent)) {
        let blocks = list(dependent, "/metadata/ownerReferences").iter().any(mine);
        let options = DeleteOptions { propagation: "Foreground".into(), ..DeleteOptions::default() };
        if blocks {
            drop(world.delete(key.kind, key, &options, &who));
        }
    }
    let blocked = dependents.iter().any(|(_, dependent)| {
        list(dependent, "/metadata/ownerReferences")
            .iter()
            .any(|owner| mine(owner) && owner["blockOwnerDeletion"] == true)
    });
    if !blocked {
        release(world, key, "foregroundDeletion");
    }
}

fn release(world: &mut World, key: &Key, finalizer: &str) {
    drop(world.edit(key, &WriteOptions::system(MANAGER), |object| {
        let mut left = list(object, "/metadata/finalizers").to_vec();
        left.retain(|one| one != finalizer);
        set(object, "/metadata/finalizers", left);
    }));
}
