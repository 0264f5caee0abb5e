//! The example that the interface documents, word for word, and what becomes
//! of it (CFG-2).
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use plimsoll_config::{
    Base, Compression, Config, Database, ImageSource, Origin, Overlays, Project, Protocol, SecretSource,
    Severity, SignWith, Target, VerificationMode, Worse,
};
use plimsoll_model::{RepositoryType, Strategy};

const EXAMPLE: &[u8] = include_bytes!("fixtures/interface.toml");

fn load() -> plimsoll_config::Loaded<Config> {
    Config::parse("plimsoll.toml".into(), EXAMPLE.to_vec(), &Overlays::new())
        .unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_commits_part() {
    let project = load().config.project;
    assert_eq!(project.service.name, "payouts");
    assert_eq!(project.repository.canonical.to_string(), "registry.example.com/acme/payouts");
    assert_eq!(project.repository.of_branch(Some("main")).0, RepositoryType::Canonical);
    let (kind, repository) = project.repository.of_branch(Some("feature/x"));
    assert_eq!((kind, repository.path()), (RepositoryType::Staging, "acme/payouts-staging"));
    assert_eq!(project.repository.of_branch(None).0, RepositoryType::Staging);
    assert_eq!(project.build.command.as_deref(), Some("cargo build --release --locked"));
    assert_eq!(project.build.env["RUSTFLAGS"], "-C target-feature=+crt-static");
    assert_eq!(project.build.timeout, Duration::from_secs(600));
    let ImageSource::Native(image) = project.source else { panic!("not native") };
    assert_eq!(image.base, Base::Scratch);
    assert_eq!(image.entrypoint.unwrap(), ["/usr/local/bin/payouts"]);
    assert_eq!(image.cmd.unwrap().len(), 0);
    assert_eq!(image.user.as_deref(), Some("65532:65532"));
    assert_eq!(image.workdir.as_deref(), Some("/"));
    assert_eq!((image.ports[0].number, image.ports[0].protocol), (8080, Protocol::Tcp));
    assert_eq!(image.compression, Compression::Gzip);
    assert_eq!(image.copy[0].mode.unwrap().bits(), 0o755);
    assert_eq!(project.sbom.policy.fail_on, Some(Severity::High));
    assert_eq!(project.sbom.policy.ignore[0].until.unwrap().to_string(), "2027-01-31");
    assert_eq!(project.contract.unwrap().openapi.to_str(), Some("openapi.json"));
    assert_eq!(
        project.migrations.unwrap().database,
        Some(Database::Source(SecretSource::Env("DATABASE_URL".into())))
    );
}

#[test]
fn the_operators_part() {
    let config = load().config;
    let SignWith::Key { key, .. } = &config.signing.as_ref().unwrap().with else {
        panic!("signs by key");
    };
    assert_eq!(key, &SecretSource::Env("COSIGN_PRIVATE_KEY".into()));
    assert_eq!(config.verification.mode, VerificationMode::Auto);
    assert_eq!((config.verification.threshold, config.verification.min_samples), (0.9, 10));
    assert_eq!(config.verification.identities[0].subject, "https://github.com/acme/payouts/*");
    assert_eq!(config.ledger.url, Database::Sqlite(".plimsoll/ledger.db".into()));

    let production = config.environment("production").unwrap();
    assert_eq!((production.repository, production.strategy), (RepositoryType::Canonical, Strategy::Rolling));
    assert_eq!((production.replicas, production.max_unavailable), (3, 1));
    assert_eq!(production.bounds.rollout, Duration::from_secs(300));
    let Target::Kubernetes(cluster) = &production.target else { panic!("not kubernetes") };
    assert_eq!(cluster.context.as_deref(), Some("prod"));
    assert_eq!((cluster.namespace.as_str(), cluster.container.as_str()), ("payouts", "payouts"));
    let watch = production.watch.as_ref().unwrap();
    assert_eq!(watch.bake, Duration::from_secs(300));
    assert_eq!(watch.metrics[0].of.as_deref(), Some("payout_attempts_total"));
    assert_eq!(watch.metrics[0].worse, Worse::Higher);

    let Target::Local(local) = &config.environment("trial").unwrap().target else { panic!("not local") };
    assert_eq!((local.listen.to_string().as_str(), local.health.as_str()), ("127.0.0.1:8080", "/healthz"));
    let Target::Engine(engine) = &config.environment("host").unwrap().target else { panic!("not engine") };
    assert_eq!(engine.socket.to_str(), Some("/var/run/docker.sock"));
    assert_eq!((engine.port, engine.env_file.as_deref().unwrap().to_str()), (8080, Some("host.env")));
}

#[test]
fn the_build_leaves_the_operators_part_aside() {
    let text = String::from_utf8(EXAMPLE.to_vec()).unwrap();
    let broken =
        text.replace("target   = \"local\"", "target = \"moon\"").replace("env:COSIGN_PASSWORD", "hunter2");
    let overlays = Overlays::new()
        .variables([("PLIMSOLL_ENVIRONMENTS__NEW__REPLICAS", "5"), ("PLIMSOLL_BUILD__TIMEOUT", "20m")]);
    let loaded = Project::for_build(broken.as_bytes(), &overlays).unwrap();
    assert_eq!(loaded.config.build.timeout, Duration::from_secs(1200));
    let overrides: Vec<_> = loaded.overrides().map(|row| row.key.as_str()).collect();
    assert_eq!(overrides, ["build.timeout"]);
    assert!(Config::parse("plimsoll.toml".into(), broken.into_bytes(), &overlays).is_err());
}

#[test]
fn every_value_has_an_origin() {
    let loaded = load();
    let rows = loaded.show();
    let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(row("service.name").origin.to_string(), "plimsoll.toml:2");
    assert_eq!(row("build.env.RUSTFLAGS").value, "-C target-feature=+crt-static");
    assert_eq!(row("image.copy[0].mode").value, "0755");
    assert_eq!(row("image.ports").value, "[\"8080/tcp\"]");
    assert_eq!(row("signing.key").value, "env:COSIGN_PRIVATE_KEY");
    assert_eq!(row("verification.public_keys").value, "[\"file:cosign.pub\"]");
    assert_eq!(row("environments.trial.max_unavailable").origin, Origin::Default);
    assert_eq!(row("environments.production.watch.metrics[0].worse").value, "higher");
    let json = serde_json::to_value(row("environments.production.replicas")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"key": "environments.production.replicas", "value": "3", "origin": "plimsoll.toml:61"})
    );
    assert_eq!(loaded.origin("environments.production.replicas").unwrap().layer(), "file");
    let mut keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "a key is shown twice");
}
