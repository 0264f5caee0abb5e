//! A rollout as lines of a terminal: a function of the view and the room there
//! is. Pure.

mod text;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use plimsoll_model::progress::{Condition, InstanceRow, ReleaseRow, RolloutView, TimeLeft, Until, WatchRow};

use self::text::{cut, cut_front, fill, wrapped};
use super::{counts, waiting};
use crate::printer::{bold, dim};

/// The room there is, and what may be written in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) rows: usize,
    /// Whether characters beyond ASCII can be shown.
    pub(super) unicode: bool,
}

/// A line that an instance wrote.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) instance: String,
    pub(super) text: String,
}

/// Instances that are listed; of more, those that are well are only counted.
const MOST_INSTANCES: usize = 12;
/// Instances that say why they are not ready.
const MOST_REASONS: usize = 3;
/// Rows below which there is no room for anything but the releases.
const FEW_ROWS: usize = 8;
/// Columns below which restarts and age are left out.
const FEW_COLUMNS: usize = 60;

/// Widths of the columns after the name.
const STATE: usize = 8;
const RESTARTS: usize = 8;
const AGE: usize = 6;
const TRAFFIC: usize = 7;

/// The step that is under way, in one line.
pub(super) fn status_line(spinner: char, message: &str, elapsed: Duration, look: &Look) -> String {
    let elapsed = format!("{} s", elapsed.as_secs());
    let room = look.width.saturating_sub(elapsed.len() + 3);
    // Only the words are cut, never a colour.
    let plain = anstream::adapter::strip_str(message).to_string();
    let shown = if text::width(&plain) <= room { message.to_owned() } else { cut(&plain, room, look) };
    let gap = room.saturating_sub(text::width(&anstream::adapter::strip_str(&shown).to_string()));
    format!("{spinner} {shown}{} {}", " ".repeat(gap), dim(&elapsed))
}

/// The rollout: no more lines than there are rows, none wider than the width.
pub(super) fn lines(view: &RolloutView, tail: &[Output], look: &Look, spinner: char) -> Vec<String> {
    let mut lines = vec![heading(view, look, spinner)];
    let few = look.rows < FEW_ROWS;
    let widths = Widths::of(view, look);
    if few {
        lines.extend(view.releases.iter().map(|row| widths.release(row, look)));
        return fitting(lines, look);
    }
    if !view.instances.is_empty() {
        lines.push(widths.header(look));
    }
    let fixed = lines.len() + view.releases.len() + 1;
    let room = look.rows.saturating_sub(fixed);
    let shown = Shown::of(view, room.min(MOST_INSTANCES + 2 * MOST_REASONS));
    for release in &view.releases {
        lines.push(widths.release(release, look));
        for (row, reason) in shown.of_release(view, release) {
            lines.push(widths.instance(row, look));
            if reason {
                lines.extend(reasons(row, look));
            }
        }
        lines.extend(shown.folded(view, release, look));
    }
    let left = look.rows.saturating_sub(lines.len() + 1);
    lines.extend(view.watch.iter().flat_map(|watch| watching(watch, look)).take(left));
    let left = look.rows.saturating_sub(lines.len() + 1);
    let tail = &tail[tail.len().saturating_sub(left)..];
    lines.extend(tail.iter().map(|line| output(line, look)));
    fitting(lines, look)
}

/// What is too much even so, in a very small terminal, is cut without colours.
fn fitting(mut lines: Vec<String>, look: &Look) -> Vec<String> {
    lines.truncate(look.rows.saturating_sub(1).max(1));
    for line in &mut lines {
        let plain = anstream::adapter::strip_str(line).to_string();
        if text::width(&plain) > look.width {
            *line = cut(&plain, look.width, look);
        }
    }
    lines
}

fn heading(view: &RolloutView, look: &Look, spinner: char) -> String {
    let left = view.left.filter(|_| look.width >= FEW_COLUMNS).map(time_left).unwrap_or_default();
    let phase = format!("{}: {}", view.phase, waiting(awaited(view)));
    let room = look.width.saturating_sub(2 + "rollout ".len() + left.len() + 1);
    let phase = cut(phase.trim_end_matches(": "), room, look);
    let gap = room.saturating_sub(text::width(&phase));
    format!("{spinner} {} {phase}{} {}", bold("rollout"), " ".repeat(gap), dim(&left)).trim_end().to_owned()
}

