//! Whether the Service sends its requests to the pods that should have them. Pure.

use k8s_openapi::api::core::v1::Service;

use super::compare::Whose;
use super::{Astray, Drift, Recorded};
use crate::check::words;
use crate::names;
use crate::view::{View, matches};
use crate::workload::{ChangedBy, Workload, changed_by};

/// Pods that are named; the rest is counted.
const SHOWN: usize = 3;

/// What is wrong with the Service, if anything is. `serving` are the pods that it
/// sends requests to, as far as they are known.
pub(super) fn astray(
    view: &View,
    home: &Workload,
    service: &str,
    recorded: &Recorded<'_>,
    serving: &[(String, Whose)],
) -> Option<Drift> {
    let drift = |way, expected: String, found: String, by: Option<ChangedBy>| Drift::Service {
        service: service.to_owned(),
        way,
        expected,
        found,
        by: by.as_ref().map(|by| by.manager.clone()),
        at: by.and_then(|by| by.at),
    };
    let Some(found) = &view.service else {
        return Some(drift(Astray::Gone, "a Service".into(), "none".into(), None));
    };
    let mut labels = home.pod_labels();
    let mut selector = view.selector();
    if recorded.rollout.is_some() {
        // On the way it is bound to the one or the other.
        selector.remove(names::SLOT);
        labels.remove(names::SLOT);
    }
    let elsewhere = found.spec.as_ref().filter(|spec| spec.type_.as_deref() == Some("ExternalName"));
    if let Some(spec) = elsewhere {
        let name = spec.external_name.as_deref().unwrap_or_default();
        let by = set_by(found, "f:type");
        return Some(drift(Astray::Selector, words(&labels), format!("the name {name} elsewhere"), by));
    }
    if selector.is_empty() || !matches(&selector, Some(&labels)) {
        return Some(drift(Astray::Selector, words(&labels), words(&selector), set_by(found, "f:selector")));
    }
    let meant = recorded.current.or(recorded.rollout.map(|rollout| rollout.to));
    let expected = meant.map(|release| release.digest().to_string()).unwrap_or_default();
    if view.receiving().is_empty() {
        let scaled = || changed_by(home.meta().managed_fields.as_deref(), &["f:spec", "f:replicas"]);
        let by = (home.replicas() == 0).then(scaled).flatten();
        return Some(drift(Astray::Nobody, expected, "to nobody".into(), by));
    }
    if serving.iter().any(|(_, whose)| whose.is_meant()) {
        return None;
    }
    let mut pods: Vec<String> = serving.iter().take(SHOWN).map(|(pod, _)| format!("pod {pod}")).collect();
    if serving.len() > SHOWN {
        pods.push(format!("{} more", serving.len() - SHOWN));
    }
    let pods = if pods.is_empty() { "pods that are not known".into() } else { pods.join(", ") };
    Some(drift(Astray::Elsewhere, expected, pods, None))
}

/// Who set a field of its specification last, other than us.
fn set_by(service: &Service, field: &str) -> Option<ChangedBy> {
    changed_by(service.metadata.managed_fields.as_deref(), &["f:spec", field])
}
