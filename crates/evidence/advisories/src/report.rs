//! What a scan says: findings, what could not be looked up, and against which
//! database.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};

use crate::severity::Severity;
use crate::source::Warning;

/// The result of a scan. The order of everything in it is fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Most severe first, then by score, id and package URL.
    pub findings: Vec<Finding>,
    /// Components about which nothing can be said: unknown is not clean.
    pub uncovered: Vec<Uncovered>,
    /// Components that were looked up.
    pub components: u64,
    /// What they were compared with.
    pub database: DatabaseInfo,
    /// Entries of the list of ignores that did not count, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ignores: Vec<IdleIgnore>,
}

/// One vulnerability in one component. Advisories that are aliases of each
/// other are one vulnerability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the advisory: the ecosystem's own before GitHub's before a CVE.
    pub id: String,
    /// Every other name it has, in order.
    pub aliases: Vec<String>,
    /// The component's package URL, as it was given.
    pub purl: String,
    /// The most severe that one of its advisories states.
    pub severity: Severity,
    /// The smallest version known to be free of it.
    pub fixed_in: Option<String>,
    /// CVSS score, 0.0 to 10.0, where there is a vector.
    pub score: Option<f64>,
    /// The vector of the score.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub vector: String,
    /// One line.
    pub summary: String,
    /// `unmaintained`, `unsound`, `notice`: said about the component, but no
    /// vulnerability. Empty for a vulnerability.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub informational: String,
    /// What a distribution's advisory fixes together: ids of CVEs.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub upstream: Vec<String>,
    /// Advisories that fix this together with other vulnerabilities, each of
    /// which is a finding of its own: `DSA-…` beside `DEBIAN-CVE-…`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub part_of: Vec<String>,
    /// Why it does not count, where somebody said that it does not.
    pub suppressed: Option<Suppression>,
}

impl Finding {
    /// Whether this is one of its names.
    pub fn is_named(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Every name by which something can be said about it: its own, what it
    /// fixes together, what fixes it together with others.
    pub(crate) fn related_names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.id).chain(&self.aliases).chain(&self.upstream).chain(&self.part_of)
    }

    /// Whether what is said about some names holds for the whole finding.
    ///
    /// One name is enough, unless the finding stands for several CVEs: then
    /// each of them, the finding's own id, or an advisory it is part of.
    pub(crate) fn is_covered(&self, named: impl Fn(&str) -> bool) -> bool {
        if named(&self.id) || self.part_of.iter().any(|id| named(id)) {
            return true;
        }
        let every = |ids: &[&String]| !ids.is_empty() && ids.iter().all(|id| named(id));
        let cves: Vec<&String> = self.aliases.iter().filter(|alias| alias.starts_with("CVE-")).collect();
        match cves.len() {
            0 | 1 if self.aliases.iter().any(|alias| named(alias)) => true,
            0 | 1 => every(&self.upstream.iter().collect::<Vec<_>>()),
            _ => every(&cves),
        }
    }
}

/// Why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Who said so.
    pub by: SuppressedBy,
    /// The reason as it was given.
    pub reason: String,
    /// The last day on which it holds; without end where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Date>,
}

/// Who says that a finding does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedBy {
    /// The list of ignores in the configuration.
    Ignore,
    /// A VEX statement.
    Vex,
}

impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            SuppressedBy::Ignore => write!(f, "ignored: {}", self.reason)?,
            SuppressedBy::Vex => write!(f, "VEX: {}", self.reason)?,
        }
        match self.until {
            Some(until) => write!(f, " (until {until})"),
            None => Ok(()),
        }
    }
}

/// A component about which nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Uncovered {
    /// Its package URL, as it was given.
    pub purl: String,
    /// What kind of gap it is.
    pub kind: Gap,
    /// In words.
    pub why: String,
}

/// Why nothing can be said about a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// It is not a package URL.
    NotAPurl,
    /// No advisory format speaks of packages of its type.
    Kind,
    /// An operating system's package without the name of its distribution.
    NoDistribution,
    /// The database has no advisories of its ecosystem or distribution.
    NoSource,
    /// There are advisories about it, and its version is not known or cannot
    /// be compared with theirs.
    Version,
}

/// An ignore that did not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleIgnore {
    /// The id it names.
    pub id: String,
    /// Its reason.
    pub reason: String,
    /// Its last day, where it has one.
    pub until: Option<Date>,
    /// `expired` or `unused`.
    pub state: IdleState,
}

/// Why an ignore did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleState {
    /// Its last day has passed; what it ignored counts again.
    Expired,
    /// Nothing was found that it names.
    Unused,
}

/// The database that components were compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseInfo {
    /// The files and directories that were named.
    pub sources: Vec<String>,
    /// Advisories that are not withdrawn.
    pub advisories: u64,
    /// Newest time at which one of them was changed.
    pub newest_modified: Option<Timestamp>,
    /// Newest time at which one of the files was written.
    pub newest_file: Option<Timestamp>,
    /// Hash of what the advisories say; the same for the same advisories,
    /// whichever files they came in.
    pub digest: Digest,
    /// Advisories that were not understood.
    pub unreadable: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<Warning>,
}

impl DatabaseInfo {
    /// Age in seconds: since an advisory was last changed, or, where none says
    /// or one claims the future, since a file was last written.
    pub fn age_sec(&self, now: Timestamp) -> Option<u64> {
        let since = |then: Timestamp| u64::try_from(now.as_second() - then.as_second()).ok();
        self.newest_modified.and_then(since).or_else(|| self.newest_file.and_then(since))
    }
}

/// A report as the command line prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document<'a> {
    /// [`Document::SCHEMA`]
    pub schema: &'static str,
    /// The report itself.
    #[serde(flatten)]
    pub report: &'a Report,
    /// [`DatabaseInfo::age_sec`]
    pub database_age_sec: Option<u64>,
}

impl Document<'_> {
    /// Name and version of the form.
    pub const SCHEMA: &'static str = "plimsoll/scan/v1";
}

impl Report {
    /// The report in the form that is printed; `now` gives the database's age.
    pub fn document(&self, now: Timestamp) -> Document<'_> {
        Document { schema: Document::SCHEMA, report: self, database_age_sec: self.database.age_sec(now) }
    }

    /// Findings that count.
    pub fn counted(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }
}
