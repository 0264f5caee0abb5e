//! The store on SQLite: write-ahead log, full synchronisation, one writer at a
//! time across processes.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::Digest;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::Error;
use crate::entry::Row;
use crate::key::sync_parent;
use crate::project::Projection;
use crate::store::{Decide, End, Head, Held, LockRow, Prepare, Query, Store, Visit};

/// The schema this build writes.
pub const SCHEMA_VERSION: i64 = 1;
/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(20);
/// The largest value that is read out of the file, in bytes.
const MOST_VALUE: i32 = 16 << 20;

const SCHEMA: &str = include_str!("schema.sql");

/// An open database.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens the file, making it (0600) and its directory (0700) where absent.
    /// `first` gives the head of a ledger that is new.
    ///
    /// # Errors
    /// `LED-002`, `LED-003`, `LED-019`, and those of `first`.
    pub fn open(path: &Path, first: &mut dyn FnMut() -> Result<Head, Error>) -> Result<Self, Error> {
        let fail = |source: crate::error::Source| Error::Open { path: path.into(), source };
        make_file(path).map_err(|e| fail(e.into()))?;
        let mut connection = Connection::open(path).map_err(|e| fail(e.into()))?;
        let open = |e: rusqlite::Error| match read(e) {
            Error::Read { source } => fail(source),
            other => other,
        };
        prepare(&connection).map_err(open)?;
        match version(&connection).map_err(open)? {
            None => create(&mut connection, path, first)?,
            Some(found) => check_version(path, found)?,
        }
        Ok(Self { connection })
    }

    /// The connection, through which tests inject the database's own faults.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn make_file(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file.sync_all().and_then(|()| sync_parent(path)),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MOST_VALUE)?;
    // Changing the mode needs the file to itself for a moment, so only where
    // it is not set yet.
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;")
}

/// The schema version; `None` in a file that has no schema yet.
fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let there: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version')",
        [],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(None);
    }
    connection.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0))
}

