//! Why migrations were not run, or not to their end, and whether anything was
//! changed.

use std::fmt;

use plimsoll_model::{Class, Diagnose};

use crate::plan::{Plan, State};

/// What a command had changed when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Changed {
    /// Nothing.
    #[default]
    Nothing,
    /// These files ran to their end before.
    Files(Vec<String>),
    /// One is begun: so many of its statements are done.
    Part {
        /// Files that ran to their end before.
        files: Vec<String>,
        /// The file.
        path: String,
        /// Statements that are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing was changed"),
            Self::Files(files) if files.is_empty() => f.write_str("nothing was changed"),
            Self::Files(files) => write!(f, "{} ran before and stays", listed(files)),
            Self::Part { files, path, done, of } => {
                if !files.is_empty() {
                    write!(f, "{} ran before and stays; ", listed(files))?;
                }
                write!(f, "{done} of {of} statements of `{path}` are done")
            }
        }
    }
}

fn listed(paths: &[String]) -> String {
    match paths {
        [] => "nothing".into(),
        [one] => format!("`{one}`"),
        [first, .., last] => format!("`{first}` to `{last}` ({} files)", paths.len()),
    }
}

/// Who stands in the way of a lock.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Blocker {
    /// Its process in the server.
    pub pid: i32,
    /// Its `application_name`.
    pub application: String,
    /// Its role.
    pub user: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// How long its transaction has been open, in seconds.
    pub since_sec: f64,
    /// Its statement, with `?` for values, at most 200 characters.
    pub query: String,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({}, {}, {}", self.pid, self.application, self.user, self.state)?;
        write!(f, ", for {:.0} s)", self.since_sec)?;
        if !self.query.is_empty() {
            write!(f, ": {}", self.query)?;
        }
        Ok(())
    }
}

/// Where a statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Its number among the statements that are run, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} (statement {} of {})", self.path, self.line, self.column, self.number, self.of)
    }
}

/// Migrations that were not run, or not to their end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection to PostgreSQL.
    #[error("{error}")]
    Database {
        /// What happened.
        error: Box<plimsoll_database::Error>,
        /// What was changed before.
        changed: Box<Changed>,
    },
    /// The files cannot be read.
    #[error("{0}")]
    Files(plimsoll_evidence_migration_lint::Error),
    /// Some file must not run as it is.
    #[error("the migrations of {database} are refused: {path}: {reason}")]
    Refused {
        /// Which database.
        database: String,
        /// The first file.
        path: String,
        /// Why.
        reason: String,
        /// What to do.
        next: Option<String>,
        /// How many others are refused.
        others: usize,
    },
    /// A file is not what it was when it ran.
    #[error("{path} is not what it was when it ran in {database}")]
    Edited {
        /// Which database.
        database: String,
        /// The file.
        path: String,
        /// The recorded checksum.
        expected: String,
        /// The file's.
        found: String,
        /// How to see the difference.
        next: Box<str>,
    },
    /// Another tool has migrated it.
    #[error("{database} was migrated by {tool} so far (table {table})")]
    Foreign {
        /// Which database.
        database: String,
        /// The tool.
        tool: String,
        /// Its table.
        table: String,
    },
    /// There is nothing to adopt.
    #[error("{database} has nothing to adopt")]
    NothingToAdopt {
        /// Which database.
        database: String,
        /// Why.
        reason: String,
    },
    /// What another tool wrote down cannot be taken over.
    #[error("what {tool} recorded in {database} cannot be adopted: {reason}")]
    NotAdoptable {
        /// Which database.
        database: String,
        /// The tool.
        tool: String,
        /// Why.
        reason: String,
        /// What to do.
        next: String,
    },
    /// Another runner is at work.
    #[error("another runner migrates {database} at the moment")]
    Busy {
        /// Which database.
        database: String,
        /// Who, in words.
        holder: String,
        /// How long was waited, in seconds.
        waited_sec: f64,
    },
    /// A lock on a table was not granted.
    #[error("{place}: the lock that it needs was not granted in {attempts} attempts")]
    LockNotGranted {
        /// The statement.
        place: Box<Place>,
        /// How often it was tried.
        attempts: u32,
        /// Who held it the last time it was seen.
        blockers: Vec<Blocker>,
        /// What was changed before.
        changed: Box<Changed>,
    },
    /// The database refused a statement.
    #[error("{place}: {message}")]
    Statement {
        /// The statement.
        place: Box<Place>,
        /// What the database says.
        message: String,
        /// SQLSTATE, or SQLite's name of the error.
        state: String,
        /// Whether it ran into the time that one statement may take.
        too_long: bool,
        /// What was changed before.
        changed: Box<Changed>,
    },
    /// The lock that keeps other runners away is not held any more.
    #[error("the lock on the migrations of {database} was lost")]
    LockLost {
        /// Which database.
        database: String,
        /// What was changed before.
        changed: Box<Changed>,
    },
    /// A person, or a signal, wanted it to end. What was in flight is rolled back by the
    /// database.
    #[error("migrating {database} was interrupted")]
    Interrupted {
        /// Which database.
        database: String,
    },
    /// Somebody else went on with the file in between.
    #[error("another runner went on with the migrations of {database}")]
    Overtaken {
        /// Which database.
        database: String,
    },
    /// The table was written by a newer Plimsoll, or by something else.
    #[error("the table {table} of {database} cannot be read: {reason}")]
    Table {
        /// Which database.
        database: String,
        /// Ours.
        table: String,
        /// Why.
        reason: String,
    },
    /// SQLite.
    #[error("could not {operation} in {database}: {message}")]
    Sqlite {
        /// What was being done.
        operation: String,
        /// The file.
        database: String,
        /// What SQLite says.
        message: String,
        /// Whether the disk, or the file's bound, is full.
        full: bool,
        /// What was changed before.
        changed: Box<Changed>,
    },
}