/// What is waited for, without the trouble that the instance's own row has.
fn awaited(view: &RolloutView) -> &str {
    let said = |row: &InstanceRow| {
        let at = view.detail.find(&format!("; {}: ", row.name))?;
        (!row.reason.is_empty()).then_some(at)
    };
    view.instances.iter().find_map(said).map_or(&view.detail, |at| &view.detail[..at])
}

fn time_left(left: TimeLeft) -> String {
    let time = match left.sec {
        sec @ 0..=99 => format!("{sec} s"),
        sec => format!("{} min {:02} s", sec / 60, sec % 60),
    };
    match left.until {
        Until::Watched => format!("watched in {time}"),
        Until::GivenUp => format!("gives up in {time}"),
    }
}

/// The columns of one table.
struct Widths {
    name: usize,
    narrow: bool,
}

impl Widths {
    fn of(view: &RolloutView, look: &Look) -> Self {
        let narrow = look.width < FEW_COLUMNS;
        let after = if narrow { STATE + TRAFFIC + 4 } else { STATE + RESTARTS + AGE + TRAFFIC + 8 };
        let longest = view.instances.iter().map(|row| text::width(&row.name)).max().unwrap_or(0);
        // Two for the indent of a release, two more for that of an instance.
        Self { name: look.width.saturating_sub(after + 4).clamp(8, longest.max(24)), narrow }
    }

    fn header(&self, look: &Look) -> String {
        let mut line = format!("  {}", fill("RELEASE, INSTANCE", self.name + 2, look));
        line.push_str(&format!("  {:STATE$}", "STATE"));
        if !self.narrow {
            line.push_str(&format!("  {:RESTARTS$}  {:AGE$}", "RESTARTS", "AGE"));
        }
        line.push_str("  TRAFFIC");
        dim(&cut(&line, look.width, look))
    }

    /// Where the column of the traffic begins.
    fn traffic_at(&self) -> usize {
        let middle = if self.narrow { STATE + 4 } else { STATE + RESTARTS + AGE + 8 };
        4 + self.name + middle
    }

    fn release(&self, row: &ReleaseRow, look: &Look) -> String {
        let room = self.traffic_at().saturating_sub(2 + 2).min(look.width.saturating_sub(2));
        let head = format!("{:9} {}", row.role, row.sha.short());
        let counts = cut(&counts(row), room.saturating_sub(head.len() + 2), look);
        let gap = room.saturating_sub(head.len() + 2 + text::width(&counts));
        let style = if row.failing > 0 { RED } else { PLAIN };
        let traffic = if row.traffic { format!("{} %", row.traffic_percent) } else { String::new() };
        let line = format!("  {}  {style}{counts}{style:#}{}  {traffic}", bold(&head), " ".repeat(gap));
        line.trim_end().to_owned()
    }

    fn instance(&self, row: &InstanceRow, look: &Look) -> String {
        let name = cut_front(&row.name, self.name, look);
        let gap = self.name.saturating_sub(text::width(&name));
        let style = style_of(row.state);
        let state = format!("{style}{:STATE$}{style:#}", row.state);
        let mut line = format!("    {name}{}  {state}", " ".repeat(gap));
        if !self.narrow {
            let restarts = row.restarts.to_string();
            let old = row.age_sec.map(age).unwrap_or_default();
            line.push_str(&format!("  {restarts:RESTARTS$}  {old:AGE$}"));
        }
        line.push_str(if row.traffic { "  yes" } else { "  no" });
        line
    }
}

const PLAIN: Style = Style::new();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();

fn style_of(state: Condition) -> Style {
    match state {
        Condition::Failing | Condition::Ended => RED.bold(),
        Condition::Starting => YELLOW,
        Condition::Ready => AnsiColor::Green.on_default(),
        Condition::Draining => Style::new().dimmed(),
    }
}

