//! VERDICT -> RUNNING: changes the rows that are there, in batches by key, beside
//! the released code (MIG-3).
//!
//! A backfill is declared in a migration, by a comment before an UPDATE, DELETE or
//! INSERT … SELECT, or in a `*.backfill.toml`. It is cut into ranges of a unique
//! key. Each range is one transaction with the row of progress, which is in the
//! user's database, so that a process that is killed never does a batch twice and
//! never leaves one out. The size of a batch follows the time that it takes; any
//! one sign that the database suffers stops the next one.
//!
//! What comes out at the end is a [`Proof`], which the contract step asks for.
//!
//! ```no_run
//! # async fn example() -> Result<(), plimsoll_rollout_backfill::Error> {
//! use plimsoll_rollout_backfill::{Options, Place, Silent, declarations, run};
//! use plimsoll_evidence_migration_lint as lint;
//!
//! let sql = b"-- plimsoll: backfill table=users key=id\nUPDATE users SET name = email WHERE name IS NULL;";
//! let files = [lint::File { path: "7_names.sql".into(), bytes: sql.to_vec() }];
//! let found = declarations(&files, &lint::Options::default())?;
//! let place = Place::Sqlite("app.db".into());
//! let done = run(&place, found.named("users")?, &Options::default(), &Silent).await?;
//! assert_eq!(done.proof.table, "users");
//! # Ok(())
//! # }
//! ```

mod control;
mod declaration;
mod driver;
mod error;
mod key;
mod pages;
mod postgres;
mod progress;
mod report;
mod retry;
mod run;
mod size;
mod sqlite;
mod state;
mod throttle;

use std::path::PathBuf;

use plimsoll_database::Address;
use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Secret;

pub use control::{check, finished, pause, restart, resume, status};
pub use declaration::{Declaration, Declarations, FIRST_BATCH, Origin, declarations};
pub use error::Error;
pub use key::{Key, Part};
pub use pages::PAGES;
pub use progress::{Event, Observer, Silent};
pub use report::{Backfill, Report, Standing};
pub use run::{Done, Options};
pub use size::BatchSize;
pub use state::{Means, Proof, State, TABLE};
pub use throttle::{Reading, Reason, Seen, Signal, Thresholds, Throttle, Vacuums};

/// Where the rows are.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of it, for as long as a command runs")]
pub enum Place {
    /// A database of a PostgreSQL server, version 12 or later.
    Postgres(Address),
    /// A database file, which must be there.
    Sqlite(PathBuf),
}

impl Place {
    /// A database of PostgreSQL by its URL.
    ///
    /// # Errors
    /// `DBS-001`: it is none. No part of it is in the error.
    pub fn postgres(url: &Secret) -> Result<Self, Error> {
        Ok(Self::Postgres(Address::parse(url)?))
    }

    /// Whose SQL it understands.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }
}

/// Runs a backfill to its end, from wherever an earlier run left it.
///
/// # Errors
/// `BKF-003` the database has not what it needs, `BKF-010` another process works on
/// it, `BKF-011` it is paused, `BKF-012` it was changed while half done, `BKF-020` to
/// `BKF-025` it cannot go on, `BKF-040` it was asked to stop; and those of the way to
/// the database. In every case what is done is kept, and nothing is half done.
pub async fn run(
    place: &Place,
    declaration: &Declaration,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Done, Error> {
    match place {
        Place::Postgres(address) => {
            let mut driver = postgres::Postgres::new(address.clone(), options);
            run::run(&mut driver, declaration, options, observer).await
        }
        Place::Sqlite(path) => {
            let mut driver = sqlite::Sqlite::new(path.clone(), options);
            run::run(&mut driver, declaration, options, observer).await
        }
    }
}
