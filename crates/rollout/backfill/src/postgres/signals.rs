//! How PostgreSQL is, read once a second on a connection of its own while batches
//! run on another. What the account may not read is named, never taken for fine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_database::{Address, Connection, Error};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::throttle::{EACH, Reading, Seen, Signal, Thresholds, Vacuums};

/// Readings that are older than this are none.
const STALE: Duration = Duration::from_secs(10);
/// How long the first reading may take.
const FIRST: Duration = Duration::from_secs(5);
/// How long one reading may take on the server.
const READING: &str = "SET statement_timeout = '5s'; SET lock_timeout = '1s'";

/// What is watched of, and where the readings go.
struct Shared {
    address: Address,
    thresholds: Thresholds,
    /// The session that works, and its table.
    works: Mutex<(i32, u32)>,
    latest: Mutex<Option<(Instant, Vec<Reading>)>>,
    news: Notify,
}

/// The readings.
pub(super) struct Signals {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl Signals {
    pub(super) fn new(address: Address, thresholds: Thresholds) -> Self {
        let shared = Shared {
            address,
            thresholds,
            works: Mutex::new((0, 0)),
            latest: Mutex::new(None),
            news: Notify::new(),
        };
        Self { shared: Arc::new(shared), task: None }
    }

    /// The session that works.
    pub(super) fn works(&self, pid: i32, table: u32) {
        *self.shared.works.lock().unwrap_or_else(PoisonError::into_inner) = (pid, table);
    }

    /// The table that is worked on.
    pub(super) fn table(&self, table: u32) {
        self.shared.works.lock().unwrap_or_else(PoisonError::into_inner).1 = table;
    }

    /// The latest readings.
    pub(super) async fn look(&mut self) -> Vec<Reading> {
        let mut readings = match &self.task {
            None => {
                self.task = Some(tokio::spawn(watch(Arc::clone(&self.shared))));
                let _ = tokio::time::timeout(FIRST, self.shared.news.notified()).await;
                self.latest()
            }
            Some(_) => self.latest(),
        };
        if let Some(file) = &self.shared.thresholds.pause_file {
            readings.push(pause_file(file));
        }
        readings
    }

    fn latest(&self) -> Vec<Reading> {
        let latest = self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((at, readings)) if at.elapsed() < STALE => readings.clone(),
            _ => failed(&self.shared.thresholds, "no reading within 10 s"),
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Whether the file is there; what cannot be told is no reason to go on.
pub(crate) fn pause_file(file: &std::path::Path) -> Reading {
    let seen = match file.try_exists() {
        Ok(there) => Seen::Value(f64::from(u8::from(there))),
        Err(error) => Seen::Failed(error.to_string()),
    };
    Reading { signal: Signal::PauseFile, seen }
}

/// Every signal with a threshold that a query reads.
const QUERIED: [Signal; 8] = [
    Signal::ReplicationBytes,
    Signal::ReplicationSec,
    Signal::SlotBytes,
    Signal::WalBytesPerSec,
    Signal::LockWaits,
    Signal::BlockedByUs,
    Signal::ActiveSessions,
    Signal::Vacuum,
];

fn failed(thresholds: &Thresholds, why: &str) -> Vec<Reading> {
    let watched = QUERIED.into_iter().filter(|signal| thresholds.of(*signal).is_some());
    // One of them is enough to wait, and one line enough to say so.
    watched.take(1).map(|signal| Reading { signal, seen: Seen::Failed(why.to_owned()) }).collect()
}

/// Reads until it is dropped.
async fn watch(shared: Arc<Shared>) {
    let mut session: Option<Session> = None;
    loop {
        let readings = match read(&shared, &mut session).await {
            Ok(readings) => readings,
            Err(error) => {
                session = None;
                failed(&shared.thresholds, &error.to_string())
            }
        };
        *shared.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), readings));
        shared.news.notify_one();
        tokio::time::sleep(EACH).await;
    }
}

struct Session {
    connection: Connection,
    /// Whether the statistics of other users' sessions may be read.
    privileged: bool,
    role: String,
    /// Where the WAL was, when.
    wal: Option<(Instant, f64)>,
}

async fn read(shared: &Shared, session: &mut Option<Session>) -> Result<Vec<Reading>, Error> {
    if session.is_none() {
        let connection = super::open(&shared.address).await?;
        let failed = |error| connection.failed("look at the database's state", error);
        connection.batch_execute(READING).await.map_err(failed)?;
        let sql = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), current_user::text";
        let found = connection.query_one(sql, &[]).await.map_err(failed)?;
        *session = Some(Session { privileged: found.get(0), role: found.get(1), wal: None, connection });
    }
    match session {
        Some(session) => session.read(shared).await,
        None => Ok(Vec::new()),
    }
}

impl Session {
    async fn read(&mut self, shared: &Shared) -> Result<Vec<Reading>, Error> {
        let (pid, table) = *shared.works.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, \
                   (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots)::float8, \
                   (SELECT count(*) FROM pg_locks WHERE NOT granted)::float8, \
                   (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid)))::float8";
        let failed = |error| self.connection.failed("look at the database's state", error);
        let found = self.connection.query_one(sql, &[&pid]).await.map_err(failed)?;
        let now = Instant::now();
        let mut seen = vec![
            (Signal::SlotBytes, Seen::Value(found.get::<_, Option<f64>>(1).unwrap_or(0.0))),
            (Signal::LockWaits, Seen::Value(found.get(2))),
            (Signal::BlockedByUs, Seen::Value(found.get(3))),
        ];
        let wal: f64 = found.get(0);
        let before = self.wal.replace((now, wal));
        let rate =
            before.map_or(0.0, |(then, before)| (wal - before) / (now - then).as_secs_f64().max(0.001));
        seen.push((Signal::WalBytesPerSec, Seen::Value(rate.max(0.0))));
        let private =
            [Signal::ReplicationBytes, Signal::ReplicationSec, Signal::ActiveSessions, Signal::Vacuum];
        if self.privileged {
            let values = self.others(pid, table, shared.thresholds.vacuums).await?;
            seen.extend(private.into_iter().zip(values.map(Seen::Value)));
        } else {
            let why = format!("the role `{0}` may not read it: GRANT pg_monitor TO {0}", self.role);
            seen.extend(private.map(|signal| (signal, Seen::NotWatched(why.clone()))));
        }
        let watched = seen.into_iter().filter(|(signal, _)| shared.thresholds.of(*signal).is_some());
        Ok(watched.map(|(signal, seen)| Reading { signal, seen }).collect())
    }

    /// What only a member of pg_read_all_stats sees of other users' sessions.
    async fn others(&self, pid: i32, table: u32, vacuums: Vacuums) -> Result<[f64; 4], Error> {
        let sql = "SELECT (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication)::float8, \
                   (SELECT extract(epoch FROM max(replay_lag)) FROM pg_stat_replication)::float8, \
                   (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' \
                    AND pid NOT IN (pg_backend_pid(), $1))::float8, \
                   (SELECT count(*) FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a ON a.pid = v.pid \
                    WHERE (v.relid = $2 OR v.relid IN (SELECT relid FROM pg_partition_tree($2))) \
                    AND ($3 OR a.query LIKE '%(to prevent wraparound)'))::float8";
        let found = self.connection.query_one(sql, &[&pid, &table, &(vacuums == Vacuums::Any)]).await;
        let found = found.map_err(|error| self.connection.failed("look at the database's state", error))?;
        let value = |at| found.get::<_, Option<f64>>(at).unwrap_or(0.0);
        Ok([value(0), value(1), value(2), value(3)])
    }
}
