//! Sees, over a connection of its own, who is in the way of a statement that takes
//! its time, and how far an index has come.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use plimsoll_database::{Address, Connection, Options, connect_to};

use super::query;
use crate::error::Blocker;
use crate::observer::masked;
use crate::session::Tell;

/// How long a statement is left alone before somebody looks.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often it is looked at then.
const EVERY: Duration = Duration::from_secs(1);
/// How long looking may take.
const LOOK: Duration = Duration::from_secs(2);
/// How much of another session's statement is shown, in characters.
const QUERY: usize = 200;

/// The look at one session.
pub(super) struct Watch<'a> {
    pub(super) address: &'a Address,
    pub(super) options: &'a Options,
    pub(super) monitor: &'a mut Option<Connection>,
    pub(super) pid: i32,
}

impl Watch<'_> {
    /// Awaits a statement; what it gave, and who was in its way the last time that
    /// somebody was.
    pub(super) async fn during<T>(
        &mut self,
        statement: impl Future<Output = T>,
        lock_timeout: Duration,
        tell: &Tell<'_>,
    ) -> (T, Vec<Blocker>) {
        let mut statement = pin!(statement);
        let mut seen = Vec::new();
        let mut told = None;
        let mut wait = PATIENCE.min(lock_timeout / 2);
        loop {
            tokio::select! {
                ended = &mut statement => return (ended, seen),
                () = tokio::time::sleep(wait) => {}
            }
            wait = EVERY;
            // Who looks must not keep the statement from ending.
            tokio::select! {
                ended = &mut statement => return (ended, seen),
                looked = tokio::time::timeout(LOOK, self.look()) => {
                    let Ok(Some((blockers, progress))) = looked else { continue };
                    let said = match blockers.as_slice() {
                        [] => progress,
                        [first, ..] => Some(format!("waits for {first}")),
                    };
                    if !blockers.is_empty() {
                        seen = blockers;
                    }
                    if said.is_some() && said != told {
                        tell(said.clone().unwrap_or_default());
                        told = said;
                    }
                }
            }
        }
    }

    /// Who is in the way, and how far an index has come. Nothing where it cannot be
    /// seen: that stops no migration.
    async fn look(&mut self) -> Option<(Vec<Blocker>, Option<String>)> {
        if self.monitor.as_ref().is_none_or(|connection| connection.is_closed()) {
            *self.monitor = connect_to(self.address, self.options).await.ok();
        }
        let monitor = self.monitor.as_ref()?;
        let pid = self.pid;
        let rows = query(
            monitor,
            &format!(
                "SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.usename::text, ''), coalesce(a.state, ''), \
                 coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0), left(coalesce(a.query, ''), 4000) \
                 FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (pg_catalog.pg_blocking_pids({pid})) \
                 ORDER BY a.xact_start LIMIT 5"
            ),
        )
        .await
        .ok()?;
        let blockers = rows.iter().filter_map(|row| blocker(row)).collect();
        let progress = query(
            monitor,
            &format!(
                "SELECT phase, blocks_done, blocks_total FROM pg_catalog.pg_stat_progress_create_index WHERE pid = {pid}"
            ),
        )
        .await
        .ok()?;
        Some((blockers, progress.first().and_then(|row| index(row))))
    }
}

fn blocker(row: &[Option<String>]) -> Option<Blocker> {
    let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    Some(Blocker {
        pid: text(0).parse().ok()?,
        application: text(1),
        user: text(2),
        state: text(3),
        since_sec: text(4).parse().ok()?,
        query: masked(&text(5), QUERY),
    })
}

fn index(row: &[Option<String>]) -> Option<String> {
    let text = |at: usize| row.get(at).cloned().flatten();
    let phase = text(0)?;
    let number = |at: usize| text(at).and_then(|text| text.parse::<u64>().ok());
    match (number(1), number(2)) {
        (Some(done), Some(total)) if total > 0 => Some(format!("{phase}, {} %", done * 100 / total)),
        _ => Some(phase),
    }
}
