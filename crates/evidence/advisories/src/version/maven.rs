//! Maven's version order specification (maven.apache.org/pom.html, "Version
//! Order Specification").

use std::cmp::Ordering;

use super::{compare_numbers, take_digits, take_while};

/// Tokens without the trailing null values that do not count.
#[derive(Debug, Clone)]
pub(super) struct Maven<'a>(Vec<Token<'a>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    /// `-`, or a change between digits and letters; else `.`.
    hyphen: bool,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(&'a str),
    /// One that has a meaning of its own, by its rank.
    Known(u8),
    Word(&'a str),
}

/// `snapshot` is 4, the release itself 5.
const RELEASE: Value<'_> = Value::Known(5);
const ZERO: Value<'_> = Value::Number("0");

pub(super) fn parse(text: &str) -> Option<Maven<'_>> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let mut tokens = Vec::new();
    let (mut rest, mut hyphen) = (text, false);
    loop {
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let (part, after) = if digits {
            take_digits(rest)
        } else {
            take_while(rest, |b| !b.is_ascii_digit() && b != b'.' && b != b'-')
        };
        let number_follows = after.starts_with(|c: char| c.is_ascii_digit());
        let value = match part {
            "" => ZERO,
            _ if digits => Value::Number(part),
            word => qualifier(word, number_follows),
        };
        tokens.push(Token { hyphen, value });
        match after.bytes().next() {
            None => break,
            Some(b'.') => (rest, hyphen) = (&after[1..], false),
            Some(b'-') => (rest, hyphen) = (&after[1..], true),
            Some(_) => (rest, hyphen) = (after, true),
        }
    }
    trim(&mut tokens);
    Some(Maven(tokens))
}

fn qualifier(word: &str, number_follows: bool) -> Value<'_> {
    const KNOWN: [(&str, u8); 10] = [
        ("alpha", 0),
        ("beta", 1),
        ("milestone", 2),
        ("rc", 3),
        ("cr", 3),
        ("snapshot", 4),
        ("final", 5),
        ("ga", 5),
        ("release", 5),
        ("sp", 6),
    ];
    const SHORT: [(&str, u8); 3] = [("a", 0), ("b", 1), ("m", 2)];
    let among = |words: &[(&str, u8)]| {
        words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, rank)| Value::Known(*rank))
    };
    let short = if number_follows { among(&SHORT) } else { None };
    among(&KNOWN).or(short).unwrap_or(Value::Word(word))
}

/// Null values at the end, and before each hyphen, do not count.
fn trim(tokens: &mut Vec<Token<'_>>) {
    let mut kept: Vec<Token<'_>> = Vec::with_capacity(tokens.len());
    for &token in tokens.iter() {
        if token.hyphen {
            drop_nulls(&mut kept);
        }
        kept.push(token);
    }
    drop_nulls(&mut kept);
    *tokens = kept;
}

fn drop_nulls(tokens: &mut Vec<Token<'_>>) {
    while tokens.len() > 1 && tokens.last().is_some_and(|token| token.value.is_null()) {
        tokens.pop();
    }
}

impl Value<'_> {
    fn is_null(self) -> bool {
        match self {
            Value::Number(digits) => digits.bytes().all(|b| b == b'0'),
            value => value == RELEASE,
        }
    }
}

impl Maven<'_> {
    pub(super) fn compare(&self, other: &Maven<'_>) -> Ordering {
        let most = self.0.len().max(other.0.len());
        (0..most)
            .map(|at| match (self.0.get(at), other.0.get(at)) {
                (Some(a), Some(b)) => a.compare(b),
                (Some(a), None) => a.compare(&a.padding()),
                (None, Some(b)) => b.padding().compare(b),
                (None, None) => Ordering::Equal,
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl Token<'_> {
    /// What a missing token counts as, opposite to this one.
    fn padding(&self) -> Token<'static> {
        let value = if self.hyphen || !matches!(self.value, Value::Number(_)) { RELEASE } else { ZERO };
        Token { hyphen: self.hyphen, value }
    }

    fn compare(&self, other: &Token<'_>) -> Ordering {
        match (self.value, other.value) {
            (Value::Number(a), Value::Number(b)) => {
                // `-1` is below `.1`.
                other.hyphen.cmp(&self.hyphen).then_with(|| compare_numbers(a, b))
            }
            (Value::Number(_), _) => Ordering::Greater,
            (_, Value::Number(_)) => Ordering::Less,
            (Value::Known(a), Value::Known(b)) => a.cmp(&b),
            (Value::Known(_), Value::Word(_)) => Ordering::Less,
            (Value::Word(_), Value::Known(_)) => Ordering::Greater,
            (Value::Word(a), Value::Word(b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
        }
    }
}
