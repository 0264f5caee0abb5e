//! Which layer wins, and how a variable or flag finds its key (CFG-2).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use plimsoll_config::{Config, ConfigError, Demand, ImageSource, Loaded, Origin, Overlays, Target};
use plimsoll_model::Diagnose as _;

const BASE: &str = r#"
[service]
name = "payouts"
[repository]
canonical = "r.example/acme/payouts"
[build]
command = "make"
[image]
entrypoint = ["/app"]
env = { Port = "1" }
[[image.copy]]
from = "app"
to = "/app"
[environments.pre-prod]
target = "local"
listen = "127.0.0.1:8080"
"#;

fn parse(overlays: &Overlays) -> Result<Loaded<Config>, ConfigError> {
    Config::parse("plimsoll.toml".into(), BASE.into(), overlays)
}

fn good(overlays: &Overlays) -> Loaded<Config> {
    parse(overlays).unwrap_or_else(|error| panic!("{error}"))
}

fn variables(pairs: &[(&str, &str)]) -> Overlays {
    Overlays::new().variables(pairs.iter().copied())
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    write("plimsoll.toml", BASE);
    let one = write(
        "one.toml",
        "[environments.pre-prod]\nreplicas = 3\nmax_unavailable = 2\ndrain_timeout = \"1s\"\n",
    );
    let two = write("two.toml", "[environments.pre-prod]\nreplicas = 4\nmax_unavailable = 3\n");

    let overlays = Overlays::new().file(&one).file(&two);
    let key = |key: &str| format!("environments.pre-prod.{key}");
    let loaded = Config::load(dir.path(), &overlays).unwrap();
    let environment = loaded.config.environment("pre-prod").unwrap();
    assert_eq!((environment.replicas, environment.max_unavailable), (4, 3));
    assert_eq!(environment.bounds.drain.as_secs(), 1);
    assert!(
        matches!(loaded.origin(&key("replicas")), Some(Origin::File { path, line: 2, .. }) if path.ends_with("two.toml"))
    );
    assert!(
        matches!(loaded.origin(&key("drain_timeout")), Some(Origin::File { path, .. }) if path.ends_with("one.toml"))
    );
    assert!(
        matches!(loaded.origin(&key("listen")), Some(Origin::File { path, .. }) if path.ends_with("plimsoll.toml"))
    );

    let overlays = overlays.variables([("PLIMSOLL_ENVIRONMENTS__PRE_PROD__REPLICAS", "5")]);
    let loaded = Config::load(dir.path(), &overlays).unwrap();
    assert_eq!(loaded.config.environment("pre-prod").unwrap().replicas, 5);
    assert_eq!(
        loaded.origin(&key("replicas")).unwrap().to_string(),
        "PLIMSOLL_ENVIRONMENTS__PRE_PROD__REPLICAS"
    );

    let overlays = overlays.set("environments.pre-prod.replicas=6").set("environments.pre-prod.replicas=7");
    let loaded = Config::load(dir.path(), &overlays).unwrap();
    assert_eq!(loaded.config.environment("pre-prod").unwrap().replicas, 7);
    assert_eq!(loaded.origin(&key("replicas")), Some(&Origin::Flag));
    let overrides: Vec<_> = loaded.overrides().map(|row| row.key.clone()).collect();
    assert_eq!(overrides, [key("drain_timeout"), key("max_unavailable"), key("replicas")]);
}

#[test]
fn the_variable_names_mounted_files_unless_a_flag_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, branch: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("[repository]\nmain_branch = \"{branch}\"\n")).unwrap();
        path
    };
    let (a, b, c) = (file("a", "a"), file("b", "b"), file("c", "c"));
    let overlays = variables(&[("PLIMSOLL_CONFIG", &format!("{}:{}", a.display(), b.display()))]);
    assert_eq!(good(&overlays).config.project.repository.main_branch, "b");
    assert_eq!(good(&overlays.file(c)).config.project.repository.main_branch, "c");
    let missing = parse(&Overlays::new().file(dir.path().join("none"))).unwrap_err();
    assert_eq!(missing.code(), "CFG-002");
    assert_eq!(missing.to_string(), format!("cannot read {}", dir.path().join("none").display()));
}

