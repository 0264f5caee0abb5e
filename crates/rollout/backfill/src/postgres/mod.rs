//! PostgreSQL: one session works and holds the lock, another one looks at how the
//! database is.

mod inspect;
mod signals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_database::tokio_postgres::types::{ToSql, Type};
use plimsoll_database::tokio_postgres::{Row as Answer, Statement};
use plimsoll_database::{self as database, Address, Connection, connect_to};

use crate::Error;
use crate::declaration::Declaration;
use crate::driver::{Batch, Driver, End, Inspected};
use crate::key::{Key, Part};
use crate::retry::{Fault, Kind};
use crate::run::Options;
use crate::state::{ABOVE, COLUMNS, ROWS_CHANGED, Row, STATE, State, TABLE, Texts};
use crate::throttle::Reading;
use signals::Signals;
pub(crate) use signals::pause_file;

/// The first half of the advisory locks' numbers: `PLBF`.
const LOCK_CLASS: i32 = 0x504C_4246;
/// How often a lock that somebody holds is asked for.
const POLL: Duration = Duration::from_millis(100);
/// What the sessions are called in pg_stat_activity.
pub(crate) const APPLICATION: &str = "plimsoll backfill";

/// Connects for work on backfills.
pub(crate) async fn open(address: &Address) -> Result<Connection, database::Error> {
    let options = database::Options { application_name: APPLICATION.into(), ..Default::default() };
    connect_to(address, &options).await
}

/// The second half: of the name.
pub(crate) fn lock_number(name: &str) -> i32 {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let mut four = [0_u8; 4];
    four.copy_from_slice(&hash.as_ref()[..4]);
    i32::from_be_bytes(four) & i32::MAX
}

/// Whether the table of backfills is there.
pub(crate) async fn has_table(session: &Connection) -> Result<bool, database::Error> {
    let found = session.query_one(&format!("SELECT to_regclass('{TABLE}') IS NOT NULL"), &[]).await;
    Ok(found.map_err(|error| session.failed("look for the table of backfills", error))?.get(0))
}

/// Who holds the lock of a backfill.
pub(crate) async fn holder(session: &Connection, name: &str) -> Result<Option<String>, database::Error> {
    let sql = "SELECT l.pid::text, coalesce(a.usename::text, '?'), coalesce(host(a.client_addr), 'the server itself'), \
               a.backend_start::text \
               FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
               AND l.classid::bigint = $1::int4::bigint AND l.objid::bigint = $2::int4::bigint LIMIT 1";
    let found = session.query_opt(sql, &[&LOCK_CLASS, &lock_number(name)]).await;
    let found = found.map_err(|error| session.failed("look who holds the lock", error))?;
    Ok(found.map(|row| {
        let (pid, user, host): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let since = match row.get::<_, Option<String>>(3) {
            Some(since) => format!(", connected since {since}"),
            None => String::new(),
        };
        format!("session {pid} of `{user}` from {host}{since}")
    }))
}

/// The rows of progress.
pub(crate) async fn rows(session: &Connection, name: Option<&str>) -> Result<Vec<Texts>, database::Error> {
    let columns = COLUMNS.map(|(column, ..)| format!("{column}::text")).join(", ");
    let sql = format!("SELECT {columns} FROM {TABLE} WHERE $1::text IS NULL OR name = $1 ORDER BY name");
    let found = session.query(&sql, &[&name]).await;
    let found = found.map_err(|error| session.failed("read the progress of backfills", error))?;
    Ok(found.iter().map(texts).collect())
}

/// Sets the state of backfills that are in one of some states; the names.
pub(crate) async fn set_state(
    session: &Connection,
    names: &[String],
    from: &[State],
    to: State,
    at: &str,
) -> Result<Vec<String>, database::Error> {
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    let sql = format!(
        "UPDATE {TABLE} SET state = $1, updated_at = $2 WHERE name = ANY($3) AND state = ANY($4) RETURNING name"
    );
    let found = session.query(&sql, &[&to.as_str(), &at, &names, &from]).await;
    let found = found.map_err(|error| session.failed("set the state of the backfill", error))?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}

/// Removes a row of progress.
pub(crate) async fn forget(session: &Connection, name: &str) -> Result<u64, database::Error> {
    let done = session.execute(&format!("DELETE FROM {TABLE} WHERE name = $1"), &[&name]).await;
    done.map_err(|error| session.failed("forget the progress of the backfill", error))
}

