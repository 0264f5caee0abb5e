//! What the server counts of itself, beside what the ledger says (OBS-2).
//!
//! Labels are bounded: namespaces of environments, codes of pages, the kinds of
//! verdicts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_pipeline::report::DriftKind;

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    /// Let in.
    Allowed,
    /// Not let in.
    Refused,
    /// Let in by `mode = "audit"`.
    Audited,
    /// Nothing was to be judged.
    Exempt,
    /// No verdict, let in as configured.
    UnknownAllowed,
    /// No verdict, refused as configured.
    UnknownRefused,
    /// Not readable.
    Invalid,
}

impl Seen {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Audited => "audited",
            Self::Exempt => "exempt",
            Self::UnknownAllowed => "unknown_allowed",
            Self::UnknownRefused => "unknown_refused",
            Self::Invalid => "invalid",
        }
    }
}

/// What was seen of one environment at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DriftSeen {
    /// Differences of each kind; none where nothing could be seen.
    pub(crate) differences: Option<BTreeMap<DriftKind, usize>>,
    /// When something was seen last.
    pub(crate) looked: Option<Timestamp>,
}

/// Upper bounds in seconds.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

#[derive(Default)]
struct Counts {
    reviews: BTreeMap<(Seen, String), u64>,
    refusals: BTreeMap<String, u64>,
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
    drift: BTreeMap<String, DriftSeen>,
    certificate_until: Option<Timestamp>,
    authority_until: Option<Timestamp>,
    bundle_current: Option<bool>,
    configuration_current: Option<bool>,
}

