//! From looks at replicas to counts in windows: counters that begin again,
//! series that appear late, replicas that come and go.
//!
//! - A look counts what rose since the look before it at the same replica, in
//!   the window in which the later look was. Numerator and denominator are of
//!   the same two looks, so a missed one costs nothing.
//! - The first look at a replica counts nothing, unless the replica started
//!   during the watch: then all that it did counts.
//! - A counter that fell, or whose created timestamp is newer (OpenMetrics),
//!   began again: what it shows is what it counted since.
//! - A series that is new in a replica looked at before counted from zero;
//!   client libraries make a labelled series with its first event.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use plimsoll_model::{Digest, Lookup};

use crate::latency::Buckets;
use crate::{Count, Counted, Evidence, Kind, Metric, Presence, Side, Window, Worse, evidence};

/// Looks further apart than this do not count: nobody knows when it happened.
pub(crate) const MAX_GAP_SEC: i64 = 120;
/// Windows that are kept at most: two days of ten seconds each.
pub(crate) const MAX_WINDOWS: u32 = 17_280;
/// Replicas that are remembered at most.
pub(crate) const MAX_REPLICAS: usize = 4_096;
/// Series of one metric in one replica at most.
pub(crate) const MAX_SERIES: usize = 20_000;

/// One look at one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Whose replica; of neither release, the look is ignored.
    pub digest: Digest,
    /// What tells the replica from the others.
    pub replica: String,
    /// When.
    pub at: Timestamp,
    /// When the replica started, where that is known.
    pub born: Option<Timestamp>,
    /// What was found of each metric, in the order of the metrics.
    pub readings: Vec<Lookup<Reading>>,
}

/// What a replica shows of one metric.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Counters of the query; of a histogram its buckets. Empty where there
    /// are none beside the denominator.
    pub events: Vec<Point>,
    /// Counters of the denominator, where the metric has one.
    pub exposure: Vec<Point>,
}

/// A counter at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name and labels, without the label of a bucket's bound.
    pub series: String,
    /// The upper bound of a histogram's bucket, whose value is cumulative.
    pub bound: Option<f64>,
    /// The value.
    pub value: f64,
    /// When it began to count, where that is known.
    pub created: Option<Timestamp>,
}

/// Counts what is looked at.
#[derive(Debug, Clone)]
pub struct Tally {
    stable: Option<Digest>,
    candidate: Digest,
    started: Timestamp,
    window_sec: u32,
    metrics: Vec<Metering>,
    replicas: HashMap<(Side, String), Replica>,
}

#[derive(Debug, Clone)]
struct Metering {
    metric: Metric,
    slots: BTreeMap<u32, Slot>,
    candidate: Presence,
    stable: Presence,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    candidate: Tick,
    stable: Tick,
}

/// What one side did in one window.
#[derive(Debug, Clone, Default)]
struct Tick {
    looked: bool,
    count: Count,
    buckets: Buckets,
}

#[derive(Debug, Clone)]
struct Replica {
    at: Timestamp,
    metrics: Vec<Option<Last>>,
}

/// The last answered look at one metric of a replica.
#[derive(Debug, Clone)]
struct Last {
    at: Timestamp,
    values: HashMap<(Part, String, u64), Value>,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    value: f64,
    created: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Events,
    Exposure,
}

/// What rose between two looks.
#[derive(Debug, Default)]
struct Rise {
    events: f64,
    exposure: f64,
    buckets: Buckets,
    resets: u32,
}

impl Tally {
    /// Counts for `candidate` beside `stable`, from `started` on, in windows
    /// of `window_sec` seconds (at least 1): at least the time between two
    /// looks at a replica, since only windows in which both were looked at are
    /// compared.
    pub fn new(
        stable: Option<Digest>,
        candidate: Digest,
        metrics: Vec<Metric>,
        started: Timestamp,
        window_sec: u32,
    ) -> Self {
        let metering = |metric| Metering {
            metric,
            slots: BTreeMap::new(),
            candidate: Presence::default(),
            stable: Presence::default(),
        };
        Self {
            stable,
            candidate,
            started,
            window_sec: window_sec.max(1),
            metrics: metrics.into_iter().map(metering).collect(),
            replicas: HashMap::new(),
        }
    }

