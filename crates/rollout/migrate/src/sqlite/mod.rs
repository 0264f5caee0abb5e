//! SQLite under the runner. There is no lock between transactions: each begins
//! IMMEDIATE, and looks whether somebody else went on in between.

mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_evidence_migration_lint::ScriptStatement;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use crate::Error;
use crate::plan::History;
use crate::record::{FORMAT, Record, TABLE};
use crate::session::{Doubt, Session, Stop, Tell, Timeouts};
use crate::table;
use worker::Worker;

/// What a row says of how far its file is.
type Seen = (String, i32, bool);

/// A session.
pub(crate) struct Sqlite {
    path: PathBuf,
    name: String,
    worker: Option<Worker>,
    /// The rows as this session knows them.
    known: BTreeMap<String, Seen>,
    timeouts: Timeouts,
    foreign_keys: bool,
    /// How many rows referred to none before the transaction.
    orphans: Option<i64>,
}

impl Sqlite {
    /// Opens the file; one that is absent is made only by [`Session::prepare`].
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let mut session = Self {
            path: path.into(),
            name: path.display().to_string(),
            worker: None,
            known: BTreeMap::new(),
            timeouts: Timeouts::default(),
            foreign_keys: true,
            orphans: None,
        };
        if path.exists() {
            session.connect(false).await?;
        }
        Ok(session)
    }

    async fn connect(&mut self, create: bool) -> Result<(), Error> {
        let worker = Worker::open(&self.path, create).map_err(|error| self.error("open the file", &error))?;
        let busy = self.timeouts.lock;
        let keys = worker.call(move |connection| {
            connection.busy_timeout(busy)?;
            connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))
        });
        self.foreign_keys = keys.await.map_err(|error| self.error("open the file", &error))?;
        self.worker = Some(worker);
        Ok(())
    }

    fn error(&self, operation: &str, error: &rusqlite::Error) -> Error {
        let full =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure));
        Error::Sqlite {
            operation: operation.into(),
            database: self.name.clone(),
            message: error.to_string(),
            full: full && error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            changed: Box::default(),
        }
    }

    fn stop(&self, error: &rusqlite::Error) -> Stop {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Stop::Lock(Vec::new()),
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) => {
                Stop::Other(self.error("run a statement", error))
            }
            code => Stop::Refused {
                message: words(error),
                state: code.map_or_else(|| "SQLite".into(), |code| format!("{code:?}")),
                too_long: false,
            },
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> rusqlite::Result<T> {
        match &self.worker {
            Some(worker) => worker.call(job).await,
            None => Err(rusqlite::Error::InvalidQuery),
        }
    }

    fn check(&self, path: &str, found: &Option<Seen>) -> Result<(), Error> {
        if path.is_empty() || self.known.get(path) == found.as_ref() {
            return Ok(());
        }
        Err(Error::Overtaken { database: self.name.clone() })
    }
}

/// What SQLite says, without the statement.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.chars().take(600).collect(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.chars().take(600).collect(),
        other => other.to_string().chars().take(600).collect(),
    }
}

fn seen(connection: &Connection, path: &str) -> rusqlite::Result<Option<Seen>> {
    connection
        .query_row(
            &format!("SELECT run, done, finished_at IS NOT NULL FROM {TABLE} WHERE path = ?1"),
            [path],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
}

/// How many rows refer to none, where the file has switched the check off.
fn orphans(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let on: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    if on {
        return Ok(None);
    }
    connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).map(Some)
}

