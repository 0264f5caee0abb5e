//! `changelog`: the file of the working directory, a section of it, and whether
//! it says what the evidence says.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use plimsoll_model::{Check, Commit, Failure, Lookup};
use plimsoll_release::changelog::{
    Changelog, Entry, MOST_BYTES, Name, Note, Others, Problem, Source, Target, Update, entries, update,
    verify,
};
use plimsoll_release::{Contradiction, Doubt, Facts};
use semver::Version;
use serde::Serialize;

use super::facts::{Asked, Purpose, gather};
use super::{ReleaseError, root, today};
use crate::blocking;
use crate::context::Context;

/// Names that changelogs have.
const USUAL: [&str; 5] = ["CHANGELOG.md", "Changelog.md", "changelog.md", "CHANGES.md", "HISTORY.md"];

/// Which section is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Section {
    /// That of the version on the commit, of the version the file is being
    /// prepared for, else what is unreleased.
    #[default]
    Found,
    /// What is not released yet.
    Unreleased,
    /// The next version.
    Next,
    /// This version.
    Version(Version),
}

/// How a changelog is asked for.
#[derive(Debug, Clone)]
pub struct ChangelogRequest {
    /// Which release.
    pub asked: Asked,
    /// Which section.
    pub section: Section,
    /// The date of a new section; none: today.
    pub date: Option<String>,
    /// The file; none: the usual one.
    pub file: Option<PathBuf>,
    /// Write the file.
    pub write: bool,
    /// Compare the file with the evidence, and change nothing.
    pub check: bool,
    /// Write evidence lines again that people altered or removed.
    pub restore: bool,
    /// List commits that are no conventional commits under a heading of their own.
    pub other: bool,
}

/// `changelog`.
#[derive(Debug, Clone, Serialize)]
pub struct ChangelogReport {
    /// Always `plimsoll/changelog/v1`.
    pub schema: &'static str,
    /// The file.
    pub file: PathBuf,
    /// The commit up to which it tells.
    pub commit: Commit,
    /// The release before; none for the first one.
    pub previous: Option<Version>,
    /// The name of the section.
    pub section: String,
    /// The section as it is or would be.
    pub text: String,
    /// Everything that it has to say.
    pub entries: Vec<Entry>,
    /// Lines that are new.
    pub added: usize,
    /// Generated lines that are not as they were generated.
    pub notes: Vec<Note>,
    /// What does not fit together.
    pub contradictions: Vec<Contradiction>,
    /// What is not known.
    pub doubts: Vec<Doubt>,
    /// Whether the file was written.
    pub written: bool,
    /// Of `--check`: evidence lines that say what the evidence says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<usize>,
    /// Of `--check`: everything that is not right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Of `--check`: whether it says what the evidence says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// Of `--check`: every check that was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// How the command ends.
    #[serde(skip)]
    pub class: Option<plimsoll_model::Class>,
}

/// Makes, writes or checks a section of the changelog.
///
/// # Errors
/// The repository or the file cannot be read, or the file cannot be written.
pub async fn changelog(
    context: Option<&Context>,
    request: &ChangelogRequest,
) -> Result<ChangelogReport, Failure> {
    let file = request.file.clone().unwrap_or_else(|| usual(&root(context, &request.asked)));
    let path = file.clone();
    let before = blocking("reading the changelog", move || read(&path)).await??;
    let parsed = before.as_deref().map(Changelog::parse).transpose()?.unwrap_or_default();

    let mut asked = request.asked.clone();
    if let Section::Version(version) = &request.section {
        // The section of an old release ends where that release ended.
        if let Some(tag) = tagged(context, &asked, version).await? {
            asked.commit = tag;
        }
    }
    let facts = gather(context, &asked, Purpose::Check).await?;
    let next = plimsoll_release::next(&facts);
    let target = target(request, &facts, &next, &parsed)?;
    let others = if request.other { Others::Other } else { Others::Changed };
    let wanted = entries(&facts, others);
    let mut unknown = unknown(&facts);

    let mut report = ChangelogReport {
        schema: "plimsoll/changelog/v1",
        file: file.clone(),
        commit: facts.commit.clone(),
        previous: next.previous.clone(),
        section: target.name().to_string(),
        text: String::new(),
        entries: wanted.clone(),
        added: 0,
        notes: Vec::new(),
        contradictions: next.contradictions,
        doubts: next.doubts,
        written: false,
        verified: None,
        problems: Vec::new(),
        allowed: None,
        checks: Vec::new(),
        class: None,
    };
    if request.check {
        let section = parsed.section_text(&target.name()).unwrap_or_default();
        if section.contains("<!-- plimsoll security ") {
            unknown.extend(without_advisories(&facts));
        }
        let verification = verify(&parsed, &target.name(), &wanted, &unknown);
        report.text = section;
        report.verified = Some(verification.verified);
        report.problems = verification.problems;
        report.allowed = Some(verification.decision.allowed);
        report.class = verification.decision.refusal_class();
        report.checks = verification.decision.checks;
        return Ok(report);
    }
    unknown.extend(without_advisories(&facts));
    let how = Update { entries: wanted, unknown: unknown.into_keys().collect(), restore: request.restore };
    let updated = update(&parsed, &target, &how)?;
    report.text = updated.changelog.section_text(&updated.name).unwrap_or_default();
    report.added = updated.added;
    report.notes = updated.notes;
    if request.write {
        let text = updated.changelog.to_string();
        if before.as_deref() != Some(text.as_str()) {
            blocking("writing the changelog", move || write(&file, &text)).await??;
        }
        report.written = true;
    }
    Ok(report)
}

