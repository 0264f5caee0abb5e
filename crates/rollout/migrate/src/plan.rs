//! What there is to do: from what the table says and what the release has, without
//! asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_evidence_migration_lint::{Class, Layout, Script, Scripts, Severity, Touches};
use serde::{Deserialize, Serialize};

use crate::adopt::Foreign;
use crate::record::{Record, checksum, prefix, run_here};

/// What may run, and what the caller knows that the files do not say.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The commit whose migrations these are.
    pub release: Option<String>,
    /// Files that must wait, with the reason: contract steps while some release
    /// needs the old shape.
    pub held: BTreeMap<String, String>,
    /// Files that may run whatever their class is.
    pub allow: BTreeSet<String>,
    /// Backfills that are proven to be finished, by name.
    pub finished_backfills: BTreeSet<String>,
    /// Whether a file that is older than an applied one is refused.
    pub in_order: bool,
    /// Whether it is refused that a file was applied which the release lacks,
    /// although it has later ones.
    pub strict_missing: bool,
    /// Values for flyway's placeholders.
    pub placeholders: BTreeMap<String, String>,
    /// Whether to run although another tool's table is there: it is about other
    /// migrations.
    pub beside_other_tool: bool,
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It ran.
    Applied,
    /// It runs next.
    Pending,
    /// It began and did not end; what is left of it runs next.
    Interrupted,
    /// It must not run yet.
    Waiting,
    /// It must not run as it is; nothing runs until that is settled.
    Refused,
    /// It is not what it was when it ran.
    Edited,
    /// It ran, and the release does not have it.
    Missing,
}

impl State {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Interrupted => "interrupted",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Edited => "edited",
            Self::Missing => "missing",
        }
    }
}

/// One migration in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The file.
    pub path: String,
    /// The version by which its tool knows it.
    pub version: String,
    /// Where it stands.
    pub state: State,
    /// `expand`, `backfill`, `contract` or `unsafe`.
    pub class: Option<String>,
    /// Why it waits, is refused, or what is to be known of it.
    pub reason: Option<String>,
    /// What to do about it.
    pub next: Option<String>,
    /// The checksum that was recorded.
    pub recorded_checksum: Option<String>,
    /// The checksum that the file has.
    pub checksum: Option<String>,
    /// Whether it is older than one that was applied.
    pub out_of_order: bool,
    /// Whether it runs again because it was changed (flyway's `R__`).
    pub again: bool,
    /// How many statements are run.
    pub statements: usize,
    /// How many of them are done already.
    pub done: usize,
    /// Whether it is done as a whole or not at all.
    pub transactional: bool,
    /// Backfills that it declares; they run beside the released code.
    pub backfills: Vec<String>,
    /// The commit with which it ran.
    pub release: Option<String>,
    /// Who ran it.
    pub applied_by: Option<String>,
    /// When it ended, or began where it did not end.
    pub at: Option<String>,
    /// Why its last attempt failed.
    pub failure: Option<String>,
}

/// A plan, in the form of `migrate plan --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Always `plimsoll/migrate-plan/v1`.
    pub schema: String,
    /// Which database.
    pub database: String,
    /// The tool whose layout the files have.
    pub layout: Layout,
    /// The commit whose migrations these are.
    pub release: Option<String>,
    /// Whether the database has Plimsoll's table.
    pub has_table: bool,
    /// Another tool's table, where Plimsoll's is absent or empty.
    pub foreign: Option<Foreign>,
    /// All files, in the order in which they run; those that are missing come
    /// first.
    pub files: Vec<Planned>,
    /// What the tool would not run, with the reason.
    pub ignored: Vec<plimsoll_evidence_migration_lint::Ignored>,
    /// Whether `migrate apply` may begin.
    pub allowed: bool,
}

impl Plan {
    /// The files in a state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &Planned> {
        self.files.iter().filter(move |file| file.state == state)
    }

    /// The files that an apply would run, in order.
    pub fn runnable(&self) -> impl Iterator<Item = &Planned> {
        self.files.iter().filter(|file| matches!(file.state, State::Pending | State::Interrupted))
    }
}

/// What a database says of its history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Its rows; nothing where there is no table.
    pub records: Option<Vec<Record>>,
    /// Another tool's table, where ours is absent or empty.
    pub foreign: Option<Foreign>,
}

