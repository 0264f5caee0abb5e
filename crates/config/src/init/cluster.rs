//! The environment that a repository's Kubernetes manifests propose. Pure.

use std::fmt::Write as _;

use super::template::quoted;
use super::{Found, ServiceFound, WorkloadFound};
use crate::values::{is_label, is_object_name};

/// Folders that are called as the environment is.
const ENVIRONMENTS: [&str; 8] =
    ["production", "prod", "staging", "stage", "development", "dev", "qa", "preview"];
/// Workloads that are named beside the chosen one; the rest is counted.
const SHOWN: usize = 5;

/// Sections for the workload that is most likely meant, with where each name was
/// found; nothing where no manifest has one.
pub(super) fn environment(found: &Found, service: &str) -> Option<String> {
    let all: Vec<&WorkloadFound> = found.manifests.workloads.iter().filter(|one| is_usable(one)).collect();
    let front = |workload: &WorkloadFound| {
        found.manifests.services.iter().find(|service| service.is_in_front_of(workload))
    };
    let likely = |workload: &&&WorkloadFound| {
        let named = workload.name == service || workload.containers.iter().any(|name| name == service);
        (named, front(workload).is_some())
    };
    // The last of several that are as likely: so that the first wins, backwards.
    let chosen = *all.iter().rev().max_by_key(likely)?;
    let container = chosen.container(service);
    let environment = environment_of(&chosen.path);
    let mut text = format!("# From the manifests here: {}.\n", chosen.words());
    let others: Vec<String> =
        all.iter().filter(|one| !std::ptr::eq(**one, chosen)).map(|one| one.words()).collect();
    if !others.is_empty() {
        let more = others.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let shown = others[..others.len().min(SHOWN)].join(", ");
        writeln!(text, "# There are others: {shown}{more}.").expect("writing to a String cannot fail");
    }
    let mut row = |key: &str, value: Option<&str>, why: &str| {
        let (mark, value) = match value {
            Some(value) => ("", quoted(value)),
            None => ("# ", "\"…\"".into()),
        };
        let line = format!("{mark}{key:<10} = {value}");
        writeln!(text, "{line:<32} # {}", plain(why)).expect("writing to a String cannot fail");
    };
    row("context", None, "which cluster; without it, the kubeconfig's current one");
    match &chosen.namespace {
        Some(namespace) => row("namespace", Some(namespace), &chosen.path),
        None => row("namespace", None, "no manifest names one; without it, \"default\""),
    }
    row("deployment", Some(&chosen.name), &format!("{} in {}", chosen.kind, chosen.path));
    let several = chosen.containers.len() > 1;
    let of = if several { format!("of {}", chosen.containers.join(", ")) } else { "its only one".into() };
    row("container", Some(container), &of);
    match front(chosen) {
        Some(service) => {
            row("service", Some(&service.name), &format!("selects its pods, in {}", service.path))
        }
        None => row("service", None, "no manifest has a Service that selects its pods; one is needed"),
    }
    // The rows belong below their own heading.
    let (comments, rows): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("# From") || line.starts_with("# There"));
    Some(format!(
        "{}\n# `plimsoll doctor` tells whether a rollout could begin there.\n\
         [environments.{environment}]\n\
         repository = \"canonical\"\n\
         target     = \"kubernetes\"\n\
         strategy   = \"rolling\"         # or \"blue-green\"\n\n\
         [environments.{environment}.kubernetes]\n{}\n",
        comments.join("\n"),
        rows.join("\n"),
    ))
}

/// Whether its names can be written down: a placeholder of some tool is none.
fn is_usable(workload: &WorkloadFound) -> bool {
    let namespace = workload.namespace.as_ref().is_none_or(|name| is_label(name));
    let containers = !workload.containers.is_empty() && workload.containers.iter().all(|name| is_label(name));
    is_object_name(&workload.name) && namespace && containers
}

/// The name of a folder on the way that is one of an environment's.
fn environment_of(path: &str) -> &str {
    path.split('/').find(|part| ENVIRONMENTS.contains(part)).unwrap_or("production")
}

/// A comment of one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl WorkloadFound {
    /// The one that is called as the service or the workload is, else the first.
    fn container(&self, service: &str) -> &str {
        let named = |name: &str| self.containers.iter().find(|own| *own == name);
        let first = self.containers.first();
        named(service).or_else(|| named(&self.name)).or(first).map_or("", String::as_str)
    }

    fn words(&self) -> String {
        plain(&format!("{} {} in {}", self.kind, self.name, self.path))
    }
}

impl ServiceFound {
    fn is_in_front_of(&self, workload: &WorkloadFound) -> bool {
        let here =
            self.namespace.is_none() || workload.namespace.is_none() || self.namespace == workload.namespace;
        let selects = self.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        here && selects && !self.selector.is_empty() && is_label(&self.name)
    }
}