/// The changelog that is there, else where one is expected.
fn usual(root: &Path) -> PathBuf {
    let found = USUAL.iter().map(|name| root.join(name)).find(|path| path.is_file());
    let path = found.unwrap_or_else(|| root.join(USUAL[0]));
    path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path)
}

/// The tag of a version, where there is one.
async fn tagged(
    context: Option<&Context>,
    asked: &Asked,
    version: &Version,
) -> Result<Option<String>, Failure> {
    let facts = gather_tags(context, asked).await?;
    Ok(facts.into_iter().find(|(found, _)| found == version).map(|(_, commit)| commit.to_string()))
}

async fn gather_tags(context: Option<&Context>, asked: &Asked) -> Result<Vec<(Version, Commit)>, Failure> {
    let (root, service) = (root(context, asked), asked.service(context));
    blocking("reading the tags", move || {
        let source = plimsoll_image::Source::open(&root)?;
        let tags = source.tags(None)?;
        let named = tags.iter().map(|tag| (tag.name.as_str(), tag.commit.clone()));
        let found = plimsoll_release::tag::versions(named, service.as_deref());
        Ok(found.into_iter().map(|(_, version, commit)| (version, commit)).collect())
    })
    .await?
}

fn target(
    request: &ChangelogRequest,
    facts: &Facts,
    next: &plimsoll_release::Next,
    changelog: &Changelog,
) -> Result<Target, Failure> {
    let date = || Some(request.date.clone().unwrap_or_else(today));
    let version = |version: Version| Target::Version { version, date: date() };
    Ok(match &request.section {
        Section::Unreleased => Target::Unreleased,
        Section::Version(named) => version(named.clone()),
        Section::Next => match &next.version {
            Some(found) => version(found.clone()),
            None => {
                let why: Vec<String> =
                    next.doubts.iter().map(|doubt| format!("{}: {}", doubt.about, doubt.why)).collect();
                return Err(ReleaseError::NoVersion { why: why.join("; ") }.into());
            }
        },
        Section::Found => {
            let tagged = facts.stated.iter().filter(|stated| stated.place.starts_with("tag "));
            let tagged = tagged.filter_map(|stated| stated.version.found()).max().cloned();
            let newest = changelog.names().find_map(|name| match name {
                Name::Version(newest) => Some(newest.clone()),
                Name::Unreleased => None,
            });
            // A section for a version that no tag has yet is being prepared.
            let first = matches!(changelog.names().next(), Some(Name::Version(_)));
            let prepared = newest.filter(|newest| {
                first
                    && next.previous.as_ref().is_none_or(|previous| newest > previous)
                    && facts.released.iter().all(|released| released.version != *newest)
            });
            tagged.or(prepared).map_or(Target::Unreleased, version)
        }
    })
}

/// Evidence that could not be had, and why.
fn unknown(facts: &Facts) -> BTreeMap<Source, String> {
    fn why<T>(lookup: &Lookup<T>) -> Option<String> {
        match lookup {
            Lookup::Invalid(why) | Lookup::Unknown(why) => Some(why.clone()),
            Lookup::Found(_) | Lookup::Absent => None,
        }
    }
    if let Some(reason) = why(&facts.previous) {
        let all = [Source::Commit, Source::Api, Source::Schema, Source::Dependency, Source::Security];
        return all.into_iter().map(|source| (source, reason.clone())).collect();
    }
    let advisories =
        facts.dependencies.found().and_then(|found| why(&found.vanished).or_else(|| why(&found.appeared)));
    [
        (Source::Commit, why(&facts.commits)),
        (Source::Api, why(&facts.api)),
        (Source::Schema, why(&facts.schema)),
        (Source::Dependency, why(&facts.dependencies)),
        (Source::Security, why(&facts.dependencies).or(advisories)),
    ]
    .into_iter()
    .filter_map(|(source, why)| Some((source, why?)))
    .collect()
}

/// Where no advisories are held, what others found with theirs is left alone.
fn without_advisories(facts: &Facts) -> Option<(Source, String)> {
    let absent = facts.dependencies.found().is_some_and(|found| found.vanished == Lookup::Absent);
    absent.then(|| (Source::Security, "no advisories are held here".to_owned()))
}

/// The file; none where there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    let failed = |source| ReleaseError::Read { path: path.into(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error).into()),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())))?;
    Ok(Some(text))
}

/// Writes beside, syncs, renames: the old file stays until the new one is whole.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |source| ReleaseError::Write { path: path.into(), source };
    // What a link names is written, not the link.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".changelog-").tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let permissions = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(permissions).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
