//! The migrations of a release: read from a folder or a commit, judged, and
//! recorded as what the release brings and needs (MIG-1, MIG-4).

pub mod backfill;
mod by_hand;
pub mod by_ledger;
pub(crate) mod deployed;
mod error;
mod files;
pub(crate) mod found;
pub(crate) mod job;
mod record;
pub mod run;
mod standing;
pub(crate) mod state;
pub mod trace;
pub(crate) mod window;

use std::collections::BTreeSet;
use std::path::PathBuf;

use plimsoll_config::{Database, MigrationLayout, Migrations, SecretSource, SqlDialect};
use plimsoll_evidence_migration_lint::{Dialect, File, Layout, Options, Released, Report, lint as judge};
use plimsoll_image::{ShortSha, Source};
use plimsoll_model::Failure;

use crate::blocking;
use crate::context::Context;

pub use error::{MigrationsError, PAGES};
pub(crate) use files::at_commit;
pub use record::{MigrationsRecord, RecordedFile};
pub(crate) use record::{checksums, options};

/// Where migrations are, where `[migrations]` does not say.
const USUAL: &str = "migrations";

/// How a lint is asked for.
#[derive(Debug, Clone, Default)]
pub struct LintRequest {
    /// Files and folders; none: the configured folder.
    pub paths: Vec<PathBuf>,
    /// What this commit has is taken for released.
    pub since: Option<String>,
    /// Whose SQL it is; none: by `[migrations] database`, else PostgreSQL.
    pub dialect: Option<Dialect>,
    /// The tool that runs the files; none: found out.
    pub layout: Option<Layout>,
    /// Tables small enough to be read or rewritten under a lock.
    pub small: BTreeSet<String>,
    /// Backfills that are proven to be finished.
    pub finished: BTreeSet<String>,
}

/// Judges migrations.
///
/// # Errors
/// They cannot be read, or are more than is read.
pub async fn lint(context: Option<&Context>, request: LintRequest) -> Result<Report, Failure> {
    Ok(judged(context, request).await?.shown())
}

/// A report with what it is about.
pub(crate) struct Judged {
    pub(crate) report: Report,
    pub(crate) files: Vec<File>,
    pub(crate) options: Options,
    folder: PathBuf,
}

impl Judged {
    /// The report, with paths as a person would open them from here.
    pub(crate) fn shown(mut self) -> Report {
        let here = std::env::current_dir().unwrap_or_default();
        let folder = self.folder.strip_prefix(&here).unwrap_or(&self.folder);
        let shown = |path: &str| folder.join(path).display().to_string();
        for file in &mut self.report.files {
            file.file = shown(&file.file);
        }
        for file in &mut self.report.ignored {
            file.file = shown(&file.file);
        }
        self.report
    }
}

/// Judges, with the paths as the files have them.
pub(crate) async fn judged(context: Option<&Context>, request: LintRequest) -> Result<Judged, Failure> {
    let configured = context.and_then(|context| context.config.config.project.migrations.clone());
    let dialect = request.dialect.unwrap_or_else(|| dialect(configured.as_ref()));
    let root = context.map(|context| context.root().to_path_buf());
    blocking("judging the migrations", move || {
        let dir = configured.as_ref().map_or_else(|| PathBuf::from(USUAL), |found| found.dir.clone());
        let paths = match (&request.paths[..], &root) {
            ([], Some(root)) => vec![root.join(&dir)],
            ([], None) => vec![dir.clone()],
            (paths, _) => paths.to_vec(),
        };
        let found = files::of_paths(&paths)?;
        let released = match &request.since {
            None if found.named.is_empty() => Released::EachFile,
            None => Released::Files(found.others()),
            Some(since) => {
                let root = root.clone().unwrap_or_else(|| found.folder.clone());
                let source = Source::open(&root)?;
                let commit = source.resolve(since, ShortSha::Allow)?;
                let folder = files::in_repository(&source, &found.folder)?;
                let before = files::at_commit(&source, &commit, &folder)?;
                Released::Files(before.into_iter().map(|file| file.path).collect())
            }
        };
        let mut small_tables = request.small;
        small_tables.extend(configured.iter().flat_map(|found| found.small_tables.iter().cloned()));
        let options = Options {
            dialect,
            layout: request.layout.or_else(|| configured.as_ref().and_then(layout)),
            released,
            finished_backfills: request.finished,
            small_tables,
            ..Options::default()
        };
        let report = judge(&found.files, &options)?;
        Ok(Judged { report, files: found.files, options, folder: found.folder })
    })
    .await?
}

/// Whose SQL the migrations are in.
pub(crate) fn dialect(configured: Option<&Migrations>) -> Dialect {
    let Some(configured) = configured else { return Dialect::Postgres };
    match (configured.dialect, &configured.database) {
        (Some(SqlDialect::Postgres), _) => Dialect::Postgres,
        (Some(SqlDialect::Sqlite), _) | (None, Some(Database::Sqlite(_))) => Dialect::Sqlite,
        // Only the beginning is looked at; other sources are read where a
        // database is needed.
        (None, Some(Database::Source(SecretSource::Env(name))))
            if std::env::var(name).is_ok_and(|url| url.starts_with("sqlite:")) =>
        {
            Dialect::Sqlite
        }
        _ => Dialect::Postgres,
    }
}

/// The configured layout, if one is.
pub(crate) fn layout(configured: &Migrations) -> Option<Layout> {
    configured.layout.map(|layout| match layout {
        MigrationLayout::Sqlx => Layout::Sqlx,
        MigrationLayout::Refinery => Layout::Refinery,
        MigrationLayout::Diesel => Layout::Diesel,
        MigrationLayout::GolangMigrate => Layout::GolangMigrate,
        MigrationLayout::Goose => Layout::Goose,
        MigrationLayout::Dbmate => Layout::Dbmate,
        MigrationLayout::Flyway => Layout::Flyway,
        MigrationLayout::Prisma => Layout::Prisma,
        MigrationLayout::Alembic => Layout::Alembic,
        MigrationLayout::Plain => Layout::Plain,
    })
}
