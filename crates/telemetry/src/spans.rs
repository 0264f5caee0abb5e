//! Progress as spans: a step is one, a rollout is one, and each of its phases
//! is one below it.
//!
//! Steps and phases are reported by name as they begin and end (DEP-7), which
//! is all a span needs; nothing that works knows of traces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{SpanBuilder, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use plimsoll_model::progress::{Condition, RolloutView};
use plimsoll_model::{Observer, Progress};

/// Events of one phase, so that a thousand instances are no thousand events:
/// the SDK keeps 128, and would not say which.
const MOST_EVENTS: usize = 100;

/// Hands reports on, and makes spans of them.
pub(crate) struct Traced {
    pub(crate) view: Arc<dyn Observer>,
    pub(crate) recorder: Arc<Recorder>,
}

impl Observer for Traced {
    fn report(&self, progress: Progress) {
        self.recorder.see(&progress);
        self.view.report(progress);
    }
}

/// The spans that are open.
pub(crate) struct Recorder {
    tracer: SdkTracer,
    root: Context,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// In the order in which they began.
    steps: Vec<(String, Context)>,
    rollout: Option<Rollout>,
}

struct Rollout {
    name: String,
    span: Context,
    phase: Option<Phase>,
    /// Name of an instance, and how it was when it was last looked at.
    instances: BTreeMap<String, Condition>,
    verdict: String,
}

struct Phase {
    name: String,
    span: Context,
    events: usize,
}

impl Recorder {
    pub(crate) fn new(tracer: SdkTracer, root: Context) -> Self {
        Self { tracer, root, open: Mutex::new(Open::default()) }
    }

    fn see(&self, progress: &Progress) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::StepStarted { step, detail } => {
                // What begins while a rollout is in a phase is a part of it.
                let parent = open.rollout.as_ref().map_or(&self.root, Rollout::innermost);
                let span =
                    self.begin(step.clone(), parent, vec![KeyValue::new("plimsoll.of", detail.clone())]);
                open.steps.push((step.clone(), span));
            }
            Progress::StepFinished { step, detail, .. } => {
                let Some(at) = open.steps.iter().position(|(name, _)| name == step) else { return };
                let (_, span) = open.steps.remove(at);
                span.span().set_attribute(KeyValue::new("plimsoll.result", detail.clone()));
                span.span().end();
            }
            Progress::Rollout(view) => self.rollout(&mut open, view),
            Progress::Note { text } => {
                let at = open.rollout.as_ref().map_or(&self.root, Rollout::innermost);
                at.span().add_event("note", vec![KeyValue::new("plimsoll.text", text.clone())]);
            }
            Progress::Line { .. } | Progress::Bytes { .. } | Progress::Output { .. } => {}
        }
    }

    fn begin(&self, name: String, parent: &Context, attributes: Vec<KeyValue>) -> Context {
        let builder = SpanBuilder::from_name(name).with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, parent);
        parent.with_span(span)
    }

    fn rollout(&self, open: &mut Open, view: &RolloutView) {
        if open.rollout.as_ref().is_some_and(|rollout| rollout.name != view.rollout)
            && let Some(other) = open.rollout.take()
        {
            other.end();
        }
        let rollout = open.rollout.get_or_insert_with(|| Rollout {
            name: view.rollout.clone(),
            span: self.begin(
                "rollout".into(),
                &self.root,
                vec![
                    KeyValue::new("deployment.id", view.rollout.clone()),
                    KeyValue::new("deployment.environment.name", view.environment.clone()),
                ],
            ),
            phase: None,
            instances: BTreeMap::new(),
            verdict: String::new(),
        });
        // What is new in the view that begins a phase came about in the one before.
        let first = rollout.phase.is_none();
        if !first {
            rollout.look(view);
        }
        if rollout.phase.as_ref().is_none_or(|phase| phase.name != view.phase) {
            rollout.end_phase();
            let span = self.begin(view.phase.clone(), &rollout.span, Vec::new());
            rollout.phase = Some(Phase { name: view.phase.clone(), span, events: 0 });
        }
        if first {
            rollout.look(view);
        }
    }

    /// Ends what is open. A step that has not finished has failed.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, step) in open.steps.drain(..).rev() {
            step.span().set_status(Status::error("it did not finish"));
            step.span().end();
        }
        if let Some(rollout) = open.rollout.take() {
            rollout.end();
        }
    }
}

impl Rollout {
    fn innermost(&self) -> &Context {
        self.phase.as_ref().map_or(&self.span, |phase| &phase.span)
    }

