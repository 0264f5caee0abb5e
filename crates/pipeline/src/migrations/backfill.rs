//! Runs and watches the backfills that the migrations declare, on the database of
//! `[migrations]` (MIG-3).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_evidence_migration_lint::{File, Options as LintOptions};
use plimsoll_model::{Failure, Observer, Progress};
use plimsoll_rollout_backfill::{
    self as backfill, Declaration, Declarations, Event, Options, Place, Report, declarations,
};
use plimsoll_rollout_migrate::Target;

use super::layout;
use super::run::{configured, read, target};
use crate::context::Context;

/// The name of the step.
const STEP: &str = "backfill";
/// How often a note tells how far a backfill is.
const EACH: Duration = Duration::from_secs(5);

/// Which backfills, and how.
#[derive(Debug, Clone, Default)]
pub struct BackfillRequest {
    /// By name; none: every one that is declared.
    pub names: Vec<String>,
    /// The migrations of this commit, branch or tag; none: the working directory.
    pub release: Option<String>,
    /// Whose database; none: the one of `[migrations]`.
    pub environment: Option<String>,
    /// How they are run.
    pub options: Options,
}

/// What is done with backfills from outside of their run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillControl {
    /// Nothing: how they stand.
    Status,
    /// Stop after the batch that is under way.
    Pause,
    /// Let go on what was paused.
    Resume,
    /// Forget what is done: the next run begins with the first row.
    Restart,
    /// Look anew whether those that are finished are.
    Check,
}

struct Opened {
    place: Place,
    all: Declarations,
    options: Options,
}

/// Runs backfills one after the other, each from where an earlier run left it.
///
/// # Errors
/// Files or database cannot be read, a declaration cannot be run in batches, or a
/// backfill cannot go on. What is done is kept.
pub async fn run(context: &Context, request: BackfillRequest) -> Result<Report, Failure> {
    let names = request.names.clone();
    let Opened { place, all, options } = open(context, request).await?;
    let chosen = chosen(&all, &names)?;
    let mut not_watched = Vec::new();
    for declaration in &chosen {
        let told = Told { observer: &*context.observer, last: Mutex::default() };
        let since = Instant::now();
        let name = &declaration.walk.name;
        context.observer.report(Progress::StepStarted { step: STEP.into(), detail: name.clone() });
        let done = backfill::run(&place, declaration, &options, &told).await?;
        let detail = match (done.already, done.proof.rows_changed) {
            (true, _) => format!("{name} was finished already"),
            (false, rows) => format!("{name} is finished: {rows} rows changed"),
        };
        let duration_sec = since.elapsed().as_secs_f64();
        context.observer.report(Progress::StepFinished { step: STEP.into(), detail, duration_sec });
        for signal in done.not_watched {
            if !not_watched.contains(&signal) {
                not_watched.push(signal);
            }
        }
    }
    let mut report = backfill::status(&place, &all.declared).await?;
    keep(&mut report, &names);
    report.not_watched = not_watched;
    Ok(report)
}

/// Does something with backfills, and tells how they stand then.
///
/// # Errors
/// Files or database cannot be read, there is no backfill of a name, or a check
/// finds one unfinished.
pub async fn control(
    context: &Context,
    request: BackfillRequest,
    what: BackfillControl,
) -> Result<Report, Failure> {
    let given = request.names.clone();
    let Opened { place, all, options } = open(context, request).await?;
    let names = if given.is_empty() { all.names() } else { given.clone() };
    for refused in &all.refused {
        let place = format!("{}:{}:{}", refused.file, refused.line, refused.column);
        let text = format!("{place}: a backfill cannot be run in batches: {}", refused.message);
        context.observer.report(Progress::Note { text });
    }
    match what {
        BackfillControl::Status => {}
        BackfillControl::Pause => {
            known(&all, &place, &given).await?;
            backfill::pause(&place, &names).await?;
        }
        BackfillControl::Resume => {
            known(&all, &place, &given).await?;
            backfill::resume(&place, &names).await?;
        }
        BackfillControl::Restart => {
            known(&all, &place, &given).await?;
            for name in &names {
                backfill::restart(&place, name, &options).await?;
            }
        }
        BackfillControl::Check => {
            for declaration in chosen(&all, &given)? {
                backfill::check(&place, &declaration, &options).await?;
            }
        }
    }
    let mut report = backfill::status(&place, &all.declared).await?;
    keep(&mut report, &given);
    Ok(report)
}

