//! Runs the migrations of a release within its rollout: what the decision let
//! through, under the environment's lock, and written down afterwards (DEP-2,
//! MIG-2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use plimsoll_decision::SchemaFacts;
use plimsoll_evidence_migration_lint::Options;
use plimsoll_model::event::{AppliedMigration, WaitingMigration};
use plimsoll_model::{Commit, Event, Failure, Lookup};
use plimsoll_rollout_core::machine::Migrations as Standing;
use plimsoll_rollout_core::{BoxFuture, Migrator};
use plimsoll_rollout_migrate::{ApplyOptions, PlanOptions, Timeouts};

use super::backfill::proven;
use super::job::MigrationsJob;
use super::standing::Standing as Stands;
use super::state::{self, OfCommit};
use super::{MigrationsError, MigrationsRecord, options};
use crate::context::Context;
use crate::{blocking, gather};

/// The migrations of one deployment.
pub(crate) struct ReleaseMigrations<'a> {
    context: &'a Context,
    environment: String,
    sha: Commit,
    /// None: there is no `[migrations]`.
    decided: Option<SchemaFacts>,
    /// What runs them, where that is not this process.
    job: Option<MigrationsJob<'a>>,
    standing: Mutex<Standing>,
}

impl<'a> ReleaseMigrations<'a> {
    /// What was decided to be run, and by what.
    pub(crate) fn new(
        context: &'a Context,
        environment: &str,
        sha: &Commit,
        decided: Option<SchemaFacts>,
        job: Option<MigrationsJob<'a>>,
    ) -> Self {
        Self {
            context,
            environment: environment.into(),
            sha: sha.clone(),
            decided,
            job,
            standing: Mutex::new(Standing::Pending),
        }
    }

    fn stands(&self, standing: Standing) {
        *self.standing.lock().expect("no holder of this lock panics") = standing;
    }

    /// Runs what is to run, and writes down what came of it. The same again does
    /// nothing but write it down again.
    async fn to_the_end(&self) -> Result<(), Failed> {
        if let Some(job) = &self.job {
            job.run().await?;
        }
        match &self.decided {
            Some(decided) => Ok(self.as_decided(decided).await?),
            None => Ok(()),
        }
    }

    async fn as_decided(&self, decided: &SchemaFacts) -> Result<(), Failure> {
        let of_commit = match state::of_commit(self.context, &self.sha).await? {
            Lookup::Found(of_commit) => of_commit,
            // The release has none.
            Lookup::Absent => return Ok(()),
            other => {
                let found = other.describe(|_| String::new());
                return Err(MigrationsError::Gone { sha: self.sha.clone(), found }.into());
            }
        };
        let mut judging = options(&of_commit.configured);
        let environment = self.context.environment(&self.environment)?;
        let held: BTreeMap<String, String> =
            decided.waiting().filter_map(|file| Some((file.path.clone(), file.held.clone()?))).collect();
        let Some(target) = state::target(self.context, Some(environment))? else {
            let now = match &self.job {
                Some(_) => decided.running().map(|file| file.path.clone()).collect(),
                None => BTreeSet::new(),
            };
            let ran = of_commit.files.iter().map(|file| file.path.clone());
            let mut ran: BTreeSet<String> = ran.filter(|path| !held.contains_key(path)).collect();
            // A release that has fewer of them undoes none.
            let recorded = state::recorded(self.context, &self.environment).await?;
            let earlier = recorded.map(|(record, _)| record.applied).unwrap_or_default();
            ran.extend(earlier.iter().map(|migration| migration.path.clone()));
            return self.write_down(of_commit, judging, String::new(), ran, &now, held, &earlier).await;
        };
        let mut database = gather::open_database(self.context, &target).await?;
        judging.dialect = database.dialect();
        judging.finished_backfills = proven(&target, &of_commit.files, &judging).await?;
        let scripts = database.scripts(&of_commit.files, &judging).await?;
        let apply = ApplyOptions {
            plan: PlanOptions {
                release: Some(self.sha.to_string()),
                allow: decided.running().map(|file| file.path.clone()).collect(),
                held: held.clone(),
                finished_backfills: judging.finished_backfills.clone(),
                ..PlanOptions::default()
            },
            timeouts: Timeouts {
                lock: of_commit.configured.lock_timeout,
                statement: of_commit.configured.statement_timeout,
                ..Timeouts::default()
            },
            actor: self.context.actor().to_owned(),
        };
        let report = database.apply(&scripts, &apply, &*self.context.observer).await?;
        let history = database.history().await?;
        let records = history.records.into_iter().flatten().filter(|record| record.finished());
        let ran: BTreeSet<String> = records.map(|record| record.path).collect();
        let now: BTreeSet<String> = report.applied.into_iter().map(|file| file.path).collect();
        let waiting = report.waiting.into_iter().map(|file| (file.path, file.reason.unwrap_or_default()));
        self.write_down(of_commit, judging, report.database, ran, &now, waiting.collect(), &[]).await
    }

    #[expect(clippy::too_many_arguments, reason = "each is one field of what is written")]
    async fn write_down(
        &self,
        of_commit: OfCommit,
        judging: Options,
        database: String,
        ran: BTreeSet<String>,
        now: &BTreeSet<String>,
        waiting: BTreeMap<String, String>,
        earlier: &[AppliedMigration],
    ) -> Result<(), Failure> {
        let (record, mut stands) = {
            let (ran, now) = (ran.clone(), now.clone());
            blocking("judging the migrations", move || {
                let OfCommit { configured, files } = of_commit;
                let record = MigrationsRecord::of(&files, &configured)?;
                let stands = Stands::of(&files, &record, &ran, &now, &judging)?;
                Ok::<_, Failure>((record, stands))
            })
            .await??
        };
        // Of files that are not here, what was recorded when they ran.
        for migration in stands.applied.iter_mut().filter(|migration| migration.checksum.is_empty()) {
            if let Some(before) = earlier.iter().find(|before| before.path == migration.path) {
                migration.checksum.clone_from(&before.checksum);
            }
        }
        let event = Event::MigrationsApplied {
            environment: self.environment.clone(),
            sha: self.sha.clone(),
            database,
            applied: stands.applied,
            waiting: waiting.into_iter().map(|(path, reason)| WaitingMigration { path, reason }).collect(),
            schema: stands.schema,
            needs: serde_json::to_value(&record.needs).expect("maps with text for keys are JSON"),
        };
        let (ledger, actor) = (self.context.ledger.clone(), self.context.actor().to_owned());
        blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
        Ok(())
    }
}

/// Why they did not run, and what was written last.
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) last_lines: Vec<String>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let diagnosis = failure.diagnose();
        let mut why = format!("{failure}");
        for part in [diagnosis.found(), diagnosis.hint()].into_iter().flatten() {
            why.push_str(&format!("; {part}"));
        }
        Self { why, last_lines: Vec::new() }
    }
}

impl Migrator for ReleaseMigrations<'_> {
    fn status(&self) -> BoxFuture<'_, Standing> {
        let standing = self.standing.lock().expect("no holder of this lock panics").clone();
        Box::pin(std::future::ready(standing))
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.stands(match self.to_the_end().await {
                Ok(()) => Standing::Done,
                Err(Failed { why, last_lines }) => Standing::Failed { why, last_lines },
            });
        })
    }
}
