//! Runs the migrations of the working directory, or of a commit, on the database of
//! `[migrations]` (MIG-2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_config::{Environment, MigrateJob, Migrations};
use plimsoll_evidence_migration_lint::{File, Options, Scripts};
use plimsoll_image::{ShortSha, Source};
use plimsoll_model::{Commit, Failure};
use plimsoll_rollout_migrate::{
    AdoptOptions, AdoptReport, ApplyOptions, ApplyReport, Database, Error, Plan, PlanOptions, Status, Target,
    Timeouts,
};
use serde::Serialize;

use super::by_ledger::{self, LedgerPlan, LedgerStatus};
use super::state::{self, OfCommit};
use super::{MigrationsError, by_hand, files, layout};
use crate::context::Context;
use crate::{blocking, gather};

/// How often it is looked whether a person wants an end.
const LOOK: Duration = Duration::from_millis(100);

/// Which migrations, and what is known beside them.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// A commit, branch or tag; none: the working directory.
    pub release: Option<String>,
    /// Files that may run whatever their class is, as they are named from the folder of
    /// the migrations on, or from the working copy's.
    pub allow: BTreeSet<String>,
    /// Whose database, and for whose releases contract steps wait; none: the one of
    /// `[migrations]`, and for whoever a person does not name.
    pub environment: Option<String>,
    /// Backfills that are proven to be finished.
    pub finished: BTreeSet<String>,
    /// Values for flyway's placeholders.
    pub placeholders: BTreeMap<String, String>,
    /// Whether a file that is older than an applied one is refused.
    pub in_order: bool,
    /// Whether it is refused that a file was applied which the release lacks.
    pub strict_missing: bool,
    /// Whether to run although another tool's table is there.
    pub beside_other_tool: bool,
    /// How long a statement waits for a lock; none: as configured.
    pub lock_timeout: Option<Duration>,
    /// How long one statement may run; none: as configured.
    pub statement_timeout: Option<Duration>,
    /// How long everything else may take.
    pub timeouts: Timeouts,
}

/// A database with the migrations that were asked for.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) scripts: Scripts,
    pub(super) options: ApplyOptions,
    /// The files, and the commit that has them; none: the working directory.
    pub(super) files: Vec<File>,
    pub(super) release: Option<Commit>,
    /// How they are judged.
    pub(super) judging: Options,
}

/// What an apply did.
#[derive(Debug, Clone, Serialize)]
pub struct Applied {
    /// The files.
    #[serde(flatten)]
    pub report: ApplyReport,
    /// The ledger entry that says so; with an environment only, and only where
    /// something is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_entry: Option<u64>,
}

/// A plan, by what is known.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Planned {
    /// By the database.
    Database(Plan),
    /// By the ledger: a Job of the cluster runs them.
    Ledger(LedgerPlan),
}

impl Planned {
    /// What it says of the files.
    pub fn plan(&self) -> &Plan {
        match self {
            Self::Database(plan) => plan,
            Self::Ledger(by_ledger) => &by_ledger.plan,
        }
    }

    /// As text; files that ran are counted, not listed.
    pub fn text(&self) -> String {
        match self {
            Self::Database(plan) => plan.text(),
            Self::Ledger(by_ledger) => by_ledger.text(),
        }
    }
}

/// Where migrations stand, by what is known.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Stands {
    /// By the database.
    Database(Status),
    /// By the ledger.
    Ledger(LedgerStatus),
}

impl Stands {
    /// As text: every file, one a line.
    pub fn text(&self) -> String {
        match self {
            Self::Database(status) => status.text(),
            Self::Ledger(by_ledger) => by_ledger.text(),
        }
    }
}

/// What an apply would do, or a Job would be asked to do. Changes nothing.
///
/// # Errors
/// Files, database or ledger cannot be read.
pub async fn plan(context: &Context, request: RunRequest) -> Result<Planned, Failure> {
    if let Some((environment, job)) = by_job(context, request.environment.as_deref())? {
        return Ok(Planned::Ledger(by_ledger::plan(context, environment, job, request).await?));
    }
    let mut opened = open(context, request).await?;
    Ok(Planned::Database(opened.database.plan(&opened.scripts, &opened.options.plan).await?))
}

/// Where every migration stands, and who is at work. Changes nothing.
///
/// # Errors
/// Files, database or ledger cannot be read.
pub async fn status(context: &Context, request: RunRequest) -> Result<Stands, Failure> {
    if let Some((environment, job)) = by_job(context, request.environment.as_deref())? {
        let plan = by_ledger::plan(context, environment, job, request).await?;
        return Ok(Stands::Ledger(plan.into()));
    }
    let mut opened = open(context, request).await?;
    Ok(Stands::Database(opened.database.status(&opened.scripts, &opened.options.plan).await?))
}

/// The Job that runs an environment's migrations, where one does.
fn by_job<'a>(
    context: &'a Context,
    environment: Option<&str>,
) -> Result<Option<(&'a Environment, &'a MigrateJob)>, Failure> {
    let environment = environment.map(|name| context.environment(name)).transpose()?;
    Ok(environment.and_then(|environment| Some((environment, state::job(environment)?))))
}

/// Runs what the plan allows. For an environment under its lock, and written down in
/// the ledger, so that rollbacks know.
///
/// # Errors
/// Files or database cannot be read, the plan refuses, or a statement fails; somebody is
/// at work in the environment, or left something unfinished there. Each says what was
/// changed before.
pub async fn apply(context: &Context, request: RunRequest) -> Result<Applied, Failure> {
    match request.environment.clone() {
        Some(environment) if by_job(context, Some(&environment))?.is_some() => {
            Err(MigrationsError::InCluster { environment }.into())
        }
        Some(environment) => by_hand::apply(context, &environment, request).await,
        None => {
            let opened = &mut open(context, request).await?;
            Ok(Applied { report: run(context, opened).await?, ledger_entry: None })
        }
    }
}

