//! What the commands do, on either database.

use std::path::PathBuf;

use plimsoll_database::Address;
use plimsoll_evidence_migration_lint::{Dialect, File, Options as LintOptions, Released, Scripts, scripts};
use plimsoll_model::{Observer, Secret};

use crate::Error;
use crate::adopt::{AdoptOptions, adopt};
use crate::apply::{ApplyOptions, apply};
use crate::plan::{History, Plan, PlanOptions, plan};
use crate::postgres::Postgres;
use crate::record::{Record, checksum};
use crate::report::{AdoptReport, ApplyReport, Status};
use crate::session::Session as _;
use crate::sqlite::Sqlite;

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A `postgres://` URL.
    Postgres(Secret),
    /// A file of SQLite's.
    Sqlite(PathBuf),
}

/// A database whose migrations are run.
pub struct Database(Kind);

enum Kind {
    Postgres(Box<Postgres>),
    Sqlite(Box<Sqlite>),
}

impl Database {
    /// Opens it. A file of SQLite's that is absent is not made by that. `actor` is
    /// who others see when they wait.
    ///
    /// # Errors
    /// `DBS-001` to `DBS-008`, `MGR-011`.
    pub async fn open(target: &Target, actor: &str) -> Result<Self, Error> {
        Ok(Self(match target {
            Target::Postgres(url) => {
                Kind::Postgres(Box::new(Postgres::open(Address::parse(url)?, actor).await?))
            }
            Target::Sqlite(path) => Kind::Sqlite(Box::new(Sqlite::open(path).await?)),
        }))
    }

    /// Whose SQL it takes.
    pub fn dialect(&self) -> Dialect {
        match &self.0 {
            Kind::Postgres(_) => Dialect::Postgres,
            Kind::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// How it is named in messages: database and host, or the file.
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Postgres(session) => session.name(),
            Kind::Sqlite(session) => session.name(),
        }
    }

    /// What is recorded. Changes nothing.
    ///
    /// # Errors
    /// `DBS-009`, `MGR-010`, `MGR-011`.
    pub async fn history(&mut self) -> Result<History, Error> {
        match &mut self.0 {
            Kind::Postgres(session) => session.history().await,
            Kind::Sqlite(session) => session.history().await,
        }
    }

    /// The migrations of a directory, judged beside what this database has run: its
    /// records are what counts as released, and its dialect is what is read.
    ///
    /// # Errors
    /// As [`Database::history`], and those of the lint (`MIG-901` to `MIG-903`).
    pub async fn scripts(&mut self, files: &[File], options: &LintOptions) -> Result<Scripts, Error> {
        let history = self.history().await?;
        let mut options = LintOptions { dialect: self.dialect(), ..options.clone() };
        let records = history.records.unwrap_or_default();
        let finished = |record: &&Record| record.finished();
        options.released =
            Released::Files(records.iter().filter(finished).map(|record| record.path.clone()).collect());
        let found = scripts(files, &options)?;
        // Those that run again are judged again.
        let again: Vec<&String> = found
            .files
            .iter()
            .filter(|script| script.repeatable)
            .filter(|script| {
                let now = checksum(&script.checksum_text);
                records.iter().any(|record| record.path == script.path && record.checksum != now)
            })
            .map(|script| &script.path)
            .collect();
        if again.is_empty() {
            return Ok(found);
        }
        if let Released::Files(released) = &mut options.released {
            released.retain(|path| !again.contains(&path));
        }
        Ok(scripts(files, &options)?)
    }

    /// What an apply would do. Changes nothing, and takes no lock.
    ///
    /// # Errors
    /// As [`Database::history`].
    pub async fn plan(&mut self, scripts: &Scripts, options: &PlanOptions) -> Result<Plan, Error> {
        let history = self.history().await?;
        Ok(plan(self.name(), &history, scripts, options))
    }

    /// Where every migration stands, and who is at work. Changes nothing.
    ///
    /// # Errors
    /// As [`Database::history`].
    pub async fn status(&mut self, scripts: &Scripts, options: &PlanOptions) -> Result<Status, Error> {
        let plan = self.plan(scripts, options).await?;
        let holder = match &self.0 {
            Kind::Postgres(session) => session.holder().await?,
            Kind::Sqlite(_) => None,
        };
        Ok(Status::new(plan, holder))
    }

    /// Runs what the plan allows: under a lock, each file in one transaction with its
    /// record, or, where that cannot be, statement by statement with a record of each.
    ///
    /// Dropped in the middle, it leaves what a crash leaves: nothing of a transaction,
    /// and of other files a record from which the next apply goes on. After that this
    /// value is of no more use; open another one.
    ///
    /// # Errors
    /// What the plan refuses (`MGR-001` to `MGR-003`), with nothing changed; `MGR-006`
    /// to `MGR-011` and `DBS-009`, which say what was changed before.
    pub async fn apply(
        &mut self,
        scripts: &Scripts,
        options: &ApplyOptions,
        observer: &dyn Observer,
    ) -> Result<ApplyReport, Error> {
        match &mut self.0 {
            Kind::Postgres(session) => apply(&mut **session, scripts, options, observer).await,
            Kind::Sqlite(session) => apply(&mut **session, scripts, options, observer).await,
        }
    }

    /// Takes over what another tool recorded, after comparing it with the files.
    ///
    /// # Errors
    /// `MGR-004`, `MGR-005` and `MGR-006`, with nothing changed; those of
    /// [`Database::history`].
    pub async fn adopt(&mut self, scripts: &Scripts, options: &AdoptOptions) -> Result<AdoptReport, Error> {
        match &mut self.0 {
            Kind::Postgres(session) => adopt(&mut **session, scripts, options).await,
            Kind::Sqlite(session) => adopt(&mut **session, scripts, options).await,
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({})", self.name())
    }
}
