//! One row of `plimsoll_backfills`, which is in the user's database: what is done
//! of a backfill changes in the same transaction as the rows themselves.
//!
//! The format is an interface; `docs/backfill.md` describes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key::Key;

/// The table.
pub const TABLE: &str = "plimsoll_backfills";
/// The format of its rows.
pub(crate) const FORMAT: i64 = 1;

/// Where a backfill stands. Whether somebody works on it is not written down: the
/// lock tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is work left.
    Open,
    /// Somebody has stopped it; it goes on when somebody says so.
    Paused,
    /// It came to something that repeating does not help.
    Failed,
    /// It is done, with a proof.
    Finished,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Paused, Self::Failed, Self::Finished]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// How it is known that nothing is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// No row of the table meets the statement's condition any more.
    NoRowLeft,
    /// Every key up to the last one at the start was walked over, each once.
    KeyRange,
}

/// That a backfill is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Of the backfill.
    pub name: String,
    /// The table that was walked over.
    pub table: String,
    /// The checksum of the declaration.
    pub declaration: String,
    /// When the last look was.
    pub checked_at: Timestamp,
    /// Rows that the statement changed, in all batches.
    pub rows_changed: u64,
    /// How it is known.
    pub means: Means,
    /// The last key that was walked over; nothing where the table was empty. With
    /// [`Means::KeyRange`], rows above it were written after the start and are
    /// whatever wrote them made them.
    pub up_to: Option<Key>,
}

/// What is kept of one backfill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) declaration: String,
    pub(crate) table: String,
    pub(crate) key: Vec<String>,
    pub(crate) state: State,
    pub(crate) pass: u32,
    /// The first key of this pass, to tell how far it is.
    pub(crate) first: Option<Key>,
    /// The last key that is done.
    pub(crate) above: Option<Key>,
    /// The last key of this pass.
    pub(crate) up_to: Option<Key>,
    pub(crate) batch_rows: u64,
    pub(crate) batches: u64,
    pub(crate) rows_walked: u64,
    pub(crate) rows_changed: u64,
    /// `rows_changed` when this pass began.
    pub(crate) changed_before: u64,
    /// Rows of the table, as the database estimated them at the start.
    pub(crate) rows_estimated: Option<u64>,
    /// Seconds spent in batches.
    pub(crate) working_sec: f64,
    pub(crate) started_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) runner: String,
    pub(crate) waits_for: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) proof: Option<Proof>,
}

/// The columns with their types in PostgreSQL and in SQLite.
pub(crate) const COLUMNS: [(&str, &str, &str); 23] = [
    ("name", "text PRIMARY KEY", "TEXT PRIMARY KEY NOT NULL"),
    ("format", "integer NOT NULL", "INTEGER NOT NULL"),
    ("declaration", "text NOT NULL", "TEXT NOT NULL"),
    ("table_name", "text NOT NULL", "TEXT NOT NULL"),
    ("key_columns", "text NOT NULL", "TEXT NOT NULL"),
    ("state", "text NOT NULL", "TEXT NOT NULL"),
    ("pass", "integer NOT NULL", "INTEGER NOT NULL"),
    ("first", "text", "TEXT"),
    ("above", "text", "TEXT"),
    ("up_to", "text", "TEXT"),
    ("batch_rows", "bigint NOT NULL", "INTEGER NOT NULL"),
    ("batches", "bigint NOT NULL", "INTEGER NOT NULL"),
    ("rows_walked", "bigint NOT NULL", "INTEGER NOT NULL"),
    ("rows_changed", "bigint NOT NULL", "INTEGER NOT NULL"),
    ("changed_before", "bigint NOT NULL", "INTEGER NOT NULL"),
    ("rows_estimated", "bigint", "INTEGER"),
    ("working_sec", "double precision NOT NULL", "REAL NOT NULL"),
    ("started_at", "text NOT NULL", "TEXT NOT NULL"),
    ("updated_at", "text NOT NULL", "TEXT NOT NULL"),
    ("runner", "text NOT NULL", "TEXT NOT NULL"),
    ("waits_for", "text", "TEXT"),
    ("failure", "text", "TEXT"),
    ("proof", "text", "TEXT"),
];

/// The place of a column among [`COLUMNS`].
pub(crate) const STATE: usize = 5;
pub(crate) const ABOVE: usize = 8;
pub(crate) const ROWS_CHANGED: usize = 13;

/// What a statement needs: each value as a text.
pub(crate) type Texts = Vec<Option<String>>;

impl Row {
    pub(crate) fn to_texts(&self) -> Texts {
        let key = |key: &Option<Key>| key.as_ref().map(Key::to_text);
        vec![
            Some(self.name.clone()),
            Some(FORMAT.to_string()),
            Some(self.declaration.clone()),
            Some(self.table.clone()),
            Some(serde_json::to_string(&self.key).expect("texts are JSON")),
            Some(self.state.as_str().into()),
            Some(self.pass.to_string()),
            key(&self.first),
            key(&self.above),
            key(&self.up_to),
            Some(self.batch_rows.to_string()),
            Some(self.batches.to_string()),
            Some(self.rows_walked.to_string()),
            Some(self.rows_changed.to_string()),
            Some(self.changed_before.to_string()),
            self.rows_estimated.map(|rows| rows.to_string()),
            Some(self.working_sec.to_string()),
            Some(self.started_at.to_string()),
            Some(self.updated_at.to_string()),
            Some(self.runner.clone()),
            self.waits_for.clone(),
            self.failure.clone(),
            self.proof.as_ref().map(|proof| serde_json::to_string(proof).expect("a proof is JSON")),
        ]
    }

