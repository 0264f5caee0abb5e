//! What `plimsoll init` writes always loads, whatever was found.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use plimsoll_config::init::{Found, Language, Manifests, ServiceFound, WorkloadFound, inspect, template};
use plimsoll_config::{Config, ImageSource, Kubernetes, Overlays, Target};

fn load(found: &Found) -> Config {
    let text = template(found);
    Config::parse("plimsoll.toml".into(), text.clone().into(), &Overlays::new())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .config
}

fn native(config: &Config) -> (&str, &str) {
    let ImageSource::Native(image) = &config.project.source else { panic!("not native") };
    (config.project.build.command.as_deref().unwrap(), image.copy[0].from.as_str())
}

#[test]
fn a_rust_service() {
    let found = Found {
        folder: "checkout".into(),
        language: Some(Language::Rust { binary: "payouts".into(), locked: true }),
        openapi: Some("openapi.json".into()),
        migrations: Some("migrations".into()),
        branch: Some("trunk".into()),
        remote: Some("https://github.com/Acme/payouts.git".into()),
        ..Found::default()
    };
    assert_eq!(
        template(&found),
        r#"# How one commit of this repository becomes an image, and where it runs.
# Check it with `plimsoll config show --origin`; every key is in the reference of plimsoll.toml.

[service]
name = "payouts"

[repository]                 # `plimsoll registry` serves localhost:5000 where there is no other
canonical   = "localhost:5000/acme/payouts"           # where the main branch publishes
staging     = "localhost:5000/acme/payouts-staging"   # where every other branch does
main_branch = "trunk"

[build]                      # run with `sh -c` in a clean checkout of the commit
command = "cargo build --release --locked"
env     = { RUSTFLAGS = "-C target-feature=+crt-static" }   # static: needs nothing from the base image
timeout = "10m"

[image]                      # payouts, without a daemon and the same to the byte each time
base       = "scratch"       # or "registry/path@sha256:…"
entrypoint = ["/usr/local/bin/payouts"]
env        = { PORT = "8080" }
ports      = ["8080/tcp"]

[[image.copy]]               # one layer each, in this order
from = "target/release/payouts"
to   = "/usr/local/bin/payouts"
mode = "0755"

[contract]                   # compared with the previous release
openapi = "openapi.json"

[migrations]
dir = "migrations"
# database = "env:DATABASE_URL"   # postgres://… or sqlite://…; never written here itself

# `plimsoll deploy SHA --env trial` runs it on this machine, behind one address.
[environments.trial]
repository = "canonical"       # whose images may run here: of the main branch; or "staging": of the others
target     = "local"           # processes of this machine; or "engine": Docker or Podman
replicas   = 2
listen     = "127.0.0.1:8080"  # where users connect; replicas get a free port in $PORT
health     = "/healthz"        # answers 2xx when a replica may serve
"#
    );
    assert_eq!(native(&load(&found)), ("cargo build --release --locked", "target/release/payouts"));
}

#[test]
fn whatever_is_found_the_file_loads() {
    let odd = ["", "A b", "-x-", "ä", "a\"b\\c", "x\n[y]", "@scope/pkg", "..", "a/b", &"x".repeat(300)];
    for text in odd {
        let languages = [
            None,
            Some(Language::Rust { binary: text.into(), locked: false }),
            Some(Language::Go { module: text.into() }),
            Some(Language::Node { package: Some(text.into()) }),
            Some(Language::Python { project: Some(text.into()) }),
        ];
        for language in languages {
            let found = Found {
                folder: text.into(),
                language,
                branch: Some(text.into()),
                remote: Some(format!("git@host:{text}")),
                manifests: Manifests {
                    workloads: vec![WorkloadFound {
                        path: format!("k8s/{text}.yaml"),
                        kind: "Deployment".into(),
                        name: text.into(),
                        namespace: Some(text.into()),
                        containers: vec![text.into()],
                        labels: [("app".to_owned(), text.to_owned())].into(),
                    }],
                    services: vec![ServiceFound {
                        path: text.into(),
                        name: text.into(),
                        selector: [("app".to_owned(), text.to_owned())].into(),
                        ..ServiceFound::default()
                    }],
                },
                ..Found::default()
            };
            load(&found);
        }
    }
    load(&Found { dockerfile: Some("docker/Dockerfile".into()), ..Found::default() });
    load(&Found::default());
}

