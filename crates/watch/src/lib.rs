//! What the watch sees (DEP-6): the replicas' own metrics, a Prometheus server,
//! spans over OTLP, the counters of the traffic switch. Each is a [`Source`]
//! of looks that `plimsoll-health` counts and judges.
//!
//! ```text
//! Declaration -> Query ----+
//!                          v
//! replicas' /metrics -> Replicas    \
//! Prometheus' API ----> Prometheus   \ Look -> Session -> health::Record
//! spans over OTLP ----> otlp::Spans  /
//! switch's counters --> Switch      /
//! ```
//!
//! Absent, zero, and unreachable never blur: each metric of each look is
//! found, absent, invalid (why) or unknown (why). Declarations are read, and
//! expressions tried, before anything moves ([`WatchError`]). Every answer is
//! bounded in bytes, series and time.

mod error;
pub mod exposition;
mod fetch;
pub mod otlp;
pub mod prometheus;
mod query;
mod replicas;
mod selector;
mod session;
mod switch;

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use plimsoll_health::Look;
use plimsoll_model::Digest;

pub use error::{PAGES, WatchError};
pub use fetch::Bounds;
pub use prometheus::Prometheus;
pub use query::{Declaration, Query};
pub use replicas::{Detour, Replicas, Way};
pub use selector::{Selector, SyntaxError};
pub use session::Session;
pub use switch::Switch;

/// A future in a box, as sources return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One replica of one of the two releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// What it runs.
    pub digest: Digest,
    /// What tells it from the others.
    pub name: String,
    /// Where its metrics are, if they can be asked for.
    pub metrics: Option<String>,
    /// When it started, where that is known.
    pub born: Option<Timestamp>,
}

/// Where looks come from.
pub trait Source: Send + Sync {
    /// Looks once: what each replica shows of each metric, in the order the
    /// source was given them. Does not fail: what cannot be asked is unknown,
    /// with the reason. Ends within the source's own deadline.
    fn look<'a>(&'a self, replicas: &'a [Replica]) -> BoxFuture<'a, Vec<Look>>;
}