fn check_version(path: &Path, found: i64) -> Result<(), Error> {
    if found > SCHEMA_VERSION {
        return Err(Error::NewerSchema { path: path.into(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// One transaction: a crash leaves an empty file, which is new again.
fn create(
    connection: &mut Connection,
    path: &Path,
    first: &mut dyn FnMut() -> Result<Head, Error>,
) -> Result<(), Error> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write)?;
    // Another process may have been first.
    if let Some(found) = version(&tx).map_err(read)? {
        return check_version(path, found);
    }
    let head = first()?;
    tx.execute_batch(SCHEMA).map_err(write)?;
    tx.execute("INSERT INTO schema_version (version) VALUES (?1)", [SCHEMA_VERSION]).map_err(write)?;
    tx.execute(
        "INSERT INTO head (id, origin, public_key, size, hash, peaks, checkpoint) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            head.origin,
            head.public_key,
            to_sql(head.size),
            head.hash.as_bytes(),
            join(&head.peaks),
            head.checkpoint
        ],
    )
    .map_err(write)?;
    tx.commit().map_err(write)
}

impl Store for Sqlite {
    fn end(&mut self) -> Result<End, Error> {
        let tx = self.connection.transaction().map_err(read)?;
        end(&tx)
    }

    fn append(&mut self, lock_of: Option<&str>, prepare: &mut Prepare<'_>) -> Result<(), Error> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write)?;
        // Dropping the transaction on any way out rolls it back.
        let mut end = end(&tx)?;
        if let Some(environment) = lock_of {
            end.lock = lock_row(&tx, environment)?;
        }
        let Some(batch) = prepare(&end)? else { return Ok(()) };
        {
            let mut insert = tx.prepare_cached(INSERT).map_err(write)?;
            for row in &batch.rows {
                let p = &row.projection;
                insert
                    .execute(params![
                        to_sql(row.seq),
                        row.at,
                        row.actor,
                        row.kind,
                        row.environment,
                        row.sha,
                        row.idempotency,
                        row.prev.as_bytes(),
                        row.hash.as_bytes(),
                        join(&row.nodes),
                        p.rollout,
                        p.repository_type,
                        p.direction,
                        p.outcome,
                        p.image,
                        p.duration_sec,
                        row.body,
                    ])
                    .map_err(write)?;
            }
            let head = &batch.head;
            tx.prepare_cached(
                "UPDATE head SET size = ?1, hash = ?2, peaks = ?3, checkpoint = ?4 WHERE id = 1",
            )
            .and_then(|mut update| {
                update.execute(params![
                    to_sql(head.size),
                    head.hash.as_bytes(),
                    join(&head.peaks),
                    head.checkpoint
                ])
            })
            .map_err(write)?;
        }
        tx.commit().map_err(write)
    }

    fn scan(&mut self, query: &Query, visit: &mut Visit<'_>) -> Result<(), Error> {
        let (sql, values) = crate::select::select(query);
        let mut statement = self.connection.prepare_cached(&sql).map_err(read)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(read)?;
        while let Some(row) = rows.next().map_err(read)? {
            if let ControlFlow::Break(()) = visit(row_of(row)?)? {
                break;
            }
        }
        Ok(())
    }

    fn lock(&mut self, environment: &str, decide: Option<&mut Decide<'_>>) -> Result<Option<LockRow>, Error> {
        let Some(decide) = decide else { return lock_row(&self.connection, environment) };
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(write)?;
        let row = lock_row(&tx, environment)?;
        let highest: i64 =
            tx.query_row("SELECT coalesce(max(last), 0) FROM fence", [], |row| row.get(0)).map_err(read)?;
        let Some(new) = decide(row.as_ref(), from_sql(highest)) else { return Ok(row) };
        let fence = to_sql(new.fence);
        tx.execute(
            "INSERT INTO fence (id, last) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET last = max(last, excluded.last)",
            [fence],
        )
        .map_err(write)?;
        let held = new.held.as_ref();
        let holder =
            held.map(|held| serde_json::to_string(&held.holder).expect("text and a number serialise"));
        tx.execute(
            "INSERT INTO locks (environment, fence, holder, since, lease_until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (environment) DO UPDATE SET fence = excluded.fence, holder = excluded.holder,
             since = excluded.since, lease_until = excluded.lease_until",
            params![
                environment,
                fence,
                holder,
                held.map(|held| held.since.to_string()),
                held.map(|held| held.lease_until.to_string())
            ],
        )
        .map_err(write)?;
        tx.commit().map_err(write)?;
        Ok(row)
    }

    fn inspect(&mut self) -> Result<Option<String>, Error> {
        let answer: String =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(read)?;
        Ok((answer != "ok").then_some(answer))
    }
}

const INSERT: &str = "INSERT INTO entries (seq, at, actor, kind, environment, sha, idempotency, prev, hash, nodes, \
     rollout, repository_type, direction, outcome, image, duration_sec, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

fn end(tx: &Transaction<'_>) -> Result<End, Error> {
    let head = tx
        .prepare_cached("SELECT origin, public_key, size, hash, peaks, checkpoint FROM head WHERE id = 1")
        .and_then(|mut select| {
            select
                .query_row([], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, Vec<u8>>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, Vec<u8>>(3)?,
                        row.get::<_, Vec<u8>>(4)?,
                        row.get::<_, String>(5)?,
                    ))
                })
                .optional()
        })
        .map_err(read)?;
    let malformed = |column| Error::Malformed { seq: 0, column };
    let (origin, public_key, size, hash, peaks, checkpoint) = head.ok_or(malformed("head"))?;
    let last = tx
        .prepare_cached("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
        .and_then(|mut select| {
            select.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()
        })
        .map_err(read)?;
    let last = match last {
        None => None,
        Some((seq, hash)) => {
            let seq = from_sql(seq);
            Some((seq, digest(&hash).ok_or(Error::Malformed { seq, column: "hash" })?))
        }
    };
    Ok(End {
        head: Head {
            origin,
            public_key: public_key.try_into().map_err(|_| malformed("head.public_key"))?,
            size: from_sql(size),
            hash: digest(&hash).ok_or(malformed("head.hash"))?,
            peaks: split(&peaks).ok_or(malformed("head.peaks"))?,
            checkpoint,
        },
        last,
        lock: None,
    })
}

