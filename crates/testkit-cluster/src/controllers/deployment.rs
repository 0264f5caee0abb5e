//! Deployments: replica sets by template, and the way from one to the next.
//!
//! After `pkg/controller/deployment` of Kubernetes 1.36.

mod rolling;
mod status;

use std::sync::Arc;

use serde_json::{Value, json};

use super::events::About;
use super::owned::{MANAGER, put_condition, replicas};
use super::{hash, name_of_hash};
use crate::api::WriteOptions;
use crate::kinds::by_any_name;
use crate::object::{
    annotation, at, controller, is_finished, is_leaving, name, namespace, owned_by, remove, set, share, text,
    time, uid,
};
use crate::store::Key;
use crate::world::World;

const COMPONENT: &str = "deployment-controller";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MOST: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";

/// A deployment with its replica sets, for one look.
struct View {
    key: Key,
    deployment: Arc<Value>,
    /// That of the present template, if it is there.
    new: Option<Arc<Value>>,
    /// All others, oldest first.
    old: Vec<Arc<Value>>,
}

pub(super) fn pass(world: &mut World) {
    for (key, _) in world.all("deployments", "") {
        sync(world, &key);
    }
}

fn sync(world: &mut World, key: &Key) {
    let Some(mut view) = View::of(world, key) else { return };
    if is_leaving(&view.deployment) {
        status::sync(world, &view, false);
        return;
    }
    status::note_pause(world, &mut view);
    if at(&view.deployment, "/spec/paused") == true || view.is_scaling() {
        rolling::scale(world, &view);
        view.refresh(world);
        status::sync(world, &view, false);
        return;
    }
    if text(&view.deployment, "/spec/strategy/type") == "Recreate" {
        recreate(world, &mut view);
    } else {
        rolling::roll(world, &mut view);
    }
    view.refresh(world);
    status::sync(world, &view, true);
    if view.is_complete() {
        clean_up(world, &view);
    }
}

impl View {
    fn of(world: &World, key: &Key) -> Option<Self> {
        let deployment = world.store.get(key)?.clone();
        let mut sets: Vec<Arc<Value>> = world
            .all("replicasets", &key.namespace)
            .into_iter()
            .map(|(_, set)| set)
            .filter(|set| controller(set).is_some_and(|(_, _, owner)| owner == uid(&deployment)))
            .collect();
        let age =
            |set: &Arc<Value>| (text(set, "/metadata/creationTimestamp").to_owned(), name(set).to_owned());
        sets.sort_by_key(age);
        let wanted = template_of(&deployment);
        let index = sets.iter().position(|set| template_of(set) == wanted);
        let new = index.map(|index| sets.remove(index));
        Some(Self { key: key.clone(), deployment, new, old: sets })
    }

    fn refresh(&mut self, world: &World) {
        if let Some(view) = Self::of(world, &self.key) {
            *self = view;
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    fn wanted(&self) -> i64 {
        replicas(&self.deployment)
    }

    fn max_surge(&self) -> i64 {
        let spec = at(&self.deployment, "/spec/strategy/rollingUpdate");
        if spec.is_null() { 0 } else { share(&spec["maxSurge"], self.wanted(), true) }
    }

    fn max_unavailable(&self) -> i64 {
        let spec = at(&self.deployment, "/spec/strategy/rollingUpdate");
        if spec.is_null() || self.wanted() == 0 {
            return 0;
        }
        let unavailable = share(&spec["maxUnavailable"], self.wanted(), false);
        let least = i64::from(self.max_surge() == 0);
        unavailable.clamp(least, self.wanted())
    }

    /// Somebody has changed how many are wanted since the replica sets were
    /// scaled.
    fn is_scaling(&self) -> bool {
        self.all().filter(|set| replicas(set) > 0).any(|set| {
            let desired = annotation(set, DESIRED);
            !desired.is_empty() && desired != self.wanted().to_string()
        })
    }

    fn is_complete(&self) -> bool {
        let status = |field: &str| at(&self.deployment, "/status")[field].as_i64().unwrap_or(0);
        status("updatedReplicas") == self.wanted()
            && status("replicas") == self.wanted()
            && status("availableReplicas") == self.wanted()
            && status("observedGeneration") >= crate::object::number(&self.deployment, "/metadata/generation")
    }
}

fn template_of(owner: &Value) -> Value {
    let mut template = at(owner, "/spec/template").clone();
    remove(&mut template, &format!("/metadata/labels/{HASH}"));
    template
}

fn revision(set: &Value) -> i64 {
    annotation(set, REVISION).parse().unwrap_or(0)
}

/// The replica set of the present template: found, or made.
fn make_new(world: &mut World, view: &mut View) {
    let next = view.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    if let Some(new) = view.new.clone() {
        renumber(world, view, &new, next);
        return;
    }
    let deployment = view.deployment.clone();
    let collisions = crate::object::number(&deployment, "/status/collisionCount");
    let hashed = name_of_hash(hash(format!("{}{collisions}", template_of(&deployment)).as_bytes()));
    let mut template = template_of(&deployment);
    set(&mut template, &format!("/metadata/labels/{HASH}"), hashed.clone());
    let mut selector = at(&deployment, "/spec/selector").clone();
    set(&mut selector, &format!("/matchLabels/{HASH}"), hashed.clone());
    let count = rolling::size_of_new(view);
    let set_name = format!("{}-{hashed}", name(&deployment));
    let mut annotations = own_annotations(&deployment);
    annotations[REVISION] = next.to_string().into();
    annotations[DESIRED] = view.wanted().to_string().into();
    annotations[MOST] = (view.wanted() + view.max_surge()).to_string().into();
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": set_name, "labels": at(&template, "/metadata/labels"), "annotations": annotations,
            "ownerReferences": owned_by(&deployment),
        },
        "spec": {"replicas": count, "selector": selector, "template": template},
    });
    let wait = at(&deployment, "/spec/minReadySeconds");
    if !wait.is_null() {
        object["spec"]["minReadySeconds"] = wait.clone();
    }
    let Some(kind) = by_any_name("replicasets") else { return };
    let made = world.create(kind, namespace(&deployment), object, &WriteOptions::system(MANAGER));
    match made {
        Ok(_) if count > 0 => {
            let words = format!("Scaled up replica set {set_name} from 0 to {count}");
            world.event(&About::object(&deployment), false, "ScalingReplicaSet", &words, COMPONENT);
        }
        Ok(_) => {}
        Err(failure) => {
            if world.due_again(uid(&deployment), "replica set", 5_000) {
                let words = format!("Failed to create new replica set {set_name:?}: {}", failure.message);
                world.event(&About::object(&deployment), true, "ReplicaSetCreateError", &words, COMPONENT);
            }
            world.wake_at(world.now + 5_000);
            return;
        }
    }
    let now = time(world.now);
    let deadline = !at(&deployment, "/spec/progressDeadlineSeconds").is_null();
    // It was there just now.
    drop(world.edit(&view.key, &WriteOptions::system(MANAGER).on("status"), |deployment| {
        set(deployment, &annotation_at(REVISION), next.to_string());
        if deadline {
            let mut all = super::owned::conditions(deployment);
            let words = format!("Created new replica set {set_name:?}");
            put_condition(&mut all, "Progressing", "True", "NewReplicaSetCreated", &words, &now);
            set(deployment, "/status/conditions", all);
        }
    }));
    view.refresh(world);
}

