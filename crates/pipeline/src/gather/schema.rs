//! What the release changes in the database, and which releases the schema serves
//! before and after (MIG-2, MIG-4, RBK-2).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use plimsoll_config::Environment;
use plimsoll_decision::{MigrationsJobFacts, PendingMigration, SchemaFacts, WayBackFacts};
use plimsoll_evidence_migration_lint::{Class, FileReport, Offer, Options, Severity};
use plimsoll_image::Source;
use plimsoll_ledger::views::Deployed;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Failure, Lookup};
use plimsoll_rollout_migrate::{Database, Plan, PlanOptions, State, Target};

use super::Asked;
use crate::context::Context;
use crate::migrations::backfill::proven;
use crate::migrations::by_ledger;
use crate::migrations::state::{self, OfCommit};
use crate::migrations::window::{self, Needed, Wait};
use crate::migrations::{MigrationsRecord, found, options};
use crate::{Step, blocking};

/// How long the database may keep a decision waiting.
const PATIENCE: Duration = Duration::from_secs(15);

/// The facts about the schema, and where the files are not as attested; nothing
/// where `[migrations]` is not configured.
///
/// # Errors
/// The ledger cannot be read.
pub(super) async fn schema(
    context: &Context,
    environment: &Environment,
    asked: &Asked,
    deployed: &[Deployed],
    attested: Option<&MigrationsRecord>,
) -> Result<Option<(SchemaFacts, Vec<String>)>, Failure> {
    let Some(configured) = &context.config.config.project.migrations else { return Ok(None) };
    let step = Step::start(context, "schema", format!("of {}", environment.name));
    let mut releases = Vec::new();
    // What runs comes first; it is what the window is counted from.
    for row in deployed.iter().filter(|row| *row.release.sha() != asked.sha) {
        releases.push(state::needs(context, &environment.name, row.release.sha()).await?);
    }
    let gathered = match asked.rollout {
        RolloutKind::Deploy => {
            let window = configured.rollback_window;
            deploy(context, environment, asked, &releases, attested, window).await?
        }
        RolloutKind::Rollback => (rollback(context, environment, asked, &releases).await?, Vec::new()),
    };
    step.finish(match gathered.0.pending.len() {
        0 => "no migration is pending".to_owned(),
        some => format!("{some} pending, {} of them wait", some - gathered.0.running().count()),
    });
    let (mut facts, differing) = gathered;
    facts.job = state::job(environment).map(|job| MigrationsJobFacts { only_listed: job.only_listed });
    Ok(Some((facts, differing)))
}

/// Nothing is known but what ran is.
fn empty(database: Lookup<String>, window: u32) -> SchemaFacts {
    SchemaFacts {
        database,
        pending: Vec::new(),
        edited: Vec::new(),
        troubles: Vec::new(),
        serves: Lookup::Absent,
        ways_back: Vec::new(),
        window,
        job: None,
    }
}

fn ways_back(releases: &[Needed], before: &Lookup<Offer>, after: &Lookup<Offer>) -> Vec<WayBackFacts> {
    let lacks = |offer: &Lookup<Offer>, release: &Needed| match offer {
        Lookup::Found(offer) => window::lacks(offer, &release.needs),
        other => other.clone().map(|_| Vec::new()),
    };
    releases
        .iter()
        .map(|release| WayBackFacts {
            sha: release.sha.clone(),
            now: lacks(before, release),
            after: lacks(after, release),
        })
        .collect()
}

async fn rollback(
    context: &Context,
    environment: &Environment,
    asked: &Asked,
    releases: &[Needed],
) -> Result<SchemaFacts, Failure> {
    let (record, offer) = match state::recorded(context, &environment.name).await? {
        Some((record, offer)) => (Some(record), offer),
        None => (None, Lookup::Absent),
    };
    let mut facts = empty(Lookup::Absent, 0);
    let mut offer = offer;
    if let Some(record) = &record {
        match ran(context, environment).await {
            Ok(None) => {}
            Ok(Some((name, applied))) => {
                facts.database = Lookup::Found(name);
                let known: BTreeSet<&str> =
                    record.applied.iter().map(|migration| migration.path.as_str()).collect();
                let unknown: Vec<&str> =
                    applied.iter().map(String::as_str).filter(|path| !known.contains(path)).collect();
                if !unknown.is_empty() {
                    offer = Lookup::Unknown(format!(
                        "{} ran since ledger entry {}, outside of a deployment",
                        unknown.join(", "),
                        record.entry
                    ));
                }
            }
            Err(failure) => facts.database = Lookup::Unknown(failure.to_string()),
        }
    }
    let target = state::needs(context, &environment.name, &asked.sha).await?;
    facts.serves = match &offer {
        Lookup::Found(offer) => window::lacks(offer, &target.needs),
        other => other.clone().map(|_| Vec::new()),
    };
    facts.ways_back = ways_back(releases, &offer, &offer);
    Ok(facts)
}