fn lock_row(connection: &Connection, environment: &str) -> Result<Option<LockRow>, Error> {
    type Columns = (i64, Option<String>, Option<String>, Option<String>);
    let found: Option<Columns> = connection
        .query_row(
            "SELECT fence, holder, since, lease_until FROM locks WHERE environment = ?1",
            [environment],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()
        .map_err(read)?;
    let Some((fence, holder, since, lease_until)) = found else { return Ok(None) };
    let bad = |column| Error::Malformed { seq: 0, column };
    let time = |text: Option<String>, column| -> Result<Timestamp, Error> {
        text.and_then(|text| text.parse().ok()).ok_or(bad(column))
    };
    let held = match holder {
        None => None,
        Some(holder) => Some(Held {
            holder: serde_json::from_str(&holder).map_err(|_| bad("locks.holder"))?,
            since: time(since, "locks.since")?,
            lease_until: time(lease_until, "locks.lease_until")?,
        }),
    };
    Ok(Some(LockRow { fence: from_sql(fence), held }))
}

/// Reads a row of [`crate::select::COLUMNS`].
fn row_of(row: &rusqlite::Row<'_>) -> Result<Row, Error> {
    let seq = from_sql(row.get::<_, i64>(0).map_err(read)?);
    let column = |index: usize, name: &'static str| -> Result<ValueRef<'_>, Error> {
        row.get_ref(index).map_err(|_| Error::Malformed { seq, column: name })
    };
    let bad = |name| Error::Malformed { seq, column: name };
    let optional = |index, name| -> Result<Option<String>, Error> {
        match column(index, name)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| bad(name))
            }
            _ => Err(bad(name)),
        }
    };
    let text = |index, name| optional(index, name)?.ok_or(bad(name));
    let blob = |index, name| match column(index, name)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(bad(name)),
    };
    Ok(Row {
        seq,
        at: text(1, "at")?,
        actor: text(2, "actor")?,
        kind: text(3, "kind")?,
        environment: optional(4, "environment")?,
        sha: optional(5, "sha")?,
        idempotency: optional(6, "idempotency")?,
        prev: digest(blob(7, "prev")?).ok_or(bad("prev"))?,
        hash: digest(blob(8, "hash")?).ok_or(bad("hash"))?,
        nodes: split(blob(9, "nodes")?).ok_or(bad("nodes"))?,
        projection: Projection {
            rollout: optional(10, "rollout")?,
            repository_type: optional(11, "repository_type")?,
            direction: optional(12, "direction")?,
            outcome: optional(13, "outcome")?,
            image: optional(14, "image")?,
            duration_sec: match column(15, "duration_sec")? {
                ValueRef::Null => None,
                ValueRef::Real(seconds) => Some(seconds),
                _ => return Err(bad("duration_sec")),
            },
        },
        body: match column(16, "body")? {
            ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => return Err(bad("body")),
        },
    })
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest::from_sha256)
}

fn join(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> Option<Vec<Digest>> {
    let whole = bytes.len().is_multiple_of(32) && bytes.len() <= 64 * 32;
    whole.then(|| bytes.chunks_exact(32).filter_map(digest).collect())
}

/// Positions and fences are far below 2^63.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn read(error: rusqlite::Error) -> Error {
    if damaged(&error) {
        return Error::Corrupt { source: error.into() };
    }
    Error::Read { source: error.into() }
}

fn write(error: rusqlite::Error) -> Error {
    if damaged(&error) {
        return Error::Corrupt { source: error.into() };
    }
    Error::Write { source: error.into() }
}

/// The file behind `sqlite://PATH`.
pub(crate) fn path_of(url: &str) -> Result<PathBuf, Error> {
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        // An address may carry a password before its `@`.
        _ => Err(Error::Url {
            url: url.split_once("://").map_or("", |(scheme, _)| scheme).to_owned() + "://…",
        }),
    }
}
