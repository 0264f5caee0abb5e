//! SQLite: one connection, and a lock on a file beside the database that the system
//! gives back when the process dies.

mod inspect;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params_from_iter,
};

use crate::Error;
use crate::declaration::Declaration;
use crate::driver::{Batch, Driver, End, Inspected};
use crate::key::{Key, Part};
use crate::postgres::pause_file;
use crate::retry::{Fault, Kind};
use crate::run::Options;
use crate::state::{COLUMNS, ROWS_CHANGED, Row, State, TABLE, Texts};
use crate::throttle::Reading;

/// Beside the database; it stays there, and its content says who has the lock.
const LOCK_SUFFIX: &str = "-plimsoll-backfill.lock";
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;
/// How often a lock that somebody holds is asked for.
const POLL: Duration = Duration::from_millis(50);
/// What the holder of the lock writes about itself, at most.
const LONGEST_HOLDER: u64 = 1_000;

/// Opens a database that is there.
pub(crate) fn open(path: &Path, busy: Duration) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| failure("open it", path, &error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(busy).map_err(failed)?;
    Ok(connection)
}

pub(crate) fn failure(operation: &str, path: &Path, error: &rusqlite::Error) -> Error {
    Error::Sqlite { operation: operation.into(), path: path.display().to_string(), says: error.to_string() }
}

/// Whether the table of backfills is there.
pub(crate) fn has_table(connection: &Connection) -> rusqlite::Result<bool> {
    connection.table_exists(None, TABLE)
}

/// The rows of progress.
pub(crate) fn rows(connection: &Connection, name: Option<&str>) -> rusqlite::Result<Vec<Texts>> {
    let columns = COLUMNS.map(|(column, ..)| format!("CAST({column} AS TEXT)")).join(", ");
    let sql = format!("SELECT {columns} FROM {TABLE} WHERE ?1 IS NULL OR name = ?1 ORDER BY name");
    let mut statement = connection.prepare(&sql)?;
    let found = statement.query_map([name], |row| (0..COLUMNS.len()).map(|at| row.get(at)).collect())?;
    found.collect()
}

/// Sets the state of backfills that are in one of some states; the names.
pub(crate) fn set_state(
    connection: &Connection,
    names: &[String],
    from: &[State],
    to: State,
    at: &str,
) -> rusqlite::Result<Vec<String>> {
    let mut done = Vec::new();
    for name in names {
        for state in from {
            let sql =
                format!("UPDATE {TABLE} SET state = ?1, updated_at = ?2 WHERE name = ?3 AND state = ?4");
            if connection.execute(&sql, [to.as_str(), at, name, state.as_str()])? == 1 {
                done.push(name.clone());
                break;
            }
        }
    }
    Ok(done)
}

/// Removes a row of progress.
pub(crate) fn forget(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
    connection.execute(&format!("DELETE FROM {TABLE} WHERE name = ?1"), [name])
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK_SUFFIX);
    name.into()
}

/// Who works on backfills of this database; nobody where the lock can be had.
pub(crate) fn holder(path: &Path, name: &str) -> Option<String> {
    let file = OpenOptions::new().read(true).write(true).open(lock_path(path)).ok()?;
    if file.try_lock().is_ok() {
        return None;
    }
    let said = written(&file);
    let (works_on, who) = said.split_once('\n')?;
    (works_on == name).then(|| who.trim().to_owned())
}

/// What the holder of the lock wrote; nothing where it cannot be read.
fn written(mut file: &File) -> String {
    let mut said = String::new();
    let _ = Read::by_ref(&mut file).take(LONGEST_HOLDER).read_to_string(&mut said);
    said
}