/// Runs what was opened.
pub(super) async fn run(context: &Context, opened: &mut Opened) -> Result<ApplyReport, Failure> {
    let Opened { database, scripts, options, .. } = opened;
    let name = database.name().to_owned();
    let interrupted = async {
        while !context.interrupt.load(Ordering::SeqCst) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Dropped in the middle, the database rolls back what was in flight.
    tokio::select! {
        report = database.apply(scripts, options, &*context.observer) => Ok(report?),
        () = interrupted => Err(Error::Interrupted { database: name }.into()),
    }
}

/// Takes over what another tool recorded. `through` names the last file that was run by
/// hand, where there was no tool; `accept` files that may differ.
///
/// # Errors
/// Files or database cannot be read, or what is recorded cannot be taken over; nothing was
/// changed then.
pub async fn adopt(
    context: &Context,
    request: RunRequest,
    through: Option<String>,
    accept: BTreeSet<String>,
) -> Result<AdoptReport, Failure> {
    let configured = configured(context)?;
    let mut opened = open(context, request).await?;
    let options = AdoptOptions {
        through: through.map(|path| from_folder(&configured, &path)),
        accept: accept.iter().map(|path| from_folder(&configured, path)).collect(),
        release: opened.options.plan.release.clone(),
        actor: opened.options.actor.clone(),
    };
    Ok(opened.database.adopt(&opened.scripts, &options).await?)
}

pub(super) fn configured(context: &Context) -> Result<Migrations, Failure> {
    context.config.config.project.migrations.clone().ok_or_else(|| MigrationsError::NoDatabase.into())
}

/// A path as the table has it: from the folder of the migrations on.
fn from_folder(configured: &Migrations, path: &str) -> String {
    let folder = configured.dir.to_string_lossy();
    let inner = path.strip_prefix(&*folder).and_then(|rest| rest.strip_prefix('/'));
    inner.unwrap_or(path).to_owned()
}

/// Where the database is: of an environment, or in general.
///
/// # Errors
/// None is configured, there is no such environment, a Job of its cluster runs them,
/// or the secret that has the URL cannot be read.
pub(crate) async fn target(context: &Context, environment: Option<&str>) -> Result<Target, Failure> {
    configured(context)?;
    if let Some((environment, _)) = by_job(context, environment)? {
        return Err(MigrationsError::InCluster { environment: environment.name.clone() }.into());
    }
    let environment = environment.map(|name| context.environment(name)).transpose()?;
    state::target(context, environment)?.ok_or_else(|| MigrationsError::NoDatabase.into())
}

/// Opens the database, and judges what would run there.
pub(super) async fn open(context: &Context, request: RunRequest) -> Result<Opened, Failure> {
    let configured = configured(context)?;
    let target = target(context, request.environment.as_deref()).await?;
    let (files, release) = read(context, &configured, request.release).await?;
    let mut database = Database::open(&target, &context.holder.who).await?;
    let mut lint = Options {
        layout: layout(&configured),
        small_tables: configured.small_tables.iter().cloned().collect(),
        ..Options::default()
    };
    // What the database itself has a proof for need not be named by hand.
    let mut finished = request.finished;
    finished.extend(super::backfill::proven(&target, &files, &lint).await?);
    lint.finished_backfills = finished.clone();
    let scripts = database.scripts(&files, &lint).await?;
    let mut allow: BTreeSet<String> =
        request.allow.iter().map(|path| from_folder(&configured, path)).collect();
    let mut held = BTreeMap::new();
    if let Some(name) = &request.environment {
        let environment = context.environment(name)?;
        let records = database.history().await?.records.unwrap_or_default();
        let finished = records.into_iter().filter(|record| record.finished());
        let applied = finished.map(|record| record.path).collect();
        let of_commit = OfCommit { configured: configured.clone(), files: files.clone() };
        let lint = Options { dialect: database.dialect(), ..lint.clone() };
        let waiting = gather::waiting(context, environment, &of_commit, &applied, &lint).await?;
        // What a person names runs all the same.
        held = waiting.held.into_iter().filter(|(path, _)| !allow.contains(path)).collect();
        allow.extend(waiting.free);
    }
    let plan = PlanOptions {
        release: release.as_ref().map(Commit::to_string),
        held,
        allow,
        finished_backfills: finished,
        in_order: request.in_order,
        strict_missing: request.strict_missing,
        beside_other_tool: request.beside_other_tool,
        placeholders: request.placeholders,
    };
    let timeouts = Timeouts {
        lock: request.lock_timeout.unwrap_or(configured.lock_timeout),
        statement: request.statement_timeout.or(configured.statement_timeout),
        ..request.timeouts
    };
    let options = ApplyOptions { plan, timeouts, actor: context.holder.who.clone() };
    let judging = Options { dialect: database.dialect(), ..lint };
    Ok(Opened { database, scripts, options, files, release, judging })
}

/// The migrations of the working directory, or of a commit.
pub(super) async fn read(
    context: &Context,
    configured: &Migrations,
    release: Option<String>,
) -> Result<(Vec<File>, Option<Commit>), Failure> {
    let (root, dir) = (context.root().to_path_buf(), configured.dir.clone());
    blocking("reading the migrations", move || {
        let Some(release) = release else {
            return Ok((files::of_paths(&[root.join(&dir)])?.files, None));
        };
        let source = Source::open(&root)?;
        let commit = source.resolve(&release, ShortSha::Allow)?;
        let folder = files::in_repository(&source, &root)?.join(&dir);
        Ok((files::at_commit(&source, &commit, &folder)?, Some(commit)))
    })
    .await?
}
