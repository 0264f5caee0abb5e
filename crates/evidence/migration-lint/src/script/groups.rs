//! Cuts a file into statements and says which of them belong into one transaction.

use crate::layout::{Ordered, Transactions};
use crate::lines::Lines;
use crate::options::Dialect;
use crate::script::{Part, ScriptStatement, Standalone, Unsupported};
use crate::split;

/// The statements of a file, and what of it cannot be run.
pub(super) struct Cut {
    pub(super) statements: Vec<ScriptStatement>,
    pub(super) unsupported: Vec<Unsupported>,
}

/// `source` is the file as it was written; `file` has the way forth at the same
/// offsets, and `parts` what its statements do.
pub(super) fn statements(file: &Ordered, source: &str, parts: &[Part], dialect: Dialect) -> Cut {
    let lines = Lines::new(source);
    let ends = ends(file, parts, dialect);
    let mut cut = Cut { statements: Vec::new(), unsupported: Vec::new() };
    // Rows of COPY may begin with anything; they are named by themselves.
    let rows =
        || ends.iter().zip(parts).any(|(end, part)| copies_in(source.get(part.offset..*end).unwrap_or("")));
    if dialect == Dialect::Postgres && !rows() {
        psql_commands(&file.text, parts, &ends, &lines, &mut cut.unsupported);
    }
    // A text that is sent as one runs in one transaction, unless it is one statement.
    let around = match file.transactions {
        Transactions::File => true,
        Transactions::Text => parts.len() > 1,
        Transactions::Explicit => false,
    };
    let mut explicit = false;
    let mut group = 0;
    for (part, end) in parts.iter().zip(ends) {
        let (line, column) = lines.place(part.offset);
        if part.begins || part.commits {
            explicit = part.begins;
            group += 1;
            continue;
        }
        let sql = source.get(part.offset..end).unwrap_or_default().trim_end().to_owned();
        if part.rolls_back {
            cut.unsupported.push(Unsupported { line, what: "ROLLBACK in a migration".into() });
        }
        if dialect == Dialect::Postgres && copies_in(&sql) {
            cut.unsupported.push(Unsupported { line, what: "rows after COPY … FROM stdin".into() });
        }
        let standalone = match dialect {
            Dialect::Postgres => part.standalone.clone(),
            Dialect::Sqlite => alone_in_sqlite(&sql),
        };
        let own = standalone.is_some() || !(around || explicit);
        if own {
            group += 1;
        }
        cut.statements.push(ScriptStatement {
            line,
            column,
            transaction: group,
            backfill: part.backfill.clone(),
            setting: part.setting || sets(&sql),
            class: part.class,
            touches: part.touches.clone(),
            demands: part.demands.clone(),
            standalone,
            sql,
        });
        if own {
            group += 1;
        }
    }
    cut
}

/// Where each statement ends, in bytes.
fn ends(file: &Ordered, parts: &[Part], dialect: Dialect) -> Vec<usize> {
    match dialect {
        Dialect::Postgres => split::pieces(&file.text).iter().map(|piece| piece.end).collect(),
        // What stands between two statements is space and comments.
        Dialect::Sqlite => {
            let next = parts.iter().skip(1).map(|part| part.offset);
            next.chain([file.text.len()]).take(parts.len()).collect()
        }
    }
}

/// Commands of psql between the statements: the splitter passes over them, and a
/// runner that does the same leaves out what `\i` names.
fn psql_commands(text: &str, parts: &[Part], ends: &[usize], lines: &Lines<'_>, to: &mut Vec<Unsupported>) {
    // Written around every dump, and of no effect on what is in it.
    const HARMLESS: [&str; 4] = ["\\restrict", "\\unrestrict", "\\.", "\\echo"];
    let starts = parts.iter().map(|part| part.offset).chain([text.len()]);
    let befores = [0].into_iter().chain(ends.iter().copied());
    for (from, until) in befores.zip(starts) {
        let mut at = from;
        for line in text.get(from..until).unwrap_or_default().split_inclusive('\n') {
            let said = line.trim();
            if said.starts_with('\\') && !HARMLESS.iter().any(|it| said.starts_with(it)) {
                let what: String = said.chars().take(40).collect();
                to.push(Unsupported { line: lines.place(at).0, what: format!("the psql command `{what}`") });
            }
            at += line.len();
        }
    }
}

fn copies_in(sql: &str) -> bool {
    let mut words = sql.split(|c: char| c.is_whitespace() || c == ';').filter(|word| !word.is_empty());
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("copy"))
        && words.any(|word| word.eq_ignore_ascii_case("stdin"))
}

fn first_word(sql: &str) -> String {
    sql.chars().take_while(char::is_ascii_alphabetic).take(20).collect::<String>().to_ascii_lowercase()
}

/// Whether later statements are run otherwise after it.
fn sets(sql: &str) -> bool {
    match first_word(sql).as_str() {
        "set" | "reset" | "pragma" => true,
        "select" => sql.len() < 1000 && sql.to_ascii_lowercase().contains("set_config"),
        _ => false,
    }
}

/// What SQLite refuses, or ignores, within a transaction (SQLite, "PRAGMA
/// foreign_keys": a no-op within one).
fn alone_in_sqlite(sql: &str) -> Option<Standalone> {
    let what = match first_word(sql).as_str() {
        "vacuum" => "VACUUM",
        "pragma" => "PRAGMA",
        "attach" => "ATTACH",
        "detach" => "DETACH",
        _ => return None,
    };
    Some(Standalone::Other { what: what.into() })
}