/// Takes the lock of the database's backfills, and waits a little for it.
pub(crate) async fn lock(path: &Path, name: &str, runner: &str, wait: Duration) -> Result<File, Error> {
    let lock = lock_path(path);
    let failed = |error: std::io::Error| Error::Sqlite {
        operation: "lock the file beside it".into(),
        path: lock.display().to_string(),
        says: error.to_string(),
    };
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
    let mut file = opened.map_err(failed)?;
    let until = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() >= until => {
                let holder = written(&file).replace('\n', ": ");
                return Err(Error::Held { name: name.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(std::fs::TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
        }
    }
    // Only for whoever waits: what cannot be written is no reason to stop.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{name}\n{runner}\n"));
    Ok(file)
}

/// One backfill of a database file.
pub(crate) struct Sqlite {
    path: PathBuf,
    options: Options,
    declaration: Option<Arc<Declaration>>,
    connection: Option<Connection>,
    _lock: Option<File>,
}

impl Sqlite {
    pub(crate) fn new(path: PathBuf, options: &Options) -> Self {
        Self { path, options: options.clone(), declaration: None, connection: None, _lock: None }
    }

    fn declaration(&self) -> Arc<Declaration> {
        Arc::clone(self.declaration.as_ref().expect("`begin` comes first and sets it"))
    }

    fn connection(&mut self) -> Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::new(Kind::Lost, "connection", "there is no connection"))
    }

    fn failed(&self, operation: &str) -> impl Fn(rusqlite::Error) -> Error {
        let (path, operation) = (self.path.clone(), operation.to_owned());
        move |error| failure(&operation, &path, &error)
    }

    fn connect(&mut self) -> Result<(), Error> {
        self.connection = None;
        let connection = open(&self.path, self.options.lock_timeout)?;
        let columns = COLUMNS.map(|(column, _, of)| format!("{column} {of}")).join(", ");
        connection
            .execute_batch(&format!("CREATE TABLE IF NOT EXISTS {TABLE} ({columns})"))
            .map_err(self.failed(&format!("make the table {TABLE}")))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Runs with a deadline for each statement.
    fn timed<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let until = Instant::now() + self.options.statement_timeout;
        let connection = self.connection()?;
        let set = connection.progress_handler(STEPS, Some(move || Instant::now() >= until));
        set.map_err(|error| fault(&error))?;
        let done = work(connection);
        // It is set again by the next one; a handler that stays would stop it.
        let _ = connection.progress_handler(0, None::<fn() -> bool>);
        done.map_err(|error| fault(&error))
    }

    fn bound(&self, after: usize) -> Vec<String> {
        (1..=self.declaration().walk.key.len()).map(|at| format!("?{}", after + at)).collect()
    }

    fn bounds(&self, above: bool) -> (Option<Vec<String>>, Vec<String>) {
        let width = self.declaration().walk.key.len();
        if above { (Some(self.bound(0)), self.bound(width)) } else { (None, self.bound(0)) }
    }

    /// `FROM table WHERE key > … AND key <= … ORDER BY key`.
    fn range(&self, above: bool) -> String {
        let declaration = self.declaration();
        let (above, up_to) = self.bounds(above);
        let key = declaration.walk.key_sql();
        let row = |values: &[String]| match values {
            [one] => one.clone(),
            several => format!("({})", several.join(", ")),
        };
        let above = above.map(|above| format!("{} > {} AND ", row(&key), row(&above))).unwrap_or_default();
        format!(
            "FROM {} WHERE {above}{} <= {} ORDER BY {}",
            declaration.walk.table_sql(),
            row(&key),
            row(&up_to),
            key.join(", ")
        )
    }
}

/// What SQLite's error means for the next attempt.
fn fault(error: &rusqlite::Error) -> Fault {
    let (state, kind) = match error {
        rusqlite::Error::SqliteFailure(inner, _) => {
            let kind = match inner.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::Contention,
                ErrorCode::OperationInterrupted => Kind::TooLong,
                ErrorCode::DiskFull => Kind::Full,
                ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => Kind::Row,
                ErrorCode::SchemaChanged => Kind::Gone,
                // `no such table` and a division by zero in a function have one code.
                ErrorCode::Unknown if error.to_string().starts_with("no such ") => Kind::Gone,
                ErrorCode::Unknown => Kind::Row,
                _ => Kind::Other,
            };
            (format!("SQLite {}", inner.extended_code), kind)
        }
        rusqlite::Error::SqlInputError { msg, .. } if msg.starts_with("no such ") => {
            ("SQLite 1".into(), Kind::Gone)
        }
        _ => ("SQLite".into(), Kind::Other),
    };
    Fault::new(kind, state, error.to_string())
}

