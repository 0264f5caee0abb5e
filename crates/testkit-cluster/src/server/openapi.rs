//! As much of the OpenAPI documents as clients ask for before they write:
//! which kinds there are, and that the server checks fields itself. There are
//! no schemas in them.

use std::collections::BTreeSet;

use http::Response;
use serde_json::{Map, Value, json};

use super::{Body, json as answer};
use crate::kinds::{KINDS, Kind};

fn folder(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

/// The document at this path, if it is one of OpenAPI.
pub(super) fn document(path: &str) -> Option<Response<Body>> {
    let rest = path.strip_prefix("/openapi/v3")?.trim_matches('/');
    if rest.is_empty() {
        let folders: BTreeSet<String> = KINDS.iter().map(folder).collect();
        let paths: Map<String, Value> = folders
            .into_iter()
            .map(|folder| {
                let url = format!("/openapi/v3/{folder}?hash=0");
                (folder, json!({"serverRelativeURL": url}))
            })
            .collect();
        return Some(answer(200, &json!({"paths": paths})));
    }
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| folder(kind) == rest).collect();
    kinds.first()?;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in kinds {
        let named = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"]
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
        let operation =
            json!({"x-kubernetes-group-version-kind": named, "parameters": parameters, "responses": {}});
        paths.insert(kind.path("{namespace}", "{name}"), json!({"patch": operation}));
        schemas.insert(
            format!("io.k8s.{}.{}", kind.version, kind.kind),
            json!({"type": "object", "x-kubernetes-group-version-kind": [named]}),
        );
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": crate::VERSION}, "paths": paths,
        "components": {"schemas": schemas},
    });
    Some(answer(200, &document))
}
