//! Namespaces: what each has from the beginning, and how one goes; and what
//! quotas say of themselves.

use serde_json::json;

use super::owned::MANAGER;
use crate::api::{DeleteOptions, WriteOptions};
use crate::object::{name, namespace, set, text};
use crate::store::Key;
use crate::world::World;

pub(super) fn pass(world: &mut World) {
    for (key, object) in world.all("namespaces", "") {
        if text(&object, "/status/phase") == "Terminating" {
            empty(world, &key);
        } else if !world.is_there("serviceaccounts", name(&object), "default") {
            let account = json!({"metadata": {"name": "default"}});
            world.make("serviceaccounts", name(&object), account, &WriteOptions::system(MANAGER));
        }
    }
    for (key, quota) in world.all("resourcequotas", "") {
        let status = world.quota_status(namespace(&quota), &quota);
        world.put_status(&key, &quota, status);
    }
}

/// Everything in it is told to go; when nothing is left, it goes, too.
fn empty(world: &mut World, key: &Key) {
    let inside: Vec<Key> = world.store.keys().filter(|other| other.namespace == key.name).cloned().collect();
    let options = DeleteOptions { propagation: "Background".into(), ..DeleteOptions::default() };
    for other in &inside {
        // What has gone by itself is no failure.
        drop(world.delete(other.kind, other, &options, &WriteOptions::system(MANAGER)));
    }
    if !world.store.keys().any(|other| other.namespace == key.name) {
        drop(world.edit(key, &WriteOptions::system(MANAGER).on("finalize"), |namespace| {
            set(namespace, "/spec/finalizers", json!([]));
        }));
    }
}