fn values(keys: [Option<&Key>; 2]) -> Vec<Value> {
    let parts = keys.into_iter().flatten().flat_map(|key| &key.0);
    parts
        .map(|part| match part {
            Part::Integer(number) => Value::Integer(*number),
            Part::Text(text) => Value::Text(text.clone()),
            Part::Bytes { hex } => Value::Blob(bytes(hex)),
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits.filter_map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

fn key(row: &rusqlite::Row<'_>, width: usize) -> rusqlite::Result<Key> {
    let part = |at: usize| {
        Ok(match row.get_ref(at)? {
            ValueRef::Integer(number) => Part::Integer(number),
            ValueRef::Text(text) => Part::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(blob) => {
                Part::Bytes { hex: blob.iter().map(|byte| format!("{byte:02x}")).collect() }
            }
            other @ (ValueRef::Real(_) | ValueRef::Null) => {
                return Err(rusqlite::Error::InvalidColumnType(at, "the key".into(), other.data_type()));
            }
        })
    };
    (0..width).map(part).collect::<rusqlite::Result<_>>().map(Key)
}

impl Driver for Sqlite {
    async fn begin(&mut self, declaration: &Declaration) -> Result<(), Error> {
        self.declaration = Some(Arc::new(declaration.clone()));
        // A file that is not there is not made.
        drop(open(&self.path, self.options.lock_timeout)?);
        let (name, runner) = (&declaration.walk.name, &self.options.runner);
        self._lock = Some(lock(&self.path, name, runner, self.options.lock_wait).await?);
        self.connect()
    }

    async fn again(&mut self) -> Result<(), Error> {
        self.connect()
    }

    async fn inspect(&mut self) -> Result<Inspected, Error> {
        let declaration = self.declaration();
        let failed = self.failed("look at the table");
        let sql = [false, true].map(|above| {
            let (above, up_to) = self.bounds(above);
            declaration.statement.sql(above.as_deref(), &up_to)
        });
        let Some(connection) = &self.connection else { return Ok(Inspected::default()) };
        inspect::table(connection, &declaration).map_err(failed)??;
        for sql in sql {
            connection.prepare(&sql).map_err(|error| Error::NotInDatabase {
                name: declaration.walk.name.clone(),
                origin: declaration.origin.clone(),
                why: format!("SQLite does not take its statement: {error}"),
                hint: "mend the statement; where what it names is still to be made, run `plimsoll migrate apply` first"
                    .into(),
            })?;
        }
        // The planner's statistics, where ANALYZE has been run.
        let table = declaration.walk.table.rsplit('.').next().unwrap_or_default().to_owned();
        let sql = "SELECT CAST(substr(stat, 1, instr(stat || ' ', ' ')) AS INTEGER) FROM sqlite_stat1 \
                   WHERE tbl = ?1 COLLATE NOCASE LIMIT 1";
        let rows: Option<i64> =
            connection.query_row(sql, [table], |row| row.get(0)).optional().unwrap_or(None);
        Ok(Inspected { rows: rows.and_then(|rows| u64::try_from(rows).ok()).filter(|rows| *rows > 0) })
    }

    async fn load(&mut self) -> Result<Option<Row>, Error> {
        let name = self.declaration().walk.name.clone();
        let failed = self.failed("read the progress of backfills");
        let Some(connection) = &self.connection else { return Ok(None) };
        match rows(connection, Some(&name)).map_err(failed)?.first() {
            Some(texts) => Row::from_texts(texts).map(Some).map_err(|why| Error::Progress { name, why }),
            None => Ok(None),
        }
    }

    async fn put(&mut self, row: &Row) -> Result<(), Fault> {
        let places: Vec<String> = (1..=COLUMNS.len()).map(|at| format!("?{at}")).collect();
        let sql = format!(
            "INSERT OR REPLACE INTO {TABLE} ({}) VALUES ({})",
            COLUMNS.map(|(column, ..)| column).join(", "),
            places.join(", ")
        );
        let texts = row.to_texts();
        self.timed(|connection| connection.execute(&sql, params_from_iter(texts))).map(drop)
    }

    async fn save(&mut self, row: &Row, was: State) -> Result<bool, Fault> {
        let mut texts = row.to_texts();
        texts.push(Some(was.as_str().into()));
        let done = self.timed(|connection| connection.execute(&save(), params_from_iter(texts)))?;
        Ok(done == 1)
    }

    async fn ends(&mut self) -> Result<Option<(Key, Key)>, Fault> {
        let walk = self.declaration().walk.clone();
        let (keys, table, width) = (walk.key_sql(), walk.table_sql(), walk.key.len());
        let one = |direction: &str| {
            let order: Vec<String> = keys.iter().map(|column| format!("{column} {direction}")).collect();
            format!("SELECT {} FROM {table} ORDER BY {} LIMIT 1", keys.join(", "), order.join(", "))
        };
        let (first, last) = (one("ASC"), one("DESC"));
        self.timed(|connection| {
            let read = |sql: &str| connection.query_row(sql, [], |row| key(row, width)).optional();
            Ok(read(&first)?.zip(read(&last)?))
        })
    }

    async fn end(&mut self, above: Option<&Key>, up_to: &Key, rows: u64) -> Result<End, Fault> {
        let walk = self.declaration().walk.clone();
        let range = self.range(above.is_some());
        let mut parameters = values([above, Some(up_to)]);
        let width = walk.key.len();
        let sql =
            format!("SELECT {} {range} LIMIT 1 OFFSET ?{}", walk.key_sql().join(", "), parameters.len() + 1);
        let offset = i64::try_from(rows.saturating_sub(1)).unwrap_or(i64::MAX);
        self.timed(|connection| {
            parameters.push(Value::Integer(offset));
            let mut statement = connection.prepare_cached(&sql)?;
            let found =
                statement.query_row(params_from_iter(&parameters), |row| key(row, width)).optional()?;
            if let Some(key) = found {
                return Ok(End { key, rows });
            }
            parameters.pop();
            let sql = format!("SELECT count(*) FROM (SELECT 1 {range})");
            let rows: i64 = connection.query_row(&sql, params_from_iter(&parameters), |row| row.get(0))?;
            Ok(End { key: up_to.clone(), rows: u64::try_from(rows).unwrap_or(0) })
        })
    }

    async fn batch(&mut self, above: Option<&Key>, next: &Row) -> Result<Batch, Fault> {
        let (lower, upper) = self.bounds(above.is_some());
        let sql = self.declaration().statement.sql(lower.as_deref(), &upper);
        let parameters = values([above, next.above.as_ref()]);
        let mut texts = next.to_texts();
        let above = above.map(Key::to_text);
        self.timed(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let fence = format!("SELECT 1 FROM {TABLE} WHERE name = ?1 AND state = 'open' AND above IS ?2");
            let found =
                transaction.prepare_cached(&fence)?.query_row((&next.name, above), |_| Ok(())).optional()?;
            if found.is_none() {
                return Ok(Batch::Moved);
            }
            let changed = transaction.prepare_cached(&sql)?.execute(params_from_iter(parameters))?;
            let changed = u64::try_from(changed).unwrap_or(0);
            texts[ROWS_CHANGED] = Some((next.rows_changed + changed).to_string());
            texts.push(Some(State::Open.as_str().into()));
            transaction.prepare_cached(&save())?.execute(params_from_iter(texts))?;
            transaction.commit()?;
            Ok(Batch::Done(changed))
        })
    }

    async fn left(&mut self, above: Option<&Key>, up_to: Option<&Key>) -> Result<bool, Fault> {
        let width = self.declaration().walk.key.len();
        let lower = above.map(|_| self.bound(0));
        let upper = up_to.map(|_| self.bound(if above.is_some() { width } else { 0 }));
        let Some(sql) = self.declaration().statement.left(lower.as_deref(), upper.as_deref()) else {
            return Ok(false);
        };
        let parameters = values([above, up_to]);
        let found = self.timed(|connection| {
            connection.query_row(&sql, params_from_iter(parameters), |_| Ok(())).optional()
        })?;
        Ok(found.is_some())
    }

    async fn look(&mut self) -> Vec<Reading> {
        self.options.thresholds.pause_file.iter().map(|file| pause_file(file)).collect()
    }
}

/// `UPDATE plimsoll_backfills SET … WHERE name = ?1 AND state = ?n`.
fn save() -> String {
    let set: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .skip(1)
        .map(|(at, (column, ..))| format!("{column} = ?{}", at + 1))
        .collect();
    format!("UPDATE {TABLE} SET {} WHERE name = ?1 AND state = ?{}", set.join(", "), COLUMNS.len() + 1)
}
