//! What the entries add up to. Derived, read only, from indexes.

pub mod builds;
pub mod history;
pub mod metrics;
pub mod rollouts;
pub mod schema;
pub mod stats;
pub mod verification;

pub use builds::{Build, UnfinishedBuild};
pub use history::{Decided, HistoryRow, Shown, What};
pub use rollouts::{Deployed, Rollout, Running, Step, Unfinished};
pub use schema::SchemaRecord;
pub use stats::{Durations, Stats};
pub use verification::{Approval, COVERAGE_WINDOW, Escalation, Sample, Softening};
