//! How a database stands once migrations have run, as the ledger keeps it.

use std::collections::BTreeSet;

use plimsoll_evidence_migration_lint::{File, Options};
use plimsoll_model::Failure;
use plimsoll_model::event::AppliedMigration;
use serde_json::Value;

use super::window;
use super::{MigrationsRecord, checksums};

/// What has run, and what the schema gives to code because of it.
#[derive(Debug, PartialEq)]
pub(super) struct Standing {
    /// Every migration that has run, those of these files first and in order.
    pub(super) applied: Vec<AppliedMigration>,
    /// The schema; null where something ran that these files do not have: what
    /// it did cannot be told then.
    pub(super) schema: Value,
}

impl Standing {
    /// Judges `files`, of which `record` is, with the paths that have `ran`, and
    /// those of them that ran `now`.
    ///
    /// # Errors
    /// The files are more than is read, or their order cannot be told.
    pub(super) fn of(
        files: &[File],
        record: &MigrationsRecord,
        ran: &BTreeSet<String>,
        now: &BTreeSet<String>,
        judging: &Options,
    ) -> Result<Self, Failure> {
        let checksums = checksums(files, judging)?;
        let have: BTreeSet<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
        let foreign: Vec<&String> = ran.iter().filter(|path| !have.contains(path.as_str())).collect();
        let schema = match foreign.is_empty() {
            true => serde_json::to_value(window::offer(files, ran, judging)?)
                .expect("maps with text for keys are JSON"),
            false => Value::Null,
        };
        let known = record.files.iter().map(|file| &file.path).filter(|path| ran.contains(*path));
        let applied = known
            .chain(foreign)
            .map(|path| AppliedMigration {
                path: path.clone(),
                checksum: checksums.get(path).cloned().unwrap_or_default(),
                now: now.contains(path),
            })
            .collect();
        Ok(Self { applied, schema })
    }
}
