//! A real database that migrations and queries run on.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// The tables as the database itself describes them: of each column whether it may
/// be null, and whether an INSERT may leave it out.
pub(crate) type Catalogue = BTreeMap<String, BTreeMap<String, (bool, bool)>>;

/// What the simulation asks of a database.
pub(crate) trait Base {
    /// Applies a migration as one transaction; nothing of it stays when it fails.
    fn migrate(&mut self, sql: &str) -> Result<(), String>;
    /// Runs one statement.
    fn run(&mut self, sql: &str) -> Result<(), String>;
    /// Runs a query; values as text.
    fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String>;
    /// From here on it can go back; marks may lie within each other.
    fn mark(&mut self);
    /// To the last mark.
    fn back(&mut self);
    /// Gives the last mark up.
    fn keep(&mut self);
    /// What is there.
    fn catalogue(&mut self) -> Catalogue;
}

/// SQLite, in memory.
pub(crate) struct Sqlite {
    connection: Connection,
    depth: usize,
}

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self { connection: Connection::open_in_memory().expect("memory is there"), depth: 0 }
    }

    fn now(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

impl Base for Sqlite {
    fn migrate(&mut self, sql: &str) -> Result<(), String> {
        assert_eq!(self.depth, 0);
        self.now("PRAGMA foreign_keys = OFF; BEGIN");
        let done = self.connection.execute_batch(sql);
        self.now(if done.is_ok() { "COMMIT" } else { "ROLLBACK" });
        self.now("PRAGMA legacy_alter_table = OFF; PRAGMA foreign_keys = ON");
        done.map_err(|error| error.to_string())
    }

    fn run(&mut self, sql: &str) -> Result<(), String> {
        self.connection.execute(sql, []).map(|_| ()).map_err(|error| error.to_string())
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let mut query = self.connection.prepare(sql).map_err(|error| error.to_string())?;
        let width = query.column_count();
        let rows = query.query_map([], |row| {
            (0..width)
                .map(|at| {
                    Ok(match row.get_ref(at)? {
                        ValueRef::Null => None,
                        ValueRef::Integer(value) => Some(value.to_string()),
                        ValueRef::Real(value) => Some(value.to_string()),
                        ValueRef::Text(value) | ValueRef::Blob(value) => {
                            Some(String::from_utf8_lossy(value).into_owned())
                        }
                    })
                })
                .collect()
        });
        rows.and_then(|rows| rows.collect()).map_err(|error| error.to_string())
    }

    fn mark(&mut self) {
        self.depth += 1;
        self.now(&format!("SAVEPOINT s{}", self.depth));
    }

    fn back(&mut self) {
        self.now(&format!("ROLLBACK TO s{0}; RELEASE s{0}", self.depth));
        self.depth -= 1;
    }

    fn keep(&mut self) {
        self.now(&format!("RELEASE s{}", self.depth));
        self.depth -= 1;
    }

    fn catalogue(&mut self) -> Catalogue {
        let mut found = Catalogue::new();
        let tables = self
            .rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            .expect("a catalogue");
        for table in tables.into_iter().flatten().flatten() {
            let columns = self
                .rows(&format!(
                    "SELECT name, \"notnull\", dflt_value, pk, type, hidden FROM pragma_table_xinfo('{table}')"
                ))
                .expect("a catalogue");
            let keys = columns.iter().filter(|column| column[3].as_deref() != Some("0")).count();
            let columns = columns.into_iter().map(|column| {
                let text = |at: usize| column[at].clone().unwrap_or_default();
                let alias = keys == 1 && text(3) == "1" && text(4).eq_ignore_ascii_case("integer");
                let nullable = text(1) == "0" && !alias;
                let left_out = nullable || column[2].is_some() || alias || text(5) != "0";
                (text(0).to_lowercase(), (nullable, left_out))
            });
            found.insert(table.to_lowercase(), columns.collect());
        }
        found
    }
}
