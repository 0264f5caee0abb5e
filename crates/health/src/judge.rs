//! From counts to a verdict.

use serde::{Deserialize, Serialize};

use crate::dispersion::Dispersion;
use crate::likelihood::{self, Interval, Mixture, Since};
use crate::power::Course;
use crate::{Count, Counted, Evidence, Metric, Settings, Worse};

/// The schema's name in the ledger and in `--output json`.
pub const SCHEMA: &str = "plimsoll/watch-report/v1";

/// How sure the reported intervals are.
const INTERVAL_ALPHA: f64 = 0.05;

/// What the watch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new release is worse; `alpha` bounds the probability that it is not.
    Regressed,
    /// A rise worth the name would have been seen, and none was.
    NoEvidence,
    /// Too little was seen to say.
    InsufficientData,
}

/// The verdict with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Regressed if one metric is; else insufficient data if one metric has
    /// too little; else no evidence.
    pub verdict: Verdict,
    /// With what it was judged.
    pub settings: Settings,
    /// Metric by metric, as declared.
    pub metrics: Vec<MetricReport>,
}

/// The verdict on one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    /// The metric.
    pub metric: Metric,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is that.
    pub reason: Reason,
    /// Events and exposure of the new release, where it could be compared.
    pub candidate: Count,
    /// Events and exposure of the old release, likewise.
    pub stable: Count,
    /// For how long both were seen side by side, in seconds.
    pub side_by_side_sec: u32,
    /// The rate of the new release over that of the old one, with an interval
    /// of 95 % that holds however often one looks, over the whole watch and with
    /// bursts weighed down. None without any event.
    pub ratio: Option<Interval>,
    /// The strongest evidence so far that the new release is worse: at least
    /// `1 / alpha` is enough. At most 10^15.
    pub e_value: f64,
    /// This metric's part of the probability of a false alarm.
    pub alpha: f64,
    /// Events per independent event: 1 without bursts.
    pub dispersion: f64,
    /// What could have been seen.
    pub power: Power,
    /// With no event in the new release: its rate is below this, at 95 %.
    pub below: Option<f64>,
    /// What was seen beside the declared limit, where there is one.
    pub limit: Option<LimitReport>,
}

/// The probabilities that a rise would have been seen by now. Of a metric that
/// must not fall, a fall to that part.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Power {
    /// A threefold rise.
    pub threefold: f64,
    /// A tenfold rise.
    pub tenfold: f64,
    /// The rise of [`Settings::rise`].
    pub required: f64,
}

/// The new release beside a declared limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// All events and exposure of the new release, also where the old one was
    /// not at its side.
    pub candidate: Count,
    /// The strongest evidence so far that the limit is exceeded.
    pub e_value: f64,
    /// This test's part of the probability of a false alarm.
    pub alpha: f64,
}

/// Why a metric's verdict is what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The new release's rate is higher (or, where less is worse, lower).
    Worse {
        /// The window in which the evidence sufficed.
        window: u32,
        /// When it most probably began, in seconds from the start.
        since_sec: u32,
        /// What the new release did from then until it sufficed.
        candidate: Count,
        /// What the old release did meanwhile.
        stable: Count,
    },
    /// The declared limit is exceeded.
    OverLimit {
        /// The window in which the evidence sufficed.
        window: u32,
    },
    /// Certain, and too small to matter (see [`crate::Effect`]).
    Irrelevant,
    /// Nothing speaks against it, and a rise would have been seen.
    Sound,
    /// A rise would probably not have been seen yet.
    LowPower,
    /// No replica of the release was looked at.
    NotLookedAt(crate::Side),
    /// Looks were answered, and no series of the metric was in any of them.
    Absent(Where),
    /// What could be read was none that can be judged.
    Refused(String),
    /// No look was answered.
    Unknown(String),
    /// Both were seen, never at the same time.
    NeverSideBySide,
    /// The denominator did not move: no requests.
    NoTraffic(crate::Side),
}

/// On which sides something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// On both.
    Both,
    /// Only on the new release.
    Candidate,
    /// Only on the old release.
    Stable,
}