impl Error {
    pub(crate) fn of_plan(plan: &Plan) -> Option<Self> {
        if let Some(foreign) = &plan.foreign {
            return Some(Self::Foreign {
                database: plan.database.clone(),
                tool: foreign.tool.to_string(),
                table: foreign.table.clone(),
            });
        }
        if let Some(edited) = plan.in_state(State::Edited).next() {
            return Some(Self::Edited {
                database: plan.database.clone(),
                path: edited.path.clone(),
                expected: edited.recorded_checksum.clone().unwrap_or_default(),
                found: edited.checksum.clone().unwrap_or_default(),
                next: edited.next.clone().unwrap_or_default().into(),
            });
        }
        let mut refused = plan.in_state(State::Refused);
        let first = refused.next()?;
        Some(Self::Refused {
            database: plan.database.clone(),
            path: first.path.clone(),
            reason: first.reason.clone().unwrap_or_default(),
            next: first.next.clone(),
            others: refused.count(),
        })
    }

    /// Whether the connection is gone, so that it is not known what became of what
    /// was sent last.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Database { error, .. } => error.is_lost(),
            Self::LockLost { .. } | Self::Overtaken { .. } => true,
            _ => false,
        }
    }

    /// What was changed before.
    pub fn changed(&self) -> Changed {
        match self {
            Self::Database { changed, .. }
            | Self::LockNotGranted { changed, .. }
            | Self::Statement { changed, .. }
            | Self::LockLost { changed, .. }
            | Self::Sqlite { changed, .. } => (**changed).clone(),
            _ => Changed::Nothing,
        }
    }

    /// The same error, of a command that had changed this.
    pub(crate) fn after(mut self, now: Changed) -> Self {
        if let Self::Database { changed, .. }
        | Self::LockNotGranted { changed, .. }
        | Self::Statement { changed, .. }
        | Self::LockLost { changed, .. }
        | Self::Sqlite { changed, .. } = &mut self
        {
            **changed = now;
        }
        self
    }
}

impl From<plimsoll_database::Error> for Error {
    fn from(error: plimsoll_database::Error) -> Self {
        Self::Database { error: Box::new(error), changed: Box::default() }
    }
}

