//! Three views of the same reports: a live line in a terminal, plain lines in
//! CI, JSON events for programs (DEP-7). None has logic of its own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use plimsoll_model::progress::ReleaseRow;
use plimsoll_model::{Observer, Progress};
use serde::Serialize;

use crate::args::Global;
use crate::printer::{Printer, bold, dim, duration};

/// The view the options and the terminal ask for.
pub(crate) fn observer(global: &Global, printer: &Printer, events: bool) -> Box<dyn Observer> {
    if events {
        Box::new(JsonLines { printer: printer.clone() })
    } else if global.no_progress || global.quiet {
        Box::new(plimsoll_model::Silent)
    } else if printer.is_live() {
        Box::new(Live::new(global.verbose > 0))
    } else {
        Box::new(PlainLines { printer: printer.clone(), last: Mutex::default(), verbose: global.verbose > 0 })
    }
}

/// JSON events: `{"schema":"plimsoll/event/v1","time":…,"event":…}`.
struct JsonLines {
    printer: Printer,
}

#[derive(Serialize)]
struct EventLine {
    schema: &'static str,
    time: Timestamp,
    #[serde(flatten)]
    progress: Progress,
}

impl Observer for JsonLines {
    fn report(&self, progress: Progress) {
        self.printer.event(&EventLine { schema: "plimsoll/event/v1", time: Timestamp::now(), progress });
    }
}

/// Lines for a CI log: one when something changes, nothing that repeats.
struct PlainLines {
    printer: Printer,
    last: Mutex<Last>,
    verbose: bool,
}

#[derive(Default)]
struct Last {
    phase: String,
    releases: Vec<ReleaseRow>,
    detail: String,
    rollout: Option<Instant>,
    bytes: Option<Instant>,
}

/// How often a CI log hears of bytes that move.
const BYTES_EVERY: Duration = Duration::from_secs(10);
/// How often a CI log hears of a rollout in which only time passes.
const WAITING_EVERY: Duration = Duration::from_secs(10);

impl Observer for PlainLines {
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
            Progress::Rollout { phase, detail, releases } => {
                let moved = last.phase != phase || last.releases != releases;
                let due = last.rollout.is_none_or(|at| at.elapsed() >= WAITING_EVERY);
                if moved || (due && last.detail != detail) {
                    self.printer.note(&format!("rollout: {}", rollout_line(&phase, &detail, &releases)));
                    (last.phase, last.detail, last.releases) = (phase, detail, releases);
                    last.rollout = Some(Instant::now());
                }
            }
            Progress::Note { text } => self.printer.note(&text),
        }
    }
}

/// One moving line with finished steps above it, and while a rollout is under
/// way one line per release below it.
struct Live {
    bar: ProgressBar,
    verbose: bool,
}

impl Live {
    fn new(verbose: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(
            ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}\n{prefix}")
                .expect("the template is a constant")
                .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, verbose }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Live {
    fn report(&self, progress: Progress) {
        match progress {
            Progress::StepStarted { step, detail } => {
                self.bar.set_message(format!("{} {detail}", bold(&step)))
            }
            Progress::StepFinished { step, detail, duration_sec } => {
                self.bar.println(format!("  {} {detail} {}", bold(&step), dim(&duration(duration_sec))));
                self.bar.set_message("");
                self.bar.set_prefix("");
            }
            Progress::Line { step, text, .. } if self.verbose => {
                self.bar.println(format!("  {} {text}", dim(&step)))
            }
            Progress::Line { step, text, .. } => {
                self.bar.set_message(format!("{} {}", bold(&step), dim(&text)))
            }
            Progress::Bytes { step, what, done, total } => {
                self.bar.set_message(format!("{} {what} {}", bold(&step), moved(done, total)));
            }
            Progress::Rollout { phase, detail, releases } => {
                self.bar.set_message(format!("{} {phase}: {}", bold("rollout"), waiting(&detail)));
                let rows: Vec<_> = releases.iter().map(|row| format!("    {}", release(row))).collect();
                self.bar.set_prefix(rows.join("\n"));
            }
            Progress::Note { text } => self.bar.println(format!("  {text}")),
        }
    }
}

/// `shifting(1): 77e0… stable 2/2 ready, serving; 3f2a9c01b7d4 candidate 1/1 ready; waiting for …`
fn rollout_line(phase: &str, detail: &str, releases: &[ReleaseRow]) -> String {
    let mut parts: Vec<String> = releases.iter().map(release).collect();
    if !detail.is_empty() {
        parts.push(waiting(detail));
    }
    format!("{phase}: {}", parts.join("; "))
}

/// `3f2a9c01b7d4 candidate 1/2 ready, 1 starting, serving`. Where no number is
/// wanted (before the start, at the end, of what leaves) none is shown.
fn release(row: &ReleaseRow) -> String {
    let wanted = if row.desired == 0 { String::new() } else { format!("/{}", row.desired) };
    let mut text = format!("{} {} {}{wanted} ready", row.sha.short(), row.role, row.ready);
    for (count, word) in [(row.starting, "starting"), (row.draining, "draining"), (row.failing, "failing")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    if row.traffic {
        text.push_str(", serving");
    }
    text
}

/// What a rollout waits for begins with `for`; anything else stands alone.
fn waiting(detail: &str) -> String {
    if detail.starts_with("for ") { format!("waiting {detail}") } else { detail.to_owned() }
}

fn moved(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", bytes(done), bytes(total)),
        None => bytes(done),
    }
}

/// Bytes for people, in powers of ten.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn releases_read_well() {
        let row = ReleaseRow {
            sha: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            digest: plimsoll_model::Digest::from_sha256([7; 32]),
            role: "candidate".into(),
            desired: 2,
            starting: 1,
            ready: 1,
            failing: 0,
            draining: 0,
            traffic: true,
        };
        let leaving =
            ReleaseRow { role: "stable".into(), desired: 0, starting: 0, draining: 1, ..row.clone() };
        assert_eq!(
            rollout_line("shifting(2)", "for the lock", &[row, leaving]),
            "shifting(2): 0123456789ab candidate 1/2 ready, 1 starting, serving; \
             0123456789ab stable 1 ready, 1 draining, serving; waiting for the lock"
        );
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(
            [999, 1500, 670_000_000, 5_000_000_000].map(bytes),
            ["999 B", "1.5 kB", "670.0 MB", "5.0 GB"]
        );
    }
}
