//! Spans, counted by release: what is left of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::wire::{ResourceSpans, Span};
use crate::exposition::{Exposition, Sample};

/// Processes that are counted apart at most; those of later ones are dropped,
/// which is counted, too.
const MAX_PROCESSES: usize = 2_048;

/// Upper bounds of the buckets in seconds, those of the traffic switch.
const BOUNDS: [f64; 14] = plimsoll_rollout_switch::counters::LATENCY_BUCKETS;

/// Counts of all processes.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    processes: Mutex<BTreeMap<Process, Spans>>,
}

/// One process of one release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// The value of the attribute that tells releases apart.
    pub(crate) release: String,
    /// `service.instance.id`, or the host's name, or nothing.
    pub(crate) instance: String,
}

#[derive(Debug, Clone, Default)]
struct Spans {
    /// By kind and status.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Spans of servers and consumers: not cumulative, the last without bound.
    durations: [u64; BOUNDS.len() + 1],
}

fn kind(span: &Span) -> &'static str {
    match span.kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status(span: &Span) -> &'static str {
    match span.status {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

impl Counts {
    /// Counts an export. Resources without the attribute that tells the
    /// release are not counted; how many spans that were is returned.
    pub(crate) fn take(&self, exported: &[ResourceSpans], release: &str) -> usize {
        let mut dropped = 0;
        // A panic elsewhere leaves counts that are still true.
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in exported {
            let attribute = |key: &str| {
                resource.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
            };
            let Some(release) = attribute(release).filter(|value| value.len() <= 256) else {
                dropped += resource.spans.len();
                continue;
            };
            let instance = attribute("service.instance.id")
                .or_else(|| attribute("k8s.pod.name"))
                .or_else(|| attribute("host.name"))
                .filter(|value| value.len() <= 256)
                .unwrap_or_default();
            let process = Process { release: release.into(), instance: instance.into() };
            if !processes.contains_key(&process) && processes.len() >= MAX_PROCESSES {
                dropped += resource.spans.len();
                continue;
            }
            let spans = processes.entry(process).or_default();
            for span in &resource.spans {
                *spans.counts.entry((kind(span), status(span))).or_default() += 1;
                if matches!(span.kind, 2 | 5) {
                    let seconds = span.end.saturating_sub(span.start) as f64 / 1e9;
                    let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
                    spans.durations[bucket] += 1;
                }
            }
        }
        dropped
    }

    /// The counters of each process of a release.
    pub(crate) fn of(&self, release: &str) -> Vec<(String, Exposition)> {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes
            .iter()
            .filter(|(process, _)| process.release == release)
            .map(|(process, spans)| (process.instance.clone(), spans.exposition()))
            .collect()
    }
}

impl Spans {
    fn exposition(&self) -> Exposition {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut samples: Vec<Sample> = self
            .counts
            .iter()
            .map(|((kind, status), count)| Sample {
                name: "plimsoll_spans_total".into(),
                labels: vec![label("kind", kind), label("status", status)],
                value: *count as f64,
            })
            .collect();
        let mut sum = 0;
        for (at, count) in self.durations.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(at).map_or("+Inf".to_owned(), f64::to_string);
            samples.push(Sample {
                name: "plimsoll_span_seconds_bucket".into(),
                labels: vec![label("le", &bound)],
                value: sum as f64,
            });
        }
        Exposition { samples, ..Exposition::default() }
    }
}