impl From<plimsoll_evidence_migration_lint::Error> for Error {
    fn from(error: plimsoll_evidence_migration_lint::Error) -> Self {
        Self::Files(error)
    }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Database { error, .. } => error.class(),
            Self::Files(error) => error.class(),
            Self::Refused { .. } | Self::Foreign { .. } | Self::NotAdoptable { .. } => Class::Refused,
            Self::NothingToAdopt { .. } => Class::Usage,
            Self::Interrupted { .. } => Class::Interrupted,
            Self::Edited { .. } => Class::Integrity,
            Self::Busy { .. }
            | Self::Overtaken { .. }
            | Self::LockNotGranted { .. }
            | Self::Statement { .. } => Class::Failed,
            Self::Sqlite { full: true, .. } => Class::Failed,
            Self::LockLost { .. } | Self::Table { .. } | Self::Sqlite { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Database { error, .. } => error.code(),
            Self::Files(error) => error.code(),
            Self::Refused { .. } => "MGR-001",
            Self::Edited { .. } => "MGR-002",
            Self::Foreign { .. } => "MGR-003",
            Self::NothingToAdopt { .. } => "MGR-004",
            Self::NotAdoptable { .. } => "MGR-005",
            Self::Busy { .. } | Self::Overtaken { .. } => "MGR-006",
            Self::LockNotGranted { .. } => "MGR-007",
            Self::Statement { .. } => "MGR-008",
            Self::LockLost { .. } => "MGR-009",
            Self::Table { .. } => "MGR-010",
            Self::Sqlite { .. } => "MGR-011",
            Self::Interrupted { .. } => "MGR-012",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Database { error, .. } => error.expected(),
            Self::Files(error) => error.expected(),
            Self::Edited { expected, .. } => Some(format!("{expected} (recorded when it ran)")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Database { error, .. } => error.found(),
            Self::Files(error) => error.found(),
            Self::Edited { found, .. } => Some(format!("{found} (the file)")),
            Self::Busy { holder, .. } => Some(holder.clone()),
            Self::LockNotGranted { blockers, .. } if !blockers.is_empty() => {
                let blockers: Vec<_> = blockers.iter().map(ToString::to_string).collect();
                Some(format!("held by {}", blockers.join("; ")))
            }
            Self::Statement { state, .. } => Some(state.clone()),
            Self::NothingToAdopt { reason, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let nothing = "nothing was changed";
        Some(match self {
            Self::Database { error, changed } => match error.hint() {
                Some(hint) => format!("{changed}; {hint}"),
                None => changed.to_string(),
            },
            Self::Files(error) => return error.hint(),
            Self::Refused { next, others, .. } => {
                let others = if *others > 0 { format!("; {others} more are refused") } else { String::new() };
                let next = next.as_deref().map(|next| format!("; {next}")).unwrap_or_default();
                format!("{nothing}{next}{others}. `plimsoll migrate plan` shows all")
            }
            Self::Edited { next, .. } => format!("{nothing}; {next}"),
            Self::Foreign { .. } => format!(
                "{nothing}; `plimsoll migrate adopt` compares what it recorded with the files and takes it over; where \
                 that table is about other migrations, `plimsoll migrate apply --beside-other-tool`"
            ),
            Self::NothingToAdopt { .. } => format!(
                "{nothing}; `plimsoll migrate adopt --through PATH` records files as applied that were run by hand"
            ),
            Self::NotAdoptable { next, .. } => format!("{nothing}; {next}"),
            Self::Busy { waited_sec, .. } => format!(
                "{nothing}; it was waited for {waited_sec:.0} s. Run it again when the other one has ended; \
                 a runner that was killed gives its lock back as soon as the server notices"
            ),
            Self::LockNotGranted { changed, .. } => format!(
                "{changed}; run it again at a quieter time, end who holds the lock (`SELECT pg_terminate_backend(PID)`), \
                 or give it longer (`--lock-timeout`, `--attempts`)"
            ),
            Self::Statement { too_long: true, changed, .. } => {
                format!(
                    "{changed}; it was ended after the time that `--statement-timeout` gives one statement"
                )
            }
            Self::Statement { state, changed, .. } if state == "42P07" || state == "42701" => format!(
                "{changed}; what it makes is there already: was this database migrated otherwise before? \
                 `plimsoll migrate adopt --through PATH` records files as applied"
            ),
            Self::Statement { state, changed, .. } if state == "25001" => format!(
                "{changed}; the statement must not be in a transaction: put it into a file of its own and tell so in \
                 the way of your tool (`plimsoll explain MIG-031`)"
            ),
            Self::Statement { changed, .. } => {
                format!("{changed}; correct the statement, then `plimsoll migrate apply` goes on from there")
            }
            Self::LockLost { changed, .. } => format!(
                "{changed}; connect to the server itself, not through a pooler that changes sessions between \
                 transactions (PgBouncer: `pool_mode = session`)"
            ),
            Self::Interrupted { .. } => "files that ran to their end stay, the one in flight is rolled back as far as it \
                can be; `plimsoll migrate status` shows where it stands, and `plimsoll migrate apply` goes on from there"
                .into(),
            Self::Overtaken { .. } => "run it again; what the other one did is recorded".into(),
            Self::Table { .. } => format!("{nothing}; is a newer plimsoll in use elsewhere?"),
            Self::Sqlite { full: true, changed, .. } => {
                format!("{changed}; make room, then `plimsoll migrate apply` goes on from there")
            }
            Self::Sqlite { changed, .. } => changed.to_string(),
        })
    }
}
