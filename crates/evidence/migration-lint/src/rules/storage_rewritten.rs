//! MIG-043 `table-storage-changed`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Storage;
use crate::context::Context;

rule! {
    code: "MIG-043",
    name: "table-storage-changed",
    severity: Error,
    what: "A table in use gets another tablespace, another access method, or becomes logged or unlogged.",
    why: "The table is copied under ACCESS EXCLUSIVE: reads and writes wait. An unlogged table is emptied by \
           a crash.",
    how: "Make a new table in the wanted storage, copy by a backfill, switch the code; or pg_repack with its \
           tablespace option.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users SET TABLESPACE fast;",
    near: "CREATE TABLE t (a int); ALTER TABLE t SET TABLESPACE fast;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::SetStorage { table, storage } = action else { return None };
    if !cx.large(table) || cx.schema.relation(table).is_some_and(|relation| relation.partitioned) {
        return None;
    }
    let what = match storage {
        Storage::Tablespace => "SET TABLESPACE",
        Storage::Logged => "SET LOGGED",
        Storage::Unlogged => "SET UNLOGGED",
        Storage::AccessMethod => "SET ACCESS METHOD",
    };
    Some(Said::new(
        format!("{what} copies `{table}` under ACCESS EXCLUSIVE"),
        "move the rows into a new table by a backfill, or use pg_repack outside of migrations",
    ))
}
