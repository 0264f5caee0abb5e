//! The comment at the end of a generated line.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Where a generated line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A commit message: a person's words, not evidence.
    Commit,
    /// The comparison of the API.
    Api,
    /// The migrations.
    Schema,
    /// The bills of materials.
    Dependency,
    /// Advisories.
    Security,
}

const SOURCES: [(&str, Source); 5] = [
    ("commit", Source::Commit),
    ("api", Source::Api),
    ("schema", Source::Schema),
    ("dependency", Source::Dependency),
    ("security", Source::Security),
];

impl Source {
    /// Whether a line of it must say what the evidence says.
    pub fn is_evidence(self) -> bool {
        self != Self::Commit
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, _) = SOURCES.iter().find(|(_, source)| source == self).expect("every source has a word");
        f.write_str(word)
    }
}

/// `<!-- plimsoll SOURCE ID.SUM CITED -->`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) source: Source,
    /// What it tells of; the same however it is worded.
    pub(super) id: String,
    /// Over the words that were generated.
    pub(super) sum: String,
    /// The evidence itself: rule and place, commit, file, package.
    pub(super) cited: String,
}

const OPEN: &str = "<!-- plimsoll ";
const CLOSE: &str = "-->";

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPEN}{} {}.{} {} {CLOSE}", self.source, self.id, self.sum, commentable(&self.cited))
    }
}

/// Takes the marker off the end of an item's text.
pub(super) fn split(text: &str) -> (&str, Option<Marker>) {
    let trimmed = text.trim_end();
    let Some(at) = trimmed.rfind(OPEN) else { return (trimmed, None) };
    let Some(inner) = trimmed[at + OPEN.len()..].strip_suffix(CLOSE) else { return (trimmed, None) };
    match read(inner) {
        Some(marker) => (trimmed[..at].trim_end(), Some(marker)),
        None => (trimmed, None),
    }
}

fn read(inner: &str) -> Option<Marker> {
    let mut words = inner.split_whitespace();
    let word = words.next()?;
    let (_, source) = SOURCES.iter().find(|(known, _)| *known == word)?;
    let (id, sum) = words.next()?.split_once('.')?;
    let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(id, ID) && hex(sum, SUM)).then(|| Marker {
        source: *source,
        id: id.into(),
        sum: sum.into(),
        cited: words.collect::<Vec<_>>().join(" "),
    })
}

/// Digits of an id, as of a short commit.
const ID: usize = 12;
/// Digits of a sum.
const SUM: usize = 8;

/// The id of what a line tells of.
pub(super) fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(hash.finalize().as_slice(), ID)
}

/// The sum over words; however the line is broken.
pub(super) fn sum(text: &str) -> String {
    hex(Sha256::digest(words(text)).as_slice(), SUM)
}

/// The text with single blanks.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let text: String = bytes.iter().take(digits.div_ceil(2)).map(|byte| format!("{byte:02x}")).collect();
    text[..digits].to_owned()
}

/// A text that does not end the comment it stands in.
fn commentable(text: &str) -> String {
    let text = words(text).replace("--", "-%2D").replace('>', "%3E").replace('<', "%3C");
    // A single hyphen before the end would join it.
    text.trim_end_matches('-').to_owned()
}

const TOLD: &str = "<!-- plimsoll told";

/// The comment that lists what was generated once, in lines of at most 110 columns.
pub(super) fn told(ids: &[String]) -> Vec<String> {
    const COLUMNS: usize = 110;
    let mut lines = vec![TOLD.to_owned()];
    for id in ids {
        let line = lines.last_mut().expect("there is always a line");
        if line.len() + 1 + id.len() > COLUMNS {
            lines.push(id.clone());
        } else {
            line.push(' ');
            line.push_str(id);
        }
    }
    lines.last_mut().expect("there is always a line").push_str(" -->");
    lines
}

/// Whether the comment begins in this line.
pub(super) fn begins_told(line: &str) -> bool {
    line.trim_start().starts_with(TOLD)
}

/// The ids in the text of that comment.
pub(super) fn read_told(text: &str) -> Vec<String> {
    text.split_whitespace().filter(|word| is_id(word)).map(str::to_owned).collect()
}

fn is_id(word: &str) -> bool {
    word.len() == ID && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the comment has nothing else in it.
pub(super) fn is_told(text: &str) -> bool {
    let inner = text.trim().strip_prefix(TOLD).and_then(|rest| rest.strip_suffix(CLOSE));
    inner.is_some_and(|inner| inner.split_whitespace().all(is_id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn marker(cited: &str) -> Marker {
        Marker { source: Source::Api, id: id(&["a", "b"]), sum: sum("x y"), cited: cited.into() }
    }

    #[test]
    fn markers_are_read_back_however_the_line_is_broken() {
        let one = marker("API-107 #/components/schemas/Payout");
        let line = format!("`GET /a` says x {one}");
        assert_eq!(split(&line), ("`GET /a` says x", Some(one.clone())));
        assert_eq!(split(&line.replace(" API", "\n  API")), ("`GET /a` says x", Some(one)));
        assert_eq!(sum("x  y\n"), sum("x y"));
        assert_ne!(sum("x y"), sum("x z"));
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
    }

    #[test]
    fn a_citation_never_ends_its_comment() {
        for cited in ["a --> b", "a <!-- b", "--", "->", "a\nb", "x-", "--->"] {
            let text = format!("{} tail", marker(cited)).replace(" tail", "");
            assert_eq!(text.matches("-->").count(), 1, "{text}");
            assert_eq!(text.matches("<!--").count(), 1, "{text}");
            assert!(split(&text).1.is_some(), "{text}");
        }
    }

    #[test]
    fn other_comments_are_no_markers() {
        for text in [
            "a <!-- plimsoll -->",
            "a <!-- plimsoll api 123.456 x -->",
            "a <!-- plimsoll art 000000000000.00000000 x -->",
            "a <!-- note -->",
            "a <!-- plimsoll api 000000000000.00000000",
        ] {
            assert_eq!(split(text), (text, None));
        }
    }

    #[test]
    fn what_was_told_is_read_back() {
        let ids: Vec<String> = (0..40).map(|at| id(&[&at.to_string()])).collect();
        let lines = told(&ids);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= 116) && begins_told(&lines[0]));
        assert_eq!(read_told(&lines.join("\n")), ids);
        assert_eq!(told(&[]), ["<!-- plimsoll told -->"]);
    }
}
