//! The facts of a release, from git and from evidence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll_image::{ShortSha, Source, Tag};
use plimsoll_model::{Commit, Failure, Lookup};
use plimsoll_release::manifest::{self, ManifestFile};
use plimsoll_release::{Facts, RawCommit, Released, Stated, read_commits, tag};
use semver::Version;

use super::evidence;
use crate::context::Context;
use crate::error::PipelineError;
use crate::{blocking, target};

/// More commits than any release has.
const MOST_COMMITS: usize = 20_000;
/// All manifests of a repository together, in bytes.
const MANIFESTS_LIMIT: u64 = 64 << 20;

/// Which release is asked about.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where the command works when there is no project.
    pub directory: PathBuf,
    /// The commit: a full or short SHA, a branch, a tag, `HEAD`.
    pub commit: String,
    /// The release before: a tag, a commit. None: the newest version tag before.
    pub since: Option<String>,
    /// The environment whose running release is the one before.
    pub environment: Option<String>,
    /// The service, where tags have its name (`payouts-v1.2.3`). None: that of
    /// the configuration.
    pub service: Option<String>,
    /// Nobody else uses the database.
    pub private_database: bool,
    /// Advisories; none: those of the configuration.
    pub advisories: Option<PathBuf>,
}

impl Asked {
    /// The service's name, where one is known.
    pub(super) fn service(&self, context: Option<&Context>) -> Option<String> {
        let configured = || context.map(|context| context.config.config.project.service.name.clone());
        self.service.clone().or_else(configured)
    }
}

/// What the facts are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What comes next: a version tag on the commit itself is the release before.
    Next,
    /// What the commit is: a version tag on it is what it claims to be.
    Check,
}

/// Gathers everything. What cannot be had is unknown, with the reason.
///
/// # Errors
/// The repository cannot be read, or there is no such commit.
pub(super) async fn gather(
    context: Option<&Context>,
    asked: &Asked,
    purpose: Purpose,
) -> Result<Facts, Failure> {
    let root = super::root(context, asked);
    let service = asked.service(context);
    let mut places = evidence::Places::of(context)?;
    let mut asked = asked.clone();
    let mut first = false;
    if let Some(environment) = &asked.environment {
        let context = context.ok_or(PipelineError::NoProject { what: "an environment" })?;
        let running = target::running(context, &context.environment(environment)?.name).await?;
        first = running.is_none();
        asked.since = running.map(|release| release.sha().to_string());
    }
    let configured = context.and_then(|context| context.config.config.project.migrations.as_ref());
    let private = asked.private_database || configured.is_some_and(|configured| !configured.shared);
    let has_project = context.is_some();
    let (mut facts, declared) = blocking("reading the repository", move || {
        let source = Source::open(&root)?;
        let commit = source.resolve(&asked.commit, ShortSha::Allow)?;
        let here = Here { source: &source, folder: folder(&source, &root), service, purpose };
        if !has_project {
            places.below(&here.folder);
        }
        let since = match &asked.since {
            _ if first => Since::Nothing,
            Some(since) => Since::Named(since),
            None => Since::Tag,
        };
        let facts = here.facts(&commit, since, &places)?;
        let declared = match facts.previous.found() {
            Some(previous) => {
                let own = manifest::names(&here.manifests(&commit)?);
                Some(evidence::declared(&source, &here.folder, &previous.commit, &commit, own)?)
            }
            None => None,
        };
        Ok::<_, Failure>((facts, declared.map(|declared| (declared, asked.advisories))))
    })
    .await??;
    facts.shared_database = !private;
    if let Some((declared, advisories)) = declared {
        facts.dependencies = evidence::dependencies(context, declared, advisories).await?;
    }
    Ok(facts)
}

/// Where the project is in its repository; empty at the top.
fn folder(source: &Source, root: &Path) -> String {
    let inside = source.worktree().and_then(|top| {
        let (top, root) = (top.canonicalize().ok()?, root.canonicalize().ok()?);
        Some(root.strip_prefix(top).ok()?.to_string_lossy().into_owned())
    });
    inside.unwrap_or_default()
}

/// Which release is the one before.
enum Since<'a> {
    /// The newest version tag in the history.
    Tag,
    /// That commit or tag.
    Named(&'a str),
    /// None: nothing runs yet.
    Nothing,
}

/// One repository, and who asks.
struct Here<'a> {
    source: &'a Source,
    folder: String,
    service: Option<String>,
    purpose: Purpose,
}

