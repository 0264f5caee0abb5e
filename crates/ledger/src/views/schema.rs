//! What deployments and people made of an environment's database (MIG-4, RBK-2).

use jiff::Timestamp;
use plimsoll_model::event::{AppliedMigration, WaitingMigration};
use plimsoll_model::{Commit, Event};
use serde::Serialize;
use serde_json::Value;

use crate::entry::Entry;
use crate::store::Query;
use crate::{Error, Ledger};

/// The schema as a deployment or a person left it, and what that release needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SchemaRecord {
    /// Its ledger entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// The release; none: the migrations were those of a working directory.
    pub sha: Option<Commit>,
    /// Which database; empty where none is configured.
    pub database: String,
    /// What had run.
    pub applied: Vec<AppliedMigration>,
    /// What had to wait.
    pub waiting: Vec<WaitingMigration>,
    /// What the schema gives to code; null where it cannot be told.
    pub schema: Value,
    /// What the release needs of it; null of what a person ran.
    pub needs: Value,
}

fn record(entry: Entry) -> Option<SchemaRecord> {
    match entry.event {
        Event::MigrationsApplied { sha, database, applied, waiting, schema, needs, .. } => {
            Some(SchemaRecord {
                entry: entry.seq,
                at: entry.at,
                sha: Some(sha),
                database,
                applied,
                waiting,
                schema,
                needs,
            })
        }
        Event::MigrationsByHand { sha, database, applied, waiting, schema, .. } => Some(SchemaRecord {
            entry: entry.seq,
            at: entry.at,
            sha,
            database,
            applied,
            waiting,
            schema,
            needs: Value::Null,
        }),
        _ => None,
    }
}

impl Ledger {
    /// The schema of an environment's database as the last deployment, or a person
    /// since, left it.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn schema(&self, environment: &str) -> Result<Option<SchemaRecord>, Error> {
        self.newest_schema(environment, &["migrations.applied", "migrations.by_hand"], None)
    }

    /// What the last deployment of a commit left there and needs.
    ///
    /// # Errors
    /// As [`Ledger::schema`].
    pub fn schema_of(&self, environment: &str, sha: &Commit) -> Result<Option<SchemaRecord>, Error> {
        self.newest_schema(environment, &["migrations.applied"], Some(sha))
    }

    fn newest_schema(
        &self,
        environment: &str,
        kinds: &[&'static str],
        sha: Option<&Commit>,
    ) -> Result<Option<SchemaRecord>, Error> {
        let query = Query {
            kinds: kinds.to_vec(),
            environment: Some(environment.into()),
            sha: sha.map(|sha| sha.as_str().into()),
            newest_first: true,
            limit: Some(1),
            ..Query::default()
        };
        Ok(self.read(&query)?.pop().and_then(record))
    }
}
