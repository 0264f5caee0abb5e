//! YAML 1.2 (core schema) from the events of a parser, so that an alias costs
//! nothing until it is counted.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::build::Anchor;
use super::{Builder, Kind};
use crate::error::Error;

/// Parses the one document of a text into the builder.
///
/// # Errors
/// What is wrong, with line and column.
pub(super) fn parse(text: &str, builder: &mut Builder<'_>) -> Result<(), Error> {
    let mut anchors: HashMap<usize, Anchor> = HashMap::new();
    // The anchors of what is open.
    let mut open: Vec<usize> = Vec::new();
    let mut last = (1, 1);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = place(error.marker().line(), error.marker().col());
            syntax(builder, (line, column), error.info())
        })?;
        let at = start(&span);
        last = at;
        if builder.is_done() {
            match event {
                Event::DocumentEnd | Event::StreamEnd | Event::Nothing => continue,
                _ => return Err(syntax(builder, at, "there is a second document; a file has one")),
            }
        }
        if builder.awaits_key() {
            match event {
                Event::Scalar(key, ..) => builder.key(&key),
                Event::MappingEnd => finished(builder, &mut open, &mut anchors),
                Event::Alias(_) => return Err(syntax(builder, at, "an alias cannot be a key here")),
                _ => return Err(syntax(builder, at, "a key has to be a text")),
            }
            continue;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (kind, text) = scalar(&text, style, tag.as_deref());
                let made = builder.scalar(kind, &text, at.0, at.1)?;
                if anchor != 0 {
                    anchors.insert(anchor, made);
                }
            }
            Event::SequenceStart(anchor, _) => {
                builder.begin(Kind::Array, at.0, at.1)?;
                open.push(anchor);
            }
            Event::MappingStart(anchor, _) => {
                builder.begin(Kind::Object, at.0, at.1)?;
                open.push(anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => finished(builder, &mut open, &mut anchors),
            Event::Alias(anchor) => {
                let Some(&meant) = anchors.get(&anchor) else {
                    return Err(syntax(builder, at, "an alias stands inside of what it stands for"));
                };
                builder.alias(meant, at.0, at.1)?;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
    }
    if builder.is_done() { Ok(()) } else { Err(syntax(builder, last, "there is no document in the file")) }
}

fn finished(builder: &mut Builder<'_>, open: &mut Vec<usize>, anchors: &mut HashMap<usize, Anchor>) {
    if !builder.is_open() {
        return;
    }
    let made = builder.end(true);
    if let Some(anchor) = open.pop().filter(|anchor| *anchor != 0) {
        anchors.insert(anchor, made);
    }
}

fn syntax(builder: &Builder<'_>, (line, column): (u32, u32), reason: &str) -> Error {
    Error::Syntax { position: builder.position(line, column), language: "YAML", reason: reason.into() }
}

fn start(span: &Span) -> (u32, u32) {
    place(span.start.line(), span.start.col())
}

/// The parser counts columns from 0.
fn place(line: usize, column: usize) -> (u32, u32) {
    let cap = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (cap(line.max(1)), cap(column).saturating_add(1))
}

/// What a scalar means (YAML 1.2.2, section 10.3).
fn scalar<'a>(text: &'a str, style: ScalarStyle, tag: Option<&Tag>) -> (Kind, std::borrow::Cow<'a, str>) {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    if core == Some("str") || (core.is_none() && (style != ScalarStyle::Plain || tag.is_some())) {
        return (Kind::Text, text.into());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => (Kind::Null, "".into()),
        "true" | "True" | "TRUE" => (Kind::True, "".into()),
        "false" | "False" | "FALSE" => (Kind::False, "".into()),
        _ => match number(text) {
            Some(number) => (Kind::Number, number),
            None => (Kind::Text, text.into()),
        },
    }
}

/// Numbers of YAML that JSON has too; `.inf` and `.nan` stay texts.
fn number(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|n| n.to_string().into());
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    (numeric && text.parse::<f64>().is_ok_and(f64::is_finite))
        .then(|| text.strip_prefix('+').unwrap_or(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        for (text, kind) in [
            ("yes", Kind::Text),
            ("no", Kind::Text),
            ("true", Kind::True),
            ("~", Kind::Null),
            ("12", Kind::Number),
            ("-1.5e3", Kind::Number),
            ("0x1F", Kind::Number),
            ("1.2.3", Kind::Text),
            ("2020-09-14", Kind::Text),
            (".inf", Kind::Text),
            ("1e999", Kind::Text),
            ("-", Kind::Text),
            (".", Kind::Text),
        ] {
            assert_eq!(scalar(text, ScalarStyle::Plain, None).0, kind, "{text}");
            assert_eq!(scalar(text, ScalarStyle::DoubleQuoted, None).0, Kind::Text);
        }
    }
}
