//! Migrations of an environment whose database nobody asks: what ran is what the
//! ledger says of the deployments before (DEP-2, MIG-2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use plimsoll_config::{Environment, MigrateJob};
use plimsoll_decision::PendingMigration;
use plimsoll_evidence_migration_lint::{File, Options, Released, Script, scripts};
use plimsoll_ledger::Filter;
use plimsoll_ledger::views::SchemaRecord;
use plimsoll_model::event::AppliedMigration;
use plimsoll_model::{Commit, Event, Failure};
use plimsoll_rollout_migrate::{Plan, Planned, State, Status, StatusPlan, checksum};
use serde::Serialize;

use super::options;
use super::run::{RunRequest, configured, read};
use super::state::{self, OfCommit};
use crate::context::Context;
use crate::{blocking, gather};

/// Entries that are looked through for when a file ran.
const MOST_ENTRIES: u64 = 1_000;

/// What the ledger knows of files.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// What ran, and does not run again.
    pub(crate) applied: BTreeSet<String>,
    /// What ran and was changed afterwards.
    pub(crate) edited: Vec<String>,
    record: Option<SchemaRecord>,
}

/// What has run of these files, and which of them are not what they were.
///
/// # Errors
/// The ledger cannot be read, or the files cannot be put in order.
pub(crate) async fn known(
    context: &Context,
    environment: &str,
    files: &[File],
    judging: &Options,
) -> Result<Known, Failure> {
    let Some((record, _)) = state::recorded(context, environment).await? else {
        return Ok(Known::default());
    };
    let (files, judging) = (files.to_vec(), judging.clone());
    blocking("reading the migrations", move || {
        let found = all(&files, &judging)?;
        let (applied, edited) = compared(&record.applied, &found.files);
        Ok(Known { applied, edited, record: Some(record) })
    })
    .await?
}

/// Every file in its order, none judged.
fn all(files: &[File], judging: &Options) -> Result<plimsoll_evidence_migration_lint::Scripts, Failure> {
    let released = Released::Files(files.iter().map(|file| file.path.clone()).collect());
    Ok(scripts(files, &Options { released, ..judging.clone() })?)
}

/// What ran, and what of it was edited since. One that runs again when it was
/// changed has not run then; what has no checksum is not known to differ.
fn compared(recorded: &[AppliedMigration], files: &[Script]) -> (BTreeSet<String>, Vec<String>) {
    let mut applied = BTreeSet::new();
    let mut edited = Vec::new();
    for migration in recorded {
        let script = files.iter().find(|script| script.path == migration.path);
        let differs = script.is_some_and(|script| {
            !migration.checksum.is_empty() && checksum(&script.checksum_text) != migration.checksum
        });
        if differs && script.is_some_and(|script| script.repeatable) {
            continue;
        }
        if differs {
            edited.push(migration.path.clone());
        }
        applied.insert(migration.path.clone());
    }
    (applied, edited)
}

/// How a Job ended that ran here.
#[derive(Debug, Clone, Serialize)]
pub struct LastJob {
    /// Its name in the cluster.
    pub job: String,
    /// The release, whose image it ran.
    pub sha: Commit,
    /// Whether it did its work.
    pub succeeded: bool,
    /// Why not; empty when it did.
    pub reason: String,
    /// When it was written down.
    pub at: Timestamp,
    /// Its ledger entry.
    pub entry: u64,
}

/// What a Job would be asked to run, in the form of `migrate plan --output json`.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerPlan {
    /// The files, as in a plan by a database.
    #[serde(flatten)]
    pub plan: Plan,
    /// What the Job runs: command and arguments.
    pub command: Vec<String>,
    /// Whether it promises to run no others than it is told.
    pub only_listed: bool,
    /// The newest Job of the environment.
    pub last_job: Option<LastJob>,
    /// What nobody knows.
    pub not_known: Vec<String>,
}

/// Where migrations stand, in the form of `migrate status --output json`.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerStatus {
    /// The files, as in a status by a database.
    #[serde(flatten)]
    pub status: Status,
    /// As in a plan.
    pub command: Vec<String>,
    /// As in a plan.
    pub only_listed: bool,
    /// As in a plan.
    pub last_job: Option<LastJob>,
    /// As in a plan.
    pub not_known: Vec<String>,
}

