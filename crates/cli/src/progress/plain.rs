//! Lines for a CI log: one when something changes, nothing that repeats.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll_model::progress::{Condition, InstanceRow, ReleaseRow, RolloutView, WatchRow};
use plimsoll_model::{Observer, Progress};

use super::{counts, moved, waiting};
use crate::printer::{Printer, duration};

/// How often a CI log hears of bytes that move.
const BYTES_EVERY: Duration = Duration::from_secs(10);
/// How often a CI log hears of a rollout in which only time passes.
const WAITING_EVERY: Duration = Duration::from_secs(10);
/// How often a CI log hears of counts that only rise.
const COUNTS_EVERY: Duration = Duration::from_secs(60);

/// The view.
pub(super) struct Lines {
    printer: Printer,
    last: Mutex<Last>,
    verbose: bool,
}

/// What has been said.
#[derive(Default)]
struct Last {
    phase: String,
    releases: Vec<ReleaseRow>,
    detail: String,
    rollout: Option<Instant>,
    bytes: Option<Instant>,
    /// Of instances with trouble: how often they were started again, and why.
    troubled: BTreeMap<String, (u32, String)>,
    verdicts: Vec<String>,
    watch: Option<Instant>,
}

impl Lines {
    pub(super) fn new(printer: Printer, verbose: bool) -> Self {
        Self { printer, last: Mutex::default(), verbose }
    }
}

impl Observer for Lines {
    fn report(&self, progress: Progress) {
        let mut last = self.last.lock().expect("no holder of this lock panics");
        match progress {
            Progress::StepStarted { step, detail } => self.printer.note(&format!("{step}: {detail}")),
            Progress::StepFinished { step, detail, duration_sec } => {
                self.printer.note(&format!("{step}: {detail} ({})", duration(duration_sec)));
            }
            Progress::Line { step, text, .. } if self.verbose || step == "build" => {
                self.printer.note(&format!("{step} | {text}"));
            }
            Progress::Line { .. } => {}
            Progress::Bytes { step, what, done, total } => {
                if last.bytes.is_none_or(|at| at.elapsed() >= BYTES_EVERY) {
                    if last.bytes.is_some() {
                        self.printer.note(&format!("{step}: {what} {}", moved(done, total)));
                    }
                    last.bytes = Some(Instant::now());
                }
            }
            Progress::Rollout(view) => {
                for line in last.lines(*view, Instant::now()) {
                    self.printer.note(&line);
                }
            }
            Progress::Output { instance, text } => self.printer.note(&format!("{instance} | {text}")),
            Progress::Note { text } => self.printer.note(&text),
        }
    }
}

impl Last {
    /// What there is to say of a view after what has been said before.
    fn lines(&mut self, view: RolloutView, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        let due = |at: Option<Instant>, every| at.is_none_or(|at| now.duration_since(at) >= every);
        let moved = self.phase != view.phase || self.releases != view.releases;
        if moved || (due(self.rollout, WAITING_EVERY) && self.detail != view.detail) {
            lines.push(format!("rollout: {}", rollout_line(&view)));
            self.rollout = Some(now);
            self.detail.clone_from(&view.detail);
        }
        (self.phase, self.releases) = (view.phase, view.releases);
        for row in &view.instances {
            if !matches!(row.state, Condition::Failing | Condition::Ended) && row.reason.is_empty() {
                continue;
            }
            let known = (row.restarts, row.reason.clone());
            if self.troubled.get(&row.name) != Some(&known) {
                lines.push(format!("rollout: {}", trouble(row)));
                self.troubled.insert(row.name.clone(), known);
            }
        }
        if let Some(watch) = &view.watch {
            let verdicts: Vec<String> = std::iter::once(&watch.verdict)
                .chain(watch.metrics.iter().map(|metric| &metric.verdict))
                .cloned()
                .collect();
            if self.verdicts != verdicts || due(self.watch, COUNTS_EVERY) {
                lines.extend(watch_lines(watch));
                (self.verdicts, self.watch) = (verdicts, Some(now));
            }
        }
        lines
    }
}

/// `shifting(1): 77e0… stable 2/2 ready, serving; 3f2a9c01b7d4 candidate 1/1 ready; waiting for …`
fn rollout_line(view: &RolloutView) -> String {
    let mut parts: Vec<String> = view.releases.iter().map(release).collect();
    if !view.detail.is_empty() {
        parts.push(waiting(&view.detail));
    }
    format!("{}: {}", view.phase, parts.join("; "))
}

/// `3f2a9c01b7d4 candidate 1/2 ready, 1 starting, serving`.
fn release(row: &ReleaseRow) -> String {
    let mut text = format!("{} {} {}", row.sha.short(), row.role, counts(row));
    if row.traffic {
        text.push_str(", serving");
        if row.traffic_percent < 100 {
            text.push_str(&format!(" {} %", row.traffic_percent));
        }
    }
    text
}

/// `payouts-abc failing, 3 restarts: DEP-104 …`
fn trouble(row: &InstanceRow) -> String {
    let restarts = match row.restarts {
        0 => String::new(),
        1 => ", 1 restart".into(),
        n => format!(", {n} restarts"),
    };
    let reason = if row.reason.is_empty() { String::new() } else { format!(": {}", row.reason) };
    format!("{} {}{restarts}{reason}", row.name, row.state)
}

fn watch_lines(watch: &WatchRow) -> Vec<String> {
    let reason = if watch.reason.is_empty() { String::new() } else { format!(": {}", watch.reason) };
    let mut lines = vec![format!("watch: {}{reason}", watch.verdict)];
    lines.extend(watch.metrics.iter().map(|metric| {
        let (name, verdict) = (&metric.name, &metric.verdict);
        format!("watch: {name}: stable {}, candidate {}: {verdict}", metric.stable, metric.candidate)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::table::testing;
    use super::*;

    #[test]
    fn what_changes_is_said_once() {
        let mut last = Last::default();
        let (view, now) = (testing::view(), Instant::now());
        insta::assert_snapshot!(last.lines(view.clone(), now).join("\n"), @r"
        rollout: shifting(2): 77e01234abcd stable 1/1 ready, 1 draining, serving 33 %; 3f2a9c01b7d4 candidate 2/3 ready, 1 failing, serving 67 %; 2 of 3 serve
        rollout: payouts-7d9f8b6c5d-abcde failing, 3 restarts: DEP-104 container app exited with status 1, and was started again 3 times; see `kubectl -n payouts logs payouts-7d9f8b6c5d-abcde -c app --previous`
        watch: insufficient data: 18 of 300 s side by side
        watch: payout failures: stable 12 of 40210, candidate 9 of 4011: insufficient data
        ");
        assert!(last.lines(view.clone(), now).is_empty());
        let mut later = view.clone();
        later.detail = "3 of 3 serve".into();
        later.left = None;
        assert!(last.lines(later.clone(), now).is_empty(), "time alone is said now and then only");
        assert_eq!(last.lines(later.clone(), now + WAITING_EVERY).len(), 1);
        later.instances[1].restarts = 4;
        let again = last.lines(later, now + WAITING_EVERY);
        assert!(again.len() == 1 && again[0].contains("abcde failing, 4 restarts"), "{again:?}");
    }
}
