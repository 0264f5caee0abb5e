//! `cargo xtask tidy`: the invariants of the tree that no compiler checks.
//!
//! * edges between crates are the allowed ones, and nothing under `rollout/`
//!   reaches `image` or `registry`, directly or not (invariant 2);
//! * paths named in ARCHITECTURE.md exist;
//! * each module starts with a `//!` line and no file is too long to read;
//! * files of the pipeline that roll back name nothing that builds or pushes;
//! * only the printer prints, nothing sleeps to wait, nothing is `unsafe`.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What each crate may depend on in this workspace, tests aside. A new edge is
/// a decision: it is made here, in the commit that needs it.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("database", &["model"]),
    ("oci", &["model"]),
    ("image", &["model", "oci"]),
    ("registry", &["model", "oci"]),
    ("evidence-sbom", &["model", "oci"]),
    ("evidence-advisories", &["model"]),
    ("evidence-secrets", &["model", "oci"]),
    ("evidence-trust", &["model"]),
    ("evidence-contract", &["model"]),
    ("evidence-migration-lint", &["model"]),
    ("evidence-lock-trace", &["database", "evidence-migration-lint", "model"]),
    ("evidence-keyless", &["evidence-trust", "model"]),
    ("release", &["model"]),
    ("decision", &["model"]),
    ("health", &["model"]),
    ("rollout-core", &["decision", "health", "model"]),
    ("rollout-switch", &["model"]),
    ("rollout-local", &["model", "oci", "rollout-core", "rollout-switch"]),
    ("rollout-engine", &["model", "oci", "rollout-core", "rollout-switch"]),
    ("rollout-kubernetes", &["model", "rollout-core"]),
    ("rollout-backfill", &["database", "evidence-migration-lint", "model"]),
    ("rollout-migrate", &["database", "evidence-migration-lint", "model"]),
    ("watch", &["health", "model", "rollout-switch"]),
    ("ledger", &["model"]),
    (
        "pipeline",
        &[
            "config",
            "database",
            "decision",
            "evidence-advisories",
            "evidence-contract",
            "evidence-keyless",
            "evidence-lock-trace",
            "evidence-migration-lint",
            "evidence-sbom",
            "evidence-secrets",
            "evidence-trust",
            "health",
            "image",
            "ledger",
            "model",
            "oci",
            "registry",
            "release",
            "rollout-backfill",
            "rollout-core",
            "rollout-engine",
            "rollout-kubernetes",
            "rollout-local",
            "rollout-migrate",
            "rollout-switch",
            "watch",
        ],
    ),
    ("server", &["config", "model", "pipeline", "rollout-kubernetes"]),
    ("telemetry", &["config", "model"]),
    (
        "cli",
        &[
            "config",
            "database",
            "decision",
            "evidence-advisories",
            "evidence-contract",
            "evidence-keyless",
            "evidence-lock-trace",
            "evidence-migration-lint",
            "evidence-sbom",
            "evidence-secrets",
            "evidence-trust",
            "health",
            "image",
            "ledger",
            "model",
            "oci",
            "pipeline",
            "registry",
            "release",
            "rollout-backfill",
            "rollout-core",
            "rollout-engine",
            "rollout-kubernetes",
            "rollout-local",
            "rollout-migrate",
            "rollout-switch",
            "server",
            "telemetry",
            "watch",
        ],
    ),
    (
        "fuzz",
        &[
            "database",
            "evidence-advisories",
            "evidence-contract",
            "evidence-migration-lint",
            "evidence-sbom",
            "evidence-secrets",
            "evidence-trust",
            "model",
            "oci",
            "release",
            "watch",
        ],
    ),
    (
        "testkit",
        &["decision", "evidence-trust", "health", "ledger", "model", "oci", "registry", "rollout-core"],
    ),
    ("testkit-cluster", &[]),
];