/// What the database says has run, with its name; nothing where none is configured.
///
/// # Errors
/// It cannot be asked.
pub(crate) async fn ran(
    context: &Context,
    environment: &Environment,
) -> Result<Option<(String, Vec<String>)>, Failure> {
    let Some(target) = state::target(context, Some(environment))? else { return Ok(None) };
    let mut database = open(context, &target).await?;
    let history = database.history().await?;
    let finished = history.records.iter().flatten().filter(|record| record.finished());
    let paths = finished.map(|record| record.path.clone()).collect();
    Ok(Some((database.name().to_owned(), paths)))
}

/// Opens it within a time.
///
/// # Errors
/// It cannot be reached.
pub(crate) async fn open(context: &Context, target: &Target) -> Result<Database, Failure> {
    match tokio::time::timeout(PATIENCE, Database::open(target, context.actor())).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(crate::migrations::MigrationsError::Silent { seconds: PATIENCE.as_secs() }.into()),
    }
}

async fn deploy(
    context: &Context,
    environment: &Environment,
    asked: &Asked,
    releases: &[Needed],
    attested: Option<&MigrationsRecord>,
    reach: u32,
) -> Result<(SchemaFacts, Vec<String>), Failure> {
    let of_commit = match state::of_commit(context, &asked.sha).await? {
        Lookup::Found(of_commit) => of_commit,
        // The release has no migrations; what is there has to serve it, which
        // nobody recorded.
        Lookup::Absent => return Ok((empty(Lookup::Absent, reach), Vec::new())),
        Lookup::Invalid(why) | Lookup::Unknown(why) => {
            let mut facts = empty(Lookup::Absent, reach);
            facts.serves = Lookup::Unknown(format!("the migrations of {}: {why}", asked.sha.short()));
            return Ok((facts, Vec::new()));
        }
    };
    let differing = match attested {
        Some(record) => record.differing(&of_commit.files)?,
        None => Vec::new(),
    };
    let asked_of = ask(context, environment, &of_commit, releases, reach).await;
    let facts = match asked_of {
        Ok(facts) => facts,
        Err(failure) => {
            let mut facts = empty(Lookup::Unknown(failure.to_string()), reach);
            facts.serves = Lookup::Absent;
            facts
        }
    };
    Ok((facts, differing))
}

async fn ask(
    context: &Context,
    environment: &Environment,
    of_commit: &OfCommit,
    releases: &[Needed],
    reach: u32,
) -> Result<SchemaFacts, Failure> {
    let mut judging = options(&of_commit.configured);
    let mut database = None;
    let mut edited = Vec::new();
    // What ran is what the database says; else what the last deployment left.
    let applied: BTreeSet<String> = match state::target(context, Some(environment))? {
        Some(target) => {
            let mut opened = open(context, &target).await?;
            judging.dialect = opened.dialect();
            judging.finished_backfills = proven(&target, &of_commit.files, &judging).await?;
            let history = opened.history().await?;
            database = Some(opened);
            let records = history.records.unwrap_or_default();
            records.into_iter().filter(|record| record.finished()).map(|record| record.path).collect()
        }
        None => {
            let known = by_ledger::known(context, &environment.name, &of_commit.files, &judging).await?;
            edited = known.edited;
            known.applied
        }
    };
    let window: Vec<Needed> = releases.iter().take(1 + reach as usize).cloned().collect();
    let judged = {
        let (files, applied, judging) = (of_commit.files.clone(), applied.clone(), judging.clone());
        blocking("judging the migrations", move || window::judge(&files, &applied, &window, &judging))
            .await??
    };
    let mut facts = SchemaFacts { edited, ..empty(Lookup::Absent, reach) };
    let mut held = told(context, &of_commit.configured.dir, judged.held).await?;
    let mut run = applied.clone();
    match &mut database {
        Some(database) => {
            facts.database = Lookup::Found(database.name().to_owned());
            let scripts = database.scripts(&of_commit.files, &judging).await?;
            let options = PlanOptions {
                allow: judged.pending.iter().map(|file| file.file.clone()).collect(),
                held: held.clone(),
                finished_backfills: judging.finished_backfills.clone(),
                ..PlanOptions::default()
            };
            let plan = database.plan(&scripts, &options).await?;
            run.extend(plan.runnable().map(|file| file.path.clone()));
            read(&plan, &mut facts, &mut held);
        }
        None => {
            let all = state::job(environment).is_some_and(|job| !job.only_listed);
            let pending = judged.pending.iter().map(|file| file.file.clone());
            run.extend(pending.filter(|path| all || !held.contains_key(path)));
            if all {
                facts.troubles.extend(held.iter().map(|(path, why)| not_to_be_told(path, why)));
            }
        }
    }
    facts.pending = pending(&judged.pending, &held);
    if facts.pending.len() > SchemaFacts::MOST {
        facts.troubles.push(format!(
            "{} migrations are pending, more than the {} that one deployment runs",
            facts.pending.len(),
            SchemaFacts::MOST
        ));
        facts.pending.truncate(SchemaFacts::MOST);
    }
    let (record, after) = {
        let (files, configured) = (of_commit.files.clone(), of_commit.configured.clone());
        blocking("judging the migrations", move || {
            let after = window::offer(&files, &run, &judging)?;
            Ok::<_, Failure>((MigrationsRecord::of(&files, &configured)?, after))
        })
        .await??
    };
    facts.serves = window::lacks(&after, &Lookup::Found(record.needs));
    facts.ways_back = ways_back(releases, &Lookup::Found(judged.before), &Lookup::Found(after));
    Ok(facts)
}