/// Each value as text; bytes in hexadecimal digits.
fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<Option<String>>>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => None,
                ValueRef::Integer(number) => Some(number.to_string()),
                ValueRef::Real(number) => Some(number.to_string()),
                ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            })
        });
        found.push(values.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

impl Session for Sqlite {
    fn name(&self) -> &str {
        &self.name
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        self.worker = None;
        self.orphans = None;
        self.connect(false).await
    }

    async fn lock(&mut self) -> Result<Result<(), String>, Error> {
        Ok(Ok(()))
    }

    async fn unlock(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn history(&mut self) -> Result<History, Error> {
        self.known.clear();
        if self.worker.is_none() {
            return Ok(History::default());
        }
        if !self.has(TABLE, None).await? {
            return Ok(History { records: None, foreign: crate::adopt::find(self).await? });
        }
        let rows = self.rows(&table::select(TABLE, false)).await?;
        let broken = |reason| Error::Table { database: self.name.clone(), table: TABLE.into(), reason };
        let records = table::records(&rows).map_err(broken)?;
        for record in &records {
            self.known.insert(record.path.clone(), (record.run.clone(), record.done, record.finished()));
        }
        // An adoption that was cut short leaves the table empty.
        let foreign = if records.is_empty() { crate::adopt::find(self).await? } else { None };
        Ok(History { records: Some(records), foreign })
    }

    async fn prepare(&mut self) -> Result<(), Error> {
        if self.worker.is_none() {
            self.connect(true).await?;
        }
        let made = self.call(|connection| connection.execute_batch(&table::create(TABLE, false))).await;
        made.map_err(|error| match self.stop(&error) {
            Stop::Lock(_) => Error::Busy {
                database: self.name.clone(),
                holder: "another process holds the file; SQLite does not say which".into(),
                waited_sec: self.timeouts.lock.as_secs_f64(),
            },
            _ => self.error("make the table", &error),
        })
    }

    async fn arm(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.timeouts = *timeouts;
        let busy = timeouts.lock;
        let set = self.call(move |connection| connection.busy_timeout(busy)).await;
        set.map_err(|error| self.error("set up the session", &error))
    }

    async fn begin(&mut self, path: &str) -> Result<(), Stop> {
        let of = path.to_owned();
        let begun = self.call(move |connection| {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok((seen(connection, &of)?, orphans(connection)?))
        });
        let (found, orphans) = begun.await.map_err(|error| self.stop(&error))?;
        self.orphans = orphans;
        Ok(self.check(path, &found)?)
    }

    async fn run(&mut self, sql: &str, _: bool, _: &Tell<'_>) -> Result<(), Stop> {
        let Some(worker) = &self.worker else { return Err(self.stop(&rusqlite::Error::InvalidQuery)) };
        let sql = sql.to_owned();
        let ran = worker.call(move |connection| {
            let mut batch = rusqlite::Batch::new(connection, &sql);
            while let Some(mut statement) = batch.next()? {
                // What a SELECT calls is called for every row.
                let mut rows = statement.raw_query();
                while rows.next()?.is_some() {}
            }
            Ok(())
        });
        let Some(limit) = self.timeouts.statement else {
            return ran.await.map_err(|error| self.stop(&error));
        };
        let mut ran = std::pin::pin!(ran);
        tokio::select! {
            ran = &mut ran => ran.map_err(|error| self.stop(&error)),
            () = tokio::time::sleep(limit) => {
                worker.interrupt();
                match ran.await {
                    Ok(()) => Ok(()),
                    Err(error) => Err(match self.stop(&error) {
                        Stop::Refused { message, state, .. } => Stop::Refused { message, state, too_long: true },
                        other => other,
                    }),
                }
            }
        }
    }

    async fn write(&mut self, record: &Record, started: bool, finished: bool) -> Result<(), Stop> {
        let (row, known) = (record.clone(), self.known.get(&record.path).cloned());
        let written = self.call(move |connection| {
            let own = connection.is_autocommit();
            if own {
                connection.execute_batch("BEGIN IMMEDIATE")?;
            }
            let result = seen(connection, &row.path).and_then(|found| {
                if found != known {
                    return Ok(false);
                }
                put(connection, &row, started, finished).map(|()| true)
            });
            if own {
                connection.execute_batch(if matches!(result, Ok(true)) { "COMMIT" } else { "ROLLBACK" })?;
            }
            result
        });
        match written.await {
            Ok(true) => {
                let seen = (record.run.clone(), record.done, finished);
                self.known.insert(record.path.clone(), seen);
                Ok(())
            }
            Ok(false) => Err(Error::Overtaken { database: self.name.clone() }.into()),
            Err(error) => Err(self.stop(&error)),
        }
    }

    async fn commit(&mut self) -> Result<(), Stop> {
        let before = self.orphans.take();
        let committed = self.call(move |connection| {
            if let (Some(before), Some(after)) = (before, orphans(connection)?)
                && after > before
            {
                return Ok(Some(after - before));
            }
            connection.execute_batch("COMMIT").map(|()| None)
        });
        match committed.await.map_err(|error| self.stop(&error))? {
            None => Ok(()),
            Some(more) => Err(Stop::Refused {
                message: format!("{more} rows refer to rows that are not there (PRAGMA foreign_key_check)"),
                state: "ConstraintViolation".into(),
                too_long: false,
            }),
        }
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        if self.worker.is_none() {
            return Ok(());
        }
        let rolled =
            self.call(
                |connection| {
                    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
                },
            );
        rolled.await.map_err(|error| self.error("roll back", &error))?;
        // What was written in it is not there.
        let rows = self.rows(&format!("SELECT path, run, done, finished_at IS NOT NULL FROM {TABLE}")).await;
        if let Ok(rows) = rows {
            self.known = rows
                .into_iter()
                .filter_map(|row| {
                    let mut row = row.into_iter().flatten();
                    let (path, run) = (row.next()?, row.next()?);
                    Some((path, (run, row.next()?.parse().ok()?, row.next()? == "1")))
                })
                .collect();
        }
        Ok(())
    }

    async fn doubt(&mut self, _: &ScriptStatement) -> Result<Doubt, Stop> {
        // PRAGMA, VACUUM, ATTACH: to do them again is to do them once.
        Ok(Doubt::Again(None))
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        let sql = sql.to_owned();
        let rows = self.call(move |connection| texts(connection, &sql)).await;
        rows.map_err(|error| self.error("look into the database", &error))
    }

    async fn has(&mut self, table: &str, column: Option<&str>) -> Result<bool, Error> {
        // The file is not there yet.
        if self.worker.is_none() {
            return Ok(false);
        }
        let (table, column) = (table.to_owned(), column.map(str::to_owned));
        let found = self.call(move |connection| match column {
            None => connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)",
                [table],
                |row| row.get(0),
            ),
            Some(column) => connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)",
                [table, column],
                |row| row.get(0),
            ),
        });
        found.await.map_err(|error| self.error("look into the database", &error))
    }

    fn postgres(&self) -> bool {
        false
    }

    async fn reset(&mut self) -> Result<(), Error> {
        let (keys, busy) = (self.foreign_keys, self.timeouts.lock);
        let reset = self.call(move |connection| {
            connection.busy_timeout(busy.max(Duration::from_millis(1)))?;
            connection.pragma_update(None, "foreign_keys", keys)?;
            connection.pragma_update(None, "legacy_alter_table", false)
        });
        reset.await.map_err(|error| self.error("set up the session", &error))
    }
}

fn put(connection: &Connection, record: &Record, started: bool, finished: bool) -> rusqlite::Result<()> {
    connection
        .execute(
            &table::upsert(TABLE, false),
            params![
                record.path,
                record.version,
                record.checksum,
                record.class,
                record.release,
                record.origin,
                record.applied_by,
                record.run,
                record.duration_ms,
                record.statements,
                record.done,
                record.done_checksum,
                record.in_doubt,
                record.failure,
                table::list(&record.backfills),
                FORMAT,
                started,
                finished,
            ],
        )
        .map(drop)
}