/// Who can build or push. Nothing that rolls out may reach them (RBK-1).
const BUILDERS: [&str; 2] = ["image", "registry"];

/// A file longer than this is split along its ideas.
const MOST_LINES: usize = 800;

/// Checks everything and prints what is wrong.
pub(crate) fn run(root: &Path) -> ExitCode {
    let problems = problems(root);
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every broken invariant, in words.
pub(crate) fn problems(root: &Path) -> Vec<String> {
    let graph = dependency_graph(root);
    let mut problems = unexpected_edges(&graph);
    problems.extend(ways_from_rollout_to_builders(&graph));
    problems.extend(missing_paths(root));
    problems.extend(text::missing(root));
    for file in source_files(root) {
        problems.extend(file_problems(root, &file));
    }
    problems
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Normal and build dependencies within the workspace; test-only ones are not
/// part of what is shipped.
fn dependency_graph(root: &Path) -> Graph {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let mut graph = Graph::new();
    for package in packages {
        let Some(name) = package["name"].as_str().and_then(short) else { continue };
        let edges = package["dependencies"]
            .as_array()
            .expect("a package lists dependencies")
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str().and_then(short))
            .collect();
        graph.insert(name, edges);
    }
    graph
}

fn short(package: &str) -> Option<String> {
    package.strip_prefix("plimsoll-").map(Into::into)
}

fn unexpected_edges(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, edges) in graph {
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| known == name) else {
            problems.push(format!("crate `{name}` is not in the table of edges in xtask/src/tidy.rs"));
            continue;
        };
        for edge in edges.iter().filter(|edge| !allowed.contains(&edge.as_str())) {
            problems.push(format!("crate `{name}` may not depend on `{edge}`"));
        }
    }
    problems
}

fn ways_from_rollout_to_builders(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for start in graph.keys().filter(|name| name.starts_with("rollout-")) {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![start.clone()];
        while let Some(name) = ahead.pop() {
            if BUILDERS.contains(&name.as_str()) {
                problems.push(format!(
                    "`{start}` reaches `{name}`: code that rolls back must not be able to build or push"
                ));
            }
            if seen.insert(name.clone()) {
                ahead.extend(graph.get(&name).into_iter().flatten().cloned());
            }
        }
    }
    problems
}

/// Paths in backquotes in ARCHITECTURE.md that look like files of this tree.
fn missing_paths(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            ["crates/", "docs/", "examples/", "xtask/", "fuzz/"].iter().any(|top| word.starts_with(top))
        })
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("ARCHITECTURE.md names `{path}`, which does not exist"))
        .collect()
}

fn source_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut ahead = vec![root.join("crates"), root.join("xtask"), root.join("examples")];
    while let Some(folder) = ahead.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.ends_with("target") {
                ahead.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn file_problems(root: &Path, file: &Path) -> Vec<String> {
    let file_in_tree = file.strip_prefix(root).unwrap_or(file);
    let name = file_in_tree.display();
    let text = std::fs::read_to_string(file).expect("a source file is readable text");
    let mut problems = text::problems(file_in_tree, &text);
    if !text.starts_with("//!") {
        problems.push(format!("{name} does not start with a `//!` line that says what it is for"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        problems.push(format!("{name} has {lines} lines; split it along its ideas (at most {MOST_LINES})"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let problems = problems(&crate::root());
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    /// The check can fail: an edge from a target to a builder is found, also
    /// through another crate.
    #[test]
    fn a_way_to_a_builder_is_found() {
        let graph: Graph = [
            ("rollout-local".into(), BTreeSet::from(["oci".into()])),
            ("oci".into(), BTreeSet::from(["registry".into()])),
            ("registry".into(), BTreeSet::new()),
        ]
        .into();
        assert_eq!(ways_from_rollout_to_builders(&graph).len(), 1);
        assert_eq!(unexpected_edges(&graph), ["crate `oci` may not depend on `registry`"]);
    }
}
