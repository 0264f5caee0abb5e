//! What may be in an image: `[sbom]`, `[sbom.policy]`, `[secrets]` (SBM-3, BLD-6).

use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;

use crate::policy::Demand;
use crate::table::Table;
use crate::values;

/// `[sbom]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// Folder or file of OSV advisories, relative to `plimsoll.toml`. Default:
    /// none, nothing is scanned unless `--database` names one.
    pub advisories: Option<PathBuf>,
    /// `[sbom.policy]`.
    pub policy: SbomPolicy,
}

/// `[sbom.policy]` (SBM-3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbomPolicy {
    /// The lowest severity that refuses a deployment; `None`: none does.
    /// Default: high.
    pub fail_on: Option<Severity>,
    /// Refuse only what has a fix; say the rest. Default: false.
    pub fixable_only: bool,
    /// What a component means that no advisory source covers. Default: warn.
    pub uncovered: Demand,
    /// How old the newest advisory may be. Default: any age.
    pub max_age: Option<Duration>,
    /// Advisories that do not count. Default: none.
    pub ignore: Vec<Ignored>,
}

/// Severity of an advisory, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

/// An advisory that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its id or an alias: `CVE-2026-0001`.
    pub id: String,
    /// Why; never empty.
    pub reason: String,
    /// The last day on which it does not count. Default: no end.
    pub until: Option<Date>,
}

/// `[secrets]` (BLD-6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// `[[secrets.allow]]`: what looks like a credential and is none.
    pub allow: Vec<AllowedSecret>,
}

/// `[[secrets.allow]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSecret {
    /// The rule's code: `SEC-001`.
    pub rule: String,
    /// Where, as a glob over paths of the image.
    pub path: String,
    /// Why; never empty.
    pub reason: String,
    /// The last day on which it is allowed. Default: no end.
    pub until: Option<Date>,
}

pub(crate) fn sbom(mut table: Table<'_>) -> Option<Sbom> {
    let advisories = table.opt("advisories", values::words).map(PathBuf::from);
    let policy = table.table_or_empty("policy").and_then(sbom_policy);
    table.finish();
    Some(Sbom { advisories, policy: policy? })
}

fn sbom_policy(mut table: Table<'_>) -> Option<SbomPolicy> {
    let severities = values::choice(&[
        ("critical", Some(Severity::Critical)),
        ("high", Some(Severity::High)),
        ("medium", Some(Severity::Medium)),
        ("low", Some(Severity::Low)),
        ("none", None),
    ]);
    let fail_on = table.or("fail_on", "high", severities);
    let fixable_only = table.or("fixable_only", "false", values::boolean);
    let demands =
        values::choice(&[("off", Demand::Off), ("warn", Demand::Warn), ("require", Demand::Require)]);
    let uncovered = table.or("uncovered", "warn", demands);
    let max_age = table.opt("max_age", values::long_time);
    let ignore: Vec<_> = table.tables("ignore").into_iter().filter_map(ignored).collect();
    table.finish();
    Some(SbomPolicy {
        fail_on: fail_on?,
        fixable_only: fixable_only?,
        uncovered: uncovered?,
        max_age,
        ignore,
    })
}

fn ignored(mut table: Table<'_>) -> Option<Ignored> {
    let id = table.need("id", "\"CVE-2026-0001\"", values::words);
    let reason = table.need("reason", "\"not reachable\"", values::words);
    let until = table.opt("until", values::date);
    table.finish();
    Some(Ignored { id: id?, reason: reason?, until })
}

pub(crate) fn secrets(mut table: Table<'_>) -> Option<Secrets> {
    let allow: Vec<_> = table.tables("allow").into_iter().filter_map(allowed).collect();
    table.finish();
    Some(Secrets { allow })
}

fn allowed(mut table: Table<'_>) -> Option<AllowedSecret> {
    let rule = table.need("rule", "\"SEC-001\"", values::words);
    let path = table.need("path", "\"/srv/fixtures/**\"", values::words);
    let reason = table.need("reason", "\"a test key, in no use\"", values::words);
    let until = table.opt("until", values::date);
    table.finish();
    Some(AllowedSecret { rule: rule?, path: path?, reason: reason?, until })
}
