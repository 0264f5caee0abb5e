//! `version next`, `version check` and `changelog`: the facts of a release from
//! git and evidence, judged by `plimsoll-release` (VER-1, CHG-1).

mod changelog;
mod error;
mod evidence;
mod facts;
mod guard;

use std::path::PathBuf;

use jiff::Timestamp;
use plimsoll_model::{Check, Commit, Failure, Lookup};
use plimsoll_release::{Contradiction, Doubt, Facts, Level, Next, Reason, Released, level};
use semver::Version;
use serde::Serialize;

use crate::context::Context;

pub use changelog::{ChangelogReport, ChangelogRequest, Section, changelog};
pub use error::{PAGES, ReleaseError};
pub use facts::{Asked, Purpose};
pub(crate) use guard::version_facts;

/// `version next` and `version check`.
#[derive(Debug, Clone, Serialize)]
pub struct VersionReport {
    /// Always `plimsoll/version/v1`.
    pub schema: &'static str,
    /// The commit to be released.
    pub commit: Commit,
    /// The version: of `next` the one to use, of `check` the one that was judged.
    pub version: Option<Version>,
    /// The least that the evidence demands; none where that is not known.
    pub least: Option<Version>,
    /// Which number moves.
    pub level: Level,
    /// The release before.
    pub previous: Option<PreviousRelease>,
    /// Why; the strongest first.
    pub reasons: Vec<Reason>,
    /// What does not fit together.
    pub contradictions: Vec<Contradiction>,
    /// What is not known, and the most that it could demand.
    pub doubts: Vec<Doubt>,
    /// What manifests and tags of the commit state.
    pub stated: Vec<StatedVersion>,
    /// Of `check`: whether the version may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// Of `check`: every check that was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// How the command ends.
    #[serde(skip)]
    pub class: Option<plimsoll_model::Class>,
}

/// The release that was compared with.
#[derive(Debug, Clone, Serialize)]
pub struct PreviousRelease {
    /// Its version.
    pub version: Version,
    /// What says so.
    pub name: String,
    /// Its commit.
    pub commit: Commit,
}

/// What one place states.
#[derive(Debug, Clone, Serialize)]
pub struct StatedVersion {
    /// Where.
    pub place: String,
    /// The version, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl VersionReport {
    fn of(facts: &Facts, next: Next) -> Self {
        let stated = facts.stated.iter().map(|stated| StatedVersion {
            place: stated.place.clone(),
            version: stated.version.found().cloned(),
            problem: match &stated.version {
                Lookup::Invalid(why) | Lookup::Unknown(why) => Some(why.clone()),
                _ => None,
            },
        });
        let previous = facts.previous.found().map(|Released { version, name, commit, .. }| PreviousRelease {
            version: version.clone(),
            name: name.clone(),
            commit: commit.clone(),
        });
        Self {
            schema: "plimsoll/version/v1",
            commit: facts.commit.clone(),
            version: next.version.clone(),
            least: next.version,
            level: next.level,
            previous,
            reasons: next.reasons,
            contradictions: next.contradictions,
            doubts: next.doubts,
            stated: stated.collect(),
            allowed: None,
            checks: Vec::new(),
            class: None,
        }
    }
}

/// The next version, computed from the evidence; with `pre` the next
/// pre-release of it in that series. What is not known and could demand more
/// leaves no verdict: the report then has the least version.
///
/// # Errors
/// The repository cannot be read, or `pre` cannot be part of a version.
pub async fn next(
    context: Option<&Context>,
    asked: &Asked,
    pre: Option<&str>,
) -> Result<VersionReport, Failure> {
    let facts = facts::gather(context, asked, Purpose::Next).await?;
    let next = plimsoll_release::next(&facts);
    let level = next.level;
    let mut report = VersionReport::of(&facts, next);
    if let (Some(name), Some(target)) = (pre, &report.version) {
        let taken = facts.released.iter().map(|released| &released.version);
        let wrong = || ReleaseError::Prerelease { name: name.to_owned() };
        report.version = Some(level::prerelease(target, name, taken).ok_or_else(wrong)?);
    }
    let open = report.version.is_none() || report.doubts.iter().any(|doubt| doubt.most > level);
    report.class = open.then_some(plimsoll_model::Class::Outside);
    Ok(report)
}

/// Whether a version may be used for what the commit contains: the one named,
/// else the one that its tags and manifests state.
///
/// # Errors
/// The repository cannot be read.
pub async fn check(
    context: Option<&Context>,
    asked: &Asked,
    named: Option<&Version>,
) -> Result<VersionReport, Failure> {
    let facts = facts::gather(context, asked, Purpose::Check).await?;
    let checked = plimsoll_release::check(&facts, named);
    let mut report = VersionReport::of(&facts, checked.next);
    report.version = checked.proposed.found().cloned();
    report.allowed = Some(checked.decision.allowed);
    report.class = checked.decision.refusal_class();
    report.checks = checked.decision.checks;
    Ok(report)
}

/// Today, in UTC: the date of a release that is made now.
fn today() -> String {
    crate::evidence::scan::today(Timestamp::now()).to_string()
}

/// Where a command works: the project's folder, else where it was started.
fn root(context: Option<&Context>, asked: &Asked) -> PathBuf {
    context.map_or_else(|| asked.directory.clone(), |context| context.root().to_path_buf())
}