/// The counters.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// A review was answered.
    pub(crate) fn review(&self, seen: Seen, namespace: &str, took: Duration) {
        let mut counts = self.lock();
        *counts.reviews.entry((seen, namespace.to_owned())).or_default() += 1;
        let seconds = took.as_secs_f64();
        for (bound, bucket) in BOUNDS.iter().zip(&mut counts.buckets) {
            *bucket += u64::from(seconds <= *bound);
        }
        counts.count += 1;
        counts.sum += seconds;
    }

    /// A check refused an image.
    pub(crate) fn refused(&self, code: &str) {
        *self.lock().refusals.entry(code.to_owned()).or_default() += 1;
    }

    /// An environment was looked at. Kinds that are not named have no difference.
    pub(crate) fn drift(
        &self,
        environment: &str,
        differences: Option<BTreeMap<DriftKind, usize>>,
        at: Timestamp,
    ) {
        let mut counts = self.lock();
        let looked = match differences {
            Some(_) => Some(at),
            None => counts.drift.get(environment).and_then(|seen| seen.looked),
        };
        counts.drift.insert(environment.to_owned(), DriftSeen { differences, looked });
    }

    /// Only these environments are looked at from now on.
    pub(crate) fn looks_at(&self, is_looked_at: impl Fn(&str) -> bool) {
        self.lock().drift.retain(|environment, _| is_looked_at(environment));
    }

    /// Until when the certificate in use is valid, and its authority.
    pub(crate) fn certificate(&self, until: Option<Timestamp>, authority: Option<Timestamp>) {
        let mut counts = self.lock();
        (counts.certificate_until, counts.authority_until) = (until, authority);
    }

    /// Whether the cluster has the authority.
    pub(crate) fn bundle(&self, current: bool) {
        self.lock().bundle_current = Some(current);
    }

    /// Whether the configuration in use is the one in the file.
    pub(crate) fn configuration(&self, current: bool) {
        self.lock().configuration_current = Some(current);
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self, admission: Option<&crate::admission::Admission>) -> String {
        let counts = self.lock();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: Vec<String>| {
            if !rows.is_empty() {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
                rows.iter().for_each(|row| {
                    let _ = writeln!(text, "{name}{row}");
                });
            }
        };
        family(
            "plimsoll_drift",
            "gauge",
            "Whether what runs differs from the ledger: 0 or 1; no sample where it is unknown.",
            counts
                .drift
                .iter()
                .filter_map(|(name, seen)| Some((name, seen.differences.as_ref()?)))
                .map(|(name, differences)| {
                    format!("{{environment=\"{name}\"}} {}", u8::from(!differences.is_empty()))
                })
                .collect(),
        );
        family(
            "plimsoll_drift_unknown",
            "gauge",
            "Whether the last look could not tell.",
            counts
                .drift
                .iter()
                .map(|(name, seen)| {
                    format!("{{environment=\"{name}\"}} {}", u8::from(seen.differences.is_none()))
                })
                .collect(),
        );
        family(
            "plimsoll_drift_differences",
            "gauge",
            "Differences at the last look, by kind; no sample where they are unknown.",
            counts
                .drift
                .iter()
                .filter_map(|(name, seen)| Some((name, seen.differences.as_ref()?)))
                .flat_map(|(name, differences)| {
                    // Each kind always, so that an alert about one ends.
                    DriftKind::ALL.map(|kind| {
                        let count = differences.get(&kind).copied().unwrap_or_default();
                        format!("{{environment=\"{name}\",kind=\"{}\"}} {count}", kind.as_str())
                    })
                })
                .collect(),
        );
        family(
            "plimsoll_drift_last_look_timestamp_seconds",
            "gauge",
            "When it was last known whether there is drift.",
            counts
                .drift
                .iter()
                .filter_map(|(name, seen)| {
                    Some(format!("{{environment=\"{name}\"}} {}", seen.looked?.as_second()))
                })
                .collect(),
        );
        if let Some(current) = counts.configuration_current {
            family(
                "plimsoll_configuration_current",
                "gauge",
                "Whether plimsoll.toml as it is now is what the server works by.",
                vec![format!(" {}", u8::from(current))],
            );
        }
        let Some(admission) = admission else { return text };
        family(
            "plimsoll_admission_reviews_total",
            "counter",
            "Reviews answered, by verdict and namespace.",
            counts
                .reviews
                .iter()
                .map(|((seen, namespace), count)| {
                    format!("{{verdict=\"{}\",namespace=\"{namespace}\"}} {count}", seen.as_str())
                })
                .collect(),
        );
        family(
            "plimsoll_admission_refusals_total",
            "counter",
            "Reviews in which a check refused an image, by the check's code.",
            counts.refusals.iter().map(|(code, count)| format!("{{code=\"{code}\"}} {count}")).collect(),
        );
        let mut rows: Vec<String> = BOUNDS
            .iter()
            .zip(&counts.buckets)
            .map(|(bound, count)| format!("_bucket{{le=\"{bound}\"}} {count}"))
            .collect();
        rows.push(format!("_bucket{{le=\"+Inf\"}} {}", counts.count));
        rows.push(format!("_sum {}", counts.sum));
        rows.push(format!("_count {}", counts.count));
        family(
            "plimsoll_admission_duration_seconds",
            "histogram",
            "From the request's head to the answer.",
            rows,
        );
        let size = admission.cache_size();
        for (name, kind, help, value) in [
            ("plimsoll_admission_cache_entries", "gauge", "Verdicts that are kept.", size.entries as u64),
            (
                "plimsoll_admission_lookups_in_flight",
                "gauge",
                "Images that are being looked up.",
                size.flights as u64,
            ),
            ("plimsoll_admission_cache_hits_total", "counter", "Images judged from memory.", size.hits),
            (
                "plimsoll_admission_cache_misses_total",
                "counter",
                "Images that had to be looked up.",
                size.misses,
            ),
        ] {
            family(name, kind, help, vec![format!(" {value}")]);
        }
        if let Some(until) = counts.certificate_until {
            family(
                "plimsoll_admission_certificate_expiry_timestamp_seconds",
                "gauge",
                "Until when the certificate in use is valid.",
                vec![format!(" {}", until.as_second())],
            );
        }
        if let Some(until) = counts.authority_until {
            family(
                "plimsoll_admission_authority_expiry_timestamp_seconds",
                "gauge",
                "Until when the authority in use is valid.",
                vec![format!(" {}", until.as_second())],
            );
        }
        if let Some(current) = counts.bundle_current {
            family(
                "plimsoll_admission_bundle_current",
                "gauge",
                "Whether the webhook configurations hold the authority.",
                vec![format!(" {}", u8::from(current))],
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Metrics {
        let metrics = Metrics::default();
        metrics.drift("a", Some(BTreeMap::new()), Timestamp::UNIX_EPOCH);
        let two = BTreeMap::from([(DriftKind::Missing, 1), (DriftKind::Traffic, 2)]);
        metrics.drift("b", Some(two), Timestamp::UNIX_EPOCH);
        metrics
    }

    #[test]
    fn unknown_drift_is_no_zero() {
        let metrics = seen();
        metrics.drift("b", None, Timestamp::MAX);
        let text = metrics.text(None);
        assert!(text.contains("plimsoll_drift{environment=\"a\"} 0\n"), "{text}");
        assert!(!text.contains("plimsoll_drift{environment=\"b\"}"), "{text}");
        assert!(!text.contains("plimsoll_drift_differences{environment=\"b\""), "{text}");
        assert!(text.contains("plimsoll_drift_unknown{environment=\"b\"} 1\n"), "{text}");
        assert!(text.contains("plimsoll_drift_last_look_timestamp_seconds{environment=\"b\"} 0\n"), "{text}");
    }

    #[test]
    fn drift_has_its_kinds_and_one_sample_that_sums_them_up() {
        let metrics = seen();
        let text = metrics.text(None);
        assert!(text.contains("plimsoll_drift{environment=\"b\"} 1\n"), "{text}");
        for (kind, count) in [("missing", 1), ("traffic", 2), ("older", 0), ("extra", 0)] {
            let sample = format!("plimsoll_drift_differences{{environment=\"b\",kind=\"{kind}\"}} {count}\n");
            assert!(text.contains(&sample), "{sample}{text}");
        }
        assert_eq!(text.matches("plimsoll_drift_differences{environment=\"a\"").count(), 6, "{text}");
        metrics.looks_at(|environment| environment == "a");
        assert!(!metrics.text(None).contains("environment=\"b\""));
    }
}