    /// Which release an image is of.
    pub fn side(&self, digest: Digest) -> Option<Side> {
        if digest == self.candidate {
            Some(Side::Candidate)
        } else {
            (Some(digest) == self.stable).then_some(Side::Stable)
        }
    }

    /// Takes a look in. One that is not later than the last at the same
    /// replica is ignored, and so is one of another release.
    pub fn look(&mut self, look: &Look) {
        let Some(side) = self.side(look.digest) else { return };
        let key = (side, look.replica.clone());
        if !self.replicas.contains_key(&key) && self.replicas.len() >= MAX_REPLICAS {
            return;
        }
        let count = self.metrics.len();
        let replica = self
            .replicas
            .entry(key)
            .or_insert_with(|| Replica { at: Timestamp::MIN, metrics: vec![None; count] });
        if look.at <= replica.at {
            return;
        }
        replica.at = look.at;
        let index = index_of(self.started, look.at, self.window_sec);
        for ((metering, last), reading) in
            self.metrics.iter_mut().zip(&mut replica.metrics).zip(&look.readings)
        {
            let presence = match side {
                Side::Candidate => &mut metering.candidate,
                Side::Stable => &mut metering.stable,
            };
            let nothing = Reading::default();
            let reading = match check(&metering.metric, reading) {
                Lookup::Found(reading) => {
                    if reading.events.is_empty() {
                        presence.absent += 1
                    } else {
                        presence.found += 1
                    }
                    reading
                }
                Lookup::Absent => {
                    presence.absent += 1;
                    &nothing
                }
                Lookup::Invalid(why) => {
                    presence.refused += 1;
                    presence.why = Some(why);
                    continue;
                }
                Lookup::Unknown(why) => {
                    presence.unknown += 1;
                    presence.why = Some(why);
                    continue;
                }
            };
            let since = last.as_ref().map(|last| last.at).or_else(|| {
                // Started under our eyes: all that it did, it did in the watch.
                look.born.filter(|born| *born >= self.started && *born <= look.at)
            });
            let rise = rise(&metering.metric, reading, last.as_ref(), since.is_some());
            *last = Some(remember(reading, look.at));
            let Some(since) = since else { continue };
            let seconds = look.at.duration_since(since).as_secs_f64();
            if seconds > MAX_GAP_SEC as f64 {
                presence.gaps += 1;
                continue;
            }
            presence.resets += rise.resets;
            let Some(index) = index else { continue };
            let slot = metering.slots.entry(index).or_default();
            let tick = match side {
                Side::Candidate => &mut slot.candidate,
                Side::Stable => &mut slot.stable,
            };
            tick.take(&metering.metric, rise, seconds);
        }
    }

    /// A look that did not reach the replica at all.
    pub fn unreachable(&mut self, digest: Digest, why: &str) {
        let Some(side) = self.side(digest) else { return };
        for metering in &mut self.metrics {
            let presence = match side {
                Side::Candidate => &mut metering.candidate,
                Side::Stable => &mut metering.stable,
            };
            presence.unknown += 1;
            presence.why = Some(why.into());
        }
    }

    /// What was counted so far, to judge and to record.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            schema: evidence::SCHEMA.into(),
            stable: self.stable,
            candidate: self.candidate,
            started: self.started,
            metrics: self.metrics.iter().map(|metering| metering.counted(self.window_sec)).collect(),
        }
    }
}

/// The window a moment is in, if it is one that is kept.
fn index_of(started: Timestamp, at: Timestamp, window_sec: u32) -> Option<u32> {
    let since = at.duration_since(started).as_secs();
    u32::try_from(since / i64::from(window_sec)).ok().filter(|index| since >= 0 && *index < MAX_WINDOWS)
}

/// Values that no counter can have are refused, and so are too many series.
fn check<'a>(metric: &Metric, reading: &'a Lookup<Reading>) -> Lookup<&'a Reading> {
    let reading = match reading {
        Lookup::Found(reading) => reading,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Invalid(why) => return Lookup::Invalid(why.clone()),
        Lookup::Unknown(why) => return Lookup::Unknown(why.clone()),
    };
    let points = || reading.events.iter().chain(&reading.exposure);
    if points().count() > MAX_SERIES {
        return Lookup::Invalid(format!("more than {MAX_SERIES} series match"));
    }
    if let Some(point) = points().find(|point| !point.value.is_finite() || point.value < 0.0) {
        return Lookup::Invalid(format!("{} is {}, which no counter can be", point.series, point.value));
    }
    if matches!(metric.kind, Kind::Latency(_))
        && let Some(point) = reading.events.iter().find(|point| point.bound.is_none())
    {
        return Lookup::Invalid(format!("{} is not the bucket of a histogram", point.series));
    }
    Lookup::Found(reading)
}

