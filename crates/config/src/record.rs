//! What a release is compared with, run against and recorded in:
//! `[contract]`, `[migrations]`, `[ledger]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_model::Secret;

use crate::secret::{SecretContext, SecretError, SecretSource};
use crate::table::Table;
use crate::values;

/// `[contract]` (API-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The OpenAPI document, relative to the checkout. Default: `openapi.json`.
    pub openapi: PathBuf,
    /// Breaks that were decided on, relative to `plimsoll.toml`. Default: none.
    pub accepted: Option<PathBuf>,
}

/// `[migrations]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Relative to the checkout. Default: `migrations`.
    pub dir: PathBuf,
    /// What they are applied to. Default: none; they are only judged.
    pub database: Option<Database>,
    /// Whose SQL it is. Default: by `database`, else PostgreSQL.
    pub dialect: Option<SqlDialect>,
    /// The tool whose rules order the files. Default: found out.
    pub layout: Option<MigrationLayout>,
    /// Tables (`users`) and columns (`users.name`) that the code of this commit
    /// does not use any more. Default: none.
    pub unused: Vec<String>,
    /// Tables small enough to be read or rewritten under a lock. Default: none.
    pub small_tables: Vec<String>,
    /// How many releases before the one that runs one must be able to go back
    /// to: contract steps wait for that. Default: 1.
    pub rollback_window: u32,
    /// Whether others read the database beside this service: then a contract step
    /// breaks them, and the version has to say so. Default: true.
    pub shared: bool,
    /// How long a statement may wait for a lock. Default: 2s.
    pub lock_timeout: Duration,
    /// How long a statement may run. Default: no end.
    pub statement_timeout: Option<Duration>,
}

/// Whose SQL migrations are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlDialect {
    /// `postgres`
    Postgres,
    /// `sqlite`
    Sqlite,
}

const DIALECTS: [(&str, SqlDialect); 2] =
    [("postgres", SqlDialect::Postgres), ("sqlite", SqlDialect::Sqlite)];

/// The layouts of migrations that are known, by the tool that runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationLayout {
    /// `sqlx`
    Sqlx,
    /// `refinery`
    Refinery,
    /// `diesel`
    Diesel,
    /// `golang-migrate`
    GolangMigrate,
    /// `goose`
    Goose,
    /// `dbmate`
    Dbmate,
    /// `flyway`
    Flyway,
    /// `prisma`
    Prisma,
    /// `alembic`: what `alembic upgrade --sql` writes
    Alembic,
    /// `plain`
    Plain,
}

const LAYOUTS: [(&str, MigrationLayout); 10] = [
    ("sqlx", MigrationLayout::Sqlx),
    ("refinery", MigrationLayout::Refinery),
    ("diesel", MigrationLayout::Diesel),
    ("golang-migrate", MigrationLayout::GolangMigrate),
    ("goose", MigrationLayout::Goose),
    ("dbmate", MigrationLayout::Dbmate),
    ("flyway", MigrationLayout::Flyway),
    ("prisma", MigrationLayout::Prisma),
    ("alembic", MigrationLayout::Alembic),
    ("plain", MigrationLayout::Plain),
];

/// `[ledger]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Default: `sqlite://.plimsoll/ledger.db`.
    pub url: Database,
}

/// Where a database is, as configured: `sqlite://PATH`, `postgres://…`
/// without a password, or a source that gives either.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `sqlite://PATH`, relative to `plimsoll.toml`.
    Sqlite(PathBuf),
    /// `postgres://…`, with no password in it.
    Postgres(String),
    /// `env:NAME`, `file:PATH`, `command:CMD`.
    Source(SecretSource),
}

/// Where a database is, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The database file.
    Sqlite(PathBuf),
    /// The connection string, which may hold a password.
    Postgres(Secret),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(url),
            Self::Source(source) => source.fmt(f),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// The full URL; reads the secret where it is one.
    ///
    /// # Errors
    /// The source cannot be read, or what it gave is neither `sqlite://PATH`
    /// nor `postgres://…` (the text itself is never in the error).
    pub fn resolve(&self, context: &SecretContext<'_>) -> Result<DatabaseUrl, SecretError> {
        let sqlite = |path: &Path| DatabaseUrl::Sqlite(context.root.join(path));
        match self {
            Self::Sqlite(path) => Ok(sqlite(path)),
            Self::Postgres(url) => Ok(DatabaseUrl::Postgres(Secret::new(url))),
            Self::Source(source) => {
                let secret = source.resolve(context)?;
                match secret.reveal() {
                    url if is_postgres(url) => Ok(DatabaseUrl::Postgres(secret)),
                    url => match url.strip_prefix("sqlite://") {
                        Some(path) if !path.is_empty() => Ok(sqlite(Path::new(path))),
                        _ => Err(SecretError::NotADatabase { origin: source.clone() }),
                    },
                }
            }
        }
    }
}

/// Whether this is a PostgreSQL connection URL (libpq, "Connection URIs").
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

pub(crate) fn contract(mut table: Table<'_>) -> Option<Contract> {
    let openapi = table.or("openapi", "openapi.json", values::relative_path);
    let accepted = table.opt("accepted", values::relative_path);
    table.finish();
    Some(Contract { openapi: openapi?, accepted })
}

pub(crate) fn migrations(mut table: Table<'_>) -> Option<Migrations> {
    let dir = table.or("dir", "migrations", values::relative_path);
    let database = database(&mut table);
    let dialect = table.opt("dialect", values::choice(&DIALECTS));
    let layout = table.opt("layout", values::choice(&LAYOUTS));
    let unused = table.or("unused", "[]", values::list("[\"users.fax\"]", values::words));
    let small = table.or("small_tables", "[]", values::list("[\"countries\"]", values::words));
    let window = table.or("rollback_window", "1", values::number(0, 100));
    let shared = table.or("shared", "true", values::boolean);
    let lock_timeout = table.or("lock_timeout", "2s", values::some_time);
    let statement_timeout = table.opt("statement_timeout", values::some_time);
    table.finish();
    Some(Migrations {
        dir: dir?,
        database,
        dialect,
        layout,
        unused: unused?,
        small_tables: small?,
        rollback_window: window?,
        shared: shared?,
        lock_timeout: lock_timeout?,
        statement_timeout,
    })
}

/// `database`, here or in an environment.
pub(crate) fn database(table: &mut Table<'_>) -> Option<Database> {
    table.opt_shown("database", values::database, |_, url| url.to_string())
}

pub(crate) fn ledger(mut table: Table<'_>) -> Option<Ledger> {
    let url = if table.has("url") {
        table.opt_shown("url", values::database, |_, url| url.to_string())
    } else {
        table.or("url", "sqlite://.plimsoll/ledger.db", values::database)
    };
    table.finish();
    Some(Ledger { url: url? })
}
