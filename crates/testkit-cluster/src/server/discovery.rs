//! What the server says it serves, so that clients find it.

use std::collections::BTreeSet;

use http::Response;
use serde_json::{Value, json};

use super::{Body, json as answer, typed};
use crate::kinds::{KINDS, Kind, REVIEWS};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Whether the server has anything below this path: a group and version that
/// it serves.
pub(super) fn knows(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["api", version, ..] => *version == "v1",
        ["apis", group, version, ..] => all().any(|kind| kind.group == *group && kind.version == *version),
        _ => false,
    }
}

fn all() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().chain(REVIEWS)
}

/// The document at this path, if it is one of discovery.
pub(super) fn document(path: &str, accept: &str) -> Option<Response<Body>> {
    let path = path.trim_end_matches('/');
    let aggregated = accept.contains("as=APIGroupDiscoveryList");
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["version"] => Some(answer(200, &version())),
        ["healthz" | "readyz" | "livez"] => Some(typed(200, "text/plain", "ok")),
        ["api"] if aggregated => Some(aggregated_document(true)),
        ["apis"] if aggregated => Some(aggregated_document(false)),
        ["api"] => Some(answer(
            200,
            &json!({"kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:443"}]}),
        )),
        ["apis"] => {
            let groups: Vec<Value> = groups().into_iter().map(group).collect();
            Some(answer(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
        }
        ["apis", name] if groups().contains(name) => {
            let mut group = group(name);
            group["kind"] = "APIGroup".into();
            group["apiVersion"] = "v1".into();
            Some(answer(200, &group))
        }
        ["api", version] => resources("", version),
        ["apis", group, version] => resources(group, version),
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": crate::VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-04-22T00:00:00Z", "goVersion": "go1.26.2", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// Groups but for the core, by name.
fn groups() -> BTreeSet<&'static str> {
    all().map(|kind| kind.group).filter(|group| !group.is_empty()).collect()
}

fn versions(group: &str) -> BTreeSet<&'static str> {
    all().filter(|kind| kind.group == group).map(|kind| kind.version).collect()
}

fn group(name: &str) -> Value {
    let versions: Vec<Value> = versions(name)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resources(group: &str, version: &str) -> Option<Response<Body>> {
    let kinds: Vec<&Kind> = all().filter(|kind| kind.group == group && kind.version == version).collect();
    let first = kinds.first()?;
    let mut resources = Vec::new();
    for kind in &kinds {
        resources.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_ascii_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs(kind), "shortNames": kind.short, "categories": categories(kind),
        }));
        for sub in kind.subresources {
            let (group, version, name) = sub_kind(kind, sub);
            resources.push(json!({
                "name": format!("{}/{sub}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "group": group, "version": version, "kind": name, "verbs": sub_verbs(sub),
            }));
        }
    }
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(), "resources": resources,
    });
    Some(answer(200, &list))
}

fn verbs(kind: &Kind) -> &[&'static str] {
    if kind.only.is_empty() { &VERBS } else { kind.only }
}

fn categories(kind: &Kind) -> &'static [&'static str] {
    let all = [
        "pods",
        "services",
        "deployments",
        "replicasets",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
        "horizontalpodautoscalers",
    ];
    if all.contains(&kind.plural) { &["all"] } else { &[] }
}

fn sub_kind(kind: &Kind, sub: &str) -> (&'static str, &'static str, &'static str) {
    match sub {
        "scale" => ("autoscaling", "v1", "Scale"),
        "eviction" => ("policy", "v1", "Eviction"),
        "binding" => ("", "v1", "Binding"),
        "token" => ("authentication.k8s.io", "v1", "TokenRequest"),
        _ => (kind.group, kind.version, kind.kind),
    }
}

fn sub_verbs(sub: &str) -> &'static [&'static str] {
    match sub {
        "eviction" | "binding" | "token" => &["create"],
        "log" | "proxy" => &["get"],
        _ => &["get", "patch", "update"],
    }
}

/// All of it in one answer, as newer clients ask for.
fn aggregated_document(core: bool) -> Response<Body> {
    let names: Vec<&str> = if core { vec![""] } else { groups().into_iter().collect() };
    let items: Vec<Value> = names
        .into_iter()
        .map(|name| {
            let versions: Vec<Value> = versions(name)
                .into_iter()
                .map(|version| json!({"version": version, "freshness": "Current", "resources": aggregated(name, version)}))
                .collect();
            json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    typed(200, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", list.to_string())
}

fn aggregated(group: &str, version: &str) -> Vec<Value> {
    all()
        .filter(|kind| kind.group == group && kind.version == version)
        .map(|kind| {
            let scope = if kind.namespaced { "Namespaced" } else { "Cluster" };
            let response = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
            let subresources: Vec<Value> = kind
                .subresources
                .iter()
                .map(|sub| {
                    let (group, version, name) = sub_kind(kind, sub);
                    json!({"subresource": sub, "responseKind": response(group, version, name), "verbs": sub_verbs(sub)})
                })
                .collect();
            json!({
                "resource": kind.plural, "responseKind": response(kind.group, kind.version, kind.kind), "scope": scope,
                "singularResource": kind.kind.to_ascii_lowercase(), "verbs": verbs(kind), "shortNames": kind.short,
                "categories": categories(kind), "subresources": subresources,
            })
        })
        .collect()
}