#[test]
fn repositories_are_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let look = |path: &str| inspect(&dir.path().join(path));
    put("rust/Cargo.toml", "[package]\nname = \"lib\"\n[[bin]]\nname = \"api\"\n");
    put("rust/Cargo.lock", "");
    put("rust/migrations/1.sql", "");
    put("rust/openapi.json", "{}");
    put("rust/.git/HEAD", "ref: refs/heads/main\n");
    put(
        "rust/.git/config",
        "[core]\n\tbare = false\n[remote \"up\"]\n\turl = no\n[remote \"origin\"]\n\turl = https://me:hunter2@git.example/acme/api.git\n\tfetch = x\n",
    );
    let found = look("rust");
    assert_eq!(
        found,
        Found {
            folder: "rust".into(),
            language: Some(Language::Rust { binary: "api".into(), locked: true }),
            dockerfile: None,
            openapi: Some("openapi.json".into()),
            migrations: Some("migrations".into()),
            branch: Some("main".into()),
            remote: Some("https://git.example/acme/api.git".into()),
            manifests: Manifests::default(),
        }
    );
    put("rust/.git/worktrees/wt/HEAD", "ref: refs/heads/topic/x\n");
    put("rust/.git/worktrees/wt/commondir", "../..\n");
    put("wt/.git", &format!("gitdir: {}\n", dir.path().join("rust/.git/worktrees/wt").display()));
    assert_eq!(look("wt").branch.as_deref(), Some("topic/x"));
    assert_eq!(look("wt").remote.as_deref(), Some("https://git.example/acme/api.git"));
    assert_eq!(load(&look("wt")).project.repository.main_branch, "main");

    put("go/go.mod", "// payouts\nmodule example.com/acme/payouts/v2\n\ngo 1.24\n");
    put("go/Dockerfile", "FROM scratch\n");
    assert_eq!(look("go").language, Some(Language::Go { module: "payouts".into() }));
    assert!(
        matches!(load(&look("go")).project.source, ImageSource::Dockerfile(path) if path == Path::new("Dockerfile"))
    );
    put("node/package.json", "{\"name\": \"@acme/payouts\"}");
    assert_eq!(load(&look("node")).project.service.name, "payouts");
    put("py/pyproject.toml", "[project]\nname = \"Pay_outs\"\n");
    assert_eq!(load(&look("py")).project.service.name, "pay-outs");
    put("broken/package.json", "{");
    assert_eq!(load(&look("broken")).project.service.name, "broken");
}

/// The names of the only environment on a cluster, and what it is called.
fn cluster(config: &Config) -> (&str, &Kubernetes) {
    let on_cluster = config.environments.values().filter_map(|environment| match &environment.target {
        Target::Kubernetes(kubernetes) => Some((environment.name.as_str(), kubernetes)),
        _ => None,
    });
    let all: Vec<_> = on_cluster.collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: payouts-api, namespace: shop}\nspec:\n  \
     template:\n    metadata: {labels: {app: payouts, tier: web}}\n    spec:\n      containers:\n      - {name: proxy, \
     image: envoy}\n      - {name: payouts, image: payouts, env: [{name: TOKEN, value: hunter2}]}\n";
const WORKER: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: alone}\nspec: {template: {metadata: \
     {labels: {app: alone}}, spec: {containers: [{name: main, image: w}]}}}\n";
const SERVICES: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {selector: {app: other}}\n\
     ---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n---\napiVersion: \
     v1\nkind: Service\nmetadata: {name: payouts-web}\nspec: {selector: {app: payouts}}\n";

#[test]
fn manifests_propose_an_environment_with_where_each_name_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("payouts/go.mod", "module example.com/payouts\n");
    put("payouts/deploy/a-worker.yaml", WORKER);
    put("payouts/deploy/api.yaml", DEPLOYMENT);
    put("payouts/deploy/services.yml", SERVICES);
    put("payouts/deploy/broken.yaml", "a: [");
    put("payouts/deploy/chart/Chart.yaml", "name: x\n");
    put("payouts/deploy/chart/templates/d.yaml", &WORKER.replace("alone", "{{ .Release.Name }}"));
    let found = inspect(&dir.path().join("payouts"));
    let text = template(&found);
    let section = &text[text.find("# From").unwrap()..];
    assert_eq!(
        section,
        r#"# From the manifests here: Deployment payouts-api in deploy/api.yaml.
# There are others: Deployment alone in deploy/a-worker.yaml.
# `plimsoll doctor` tells whether a rollout could begin there.
[environments.production]
repository = "canonical"
target     = "kubernetes"
strategy   = "rolling"         # or "blue-green"

[environments.production.kubernetes]
# context    = "…"               # which cluster; without it, the kubeconfig's current one
namespace  = "shop"              # deploy/api.yaml
deployment = "payouts-api"       # Deployment in deploy/api.yaml
container  = "payouts"           # of proxy, payouts
service    = "payouts-web"       # selects its pods, in deploy/services.yml
"#
    );
    assert!(!text.contains("hunter2") && !text.contains("Release.Name"), "{text}");
    let config = load(&found);
    let (name, kubernetes) = cluster(&config);
    assert_eq!((name, kubernetes.namespace.as_str()), ("production", "shop"));
    let names = [&kubernetes.deployment, &kubernetes.container, &kubernetes.service];
    assert_eq!(names, ["payouts-api", "payouts", "payouts-web"]);
    assert_eq!(config.environments.len(), 2, "the one on this machine stays");

    // The folder says which environment, the kustomization beside it which namespace.
    put(
        "kust/kustomize/overlays/staging/kustomization.yaml",
        "namespace: shop-staging\nresources: [d.yaml]\n",
    );
    put("kust/kustomize/overlays/staging/d.yaml", WORKER);
    let found = inspect(&dir.path().join("kust"));
    let config = load(&found);
    let (name, kubernetes) = cluster(&config);
    assert_eq!((name, kubernetes.namespace.as_str()), ("staging", "shop-staging"));
    assert_eq!((kubernetes.deployment.as_str(), kubernetes.container.as_str()), ("alone", "main"));
    assert!(template(&found).contains("no manifest has a Service that selects its pods"));

    put(
        "json/k8s/all.json",
        r#"{"kind": "List", "items": [{"kind": "StatefulSet", "metadata": {"name": "books"},
            "spec": {"template": {"spec": {"containers": [{"name": "books"}]}}}}]}"#,
    );
    let found = inspect(&dir.path().join("json"));
    assert!(template(&found).contains("# StatefulSet in k8s/all.json"), "{}", template(&found));
    put("none/k8s/secret.yaml", SERVICES);
    let found = inspect(&dir.path().join("none"));
    assert!(!template(&found).contains("kubernetes"), "{}", template(&found));
}
