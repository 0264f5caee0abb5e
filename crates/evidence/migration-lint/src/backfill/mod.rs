//! Backfills that migrations declare, with the statement that is run in batches
//! and the place in it where the range of keys goes (MIG-3).

mod effect;
mod place;
mod ranged;

use crate::Error;
use crate::layout::directory;
use crate::lines::Lines;
use crate::lint::{deep, texts};
use crate::name::{Name, quoted};
use crate::options::{File, Options};
use crate::split::{Piece, pieces};

pub use ranged::{Ranged, Verb};

/// Longest list of key columns, as in PostgreSQL's `INDEX_MAX_KEYS`.
const MOST_KEYS: usize = 32;
/// Most rows of a batch.
const MOST_ROWS: u64 = 1_000_000;

/// Which rows a backfill walks over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Unique among the backfills of a directory; the table where none is given.
    pub name: String,
    /// The table whose keys are walked, as the database keeps its name;
    /// `schema.table` outside of the default schema.
    pub table: String,
    /// The columns of the key, in the order of its index.
    pub key: Vec<String>,
    /// Rows of the first batch.
    pub batch: Option<u64>,
}

impl Walk {
    /// The table as it is written in SQL.
    pub fn table_sql(&self) -> String {
        table_name(&self.table).map_or_else(|| quoted(&self.table), |name| name.sql())
    }

    /// The columns of the key as they are written in SQL.
    pub fn key_sql(&self) -> Vec<String> {
        self.key.iter().map(|column| quoted(column)).collect()
    }
}

/// A backfill that a comment before a statement declares.
#[derive(Debug, Clone)]
pub struct DeclaredBackfill {
    /// What is walked.
    pub walk: Walk,
    /// The statement.
    pub statement: Ranged,
    /// The file, as given.
    pub file: String,
    /// Of the statement, from 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Where the statement is in the file, in bytes, with its semicolon. Whoever
    /// runs the file leaves it out: it is run in batches.
    pub bytes: std::ops::Range<usize>,
}

/// Why a declaration cannot be run in batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBackfill {
    /// Its name, as far as it was understood.
    pub name: Option<String>,
    /// The file, as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// What a directory declares.
#[derive(Debug, Clone, Default)]
pub struct Backfills {
    /// In the order in which the files run.
    pub declared: Vec<DeclaredBackfill>,
    /// What is not fit to be run.
    pub refused: Vec<RefusedBackfill>,
}

/// Something that is wrong at an offset of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Refusal {
    fn new(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { offset, message: message.into(), hint: hint.into() }
    }
}

/// Every backfill that the migrations of a directory declare by
/// `-- plimsoll: backfill table=… key=… batch=…` before a statement.
///
/// ```
/// use plimsoll_evidence_migration_lint::{File, Options, backfills};
///
/// let sql = "-- plimsoll: backfill table=users key=id batch=1000\n\
///            UPDATE users SET name = email WHERE name IS NULL;";
/// let found = backfills(&[File { path: "1_name.sql".into(), bytes: sql.into() }], &Options::default())?;
/// let statement = &found.declared[0].statement;
/// assert_eq!(
///     statement.sql(Some(&["$1".into()]), &["$2".into()]),
///     "UPDATE users SET name = email WHERE (name IS NULL) AND users.id > $1 AND users.id <= $2",
/// );
/// # Ok::<(), plimsoll_evidence_migration_lint::Error>(())
/// ```
///
/// # Errors
/// As [`crate::lint`]. A declaration that is not fit is no error: it is among the refused.
pub fn backfills(files: &[File], options: &Options) -> Result<Backfills, Error> {
    let texts = texts(files, options)?;
    deep(|| {
        let mut found = Backfills::default();
        for file in directory(&texts, options.layout).files {
            let lines = Lines::new(&file.text);
            for piece in pieces(&file.text) {
                let Some(said) = piece.directives.iter().find(|said| is_backfill(said)) else { continue };
                let (line, column) = lines.place(piece.start);
                match one(&file.text, &piece, said, options) {
                    Ok((walk, statement)) => found.declared.push(DeclaredBackfill {
                        walk,
                        statement,
                        file: file.path.clone(),
                        line,
                        column,
                        bytes: piece.start..piece.end,
                    }),
                    Err((name, refusal)) => {
                        let (line, column) = lines.place(refusal.offset);
                        found.refused.push(RefusedBackfill {
                            name,
                            file: file.path.clone(),
                            line,
                            column,
                            message: refusal.message,
                            hint: refusal.hint,
                        });
                    }
                }
            }
        }
        found
    })
}

