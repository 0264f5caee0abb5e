//! The image's components against the advisories of this machine (SBM-3).

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll_decision::{Proof, ScanFacts};
use plimsoll_evidence_advisories::vex::VexDocument;
use plimsoll_evidence_advisories::{Database, Ignore, Limits, Report};
use plimsoll_evidence_sbom::Bom;
use plimsoll_evidence_trust::Role;
use plimsoll_model::Failure;

use super::facts;
use super::found::Pieces;
use crate::blocking;
use crate::context::Context;

/// The folder or file of advisories that `[sbom] advisories` names.
pub(crate) fn configured(context: &Context) -> Option<PathBuf> {
    context.config.config.project.sbom.advisories.as_ref().map(|path| context.root().join(path))
}

/// Scans components. The index over the advisories is kept in the state folder.
///
/// # Errors
/// The advisories cannot be read.
pub(crate) async fn scan(
    context: &Context,
    database: PathBuf,
    purls: Vec<String>,
) -> Result<Report, Failure> {
    let index = context.state_folder().join("advisories.index");
    let report = blocking("scanning for advisories", move || {
        Database::open(&[database], &index, Limits::default())?.scan(purls)
    });
    Ok(report.await??)
}

/// What is configured not to count.
pub(crate) fn ignores(context: &Context) -> Vec<Ignore> {
    let ignore = &context.config.config.project.sbom.policy.ignore;
    ignore
        .iter()
        .map(|entry| Ignore { id: entry.id.clone(), reason: entry.reason.clone(), until: entry.until })
        .collect()
}

/// Today, in UTC.
pub(crate) fn today(now: Timestamp) -> jiff::civil::Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The package URLs of a document, for a scan.
pub(crate) fn purls(bom: &Bom) -> Vec<String> {
    bom.components.iter().map(|component| component.purl().to_string()).collect()
}

/// The SBOM on the image against the advisories of now: newer than those at
/// the time of the build. Nothing where there are no advisories here, or no
/// SBOM that verified; then an attested scan is all there is.
///
/// # Errors
/// The advisories cannot be read.
pub(crate) async fn again(context: &Context, pieces: &Pieces) -> Result<Option<Proof<ScanFacts>>, Failure> {
    let Some(database) = configured(context) else { return Ok(None) };
    let documents: Vec<_> = pieces.verified(Role::Sbom).map(|(_, verified)| verified.clone()).collect();
    // The one that has the most to say about components.
    let Some(document) = documents
        .iter()
        .find(|verified| verified.predicate_type.starts_with("https://cyclonedx.org/bom"))
        .or(documents.first())
    else {
        return Ok(None);
    };
    let bom = match Bom::parse(document.predicate.get().as_bytes()) {
        Ok(bom) => bom,
        Err(error) => return Ok(Some(Proof::Invalid(format!("the attested SBOM: {error}")))),
    };
    let mut report = scan(context, database, purls(&bom)).await?;
    let vex: Vec<VexDocument> = pieces
        .verified(Role::Vex)
        .filter_map(|(piece, verified)| {
            let name = PathBuf::from(&piece.reference);
            VexDocument::parse(&name, verified.predicate.get().as_bytes()).ok()
        })
        .collect();
    report.apply_vex(&vex, &products(context, pieces));
    let now = Timestamp::now();
    Ok(Some(Proof::Verified(facts::scan(&report, "advisories of this machine".into(), now))))
}

/// The names under which a VEX document may speak of the image.
pub(crate) fn products(context: &Context, pieces: &Pieces) -> Vec<String> {
    let repositories = &context.config.config.project.repository;
    let digest = pieces.digest.to_string();
    let encoded = digest.replace(':', "%3A");
    [&repositories.canonical, &repositories.staging]
        .into_iter()
        .flat_map(|repository| {
            let name = repository.path().rsplit('/').next().unwrap_or_default().to_owned();
            [
                format!("{repository}@{digest}"),
                format!("pkg:oci/{name}@{encoded}?repository_url={repository}"),
                format!("pkg:oci/{name}@{encoded}"),
            ]
        })
        .chain([digest.clone()])
        .collect()
}
