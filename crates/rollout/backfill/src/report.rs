//! How backfills stand: the document `plimsoll/backfill/v1`, and its text.

use std::fmt::Write as _;

use jiff::Timestamp;
use plimsoll_model::Lookup;
use serde::{Deserialize, Serialize};

use crate::declaration::Declaration;
use crate::key::Key;
use crate::progress::fraction;
use crate::state::{Proof, Row, State};

/// Where a backfill stands, with what the lock tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// No run of it has begun.
    NotStarted,
    /// A process works on it.
    Running,
    /// A process works on it, and waits for the database to be well.
    Waiting,
    /// Begun, not finished, and no process works on it.
    Interrupted,
    /// Somebody has paused it.
    Paused,
    /// It came to something that repeating does not help.
    Failed,
    /// Finished, with a proof.
    Finished,
    /// Begun with another declaration than the one that the files have.
    Changed,
    /// Its row of progress is not understood.
    Unreadable,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Interrupted => "interrupted",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Changed => "changed",
            Self::Unreadable => "unreadable",
        })
    }
}

/// One backfill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its name.
    pub name: String,
    /// The table that is walked over.
    pub table: String,
    /// By these columns.
    pub key: Vec<String>,
    /// `file:line:column`; nothing where the files declare it no more.
    pub declared_at: Option<String>,
    /// Where it stands.
    pub standing: Standing,
    /// Who works on it, or did last.
    pub runner: Option<String>,
    /// Who holds its lock.
    pub holder: Option<String>,
    /// From 1.
    pub pass: u32,
    /// Batches that are done.
    pub batches: u64,
    /// Rows of a batch, at the moment.
    pub batch_rows: u64,
    /// Rows that were walked over.
    pub rows_walked: u64,
    /// Rows that the statement changed.
    pub rows_changed: u64,
    /// Rows of the table at the start, as the database estimated them.
    pub rows_estimated: Option<u64>,
    /// The last key that is done.
    pub done_up_to: Option<Key>,
    /// The last key of this pass.
    pub ends_at: Option<Key>,
    /// Of this pass, from 0 to 1. An estimate.
    pub fraction: Option<f64>,
    /// While it works; without the time of waiting.
    pub rows_per_sec: Option<f64>,
    /// Of work, until the end of this pass. An estimate.
    pub eta_sec: Option<f64>,
    /// RFC 3339.
    pub started_at: Option<Timestamp>,
    /// RFC 3339.
    pub updated_at: Option<Timestamp>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Why it stopped.
    pub failure: Option<String>,
    /// That it is finished.
    pub proof: Option<Proof>,
}

/// How all backfills of a database stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always `plimsoll/backfill/v1`.
    pub schema: String,
    /// `postgres` or `sqlite`.
    pub database: String,
    /// Those that the files declare, in their order, then others.
    pub backfills: Vec<Backfill>,
    /// Signals that nobody looked at in this run, and why.
    pub not_watched: Vec<String>,
}

impl Report {
    /// A document without any.
    pub(crate) fn new(database: &str) -> Self {
        Self {
            schema: "plimsoll/backfill/v1".into(),
            database: database.into(),
            backfills: Vec::new(),
            not_watched: Vec::new(),
        }
    }

