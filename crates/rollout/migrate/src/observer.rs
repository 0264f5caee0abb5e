//! How the runner tells what it does: the steps of `plimsoll_model::Progress`.

use plimsoll_evidence_migration_lint::ScriptStatement;
use plimsoll_model::{Observer, Progress};

/// The name of the step.
const STEP: &str = "migrate";

pub(crate) fn started(observer: &dyn Observer, detail: impl Into<String>) {
    observer.report(Progress::StepStarted { step: STEP.into(), detail: detail.into() });
}

pub(crate) fn finished(observer: &dyn Observer, detail: impl Into<String>, duration_sec: f64) {
    observer.report(Progress::StepFinished { step: STEP.into(), detail: detail.into(), duration_sec });
}

pub(crate) fn note(observer: &dyn Observer, text: impl Into<String>) {
    observer.report(Progress::Note { text: text.into() });
}

/// A statement, before it is run: its first words, without values.
pub(crate) fn statement(
    observer: &dyn Observer,
    path: &str,
    statement: &ScriptStatement,
    number: usize,
    of: usize,
) {
    let text = masked(&statement.sql, 60);
    note(observer, format!("{path}:{} statement {number} of {of}: {text}", statement.line));
}

/// A statement on one line, with `?` for the values in it, at most so many
/// characters long.
pub(crate) fn masked(sql: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut rest = sql.trim_start();
    let mut length = 0;
    while let Some(c) = rest.chars().next() {
        if length >= most {
            shown.push('…');
            break;
        }
        let (taken, put) = match c {
            '\'' => (quoted(rest, '\''), "?".to_owned()),
            '"' => {
                let taken = quoted(rest, '"');
                (taken, rest[..taken].to_owned())
            }
            '$' => match dollar(rest) {
                Some(taken) => (taken, "?".to_owned()),
                None => (1, "$".to_owned()),
            },
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), " ".to_owned()),
            '/' if rest.starts_with("/*") => {
                (rest.find("*/").map_or(rest.len(), |at| at + 2), " ".to_owned())
            }
            c if c.is_whitespace() => (rest.len() - rest.trim_start().len(), " ".to_owned()),
            c if c.is_alphabetic() || c == '_' => {
                let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                // `E'…'` and the like are values as a whole.
                if word <= 2 && rest[word..].starts_with('\'') {
                    (word + quoted(&rest[word..], '\''), "?".to_owned())
                } else {
                    (word, rest[..word].to_owned())
                }
            }
            c if c.is_ascii_digit() => {
                let number =
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
                (number, "?".to_owned())
            }
            c => (c.len_utf8(), c.to_string()),
        };
        let put = if put == " " && shown.ends_with(' ') { String::new() } else { put };
        length += put.chars().count();
        shown.push_str(&put);
        rest = &rest[taken.max(1).min(rest.len())..];
    }
    shown.trim_end().to_owned()
}

/// The length of a quoted text, its quotes doubled or after a backslash included.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '\'' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`.
fn dollar(text: &str) -> Option<usize> {
    let tag = text[1..].find('$')? + 2;
    let name = &text[1..tag - 1];
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_')
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let marker = &text[..tag];
    Some(text[tag..].find(marker).map_or(text.len(), |at| tag + at + tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_shown() {
        let sql = "UPDATE  users SET email = 'a@b''c', n = 12.5 -- hi 'x'\n WHERE \"n 1\" = E'x\\'y' AND t1 = $$z$$";
        assert_eq!(masked(sql, 200), "UPDATE users SET email = ?, n = ? WHERE \"n 1\" = ? AND t1 = ?");
        assert_eq!(masked("select 'unfinished", 200), "select ?");
        assert_eq!(masked("select $1, $body$ secret $body$", 200), "select $?, ?");
        assert_eq!(masked(&"word ".repeat(100), 20), "word word word word …");
        assert_eq!(masked("é/*", 5), "é");
    }
}
