//! Resource quotas: what is used, and whether one more fits.

use serde_json::{Map, Value};

use super::Review;
use crate::failure::Failure;
use crate::kinds::{Kind, by_any_name};
use crate::object::{at, is_finished, list, name, quantity};
use crate::world::World;

impl World {
    /// Whether a new object fits under every quota of its namespace.
    pub(super) fn admit_under_quota(&self, review: &Review<'_>, object: &str) -> Result<(), Failure> {
        let Some(quotas) = by_any_name("quota") else { return Ok(()) };
        for (_, quota) in self.store.list(quotas, review.namespace) {
            let hard = at(quota, "/spec/hard").as_object().cloned().unwrap_or_default();
            let (mut requested, mut taken, mut limited) = (Vec::new(), Vec::new(), Vec::new());
            for (resource, limit) in &hard {
                let wanted = cost(review.kind, review.object, resource);
                let used = self.used(review.namespace, resource);
                if wanted > 0 && used + wanted > quantity(limit) {
                    requested.push(format!("{resource}={}", shown(resource, wanted)));
                    taken.push(format!("{resource}={}", shown(resource, used)));
                    let limit = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
                    limited.push(format!("{resource}={limit}"));
                }
            }
            if requested.is_empty() {
                continue;
            }
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                name(quota),
                requested.join(","),
                taken.join(","),
                limited.join(",")
            );
            return Err(Failure::forbidden(review.kind, object, &why));
        }
        Ok(())
    }

    /// How much of a quota's resource a namespace uses, in thousandths.
    pub(crate) fn used(&self, namespace: &str, resource: &str) -> i64 {
        let Some(kind) = kind_of(resource) else { return 0 };
        self.store.list(kind, namespace).map(|(_, object)| cost(kind, object, resource)).sum()
    }

    /// `status` of a quota as it would be now.
    pub(crate) fn quota_status(&self, namespace: &str, quota: &Value) -> Value {
        let hard = at(quota, "/spec/hard").clone();
        let used: Map<String, Value> = hard
            .as_object()
            .into_iter()
            .flatten()
            .map(|(resource, _)| (resource.clone(), shown(resource, self.used(namespace, resource)).into()))
            .collect();
        serde_json::json!({"hard": hard, "used": used})
    }
}

fn kind_of(resource: &str) -> Option<&'static Kind> {
    match resource {
        "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory" => {
            by_any_name("pods")
        }
        other => by_any_name(other.strip_prefix("count/").unwrap_or(other)),
    }
}

fn cost(kind: &Kind, object: &Value, resource: &str) -> i64 {
    let pointer = match resource {
        "cpu" | "requests.cpu" => "/resources/requests/cpu",
        "memory" | "requests.memory" => "/resources/requests/memory",
        "limits.cpu" => "/resources/limits/cpu",
        "limits.memory" => "/resources/limits/memory",
        other => {
            let counted = kind_of(other).is_some_and(|counted| counted == kind);
            let ended = other == "pods" && is_finished(object);
            return if counted && !ended { 1000 } else { 0 };
        }
    };
    if kind.kind != "Pod" || is_finished(object) {
        return 0;
    }
    list(object, "/spec/containers").iter().map(|container| quantity(at(container, pointer))).sum()
}

fn shown(resource: &str, thousandths: i64) -> String {
    if resource.ends_with("memory") && thousandths % (1024 * 1024 * 1000) == 0 && thousandths > 0 {
        return format!("{}Mi", thousandths / (1024 * 1024 * 1000));
    }
    if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") }
}
