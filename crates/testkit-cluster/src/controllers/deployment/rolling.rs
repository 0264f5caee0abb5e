//! How many of each replica set there are to be now.

use std::sync::Arc;

use serde_json::Value;

use super::super::events::About;
use super::super::owned::{MANAGER, replicas};
use super::{COMPONENT, DESIRED, MOST, View, annotation_at, kind_of_sets, make_new};
use crate::api::WriteOptions;
use crate::object::{annotation, name, number, set};
use crate::store::Key;
use crate::world::World;

/// One step of a rolling update: up first, and down only when nothing went
/// up.
pub(super) fn roll(world: &mut World, view: &mut View) {
    make_new(world, view);
    let Some(new) = view.new.clone() else { return };
    if scale_set(world, view, &new, size_of_new(view)) {
        return;
    }
    scale_down(world, view, &new);
}

/// How many the new replica set may have.
pub(super) fn size_of_new(view: &View) -> i64 {
    if crate::object::text(&view.deployment, "/spec/strategy/type") == "Recreate" {
        return view.wanted();
    }
    let have = view.new.as_ref().map_or(0, |new| replicas(new));
    if have > view.wanted() {
        return view.wanted();
    }
    let all: i64 = view.all().map(|set| replicas(set)).sum();
    let room = view.wanted() + view.max_surge() - all;
    if room <= 0 { have } else { have + room.min(view.wanted() - have) }
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas")
}

fn scale_down(world: &mut World, view: &mut View, new: &Arc<Value>) {
    let old_pods: i64 = view.old.iter().map(|set| replicas(set)).sum();
    if old_pods == 0 {
        return;
    }
    let least = view.wanted() - view.max_unavailable();
    let new_unavailable = replicas(new) - available(new);
    let all = old_pods + replicas(new);
    let mut budget = all - least - new_unavailable;
    if budget <= 0 {
        return;
    }
    // Those that do not serve go first: nothing is lost by that.
    for old in view.old.clone() {
        let sick = replicas(&old) - available(&old);
        let goes = sick.min(budget).min(replicas(&old));
        if goes > 0 && scale_set(world, view, &old, replicas(&old) - goes) {
            budget -= goes;
        }
    }
    view.refresh(world);
    let serving: i64 = view.all().map(|set| available(set)).sum();
    let mut surplus = serving - least;
    for old in view.old.clone() {
        let goes = surplus.min(replicas(&old));
        if goes > 0 && scale_set(world, view, &old, replicas(&old) - goes) {
            surplus -= goes;
        }
    }
}

/// Somebody wants another number, or the rollout is paused: each replica set
/// gets its share.
pub(super) fn scale(world: &mut World, view: &View) {
    let active: Vec<Arc<Value>> = view.all().filter(|set| replicas(set) > 0).cloned().collect();
    if active.len() <= 1 {
        let newest = || view.new.clone().or_else(|| view.old.last().cloned());
        let Some(only) = active.first().cloned().or_else(newest) else { return };
        scale_set(world, view, &only, view.wanted());
        return;
    }
    let saturated = view.new.as_ref().is_some_and(|new| {
        replicas(new) == view.wanted()
            && annotation(new, DESIRED) == view.wanted().to_string()
            && available(new) == view.wanted()
    });
    if saturated {
        for old in &view.old {
            scale_set(world, view, old, 0);
        }
        return;
    }
    let all: i64 = active.iter().map(|set| replicas(set)).sum();
    let allowed = if view.wanted() > 0 { view.wanted() + view.max_surge() } else { 0 };
    let change = allowed - all;
    let mut sized = active;
    sized.sort_by_key(|set| std::cmp::Reverse(replicas(set)));
    let mut sizes: Vec<i64> = sized.iter().map(|set| replicas(set)).collect();
    let mut done = 0;
    for (set, size) in sized.iter().zip(&mut sizes) {
        let before: i64 = annotation(set, MOST).parse().unwrap_or(all).max(1);
        let ideal = replicas(set) * allowed / before - replicas(set);
        let left = change - done;
        let part = if change > 0 { ideal.clamp(0, left.max(0)) } else { ideal.clamp(left.min(0), 0) };
        *size += part;
        done += part;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + change - done).max(0);
    }
    for (set, size) in sized.iter().zip(sizes) {
        scale_set(world, view, set, size);
    }
}

/// Whether that changed how many there are.
pub(super) fn scale_set(world: &mut World, view: &View, object: &Arc<Value>, size: i64) -> bool {
    let before = replicas(object);
    let (desired, most) = (view.wanted().to_string(), (view.wanted() + view.max_surge()).to_string());
    let stale = annotation(object, DESIRED) != desired || annotation(object, MOST) != most;
    // Without pods its notes are of no use.
    if before == size && (!stale || size == 0) {
        return false;
    }
    let key = Key::of(kind_of_sets(), object);
    let scaled = world.edit(&key, &WriteOptions::system(MANAGER), |object| {
        set(object, "/spec/replicas", size);
        set(object, &annotation_at(DESIRED), desired);
        set(object, &annotation_at(MOST), most);
    });
    if scaled.is_ok() && before != size {
        let way = if before < size { "up" } else { "down" };
        let words = format!("Scaled {way} replica set {} from {before} to {size}", name(object));
        world.event(&About::object(&view.deployment), false, "ScalingReplicaSet", &words, COMPONENT);
    }
    before != size
}