/// A template that is used again gets the newest number.
fn renumber(world: &mut World, view: &mut View, new: &Arc<Value>, next: i64) {
    let deployment = view.deployment.clone();
    let before = revision(new);
    let key = Key::of(kind_of_sets(), new);
    let wanted = own_annotations(&deployment);
    let stale = wanted
        .as_object()
        .into_iter()
        .flatten()
        .any(|(key, value)| value.as_str() != Some(annotation(new, key)));
    let options = WriteOptions::system(MANAGER);
    if before < next || stale {
        // It was there just now.
        drop(world.edit(&key, &options, |object| {
            for (key, value) in wanted.as_object().into_iter().flatten() {
                set(object, &annotation_at(key), value.clone());
            }
            if before < next {
                set(object, &annotation_at(REVISION), next.to_string());
                if before > 0 {
                    let history = match annotation(object, HISTORY) {
                        "" => before.to_string(),
                        earlier => format!("{earlier},{before}"),
                    };
                    set(object, &annotation_at(HISTORY), history);
                }
            }
        }));
    }
    let number = next.max(before).to_string();
    let no_condition = crate::object::condition(&deployment, "Progressing").is_none()
        && !at(&deployment, "/spec/progressDeadlineSeconds").is_null();
    if annotation(&deployment, REVISION) != number || no_condition {
        let now = time(world.now);
        let words = format!("Found new replica set {:?}", name(new));
        drop(world.edit(&view.key, &options.on("status"), |deployment| {
            set(deployment, &annotation_at(REVISION), number);
            if no_condition {
                let mut all = super::owned::conditions(deployment);
                put_condition(&mut all, "Progressing", "True", "FoundNewReplicaSet", &words, &now);
                set(deployment, "/status/conditions", all);
            }
        }));
    }
    view.refresh(world);
}

fn kind_of_sets() -> &'static crate::kinds::Kind {
    by_any_name("replicasets").expect("the table of kinds has replica sets")
}

fn annotation_at(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A deployment's annotations that its replica sets carry, too.
fn own_annotations(deployment: &Value) -> Value {
    let mut annotations = at(deployment, "/metadata/annotations").as_object().cloned().unwrap_or_default();
    for own in ["kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MOST] {
        annotations.remove(own);
    }
    annotations.into()
}

/// Everything old goes before anything new is made.
fn recreate(world: &mut World, view: &mut View) {
    let mut scaled = false;
    for old in view.old.clone() {
        scaled |= rolling::scale_set(world, view, &old, 0);
    }
    let old: Vec<&str> = view.old.iter().map(|set| uid(set)).collect();
    let running = world.all("pods", &view.key.namespace).into_iter().any(|(_, pod)| {
        let mine = controller(&pod).is_some_and(|(_, _, owner)| old.contains(&owner));
        mine && !is_finished(&pod)
    });
    if scaled || running {
        return;
    }
    make_new(world, view);
    if let Some(new) = view.new.clone() {
        rolling::scale_set(world, view, &new, view.wanted());
    }
}

/// Removes old replica sets beyond the limit of the history.
fn clean_up(world: &mut World, view: &View) {
    let limit = at(&view.deployment, "/spec/revisionHistoryLimit").as_i64().unwrap_or(10);
    let mut old: Vec<&Arc<Value>> = view.old.iter().filter(|set| !is_leaving(set)).collect();
    let surplus = i64::try_from(old.len()).unwrap_or(0) - limit;
    old.sort_by_key(|set| revision(set));
    for set in old.into_iter().take(usize::try_from(surplus).unwrap_or(0)) {
        let empty = replicas(set) == 0 && crate::object::number(set, "/status/replicas") == 0;
        if empty {
            let key = Key::of(kind_of_sets(), set);
            drop(world.delete(
                key.kind,
                &key,
                &crate::api::DeleteOptions::default(),
                &WriteOptions::system(MANAGER),
            ));
        }
    }
}