impl Here<'_> {
    fn facts(&self, commit: &Commit, since: Since<'_>, places: &evidence::Places) -> Result<Facts, Failure> {
        let tags = self.versions(self.source.tags(None)?);
        let reachable = self.versions(self.source.tags(Some(commit))?);
        let (own, mut released): (Vec<Released>, Vec<Released>) =
            tags.into_iter().partition(|one| one.commit == *commit);
        if self.purpose == Purpose::Next {
            released.extend(own.iter().cloned());
        }
        let earlier: Vec<&Released> =
            reachable.iter().filter(|one| self.purpose == Purpose::Next || one.commit != *commit).collect();
        let previous = match since {
            Since::Named(since) => self.named(since, &released)?,
            Since::Tag => self.newest(&earlier)?,
            Since::Nothing => Lookup::Absent,
        };
        if let Some(previous) = previous.found() {
            let ahead: BTreeSet<&str> = earlier.iter().map(|one| one.name.as_str()).collect();
            for one in &mut released {
                one.announces = ahead.contains(one.name.as_str()) && one.version > previous.version;
            }
        }
        let manifests = self.manifests(commit)?;
        let mut stated = manifest::read(&manifests, self.service.as_deref().unwrap_or_default());
        if self.purpose == Purpose::Check {
            // The tag first: it is what people see.
            let tags = own
                .iter()
                .map(|one| Stated { place: one.name.clone(), version: Lookup::Found(one.version.clone()) });
            stated = tags.chain(stated).collect();
        }
        let commits = match &previous {
            Lookup::Unknown(why) | Lookup::Invalid(why) => Lookup::Unknown(why.clone()),
            other => self.commits(other.found().map(|previous| &previous.commit), commit),
        };
        let (api, schema) = match previous.found() {
            Some(previous) => (
                evidence::api(self.source, places, &previous.commit, commit),
                evidence::schema(self.source, places, &previous.commit, commit),
            ),
            None => (Lookup::Absent, Lookup::Absent),
        };
        Ok(Facts {
            commit: commit.clone(),
            previous,
            released,
            stated,
            api,
            schema,
            dependencies: Lookup::Absent,
            commits,
            shared_database: true,
        })
    }

    fn versions(&self, tags: Vec<Tag>) -> Vec<Released> {
        let named = tags.iter().map(|tag| (tag.name.as_str(), tag.commit.clone()));
        tag::versions(named, self.service.as_deref())
            .into_iter()
            .map(|(name, version, commit)| Released {
                version,
                name: format!("tag {name}"),
                commit,
                announces: false,
            })
            .collect()
    }

    /// The newest release before; a pre-release only where there is nothing else.
    fn newest(&self, earlier: &[&Released]) -> Result<Lookup<Released>, Failure> {
        let stable = earlier.iter().filter(|one| one.version.pre.is_empty());
        let newest = stable
            .max_by(|a, b| a.version.cmp(&b.version))
            .or_else(|| earlier.iter().max_by(|a, b| a.version.cmp(&b.version)));
        Ok(match newest {
            Some(newest) => Lookup::Found((*newest).clone()),
            None if self.source.is_shallow()? => Lookup::Unknown(
                "the clone is shallow and has no version tag; run `git fetch --unshallow --tags`".into(),
            ),
            None => Lookup::Absent,
        })
    }

    /// The release that a person named: its tag says its version, else its manifests.
    fn named(&self, since: &str, released: &[Released]) -> Result<Lookup<Released>, Failure> {
        let commit = self.source.resolve(since, ShortSha::Allow)?;
        let on = released.iter().filter(|one| one.commit == commit).max_by(|a, b| a.version.cmp(&b.version));
        if let Some(on) = on {
            return Ok(Lookup::Found(on.clone()));
        }
        Ok(match self.stated(&commit)? {
            Lookup::Found(version) => {
                let name = format!("commit {}", commit.short());
                Lookup::Found(Released { version, name, commit, announces: false })
            }
            Lookup::Absent => {
                Lookup::Unknown(format!("neither a tag nor a manifest says which version {since} is"))
            }
            Lookup::Invalid(why) | Lookup::Unknown(why) => {
                Lookup::Unknown(format!("the version of {since}: {why}"))
            }
        })
    }

    /// The version that the manifests of a commit state together.
    fn stated(&self, commit: &Commit) -> Result<Lookup<Version>, Failure> {
        let manifests = self.manifests(commit)?;
        let stated = manifest::read(&manifests, self.service.as_deref().unwrap_or_default());
        Ok(plimsoll_release::stated(&stated))
    }

    /// Every manifest below the project's folder, by its path from there on.
    fn manifests(&self, commit: &Commit) -> Result<Vec<ManifestFile>, Failure> {
        let is_manifest = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            manifest::PLACES.contains(&name) && (name != "VERSION" || !path.contains('/'))
        };
        let files =
            self.source.folder(commit, &self.folder, is_manifest, (manifest::LIMIT, MANIFESTS_LIMIT))?;
        Ok(files.into_iter().map(|(path, content)| ManifestFile { path, content }).collect())
    }

    fn commits(&self, since: Option<&Commit>, commit: &Commit) -> Lookup<Vec<plimsoll_release::CommitFacts>> {
        let log = match self.source.log(since, commit, &self.folder, MOST_COMMITS + 1) {
            Ok(log) if log.len() > MOST_COMMITS => {
                return Lookup::Unknown(format!("there are more than {MOST_COMMITS} commits since then"));
            }
            Ok(log) => log,
            Err(error) => return Lookup::Unknown(error.to_string()),
        };
        let raw: Vec<RawCommit> = log
            .into_iter()
            .map(|one| RawCommit { sha: one.commit, message: one.message, merge: one.merge })
            .collect();
        Lookup::Found(read_commits(&raw))
    }
}

/// The facts for the guard: a commit against the one that runs.
pub(super) async fn against(context: &Context, sha: &Commit, running: &Commit) -> Result<Facts, Failure> {
    let asked = Asked {
        directory: context.root().to_path_buf(),
        commit: sha.to_string(),
        since: Some(running.to_string()),
        environment: None,
        service: None,
        private_database: false,
        advisories: None,
    };
    gather(Some(context), &asked, Purpose::Check).await
}

/// What a commit claims to be: its tags and its manifests.
///
/// # Errors
/// The repository cannot be read, or there is no such commit.
pub(super) async fn claimed(context: &Context, commit: &Commit) -> Result<Lookup<Version>, Failure> {
    let (root, commit) = (context.root().to_path_buf(), commit.clone());
    let service = Some(context.config.config.project.service.name.clone());
    blocking("reading the repository", move || {
        let source = Source::open(&root)?;
        let here = Here { source: &source, folder: folder(&source, &root), service, purpose: Purpose::Check };
        let tags = here.versions(source.tags(None)?).into_iter().filter(|one| one.commit == commit);
        match tags.map(|one| one.version).max() {
            Some(version) => Ok(Lookup::Found(version)),
            None => here.stated(&commit),
        }
    })
    .await?
}