/// Takes the lock of a backfill for this session, and waits a little for it.
pub(crate) async fn lock(session: &Connection, name: &str, wait: Duration) -> Result<(), Error> {
    let until = Instant::now() + wait;
    loop {
        let number = lock_number(name);
        let taken = session.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK_CLASS, &number]).await;
        let taken = taken.map_err(|error| session.failed("take the lock of the backfill", error))?;
        if taken.get(0) {
            return Ok(());
        }
        if Instant::now() >= until {
            let holder = holder(session, name).await?;
            let holder = holder.unwrap_or_else(|| "a session that has just ended; try again".into());
            return Err(Error::Held { name: name.to_owned(), holder });
        }
        tokio::time::sleep(POLL).await;
    }
}

fn texts(answer: &Answer) -> Texts {
    (0..answer.len()).map(|at| answer.get(at)).collect()
}

/// A session for one backfill.
pub(crate) struct Postgres {
    address: Address,
    options: Options,
    declaration: Option<Arc<Declaration>>,
    columns: Vec<&'static str>,
    oid: u32,
    session: Option<Session>,
    signals: Signals,
}

/// What is prepared on a connection.
struct Session {
    connection: Connection,
    statements: Option<Statements>,
}

struct Statements {
    /// The batch, and the end of one, without a lower bound and with one.
    batch: [Statement; 2],
    end: [Statement; 2],
    count: [Statement; 2],
    /// The look for what is left: by lower and upper bound.
    left: [[Option<Statement>; 2]; 2],
    locked: Statement,
    save: Statement,
}

impl Postgres {
    pub(crate) fn new(address: Address, options: &Options) -> Self {
        Self {
            signals: Signals::new(address.clone(), options.thresholds.clone()),
            address,
            options: options.clone(),
            declaration: None,
            columns: Vec::new(),
            oid: 0,
            session: None,
        }
    }

    fn declaration(&self) -> Arc<Declaration> {
        Arc::clone(self.declaration.as_ref().expect("`begin` comes first and sets it"))
    }

    /// A session with the lock.
    async fn connect(&mut self) -> Result<(), Error> {
        self.session = None;
        let name = self.declaration().walk.name.clone();
        let connection = open(&self.address).await?;
        let (statement, lock) = (self.options.statement_timeout, self.options.lock_timeout);
        // Each batch is planned for its own range: a plan for any range may read the
        // whole table. Keys are read as texts, in one form of dates.
        let set = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = '60s'; \
             SET plan_cache_mode = force_custom_plan; SET datestyle = 'ISO'",
            statement.as_millis(),
            lock.as_millis()
        );
        connection
            .batch_execute(&set)
            .await
            .map_err(|error| connection.failed("set up the session", error))?;
        connection.notice_our_end().await?;
        lock_table(&connection).await?;
        crate::postgres::lock(&connection, &name, self.options.lock_wait).await?;
        let pid: i32 = connection
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .map_err(|error| connection.failed("set up the session", error))?
            .get(0);
        self.signals.works(pid, self.oid);
        self.session = Some(Session { connection, statements: None });
        Ok(())
    }

    fn session(&self) -> Result<&Session, Fault> {
        self.session.as_ref().ok_or_else(|| Fault::new(Kind::Lost, "connection", "there is no connection"))
    }

    fn statements(&self) -> Result<(&Connection, &Statements), Fault> {
        let session = self.session()?;
        let statements = session.statements.as_ref();
        let statements =
            statements.ok_or_else(|| Fault::new(Kind::Lost, "connection", "the session is not set up"))?;
        Ok((&session.connection, statements))
    }

    async fn prepare(&mut self) -> Result<(), database::Error> {
        let declaration = self.declaration();
        let composed = Composed::new(&declaration, &self.columns);
        let Some(session) = &mut self.session else { return Ok(()) };
        let connection = &session.connection;
        let width = self.columns.len();
        let prepare = async |sql: String, parameters: usize| {
            let parameters = vec![Type::TEXT; parameters];
            let prepared = connection.prepare_typed(&sql, &parameters).await;
            prepared.map_err(|error| connection.failed("prepare the statement", error))
        };
        let left = async |above: bool, up_to: bool| match composed.left(above, up_to) {
            Some(sql) => prepare(sql, width * (usize::from(above) + usize::from(up_to))).await.map(Some),
            None => Ok(None),
        };
        let statements = Statements {
            batch: [prepare(composed.batch(false), width).await?, prepare(composed.batch(true), 2 * width).await?],
            end: [prepare(composed.end(false), width + 1).await?, prepare(composed.end(true), 2 * width + 1).await?],
            count: [prepare(composed.count(false), width).await?, prepare(composed.count(true), 2 * width).await?],
            left: [
                [left(false, false).await?, left(false, true).await?],
                [left(true, false).await?, left(true, true).await?],
            ],
            locked: prepare(
                format!(
                    "SELECT 1 FROM {TABLE} WHERE name = $1 AND state = 'open' AND above IS NOT DISTINCT FROM $2 \
                     FOR UPDATE"
                ),
                2,
            )
            .await?,
            save: prepare(save(), COLUMNS.len() + 1).await?,
        };
        session.statements = Some(statements);
        Ok(())
    }
}