/// What the Job of an environment would be asked to run, by the ledger. Changes
/// nothing, and asks neither cluster nor database.
///
/// # Errors
/// Files or ledger cannot be read.
pub(super) async fn plan(
    context: &Context,
    environment: &Environment,
    job: &MigrateJob,
    request: RunRequest,
) -> Result<LedgerPlan, Failure> {
    let configured = configured(context)?;
    let (files, release) = read(context, &configured, request.release).await?;
    let mut judging = options(&configured);
    judging.finished_backfills = request.finished;
    let known = known(context, &environment.name, &files, &judging).await?;
    let of_commit = OfCommit { configured, files };
    let waiting = gather::waiting(context, environment, &of_commit, &known.applied, &judging).await?;
    let (ran, last_job) = history(context, &environment.name).await?;
    let found = all(&of_commit.files, &judging)?;
    let here: BTreeSet<&str> = found.files.iter().map(|script| script.path.as_str()).collect();
    let recorded = known.record.iter().flat_map(|record| &record.applied);
    let mut planned: Vec<Planned> = recorded
        .clone()
        .filter(|migration| !here.contains(migration.path.as_str()))
        .map(|migration| row(&migration.path, Some(migration), None, &ran))
        .collect();
    for script in &found.files {
        let migration = recorded.clone().find(|migration| migration.path == script.path);
        let mut file = row(&script.path, migration, Some(script), &ran);
        if let Some(pending) = waiting.pending.iter().find(|pending| pending.path == script.path) {
            stands(&mut file, pending, job);
        } else if known.edited.contains(&script.path) {
            file.state = State::Edited;
            file.reason = Some("the file is not what it was when the Job was told to run it".into());
            file.next = Some(format!(
                "`git log -p -- '*{}'` shows the difference; put back what ran, and add a new migration",
                script.path
            ));
        }
        planned.push(file);
    }
    let stops = |file: &Planned| matches!(file.state, State::Refused | State::Edited);
    let not_known = not_known(&known, last_job.as_ref(), job, !request.allow.is_empty());
    let plan = Plan {
        schema: "plimsoll/migrate-plan/v1".into(),
        database: match &known.record {
            Some(record) => format!("by ledger entry {}", record.entry),
            None => "by the ledger".into(),
        },
        layout: found.layout,
        release: release.as_ref().map(Commit::to_string),
        has_table: false,
        foreign: None,
        allowed: !planned.iter().any(stops),
        files: planned,
        ignored: found.ignored,
    };
    let command = job.command.iter().chain(&job.args).cloned().collect();
    Ok(LedgerPlan { plan, command, only_listed: job.only_listed, last_job, not_known })
}

/// What is pending, as a deployment would decide on it.
fn stands(file: &mut Planned, pending: &PendingMigration, job: &MigrateJob) {
    file.class = Some(pending.class.clone());
    file.state = State::Pending;
    file.again = file.recorded_checksum.is_some();
    if let Some(why) = &pending.held {
        file.reason = Some(why.clone());
        file.state = State::Waiting;
        if !job.only_listed {
            file.state = State::Refused;
            file.next = Some(gather::NOT_TO_BE_TOLD.into());
        }
    }
    // What waits is not run, and not judged.
    if file.state != State::Waiting
        && let Some(error) = pending.errors.first()
    {
        file.state = State::Refused;
        file.reason = Some(format!("it must not run as it is: {error}"));
        file.next = Some("`plimsoll migrate lint` says what to write instead".into());
    }
}

/// When and by whose deployment a file ran.
struct Ran {
    at: Timestamp,
    sha: Option<Commit>,
    by: String,
}

