//! One dependency specifier, and `requirements.txt`, which lists them.
//!
//! Sources: PEP 508; pip, "Requirements File Format".

use super::{from_git, normal, only_hash};
use crate::language::reading::{Reading, declared, excerpt};

/// `name[extra]==1.0 ; marker` or `name @ URL ; marker`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirement<'a> {
    /// As it is written.
    pub(super) name: &'a str,
    /// What follows the name and the extras.
    pub(super) versions: &'a str,
    /// After `@`.
    pub(super) url: Option<&'a str>,
    /// After `;`; empty where there is none.
    pub(super) marker: &'a str,
}

impl<'a> Requirement<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        if name.is_empty() {
            return None;
        }
        let mut rest = rest.trim_start();
        if let Some(extras) = rest.strip_prefix('[') {
            rest = extras.split_once(']')?.1.trim_start();
        }
        if let Some(url) = rest.strip_prefix('@') {
            // A semicolon is part of the URL unless a blank is before it.
            let (url, marker) = url.split_once(" ;").unwrap_or((url, ""));
            return Some(Self { name, versions: "", url: Some(url.trim()), marker: marker.trim() });
        }
        let (versions, marker) = rest.split_once(';').unwrap_or((rest, ""));
        let versions = versions.trim().trim_start_matches('(').trim_end_matches(')').trim();
        Some(Self { name, versions, url: None, marker: marker.trim() })
    }

    /// The one version that it allows.
    pub(super) fn pin(&self) -> Option<&'a str> {
        let version = self.versions.strip_prefix("===").or_else(|| self.versions.strip_prefix("=="))?.trim();
        let is_one = !version.is_empty() && !version.contains([',', '*', ' ', '<', '>', '!', '~', '=']);
        is_one.then_some(version)
    }

    /// Whether it holds only for an extra, or only on another system than
    /// Linux. Versions of Python are not looked at: what is not installed is
    /// no dependency anyway.
    pub(super) fn is_elsewhere(&self) -> bool {
        let marker: String = self.marker.chars().filter(|c| !c.is_whitespace()).collect();
        let marker = marker.replace('\'', "\"");
        let other = [
            "sys_platform==\"win32\"",
            "sys_platform==\"darwin\"",
            "sys_platform==\"cygwin\"",
            "platform_system==\"Windows\"",
            "platform_system==\"Darwin\"",
            "os_name==\"nt\"",
        ];
        let alternatives = marker.contains("or") && marker.contains(")or(") || self.marker.contains(" or ");
        self.marker.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "extra")
            || !alternatives && other.iter().any(|other| marker.contains(other))
    }
}

/// Reads a `requirements.txt`. Only pins are packages; the rest is said in one
/// warning.
pub(super) fn parse(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut loose = Vec::new();
    let mut pieces = String::new();
    for line in text.lines() {
        let line = comment_free(line);
        if let Some(start) = line.strip_suffix('\\') {
            pieces.push_str(start);
            pieces.push(' ');
            continue;
        }
        pieces.push_str(line);
        read_line(&std::mem::take(&mut pieces), &mut reading, &mut loose);
    }
    read_line(&pieces, &mut reading, &mut loose);
    if !loose.is_empty() {
        const SHOWN: usize = 5;
        let names = loose.iter().take(SHOWN).map(|name| excerpt(name)).collect::<Vec<_>>().join(", ");
        let more = if loose.len() > SHOWN { ", …" } else { "" };
        reading.open.push(format!("{} requirements name no single version: {names}{more}", loose.len()));
    }
    reading
}

fn comment_free(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    line.split_once(" #").map_or(line, |(line, _)| line.trim_end())
}

