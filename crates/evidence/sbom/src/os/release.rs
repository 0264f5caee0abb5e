//! `os-release`: which distribution an image is made from (os-release(5)).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;

/// A distribution and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// `debian`, `alpine`, `fedora`.
    pub id: String,
    /// `12`, `3.19.1`; empty for those without versions.
    pub version: String,
    /// As people write it.
    pub pretty_name: String,
    /// Distributions that it is derived from, the closest first.
    pub like: Vec<String>,
}

impl Distribution {
    /// Reads the content of an `os-release` file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields: BTreeMap<&str, String> = BTreeMap::new();
        for line in text.lines().take(200) {
            if let Some((key, value)) = line.trim().split_once('=') {
                fields.insert(key, unquote(value));
            }
        }
        let mut take = |key| fields.remove(key).unwrap_or_default();
        let id = take("ID");
        if id.is_empty() {
            return None;
        }
        let like = take("ID_LIKE").split_whitespace().map(str::to_owned).collect();
        let (version, pretty_name) = (take("VERSION_ID"), take("PRETTY_NAME"));
        Some(Self {
            pretty_name: if pretty_name.is_empty() { id.clone() } else { pretty_name },
            id,
            version,
            like,
        })
    }

    /// The qualifier `distro` of package URLs: `debian-12`.
    pub(crate) fn qualifier(&self) -> String {
        if self.version.is_empty() { self.id.clone() } else { format!("{}-{}", self.id, self.version) }
    }
}

/// The value of a shell assignment; values are short.
fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)))
        .unwrap_or(value);
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
        if text.len() > 200 {
            break;
        }
    }
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Finds the distribution. `etc/os-release` is usually a symbolic link to the
/// other one.
pub(super) struct OsRelease;

impl Cataloger for OsRelease {
    type Fact = Distribution;

    fn name(&self) -> &'static str {
        "os-release"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Path("etc/os-release"), Want::Path("usr/lib/os-release")]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<Distribution>, Unread> {
        Ok(Distribution::parse(&content.text()?))
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Distribution>], report: &mut Report) {
        report.distribution = found.first().map(|file| file.fact.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotes_and_escapes_are_removed() {
        let text = "# comment\nNAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID='3.19.1'\nPRETTY_NAME=\"Al\\\"pine\"\nID_LIKE=\"a b\"\n";
        let found = Distribution::parse(text).unwrap();
        assert_eq!((found.id.as_str(), found.version.as_str()), ("alpine", "3.19.1"));
        assert_eq!(found.pretty_name, "Al\"pine");
        assert_eq!(found.like, ["a", "b"]);
        assert_eq!(found.qualifier(), "alpine-3.19.1");
        assert_eq!(Distribution::parse("ID=arch\n").unwrap().qualifier(), "arch");
        assert_eq!(Distribution::parse("NAME=x\n"), None);
    }
}