    /// What became of instances and verdict since the last look.
    fn look(&mut self, view: &RolloutView) {
        let Some(phase) = &mut self.phase else { return };
        let now = SystemTime::now();
        let mut event = |name: &'static str, attributes: Vec<KeyValue>| {
            if phase.events < MOST_EVENTS {
                phase.span.span().add_event_with_timestamp(name, now, attributes);
                phase.events += 1;
            }
        };
        let seen: BTreeMap<String, Condition> =
            view.instances.iter().map(|row| (row.name.clone(), row.state)).collect();
        for row in &view.instances {
            if self.instances.get(&row.name) == Some(&row.state) {
                continue;
            }
            let mut attributes = vec![
                KeyValue::new("service.instance.id", row.name.clone()),
                KeyValue::new("vcs.ref.head.revision", row.sha.to_string()),
                KeyValue::new("plimsoll.state", row.state.to_string()),
            ];
            if !row.reason.is_empty() {
                attributes.push(KeyValue::new("plimsoll.reason", row.reason.clone()));
            }
            event("instance", attributes);
        }
        for gone in self.instances.keys().filter(|name| !seen.contains_key(*name)) {
            event(
                "instance",
                vec![
                    KeyValue::new("service.instance.id", gone.clone()),
                    KeyValue::new("plimsoll.state", "gone"),
                ],
            );
        }
        self.instances = seen;
        if let Some(watch) = view.watch.as_ref().filter(|watch| watch.verdict != self.verdict) {
            self.verdict.clone_from(&watch.verdict);
            event("verdict", vec![KeyValue::new("plimsoll.verdict", watch.verdict.clone())]);
        }
    }

    fn end_phase(&mut self) {
        if let Some(phase) = self.phase.take() {
            phase.span.span().end();
        }
    }

    fn end(mut self) {
        self.end_phase();
        self.span.span().end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
    use plimsoll_model::Silent;
    use plimsoll_model::progress::{InstanceRow, WatchRow};

    use super::*;

    /// What became of reports: the ended spans, in the order of their ends.
    fn spans(reports: &[Progress]) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
        let traced =
            Traced { view: Arc::new(Silent), recorder: Arc::new(Recorder::new(tracer, root.clone())) };
        for report in reports {
            traced.report(report.clone());
        }
        traced.recorder.close();
        root.span().end();
        exporter.get_finished_spans().unwrap()
    }

    /// `child of parent`, sorted.
    fn tree(spans: &[SpanData]) -> Vec<String> {
        let name_of =
            |id| spans.iter().find(|span| span.span_context.span_id() == id).map(|span| span.name.as_ref());
        let mut all: Vec<String> = spans
            .iter()
            .map(|span| format!("{} of {}", span.name, name_of(span.parent_span_id).unwrap_or("nothing")))
            .collect();
        all.sort();
        all
    }

    fn started(step: &str) -> Progress {
        Progress::StepStarted { step: step.into(), detail: format!("{step}'s work") }
    }

    fn finished(step: &str) -> Progress {
        Progress::StepFinished { step: step.into(), detail: "done".into(), duration_sec: 1.0 }
    }

    fn view(rollout: &str, phase: &str, instances: &[(&str, Condition)], verdict: &str) -> Progress {
        let sha: plimsoll_model::Commit = "3f2a9c01b7d4e58f60718293a4b5c6d7e8f90a1b".parse().unwrap();
        let row = |(name, state): &(&str, Condition)| InstanceRow {
            name: (*name).into(),
            sha: sha.clone(),
            role: "candidate".into(),
            state: *state,
            reason: String::new(),
            restarts: 0,
            traffic: false,
            age_sec: None,
        };
        let watch = WatchRow { verdict: verdict.into(), reason: String::new(), metrics: Vec::new() };
        Progress::Rollout(Box::new(RolloutView {
            rollout: rollout.into(),
            environment: "production".into(),
            phase: phase.into(),
            detail: String::new(),
            left: None,
            releases: Vec::new(),
            instances: instances.iter().map(row).collect(),
            watch: (!verdict.is_empty()).then_some(watch),
        }))
    }

    #[test]
    fn steps_phases_and_what_happens_within_them() {
        use Condition::{Failing, Ready, Starting};
        let spans = spans(&[
            started("guard"),
            finished("guard"),
            view("r1", "expanding", &[("a", Starting)], ""),
            view("r1", "expanding", &[("a", Starting)], ""),
            view("r1", "expanding", &[("a", Failing)], ""),
            started("migrate"),
            finished("migrate"),
            view("r1", "reverting", &[], "regressed"),
            view("r2", "expanding", &[("b", Ready)], ""),
        ]);
        assert_eq!(
            tree(&spans),
            [
                "expanding of rollout",
                "expanding of rollout",
                "guard of root",
                "migrate of expanding",
                "reverting of rollout",
                "rollout of root",
                "rollout of root",
                "root of nothing",
            ]
        );
        let expanding = spans.iter().find(|span| span.name == "expanding").unwrap();
        let said = |event: &opentelemetry::trace::Event| {
            let about = event
                .attributes
                .iter()
                .find(|one| ["plimsoll.state", "plimsoll.verdict"].contains(&one.key.as_str()));
            format!("{} {}", event.name, about.unwrap().value)
        };
        let said: Vec<String> = expanding.events.iter().map(said).collect();
        let once = ["instance starting", "instance failing", "instance gone", "verdict regressed"];
        assert_eq!(said, once, "one event for each change");
        let guard = spans.iter().find(|span| span.name == "guard").unwrap();
        assert!(guard.attributes.contains(&KeyValue::new("plimsoll.result", "done")));
        assert_eq!(guard.status, Status::Unset);
    }

    #[test]
    fn a_step_that_does_not_finish_has_failed() {
        let spans = spans(&[started("build"), started("layer"), finished("layer"), finished("never begun")]);
        let build = spans.iter().find(|span| span.name == "build").unwrap();
        assert!(matches!(build.status, Status::Error { .. }));
        assert_eq!(tree(&spans), ["build of root", "layer of root", "root of nothing"]);
    }

    #[test]
    fn events_are_bounded() {
        let mut reports = Vec::new();
        for n in 0..500 {
            let state = if n % 2 == 0 { Condition::Starting } else { Condition::Failing };
            reports.push(view("r", "expanding", &[("a", state)], ""));
        }
        let spans = spans(&reports);
        let expanding = spans.iter().find(|span| span.name == "expanding").unwrap();
        assert_eq!(expanding.events.len(), MOST_EVENTS);
    }
}
