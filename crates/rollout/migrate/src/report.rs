//! What the commands report, and how it reads.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Planned, State};

/// One file that an apply ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The file.
    pub path: String,
    /// The version by which its tool knows it.
    pub version: String,
    /// `expand`, `backfill`, `contract` or `unsafe`.
    pub class: String,
    /// How many statements were run.
    pub statements: usize,
    /// How long it took, earlier attempts included.
    pub duration_sec: f64,
    /// Backfills that it declares, which are to be run beside the released code.
    pub backfills: Vec<String>,
    /// Whether the connection was lost before the answer came, and the table said
    /// afterwards that it was done.
    pub confirmed: bool,
}

/// What an apply did, in the form of `migrate apply --output json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// Always `plimsoll/migrate-apply/v1`.
    pub schema: String,
    /// Which database.
    pub database: String,
    /// The commit whose migrations these are.
    pub release: Option<String>,
    /// What was run, in order.
    pub applied: Vec<Applied>,
    /// What must wait, with the reason.
    pub waiting: Vec<Planned>,
    /// How many had run before.
    pub already: usize,
    /// What is to be known besides: missing files, files out of order.
    pub notes: Vec<String>,
    /// How long all of it took, waiting included.
    pub duration_sec: f64,
}

impl ApplyReport {
    pub(crate) fn new(plan: Plan, applied: Vec<Applied>, duration: Duration) -> Self {
        let notes = plan.in_state(State::Missing).filter_map(note).collect();
        let already = plan.in_state(State::Applied).count().saturating_sub(applied.len());
        Self {
            schema: "plimsoll/migrate-apply/v1".into(),
            waiting: plan.in_state(State::Waiting).cloned().collect(),
            database: plan.database,
            release: plan.release,
            applied,
            already,
            notes,
            duration_sec: duration.as_secs_f64(),
        }
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.applied {
            let _ = write!(text, "applied  {}  {}  {:.2} s", file.path, file.class, file.duration_sec);
            if file.confirmed {
                text.push_str("  (confirmed after the connection was lost)");
            }
            text.push('\n');
            for backfill in &file.backfills {
                let _ = writeln!(
                    text,
                    "         backfill `{backfill}` is left: `plimsoll migrate backfill {backfill}`"
                );
            }
        }
        self.waiting.iter().for_each(|file| row(&mut text, file));
        self.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
        let _ = match (self.applied.len(), self.waiting.len()) {
            (0, 0) => writeln!(text, "{}: up to date, {} migrations", self.database, self.already),
            (ran, waiting) => writeln!(
                text,
                "{}: {ran} applied, {} before, {waiting} waiting; {:.2} s",
                self.database, self.already, self.duration_sec
            ),
        };
        text
    }
}

fn note(file: &Planned) -> Option<String> {
    Some(format!("{}: {}", file.path, file.reason.as_ref()?))
}

/// One line for a file, and what is to be known of it below.
fn row(text: &mut String, file: &Planned) {
    let class = file.class.as_deref().unwrap_or("-");
    let _ = write!(text, "{:<11}  {}  {class}", file.state.word(), file.path);
    if file.again {
        text.push_str("  (again)");
    }
    if file.out_of_order {
        text.push_str("  (out of order)");
    }
    match file.state {
        State::Applied => {
            let release = file.release.as_deref().map(|it| format!(" with {}", &it[..it.len().min(12)]));
            let at = file.at.as_deref().unwrap_or("-");
            let by = file.applied_by.as_deref().unwrap_or("-");
            let _ = write!(text, "  {at}{} by {by}", release.unwrap_or_default());
        }
        State::Pending | State::Interrupted => {
            let _ = write!(text, "  {} of {} statements done", file.done, file.statements);
            if file.transactional {
                text.push_str(", in one transaction");
            }
        }
        _ => {}
    }
    text.push('\n');
    let mut below = |label: &str, said: &Option<String>| {
        if let Some(said) = said {
            let _ = writeln!(text, "             {label}{said}");
        }
    };
    if file.state != State::Applied {
        below("", &file.reason);
        below("last attempt: ", &file.failure);
        if file.state == State::Edited {
            below("recorded ", &file.recorded_checksum);
            below("file     ", &file.checksum);
        }
        below("next: ", &file.next);
    }
    if !file.backfills.is_empty() && file.state != State::Applied {
        let _ = writeln!(text, "             declares the backfill {}", file.backfills.join(", "));
    }
}

