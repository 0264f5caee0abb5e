//! The part of a file that runs, and in which transactions. The tools read their
//! marks line by line, and so is it done here; SQL itself is never read so.

use super::{Layout, Ordered, Transactions, version};

/// Whether some line is a comment that begins with these words.
pub(super) fn has(text: &str, words: &str) -> bool {
    text.lines().any(|line| mark(line).is_some_and(|said| said.starts_with(words)))
}

/// The text of a line comment.
fn mark(line: &str) -> Option<&str> {
    line.trim_start_matches('\u{feff}').trim().strip_prefix("--").map(str::trim)
}

/// What runs of a file; the rest is blank, so that lines and columns stay.
pub(super) fn up(layout: Layout, path: &str, text: &str, all: &[(String, String)]) -> (Transactions, String) {
    let transactions = match layout {
        Layout::Sqlx if text.starts_with("-- no-transaction") => Transactions::Explicit,
        Layout::Goose if has(text, "+goose NO TRANSACTION") => Transactions::Explicit,
        Layout::Dbmate if has_option(text, "migrate:up", "transaction:false") => Transactions::Explicit,
        Layout::Diesel if outside_transaction(path, all) => Transactions::Explicit,
        Layout::Sqlx | Layout::Refinery | Layout::Goose | Layout::Dbmate | Layout::Diesel => {
            Transactions::File
        }
        Layout::GolangMigrate | Layout::Prisma => Transactions::Text,
        // Flyway leaves the transaction away where a statement demands it.
        Layout::Flyway | Layout::Alembic | Layout::Plain => Transactions::Explicit,
    };
    let transactions = match layout {
        Layout::Flyway if !concurrent(text) => Transactions::File,
        _ => transactions,
    };
    let text = match layout {
        Layout::Goose => between(text, "+goose Up", "+goose Down"),
        Layout::Dbmate => between(text, "migrate:up", "migrate:down"),
        Layout::Flyway => without_placeholders(text),
        _ => text.to_owned(),
    };
    (transactions, without_mark(text))
}

fn has_option(text: &str, words: &str, option: &str) -> bool {
    text.lines().any(|line| mark(line).is_some_and(|said| said.starts_with(words) && said.contains(option)))
}

/// Diesel's `metadata.toml` beside `up.sql`.
fn outside_transaction(path: &str, all: &[(String, String)]) -> bool {
    let metadata =
        format!("{}metadata.toml", path.strip_suffix(version::file_name(path)).unwrap_or_default());
    let text =
        all.iter().find(|(path, _)| *path == metadata).map(|(_, text)| text.as_str()).unwrap_or_default();
    text.lines().any(|line| {
        line.split_once('=')
            .is_some_and(|(key, value)| key.trim() == "run_in_transaction" && value.trim() == "false")
    })
}

/// Statements that make flyway run a file without a transaction.
fn concurrent(text: &str) -> bool {
    crate::split::pieces(text).iter().any(|piece| {
        piece.words.iter().any(|word| word == "concurrently")
            || piece.words.first().is_some_and(|word| word == "vacuum")
    })
}

/// Blanks all lines but those after `from` and before `to`.
fn between(text: &str, from: &str, to: &str) -> String {
    let mut running = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let said = mark(line).unwrap_or_default();
        if said.starts_with(from) {
            running = true;
        } else if said.starts_with(to) {
            running = false;
        }
        if running { kept.push_str(line) } else { blank(&mut kept, line) }
    }
    kept
}

fn blank(kept: &mut String, line: &str) {
    kept.extend(line.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { char::from(byte) } else { ' ' }));
}

/// A byte order mark is no SQL.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => format!("   {rest}"),
        None => text,
    }
}

/// `${schema}` becomes a word of the same length: it stands for one.
fn without_placeholders(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let inner = &rest[at + 2..];
        let length = inner
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
            .count();
        kept.push_str(&rest[..at]);
        if inner.as_bytes().get(length) == Some(&b'}') && length > 0 {
            kept.push_str("__");
            kept.extend(inner[..length].chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
            kept.push('_');
            rest = &inner[length + 1..];
        } else {
            kept.push_str("${");
            rest = inner;
        }
    }
    kept.push_str(rest);
    kept
}

/// Alembic's revisions form a chain, `Running upgrade FROM -> TO`; files follow it.
pub(super) fn chain(files: &mut Vec<Ordered>) {
    let ends: Vec<Option<(String, String)>> = files.iter().map(|file| revisions(&file.text)).collect();
    let mut order: Vec<usize> = Vec::with_capacity(files.len());
    // At most as many rounds as files: each round takes those whose start is known.
    let mut left: Vec<usize> = (0..files.len()).collect();
    while !left.is_empty() {
        let starts_here = |at: &usize| match &ends[*at] {
            None => true,
            Some((from, _)) => !left.iter().any(|other| {
                other != at && ends[*other].as_ref().is_some_and(|(_, to)| to == from && !from.is_empty())
            }),
        };
        let (ready, later): (Vec<usize>, Vec<usize>) = left.iter().partition(|at| starts_here(at));
        if ready.is_empty() {
            order.extend(later);
            break;
        }
        order.extend(ready);
        left = later;
    }
    let mut slots: Vec<Option<Ordered>> = std::mem::take(files).into_iter().map(Some).collect();
    files.extend(order.into_iter().filter_map(|at| slots[at].take()));
}

/// The revision that a file of Alembic's comes to.
pub(super) fn comes_to(text: &str) -> Option<String> {
    revisions(text).map(|(_, to)| to)
}

/// The first revision that a file starts from and the last that it comes to.
fn revisions(text: &str) -> Option<(String, String)> {
    let steps = text.lines().filter_map(mark).filter_map(|said| said.strip_prefix("Running upgrade"));
    let mut steps = steps.filter_map(|said| said.split_once("->"));
    let (from, mut to) = steps.next()?;
    for (_, later) in steps {
        to = later;
    }
    let to = to.trim().split([',', ' ']).next().unwrap_or_default();
    Some((from.trim().to_owned(), to.to_owned()))
}
