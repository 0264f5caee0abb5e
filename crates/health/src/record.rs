//! What goes into the ledger about a watch, and judging it again.

use serde::{Deserialize, Serialize};

use crate::{Decided, Evidence, Report, judge};

/// The schema's name in the ledger.
pub const SCHEMA: &str = "plimsoll/watch/v1";

/// A watch as it is recorded: all that was seen, and what was said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// All that the verdict rests on.
    pub evidence: Evidence,
    /// The verdict, with the settings it was made with.
    pub report: Report,
    /// What was decided on it; absent in what older versions recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// What judging a record again came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    /// The same in every number.
    Same,
    /// The same verdicts and reasons; numbers differ, as between versions of
    /// Plimsoll or of a machine's mathematics.
    SameVerdict(Report),
    /// Another verdict, of the whole or of a metric, or another decision.
    Differs(Report),
}

impl Record {
    /// Judges evidence and keeps it beside the verdict.
    pub fn new(evidence: Evidence, settings: &crate::Settings) -> Self {
        let report = judge(&evidence, settings);
        Self { schema: SCHEMA.into(), evidence, report, decided: None }
    }

    /// Judges the evidence again, with the settings and the policy of then.
    pub fn replay(&self) -> Replay {
        let again = judge(&self.evidence, &self.report.settings);
        let verdicts = |report: &Report| -> Vec<_> {
            report.metrics.iter().map(|metric| (metric.metric.name.clone(), metric.verdict)).collect()
        };
        let decided_alike = self.decided.is_none_or(|decided| decided.follows_from(again.verdict));
        if !decided_alike {
            return Replay::Differs(again);
        }
        if again == self.report {
            Replay::Same
        } else if again.verdict == self.report.verdict && verdicts(&again) == verdicts(&self.report) {
            Replay::SameVerdict(again)
        } else {
            Replay::Differs(again)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Count, Counted, Kind, Metric, Presence, Settings, Verdict, Window};

    fn record() -> Record {
        let seen = || Presence { found: 90, ..Presence::default() };
        let windows = (0..60)
            .map(|index| Window {
                index,
                candidate: Count { events: 2.0, exposure: 333.333 },
                stable: Count { events: 1.0, exposure: 250.125 },
                side_by_side: true,
            })
            .collect();
        let metric = Metric::new("failures", Kind::Share);
        let counted = Counted { metric, window_sec: 10, windows, candidate: seen(), stable: seen() };
        let evidence = Evidence {
            schema: crate::EVIDENCE_SCHEMA.into(),
            stable: None,
            candidate: plimsoll_model::Digest::from_sha256([1; 32]),
            started: jiff::Timestamp::UNIX_EPOCH,
            metrics: vec![counted],
        };
        Record::new(evidence, &Settings::default())
    }

    #[test]
    fn a_record_survives_the_ledger_and_gives_the_same_verdict() {
        let recorded = record();
        let read: Record = serde_json::from_str(&serde_json::to_string(&recorded).unwrap()).unwrap();
        assert_eq!(read, recorded);
        assert_eq!(read.replay(), Replay::Same);
    }

    #[test]
    fn a_changed_record_is_noticed() {
        let mut number = record();
        number.report.metrics[0].e_value += 1.0;
        assert!(matches!(number.replay(), Replay::SameVerdict(_)));
        let mut verdict = record();
        verdict.report.metrics[0].verdict = Verdict::Regressed;
        assert!(matches!(verdict.replay(), Replay::Differs(_)));
        let mut decided = record();
        let policy = crate::InsufficientData::default();
        decided.decided = Some(Decided::by(decided.report.verdict, 600, 600, policy));
        assert_eq!(decided.replay(), Replay::Same);
        decided.decided.as_mut().unwrap().decision = crate::Decision::Hold;
        assert!(matches!(decided.replay(), Replay::Differs(_)));
        let mut evidence = record();
        for window in &mut evidence.evidence.metrics[0].windows {
            window.candidate.events = 100.0;
        }
        assert!(matches!(evidence.replay(), Replay::Differs(report) if report.verdict == Verdict::Regressed));
    }

    #[test]
    fn evidence_of_several_sources_is_joined_only_where_it_is_of_one_watch() {
        let one = record().evidence;
        assert_eq!(one.clone().join(record().evidence).metrics.len(), 2);
        let mut other = record().evidence;
        other.started += jiff::SignedDuration::from_secs(1);
        assert_eq!(one.join(other).metrics.len(), 1);
    }
}
