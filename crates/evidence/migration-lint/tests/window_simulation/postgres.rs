//! A real PostgreSQL: each chain has a schema of its own in one database.

use plimsoll_testkit::postgres::Postgres;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::base::{Base, Catalogue};

/// One connection, which all chains use in turn.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

/// A chain's schema.
pub(crate) struct Chain<'a> {
    session: &'a Session,
    depth: usize,
}

impl Session {
    pub(crate) fn new(server: &Postgres) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let url = server.new_database();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("it runs");
            tokio::spawn(connection);
            client
        });
        let session = Self { runtime, client };
        session.now("SET client_min_messages = error; SET synchronous_commit = off");
        session
    }

    fn send(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, String> {
        self.runtime.block_on(self.client.simple_query(sql)).map_err(|error| match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        })
    }

    fn now(&self, sql: &str) {
        self.send(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// An empty schema.
    pub(crate) fn chain(&self) -> Chain<'_> {
        self.now("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public");
        Chain { session: self, depth: 0 }
    }
}

impl Base for Chain<'_> {
    fn migrate(&mut self, sql: &str) -> Result<(), String> {
        assert_eq!(self.depth, 0);
        self.session.send(sql).map(drop)
    }

    fn run(&mut self, sql: &str) -> Result<(), String> {
        self.session.send(sql).map(drop)
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        // Within a mark a failed query would spoil all that follows.
        self.mark();
        match self.session.send(sql) {
            Ok(found) => {
                self.keep();
                let rows = found.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => {
                        Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
                    }
                    _ => None,
                });
                Ok(rows.collect())
            }
            Err(error) => {
                self.back();
                Err(error)
            }
        }
    }

    fn mark(&mut self) {
        let begin = if self.depth == 0 { "BEGIN" } else { "" };
        self.depth += 1;
        self.session.now(&format!("{begin}; SAVEPOINT s{}", self.depth));
    }

    fn back(&mut self) {
        self.depth -= 1;
        match self.depth {
            0 => self.session.now("ROLLBACK"),
            depth => self.session.now(&format!("ROLLBACK TO s{0}; RELEASE s{0}", depth + 1)),
        }
    }

    fn keep(&mut self) {
        self.depth -= 1;
        match self.depth {
            0 => self.session.now("COMMIT"),
            depth => self.session.now(&format!("RELEASE s{}", depth + 1)),
        }
    }

    fn catalogue(&mut self) -> Catalogue {
        let columns = self.rows(
            "SELECT c.relname, a.attname, a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 \
               AND NOT a.attisdropped",
        );
        let mut found = Catalogue::new();
        for column in columns.expect("a catalogue") {
            let text = |at: usize| column[at].clone().unwrap_or_default();
            let nullable = text(2) == "f";
            let left_out = nullable || text(3) == "t" || !text(4).is_empty() || !text(5).is_empty();
            found.entry(text(0)).or_default().insert(text(1), (nullable, left_out));
        }
        found
    }
}