/// A statement of one's own into one that is run in batches: with `:from` and `:to`
/// where the range goes (`key > :from AND key <= :to`), or without both, where it is
/// put by the grammar.
///
/// # Errors
/// [`Error::Parser`] where the parser does not come to an end. The inner error is
/// line and column of `sql`, what is wrong, and what to write instead.
pub fn ranged(sql: &str, walk: &Walk, options: &Options) -> Result<Result<Ranged, RefusedBackfill>, Error> {
    deep(|| {
        let refused = |refusal: Refusal| {
            let (line, column) = Lines::new(sql).place(refusal.offset);
            let Refusal { message, hint, .. } = refusal;
            RefusedBackfill {
                name: Some(walk.name.clone()),
                file: String::new(),
                line,
                column,
                message,
                hint,
            }
        };
        let table = known(walk, 0).map_err(refused)?;
        let mut found = pieces(sql).into_iter();
        match (found.next(), found.next()) {
            (Some(piece), None) => {
                place::read(sql, &piece, &table, &walk.key, options.dialect, true).map_err(refused)
            }
            (None, _) => Err(refused(Refusal::new(0, "there is no statement", "write one UPDATE or DELETE"))),
            (_, Some(more)) => Err(refused(Refusal::new(
                more.start,
                "there is more than one statement",
                "declare a backfill for each",
            ))),
        }
    })
}

fn is_backfill(said: &str) -> bool {
    said.split_whitespace().next() == Some("backfill")
}

type Named<T> = Result<T, (Option<String>, Refusal)>;

fn one(text: &str, piece: &Piece, said: &str, options: &Options) -> Named<(Walk, Ranged)> {
    let walk = comment(said, piece.start).map_err(|refusal| (None, refusal))?;
    let named = |refusal| (Some(walk.name.clone()), refusal);
    let table = known(&walk, piece.start).map_err(named)?;
    let statement = place::read(text, piece, &table, &walk.key, options.dialect, false).map_err(named)?;
    Ok((walk, statement))
}

const FORM: &str = "-- plimsoll: backfill table=users key=id batch=1000";

/// From `backfill table=users key=id batch=1000 name=user-names`.
fn comment(said: &str, at: usize) -> Result<Walk, Refusal> {
    let (mut table, mut key, mut batch, mut name) = (None, None, None, None);
    for word in said.split_whitespace().skip(1) {
        let Some((what, value)) = word.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            return Err(Refusal::new(at, format!("`{word}` in the declaration has no value"), FORM));
        };
        let place = match what {
            "table" => &mut table,
            "key" => &mut key,
            "batch" => &mut batch,
            "name" => &mut name,
            _ => return Err(Refusal::new(at, format!("`{what}=` in the declaration is not known"), FORM)),
        };
        if place.replace(value).is_some() {
            return Err(Refusal::new(at, format!("`{what}=` is there twice in the declaration"), FORM));
        }
    }
    let table = table.ok_or_else(|| Refusal::new(at, "the declaration names no table", FORM))?;
    let key = key.ok_or_else(|| Refusal::new(at, "the declaration names no key", FORM))?;
    let batch = batch.map(|text| {
        text.parse().map_err(|_| Refusal::new(at, format!("`batch={text}` is no number of rows"), FORM))
    });
    Ok(Walk {
        name: name.unwrap_or(table).to_owned(),
        table: table.to_owned(),
        key: key.split(',').map(str::to_owned).collect(),
        batch: batch.transpose()?,
    })
}

fn table_name(table: &str) -> Option<Name> {
    Name::from_parts(table.split('.').map(str::to_owned).collect())
}

/// What any declaration must keep, wherever it is written.
fn known(walk: &Walk, at: usize) -> Result<Name, Refusal> {
    let fail = |message: String, hint: &str| Err(Refusal::new(at, message, hint));
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if walk.name.is_empty() || walk.name.len() > 100 || !walk.name.chars().all(plain) {
        return fail(
            format!("`{}` is no name of a backfill", walk.name.escape_debug()),
            "at most 100 letters, digits, `-`, `_` and `.`: name=user-names",
        );
    }
    if walk.key.is_empty() || walk.key.len() > MOST_KEYS || walk.key.iter().any(String::is_empty) {
        return fail(
            "the key has no column, or too many".into(),
            "name the columns of one unique index, in its order: key=id, or key=tenant_id,id",
        );
    }
    if walk.key.iter().enumerate().any(|(at, column)| walk.key[..at].contains(column)) {
        return fail("the key names a column twice".into(), "name each column of the index once");
    }
    if walk.batch.is_some_and(|rows| rows == 0 || rows > MOST_ROWS) {
        return fail(
            format!("a batch has 1 to {MOST_ROWS} rows"),
            "begin with batch=1000; it is tuned while it runs",
        );
    }
    table_name(&walk.table).ok_or_else(|| Refusal::new(at, "the declaration names no table", FORM))
}

#[cfg(test)]
mod tests;