/// Makes the table of backfills.
async fn lock_table(connection: &Connection) -> Result<(), database::Error> {
    if has_table(connection).await? {
        return Ok(());
    }
    let columns = COLUMNS.map(|(column, of, _)| format!("{column} {of}")).join(", ");
    let made = connection.batch_execute(&format!("CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")).await;
    match made {
        Ok(()) => Ok(()),
        // Two that make it at the same moment: one of them is told so.
        Err(_) if has_table(connection).await? => Ok(()),
        Err(error) => Err(connection.failed(format!("make the table {TABLE}"), error)),
    }
}

/// `UPDATE plimsoll_backfills SET … WHERE name = $1 AND state = $n`.
fn save() -> String {
    let set: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .skip(1)
        .map(|(at, (column, of, _))| {
            let of = of.trim_end_matches(" NOT NULL");
            format!("{column} = ${}::text::{of}", at + 1)
        })
        .collect();
    format!("UPDATE {TABLE} SET {} WHERE name = $1 AND state = ${}", set.join(", "), COLUMNS.len() + 1)
}

/// The statements of one declaration.
struct Composed<'a> {
    declaration: &'a Declaration,
    /// What a text is cast to, for each column of the key.
    columns: &'a [&'static str],
}

impl<'a> Composed<'a> {
    fn new(declaration: &'a Declaration, columns: &'a [&'static str]) -> Self {
        Self { declaration, columns }
    }

    /// Parameters of a bound: each text cast to the column's type.
    fn bound(&self, after: usize) -> Vec<String> {
        let casts = self.columns.iter().enumerate();
        casts.map(|(at, column)| format!("${}::text::{}", after + at + 1, column)).collect()
    }

    fn bounds(&self, above: bool) -> (Option<Vec<String>>, Vec<String>) {
        let width = self.columns.len();
        if above { (Some(self.bound(0)), self.bound(width)) } else { (None, self.bound(0)) }
    }

    fn batch(&self, above: bool) -> String {
        let (above, up_to) = self.bounds(above);
        self.declaration.statement.sql(above.as_deref(), &up_to)
    }

    /// `FROM table WHERE key > … AND key <= … ORDER BY key`.
    fn range(&self, above: bool) -> String {
        let (above, up_to) = self.bounds(above);
        let key = self.key();
        let row = |values: &[String]| match values {
            [one] => one.clone(),
            several => format!("({})", several.join(", ")),
        };
        let above = above.map(|above| format!("{} > {} AND ", row(&key), row(&above))).unwrap_or_default();
        format!(
            "FROM {} AS walked WHERE {above}{} <= {} ORDER BY {}",
            self.declaration.walk.table_sql(),
            row(&key),
            row(&up_to),
            key.join(", ")
        )
    }

    /// The columns, qualified: in ORDER BY a bare name would be that of the output,
    /// and so the order that of the texts.
    fn key(&self) -> Vec<String> {
        self.declaration.walk.key_sql().iter().map(|column| format!("walked.{column}")).collect()
    }

    fn key_texts(&self) -> String {
        let texts: Vec<String> = self.key().iter().map(|column| format!("{column}::text")).collect();
        texts.join(", ")
    }

    fn end(&self, above: bool) -> String {
        let after = self.columns.len() * (1 + usize::from(above));
        format!(
            "SELECT {} {} OFFSET ${}::text::bigint LIMIT 1",
            self.key_texts(),
            self.range(above),
            after + 1
        )
    }

    /// How many rows a range has, where it is shorter than a batch.
    fn count(&self, above: bool) -> String {
        format!("SELECT count(*) FROM (SELECT 1 {}) AS range", self.range(above))
    }

    fn ends(&self) -> (String, String) {
        let key = self.key();
        let (keys, table) = (self.key_texts(), self.declaration.walk.table_sql());
        let order =
            |direction: &str| key.iter().map(|it| format!("{it} {direction}")).collect::<Vec<_>>().join(", ");
        let one = |direction: &str| {
            format!("SELECT {keys} FROM {table} AS walked ORDER BY {} LIMIT 1", order(direction))
        };
        (one("ASC"), one("DESC"))
    }

    fn left(&self, above: bool, up_to: bool) -> Option<String> {
        let width = self.columns.len();
        let lower = above.then(|| self.bound(0));
        let upper = up_to.then(|| self.bound(if above { width } else { 0 }));
        self.declaration.statement.left(lower.as_deref(), upper.as_deref())
    }
}

/// The values of keys as parameters.
fn values(keys: [Option<&Key>; 2]) -> Vec<String> {
    let parts = keys.into_iter().flatten().flat_map(|key| &key.0);
    parts
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Integer(number) => number.to_string(),
            Part::Bytes { hex } => format!("\\x{hex}"),
        })
        .collect()
}