    /// From the values of [`COLUMNS`]; the error is what is wrong with them.
    pub(crate) fn from_texts(texts: &Texts) -> Result<Self, String> {
        let read = Read(texts);
        let format: i64 = read.number("format")?;
        if format != FORMAT {
            return Err(format!("its format is {format}, and this version knows {FORMAT}"));
        }
        let state = read.text("state")?;
        let columns = read.text("key_columns")?;
        Ok(Self {
            name: read.text("name")?,
            declaration: read.text("declaration")?,
            table: read.text("table_name")?,
            key: serde_json::from_str(&columns).map_err(|_| read.wrong("key_columns", &columns))?,
            state: State::parse(&state).ok_or_else(|| read.wrong("state", &state))?,
            pass: read.number("pass")?,
            first: read.key("first")?,
            above: read.key("above")?,
            up_to: read.key("up_to")?,
            batch_rows: read.number("batch_rows")?,
            batches: read.number("batches")?,
            rows_walked: read.number("rows_walked")?,
            rows_changed: read.number("rows_changed")?,
            changed_before: read.number("changed_before")?,
            rows_estimated: match read.optional("rows_estimated")? {
                Some(_) => Some(read.number("rows_estimated")?),
                None => None,
            },
            working_sec: read.number("working_sec")?,
            started_at: read.number("started_at")?,
            updated_at: read.number("updated_at")?,
            runner: read.text("runner")?,
            waits_for: read.optional("waits_for")?,
            failure: read.optional("failure")?,
            proof: match read.optional("proof")? {
                Some(text) => Some(serde_json::from_str(&text).map_err(|_| read.wrong("proof", &text))?),
                None => None,
            },
        })
    }
}

struct Read<'a>(&'a Texts);

impl Read<'_> {
    fn wrong(&self, column: &str, text: &str) -> String {
        let short: String = text.chars().take(60).collect();
        format!("its column {column} holds {short:?}")
    }

    fn optional(&self, column: &str) -> Result<Option<String>, String> {
        let at = COLUMNS.iter().position(|(name, ..)| *name == column);
        let found = at.and_then(|at| self.0.get(at));
        found.cloned().ok_or_else(|| format!("it has no column {column}"))
    }

    fn text(&self, column: &str) -> Result<String, String> {
        self.optional(column)?.ok_or_else(|| format!("its column {column} is NULL"))
    }

    fn number<T: std::str::FromStr>(&self, column: &str) -> Result<T, String> {
        let text = self.text(column)?;
        text.parse().map_err(|_| self.wrong(column, &text))
    }

    fn key(&self, column: &str) -> Result<Option<Key>, String> {
        match self.optional(column)? {
            Some(text) => Key::from_text(&text).map(Some).map_err(|_| self.wrong(column, &text)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::Part;

    pub(crate) fn row() -> Row {
        Row {
            name: "users".into(),
            declaration: "sha256:00".into(),
            table: "users".into(),
            key: vec!["tenant".into(), "id".into()],
            state: State::Open,
            pass: 1,
            first: Some(Key(vec![Part::Integer(1)])),
            above: None,
            up_to: Some(Key(vec![Part::Text("x".into())])),
            batch_rows: 1_000,
            batches: 3,
            rows_walked: 2_500,
            rows_changed: 2_499,
            changed_before: 0,
            rows_estimated: None,
            working_sec: 0.125,
            started_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            runner: "here".into(),
            waits_for: None,
            failure: None,
            proof: Some(Proof {
                name: "users".into(),
                table: "users".into(),
                declaration: "sha256:00".into(),
                checked_at: Timestamp::UNIX_EPOCH,
                rows_changed: 7,
                means: Means::NoRowLeft,
                up_to: None,
            }),
        }
    }

    #[test]
    fn rows_survive_the_database() {
        assert_eq!(Row::from_texts(&row().to_texts()).unwrap(), row());
        assert_eq!(COLUMNS[STATE].0, "state");
        assert_eq!(COLUMNS[ABOVE].0, "above");
        assert_eq!(COLUMNS[ROWS_CHANGED].0, "rows_changed");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (at, (column, ..)) in COLUMNS.iter().enumerate() {
            let mut texts = row().to_texts();
            texts[at] = Some("\u{1}".into());
            let free = ["name", "declaration", "table_name", "runner", "waits_for", "failure"];
            match Row::from_texts(&texts) {
                Ok(_) => assert!(free.contains(column), "{column}"),
                Err(why) => assert!(why.contains(column), "{column}: {why}"),
            }
        }
        let mut texts = row().to_texts();
        texts[1] = Some("2".into());
        assert_eq!(Row::from_texts(&texts).unwrap_err(), "its format is 2, and this version knows 1");
    }
}
