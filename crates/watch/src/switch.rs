//! The counters of the traffic switch: what users of a single-host environment
//! got, by release, without anything to declare in the service.
//!
//! They are offered under the names that the switch itself exports, so that the
//! same selectors work: `plimsoll_switch_responses_total{class="5xx"}` of
//! `plimsoll_switch_responses_total`, and the histogram
//! `plimsoll_switch_response_seconds`. Beside these,
//! `plimsoll_switch_requests_total{outcome="ok"|"failed"}` counts a missing and
//! a broken-off answer as failed, too.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use plimsoll_health::Look;
use plimsoll_model::{Diagnose as _, Digest, Lookup};
use plimsoll_rollout_switch::counters::LATENCY_BUCKETS;
use plimsoll_rollout_switch::{Control, DigestStats};

use crate::exposition::{Exposition, Sample};
use crate::replicas::reading;
use crate::{BoxFuture, Query, Replica, Source};

/// Asks the switch of one environment.
#[derive(Debug, Clone)]
pub struct Switch {
    state_dir: PathBuf,
    queries: Vec<Query>,
}

impl Switch {
    /// Asks the switch whose state is in this folder.
    pub fn new(state_dir: impl Into<PathBuf>, queries: Vec<Query>) -> Self {
        Self { state_dir: state_dir.into(), queries }
    }

    /// What the counters of the releases show. A release of which the switch
    /// knows nothing has had no request.
    pub fn looks(&self, stats: &[DigestStats], replicas: &[Replica], at: Timestamp) -> Vec<Look> {
        releases(replicas)
            .into_iter()
            .map(|digest| {
                let exposition = match stats.iter().find(|stats| stats.digest == digest) {
                    Some(stats) => Lookup::Found(exposition(stats)),
                    None => Lookup::Absent,
                };
                Look {
                    digest,
                    replica: "switch".into(),
                    at,
                    born: None,
                    readings: self.queries.iter().map(|query| reading(query, &exposition)).collect(),
                }
            })
            .collect()
    }
}

fn releases(replicas: &[Replica]) -> BTreeSet<Digest> {
    replicas.iter().map(|replica| replica.digest).collect()
}

fn exposition(stats: &DigestStats) -> Exposition {
    let mut samples = Vec::new();
    let mut add = |name: &str, labels: &[(&str, String)], value: f64| {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), value.clone())).collect();
        samples.push(Sample { name: name.into(), labels, value });
    };
    for (class, count) in stats.responses.iter().enumerate() {
        let class = format!("{}xx", class + 1);
        add("plimsoll_switch_responses_total", &[("class", class)], *count as f64);
    }
    let kinds =
        [("connect", stats.connect_errors), ("response", stats.response_errors), ("aborted", stats.aborted)];
    for (kind, count) in kinds {
        add("plimsoll_switch_errors_total", &[("kind", kind.into())], count as f64);
    }
    // Answers that never came are not among the answers; broken-off ones are.
    let all = stats.requests() + stats.response_errors;
    let failed = stats.failures().min(all);
    for (outcome, count) in [("ok", all - failed), ("failed", failed)] {
        add("plimsoll_switch_requests_total", &[("outcome", outcome.into())], count as f64);
    }
    let mut sum = 0;
    for (at, count) in stats.latency.iter().enumerate() {
        sum += count;
        let bound = LATENCY_BUCKETS.get(at).map_or("+Inf".to_owned(), f64::to_string);
        add("plimsoll_switch_response_seconds_bucket", &[("le", bound)], sum as f64);
    }
    Exposition { samples, ..Exposition::default() }
}

impl Source for Switch {
    fn look<'a>(&'a self, replicas: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
        Box::pin(async move {
            let control = Control::new(&self.state_dir);
            match control.status().await {
                Ok(status) => self.looks(&status.digests, replicas, Timestamp::now()),
                Err(error) => {
                    let why = format!("{} ({})", error, error.code());
                    releases(replicas)
                        .into_iter()
                        .map(|digest| Look {
                            digest,
                            replica: "switch".into(),
                            at: Timestamp::now(),
                            born: None,
                            readings: vec![Lookup::Unknown(why.clone()); self.queries.len()],
                        })
                        .collect()
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_health::{Kind, Latency};

    use super::*;
    use crate::Declaration;

    const NEW: Digest = Digest::from_sha256([1; 32]);
    const OLD: Digest = Digest::from_sha256([2; 32]);

    fn replica(digest: Digest, name: &str) -> Replica {
        Replica { digest, name: name.into(), metrics: None, born: None }
    }

    fn queries() -> Vec<Query> {
        let all = "plimsoll_switch_requests_total";
        let failed = Declaration::new("failed", &format!("{all}{{outcome=\"failed\"}}"), Some(all));
        let slow = Declaration {
            latency: Some(Latency::Above(1.0)),
            ..Declaration::new("slow", "plimsoll_switch_response_seconds", None)
        };
        [failed, slow].iter().map(|declaration| Query::new(declaration).unwrap()).collect()
    }

    #[test]
    fn its_counters_are_series_like_any_other() {
        let mut latency = vec![0; LATENCY_BUCKETS.len() + 1];
        (latency[3], latency[11]) = (95, 5);
        let stats = DigestStats {
            digest: NEW,
            sha: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            responses: [0, 90, 0, 4, 6],
            connect_errors: 1,
            response_errors: 2,
            aborted: 1,
            retries: 0,
            bytes_in: 0,
            bytes_out: 0,
            latency,
            latency_sum_sec: 1.0,
        };
        let switch = Switch::new("/nowhere", queries());
        assert_eq!(switch.queries[0].metric.kind, Kind::Share);
        let replicas = [replica(NEW, "a"), replica(NEW, "b"), replica(OLD, "c")];
        let looks = switch.looks(&[stats], &replicas, Timestamp::UNIX_EPOCH);
        assert_eq!(looks.iter().map(|look| look.digest).collect::<Vec<_>>(), [NEW, OLD]);
        let sum = |points: &[plimsoll_health::Point]| points.iter().map(|point| point.value).sum::<f64>();
        let failed = looks[0].readings[0].found().unwrap();
        assert_eq!((sum(&failed.events), sum(&failed.exposure)), (9.0, 102.0));
        let slow = looks[0].readings[1].found().unwrap();
        let within = slow.events.iter().find(|point| point.bound == Some(1.0)).unwrap();
        assert_eq!((within.value, slow.events.last().unwrap().value), (95.0, 100.0));
        assert_eq!(looks[1].readings, [Lookup::Absent, Lookup::Absent]);
    }

    #[tokio::test]
    async fn a_switch_that_does_not_run_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let switch = Switch::new(folder.path(), queries());
        let looks = switch.look(&[replica(NEW, "a")]).await;
        assert!(
            matches!(&looks[0].readings[..], [Lookup::Unknown(why), Lookup::Unknown(_)] if why.contains("SWI-001")),
            "{looks:?}"
        );
    }
}
