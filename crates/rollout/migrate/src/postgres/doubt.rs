//! Whether a statement outside of transactions was done, when nobody can say: the
//! process, the connection or the server went away in the middle. Whoever holds the
//! advisory lock now knows that the old session has ended, so what is there stays.

use plimsoll_evidence_migration_lint::{ScriptStatement, Standalone};

use super::{Postgres, literal, query};
use crate::session::{Doubt, Stop};

pub(super) async fn look(session: &mut Postgres, statement: &ScriptStatement) -> Result<Doubt, Stop> {
    match &statement.standalone {
        Some(Standalone::CreateIndex { index: Some(index), table }) => created(session, index, table).await,
        Some(Standalone::CreateIndex { index: None, table }) => unnamed(session, table).await,
        Some(Standalone::DropIndex { index }) => {
            let there = session.text(&format!("SELECT pg_catalog.to_regclass({})", literal(index))).await?;
            Ok(if there.is_some() { Doubt::Again(None) } else { Doubt::Done })
        }
        Some(Standalone::DetachPartition { table, partition }) => detached(session, table, partition).await,
        Some(Standalone::Other { .. }) | None => Ok(Doubt::Again(None)),
    }
}

/// An index that was left invalid is of no use and costs every write: it goes. One
/// that is on another table, or valid, is not touched.
async fn created(session: &Postgres, index: &str, table: &str) -> Result<Doubt, Stop> {
    let rows = query(
        &session.connection,
        &format!(
            "SELECT indisvalid, indrelid = pg_catalog.to_regclass({}) FROM pg_catalog.pg_index \
             WHERE indexrelid = pg_catalog.to_regclass({})",
            literal(table),
            literal(index)
        ),
    )
    .await?;
    let Some(row) = rows.first() else { return Ok(Doubt::Again(None)) };
    let is = |at: usize| row.get(at).and_then(|value| value.as_deref()) == Some("t");
    if !is(1) {
        return Err(Stop::Refused {
            message: format!("an index {index} is there already, and not on {table}"),
            state: "SQLSTATE 42P07".into(),
            too_long: false,
        });
    }
    if is(0) {
        return Ok(Doubt::Done);
    }
    session.set_lock_timeout(session.timeouts.lock, session.timeouts.standalone_lock).await?;
    let dropped = session.batch(&format!("DROP INDEX CONCURRENTLY {index}")).await;
    session.set_lock_timeout(session.timeouts.standalone_lock, session.timeouts.lock).await?;
    dropped?;
    Ok(Doubt::Again(Some(format!("the index {index} was left invalid; it was dropped and is built again"))))
}

async fn unnamed(session: &Postgres, table: &str) -> Result<Doubt, Stop> {
    let rows = query(
        &session.connection,
        &format!(
            "SELECT indexrelid::regclass FROM pg_catalog.pg_index WHERE NOT indisvalid \
             AND indrelid = pg_catalog.to_regclass({}) LIMIT 5",
            literal(table)
        ),
    )
    .await?;
    let names: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    // None of them is known to be this statement's.
    Ok(Doubt::Again((!names.is_empty()).then(|| {
        format!(
            "{table} has indexes that are invalid ({}); the statement gives none a name, so they stay",
            names.join(", ")
        )
    })))
}

async fn detached(session: &Postgres, table: &str, partition: &str) -> Result<Doubt, Stop> {
    let pending = session
        .text(&format!(
            "SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhrelid = pg_catalog.to_regclass({}) \
             AND inhparent = pg_catalog.to_regclass({})",
            literal(partition),
            literal(table)
        ))
        .await?;
    match pending.as_deref() {
        None => Ok(Doubt::Done),
        Some("t") => {
            session.batch(&format!("ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE")).await?;
            Ok(Doubt::Done)
        }
        Some(_) => Ok(Doubt::Again(None)),
    }
}
