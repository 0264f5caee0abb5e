//! JSON (RFC 8259), as much as this service needs: all of it, shallow.

use std::fmt;

/// A JSON value. Objects keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Any number; whole ones are exact below 2^53.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Names and values.
    Object(Vec<(String, Value)>),
}

/// Nesting beyond this is refused.
const DEEPEST: usize = 32;

impl Value {
    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, of a whole one from 0 to 2^53.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Number(number)
                if number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number) =>
            {
                Some(*number as u64)
            }
            _ => None,
        }
    }

    /// Parses a whole text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parser = Parser { rest: text };
        let value = parser.value(0)?;
        parser.space();
        if parser.rest.is_empty() { Ok(value) } else { Err("something follows the JSON value") }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) if number.is_finite() => write!(f, "{number}"),
            Self::Number(_) => f.write_str("null"),
            Self::Text(text) => quote(text, f),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    quote(name, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `token` after space, if it is next.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEEPEST {
            return Err("nested too deeply");
        }
        if self.take("{") {
            return self.object(depth);
        }
        if self.take("[") {
            return self.list(depth);
        }
        for (token, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.take(token) {
                return Ok(value);
            }
        }
        if self.rest.starts_with('"') { self.string().map(Value::Text) } else { self.number() }
    }

    fn object(&mut self, depth: usize) -> Result<Value, &'static str> {
        let mut members: Vec<(String, Value)> = Vec::new();
        if self.take("}") {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            if !self.take(":") {
                return Err("expected `:` after a name");
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err("a name stands twice in an object");
            }
            members.push((name, self.value(depth + 1)?));
            if self.take("}") {
                return Ok(Value::Object(members));
            }
            if !self.take(",") {
                return Err("expected `,` or `}`");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, &'static str> {
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take("]") {
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err("expected `,` or `]`");
            }
        }
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        // Rust takes more than JSON does: `01`, `.5`, `5.`, `+1`.
        let good = match digits {
            [b'0', next, ..] => !next.is_ascii_digit(),
            [first, ..] => first.is_ascii_digit(),
            [] => false,
        } && digits.windows(2).all(|pair| pair[0] != b'.' || pair[1].is_ascii_digit())
            && digits.last().is_some_and(u8::is_ascii_digit);
        let number = if good { text.parse::<f64>().ok() } else { None };
        self.rest = rest;
        number.filter(|number| number.is_finite()).map(Value::Number).ok_or("expected a value")
    }

    fn string(&mut self) -> Result<String, &'static str> {
        self.rest = self.rest.strip_prefix('"').ok_or("expected a text in quotes")?;
        let mut text = String::new();
        loop {
            let mut chars = self.rest.chars();
            let next = chars.next().ok_or("a text does not end")?;
            self.rest = chars.as_str();
            match next {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return Err("a control character stands in a text"),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or("a text does not end")?;
        self.rest = chars.as_str();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex()?;
                match high {
                    0xd800..=0xdbff => {
                        self.rest = self.rest.strip_prefix("\\u").ok_or("half a surrogate pair")?;
                        let low = self.hex()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err("half a surrogate pair");
                        }
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => char::from_u32(high),
                }
                .ok_or("half a surrogate pair")?
            }
            _ => return Err("an unknown escape stands in a text"),
        })
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or("expected four hexadecimal digits")?;
        self.rest = &self.rest[4..];
        u32::from_str_radix(digits, 16).map_err(|_| "expected four hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = r#"{"a":[1,-2.5,1e3,true,null],"b":{"c":"x\"\\\u0001é😀"}}"#;
        let value = Value::parse(text).expect("valid");
        assert_eq!(Value::parse(&value.to_string()), Ok(value.clone()));
        assert_eq!(value.get("b").and_then(|b| b.get("c")).and_then(Value::text), Some("x\"\\\u{1}é😀"));
        assert_eq!(Value::parse(r#""\ud83d\ude00""#), Ok(Value::Text("😀".into())));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = "[".repeat(100_000);
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "01",
            ".5",
            "5.",
            "+1",
            "-",
            "1e",
            "1e999",
            "nul",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\u00é\"",
            "1 2",
            "{\"a\":1,\"a\":2}",
            "'a'",
            "NaN",
            &deep,
        ] {
            assert!(Value::parse(bad).is_err(), "{bad:.20}");
        }
    }
}