/// Backfills that the database has a proof for, of exactly the statements that
/// these files declare. None where no backfill was ever run, or there is no
/// database yet.
pub(crate) async fn proven(
    target: &Target,
    files: &[File],
    lint: &LintOptions,
) -> Result<BTreeSet<String>, Failure> {
    let place = place(target)?;
    if let Place::Sqlite(path) = &place
        && path.try_exists().is_ok_and(|there| !there)
    {
        return Ok(BTreeSet::new());
    }
    let options = LintOptions { dialect: place.dialect(), ..lint.clone() };
    let all = declarations(files, &options)?;
    if all.declared.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(backfill::finished(&place, &all.declared).await?)
}

fn place(target: &Target) -> Result<Place, Failure> {
    Ok(match target {
        Target::Sqlite(path) => Place::Sqlite(path.clone()),
        Target::Postgres(url) => Place::postgres(url)?,
    })
}

async fn open(context: &Context, request: BackfillRequest) -> Result<Opened, Failure> {
    let configured = configured(context)?;
    let place = place(&target(context, request.environment.as_deref()).await?)?;
    let (files, _) = read(context, &configured, request.release).await?;
    let lint =
        LintOptions { dialect: place.dialect(), layout: layout(&configured), ..LintOptions::default() };
    let all = declarations(&files, &lint)?;
    let options = Options {
        interrupt: Arc::clone(&context.interrupt),
        runner: context.holder.to_string(),
        ..request.options
    };
    Ok(Opened { place, all, options })
}

fn chosen(all: &Declarations, names: &[String]) -> Result<Vec<Declaration>, backfill::Error> {
    if names.is_empty() {
        return all.sound().map(<[Declaration]>::to_vec);
    }
    names.iter().map(|name| all.named(name).cloned()).collect()
}

/// A name that neither the files nor the database know was mistyped.
async fn known(all: &Declarations, place: &Place, names: &[String]) -> Result<(), backfill::Error> {
    let report = backfill::status(place, &all.declared).await?;
    let known: Vec<String> = report.backfills.into_iter().map(|found| found.name).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(backfill::Error::Unknown { name: name.clone(), known }),
        None => Ok(()),
    }
}

/// Only what was asked for.
fn keep(report: &mut Report, names: &[String]) {
    report.backfills.retain(|found| names.is_empty() || names.contains(&found.name));
}

/// Events as the notes of a step; batches every few seconds.
struct Told<'a> {
    observer: &'a dyn Observer,
    last: Mutex<(Option<Instant>, String)>,
}

impl backfill::Observer for Told<'_> {
    fn report(&self, event: &Event) {
        let text = match event {
            Event::Started { name, table, rows_walked, not_watched, .. } => {
                for signal in not_watched {
                    self.note(format!("{name}: not watched: {signal}"));
                }
                if *rows_walked == 0 {
                    return;
                }
                format!("{name}: goes on in `{table}` after {rows_walked} rows")
            }
            Event::Batch { name, rows_walked, fraction, rows_per_sec, eta_sec, .. } => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.0.is_some_and(|then| then.elapsed() < EACH) {
                    return;
                }
                last.0 = Some(Instant::now());
                last.1.clear();
                let mut text = format!("{name}: {rows_walked} rows, {rows_per_sec:.0} a second");
                if let Some(fraction) = fraction {
                    text.push_str(&format!(", about {:.0} %", fraction * 100.0));
                }
                if let Some(eta) = eta_sec {
                    text.push_str(&format!(", about {eta:.0} s to go"));
                }
                text
            }
            Event::Retry { name, why, batch_rows, attempt } => {
                format!("{name}: attempt {attempt} failed: {why}; the next has {batch_rows} rows")
            }
            Event::Waiting { name, reasons } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                let text = format!("{name}: waits for {}", reasons.join("; "));
                // Said once, however long it lasts.
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                let kind: String = reasons.iter().filter_map(|reason| reason.split(':').next()).collect();
                if last.1 == kind {
                    return;
                }
                last.1 = kind;
                text
            }
            Event::Paused { name } => format!("{name}: is paused"),
            Event::Resumed { name } => format!("{name}: goes on"),
            Event::Checking { name, pass } => {
                format!("{name}: looks for rows that are left after pass {pass}")
            }
        };
        self.note(text);
    }
}

impl Told<'_> {
    fn note(&self, text: String) {
        self.observer.report(Progress::Note { text });
    }
}
