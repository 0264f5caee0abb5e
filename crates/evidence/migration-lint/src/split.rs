//! Cuts PostgreSQL text into statements by its tokens, and bounds what the parser
//! is given: a statement that is too deep or too long is named, not parsed.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// Longest statement that is parsed, in bytes. Longer ones are rows to insert, in
/// practice, and of those the table's name is enough.
const LONGEST: usize = 1 << 20;
/// Tokens between two commas or semicolons. The parser's time grows with the
/// square of it, and its stack with the deepest.
const CHAIN: usize = 4_000;
/// Brackets, or blocks of PL/pgSQL, within each other.
const DEPTH: usize = 250;
/// Literals longer than this may be bodies of functions; they are bounded too.
const BODY: usize = 200;
/// Literals that are kept, at most this long: longer ones are no enum values.
const LITERAL: usize = 64;

/// One statement.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Of its first token, in bytes.
    pub(crate) start: usize,
    /// After its semicolon.
    pub(crate) end: usize,
    /// Its first words, in lower case, for what is not parsed.
    pub(crate) words: Vec<String>,
    /// Whether it says SELECT.
    pub(crate) selects: bool,
    /// Why it must not be parsed.
    pub(crate) bound: Option<&'static str>,
    /// Comments before and in it that speak to Plimsoll.
    pub(crate) directives: Vec<String>,
    /// Short string literals, without their quotes.
    pub(crate) literals: Vec<String>,
}

/// Cuts a text.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        at = read(text, at, &mut found);
    }
    found
}

/// What is counted while a statement is read.
#[derive(Default)]
struct Reading {
    piece: Piece,
    begun: bool,
    depth: usize,
    chain: usize,
    atomic: usize,
    after_begin: bool,
    from_stdin: bool,
}

/// Reads statements from `start` on, until the rest must be read anew; where that is.
fn read(text: &str, start: usize, found: &mut Vec<Piece>) -> usize {
    let mut at = start;
    let mut now = Reading::default();
    for token in tokenize(&text[start..]) {
        let end = (at + token.len as usize).min(text.len());
        let Some(word) = text.get(at..end).filter(|word| !word.is_empty()) else { return text.len() };
        let kind = token.kind;
        if matches!(kind, TokenKind::LineComment | TokenKind::BlockComment { .. }) {
            now.piece.directives.extend(directive(word));
        }
        if trivia(kind) {
            at = end;
            continue;
        }
        if !now.begun {
            if kind == TokenKind::Semi {
                at = end;
                continue;
            }
            if word.starts_with('\\') {
                // A command of psql, which no runner of migrations sends.
                return line_end(text, at);
            }
            now.begun = true;
            now.piece.start = at;
        }
        now.take(kind, word);
        at = end;
        now.piece.end = at;
        if kind == TokenKind::Semi && now.depth == 0 && now.atomic == 0 {
            let rows = now.from_stdin && now.piece.words.first().is_some_and(|word| word == "copy");
            found.push(std::mem::take(&mut now).finish());
            if rows {
                return after_rows(text, at);
            }
        }
    }
    if now.begun {
        found.push(now.finish());
    }
    text.len()
}

impl Reading {
    fn take(&mut self, kind: TokenKind, word: &str) {
        self.chain += 1;
        match kind {
            TokenKind::OpenParen | TokenKind::OpenBracket => self.depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket => self.depth = self.depth.saturating_sub(1),
            TokenKind::Comma | TokenKind::Semi => self.chain = 0,
            TokenKind::Ident | TokenKind::QuotedIdent { .. } => self.word(kind, word),
            TokenKind::Literal { kind } => self.literal(kind, word),
            _ => {}
        }
        if self.chain > CHAIN {
            self.piece.bound.get_or_insert("more than 4,000 words without a comma");
        }
        if self.depth > DEPTH {
            self.piece.bound.get_or_insert("more than 250 brackets within each other");
        }
    }

    fn word(&mut self, kind: TokenKind, word: &str) {
        let lower = word.to_ascii_lowercase();
        if kind == TokenKind::Ident {
            match lower.as_str() {
                "atomic" if self.after_begin => self.atomic = 1,
                "case" if self.atomic > 0 => self.atomic += 1,
                "end" if self.atomic > 0 => self.atomic -= 1,
                "select" | "with" => self.piece.selects = true,
                "stdin" => self.from_stdin = true,
                _ => {}
            }
        }
        self.after_begin = lower == "begin";
        if self.piece.words.len() < 8 {
            self.piece.words.push(if kind == TokenKind::Ident {
                lower
            } else {
                word.trim_matches('"').into()
            });
        }
    }

