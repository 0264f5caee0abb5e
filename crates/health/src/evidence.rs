//! What was seen, in the form that is judged and recorded: counts of both
//! releases in the same windows of time.

use jiff::Timestamp;
use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};

use crate::Metric;

/// The schema's name in the ledger.
pub const SCHEMA: &str = "plimsoll/watch-evidence/v1";

/// All that a verdict rests on. The same evidence gives the same verdict for
/// ever: nothing else goes into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// [`SCHEMA`].
    pub schema: String,
    /// What served before.
    pub stable: Option<Digest>,
    /// What is judged.
    pub candidate: Digest,
    /// When window 0 began.
    pub started: Timestamp,
    /// What was counted, metric by metric.
    pub metrics: Vec<Counted>,
}

impl Evidence {
    /// The same with what was counted of other metrics: alpha is split over all
    /// of them. Nothing is joined that is about other releases or began at
    /// another time.
    #[must_use]
    pub fn join(mut self, more: Evidence) -> Self {
        let about = |evidence: &Evidence| (evidence.stable, evidence.candidate, evidence.started);
        if about(&self) == about(&more) {
            self.metrics.extend(more.metrics);
        }
        self
    }
}

/// What was counted of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The metric.
    pub metric: Metric,
    /// The length of a window in seconds.
    pub window_sec: u32,
    /// Windows in which something of it was seen, oldest first.
    pub windows: Vec<Window>,
    /// How looking went at the new release's replicas.
    pub candidate: Presence,
    /// How looking went at the old release's replicas.
    pub stable: Presence,
}

/// Which of the two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The new one, which is judged.
    Candidate,
    /// The old one.
    Stable,
}

/// What both releases did in one window. Exposure is requests, or whatever
/// the denominator counts, or seconds of replicas' time. A side that was not
/// looked at has no exposure.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Window {
    /// Its number; it began `index * window_sec` after the start.
    pub index: u32,
    /// Events and exposure of the new release.
    pub candidate: Count,
    /// Events and exposure of the old one.
    pub stable: Count,
    /// Whether replicas of both were looked at: only then the two can be
    /// compared.
    pub side_by_side: bool,
}

/// Events, and how much there was in which they could have happened.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Events, of the kind that is worse when there are more.
    pub events: f64,
    /// Requests, other events, or seconds.
    pub exposure: f64,
}

impl Count {
    /// Events per unit of exposure.
    pub fn rate(&self) -> Option<f64> {
        (self.exposure > 0.0).then(|| self.events / self.exposure)
    }

    pub(crate) fn add(&mut self, more: Count) {
        self.events += more.events;
        self.exposure += more.exposure;
    }

    /// Three decimals: such numbers survive JSON unchanged.
    pub(crate) fn rounded(self) -> Self {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        Self { events: round(self.events), exposure: round(self.exposure) }
    }
}

/// `[index, candidate events, candidate exposure, stable events, stable
/// exposure, side by side]`: there are many of them.
#[derive(Serialize, Deserialize)]
struct Row(u32, f64, f64, f64, f64, bool);

impl From<Row> for Window {
    fn from(row: Row) -> Self {
        Self {
            index: row.0,
            candidate: Count { events: row.1, exposure: row.2 },
            stable: Count { events: row.3, exposure: row.4 },
            side_by_side: row.5,
        }
    }
}

impl From<Window> for Row {
    fn from(w: Window) -> Self {
        Self(
            w.index,
            w.candidate.events,
            w.candidate.exposure,
            w.stable.events,
            w.stable.exposure,
            w.side_by_side,
        )
    }
}

/// How looking went at the replicas of one release. Absent, zero and
/// unreachable are three things.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// Looks at a replica that found the metric.
    pub found: u32,
    /// Looks that were answered, without any series of the metric. Where the
    /// denominator was there, they count as no events once the metric has been
    /// seen on either side.
    pub absent: u32,
    /// Looks that were not answered, or not in a way that can be read.
    pub unknown: u32,
    /// Looks that found something that cannot be judged: a gauge, a counter
    /// below zero.
    pub refused: u32,
    /// The last reason for one of the latter two.
    #[serde(default)]
    pub why: Option<String>,
    /// Counters that began again.
    #[serde(default)]
    pub resets: u32,
    /// Times between two looks at a replica that were too long to count.
    #[serde(default)]
    pub gaps: u32,
}

impl Presence {
    /// How often somebody looked.
    pub fn looks(&self) -> u32 {
        self.found + self.absent + self.unknown + self.refused
    }
}
