//! `contract snapshot` and `contract diff`: OpenAPI documents of files and of
//! commits, read whole and compared (API-1).

mod error;
mod read;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll_evidence_contract::{Accepted, Contract, Level, Options, Report, diff};
use plimsoll_image::{ShortSha, Source};
use plimsoll_model::{Commit, Failure};
use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::context::Context;

pub(crate) use error::DOCUMENT_ABSENT;
pub use error::{ContractError, PAGES};
pub(crate) use read::{at_commit, attested, bounded, predicate};

/// Where the document is, where `[contract]` does not say.
const USUAL: &str = "openapi.json";
/// Most bytes of a file of accepted breaks.
const MOST_ACCEPTED: u64 = 4 << 20;

/// Which document is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// A file; others that it refers to are found from it.
    File(PathBuf),
    /// The document of a commit: of `HEAD`, a branch, a tag, or a full SHA.
    Commit(String),
}

impl Described {
    /// As a person should see it.
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Commit(rev) => rev.clone(),
        }
    }
}

/// One of the two sides, in the report.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// As it was asked for.
    pub name: String,
    /// The commit, where it is one's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha: Option<Commit>,
    /// Where the document was found: `file`, `git`, or who attested it.
    pub source: String,
    /// `info.version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// What was read although it is not as it should be.
    pub warnings: Vec<String>,
}

/// `contract diff`.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// Always `plimsoll/contract-diff/v1`.
    pub schema: &'static str,
    /// The older one.
    pub old: Side,
    /// The newer one.
    pub new: Side,
    /// What changed.
    #[serde(flatten)]
    pub report: Report,
}

impl DiffReport {
    /// Whether a break counts.
    pub fn breaks(&self) -> bool {
        self.report.level == Some(Level::Breaking)
    }
}

/// A document that was read, and where it was.
pub(crate) struct Document {
    pub(crate) contract: Contract,
    pub(crate) sha: Option<Commit>,
    pub(crate) source: String,
}

impl Document {
    fn side(&self, described: &Described) -> Side {
        Side {
            name: described.name(),
            sha: self.sha.clone(),
            source: self.source.clone(),
            api_version: self.contract.api_version().map(str::to_owned),
            warnings: self
                .contract
                .warnings()
                .iter()
                .map(|warning| format!("{}: {}", warning.position, warning.message))
                .collect(),
        }
    }
}

/// The document in its canonical form: the same bytes for the same document.
///
/// # Errors
/// It cannot be found or read.
pub async fn snapshot(context: Option<&Context>, described: &Described) -> Result<Vec<u8>, Failure> {
    let document = document(context, described).await?;
    blocking("writing the snapshot", move || document.contract.snapshot()).await
}

/// What changed between two documents. `accepted` names a file of breaks that
/// were decided on, in place of the configured one.
///
/// # Errors
/// A document cannot be found or read, or the accepted breaks cannot be used.
pub async fn difference(
    context: Option<&Context>,
    old: &Described,
    new: &Described,
    accepted: Option<&Path>,
) -> Result<DiffReport, Failure> {
    let accepted = match (accepted, context) {
        (Some(path), _) => of_file(path)?,
        (None, Some(context)) => configured_breaks(context)?,
        (None, None) => Vec::new(),
    };
    let (before, after) = (document(context, old).await?, document(context, new).await?);
    let (old, new) = (before.side(old), after.side(new));
    let report =
        blocking("comparing the documents", move || compare(&before.contract, &after.contract, accepted))
            .await??;
    Ok(DiffReport { schema: "plimsoll/contract-diff/v1", old, new, report })
}

/// Compares as of today.
pub(crate) fn compare(old: &Contract, new: &Contract, accepted: Vec<Accepted>) -> Result<Report, Failure> {
    let today = Some(Timestamp::now().to_zoned(TimeZone::UTC).date());
    Ok(diff(old, new, &Options { today, accepted, ..Options::default() })?)
}

async fn document(context: Option<&Context>, described: &Described) -> Result<Document, Failure> {
    match described {
        Described::File(path) => {
            let path = path.clone();
            blocking("reading the document", move || read::file(&path)).await?
        }
        Described::Commit(rev) => {
            let Some(context) = context else {
                return Err(crate::PipelineError::NoProject { what: "a commit" }.into());
            };
            of_commit(context, rev).await
        }
    }
}

/// The document of a commit: git's, where git knows the commit; else what was
/// attested about its image.
async fn of_commit(context: &Context, rev: &str) -> Result<Document, Failure> {
    let (root, text, path) = (context.root().to_path_buf(), rev.to_owned(), path(context));
    let known = blocking("reading the repository", move || {
        let source = Source::open(&root)?;
        let commit = source.resolve(&text, ShortSha::Allow)?;
        at_commit(&source, &commit, &path)
    })
    .await?;
    match (known, rev.parse::<Commit>()) {
        (Ok(document), _) => Ok(document),
        (Err(failure), Ok(sha)) if failure.diagnose().code() != DOCUMENT_ABSENT => {
            let of_image = attested(context, &sha).await;
            of_image.map_err(|_| failure)
        }
        (Err(failure), _) => Err(failure),
    }
}

/// Where the document is in a commit.
pub(crate) fn path(context: &Context) -> PathBuf {
    context
        .config
        .config
        .project
        .contract
        .as_ref()
        .map_or_else(|| USUAL.into(), |contract| contract.openapi.clone())
}

/// The breaks that the configuration accepts.
///
/// # Errors
/// The file cannot be read or used.
pub(crate) fn configured_breaks(context: &Context) -> Result<Vec<Accepted>, Failure> {
    let configured = context.config.config.project.contract.as_ref();
    match configured.and_then(|contract| contract.accepted.as_ref()) {
        Some(path) => of_file(&context.root().join(path)),
        None => Ok(Vec::new()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptedFile {
    #[serde(default)]
    accepted: Vec<Accepted>,
}

fn of_file(path: &Path) -> Result<Vec<Accepted>, Failure> {
    let failed = |why: String| ContractError::Accepted { path: path.into(), why };
    let bytes = read::bounded(path, MOST_ACCEPTED).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".into()))?;
    let read: AcceptedFile = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    for (at, entry) in read.accepted.iter().enumerate() {
        entry.check(at + 1).map_err(|error| failed(error.to_string()))?;
    }
    Ok(read.accepted)
}