/// What has not run in an environment's database: which contract steps nobody needs to
/// wait for any more, and which files wait for whom.
pub(crate) struct Waiting {
    pub(crate) free: Vec<String>,
    pub(crate) held: BTreeMap<String, String>,
    /// All of it, in the order in which they run.
    pub(crate) pending: Vec<PendingMigration>,
}

/// Judges for a person what [`schema`] judges for a deployment.
///
/// # Errors
/// The ledger or the files cannot be read.
pub(crate) async fn waiting(
    context: &Context,
    environment: &Environment,
    of_commit: &OfCommit,
    applied: &BTreeSet<String>,
    judging: &Options,
) -> Result<Waiting, Failure> {
    let (ledger, name) = (context.ledger.clone(), environment.name.clone());
    let deployed =
        blocking("reading the ledger", move || ledger.deployed_before(&name, super::MOST_RELEASES)).await??;
    let reach = of_commit.configured.rollback_window as usize;
    let mut window = Vec::new();
    for row in deployed.iter().take(1 + reach) {
        window.push(state::needs(context, &environment.name, row.release.sha()).await?);
    }
    let judged = {
        let (files, applied, judging) = (of_commit.files.clone(), applied.clone(), judging.clone());
        blocking("judging the migrations", move || window::judge(&files, &applied, &window, &judging))
            .await??
    };
    let free = judged.pending.iter().filter(|file| file.class == Class::Contract);
    let free = free.map(|file| file.file.clone()).filter(|path| !judged.held.contains_key(path)).collect();
    let held = told(context, &of_commit.configured.dir, judged.held).await?;
    Ok(Waiting { free, pending: pending(&judged.pending, &held), held })
}

/// Why files wait, each with whether the code of the release names what it is about.
async fn told(
    context: &Context,
    dir: &Path,
    held: BTreeMap<String, Wait>,
) -> Result<BTreeMap<String, String>, Failure> {
    let (root, dir) = (context.root().to_path_buf(), dir.display().to_string());
    blocking("searching the code", move || {
        let source = Source::open(&root).ok();
        let told = |wait: &Wait| match (wait, &source) {
            (Wait::Needed { sha, what }, Some(source)) => match found::in_code(source, sha, what, &dir) {
                Some(found) => format!("{wait}; {found}"),
                None => wait.to_string(),
            },
            _ => wait.to_string(),
        };
        held.iter().map(|(path, wait)| (path.clone(), told(wait))).collect()
    })
    .await
}

/// What to do where a Job would run a file that has to wait.
pub(crate) const NOT_TO_BE_TOLD: &str = "the Job of [kubernetes.migrate] runs whatever the image has: let its command run \
     only what PLIMSOLL_MIGRATIONS lists and set `only_listed = true`, or leave the file out of this release";

/// That a Job would run a file that has to wait.
fn not_to_be_told(path: &str, why: &str) -> String {
    format!("{path} has to wait ({why}), and {NOT_TO_BE_TOLD}")
}

/// What the plan says beside what is judged.
fn read(plan: &Plan, facts: &mut SchemaFacts, held: &mut BTreeMap<String, String>) {
    if let Some(foreign) = &plan.foreign {
        facts.troubles.push(format!(
            "{} has run them so far; `plimsoll migrate adopt` takes over what it recorded",
            foreign.tool
        ));
    }
    for file in &plan.files {
        let reason = || file.reason.clone().unwrap_or_default();
        match file.state {
            State::Edited => facts.edited.push(file.path.clone()),
            State::Refused => facts.troubles.push(format!("{}: {}", file.path, reason())),
            State::Waiting => {
                held.entry(file.path.clone()).or_insert_with(reason);
            }
            State::Applied | State::Pending | State::Interrupted | State::Missing => {}
        }
    }
}

fn pending(files: &[FileReport], held: &BTreeMap<String, String>) -> Vec<PendingMigration> {
    let errors = |file: &FileReport| {
        let errors = file.findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|it| format!("{} line {}: {}", it.rule, it.line, it.message)).collect()
    };
    files
        .iter()
        .map(|file| PendingMigration {
            path: file.file.clone(),
            class: file.class.to_string(),
            held: held.get(&file.file).cloned(),
            errors: errors(file),
        })
        .collect()
}