impl Plan {
    /// The plan as text; files that ran are counted, not listed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in self.files.iter().filter(|file| file.state != State::Applied) {
            row(&mut text, file);
        }
        for file in &self.ignored {
            let _ = writeln!(text, "ignored      {}  {}", file.file, file.reason);
        }
        self.ending(&mut text);
        text
    }

    fn ending(&self, text: &mut String) {
        if let Some(foreign) = &self.foreign {
            let _ = writeln!(
                text,
                "{} was migrated by {} so far (table {})\nnext: `plimsoll migrate adopt` takes over what it recorded",
                self.database, foreign.tool, foreign.table
            );
        }
        let counted: Vec<String> = [
            State::Applied,
            State::Pending,
            State::Interrupted,
            State::Waiting,
            State::Refused,
            State::Edited,
            State::Missing,
        ]
        .into_iter()
        .filter_map(|state| match self.in_state(state).count() {
            0 => None,
            count => Some(format!("{count} {}", state.word())),
        })
        .collect();
        let counted = if counted.is_empty() { "no migrations".into() } else { counted.join(", ") };
        let _ = writeln!(text, "{}: {counted}", self.database);
        if !self.allowed {
            let _ = writeln!(text, "`plimsoll migrate apply` would refuse");
        }
    }
}

/// Where a database stands, in the form of `migrate status --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Always `plimsoll/migrate-status/v1`.
    pub schema: String,
    /// Who migrates at the moment, in words.
    pub holder: Option<String>,
    /// What a plan says, without being one.
    #[serde(flatten)]
    pub plan: StatusPlan,
}

/// The plan within a status: the same keys, but for `schema`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusPlan {
    /// Which database.
    pub database: String,
    /// The tool whose layout the files have.
    pub layout: plimsoll_evidence_migration_lint::Layout,
    /// Whether the database has Plimsoll's table.
    pub has_table: bool,
    /// Another tool's table, where Plimsoll's is absent or empty.
    pub foreign: Option<crate::adopt::Foreign>,
    /// All files, those that ran too.
    pub files: Vec<Planned>,
    /// Whether `migrate apply` may begin.
    pub allowed: bool,
}

impl Status {
    pub(crate) fn new(plan: Plan, holder: Option<String>) -> Self {
        let Plan { database, layout, has_table, foreign, files, allowed, .. } = plan;
        let plan = StatusPlan { database, layout, has_table, foreign, files, allowed };
        Self { schema: "plimsoll/migrate-status/v1".into(), holder, plan }
    }

    /// The status as text: every file, one a line.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.plan.files.iter().for_each(|file| row(&mut text, file));
        if let Some(holder) = &self.holder {
            let _ = writeln!(text, "a runner is at work: {holder}");
        }
        let StatusPlan { database, layout, has_table, foreign, files, allowed } = self.plan.clone();
        let plan = Plan {
            schema: String::new(),
            database,
            layout,
            release: None,
            has_table,
            foreign,
            files,
            ignored: Vec::new(),
            allowed,
        };
        plan.ending(&mut text);
        text
    }
}

/// What was taken over from another tool, in the form of `migrate adopt --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptReport {
    /// Always `plimsoll/migrate-adopt/v1`.
    pub schema: String,
    /// Which database.
    pub database: String,
    /// The tool, or `by-hand`.
    pub origin: String,
    /// Its table.
    pub table: Option<String>,
    /// The files that are recorded as applied now.
    pub adopted: Vec<String>,
    /// How many of them were compared by the tool's own checksum.
    pub compared: usize,
    /// Versions that the tool ran and that are not among the files.
    pub unknown: Vec<String>,
}

impl AdoptReport {
    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for path in &self.adopted {
            let _ = writeln!(text, "adopted  {path}");
        }
        for version in &self.unknown {
            let _ = writeln!(text, "note: version {version} ran and is not among the files");
        }
        let _ = writeln!(
            text,
            "{}: {} adopted from {}, {} of them compared by checksum; its own table is left as it is",
            self.database,
            self.adopted.len(),
            self.origin,
            self.compared
        );
        text
    }
}
