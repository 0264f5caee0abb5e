//! Access by role, and refusals by script.

use serde_json::Value;

use super::Actor;
use crate::failure::Failure;
use crate::kinds::{Kind, by_any_name};
use crate::object::{at, list, text};
use crate::store::Key;
use crate::world::World;

/// A request, as access is decided on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'a str,
    pub(crate) kind: &'a Kind,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// What is refused by script, whatever roles say. Empty fields mean any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forbid {
    /// User name.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// `deployments`, `deployments/scale`.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
}

impl World {
    /// Whether `actor` may do it.
    pub(crate) fn authorize(&self, actor: &Actor, attempt: &Attempt<'_>) -> Result<(), Failure> {
        if self.may(actor, attempt) { Ok(()) } else { Err(refusal(actor, attempt)) }
    }

    pub(crate) fn may(&self, actor: &Actor, attempt: &Attempt<'_>) -> bool {
        let resource = resource(attempt);
        let any = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let forbidden = self.forbidden.iter().any(|forbid| {
            any(&forbid.user, &actor.user)
                && any(&forbid.verb, attempt.verb)
                && any(&forbid.resource, &resource)
                && any(&forbid.namespace, attempt.namespace)
        });
        !forbidden && (actor.is_master() || is_review(attempt.kind) || self.has_role(actor, attempt))
    }

    fn has_role(&self, actor: &Actor, attempt: &Attempt<'_>) -> bool {
        let bindings = [("rolebindings", attempt.namespace), ("clusterrolebindings", "")];
        bindings.into_iter().any(|(plural, namespace)| {
            if plural == "rolebindings" && namespace.is_empty() {
                return false;
            }
            let Some(kind) = by_any_name(plural) else { return false };
            self.store.list(kind, namespace).any(|(key, binding)| {
                list(binding, "/subjects").iter().any(|subject| is_subject(subject, actor, &key.namespace))
                    && self.rules(binding, &key.namespace).iter().any(|rule| allows(rule, attempt))
            })
        })
    }

    fn rules(&self, binding: &Value, namespace: &str) -> Vec<Value> {
        let Some(kind) = by_any_name(text(binding, "/roleRef/kind")) else { return Vec::new() };
        let key = Key::new(kind, namespace, text(binding, "/roleRef/name"));
        self.store.get(&key).map(|role| list(role, "/rules").to_vec()).unwrap_or_default()
    }
}

fn is_review(kind: &Kind) -> bool {
    kind.kind.starts_with("Self")
}

fn is_subject(subject: &Value, actor: &Actor, namespace: &str) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "ServiceAccount" => {
            let within = match text(subject, "/namespace") {
                "" => namespace,
                named => named,
            };
            actor.user == format!("system:serviceaccount:{within}:{name}")
        }
        "User" => actor.user == name,
        "Group" => actor.groups.iter().any(|group| group == name),
        _ => false,
    }
}

fn allows(rule: &Value, attempt: &Attempt<'_>) -> bool {
    let has = |pointer: &str, wanted: &str| list(rule, pointer).iter().any(|one| one == wanted || one == "*");
    let names = list(rule, "/resourceNames");
    has("/verbs", attempt.verb)
        && has("/apiGroups", attempt.kind.group)
        && has("/resources", &resource(attempt))
        && (names.is_empty() || names.iter().any(|name| name == attempt.name))
        && at(rule, "/nonResourceURLs").is_null()
}

fn resource(attempt: &Attempt<'_>) -> String {
    if attempt.subresource.is_empty() {
        attempt.kind.plural.into()
    } else {
        format!("{}/{}", attempt.kind.plural, attempt.subresource)
    }
}

/// In the words of the real server.
pub(crate) fn refusal(actor: &Actor, attempt: &Attempt<'_>) -> Failure {
    let within = if attempt.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", attempt.namespace)
    };
    let why = format!(
        "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {within}",
        actor.user,
        attempt.verb,
        resource(attempt),
        attempt.kind.group
    );
    Failure::forbidden(attempt.kind, attempt.name, &why)
}