fn references<T: ToSql + Sync>(values: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn key(answer: &Answer) -> Key {
    Key(texts(answer).into_iter().map(|text| Part::Text(text.unwrap_or_default())).collect())
}

fn fault(connection: &Connection, error: plimsoll_database::tokio_postgres::Error) -> Fault {
    match connection.failed("run the batch", error) {
        database::Error::Query { state, message, .. } => Fault::of_state(&state, &message),
        lost if lost.is_lost() => {
            let why = plimsoll_model::Diagnose::found(&lost).unwrap_or_default();
            Fault::new(Kind::Lost, "connection", why)
        }
        other => Fault::new(Kind::Other, "nonsense", other.to_string()),
    }
}

impl Driver for Postgres {
    async fn begin(&mut self, declaration: &Declaration) -> Result<(), Error> {
        self.declaration = Some(Arc::new(declaration.clone()));
        self.connect().await
    }

    async fn again(&mut self) -> Result<(), Error> {
        self.connect().await?;
        self.prepare().await?;
        Ok(())
    }

    async fn inspect(&mut self) -> Result<Inspected, Error> {
        let declaration = self.declaration();
        let Some(session) = &self.session else { return Ok(Inspected::default()) };
        let table = inspect::table(&session.connection, &declaration).await?;
        self.columns = table.columns;
        self.oid = table.oid;
        let rows = table.rows;
        self.signals.table(self.oid);
        match self.prepare().await {
            Ok(()) => Ok(Inspected { rows }),
            Err(database::Error::Query { message, state, .. }) => Err(Error::NotInDatabase {
                name: declaration.walk.name.clone(),
                origin: declaration.origin.clone(),
                why: format!("PostgreSQL does not take its statement: {message} (SQLSTATE {state})"),
                hint: "mend the statement; where what it names is still to be made, run `plimsoll migrate apply` first"
                    .into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&mut self) -> Result<Option<Row>, Error> {
        let name = self.declaration().walk.name.clone();
        let Some(session) = &self.session else { return Ok(None) };
        match rows(&session.connection, Some(&name)).await?.first() {
            Some(texts) => Row::from_texts(texts).map(Some).map_err(|why| Error::Progress { name, why }),
            None => Ok(None),
        }
    }

    async fn put(&mut self, row: &Row) -> Result<(), Fault> {
        let connection = &self.session()?.connection;
        let values: Vec<String> = COLUMNS
            .iter()
            .enumerate()
            .map(|(at, (_, of, _))| {
                let of = of.trim_end_matches(" NOT NULL").trim_end_matches(" PRIMARY KEY");
                format!("${}::text::{of}", at + 1)
            })
            .collect();
        let set: Vec<String> =
            COLUMNS.iter().skip(1).map(|(column, ..)| format!("{column} = EXCLUDED.{column}")).collect();
        let sql = format!(
            "INSERT INTO {TABLE} ({}) VALUES ({}) ON CONFLICT (name) DO UPDATE SET {}",
            COLUMNS.map(|(column, ..)| column).join(", "),
            values.join(", "),
            set.join(", ")
        );
        let texts = row.to_texts();
        let done = connection.execute(&sql, &references(&texts)).await;
        done.map(drop).map_err(|error| fault(connection, error))
    }

    async fn save(&mut self, row: &Row, was: State) -> Result<bool, Fault> {
        let connection = &self.session()?.connection;
        let mut texts = row.to_texts();
        texts.push(Some(was.as_str().into()));
        let sql = save();
        let done = connection.execute(&sql, &references(&texts)).await;
        Ok(done.map_err(|error| fault(connection, error))? == 1)
    }

    async fn ends(&mut self) -> Result<Option<(Key, Key)>, Fault> {
        let declaration = self.declaration();
        let (first, last) = Composed::new(&declaration, &self.columns).ends();
        let connection = &self.session()?.connection;
        let one = async |sql: &str| {
            let found = connection.query_opt(sql, &[]).await.map_err(|error| fault(connection, error))?;
            Ok::<_, Fault>(found.as_ref().map(key))
        };
        let (first, last) = (one(&first).await?, one(&last).await?);
        Ok(first.zip(last))
    }

    async fn end(&mut self, above: Option<&Key>, up_to: &Key, rows: u64) -> Result<End, Fault> {
        let (connection, statements) = self.statements()?;
        let which = usize::from(above.is_some());
        let mut parameters = values([above, Some(up_to)]);
        parameters.push(rows.saturating_sub(1).to_string());
        let found = connection.query_opt(&statements.end[which], &references(&parameters)).await;
        if let Some(found) = found.map_err(|error| fault(connection, error))? {
            return Ok(End { key: key(&found), rows });
        }
        parameters.pop();
        let found = connection.query_one(&statements.count[which], &references(&parameters)).await;
        let rows: i64 = found.map_err(|error| fault(connection, error))?.get(0);
        Ok(End { key: up_to.clone(), rows: u64::try_from(rows).unwrap_or(0) })
    }

    async fn batch(&mut self, above: Option<&Key>, next: &Row) -> Result<Batch, Fault> {
        let (connection, statements) = self.statements()?;
        let outcome = transaction(connection, statements, above, next).await;
        if !matches!(outcome, Ok(Batch::Done(_))) {
            // Nothing of it is kept. Where this fails too, the session is gone, and
            // the transaction with it.
            let _ = connection.batch_execute("ROLLBACK").await;
        }
        outcome.map_err(|error| fault(connection, error))
    }

    async fn left(&mut self, above: Option<&Key>, up_to: Option<&Key>) -> Result<bool, Fault> {
        let (connection, statements) = self.statements()?;
        let statement = &statements.left[usize::from(above.is_some())][usize::from(up_to.is_some())];
        let Some(statement) = statement else { return Ok(false) };
        let found = connection.query_opt(statement, &references(&values([above, up_to]))).await;
        Ok(found.map_err(|error| fault(connection, error))?.is_some())
    }

    async fn look(&mut self) -> Vec<Reading> {
        self.signals.look().await
    }
}

/// The statement and the row of progress, together or not at all. What is sent at
/// once is answered in order: two round trips.
async fn transaction(
    connection: &Connection,
    statements: &Statements,
    above: Option<&Key>,
    next: &Row,
) -> Result<Batch, plimsoll_database::tokio_postgres::Error> {
    let range = values([above, next.above.as_ref()]);
    let range = references(&range);
    let above_text = above.map(Key::to_text);
    let fence: [&(dyn ToSql + Sync); 2] = [&next.name, &above_text];
    // The commit need not wait for the disk: a crash of the server takes the batch
    // and its row of progress together. The proof is written with a full commit,
    // after which all before it is on disk, too.
    let (begun, found, changed) = tokio::join!(
        connection.batch_execute("BEGIN; SET LOCAL synchronous_commit = off"),
        connection.query_opt(&statements.locked, &fence),
        connection.execute(&statements.batch[usize::from(above.is_some())], &range),
    );
    begun?;
    if found?.is_none() {
        return Ok(Batch::Moved);
    }
    let changed = changed?;
    let mut texts = next.to_texts();
    texts[ROWS_CHANGED] = Some((next.rows_changed + changed).to_string());
    debug_assert!(texts[STATE].as_deref() == Some(State::Open.as_str()) && texts[ABOVE].is_some());
    texts.push(Some(State::Open.as_str().into()));
    let texts = references(&texts);
    let (saved, committed) =
        tokio::join!(connection.execute(&statements.save, &texts), connection.batch_execute("COMMIT"));
    saved?;
    committed?;
    Ok(Batch::Done(changed))
}