/// Judges all that was seen. Pure: the same evidence and settings give the
/// same report, in every bit.
pub fn judge(evidence: &Evidence, settings: &Settings) -> Report {
    let alpha = settings.alpha / evidence.metrics.len().max(1) as f64;
    let metrics: Vec<MetricReport> =
        evidence.metrics.iter().map(|counted| metric(counted, settings, alpha)).collect();
    let any = |verdict| metrics.iter().any(|m| m.verdict == verdict);
    let verdict = if any(Verdict::Regressed) {
        Verdict::Regressed
    } else if metrics.is_empty() || any(Verdict::InsufficientData) {
        Verdict::InsufficientData
    } else {
        Verdict::NoEvidence
    };
    Report { schema: SCHEMA.into(), verdict, settings: *settings, metrics }
}

fn metric(counted: &Counted, settings: &Settings, alpha: f64) -> MetricReport {
    let (metric, window_sec) = (&counted.metric, counted.window_sec);
    // Two tests share what the metric may spend.
    let alpha = if limit_of(metric).is_some() { alpha / 2.0 } else { alpha };
    let bar = Bar::new(alpha, window_sec, settings.persist_sec);
    let comparison = compare(counted, bar);
    let limit = limit_of(metric).map(|limit| beside_limit(counted, limit, bar, alpha));
    let beside = || counted.windows.iter().filter(|window| window.side_by_side);
    let (candidate, stable) = likelihood::totals(beside());
    let course = Course::new(counted, comparison.factor);
    let sees = |ratio| course.sees(ratio, bar.threshold, bar.most, metric.effect.ratio);
    let (threefold, tenfold) = (sees(3.0), sees(10.0));
    let required = if settings.rise == 10.0 { tenfold } else { sees(settings.rise) };
    let power = Power { threefold, tenfold, required };
    let (verdict, reason) = if let Some((window, since)) = comparison.worse {
        let (mut candidate, mut stable) = (since.side.rounded(), since.other.rounded());
        if metric.swapped() {
            std::mem::swap(&mut candidate, &mut stable);
        }
        (
            Verdict::Regressed,
            Reason::Worse { window, since_sec: since.index.saturating_mul(window_sec), candidate, stable },
        )
    } else if let Some(window) = limit.as_ref().and_then(|(_, at)| *at) {
        (Verdict::Regressed, Reason::OverLimit { window })
    } else if let Some(reason) = missing(counted) {
        (Verdict::InsufficientData, reason)
    } else if comparison.certain {
        (Verdict::NoEvidence, Reason::Irrelevant)
    } else if power.required >= settings.power {
        (Verdict::NoEvidence, Reason::Sound)
    } else {
        (Verdict::InsufficientData, Reason::LowPower)
    };
    let ratio = likelihood::interval(&comparison.splits, INTERVAL_ALPHA);
    MetricReport {
        metric: metric.clone(),
        verdict,
        reason,
        candidate: candidate.rounded(),
        stable: stable.rounded(),
        side_by_side_sec: u32::try_from(beside().count()).unwrap_or(u32::MAX).saturating_mul(window_sec),
        ratio: ratio.map(|interval| {
            let interval = if metric.swapped() { interval.inverted() } else { interval };
            Interval {
                estimate: interval.estimate.map(settled),
                low: settled(interval.low),
                high: interval.high.map(settled),
            }
        }),
        e_value: e_value(comparison.greatest),
        alpha: settled(alpha),
        dispersion: settled(comparison.factor),
        power,
        below: (candidate.events <= 0.0 && candidate.exposure > 0.0 && !metric.swapped())
            .then(|| settled(rule_of_three(candidate.exposure, metric.bounded()))),
        limit: limit.map(|(report, _)| report),
    }
}

/// Seven digits: what is recorded survives JSON unchanged, so that it can be
/// compared when it is judged again.
fn settled(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}

/// The e-value of a logarithm; beyond a thousand million million it says no
/// more.
fn e_value(log: f64) -> f64 {
    settled(log.exp().min(1e15))
}

/// Zero events in `n` units bound the rate by 3/n at 95 % (the exact figure is
/// `−ln 0.05`, 2.996).
fn rule_of_three(exposure: f64, bounded: bool) -> f64 {
    let below = 3.0 / exposure;
    if bounded { below.min(1.0) } else { below }
}

fn limit_of(metric: &Metric) -> Option<f64> {
    metric.limit.filter(|limit| *limit > 0.0 && metric.worse == Worse::Higher)
}

/// What the evidence has to reach, in natural logarithms.
#[derive(Debug, Clone, Copy)]
struct Bar {
    threshold: f64,
    /// What one window adds at most.
    most: f64,
}

