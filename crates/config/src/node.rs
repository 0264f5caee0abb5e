//! TOML as a tree in which every key and value knows where it stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use serde::de::Error as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::discover::FILE_NAME;
use crate::error::{Excerpt, Problem, ProblemKind};
use crate::origin::Origin;

/// A configuration file's name and text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Where a key or value stands.
#[derive(Debug, Clone)]
pub(crate) enum At {
    Default,
    File {
        source: Rc<Source>,
        span: Range<usize>,
    },
    Environment(Rc<str>),
    /// `--set`, with the key as it was typed.
    Flag(Rc<str>),
}

impl At {
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Default => Origin::Default,
            Self::File { source, span } => {
                let (line, column) = position(&source.text, span.start);
                Origin::File { path: source.name.clone(), line, column }
            }
            Self::Environment(name) => Origin::Environment(name.to_string()),
            Self::Flag(_) => Origin::Flag,
        }
    }

    /// How an error names this place.
    pub(crate) fn place(&self) -> String {
        match self {
            // A section that nobody wrote is missing from the file.
            Self::Default => FILE_NAME.into(),
            Self::Flag(key) => format!("--set {key}"),
            Self::File { source, span } => {
                let (line, column) = position(&source.text, span.start);
                format!("{}:{line}:{column}", source.name)
            }
            other => other.origin().to_string(),
        }
    }

    pub(crate) fn excerpt(&self) -> Option<Excerpt> {
        match self {
            Self::File { source, span } => Some(Excerpt::of(&source.text, span.clone())),
            _ => None,
        }
    }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// From a variable or a flag: becomes whatever type its key wants.
    Untyped(String),
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// Dates, and integers too large for any key.
    Other {
        kind: &'static str,
        text: String,
    },
    Array(Vec<Node>),
    Table(Entries),
}

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: At,
    pub(crate) node: Node,
}

pub(crate) type Entries = BTreeMap<String, Entry>;

impl Node {
    /// An untyped node as the table or list its text spells in TOML, where it
    /// spells one; any other node as it is.
    pub(crate) fn structured(self) -> Self {
        match &self.value {
            Value::Untyped(text) if text.trim_start().starts_with(['[', '{']) => {
                match DeValue::parse(text.trim()) {
                    Ok(value) => convert(value, &|_| self.at.clone()),
                    Err(_) => self,
                }
            }
            _ => self,
        }
    }

    /// What it is, for "expected …, found …".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Untyped(text) | Value::String(text) => format!("string `{}`", shorten(text)),
            Value::Integer(value) => format!("integer {value}"),
            Value::Float(value) => format!("float {value}"),
            Value::Boolean(value) => format!("boolean {value}"),
            Value::Other { kind, text } => format!("{kind} {}", shorten(text)),
            Value::Array(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
        }
    }

    /// Its type alone, where the value must not be shown.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Untyped(_) | Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Other { kind, .. } => kind,
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value as text, for `config show`.
    pub(crate) fn show(&self) -> String {
        match &self.value {
            Value::Untyped(text) | Value::String(text) => text.clone(),
            Value::Array(_) => self.show_toml(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Other { text, .. } => text.clone(),
            Value::Table(_) => self.show_toml(),
        }
    }

    fn show_toml(&self) -> String {
        match &self.value {
            Value::Untyped(text) | Value::String(text) => toml::Value::String(text.clone()).to_string(),
            Value::Array(items) => {
                format!("[{}]", items.iter().map(Self::show_toml).collect::<Vec<_>>().join(", "))
            }
            Value::Table(entries) => {
                let pairs: Vec<_> = entries
                    .iter()
                    .map(|(key, entry)| format!("{key} = {}", entry.node.show_toml()))
                    .collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            _ => self.show(),
        }
    }
}

/// Error texts quote at most this many characters of a value.
fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let clean: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() { format!("{clean}…") } else { clean }
}

/// Parses a whole file.
pub(crate) fn parse(source: &Rc<Source>) -> Result<Entries, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        let at = |span| At::File { source: Rc::clone(source), span };
        return Ok(entries(table.into_inner(), &at));
    }
    let problem = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let message = format!("not valid TOML: {}", error.message().trim_end().replace('\n', "; "));
        Problem::new(ProblemKind::Syntax, &At::File { source: Rc::clone(source), span }, message)
    };
    Err(errors.iter().map(problem).collect())
}

/// Parses `a."b.c".d` as TOML does.
pub(crate) fn parse_key(text: &str) -> Result<Vec<String>, toml::de::Error> {
    let document = format!("{text} = 0");
    if text.contains(['\n', '=', '#']) {
        return Err(toml::de::Error::custom("not a key"));
    }
    let mut table = DeTable::parse(&document)?.into_inner();
    let mut path = Vec::new();
    while let Some((key, value)) = table.into_iter().next() {
        path.push(key.into_inner().into_owned());
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    Ok(path)
}

fn entries(table: DeTable<'_>, at: &dyn Fn(Range<usize>) -> At) -> Entries {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let place = at(key.span());
        (key.into_inner().into_owned(), Entry { key: place, node: convert(value, at) })
    };
    table.into_iter().map(entry).collect()
}

fn convert(value: Spanned<DeValue<'_>>, at: &dyn Fn(Range<usize>) -> At) -> Node {
    let place = at(value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => Value::Other { kind: "integer", text: integer.as_str().into() },
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => Value::Other { kind: "float", text: float.as_str().into() },
        },
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(value) => Value::Other { kind: "date", text: value.to_string() },
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| convert(item, at)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, at)),
    };
    Node { at: place, value }
}

/// Lays `over` on `base`: tables key by key, anything else replaced whole.
pub(crate) fn merge(base: &mut Entries, over: Entries) {
    for (name, entry) in over {
        match base.get_mut(&name) {
            Some(Entry { node: Node { value: Value::Table(inner), .. }, .. })
                if matches!(entry.node.value, Value::Table(_)) =>
            {
                if let Value::Table(more) = entry.node.value {
                    merge(inner, more);
                }
            }
            _ => {
                base.insert(name, entry);
            }
        }
    }
}
