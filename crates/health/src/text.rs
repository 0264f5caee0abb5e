//! One line for each metric, to be read at three in the morning.

use std::fmt;

use crate::{Count, Interval, Kind, MetricReport, Reason, Report, Side, Verdict, Where};

/// What began before this was there from the start, as far as one can tell.
const LATE_SEC: u32 = 60;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regressed => "regressed",
            Self::NoEvidence => "no evidence",
            Self::InsufficientData => "insufficient data",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Candidate => "the new release",
            Self::Stable => "the old release",
        })
    }
}

impl Report {
    /// The verdict in one sentence: of the metrics that decided it.
    pub fn sentence(&self) -> String {
        if self.metrics.is_empty() {
            return "no metric is declared".into();
        }
        let deciding: Vec<String> =
            self.metrics.iter().filter(|m| m.verdict == self.verdict).map(MetricReport::line).collect();
        deciding.join("; ")
    }
}

impl MetricReport {
    /// Name, verdict, numbers, and how much could have been seen.
    pub fn line(&self) -> String {
        format!("{}: {}. {}", self.metric.name, self.verdict, self.why())
    }

    /// The line without name and verdict.
    pub fn why(&self) -> String {
        match &self.reason {
            Reason::Worse { since_sec, candidate, stable, .. } => {
                // All that went well before would only blur the numbers.
                let seen = if *since_sec >= LATE_SEC {
                    let (new, old) = (self.side(candidate), self.side(stable));
                    format!("from {} on new {new}, old {old}", seconds(*since_sec))
                } else {
                    self.comparison()
                };
                format!("{seen} (evidence {} of {} needed)", short(self.e_value), short(1.0 / self.alpha))
            }
            Reason::OverLimit { .. } => self.over_limit(),
            Reason::Irrelevant => format!(
                "{}: certain, and below the least effect of {} times",
                self.comparison(),
                short(self.metric.effect.ratio)
            ),
            Reason::Sound => format!("{}. {}", self.comparison(), self.visible()),
            Reason::LowPower => {
                format!("{} in {} side by side. {}", self.comparison(), seconds(self.side_by_side_sec), self.visible())
            }
            Reason::NotLookedAt(side) => format!("no replica of {side} was looked at"),
            Reason::Absent(Where::Both) => {
                "the query matched no series on either release: either nothing of the kind happened yet, or it is \
                 not called that"
                    .into()
            }
            Reason::Absent(Where::Candidate) => {
                "the old release has the series and the new one does not: was it renamed, or not used yet?".into()
            }
            Reason::Absent(Where::Stable) => "only the new release has the series; there is nothing to compare".into(),
            Reason::Refused(why) => format!("what was found cannot be judged: {why}"),
            Reason::Unknown(why) => format!("the metrics could not be read: {why}"),
            Reason::NeverSideBySide => {
                "the old and the new release were never seen in the same window of time".into()
            }
            Reason::NoTraffic(side) => format!("{side} had no traffic while both were seen"),
        }
    }

    /// `new 37 of 1,204 (3.1 %), old 6 of 1,198 (0.5 %), 6.1 times (2.3 to 17)`
    fn comparison(&self) -> String {
        let ratio = self.ratio.as_ref().map_or(String::new(), |ratio| format!(", {}", times(ratio)));
        format!("new {}, old {}{ratio}", self.side(&self.candidate), self.side(&self.stable))
    }

    fn side(&self, count: &Count) -> String {
        let events = number(count.events);
        match self.metric.kind {
            Kind::Rate => {
                let time = seconds(count.exposure.round().clamp(0.0, u32::MAX.into()) as u32);
                format!("{events} in {time} of replica time")
            }
            Kind::Ratio => format!("{events} of {} ({})", number(count.exposure), rate(count)),
            Kind::Share | Kind::Latency(_) => {
                format!("{events} of {} ({})", number(count.exposure), percent(count))
            }
        }
    }

    fn over_limit(&self) -> String {
        let (Some(limit), Some(allowed)) = (&self.limit, self.metric.limit) else { return self.comparison() };
        format!(
            "new {} of {} ({}), above the declared limit of {} (evidence {} of {} needed)",
            number(limit.candidate.events),
            number(limit.candidate.exposure),
            if self.metric.bounded() { percent(&limit.candidate) } else { rate(&limit.candidate) },
            if self.metric.bounded() { format!("{} %", short(allowed * 100.0)) } else { short(allowed) },
            short(limit.e_value),
            short(1.0 / limit.alpha),
        )
    }

    /// What would have been seen, and with which probability.
    fn visible(&self) -> String {
        let (what, to) = if self.metric.swapped() {
            ("fall to a third", "to a tenth")
        } else {
            ("threefold rise", "tenfold")
        };
        let mut text = format!(
            "A {what} would have been seen with probability {:.2}, {} {:.2}",
            self.power.threefold,
            if self.metric.swapped() { format!("one {to} with") } else { format!("a {to} one with") },
            self.power.tenfold
        );
        if let Some(below) = self.below {
            let bound =
                if self.metric.bounded() { format!("{} %", short(below * 100.0)) } else { short(below) };
            text.push_str(&format!("; the new release's rate is below {bound} at 95 %"));
        }
        text
    }
}

fn times(ratio: &Interval) -> String {
    let from_to = match ratio.high {
        Some(high) => format!("{} to {}", short(ratio.low), short(high)),
        None => format!("at least {}", short(ratio.low)),
    };
    match ratio.estimate {
        Some(estimate) => format!("{} times ({from_to})", short(estimate)),
        None => format!("{from_to} times"),
    }
}

fn percent(count: &Count) -> String {
    count.rate().map_or("no traffic".into(), |rate| format!("{} %", short(rate * 100.0)))
}

fn rate(count: &Count) -> String {
    count.rate().map_or("none".into(), short)
}

/// Two significant digits, without an exponent below a million.
fn short(value: f64) -> String {
    if !value.is_finite() || value >= 1e6 {
        return "over a million".into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let digits = value.abs().log10().floor();
    if digits >= 1.0 {
        number(value.round())
    } else {
        trimmed(value, (1.0 - digits).clamp(0.0, 9.0) as usize)
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// With a comma between thousands.
fn number(value: f64) -> String {
    let text = trimmed(value, 1);
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

fn seconds(seconds: u32) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", trimmed(f64::from(seconds) / 60.0, 1)),
        _ => format!("{} h", trimmed(f64::from(seconds) / 3600.0, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown = [0.0, 0.00123, 0.0305, 0.5, 3.1234, 12.6, 123_456.0, 1e9, f64::INFINITY].map(short);
        assert_eq!(
            shown,
            ["0", "0.0012", "0.03", "0.5", "3.1", "13", "123,456", "over a million", "over a million"]
        );
        assert_eq!([7.0, 1204.0, 1_000_000.0, 12.5].map(number), ["7", "1,204", "1,000,000", "12.5"]);
        assert_eq!([7, 150, 9000].map(seconds), ["7 s", "2.5 min", "2.5 h"]);
    }
}
