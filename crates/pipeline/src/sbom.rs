//! `sbom generate`, `diff` and `scan`: of images, files and documents, in a
//! project or anywhere (SBM-1, SBM-3, SBM-4).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_evidence_advisories::vex::{OpenVex, VexDocument, from_ignores};
use plimsoll_evidence_advisories::{Database, Limits, Report, Severity, worst};
use plimsoll_evidence_sbom::{Bom, Difference, Options, Source, diff, generate};
use plimsoll_image::Source as Repository;
use plimsoll_model::Failure;
use serde::Serialize;

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;
use crate::evidence::{made, scan};
use crate::image::{Named, fetch};

/// A document of an SBOM may have so many bytes.
const MOST_DOCUMENT: u64 = 100 << 20;

/// What an SBOM is made or taken of.
#[derive(Debug, Clone)]
pub enum Material {
    /// A file or folder: an image layout, an archive, a directory, a document.
    Path(PathBuf),
    /// An image.
    Image(Named),
}

impl Material {
    /// A path that exists, else an image.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if Path::new(text).exists() {
            return Ok(Self::Path(text.into()));
        }
        match Named::parse(text) {
            Some(named) => Ok(Self::Image(named)),
            None => Err(PipelineError::NoMaterial { text: text.to_owned() }.into()),
        }
    }
}

/// The bill of materials of an image, a layout, an archive or a directory; of
/// a document, what it says.
///
/// # Errors
/// It cannot be read or fetched.
pub async fn bom(context: Option<&Context>, material: &Material) -> Result<Bom, Failure> {
    match material {
        Material::Path(path) => {
            let path = path.clone();
            blocking("reading what an SBOM is made of", move || of_path(&path)).await?
        }
        Material::Image(named) => {
            let elsewhere = tempfile::tempdir()
                .map_err(|source| PipelineError::StateFolder { path: std::env::temp_dir(), source })?;
            let (layout, digest, repository) = fetch(context, named, elsewhere.path()).await?;
            let commit = match named {
                Named::Commit(commit) => Some(commit.clone()),
                Named::Reference(reference) => reference.tag.as_deref().and_then(|tag| tag.parse().ok()),
            };
            let root = context.map(|context| context.root().to_path_buf());
            blocking("making the SBOM", move || {
                // Lock files are the commit's, where this is its repository.
                let lock_files = match (&commit, root.and_then(|root| Repository::open(&root).ok())) {
                    (Some(commit), Some(source)) => made::lock_files(&source, commit).unwrap_or_default(),
                    _ => Vec::new(),
                };
                let options = Options {
                    name: Some(repository.to_string()),
                    version: commit.map(|commit| commit.to_string()),
                    lock_files,
                    ..Options::default()
                };
                Ok(generate(&Source::image(&layout, digest), &options)?)
            })
            .await?
        }
    }
}

