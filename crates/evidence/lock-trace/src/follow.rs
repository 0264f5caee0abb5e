//! Statements that cannot be in a transaction: their locks are looked at from a second
//! session while they run. A third one holds rows' locks on all tables until the
//! statement waits for them, so that it cannot be over before anybody looked.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_database::Connection;

use crate::snapshot::{FIRST, Snapshot, strength};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(2);
/// How long the third session holds on when nothing waits for it.
const HOLD: Duration = Duration::from_millis(500);
/// More tables than that are not locked: the server's table of locks is small.
const MOST: usize = 500;

/// The sessions beside the one that works.
pub(crate) struct Beside {
    pub(crate) watch: Connection,
    pub(crate) hold: Connection,
}

/// Runs `work`, which is under way in the session `pid`, to its end; the locks that
/// were seen meanwhile.
pub(crate) async fn follow<T>(
    work: impl Future<Output = T>,
    pid: i32,
    beside: &Beside,
    before: &Snapshot,
) -> (T, BTreeSet<(u32, usize)>) {
    let mut seen = BTreeSet::new();
    let mut holds = hold(&beside.hold, before).await;
    tokio::pin!(work);
    let mut looks = tokio::time::interval(LOOK);
    let started = tokio::time::Instant::now();
    let sql = format!(
        "SELECT coalesce(l.relation, 0), l.mode, l.granted FROM pg_catalog.pg_locks l WHERE l.pid = {pid} \
         AND l.locktype IN ('relation', 'virtualxid', 'transactionid')"
    );
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if holds {
                    release(&beside.hold).await;
                }
                return (done, seen);
            }
            _ = looks.tick() => {}
        }
        let mut waits = false;
        for message in beside.watch.simple_query(&sql).await.unwrap_or_default() {
            let plimsoll_database::tokio_postgres::SimpleQueryMessage::Row(row) = message else { continue };
            let oid: u32 = row.get(0).and_then(|text| text.parse().ok()).unwrap_or(0);
            waits |= row.get(2) == Some("f");
            if let Some(mode) = row.get(1).and_then(strength)
                && oid >= FIRST
            {
                seen.insert((oid, mode));
            }
        }
        if holds && (waits || started.elapsed() > HOLD) {
            release(&beside.hold).await;
            holds = false;
        }
    }
}

/// Takes ROW EXCLUSIVE, as every writer does, on each table.
async fn hold(session: &Connection, before: &Snapshot) -> bool {
    let tables: Vec<&u32> = before
        .relations
        .iter()
        .filter(|(_, relation)| matches!(relation.kind, 'r' | 'p'))
        .map(|(oid, _)| oid)
        .take(MOST)
        .collect();
    if tables.is_empty() {
        return false;
    }
    let list: Vec<String> = tables.iter().map(|oid| oid.to_string()).collect();
    // By number, since names may hold anything; the server writes the names itself.
    let sql = format!(
        "BEGIN; DO $plimsoll$ DECLARE t regclass; BEGIN FOREACH t IN ARRAY ARRAY[{}]::oid[]::regclass[] LOOP \
         EXECUTE 'LOCK TABLE ' || t || ' IN ROW EXCLUSIVE MODE'; END LOOP; END $plimsoll$",
        list.join(", ")
    );
    if session.simple_query(&sql).await.is_ok() {
        return true;
    }
    release(session).await;
    false
}

async fn release(session: &Connection) {
    // A session that is lost holds nothing any more.
    let _ = session.simple_query("ROLLBACK").await;
}