fn row(
    path: &str,
    migration: Option<&AppliedMigration>,
    script: Option<&Script>,
    ran: &BTreeMap<String, Ran>,
) -> Planned {
    let when = migration.and_then(|_| ran.get(path));
    Planned {
        path: path.into(),
        version: script.map(|script| script.version.clone()).unwrap_or_default(),
        state: if script.is_some() { State::Applied } else { State::Missing },
        class: None,
        reason: match script {
            Some(_) => None,
            None => Some("it ran with another release; this one does not have it".into()),
        },
        next: None,
        recorded_checksum: migration.map(|it| it.checksum.clone()).filter(|text| !text.is_empty()),
        checksum: script.map(|script| checksum(&script.checksum_text)),
        out_of_order: false,
        again: false,
        statements: script.map_or(0, |script| script.statements.len()),
        done: 0,
        transactional: false,
        backfills: script.map(|script| script.backfills().map(str::to_owned).collect()).unwrap_or_default(),
        release: when.and_then(|ran| ran.sha.as_ref()).map(Commit::to_string),
        applied_by: when.map(|ran| ran.by.clone()),
        at: when.map(|ran| ran.at.to_string()),
        failure: None,
    }
}

/// When files ran, and the newest Job.
async fn history(
    context: &Context,
    environment: &str,
) -> Result<(BTreeMap<String, Ran>, Option<LastJob>), Failure> {
    let (ledger, environment) = (context.ledger.clone(), environment.to_owned());
    blocking("reading the ledger", move || {
        let of = |kinds: &[&'static str]| Filter {
            kinds: kinds.to_vec(),
            environment: Some(environment.clone()),
            ..Filter::default()
        };
        let mut ran = BTreeMap::new();
        let kinds = ["migrations.applied", "migrations.by_hand"];
        for entry in ledger.entries(&of(&kinds), true, MOST_ENTRIES)? {
            let (Event::MigrationsApplied { applied, .. } | Event::MigrationsByHand { applied, .. }) =
                entry.event
            else {
                continue;
            };
            for migration in applied.into_iter().filter(|migration| migration.now) {
                let when = Ran { at: entry.at, sha: entry.sha.clone(), by: entry.actor.clone() };
                ran.entry(migration.path).or_insert(when);
            }
        }
        let newest = ledger.entries(&of(&["migrations.job"]), true, 1)?.pop();
        let last_job = newest.and_then(|entry| match entry.event {
            Event::MigrationsJob { job, sha, succeeded, reason, .. } => {
                Some(LastJob { job, sha, succeeded, reason, at: entry.at, entry: entry.seq })
            }
            _ => None,
        });
        Ok((ran, last_job))
    })
    .await?
}

fn not_known(known: &Known, last_job: Option<&LastJob>, job: &MigrateJob, allow: bool) -> Vec<String> {
    let mut said = vec![match &known.record {
        Some(_) => {
            "what the database itself has: a Job that ended well is taken to have run what it was told"
                .to_owned()
        }
        None => "what the database has: no deployment wrote down yet what ran".to_owned(),
    }];
    let newest = known.record.as_ref().map_or(0, |record| record.entry);
    if let Some(last) = last_job.filter(|last| !last.succeeded && last.entry > newest) {
        said.push(format!(
            "which migrations job {} of {} ran, which did not do its work: {}",
            last.job,
            last.sha.short(),
            last.reason
        ));
    }
    if !job.only_listed {
        said.push(
            "whether the Job runs others than it is told: `only_listed` does not promise that it does not"
                .into(),
        );
    }
    if allow {
        said.push(
            "what `--allow` would change: it is for `migrate apply`; for a deployment `plimsoll deploy SHA --env ENV \
             --approve CODE=REASON` answers for a check"
                .into(),
        );
    }
    said
}

impl LedgerPlan {
    /// As text; files that ran are counted, not listed.
    pub fn text(&self) -> String {
        let files = self.plan.files.iter().filter(|file| file.state != State::Applied);
        let about =
            About { command: &self.command, last_job: self.last_job.as_ref(), not_known: &self.not_known };
        about.text(files, &self.plan.files, &self.plan.database, self.plan.allowed)
    }
}

impl LedgerStatus {
    /// As text: every file, one a line.
    pub fn text(&self) -> String {
        let StatusPlan { files, database, allowed, .. } = &self.status.plan;
        let about =
            About { command: &self.command, last_job: self.last_job.as_ref(), not_known: &self.not_known };
        about.text(files.iter(), files, database, *allowed)
    }
}

impl From<LedgerPlan> for LedgerStatus {
    fn from(by_ledger: LedgerPlan) -> Self {
        let LedgerPlan { plan, command, only_listed, last_job, not_known } = by_ledger;
        let Plan { database, layout, has_table, foreign, files, allowed, .. } = plan;
        let plan = StatusPlan { database, layout, has_table, foreign, files, allowed };
        let status = Status { schema: "plimsoll/migrate-status/v1".into(), holder: None, plan };
        Self { status, command, only_listed, last_job, not_known }
    }
}

