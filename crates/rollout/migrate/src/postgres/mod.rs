//! PostgreSQL under the runner. Whoever runs holds a session-level advisory lock;
//! the server gives it back when the session ends, whichever way that is.

mod doubt;
mod watch;

use std::time::Duration;

use plimsoll_database::tokio_postgres::SimpleQueryMessage;
use plimsoll_database::{Address, Connection, Options, connect_to};
use plimsoll_evidence_migration_lint::ScriptStatement;

use crate::Error;
use crate::plan::History;
use crate::record::{FORMAT, Record, TABLE};
use crate::session::{Doubt, Session, Stop, Tell, Timeouts};
use crate::table;

/// The advisory lock: "plim", "migr". One for a database.
const LOCK: (i32, i32) = (0x706c_696d, 0x6d69_6772);

/// A session.
pub(crate) struct Postgres {
    address: Address,
    options: Options,
    name: String,
    connection: Connection,
    /// Sees who is in the way while the other one waits; made when it is needed.
    monitor: Option<Connection>,
    pid: i32,
    /// The table with its schema, quoted.
    table: Option<String>,
    timeouts: Timeouts,
    in_transaction: bool,
}

impl Postgres {
    /// Connects.
    pub(crate) async fn open(address: Address, actor: &str) -> Result<Self, Error> {
        let mut application_name = format!("plimsoll migrate {actor}").trim_end().to_owned();
        // What is longer the server cuts off, with a notice.
        while application_name.len() > 63 {
            application_name.pop();
        }
        let options = Options { application_name, ..Options::default() };
        let connection = connect_to(&address, &options).await?;
        let mut session = Self {
            name: address.to_string(),
            address,
            options,
            connection,
            monitor: None,
            pid: 0,
            table: None,
            timeouts: Timeouts::default(),
            in_transaction: false,
        };
        session.greet().await?;
        Ok(session)
    }

    async fn greet(&mut self) -> Result<(), Error> {
        self.connection.notice_our_end().await?;
        let pid = self.text("SELECT pg_catalog.pg_backend_pid()").await?;
        self.pid = pid.and_then(|pid| pid.parse().ok()).unwrap_or(0);
        Ok(())
    }

    /// The first value of the first row.
    async fn text(&self, sql: &str) -> Result<Option<String>, Error> {
        Ok(query(&self.connection, sql)
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .flatten())
    }

    async fn batch(&self, sql: &str) -> Result<(), Stop> {
        self.connection.batch_execute(sql).await.map_err(|error| self.stop(error, Vec::new()))
    }

    /// What a refusal means.
    fn stop(
        &self,
        error: plimsoll_database::tokio_postgres::Error,
        blockers: Vec<crate::error::Blocker>,
    ) -> Stop {
        match self.connection.failed("run a statement", error) {
            plimsoll_database::Error::Query { state, message, .. } => match state.as_str() {
                // lock_not_available, deadlock_detected, serialization_failure.
                "55P03" | "40P01" | "40001" => Stop::Lock(blockers),
                _ => {
                    let too_long = state == "57014" && message.contains("statement timeout");
                    Stop::Refused { message, state: format!("SQLSTATE {state}"), too_long }
                }
            },
            other => Stop::Other(other.into()),
        }
    }

    /// Whether this very session holds the lock: behind a pooler that changes
    /// sessions between transactions it may be another one.
    async fn holds(&self) -> Result<(), Error> {
        let held = self
            .text(&format!(
                "SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = {} AND objid = {} \
                 AND objsubid = 2 AND granted AND pid = pg_catalog.pg_backend_pid()",
                LOCK.0, LOCK.1
            ))
            .await?;
        match held {
            Some(_) => Ok(()),
            None => Err(Error::LockLost { database: self.name.clone(), changed: Box::default() }),
        }
    }

