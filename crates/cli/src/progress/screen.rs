//! The part of a terminal that moves: lines at its end that are drawn over
//! again, while everything else that is written goes above them.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthStr;

use crate::printer::{terminal_size, to_terminal};

static SCREEN: Mutex<Screen> = Mutex::new(Screen { drawn: Vec::new() });

/// What is drawn: the widths of its lines, in columns.
struct Screen {
    drawn: Vec<usize>,
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces what is drawn. A terminal that has gone away is no reason to stop.
pub(crate) fn draw(lines: &[String]) {
    let mut screen = screen();
    let mut text = String::from(BEGIN);
    text.push_str(&erased(&screen.drawn, terminal_size().0));
    text.push_str(&lines.join("\n"));
    text.push_str(END);
    screen.drawn = lines.iter().map(|line| visible(line)).collect();
    to_terminal(text.as_bytes());
}

/// Writes to standard error while nothing is drawn there; what was drawn comes
/// back below it with the next [`draw`].
pub(crate) fn above<T>(write: impl FnOnce() -> T) -> T {
    let mut screen = screen();
    if !screen.drawn.is_empty() {
        let text = erased(&screen.drawn, terminal_size().0);
        screen.drawn.clear();
        to_terminal(text.as_bytes());
    }
    write()
}

/// Drawn at once, where the terminal knows how; others ignore it.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// Goes to the beginning of what was drawn and clears from there. A terminal
/// that has become narrower has broken its lines.
fn erased(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    match rows {
        0 => String::new(),
        1 => "\r\u{1b}[J".into(),
        rows => format!("\r\u{1b}[{}A\u{1b}[J", rows - 1),
    }
}

/// Columns that a line takes, without its colours.
pub(super) fn visible(line: &str) -> usize {
    anstream::adapter::strip_str(line).to_string().width()
}

/// Standard error for logs, above what is drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above(|| to_terminal(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_found_again_after_the_terminal_was_made_narrower() {
        assert_eq!(erased(&[], 80), "");
        assert_eq!(erased(&[79], 80), "\r\u{1b}[J");
        assert_eq!(erased(&[10, 0, 79], 80), "\r\u{1b}[2A\u{1b}[J");
        // Two lines of 79 columns take two rows each in a terminal of 40.
        assert_eq!(erased(&[79, 79], 40), "\r\u{1b}[3A\u{1b}[J");
    }

    #[test]
    fn colours_take_no_room_and_wide_characters_two_columns() {
        assert_eq!(visible("\u{1b}[31mab\u{1b}[0m"), 2);
        assert_eq!(visible("支払"), 4);
    }
}
