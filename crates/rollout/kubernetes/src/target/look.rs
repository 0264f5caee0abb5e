//! What is seen, with the events and the output of pods in trouble.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use plimsoll_rollout_core::Observed;
use plimsoll_rollout_core::fleet::last_lines;
use tokio::time::Instant;

use super::KubernetesTarget;
use crate::api::{Kind, encoded};
use crate::error::KubernetesError;
use crate::observe::{self, Evidence, Troubled};
use crate::record::Record;
use crate::view::View;

/// Pods that events and output are fetched of, at a time.
const MOST_TROUBLED: usize = 4;
/// Events of a pod are fetched again after this.
const EVIDENCE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Gathered {
    evidence: Evidence,
    /// When it was fetched, and about which run.
    about: BTreeMap<String, (Instant, i32, bool)>,
}

impl KubernetesTarget {
    pub(super) async fn look(&self) -> Result<Observed, KubernetesError> {
        let view = self.view().await?;
        let Some(home) = &view.home else { return Err(self.no_workload()) };
        let record = Record::of(home).map_err(|reason| KubernetesError::Record { reason })?;
        let now = Timestamp::now();
        let (mut observed, mut troubled) = self.observed(&view, &record, now);
        // Events say what is wrong, and that says whose output explains it.
        for _ in 0..2 {
            if !self.gather(&troubled).await {
                break;
            }
            (observed, troubled) = self.observed(&view, &record, now);
        }
        Ok(observed)
    }

    fn observed(&self, view: &View, record: &Record, now: Timestamp) -> (Observed, Vec<Troubled>) {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let next =
            |pod: &str, container: Option<&str>, previous: bool| self.next_step(pod, container, previous);
        observe::observed(view, record, &self.options.container, &gathered.evidence, &next, now)
    }

    /// The command that shows more.
    fn next_step(&self, pod: &str, container: Option<&str>, previous: bool) -> String {
        let kubectl = self.kubectl();
        match (pod, container) {
            ("", _) => format!("see `{kubectl} get events --sort-by=.lastTimestamp`"),
            (pod, None) => format!("see `{kubectl} describe pod {pod}`"),
            (pod, Some(container)) => {
                let previous = if previous { " --previous" } else { "" };
                format!("see `{kubectl} logs {pod} -c {container}{previous}`")
            }
        }
    }

    /// Fetches what is not known yet about pods in trouble; whether anything
    /// was. What cannot be fetched is left out: it explains, it decides nothing
    /// that a later look would not decide.
    async fn gather(&self, troubled: &[Troubled]) -> bool {
        let due: Vec<&Troubled> = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            if troubled.is_empty() && !gathered.about.is_empty() {
                *gathered = Gathered::default();
            }
            let is_due = |pod: &&Troubled| match gathered.about.get(&pod.uid) {
                None => true,
                Some((at, restarts, output)) => {
                    at.elapsed() >= EVIDENCE_EVERY
                        || *restarts != pod.restarts
                        || (pod.output.is_some() && !output)
                }
            };
            troubled.iter().filter(is_due).take(MOST_TROUBLED).collect()
        };
        let fetched = due.iter().map(|pod| async {
            let selector = encoded(&format!("involvedObject.uid={}", pod.uid));
            let events = self.api.list::<Event>(Kind::EVENT, &format!("fieldSelector={selector}")).await;
            let output = match &pod.output {
                None => None,
                Some((container, previous)) => {
                    let most = plimsoll_rollout_core::fleet::LAST_LINES;
                    let text = self.api.log(&pod.name, container, *previous, most).await;
                    // The run before may have left nothing.
                    let text = match (text, previous) {
                        (Err(_), true) => self.api.log(&pod.name, container, false, most).await,
                        (text, _) => text,
                    };
                    text.ok().map(|text| last_lines(&text))
                }
            };
            (*pod, events.ok().map(|listed| listed.items), output)
        });
        let fetched = futures_util::future::join_all(fetched).await;
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        for (pod, events, output) in &fetched {
            if let Some(events) = events {
                gathered.evidence.events.insert(pod.uid.clone(), events.clone());
            }
            if let Some(lines) = output {
                gathered.evidence.last_lines.insert(pod.uid.clone(), lines.clone());
            }
            gathered.about.insert(pod.uid.clone(), (Instant::now(), pod.restarts, pod.output.is_some()));
        }
        !fetched.is_empty()
    }
}
