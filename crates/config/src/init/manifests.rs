//! Kubernetes manifests of a repository: names only. Whatever is no plain
//! manifest (a chart, a template) or cannot be read is left out.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Manifests, ServiceFound, WorkloadFound};

/// Folders that people keep manifests in.
const FOLDERS: [&str; 6] = ["k8s", ".k8s", "kubernetes", "deploy", "manifests", "kustomize"];
/// Folders within folders.
const DEEPEST: usize = 4;
/// Files and folders that are looked at, and files that are read.
const MOST_ENTRIES: usize = 2_000;
const MOST_FILES: usize = 200;

/// What the manifests below `dir` name, by path.
pub(super) fn look(dir: &Path) -> Manifests {
    let (mut files, mut entries) = (Vec::new(), 0);
    for folder in FOLDERS {
        walk(&dir.join(folder), folder, 0, &mut files, &mut entries);
    }
    let mut found = Manifests::default();
    for path in files.iter().take(MOST_FILES) {
        let Some(text) = super::inspect::read(&dir.join(path)) else { continue };
        // That of a kustomization is the namespace of what is beside it.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = ["kustomization.yaml", "kustomization.yml"].iter().find_map(|name| {
            let text = super::inspect::read(&dir.join(folder).join(name))?;
            documents(name, &text).iter().find_map(|document| text_at(document, "/namespace"))
        });
        for document in documents(path, &text) {
            match document.get("items").and_then(Value::as_array) {
                Some(items) => items.iter().for_each(|item| take(item, path, beside.as_ref(), &mut found)),
                None => take(&document, path, beside.as_ref(), &mut found),
            }
        }
    }
    found
}

fn walk(folder: &Path, name: &str, depth: usize, files: &mut Vec<String>, entries: &mut usize) {
    // A chart's files are templates, and its names are its values'.
    if depth > DEEPEST || folder.join("Chart.yaml").exists() {
        return;
    }
    let Ok(listed) = std::fs::read_dir(folder) else { return };
    let mut listed: Vec<_> = listed.flatten().take(MOST_ENTRIES.saturating_sub(*entries)).collect();
    *entries += listed.len();
    listed.sort_by_key(std::fs::DirEntry::file_name);
    for entry in listed {
        let (Ok(kind), Ok(own)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        let path = format!("{name}/{own}");
        if kind.is_dir() {
            walk(&entry.path(), &path, depth + 1, files, entries);
        } else if kind.is_file() && [".yaml", ".yml", ".json"].iter().any(|end| own.ends_with(end)) {
            files.push(path);
        }
    }
}

/// The documents of a file; those that are none are left out.
fn documents(path: &str, text: &str) -> Vec<Value> {
    if path.ends_with(".json") {
        return serde_json::from_str(text).into_iter().collect();
    }
    let parts = text.strip_prefix("---").unwrap_or(text).split("\n---");
    parts.filter_map(|part| serde_saphyr::from_str::<Value>(part).ok()).collect()
}

fn take(object: &Value, path: &str, beside: Option<&String>, found: &mut Manifests) {
    let kind = text_at(object, "/kind").unwrap_or_default();
    let Some(name) = text_at(object, "/metadata/name") else { return };
    let namespace = text_at(object, "/metadata/namespace").or_else(|| beside.cloned());
    let path = path.to_owned();
    match kind.as_str() {
        "Deployment" | "StatefulSet" => {
            let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
            let names = containers.into_iter().flatten().filter_map(|c| text_at(c, "/name")).collect();
            let labels = labels(object, "/spec/template/metadata/labels");
            found.workloads.push(WorkloadFound { path, kind, name, namespace, containers: names, labels });
        }
        "Service" => {
            let selector = labels(object, "/spec/selector");
            found.services.push(ServiceFound { path, name, namespace, selector });
        }
        _ => {}
    }
}

fn text_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

fn labels(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let labels = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
