//! The sample service's own `plimsoll.toml` loads, and its dependencies are
//! versions that Plimsoll has too, so that `demo` builds it offline.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use plimsoll_config::{Config, ImageSource, Overlays, Target};

#[test]
fn its_configuration_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payouts");
    let bytes = fs::read(root.join("plimsoll.toml")).unwrap();
    let loaded =
        Config::parse("plimsoll.toml".into(), bytes, &Overlays::new()).unwrap_or_else(|e| panic!("{e}"));
    let project = &loaded.config.project;
    let ImageSource::Native(image) = &project.source else { panic!("not native") };
    assert_eq!(image.copy[0].from, "target/release/payouts");
    assert!(root.join(&project.contract.as_ref().unwrap().openapi).is_file());
    assert!(root.join(&project.migrations.as_ref().unwrap().dir).is_dir());
    let trial = loaded.config.environment("trial").unwrap();
    assert!(matches!(&trial.target, Target::Local(local) if local.health == "/readyz"));
}

#[test]
fn its_dependencies_are_in_plimsolls_lock_file() {
    let packages = |path: &str| {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap();
        let lock: toml::Table = text.parse().unwrap();
        let package = |package: &toml::Value| {
            let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
            // Without a checksum it is a package of the repository itself.
            Some((text("name")?, text("version")?, text("checksum")?))
        };
        lock["package"].as_array().unwrap().iter().filter_map(package).collect::<BTreeSet<_>>()
    };
    let (sample, own) = (packages("examples/payouts/Cargo.lock"), packages("Cargo.lock"));
    let missing: Vec<_> = sample.difference(&own).collect();
    assert!(
        missing.is_empty(),
        "not in Plimsoll's Cargo.lock: {missing:?}; in examples/payouts run `cargo update -p NAME --precise VERSION`"
    );
    assert!(sample.iter().any(|(name, ..)| name == "nix"));
}
