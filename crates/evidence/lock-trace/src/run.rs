//! Runs the migrations on the scratch database and records what each statement does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use plimsoll_database::tokio_postgres::SimpleQueryMessage;
use plimsoll_database::{Connection, Error as DatabaseError};
use plimsoll_evidence_migration_lint as lint;
use plimsoll_evidence_migration_lint::{
    File, Released, Script, ScriptStatement, Traced, TracedLock, TracedOn, scripts,
};
use plimsoll_model::Secret;

use crate::follow::{Beside, follow};
use crate::outside::beyond;
use crate::scratch::{Scratch, value};
use crate::snapshot::{QUERY, RELATIONS, Snapshot};
use crate::{Error, FoundColumn, Options, Trace, TracedFile, TracedStatement};

/// How long after its time-out a statement may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Runs migrations on a scratch database of the server at `url`, the released ones
/// first, and says what each statement of the others did.
///
/// # Errors
/// When there is no scratch database to be had, the released migrations fail, or it
/// takes too long. A new migration that fails is no error: the trace says where.
pub async fn trace(
    url: &Secret,
    files: &[File],
    judge: &lint::Options,
    options: &Options,
) -> Result<Trace, Error> {
    let cut = scripts(files, judge)?;
    let scratch = Scratch::create(url).await?;
    let server = scratch.server.clone();
    let traced = tokio::time::timeout(options.whole, in_scratch(&scratch, &cut.files, judge, options)).await;
    let left_behind = scratch.drop().await;
    let (files, columns) = match traced {
        Ok(traced) => traced?,
        Err(_) => {
            let file = cut.files.last().map(|file| file.path.clone()).unwrap_or_default();
            return Err(Error::TooLong { most: format!("{} s", options.whole.as_secs()), file });
        }
    };
    Ok(Trace { on: TracedOn { server, rows: options.rows.is_some(), left_behind }, files, columns })
}

async fn in_scratch(
    scratch: &Scratch,
    files: &[Script],
    judge: &lint::Options,
    options: &Options,
) -> Result<(Vec<TracedFile>, Vec<FoundColumn>), Error> {
    let work = scratch.connect().await?;
    work.notice_our_end().await?;
    let beside = Beside { watch: scratch.connect().await?, hold: scratch.connect().await? };
    let pid = work
        .simple_query("SELECT pg_catalog.pg_backend_pid()")
        .await
        .map_err(|error| work.failed("look at the session", error))?;
    let pid = value(&pid, 0).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut run = Run { work, beside, pid, options, released: BTreeSet::new() };
    let is_released = |path: &str| matches!(&judge.released, Released::Files(of) if of.contains(path));
    let mut rows = options.rows.as_deref();
    let mut found = Vec::new();
    // A released file may come after a new one, by its number; it ran before.
    let (before, new): (Vec<&Script>, Vec<&Script>) = files.iter().partition(|file| is_released(&file.path));
    for file in before {
        let done = run.file(file).await?;
        let failed = done.statements.iter().find_map(|it| Some((it.line, it.traced.failed.clone()?)));
        if let Some((line, says)) = failed.filter(|_| !options.keep_going) {
            return Err(Error::Released { file: file.path.clone(), line, says });
        }
        if let Some(says) = done.ended.filter(|_| !options.keep_going) {
            return Err(Error::Released { file: file.path.clone(), line: 1, says });
        }
    }
    for (at, file) in new.iter().enumerate() {
        if at == 0
            && let Some(sql) = rows.take()
        {
            run.rows(sql).await?;
        }
        if at == 0 || matches!(judge.released, Released::EachFile) {
            run.released = run.snapshot(QUERY).await?.relations.keys().copied().collect();
        }
        let done = run.file(file).await?;
        let ended = done.ended.is_some();
        found.push(done);
        if ended && !options.keep_going {
            let reason = format!("{} did not run to its end", file.path);
            found.extend(new[at + 1..].iter().map(|later| TracedFile {
                file: later.path.clone(),
                statements: Vec::new(),
                ended: Some(reason.clone()),
            }));
            break;
        }
    }
    run.fresh().await?;
    let columns = columns(&run.own(COLUMNS).await?);
    let Run { work, beside, .. } = run;
    work.close().await;
    beside.watch.close().await;
    beside.hold.close().await;
    Ok((found, columns))
}

/// The columns of all tables that no extension brought.
const COLUMNS: &str = "\
SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2, a.attnum";

