//! Is the new release worse than the old one? Observations in, verdicts out
//! (DEP-6): no I/O, no clock, no async.
//!
//! ```text
//! Look -> Tally -> Evidence -> judge -> Report -> decide
//!  one     counts   recorded    the      three     promote, hold,
//!  scrape  in       in the      test     verdicts  go back
//!          windows  ledger
//! ```
//!
//! - Old and new are compared side by side, over the same windows of time,
//!   never the new release with history: loads drift by more than releases
//!   differ. Where the old release does not serve any more, only a declared
//!   limit can be judged.
//! - The test stays valid however often one looks (`likelihood`), and bursts
//!   do not fool it (`dispersion`).
//! - A verdict comes with what could have been seen at all (`power`), and
//!   absent, zero, and unreachable are three things ([`Reason`]).
//! - [`Evidence`] is all that a verdict rests on: recorded, it gives the same
//!   verdict for ever.
//!
//! The error rates this keeps to are simulated: `examples/watch_simulation.rs`,
//! whose table is in `docs/watch.md`.
//!
//! ```
//! use plimsoll_health::{Kind, Metric, Settings, Tally, Verdict, judge};
//! # let digest = plimsoll_model::Digest::from_sha256;
//! # let (old, new) = ([1; 32], [2; 32]);
//! let metrics = vec![Metric::new("payout failures", Kind::Share)];
//! let started = jiff::Timestamp::UNIX_EPOCH;
//! let tally = Tally::new(Some(digest(old)), digest(new), metrics, started, 10);
//! // … `tally.look(…)` with each scrape of a replica …
//! let report = judge(&tally.evidence(), &Settings::default());
//! assert_eq!(report.verdict, Verdict::InsufficientData);
//! assert_eq!(report.sentence(), "payout failures: insufficient data. no replica of the new release was looked at");
//! ```

mod dispersion;
mod evidence;
mod judge;
mod latency;
mod likelihood;
mod metric;
mod pages;
mod policy;
mod power;
mod record;
mod tally;
mod text;

pub use evidence::{Count, Counted, Evidence, Presence, SCHEMA as EVIDENCE_SCHEMA, Side, Window};
pub use judge::{
    LimitReport, MetricReport, Power, Reason, Report, SCHEMA as REPORT_SCHEMA, Verdict, Where, judge,
};
pub use likelihood::Interval;
pub use metric::{Effect, Kind, Latency, Metric, Settings, Worse};
pub use pages::{INSUFFICIENT_DATA, PAGES, REGRESSED};
pub use policy::{Decided, Decision, InsufficientData, Then, decide};
pub use record::{Record, Replay, SCHEMA as RECORD_SCHEMA};
pub use tally::{Look, Point, Reading, Tally};
