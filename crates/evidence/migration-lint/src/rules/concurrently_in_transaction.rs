//! MIG-031 `concurrently-in-transaction`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;

rule! {
    code: "MIG-031",
    name: "concurrently-in-transaction",
    severity: Error,
    what: "CONCURRENTLY, VACUUM or another statement that must stand alone is run within a transaction.",
    why: "PostgreSQL refuses it, and the migration fails: at the latest in production.",
    how: "Put it into a migration of its own, and tell the runner to open no transaction: sqlx `-- no- \
           transaction`, goose `-- +goose NO TRANSACTION`, dbmate `-- migrate:up transaction:false`, diesel \
           `run_in_transaction = false`; golang-migrate and Prisma send a file with one statement as it is.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "CREATE INDEX CONCURRENTLY users_email ON users (email);",
    near: "-- no-transaction\nCREATE INDEX CONCURRENTLY users_email ON users (email);",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let what = match action {
        Action::CreateIndex { concurrently: true, .. } => "CREATE INDEX CONCURRENTLY",
        Action::DropIndex { concurrently: true, .. } => "DROP INDEX CONCURRENTLY",
        Action::Reindex { concurrently: true, .. } => "REINDEX CONCURRENTLY",
        Action::DetachPartition { concurrently: true, .. } => "DETACH PARTITION CONCURRENTLY",
        Action::VacuumFull { .. } => "VACUUM FULL",
        Action::Alone { what } => what,
        _ => return None,
    };
    if !cx.in_transaction || !cx.postgres() {
        return None;
    }
    Some(Said::new(
        format!("{what} cannot run within a transaction"),
        "put it into a migration of its own, and tell the runner to open no transaction for it",
    ))
}
