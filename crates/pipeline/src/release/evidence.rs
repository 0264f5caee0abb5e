//! What changed between two commits, as evidence for a version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll_evidence_advisories::{Database, Finding as AdvisoryFinding, Limits, Report as ScanReport};
use plimsoll_evidence_contract::{Accepted, Level as ContractLevel, Report as ContractReport};
use plimsoll_evidence_migration_lint::{
    Class, Dialect, File, FileReport, Layout, Options as LintOptions, Released, lint, schema as schema_of,
};
use plimsoll_evidence_sbom::{Bom, Change, Options as SbomOptions, Source as SbomSource, diff, generate};
use plimsoll_image::Source;
use plimsoll_model::{Commit, Failure, Lookup};
use plimsoll_release::{
    Advisory, ApiChange, ApiEvidence, ApiLevel, Dependency, DependencyChange, DependencyEvidence,
    SchemaDifference, SchemaEvidence, SchemaStep, StepClass, Taken,
};

use crate::context::Context;
use crate::evidence::made::lock_files;
use crate::evidence::scan;
use crate::{blocking, contract, migrations};

/// Where a commit keeps what is compared, and how.
pub(super) struct Places {
    openapi: PathBuf,
    accepted: Vec<Accepted>,
    migrations: PathBuf,
    dialect: Dialect,
    layout: Option<Layout>,
    small_tables: BTreeSet<String>,
}

impl Places {
    /// As configured; without a project, the usual ones.
    ///
    /// # Errors
    /// The accepted breaks cannot be read.
    pub(super) fn of(context: Option<&Context>) -> Result<Self, Failure> {
        let configured = context.and_then(|context| context.config.config.project.migrations.as_ref());
        Ok(Self {
            openapi: context.map_or_else(|| "openapi.json".into(), contract::path),
            accepted: context.map(contract::configured_breaks).transpose()?.unwrap_or_default(),
            migrations: configured.map_or_else(|| "migrations".into(), |configured| configured.dir.clone()),
            dialect: migrations::dialect(configured),
            layout: configured.and_then(migrations::layout),
            small_tables: configured.iter().flat_map(|found| found.small_tables.iter().cloned()).collect(),
        })
    }

    /// The usual places of a service without a project are in its own folder.
    pub(super) fn below(&mut self, folder: &str) {
        self.openapi = Path::new(folder).join(&self.openapi);
        self.migrations = Path::new(folder).join(&self.migrations);
    }
}

/// The API of one commit against that of another.
pub(super) fn api(source: &Source, places: &Places, old: &Commit, new: &Commit) -> Lookup<ApiEvidence> {
    let document = |commit: &Commit| match contract::at_commit(source, commit, &places.openapi) {
        Ok(document) => Lookup::Found(document.contract),
        Err(failure) if failure.diagnose().code() == "CON-901" => Lookup::Absent,
        Err(failure) => Lookup::Invalid(format!("commit {}: {}", commit.short(), told(&failure))),
    };
    let path = places.openapi.display();
    match (document(old), document(new)) {
        (Lookup::Absent, Lookup::Absent) => Lookup::Absent,
        (Lookup::Found(before), Lookup::Found(after)) => {
            match contract::compare(&before, &after, places.accepted.clone()) {
                Ok(report) => Lookup::Found(api_evidence(report)),
                Err(failure) => Lookup::Unknown(told(&failure)),
            }
        }
        // Who described nothing before promised nothing.
        (Lookup::Absent, Lookup::Found(_)) => Lookup::Found(ApiEvidence {
            level: Some(ApiLevel::Additive),
            changes: vec![ApiChange {
                rule: "VER-002".into(),
                name: "document-added".into(),
                level: ApiLevel::Additive,
                operations: Vec::new(),
                message: format!("the API is described for the first time, in `{path}`"),
                details: Vec::new(),
                location: path.to_string(),
                accepted: None,
            }],
        }),
        (Lookup::Found(_), Lookup::Absent) => Lookup::Invalid(format!(
            "{path} is gone since commit {}: what changed cannot be said",
            old.short()
        )),
        (Lookup::Invalid(why) | Lookup::Unknown(why), _)
        | (_, Lookup::Invalid(why) | Lookup::Unknown(why)) => Lookup::Invalid(why),
    }
}

