//! What is judged: a metric as it was declared, and how sure to be.

use serde::{Deserialize, Serialize};

/// One metric, as `[[environments.NAME.watch.metrics]]` declares it, after its
/// selectors have been read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What it is called.
    pub name: String,
    /// What is counted, and by what it is divided.
    pub kind: Kind,
    /// Which direction is a regression.
    #[serde(default)]
    pub worse: Worse,
    /// Differences that do not count, though they may be certain.
    #[serde(default)]
    pub effect: Effect,
    /// A rate that the new release may not exceed whatever the old one does,
    /// in events per unit of exposure. It is all that can be judged once the
    /// old release gets no requests any more. Only with [`Worse::Higher`].
    #[serde(default)]
    pub limit: Option<f64>,
}

/// What a metric counts, and by what it is divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Events that are a part of the denominator: failed requests of requests.
    Share,
    /// Events per other events, which may be more than one: rows per run.
    Ratio,
    /// Events per second of a replica's time. Sound where replicas of both
    /// releases get the same traffic.
    Rate,
    /// Observations of a histogram that took longer than a bound.
    Latency(Latency),
}

/// Which observations of a histogram are too slow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Those above this limit, in the histogram's unit. Between two bucket
    /// bounds the higher one is taken: what is above it is too slow for sure.
    Above(f64),
    /// Those above the old release's own quantile, between 0 and 1: the
    /// smallest bucket bound which that share of what the old release was seen
    /// to do *before* each window did not exceed.
    Quantile(f64),
}

/// Which direction of a [`Metric`] is a regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// More is worse: errors.
    #[default]
    Higher,
    /// Less is worse: successes, rows made. Of a [`Kind::Share`] the rest is
    /// judged (what did not succeed); else the old release's advantage.
    Lower,
}

/// The least difference that is a regression. A difference can be certain and
/// not matter; with enough traffic every difference is certain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The estimated ratio of the rates has to be at least this. Default: 1.5.
    pub ratio: f64,
    /// The estimated difference of the rates has to be at least this, in
    /// events per unit of exposure. Default: 0.001 for [`Kind::Share`] and
    /// [`Kind::Latency`] (one request in a thousand), 0 for the others.
    pub excess: Option<f64>,
}

impl Default for Effect {
    fn default() -> Self {
        Self { ratio: 1.5, excess: None }
    }
}

impl Metric {
    /// A metric with every option at its default.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, worse: Worse::Higher, effect: Effect::default(), limit: None }
    }

    /// The same, where less is worse.
    pub fn lower(mut self) -> Self {
        self.worse = Worse::Lower;
        self
    }

    /// The least difference of the rates that counts.
    pub fn least_excess(&self) -> f64 {
        self.effect.excess.unwrap_or(match self.kind {
            Kind::Share | Kind::Latency(_) => 0.001,
            Kind::Ratio | Kind::Rate => 0.0,
        })
    }

    /// Whether the sides change places: it is the old release that may not be
    /// ahead.
    pub(crate) fn swapped(&self) -> bool {
        self.worse == Worse::Lower && matches!(self.kind, Kind::Ratio | Kind::Rate)
    }

    /// Whether a rate cannot exceed one event per unit of exposure.
    pub(crate) fn bounded(&self) -> bool {
        matches!(self.kind, Kind::Share | Kind::Latency(_))
    }
}

/// How sure to be, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The probability that a release which is no worse is called regressed,
    /// over all metrics and however often one looks. Default: 0.01.
    pub alpha: f64,
    /// The rise that has to be visible before a metric can pass: with less,
    /// the verdict is insufficient data. Default: 10, a tenfold rise.
    pub rise: f64,
    /// With which probability it has to be visible. Default: 0.8.
    pub power: f64,
    /// For how long, in seconds, a difference has to be seen before it decides:
    /// no window brings more than its part of that time. Default: 45.
    #[serde(default = "persist_sec")]
    pub persist_sec: f64,
}

/// What has to be seen for less long may be a burst. It is also what a record
/// was judged with that was written before it said so.
fn persist_sec() -> f64 {
    45.0
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpha: 0.01, rise: 10.0, power: 0.8, persist_sec: persist_sec() }
    }
}
