//! Whether a CHECK holds where some columns are known: SQL's logic of three values
//! over comparisons, IN, BETWEEN, IS NULL, AND, OR, NOT. Everything else is unknown,
//! and what is unknown does not hold.

use std::cmp::Ordering;

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// What is known of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Number(f64),
    Text(String),
    Truth(bool),
    Unknown,
}

impl Value {
    /// A default, where it is a number, a text or a truth value, cast or not.
    pub(super) fn literal(text: &str) -> Self {
        let mut reader = Reader::new(text, &|_| Self::Unknown);
        let value = reader.or(0);
        if reader.at == reader.words.len() { value } else { Self::Unknown }
    }
}

/// Whether a check does not fail. `values` says what a column holds.
pub(super) fn holds(check: &str, values: &dyn Fn(&str) -> Value) -> bool {
    let text = check.strip_prefix("CHECK").unwrap_or(check);
    let mut reader = Reader::new(text, values);
    let value = reader.or(0);
    reader.at == reader.words.len() && matches!(value, Value::Null | Value::Truth(true))
}

/// Brackets within each other.
const DEEPEST: usize = 50;

struct Reader<'a> {
    words: Vec<(TokenKind, String)>,
    at: usize,
    values: &'a dyn Fn(&str) -> Value,
}

impl<'a> Reader<'a> {
    fn new(text: &str, values: &'a dyn Fn(&str) -> Value) -> Self {
        let mut words = Vec::new();
        let mut at = 0;
        for token in tokenize(text) {
            let end = (at + token.len as usize).min(text.len());
            let word = text.get(at..end).unwrap_or_default();
            at = end;
            if word.is_empty() {
                break;
            }
            if !matches!(
                token.kind,
                TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. }
            ) {
                words.push((token.kind, word.to_owned()));
            }
        }
        Self { words, at: 0, values }
    }

    fn peek(&self) -> &str {
        self.words.get(self.at).map(|(_, word)| word.as_str()).unwrap_or_default()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().eq_ignore_ascii_case(word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Value {
        let mut value = self.and(depth);
        while self.take("or") {
            let other = self.and(depth);
            value = match (value, other) {
                (Value::Truth(true), _) | (_, Value::Truth(true)) => Value::Truth(true),
                (Value::Truth(false), other) | (other, Value::Truth(false)) => other,
                (Value::Null, Value::Null) => Value::Null,
                _ => Value::Unknown,
            };
        }
        value
    }

    fn and(&mut self, depth: usize) -> Value {
        let mut value = self.not(depth);
        while self.take("and") {
            let other = self.not(depth);
            value = match (value, other) {
                (Value::Truth(false), _) | (_, Value::Truth(false)) => Value::Truth(false),
                (Value::Truth(true), other) | (other, Value::Truth(true)) => other,
                (Value::Null, Value::Null) => Value::Null,
                _ => Value::Unknown,
            };
        }
        value
    }

    fn not(&mut self, depth: usize) -> Value {
        if depth < DEEPEST && self.take("not") {
            return negated(self.not(depth + 1));
        }
        self.compared(depth)
    }

    fn compared(&mut self, depth: usize) -> Value {
        let left = self.term(depth);
        if self.take("is") {
            let not = self.take("not");
            if !self.take("null") {
                return self.lost();
            }
            return match left {
                Value::Unknown => Value::Unknown,
                Value::Null => Value::Truth(!not),
                _ => Value::Truth(not),
            };
        }
        let not = self.take("not");
        if self.take("in") {
            return self.among(&left, not, depth);
        }
        if self.take("between") {
            let low = self.term(depth);
            if !self.take("and") {
                return self.lost();
            }
            let high = self.term(depth);
            let within = both(
                compare(&left, &low, |order| order != Ordering::Less),
                compare(&left, &high, |order| order != Ordering::Greater),
            );
            return if not { negated(within) } else { within };
        }
        if not {
            return self.lost();
        }
        let mut operator = String::new();
        while self.words.get(self.at).is_some_and(|(_, word)| {
            matches!(word.as_str(), "<" | ">" | "=" | "!" | "<>" | "<=" | ">=" | "!=" | "==")
        }) {
            operator.push_str(self.peek());
            self.at += 1;
        }
        let right = match operator.as_str() {
            "" => return left,
            _ => self.term(depth),
        };
        match operator.as_str() {
            "=" | "==" => compare(&left, &right, |order| order == Ordering::Equal),
            "<>" | "!=" => compare(&left, &right, |order| order != Ordering::Equal),
            "<" => compare(&left, &right, |order| order == Ordering::Less),
            ">" => compare(&left, &right, |order| order == Ordering::Greater),
            "<=" => compare(&left, &right, |order| order != Ordering::Greater),
            ">=" => compare(&left, &right, |order| order != Ordering::Less),
            _ => self.lost(),
        }
    }

    fn among(&mut self, left: &Value, not: bool, depth: usize) -> Value {
        if !self.take("(") {
            return self.lost();
        }
        let mut found = Value::Truth(false);
        loop {
            let item = self.term(depth);
            found = either(found, compare(left, &item, |order| order == Ordering::Equal));
            if self.take(")") {
                break;
            }
            if !self.take(",") {
                return self.lost();
            }
        }
        if not { negated(found) } else { found }
    }

    fn term(&mut self, depth: usize) -> Value {
        let mut value = self.plain(depth);
        // Casts of literals change nothing that is compared here.
        while self.take("::")
            || (self.peek() == ":" && self.words.get(self.at + 1).is_some_and(|(_, it)| it == ":"))
        {
            self.take(":");
            self.take(":");
            while self.words.get(self.at).is_some_and(|(kind, word)| {
                matches!(kind, TokenKind::Ident | TokenKind::QuotedIdent { .. })
                    && !["and", "or", "is", "in", "not", "between"]
                        .contains(&word.to_ascii_lowercase().as_str())
            }) {
                self.at += 1;
            }
            if self.peek() == "(" || self.peek() == "[" {
                value = self.lost();
            }
        }
        value
    }

    fn plain(&mut self, depth: usize) -> Value {
        if depth >= DEEPEST {
            return self.lost();
        }
        if self.take("(") {
            let value = self.or(depth + 1);
            return if self.take(")") { value } else { self.lost() };
        }
        if self.take("-") {
            return match self.plain(depth + 1) {
                Value::Number(number) => Value::Number(-number),
                Value::Null => Value::Null,
                _ => Value::Unknown,
            };
        }
        let Some((kind, word)) = self.words.get(self.at).cloned() else { return Value::Unknown };
        self.at += 1;
        match kind {
            TokenKind::Literal { kind: LiteralKind::Int { .. } | LiteralKind::Numeric { .. } } => {
                word.parse().map_or(Value::Unknown, Value::Number)
            }
            TokenKind::Literal { kind: LiteralKind::Str { .. } } => {
                let inner = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                inner.map_or(Value::Unknown, |inner| Value::Text(inner.replace("''", "'")))
            }
            TokenKind::Ident | TokenKind::QuotedIdent { .. } => {
                let lower = word.to_ascii_lowercase();
                if self.take("(") {
                    return self.call(&lower, depth);
                }
                match (kind, lower.as_str()) {
                    (TokenKind::Ident, "null") => Value::Null,
                    (TokenKind::Ident, "true") => Value::Truth(true),
                    (TokenKind::Ident, "false") => Value::Truth(false),
                    (TokenKind::Ident, name) => (self.values)(name),
                    _ => (self.values)(word.trim_matches('"')),
                }
            }
            _ => self.lost(),
        }
    }

    /// A length; of other functions nothing is known.
    fn call(&mut self, name: &str, depth: usize) -> Value {
        let argument = self.or(depth + 1);
        if !self.take(")") || !matches!(name, "length" | "char_length" | "character_length") {
            return self.lost();
        }
        match argument {
            Value::Null => Value::Null,
            Value::Text(text) => u32::try_from(text.chars().count())
                .map_or(Value::Unknown, |length| Value::Number(length.into())),
            _ => Value::Unknown,
        }
    }

    /// Something that is not understood: all of it is unknown.
    fn lost(&mut self) -> Value {
        self.at = self.words.len() + 1;
        Value::Unknown
    }
}

fn negated(value: Value) -> Value {
    match value {
        Value::Truth(truth) => Value::Truth(!truth),
        Value::Null => Value::Null,
        _ => Value::Unknown,
    }
}

fn both(one: Value, other: Value) -> Value {
    negated(either(negated(one), negated(other)))
}

fn either(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Truth(true), _) | (_, Value::Truth(true)) => Value::Truth(true),
        (Value::Truth(false), other) | (other, Value::Truth(false)) => other,
        (Value::Null, Value::Null) => Value::Null,
        _ => Value::Unknown,
    }
}

