//! Selectors of series, as `query` and `of` declare them:
//! `name{label="value", other=~"a|b"}`.
//!
//! The part of PromQL that names series (Prometheus documentation, Querying
//! basics, "Instant vector selectors"): a metric's name, and matchers `=`,
//! `!=`, `=~`, `!~`, whose expressions match the whole value. No functions, no
//! ranges, no offsets: what is read is counters, and the rest is done here.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// Matchers of one selector at most.
const MAX_MATCHERS: usize = 32;
/// The longest selector in bytes.
const MAX_LENGTH: usize = 4096;
/// Memory that one compiled expression may take, in bytes.
const MAX_REGEX: usize = 1 << 20;

/// A selector of series.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    operator: Operator,
    value: String,
    regex: Option<Regex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, at character {} of `{text}`", at + 1)]
pub struct SyntaxError {
    /// The selector.
    pub text: String,
    /// Where, in characters from its beginning.
    pub at: usize,
    /// What is wrong there.
    pub reason: String,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// When it is not one; where and why.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser { text, at: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.error(format!("a selector has at most {MAX_LENGTH} bytes")));
        }
        parser.space();
        let name = parser.word(":");
        if name.is_empty() {
            return Err(parser.error("a selector begins with the name of a metric"));
        }
        let name = name.to_owned();
        parser.space();
        let mut matchers = Vec::new();
        if parser.take("{") {
            loop {
                parser.space();
                if parser.take("}") {
                    break;
                }
                if matchers.len() >= MAX_MATCHERS {
                    return Err(parser.error(format!("a selector has at most {MAX_MATCHERS} matchers")));
                }
                matchers.push(parser.matcher()?);
                parser.space();
                if !parser.take(",") && !parser.rest().starts_with('}') {
                    return Err(parser.error("expected `,` or `}`"));
                }
            }
            parser.space();
        }
        if !parser.rest().is_empty() {
            let promql = parser.rest().starts_with(['(', '[', ' ', '+', '-', '*', '/', '@']);
            return Err(parser.error(if promql {
                "a selector names series only; expressions of PromQL are for a Prometheus server"
            } else {
                "expected nothing more"
            }));
        }
        Ok(Self { text: text.trim().into(), name, matchers })
    }

    /// The metric's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same of another metric: a histogram's buckets for the histogram.
    pub fn renamed(&self, name: String) -> Self {
        Self {
            text: format!("{name}{}", &self.text[self.name.len()..]),
            name,
            matchers: self.matchers.clone(),
        }
    }

    /// Whether a series is selected. A label that is not there is empty.
    pub fn matches(&self, name: &str, labels: &[(String, String)]) -> bool {
        name == self.name
            && self.matchers.iter().all(|matcher| {
                let value = labels.iter().find(|(label, _)| *label == matcher.label).map_or("", |(_, v)| v);
                matcher.matches(value)
            })
    }

    /// Whether everything this selects is among what `other` selects, by how
    /// the two are written: the same metric under every matcher of the other,
    /// or a histogram's buckets of its count.
    pub fn part_of(&self, other: &Selector) -> bool {
        let bucket = self.name.strip_suffix("_bucket").is_some_and(|histogram| {
            other.name.strip_suffix("_count") == Some(histogram)
                && self.matchers.iter().any(|m| m.label == "le" && m.operator == Operator::Equal)
        });
        (self.name == other.name || bucket)
            && other.matchers.iter().all(|wanted| self.matchers.iter().any(|matcher| matcher.same(wanted)))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Matcher {
    fn matches(&self, value: &str) -> bool {
        let regex = || self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.operator {
            Operator::Equal => value == self.value,
            Operator::NotEqual => value != self.value,
            Operator::Matches => regex(),
            Operator::MatchesNot => !regex(),
        }
    }

    fn same(&self, other: &Matcher) -> bool {
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, reason: impl Into<String>) -> SyntaxError {
        SyntaxError {
            text: self.text.chars().take(200).collect(),
            at: self.text[..self.at].chars().count(),
            reason: reason.into(),
        }
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, expected: &str) -> bool {
        let there = self.rest().starts_with(expected);
        if there {
            self.at += expected.len();
        }
        there
    }

    /// Letters, digits, `_` and what is in `more`; no digit first.
    fn word(&mut self, more: &str) -> &'a str {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                !(c.is_ascii_alphabetic()
                    || *c == '_'
                    || more.contains(*c)
                    || (*at > 0 && c.is_ascii_digit()))
            })
            .map_or(rest.len(), |(at, _)| at);
        self.at += end;
        &rest[..end]
    }

    fn matcher(&mut self) -> Result<Matcher, SyntaxError> {
        let label = self.word("").to_owned();
        if label.is_empty() {
            return Err(self.error("expected the name of a label"));
        }
        if label == "__name__" {
            return Err(self.error("the metric's name stands before `{`"));
        }
        self.space();
        let operators = [
            ("=~", Operator::Matches),
            ("!~", Operator::MatchesNot),
            ("!=", Operator::NotEqual),
            ("=", Operator::Equal),
        ];
        let Some((_, operator)) = operators.into_iter().find(|(text, _)| self.take(text)) else {
            return Err(self.error("expected `=`, `!=`, `=~` or `!~`"));
        };
        self.space();
        let begin = self.at;
        let value = self.string()?;
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::MatchesNot => {
                // By itself first: `a)|(b` would be one only within the group.
                let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX).build();
                let built = build(&value).and_then(|_| build(&format!("^(?s:{value})$")));
                Some(built.map_err(|error| {
                    self.at = begin;
                    let text = error.to_string();
                    let last =
                        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    self.error(format!("the expression is not one: {last}"))
                })?)
            }
        };
        Ok(Matcher { label, operator, value, regex })
    }

    /// A string in double or single quotes with escapes, or in backquotes.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let Some(quote) = self.rest().chars().next().filter(|c| ['"', '\'', '`'].contains(c)) else {
            return Err(self.error("expected a value in quotes"));
        };
        let begin = self.at;
        self.at += 1;
        let mut value = String::new();
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            if c == quote {
                return Ok(value);
            }
            if c != '\\' || quote == '`' {
                value.push(c);
                continue;
            }
            let escaped = self.rest().chars().next();
            match escaped {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(c @ ('\\' | '"' | '\'')) => value.push(c),
                _ => {
                    self.at -= 1;
                    return Err(self.error("`\\` escapes only `\\`, quotes, `n`, `r` and `t`"));
                }
            }
            self.at += 1;
        }
        self.at = begin;
        Err(self.error("the value has no closing quote"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect()
    }

    #[test]
    fn matchers_are_those_of_prometheus() {
        let failed = labels(&[("result", "failed"), ("code", "503")]);
        for (text, selected) in [
            ("payouts_total", true),
            (" payouts_total { } ", true),
            ("other_total", false),
            (r#"payouts_total{result="failed"}"#, true),
            (r#"payouts_total{result="failed",}"#, true),
            (r#"payouts_total{result!="failed"}"#, false),
            (r#"payouts_total{code=~"5.."}"#, true),
            // The whole value has to match.
            (r#"payouts_total{code=~"5"}"#, false),
            (r#"payouts_total{code=~"4..|5.."}"#, true),
            (r#"payouts_total{code!~"5.*"}"#, false),
            // A label that is not there is empty.
            (r#"payouts_total{absent=""}"#, true),
            (r#"payouts_total{absent=~".+"}"#, false),
            (r"payouts_total{result='failed', code=`503`}", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches("payouts_total", &failed), selected, "{text}");
        }
        let odd = labels(&[("path", "a\\b\"c\n")]);
        assert!(Selector::parse(r#"x{path="a\\b\"c\n"}"#).unwrap().matches("x", &odd));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place() {
        for (text, at, reason) in [
            ("", 0, "begins with the name"),
            ("{a=\"b\"}", 0, "begins with the name"),
            ("5xx", 0, "begins with the name"),
            ("rate(x[5m])", 4, "PromQL"),
            ("x[5m]", 1, "PromQL"),
            ("x{", 2, "the name of a label"),
            ("x{a}", 3, "expected `=`"),
            ("x{a=b}", 4, "in quotes"),
            ("x{a=\"b}", 4, "no closing quote"),
            ("x{a=\"b\" c=\"d\"}", 8, "expected `,` or `}`"),
            ("x{a=\"\\q\"}", 5, "escapes only"),
            ("x{a=~\"(\"}", 5, "not one"),
            ("x{a=~\"b)|(c\"}", 5, "not one"),
            ("x{a=~\"a{1000}{1000}\"}", 5, "not one"),
            ("x{__name__=\"y\"}", 10, "before `{`"),
            ("x y", 2, "nothing more"),
        ] {
            let error = Selector::parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
            assert_eq!(error.at, at, "{text}: {error}");
        }
        assert!(Selector::parse(&format!("x{{a=\"{}\"}}", "y".repeat(5000))).is_err());
    }

    #[test]
    fn a_part_is_seen_by_how_it_is_written() {
        let part = |a: &str, b: &str| Selector::parse(a).unwrap().part_of(&Selector::parse(b).unwrap());
        assert!(part(r#"p{result="failed"}"#, "p"));
        assert!(part(r#"p{result="failed",job="a"}"#, r#"p{job="a"}"#));
        assert!(!part(r#"p{result="failed"}"#, r#"p{job="a"}"#));
        assert!(!part("errors_total", "requests_total"));
        assert!(part(r#"s_bucket{le="0.5"}"#, "s_count"));
        assert!(!part("s_bucket", "s_count"));
    }

    #[test]
    fn hostile_texts_do_not_panic() {
        for text in ["é{", "x{é=\"1\"}", "x{a=\"é", "x{a=\"\\", "x{a=~\"\\", "\u{0}", "x{a=\"\\é\"}"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