fn remember(reading: &Reading, at: Timestamp) -> Last {
    let of = |part, points: &[Point]| -> Vec<_> {
        points.iter().map(|p| (key(part, p), Value { value: p.value, created: p.created })).collect()
    };
    let mut values: HashMap<_, _> = HashMap::with_capacity(reading.events.len() + reading.exposure.len());
    values.extend(of(Part::Events, &reading.events));
    values.extend(of(Part::Exposure, &reading.exposure));
    Last { at, values }
}

fn key(part: Part, point: &Point) -> (Part, String, u64) {
    (part, point.series.clone(), point.bound.map_or(0, f64::to_bits))
}

/// What rose since the last look; from zero where there was none and the
/// replica started during the watch.
fn rise(metric: &Metric, reading: &Reading, last: Option<&Last>, from_zero: bool) -> Rise {
    let mut rise = Rise::default();
    let mut of = |part, point: &Point| -> f64 {
        let Some(last) = last else { return if from_zero { point.value } else { 0.0 } };
        match last.values.get(&key(part, point)) {
            Some(before) => {
                let newer = match (before.created, point.created) {
                    (Some(before), Some(now)) => now > before,
                    _ => false,
                };
                if newer || point.value < before.value {
                    rise.resets += 1;
                    point.value
                } else {
                    point.value - before.value
                }
            }
            // It was there before and was not shown: from when, nobody knows.
            None if point.created.is_some_and(|created| created < last.at) => 0.0,
            None => point.value,
        }
    };
    let (mut events, mut exposure) = (0.0, 0.0);
    let mut buckets = Buckets::default();
    for point in &reading.events {
        let more = of(Part::Events, point);
        match point.bound {
            Some(bound) if matches!(metric.kind, Kind::Latency(_)) => buckets.add(bound, more),
            _ => events += more,
        }
    }
    for point in &reading.exposure {
        exposure += of(Part::Exposure, point);
    }
    Rise { events, exposure, buckets, resets: rise.resets }
}

impl Tick {
    fn take(&mut self, metric: &Metric, rise: Rise, seconds: f64) {
        self.looked = true;
        let exposure = if metric.kind == Kind::Rate { seconds } else { rise.exposure };
        let events = if metric.kind == Kind::Share && metric.worse == Worse::Lower {
            // The rest: what did not succeed.
            (rise.exposure - rise.events).max(0.0)
        } else {
            rise.events
        };
        self.count.add(Count { events, exposure });
        self.buckets.merge(&rise.buckets);
    }
}

impl Metering {
    fn counted(&self, window_sec: u32) -> Counted {
        // Without a denominator a series that is never there says nothing, and
        // one that appears late was zero before.
        let there = self.metric.kind != Kind::Rate || (self.candidate.found > 0 && self.stable.found > 0);
        let mut windows: Vec<Window> = self
            .slots
            .iter()
            .map(|(index, slot)| Window {
                index: *index,
                candidate: slot.candidate.count.rounded(),
                stable: slot.stable.count.rounded(),
                side_by_side: there && slot.candidate.looked && slot.stable.looked,
            })
            .collect();
        if let Kind::Latency(latency) = self.metric.kind {
            let mut before = Buckets::default();
            for (window, slot) in windows.iter_mut().zip(self.slots.values()) {
                let bound = before.bound(&latency, &slot.stable.buckets);
                let slow =
                    |tick: &Tick| bound.and_then(|b| tick.buckets.above(b)).unwrap_or_default().rounded();
                window.candidate = slow(&slot.candidate);
                window.stable = slow(&slot.stable);
                before.merge(&slot.stable.buckets);
            }
        }
        Counted {
            metric: self.metric.clone(),
            window_sec,
            windows,
            candidate: self.candidate.clone(),
            stable: self.stable.clone(),
        }
    }
}

#[cfg(test)]
#[path = "tally/tests.rs"]
mod tests;
