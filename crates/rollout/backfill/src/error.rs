//! What stops a backfill. Each says whether anything was changed and what to type.

use plimsoll_evidence_migration_lint::RefusedBackfill;
use plimsoll_model::{Class, Diagnose};

use crate::declaration::Origin;

/// Why a backfill was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Declarations that cannot be run in batches.
    #[error("{} cannot be run in batches", several(refused))]
    NotBatchable {
        /// Which, where and why; at least one.
        refused: Vec<RefusedBackfill>,
    },
    /// Nobody declares it.
    #[error("there is no backfill `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The database has not what the declaration needs.
    #[error("{origin}: the backfill `{name}` cannot be run in batches: {why}")]
    NotInDatabase {
        /// Of the backfill.
        name: String,
        /// Where it is declared.
        origin: Origin,
        /// What is missing.
        why: String,
        /// What to write instead.
        hint: String,
    },
    /// Another process works on it.
    #[error("another process works on the backfill `{name}`")]
    Held {
        /// Of the backfill.
        name: String,
        /// Who.
        holder: String,
    },
    /// Somebody has paused it.
    #[error("the backfill `{name}` is paused")]
    Paused {
        /// Of the backfill.
        name: String,
        /// Since when, and how far it is.
        since: String,
    },
    /// It has begun with another declaration.
    #[error("{origin}: the backfill `{name}` was changed while it is half done")]
    Changed {
        /// Of the backfill.
        name: String,
        /// Where it is declared.
        origin: Box<Origin>,
        /// Checksum with which it began.
        began: String,
        /// Checksum now.
        now: String,
        /// How far it is.
        done: String,
    },
    /// A row does not go through the statement.
    #[error("the backfill `{name}` stopped at a row that does not go through its statement")]
    Row {
        /// Of the backfill.
        name: String,
        /// The keys of the batch, e.g. `id 7`.
        keys: String,
        /// What the database says.
        says: String,
    },
    /// A batch failed as often as it may.
    #[error("a batch of the backfill `{name}` failed {attempts} times in a row")]
    KeepsFailing {
        /// Of the backfill.
        name: String,
        /// How often.
        attempts: u32,
        /// The keys of the batch.
        keys: String,
        /// What the database says.
        says: String,
    },
    /// No space is left.
    #[error("the backfill `{name}` stopped: the database's disk is full")]
    Full {
        /// Of the backfill.
        name: String,
        /// What the database says.
        says: String,
    },
    /// The table is gone.
    #[error("the backfill `{name}` stopped: its table was changed while it ran")]
    Gone {
        /// Of the backfill.
        name: String,
        /// What the database says.
        says: String,
    },
    /// The statement fails for another reason.
    #[error("the statement of the backfill `{name}` fails")]
    Statement {
        /// Of the backfill.
        name: String,
        /// The keys of the batch.
        keys: String,
        /// What the database says.
        says: String,
    },
    /// Rows meet the condition after the statement has run on them.
    #[error("rows of `{table}` are left that the backfill `{name}` does not finish")]
    RowsLeft {
        /// Of the backfill.
        name: String,
        /// The table.
        table: String,
        /// The keys among which they are.
        keys: String,
        /// How often the table was walked over.
        passes: u32,
        /// Whether the last walk changed rows: others come after it.
        keep_coming: bool,
    },
    /// It is not finished.
    #[error("the backfill `{name}` is not finished")]
    NotFinished {
        /// Of the backfill.
        name: String,
        /// What is known of it.
        found: String,
    },
    /// The row that keeps its progress is not understood.
    #[error("the progress of the backfill `{name}` in table plimsoll_backfills cannot be read")]
    Progress {
        /// Of the backfill.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Somebody stopped this process.
    #[error("the backfill `{name}` was interrupted")]
    Interrupted {
        /// Of the backfill.
        name: String,
        /// How far it is.
        done: String,
    },
    /// SQLite does not do what is needed.
    #[error("could not {operation} in the database {path}")]
    Sqlite {
        /// What was being done.
        operation: String,
        /// The file.
        path: String,
        /// What SQLite says.
        says: String,
    },
    /// PostgreSQL, or the way there.
    #[error(transparent)]
    Database(#[from] plimsoll_database::Error),
    /// The files of the directory.
    #[error(transparent)]
    Files(#[from] plimsoll_evidence_migration_lint::Error),
}

fn several(refused: &[RefusedBackfill]) -> String {
    match refused {
        [one] => match &one.name {
            Some(name) => format!("{}:{}:{}: the backfill `{name}`", one.file, one.line, one.column),
            None => format!("{}:{}:{}: a backfill", one.file, one.line, one.column),
        },
        several => format!("{} backfills", several.len()),
    }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unknown { .. } => Class::Usage,
            Self::NotBatchable { .. }
            | Self::NotInDatabase { .. }
            | Self::Held { .. }
            | Self::Paused { .. }
            | Self::Changed { .. }
            | Self::NotFinished { .. } => Class::Refused,
            Self::Row { .. }
            | Self::KeepsFailing { .. }
            | Self::Full { .. }
            | Self::Gone { .. }
            | Self::Statement { .. }
            | Self::RowsLeft { .. } => Class::Failed,
            Self::Progress { .. } | Self::Sqlite { .. } => Class::Outside,
            Self::Interrupted { .. } => Class::Interrupted,
            Self::Database(inner) => inner.class(),
            Self::Files(inner) => inner.class(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotBatchable { .. } => "BKF-001",
            Self::Unknown { .. } => "BKF-002",
            Self::NotInDatabase { .. } => "BKF-003",
            Self::Held { .. } => "BKF-010",
            Self::Paused { .. } => "BKF-011",
            Self::Changed { .. } => "BKF-012",
            Self::NotFinished { .. } => "BKF-013",
            Self::Row { .. } => "BKF-020",
            Self::KeepsFailing { .. } => "BKF-021",
            Self::Full { .. } => "BKF-022",
            Self::Gone { .. } => "BKF-023",
            Self::Statement { .. } => "BKF-024",
            Self::RowsLeft { .. } => "BKF-025",
            Self::Progress { .. } => "BKF-030",
            Self::Sqlite { .. } => "BKF-031",
            Self::Interrupted { .. } => "BKF-040",
            Self::Database(inner) => inner.code(),
            Self::Files(inner) => inner.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Changed { began, .. } => Some(format!("the declaration {began}, with which it began")),
            Self::Database(inner) => inner.expected(),
            Self::Files(inner) => inner.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::NotBatchable { refused } => Some(match refused.as_slice() {
                [one] => one.message.clone(),
                several => several.iter().map(line).collect::<Vec<_>>().join("\n"),
            }),
            Self::Unknown { known, .. } if known.is_empty() => Some("no backfill at all".into()),
            Self::Unknown { known, .. } => Some(known.join(", ")),
            Self::Held { holder, .. } => Some(holder.clone()),
            Self::Paused { since, .. } => Some(since.clone()),
            Self::Changed { now, done, .. } => Some(format!("{now}; {done}")),
            Self::NotFinished { found, .. } => Some(found.clone()),
            Self::Row { keys, says, .. }
            | Self::KeepsFailing { keys, says, .. }
            | Self::Statement { keys, says, .. } => Some(format!("{says}, at {keys}")),
            Self::Full { says, .. } | Self::Gone { says, .. } | Self::Sqlite { says, .. } => {
                Some(says.clone())
            }
            Self::RowsLeft { keys, passes, .. } => Some(format!("after {passes} passes, among {keys}")),
            Self::Progress { why, .. } => Some(why.clone()),
            Self::Interrupted { done, .. } => Some(done.clone()),
            Self::NotInDatabase { .. } => None,
            Self::Database(inner) => inner.found(),
            Self::Files(inner) => inner.found(),
        }
    }

    fn hint(&self) -> Option<String> {
        let run = |name: &str| format!("`plimsoll migrate backfill {name}`");
        Some(match self {
            Self::NotBatchable { refused } => match refused.as_slice() {
                [one] => format!("nothing was changed. {}", one.hint),
                _ => "nothing was changed. `plimsoll explain BKF-001` tells what can be run in batches".into(),
            },
            Self::Unknown { .. } => {
                "declare it before a statement of a migration: `-- plimsoll: backfill table=users key=id \
                 batch=1000 name=…`"
                    .into()
            }
            Self::NotInDatabase { hint, .. } => format!("nothing was changed. {hint}"),
            Self::Held { name, .. } => {
                format!("nothing was changed here. `plimsoll migrate backfill {name} --status` shows how far it is")
            }
            Self::Paused { name, .. } => format!("`plimsoll migrate backfill {name} --resume`, then {}", run(name)),
            Self::Changed { name, .. } => format!(
                "nothing was changed. Put the old statement back and let it end; or declare the new one under \
                 another name (name=…); or begin anew with `plimsoll migrate backfill {name} --restart`, which \
                 runs the new statement on every row"
            ),
            Self::NotFinished { name, .. } => format!("run it to its end: {}", run(name)),
            Self::Row { name, .. } => format!(
                "all batches before it are done and kept. Mend the row or the statement, then {} goes on there",
                run(name)
            ),
            Self::KeepsFailing { name, .. } => format!(
                "all batches before it are done and kept. Look for who holds the locks (pg_stat_activity), then {} \
                 goes on there",
                run(name)
            ),
            Self::Full { name, .. } => format!(
                "all batches before it are done and kept, nothing of the last one is. Make room, then {} goes on",
                run(name)
            ),
            Self::Gone { name, .. } => format!(
                "all batches before are done and kept. Where the table comes back, {} goes on; otherwise take the \
                 declaration away",
                run(name)
            ),
            Self::Statement { name, .. } => {
                format!("all batches before it are done and kept. Mend the cause, then {} goes on there", run(name))
            }
            Self::RowsLeft { keep_coming: true, name, .. } => format!(
                "rows are still written in the old shape. Deploy what writes the new one (a dual write, or a \
                 trigger), then {}",
                run(name)
            ),
            Self::RowsLeft { name, .. } => format!(
                "the statement ran on them, and they still meet its WHERE: it sets NULL, or a trigger undoes it. \
                 Leave such rows out in WHERE, or give them a value with coalesce(); then `plimsoll migrate \
                 backfill {name} --restart`"
            ),
            Self::Progress { .. } => {
                "a newer plimsoll may have written it: use that one. The table is described in docs/backfill.md"
                    .into()
            }
            Self::Interrupted { name, .. } => format!("nothing is lost: {} goes on there", run(name)),
            Self::Sqlite { .. } => {
                "see that the path is right and the file can be written; batches that are done are kept".into()
            }
            Self::Database(inner) => return inner.hint(),
            Self::Files(inner) => return inner.hint(),
        })
    }
}

fn line(refused: &RefusedBackfill) -> String {
    format!("{}:{}:{}: {} ({})", refused.file, refused.line, refused.column, refused.message, refused.hint)
}
