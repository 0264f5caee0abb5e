//! What a build says about its image: SBOM, provenance, scan, record, the
//! release's documents, and the signature (SBM-1, SBM-2, SIG-2).

use jiff::Timestamp;
use plimsoll_evidence_advisories::{Report, ScanRun, VulnPredicate};
use plimsoll_evidence_sbom::{Bom, Format, Options, Source as SbomSource, generate};
use plimsoll_evidence_trust::{Role, Statement, predicate};
use plimsoll_image::{BuiltImage, Source};
use plimsoll_model::{BuildMetadata, Commit, Digest, Failure, Lookup, Repository};
use plimsoll_oci::Layout;
use serde::Serialize;
use serde_json::value::RawValue;

use super::found::Pieces;
use super::provenance::{Provenance, Resource, Told, provenance};
use super::release::ReleaseDocuments;
use super::scan;
use crate::build::Subject;
use crate::context::Context;
use crate::{Step, blocking};

/// Names of lock files that say something about what is in the image.
const LOCK_FILES: [&str; 16] = [
    "Cargo.lock",
    "Gemfile.lock",
    "Pipfile.lock",
    "composer.lock",
    "go.mod",
    "go.sum",
    "gradle.lockfile",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pylock.toml",
    "requirements.txt",
    "uv.lock",
    "yarn.lock",
];
/// Folders whose lock files are not the service's.
const NOT_THE_SERVICE: [&str; 6] = ["examples", "fixtures", "node_modules", "test", "tests", "testdata"];
/// Most lock files that are read, and most bytes of one.
const MOST_LOCK_FILES: usize = 64;
const MOST_LOCK_BYTES: u64 = 64 << 20;

/// What the image is made of, and how it was made.
pub(crate) struct Made {
    sbom: [(Format, Vec<u8>); 2],
    provenance: Option<Provenance>,
    scan: Option<VulnPredicate>,
    documents: ReleaseDocuments,
}

/// Finds out what can be said about a built image.
///
/// # Errors
/// The image, a lock file or the advisories cannot be read.
pub(crate) async fn made(
    context: &Context,
    subject: &Subject,
    store: &Layout,
    image: &BuiltImage,
    documents: ReleaseDocuments,
    began: Timestamp,
) -> Result<Made, Failure> {
    let step = Step::start(context, "sbom", image.manifest().digest.short());
    let lock_files = {
        let (source, commit) = (subject.source.clone(), subject.commit.clone());
        blocking("reading lock files", move || lock_files(&source, &commit)).await??
    };
    let options = Options {
        name: Some(subject.repository.to_string()),
        version: Some(subject.commit.to_string()),
        lock_files: lock_files.clone(),
        ..Options::default()
    };
    let (store, digest) = (store.clone(), image.manifest().digest);
    let (bom, sbom) = blocking("making the SBOM", move || {
        let bom = generate(&SbomSource::image(&store, digest), &options)?;
        let documents = [Format::CycloneDx, Format::Spdx].map(|format| (format, bom.to_bytes(format)));
        Ok::<_, Failure>((bom, documents))
    })
    .await??;
    step.finish(match bom.warnings.len() {
        0 => format!("{} components", bom.components.len()),
        warnings => format!("{} components; {warnings} things could not be read", bom.components.len()),
    });
    let scan = attested_scan(context, &bom).await?;
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let told = Told {
        project: &subject.project,
        overridden: subject.overridden.clone(),
        commit: &subject.commit,
        branch: &subject.branch,
        image,
        lock_files: &lock_files,
        packages: packages(&bom),
        time: (began, Timestamp::now()),
    };
    Ok(Made { sbom, provenance: Some(provenance(told, &environment)), scan, documents })
}

