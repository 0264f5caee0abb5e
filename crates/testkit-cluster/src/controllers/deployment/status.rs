//! What a deployment says of itself.

use serde_json::{Value, json};

use super::super::owned::{conditions, generation, put_condition};
use super::View;
use crate::api::WriteOptions;
use crate::object::{at, condition, name, number, parse_time, set, text, time};
use crate::world::World;

/// Notes that a rollout was paused or goes on.
pub(super) fn note_pause(world: &mut World, view: &mut View) {
    if at(&view.deployment, "/spec/progressDeadlineSeconds").is_null() {
        return;
    }
    let paused = at(&view.deployment, "/spec/paused") == true;
    let reason =
        condition(&view.deployment, "Progressing").map(|condition| text(condition, "/reason").to_owned());
    if reason.as_deref() == Some("ProgressDeadlineExceeded") {
        return;
    }
    let was_paused = reason.as_deref() == Some("DeploymentPaused");
    if paused == was_paused {
        return;
    }
    let (reason, words) = if paused {
        ("DeploymentPaused", "Deployment is paused")
    } else {
        ("DeploymentResumed", "Deployment is resumed")
    };
    let now = time(world.now);
    // It was there just now.
    drop(world.edit(&view.key, &WriteOptions::system(super::MANAGER).on("status"), |deployment| {
        let mut all = conditions(deployment);
        put_condition(&mut all, "Progressing", "Unknown", reason, words, &now);
        set(deployment, "/status/conditions", all);
    }));
    view.refresh(world);
}

/// Counts, and judges the progress where that is asked for: while a deployment
/// is paused or scaled, nobody does.
pub(super) fn sync(world: &mut World, view: &View, judged: bool) {
    let deployment = &view.deployment;
    let sum = |field: &str| -> i64 { view.all().map(|set| number(set, &format!("/status/{field}"))).sum() };
    let of_new = |field: &str| view.new.as_ref().map_or(0, |new| number(new, &format!("/status/{field}")));
    let total = sum("replicas");
    let available = sum("availableReplicas");
    let ready = sum("readyReplicas");
    let updated = of_new("replicas");
    let unavailable = (view.all().map(|set| super::replicas(set)).sum::<i64>() - available).max(0);
    let mut status = json!({"observedGeneration": generation(deployment)});
    let counts = [
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", unavailable),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        status[field] = count.into();
    }
    status["terminatingReplicas"] = sum("terminatingReplicas").into();
    if let Some(count) = at(deployment, "/status").get("collisionCount") {
        status["collisionCount"] = count.clone();
    }
    let now = time(world.now);
    let mut all = conditions(deployment);
    if available >= view.wanted() - view.max_unavailable() {
        let words = "Deployment has minimum availability.";
        put_condition(&mut all, "Available", "True", "MinimumReplicasAvailable", words, &now);
    } else {
        let words = "Deployment does not have minimum availability.";
        put_condition(&mut all, "Available", "False", "MinimumReplicasUnavailable", words, &now);
    }
    let counted = Counted { total, updated, ready, available };
    if judged {
        progress(world, view, &counted, &mut all, &now);
    }
    all.retain(|condition| condition["type"] != "ReplicaFailure");
    let failing = view.new.iter().chain(&view.old).find_map(|set| condition(set, "ReplicaFailure"));
    if let Some(failing) = failing {
        let since = condition(deployment, "ReplicaFailure").unwrap_or(failing);
        let mut copied = failing.clone();
        copied["lastTransitionTime"] = since["lastTransitionTime"].clone();
        copied["lastUpdateTime"] = since["lastTransitionTime"].clone();
        all.push(copied);
    }
    status["conditions"] = all.into();
    world.put_status(&view.key, deployment, status);
}

struct Counted {
    total: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

fn progress(world: &mut World, view: &View, counted: &Counted, all: &mut Vec<Value>, now: &str) {
    let deployment = &view.deployment;
    let Some(deadline) = at(deployment, "/spec/progressDeadlineSeconds").as_u64() else {
        all.retain(|condition| condition["type"] != "Progressing");
        return;
    };
    let Counted { total, updated, ready, available } = *counted;
    let current = condition(deployment, "Progressing");
    let reason = current.map_or("", |current| text(current, "/reason"));
    if total == updated && reason == "NewReplicaSetAvailable" {
        return;
    }
    let who = view.new.as_ref().map_or_else(
        || format!("Deployment {:?}", name(deployment)),
        |new| format!("ReplicaSet {:?}", name(new)),
    );
    let before = |field: &str| at(deployment, "/status")[field].as_i64().unwrap_or(0);
    let complete = updated == view.wanted() && total == view.wanted() && available == view.wanted();
    let moved = updated > before("updatedReplicas")
        || total - updated < before("replicas") - before("updatedReplicas")
        || ready > before("readyReplicas")
        || available > before("availableReplicas");
    if complete {
        let words = format!("{who} has successfully progressed.");
        put_condition(all, "Progressing", "True", "NewReplicaSetAvailable", &words, now);
    } else if moved {
        let words = format!("{who} is progressing.");
        let since = current
            .filter(|current| current["status"] == "True")
            .map(|one| one["lastTransitionTime"].clone());
        all.retain(|condition| condition["type"] != "Progressing");
        put_condition(all, "Progressing", "True", "ReplicaSetUpdated", &words, now);
        if let (Some(since), Some(last)) = (since, all.last_mut()) {
            last["lastTransitionTime"] = since;
        }
    } else if let Some(current) = current {
        let paused = reason == "DeploymentPaused";
        let from = parse_time(text(current, "/lastUpdateTime")).unwrap_or(world.now);
        let ends = from + deadline * 1000;
        if reason == "ProgressDeadlineExceeded" || paused {
            return;
        }
        if world.now > ends {
            let words = format!("{who} has timed out progressing.");
            put_condition(all, "Progressing", "False", "ProgressDeadlineExceeded", &words, now);
            return;
        }
    }
    // The next look at the deadline, unless something moves before.
    let from = all
        .iter()
        .find(|condition| {
            condition["type"] == "Progressing" && condition["reason"] != "NewReplicaSetAvailable"
        })
        .and_then(|condition| parse_time(text(condition, "/lastUpdateTime")));
    if let Some(from) = from {
        world.wake_at(from + deadline * 1000 + 1000);
    }
}
