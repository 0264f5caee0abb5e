//! Whether a table of SQLite can be walked by a key.

use rusqlite::{Connection, OptionalExtension as _};

use crate::Error;
use crate::declaration::Declaration;

/// Looks at the table; the inner error is a refusal.
pub(super) fn table(
    connection: &Connection,
    declaration: &Declaration,
) -> rusqlite::Result<Result<(), Error>> {
    let walk = &declaration.walk;
    let refused = |why: String, hint: String| {
        Ok(Err(Error::NotInDatabase {
            name: walk.name.clone(),
            origin: declaration.origin.clone(),
            why,
            hint,
        }))
    };
    let table = walk.table.rsplit('.').next().unwrap_or_default();
    let kind: Option<(String, bool)> = connection
        .query_row("SELECT type, wr FROM pragma_table_list(?1) WHERE schema = 'main'", [table], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let without_rowid = match kind {
        Some((kind, without_rowid)) if kind == "table" => without_rowid,
        Some(_) => {
            return refused(
                format!("`{}` is no table", walk.table),
                "name the table that has the rows".into(),
            );
        }
        None => {
            return refused(
                format!("there is no table `{}`", walk.table),
                "run `plimsoll migrate apply` first, or mend table=…".into(),
            );
        }
    };
    let mut statement =
        connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?1)")?;
    let columns = statement
        .query_map([table], |row| {
            Ok(Column { name: row.get(0)?, of: row.get(1)?, not_null: row.get(2)?, pk: row.get(3)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let unique = unique_keys(connection, table, &columns)?;
    let suggest = || match unique.as_slice() {
        [] => format!(
            "make one: CREATE UNIQUE INDEX {table}_key ON {} ({})",
            walk.table_sql(),
            walk.key_sql().join(", ")
        ),
        some => format!(
            "walk by one that has: {}",
            some.iter().map(|key| format!("key={}", key.join(","))).collect::<Vec<_>>().join(" or ")
        ),
    };
    let same = |key: &[String]| {
        key.len() == walk.key.len() && key.iter().zip(&walk.key).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    for name in &walk.key {
        let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
            return refused(format!("`{}` has no column `{name}`", walk.table), suggest());
        };
        let never_null = column.not_null || column.pk > 0 && (without_rowid || column.is_rowid(&columns));
        if !never_null {
            return refused(
                format!("`{name}` may be NULL, and rows without a key would be left out"),
                suggest(),
            );
        }
    }
    if !unique.iter().any(|key| same(key)) {
        return refused(
            format!("`{}` has no unique index on exactly ({})", walk.table, walk.key.join(", ")),
            suggest(),
        );
    }
    Ok(Ok(()))
}

struct Column {
    name: String,
    of: String,
    not_null: bool,
    /// Its place in the primary key, from 1.
    pk: i64,
}

impl Column {
    /// `INTEGER PRIMARY KEY` is the row's own number, and never NULL.
    fn is_rowid(&self, all: &[Self]) -> bool {
        self.of.eq_ignore_ascii_case("integer") && all.iter().filter(|column| column.pk > 0).count() == 1
    }
}

fn unique_keys(
    connection: &Connection,
    table: &str,
    columns: &[Column],
) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut keys = Vec::new();
    let mut primary: Vec<&Column> = columns.iter().filter(|column| column.pk > 0).collect();
    primary.sort_by_key(|column| column.pk);
    if !primary.is_empty() {
        keys.push(primary.iter().map(|column| column.name.clone()).collect());
    }
    let sql = "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND partial = 0 ORDER BY seq DESC";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for name in names {
        let mut statement = connection.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
        let found = statement
            .query_map([name], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<Option<String>>>>()?;
        // An expression has no name.
        if let Some(key) = found.into_iter().collect::<Option<Vec<String>>>()
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    Ok(keys)
}
