//! What keeps migrations from being traced. What a migration does wrong does not: it
//! is part of the trace.

use plimsoll_model::{Class, Diagnose, Page};

/// Why nothing was traced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user may not create databases.
    #[error("cannot create a scratch database on {address}")]
    NoGrant {
        /// Database and host of the URL.
        address: String,
        /// The user's name, as the server knows it.
        user: String,
    },
    /// The server is too old.
    #[error("{address} is too old to be traced on")]
    Old {
        /// Database and host of the URL.
        address: String,
        /// The server's version.
        found: String,
    },
    /// A migration that ran in production does not run here.
    #[error("{file} is released, and fails on an empty database")]
    Released {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What the database said.
        says: String,
    },
    /// The rows could not be put in.
    #[error("the rows to trace with cannot be put in")]
    Rows {
        /// What the database said.
        says: String,
    },
    /// What names the server is not usable.
    #[error("where to trace cannot be used: {why}")]
    Url {
        /// Why; never the URL.
        why: String,
    },
    /// It took too long.
    #[error("tracing took longer than it may")]
    TooLong {
        /// How long it may take, e.g. `900 s`.
        most: String,
        /// The file that it came to.
        file: String,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] plimsoll_database::Error),
    /// The files.
    #[error(transparent)]
    Lint(#[from] plimsoll_evidence_migration_lint::Error),
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoGrant { .. } | Self::Old { .. } | Self::Rows { .. } | Self::Url { .. } => Class::Usage,
            Self::Released { .. } | Self::TooLong { .. } => Class::Failed,
            Self::Database(error) => error.class(),
            Self::Lint(error) => error.class(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoGrant { .. } => "MIG-921",
            Self::Old { .. } => "MIG-922",
            Self::Released { .. } => "MIG-923",
            Self::Rows { .. } => "MIG-924",
            Self::TooLong { .. } => "MIG-925",
            Self::Url { .. } => "MIG-926",
            Self::Database(error) => error.code(),
            Self::Lint(error) => error.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::NoGrant { user, .. } => Some(format!("role {user} with CREATEDB")),
            Self::Old { .. } => Some("PostgreSQL 12 or later".into()),
            Self::TooLong { most, .. } => Some(format!("at most {most}")),
            Self::Url { .. } => Some("postgres://…, env:NAME, file:PATH or command:CMD".into()),
            Self::Released { .. } | Self::Rows { .. } => None,
            Self::Database(error) => error.expected(),
            Self::Lint(error) => error.expected(),
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::NoGrant { .. } => Some("a role without it".into()),
            Self::Old { found, .. } => Some(found.clone()),
            Self::Released { line, says, .. } => Some(format!("line {line}: {says}")),
            Self::Rows { says } => Some(says.clone()),
            Self::TooLong { file, .. } => Some(format!("it came to {file}")),
            Self::Url { .. } => None,
            Self::Database(error) => error.found(),
            Self::Lint(error) => error.found(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoGrant { user, .. } => {
                let role = user.replace('"', "\"\"");
                format!("nothing was changed. As an administrator: ALTER ROLE \"{role}\" CREATEDB;")
            }
            Self::Old { .. } => {
                "nothing was changed. Trace on a newer server; the SQL may be the same".into()
            }
            Self::Released { file, .. } => format!(
                "the scratch database was dropped. What {file} needs and no migration makes (extensions, \
                 roles, tables of others) has to be on the server"
            ),
            Self::Rows { .. } => {
                "the scratch database was dropped. The rows go into the tables of the released migrations"
                    .into()
            }
            Self::TooLong { .. } => {
                "the scratch database was dropped. Trace on a faster server, or with fewer rows".into()
            }
            Self::Url { .. } => "nothing was changed. Put the URL into a variable: \
                 `plimsoll migrate lint --trace env:TRACE_URL`"
                .into(),
            Self::Database(error) => return error.hint(),
            Self::Lint(error) => return error.hint(),
        })
    }
}

/// One page per error code.
pub const PAGES: &[Page] = &[
    Page {
        code: "MIG-921",
        name: "trace-needs-createdb",
        what: "The user of the URL may not create a database to trace in.",
        why: "Migrations are traced in a scratch database, which is dropped again. No other database is touched.",
        how: "`ALTER ROLE name CREATEDB;`, or trace on a server of your own.",
    },
    Page {
        code: "MIG-922",
        name: "trace-server-too-old",
        what: "The server is older than PostgreSQL 12.",
        why: "Older ones take other locks than the ones that the lint knows.",
        how: "Trace on PostgreSQL 12 or later, best on the version that production has.",
    },
    Page {
        code: "MIG-923",
        name: "released-migration-fails",
        what: "A migration that counts as released fails when it is replayed on an empty database.",
        why: "What the new migrations lock can only be seen on the schema that they change.",
        how: "Install what it needs on the server (extensions, roles). `plimsoll migrate lint` without `--trace` \
              needs none of that.",
    },
    Page {
        code: "MIG-924",
        name: "trace-rows-refused",
        what: "The SQL that puts rows in before the new migrations run fails.",
        why: "A trace with fewer rows than asked for would show other times.",
        how: "Run it against a database to which the released migrations were applied.",
    },
    Page {
        code: "MIG-925",
        name: "trace-too-long",
        what: "Replaying and tracing the migrations took longer than a quarter of an hour.",
        why: "Whoever writes a migration must not be able to hold a pipeline up.",
        how: "Look at the file that it came to. Single statements are ended after a minute, and named.",
    },
    Page {
        code: "MIG-926",
        name: "trace-url-not-usable",
        what: "`--trace` names no PostgreSQL server, or holds a password for another machine.",
        why: "Arguments can be read by every process of the machine, and stay in the history of shells.",
        how: "`--trace env:NAME`, `--trace file:PATH`, or a URL without a password and `PGPASSWORD`.",
    },
];
