//! A metric as declared, read: which series to take, and what of them.

use std::collections::HashSet;

use plimsoll_health::{Effect, Kind, Latency, Metric, Point, Reading, Worse};
use plimsoll_model::Lookup;

use crate::exposition::{self, Exposition, Sample};
use crate::{Selector, WatchError};

/// A metric as `[[environments.NAME.watch.metrics]]` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// What to call it.
    pub name: String,
    /// Selector of the events; with `latency`, of a histogram.
    pub query: String,
    /// Selector of the denominator; none: per second of a replica's time.
    pub of: Option<String>,
    /// Which observations of a histogram are too slow.
    pub latency: Option<Latency>,
    /// Which direction is a regression.
    pub worse: Worse,
    /// The least difference that is one.
    pub effect: Effect,
    /// What the new release may not exceed in any case.
    pub limit: Option<f64>,
}

impl Declaration {
    /// A declaration with every option at its default.
    pub fn new(name: &str, query: &str, of: Option<&str>) -> Self {
        Self {
            name: name.into(),
            query: query.into(),
            of: of.map(Into::into),
            latency: None,
            worse: Worse::Higher,
            effect: Effect::default(),
            limit: None,
        }
    }
}

/// A declaration that was understood.
#[derive(Debug, Clone)]
pub struct Query {
    /// What is judged.
    pub metric: Metric,
    events: Selector,
    exposure: Option<Selector>,
}

impl Query {
    /// Reads the selectors of a declaration and finds out of which kind the
    /// metric is: a share where the events are a part of the denominator by
    /// how both are written, otherwise a ratio; without a denominator a rate.
    ///
    /// # Errors
    /// When a selector is none, or the options contradict each other.
    pub fn new(declaration: &Declaration) -> Result<Self, WatchError> {
        let contradiction = |reason: &str| WatchError::Declaration {
            metric: declaration.name.clone(),
            reason: reason.into(),
        };
        let parse = |text: &str| {
            Selector::parse(text)
                .map_err(|source| WatchError::Selector { metric: declaration.name.clone(), source })
        };
        let mut events = parse(&declaration.query)?;
        let exposure = declaration.of.as_deref().map(parse).transpose()?;
        let kind = match (declaration.latency, &exposure) {
            (Some(_), Some(_)) => {
                return Err(contradiction(
                    "a histogram is its own denominator: `of` cannot be given with it",
                ));
            }
            (Some(latency), None) => {
                let sound = match latency {
                    Latency::Above(limit) => limit > 0.0 && limit.is_finite(),
                    Latency::Quantile(quantile) => quantile > 0.0 && quantile < 1.0,
                };
                if !sound {
                    return Err(contradiction("a bound is above 0, and a quantile between 0 and 1"));
                }
                if declaration.worse == Worse::Lower {
                    return Err(contradiction("of observations that take too long, fewer cannot be worse"));
                }
                if !events.name().ends_with("_bucket") {
                    let name = format!("{}_bucket", events.name());
                    events = events.renamed(name);
                }
                Kind::Latency(latency)
            }
            (None, Some(of)) if events.part_of(of) => Kind::Share,
            (None, Some(_)) => Kind::Ratio,
            (None, None) => Kind::Rate,
        };
        if declaration.limit.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
            return Err(contradiction("a limit is above 0"));
        }
        if declaration.limit.is_some() && declaration.worse == Worse::Lower {
            return Err(contradiction("a limit is for metrics of which more is worse"));
        }
        if !(declaration.effect.ratio >= 1.0 && declaration.effect.ratio.is_finite())
            || declaration.effect.excess.is_some_and(|excess| !(excess >= 0.0 && excess.is_finite()))
        {
            return Err(contradiction(
                "the least effect is a ratio of at least 1 and an excess of at least 0",
            ));
        }
        let metric = Metric {
            name: declaration.name.clone(),
            kind,
            worse: declaration.worse,
            effect: declaration.effect,
            limit: declaration.limit,
        };
        Ok(Self { metric, events, exposure })
    }

    /// Whether samples of this name are looked at.
    pub fn wants(&self, name: &str) -> bool {
        name == self.events.name() || self.exposure.as_ref().is_some_and(|of| of.name() == name)
    }

    /// What a text shows of the metric.
    pub fn read(&self, exposition: &Exposition) -> Lookup<Reading> {
        let select = |selector: &Selector| points(exposition, selector);
        let events = match select(&self.events) {
            Ok(points) => points,
            Err(why) => return Lookup::Invalid(why),
        };
        let exposure = match self.exposure.as_ref().map(select).transpose() {
            Ok(points) => points.unwrap_or_default(),
            Err(why) => return Lookup::Invalid(why),
        };
        if events.is_empty() && exposure.is_empty() {
            return Lookup::Absent;
        }
        if self.exposure.is_some() && exposure.is_empty() {
            return Lookup::Invalid(format!("`{}` is there, and its denominator is not", self.events));
        }
        Lookup::Found(Reading { events, exposure })
    }

    /// The two expressions, for who evaluates them elsewhere.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.events).chain(&self.exposure)
    }
}