async fn attested_scan(context: &Context, bom: &Bom) -> Result<Option<VulnPredicate>, Failure> {
    let Some(database) = scan::configured(context) else { return Ok(None) };
    let step = Step::start(context, "scan", format!("{} components", bom.components.len()));
    let started = Timestamp::now();
    let mut report: Report = scan::scan(context, database, scan::purls(bom)).await?;
    // Where the advisories are on this machine is nobody's business.
    for source in &mut report.database.sources {
        if let Some((_, name)) = source.rsplit_once('/') {
            *source = name.to_owned();
        }
    }
    let finished = Timestamp::now();
    step.finish(format!("{} advisories apply", report.findings.len()));
    let run = ScanRun {
        scanner_uri: "https://plimsoll.dev/scanner/v1".into(),
        scanner_version: env!("CARGO_PKG_VERSION").into(),
        invocation_uri: String::new(),
        event_id: String::new(),
        builder_id: String::new(),
        parameters: Vec::new(),
        started,
        finished,
    };
    Ok(Some(VulnPredicate::new(&report, &run)))
}

/// What lock files name with a checksum: materials of the build.
fn packages(bom: &Bom) -> Vec<Resource> {
    let declared = bom.components.iter().filter(|component| !component.lock_files.is_empty());
    declared
        .filter_map(|component| {
            let hash = component.hashes.iter().find(|hash| hash.algorithm == "SHA-256")?;
            Some(Resource::new(component.purl().to_string(), "sha256", hash.hex.clone()))
        })
        .collect()
}

/// The lock files of the service in a commit.
///
/// # Errors
/// git cannot be asked.
pub(crate) fn lock_files(source: &Source, commit: &Commit) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    for path in source.files(commit)? {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let of_service = !folder.split('/').any(|part| NOT_THE_SERVICE.contains(&part));
        if !of_service || !LOCK_FILES.contains(&name) || found.len() == MOST_LOCK_FILES {
            continue;
        }
        if let Lookup::Found(bytes) = source.show_file(commit, &path, MOST_LOCK_BYTES)? {
            found.push((path, bytes));
        }
    }
    Ok(found)
}

impl Made {
    /// The statements, but for those that `known` has already: the same SBOM,
    /// the same provenance but for its times, a signature. What is said again
    /// would only make the list longer.
    pub(crate) fn statements(
        &self,
        repository: &Repository,
        image: &Digest,
        known: Option<&Pieces>,
    ) -> Result<Vec<Statement>, Failure> {
        let mut statements = Vec::new();
        let verified = |role| known.into_iter().flat_map(move |pieces| pieces.verified(role));
        if verified(Role::Signature).next().is_none() {
            statements.push(Statement::signature(image));
        }
        let name = repository.to_string();
        for (format, bytes) in &self.sbom {
            let text = String::from_utf8_lossy(bytes);
            let same = |verified: &plimsoll_evidence_trust::Verified| verified.predicate.get() == text;
            if !verified(Role::Sbom).any(|(_, verified)| same(verified)) {
                let raw = RawValue::from_string(text.clone().into_owned())
                    .expect("a document that was written is JSON");
                statements.push(Statement::about(image, Some(&name), format.predicate_type(), raw));
            }
        }
        if let Some(provenance) = &self.provenance {
            let same = |verified: &plimsoll_evidence_trust::Verified| {
                serde_json::from_str(verified.predicate.get())
                    .is_ok_and(|other| provenance.says_the_same_as(&other))
            };
            if !verified(Role::Provenance).any(|(_, verified)| same(verified)) {
                statements.push(about(image, &name, predicate::PROVENANCE, provenance)?);
            }
        }
        if let Some(scan) = &self.scan {
            statements.push(about(image, &name, predicate::VULNERABILITIES, scan)?);
        }
        statements.extend(self.documents.statements(&name, image, known)?);
        Ok(statements)
    }
}

/// The statement that carries the build's record.
pub(crate) fn record(metadata: &BuildMetadata) -> Result<Statement, Failure> {
    about(&metadata.image_digest, &metadata.repository.to_string(), predicate::RECORD, metadata)
}

/// A statement about an image.
pub(crate) fn about(
    image: &Digest,
    name: &str,
    predicate_type: &str,
    predicate: &impl Serialize,
) -> Result<Statement, Failure> {
    Ok(Statement::of(image, Some(name), predicate_type, predicate)?)
}