/// Which instances are listed, and which of them say why.
struct Shown {
    listed: Vec<usize>,
    reasons: Vec<usize>,
}

impl Shown {
    /// What is wrong comes first, then what is on its way, then what is well.
    fn of(view: &RolloutView, room: usize) -> Self {
        let mut order: Vec<usize> = (0..view.instances.len()).collect();
        order.sort_by_key(|at| view.instances[*at].state);
        let explained = order.iter().filter(|at| !view.instances[**at].reason.is_empty());
        let reasons: Vec<usize> = explained.copied().take(MOST_REASONS.min(room / 6)).collect();
        let room = room.saturating_sub(2 * reasons.len()).min(MOST_INSTANCES);
        let all = order.len();
        if all > room {
            // One row per release says how many are left out.
            order.truncate(room.saturating_sub(view.releases.len()));
        }
        Self { listed: order, reasons }
    }

    /// The listed instances of a release, in the view's own order.
    fn of_release<'a>(
        &'a self,
        view: &'a RolloutView,
        release: &'a ReleaseRow,
    ) -> impl Iterator<Item = (&'a InstanceRow, bool)> {
        let rows = view.instances.iter().enumerate();
        rows.filter(|(at, row)| row.role == release.role && self.listed.contains(at))
            .map(|(at, row)| (row, self.reasons.contains(&at)))
    }

    /// `… and 38 more: 36 ready, 2 starting`
    fn folded(&self, view: &RolloutView, release: &ReleaseRow, look: &Look) -> Option<String> {
        let rows = view.instances.iter().enumerate();
        let rows = rows.filter(|(at, row)| row.role == release.role && !self.listed.contains(at));
        let mut states: Vec<(Condition, usize)> = Vec::new();
        for (_, row) in rows {
            match states.iter_mut().find(|(state, _)| *state == row.state) {
                Some((_, count)) => *count += 1,
                None => states.push((row.state, 1)),
            }
        }
        if states.is_empty() {
            return None;
        }
        let all: usize = states.iter().map(|(_, count)| count).sum();
        states.sort();
        let words: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let dots = if look.unicode { "…" } else { "..." };
        let line = match words.as_slice() {
            [one] => format!("    {dots} and {} more {}", all, one.split_once(' ').map_or("", |(_, w)| w)),
            words => format!("    {dots} and {all} more: {}", words.join(", ")),
        };
        Some(dim(&cut(&line, look.width, look)))
    }
}

/// Why an instance is not ready: at most two lines.
fn reasons(row: &InstanceRow, look: &Look) -> Vec<String> {
    let room = look.width.saturating_sub(6);
    let style = if row.state == Condition::Starting { YELLOW } else { RED };
    let lines = wrapped(&row.reason, room, 2, look);
    lines.into_iter().map(|line| format!("      {style}{line}{style:#}")).collect()
}

fn watching(watch: &WatchRow, look: &Look) -> Vec<String> {
    let reason = if watch.reason.is_empty() { String::new() } else { format!(": {}", watch.reason) };
    let text = cut(&format!("{}{reason}", watch.verdict), look.width.saturating_sub(8), look);
    let mut lines = vec![format!("  {} {text}", bold("watch"))];
    let name = watch.metrics.iter().map(|metric| text::width(&metric.name)).max().unwrap_or(0);
    let name = name.clamp(8, 24);
    for metric in &watch.metrics {
        let counts = format!("stable {}, candidate {}: ", metric.stable, metric.candidate);
        let line = format!("    {}  {counts}{}", fill(&metric.name, name, look), metric.verdict);
        let line = cut(&line, look.width, look);
        lines.push(if metric.verdict == "regressed" { format!("{RED}{line}{RED:#}") } else { line });
    }
    lines
}

fn output(line: &Output, look: &Look) -> String {
    // The end of a name tells instances apart.
    let name = cut_front(&line.instance, 20, look);
    let room = look.width.saturating_sub(2 + text::width(&name) + 3);
    format!("  {} {}", dim(&format!("{name} |")), cut(&line.text, room, look))
}

/// `12 s`, `4 m 12 s`, `3 h`, `12 d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds / 60),
        6000..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