/// What failed, and what was found, in one line.
fn told(failure: &Failure) -> String {
    let diagnose = failure.diagnose();
    let mut text = diagnose.to_string();
    if let Some(found) = diagnose.found() {
        text = format!("{text}: {found}");
    }
    let mut source = std::error::Error::source(diagnose);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

fn api_evidence(report: ContractReport) -> ApiEvidence {
    let level = |level| match level {
        ContractLevel::Editorial => ApiLevel::Editorial,
        ContractLevel::Additive => ApiLevel::Additive,
        ContractLevel::Breaking => ApiLevel::Breaking,
    };
    let changes = report.changes.into_iter().map(|finding| {
        let mut details: Vec<String> = finding.details.into_iter().map(|detail| detail.message).collect();
        details.sort();
        details.dedup();
        ApiChange {
            rule: finding.rule,
            name: finding.name,
            level: level(finding.level),
            operations: finding.operations,
            message: finding.message,
            details,
            location: finding.location,
            accepted: finding.accepted,
        }
    });
    ApiEvidence { level: report.level.map(level), changes: changes.collect() }
}

/// The migrations that one commit has and another has not.
pub(super) fn schema(source: &Source, places: &Places, old: &Commit, new: &Commit) -> Lookup<SchemaEvidence> {
    let files = |commit| migrations::at_commit(source, commit, &places.migrations);
    let (before, after) = match (files(old), files(new)) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(failure), _) | (_, Err(failure)) => return Lookup::Unknown(told(&failure)),
    };
    if before.is_empty() && after.is_empty() {
        return Lookup::Absent;
    }
    match schema_evidence(places, &before, &after) {
        Ok(evidence) => Lookup::Found(evidence),
        Err(error) => Lookup::Unknown(told(&error)),
    }
}

fn schema_evidence(places: &Places, before: &[File], after: &[File]) -> Result<SchemaEvidence, Failure> {
    let released = before.iter().map(|file| file.path.clone()).collect();
    let options = LintOptions {
        dialect: places.dialect,
        layout: places.layout,
        released: Released::Files(released),
        small_tables: places.small_tables.clone(),
        ..LintOptions::default()
    };
    let report = lint(after, &options)?;
    let steps: Vec<SchemaStep> = report.files.into_iter().map(|file| step(places, file)).collect();
    let parts = |files: &[File]| -> Result<BTreeSet<String>, Failure> {
        let needs = schema_of(files, &options)?.needs(&BTreeSet::new());
        let mut parts = BTreeSet::new();
        for (table, relation) in needs.relations {
            parts.extend(relation.columns.keys().map(|column| format!("column {table}.{column}")));
            parts.insert(format!("table {table}"));
        }
        Ok(parts)
    };
    let (had, has) = (parts(before)?, parts(after)?);
    // The columns of a table that comes or goes are no news.
    let of_table = |what: &str, other: &BTreeSet<String>| {
        what.strip_prefix("column ")
            .and_then(|column| column.rsplit_once('.'))
            .is_some_and(|(table, _)| !other.contains(&format!("table {table}")))
    };
    let gone = had.difference(&has).filter(|what| !of_table(what, &has)).map(|what| (what, false));
    let new = has.difference(&had).filter(|what| !of_table(what, &had)).map(|what| (what, true));
    let differences =
        new.chain(gone).map(|(what, added)| SchemaDifference { what: what.clone(), added }).collect();
    Ok(SchemaEvidence { steps, differences })
}

/// Rules about what code that is there loses, or is refused from then on.
const TAKES: [&str; 13] = [
    "MIG-010", "MIG-050", "MIG-051", "MIG-052", "MIG-053", "MIG-054", "MIG-055", "MIG-056", "MIG-063",
    "MIG-071", "MIG-072", "MIG-082", "MIG-083",
];

fn step(places: &Places, file: FileReport) -> SchemaStep {
    let taken = file
        .findings
        .iter()
        .filter(|finding| TAKES.contains(&finding.rule.as_str()))
        .map(|finding| Taken { rule: finding.rule.clone(), message: finding.message.clone() });
    SchemaStep {
        file: places.migrations.join(&file.file).display().to_string(),
        class: match file.class {
            Class::Expand => StepClass::Expand,
            Class::Backfill => StepClass::Backfill,
            Class::Contract => StepClass::Contract,
            Class::Unsafe => StepClass::Unsafe,
        },
        taken: taken.collect(),
        not_understood: file.not_understood,
    }
}

/// The lock files of two commits, and the names of what is built from them.
pub(super) struct Declared {
    old: Vec<(String, Vec<u8>)>,
    new: Vec<(String, Vec<u8>)>,
    own: BTreeSet<String>,
}

/// Reads the lock files of two commits: those of the service's folder, and those
/// above it, which workspaces have.
///
/// # Errors
/// git cannot be asked.
pub(super) fn declared(
    source: &Source,
    folder: &str,
    old: &Commit,
    new: &Commit,
    own: BTreeSet<String>,
) -> Result<Declared, Failure> {
    let folder = Path::new(folder);
    let of_service = |path: &str| {
        let of_lock = Path::new(path).parent().unwrap_or(Path::new(""));
        of_lock.starts_with(folder) || folder.starts_with(of_lock)
    };
    let read = |commit| -> Result<Vec<(String, Vec<u8>)>, Failure> {
        Ok(lock_files(source, commit)?.into_iter().filter(|(path, _)| of_service(path)).collect())
    };
    Ok(Declared { old: read(old)?, new: read(new)?, own })
}

