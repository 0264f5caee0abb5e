//! Disruption budgets, and evictions under them.

use serde_json::{Value, json};

use super::owned::{conditions, generation, put_condition};
use crate::api::{DeleteOptions, WriteOptions};
use crate::failure::Failure;
use crate::object::{at, is_finished, is_leaving, is_ready, list, name, namespace, set, share, time};
use crate::selector::selects;
use crate::store::Key;
use crate::world::World;

pub(super) fn pass(world: &mut World) {
    for (key, budget) in world.all("poddisruptionbudgets", "") {
        let status = status(world, &budget);
        world.put_status(&key, &budget, status);
    }
}

fn status(world: &World, budget: &Value) -> Value {
    let selector = at(budget, "/spec/selector");
    let pods: Vec<_> = world
        .all("pods", namespace(budget))
        .into_iter()
        .map(|(_, pod)| pod)
        .filter(|pod| selects(selector, at(pod, "/metadata/labels")) && !is_finished(pod))
        .collect();
    // Replicas that are wanted count, also where they are not there; their
    // number is what their controllers say.
    let expected = i64::try_from(pods.iter().filter(|pod| !is_leaving(pod)).count()).unwrap_or(0);
    let healthy =
        i64::try_from(pods.iter().filter(|pod| is_ready(pod) && !is_leaving(pod)).count()).unwrap_or(0);
    let spec = at(budget, "/spec");
    let desired = match (spec.get("minAvailable"), spec.get("maxUnavailable")) {
        (Some(least), _) => share(least, expected, true),
        (None, Some(most)) => (expected - share(most, expected, true)).max(0),
        (None, None) => expected,
    };
    let allowed = (healthy - desired).max(0);
    let mut all = conditions(budget);
    let now = time(world.now);
    let (state, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    put_condition(&mut all, "DisruptionAllowed", state, reason, "", &now);
    for condition in &mut all {
        condition["observedGeneration"] = generation(budget).into();
        crate::object::remove(condition, "/lastUpdateTime");
    }
    json!({
        "observedGeneration": generation(budget), "expectedPods": expected, "currentHealthy": healthy,
        "desiredHealthy": desired, "disruptionsAllowed": allowed, "conditions": all,
    })
}

impl World {
    /// Removes a pod, where its budget allows that.
    pub(crate) fn evict(
        &mut self,
        key: &Key,
        delete: &DeleteOptions,
        who: &WriteOptions,
    ) -> Result<Value, Failure> {
        let pod = self.live(key.kind, key)?;
        let success =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        if is_ready(&pod) && !is_leaving(&pod) {
            for (budget_key, budget) in self.all("poddisruptionbudgets", &key.namespace) {
                if !selects(at(&budget, "/spec/selector"), at(&pod, "/metadata/labels")) {
                    continue;
                }
                let count = |field: &str| at(&budget, "/status")[field].as_i64().unwrap_or(0);
                if count("disruptionsAllowed") <= 0 {
                    let mut failure = Failure::too_many_requests(
                        "Cannot evict pod as it would violate the pod's disruption budget.",
                        10,
                    );
                    let why = format!(
                        "The disruption budget {} needs {} healthy pods and has {} currently",
                        name(&budget),
                        count("desiredHealthy"),
                        count("currentHealthy")
                    );
                    failure.details["causes"] = json!([{"reason": "DisruptionBudget", "message": why}]);
                    return Err(failure);
                }
                if !who.dry_run {
                    let left = count("disruptionsAllowed") - 1;
                    self.edit(&budget_key, &WriteOptions::system("kube-apiserver").on("status"), |budget| {
                        set(budget, "/status/disruptionsAllowed", left);
                    })?;
                }
            }
        }
        let now = time(self.now);
        if !who.dry_run {
            self.edit(key, &WriteOptions::system("kube-apiserver").on("status"), |pod| {
                let mut all = list(pod, "/status/conditions").to_vec();
                all.push(json!({
                    "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                    "message": "Eviction API: evicting", "lastTransitionTime": now,
                }));
                set(pod, "/status/conditions", all);
            })?;
        }
        self.delete(key.kind, key, delete, who)?;
        Ok(success)
    }
}