    /// Who holds the lock, in words.
    pub(crate) async fn holder(&self) -> Result<Option<String>, Error> {
        let rows = query(
            &self.connection,
            &format!(
                "SELECT a.pid, a.application_name, a.usename, \
                 to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
                 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
                 WHERE l.locktype = 'advisory' AND l.classid = {} AND l.objid = {} AND l.objsubid = 2 \
                 AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database \
                 WHERE datname = pg_catalog.current_database())",
                LOCK.0, LOCK.1
            ),
        )
        .await?;
        Ok(rows.into_iter().next().map(|row| {
            let value = |at: usize| row.get(at).cloned().flatten().unwrap_or_else(|| "?".into());
            format!("pid {}, {} as {}, connected since {}", value(0), value(1), value(2), value(3))
        }))
    }

    async fn set_lock_timeout(&self, from: Duration, to: Duration) -> Result<(), Stop> {
        // A file that has set its own keeps it.
        self.batch(&format!(
            "SELECT pg_catalog.set_config('lock_timeout', '{}', false) FROM pg_catalog.pg_settings \
             WHERE name = 'lock_timeout' AND setting = '{}'",
            to.as_millis(),
            from.as_millis()
        ))
        .await
    }
}

/// The rows of a query, each value as text.
async fn query(connection: &Connection, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    let messages = connection.simple_query(sql).await;
    let messages = messages.map_err(|error| connection.failed("look into the database", error))?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

/// A text as SQL.
fn literal(text: &str) -> String {
    let text = text.replace('\0', "").replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

impl Session for Postgres {
    fn name(&self) -> &str {
        &self.name
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        self.monitor = None;
        self.in_transaction = false;
        self.connection = connect_to(&self.address, &self.options).await?;
        self.greet().await
    }

    async fn lock(&mut self) -> Result<Result<(), String>, Error> {
        let got =
            self.text(&format!("SELECT pg_catalog.pg_try_advisory_lock({}, {})", LOCK.0, LOCK.1)).await?;
        if got.as_deref() == Some("t") {
            return Ok(Ok(()));
        }
        Ok(Err(self.holder().await?.unwrap_or_else(|| "somebody who has just left".into())))
    }

    async fn unlock(&mut self) -> Result<(), Error> {
        let unlock = format!("SELECT pg_catalog.pg_advisory_unlock({}, {})", LOCK.0, LOCK.1);
        self.text(&unlock).await.map(drop)
    }

    async fn history(&mut self) -> Result<History, Error> {
        let schema = self
            .text(&format!(
                "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = pg_catalog.to_regclass('{TABLE}')"
            ))
            .await?;
        let Some(schema) = schema else {
            self.table = None;
            return Ok(History { records: None, foreign: crate::adopt::find(self).await? });
        };
        let table = table::qualified(&schema);
        let rows = query(&self.connection, &table::select(&table, true)).await?;
        let broken = |reason| Error::Table { database: self.name.clone(), table: table.clone(), reason };
        let records = table::records(&rows).map_err(broken)?;
        self.table = Some(table);
        // An adoption that was cut short leaves the table empty.
        let foreign = if records.is_empty() { crate::adopt::find(self).await? } else { None };
        Ok(History { records: Some(records), foreign })
    }

    async fn prepare(&mut self) -> Result<(), Error> {
        if self.table.is_some() {
            return Ok(());
        }
        let schema = self.text("SELECT pg_catalog.current_schema()").await?.ok_or_else(|| Error::Table {
            database: self.name.clone(),
            table: TABLE.into(),
            reason: "search_path names no schema in which it could be made".into(),
        })?;
        let table = table::qualified(&schema);
        let made = self.connection.batch_execute(&table::create(&table, true)).await;
        made.map_err(|error| self.connection.failed(format!("make the table {table}"), error))?;
        self.table = Some(table);
        Ok(())
    }

    async fn arm(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.timeouts = *timeouts;
        let set = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 0",
            timeouts.lock.as_millis(),
            timeouts.statement.map_or(0, |time| time.as_millis())
        );
        let set = self.connection.batch_execute(&set).await;
        set.map_err(|error| self.connection.failed("set up the session", error))?;
        self.connection.notice_our_end().await?;
        Ok(())
    }

    async fn begin(&mut self, _: &str) -> Result<(), Stop> {
        self.batch("BEGIN").await?;
        self.in_transaction = true;
        Ok(self.holds().await?)
    }

    async fn run(&mut self, sql: &str, alone: bool, tell: &Tell<'_>) -> Result<(), Stop> {
        let (usual, longer) = (self.timeouts.lock, self.timeouts.standalone_lock);
        if alone {
            self.holds().await?;
            self.set_lock_timeout(usual, longer).await?;
        }
        let mut watch = watch::Watch {
            address: &self.address,
            options: &self.options,
            monitor: &mut self.monitor,
            pid: self.pid,
        };
        let (ran, blockers) =
            watch.during(self.connection.batch_execute(sql), self.timeouts.lock, tell).await;
        let ran = ran.map_err(|error| self.stop(error, blockers));
        for notice in self.connection.notices() {
            tell(format!("{}: {}", notice.severity.to_lowercase(), notice.message));
        }
        if alone && !matches!(ran, Err(Stop::Other(_))) {
            self.set_lock_timeout(longer, usual).await?;
        }
        ran
    }

    async fn write(&mut self, record: &Record, started: bool, finished: bool) -> Result<(), Stop> {
        if self.in_transaction {
            // A file may have taken another role, which need not have rights on the table.
            self.batch("SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL role = DEFAULT").await?;
        }
        let Some(table) = &self.table else {
            return Err(Error::Table {
                database: self.name.clone(),
                table: TABLE.into(),
                reason: "it is not there".into(),
            }
            .into());
        };
        let backfills = table::list(&record.backfills);
        let written = self
            .connection
            .execute(
                &table::upsert(table, true),
                &[
                    &record.path,
                    &record.version,
                    &record.checksum,
                    &record.class,
                    &record.release,
                    &record.origin,
                    &record.applied_by,
                    &record.run,
                    &record.duration_ms,
                    &record.statements,
                    &record.done,
                    &record.done_checksum,
                    &record.in_doubt,
                    &record.failure,
                    &backfills,
                    &FORMAT,
                    &started,
                    &finished,
                ],
            )
            .await;
        written.map(drop).map_err(|error| self.stop(error, Vec::new()))
    }

    async fn commit(&mut self) -> Result<(), Stop> {
        let committed = self.batch("COMMIT").await;
        if committed.is_ok() {
            self.in_transaction = false;
        }
        committed
    }

    async fn rollback(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            return Ok(());
        }
        self.in_transaction = false;
        let rolled = self.connection.batch_execute("ROLLBACK").await;
        rolled.map_err(|error| self.connection.failed("roll back", error).into())
    }

    async fn doubt(&mut self, statement: &ScriptStatement) -> Result<Doubt, Stop> {
        doubt::look(self, statement).await
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        query(&self.connection, sql).await
    }

    async fn has(&mut self, table: &str, column: Option<&str>) -> Result<bool, Error> {
        let relation = format!("pg_catalog.to_regclass({})", literal(table));
        let found = match column {
            None => self.text(&format!("SELECT {relation}")).await?,
            Some(column) => {
                let column = literal(column);
                self.text(&format!(
                    "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = {relation} AND attname = {column}"
                ))
                .await?
            }
        };
        Ok(found.is_some())
    }

    fn postgres(&self) -> bool {
        true
    }

    async fn reset(&mut self) -> Result<(), Error> {
        let reset = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";
        let reset = self.connection.batch_execute(reset).await;
        reset.map_err(|error| self.connection.failed("set up the session", error))?;
        let timeouts = self.timeouts;
        self.arm(&timeouts).await
    }
}