#[test]
fn variables_find_their_keys() {
    let loaded = good(&variables(&[
        ("PLIMSOLL_repository__Canonical", "r.example/acme/other"),
        ("PLIMSOLL_BUILD__ENV__RUSTFLAGS", "-g"),
        ("PLIMSOLL_IMAGE__ENV__Port", "2"),
        ("PLIMSOLL_IMAGE__ENV__PORT", "3"),
        ("PLIMSOLL_IMAGE__ENTRYPOINT", r#"["/app", "--x"]"#),
        ("PLIMSOLL_IMAGE__COPY", r#"[{ from = "x", to = "/x" }, { from = "y", to = "/y" }]"#),
        ("PLIMSOLL_SBOM__POLICY__FAIL_ON", "none"),
        ("PLIMSOLL_VERIFICATION__THRESHOLD", "0.5"),
        ("PLIMSOLL_VERIFICATION__MIN_SAMPLES", "3"),
        ("PLIMSOLL_ENVIRONMENTS__PRE_PROD__WATCH", r#"{ bake = "1m" }"#),
        ("PLIMSOLL_ENVIRONMENTS__PRE_PROD__WATCH__METRICS", r#"[{ name = "n", query = "q" }]"#),
        ("PLIMSOLL_ENVIRONMENTS__PRE_PROD__CLEAN_BUILD", "false"),
        ("PLIMSOLL_ENVIRONMENTS__TWO__TARGET", "engine"),
        ("PLIMSOLL_ENVIRONMENTS__TWO__LISTEN", "[::1]:80"),
        ("PLIMSOLL_REGISTRY_PASSWORD", "hunter2"),
        ("PLIMSOLL_LOG", "debug"),
        ("PLIMSOLL_SERVICE_HOST", "10.0.0.1"),
        ("PLIMSOLL_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("HOME", "/"),
    ]));
    let config = loaded.config;
    assert_eq!(config.project.repository.canonical.path(), "acme/other");
    assert_eq!(config.project.repository.staging.path(), "acme/other-staging");
    assert_eq!(config.project.build.env["RUSTFLAGS"], "-g");
    let ImageSource::Native(image) = config.project.source else { panic!("not native") };
    assert_eq!(image.env, [("PORT".into(), "3".into()), ("Port".into(), "2".into())].into());
    assert_eq!(image.entrypoint.unwrap().len(), 2);
    assert_eq!(image.copy[1].to, "/y");
    assert_eq!(config.project.sbom.policy.fail_on, None);
    assert_eq!((config.verification.threshold, config.verification.min_samples), (0.5, 3));
    assert!(!config.environments["pre-prod"].clean_build);
    let watch = config.environments["pre-prod"].watch.as_ref().unwrap();
    assert_eq!((watch.bake.as_secs(), watch.metrics[0].name.as_str()), (60, "n"));
    assert!(matches!(&config.environments["two"].target, Target::Engine(engine) if engine.listen.is_ipv6()));
}

#[test]
fn flags_take_quoted_keys_and_values_with_equals_signs() {
    let overlays = Overlays::new()
        .set(r#"image.labels."org.opencontainers.image.title"=a=b"#)
        .set("build.command=A=1 make")
        .set("build.env={ X = \"1\" }");
    let project = good(&overlays).config.project;
    assert_eq!(project.build.command.as_deref(), Some("A=1 make"));
    assert_eq!(project.build.env["X"], "1");
    let ImageSource::Native(image) = project.source else { panic!("not native") };
    assert_eq!(image.labels["org.opencontainers.image.title"], "a=b");
}

#[test]
fn overlays_do_not_show_values() {
    let overlays = variables(&[("PLIMSOLL_REGISTRY_PASSWORD", "hunter2")]).set("signing.password=hunter2");
    assert!(!format!("{overlays:?}").contains("hunter2"));
}

#[test]
fn the_nearest_file_up_to_the_top_of_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("repo/a/b");
    fs::create_dir_all(&inner).unwrap();
    fs::create_dir(dir.path().join("repo/.git")).unwrap();
    let put = |path: &Path| fs::write(path.join("plimsoll.toml"), BASE).unwrap();

    // Outside the repository: never looked at.
    put(dir.path());
    let error = Config::load(&inner, &Overlays::new()).unwrap_err();
    let top = dir.path().canonicalize().unwrap().join("repo");
    assert_eq!(
        error.to_string(),
        format!("no plimsoll.toml in {} or above it, up to {}", top.join("a/b").display(), top.display())
    );
    assert_eq!(error.code(), "CFG-001");
    assert_eq!(
        error.hint().unwrap(),
        "nothing was touched; write one for this repository with `plimsoll init`"
    );
    put(&dir.path().join("repo"));
    assert_eq!(Config::load(&inner, &Overlays::new()).unwrap().root(), top);
    put(&inner);
    assert_eq!(Config::load(&inner, &Overlays::new()).unwrap().root(), top.join("a/b"));

    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("x")).unwrap();
    put(outside.path());
    assert!(Config::load(&outside.path().join("x"), &Overlays::new()).is_err());
    assert!(Config::load(outside.path(), &Overlays::new()).is_ok());
}

#[test]
fn what_is_too_large_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plimsoll.toml");
    fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    let error = Config::load(dir.path(), &Overlays::new()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }));
    fs::write(&file, format!("{BASE}#{}", "#".repeat((1 << 20) - BASE.len() - 1))).unwrap();
    assert!(Config::load(dir.path(), &Overlays::new()).is_ok());
}

/// `[environments.NAME.policy]` begins with `[policy]`.
#[test]
fn an_environment_demands_more_than_the_rest() {
    let text = r#"
        [service]
        name = "payouts"
        [repository]
        canonical = "registry.example.com/acme/payouts"
        [build.layout]
        path = "out"
        [policy]
        sbom = "require"
        builders = ["https://ci.example.com/builder"]
        [environments.trial]
        target = "local"
        listen = "127.0.0.1:1"
        [environments.production]
        target = "local"
        listen = "127.0.0.1:1"
        [environments.production.policy]
        provenance = "require"
        scan = "require"
    "#;
    let config = Config::parse("plimsoll.toml".into(), text.into(), &Overlays::new()).unwrap().config;
    let (trial, production) =
        (&config.environments["trial"].policy, &config.environments["production"].policy);
    assert_eq!((trial.sbom, trial.provenance, trial.scan), (Demand::Require, Demand::Warn, None));
    assert_eq!((production.sbom, production.provenance), (Demand::Require, Demand::Require));
    assert_eq!(production.scan, Some(Demand::Require));
    assert_eq!(production.builders, trial.builders);
}
