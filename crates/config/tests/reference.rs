//! docs/reference/configuration.md says what the code does: every key, and
//! every default.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_config::{Config, ConfigError, Origin, Overlays, ProblemKind};

const PAGE: &str = include_str!("../../../docs/reference/configuration.md");

/// Every table there is, each with a key that no table has: the error names
/// those that it does have.
const EVERY_TABLE: &str = r#"
    zzzzzzzzzzzz = 1
    [service]
    name = "payouts"
    zzzzzzzzzzzz = 1
    [repository]
    canonical = "registry.example.com/acme/payouts"
    zzzzzzzzzzzz = 1
    [build]
    zzzzzzzzzzzz = 1
    [image]
    zzzzzzzzzzzz = 1
    [[image.copy]]
    zzzzzzzzzzzz = 1
    [signing]
    zzzzzzzzzzzz = 1
    [verification]
    zzzzzzzzzzzz = 1
    [[verification.keys]]
    zzzzzzzzzzzz = 1
    [[verification.identities]]
    zzzzzzzzzzzz = 1
    [secrets]
    zzzzzzzzzzzz = 1
    [[secrets.allow]]
    zzzzzzzzzzzz = 1
    [policy]
    zzzzzzzzzzzz = 1
    [sbom]
    zzzzzzzzzzzz = 1
    [sbom.policy]
    zzzzzzzzzzzz = 1
    [[sbom.policy.ignore]]
    zzzzzzzzzzzz = 1
    [contract]
    zzzzzzzzzzzz = 1
    [migrations]
    zzzzzzzzzzzz = 1
    [ledger]
    zzzzzzzzzzzz = 1
    [serve]
    zzzzzzzzzzzz = 1
    [admission]
    zzzzzzzzzzzz = 1
    [[admission.exempt_images]]
    zzzzzzzzzzzz = 1
    [admission.tls]
    zzzzzzzzzzzz = 1
    [telemetry]
    zzzzzzzzzzzz = 1
    [environments.local]
    target = "local"
    listen = "127.0.0.1:1"
    zzzzzzzzzzzz = 1
    [environments.local.watch]
    zzzzzzzzzzzz = 1
    [[environments.local.watch.metrics]]
    zzzzzzzzzzzz = 1
    [environments.local.watch.prometheus]
    zzzzzzzzzzzz = 1
    [environments.local.watch.traces]
    zzzzzzzzzzzz = 1
    [environments.local.policy]
    zzzzzzzzzzzz = 1
    [environments.engine]
    target = "engine"
    listen = "127.0.0.1:1"
    zzzzzzzzzzzz = 1
    [environments.cluster]
    target = "kubernetes"
    zzzzzzzzzzzz = 1
    [environments.cluster.kubernetes]
    zzzzzzzzzzzz = 1
    [environments.cluster.kubernetes.migrate]
    zzzzzzzzzzzz = 1
"#;

/// The two tables that exclude `[image]`.
const OTHER_SOURCES: &str = r#"
    [build.dockerfile]
    zzzzzzzzzzzz = 1
    [build.layout]
    zzzzzzzzzzzz = 1
"#;

/// What every key has by default, where that can be seen without the file.
const SMALLEST: &str = r#"
    [service]
    name = "payouts"
    [repository]
    canonical = "registry.example.com/acme/payouts"
    [image]
    entrypoint = ["/bin/payouts"]
    copy = [{ from = "a", to = "/a" }]
    [contract]
    [migrations]
    [environments.local]
    target = "local"
    listen = "127.0.0.1:1"
    [environments.local.watch]
    [[environments.local.watch.metrics]]
    name = "a"
    query = "b"
    [environments.local.watch.prometheus]
    url = "http://127.0.0.1:9090"
    label = "image_sha"
    [environments.local.watch.traces]
    listen = "127.0.0.1:4318"
    [environments.engine]
    target = "engine"
    listen = "127.0.0.1:1"
    [environments.cluster]
    target = "kubernetes"
"#;

/// Table, then key, then the cell `default`; from the page.
fn documented() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut tables = BTreeMap::new();
    let mut table = None;
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            table = title.starts_with('[').then(|| title.trim_matches(['[', ']']).to_owned());
        } else if let (Some(table), Some(row)) = (&table, line.strip_prefix("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let key = cells[0].trim_end_matches('`').to_owned();
            assert_eq!(cells.len(), 5, "[{table}] `{key}` needs type, default, since and meaning");
            let keys: &mut BTreeMap<String, String> = tables.entry(table.clone()).or_default();
            assert!(keys.insert(key.clone(), cells[2].to_owned()).is_none(), "[{table}] has `{key}` twice");
        }
    }
    tables
}

/// The page's name of a table: `environments.local.watch.metrics[0]` is
/// `environments.NAME.watch.metrics` there.
fn page_name(path: &str) -> String {
    let mut parts: Vec<String> = path.replace("[0]", "").split('.').map(str::to_owned).collect();
    if parts[0] == "environments" && parts.len() > 1 {
        parts[1] = "NAME".into();
    }
    parts.join(".")
}

/// Table, then keys; from the code.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in [EVERY_TABLE, OTHER_SOURCES] {
        let error = Config::parse("plimsoll.toml".into(), file.into(), &Overlays::new()).unwrap_err();
        let ConfigError::Invalid(problems) = error else { panic!("{error}") };
        for problem in problems.iter().filter(|problem| problem.kind == ProblemKind::UnknownKey) {
            let hint = problem.hint.clone().unwrap();
            let (title, keys) = hint.split_once(" has ").unwrap();
            let title = title.trim_matches('`');
            let title = title.strip_prefix('[').and_then(|title| title.strip_suffix(']')).unwrap_or(title);
            let keys = keys.split(", ").map(|key| key.trim_matches('`').to_owned());
            tables.entry(page_name(title)).or_default().extend(keys);
        }
    }
    tables
}

#[test]
fn every_key_is_on_the_page_and_no_other() {
    let mut known = known();
    let sections = known.remove("the top level").unwrap();
    let documented = documented();
    let on_page: BTreeSet<String> =
        documented.keys().map(|table| table.split('.').next().unwrap().to_owned()).collect();
    assert_eq!(on_page, sections);
    let documented: BTreeMap<String, BTreeSet<String>> =
        documented.into_iter().map(|(table, keys)| (table, keys.into_keys().collect())).collect();
    // Each target has a few keys of its own; together they are the section's.
    assert_eq!(documented, known);
}

#[test]
fn defaults_are_as_on_the_page() {
    let loaded = Config::parse("plimsoll.toml".into(), SMALLEST.into(), &Overlays::new()).unwrap();
    let documented = documented();
    let derived = ["repository.staging"];
    let mut seen = 0;
    for row in loaded.show().iter().filter(|row| row.origin == Origin::Default) {
        let named_after_the_service = row.value == "payouts";
        if derived.contains(&row.key.as_str()) || named_after_the_service {
            continue;
        }
        let (table, key) = row.key.rsplit_once('.').unwrap();
        let default = &documented[&page_name(table)][key];
        assert!(
            default.contains(&format!("`{}`", row.value)),
            "`{}` is {} by default; the page says {default}",
            row.key,
            row.value
        );
        seen += 1;
    }
    assert!(seen > 20, "only {seen} defaults were compared");
}
