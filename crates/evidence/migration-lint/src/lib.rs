//! IMAGE -> EVIDENCE: what a migration does to the database, and to the code that
//! runs beside it (MIG-1, and the computed half of MIG-4).
//!
//! A directory of migrations is replayed into a model of the schema, and each
//! statement is judged by what is there when it runs: an index on a table that the
//! same release makes is fine, the same index on a table in use is not. No I/O, no
//! database, no clock: files in, findings out.
//!
//! ```
//! use plimsoll_evidence_migration_lint::{Class, File, Options, Released, lint};
//!
//! let file = |path: &str, sql: &str| File { path: path.into(), bytes: sql.into() };
//! let files = [
//!     file("1_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY, email text);"),
//!     file("2_index.sql", "CREATE INDEX users_email ON users (email);"),
//! ];
//! let released = Released::Files(["1_users.sql".to_string()].into());
//! let report = lint(&files, &Options { released, ..Options::default() })?;
//! assert_eq!(report.files[0].class, Class::Unsafe);
//! assert_eq!(report.files[0].findings[0].name, "index-not-concurrent");
//! # Ok::<(), plimsoll_evidence_migration_lint::Error>(())
//! ```

mod action;
mod apply;
mod backfill;
mod context;
mod effect;
mod error;
mod layout;
mod lines;
mod lint;
mod name;
mod offer;
mod options;
mod postgres;
mod report;
mod rules;
mod schema;
mod script;
mod split;
mod sql_type;
mod sqlite;
mod window;

pub use backfill::{Backfills, DeclaredBackfill, Ranged, RefusedBackfill, Verb, Walk, backfills, ranged};
pub use error::{Error, PAGES};
pub use layout::{Layout, RUNNER_TABLES};
pub use lint::{lint, schema};
pub use offer::{Offer, OfferedColumn, OfferedRelation};
pub use options::{Declared, Dialect, File, Limits, Options, Released};
pub use report::{
    Class, FileReport, Finding, Ignored, Lock, Report, Severity, Statement, Traced, TracedLock, TracedOn,
    Withdrawn, Work,
};
pub use rules::{Example, PAGES as RULE_PAGES, RULES, Rule};
pub use schema::Schema;
pub use script::{Script, ScriptStatement, Scripts, Standalone, Touches, Unsupported, scripts};
pub use window::{
    Missing, NeededColumn, NeededRelation, Needs, RowDemand, RowDemandKind, Serves, cautions, serves,
};