struct About<'a> {
    command: &'a [String],
    last_job: Option<&'a LastJob>,
    not_known: &'a [String],
}

impl About<'_> {
    fn text<'f>(
        &self,
        shown: impl Iterator<Item = &'f Planned>,
        all: &[Planned],
        database: &str,
        allowed: bool,
    ) -> String {
        let mut text = String::new();
        shown.for_each(|file| line(&mut text, file));
        let mut counts: BTreeMap<State, usize> = BTreeMap::new();
        all.iter().for_each(|file| *counts.entry(file.state).or_default() += 1);
        let counts: Vec<String> =
            counts.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
        let counts = if counts.is_empty() { "no migrations".into() } else { counts.join(", ") };
        let _ = writeln!(text, "{database}: {counts}");
        let _ = writeln!(text, "a Job of the cluster runs them: {}", self.command.join(" "));
        if let Some(LastJob { job, sha, succeeded, reason, at, entry }) = self.last_job {
            let how = if *succeeded { "did its work" } else { reason };
            let _ =
                writeln!(text, "the last one, {job} with {}, {at}, ledger entry {entry}: {how}", sha.short());
        }
        self.not_known.iter().for_each(|line| text.push_str(&format!("not known: {line}\n")));
        if !allowed {
            text.push_str("`plimsoll deploy` would refuse\n");
        }
        text
    }
}

/// One file, and what is to be known of it below.
fn line(text: &mut String, file: &Planned) {
    let _ =
        write!(text, "{:<11}  {}  {}", file.state.word(), file.path, file.class.as_deref().unwrap_or("-"));
    if file.again {
        text.push_str("  (again)");
    }
    if file.state == State::Applied
        && let (Some(at), Some(by)) = (&file.at, &file.applied_by)
    {
        let release = file.release.as_deref().map(|it| format!(" with {}", &it[..it.len().min(12)]));
        let _ = write!(text, "  {at}{} by {by}", release.unwrap_or_default());
    }
    text.push('\n');
    let mut below = |label: &str, said: &Option<String>| {
        if let Some(said) = said {
            let _ = writeln!(text, "             {label}{said}");
        }
    };
    below("", &file.reason);
    if file.state == State::Edited {
        below("recorded ", &file.recorded_checksum);
        below("file     ", &file.checksum);
    }
    below("next: ", &file.next);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_evidence_migration_lint::Layout;

    use super::*;

    #[test]
    fn what_was_edited_is_told_from_what_runs_again() {
        let file = |path: &str, sql: &str| File { path: path.into(), bytes: sql.into() };
        let files = [
            file("V1__users.sql", "CREATE TABLE users (id int);"),
            file("V2__name.sql", "ALTER TABLE users ADD COLUMN name text;"),
            file("R__view.sql", "CREATE OR REPLACE VIEW names AS SELECT name FROM users;"),
        ];
        let flyway = Options { layout: Some(Layout::Flyway), ..Options::default() };
        let found = all(&files, &flyway).unwrap().files;
        let same = |path: &str| {
            let script = found.iter().find(|script| script.path == path).unwrap();
            checksum(&script.checksum_text)
        };
        let ran = |path: &str, checksum: String| AppliedMigration { path: path.into(), checksum, now: false };
        let recorded = [
            ran("V1__users.sql", same("V1__users.sql")),
            ran("V2__name.sql", "sha256:other".into()),
            ran("R__view.sql", "sha256:other".into()),
            // Of another release, and of before there were checksums.
            ran("V0__old.sql", "sha256:other".into()),
        ];
        let (applied, edited) = compared(&recorded, &found);
        assert_eq!(edited, ["V2__name.sql"]);
        assert_eq!(
            applied.iter().map(String::as_str).collect::<Vec<_>>(),
            ["V0__old.sql", "V1__users.sql", "V2__name.sql"]
        );
        let unknown = [ran("V1__users.sql", String::new())];
        assert!(compared(&unknown, &found).1.is_empty());
    }
}
