//! apk-tools 3: `digits{.digits}{letter}{_suffix{number}}{~hash}{-r number}`.

use std::cmp::Ordering;

use super::{compare_numbers, take_digits, take_while};

/// A version, kept as text; [`next_token`] reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apk<'a>(&'a str);

/// In the order in which tokens may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    First(&'a str),
    Number(&'a str),
    Letter(u8),
    /// Negative for what comes before the release.
    Suffix(i8),
    SuffixNumber(&'a str),
    Hash(&'a str),
    Revision(&'a str),
    End,
}

/// Suffixes and their rank; those before a release are negative.
const SUFFIXES: [(&str, i8); 9] = [
    ("alpha", -4),
    ("beta", -3),
    ("pre", -2),
    ("rc", -1),
    ("cvs", 1),
    ("svn", 2),
    ("git", 3),
    ("hg", 4),
    ("p", 5),
];

pub(super) fn parse(text: &str) -> Option<Apk<'_>> {
    let (mut token, mut rest) = first_token(text)?;
    while token != Token::End {
        (token, rest) = next_token(token, rest)?;
    }
    Some(Apk(text))
}

fn first_token(text: &str) -> Option<(Token<'_>, &str)> {
    let (digits, rest) = take_digits(text);
    (!digits.is_empty()).then_some((Token::First(digits), rest))
}

/// The token after `before`, or nothing where none may stand there.
fn next_token<'a>(before: Token<'_>, text: &'a str) -> Option<(Token<'a>, &'a str)> {
    let Some(first) = text.bytes().next() else { return Some((Token::End, "")) };
    let number = |text: &'a str| Some(take_digits(text)).filter(|(digits, _)| !digits.is_empty());
    match first {
        b'a'..=b'z' if before.rank() <= 1 => Some((Token::Letter(first), &text[1..])),
        b'.' if before.rank() <= 1 => number(&text[1..]).map(|(digits, rest)| (Token::Number(digits), rest)),
        b'0'..=b'9' if matches!(before, Token::Suffix(_)) => {
            number(text).map(|(digits, rest)| (Token::SuffixNumber(digits), rest))
        }
        b'_' if before.rank() <= 4 => {
            let (word, rest) = take_while(&text[1..], |b| b.is_ascii_lowercase());
            let (_, rank) = SUFFIXES.iter().find(|(suffix, _)| *suffix == word)?;
            Some((Token::Suffix(*rank), rest))
        }
        b'~' if before.rank() < 5 => {
            let (hash, rest) = take_while(&text[1..], |b| b.is_ascii_hexdigit());
            (!hash.is_empty()).then_some((Token::Hash(hash), rest))
        }
        b'-' if before.rank() < 6 => {
            number(text.strip_prefix("-r")?).map(|(digits, rest)| (Token::Revision(digits), rest))
        }
        _ => None,
    }
}

impl Token<'_> {
    fn rank(self) -> u8 {
        match self {
            Self::First(_) => 0,
            Self::Number(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::Hash(_) => 5,
            Self::Revision(_) => 6,
            Self::End => 7,
        }
    }

    fn before_release(self) -> bool {
        matches!(self, Self::Suffix(rank) if rank < 0)
    }

    fn compare(self, other: Token<'_>) -> Ordering {
        match (self, other) {
            // A leading zero makes a fraction of a number, as Gentoo has it.
            (Self::Number(a), Token::Number(b)) if a.starts_with('0') || b.starts_with('0') => a.cmp(b),
            (Self::First(a), Token::First(b))
            | (Self::Number(a), Token::Number(b))
            | (Self::SuffixNumber(a), Token::SuffixNumber(b))
            | (Self::Revision(a), Token::Revision(b)) => compare_numbers(a, b),
            (Self::Letter(a), Token::Letter(b)) => a.cmp(&b),
            (Self::Suffix(a), Token::Suffix(b)) => a.cmp(&b),
            (Self::Hash(a), Token::Hash(b)) => a.cmp(b),
            (a, b) if a.rank() == b.rank() => Ordering::Equal,
            (a, _) if a.before_release() => Ordering::Less,
            (_, b) if b.before_release() => Ordering::Greater,
            // The one that ends first, or whose parts end first, is smaller.
            (a, b) => b.rank().cmp(&a.rank()),
        }
    }
}

impl Apk<'_> {
    pub(super) fn compare(&self, other: &Apk<'_>) -> Ordering {
        let (Some(mut left), Some(mut right)) = (first_token(self.0), first_token(other.0)) else {
            return Ordering::Equal;
        };
        loop {
            let order = left.0.compare(right.0);
            if order.is_ne() || left.0 == Token::End {
                return order;
            }
            match (next_token(left.0, left.1), next_token(right.0, right.1)) {
                (Some(a), Some(b)) => (left, right) = (a, b),
                // Both were read to their end when they were parsed.
                _ => return Ordering::Equal,
            }
        }
    }
}