    /// Whether every backfill that the files declare is finished.
    pub fn finished(&self) -> bool {
        let mut declared = self.backfills.iter().filter(|backfill| backfill.declared_at.is_some());
        declared.all(|backfill| backfill.standing == Standing::Finished)
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        if self.backfills.is_empty() {
            return "no backfill is declared, and none was run\n".into();
        }
        let mut text = String::new();
        for backfill in &self.backfills {
            backfill.write(&mut text);
        }
        for signal in &self.not_watched {
            line(&mut text, &format!("not watched: {signal}"));
        }
        text
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

impl Backfill {
    /// From what the files declare, what the database keeps, and who has the lock.
    pub(crate) fn new(
        declaration: Option<&Declaration>,
        row: &Lookup<Row>,
        holder: Option<String>,
        name: &str,
    ) -> Self {
        let declared_at = declaration.map(|declaration| declaration.origin.to_string());
        let mut backfill = Self {
            name: name.to_owned(),
            table: declaration.map(|declaration| declaration.walk.table.clone()).unwrap_or_default(),
            key: declaration.map(|declaration| declaration.walk.key.clone()).unwrap_or_default(),
            declared_at,
            standing: Standing::NotStarted,
            runner: None,
            holder,
            pass: 0,
            batches: 0,
            batch_rows: declaration.and_then(|it| it.walk.batch).unwrap_or(crate::FIRST_BATCH),
            rows_walked: 0,
            rows_changed: 0,
            rows_estimated: None,
            done_up_to: None,
            ends_at: None,
            fraction: None,
            rows_per_sec: None,
            eta_sec: None,
            started_at: None,
            updated_at: None,
            waits_for: None,
            failure: None,
            proof: None,
        };
        match row {
            Lookup::Found(row) => backfill.fill(declaration, row),
            Lookup::Absent => {}
            Lookup::Invalid(why) | Lookup::Unknown(why) => {
                backfill.standing = Standing::Unreadable;
                backfill.failure = Some(why.clone());
            }
        }
        backfill
    }

    fn fill(&mut self, declaration: Option<&Declaration>, row: &Row) {
        let changed = declaration.is_some_and(|declaration| declaration.checksum() != row.declaration);
        self.standing = match row.state {
            _ if changed => Standing::Changed,
            State::Open if self.holder.is_none() => Standing::Interrupted,
            State::Open if row.waits_for.is_some() => Standing::Waiting,
            State::Open => Standing::Running,
            State::Paused => Standing::Paused,
            State::Failed => Standing::Failed,
            State::Finished => Standing::Finished,
        };
        self.table.clone_from(&row.table);
        self.key.clone_from(&row.key);
        self.runner = Some(row.runner.clone());
        self.pass = row.pass;
        self.batches = row.batches;
        self.batch_rows = row.batch_rows;
        self.rows_walked = row.rows_walked;
        self.rows_changed = row.rows_changed;
        self.rows_estimated = row.rows_estimated;
        self.done_up_to.clone_from(&row.above);
        self.ends_at.clone_from(&row.up_to);
        self.started_at = Some(row.started_at);
        self.updated_at = Some(row.updated_at);
        self.waits_for.clone_from(&row.waits_for);
        self.failure.clone_from(&row.failure);
        // A proof of another statement proves nothing of this one.
        self.proof = row.proof.clone().filter(|_| !changed);
        if row.working_sec > 0.0 && row.rows_walked > 0 {
            self.rows_per_sec = Some(row.rows_walked as f64 / row.working_sec);
        }
        if row.state != State::Finished {
            self.fraction = fraction(row);
            self.eta_sec = match self.fraction {
                Some(done) if row.pass == 1 && done > 0.001 && row.working_sec > 0.0 => {
                    Some(row.working_sec * (1.0 - done) / done)
                }
                _ => None,
            };
        }
    }

    fn write(&self, text: &mut String) {
        line(text, &format!("{}: {}", self.name, self.standing));
        let mut detail = |words: String| line(text, &format!("  {words}"));
        match &self.declared_at {
            Some(at) => detail(format!("declared at {at}, table {} by {}", self.table, self.key.join(", "))),
            None => detail(format!("table {}; the files declare it no more", self.table)),
        }
        if self.batches > 0 {
            let mut words = format!(
                "{} rows walked, {} changed, in {} batches",
                thousands(self.rows_walked),
                thousands(self.rows_changed),
                thousands(self.batches)
            );
            if let Some(rate) = self.rows_per_sec {
                let _ = write!(words, "; {} rows/s", thousands(rate as u64));
            }
            detail(words);
        }
        if let (Some(fraction), false) = (self.fraction, self.batches == 0) {
            let mut words = format!("about {:.0} % of pass {}", fraction * 100.0, self.pass);
            if let Some(eta) = self.eta_sec {
                let _ = write!(words, ", about {} to go", duration(eta));
            }
            if let Some(key) = &self.done_up_to {
                let _ = write!(words, "; done up to {} {key}", self.key.join(", "));
            }
            detail(words);
        }
        if let Some(holder) = &self.holder {
            detail(format!("worked on by {holder}"));
        }
        if let Some(waits) = &self.waits_for {
            detail(format!("waits for: {waits}"));
        }
        if let Some(failure) = &self.failure {
            detail(format!("stopped: {failure}"));
        }
        if let Some(proof) = &self.proof {
            let means = match (proof.means, &proof.up_to) {
                (crate::Means::NoRowLeft, _) => "no row is left that its condition holds for".to_owned(),
                (crate::Means::KeyRange, Some(key)) => {
                    format!("every row up to {} {key} was done once", self.key.join(", "))
                }
                (crate::Means::KeyRange, None) => "the table was empty".to_owned(),
            };
            detail(format!("proof: {means}; checked at {}", proof.checked_at));
        }
        if let Some(next) = self.next() {
            detail(format!("next: {next}"));
        }
    }

    /// What to type.
    fn next(&self) -> Option<String> {
        let run = format!("plimsoll migrate backfill {}", self.name);
        match self.standing {
            Standing::NotStarted | Standing::Interrupted | Standing::Failed => Some(run),
            Standing::Paused => Some(format!("{run} --resume")),
            Standing::Running | Standing::Waiting => Some(format!("{run} --pause stops it")),
            Standing::Changed => Some("plimsoll explain BKF-012".into()),
            Standing::Unreadable => Some("plimsoll explain BKF-030".into()),
            Standing::Finished => None,
        }
    }
}

/// `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `42 s`, `17 min`, `3 h 5 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::Part;
    use crate::state::tests::row;

    fn number(number: i64) -> Option<Key> {
        Some(Key(vec![Part::Integer(number)]))
    }

    #[test]
    fn a_running_one_is_described() {
        let row = Row {
            first: number(0),
            above: number(250),
            up_to: number(1_000),
            key: vec!["id".into()],
            rows_walked: 1_234_567,
            rows_changed: 1_000,
            working_sec: 100.0,
            proof: None,
            ..row()
        };
        let mut report = Report::new("postgres");
        report.backfills.push(Backfill::new(None, &Lookup::Found(row), Some("session 7".into()), "users"));
        assert_eq!(
            report.text(),
            "users: running\n  table users; the files declare it no more\n  1,234,567 rows walked, 1,000 \
             changed, in 3 batches; 12,345 rows/s\n  about 25 % of pass 1, about 5 min to go; done up to id \
             250\n  worked on by session 7\n  next: plimsoll migrate backfill users --pause stops it\n"
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn an_open_one_without_a_holder_is_interrupted_and_an_unreadable_one_is_not_absent() {
        let standing = |row: &Lookup<Row>, holder: Option<&str>| {
            Backfill::new(None, row, holder.map(Into::into), "users").standing
        };
        assert_eq!(standing(&Lookup::Found(row()), None), Standing::Interrupted);
        let waits = Row { waits_for: Some("lag".into()), ..row() };
        assert_eq!(standing(&Lookup::Found(waits), Some("x")), Standing::Waiting);
        assert_eq!(standing(&Lookup::Invalid("?".into()), None), Standing::Unreadable);
        assert_eq!(standing(&Lookup::Absent, None), Standing::NotStarted);
    }
}