fn compare(left: &Value, right: &Value, fits: impl Fn(Ordering) -> bool) -> Value {
    let order = match (left, right) {
        (Value::Null, Value::Unknown)
        | (Value::Unknown, Value::Null)
        | (Value::Null, _)
        | (_, Value::Null) => {
            return Value::Null;
        }
        (Value::Number(one), Value::Number(other)) => one.partial_cmp(other),
        // The order of texts depends on a collation; whether they are the same does not.
        (Value::Text(one), Value::Text(other)) if one == other => Some(Ordering::Equal),
        (Value::Text(_), Value::Text(_)) if fits(Ordering::Less) == fits(Ordering::Greater) => {
            Some(Ordering::Less)
        }
        (Value::Truth(one), Value::Truth(other)) => Some(one.cmp(other)),
        _ => None,
    };
    order.map_or(Value::Unknown, |order| Value::Truth(fits(order)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_values_are_told_apart() {
        let values = |name: &str| match name {
            "gone" => Value::Null,
            "kind" => Value::Text("a".into()),
            "age" => Value::Number(7.0),
            _ => Value::Unknown,
        };
        for held in [
            "CHECK (gone > 0)",
            "CHECK (gone IS NULL)",
            "(gone IS NULL OR other > 3)",
            "kind IN ('a', 'b')",
            "kind::text <> 'b'::text",
            "age BETWEEN 1 AND 9 AND (length(kind) = 1)",
            "NOT (age < 0)",
            "gone > other",
            "age >= -100",
        ] {
            assert!(holds(held, &values), "{held}");
        }
        for not in [
            "other > 0",
            "gone IS NOT NULL",
            "kind IN ('b', 'c')",
            "kind > 'A'",
            "age > 7",
            "gone > 0 AND other > 0",
            "coalesce(gone, 0) > 1",
            "kind LIKE 'a%'",
            "age > 1 AND",
            "",
        ] {
            assert!(!holds(not, &values), "{not}");
        }
        assert_eq!(Value::literal("'a'::character varying"), Value::Text("a".into()));
        assert_eq!(Value::literal("now()"), Value::Unknown);
        assert_eq!(Value::literal("-1"), Value::Number(-1.0));
    }
}