/// A document that is one, else whatever image or directory it is.
fn of_path(path: &Path) -> Result<Bom, Failure> {
    let failed = |source| PipelineError::Material { path: path.into(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_file() && begins_like_json(path).map_err(failed)? {
        return Ok(Bom::parse(&document(path, MOST_DOCUMENT)?)?);
    }
    Ok(generate(&Source::open(path, None)?, &Options::default())?)
}

/// All of a document that may have so many bytes, whatever its size is said to be.
fn document(path: &Path, allowed: u64) -> Result<Vec<u8>, PipelineError> {
    let failed = |source| PipelineError::Material { path: path.into(), source };
    let too_large = |found| PipelineError::MaterialSize { path: path.into(), found, allowed };
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > allowed {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    file.take(allowed + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        size if size > allowed => Err(too_large(size)),
        _ => Ok(bytes),
    }
}

fn begins_like_json(path: &Path) -> std::io::Result<bool> {
    let mut first = [0; 64];
    let read = std::fs::File::open(path)?.read(&mut first)?;
    Ok(first[..read].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}

/// What `sbom diff` prints.
#[derive(Debug, Serialize)]
pub struct DiffReport {
    /// `plimsoll/sbom-diff/v1`.
    pub schema: &'static str,
    /// What was added, removed, upgraded, downgraded.
    pub changes: Vec<Difference>,
    /// Advisories that affect the second and not the first; only where there
    /// are advisories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appeared: Option<Vec<plimsoll_evidence_advisories::Finding>>,
    /// Advisories that affect the first and not the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vanished: Option<Vec<plimsoll_evidence_advisories::Finding>>,
}

/// Compares two bills of materials, and the advisories that affect each.
///
/// # Errors
/// One of them, or the advisories, cannot be read.
pub async fn difference(
    context: Option<&Context>,
    old: &Material,
    new: &Material,
    database: Option<PathBuf>,
) -> Result<DiffReport, Failure> {
    let (old, new) = (bom(context, old).await?, bom(context, new).await?);
    let changes = diff(&old, &new);
    let (mut appeared, mut vanished) = (None, None);
    if let Some(database) = database.or_else(|| context.and_then(scan::configured)) {
        let before = scanned(context, database.clone(), &old).await?.findings;
        let after = scanned(context, database, &new).await?.findings;
        let lacks =
            |all: &[plimsoll_evidence_advisories::Finding], id: &str| all.iter().all(|one| one.id != id);
        appeared = Some(after.iter().filter(|one| lacks(&before, &one.id)).cloned().collect());
        vanished = Some(before.iter().filter(|one| lacks(&after, &one.id)).cloned().collect());
    }
    Ok(DiffReport { schema: "plimsoll/sbom-diff/v1", changes, appeared, vanished })
}

async fn scanned(context: Option<&Context>, database: PathBuf, bom: &Bom) -> Result<Report, Failure> {
    let purls = scan::purls(bom);
    match context {
        Some(context) => scan::scan(context, database, purls).await,
        None => {
            let scanning = blocking("scanning for advisories", move || {
                Database::in_memory(&[database], Limits::default())?.scan(purls)
            });
            Ok(scanning.await??)
        }
    }
}

/// How a scan is asked for.
#[derive(Debug, Clone, Default)]
pub struct ScanRequest {
    /// Advisories; none: those of the configuration.
    pub database: Option<PathBuf>,
    /// VEX documents.
    pub vex: Vec<PathBuf>,
    /// The least severity that fails; none: that of the configuration, else high.
    pub fail_on: Option<Option<Severity>>,
}

/// What a scan came to.
#[derive(Debug)]
pub struct Scanned {
    /// The report.
    pub report: Report,
    /// Findings that count and are severe enough.
    pub failing: usize,
    /// What was failed on.
    pub fail_on: Option<Severity>,
    /// When.
    pub at: Timestamp,
    /// What VEX documents call the subject.
    pub product: String,
}

/// The subject as VEX documents name it: an OCI package URL, else its name.
fn product(bom: &Bom) -> String {
    match bom.subject.digest {
        Some(digest) => {
            let name = bom.subject.name.rsplit('/').next().unwrap_or_default();
            format!(
                "pkg:oci/{name}@{}?repository_url={}",
                digest.to_string().replace(':', "%3A"),
                bom.subject.name
            )
        }
        None => bom.subject.name.clone(),
    }
}

/// Scans a bill of materials for advisories.
///
/// # Errors
/// No advisories are named; something cannot be read.
pub async fn scan(
    context: Option<&Context>,
    material: &Material,
    request: ScanRequest,
) -> Result<Scanned, Failure> {
    let database =
        request.database.or_else(|| context.and_then(scan::configured)).ok_or(PipelineError::NoAdvisories)?;
    let vex = request.vex.iter().map(|path| VexDocument::read(path)).collect::<Result<Vec<_>, _>>()?;
    let bom = bom(context, material).await?;
    let mut report = scanned(context, database, &bom).await?;
    let at = Timestamp::now();
    let mut products: Vec<String> = bom.subject.digest.iter().map(ToString::to_string).collect();
    products.push(bom.subject.name.clone());
    report.apply_vex(&vex, &products);
    if let Some(context) = context {
        report.apply_ignores(&scan::ignores(context), scan::today(at));
    }
    let fail_on = request.fail_on.unwrap_or_else(|| match context {
        Some(context) => context.config.config.project.sbom.policy.fail_on.map(severity),
        None => Some(Severity::High),
    });
    let worst = worst(&report, fail_on);
    let failing = worst.fixable.len() + worst.unfixable.len();
    Ok(Scanned { report, failing, fail_on, at, product: product(&bom) })
}

fn severity(severity: plimsoll_config::Severity) -> Severity {
    match severity {
        plimsoll_config::Severity::Low => Severity::Low,
        plimsoll_config::Severity::Medium => Severity::Medium,
        plimsoll_config::Severity::High => Severity::High,
        plimsoll_config::Severity::Critical => Severity::Critical,
    }
}

/// The configured ignores as an OpenVEX document, for other tools.
pub fn vex_of_ignores(context: &Context, scanned: &Scanned) -> OpenVex {
    let (ignores, today) = (scan::ignores(context), scan::today(scanned.at));
    from_ignores(&ignores, &scanned.report, &scanned.product, context.actor(), scanned.at, today)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::Diagnose as _;

    use super::*;

    #[test]
    fn a_document_is_read_up_to_a_size_and_both_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sbom.json");
        let bom = Bom::default().to_bytes(plimsoll_evidence_sbom::Format::CycloneDx);
        std::fs::write(&path, &bom).unwrap();
        assert!(of_path(&path).is_ok());
        // It takes no room on the disk, and is never read.
        std::fs::File::options().write(true).open(&path).unwrap().set_len(MOST_DOCUMENT + 1).unwrap();
        let error = document(&path, MOST_DOCUMENT).unwrap_err();
        assert_eq!(error.code(), "PIP-017");
        let (expected, found) = (error.expected().unwrap(), error.found().unwrap());
        assert_eq!((expected.as_str(), found.as_str()), ("at most 104857600 bytes", "104857601 bytes"));
        assert!(of_path(&path).unwrap_err().to_string().contains("sbom.json"));
        // What is said to have no size has one.
        let endless = document(Path::new("/proc/self/status"), 10).unwrap_err();
        assert_eq!(endless.found().as_deref(), Some("11 bytes"), "{endless}");
    }
}