/// Makes the plan. Pure: the same history, files and options give the same plan.
pub fn plan(database: &str, history: &History, scripts: &Scripts, options: &PlanOptions) -> Plan {
    let records: BTreeMap<&str, &Record> =
        history.records.iter().flatten().map(|record| (record.path.as_str(), record)).collect();
    let mut files = missing(scripts, &records, options);
    let last_applied = scripts.files.iter().rposition(|script| {
        !script.repeatable && records.get(script.path.as_str()).is_some_and(|record| record.finished())
    });
    // What waits, in order: what comes after it and touches the same waits too.
    let mut waiting: Vec<(&str, Touches)> = Vec::new();
    for (at, script) in scripts.files.iter().enumerate() {
        let mut planned = describe(script, records.get(script.path.as_str()).copied());
        planned.out_of_order = matches!(planned.state, State::Pending | State::Interrupted)
            && !script.repeatable
            && last_applied.is_some_and(|last| at < last);
        if matches!(planned.state, State::Pending | State::Interrupted) {
            judge(&mut planned, script, options, &waiting);
        }
        if planned.state == State::Waiting {
            waiting.push((&script.path, script.touches()));
        }
        files.push(planned);
    }
    let stops = |file: &Planned| matches!(file.state, State::Refused | State::Edited);
    let foreign = history.foreign.clone().filter(|_| !options.beside_other_tool);
    let allowed = foreign.is_none() && !files.iter().any(stops);
    Plan {
        schema: "plimsoll/migrate-plan/v1".into(),
        database: database.into(),
        layout: scripts.layout,
        release: options.release.clone(),
        has_table: history.records.is_some(),
        foreign,
        files,
        ignored: scripts.ignored.clone(),
        allowed,
    }
}

/// What was applied and is not in the release: an older release knows fewer.
fn missing(scripts: &Scripts, records: &BTreeMap<&str, &Record>, options: &PlanOptions) -> Vec<Planned> {
    let here: BTreeSet<&str> = scripts.files.iter().map(|script| script.path.as_str()).collect();
    // A file with the same version is the same migration under another name.
    let moved = |record: &Record| {
        scripts.files.iter().find(|script| {
            script.version == record.version
                && !script.repeatable
                && !records.contains_key(script.path.as_str())
        })
    };
    let newest_here = scripts
        .files
        .iter()
        .filter(|script| records.contains_key(script.path.as_str()))
        .map(|it| &it.version)
        .max_by(|a, b| version_order(a, b));
    let mut found = Vec::new();
    for record in records.values().filter(|record| !here.contains(record.path.as_str())) {
        let before = newest_here.is_some_and(|newest| version_order(&record.version, newest).is_lt());
        let mut planned = Planned {
            path: record.path.clone(),
            version: record.version.clone(),
            state: State::Missing,
            class: Some(record.class.clone()).filter(|class| !class.is_empty()),
            reason: None,
            next: None,
            recorded_checksum: Some(record.checksum.clone()),
            checksum: None,
            out_of_order: false,
            again: false,
            statements: count(record.statements),
            done: count(record.done),
            transactional: true,
            backfills: record.backfills.clone(),
            release: record.release.clone(),
            applied_by: Some(record.applied_by.clone()),
            at: record.finished_at.clone().or_else(|| Some(record.started_at.clone())),
            failure: record.failure.clone(),
        };
        if let Some(script) = moved(record) {
            planned.state = State::Refused;
            planned.reason = Some(format!("`{}` has the same version: was it renamed?", script.path));
            planned.next = Some(format!("name it `{}` again; a path identifies a migration", record.path));
        } else if !record.finished() {
            planned.reason = Some("it began and did not end, and this release does not have it".into());
            planned.next = Some("finish it with the release that has it".into());
            planned.state = if options.strict_missing { State::Refused } else { State::Missing };
        } else if before {
            planned.reason = Some("it ran, this release lacks it, and has later ones".into());
            planned.next =
                Some("was it deleted, or is a branch not merged? `git log --all -- PATH` tells".into());
            planned.state = if options.strict_missing { State::Refused } else { State::Missing };
        } else {
            planned.reason = Some("it ran with a newer release; an older one does not know it".into());
        }
        found.push(planned);
    }
    found
}

