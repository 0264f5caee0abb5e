//! A JSON parser (RFC 8259) that knows the line and column of every value.

use std::borrow::Cow;

use super::{Builder, Kind};
use crate::error::Error;

/// Parses one whole text into the builder.
///
/// # Errors
/// What is wrong, with line and column.
pub(super) fn parse(text: &str, builder: &mut Builder<'_>) -> Result<(), Error> {
    Parser { text, bytes: text.as_bytes(), at: 0, line: 1, line_start: 0 }.document(builder)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

/// What may come next.
enum Next {
    Value,
    /// The end of an empty list, or a value.
    FirstItem,
    /// The end of an empty object, or a key.
    FirstKey,
    Key,
    AfterValue,
}

impl<'a> Parser<'a> {
    fn document(&mut self, builder: &mut Builder<'_>) -> Result<(), Error> {
        // The kinds of what is open; the builder bounds how many.
        let mut open: Vec<Kind> = Vec::new();
        let mut next = Next::Value;
        loop {
            self.blanks();
            next = match next {
                Next::FirstItem if self.peek() == Some(b']') => self.close(builder, &mut open),
                Next::FirstKey if self.peek() == Some(b'}') => self.close(builder, &mut open),
                Next::FirstKey | Next::Key => {
                    if self.peek() != Some(b'"') {
                        return Err(self.unexpected(builder, "a key in double quotes"));
                    }
                    let key = self.string(builder)?;
                    builder.key(&key);
                    self.blanks();
                    if self.peek() != Some(b':') {
                        return Err(self.unexpected(builder, "`:` after the key"));
                    }
                    self.at += 1;
                    Next::Value
                }
                Next::Value | Next::FirstItem => self.value(builder, &mut open)?,
                Next::AfterValue => match (open.last(), self.peek()) {
                    (None, None) => return Ok(()),
                    (None, Some(_)) => return Err(self.unexpected(builder, "the end of the file")),
                    (Some(Kind::Array), Some(b',')) => {
                        self.at += 1;
                        Next::Value
                    }
                    (Some(Kind::Object), Some(b',')) => {
                        self.at += 1;
                        Next::Key
                    }
                    (Some(Kind::Array), Some(b']')) | (Some(Kind::Object), Some(b'}')) => {
                        self.close(builder, &mut open)
                    }
                    (Some(Kind::Array), _) => return Err(self.unexpected(builder, "`,` or `]`")),
                    (Some(_), _) => return Err(self.unexpected(builder, "`,` or `}`")),
                },
            };
        }
    }

    fn close(&mut self, builder: &mut Builder<'_>, open: &mut Vec<Kind>) -> Next {
        self.at += 1;
        open.pop();
        builder.end(false);
        Next::AfterValue
    }

    fn value(&mut self, builder: &mut Builder<'_>, open: &mut Vec<Kind>) -> Result<Next, Error> {
        let (line, column) = self.place();
        match self.peek() {
            Some(b'{') => {
                builder.begin(Kind::Object, line, column)?;
                self.at += 1;
                open.push(Kind::Object);
                return Ok(Next::FirstKey);
            }
            Some(b'[') => {
                builder.begin(Kind::Array, line, column)?;
                self.at += 1;
                open.push(Kind::Array);
                return Ok(Next::FirstItem);
            }
            Some(b'"') => {
                let text = self.string(builder)?;
                builder.scalar(Kind::Text, &text, line, column)?;
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number(builder)?;
                builder.scalar(Kind::Number, number, line, column)?;
            }
            Some(b'a'..=b'z') => {
                let rest = &self.bytes[self.at..];
                let words: [(&[u8], Kind); 3] =
                    [(b"true", Kind::True), (b"false", Kind::False), (b"null", Kind::Null)];
                let Some((word, kind)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) else {
                    return Err(self.unexpected(builder, "a value"));
                };
                self.at += word.len();
                builder.scalar(kind, "", line, column)?;
            }
            _ => return Err(self.unexpected(builder, "a value")),
        }
        Ok(Next::AfterValue)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn place(&self) -> (u32, u32) {
        (self.line, u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX))
    }

    fn blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn number(&mut self, builder: &Builder<'_>) -> Result<&'a str, Error> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.at;
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.bytes[leading] == b'0') {
            self.at = start;
            return Err(self.unexpected(builder, "a number without leading zeros"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.unexpected(builder, "a digit after the point"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.unexpected(builder, "a digit of the exponent"));
            }
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self, builder: &Builder<'_>) -> Result<Cow<'a, str>, Error> {
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            let plain = &self.text[start..self.at];
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else if !plain.is_empty() {
                text.to_mut().push_str(plain);
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.escape(builder)?;
                    text.to_mut().push(escaped);
                }
                _ => return Err(self.unexpected(builder, "the end of the text, a `\"`")),
            }
        }
    }

    fn escape(&mut self, builder: &Builder<'_>) -> Result<char, Error> {
        let simple = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode(builder);
            }
            _ => return Err(self.unexpected(builder, "an escape that JSON has")),
        };
        self.at += 1;
        Ok(simple)
    }

    fn unicode(&mut self, builder: &Builder<'_>) -> Result<char, Error> {
        let first = self.four(builder)?;
        let code = if (0xD800..0xDC00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.four(builder)?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.unexpected(builder, "the second half of a surrogate pair"));
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.unexpected(builder, "both halves of a surrogate pair"))
    }

    fn four(&mut self, builder: &Builder<'_>) -> Result<u32, Error> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(self.unexpected(builder, "four hexadecimal digits"));
        };
        self.at += 4;
        Ok(code)
    }

    fn unexpected(&self, builder: &Builder<'_>, expected: &str) -> Error {
        let (line, column) = self.place();
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => "the file ends".to_owned(),
            Some(found) if found.is_control() => format!("there is the character U+{:04X}", u32::from(found)),
            Some(found) => format!("there is `{found}`"),
        };
        let position = builder.position(line, column);
        Error::Syntax { position, language: "JSON", reason: format!("expected {expected}, but {found}") }
    }
}
