//! What a release changes: OpenAPI documents, migrations, changelogs, manifests.

use plimsoll_evidence_contract::{Contract, Limits, OneFile, Options as DiffOptions, diff};
use plimsoll_evidence_migration_lint::{Dialect, File, Options, Serves, backfills, schema, scripts};
use plimsoll_model::{Diagnose as _, Lookup};
use plimsoll_release::changelog::Changelog;
use plimsoll_release::manifest::{self, ManifestFile};
use plimsoll_watch::Selector;
use plimsoll_watch::exposition::Exposition;

use super::{named, way};

/// A document against itself is no change; against an empty one it is some.
pub(super) fn contract(input: &[u8]) -> u64 {
    let limits = Limits { bytes: 1 << 20, nodes: 200_000, steps: 200_000, ..Limits::default() };
    let document = match Contract::load("openapi.yaml", input, &OneFile, &limits) {
        Ok(document) => document,
        Err(error) => return way(&error.to_string()),
    };
    let options = DiffOptions { limits, ..DiffOptions::default() };
    let Ok(same) = diff(&document, &document, &options) else { return way("too many steps") };
    assert!(same.changes.is_empty(), "a document differs from itself: {:?}", same.changes[0]);
    // Its canonical form is the same document, and its own canonical form.
    let snapshot = document.snapshot();
    let again = Contract::load("openapi.json", &snapshot, &OneFile, &Limits::default())
        .unwrap_or_else(|error| panic!("a snapshot cannot be read: {error}"));
    assert_eq!(snapshot, again.snapshot(), "a snapshot has another snapshot");
    let empty = b"openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths: {}\n";
    let empty = Contract::load("empty.yaml", empty, &OneFile, &Limits::default()).expect("it is one");
    match diff(&empty, &document, &options) {
        Ok(report) => {
            way(&report.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(" "))
        }
        Err(error) => way(&error.to_string()),
    }
}

fn migrations(input: &[u8], dialect: Dialect) -> u64 {
    let (first, second) = named(input);
    let file = |path: &str, bytes: &[u8]| File { path: path.into(), bytes: bytes.to_vec() };
    // The first line is a release of its own, so that there is something in use.
    let files = [file("1_first.sql", first), file("2_second.sql", second)];
    let options = Options { dialect, ..Options::default() };
    let report = match plimsoll_evidence_migration_lint::lint(&files, &options) {
        Ok(report) => report,
        Err(error) => return way(&error.to_string()),
    };
    for file in &report.files {
        assert!(file.not_understood <= file.findings.len(), "a statement was dropped in silence: {file:?}");
    }
    let after = schema(&files, &options).expect("what was linted can be replayed");
    let needs = after.needs(&Default::default());
    assert_eq!(after.offers().serves(&needs), Serves::Yes, "a schema does not serve its own code");
    if let (Ok(cut), Ok(_)) = (scripts(&files, &options), backfills(&files, &options)) {
        assert_eq!(cut.files.len(), report.files.len());
    }
    let findings = report.files.iter().flat_map(|file| &file.findings);
    way(&findings.map(|finding| finding.name.as_str()).collect::<Vec<_>>().join(" "))
}

pub(super) fn postgres(input: &[u8]) -> u64 {
    migrations(input, Dialect::Postgres)
}

pub(super) fn sqlite(input: &[u8]) -> u64 {
    migrations(input, Dialect::Sqlite)
}

/// What is read is written as it was.
pub(super) fn changelog(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    match Changelog::parse(&text) {
        Ok(changelog) => {
            assert_eq!(changelog.to_string(), text, "it was written otherwise than it was read");
            way(&changelog.names().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        Err(error) => way(&error.to_string()),
    }
}

/// The first line names the manifest.
pub(super) fn version_manifest(input: &[u8]) -> u64 {
    let (path, content) = named(input);
    let path = String::from_utf8_lossy(path).into_owned();
    let stated =
        manifest::read(&[ManifestFile { path, content: Lookup::Found(content.to_vec()) }], "payouts");
    way(&stated
        .iter()
        .map(|stated| stated.version.describe(ToString::to_string))
        .collect::<Vec<_>>()
        .join(" "))
}

/// The first line is a selector, the rest what a replica answers.
pub(super) fn exposition(input: &[u8]) -> u64 {
    let (selector, body) = named(input);
    let selected = match Selector::parse(&String::from_utf8_lossy(selector)) {
        Ok(_) => "selector".to_owned(),
        Err(error) => error.to_string(),
    };
    let read = |openmetrics| match Exposition::parse(body, openmetrics, |_| true) {
        Ok(exposition) => "s".repeat(exposition.samples.len().min(20)),
        Err(error) => error.to_string(),
    };
    way(&format!("{selected} {} {}", read(false), read(true)))
}

/// Where a database is. What is wrong with it is told without it.
pub(super) fn database_url(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input).into_owned();
    match plimsoll_database::Address::parse(&plimsoll_model::Secret::new(&text)) {
        Ok(address) => way(&format!("{:?} {}", address.ssl_mode(), address.user().is_some())),
        Err(error) => {
            let told = format!("{error} {:?} {:?}", error.hint(), error.found());
            let password = text.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map(|(it, _)| it);
            let secret = password.and_then(|it| it.rsplit_once(':')).map_or("", |(_, secret)| secret);
            assert!(secret.len() < 8 || !told.contains(secret), "the error shows the password: {told}");
            way(&told)
        }
    }
}