/// Orders versions: numbers by their value.
fn version_order(a: &str, b: &str) -> std::cmp::Ordering {
    let numbers =
        |text: &str| text.split('.').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    match (numbers(a), numbers(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// A file beside its row.
fn describe(script: &Script, record: Option<&Record>) -> Planned {
    let statements = run_here(script);
    let now = checksum(&script.checksum_text);
    let class = script.class.map(|class| class.to_string());
    let mut planned = Planned {
        path: script.path.clone(),
        version: script.version.clone(),
        state: State::Pending,
        class,
        reason: None,
        next: None,
        recorded_checksum: record.map(|record| record.checksum.clone()),
        checksum: Some(now.clone()),
        out_of_order: false,
        again: false,
        statements: statements.len(),
        done: 0,
        transactional: script.transactional(),
        backfills: script.backfills().map(str::to_owned).collect(),
        release: record.and_then(|record| record.release.clone()),
        applied_by: record.map(|record| record.applied_by.clone()),
        at: record.map(|record| record.finished_at.clone().unwrap_or_else(|| record.started_at.clone())),
        failure: record.and_then(|record| record.failure.clone()),
    };
    let Some(record) = record else { return planned };
    if planned.class.is_none() && !record.class.is_empty() {
        planned.class = Some(record.class.clone());
    }
    if record.finished() {
        if record.checksum == now {
            planned.state = State::Applied;
            planned.done = statements.len();
        } else if script.repeatable {
            planned.again = true;
            planned.reason = Some("it was changed, and runs again".into());
        } else {
            planned.state = State::Edited;
            planned.reason = Some("the file is not what it was when it ran".into());
            planned.next = Some(difference(record));
        }
        return planned;
    }
    planned.state = State::Interrupted;
    planned.done = count(record.done);
    let same = planned.done <= statements.len()
        && record.done_checksum.as_deref().is_none_or(|done| done == prefix(&statements, planned.done));
    if !same {
        planned.state = State::Edited;
        planned.reason = Some(format!("its first {} statements, which are done, were changed", planned.done));
        planned.next = Some(difference(record));
        return planned;
    }
    planned.reason = Some(match record.in_doubt {
        Some(at) => format!(
            "{} of {} statements are done; whether number {at} was done is looked up",
            planned.done,
            statements.len()
        ),
        None => format!("{} of {} statements are done", planned.done, statements.len()),
    });
    planned.next = Some("`plimsoll migrate apply` goes on where it ended".into());
    planned
}

/// How to see what was changed.
fn difference(record: &Record) -> String {
    match &record.release {
        Some(release) => format!(
            "`git diff {release} -- '*{}'` shows the difference; put back what ran, and add a new migration",
            record.path
        ),
        None => format!(
            "`git log -p -- '*{}'` shows the difference; put back what ran, and add a new migration",
            record.path
        ),
    }
}

/// Whether a file that is to run may run.
fn judge(planned: &mut Planned, script: &Script, options: &PlanOptions, waiting: &[(&str, Touches)]) {
    let mut say = |state: State, reason: String, next: Option<String>| {
        planned.state = state;
        planned.reason = Some(reason);
        planned.next = next;
    };
    let allowed = options.allow.contains(&script.path);
    if let Some(reason) = options.held.get(&script.path) {
        return say(State::Waiting, reason.clone(), None);
    }
    let touches = script.touches();
    let met = waiting.iter().find_map(|(path, theirs)| Some((path, meets(theirs, &touches)?)));
    if let Some((before, what)) = met {
        let reason = format!("it touches {what}, and so does `{before}`, which waits");
        return say(State::Waiting, reason, None);
    }
    let open = |name: &str| !options.finished_backfills.contains(name);
    if let Some(name) = script.demands().into_iter().find(|name| open(name)) {
        let next = "`plimsoll migrate backfill` runs it; its proof of completion is what is asked for";
        return say(
            State::Waiting,
            format!("the backfill `{name}` is not proven to be finished"),
            Some(next.into()),
        );
    }
    if let Some(found) = script.unsupported.first() {
        let reason = format!("line {} has {}, which cannot be run", found.line, found.what);
        return say(State::Refused, reason, Some("write it as SQL that a server takes by itself".into()));
    }
    let unfilled = script.placeholders.iter().find(|name| !options.placeholders.contains_key(*name));
    if let Some(name) = unfilled {
        let next = format!("`plimsoll migrate apply --placeholder {name}=…`");
        return say(State::Refused, format!("the placeholder `${{{name}}}` has no value"), Some(next));
    }
    if planned.out_of_order && options.in_order {
        let next = "give it a version after the last one, or leave `--in-order` out";
        return say(State::Refused, "it is older than one that was applied".into(), Some(next.into()));
    }
    let path = &script.path;
    match script.class_without_backfills() {
        _ if allowed => {}
        None => {
            let reason = "it was counted as released and never ran, so it was not judged";
            say(State::Refused, reason.into(), Some("`plimsoll migrate lint` judges it".into()));
        }
        Some(Class::Expand) => {}
        Some(Class::Backfill) => {
            let next = format!(
                "declare it: `-- plimsoll: backfill table=… key=… batch=…` before the statement; or `--allow {path}`"
            );
            say(State::Waiting, "it changes rows in one go".into(), Some(next));
        }
        Some(Class::Contract) => {
            let reason = "it takes away what older releases use, and nobody has said that none is left";
            say(
                State::Waiting,
                reason.into(),
                Some(format!(
                    "`--env ENV` asks the releases of an environment; or `plimsoll migrate apply --allow {path}` when none is left"
                )),
            );
        }
        Some(Class::Unsafe) => {
            let errors = script.findings.iter().filter(|finding| finding.severity == Severity::Error);
            let first = errors.map(|it| format!(": line {}: {} ({})", it.line, it.message, it.rule)).next();
            let reason = format!("it must not run as it is{}", first.unwrap_or_default());
            let next = format!("`plimsoll migrate lint` says what to write instead; or `--allow {path}`");
            say(State::Refused, reason, Some(next));
        }
    }
    if planned.out_of_order && planned.reason.is_none() {
        planned.reason = Some("it is older than one that was applied".into());
    }
}

/// What a waiting file and another one have in common.
fn meets(before: &Touches, touches: &Touches) -> Option<String> {
    match before.meets(touches) {
        Some(name) => Some(format!("`{name}`")),
        None if before.unknown || touches.unknown => Some("what cannot be told".into()),
        None => None,
    }
}

#[cfg(test)]
mod tests;