impl Bar {
    fn new(alpha: f64, window_sec: u32, persist_sec: f64) -> Self {
        let threshold = -alpha.ln();
        // Where nothing has to last, one window may decide.
        Self { threshold, most: threshold * f64::from(window_sec) / persist_sec.max(0.001) }
    }
}

struct Comparison {
    splits: Vec<likelihood::Split>,
    factor: f64,
    /// The greatest logarithm of the e-value so far.
    greatest: f64,
    /// The window in which it sufficed, and what was seen since it began.
    worse: Option<(u32, Since)>,
    /// Whether it was certain at some time, however small the difference.
    certain: bool,
}

fn compare(counted: &Counted, bar: Bar) -> Comparison {
    let metric = &counted.metric;
    let (splits, dispersion) = likelihood::splits(&counted.windows, counted.window_sec, metric.swapped());
    let mut mixture = Mixture::new(bar.most);
    let (mut greatest, mut worse, mut certain) = (0f64, None, false);
    for split in &splits {
        mixture.split(split);
        if split.total <= 0.0 {
            continue;
        }
        let log = mixture.log();
        greatest = greatest.max(log);
        if log >= bar.threshold {
            certain = true;
            let since = mixture.since();
            if worse.is_none() && matters(since, metric) {
                worse = Some((split.index, *since));
            }
        }
    }
    Comparison { splits, factor: dispersion.factor(), greatest, worse, certain }
}

/// Whether the difference is large enough to act on, from when on it is there.
fn matters(since: &Since, metric: &Metric) -> bool {
    let excess = since.side.rate().unwrap_or(0.0) - since.other.rate().unwrap_or(0.0);
    since.ratio_is_at_least(metric.effect.ratio) && excess >= metric.least_excess()
}

fn beside_limit(counted: &Counted, limit: f64, bar: Bar, alpha: f64) -> (LimitReport, Option<u32>) {
    let mut mixture = Mixture::new(bar.most);
    let mut dispersion = Dispersion::new(counted.window_sec);
    let mut candidate = Count::default();
    let (mut greatest, mut at) = (0f64, None);
    for window in counted.windows.iter().filter(|window| window.candidate.exposure > 0.0) {
        let count = window.candidate;
        candidate.add(count);
        // The limit is the other side: as many events as it would allow.
        let expected = count.exposure * limit;
        mixture.fixed(window.index, count, dispersion.count_alone(count.events, expected), expected);
        let log = mixture.log();
        greatest = greatest.max(log);
        let since = mixture.since().side;
        if at.is_none() && log >= bar.threshold && since.events >= limit * since.exposure {
            at = Some(window.index);
        }
    }
    (LimitReport { candidate: candidate.rounded(), e_value: e_value(greatest), alpha: settled(alpha) }, at)
}

/// What kept the two from being compared, if anything did.
fn missing(counted: &Counted) -> Option<Reason> {
    use crate::Side::{Candidate, Stable};
    let sides = [(Candidate, &counted.candidate), (Stable, &counted.stable)];
    for (side, presence) in sides {
        if presence.looks() == 0 {
            return Some(Reason::NotLookedAt(side));
        }
    }
    for (_, presence) in sides {
        let why = || presence.why.clone().unwrap_or_else(|| "no reason was given".into());
        if presence.found + presence.absent == 0 {
            return Some(if presence.refused > 0 { Reason::Refused(why()) } else { Reason::Unknown(why()) });
        }
    }
    let absent = |presence: &crate::Presence| presence.found == 0;
    // Events that are absent beside a denominator are none; absent on both
    // sides, nobody knows whether they are called that.
    let denominator = counted.metric.kind != crate::Kind::Rate;
    match (absent(&counted.candidate), absent(&counted.stable)) {
        (true, true) => return Some(Reason::Absent(Where::Both)),
        (true, false) if !denominator => return Some(Reason::Absent(Where::Candidate)),
        (false, true) if !denominator => return Some(Reason::Absent(Where::Stable)),
        _ => {}
    }
    if !counted.windows.iter().any(|window| window.side_by_side) {
        return Some(Reason::NeverSideBySide);
    }
    let moved = |side: fn(&crate::Window) -> Count| {
        counted.windows.iter().any(|window| window.side_by_side && side(window).exposure > 0.0)
    };
    if !moved(|w| w.candidate) {
        return Some(Reason::NoTraffic(Candidate));
    }
    (!moved(|w| w.stable)).then_some(Reason::NoTraffic(Stable))
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