fn read_line(line: &str, reading: &mut Reading, loose: &mut Vec<String>) {
    let line = line.trim();
    // Options: other files, indexes, editable directories.
    if line.is_empty() || line.starts_with('-') {
        let file = line.strip_prefix("-r").or_else(|| line.strip_prefix("--requirement"));
        let other = file.map(|file| file.trim_start_matches('=').trim());
        if let Some(other) = other.filter(|file| !file.ends_with("requirements.txt")) {
            // The place may have a password in it.
            let other = if other.contains("://") { "a file from elsewhere".into() } else { excerpt(other) };
            reading.open.push(format!("it includes {other}, which is not read"));
        }
        return;
    }
    let (specifier, options) = line.split_once(" --").unwrap_or((line, ""));
    let Some(requirement) = Requirement::parse(specifier) else {
        loose.push(specifier.into());
        return;
    };
    let mut component = declared("pypi", normal(requirement.name), "");
    if let Some(url) = requirement.url {
        let place = url.split('#').next().unwrap_or(url);
        match place.strip_prefix("git+") {
            Some(place) => {
                let path = place.find("://").map_or(0, |at| at + 3);
                let commit = place[path..]
                    .rfind('@')
                    .map(|at| path + at)
                    .filter(|&at| place[at..].find('/').is_none());
                let (place, commit) = commit.map_or((place, ""), |at| (&place[..at], &place[at + 1..]));
                from_git(&mut component, place, commit);
            }
            None => drop(component.qualifiers.insert("download_url".into(), place.into())),
        }
    } else if let Some(version) = requirement.pin() {
        component.version = version.into();
    } else {
        loose.push(requirement.name.into());
        return;
    }
    let hashes = options.split("--").filter_map(|option| option.trim().strip_prefix("hash"));
    only_hash(&mut component, hashes.map(|hash| hash.trim_start_matches(['=', ' '])));
    reading.push(component);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    #[test]
    fn specifiers_fall_into_their_parts() {
        for (text, name, versions, url, marker) in [
            ("Flask", "Flask", "", None, ""),
            ("a.b-c (>=1.0,<2) ; extra == 'x'", "a.b-c", ">=1.0,<2", None, "extra == 'x'"),
            ("a[x,y]==1.0", "a", "==1.0", None, ""),
            (
                "a @ https://example.com/a;b.zip ; os_name == 'nt'",
                "a",
                "",
                Some("https://example.com/a;b.zip"),
                "os_name == 'nt'",
            ),
        ] {
            let parsed = Requirement::parse(text).unwrap();
            assert_eq!(parsed, Requirement { name, versions, url, marker }, "{text}");
        }
        assert_eq!(
            Requirement::parse("./local"),
            Some(Requirement { name: ".", versions: "/local", url: None, marker: "" })
        );
        assert_eq!(Requirement::parse("==1"), None);
        assert_eq!(Requirement::parse("a[x"), None);
    }

    #[test]
    fn markers_of_other_systems_and_extras_are_seen() {
        for (marker, expected) in [
            ("extra == 'x'", true),
            ("python_version < '3.8' and extra == \"x\"", true),
            ("sys_platform == 'win32'", true),
            ("platform_system == \"Windows\" and python_version > '3'", true),
            ("sys_platform == 'win32' or sys_platform == 'linux'", false),
            ("python_version < '3.8'", false),
            ("", false),
        ] {
            let text = format!("a ; {marker}");
            assert_eq!(Requirement::parse(&text).unwrap().is_elsewhere(), expected, "{marker}");
        }
    }

    #[test]
    fn pins_are_packages() {
        let sum = "0a".repeat(32);
        let text = format!(
            "# comment\n-i https://example.com/simple\nFlask==3.0.0 # why\nzope.interface == 6.1 ; python_version > '3' \\\n    \
             --hash=sha256:{sum}\nloose>=1\nwild==1.*\n-r other.txt\n-r base-requirements.txt\n\
             forked @ git+ssh://git@example.com/x.git@0123abc#egg=forked\nplain @ https://example.com/plain-1.zip\n./local\n"
        );
        let reading = parse(&text);
        let purls: Vec<String> = reading.components.iter().map(|c| c.purl().to_string()).collect();
        assert_eq!(
            purls,
            [
                "pkg:pypi/flask@3.0.0",
                "pkg:pypi/zope-interface@6.1",
                "pkg:pypi/forked?vcs_url=git%2Bssh:%2F%2Fgit%40example.com%2Fx.git%400123abc",
                "pkg:pypi/plain?download_url=https:%2F%2Fexample.com%2Fplain-1.zip",
            ]
        );
        assert_eq!(reading.components[1].hashes.first().unwrap().hex, sum);
        assert_eq!(
            reading.open,
            [
                "it includes other.txt, which is not read",
                "3 requirements name no single version: loose, wild, ."
            ]
        );
    }

    #[test]
    fn any_text_is_survived() {
        torture(b"a @ git+ssh://g@h/x@y#z ; extra\nb==1 --hash=sha256:0\n\\\n", |bytes| {
            drop(parse(&String::from_utf8_lossy(bytes)));
        });
        assert!(parse(&"a==1 \\\n".repeat(100_000)).components.len() <= 1);
        assert_eq!(parse(&"a\n".repeat(100_000)).open.len(), 1);
    }
}
