//! `plimsoll sbom generate`, `diff` and `scan`.

use std::path::{Path, PathBuf};

use plimsoll_evidence_advisories::Severity;
use plimsoll_evidence_sbom::{Bom, Change, Format};
use plimsoll_model::{Class, Failure};
use plimsoll_pipeline::sbom::{DiffReport, Material, ScanRequest, Scanned};

use super::{Session, write_data, write_file};
use crate::args::Sbom;
use crate::printer::{bold, columns, dim, duration, shorten};

/// Runs one of the three.
pub(crate) fn run(session: &Session, arguments: Sbom) -> Result<u8, Failure> {
    match arguments {
        Sbom::Generate { subject, format, to } => generate(session, &subject, &format, to.as_deref()),
        Sbom::Diff { old, new, database } => diff(session, &old, &new, database),
        Sbom::Scan { subject, database, vex, write_vex, fail_on } => {
            let request = ScanRequest { database, vex, fail_on: fail_on.as_deref().map(least) };
            scan(session, &subject, request, write_vex.as_deref())
        }
    }
}

/// A path is where the command was started, or `-C` says.
fn material(session: &Session, text: &str) -> Result<Material, Failure> {
    let path = session.directory().join(text);
    if path.exists() { Ok(Material::Path(path)) } else { Material::parse(text) }
}

fn generate(session: &Session, subject: &str, format: &str, to: Option<&Path>) -> Result<u8, Failure> {
    let material = material(session, subject)?;
    let format: Format = format.parse()?;
    let bom = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::sbom::bom(context.as_ref(), &material).await
    })?;
    let mut document = bom.to_bytes(format);
    document.push(b'\n');
    note(session, &bom);
    match to {
        Some(path) => write_file(path, &document)?,
        None => write_data(session, &document)?,
    }
    Ok(0)
}

/// What is in it and what could not be read, for a person.
fn note(session: &Session, bom: &Bom) {
    const MOST: usize = 5;
    session.printer.note(&format!("{} components in {}", bom.components.len(), bom.subject.name));
    for warning in bom.warnings.iter().take(MOST) {
        session.printer.note(&format!("not read: {}: {}", warning.path, warning.reason));
    }
    if bom.warnings.len() > MOST {
        session.printer.note(&format!("and {} more, which the document lists", bom.warnings.len() - MOST));
    }
}

fn diff(session: &Session, old: &str, new: &str, database: Option<PathBuf>) -> Result<u8, Failure> {
    let (old, new) = (material(session, old)?, material(session, new)?);
    let report = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::sbom::difference(context.as_ref(), &old, &new, database).await
    })?;
    session.printer.result(&report, || diff_text(&report));
    Ok(0)
}

fn diff_text(report: &DiffReport) -> String {
    let word = |change| match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Upgraded => "upgraded",
        Change::Downgraded => "downgraded",
        Change::Changed => "changed",
    };
    let rows: Vec<_> = report
        .changes
        .iter()
        .map(|change| {
            let versions = match (&change.from, &change.to) {
                (Some(from), Some(to)) => format!("{from} -> {to}"),
                (from, to) => from.clone().or_else(|| to.clone()).unwrap_or_default(),
            };
            vec![word(change.change).to_owned(), change.package.clone(), versions]
        })
        .collect();
    let mut text = if rows.is_empty() { "the same packages\n".into() } else { columns(&rows) };
    for (title, findings) in [("appeared", &report.appeared), ("vanished", &report.vanished)] {
        let Some(findings) = findings.as_ref().filter(|findings| !findings.is_empty()) else { continue };
        text.push_str(&format!("{}\n", bold(&format!("advisories that {title}"))));
        text.push_str(&findings_table(findings.iter()));
    }
    text
}

fn findings_table<'a>(findings: impl Iterator<Item = &'a plimsoll_evidence_advisories::Finding>) -> String {
    let rows = findings.map(|finding| {
        let fix =
            finding.fixed_in.as_deref().map_or("no fix yet".to_owned(), |fix| format!("fixed in {fix}"));
        let why = finding.suppressed.as_ref().map(ToString::to_string);
        vec![
            finding.severity.name().to_owned(),
            finding.id.clone(),
            finding.purl.clone(),
            fix,
            dim(&shorten(&why.unwrap_or_else(|| finding.summary.clone()))),
        ]
    });
    columns(&rows.collect::<Vec<_>>())
}

fn scan(
    session: &Session,
    subject: &str,
    request: ScanRequest,
    write_vex: Option<&Path>,
) -> Result<u8, Failure> {
    let material = material(session, subject)?;
    let (scanned, vex) = session.block_on_anywhere(|context| async move {
        let scanned = plimsoll_pipeline::sbom::scan(context.as_ref(), &material, request).await?;
        let vex = match (&context, write_vex) {
            (Some(context), Some(_)) => Some(plimsoll_pipeline::sbom::vex_of_ignores(context, &scanned)),
            _ => None,
        };
        Ok((scanned, vex))
    })?;
    if let (Some(path), Some(vex)) = (write_vex, &vex) {
        let text = serde_json::to_vec_pretty(vex).expect("statements have string keys only");
        write_file(path, &text)?;
    }
    session.printer.result(&scanned.report.document(scanned.at), || scan_text(&scanned));
    Ok(if scanned.failing > 0 { Class::Refused.exit_code() } else { 0 })
}

fn scan_text(scanned: &Scanned) -> String {
    let report = &scanned.report;
    let counted = report.counted().count();
    let mut text = findings_table(report.findings.iter());
    if !report.uncovered.is_empty() {
        const MOST: usize = 10;
        text.push_str(&format!(
            "{} of {} components are covered by no advisory source, and unknown is not clean:\n",
            report.uncovered.len(),
            report.components
        ));
        let rows: Vec<_> = report
            .uncovered
            .iter()
            .take(MOST)
            .map(|gap| vec![format!("  {}", gap.purl), dim(&gap.why)])
            .collect();
        text.push_str(&columns(&rows));
        if report.uncovered.len() > MOST {
            text.push_str(&format!(
                "  and {} more (`--output json` has all)\n",
                report.uncovered.len() - MOST
            ));
        }
    }
    for idle in &report.ignores {
        let state = match idle.state {
            plimsoll_evidence_advisories::IdleState::Expired => "has expired",
            plimsoll_evidence_advisories::IdleState::Unused => "ignores nothing any more",
        };
        text.push_str(&format!("the ignore of {} {state}\n", idle.id));
    }
    let age = match report.database.age_sec(scanned.at) {
        Some(seconds) if seconds < 2 * 24 * 3600 => duration(seconds as f64) + " old",
        Some(seconds) => format!("{} days old", seconds / (24 * 3600)),
        None => "of unknown age".into(),
    };
    let fails = match (scanned.failing, scanned.fail_on) {
        (0, Some(least)) => format!("none of severity {} or above", least.name()),
        (0, None) => "nothing fails by configuration".into(),
        (failing, _) => bold(&format!("{failing} severe enough to refuse a deployment")),
    };
    text + &format!(
        "findings: {counted} in {} components; {fails}\nagainst {} advisories, {age}\n",
        report.components, report.database.advisories
    )
}

/// The least severity that `--fail-on` names; for `none`, which advisories use
/// as a word for low, there is none.
fn least(word: &str) -> Option<Severity> {
    if word == "none" { None } else { Severity::from_word(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_no_severity() {
        assert_eq!(least("none"), None);
        assert_eq!(least("low"), Some(Severity::Low));
        assert_eq!(least("critical"), Some(Severity::Critical));
    }
}
