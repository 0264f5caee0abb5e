//! The one place that prints. stdout is data; everything else goes to stderr.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use plimsoll_model::{Diagnose, Outcome};
use serde::Serialize;

use crate::args::{Color, Global, Output};
use crate::trace::Trace;

/// Where results, notes and errors go, and in which form.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    output: Output,
    events: bool,
    quiet: bool,
    trace: Trace,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

impl Printer {
    /// A printer as the common options ask for it. `events`: JSON lines.
    pub(crate) fn new(global: &Global, events: bool) -> Self {
        match global.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { output: global.output, events, quiet: global.quiet, trace: Trace::default() }
    }

    /// The trace of this command, once it has begun.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Whether the result is for a program.
    pub(crate) fn is_json(&self) -> bool {
        self.output == Output::Json || self.events
    }

    /// Whether standard error is a terminal, so that a live view makes sense.
    pub(crate) fn is_live(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// The result: the document for programs, the text for people.
    pub(crate) fn result(&self, document: &impl Serialize, text: impl FnOnce() -> String) {
        self.trace.describe(document);
        if self.is_json() {
            self.document(&self.trace.named(document));
        } else {
            let text = text();
            match self.trace.id() {
                None => self.text(text.trim_end()),
                Some(id) => self.text(&format!("{}\n{DIM}trace{DIM:#}  {id}", text.trim_end())),
            }
        }
    }

    /// One JSON document on stdout: indented, or on one line among events.
    fn document(&self, document: &impl Serialize) {
        let text = if self.events {
            serde_json::to_string(document)
        } else {
            serde_json::to_string_pretty(document)
        };
        self.text(&text.expect("documents have string keys and no failing serialisers"));
    }

    /// One event on its own line of stdout.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if self.events {
            self.document(event);
        }
    }

    /// Text on stdout. A reader that went away ends the program quietly, as
    /// for `head`.
    pub(crate) fn text(&self, text: &str) {
        let mut out = anstream::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            // A result that could not be written is no success: a full disk.
            Err(error) => {
                anstream::eprintln!("{RED}error{RED:#}: the result could not be written: {error}");
                std::process::exit(1);
            }
        }
    }

    /// stdout for data that is written piece by piece. The caller flushes.
    pub(crate) fn data(&self) -> impl Write {
        std::io::BufWriter::new(std::io::stdout().lock())
    }

    /// A line for a person on stderr.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            crate::progress::screen::above(|| anstream::eprintln!("{text}"));
        }
    }

    /// An error, once, in the form that was asked for; returns the exit code.
    pub(crate) fn error(&self, error: &(dyn Diagnose + 'static)) -> u8 {
        self.trace.failed(error);
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let hint = error.hint().map(|hint| with_page(&hint, error.code()));
        if self.is_json() {
            self.document(&self.trace.named(&serde_json::json!({
                "schema": "plimsoll/error/v1",
                "code": error.code(),
                "message": error.to_string(),
                "expected": error.expected(),
                "found": error.found(),
                "hint": hint.unwrap_or_default(),
                "causes": causes,
            })));
        } else {
            let mut text = format!("{RED}error{RED:#}: {error}\n");
            for (label, value) in [("expected", error.expected()), ("found   ", error.found())] {
                if let Some(value) = value {
                    text.push_str(&format!("  {DIM}{label}{DIM:#} {}\n", indent_after_first(&value, 11)));
                }
            }
            for cause in &causes {
                text.push_str(&format!("  {DIM}because{DIM:#}  {}\n", indent_after_first(cause, 11)));
            }
            if let Some(hint) = hint {
                text.push_str(&format!("{CYAN}hint{CYAN:#}: {}\n", indent_after_first(&hint, 6)));
            }
            if let Some(id) = self.trace.id() {
                text.push_str(&format!("{DIM}trace{DIM:#}  {id}\n"));
            }
            anstream::eprint!("{text}");
        }
        error.class().exit_code()
    }
}

/// Columns and rows of the terminal that standard error is; 80 by 24 where it
/// does not say.
pub(crate) fn terminal_size() -> (usize, usize) {
    use terminal_size::{Height, Width, terminal_size_of};
    match terminal_size_of(std::io::stderr()) {
        Some((Width(columns), Height(rows))) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

/// Bytes to standard error as they are. A terminal that has gone away is no
/// reason to stop.
pub(crate) fn to_terminal(bytes: &[u8]) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Whether text on standard error is coloured: as asked, else on a terminal
/// unless `NO_COLOR` is set.
pub(crate) fn colours_errors(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// Every hint ends with the page to read, unless it names one already.
fn with_page(hint: &str, code: &str) -> String {
    if hint.contains("plimsoll explain") {
        hint.to_owned()
    } else {
        format!("{}; see `plimsoll explain {code}`", hint.trim_end_matches('.'))
    }
}

/// Indents every line but the first.
fn indent_after_first(text: &str, columns: usize) -> String {
    text.lines().collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(columns)))
}

/// A heading; nothing stays nothing.
pub(crate) fn bold(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{BOLD}{text}{BOLD:#}") }
}

/// Less important text; nothing stays nothing, so that no line ends in blanks.
pub(crate) fn dim(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{DIM}{text}{DIM:#}") }
}

/// The word for an outcome, readable without colour.
pub(crate) fn outcome_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Pass => format!("{GREEN}pass{GREEN:#}"),
        Outcome::Warn => format!("{YELLOW}warn{YELLOW:#}"),
        Outcome::Fail => format!("{RED}FAIL{RED:#}"),
    }
}

/// The word for how much a finding weighs.
pub(crate) fn severity_word(is_error: bool) -> String {
    if is_error { format!("{RED}error{RED:#}") } else { format!("{YELLOW}warning{YELLOW:#}") }
}

/// The word for a case that passed or failed.
pub(crate) fn pass_word(passed: bool) -> String {
    outcome_word(if passed { Outcome::Pass } else { Outcome::Fail })
}

/// A duration for people: `0.24 s`, `12.3 s`, `4 min 05 s`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// At most 90 characters, for a cell that must not break the line.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 90;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Lines up rows into columns, two spaces apart; no trailing blanks.
/// Widths are of the visible text, without colour codes.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let visible = |text: &str| anstream::adapter::strip_str(text).to_string().chars().count();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - visible(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_counting_colours() {
        let rows = vec![vec!["a".into(), "b".into()], vec![outcome_word(Outcome::Pass), "c".into()]];
        let plain = anstream::adapter::strip_str(&columns(&rows)).to_string();
        assert_eq!(plain, "a     b\npass  c\n");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([0.237, 12.34, 245.0].map(duration), ["0.24 s", "12.3 s", "4 min 05 s"]);
    }
}