    fn literal(&mut self, kind: LiteralKind, word: &str) {
        let inner = match kind {
            LiteralKind::Str { .. } | LiteralKind::EscStr { .. } => {
                word.trim_start_matches(['e', 'E']).trim_matches('\'')
            }
            LiteralKind::DollarQuotedString { .. } => word.trim_start_matches('$'),
            _ => return,
        };
        if inner.len() <= LITERAL {
            self.piece.literals.push(inner.into());
        }
        let body = matches!(self.piece.words.first().map(String::as_str), Some("create" | "do"));
        if body && word.len() > BODY && too_deep(word.trim_start_matches(|c| c != '$' && c != '\'')) {
            self.piece.bound.get_or_insert("blocks too deep within each other in a body");
        }
    }

    fn finish(mut self) -> Piece {
        if self.piece.end - self.piece.start > LONGEST {
            self.piece.bound.get_or_insert("longer than 1 MB");
        }
        self.piece
    }
}

/// Whether the text within a literal has more levels than the parser is given.
fn too_deep(literal: &str) -> bool {
    let body = match literal.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
        Some((_, body)) => body,
        None => literal.trim_matches('\''),
    };
    let (mut chain, mut depth, mut blocks, mut after_end) = (0_usize, 0_usize, 0_usize, false);
    let mut at = 0;
    for token in tokenize(body) {
        let end = (at + token.len as usize).min(body.len());
        let word = body.get(at..end).unwrap_or_default();
        at = end;
        if word.is_empty() {
            break;
        }
        if trivia(token.kind) {
            continue;
        }
        chain += 1;
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket => depth = depth.saturating_sub(1),
            TokenKind::Comma | TokenKind::Semi => chain = 0,
            TokenKind::Ident => match word.to_ascii_lowercase().as_str() {
                "end" => blocks = blocks.saturating_sub(1),
                "begin" | "if" | "loop" | "case" if !after_end => blocks += 1,
                _ => {}
            },
            _ => {}
        }
        after_end = token.kind == TokenKind::Ident && word.eq_ignore_ascii_case("end");
        if chain > CHAIN || depth > DEPTH || blocks > DEPTH {
            return true;
        }
    }
    false
}

fn trivia(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. })
}

/// What a comment says to Plimsoll, after `plimsoll:`.
pub(crate) fn directive(comment: &str) -> Option<String> {
    let inner =
        comment.trim_start_matches(['-', '/', '*', ' ', '\t']).trim_end_matches(['*', '/', ' ', '\n', '\r']);
    inner.strip_prefix("plimsoll:").map(|rest| rest.trim().to_owned())
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length + 1)
}

/// After the line `\.` that ends the rows of `COPY … FROM stdin`.
fn after_rows(text: &str, at: usize) -> usize {
    let mut line = line_end(text, at);
    while line < text.len() {
        let next = line_end(text, line);
        if text[line..next].trim_end() == "\\." {
            return next;
        }
        line = next;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        pieces(text).iter().map(|piece| &text[piece.start..piece.end]).collect()
    }

    #[test]
    fn semicolons_in_literals_comments_brackets_and_atomic_bodies_end_nothing() {
        assert_eq!(cut("a ';' b; -- ;\n/* ; */ c $$ ; $$;;d (;);"), ["a ';' b;", "c $$ ; $$;", "d (;);"]);
        let atomic = "create function f() begin atomic select case when 1 then 2 end; select 2; end;";
        assert_eq!(cut(&format!("{atomic} x;")), [atomic, "x;"]);
        assert_eq!(cut("begin; update t; end;"), ["begin;", "update t;", "end;"]);
    }

    #[test]
    fn rows_of_copy_and_commands_of_psql_are_no_statements() {
        let text = "\\connect it's\ncopy t from stdin;\n1\tit's\n\\.\nselect 1";
        assert_eq!(cut(text), ["copy t from stdin;", "select 1"]);
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_bounded() {
        for text in [
            format!("select {}1", "(".repeat(300)),
            format!("select 1{}", "+1".repeat(3_000)),
            format!("do $${}$$", "begin ".repeat(300)),
            format!("do $x${}$x$", "if a then b; ".repeat(300)),
            format!("insert into t values {}", "(1),".repeat(300_000)),
        ] {
            assert!(pieces(&text)[0].bound.is_some(), "{}", &text[..30]);
        }
        let harmless = format!("do $$begin {} end$$", "if a then b; end if;".repeat(1_000));
        assert_eq!(pieces(&harmless)[0].bound, None);
    }

    #[test]
    fn comments_speak_to_the_statement_after_them() {
        let found = pieces("a; -- plimsoll: allow MIG-030 small\nb;");
        assert_eq!(found[1].directives, ["allow MIG-030 small"]);
        assert!(found[0].directives.is_empty());
    }
}
