//! Builds.

use jiff::Timestamp;
use plimsoll_model::{BuildMetadata, Commit, Event, Repository, RepositoryType};
use serde::Serialize;

use crate::entry::Entry;
use crate::store::Query;
use crate::{Error, Ledger};

/// A build that ended well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Build {
    /// Its ledger entry.
    pub entry: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Who built.
    pub by: String,
    /// What came of it.
    pub metadata: BuildMetadata,
}

/// A build that was started and neither ended nor was started again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnfinishedBuild {
    /// Its ledger entry.
    pub entry: u64,
    /// When it was started.
    pub since: Timestamp,
    /// Who built.
    pub by: String,
    /// The commit.
    pub sha: Commit,
    /// The branch it was built for; empty when detached.
    pub branch: String,
    /// Where it would be pushed.
    pub repository: Repository,
    /// Canonical or staging.
    pub repository_type: RepositoryType,
}

fn build(entry: Entry) -> Option<Build> {
    match entry.event {
        Event::BuildFinished { metadata } | Event::PushFinished { metadata } => {
            Some(Build { entry: entry.seq, at: entry.at, by: entry.actor, metadata })
        }
        _ => None,
    }
}

impl Ledger {
    /// Builds that ended well, and pushes of what they stored, newest first, at
    /// most `limit`.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn builds(&self, sha: Option<&Commit>, limit: u64) -> Result<Vec<Build>, Error> {
        self.finished(sha, None, limit)
    }

    /// The newest build of a commit for that type of repository that ended well.
    ///
    /// # Errors
    /// As [`Ledger::builds`].
    pub fn build_of(&self, sha: &Commit, repository_type: RepositoryType) -> Result<Option<Build>, Error> {
        Ok(self.finished(Some(sha), Some(repository_type), 1)?.pop())
    }

    fn finished(
        &self,
        sha: Option<&Commit>,
        repository_type: Option<RepositoryType>,
        limit: u64,
    ) -> Result<Vec<Build>, Error> {
        let query = Query {
            kinds: vec!["build.finished", "push.finished"],
            sha: sha.map(|sha| sha.as_str().into()),
            repository_type: repository_type.map(|kind| kind.to_string()),
            newest_first: true,
            limit: Some(limit),
            ..Query::default()
        };
        Ok(self.read(&query)?.into_iter().filter_map(build).collect())
    }

    /// Builds that were interrupted, newest first.
    ///
    /// # Errors
    /// As [`Ledger::builds`].
    pub fn unfinished_builds(&self) -> Result<Vec<UnfinishedBuild>, Error> {
        let query =
            Query { kinds: vec!["build.started"], open: true, newest_first: true, ..Query::default() };
        let started = self.read(&query)?.into_iter().filter_map(|entry| match entry.event {
            Event::BuildStarted { sha, branch, repository, repository_type, .. } => Some(UnfinishedBuild {
                entry: entry.seq,
                since: entry.at,
                by: entry.actor,
                sha,
                branch,
                repository,
                repository_type,
            }),
            _ => None,
        });
        Ok(started.collect())
    }
}
