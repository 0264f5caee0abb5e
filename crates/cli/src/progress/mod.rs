//! Three views of the same reports: a table in a terminal that moves, plain
//! lines in CI, JSON events for programs (DEP-7). None has logic of its own.

mod json;
mod live;
mod plain;
pub(crate) mod screen;
mod table;

use plimsoll_model::Observer;
use plimsoll_model::progress::ReleaseRow;

use crate::args::Global;
use crate::printer::Printer;

/// The view the options and the terminal ask for.
pub(crate) fn observer(global: &Global, printer: &Printer, events: bool) -> Box<dyn Observer> {
    if events {
        Box::new(json::Lines::new(printer.clone()))
    } else if global.no_progress || global.quiet {
        Box::new(plimsoll_model::Silent)
    } else if printer.is_live() {
        Box::new(live::Live::new(global.verbose > 0, crate::printer::colours_errors(global.color)))
    } else {
        Box::new(plain::Lines::new(printer.clone(), global.verbose > 0))
    }
}

/// `1/2 ready, 1 starting`. Where no number is wanted (before the start, at the
/// end, of what leaves) none is shown.
fn counts(row: &ReleaseRow) -> String {
    let wanted = if row.desired == 0 { String::new() } else { format!("/{}", row.desired) };
    let mut text = format!("{}{wanted} ready", row.ready);
    for (count, word) in [(row.starting, "starting"), (row.draining, "draining"), (row.failing, "failing")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
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
    use super::bytes;

    #[test]
    fn bytes_read_well() {
        assert_eq!(
            [999, 1500, 670_000_000, 5_000_000_000].map(bytes),
            ["999 B", "1.5 kB", "670.0 MB", "5.0 GB"]
        );
    }
}
