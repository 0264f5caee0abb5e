//! One line of an exposition: `name{label="value",…} value [timestamp]`.

use std::borrow::Cow;

use super::Sample;

/// Labels of one sample at most.
const MAX_LABELS: usize = 64;

/// The metric's name at the line's beginning.
pub(super) fn name(line: &str) -> Result<Cow<'_, str>, &'static str> {
    if line.starts_with('{') {
        // JSON begins alike.
        return sample(line).map(|sample| Cow::Owned(sample.name));
    }
    let end = line.find(|c: char| !is_name(c)).unwrap_or(line.len());
    let next = line[end..].chars().next();
    if end == 0 || line.starts_with(|c: char| c.is_ascii_digit()) || !matches!(next, Some('{' | ' ' | '\t')) {
        return Err("it does not begin with a name and a value");
    }
    Ok(Cow::Borrowed(&line[..end]))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The whole sample. A timestamp and an exemplar may follow and are not used.
pub(super) fn sample(line: &str) -> Result<Sample, &'static str> {
    let mut name = String::new();
    let end = line.find(|c: char| !is_name(c)).unwrap_or(line.len());
    name.push_str(&line[..end]);
    let mut rest = line[end..].trim_start();
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start();
            if let Some(after) = inside.strip_prefix('}') {
                rest = after;
                break;
            }
            if inside.is_empty() {
                return Err("its labels do not end");
            }
            let (label, after) = if inside.starts_with('"') {
                quoted(inside)?
            } else {
                let end = inside.find(|c: char| !is_name(c)).unwrap_or(inside.len());
                (inside[..end].to_owned(), &inside[end..])
            };
            let after = after.trim_start();
            match after.strip_prefix('=') {
                Some(value) => {
                    if label.is_empty() {
                        return Err("a label has no name");
                    }
                    if labels.len() >= MAX_LABELS {
                        return Err("it has too many labels");
                    }
                    let (value, after) = quoted(value.trim_start())?;
                    labels.push((label, value));
                    inside = after;
                }
                // The name itself may stand in the braces, in quotes.
                None if name.is_empty() && inside.starts_with('"') => {
                    name = label;
                    inside = after;
                }
                None => return Err("a label has no value"),
            }
            inside = inside.trim_start();
            match inside.strip_prefix(',') {
                Some(after) => inside = after,
                None if inside.starts_with('}') => {}
                None => return Err("expected `,` or `}` after a label"),
            }
        }
    }
    if name.is_empty() {
        return Err("it has no name");
    }
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("it has no value")?;
    let value = value.parse().map_err(|_| "its value is not a number")?;
    match words.next() {
        None => {}
        Some(exemplar) if exemplar.starts_with('#') => {}
        Some(timestamp) if timestamp.parse::<f64>().is_err() => return Err("its timestamp is not a number"),
        Some(_) if words.next().is_some_and(|more| !more.starts_with('#')) => {
            return Err("more follows its timestamp");
        }
        Some(_) => {}
    }
    Ok(Sample { name, labels, value })
}

/// A text in double quotes, with its escapes resolved, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let inside = text.strip_prefix('"').ok_or("a value is not in quotes")?;
    let mut value = String::new();
    let mut from = 0;
    loop {
        let at =
            memchr::memchr2(b'"', b'\\', &inside.as_bytes()[from..]).ok_or("a value has no closing quote")?;
        value.push_str(&inside[from..from + at]);
        let here = from + at;
        if inside.as_bytes()[here] == b'"' {
            return Ok((value, &inside[here + 1..]));
        }
        let escaped = inside[here + 1..].chars().next().ok_or("a value has no closing quote")?;
        match escaped {
            'n' => value.push('\n'),
            '\\' | '"' => value.push(escaped),
            // Neither format knows more escapes; both leave others alone.
            _ => {
                value.push('\\');
                value.push(escaped);
            }
        }
        from = here + 1 + escaped.len_utf8();
    }
}
