//! Words in a given number of columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Look;

/// Columns that a text without colours takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text in so many columns, its end cut off where it is longer.
pub(super) fn cut(text: &str, columns: usize, look: &Look) -> String {
    let text = shown(text, look);
    if text.width() <= columns {
        return text;
    }
    let dots = dots(look, columns);
    let kept = taken(text.chars(), columns - dots.width());
    format!("{kept}{dots}")
}

/// The text in so many columns, its beginning cut off where it is longer: the
/// end of a name is what tells it from others.
pub(super) fn cut_front(text: &str, columns: usize, look: &Look) -> String {
    let text = shown(text, look);
    if text.width() <= columns {
        return text;
    }
    let dots = dots(look, columns);
    let kept: String = taken(text.chars().rev(), columns - dots.width()).chars().rev().collect();
    format!("{dots}{kept}")
}

/// [`cut`], filled up with blanks.
pub(super) fn fill(text: &str, columns: usize, look: &Look) -> String {
    let text = cut(text, columns, look);
    let gap = columns.saturating_sub(text.width());
    text + &" ".repeat(gap)
}

/// The text broken between words into at most so many lines, the last one cut.
pub(super) fn wrapped(text: &str, columns: usize, most: usize, look: &Look) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let fits = line.width() + usize::from(!line.is_empty()) + word.width() <= columns;
        if !fits && !line.is_empty() {
            if lines.len() + 1 == most {
                // Cut as one long line, so that its end says that there is more.
                let rest = words.fold(format!("{line} {word}"), |rest, word| format!("{rest} {word}"));
                lines.push(cut(&rest, columns, look));
                return lines;
            }
            lines.push(cut(&std::mem::take(&mut line), columns, look));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(cut(&line, columns, look));
    }
    lines
}

/// What the terminal can show of it; never a control character.
fn shown(text: &str, look: &Look) -> String {
    let shown = |c: char| match c {
        '…' if !look.unicode => '~',
        c if c.is_control() => ' ',
        c if !c.is_ascii() && !look.unicode => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

fn dots(look: &Look, columns: usize) -> &'static str {
    match (columns, look.unicode) {
        (0, _) => "",
        (_, true) => "…",
        (_, false) => "~",
    }
}

fn taken(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}