fn columns(messages: &[SimpleQueryMessage]) -> Vec<FoundColumn> {
    let found = messages.iter().filter_map(|message| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        let text = |at: usize| row.get(at).unwrap_or_default().to_owned();
        let nullable = row.get(4) == Some("f");
        Some(FoundColumn {
            table: if row.get(0) == Some("public") { text(1) } else { format!("{}.{}", text(0), text(1)) },
            name: text(2),
            sql_type: text(3),
            nullable,
            may_be_left_out: nullable || row.get(5) == Some("t"),
        })
    });
    found.collect()
}

struct Run<'a> {
    work: Connection,
    beside: Beside,
    pid: i32,
    options: &'a Options,
    /// What was there before the release.
    released: BTreeSet<u32>,
}

/// A statement that did not come off.
struct Refused {
    state: String,
    says: String,
}

impl Run<'_> {
    /// Sends SQL of a migration; ends it when it takes too long.
    async fn send(&self, sql: &str) -> Result<Result<Duration, Refused>, Error> {
        let start = Instant::now();
        let sent = self.work.simple_query(sql);
        tokio::pin!(sent);
        let mut ended = false;
        let answer = loop {
            // Its own time-out comes first, unless the migration took that back.
            let most = if ended { GRACE } else { self.options.statement + GRACE };
            match tokio::time::timeout(most, &mut sent).await {
                Ok(answer) => break answer,
                Err(_) if !ended => {
                    self.work.cancel().await;
                    ended = true;
                }
                Err(_) => {
                    let sql = format!("SELECT pg_catalog.pg_terminate_backend({})", self.pid);
                    let _ = self.beside.watch.simple_query(&sql).await;
                    ended = true;
                }
            }
        };
        match answer {
            Ok(_) => Ok(Ok(start.elapsed())),
            Err(error) => match self.work.failed("run a statement", error) {
                DatabaseError::Query { state, message, .. } => Ok(Err(Refused { state, says: message })),
                other => Err(other.into()),
            },
        }
    }

    /// Sends our own.
    async fn own(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        let answer = self.work.simple_query(sql).await;
        answer.map_err(|error| self.work.failed("follow a migration", error).into())
    }

    async fn snapshot(&self, sql: &str) -> Result<Snapshot, Error> {
        Ok(Snapshot::read(&self.own(sql).await?))
    }

    /// A session as a runner begins with. What a file sets ends with it.
    async fn fresh(&self) -> Result<(), Error> {
        let statement = self.options.statement.as_millis();
        self.own("ROLLBACK").await?;
        self.own("RESET SESSION AUTHORIZATION").await?;
        self.own("RESET ALL").await?;
        self.own(&format!("SET statement_timeout = {statement}; SET lock_timeout = 10000")).await.map(drop)
    }

    async fn rows(&self, sql: &str) -> Result<(), Error> {
        self.fresh().await?;
        match self.send(sql).await? {
            Ok(_) => self.own("COMMIT").await.map(drop),
            Err(refused) => Err(Error::Rows { says: refused.says }),
        }
    }

    async fn file(&self, file: &Script) -> Result<TracedFile, Error> {
        let mut done = TracedFile { file: file.path.clone(), statements: Vec::new(), ended: None };
        if let Some(what) = file.unsupported.first() {
            done.ended = Some(format!("line {}: {} is not run", what.line, what.what));
            return Ok(done);
        }
        if let Some(name) = file.placeholders.first() {
            done.ended = Some(format!("nobody says what ${{{name}}} is"));
            return Ok(done);
        }
        self.fresh().await?;
        let groups = file.statements.chunk_by(|one, next| one.transaction == next.transaction);
        for group in groups {
            let before = done.statements.len();
            self.group(group, &mut done).await?;
            let failed = done.statements[before..].iter().find(|it| it.traced.failed.is_some());
            if let Some(failed) = failed.filter(|_| !self.options.keep_going) {
                let says = failed.traced.failed.clone().unwrap_or_default();
                done.ended = Some(format!("line {} failed: {says}", failed.line));
                break;
            }
        }
        Ok(done)
    }

    /// Statements of one transaction.
    async fn group(&self, group: &[ScriptStatement], done: &mut TracedFile) -> Result<(), Error> {
        let mut push = |statement: &ScriptStatement, traced: Traced| {
            let (line, column) = (statement.line, statement.column);
            done.statements.push(TracedStatement { line, column, traced });
        };
        if let [statement] = group {
            if let Some(what) = beyond(&statement.sql) {
                push(statement, not_run(&what));
                return Ok(());
            }
            if statement.standalone.is_some() {
                push(statement, self.alone(statement).await?);
                return Ok(());
            }
            if statement.setting {
                // It is for the statements after it.
                push(statement, self.plain(statement).await?);
                return Ok(());
            }
        }
        self.own("BEGIN").await?;
        let mut before = self.snapshot(QUERY).await?;
        for statement in group {
            if let Some(what) = beyond(&statement.sql) {
                push(statement, not_run(&what));
                continue;
            }
            // Backfills run in batches elsewhere; what they are made of may not be
            // SQL as it is.
            let forgiving = self.options.keep_going || statement.backfill.is_some();
            if forgiving {
                self.own("SAVEPOINT plimsoll").await?;
            }
            match self.send(&statement.sql).await? {
                Ok(time) => {
                    let after = self.snapshot(QUERY).await?;
                    let mut traced = after.since(&before, &self.released, truncates(&statement.sql));
                    traced.duration_us = micros(time);
                    push(statement, traced);
                    before = after;
                    if forgiving {
                        self.own("RELEASE plimsoll").await?;
                    }
                }
                Err(refused) if forgiving => {
                    self.own("ROLLBACK TO plimsoll; RELEASE plimsoll").await?;
                    let outside = matches!(refused.state.as_str(), "25001" | "2D000");
                    if let ([_], true) = (group, outside) {
                        self.own("ROLLBACK").await?;
                        push(statement, self.alone(statement).await?);
                        return Ok(());
                    }
                    push(statement, failed(&refused));
                }
                Err(refused) => {
                    self.own("ROLLBACK").await?;
                    let outside = matches!(refused.state.as_str(), "25001" | "2D000");
                    if let ([_], true) = (group, outside) {
                        push(statement, self.alone(statement).await?);
                    } else {
                        push(statement, failed(&refused));
                    }
                    return Ok(());
                }
            }
        }
        // What is checked at its end may fail then.
        match self.send("COMMIT").await? {
            Ok(_) => Ok(()),
            Err(refused) => {
                if let (Some(statement), Some(last)) = (group.last(), done.statements.last_mut()) {
                    let at_commit = format!("at COMMIT: {}", refused.says);
                    debug_assert_eq!(last.line, statement.line);
                    last.traced.failed = Some(at_commit);
                }
                self.own("ROLLBACK").await.map(drop)
            }
        }
    }

    async fn plain(&self, statement: &ScriptStatement) -> Result<Traced, Error> {
        Ok(match self.send(&statement.sql).await? {
            Ok(time) => Traced { duration_us: micros(time), ..Traced::default() },
            Err(refused) => failed(&refused),
        })
    }

    /// A statement that cannot be in a transaction.
    async fn alone(&self, statement: &ScriptStatement) -> Result<Traced, Error> {
        let before = self.snapshot(RELATIONS).await?;
        let (sent, seen) = follow(self.send(&statement.sql), self.pid, &self.beside, &before).await;
        let time = match sent? {
            Ok(time) => time,
            Err(refused) => return Ok(Traced { sampled: true, ..failed(&refused) }),
        };
        let mut after = self.snapshot(RELATIONS).await?;
        after.locks = seen;
        let mut traced = after.since(&before, &self.released, false);
        traced.sampled = true;
        traced.duration_us = micros(time);
        // Counters are of a transaction; but what has a new index was read for it.
        let built = |name: &String| {
            let of = after.relations.values().find(|relation| relation.name == *name)?.table?;
            Some(before.relations.get(&of)?.name.clone())
        };
        let read: BTreeSet<String> = traced.indexes.iter().filter_map(built).collect();
        traced.scanned.extend(read);
        Ok(traced)
    }
}

fn not_run(what: &str) -> Traced {
    Traced { not_run: Some(format!("{what} reaches beyond the database")), ..Traced::default() }
}

fn failed(refused: &Refused) -> Traced {
    Traced { failed: Some(format!("{} (SQLSTATE {})", refused.says, refused.state)), ..Traced::default() }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// TRUNCATE gives a table another file, too, and writes no row.
fn truncates(sql: &str) -> bool {
    let first = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    first.eq_ignore_ascii_case("truncate")
}

/// Locks that others wait for.
pub(crate) fn strong(lock: &TracedLock) -> bool {
    crate::snapshot::strength_of_sql(&lock.mode).is_some_and(|strength| strength >= 4)
}