fn points(exposition: &Exposition, selector: &Selector) -> Result<Vec<Point>, String> {
    let mut seen = HashSet::new();
    let mut points = Vec::new();
    for sample in exposition.samples.iter().filter(|sample| selector.matches(&sample.name, &sample.labels)) {
        if exposition.kind(&sample.name) == exposition::Kind::Gauge {
            return Err(format!("{} is a gauge; only counters and histograms can be judged", sample.name));
        }
        let point = point(exposition, sample);
        if !seen.insert((point.series.clone(), point.bound.map(f64::to_bits))) {
            return Err(format!("{} is there twice", point.series));
        }
        points.push(point);
    }
    Ok(points)
}

fn point(exposition: &Exposition, sample: &Sample) -> Point {
    Point {
        series: sample.series(),
        bound: sample.bound(),
        value: sample.value,
        created: exposition.created(sample),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "# TYPE payout_attempts_total counter\n\
        payout_attempts_total{result=\"ok\"} 90\npayout_attempts_total{result=\"failed\"} 10\n\
        # TYPE queue gauge\nqueue 7\n\
        # TYPE seconds histogram\nseconds_bucket{le=\"0.5\"} 95\nseconds_bucket{le=\"+Inf\"} 100\nseconds_count 100\n\
        twice 1\ntwice 2\n";

    fn read(declaration: &Declaration) -> Lookup<Reading> {
        let query = Query::new(declaration).unwrap();
        query.read(&Exposition::parse(TEXT.as_bytes(), false, |name| query.wants(name)).unwrap())
    }

    #[test]
    fn a_share_a_ratio_a_rate_and_a_histogram() {
        let failed = r#"payout_attempts_total{result="failed"}"#;
        let kind = |declaration: &Declaration| Query::new(declaration).unwrap().metric.kind;
        let share = Declaration::new("a", failed, Some("payout_attempts_total"));
        assert_eq!(kind(&share), Kind::Share);
        let reading = read(&share);
        let reading = reading.found().unwrap();
        assert_eq!(reading.events.iter().map(|p| p.value).collect::<Vec<_>>(), [10.0]);
        assert_eq!(reading.exposure.iter().map(|p| p.value).sum::<f64>(), 100.0);
        assert_eq!(kind(&Declaration::new("a", "errors_total", Some("requests_total"))), Kind::Ratio);
        assert_eq!(kind(&Declaration::new("a", failed, None)), Kind::Rate);
        let latency = Latency::Above(0.5);
        let slow = Declaration { latency: Some(latency), ..Declaration::new("a", "seconds", None) };
        assert_eq!(kind(&slow), Kind::Latency(latency));
        let reading = read(&slow);
        let bounds: Vec<_> = reading.found().unwrap().events.iter().map(|p| p.bound.unwrap()).collect();
        assert_eq!(bounds, [0.5, f64::INFINITY]);
    }

    #[test]
    fn absent_refused_and_found_are_told_apart() {
        let of = Some("payout_attempts_total");
        assert_eq!(read(&Declaration::new("a", "nothing_total", None)), Lookup::Absent);
        assert_eq!(read(&Declaration::new("a", "nothing_total", Some("neither_total"))), Lookup::Absent);
        // No event beside a denominator is no event, not nothing.
        let none = read(&Declaration::new("a", r#"payout_attempts_total{result="lost"}"#, of));
        assert!(none.found().is_some_and(|reading| reading.events.is_empty() && reading.exposure.len() == 2));
        for (query, of, why) in [
            ("queue", None, "queue is a gauge; only counters and histograms can be judged"),
            ("twice", None, "twice is there twice"),
            ("seconds_count", Some("neither"), "`seconds_count` is there, and its denominator is not"),
        ] {
            assert_eq!(read(&Declaration::new("a", query, of)), Lookup::Invalid(why.into()));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let of = || Declaration::new("a", "x", Some("y"));
        let slow = |latency| Declaration { latency: Some(latency), ..Declaration::new("a", "x", None) };
        for declaration in [
            Declaration { latency: Some(Latency::Above(1.0)), ..of() },
            slow(Latency::Quantile(95.0)),
            slow(Latency::Above(0.0)),
            Declaration { worse: Worse::Lower, ..slow(Latency::Above(1.0)) },
            Declaration { limit: Some(0.0), ..of() },
            Declaration { limit: Some(f64::NAN), ..of() },
            Declaration { limit: Some(1.0), worse: Worse::Lower, ..of() },
            Declaration { effect: Effect { ratio: 0.5, excess: None }, ..of() },
            Declaration { effect: Effect { ratio: 2.0, excess: Some(-1.0) }, ..of() },
        ] {
            assert!(
                matches!(Query::new(&declaration), Err(WatchError::Declaration { .. })),
                "{declaration:?}"
            );
        }
        let error = Query::new(&Declaration::new("a", "rate(x[5m])", None)).unwrap_err();
        assert!(matches!(error, WatchError::Selector { .. }));
    }
}
