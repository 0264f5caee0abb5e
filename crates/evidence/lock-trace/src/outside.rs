//! Statements that reach beyond the database they run in. They are not sent.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// What the whole server has, and not one database.
const SHARED: &[&str] = &["database", "role", "user", "group", "tablespace", "subscription", "system"];

/// Blocks in literals of blocks.
const DEEPEST: u8 = 4;

/// What a statement does beyond its database; nothing where it stays within.
pub(crate) fn beyond(sql: &str) -> Option<String> {
    let words = words(sql, 0);
    let first = words.first().map(String::as_str).unwrap_or_default();
    // What a function would do, it does when it is called.
    if first == "create" && words.iter().take(5).any(|word| word == "function" || word == "procedure") {
        return None;
    }
    for pair in words.windows(2) {
        let [verb, object] = pair else { continue };
        if matches!(verb.as_str(), "create" | "alter" | "drop") && SHARED.contains(&object.as_str()) {
            // `CREATE USER MAPPING` is one of a database.
            let mapping = words.windows(3).any(|of| of[0] == *verb && of[1] == *object && of[2] == "mapping");
            if !mapping {
                return Some(format!("{} {}", verb.to_uppercase(), object.to_uppercase()));
            }
        }
        if matches!((verb.as_str(), object.as_str()), ("drop" | "reassign", "owned")) {
            return Some(format!("{} OWNED", verb.to_uppercase()));
        }
    }
    if matches!(first, "grant" | "revoke") && !words.iter().any(|word| word == "on") {
        return Some(format!("{} of a role", first.to_uppercase()));
    }
    let copies = words.iter().any(|word| word == "copy");
    if copies && words.iter().any(|word| word == "program") {
        return Some("COPY with a program".into());
    }
    if first == "load" {
        return Some("LOAD".into());
    }
    (first == "copy" && !words.iter().any(|word| word == "stdin" || word == "stdout"))
        .then(|| "COPY with a file of the server".into())
}

/// The words of a statement, in lower case, without comments; those of blocks and
/// strings that hold SQL with them.
fn words(sql: &str, depth: u8) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    for token in tokenize(sql) {
        let end = (at + token.len as usize).min(sql.len());
        let Some(text) = sql.get(at..end).filter(|text| !text.is_empty()) else { break };
        at = end;
        match token.kind {
            TokenKind::Ident => found.push(text.to_ascii_lowercase()),
            TokenKind::QuotedIdent { .. } => found.push(text.to_owned()),
            TokenKind::Literal { kind } if depth < DEEPEST => {
                let inner = match kind {
                    LiteralKind::DollarQuotedString { .. } => {
                        let rest = text.get(1..).and_then(|rest| rest.split_once('$'));
                        rest.map(|(_, body)| body)
                    }
                    LiteralKind::Str { .. } if found.first().is_some_and(|word| word == "do") => {
                        Some(text.trim_matches('\''))
                    }
                    // Within a block, what is executed is often a string.
                    LiteralKind::Str { .. } if depth > 0 => Some(text.trim_matches('\'')),
                    _ => None,
                };
                if let Some(inner) = inner.filter(|inner| inner.len() < sql.len()) {
                    found.extend(words(inner, depth + 1));
                }
            }
            // Words on both sides of it do not belong together.
            _ if !matches!(
                token.kind,
                TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. }
            ) =>
            {
                found.push(String::new());
            }
            _ => {}
        }
    }
    found.retain(|word| !word.is_empty() || depth == 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_whole_server_has_is_not_touched() {
        for sql in [
            "DROP DATABASE production",
            "/* a */ create  role x",
            "ALTER SYSTEM SET work_mem = '1GB'",
            "ALTER USER postgres WITH PASSWORD 'x'",
            "DO $$ BEGIN EXECUTE 'CREATE ROLE x'; END $$",
            "do 'begin create user x; end'",
            "GRANT admin TO app",
            "COPY (SELECT 1) TO PROGRAM 'sh'",
            "COPY t FROM '/etc/passwd'",
            "DROP OWNED BY app",
        ] {
            assert!(beyond(sql).is_some(), "{sql}");
        }
        for sql in [
            "CREATE TABLE \"user\" (id int)",
            "-- drop database x\nALTER TABLE users ADD COLUMN role text",
            "DROP TABLE database",
            "GRANT SELECT ON users TO app",
            "CREATE USER MAPPING FOR app SERVER s",
            "COPY t FROM STDIN",
            "INSERT INTO notes VALUES ('drop database x')",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE ROLE x; END $$",
        ] {
            assert_eq!(beyond(sql), None, "{sql}");
        }
    }
}
