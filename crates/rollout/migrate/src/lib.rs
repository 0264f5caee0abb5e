//! VERDICT -> RUNNING: runs migrations, and knows after every crash where it was
//! (MIG-2).
//!
//! What ran is recorded in the user's database, in one table (docs/migrations.md).
//! A file that fits into one transaction is committed together with its record, so
//! that it is done as a whole or not at all. One that does not is recorded statement
//! by statement; where it is not known whether a statement was done, the database is
//! looked at. There is no state without a next step, and no command to repair one:
//! running it again is the way.
//!
//! ```no_run
//! use plimsoll_evidence_migration_lint::{File, Options};
//! use plimsoll_model::{Secret, Silent};
//! use plimsoll_rollout_migrate::{ApplyOptions, Database, Target};
//!
//! # async fn example(files: Vec<File>) -> Result<(), plimsoll_rollout_migrate::Error> {
//! let target = Target::Postgres(Secret::new("postgres://app@db.example.com/payouts"));
//! let mut database = Database::open(&target, "alice").await?;
//! let scripts = database.scripts(&files, &Options::default()).await?;
//! let options = ApplyOptions::default();
//! let plan = database.plan(&scripts, &options.plan).await?;
//! if plan.allowed {
//!     let report = database.apply(&scripts, &options, &Silent).await?;
//!     assert!(report.waiting.is_empty());
//! }
//! # Ok(())
//! # }
//! ```

mod adopt;
mod apply;
mod database;
mod error;
mod observer;
mod pages;
mod plan;
mod postgres;
mod record;
mod report;
mod session;
mod sqlite;
mod table;

pub use adopt::{AdoptOptions, Foreign, Tool};
pub use apply::ApplyOptions;
pub use database::{Database, Target};
pub use error::{Blocker, Changed, Error, Place};
pub use pages::PAGES;
pub use plan::{History, Plan, PlanOptions, Planned, State, plan};
pub use record::{FORMAT, Record, TABLE, checksum};
pub use report::{AdoptReport, Applied, ApplyReport, Status, StatusPlan};
pub use session::Timeouts;