/// What the lock files of two commits name, and the advisories that affect it.
///
/// # Errors
/// The advisories cannot be read.
pub(super) async fn dependencies(
    context: Option<&Context>,
    declared: Declared,
    advisories: Option<PathBuf>,
) -> Result<Lookup<DependencyEvidence>, Failure> {
    if declared.old.is_empty() && declared.new.is_empty() {
        return Ok(Lookup::Absent);
    }
    let Declared { old, new, own } = declared;
    let read = blocking("reading lock files", move || Ok::<_, Failure>((bom(old)?, bom(new)?)));
    let (old, new) = read.await??;
    if let Some(warning) = old.warnings.iter().chain(&new.warnings).next() {
        return Ok(Lookup::Invalid(format!("{}: {}", warning.path, warning.reason)));
    }
    let changes: Vec<Dependency> = diff(&old, &new)
        .into_iter()
        .filter(|change| !is_own(&change.package, &own))
        .map(|change| Dependency {
            package: change.package,
            change: match change.change {
                Change::Added => DependencyChange::Added,
                Change::Removed => DependencyChange::Removed,
                Change::Upgraded => DependencyChange::Upgraded,
                Change::Downgraded => DependencyChange::Downgraded,
                Change::Changed => DependencyChange::Changed,
            },
            from: change.from,
            to: change.to,
        })
        .collect();
    let mut evidence = DependencyEvidence { changes, ..DependencyEvidence::default() };
    if let Some(database) = advisories.or_else(|| context.and_then(scan::configured)) {
        let before = scanned(context, database.clone(), &old).await?;
        let after = scanned(context, database, &new).await?;
        evidence.vanished = Lookup::Found(only_in(&before, &after));
        evidence.appeared = Lookup::Found(only_in(&after, &before));
    }
    Ok(Lookup::Found(evidence))
}

/// A lock file lists what the repository itself builds; that has the version of
/// the release.
fn is_own(package: &str, own: &BTreeSet<String>) -> bool {
    let name = package.rsplit('/').next().unwrap_or_default();
    own.contains(name)
        || package.split_once('/').is_some_and(|(_, name)| own.contains(&name.replace("%40", "@")))
}

/// What lock files alone name.
fn bom(lock_files: Vec<(String, Vec<u8>)>) -> Result<Bom, Failure> {
    let nothing = tempfile::tempdir()
        .map_err(|source| crate::PipelineError::StateFolder { path: std::env::temp_dir(), source })?;
    let options = SbomOptions { lock_files, ..SbomOptions::default() };
    Ok(generate(&SbomSource::directory(nothing.path()), &options)?)
}

async fn scanned(context: Option<&Context>, database: PathBuf, bom: &Bom) -> Result<ScanReport, Failure> {
    let purls = scan::purls(bom);
    match context {
        Some(context) => {
            let mut report = scan::scan(context, database, purls).await?;
            report.apply_ignores(&scan::ignores(context), scan::today(jiff::Timestamp::now()));
            Ok(report)
        }
        None => {
            let scanning = blocking("scanning for advisories", move || {
                Database::in_memory(&[database], Limits::default())?.scan(purls)
            });
            Ok(scanning.await??)
        }
    }
}

/// Advisories that count in one report and are not in the other at all.
fn only_in(here: &ScanReport, there: &ScanReport) -> Vec<Advisory> {
    let counts =
        |finding: &&AdvisoryFinding| finding.suppressed.is_none() && finding.informational.is_empty();
    here.findings
        .iter()
        .filter(counts)
        .filter(|finding| there.findings.iter().all(|other| other.id != finding.id))
        .map(|finding| Advisory {
            id: finding.id.clone(),
            aliases: finding.aliases.clone(),
            package: finding.purl.clone(),
            severity: finding.severity.to_string(),
            summary: finding.summary.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_evidence_migration_lint::RULES;

    use super::*;

    #[test]
    fn the_rules_are_there() {
        for code in TAKES {
            assert!(RULES.iter().any(|rule| rule.page.code == code), "{code}");
        }
    }

    #[test]
    fn what_is_built_here_is_no_dependency() {
        let own = BTreeSet::from(["payouts".to_owned(), "@acme/ui".to_owned()]);
        assert!(is_own("pkg:cargo/payouts", &own) && is_own("pkg:npm/%40acme/ui", &own));
        assert!(!is_own("pkg:cargo/serde", &own) && !is_own("pkg:npm/ui", &own));
    }
}
